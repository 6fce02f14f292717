"""Every fit that can take a while tells scikit-learn's callbacks how far it is."""

import warnings

import numpy as np
import pytest
from sklearn.callback import ProgressBar
from sklearn.model_selection import GridSearchCV

from skntk import NTKClassifier, NTKClassifierCV, RobustFeatureSelector, SpectralFeatureDecomposer
from skntk.kernels import FullyConnectedNTK


class SmallBlocks(FullyConnectedNTK):
    """Four blocks a side of a small Gram matrix, ten in its upper triangle."""

    block_size = 10


class Listener:
    """Names of the tasks that have ended, and the largest numbers of subtasks they announced."""

    def __init__(self):
        self.ended, self.announced = [], {}

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context):
        self.announced[context.task_name] = context.max_subtasks

    def on_fit_task_end(self, estimator, context):
        self.ended.append(context.task_name)


def samples(n=40):
    X = np.random.default_rng(0).random((n, 3))
    return X, (X[:, 0] > X[:, 1]).astype(int)


def decomposer():
    return SpectralFeatureDecomposer(SmallBlocks(1), n_components=5)


def prefit():
    fitted = decomposer().fit(*samples())
    return RobustFeatureSelector(fitted, cv="prefit", n_features_to_select=2)


FITS = {
    "cholesky": (lambda: NTKClassifier(SmallBlocks(1)), ["gram", "solve"], 11),
    "eigh": (lambda: NTKClassifier(SmallBlocks(1), time=1.0), ["gram", "solve"], 11),
    "decomposer": (decomposer, ["gram", "decompose"], 11),
    "cv": (
        lambda: NTKClassifierCV(SmallBlocks(1), alphas=[0.1, 1.0]),
        ["gram", "decompose", "score"],
        13,
    ),
    "selector": (lambda: RobustFeatureSelector(decomposer(), cv=3), ["features", "curve"], 5),
    "prefit": (prefit, ["features"], 1),
}


@pytest.mark.parametrize(("make", "stages", "n_steps"), FITS.values(), ids=FITS)
def test_progress_is_told(make, stages, n_steps):
    X, y = samples()
    listener = Listener()
    make().set_callbacks(listener).fit(X, y)
    assert [name for name in listener.ended if name not in ("step", "fit")] == stages
    assert listener.ended.count("step") == n_steps
    assert listener.ended[-1] == "fit"
    assert sum(listener.announced[name] for name in stages) == n_steps


def test_iterations_are_steps():
    X, y = samples()
    listener = Listener()
    clf = NTKClassifier(SmallBlocks(1), solver="cg", alpha=0.1).set_callbacks(listener).fit(X, y)
    assert listener.ended.count("step") == 10 + clf.n_iter_
    assert listener.announced["solve"] == clf.max_iter


def test_callbacks_of_a_decomposer_stay_out_of_the_cache(tmp_path):
    X, y = samples()
    decomposer = SpectralFeatureDecomposer("fc1", n_components=5).set_callbacks(Listener())
    selector = RobustFeatureSelector(decomposer, memory=str(tmp_path)).fit(X, y)
    assert not hasattr(selector.decomposer_, "_skl_callbacks")
    assert hasattr(decomposer, "_skl_callbacks")


@pytest.mark.parametrize("name", ["cholesky", "decomposer", "cv", "selector"])
def test_progress_bar_in_a_grid_search(name, capsys):
    estimator = FITS[name][0]()
    parameter = "decomposer__n_components" if name == "selector" else "n_jobs"
    search = GridSearchCV(estimator, {parameter: [1, 2]}, cv=2).set_callbacks(ProgressBar())
    search.fit(*samples())
    assert "fit" in capsys.readouterr().out


def test_warnings_point_at_the_caller():
    X, y = samples()
    X[1] = X[0]
    for estimator in (SpectralFeatureDecomposer("fc1"), NTKClassifierCV("fc1", alphas=[0.0])):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.fit(X, y)
        assert [warning.filename for warning in caught] == [__file__]
