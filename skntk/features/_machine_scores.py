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
from ..infinite._expansion import Expansion

__all__ = [
    "cross_entropy_gradient",
    "fgsm_cotangents",
    "gradient_shares",
    "projection_cotangents",
    "score_machines",
]

#: Largest Gram block of (machine, sample) rows and all training samples.
_BLOCK_BYTES = 128 * 2**20
_SAMPLE_BLOCK = 512


def score_machines(
    expansion: Expansion,
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
    expansion : Expansion
        The way in which the machines are evaluated.
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
        evaluate = expansion.machines(X[rows], X_fit)
        n_rows = _BLOCK_BYTES // (X.itemsize * max(X_fit.shape))
        for machines in _slices(n_machines, max(1, n_rows // len(X[rows]))):
            dual = coefficients(machines)
            outputs, pullback = evaluate(dual)
            clean[machines] += (classify(outputs) == labels[rows]) @ weights[rows]
            if not balls:
                continue
            gradient = pullback(fgsm_cotangents(outputs, labels[rows]))
            for e, (eps, ball) in enumerate(balls):
                points = ball.step(X[rows], gradient, eps)
                outputs = expansion.machine_outputs(points, X_fit, dual)
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
) -> tuple[NDArray, NDArray, NDArray | None]:
    """What the loss gradient is of the gradients of single features (Eq. 46).

    Parameters
    ----------
    residual : ndarray of shape (m, k)
        Gradient of the cross-entropy of the sum of all features, with respect to the outputs.
    projections : ndarray of shape (m, p, r)
        Theta(x, X) v_i: one number, of which all outputs of a feature are multiples; or, of a
        kernel between all outputs, one for each.
    coefficients : ndarray of shape (p, s)
        Factors of the outputs of each feature; one if there is a projection for each output.
    labels : ndarray of shape (m,)
        Class indices.

    Returns
    -------
    weights, own : ndarray of shape (m, p, r)
        Factors of the gradients of Theta(x, X) v_i: in the loss of the sum, and in the feature's.
    alpha : ndarray of shape (m, p), or None
        Their ratio; for two classes that of the residuals, which does not need the coefficients.
        None if each output has a projection of its own, as the gradients then point elsewhere.
    """
    outputs = projections * coefficients
    m, p, k = outputs.shape
    single = cross_entropy_gradient(outputs.reshape(m * p, k), np.repeat(labels, p))
    single = single.reshape(m, p, k)
    weights = projection_cotangents(residual[:, None, :], coefficients)
    own = projection_cotangents(single, coefficients)
    if weights.shape[2] > 1:
        return weights, own, None
    above, below = (residual, single[:, :, 0]) if k == 1 else (weights[:, :, 0], own[:, :, 0])
    alpha = np.divide(above, below, out=np.zeros((m, p), own.dtype), where=below != 0)
    return weights, own, alpha


def projection_cotangents(cotangents: NDArray, coefficients: NDArray) -> NDArray:
    """Cotangents (m, p, k) of the outputs of features as those (m, p, r) of Theta(x, X) v_i."""
    weighted = cotangents * coefficients
    if coefficients.shape[1] < weighted.shape[2]:
        return weighted  # each output is that of a projection of its own
    return weighted.sum(axis=2, keepdims=True)


def _slices(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
