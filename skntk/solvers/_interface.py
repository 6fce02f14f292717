"""The interface of all solvers, from a system and options to a solution with a diagnosis."""

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
    r"""The training problem of a kernel machine: to compute :math:`\phi_t(K + \alpha I) Y`.

    Attributes
    ----------
    matrix : ndarray of shape (n, n), or operator
        K. A stored matrix is exactly symmetric and C-ordered, and the solver may overwrite it.
        An operator has ``@``, ``columns(indices)`` and ``diagonal()``.
    targets : ndarray of shape (n, k)
        Y.
    alpha : float
        Ridge.
    time : float
        Gradient-flow time; may be infinite.
    """

    matrix: Any
    targets: NDArray
    alpha: float = 0.0
    time: float = np.inf


@dataclass(frozen=True, kw_only=True)
class Options:
    """Settings of all solvers, each of which reads those that concern it.

    Attributes
    ----------
    tol : float or None
        Relative residual at which an iteration stops. If None, the square root of the machine
        epsilon.
    max_iter : int
        Largest number of iterations.
    random_state : int, RandomState instance or None
    check_memory : callable
        Called with the number of values about to be allocated; raises MemoryError if they are
        too many.
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
        Solver that computed them, which differs from the requested one if that fell back.
    n_iter : int
        Number of iterations; 1 for a direct solver.
    spectrum : Spectrum or None
        The eigendecomposition, if one was computed.
    diagnosis : Warning or None
        Warning to the user about the solution.
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
        Maps (System, Options) to a Solution; raises ValueError if K + alpha I is indefinite, and
        for no other property of the matrix.
    n_values : callable
        Maps n to the number of values held at once, including the matrix if it must be stored.
    finite_time : bool
        Whether the solver can stop at a finite time.
    iterative : bool
        Whether the solver takes up to `max_iter` steps and needs only products with the matrix.
    """

    solve: Callable[[System, Options], Solution]
    n_values: Callable[[int], int]
    finite_time: bool = False
    iterative: bool = False
