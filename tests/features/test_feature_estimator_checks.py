"""scikit-learn's contract for the estimators of features."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skntk import RobustFeatureSelector, SpectralFeatureDecomposer


# The checks fit duplicates and constants, whose Gram matrices are singular.
@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")
@parametrize_with_checks(
    [
        SpectralFeatureDecomposer(),
        SpectralFeatureDecomposer("fc1", eigen_solver="dense"),
        RobustFeatureSelector(),
        RobustFeatureSelector(cv=3),
    ]
)
def test_estimator(estimator, check):
    check(estimator)
