"""Pipelines: the gradient reaches the pipeline's own input, against central differences."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

from skntk import (
    AffineMap,
    NTKAttack,
    NTKClassifier,
    RobustFeatureSelector,
    SpectralFeatureDecomposer,
)
from skntk.attacks import DifferentiableClassifier
from skntk.attacks._differentiable import as_differentiable
from skntk.metrics import gradient_cosine_similarity, make_robust_scorer, robust_accuracy_score

STEPS = {
    "standard": StandardScaler(),
    "standard, mean only": StandardScaler(with_std=False),
    "standard, std only": StandardScaler(with_mean=False),
    "min-max": MinMaxScaler(),
    "max-abs": MaxAbsScaler(),
    "robust": RobustScaler(),
    "pca": PCA(3),
    "pca, whiten": PCA(3, whiten=True),
    "svd": TruncatedSVD(3, random_state=0),
    "k best": SelectKBest(k=3),
    "variance": VarianceThreshold(0.02),
    "gaussian projection": GaussianRandomProjection(3, random_state=0),
    "sparse projection": SparseRandomProjection(4, density=0.7, random_state=0),
    "identity function": FunctionTransformer(),
    "matrix": FunctionTransformer(AffineMap(np.arange(12.0).reshape(3, 4) / 9, [1.0, 0.0, -1.0])),
    "diagonal": FunctionTransformer(AffineMap([1.0, -0.5, 2.0, 0.25], 0.125)),
    "passthrough": "passthrough",
    "None": None,
    "nested": make_pipeline(RobustScaler(), PCA(3)),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.random((40, 4)) * [1, 2, 0.5, 3]
    y = (X @ [1, -1, 2, 0.3] > 0.5).astype(int) + (X[:, 3] > 1.5)
    return X, y


def numerical(model, X, cotangents, h=1e-5):
    """Central differences of sum_r c_r f_r(x) with respect to every feature."""
    columns = []
    for axis in np.eye(X.shape[1]):
        f = [np.asarray(model.decision_function(X + s * h * axis)) for s in (1, -1)]
        columns.append((cotangents * (f[0] - f[1]).reshape(cotangents.shape)).sum(axis=1) / (2 * h))
    return np.stack(columns, axis=1)


def check_gradient(model, X, n_outputs):
    cotangents = np.random.default_rng(1).standard_normal((len(X), n_outputs))
    outputs, pullback = as_differentiable(model).linearize(X)
    np.testing.assert_allclose(outputs.reshape(-1), model.decision_function(X).reshape(-1))
    expected = numerical(model, X, cotangents)
    result = pullback(cotangents)
    assert result.shape == X.shape
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def new_points(X, n=6):
    """Away from the training points, where the kernel has kinks."""
    return X[:n] + 0.05 * np.random.default_rng(2).standard_normal((n, X.shape[1]))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", STEPS)
def test_gradient_through_a_step(name, n_classes, data):
    X, y = data[0], np.minimum(data[1], n_classes - 1)
    # Without alpha the coefficients, and so the differences' rounding, may be large.
    clf = NTKClassifier("fc2", alpha=1e-3)
    model = Pipeline([(name, clone(STEPS[name], safe=False)), ("clf", clf)]).fit(X, y)
    check_gradient(model, new_points(X), 1 if n_classes == 2 else 3)


@given(
    square=st.lists(st.sampled_from(["standard", "min-max", "robust", "diagonal", "passthrough"])),
    last=st.sampled_from([name for name in STEPS if name != "variance"]),
)
def test_gradient_through_any_chain(square, last):
    rng = np.random.default_rng(0)
    X, y = rng.random((12, 4)), np.arange(12) % 3
    steps = [(f"{k}", clone(STEPS[name], safe=False)) for k, name in enumerate([*square, last])]
    model = Pipeline([*steps, ("clf", NTKClassifier("fc1", alpha=1e-3))]).fit(X, y)
    cotangents = rng.standard_normal((4, 3))
    _, pullback = as_differentiable(model).linearize(X[:4] + 0.05)
    expected = numerical(model, X[:4] + 0.05, cotangents)
    np.testing.assert_allclose(
        pullback(cotangents), expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max()
    )


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_pipelines_end_in_pipelines(depth, data):
    X, y = data
    model = NTKClassifier("fc1", alpha=1e-3)
    for _ in range(depth):
        model = make_pipeline(StandardScaler(), model)
    check_gradient(model.fit(X, y), new_points(X), 3)


def test_fitted_searches_stand_for_their_best_estimator(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), NTKClassifier("fc1"))
    search = GridSearchCV(pipeline, {"ntkclassifier__alpha": [1e-3, 1e-2]}, cv=2).fit(X, y)
    check_gradient(search, new_points(X), 3)
    inner = GridSearchCV(NTKClassifier("fc1"), {"alpha": [1e-3, 1e-2]}, cv=2)
    check_gradient(make_pipeline(StandardScaler(), inner).fit(X, y), new_points(X), 3)


def test_a_frozen_classifier(data):
    X, y = data
    frozen = FrozenEstimator(NTKClassifier("fc1", alpha=1e-3).fit(X, y))
    check_gradient(frozen, new_points(X), 3)
    check_gradient(make_pipeline(FunctionTransformer(), frozen).fit(X, y), new_points(X), 3)


def test_a_classifier_without_linearize_is_enough(data):
    """Binary cotangents reach `input_vjp` in the shape of `decision_function`."""

    class Minimal(BaseEstimator):
        classes_ = np.array([0, 1])

        def fit(self, X, y):
            self.fitted_ = True
            return self

        def predict(self, X):
            return (self.decision_function(X) > 0).astype(int)

        def decision_function(self, X):
            return np.asarray(X) @ [1.0, 2.0, 3.0, 4.0]

        def input_vjp(self, X, cotangents):
            assert cotangents.shape == (len(X),)
            return cotangents[:, None] * [1.0, 2.0, 3.0, 4.0]

    X, y = data
    check_gradient(make_pipeline(MaxAbsScaler(), Minimal()).fit(X, y > 0), X, 1)


def test_the_budget_is_in_the_units_of_the_pipeline(data):
    """The ball and the box are of the pixels, 0 to 255, not of what the scaler makes of them."""
    X, y = np.round(data[0] / data[0].max(axis=0) * 255), data[1]
    model = make_pipeline(StandardScaler(), NTKClassifier("fc2", alpha=1e-3)).fit(X, y)
    for norm in (np.inf, 2):
        attack = NTKAttack(model, eps=32.0, norm=norm, clip_values=(0, 255), method="pgd")
        X_adv = attack.generate(X, y)
        size = np.linalg.norm(X_adv - X, norm, axis=1)
        assert size.max() == pytest.approx(32.0)
        assert (size <= 32 + 1e-12).all()
        assert X_adv.min() >= 0
        assert X_adv.max() <= 255
        assert model.score(X_adv, y) < model.score(X, y)


def test_a_scaler_in_the_pipeline_or_by_hand(data):
    """With the budget scaled as well, attacking behind the scaler is the same attack."""
    X, y = data
    scaler = MaxAbsScaler().fit(X)
    clf = NTKClassifier("fc1", alpha=1e-3).fit(scaler.transform(X), y)
    eps = np.array([0.1, 0.2, 0.05, 0.3])
    inside = NTKAttack(make_pipeline(scaler, clf), eps=eps, clip_values=None).generate(X, y)
    behind = NTKAttack(clf, eps=eps / scaler.scale_, clip_values=None)
    np.testing.assert_allclose(
        scaler.transform(inside), behind.generate(scaler.transform(X), y), atol=1e-12
    )


@pytest.mark.parametrize(
    "step",
    [PolynomialFeatures(), MinMaxScaler(clip=True), FunctionTransformer(np.square)],
    ids=lambda step: type(step).__name__,
)
def test_a_step_that_is_not_affine_is_named(step, data):
    X, y = data
    model = Pipeline(
        [("scale", StandardScaler()), ("bend", step), ("clf", NTKClassifier("fc1", alpha=0.1))]
    ).fit(X, y)
    with pytest.raises(TypeError, match=r"'bend'.*not known to be affine"):
        NTKAttack(model, clip_values=None).generate(X, y)


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_named_features_give_no_warning(output, data):
    """Warnings are errors here; names are checked once, on what the user gives."""
    X, y = data
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = make_pipeline(RobustScaler(), SelectKBest(k=3), NTKClassifier("fc1", alpha=1e-3))
    model.set_output(transform=output).fit(frame, y)
    attack = NTKAttack(model, eps=0.1, clip_values=None, method="pgd", max_iter=2)
    X_adv = attack.generate(frame, y)
    plain = clone(model).fit(X, y)
    expected = NTKAttack(plain, eps=0.1, clip_values=None, method="pgd", max_iter=2)
    np.testing.assert_allclose(X_adv, expected.generate(X, y), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="feature names"):
        attack.generate(frame[list("dcba")], y)


def test_named_features_give_no_warning_without_linearize(data):
    class Plain(NTKClassifier):
        @property
        def linearize(self):
            raise AttributeError

    X, y = data
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = Plain("fc1", alpha=1e-3).fit(frame, y)
    X_adv = NTKAttack(clf, eps=0.1, clip_values=None).generate(frame, y)
    expected = NTKAttack(NTKClassifier("fc1", alpha=1e-3).fit(X, y), eps=0.1, clip_values=None)
    np.testing.assert_allclose(X_adv, expected.generate(X, y), rtol=0, atol=1e-12)


def test_an_array_for_a_frame_is_mentioned_once(data):
    X, y = data
    model = make_pipeline(StandardScaler(), NTKClassifier("fc1", alpha=1e-3))
    model.fit(pd.DataFrame(X, columns=list("abcd")), y)
    with pytest.warns(UserWarning, match="does not have valid feature names") as caught:
        NTKAttack(model, clip_values=None, method="pgd", batch_size=7).generate(X, y)
    assert len(caught) == 1


@pytest.mark.parametrize(
    "estimator",
    [NTKClassifier(), make_pipeline(StandardScaler(), NTKClassifier())],
    ids=["classifier", "pipeline"],
)
def test_not_fitted(estimator):
    with pytest.raises(NotFittedError):
        as_differentiable(estimator)


def test_no_gradient(data):
    X, y = data
    search = GridSearchCV(NTKClassifier("fc1"), {"alpha": [0.1]}, cv=2, refit=False).fit(X, y)
    for estimator in (KNeighborsClassifier().fit(X, y), search):
        with pytest.raises(TypeError, match=r"has no .*input_vjp"):
            as_differentiable(estimator)
    headless = make_pipeline(StandardScaler(), PCA()).fit(X)
    with pytest.raises(TypeError, match=r"PCA.*has no decision_function and no input_vjp"):
        as_differentiable(headless)


# The protocol, by a class of one's own


class Plain:
    """Nothing but what `DifferentiableClassifier` says."""

    def __init__(self, n_classes, seed=0):
        self.classes_ = np.arange(n_classes) * 10
        k = 1 if n_classes == 2 else n_classes
        self.weights = np.random.default_rng(seed).standard_normal((5, k))

    def decision_function(self, X):
        outputs = np.tanh(X @ self.weights)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def input_vjp(self, X, cotangents):
        slopes = 1 - np.tanh(X @ self.weights) ** 2
        return (np.reshape(cotangents, slopes.shape) * slopes) @ self.weights.T


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_plain_class_is_attacked_and_scored(n_classes):
    victim = Plain(n_classes)
    assert isinstance(victim, DifferentiableClassifier)
    X = np.random.default_rng(1).uniform(0.2, 0.8, (40, 5))
    y = victim.classes_[as_differentiable(victim).outputs(X).argmax(axis=1)]
    if n_classes == 2:
        y = victim.classes_[(victim.decision_function(X) > 0).astype(int)]
    result = NTKAttack(victim, eps=0.1, method="pgd").run(X, y, epsilons=[0.0, 0.1])
    assert result.report.robust_accuracy[0] == 1 > result.report.robust_accuracy[1]
    score = robust_accuracy_score(victim, X, y, NTKAttack(None, eps=0.1, method="pgd"))
    assert score == result.report.robust_accuracy[1]
    assert make_robust_scorer(NTKAttack(None, eps=0.1, method="pgd"))(victim, X, y) == score
    assert gradient_cosine_similarity(victim, victim, X, y) == pytest.approx(1)


def test_what_is_missing_is_named():
    class Incomplete:
        classes_ = np.array([0, 1])

        def decision_function(self, X):
            return X[:, 0]

    with pytest.raises(TypeError, match=r"no input_vjp;.*DifferentiableClassifier"):
        NTKAttack(Incomplete()).generate([[0.5]])


# Features in the middle of a pipeline


FEATURES = {
    "selector": lambda: RobustFeatureSelector(
        SpectralFeatureDecomposer("fc1", n_components=12), n_features_to_select=6
    ),
    "decomposer": lambda: SpectralFeatureDecomposer("fc2", n_components=4),
}


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("make", FEATURES.values(), ids=FEATURES)
def test_features_in_the_middle_are_differentiated(make, n_classes):
    """They counted as a selection of columns."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(60, 6))
    y = np.digitize(X[:, 0] + X[:, 1] ** 2, np.quantile(X[:, 0] + X[:, 1] ** 2, [1 / 3, 2 / 3]))
    y = y if n_classes == 3 else (y > 1).astype(int)
    pipeline = make_pipeline(StandardScaler(), make(), StandardScaler(), NTKClassifier("fc1"))
    n_outputs, points = 1 if n_classes == 2 else 3, rng.uniform(size=(5, 6))
    check_gradient(pipeline.fit(X, y), points, n_outputs)
    nested = Pipeline([("all", Pipeline(pipeline.steps[:-1])), ("last", pipeline.steps[-1][1])])
    check_gradient(nested, points, n_outputs)


