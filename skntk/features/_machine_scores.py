"""Accuracy, clean and under FGSM, of many kernel machines that share one kernel.

All machines share one Gram block and its derivative; each machine then needs only a matrix
product for its gradient, and one for the Gram block of its adversarial examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from .._utils.targets import classify
from ..attacks._balls import make_ball
from ..attacks._losses import LOSSES, as_logits, as_output_cotangents
from ..kernels import NeuralTangentKernel

__all__ = ["cross_entropy_gradient", "fgsm_cotangents", "gradient_shares", "score_machines"]

#: Largest Gram block of (machine, sample) rows and all training samples.
_BLOCK_BYTES = 128 * 2**20
_SAMPLE_BLOCK = 512


def score_machines(
    kernel: NeuralTangentKernel,
    X_fit: NDArray,
    n_machines: int,
    coefficients: Callable[[slice], NDArray],
    X: NDArray,
    labels: NDArray,
    *,
    budgets: NDArray,
    norm: float,
    box: tuple | None,
    weights: NDArray | None = None,
) -> tuple[NDArray, NDArray]:
    r"""Accuracy of each machine :math:`\Theta(x, X) A` (Eq. 3, 4, 14, 15).

    Parameters
    ----------
    kernel : NeuralTangentKernel
    X_fit : ndarray of shape (n, d)
    n_machines : int
    coefficients : callable
        Maps a slice of machines to their dual coefficients, (q, n, k).
    X : ndarray of shape (m, d)
        Test samples.
    labels : ndarray of shape (m,)
        Class indices of the test samples.
    budgets : ndarray of shape (E,) or (E, d)
        Radii of the balls, or their half-axes.
    norm, box
        As for `make_ball`.
    weights : ndarray of shape (m,), default=None
        Weights of the test samples. If None, all are 1.

    Returns
    -------
    clean : ndarray of shape (n_machines,)
        Fraction of the samples, or of their weight, classified correctly.
    robust : ndarray of shape (n_machines, E)
        The same after one FGSM step on the machine's own cross-entropy with the true labels.
    """
    clean, robust = np.zeros(n_machines), np.zeros((n_machines, len(budgets)))
    weights = np.ones(len(X)) if weights is None else weights
    for rows in _slices(len(X), _SAMPLE_BLOCK):
        balls = [(eps, make_ball(norm, X[rows], eps, box)) for eps in budgets]
        gram, pullback = kernel.linearize(X[rows], X_fit)
        n_rows = _BLOCK_BYTES // (X.itemsize * max(X_fit.shape))
        for machines in _slices(n_machines, max(1, n_rows // len(gram))):
            dual = coefficients(machines)
            outputs = gram @ dual
            clean[machines] += (classify(outputs) == labels[rows]) @ weights[rows]
            cotangents = fgsm_cotangents(outputs, labels[rows])
            gradient = pullback(cotangents @ dual.transpose(0, 2, 1))
            for e, (eps, ball) in enumerate(balls):
                outputs = _outputs(kernel, X_fit, ball.step(X[rows], gradient, eps), dual)
                robust[machines, e] += (classify(outputs) == labels[rows]) @ weights[rows]
    return clean / weights.sum(), robust / weights.sum()


def fgsm_cotangents(outputs: NDArray, labels: NDArray) -> NDArray:
    """Direction of the cross-entropy gradient in output space, for outputs (q, m, k)."""
    q, m, k = outputs.shape
    logits = as_logits(outputs.reshape(q * m, k))
    (cotangents,) = LOSSES["cross_entropy"].cotangents(logits, np.tile(labels, q))
    return as_output_cotangents(cotangents, k).reshape(q, m, k).astype(outputs.dtype)


def cross_entropy_gradient(outputs: NDArray, labels: NDArray) -> NDArray:
    r"""Gradient :math:`\sigma(f) - \hat y` of the cross-entropy, for outputs (m, k)."""
    logits = as_logits(outputs)
    residual = softmax(logits, axis=1) - np.eye(logits.shape[1])[labels]
    return as_output_cotangents(residual, outputs.shape[1]).astype(outputs.dtype)


def gradient_shares(
    residual: NDArray, projections: NDArray, coefficients: NDArray, labels: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """What the loss gradient is of the gradients of single features (Eq. 46).

    All outputs of a feature are multiples of Theta(x, X) v_i, and so are the gradients.

    Parameters
    ----------
    residual : ndarray of shape (m, k)
        Gradient of the cross-entropy of the sum of all features, with respect to the outputs.
    projections : ndarray of shape (m, p)
        Theta(x, X) v_i.
    coefficients : ndarray of shape (p, k)
        Factors of the outputs of each feature.
    labels : ndarray of shape (m,)
        Class indices.

    Returns
    -------
    weights, own : ndarray of shape (m, p)
        Factors of the gradient of Theta(x, X) v_i: in the loss of the sum, and in the feature's.
    alpha : ndarray of shape (m, p)
        Their ratio; for two classes that of the residuals, which does not need the coefficients.
    """
    outputs = projections[:, :, None] * coefficients
    m, p, k = outputs.shape
    single = cross_entropy_gradient(outputs.reshape(m * p, k), np.repeat(labels, p))
    single = single.reshape(m, p, k)
    weights = residual @ coefficients.T
    own = np.einsum("mpk,pk->mp", single, coefficients)
    above, below = (residual, single[:, :, 0]) if k == 1 else (weights, own)
    alpha = np.divide(above, below, out=np.zeros_like(own), where=below != 0)
    return weights, own, alpha


def _outputs(
    kernel: NeuralTangentKernel, X_fit: NDArray, points: NDArray, dual: NDArray
) -> NDArray:
    """Outputs (q, m, k) of each machine at its own points (q, m, d)."""
    q, m, d = points.shape
    return kernel(points.reshape(q * m, d), X_fit).reshape(q, m, -1) @ dual


def _slices(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
