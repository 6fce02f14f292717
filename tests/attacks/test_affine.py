"""Affine steps: the pullback is the transpose of what `transform` does, for each of them."""

import copy

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.cluster import FeatureAgglomeration, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.cross_decomposition import CCA, PLSSVD, PLSCanonical, PLSRegression
from sklearn.decomposition import (
    PCA,
    FactorAnalysis,
    FastICA,
    IncrementalPCA,
    KernelPCA,
    TruncatedSVD,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

from skntk import AffineMap
from skntk.attacks._affine import affine_pullback
from skntk.attacks._composites import step_pullback

AFFINE = {
    "standard": StandardScaler(),
    "standard, mean only": StandardScaler(with_std=False),
    "standard, std only": StandardScaler(with_mean=False),
    "min-max": MinMaxScaler(),
    "min-max, other range": MinMaxScaler((-3, 5)),
    "max-abs": MaxAbsScaler(),
    "robust": RobustScaler(),
    "robust, unit variance": RobustScaler(unit_variance=True, quantile_range=(10, 90)),
    "robust, centre only": RobustScaler(with_scaling=False),
    "robust, scale only": RobustScaler(with_centering=False),
    "pca": PCA(3),
    "pca, whiten": PCA(3, whiten=True),
    "pca, all": PCA(whiten=True),
    "incremental pca": IncrementalPCA(3),
    "incremental pca, whiten": IncrementalPCA(3, whiten=True),
    "svd": TruncatedSVD(3, random_state=0),
    "factor analysis": FactorAnalysis(2),
    "ica": FastICA(3, random_state=0),
    "pls": PLSRegression(2),
    "pls, unscaled": PLSRegression(2, scale=False),
    "pls, canonical": PLSCanonical(1),
    "pls, svd": PLSSVD(1),
    "cca": CCA(1),
    "discriminant": LinearDiscriminantAnalysis(),
    "discriminant, eigen": LinearDiscriminantAnalysis(solver="eigen"),
    "neighbourhood components": NeighborhoodComponentsAnalysis(2, random_state=0),
    "agglomeration": FeatureAgglomeration(2),
    "k best": SelectKBest(k=2),
    "variance": VarianceThreshold(0.05),
    "from model": SelectFromModel(LogisticRegression()),
    "rfe": RFE(LogisticRegression(), n_features_to_select=2),
    "gaussian projection": GaussianRandomProjection(3, random_state=0),
    "sparse projection": SparseRandomProjection(3, density=0.5, random_state=0),
    "sparse projection, dense": SparseRandomProjection(
        3, density=0.5, dense_output=True, random_state=0
    ),
    "identity function": FunctionTransformer(),
    "matrix": FunctionTransformer(AffineMap(np.arange(15.0).reshape(3, 5), [1.0, 2.0, 3.0])),
    "diagonal": FunctionTransformer(AffineMap(np.arange(1.0, 6.0), -0.5)),
    "imputer": SimpleImputer(),
    "imputer, median": SimpleImputer(strategy="median", add_indicator=True),
    "nearest neighbours imputer": KNNImputer(),
    "columns": ColumnTransformer(
        [
            ("scale", StandardScaler(), [3, 0]),
            ("all", make_pipeline(SimpleImputer(), PCA(2)), slice(0, 4)),
            ("gone", "drop", [1]),
        ],
        remainder="passthrough",
        transformer_weights={"scale": 0.5},
    ),
    "union": FeatureUnion(
        [("scale", StandardScaler()), ("pca", PCA(2)), ("same", "passthrough"), ("no", "drop")],
        transformer_weights={"pca": 2.0},
    ),
}

NOT_AFFINE = {
    "polynomial": PolynomialFeatures(),
    "quantile": QuantileTransformer(n_quantiles=5),
    "power": PowerTransformer(),
    "normalizer": Normalizer(),
    "kernel pca": KernelPCA(3, kernel="rbf"),
    "nystroem": Nystroem(n_components=5),
    "distances": KMeans(2, random_state=0),
    "agglomeration by maximum": FeatureAgglomeration(2, pooling_func=np.max),
    "function": FunctionTransformer(np.square),
    "linear function that does not say so": FunctionTransformer(np.negative),
    "clipped min-max": MinMaxScaler(clip=True),
    "clipped max-abs": MaxAbsScaler(clip=True),
    "imputer of zeros": SimpleImputer(missing_values=0),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 5)) * [1, 2, 0.5, 10, 0.1] + [0, 1, -1, 100, 5]
    y = (X[:, 0] + X[:, 1] + 0.1 * rng.standard_normal(30) > 1).astype(int)
    return X, y


@pytest.mark.filterwarnings("ignore:'penalty' was deprecated:FutureWarning")
@pytest.mark.parametrize("name", AFFINE)
def test_pullback_is_the_transposed_matrix(name, data):
    step = clone(AFFINE[name]).fit(*data)
    # An affine map is known from 0 and the axes.
    offset = step.transform(np.zeros((1, 5)))
    matrix = step.transform(np.eye(5)) - offset
    gradient = np.random.default_rng(1).standard_normal((7, matrix.shape[1]))
    pullback = step_pullback(step, name)
    assert pullback.is_affine
    result = pullback(np.zeros((7, 5)), gradient)
    assert type(result) is np.ndarray
    expected = gradient @ matrix.T
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("name", AFFINE)
def test_pullback_leaves_its_input_alone(name, data):
    step = clone(AFFINE[name]).fit(*data)
    gradient = np.ones((2, step.transform(data[0][:1]).shape[1]))
    gradient.flags.writeable = False
    step_pullback(step, name)(np.zeros((2, 5)), gradient)
    assert (gradient == 1).all()


