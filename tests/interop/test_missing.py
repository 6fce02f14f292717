"""A bridge to a toolbox that is not installed says so."""

import sys

import numpy as np
import pytest

from skntk import NTKClassifier, interop

X = np.random.default_rng(0).random((6, 3))


@pytest.mark.parametrize(
    "bridge, library",
    [
        (lambda clf: interop.to_torch(clf), "torch"),
        (lambda clf: interop.from_torch(None, classes=[0, 1], input_shape=(3,)), "torch"),
        (lambda clf: interop.to_art(clf, clip_values=(0, 1)), "art"),
    ],
    ids=["to_torch", "from_torch", "to_art"],
)
def test_a_missing_library_is_named(bridge, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    clf = NTKClassifier("fc1").fit(X, np.arange(6) % 2)
    with pytest.raises(ImportError, match=rf"needs {library}.*pip install 'skntk\[{library}\]'"):
        bridge(clf)
