"""A preconditioner: a low-rank approximation of a Gram matrix from a few of its columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.utils import check_random_state

__all__ = [
    "LowRankPreconditioner",
    "make_preconditioner",
    "pivoted_cholesky",
    "preconditioner_rank",
]

#: Pivots drawn at a time, since a block of columns costs little more than one column.
_BLOCK = 100


@dataclass(frozen=True)
class LowRankPreconditioner:
    r"""Inverse of :math:`U \Lambda U^T + \mu I` up to a factor, where U has few columns.

    Components orthogonal to U are left unchanged. Components along U are divided by their
    eigenvalue relative to the smallest one kept, so that the preconditioner works without a ridge
    as well (Frangella, Tropp and Udell, "Randomized Nystrom preconditioning", 2023).

    Attributes
    ----------
    basis : ndarray of shape (n, r)
        U, orthonormal.
    shrinkage : ndarray of shape (r,)
        :math:`1 - (\lambda_r + \mu) / (\lambda_i + \mu)`.
    """

    basis: NDArray
    shrinkage: NDArray

    def __call__(self, residual: NDArray) -> NDArray:
        """Apply to vectors (n, k)."""
        return residual - self.basis @ (self.shrinkage[:, None] * (self.basis.T @ residual))

    @classmethod
    def from_factor(cls, factor: NDArray, alpha: float) -> LowRankPreconditioner:
        """Preconditioner for the matrix ``factor @ factor.T + alpha * I``."""
        basis, singular_values, _ = scipy.linalg.svd(
            factor, full_matrices=False, overwrite_a=True, check_finite=False
        )
        values = np.square(singular_values) + factor.dtype.type(alpha)
        keep = values > 10 * np.finfo(values.dtype).eps * values[:1]
        values = values[keep].astype(np.float64)
        shrinkage = 1 - values[-1:] / values
        # In float64, as the vectors that it is applied to.
        return cls(basis[:, keep].astype(np.float64, order="C"), shrinkage)


def preconditioner_rank(n: int) -> int:
    """Number of columns from which a preconditioner is made."""
    return min(n, math.ceil(8 * math.sqrt(n)))


def make_preconditioner(gram: Any, alpha: float, random_state: Any = None) -> LowRankPreconditioner:
    """Preconditioner of a Gram matrix, from about 8 sqrt(n) of its columns.

    Parameters
    ----------
    gram : ndarray of shape (n, n), or object with methods columns(indices) and diagonal()
    alpha : float
        Ridge.
    random_state : int, RandomState instance or None, default=None
        Determines the choice of columns.
    """
    columns = getattr(gram, "columns", None) or (lambda indices: gram[:, indices])
    diagonal = gram.diagonal()
    rank = preconditioner_rank(len(diagonal))
    factor = pivoted_cholesky(columns, diagonal, rank, check_random_state(random_state))
    return LowRankPreconditioner.from_factor(factor, alpha)


def pivoted_cholesky(
    columns: Callable[[NDArray], NDArray],
    diagonal: NDArray,
    rank: int,
    random: np.random.RandomState,
) -> NDArray:
    """Factor F (n, r) with F F^T close to a positive semi-definite matrix.

    Columns are drawn with probabilities proportional to the diagonal of the residual, which
    finds the directions of large eigenvalues and ignores outliers (Chen, Epperly, Tropp and
    Webber, "Randomly pivoted Cholesky", 2022).

    Parameters
    ----------
    columns : callable
        Maps indices (b,) to columns (n, b).
    diagonal : ndarray of shape (n,)
        Diagonal of the matrix.
    rank : int
        Largest number of columns.
    random : RandomState

    Returns
    -------
    factor : ndarray of shape (n, r)
        r is `rank`, or less if the residual vanishes before.
    """
    n = len(diagonal)
    lacking = np.maximum(diagonal, 0).astype(np.float64)
    negligible = 10 * np.finfo(diagonal.dtype).eps * lacking.max(initial=0)
    factor = np.zeros((n, rank), diagonal.dtype)
    done = 0
    while done < rank and lacking.max() > negligible:
        size = min(_BLOCK, rank - done)
        drawn = random.choice(n, size=size, p=lacking / lacking.sum())
        pivots = np.unique(drawn)
        new = columns(pivots) - factor[:, :done] @ factor[pivots, :done].T
        core = new[pivots].astype(np.float64)
        # By eigenvalues rather than Cholesky, since the core may be indefinite if pivots are
        # nearly equal or the matrix is not quite positive semi-definite.
        values, vectors = scipy.linalg.eigh((core + core.T) / 2, check_finite=False)
        keep = values > 10 * negligible
        if not keep.any():
            break
        new = new @ (vectors[:, keep] / np.sqrt(values[keep]))
        width = new.shape[1]
        factor[:, done : done + width] = new
        done += width
        lacking = np.maximum(lacking - np.square(new).sum(axis=1), 0)
    return factor[:, :done]
