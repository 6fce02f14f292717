"""Libraries that are needed for some of the package only."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType

__all__ = ["import_for", "is_installed"]


def is_installed(*packages: str) -> bool:
    """Whether all of these can be imported; none of them is."""
    return all(find_spec(package) is not None for package in packages)


def import_for(what: str, module: str, package: str | None = None, *, extra: str) -> ModuleType:
    """Import a module, or say what it is needed for and how it is installed.

    Parameters
    ----------
    what : str
        What asks for it, as the subject of the message.
    module : str
        Name of the module; relative to `package` if it begins with a dot.
    package : str, default=None
        The package it is relative to.
    extra : str
        The extra of this distribution that brings it.

    Raises
    ------
    ImportError
        If a package it needs is not installed.
    """
    try:
        return importlib.import_module(module, package)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", __name__.partition(".")[0]):
            raise
        raise ImportError(
            f"{what} needs {missing}, which is not installed; pip install 'skntk[{extra}]'.",
            name=missing,
        ) from error
