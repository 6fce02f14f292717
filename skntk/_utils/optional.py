"""Libraries that only some parts of the package need."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType

__all__ = ["import_for", "is_installed"]


def is_installed(*packages: str) -> bool:
    """Whether all of these packages are installed; none of them is imported."""
    return all(find_spec(package) is not None for package in packages)


def import_for(what: str, module: str, package: str | None = None, *, extra: str) -> ModuleType:
    """Import a module, or raise an error that says who needs it and how to install it.

    Parameters
    ----------
    what : str
        Part of the package that needs the module, as the subject of the message.
    module : str
        Name of the module; relative to `package` if it begins with a dot.
    package : str, default=None
        Package to which `module` is relative.
    extra : str
        Extra of this distribution that installs the library.

    Raises
    ------
    ImportError
        If the module, or a package that it imports, is not installed.
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
