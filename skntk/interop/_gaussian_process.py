"""Kernels of infinitely wide networks as covariances of scikit-learn's Gaussian processes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process.kernels import Kernel

__all__ = ["NetworkKernel"]


class NetworkKernel(Kernel):
    """A kernel of `skntk.kernels` under the interface of `sklearn.gaussian_process.kernels`.

    It has no hyperparameters that an optimiser changes: those of the network are depths and
    standard deviations, to be chosen by a grid over ``kernel__kernel__depth``.

    Parameters
    ----------
    kernel : NeuralTangentKernel
    nngp : bool, default=False
        Whether the covariance is the network's at initialisation instead of its tangent kernel.
    """

    def __init__(self, kernel: Any, nngp: bool = False):
        self.kernel = kernel
        self.nngp = nngp

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """Covariance (n, m), and if asked for, its empty gradient (n, n, 0)."""
        if eval_gradient and Y is not None:
            raise ValueError("eval_gradient=True needs Y=None, as in scikit-learn's kernels.")
        gram = self.kernel.nngp(X, Y) if self.nngp else self.kernel(X, Y)
        return (gram, np.empty((*gram.shape, 0))) if eval_gradient else gram

    def diag(self, X: Any) -> NDArray:
        """Variance (n,) of each point."""
        kernel = self.kernel._as_nngp() if self.nngp else self.kernel
        return kernel.diag(X)

    def is_stationary(self) -> bool:
        """Return False: the variance grows with the length of an input."""
        return False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kernel!r}{', nngp=True' if self.nngp else ''})"
