"""The table of solvers, and which of them "auto" is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._cg import CG
from ._cholesky import CHOLESKY
from ._eigh import EIGH
from ._interface import Options, Solution, Solver, System

__all__ = ["CHOLESKY_LIMIT", "SOLVERS", "choose_solver", "solve"]

#: A new solver is one file and one line here.
SOLVERS: dict[str, Solver] = {"cholesky": CHOLESKY, "eigh": EIGH, "cg": CG}

#: Rows up to which "auto" factorises the matrix at infinite time, and from which it iterates.
CHOLESKY_LIMIT = 30_000


def solve(name: str, system: System, options: Options) -> Solution:
    """Solve a system by the solver of that name."""
    return SOLVERS[name].solve(system, options)


def choose_solver(
    n: int, time: float, *, fits: Callable[[], bool]
) -> tuple[str, ConvergenceWarning | None]:
    """Solver that "auto" stands for, by the number of rows alone unless memory forbids it.

    Parameters
    ----------
    n : int
        Rows of the matrix.
    time : float
        Gradient-flow time.
    fits : callable
        Whether the matrix fits in memory, asked for only where it decides.

    Returns
    -------
    name : str
    warning : ConvergenceWarning or None
        That memory has decided.
    """
    if not np.isinf(time):
        return "eigh", None
    if n > CHOLESKY_LIMIT:
        return "cg", None
    if fits():
        return "cholesky", None
    return "cg", ConvergenceWarning(
        f"solver='auto' is 'cholesky' for {n} rows, whose Gram matrix does not fit in memory here: "
        "'cg' is used instead, whose solution is accurate to tol only. Pass solver='cg' to choose "
        "it on every machine alike, or free memory."
    )
