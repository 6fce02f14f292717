"""scikit-ntk, whose import package is called skntk too, is noticed wherever it lies."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import skntk._utils.shadowing

CONFTEST = Path(__file__).parents[1] / "conftest.py"
THEIR_RECORD = (
    "skntk/__init__.py,,\nskntk/kernel.py,,\nscikit_ntk-1.2.1.dist-info/METADATA,,\n"
    "scikit_ntk-1.2.1.dist-info/RECORD,,\n"
)


def install_ours(site):
    """Put a package with the real `_utils/shadowing.py` where pip would."""
    package = site / "skntk"
    utils = package / "_utils"
    utils.mkdir(parents=True, exist_ok=True)
    (utils / "__init__.py").touch()
    shutil.copy(skntk._utils.shadowing.__file__, utils)
    (package / "__init__.py").write_text(
        "from skntk._utils.shadowing import check_not_shadowed\n"
        "check_not_shadowed()\n"
        "class NTKClassifier: pass\n"
    )


def install_theirs(site, record=THEIR_RECORD):
    """Put what scikit-ntk's wheel holds where pip would; record=None: without a RECORD."""
    package = site / "skntk"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("from .kernel import NeuralTangentKernel\n")
    (package / "kernel.py").write_text("class NeuralTangentKernel: pass\n")
    info = site / "scikit_ntk-1.2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scikit-ntk\nVersion: 1.2.1\n")
    if record is not None:
        (info / "RECORD").write_text(record)


def run_python(*args, path, cwd):
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    return subprocess.run(
        [sys.executable, *args], env=environ, cwd=cwd, capture_output=True, text=True, check=False
    )


def import_skntk(*path, cwd):
    """Import skntk in a fresh interpreter with these directories first on the path."""
    return run_python("-c", "import skntk; print(skntk.NTKClassifier)", path=path, cwd=cwd)


def test_installed_over_scikit_ntk(tmp_path):
    install_theirs(tmp_path / "site")
    install_ours(tmp_path / "site")

    result = import_skntk(tmp_path / "site", cwd=tmp_path)

    assert result.returncode != 0
    assert "ImportError: skntk and scikit-ntk 1.2.1 are installed into" in result.stderr
    assert str(tmp_path / "site" / "skntk") in result.stderr
    assert "pip uninstall scikit-ntk\n" in result.stderr
    assert "pip install --force-reinstall --no-deps skntk\n" in result.stderr
    assert "pip install -e ." in result.stderr


def test_remedy_ends_the_error(tmp_path):
    site = tmp_path / "site"
    install_theirs(site)
    install_ours(site)
    # What `pip uninstall scikit-ntk` removes, then the reinstallation.
    for line in THEIR_RECORD.splitlines():
        (site / line.split(",")[0]).unlink()
    (site / "scikit_ntk-1.2.1.dist-info").rmdir()
    install_ours(site)

    assert import_skntk(site, cwd=tmp_path).returncode == 0


def test_scikit_ntk_later_on_the_path(tmp_path):
    install_ours(tmp_path / "ours")
    install_theirs(tmp_path / "theirs")

    result = import_skntk(tmp_path / "ours", tmp_path / "theirs", cwd=tmp_path)

    assert result.returncode == 0, result.stderr


def test_one_scikit_ntk_beside_ours_and_another_elsewhere(tmp_path):
    """The first scikit-ntk on the path does not hide the one that matters."""
    install_theirs(tmp_path / "theirs")
    shutil.rmtree(tmp_path / "theirs" / "skntk")
    install_theirs(tmp_path / "ours")
    install_ours(tmp_path / "ours")

    result = import_skntk(tmp_path / "theirs", tmp_path / "ours", cwd=tmp_path)

    assert "pip uninstall scikit-ntk" in result.stderr


@pytest.mark.parametrize(
    "record",
    [None, "__editable__scikit_ntk.pth,,\nscikit_ntk-1.2.1.dist-info/RECORD,,\n"],
    ids=["no RECORD", "editable install"],
)
def test_metadata_that_does_not_claim_our_files(tmp_path, record):
    install_theirs(tmp_path, record)
    install_ours(tmp_path)

    assert import_skntk(tmp_path, cwd=tmp_path).returncode == 0


def test_this_environment_is_sound():
    skntk._utils.shadowing.check_not_shadowed()


@pytest.mark.parametrize(
    ("install", "message"),
    [
        (install_theirs, "is scikit-ntk's, an unrelated distribution"),
        (lambda site: (install_theirs(site), install_ours(site)), "is scikit-ntk's"),
        (lambda site: (site / "skntk.py").write_text(""), "it has no NTKClassifier"),
        (install_ours, None),
    ],
    ids=["scikit-ntk first", "scikit-ntk mixed in", "a module", "ours"],
)
def test_test_run_refuses_a_foreign_skntk(tmp_path, install, message):
    """With scikit-ntk first on the path our check never runs, so conftest.py has one."""
    site, tests = tmp_path / "site", tmp_path / "tests"
    site.mkdir()
    tests.mkdir()
    install(site)
    shutil.copy(CONFTEST, tests)
    (tests / "test_nothing.py").write_text("def test_nothing(): pass\n")

    options = ("-p", "no:cacheprovider", "-p", "no:xdist", f"--rootdir={tmp_path}")
    result = run_python("-m", "pytest", *options, str(tests), path=[site], cwd=tmp_path)

    if message is None:
        assert result.returncode == pytest.ExitCode.OK, result.stdout + result.stderr
    else:
        assert result.returncode == pytest.ExitCode.USAGE_ERROR
        assert message in result.stdout + result.stderr
