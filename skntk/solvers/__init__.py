"""From a Gram matrix and targets to dual coefficients: pure functions of arrays."""

from ._cg import conjugate_gradients, warn_not_converged
from ._cholesky import solve_cholesky
from ._eigh import Spectrum, eigendecompose, warn_ill_conditioned
from ._flow import flow_filter
from ._preconditioner import make_preconditioner, preconditioner_rank

__all__ = [
    "Spectrum",
    "conjugate_gradients",
    "eigendecompose",
    "flow_filter",
    "make_preconditioner",
    "preconditioner_rank",
    "solve_cholesky",
    "warn_ill_conditioned",
    "warn_not_converged",
]
