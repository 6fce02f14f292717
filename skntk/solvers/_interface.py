"""The interface of all solvers: from a system and options to a solution with a diagnosis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._spectrum import Spectrum

__all__ = ["Options", "Solution", "Solver", "System"]


@dataclass(frozen=True)
class System:
    r"""The training of a kernel machine: :math:`\phi_t(K + \alpha I) Y` is wanted.

    Attributes
    ----------
    matrix : ndarray of shape (n, n), or operator
        K. A stored matrix is exactly symmetric and C-ordered, and is the solver's to destroy.
        An operator has ``@``, ``columns(indices)`` and ``diagonal()``.
    targets : ndarray of shape (n, k)
        Y.
    alpha : float
        Ridge.
    time : float
        Gradient-flow time; infinite for the limit.
    """

    matrix: Any
    targets: NDArray
    alpha: float = 0.0
    time: float = np.inf


@dataclass(frozen=True, kw_only=True)
class Options:
    """Settings, of which each solver reads those that concern it.

    Attributes
    ----------
    tol : float or None
        Relative residual at which an iteration stops; None: the square root of machine epsilon.
    max_iter : int
        Largest number of iterations.
    random_state : int, RandomState instance or None
    check_memory : callable
        Called with a number of values about to be allocated; raises MemoryError.
    on_step : callable
        Called after every step.
    """

    tol: float | None = None
    max_iter: int = 1000
    random_state: Any = None
    check_memory: Callable[[int], None] = lambda n_values: None
    on_step: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class Solution:
    """Dual coefficients, and how they were found.

    Attributes
    ----------
    coefficients : ndarray of shape (n, k)
        Dual coefficients, always finite.
    solver : str
        Which solver they are of: a direct one may have had to give way to another.
    n_iter : int
        Iterations; 1 of a direct solver.
    spectrum : Spectrum or None
        The eigendecomposition, if one was made.
    diagnosis : Warning or None
        What the user should know about the solution, in the user's terms.
    """

    coefficients: NDArray
    solver: str
    n_iter: int = 1
    spectrum: Spectrum | None = None
    diagnosis: Warning | None = None


@dataclass(frozen=True)
class Solver:
    """A row of the table of solvers.

    Attributes
    ----------
    solve : callable
        (System, Options) -> Solution; raises ValueError if K + alpha I is indefinite, and for
        nothing else that a matrix may be.
    n_values : callable
        n -> values that it holds at once, those of the matrix included if it needs that stored.
    finite_time : bool
        Whether it can stop at a finite time.
    iterative : bool
        Whether it takes up to `max_iter` steps and needs no more than products with the matrix.
    """

    solve: Callable[[System, Options], Solution]
    n_values: Callable[[int], int]
    finite_time: bool = False
    iterative: bool = False
