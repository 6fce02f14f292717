"""NTKClassifier: the equations, the encodings, the solvers, and one clear error for bad input."""

import pickle
import re
import warnings

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import scipy.sparse
import skops.io
from helpers import Compilations, SmallBlocks, gaussian
from hypothesis import given
from hypothesis import strategies as st
from joblib import Parallel, delayed
from scipy.linalg import LinAlgWarning
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

import skntk._utils.memory
from skntk import AffineMap, NTKClassifier, NTKClassifierCV
from skntk.kernels import FullyConnectedNTK, TwoLayerNTK
from skntk.kernels._gram import upper_blocks


def draw_data(seed=0, n=24, d=4, n_classes=3, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)).astype(dtype)
    return X, rng.permutation(np.arange(n) % n_classes)


def encode(y, n_classes):
    return 2.0 * y[:, None] - 1 if n_classes == 2 else np.eye(n_classes)[y]


data = st.builds(
    draw_data,
    st.integers(0, 2**32 - 1),
    n=st.integers(6, 24),
    d=st.integers(3, 8),
    n_classes=st.sampled_from([2, 3, 4]),
)


# The equations


@given(data=data, time=st.sampled_from([0.0, 0.01, 1.0, 30.0, np.inf]))
def test_outputs_are_the_gradient_flow(data, time):
    """Eq. 7 and 16 by a matrix exponential, at test points and at training points."""
    X, y = data
    n_classes = y.max() + 1
    Z = np.random.default_rng(0).standard_normal((5, X.shape[1]))
    kernel = FullyConnectedNTK(2)
    K, Y = kernel(X), encode(y, n_classes)
    flowed = Y if np.isinf(time) else Y - scipy.linalg.expm(-K * time) @ Y
    expected = kernel(Z, X) @ np.linalg.solve(K, flowed)
    clf = NTKClassifier(kernel, time=time).fit(X, y)
    f = clf.decision_function(Z)
    assert f.shape == ((5,) if n_classes == 2 else (5, n_classes))
    np.testing.assert_allclose(f.reshape(expected.shape), expected, atol=1e-7)
    on_train = clf.decision_function(X).reshape(Y.shape)
    np.testing.assert_allclose(on_train, flowed, atol=1e-7)


@given(
    data=data, alpha=st.sampled_from([1e-3, 0.1, 10.0]), solver=st.sampled_from(["auto", "eigh"])
)
def test_ridge_is_kernel_ridge(data, alpha, solver):
    X, y = data
    kernel, Y = FullyConnectedNTK(1), encode(y, y.max() + 1)
    ridge = KernelRidge(alpha=alpha, kernel="precomputed").fit(kernel(X), Y)
    Z = np.random.default_rng(0).standard_normal((5, X.shape[1]))
    f = NTKClassifier(kernel, alpha=alpha, solver=solver).fit(X, y).decision_function(Z)
    expected = ridge.predict(kernel(Z, X))
    np.testing.assert_allclose(f.reshape(expected.shape), expected, rtol=1e-8, atol=1e-9)


@given(data=data, alpha=st.sampled_from([0.0, 0.01]))
def test_solvers_agree(data, alpha):
    X, y = data
    direct, spectral = (
        NTKClassifier("fc2", alpha=alpha, solver=solver).fit(X, y)
        for solver in ("cholesky", "eigh")
    )
    scale = np.abs(direct.dual_coef_).max()
    np.testing.assert_allclose(direct.dual_coef_, spectral.dual_coef_, atol=1e-8 * scale)


