"""scikit-learn's own checks: all pass, none skipped, none expected to fail."""

from unittest import SkipTest

import jax
import pytest
from joblib import Parallel, delayed
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from skntk import NTKClassifier, NTKClassifierCV, NTKRegressor, NTKRegressorCV

VARIANTS = [
    NTKClassifier(),
    NTKClassifier(solver="eigh"),
    NTKClassifier(time=1.0),
    NTKClassifier(alpha=0.1),
    NTKClassifier(kernel="two_layer"),
    NTKClassifier(solver="cg", alpha=0.1),
    NTKClassifier(class_weight="balanced", alpha=0.1),
    NTKClassifierCV(),
    NTKRegressor(),
    NTKRegressor(time=1.0),
    NTKRegressor(solver="cg", alpha=0.1),
    # One candidate: with a choice to make, weights are not repetition. A repeated sample stays when
    # its copy is left out, one of weight 2 does not, and scikit-learn's check sees another choice.
    NTKRegressorCV(alphas=[0.1]),
]

# Several checks fit duplicate samples, of which the classifier rightly warns.
pytestmark = pytest.mark.filterwarnings("ignore:The Gram matrix is ill-conditioned")


@pytest.fixture(params=[False, True], ids=["x32", "x64"])
def x64(request):
    """Each value of the process-wide flag, which the package must neither heed nor change."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", request.param)
    yield
    assert jax.config.jax_enable_x64 is request.param
    jax.config.update("jax_enable_x64", before)


def run(check, estimator):
    try:
        check(estimator)
    except SkipTest as error:
        pytest.fail(f"skipped: {error}")


@pytest.mark.usefixtures("x64")
@parametrize_with_checks(VARIANTS[:2])
def test_checks_whatever_the_precision_flag(estimator, check):
    run(check, estimator)


@parametrize_with_checks(VARIANTS[2:])
def test_checks(estimator, check):
    run(check, estimator)


def problems_of(estimator):
    """Names of the checks that did not pass; runs in a worker."""
    results = check_estimator(estimator, on_skip=None, on_fail=None)
    assert len(results) > 50
    return [
        f"{result['check_name']}: {result['status']}, {result['exception']}"
        for result in results
        if result["status"] != "passed"
    ]


def test_checks_in_loky_workers():
    workers = Parallel(n_jobs=2, backend="loky")
    assert workers(delayed(problems_of)(estimator) for estimator in VARIANTS[:2]) == [[], []]
