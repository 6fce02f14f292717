"""From a Gram matrix and targets to dual coefficients: pure functions of arrays."""

from ._cholesky import solve_cholesky
from ._eigh import Spectrum, eigendecompose, warn_ill_conditioned
from ._flow import flow_filter

__all__ = [
    "Spectrum",
    "eigendecompose",
    "flow_filter",
    "solve_cholesky",
    "warn_ill_conditioned",
]
