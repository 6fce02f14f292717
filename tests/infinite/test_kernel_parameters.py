"""Parameters of kernels that are given by name, in grids."""

import numpy as np
import pytest
from helpers import gaussian
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import NTKClassifier, NTKClassifierCV, SpectralFeatureDecomposer
from skntk.kernels import FullyConnectedNTK

X, y = gaussian(20, 4), np.arange(20) % 2


def test_the_depth_of_a_named_kernel_in_a_grid():
    """A grid over the kernel's parameters works although the kernel is given by name."""
    search = GridSearchCV(NTKClassifier(), {"kernel__depth": [1, 3]}, cv=2).fit(X, y)
    by_hand = GridSearchCV(
        NTKClassifier(), {"kernel": [FullyConnectedNTK(1), FullyConnectedNTK(3)]}, cv=2
    ).fit(X, y)
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name], by_hand.cv_results_[name])
    pipeline = make_pipeline(StandardScaler(), NTKClassifier("fc1"))
    grid = {"ntkclassifier__kernel__bias_std": [0.1, 1.0]}
    assert GridSearchCV(pipeline, grid, cv=2).fit(X, y).best_params_.keys() == grid.keys()


@pytest.mark.parametrize("estimator", [NTKClassifier, NTKClassifierCV, SpectralFeatureDecomposer])
def test_a_name_becomes_its_kernel_where_it_is_addressed(estimator):
    named = estimator("fc3")
    assert named.get_params()["kernel__depth"] == 3
    assert "kernel__depth" not in named.get_params(deep=False)
    assert clone(named).kernel == "fc3"
    changed = named.set_params(kernel__depth=2)
    assert isinstance(changed.kernel, FullyConnectedNTK) and changed.kernel.depth == 2
    both = estimator().set_params(kernel="fc5", kernel__bias_std=0.5)
    assert both.kernel.depth == 5 and both.kernel.bias_std == 0.5


@pytest.mark.parametrize("name", ["precomputed", "conv1"])
def test_names_without_parameters(name):
    assert "kernel__depth" not in NTKClassifier(name).get_params()
    with pytest.raises(ValueError, match=f"kernel__depth cannot be set with kernel='{name}'"):
        NTKClassifier(name).set_params(kernel__depth=1)
    with pytest.raises(ValueError, match="nothing"):
        NTKClassifier("fc2").set_params(kernel__nothing=1)
