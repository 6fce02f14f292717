"""Warnings point at the user's line, through whatever they came."""

import warnings

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import NTKClassifier, SpectralFeatureDecomposer
from skntk._utils.warnings import warn_user

X = np.random.default_rng(0).standard_normal((24, 3))
X[1::2] = X[::2]
y = np.arange(24) % 3 % 2

CALLS = {
    "fit": lambda: NTKClassifier("fc1").fit(X, y),
    "cg": lambda: NTKClassifier("fc1", solver="cg", max_iter=1, tol=1e-12).fit(X, y),
    "decomposer": lambda: SpectralFeatureDecomposer("fc1").fit(X, y),
    "transformer": lambda: SpectralFeatureDecomposer("fc1").fit_transform(X, y),
    "pipeline": lambda: make_pipeline(StandardScaler(), NTKClassifier("fc1")).fit(X, y),
    "validation": lambda: cross_val_score(NTKClassifier("fc1"), X, y, cv=2),
    "threads": lambda: Parallel(1)(delayed(NTKClassifier("fc1").fit)(X, y) for _ in "a"),
    "time": lambda: NTKClassifier("fc1", time=1.0).fit(X, y).at_time(np.inf),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_line_is_the_users(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert caught
    assert {warning.filename for warning in caught} == {__file__}


def test_nothing_to_warn_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_user(None)
