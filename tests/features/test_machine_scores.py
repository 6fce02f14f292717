"""Accuracy of many kernel machines in one pass against one machine at a time."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax

import skntk.features._machine_scores
from skntk.features._machine_scores import fgsm_cotangents, score_machines
from skntk.infinite._expansion import Pairs
from skntk.kernels import ConvolutionalNTK, FullyConnectedNTK, TwoLayerNTK

D = 5


def uniform(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape)


def gaussian(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape)


def machines_on(kernel, X_fit, q, k, scale=1.0):
    """Dual coefficients of q machines that interpolate random values: their signs vary."""
    return scale * np.linalg.solve(kernel(X_fit), gaussian(q, len(X_fit), k))


def one_at_a_time(kernel, X_fit, duals, X, labels, eps, norm, box):
    clean, robust = [], []
    for dual in duals:
        k = dual.shape[1]

        def decide(Z, dual=dual, k=k):
            outputs = kernel(Z, X_fit) @ dual
            return (outputs[:, 0] > 0).astype(int) if k == 1 else outputs.argmax(axis=1)

        outputs = kernel(X, X_fit) @ dual
        if k == 1:
            cotangents = expit(outputs) - labels[:, None]
        else:
            cotangents = softmax(outputs, axis=1) - np.eye(k)[labels]
        gradient = kernel.input_vjp(X, X_fit, cotangents @ dual.T)
        if norm == 2:
            gradient = gradient * eps
            change = eps * gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
        else:
            change = eps * np.sign(gradient)
        attacked = X + change
        if box is not None:
            attacked = np.clip(attacked, *box)
        clean.append(np.mean(decide(X) == labels))
        robust.append(np.mean(decide(attacked) == labels))
    return clean, robust


@pytest.mark.parametrize(
    "kernel",
    [FullyConnectedNTK(2), TwoLayerNTK(), ConvolutionalNTK(1, image_shape=(5, 1, 1))],
    ids=["fc2", "two_layer", "conv1"],
)
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(
    ("eps", "norm", "box"),
    [
        (0.1, np.inf, (0.0, 1.0)),
        (0.2, 2, None),
        (np.linspace(0, 0.3, D), np.inf, (np.zeros(D), np.linspace(1, 2, D))),
        (np.linspace(0.05, 0.3, D), 2, (0.0, 1.0)),
    ],
)
def test_equals_one_machine_at_a_time(kernel, k, eps, norm, box):
    X_fit, X, labels = uniform(11, D), uniform(15, D, seed=1), np.arange(15) % max(2, k)
    duals = machines_on(kernel, X_fit, 6, k)
    budgets = np.stack([eps, 2 * np.asarray(eps)])
    clean, robust = score_machines(
        Pairs(kernel), X_fit, 6, lambda q: duals[q], X, labels, budgets=budgets, norm=norm, box=box
    )
    assert robust.shape == (6, 2)
    for e, budget in enumerate(budgets):
        expected = one_at_a_time(kernel, X_fit, duals, X, labels, budget, norm, box)
        assert_allclose(clean, expected[0], atol=1e-12)
        assert_allclose(robust[:, e], expected[1], atol=1e-12)
    assert (robust[:, 0] < clean).any()
    assert (robust[:, 1] < robust[:, 0]).any()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_blocks_do_not_matter(dtype, monkeypatch):
    kernel, labels = FullyConnectedNTK(1), np.arange(15) % 3
    X_fit, X = (uniform(n, D, seed=n).astype(dtype) for n in (11, 15))
    duals = machines_on(kernel, X_fit, 6, 3).astype(dtype)
    seen = []

    def coefficients(machines):
        seen.append(duals[machines])
        return duals[machines]

    def scores():
        options = {"budgets": np.array([0.1]), "norm": np.inf, "box": None}
        return score_machines(Pairs(kernel), X_fit, 6, coefficients, X, labels, **options)

    whole = scores()
    assert [len(block) for block in seen] == [6]
    for sample_block, block_bytes in ((512, 0), (4, 10**9), (4, 8 * 11 * 8), (15, 30 * 11 * 8)):
        monkeypatch.setattr(skntk.features._machine_scores, "_SAMPLE_BLOCK", sample_block)
        monkeypatch.setattr(skntk.features._machine_scores, "_BLOCK_BYTES", block_bytes)
        del seen[:]
        for part, of_whole in zip(scores(), whole, strict=True):
            assert_array_equal(part, of_whole)
        n_blocks = -(-15 // sample_block)
        assert sum(len(block) for block in seen) == 6 * n_blocks
        n_rows = block_bytes // (11 * np.dtype(dtype).itemsize)
        smallest = 15 % sample_block or 15
        assert max(len(block) for block in seen) <= max(1, n_rows // smallest)


def test_confident_machines_are_attacked_too():
    # A sigmoid of 800 is 1 to the last bit: the gradient of the loss is 0, its sign is not.
    X_fit, X, labels = uniform(11, D), uniform(15, D, seed=1), np.arange(15) % 2
    kernel = FullyConnectedNTK(1)
    options = {"budgets": np.array([0.3]), "norm": np.inf, "box": None}
    scores = []
    for scale in (1e-6, 1.0, 1e6):
        duals = machines_on(kernel, X_fit, 4, 1, scale)
        scores.append(
            score_machines(Pairs(kernel), X_fit, 4, lambda q, d=duals: d[q], X, labels, **options)
        )
    for other in scores[1:]:
        assert_array_equal(scores[0][0], other[0])
        assert_array_equal(scores[0][1], other[1])
    assert (scores[0][1][:, 0] < scores[0][0]).all()


@pytest.mark.parametrize("k", [1, 4])
def test_cotangents_point_along_the_cross_entropy(k):
    outputs = gaussian(3, 5, k)
    labels = np.arange(5) % max(2, k)
    if k == 1:
        expected = expit(outputs) - labels[:, None]
    else:
        expected = softmax(outputs, axis=2) - np.eye(k)[labels]
    cotangents = fgsm_cotangents(outputs, labels)
    assert cotangents.shape == outputs.shape
    length = np.linalg.norm(cotangents, axis=2, keepdims=True)
    expected /= np.linalg.norm(expected, axis=2, keepdims=True)
    assert_allclose(cotangents / length, expected, atol=1e-12)


def test_cotangents_keep_the_precision():
    outputs = gaussian(2, 3, 2).astype(np.float32)
    assert fgsm_cotangents(outputs, np.array([0, 1, 1])).dtype == np.float32
