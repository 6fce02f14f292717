"""Tabular pipelines are attacked where they are affine, and their other columns stay."""

import numpy as np
import pandas as pd
import pytest
from helpers import central_differences
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from skntk import NTKAttack, NTKClassifier
from skntk.attacks._differentiable import as_differentiable
from skntk.metrics import gradient_cosine_similarity

CATEGORIES = OneHotEncoder(handle_unknown="ignore")  # as central differences meet them
EPS = np.array([0.3, 0.2, 0.0, 0.1])


def table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 4))
    X[:, 2] = rng.integers(0, 3, 40)
    return X, (X[:, 0] + X[:, 1] + X[:, 2] > 1).astype(int)


def columns(encoder, numeric=(0, 1, 3), other=(2,)):
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    return ColumnTransformer([("num", scaled, [*numeric]), ("cat", encoder, [*other])])


@pytest.mark.parametrize(
    "encoder",
    [CATEGORIES, PolynomialFeatures(3), make_pipeline(CATEGORIES)],
    ids=lambda encoder: type(encoder).__name__,
)
@pytest.mark.parametrize("named", [False, True])
def test_columns_that_are_not_affine_stay(encoder, named):
    X, y = table()
    given = pd.DataFrame(X, columns=list("abcd")) if named else X
    names = (list("abd"), ["c"]) if named else ((0, 1, 3), (2,))
    pipe = make_pipeline(columns(encoder, *names), NTKClassifier("fc1", alpha=0.1)).fit(given, y)
    attack = NTKAttack(pipe, eps=EPS, method="pgd", clip_values=None)
    X_adv = attack.generate(given, y)
    assert (np.abs(X_adv - X) <= EPS + 1e-12).all()
    np.testing.assert_array_equal(X_adv[:, 2], X[:, 2])
    adversarial = pd.DataFrame(X_adv, columns=list("abcd")) if named else X_adv
    assert pipe.score(adversarial, y) < pipe.score(given, y)
    model = as_differentiable(pipe)
    _, pullback = model.linearize(X)
    gradient = central_differences(lambda points: model.outputs(points)[:, 0], X)
    moved = EPS > 0
    result = pullback(np.ones((40, 1)))
    np.testing.assert_allclose(result[:, moved], gradient[:, moved], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("first", [None, MinMaxScaler()])
def test_a_budget_for_categories_is_refused_by_name(first):
    X, y = table()
    steps = [columns(OneHotEncoder(handle_unknown="ignore")), NTKClassifier("fc1")]
    pipe = make_pipeline(*([] if first is None else [first]), *steps).fit(X, y)
    message = (
        r"eps is positive in columns \[2\], and their part 'cat' \(OneHotEncoder\).*a ball cannot "
        r"express.*np\.isin\(np\.arange\(4\), \[2\]\), 0, eps\)"
    )
    attack = NTKAttack(pipe, eps=0.1, clip_values=None)
    with pytest.raises(ValueError, match=message):
        attack.generate(X, y)
    with pytest.raises(ValueError, match=message):
        attack.run(X, y, epsilons=[EPS, 0.1])
    with pytest.raises(ValueError, match=message):
        gradient_cosine_similarity(pipe, pipe, X, y)
    assert attack.run(X, y, epsilons=[EPS, 0.0]).X_adv.shape == (2, 40, 4)


def test_other_parts_are_named_without_their_contents():
    X, y = table()
    pipe = make_pipeline(columns(PolynomialFeatures()), NTKClassifier("fc1")).fit(X, y)
    with pytest.raises(ValueError, match=r"'cat' \(PolynomialFeatures\).*not known to be affine"):
        NTKAttack(pipe, eps=0.1, clip_values=None).generate(X, y)
    pipe = make_pipeline(PolynomialFeatures(), NTKClassifier("fc1")).fit(X, y)
    with pytest.raises(TypeError, match=r"\(PolynomialFeatures\) is not known to be affine"):
        NTKAttack(pipe, eps=0.1, clip_values=None).generate(X, y)


def check_gradient(transformer, X, y):
    """Compare the gradient through a fitted pipeline with central differences."""
    pipe = make_pipeline(transformer, NTKClassifier("fc1", alpha=0.1)).fit(X, y)
    points = np.nan_to_num(np.asarray(X)[:10])
    model = as_differentiable(pipe)
    gradient = central_differences(lambda points: model.outputs(points)[:, 0], points)
    _, pullback = model.linearize(points)
    np.testing.assert_allclose(pullback(np.ones((10, 1))), gradient, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "parts",
    [
        [("num", StandardScaler(), [0, 0, 1]), ("rest", "passthrough", [2, 3, 3])],
        [("num", StandardScaler(), [0, 1]), ("again", MinMaxScaler(), [1, 1, 0])],
    ],
    ids=["within a part", "within and between parts"],
)
def test_a_column_that_is_taken_twice_counts_twice(parts):
    check_gradient(ColumnTransformer(parts), *table())


@pytest.mark.parametrize(
    "imputer",
    [
        SimpleImputer(add_indicator=True),
        SimpleImputer(strategy="constant", fill_value=0),
        KNNImputer(add_indicator=True),
        IterativeImputer(add_indicator=True),
        IterativeImputer(min_value=0.0, max_value=0.1),
        FeatureUnion([("values", SimpleImputer()), ("missing", MissingIndicator(features="all"))]),
    ],
    ids=lambda imputer: type(imputer).__name__,
)
@pytest.mark.parametrize("missing", [False, True])
def test_imputers_on_complete_rows(imputer, missing):
    X, y = table()
    if missing:
        X[[10, 20, 30], [0, 1, 0]] = np.nan
    check_gradient(imputer, X, y)


def test_an_imputed_value_that_an_attack_can_pass_through_is_no_affine_step():
    X, y = table()
    pipe = make_pipeline(SimpleImputer(missing_values=-1.0), NTKClassifier("fc1")).fit(X, y)
    with pytest.raises(TypeError, match=r"\(SimpleImputer\) is not known to be affine"):
        as_differentiable(pipe)


@pytest.mark.parametrize(
    "parts",
    [
        [("dropped", "drop"), ("pca", PCA(2))],
        [("all", "passthrough"), ("named", ColumnTransformer([("num", StandardScaler(), ["a"])]))],
        [
            (
                "named",
                make_pipeline(ColumnTransformer([("s", MinMaxScaler(), ["b", "d"])]), PCA(1)),
            ),
            ("pca", PCA(2)),
        ],
    ],
    ids=["dropped first", "by name", "by name in a pipeline"],
)
def test_unions(parts):
    X, y = table()
    check_gradient(FeatureUnion(parts), pd.DataFrame(X, columns=list("abcd")), y)


def test_several_budgets_are_not_one_a_feature():
    X, y = table()
    clf = NTKClassifier("fc1").fit(X, y)
    with pytest.raises(ValueError, match=r"2 values for 4 features.*run\(X, y, epsilons="):
        NTKAttack(clf, eps=[0.1, 0.2], clip_values=None).generate(X, y)
    result = NTKAttack(clf, clip_values=None).run(X, y, epsilons=[0.1, 0.2])
    assert result.robust_accuracy is result.report["robust_accuracy"]
