"""Eigendecomposition of the Gram matrix of training samples, after a check of memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.fit_progress import FitProgress, no_progress
from .._utils.memory import check_memory
from ..solvers import Spectrum, Weighting, eigendecompose
from ._expansion import Expansion

__all__ = ["training_spectrum"]


def training_spectrum(
    expansion: Expansion,
    X: NDArray,
    n_components: int | None = None,
    *,
    what: str,
    remedy: str,
    n_rows: int | None = None,
    n_matrices: int | None = None,
    memory_limit: float | None = None,
    n_jobs: int | None = None,
    progress: FitProgress | None = None,
    dtype: Any = None,
    weighting: Weighting | None = None,
    **options: Any,
) -> Spectrum:
    """Compute a Gram matrix and decompose it in place.

    Parameters
    ----------
    expansion : Expansion
        Computes the matrix.
    X : ndarray of shape (n, d)
        Training samples, or the precomputed matrix.
    n_components : int, default=None
        Number of eigenpairs. If None, all are computed.
    what, remedy : str
        Parts of the message of a MemoryError; see `check_memory`.
    n_rows : int, default=None
        Number of rows of the matrix. If None, n.
    n_matrices : int, default=None
        Number of matrices of that size held at once. If None, what the decomposition needs.
    memory_limit : float, default=None
        Bytes that n x n matrices may take. If None, all available memory.
    n_jobs : int, default=None
        Number of joblib workers that compute the Gram matrix.
    progress : FitProgress, default=None
        Receives two stages, "gram" and "decompose".
    dtype : dtype, default=None
        Precision of the decomposition. If None, that of `X`.
    weighting : Weighting, default=None
        Weights of the rows: S K S is decomposed in place of K.
    **options : dict
        Further arguments of `eigendecompose`.

    Raises
    ------
    MemoryError
        If the matrices would not fit in memory.
    """
    if n_matrices is None:
        n_matrices = 3 if n_components is None else 2
    dtype = X.dtype if dtype is None else np.dtype(dtype)
    check_memory(
        n_matrices * (n_rows or len(X)) ** 2 * dtype.itemsize,
        what=what,
        n=len(X),
        remedy=remedy,
        limit=memory_limit,
    )
    stage = no_progress if progress is None else progress.stage
    with stage("gram", expansion.n_blocks(len(X))) as on_step:
        gram = expansion.gram(X, n_jobs, on_step).astype(dtype, copy=False)
    if weighting is not None:
        gram = weighting.matrix(gram)
    with stage("decompose", 1) as on_step:
        spectrum = eigendecompose(gram, n_components, overwrite=True, **options)
        on_step()
    return spectrum
