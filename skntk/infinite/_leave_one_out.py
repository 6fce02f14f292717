"""All leave-one-out machines of a training set at once, from one matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.targets import as_columns
from ..solvers import Spectrum

__all__ = ["HeldOutOutputs", "LeaveOneOutMachine"]


class HeldOutOutputs:
    r"""Output for every sample of the machine trained without it, at any time and ridge.

    .. math:: f^{(-i)}(x_i) = f(x_i) - (K C)_{ii} A_i / C_{ii}, \quad A = C Y

    with all that does not depend on the two computed once.

    Parameters
    ----------
    spectrum : Spectrum
        All eigenpairs of K.
    targets : ndarray of shape (n, k)
        Y.
    """

    def __init__(self, spectrum: Spectrum, targets: NDArray):
        self.spectrum = spectrum
        self.squares = np.square(spectrum.eigenvectors)
        self.projections = spectrum.eigenvectors.T @ targets

    def __call__(self, time: float, alpha: float) -> NDArray:
        """Outputs (n, k)."""
        phi = self.spectrum.filter(time, alpha)
        filters = np.column_stack([phi, self.spectrum.eigenvalues * phi])  # of C and of K C
        weights = [column[:, None] * self.projections for column in filters.T]
        coefficients, outputs = np.hsplit(self.spectrum.eigenvectors @ np.hstack(weights), 2)
        diagonal, leverage = np.hsplit(self.squares @ filters, 2)
        ratio = np.divide(leverage, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)
        return outputs - ratio * coefficients


@dataclass(frozen=True, eq=False)
class LeaveOneOutMachine:
    r"""The function that at row i is the machine trained without sample i.

    It is a differentiable classifier of exactly the n training samples, perturbed or not, in
    their order.

    Attributes
    ----------
    kernel : NeuralTangentKernel
    X : ndarray of shape (n, d)
    filtered : ndarray of shape (n, n)
        C, symmetric.
    coefficients : ndarray of shape (n, k)
        A = C Y.
    shares : ndarray of shape (n, k)
        :math:`A_i / C_{ii}`.
    classes_ : ndarray of shape (n_classes,)
    """

    kernel: Any
    X: NDArray
    filtered: NDArray
    coefficients: NDArray
    shares: NDArray
    classes_: NDArray

    @classmethod
    def from_filter(
        cls, kernel: Any, X: NDArray, filtered: NDArray, targets: NDArray, classes: NDArray
    ) -> LeaveOneOutMachine:
        r"""All machines from :math:`C = \phi_t(K + \alpha I)` and the targets Y.

        With the dual coefficients A = C Y, those without sample i are

        .. math:: A^{(-i)} = A - C_{\cdot i} A_i / C_{ii},

        exact for :math:`C = (K + \alpha I)^{-1}`.
        """
        coefficients = filtered @ targets
        diagonal = filtered.diagonal()[:, None]
        shares = np.zeros_like(coefficients)
        np.divide(coefficients, diagonal, out=shares, where=diagonal > 0)
        return cls(kernel, X, filtered, coefficients, shares, classes)

    def decision_function(self, X: NDArray) -> NDArray:
        """Outputs (n,) or (n, k) for the first samples, each by the machine without it."""
        outputs = self._outputs(self.kernel(X, self.X))
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def input_vjp(self, X: NDArray, cotangents: NDArray) -> NDArray:
        """Gradient (n, d) of the outputs weighted by cotangents."""
        return self.kernel.input_vjp(X, self.X, self._weights(as_columns(cotangents)))

    def linearize(self, X: NDArray) -> tuple[NDArray, Callable[[NDArray], NDArray]]:
        """Outputs (n, k) and their pullback."""
        gram, pullback = self.kernel.linearize(X, self.X)
        return self._outputs(gram), lambda cotangents: pullback(self._weights(cotangents))

    def _outputs(self, gram: NDArray) -> NDArray:
        n = len(gram)
        of_column = np.einsum("ij,ij->i", gram, self.filtered[:n])
        return gram @ self.coefficients - of_column[:, None] * self.shares[:n]

    def _weights(self, cotangents: NDArray) -> NDArray:
        n = len(cotangents)
        weights = cotangents @ self.coefficients.T
        weights -= np.einsum("ik,ik->i", cotangents, self.shares[:n])[:, None] * self.filtered[:n]
        return weights
