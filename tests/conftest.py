"""Settings shared by all tests. Imports neither skntk nor JAX, so collection stays light."""

import gc
import importlib.util
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ["MPLBACKEND"] = "Agg"
# Read once, when SciPy is first imported; scikit-learn's array-API checks skip without it.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
# HYPOTHESIS_PROFILE=thorough, as in `tox -e slow`, tries more examples; explore, others every time.
settings.register_profile("default", max_examples=60, derandomize=True, **COMMON)
settings.register_profile("thorough", max_examples=400, derandomize=True, **COMMON)
settings.register_profile("explore", max_examples=1000, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def _wrong_skntk() -> str | None:
    """Say why ``import skntk`` would not give this project's package, or None if it does."""
    spec = importlib.util.find_spec("skntk")
    if spec is None or spec.origin is None:
        return "there is no package `skntk` to test; install it: pip install -e '.[test]'"
    package = Path(spec.origin).parent
    kernel = package / "kernel.py"
    if kernel.is_file() and "class NeuralTangentKernel" in kernel.read_text(encoding="utf-8"):
        return (
            f"the `skntk` in {package} is scikit-ntk's, an unrelated distribution with an import "
            "package of the same name (its kernel.py defines NeuralTangentKernel); run "
            "`pip uninstall scikit-ntk`, then `pip install --no-deps -e .`"
        )
    if "NTKClassifier" not in Path(spec.origin).read_text(encoding="utf-8"):
        return (
            f"the `skntk` in {package} is not this project's: it has no NTKClassifier; remove it, "
            "or put this project before it on sys.path"
        )
    return None


def pytest_configure(config):
    problem = _wrong_skntk()
    if problem is not None:
        raise pytest.UsageError(problem)


def make_room():
    """Forget compiled programs before they use up the memory maps that Linux allows a process.

    There are 65,530, each program takes a few, and without any left the compiler crashes.
    """
    maps, jax = Path("/proc/self/maps"), sys.modules.get("jax")
    if jax is not None and maps.exists() and maps.read_bytes().count(b"\n") > 15_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(autouse=True, scope="module")
def room_for_compiled_programs():
    """After each module, because to ask after each test takes too long."""
    yield
    make_room()


@pytest.fixture
def room_after_each():
    """For modules that compile thousands of programs."""
    yield
    make_room()


@pytest.fixture(autouse=True, scope="module")
def no_idle_workers():
    """End the processes that joblib keeps after a module that used them.

    Each holds JAX and what it compiled, and those that are idle for 300 s end by themselves, which
    may be at the very moment when the next test hands them work.
    """
    yield
    loky = sys.modules.get("joblib.externals.loky.reusable_executor")
    executor = getattr(loky, "_executor", None)
    if executor is not None:
        executor.shutdown(wait=True, kill_workers=True)
