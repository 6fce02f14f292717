"""Detection of scikit-ntk, another distribution whose import package is called ``skntk``."""

from importlib import metadata
from pathlib import Path


def check_not_shadowed() -> None:
    """Refuse to run from a directory that scikit-ntk has been installed into as well.

    Only the directory that contains this package is searched, because a scikit-ntk elsewhere on
    the path was not imported.

    Raises
    ------
    ImportError
        If scikit-ntk lists this package's ``__init__.py`` among its own files.
    """
    package = Path(__file__).resolve().parents[1]
    for other in metadata.distributions(name="scikit-ntk", path=[str(package.parent)]):
        owned = {Path(str(other.locate_file(file))).resolve() for file in other.files or ()}
        if package / "__init__.py" in owned:
            raise ImportError(
                f"skntk and scikit-ntk {other.version} are installed into the same directory, "
                f"{package}. They are unrelated distributions which both provide an import "
                "package called 'skntk', so each overwrites files of the other, and an "
                "environment can hold only one of them. To keep skntk, run\n"
                "    pip uninstall scikit-ntk\n"
                "    pip install --force-reinstall --no-deps skntk\n"
                "(in a checkout, the second is `pip install -e .`). The second command is "
                "needed because the first also removes the files the two share."
            )
