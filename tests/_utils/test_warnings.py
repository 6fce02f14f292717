"""Warnings point at the user's line, through whatever they came."""

import threading
import warnings

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import NTKClassifier, SpectralFeatureDecomposer
from skntk._utils.warnings import user_warnings_ignored, warn_user

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


def test_threads_leave_the_filters_as_they_were():
    before = list(warnings.filters)
    both_inside, first_left = threading.Barrier(2), threading.Event()

    def leave_first():
        with user_warnings_ignored():
            both_inside.wait()
        first_left.set()

    def leave_last():
        with user_warnings_ignored():
            both_inside.wait()
            first_left.wait(10)

    threads = [threading.Thread(target=each) for each in (leave_first, leave_last)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first_left.is_set() and list(warnings.filters) == before
    with user_warnings_ignored():
        warnings.warn("not heard", UserWarning, stacklevel=1)
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", UserWarning, stacklevel=1)
