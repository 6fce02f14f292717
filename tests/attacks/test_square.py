"""Square: what it proposes, and what it can be asked to attack."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, QuantileTransformer, StandardScaler
from sklearn.svm import SVC

from skntk import NTKAttack, NTKClassifier
from skntk.attacks._balls import make_ball
from skntk.attacks._square import _L2Squares, _LinfSquares, image_shape
from skntk.metrics import make_robust_scorer, robust_accuracy_score


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.mark.parametrize(
    "n_features, shape",
    [
        *[(64, (8, 8, 1)), (784, (28, 28, 1)), (3072, (32, 32, 3)), (12, (2, 2, 3))],
        *[(1, (1, 1, 1)), (3, (1, 3, 1)), (13, (1, 13, 1)), (50, (1, 50, 1))],
    ],
)
def test_shapes_of_images(n_features, shape):
    assert image_shape(n_features) == shape


@pytest.mark.parametrize("shape", [(8, 8, 1), (6, 6, 3), (1, 13, 1)])
@pytest.mark.parametrize("area", [0.8, 0.1, 0.001])
def test_a_proposal_differs_in_one_square(shape, area):
    rng = np.random.default_rng(0)
    X = rng.uniform(0.3, 0.7, (50, np.prod(shape)))
    squares = _LinfSquares(make_ball(np.inf, X, 0.1, (0, 1)), shape)
    points = squares.start(rng.random((50, squares.n_first)))
    proposed = squares.propose(points, rng.random((50, squares.n_numbers)), area)
    assert np.isin(np.round(np.abs(proposed - X), 12), [0.1]).all()
    changed = (proposed != points).reshape(50, *shape).any(axis=3)
    for image in changed:
        rows, columns = np.nonzero(image)
        if len(rows):  # its sides: all of the square, if any channel changes
            height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
            assert height * width <= max(1, np.ceil(area * shape[0] * shape[1] * 1.5))


@pytest.mark.parametrize("shape", [(8, 8, 1), (6, 6, 3), (1, 13, 1)])
def test_euclidean_proposals_use_the_whole_radius(shape):
    rng = np.random.default_rng(0)
    X = rng.random((20, np.prod(shape)))
    squares = _L2Squares(make_ball(2, X, 0.5, None), shape)
    points = squares.start(rng.random((20, squares.n_first)))
    for area in (0.8, 0.2, 0.02):
        np.testing.assert_allclose(np.linalg.norm(points - X, axis=1), 0.5)
        points = squares.propose(points, rng.random((20, squares.n_numbers)), area)


def test_what_the_box_has_cut_off_goes_into_the_square():
    """A change shorter than the radius leaves the rest of it to the square that is filled."""
    rng = np.random.default_rng(0)
    X = rng.random((20, 64))
    squares = _L2Squares(make_ball(2, X, 0.5, None), (8, 8, 1))
    points = X + 0.01 * rng.standard_normal(X.shape) / 8
    change = squares.propose(points, rng.random((20, squares.n_numbers)), 0.1) - X
    outside = np.sort(np.abs(change), axis=1)[:, : 64 - 9]  # the square has three by three pixels
    assert (np.linalg.norm(outside, axis=1) < 0.1 * 0.5).all()


@pytest.mark.parametrize("norm, eps", [(np.inf, 0.1), (2, 0.8)])
def test_it_comes_near_to_what_gradients_find(digits, norm, eps):
    """A random sign a pixel is far from it."""
    X, y = digits[0][500:560], digits[1][500:560]
    clf = NTKClassifier("fc1").fit(digits[0][:300], digits[1][:300])
    clean = clf.score(X, y)
    params = {"norm": norm, "eps": eps, "loss": "margin", "random_state": 0}
    gradients, search = (
        robust_accuracy_score(clf, X, y, NTKAttack(None, method=method, n_queries=1000, **params))
        for method in ("apgd", "square")
    )
    assert gradients <= search + 1.5 / len(X)  # one sample
    assert search < clean - 0.6 * (clean - gradients)


def forest(X, y):
    return RandomForestClassifier(n_estimators=20, random_state=0).fit(X, y)


BLACK_BOXES = {
    "logistic regression": lambda X, y: LogisticRegression().fit(X, y),
    "support vectors": lambda X, y: SVC().fit(X, y),
    "forest": forest,
    "network": lambda X, y: MLPClassifier(solver="lbfgs", alpha=1.0, random_state=0).fit(X, y),
    "quantiles": lambda X, y: make_pipeline(
        QuantileTransformer(n_quantiles=20), NTKClassifier("fc1", alpha=0.1)
    ).fit(X, y),
    "bins": lambda X, y: make_pipeline(
        KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
        LogisticRegression(),
    ).fit(X, y),
    "search": lambda X, y: GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2).fit(X, y),
}


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", BLACK_BOXES)
def test_anything_with_outputs_is_attacked(name, n_classes):
    rng = np.random.default_rng(0)
    X = rng.random((150, 4))
    y = np.array(["low", "middle", "high"])[
        np.digitize(X[:, 0], [0.5, 2.0] if n_classes == 2 else [0.33, 0.66])
    ]
    clf = BLACK_BOXES[name](X, y)
    clean = clf.score(X, y)
    attack = NTKAttack(clf, method="square", loss="margin", n_queries=100, random_state=0)
    result = attack.run(X, y, epsilons=[0.0, 0.3])
    assert result.robust_accuracy[0] == clean
    assert result.robust_accuracy[1] < clean - 0.3
    np.testing.assert_array_equal(clf.predict(result.X_adv[1]) != y, result.success[1])
    assert result.report.n_zero_gradient is None
    assert make_robust_scorer(attack.set_params(estimator=None, eps=0.3))(
        clf, X, y
    ) == pytest.approx(result.robust_accuracy[1])


def test_columns_are_found_by_their_names():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.random((80, 3)), columns=["a", "b", "c"])
    y = (X["a"] > 0.5).to_numpy().astype(int)
    columns = ColumnTransformer([("bins", QuantileTransformer(n_quantiles=10), ["b", "a"])])
    clf = make_pipeline(columns, StandardScaler(), LogisticRegression()).fit(X, y)
    attack = NTKAttack(clf, method="square", eps=0.4, n_queries=50, random_state=0)
    result = attack.run(X, y, epsilons=[0.4])
    adversarial = pd.DataFrame(result.X_adv[0], columns=X.columns)
    assert clf.score(adversarial, y) == result.robust_accuracy[0] < 0.7


@pytest.mark.parametrize(
    "estimator, message",
    [
        (StandardScaler(), "has no decision_function and no predict_proba"),
        (object(), "has no decision_function and no predict_proba"),
    ],
)
def test_what_has_no_outputs(estimator, message):
    X = np.random.default_rng(0).random((5, 2))
    if hasattr(estimator, "fit"):
        estimator.fit(X)
    with pytest.raises(TypeError, match=message):
        NTKAttack(estimator, method="square").generate(X, np.arange(5) % 2)


def test_attacks_with_gradients_name_the_way_without_them():
    X, y = np.random.default_rng(0).random((10, 2)), np.arange(10) % 2
    with pytest.raises(TypeError, match="method='square'"):
        NTKAttack(KNeighborsClassifier().fit(X, y), method="auto").generate(X, y)
