"""Eigendecomposition of the Gram matrix of training samples, its memory checked first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.fit_progress import FitProgress, no_progress
from .._utils.memory import check_memory
from ..solvers import Spectrum, eigendecompose
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
    **options: Any,
) -> Spectrum:
    """Compute a Gram matrix and decompose it in place.

    Parameters
    ----------
    expansion : Expansion
        What makes the matrix.
    X : ndarray of shape (n, d)
        Training samples, or the precomputed matrix.
    n_components : int, default=None
        Number of eigenpairs; None: all.
    what, remedy : str
        For the MemoryError, as in `check_memory`.
    n_rows : int, default=None
        Rows of the matrix; None: n.
    n_matrices : int, default=None
        Matrices of that size that are held at once; None: what the decomposition takes.
    memory_limit : float, default=None
        Bytes the user allows.
    n_jobs : int, default=None
        Joblib workers that share the Gram matrix.
    progress : FitProgress, default=None
        Told of two stages, "gram" and "decompose".
    dtype : dtype, default=None
        Precision of the decomposition; None: that of `X`.
    **options : dict
        For `eigendecompose`.

    Raises
    ------
    MemoryError
        If it would not fit.
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
    with stage("decompose", 1) as on_step:
        spectrum = eigendecompose(gram, n_components, overwrite=True, **options)
        on_step()
    return spectrum