@pytest.mark.parametrize("name", NOT_AFFINE)
def test_other_steps_are_refused_by_name(name, data):
    step = clone(NOT_AFFINE[name]).fit(*data)
    message = f"step {name!r}.*{type(step).__name__}.*pullback.*method='square'"
    with pytest.raises(TypeError, match=message):
        step_pullback(step, name)


def test_constant_features_are_scaled_by_one():
    X = np.array([[1.0, 2.0], [1.0, 4.0], [1.0, 9.0]])
    for scaler in (StandardScaler(), MinMaxScaler(), MaxAbsScaler(), RobustScaler()):
        scaler.fit(X)
        matrix = scaler.transform(np.eye(2)) - scaler.transform(np.zeros((1, 2)))
        np.testing.assert_allclose(affine_pullback(scaler, "s")(np.eye(2)), matrix.T)


def test_whitening_of_rank_deficient_data_is_floored_as_in_scikit_learn(data):
    """Its transform divides by no less than the machine epsilon."""
    X = np.c_[data[0], data[0][:, :2]]
    pca = PCA(whiten=True, svd_solver="covariance_eigh").fit(X)
    pca.explained_variance_[-1] = 0.0
    matrix = pca.transform(np.eye(7)) - pca.transform(np.zeros((1, 7)))
    result = affine_pullback(pca, "pca")(np.eye(7))
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result, matrix.T, rtol=1e-6, atol=1e-6 * np.abs(matrix).max())


def test_a_selector_passes_on_what_is_not_finite(data):
    """The attack counts such samples; an exception would lose all the others."""
    selector = SelectKBest(k=2).fit(*data)
    result = affine_pullback(selector, "select")(np.array([[np.nan, 1.0], [np.inf, 2.0]]))
    assert np.isnan(result[0]).sum() == 1
    assert np.isinf(result[1]).sum() == 1


@pytest.mark.parametrize("name", ["standard", "pca", "k best", "svd"])
def test_pandas_output_changes_nothing(name, data):
    X, y = data
    plain = clone(AFFINE[name]).fit(X, y)
    frames = clone(AFFINE[name]).fit(pd.DataFrame(X, columns=list("abcde")), y)
    with sklearn.config_context(transform_output="pandas"):
        gradient = np.ones((2, plain.transform(X).shape[1]))
        result = affine_pullback(frames, name)(gradient)
    assert type(result) is np.ndarray
    np.testing.assert_allclose(result, affine_pullback(plain, name)(gradient))


def test_a_transformer_of_ones_own_declares_its_pullback():
    class Flip(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return X[:, ::-1]

        def pullback(self, gradient):
            return gradient[:, ::-1]

    np.testing.assert_array_equal(affine_pullback(Flip(), "flip")(np.array([[1, 2]])), [[2, 1]])


# AffineMap


def test_affine_map_is_x_a_transposed_plus_b():
    A, b = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([0.1, 0.2, 0.3])
    X, gradient = np.array([[1.0, -1.0], [2.0, 0.5]]), np.array([[1.0, 0.0, -1.0]])
    np.testing.assert_allclose(AffineMap(A, b)(X), X @ A.T + b)
    np.testing.assert_allclose(AffineMap(A, b).pullback(gradient), gradient @ A)
    np.testing.assert_allclose(AffineMap([2.0, 3.0])(X), X * [2, 3])
    np.testing.assert_allclose(AffineMap([2.0, 3.0]).pullback(X), X * [2, 3])


def test_affine_map_takes_lists_integers_and_frames():
    scale = AffineMap([1 / 255, 1 / 255])
    expected = [[1.0, 0.2]]
    np.testing.assert_allclose(scale([[255, 51]]), expected)
    np.testing.assert_allclose(scale(np.array([[255, 51]], np.uint8)), expected)
    np.testing.assert_allclose(scale(pd.DataFrame([[255, 51]])), expected)


def test_affine_map_keeps_float32():
    """Float32 input is computed in float32 all the way."""
    X = np.ones((2, 2), np.float32)
    assert AffineMap([0.5, 0.5])(X).dtype == np.float32
    assert AffineMap(np.eye(2), [0.5, 0.5])(X).dtype == np.float32
    assert AffineMap(np.eye(2))(X.astype(np.float64)).dtype == np.float64


def test_affine_map_is_a_copyable_parameter():
    transformer = clone(FunctionTransformer(AffineMap([2.0, 3.0], 1.0)))
    np.testing.assert_array_equal(transformer.transform([[1.0, 1.0]]), [[3.0, 4.0]])
    np.testing.assert_array_equal(copy.deepcopy(transformer.func)([[1.0, 1.0]]), [[3.0, 4.0]])


@pytest.mark.parametrize(
    "matrix, offset, error, message",
    [
        (2.0, 0.0, ValueError, "matrix has 0 dimensions"),
        (np.ones((2, 2, 2)), 0.0, ValueError, "matrix has 3 dimensions"),
        ([[1.0, 2.0]], [1.0, 2.0, 3.0], ValueError, r"offset.*\(3,\)"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], ValueError, r"offset.*\(3,\)"),
        ([1.0, 2.0], np.ones((1, 2)), ValueError, r"offset.*\(1, 2\)"),
        ([1.0, np.nan], 0.0, ValueError, "matrix.*finite"),
        ([1.0, 2.0], np.inf, ValueError, "offset.*finite"),
        (["a", "b"], 0.0, TypeError, "matrix.*numeric"),
    ],
)
def test_wrong_affine_maps(matrix, offset, error, message):
    with pytest.raises(error, match=message):
        AffineMap(matrix, offset)