@pytest.mark.parametrize("make", FEATURES.values(), ids=FEATURES)
def test_cotangents_of_features_have_their_shape(make):
    X = np.random.default_rng(0).uniform(size=(30, 4))
    features = make().fit(X, np.arange(30) % 3)
    with pytest.raises(ValueError, match=r"shape \(30, 5\); give one weight for each"):
        features.transform_vjp(X, np.ones((30, 5)))


class Squared(StandardScaler):
    """A subclass is what its own `transform` says."""

    def transform(self, X, copy=None):
        return super().transform(X) ** 2


class Doubled(SelectKBest):
    def transform(self, X):
        return 2 * super().transform(X)


@pytest.mark.parametrize("step", [Squared(), Doubled(k=3)])
def test_a_subclass_that_transforms_otherwise_is_refused(step, data):
    """They were taken for what they derive from."""
    X, y = data
    pipeline = make_pipeline(step, NTKClassifier("fc1")).fit(X, y)
    with pytest.raises(TypeError, match="is not known to be affine"):
        as_differentiable(pipeline)


def test_pgd_through_a_selector_is_stronger_than_fgsm_by_finite_differences():
    """B1: taken for a selection of columns, 20 steps left .88 where one true step leaves .25."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:144] / 16, np.where(y[:144] > 4, 1, -1)
    features = RobustFeatureSelector(
        SpectralFeatureDecomposer("fc1", n_components=40), n_features_to_select=15
    )
    model = make_pipeline(StandardScaler(), features, NTKClassifier("fc1")).fit(X[:120], y[:120])
    X, y = X[120:], y[120:]
    cotangents = np.ones((len(X), 1))
    gradient = numerical(model, X, cotangents)
    by_differences = np.clip(X - 0.2 * y[:, None] * np.sign(gradient), 0, 1)
    attack = NTKAttack(model, eps=0.2, method="pgd", max_iter=20)
    result = attack.run(X, y, epsilons=[0.2])
    assert result.report.robust_accuracy[0] <= model.score(by_differences, y) < model.score(X, y)
    assert result.report.n_zero_gradient == 0