@pytest.mark.parametrize("solver", ["cholesky", "eigh", "auto"])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("time", [0.0, 1e-3, 1.0, 1e3, np.inf])
def test_at_time_is_a_fit_at_that_time(time, alpha, solver):
    X, y = draw_data()
    clf = NTKClassifier("fc1", alpha=alpha, solver=solver).fit(X, y)
    before = clf.dual_coef_.copy()
    moved = clf.at_time(time)
    fitted = NTKClassifier("fc1", alpha=alpha, time=time).fit(X, y)
    np.testing.assert_allclose(moved.dual_coef_, fitted.dual_coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(clf.dual_coef_, before)
    assert (moved.time, clf.time) == (time, np.inf)
    assert moved.at_time(np.inf).dual_coef_ == pytest.approx(before, rel=1e-7, abs=1e-9)
    # `at_time` returns an estimator like any other.
    np.testing.assert_allclose(clone(moved).fit(X, y).dual_coef_, fitted.dual_coef_, atol=1e-9)


def test_at_time_shares_the_training_data_and_factorises_once(monkeypatch):
    X, y = draw_data()
    clf = NTKClassifier("fc1", time=1.0).fit(X, y)

    def refuse(*args, **kwargs):
        raise AssertionError("decomposed again")

    monkeypatch.setattr(scipy.linalg, "eigh", refuse)
    assert clf.at_time(3.0).at_time(7.0).X_fit_ is clf.X_fit_


@pytest.mark.parametrize("solver", ["cholesky", "eigh"])
@pytest.mark.parametrize("time", [1.0, np.inf])
def test_a_path_over_ridges_needs_one_factorisation(time, solver, monkeypatch):
    X, y = draw_data()
    clf = NTKClassifier("fc1", alpha=0.1, solver=solver, random_state=0).fit(X, y)
    clf.at_time(0.5)
    with monkeypatch.context() as patch:
        patch.setattr(scipy.linalg, "eigh", None)
        path = [clf.at_time(time, alpha=alpha) for alpha in (0.01, 0.1, 10.0)]
    for ridged, alpha in zip(path, (0.01, 0.1, 10.0), strict=True):
        fitted = NTKClassifier("fc1", alpha=alpha, time=time).fit(X, y)
        np.testing.assert_allclose(ridged.dual_coef_, fitted.dual_coef_, rtol=1e-6, atol=1e-8)
        assert (ridged.alpha, clf.alpha) == (alpha, 0.1)
        np.testing.assert_allclose(clone(ridged).fit(X, y).dual_coef_, fitted.dual_coef_, atol=1e-4)
        again = ridged.at_time(2.0)  # keeps the ridge
        fitted.set_params(time=2.0).fit(X, y)
        np.testing.assert_allclose(again.dual_coef_, fitted.dual_coef_, rtol=1e-6, atol=1e-8)


def test_at_the_time_of_the_fit_nothing_is_decomposed(monkeypatch):
    X, y = draw_data()
    clf = NTKClassifier("fc1").fit(X, y)
    monkeypatch.setattr(scipy.linalg, "eigh", None)
    np.testing.assert_array_equal(clf.at_time(np.inf).dual_coef_, clf.dual_coef_)


@pytest.mark.parametrize("alpha", [-1.0, np.nan, "1"])
def test_ridges_of_another_time_are_checked(alpha):
    with pytest.raises((ValueError, TypeError), match="alpha"):
        NTKClassifier("fc1").fit(*draw_data()).at_time(1.0, alpha=alpha)


def test_before_training_everything_is_zero():
    """Outputs are 0, probabilities 1/k, and the prediction is the first class."""
    for n_classes in (2, 3):
        X, y = draw_data(n_classes=n_classes)
        clf = NTKClassifier("fc1", time=0.0).fit(X, y)
        assert (clf.decision_function(X) == 0).all()
        np.testing.assert_allclose(clf.predict_proba(X), 1 / n_classes)
        assert (clf.predict(X) == 0).all()


def test_training_residual_never_increases():
    X, y = draw_data()
    clf, Y = NTKClassifier("fc2", time=1.0).fit(X, y), encode(y, 3)
    times = [0.0, 1e-6, 1e-3, 0.1, 1.0, 10.0, 1e3, 1e6, 1e12, 1e30, np.inf]
    residuals = [np.linalg.norm(clf.at_time(t).decision_function(X) - Y) for t in times]
    assert (np.diff(residuals) <= 1e-8 * residuals[0]).all()


# Encodings


LABELS = {
    "integers": [0, 1, 2],
    "negative": [-7, -3, 5],
    "beyond int32": [-(2**62) - 1, 2**31 + 1, 2**62 + 1],
    "uint64": np.array([1, 2**63, 2**64 - 1], np.uint64),
    "strings": ["eggs", "ham", "spam"],
    "objects": np.array(["eggs", "ham", "spam"], object),
    "floats": [-1.0, 0.0, 3.0],
    "bool": [False, True],
    "two strings": ["no", "yes"],
    "two huge": [2**53, 2**53 + 1],
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_any_type(name):
    labels = np.asarray(LABELS[name])
    X, y = draw_data(n_classes=len(labels))
    plain, named = NTKClassifier("fc1").fit(X, y), NTKClassifier("fc1").fit(X, labels[y])
    np.testing.assert_array_equal(named.classes_, labels)
    assert named.classes_.dtype == labels.dtype
    np.testing.assert_array_equal(named.dual_coef_, plain.dual_coef_)
    np.testing.assert_array_equal(named.predict(X), labels[y])
    assert named.score(X, labels[y]) == 1


def test_decisions_are_sign_and_argmax():
    for n_classes in (2, 3):
        X, y = draw_data(n_classes=n_classes, dtype=np.float32)
        clf = NTKClassifier("fc1", alpha=1.0).fit(X, y)
        Z = np.random.default_rng(1).standard_normal((50, 4))
        f, p = clf.decision_function(Z), clf.predict_proba(Z)
        assert clf.dual_coef_.shape == (24, 1 if n_classes == 2 else n_classes)
        if n_classes == 2:
            np.testing.assert_allclose(p, np.stack([1 - expit(f), expit(f)], axis=1))
            np.testing.assert_array_equal(clf.predict(Z), f > 0)
        else:
            np.testing.assert_allclose(p, softmax(f, axis=1))
            np.testing.assert_array_equal(clf.predict(Z), f.argmax(axis=1))


def test_extreme_outputs_keep_their_probabilities():
    """1 - sigmoid(40) is 0 in floating point; sigmoid(-40) is not."""
    X, y = draw_data(n_classes=2)
    clf = NTKClassifier("fc1").fit(X, y)
    clf.dual_coef_ = clf.dual_coef_ * 40
    p = clf.predict_proba(X)
    np.testing.assert_allclose(p.min(axis=1), np.exp(-40), rtol=1e-6)


# Precision, layout, containers


@pytest.mark.parametrize("flag", [False, True])
def test_float32_stays_and_all_else_is_float64_whatever_the_flag(flag):
    X, y = draw_data()
    before = jax.config.jax_enable_x64
    try:
        jax.config.update("jax_enable_x64", flag)
        for given_as, computed in [("f4", "f4"), ("f2", "f8"), ("f8", "f8"), ("i8", "f8")]:
            Z = (8 * X).astype(given_as)
            clf = NTKClassifier("fc1", alpha=0.1).fit(Z, y)
            outputs = clf.decision_function(Z)
            gradient = clf.input_vjp(Z, np.ones_like(outputs))
            for array in (clf.dual_coef_, clf.X_fit_, outputs, gradient, clf.predict_proba(Z)):
                assert type(array) is np.ndarray
                assert array.dtype == computed
            assert jax.config.jax_enable_x64 is flag
    finally:
        jax.config.update("jax_enable_x64", before)


@pytest.mark.parametrize(
    "as_given",
    [
        np.asfortranarray,
        lambda X: np.repeat(X, 2, axis=0)[::2],
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: np.ascontiguousarray(X[::-1])[::-1],
        lambda X: X.tolist(),
    ],
    ids=["Fortran", "row stride", "column stride", "negative stride", "lists"],
)
def test_any_layout_gives_the_same_and_is_left_alone(as_given):
    X, y = draw_data()
    expected = NTKClassifier("fc1").fit(X, y).decision_function(X)
    Z, labels = as_given(X.copy()), y.copy()
    labels.flags.writeable = False
    if isinstance(Z, np.ndarray):
        Z.flags.writeable = False
    np.testing.assert_array_equal(
        NTKClassifier("fc1").fit(Z, labels).decision_function(Z), expected
    )
    np.testing.assert_array_equal(Z, X)


def test_frames_and_series():
    X, y = draw_data()
    frame = pd.DataFrame(X, columns=list("abcd"), index=[f"row {i}" for i in range(24)])
    clf = NTKClassifier("fc1").fit(frame, pd.Series(y, index=frame.index))
    np.testing.assert_array_equal(clf.feature_names_in_, list("abcd"))
    np.testing.assert_array_equal(
        clf.decision_function(frame), NTKClassifier("fc1").fit(X, y).decision_function(X)
    )
    assert clf.input_vjp(frame, np.ones((24, 3))).shape == (24, 4)
    for method in (clf.predict, clf.decision_function, lambda X: clf.input_vjp(X, np.ones(24))):
        with pytest.raises(ValueError, match="feature names"):
            method(frame.rename(columns={"a": "z"}))


def test_input_vjp_is_the_derivative():
    for n_classes in (2, 3):
        X, y = draw_data(n_classes=n_classes)
        clf = NTKClassifier("fc2", alpha=1e-3).fit(X, y)
        Z, h = X[:6] + 0.1, 1e-5
        c = np.random.default_rng(0).standard_normal(clf.decision_function(Z).shape)
        expected = [
            (c * (clf.decision_function(Z + h * e) - clf.decision_function(Z - h * e)))
            .reshape(6, -1)
            .sum(axis=1)
            / (2 * h)
            for e in np.eye(4)
        ]
        np.testing.assert_allclose(
            clf.input_vjp(Z, c), np.transpose(expected), rtol=1e-6, atol=1e-6
        )


# Degenerate data


def with_conflicts(dtype=np.float64):
    """Two samples given twice, the second time as another class."""
    X, y = draw_data(dtype=dtype)
    return np.vstack([X, X[:2]]), np.r_[y, (y[:2] + 1) % 3], X[:2], y[:2]


@pytest.mark.parametrize("solver", ["auto", "cholesky", "eigh"])
@pytest.mark.parametrize("kernel", ["fc1", "two_layer"])
def test_conflicting_duplicates_predict_the_mean_with_a_warning(kernel, solver):
    X, y, repeated, labels = with_conflicts()
    clf = NTKClassifier(kernel, solver=solver)
    with pytest.warns(LinAlgWarning, match="ill-conditioned") as caught:
        clf.fit(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    message = str(caught[0].message)
    assert re.search(r"condition number.* \d\.\de[+-]\d\d", message)
    assert re.search(r"2 of its 26 eigenvalues", message)
    mean = (np.eye(3)[labels] + np.eye(3)[(labels + 1) % 3]) / 2
    np.testing.assert_allclose(clf.decision_function(repeated), mean, atol=1e-8)
    np.testing.assert_allclose(clf.decision_function(X[2:24]), np.eye(3)[y[2:24]], atol=1e-8)


def test_the_suggested_alpha_ends_the_warning():
    X, y, repeated, labels = with_conflicts()
    with pytest.warns(LinAlgWarning) as caught:
        NTKClassifier("fc1").fit(X, y)
    alpha = float(re.search(r"alpha=(\S+)", str(caught[0].message))[1])
    clf = NTKClassifier("fc1", alpha=alpha).fit(X, y)
    mean = (np.eye(3)[labels] + np.eye(3)[(labels + 1) % 3]) / 2
    np.testing.assert_allclose(clf.decision_function(repeated), mean, atol=1e-2)


@pytest.mark.parametrize("solver", ["auto", "eigh"])
@pytest.mark.parametrize("alpha", [1e-320, 1e-300, 1e-30, 1e-17])
def test_a_ridge_below_rounding_is_no_ridge(alpha, solver):
    """Rounding error must not silently become the answer, or NaN."""
    X, y, repeated, labels = with_conflicts()
    with pytest.warns(LinAlgWarning, match="ill-conditioned"):
        clf = NTKClassifier("fc1", alpha=alpha, solver=solver).fit(X, y)
    mean = (np.eye(3)[labels] + np.eye(3)[(labels + 1) % 3]) / 2
    np.testing.assert_allclose(clf.decision_function(repeated), mean, atol=1e-2)


@pytest.mark.filterwarnings("ignore:The Gram matrix is ill-conditioned")
@pytest.mark.parametrize("dtype, time", [("f8", 1e12), ("f8", 1e18), ("f8", 1e300), ("f4", 1e39)])
def test_late_times_tend_to_infinity_even_where_the_matrix_is_singular(dtype, time):
    """Directions in the kernel's null space contribute nothing, at however late a time."""
    X, y, _, _ = with_conflicts(dtype)
    end = NTKClassifier("fc1").fit(X, y)
    Z = draw_data(1, dtype=dtype)[0]
    for late in (NTKClassifier("fc1", time=time).fit(X, y), end.at_time(time)):
        assert np.isfinite(late.dual_coef_).all()
        np.testing.assert_allclose(late.decision_function(Z), end.decision_function(Z), atol=1e-2)


@pytest.mark.parametrize("solver", ["auto", "eigh"])
@pytest.mark.parametrize("alpha", [0.0, 1e-6])
@pytest.mark.parametrize("n", [400, 800])
def test_float32_and_few_features_are_fitted_or_warned_about(n, alpha, solver):
    """In float32, eigenvalues near alpha are below rounding error; noise / alpha is no answer."""
    rng = np.random.default_rng(0)
    X, y = rng.random((n, 2)).astype(np.float32), rng.integers(2, size=n)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        f = NTKClassifier("fc1", alpha=alpha, solver=solver).fit(X, y).decision_function(X)
    residual = np.abs(f - (2 * y - 1)).max()
    assert residual < 0.1 or (residual < 10 and "float64" in str(caught[0].message))


@pytest.mark.parametrize("kernel", ["fc1", "fc3", "two_layer", FullyConnectedNTK(1, bias_std=0.0)])
def test_samples_without_information_give_a_warning_and_no_nan(kernel):
    with pytest.warns(LinAlgWarning, match=r"condition number.*alpha="):
        clf = NTKClassifier(kernel).fit(np.zeros((6, 3)), [0, 1, 2, 0, 1, 2])
    f = clf.decision_function(np.r_[np.zeros((1, 3)), np.ones((1, 3))])
    assert np.isfinite(f).all()


@pytest.mark.parametrize("value", [0.0, 1e-30, 1e-200])
def test_constant_columns_and_vanishing_rows(value):
    X, y = draw_data()
    X[:, 1] = 3.0
    Z = np.vstack([X, np.full((1, 4), value)])
    clf = NTKClassifier("fc2").fit(Z, np.r_[y, 0])
    np.testing.assert_array_equal(clf.predict(Z), np.r_[y, 0])
    assert np.isfinite(clf.input_vjp(Z, np.ones((25, 3)))).all()
    tiny = np.full((1, 4), value).astype(np.float32)
    assert np.isfinite(clf.decision_function(tiny)).all()


@pytest.mark.parametrize("kernel", ["fc2", "fc3", "two_layer"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_points_seen_again_to_rounding(dtype, kernel):
    """Training inputs that differ in the last bits, as PCA's fit_transform and transform do."""
    X, y = draw_data(dtype=dtype)
    clf = NTKClassifier(kernel, alpha=1e-3).fit(X, y)
    expected = clf.decision_function(X)
    for n_ulp in range(-3, 4):
        again = X * dtype(1 + n_ulp * np.finfo(dtype).eps)
        np.testing.assert_allclose(clf.decision_function(again), expected, atol=1e-2)
        assert np.isfinite(clf.input_vjp(again, np.ones((24, 3), dtype))).all()
        again = X + np.sign(X[::-1]) * n_ulp * np.spacing(X)
        np.testing.assert_allclose(clf.decision_function(again), expected, atol=1e-2)


def test_behind_pca():
    X, y = load_digits(return_X_y=True)
    model = make_pipeline(PCA(), NTKClassifier()).fit(X[:300], y[:300])
    assert model.score(X[:300], y[:300]) == 1


# Precomputed kernels


@pytest.mark.parametrize("params", [{}, {"alpha": 0.1}, {"time": 1.0}, {"solver": "eigh"}])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_precomputed_equals_direct(n_classes, params):
    X, y = draw_data(n_classes=n_classes)
    Z = draw_data(1)[0]
    kernel = FullyConnectedNTK(2)
    K = kernel(X)
    untouched = K.copy()
    K.flags.writeable = False
    given = NTKClassifier("precomputed", **params).fit(K, y)
    direct = NTKClassifier(kernel, **params).fit(X, y)
    np.testing.assert_array_equal(K, untouched)
    np.testing.assert_array_equal(given.dual_coef_, direct.dual_coef_)
    np.testing.assert_allclose(
        given.decision_function(kernel(Z, X)), direct.decision_function(Z), rtol=1e-12, atol=1e-12
    )
    assert given.kernel_ is None
    assert given.X_fit_ is None
    assert given.n_features_in_ == 24
    assert given.__sklearn_tags__().input_tags.pairwise
    assert not direct.__sklearn_tags__().input_tags.pairwise


@pytest.mark.filterwarnings("ignore:The Gram matrix is ill-conditioned")
@pytest.mark.parametrize("params", [{}, {"solver": "eigh"}, {"time": 1.0}, {"alpha": 0.1}])
def test_precomputed_survives_even_if_it_is_writeable_and_singular(params):
    X, y, _, _ = with_conflicts()
    K = FullyConnectedNTK(1)(X)
    before = K.copy()
    NTKClassifier("precomputed", **params).fit(K, y)
    np.testing.assert_array_equal(K, before)


def test_precomputed_is_cross_validated_by_rows_and_columns():
    X, y = draw_data(n=60)
    K = FullyConnectedNTK(1)(X)
    np.testing.assert_array_equal(
        cross_val_score(NTKClassifier("precomputed", alpha=0.1), K, y, cv=3),
        cross_val_score(NTKClassifier("fc1", alpha=0.1), X, y, cv=3),
    )


def test_precomputed_at_another_time():
    X, y = draw_data()
    K = FullyConnectedNTK(1)(X)
    spectral = NTKClassifier("precomputed", solver="eigh").fit(K, y)
    fitted = NTKClassifier("precomputed", time=2.0).fit(K, y)
    np.testing.assert_allclose(spectral.at_time(2.0).dual_coef_, fitted.dual_coef_, atol=1e-12)
    with pytest.raises(ValueError, match=r"precomputed.*solver='eigh'"):
        NTKClassifier("precomputed").fit(K, y).at_time(2.0)


@pytest.mark.parametrize("shape", [(24, 4), (24, 23), (24, 25)])
def test_precomputed_kernels_are_square(shape):
    with pytest.raises(ValueError, match=f"square matrix.*24x{shape[1]}"):
        NTKClassifier("precomputed").fit(np.ones(shape), draw_data()[1])


def test_precomputed_has_no_input_gradient():
    X, y = draw_data()
    K = FullyConnectedNTK(1)(X)
    clf = NTKClassifier("precomputed").fit(K, y)
    for call in (lambda: clf.input_vjp(K, np.ones((24, 3))), lambda: clf.linearize(K)):
        with pytest.raises(ValueError, match=r"kernel='precomputed' has no input.*skntk\.kernels"):
            call()
    with pytest.raises(ValueError, match=r"23 features, but.*expecting 24"):
        clf.predict(K[:, :23])


# Copies


def predictions(clf, X):
    """All predictions of an estimator; runs in a worker."""
    return clf.predict(X), clf.decision_function(X), clf.predict_proba(X)


VARIANTS = {
    "cholesky": NTKClassifier("fc2"),
    "eigh": NTKClassifier("fc2", time=3.0),
    "kernel object": NTKClassifier(FullyConnectedNTK(1, bias_std=0.3), alpha=0.1),
    "two_layer": NTKClassifier(TwoLayerNTK(), n_jobs=2),
    "pipeline": make_pipeline(
        FunctionTransformer(AffineMap([1.0, 2.0, 3.0, 4.0])), StandardScaler(), NTKClassifier("fc1")
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_copy_predicts_the_same_bits(name, dtype):
    X, y = draw_data(dtype=dtype)
    model = clone(VARIANTS[name]).fit(X, y)
    Z = draw_data(1, dtype=dtype)[0]
    expected = predictions(model, Z)
    dumped = skops.io.dumps(model)
    untrusted = skops.io.get_untrusted_types(data=dumped)
    assert untrusted
    assert all(name.startswith("skntk.") for name in untrusted)
    copies = [
        pickle.loads(pickle.dumps(model)),
        skops.io.loads(dumped, trusted=untrusted),
        clone(model).fit(X, y),
    ]
    for copy in copies:
        for result, wanted in zip(predictions(copy, Z), expected, strict=True):
            np.testing.assert_array_equal(result, wanted)
            assert result.dtype == wanted.dtype


def test_a_copy_keeps_its_factorisation():
    X, y = draw_data()
    clf = NTKClassifier("fc2", time=3.0).fit(X, y)
    dumped = skops.io.dumps(clf)
    loaded = skops.io.loads(dumped, trusted=skops.io.get_untrusted_types(data=dumped))
    for copy in (pickle.loads(pickle.dumps(clf)), loaded):
        np.testing.assert_array_equal(copy.at_time(0.5).dual_coef_, clf.at_time(0.5).dual_coef_)


def test_an_estimator_sent_to_workers_predicts_the_same_bits():
    Z = draw_data(1)[0]
    models = [clone(VARIANTS[name]).fit(*draw_data()) for name in ("cholesky", "eigh", "pipeline")]
    shipped = Parallel(n_jobs=2, backend="loky")(delayed(predictions)(model, Z) for model in models)
    for model, results in zip(models, shipped, strict=True):
        for result, expected in zip(results, predictions(model, Z), strict=True):
            np.testing.assert_array_equal(result, expected)


def test_clone_copies_parameters_and_not_state():
    X, y = draw_data()
    clf = NTKClassifier(FullyConnectedNTK(3), alpha=0.1, time=2.0, solver="eigh").fit(X, y)
    copy = clone(clf)
    assert not hasattr(copy, "dual_coef_")
    assert repr(copy) == repr(clf)
    copy.set_params(kernel__depth=1, alpha=0.2)
    assert (clf.kernel.depth, copy.kernel.depth, clf.alpha) == (3, 1, 0.1)
    # A kernel changed after the fit must not change what was fitted.
    before = clf.decision_function(X)
    clf.set_params(kernel__depth=1)
    np.testing.assert_array_equal(clf.decision_function(X), before)


def test_a_grid_addresses_the_kernel():
    X, y = draw_data(n=60)
    grid = {"kernel__depth": [0, 2], "kernel__bias_std": [0.0, 0.3], "alpha": [0.1]}
    search = GridSearchCV(NTKClassifier(FullyConnectedNTK()), grid, cv=2).fit(X, y)
    assert search.best_estimator_.kernel_.depth == search.best_params_["kernel__depth"]
    # A grid search over an array passes np.str_.
    grid = {"solver": np.array(["auto", "eigh"]), "kernel": np.array(["fc1", "two_layer"])}
    GridSearchCV(NTKClassifier(alpha=0.1), grid, cv=2, error_score="raise").fit(X, y)


# Compilation, workers, memory


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_refit_compiles_nothing(dtype):
    def fit_predict(n, d, bias_std, **params):
        X, y = draw_data(n=n, d=d, dtype=dtype)
        clf = NTKClassifier(FullyConnectedNTK(1, bias_std=bias_std), **params).fit(X, y)
        clf.input_vjp(X, np.ones((n, 3)))
        return clf.predict(X)

    fit_predict(12, 4, 0.1, alpha=0.1)
    with Compilations() as caught:
        fit_predict(17, 4, 0.2, alpha=0.2)
        fit_predict(30, 9, 0.3, time=1.0)
    assert caught.count == 0
    with Compilations() as caught:
        jax.jit(lambda x: x + 1)(1.0)
    assert caught.count == 1


@pytest.mark.parametrize("solver", ["cholesky", "eigh", "cg"])
def test_workers_share_a_fit(solver):
    X, y = draw_data(n=61)
    options = {"alpha": 0.1, "solver": solver, "random_state": 0}
    assert len(upper_blocks(SmallBlocks(2), len(X))) == 10
    fits = [NTKClassifier(SmallBlocks(2), n_jobs=n, **options).fit(X, y) for n in (None, 2, 3)]
    for shared in fits[1:]:
        np.testing.assert_allclose(shared.dual_coef_, fits[0].dual_coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("params", [{}, {"time": 1.0}, {"solver": "eigh"}])
def test_what_does_not_fit_in_memory_is_refused_before_allocation(monkeypatch, params):
    X, y = draw_data()
    n_bytes = 24 * 24 * 8 - 1
    monkeypatch.setattr(skntk._utils.memory, "available_bytes", lambda *_: n_bytes)
    monkeypatch.setattr(FullyConnectedNTK, "_gram", None)  # must not be called
    with pytest.raises(MemoryError) as info:
        NTKClassifier("fc1", **params).fit(X, y)
    message = str(info.value)
    assert "n=24 " in message
    assert f"{n_bytes:,} are available" in message
    needed = int(re.search(r"needs ([\d,]+) bytes", message)[1].replace(",", ""))
    assert needed >= 24 * 24 * 8
    assert re.search("; use .*fewer samples", message)


def test_what_fits_is_not_refused(monkeypatch):
    X, y = draw_data()
    # For "cg", the preconditioner counts too.
    monkeypatch.setattr(skntk._utils.memory, "available_bytes", lambda *_: 3 * 24 * 24 * 8)
    assert NTKClassifier("fc1").fit(X, y).score(X, y) == 1


def test_prediction_does_not_need_the_whole_block(monkeypatch):
    """Rows come in blocks, so a large test set fits in memory even if its Gram matrix does not."""
    X, y = draw_data()
    clf = NTKClassifier("fc1").fit(X, y)
    Z = np.random.default_rng(0).standard_normal((500, 4))
    expected, gradient = clf.decision_function(Z), clf.input_vjp(Z, np.ones((500, 3)))
    monkeypatch.setattr("skntk.kernels._gram._BLOCK_BYTES", 7 * 24 * 8)
    monkeypatch.setattr(skntk._utils.memory, "available_bytes", lambda *_: 8 * 24 * 8)
    np.testing.assert_allclose(clf.decision_function(Z), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(clf.input_vjp(Z, np.ones((500, 3))), gradient, atol=1e-12)


# Fits that fail half-way


class Failing(FullyConnectedNTK):
    """Fails in the middle of a fit, as if a worker had died or the user had interrupted it."""

    def _gram(self, X, Z):
        raise RuntimeError("worker died")


def change_kernel(clf, X, y):
    clf.set_params(kernel=Failing()).fit(X, y)


def change_memory(clf, X, y):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skntk._utils.memory, "available_bytes", lambda *_: 1)
        clf.fit(X, y)


FAILURES = {
    "dead worker": (change_kernel, RuntimeError),
    "memory": (change_memory, MemoryError),
    "one class": (lambda clf, X, y: clf.fit(X, 0 * y), ValueError),
    "bad kernel": (lambda clf, X, y: clf.set_params(kernel="fc9").fit(X, y), ValueError),
    "not square": (lambda clf, X, y: clf.set_params(kernel="precomputed").fit(X, y), ValueError),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_fit_that_failed_is_not_a_fit(name):
    fail, error = FAILURES[name]
    X, y = draw_data()
    clf = NTKClassifier("fc1")
    with pytest.raises(error):
        fail(clf, X, y)
    for call in (clf.predict, clf.decision_function, clf.predict_proba):
        with pytest.raises(NotFittedError):
            call(X)
    with pytest.raises(NotFittedError):
        clf.at_time(1.0)


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("machine", [NTKClassifier, NTKClassifierCV], ids=lambda c: c.__name__)
def test_a_refit_that_failed_leaves_nothing_fitted(machine, name):
    fail, error = FAILURES[name]
    X, y = draw_data()
    clf = machine("fc1").fit(X, y)
    with pytest.raises(error):
        fail(clf, X[:, :3], (y > 0).astype(int))
    for call in (clf.predict, clf.decision_function, clf.predict_proba):
        with pytest.raises(NotFittedError):
            call(X)
    with pytest.raises(NotFittedError):  # as scikit-learn asks, and attacks do
        check_is_fitted(clf)


# Bad input: one clear error


BAD_PARAMETERS = {
    "kernel name": ({"kernel": "fc9"}, ValueError, r"kernel='fc9' .*choose one of fc1, fc2"),
    "kernel None": ({"kernel": None}, TypeError, r"kernel=None must be a name or a kernel"),
    "kernel class": ({"kernel": TwoLayerNTK}, TypeError, r"kernel=<class.*must be a name or a ke"),
    "kernel depth": ({"kernel": FullyConnectedNTK(-1)}, ValueError, r"depth=-1 .*at least 0"),
    "kernel depth float": ({"kernel": FullyConnectedNTK(1.5)}, TypeError, r"depth .*integer.*1\.5"),
    "kernel bias": (
        {"kernel": FullyConnectedNTK(bias_std=-1)},
        ValueError,
        r"bias_std=-1 .*at least 0",
    ),
    "image": ({"kernel": "conv1"}, ValueError, r"kernel='conv1'.*ConvolutionalNTK.*image_shape="),
    "time negative": ({"time": -1.0}, ValueError, r"time=-1\.0 .*at least 0"),
    "time nan": ({"time": np.nan}, ValueError, r"time=nan .*at least 0"),
    "time string": ({"time": "inf"}, TypeError, r"time must be a real number, got 'inf'"),
    "time None": ({"time": None}, TypeError, r"time must be a real number, got None"),
    "alpha negative": ({"alpha": -1e-9}, ValueError, r"alpha=-1e-09 .*at least 0"),
    "alpha nan": ({"alpha": np.nan}, ValueError, r"alpha=nan"),
    "alpha infinite": ({"alpha": np.inf}, ValueError, r"alpha=inf .*finite"),
    "alpha bool": ({"alpha": True}, TypeError, r"alpha must be a real number, got True"),
    "alpha array": ({"alpha": [0.1]}, TypeError, r"alpha must be a real number, got \[0\.1\]"),
    "solver": ({"solver": "svd"}, ValueError, r"solver='svd' .*'auto', 'cholesky', 'eigh'"),
    "solver None": ({"solver": None}, ValueError, r"solver=None .*'auto'"),
    "cholesky, finite": (
        {"solver": "cholesky", "time": 1.0},
        ValueError,
        r"solver='cholesky' .*time=1\.0; use solver='eigh'.*time=np\.inf",
    ),
    "n_jobs 0": ({"n_jobs": 0}, ValueError, r"n_jobs == 0"),
}


@pytest.mark.parametrize("case", BAD_PARAMETERS)
def test_wrong_parameters(case, monkeypatch):
    params, error, message = BAD_PARAMETERS[case]
    for kernel in (FullyConnectedNTK, TwoLayerNTK):
        monkeypatch.setattr(kernel, "_gram", None)  # must not be called
    X, y = draw_data(d=5)
    with pytest.raises(error, match=message):
        NTKClassifier(**params).fit(X, y)


def spoiled(X, value):
    X = X.copy()
    X[3, 1] = value
    return X


BAD_SAMPLES = {
    "nan": (lambda X: spoiled(X, np.nan), ValueError, "X contains NaN"),
    "inf": (lambda X: spoiled(X, -np.inf), ValueError, "X contains infinity"),
    "vector": (lambda X: X[:, 0], ValueError, "Expected 2D array, got 1D"),
    "images": (lambda X: X[:, :, None], ValueError, r"X\.reshape\(len\(X\), -1\)"),
    "scalar": (lambda X: 0.5, ValueError, "Expected 2D array, got scalar"),
    "None": (lambda X: None, (ValueError, TypeError), "X|2D"),
    "no samples": (lambda X: X[:0], ValueError, "0 sample"),
    "no features": (lambda X: X[:, :0], ValueError, "0 feature"),
    "sparse": (scipy.sparse.csr_matrix, TypeError, r"[Ss]parse.*toarray"),
    "strings": (lambda X: np.full(X.shape, "a"), ValueError, "could not convert string"),
    "complex": (lambda X: X + 1j, ValueError, "[Cc]omplex"),
    "ragged": (lambda X: [[1.0], [1.0, 2.0]], ValueError, "inhomogeneous"),
}


@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_wrong_samples(case):
    spoil, error, message = BAD_SAMPLES[case]
    X, y = draw_data()
    clf = NTKClassifier("fc1").fit(X, y)
    calls = (
        lambda X: NTKClassifier("fc1").fit(X, y),
        clf.predict,
        clf.decision_function,
        clf.predict_proba,
        clf.linearize,
        lambda X: clf.input_vjp(X, np.ones((24, 3))),
    )
    for call in calls:
        with pytest.raises(error, match=f"(?s){message}"):
            call(spoil(X))


def test_wrong_width():
    X, y = draw_data()
    clf = NTKClassifier("fc1").fit(X, y)
    for method in (clf.predict, clf.decision_function, clf.linearize):
        with pytest.raises(ValueError, match=r"3 features, but NTKClassifier.*expecting 4"):
            method(X[:, :3])


BAD_LABELS = {
    "one class": (lambda y: np.full(24, 7), r"one class.*7.*two classes"),
    "one class of strings": (lambda y: ["ham"] * 24, r"one class.*'ham'"),
    "too few": (lambda y: y[:5], "inconsistent numbers of samples.*24.*5"),
    "nan": (lambda y: np.where(y == 0, np.nan, y), "y contains NaN"),
    "continuous": (lambda y: y + 0.5, "continuous"),
    "one-hot": (lambda y: np.eye(3)[y], r"multilabel|1d array"),
    "None": (lambda y: None, "y.*None"),
    "mixed types": (lambda y: np.array([0, "a", 2] * 8, object), "y mixes .* int and str; give"),
    "mixed, strings first": (lambda y: np.array(["a", 0, 2] * 8, object), "y mixes .* int and str"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_wrong_labels(case):
    spoil, message = BAD_LABELS[case]
    X, y = draw_data()
    with pytest.raises(ValueError, match=f"(?s){message}"):
        NTKClassifier("fc1").fit(X, spoil(y))


def test_a_ridge_that_overflows_is_refused():
    """Such a ridge is refused before it overflows in float32."""
    X, y = draw_data(dtype=np.float32)
    clf = NTKClassifier("fc1").fit(X, y)
    message = r"alpha=1e\+300 overflows in float32; give at most 3e\+32, or float64 inputs"
    for use in (
        lambda: clf.at_time(1.0, alpha=1e300),
        lambda: NTKClassifier("fc1", alpha=1e300).fit(X, y),
        lambda: NTKClassifierCV("fc1", alphas=[1.0, 1e300]).fit(X, y),
    ):
        with pytest.raises(ValueError, match=message):
            use()
    for solver in ("cholesky", "eigh", "cg"):
        huge = NTKClassifier("fc1", alpha=1e300, solver=solver, random_state=0)
        assert np.isfinite(huge.fit(X.astype(float), y).dual_coef_).all()


def test_one_sample():
    with pytest.raises(ValueError, match=r"one class only|minimum of 2|n_samples=1"):
        NTKClassifier("fc1").fit([[1.0, 2.0]], [0])
    clf = NTKClassifier("fc1").fit([[1.0, 2.0], [0.0, 1.0]], [0, 1])
    assert clf.predict([[1.0, 2.0]]) == [0]


@pytest.mark.parametrize(
    "cotangents, error, message",
    [
        (np.ones(24), ValueError, r"cotangents have shape \(24, 1\).*\(24, 3\)"),
        (np.ones((23, 3)), ValueError, r"cotangents have shape \(23, 3\)"),
        (np.full((24, 3), np.nan), ValueError, "cotangents contains NaN"),
        (np.full((24, 3), "a"), ValueError, "could not convert"),
        (1.0, ValueError, "Expected 2D array, got scalar"),
    ],
    ids=["binary", "too few", "nan", "strings", "scalar"],
)
def test_wrong_cotangents(cotangents, error, message):
    X, y = draw_data()
    with pytest.raises(error, match=message):
        NTKClassifier("fc1").fit(X, y).input_vjp(X, cotangents)


@pytest.mark.parametrize("time, error", [(-1, ValueError), (np.nan, ValueError), ("1", TypeError)])
def test_wrong_times(time, error):
    X, y = draw_data()
    clf = NTKClassifier("fc1").fit(X, y)
    with pytest.raises(error, match=f"time.*{time}"):
        clf.at_time(time)


def test_not_fitted():
    X = np.ones((2, 3))
    for call in (
        NTKClassifier().predict,
        NTKClassifier().decision_function,
        NTKClassifier().predict_proba,
        NTKClassifier().linearize,
        lambda X: NTKClassifier().input_vjp(X, [1, 1]),
        lambda X: NTKClassifier().at_time(1.0),
    ):
        with pytest.raises(NotFittedError):
            call(X)


def test_digits():
    """The classifier generalises to test images."""
    X, y = load_digits(return_X_y=True)
    clf = NTKClassifier().fit(X[:600] / 16, y[:600])
    assert clf.score(X[600:1200] / 16, y[600:1200]) > 0.92


def test_at_time_warns_as_a_fit_at_that_time_does():
    X, y = draw_data(n=20)
    X, y = np.concatenate([X, X]), np.concatenate([y, y[::-1]])
    early = NTKClassifier("fc1", time=1.0).fit(X, y)
    with pytest.warns(LinAlgWarning, match="ill-conditioned"):
        late = early.at_time(np.inf)
    with pytest.warns(LinAlgWarning, match="ill-conditioned"):
        fitted = NTKClassifier("fc1", solver="eigh").fit(X, y)
    np.testing.assert_allclose(late.dual_coef_, fitted.dual_coef_, atol=1e-9)


@pytest.mark.parametrize("estimator", [NTKClassifier("fc1", solver="eigh"), NTKClassifierCV("fc1")])
def test_what_is_fitted_is_not_the_callers(estimator):
    X, y = draw_data()
    clf = estimator.fit(X, y)
    before = clf.decision_function(X[:5].copy())
    Z = X[:5].copy()
    X[:], y[:] = X[::-1].copy(), 0
    np.testing.assert_array_equal(clf.decision_function(Z), before)
    assert not np.shares_memory(clf.X_fit_, X)


@pytest.mark.parametrize("estimator", [NTKClassifier, NTKClassifierCV])
@pytest.mark.parametrize(
    "spoil", [np.triu, lambda K: K[::-1].copy(), lambda K: K + 1e-4 * np.tri(24)]
)
def test_precomputed_kernels_are_symmetric(estimator, spoil):
    X, y = draw_data()
    K = FullyConnectedNTK(1)(X)
    with pytest.raises(ValueError, match=r"not symmetric.*differ by up to.*by rows alone"):
        estimator("precomputed").fit(spoil(K), y)
    rounding = K + 1e-14 * np.random.default_rng(0).random(K.shape)
    estimator("precomputed", **({"alpha": 0.1} if estimator is NTKClassifier else {})).fit(
        rounding, y
    )


def test_a_long_decomposition_outside_fit_is_announced(monkeypatch):
    monkeypatch.setattr("skntk.infinite._gradient_flow._LONG", 10)
    X, y = gaussian(12, 3), np.arange(12) % 2
    clf = NTKClassifier(alpha=0.1).fit(X, y)
    with pytest.warns(UserWarning, match="of 12 rows, once.*solver='eigh'"):
        clf.at_time(1.0)
    clf.at_time(2.0)  # reuses the decomposition
    NTKClassifier(alpha=0.1, solver="eigh").fit(X, y).at_time(1.0)
