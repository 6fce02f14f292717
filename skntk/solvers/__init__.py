"""From a Gram matrix and targets to dual coefficients: pure functions of arrays.

A solver is one module with a function from a `System` to a `Solution`, and a line in the table
of `_choice`.
"""

from ._choice import SOLVERS, choose_solver, solve
from ._cholesky import solve_cholesky
from ._conjugate_residuals import conjugate_residuals
from ._eigh import eigendecompose
from ._flow import flow_filter
from ._interface import Options, Solution, Solver, System
from ._preconditioner import make_preconditioner, preconditioner_rank
from ._spectrum import Spectrum, ill_conditioned
from ._weights import Weighting

__all__ = [
    "SOLVERS",
    "Options",
    "Solution",
    "Solver",
    "Spectrum",
    "System",
    "Weighting",
    "choose_solver",
    "conjugate_residuals",
    "eigendecompose",
    "flow_filter",
    "ill_conditioned",
    "make_preconditioner",
    "preconditioner_rank",
    "solve",
    "solve_cholesky",
]
