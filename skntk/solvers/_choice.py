"""The table of solvers, and the rule by which "auto" chooses one of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._cg import CG
from ._cholesky import CHOLESKY
from ._eigh import EIGH
from ._interface import Options, Solution, Solver, System

__all__ = ["CHOLESKY_LIMIT", "EIGH_LIMIT", "SOLVERS", "choose_solver", "solve"]

#: A new solver is one file and one line here.
SOLVERS: dict[str, Solver] = {"cholesky": CHOLESKY, "eigh": EIGH, "cg": CG}

#: Rows up to which "auto" factorises the matrix at infinite time, and from which it iterates.
CHOLESKY_LIMIT = 30_000

#: Rows up to which "auto" decomposes the matrix at a finite time, which takes minutes beyond.
EIGH_LIMIT = 10_000


def solve(name: str, system: System, options: Options) -> Solution:
    """Solve a system by the solver of that name."""
    return SOLVERS[name].solve(system, options)


def choose_solver(
    n: int, time: float, *, fits: Callable[[int], bool]
) -> tuple[str, ConvergenceWarning | None]:
    """Solver that "auto" stands for: it depends on the number of rows, and on memory if short.

    Parameters
    ----------
    n : int
        Rows of the matrix.
    time : float
        Gradient-flow time.
    fits : callable
        Whether so many values fit in memory; called only if the choice depends on it.

    Returns
    -------
    name : str
    warning : ConvergenceWarning or None
        Says that the choice was made for lack of memory.
    """
    name, limit = ("cholesky", CHOLESKY_LIMIT) if np.isinf(time) else ("eigh", EIGH_LIMIT)
    if n > limit:
        return "cg", None
    if fits(SOLVERS[name].n_values(n)):
        return name, None
    return "cg", ConvergenceWarning(
        f"solver='auto' means {name!r} for {n} rows, but what it needs does not fit in memory "
        "here: 'cg' is used instead, whose solution is accurate to tol only. Pass solver='cg' to "
        "use it on every machine alike, or free memory."
    )
