"""Features of the kernel: what they sum to, their gradients, their scores."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import skops.io
from helpers import SmallBlocks, central_differences, gaussian
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import LinAlgWarning
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import skntk._utils.memory
import skntk.features._machine_scores
from skntk import NTKAttack, NTKClassifier, SpectralFeatureDecomposer
from skntk.kernels import ConvolutionalNTK, FullyConnectedNTK, TwoLayerNTK
from skntk.kernels._gram import upper_blocks

D = 5
KERNELS = [FullyConnectedNTK(1), FullyConnectedNTK(3), TwoLayerNTK()]
CONVOLUTIONAL = ConvolutionalNTK(1, image_shape=(5, 1, 1))


def uniform(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape)


def labels(n, k):
    return np.arange(n) % k


def targets(y):
    """Two classes as one column in {-1, +1}, more as one-hot columns."""
    classes = np.unique(y)
    if len(classes) == 2:
        return np.where(y == classes[1], 1.0, -1.0)[:, None]
    return (y[:, None] == classes).astype(float)


def eigenpairs(K):
    values, vectors = np.linalg.eigh(K)
    return values[::-1], vectors[:, ::-1]


def assert_close(actual, desired, rtol):
    """Agreement relative to the largest entry, which does not shrink where terms cancel."""
    assert_allclose(actual, desired, rtol=rtol, atol=rtol * np.abs(desired).max())


def fitted(kernel="fc2", n=24, k=2, **options):
    X, y = uniform(n, D), labels(n, k)
    return SpectralFeatureDecomposer(kernel, **options).fit(X, y)


# What the features are


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("k", [2, 3])
def test_features_are_equation_9(kernel, k):
    X, y, Z = gaussian(20, D), labels(20, k), gaussian(7, D, seed=1)
    decomposer = SpectralFeatureDecomposer(kernel).fit(X, y)
    values, vectors = eigenpairs(kernel(X))
    assert_allclose(decomposer.eigenvalues_, values, rtol=1e-10, atol=1e-12 * values[0])
    Y = targets(y)
    outputs = decomposer.feature_outputs(Z)
    assert outputs.shape == (7, 20, Y.shape[1])
    for i in range(20):
        v = vectors[:, i : i + 1]
        expected = kernel(Z, X) @ v @ (v.T @ Y) / values[i]
        assert_allclose(outputs[:, i], expected, atol=1e-9)


@pytest.mark.parametrize("kernel", KERNELS[1:])
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(2, 16), d=st.integers(1, 6), k=st.integers(2, 4)
)
def test_features_sum_to_the_full_prediction(kernel, seed, n, d, k):
    k = min(k, n)
    X, Z = gaussian(n, d, seed=seed), gaussian(3, d, seed=seed + 1)
    if d < 3:  # on a line or in a plane samples crowd
        X += np.arange(n)[:, None]
    y = labels(n, k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        decomposer = SpectralFeatureDecomposer(kernel).fit(X, y)
        classifier = NTKClassifier(kernel, solver="eigh").fit(X, y)
    total = decomposer.feature_outputs(Z).sum(axis=1)
    if total.shape[1] == 1:
        total = total[:, 0]
    # Each feature divides the rounding error of a product by its eigenvalue.
    kept = decomposer.eigenvalues_[decomposer.eigenvalues_ > 0]
    rounding = np.finfo(float).eps * kept.max() / kept.min()
    atol = max(1e-10, 10 * rounding)
    assert_allclose(total, decomposer.decision_function(Z), atol=atol, rtol=0)
    columns = decomposer.transform(Z)
    by_feature = columns.reshape(3, len(decomposer.eigenvalues_), -1).sum(axis=1)
    assert_allclose(by_feature.reshape(total.shape), total, atol=1e-10, rtol=0)
    assert_close(total, classifier.decision_function(Z), rtol=1e-8)


@given(
    X=arrays(np.int8, (8, D), elements=st.integers(-4, 4)),
    y=arrays(np.int8, 8, elements=st.integers(0, 2)),
)
def test_duplicates_and_conflicting_labels(X, y):
    y[:2] = 0, 1
    X = X / 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        decomposer = SpectralFeatureDecomposer("fc1").fit(X, y)
    scores = decomposer.score_features(X, y, eps=0.1, clip_values=None)
    results = [
        decomposer.transform(X),
        decomposer.feature_gradients(X),
        decomposer.decompose_gradient(X, y).parts,
        scores.robustness,
        scores.usefulness,
        decomposer.input_vjp(X, decomposer.decision_function(X)),
    ]
    assert all(np.isfinite(result).all() for result in results)
    # Where samples coincide, least squares gives the mean of their targets.
    Y = targets(y)
    mean = np.stack([Y[(x == X).all(axis=1)].mean(axis=0) for x in X])
    outputs = decomposer.decision_function(X).reshape(mean.shape)
    assert_allclose(outputs, mean, atol=1e-8)


def test_duplicates_warn():
    X = np.concatenate([uniform(6, D)] * 2)
    with pytest.warns(LinAlgWarning, match="6 of its 12 eigenvalues") as record:
        decomposer = SpectralFeatureDecomposer("fc1").fit(X, np.repeat([0, 1], 6))
    assert record[0].filename == __file__
    assert_allclose(decomposer.decision_function(X), 0, atol=1e-10)


@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")
def test_features_below_rounding_error_are_kept_by_number_only():
    X, y = np.concatenate([uniform(6, D)] * 2), labels(12, 3)
    without, whole = (
        SpectralFeatureDecomposer("fc1", n_components=p).fit(X, y) for p in (None, 12)
    )
    assert without.eigenvectors_.shape == (12, 6)
    assert (whole.eigenvalues_[:6] > 0).all()
    assert (whole.eigenvalues_[6:] == 0).all()
    assert_array_equal(whole.feature_outputs(X)[:, 6:], 0)
    assert_allclose(without.decision_function(X), whole.decision_function(X), atol=1e-10)


def test_warning_names_a_remedy_that_exists():
    X = np.concatenate([uniform(6, D)] * 2)
    with pytest.warns(LinAlgWarning) as record:
        SpectralFeatureDecomposer("fc1").fit(X, np.repeat([0, 1], 6))
    alpha = float(re.search(r"Set alpha=(\S+) or more", str(record[0].message))[1])
    SpectralFeatureDecomposer("fc1", alpha=alpha).fit(X, np.repeat([0, 1], 6))  # no warning


def test_orthonormal_and_sorted():
    decomposer = fitted(n=30, k=3)
    vectors = decomposer.eigenvectors_
    assert (np.diff(decomposer.eigenvalues_) <= 0).all()
    assert_allclose(vectors.T @ vectors, np.eye(30), atol=1e-12)
    K = decomposer.kernel_(decomposer.X_fit_)
    assert_allclose(vectors * decomposer.eigenvalues_ @ vectors.T, K, atol=1e-11)


@pytest.mark.parametrize("eigen_solver", ["auto", "dense", "arpack"])
@pytest.mark.parametrize("n_components", [1, 4, 23, 24])
def test_top_of_the_spectrum(eigen_solver, n_components):
    whole = fitted("fc1", k=3)
    part = fitted("fc1", k=3, n_components=n_components, eigen_solver=eigen_solver, random_state=0)
    p = n_components
    assert_allclose(part.eigenvalues_, whole.eigenvalues_[:p], rtol=1e-9)
    expected = whole.eigenvectors_[:, :p] @ whole.eigenvectors_[:, :p].T
    assert_allclose(part.eigenvectors_ @ part.eigenvectors_.T, expected, atol=1e-8)
    Z = uniform(5, D, seed=1)
    assert_allclose(part.feature_outputs(Z), whole.feature_outputs(Z)[:, :p], atol=1e-7)
    assert_allclose(part.decision_function(Z), whole.feature_outputs(Z)[:, :p].sum(axis=1))


@pytest.mark.parametrize("eigen_solver", ["dense", "arpack"])
def test_degenerate_eigenvalues(eigen_solver):
    # Orthonormal samples: all eigenvalues but the first are equal.
    decomposer = SpectralFeatureDecomposer(
        "fc1", n_components=5, eigen_solver=eigen_solver, random_state=0
    ).fit(np.eye(12), labels(12, 2))
    values, _ = eigenpairs(FullyConnectedNTK(1)(np.eye(12)))
    assert_allclose(decomposer.eigenvalues_, values[:5], rtol=1e-10)
    assert_allclose(decomposer.eigenvectors_.T @ decomposer.eigenvectors_, np.eye(5), atol=1e-10)


def test_arpack_has_a_random_state():
    same = [
        fitted("fc1", n_components=3, eigen_solver="arpack", random_state=seed).eigenvectors_
        for seed in (0, 0, np.random.RandomState(0))
    ]
    assert_array_equal(same[0], same[1])
    assert_array_equal(same[0], same[2])


@pytest.mark.parametrize("eigen_solver", ["auto", "arpack"])
def test_kernel_of_zeros(eigen_solver):
    X, y = np.zeros((8, D)), labels(8, 2)
    decomposer = SpectralFeatureDecomposer(
        TwoLayerNTK(), n_components=3, eigen_solver=eigen_solver, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        decomposer.fit(X, y)
    assert_array_equal(decomposer.eigenvalues_, 0)
    assert_array_equal(decomposer.decision_function(X), 0)


def test_n_jobs_does_not_matter():
    kernel = SmallBlocks(2)
    assert len(upper_blocks(kernel, 30)) == 3
    alone = fitted(kernel, n=30, k=3)
    with parallel_config("threading"):
        shared = fitted(kernel, n=30, k=3, n_jobs=2)
    Z = uniform(5, D, seed=1)
    assert_allclose(shared.transform(Z), alone.transform(Z), atol=1e-9)


@pytest.mark.parametrize("k", [2, 3])
def test_float32_stays_float32(k):
    X, y, Z = gaussian(12, D), labels(12, k), gaussian(4, D, seed=1)
    double = SpectralFeatureDecomposer("fc1").fit(X, y)
    single = SpectralFeatureDecomposer("fc1").fit(X.astype(np.float32), y)
    Z32 = Z.astype(np.float32)
    scores = single.score_features(Z32, labels(4, k), eps=0.1, clip_values=None)
    for result in (
        single.eigenvalues_,
        single.eigenvectors_,
        single.transform(Z32),
        single.decision_function(Z32),
        single.feature_gradients(Z32),
        *single.decompose_gradient(Z32, labels(4, k)).values(),
    ):
        assert result.dtype == np.float32
    assert scores.robustness.dtype == np.float64
    assert_close(single.transform(Z32), double.transform(Z), rtol=1e-3)
    assert_close(single.feature_gradients(Z32), double.feature_gradients(Z), rtol=1e-3)


# Columns and names


@pytest.mark.parametrize(("k", "n_outputs"), [(2, 1), (3, 3)])
def test_columns_are_feature_major(k, n_outputs):
    decomposer = fitted(k=k, n_components=4)
    Z = uniform(6, D, seed=1)
    outputs, columns = decomposer.feature_outputs(Z), decomposer.transform(Z)
    assert outputs.shape == (6, 4, n_outputs)
    assert columns.shape == (6, 4 * n_outputs)
    for i in range(4):
        for r in range(n_outputs):
            assert_array_equal(columns[:, i * n_outputs + r], outputs[:, i, r])


def test_names():
    assert fitted(n_components=3).get_feature_names_out().tolist() == ["ntk0", "ntk1", "ntk2"]
    X, y = uniform(9, D), np.array(["cat", "dog", "eel"] * 3)
    decomposer = SpectralFeatureDecomposer(n_components=2).fit(X, y)
    expected = ["ntk0_cat", "ntk0_dog", "ntk0_eel", "ntk1_cat", "ntk1_dog", "ntk1_eel"]
    names = decomposer.get_feature_names_out()
    assert names.tolist() == expected
    assert names.dtype == object


def test_pandas_output():
    X = pd.DataFrame(uniform(9, D), columns=list("abcde"), index=range(10, 19))
    y = pd.Series(np.array(["cat", "dog", "eel"] * 3), index=X.index)
    decomposer = SpectralFeatureDecomposer(n_components=2).set_output(transform="pandas")
    frame = decomposer.fit_transform(X, y)
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == decomposer.get_feature_names_out().tolist()
    assert frame.index.equals(X.index)
    assert_array_equal(frame, decomposer.feature_outputs(X).reshape(9, -1))
    assert decomposer.feature_names_in_.tolist() == list("abcde")
    decomposer.score_features(X, y, eps=0.1)
    decomposer.decompose_gradient(X, y)
    decomposer.feature_gradients(X)
    with pytest.raises(ValueError, match="feature names"):
        decomposer.transform(X.rename(columns={"a": "z"}))


def test_predict_is_sign_or_argmax():
    Z = uniform(20, D, seed=1)
    binary = fitted(n_components=5)
    assert_array_equal(binary.predict(Z), (binary.decision_function(Z) > 0).astype(int))
    several = fitted(k=3, n_components=5)
    assert_array_equal(several.predict(Z), several.decision_function(Z).argmax(axis=1))
    assert fitted(k=3).score(uniform(24, D), labels(24, 3)) == 1


# Gradients


@pytest.mark.parametrize("kernel", [*KERNELS, CONVOLUTIONAL])
def test_feature_gradients_binary(kernel):
    X, y, Z = gaussian(20, D), labels(20, 2), gaussian(4, D, seed=1)
    decomposer = SpectralFeatureDecomposer(kernel, n_components=6).fit(X, y)
    gradients = decomposer.feature_gradients(Z)
    assert gradients.shape == (4, 6, D)
    for i in range(6):
        expected = central_differences(lambda Z, i=i: decomposer.transform(Z)[:, i], Z, 1e-4)
        assert_close(gradients[:, i], expected, rtol=1e-6)


@pytest.mark.parametrize("output", ["cat", "dog", "eel"])
def test_feature_gradients_of_a_class(output):
    X, y = gaussian(21, D), np.array(["cat", "dog", "eel"] * 7)
    Z = gaussian(4, D, seed=1)
    decomposer = SpectralFeatureDecomposer("fc1").fit(X, y)
    r = ["cat", "dog", "eel"].index(output)
    gradients = decomposer.feature_gradients(Z, components=[5, 0], output=output)
    for column, i in enumerate([5, 0]):
        expected = central_differences(
            lambda Z, i=i: decomposer.feature_outputs(Z)[:, i, r], Z, 1e-4
        )
        assert_close(gradients[:, column], expected, rtol=1e-6)


def test_feature_gradients_take_the_strongest_class():
    X, y, Z = gaussian(21, D), labels(21, 3), gaussian(4, D, seed=1)
    decomposer = SpectralFeatureDecomposer("fc1").fit(X, y)
    gradients = decomposer.feature_gradients(Z)
    for i in range(21):
        by_class = [decomposer.feature_gradients(Z, [i], output=r)[:, 0] for r in range(3)]
        sizes = [np.abs(g).max() for g in by_class]
        assert_close(gradients[:, i], by_class[int(np.argmax(sizes))], rtol=1e-12)


@pytest.mark.parametrize("output", [0, 1])
def test_feature_gradients_of_a_class_of_two(output):
    decomposer, Z = fitted(n_components=3), uniform(4, D, seed=1)
    gradients = decomposer.feature_gradients(Z, output=output)
    sign = 1 if output == 1 else np.sign((gradients * decomposer.feature_gradients(Z)).sum())
    assert_allclose(gradients, sign * decomposer.feature_gradients(Z), rtol=1e-12)


@pytest.mark.parametrize("kernel", [*KERNELS, CONVOLUTIONAL])
@pytest.mark.parametrize("k", [2, 3])
def test_input_vjp_is_central_differences(kernel, k):
    X, Z = gaussian(20, D), gaussian(5, D, seed=1)
    decomposer = SpectralFeatureDecomposer(kernel, n_components=7).fit(X, labels(20, k))
    cotangents = gaussian(*decomposer.decision_function(Z).shape, seed=2)

    def weighted(Z):
        product = cotangents * decomposer.decision_function(Z)
        return product.reshape(len(Z), -1).sum(axis=1)

    gradient = decomposer.input_vjp(Z, cotangents)
    assert_close(gradient, central_differences(weighted, Z, 1e-4), rtol=1e-6)


@pytest.mark.parametrize("k", [2, 3])
def test_feature_gradients_sum_to_input_vjp(k):
    decomposer, Z = fitted("fc1", k=k), uniform(5, D, seed=1)
    total = decomposer.feature_gradients(Z, output=1 if k == 3 else None).sum(axis=1)
    cotangents = np.ones(5) if k == 2 else np.tile([0.0, 1, 0], (5, 1))
    assert_allclose(total, decomposer.input_vjp(Z, cotangents), atol=1e-10)


def test_attack_follows_its_own_gradient():
    decomposer = fitted("fc1", n_components=3)
    X, y = uniform(10, D, seed=3), labels(10, 2)
    X_adv = NTKAttack(decomposer, eps=0.05, clip_values=None).generate(X, y)
    gradient = central_differences(decomposer.decision_function, X, 1e-4)
    expected = X - 0.05 * np.where(y == 1, 1, -1)[:, None] * np.sign(gradient)
    # A sample that the step does not harm stays where it is.
    moved = (X_adv != X).any(axis=1)
    assert moved.sum() >= 8
    assert_allclose(X_adv[moved], expected[moved], atol=1e-12)


# Eq. 45: the loss gradient


@pytest.mark.parametrize("k", [2, 3])
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(4, 14))
def test_gradient_parts_sum_to_the_total(k, seed, n):
    X, Z = gaussian(n, D, seed=seed), gaussian(2, D, seed=seed + 1)
    decomposer = SpectralFeatureDecomposer("fc2").fit(X, labels(n, k))
    decomposition = decomposer.decompose_gradient(Z, [0, 1])
    assert decomposition.parts.shape == (2, n, D)
    assert_allclose(decomposition.parts.sum(axis=1), decomposition.total, atol=1e-10, rtol=0)


@pytest.mark.parametrize("n_components", [None, 4])
def test_total_is_the_gradient_of_the_cross_entropy(n_components):
    Z = uniform(6, D, seed=1)

    def binary(Z):
        margin = np.where(labels(6, 2) == 1, 1, -1) * two.decision_function(Z)
        return np.logaddexp(0, -margin)

    def multiclass(Z):
        log_p = np.log(softmax(three.decision_function(Z), axis=1))
        return -log_p[np.arange(6), labels(6, 3)]

    two, three = (fitted("fc1", k=k, n_components=n_components) for k in (2, 3))
    for model, loss, y in ((two, binary, labels(6, 2)), (three, multiclass, labels(6, 3))):
        total = model.decompose_gradient(Z, y).total
        assert_close(total, central_differences(loss, Z, 1e-4), rtol=1e-6)


def test_parts_are_equation_45():
    decomposer, Z, y = fitted("fc1", n_components=4), uniform(6, D, seed=1), labels(6, 2)
    decomposition = decomposer.decompose_gradient(Z, y)
    f, f_i = decomposer.decision_function(Z), decomposer.transform(Z)
    own_loss_gradient = (expit(f_i) - y[:, None])[:, :, None] * decomposer.feature_gradients(Z)
    alpha = (expit(f) - y)[:, None] / (expit(f_i) - y[:, None])
    assert_allclose(decomposition.parts, alpha[:, :, None] * own_loss_gradient, atol=1e-12)
    assert_allclose(decomposition.alpha, alpha, rtol=1e-10)
    assert_allclose(decomposition.gradients, own_loss_gradient, atol=1e-12)


@pytest.mark.parametrize("k", [2, 3])
def test_gradients_are_those_of_single_features_and_alpha_their_weights(k):
    decomposer, Z, y = fitted("fc1", k=k, n_components=4), uniform(5, D, seed=1), labels(5, k)
    decomposition = decomposer.decompose_gradient(Z, y)

    def losses(Z):
        f = decomposer.feature_outputs(Z)
        logits = np.concatenate([-f / 2, f / 2], axis=2) if k == 2 else f
        return -np.log(softmax(logits, axis=2))[np.arange(5), :, y]

    expected = central_differences(losses, Z, 1e-4).transpose(0, 2, 1)
    assert decomposition.gradients.shape == (5, 4, D) and decomposition.alpha.shape == (5, 4)
    assert_close(decomposition.gradients, expected, rtol=1e-6)
    scaled = decomposition.alpha[:, :, None] * decomposition.gradients
    assert_allclose(scaled, decomposition.parts, atol=1e-12)
    assert_allclose(scaled.sum(axis=1), decomposition.total, atol=1e-10)


def test_alpha_of_a_feature_that_no_label_reaches():
    """Its part and its gradient are 0; the ratio of Eq. 46 exists for two classes."""
    decomposer, Z, y = fitted("fc1", n_components=3), uniform(4, D, seed=1), labels(4, 2)
    decomposer.feature_coef_[1] = 0
    decomposer.dual_coef_ = decomposer.eigenvectors_ @ decomposer.feature_coef_
    decomposition = decomposer.decompose_gradient(Z, y)
    f = decomposer.kernel_(Z, decomposer.X_fit_) @ decomposer.dual_coef_[:, 0]
    assert_allclose(decomposition.alpha[:, 1], (expit(f) - y) / (0.5 - y), rtol=1e-10)
    assert not decomposition.parts[:, 1].any() and not decomposition.gradients[:, 1].any()


def test_parts_of_several_classes_are_equation_46():
    decomposer, Z, y = fitted("fc1", k=3, n_components=4), uniform(6, D, seed=1), labels(6, 3)
    parts = decomposer.decompose_gradient(Z, y).parts
    residual = softmax(decomposer.decision_function(Z), axis=1) - np.eye(3)[y]
    expected = sum(
        residual[:, r, None, None] * decomposer.feature_gradients(Z, output=r) for r in range(3)
    )
    assert_allclose(parts, expected, atol=1e-12)


# Scores


def by_hand(kernel, X, y, X_test, y_test, *, eps, norm, clip_values, components):
    """Features scored one at a time, from equations 9 and 18-21 and differences."""
    values, vectors = eigenpairs(kernel(X))
    Y = targets(y)
    step = 1e-5 * np.eye(D)
    slopes = [(kernel(X_test + h, X) - kernel(X_test - h, X)) / 2e-5 for h in step]
    usefulness, robustness = [], []
    for i in components:
        v = vectors[:, i : i + 1]
        dual = v @ (v.T @ Y) / values[i]

        def accuracy(Z, dual=dual):
            outputs = kernel(Z, X) @ dual
            decided = outputs[:, 0] > 0 if outputs.shape[1] == 1 else outputs.argmax(axis=1)
            return np.mean(decided == y_test)

        outputs = kernel(X_test, X) @ dual
        if Y.shape[1] == 1:
            cotangents = expit(outputs) - y_test[:, None]
        else:
            cotangents = softmax(outputs, axis=1) - np.eye(Y.shape[1])[y_test]
        direction = np.stack([(cotangents * (s @ dual)).sum(axis=1) for s in slopes], axis=1)
        if norm == 2:
            # In coordinates scaled by eps the ball is round: the steepest step is eps^2 g.
            scaled = direction * eps
            change = eps * scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
        else:
            change = eps * np.sign(direction)
        attacked = X_test + change
        if clip_values is not None:
            attacked = np.clip(attacked, *clip_values)
        usefulness.append(accuracy(X_test))
        robustness.append(accuracy(attacked))
    return np.array(usefulness), np.array(robustness)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("norm", [np.inf, 2])
@pytest.mark.parametrize(
    ("eps", "clip_values", "components"),
    [
        (0.1, (0.0, 1.0), None),
        (0.3, None, None),
        (0.2, (-0.05, np.linspace(1, 2, D)), [7, 0, 3]),
        (np.linspace(0.02, 0.4, D), (0.0, 1.0), [2]),
        (np.linspace(0.0, 0.4, D), None, [1, 1]),
    ],
)
def test_scores_equal_a_plain_loop(k, norm, eps, clip_values, components):
    kernel = FullyConnectedNTK(1)
    X, X_test = uniform(18, D), uniform(13, D, seed=1)
    y, y_test = labels(18, k), labels(13, k)
    decomposer = SpectralFeatureDecomposer(kernel).fit(X, y)
    scores = decomposer.score_features(
        X_test, y_test, eps=eps, norm=norm, clip_values=clip_values, components=components
    )
    usefulness, robustness = by_hand(
        kernel,
        X,
        y,
        X_test,
        y_test,
        eps=eps,
        norm=norm,
        clip_values=clip_values,
        components=range(18) if components is None else components,
    )
    assert_allclose(scores.usefulness, usefulness, atol=1e-12)
    assert_allclose(scores.robustness, robustness, atol=1e-12)
    assert (robustness != usefulness).any()


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("kernel", [FullyConnectedNTK(2), CONVOLUTIONAL])
def test_blocks_do_not_matter(k, kernel, monkeypatch):
    X, y, X_test, y_test = uniform(18, D), labels(18, k), uniform(13, D, seed=1), labels(13, k)
    decomposer = SpectralFeatureDecomposer(kernel, n_components=7).fit(X, y)
    options = {"eps": np.linspace(0.1, 0.3, D), "norm": 2}
    whole = decomposer.score_features(X_test, y_test, **options)
    for sample_block, n_rows in ((5, 10**9), (512, 1), (4, 12), (1, 0)):
        monkeypatch.setattr(skntk.features._machine_scores, "_SAMPLE_BLOCK", sample_block)
        monkeypatch.setattr(skntk.features._machine_scores, "_BLOCK_BYTES", n_rows * 8 * 18)
        blocks = decomposer.score_features(X_test, y_test, **options)
        assert_array_equal(blocks.usefulness, whole.usefulness)
        assert_array_equal(blocks.robustness, whole.robustness)


def test_scores_are_kept_on_the_decomposer():
    decomposer = fitted(n_components=5)
    X, y = uniform(10, D, seed=1), labels(10, 2)
    scores = decomposer.score_features(X, y, eps=0.1)
    assert_array_equal(scores.usefulness, decomposer.usefulness_)
    assert_array_equal(scores.robustness, decomposer.robustness_)
    part = decomposer.score_features(X, y, eps=0.1, components=[3, 1])
    assert_array_equal(part.usefulness, scores.usefulness[[3, 1]])
    expected = np.full(5, np.nan)
    expected[[3, 1]] = part.robustness
    assert_array_equal(decomposer.robustness_, expected)


def test_scores_share_gram_blocks(monkeypatch):
    calls = []
    original = FullyConnectedNTK._linearize
    monkeypatch.setattr(FullyConnectedNTK, "_linearize", lambda *a: calls.append(1) or original(*a))
    decomposer = fitted("fc1", n=30)
    decomposer.score_features(uniform(20, D, seed=1), labels(20, 2), eps=0.1)
    assert len(calls) == 1


def test_eps_zero_leaves_the_accuracy():
    scores = fitted().score_features(uniform(20, D, seed=1), labels(20, 2), eps=0)
    assert_array_equal(scores.robustness, scores.usefulness)


def test_labels_of_any_type():
    X, y = uniform(20, D), labels(20, 2)
    expected = SpectralFeatureDecomposer("fc1").fit(X, y).score_features(X, y, eps=0.2)
    for names in (["no", "yes"], [-(2**40), 2**40], [False, True], [-1.0, 1.0]):
        named = np.array(names)[y]
        scores = SpectralFeatureDecomposer("fc1").fit(X, named).score_features(X, named, eps=0.2)
        assert_array_equal(scores.robustness, expected.robustness)


def test_held_out_samples_of_one_class():
    decomposer = fitted(k=3)
    scores = decomposer.score_features(uniform(5, D, seed=1), [2] * 5, eps=0.1)
    outputs = decomposer.feature_outputs(uniform(5, D, seed=1))
    assert_array_equal(scores.usefulness, (outputs.argmax(axis=2) == 2).mean(axis=0))


def test_inputs_stay_as_they_were():
    X, y = uniform(10, D), labels(10, 2)
    X.flags.writeable = False
    copies = X.copy()
    decomposer = SpectralFeatureDecomposer("fc1").fit(np.asfortranarray(X), y)
    decomposer.score_features(X, y, eps=0.1)
    decomposer.decompose_gradient(X, y)
    assert_array_equal(X, copies)


# Bad input


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_components": 25}, ValueError, "n_components=25 is more than the 24 features"),
        ({"n_components": 0}, ValueError, "n_components=0 is out of range"),
        ({"n_components": 2.0}, TypeError, "n_components must be an integer, got 2.0"),
        ({"n_components": True}, TypeError, "n_components must be an integer, got True"),
        ({"eigen_solver": "lobpcg"}, ValueError, "eigen_solver='lobpcg' is not supported; choose"),
        ({"kernel": "rbf"}, ValueError, "kernel='rbf' is not known"),
        ({"kernel": 3}, TypeError, "kernel=3 must be a name or a kernel"),
        ({"kernel": FullyConnectedNTK(-1)}, ValueError, "depth=-1"),
    ],
)
def test_wrong_parameters(parameters, error, message, monkeypatch):
    monkeypatch.setattr(
        FullyConnectedNTK, "_gram", lambda *_: pytest.fail("worked before it checked")
    )
    with pytest.raises(error, match=message):
        SpectralFeatureDecomposer(**parameters).fit(uniform(24, D), labels(24, 2))


def test_bad_training_data():
    X, y = uniform(10, D), labels(10, 2)
    with pytest.raises(ValueError, match="one class only"):
        SpectralFeatureDecomposer().fit(X, np.zeros(10))
    with pytest.raises(ValueError, match="contains NaN"):
        SpectralFeatureDecomposer().fit(np.where(X > 0.9, np.nan, X), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        SpectralFeatureDecomposer().fit(X, y[:9])


@pytest.mark.parametrize(
    "components", [[0, 24], [-1], [0.0], [], [[0, 1]], "0", [True, False], [None], 24]
)
def test_bad_components(components):
    decomposer, X, y = fitted(), uniform(4, D), labels(4, 2)
    for call in (
        lambda: decomposer.feature_gradients(X, components=components),
        lambda: decomposer.score_features(X, y, eps=0.1, components=components),
    ):
        with pytest.raises(ValueError, match="components="):
            call()
    assert not hasattr(decomposer, "robustness_")


def test_one_component_as_a_number():
    decomposer, X = fitted(), uniform(4, D)
    assert_array_equal(decomposer.feature_gradients(X, 2), decomposer.feature_gradients(X, [2]))


@pytest.mark.parametrize("k", [2, 3])
def test_labels_never_seen(k):
    decomposer, X = fitted(k=k), uniform(4, D)
    for call in (
        lambda: decomposer.score_features(X, [0, 1, 9, 1], eps=0.1),
        lambda: decomposer.decompose_gradient(X, [0, 1, 9, 1]),
        lambda: decomposer.feature_gradients(X, output=9),
    ):
        with pytest.raises(ValueError, match=r"never saw: \[9\]; it knows"):
            call()
    with pytest.raises(ValueError, match="never saw"):
        decomposer.score_features(X, ["0", "1", "0", "1"], eps=0.1)


@pytest.mark.parametrize("n_labels", [1, 3, 5, 40])
@pytest.mark.parametrize("k", [2, 3])
def test_as_many_labels_as_samples(n_labels, k):
    decomposer, X = fitted(k=k), uniform(4, D)
    for call in (
        lambda: decomposer.score_features(X, labels(n_labels, 2), eps=0.1),
        lambda: decomposer.decompose_gradient(X, labels(n_labels, 2)),
    ):
        with pytest.raises(ValueError, match=rf"(?s)samples.*{n_labels}"):
            call()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"clip_values": (0.0, 0.5)}, ValueError, r"X lies in .*outside clip_values=\(0.0, 0.5\)"),
        ({"clip_values": (1.0, 0.0)}, ValueError, "has a low above its high"),
        ({"clip_values": 1.0}, ValueError, "clip_values=1.0 is not a pair"),
        ({"eps": -0.1}, ValueError, "eps=-0.1 is out of range"),
        ({"eps": np.nan}, ValueError, "eps=nan is out of range"),
        ({"eps": "0.1"}, TypeError, "eps must be a real number"),
        ({"eps": np.ones(D + 1)}, ValueError, "eps has 6 values for 5 features"),
        ({"norm": 1}, ValueError, "norm=1 is not supported; choose np.inf or 2"),
        ({"norm": "l1"}, ValueError, "norm='l1' is not supported"),
        ({"norm": None}, ValueError, "norm=None is not supported"),
    ],
)
def test_wrong_scoring_options(options, error, message):
    decomposer = fitted()
    with pytest.raises(error, match=message):
        decomposer.score_features(uniform(4, D), labels(4, 2), **({"eps": 0.1} | options))


def test_bytes_are_to_be_divided_by_255():
    X = np.random.default_rng(0).integers(0, 256, (4, D), dtype=np.uint8)
    with pytest.raises(ValueError, match="divide X by 255"):
        fitted().score_features(X, labels(4, 2), eps=0.1)


def test_not_fitted():
    decomposer, X, y = SpectralFeatureDecomposer(), uniform(4, D), labels(4, 2)
    for call in (
        lambda: decomposer.transform(X),
        lambda: decomposer.feature_outputs(X),
        lambda: decomposer.feature_gradients(X),
        lambda: decomposer.decompose_gradient(X, y),
        lambda: decomposer.score_features(X, y, eps=0.1),
        decomposer.get_feature_names_out,
        lambda: decomposer.predict(X),
    ):
        with pytest.raises(NotFittedError):
            call()


def test_a_fit_that_fails_leaves_nothing_fitted():
    decomposer, X, y = fitted(), uniform(4, D), labels(4, 2)
    decomposer.score_features(X, y, eps=0.1)
    with pytest.raises(ValueError, match="one class only"):
        decomposer.fit(X, np.zeros(4))
    for call in (
        lambda: decomposer.transform(X),
        lambda: decomposer.predict(X),
        decomposer.get_feature_names_out,
    ):
        with pytest.raises(NotFittedError):
            call()
    decomposer.fit(X, y)
    assert not hasattr(decomposer, "robustness_")


def test_too_large_for_memory(monkeypatch):
    decomposer = fitted()
    monkeypatch.setattr(skntk._utils.memory, "available_bytes", lambda *_: 4000)
    with pytest.raises(MemoryError, match=r"n=24 samples needs .* bytes and 4,000 are available"):
        fitted()
    with pytest.raises(MemoryError, match=r"Gradients of 24 features for n=5 samples needs 4,800"):
        decomposer.feature_gradients(uniform(5, D))


# Copies


@pytest.mark.parametrize("kernel", ["fc1", FullyConnectedNTK(2), CONVOLUTIONAL])
def test_round_trips(kernel):
    decomposer, Z = fitted(kernel, k=3, n_components=5), uniform(5, D, seed=1)
    decomposer.score_features(Z, labels(5, 3), eps=0.1)
    data = skops.io.dumps(decomposer)
    untrusted = skops.io.get_untrusted_types(data=data)
    assert all(name.startswith("skntk.") for name in untrusted), untrusted
    for copy in (
        pickle.loads(pickle.dumps(decomposer)),
        skops.io.loads(data, trusted=untrusted),
    ):
        assert_array_equal(copy.transform(Z), decomposer.transform(Z))
        assert_array_equal(copy.robustness_, decomposer.robustness_)
        assert_array_equal(copy.feature_gradients(Z), decomposer.feature_gradients(Z))
    fresh = clone(decomposer)
    assert not hasattr(fresh, "eigenvalues_")
    assert fresh.fit(uniform(24, D), labels(24, 3)).eigenvalues_.shape == (5,)


def test_fitting_leaves_the_kernel_parameter_alone():
    kernel = FullyConnectedNTK(1)
    decomposer = SpectralFeatureDecomposer(kernel).fit(uniform(8, D), labels(8, 2))
    kernel.set_params(depth=4)
    assert decomposer.kernel_.depth == 1
