r"""All leave-one-out machines of a training set at once, from one eigendecomposition.

With a ridge z, real or complex, :math:`C = (K + zI)^{-1}` and :math:`A = C Y`, the machine without
sample i has the dual coefficients :math:`A - C_{\cdot i} r_i`, where :math:`r_i = A_i / C_{ii}`. A
finite time is a sum of such resolvents: the contour integral of :math:`\phi_t` by quadrature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.targets import as_columns
from ..solvers import Spectrum, Weighting

__all__ = ["LeaveOneOut", "LeaveOneOutMachine"]

#: Nodes of the quadrature: its error falls by a factor 3.89 with each, to rounding.
_N_NODES = 24
#: Rate times time from which on a direction has been learnt, to rounding.
_LEARNT = 50


class LeaveOneOut:
    r"""Outputs and dual coefficients of the machines without a sample, at any time and ridge.

    Parameters
    ----------
    spectrum : Spectrum
        All eigenpairs of K, or with weights of S K S, in which a machine without sample i has
        :math:`\sqrt{w_i}` times its output for it.
    targets : ndarray of shape (n, k)
        Y.
    weighting : Weighting, default=None
        S. If None, the identity.
    """

    def __init__(self, spectrum: Spectrum, targets: NDArray, weighting: Weighting | None = None):
        self.spectrum, self.weighting = spectrum, weighting or Weighting()
        self.targets = self.weighting.vectors(targets)
        self.vectors = spectrum.eigenvectors
        self.squares = np.square(self.vectors)
        self.projections = self.vectors.T @ self.targets

    def outputs(self, time: float, alpha: float) -> NDArray:
        """Output (n, k) for every sample of the machine trained without it."""
        outputs, root = self._weighted_outputs(time, alpha), self.weighting.root
        return outputs if root is None else outputs / root[:, None]

    def _weighted_outputs(self, time: float, alpha: float) -> NDArray:
        self.spectrum.check_definite(time, alpha)
        if self._is_limit(time, alpha):
            return self._limit_outputs(alpha)
        values = self._values(alpha)
        total = np.zeros(self.targets.shape)
        for pole, weight in self._resolvents(time, alpha):
            total += (weight * (self.targets - self._shares(values, pole))).real
        return total

    def coefficients(self, time: float, alpha: float) -> NDArray:
        """Dual coefficients (n, n, k) of the machine without each sample, its own being 0."""
        self.spectrum.check_definite(time, alpha)
        if self._is_limit(time, alpha):
            phi, corrections = self._limit_corrections(alpha)
        else:
            values = self._values(alpha)
            phi, corrections = np.zeros(len(values)), np.zeros((*self.targets.shape, len(values)))
            for pole, weight in self._resolvents(time, alpha):
                resolvent = weight / (values + pole)
                phi += resolvent.real
                corrections += (self._shares(values, pole)[:, :, None] * resolvent).real
        whole = self.vectors @ (phi[:, None] * self.projections)
        # Of machine i, sum_l V_jl V_il corrections_il.
        parts = [(self.vectors * part) @ self.vectors.T for part in corrections.swapaxes(0, 1)]
        return self.weighting.vectors(whole - np.stack(parts, axis=2))

    def whole(self, time: float, alpha: float) -> NDArray:
        """Dual coefficients (n, k) of the machine trained on all samples."""
        coefficients = self.spectrum.coefficients(self.targets, time, alpha)
        return self.weighting.vectors(coefficients)

    def _shares(self, values: NDArray, pole: complex) -> NDArray:
        """R (n, k) of the resolvent with that ridge."""
        resolvent = 1 / (values + pole)
        shares = self.vectors @ (resolvent[:, None] * self.projections)
        return shares / (self.squares @ resolvent)[:, None]

    def _values(self, alpha: float) -> NDArray:
        """Eigenvalues; with no ridge above them, those that rounding has swamped as 0."""
        values = self.spectrum.eigenvalues
        if alpha > 0 and self.spectrum.hides_rounding(np.inf, alpha):
            return values
        return np.where(self.spectrum.resolved, values, 0)

    def _resolvents(self, time: float, alpha: float) -> list[tuple[complex, complex]]:
        """Poles z and weights w with phi_t(lambda + alpha) = Re sum w / (lambda + z)."""
        if time == 0:
            return []
        if np.isinf(time):
            return [(alpha, 1.0)]
        # The contour goes around the negative real axis and, beyond 0, around rates that grow.
        shift = max(0.0, -(float(self.spectrum.eigenvalues.min()) + alpha)) * time
        return [
            (alpha + (s + shift) / time, weight * np.exp(shift) / (s + shift))
            for s, weight in _contour()
        ]

    def _is_limit(self, time: float, alpha: float) -> bool:
        """Whether the machine is the limit of no ridge, to which its sum would be blind."""
        if alpha > 0 and self.spectrum.hides_rounding(np.inf, alpha):
            return False
        kept = self.spectrum.eigenvalues[self.spectrum.resolved]
        return not len(kept) or bool(kept.min() * time > _LEARNT)

    def _limit(self, alpha: float) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Filter (p,), shares (n, k), null-space part (n, k) of Y, and its diagonal (n, 1).

        The diagonal of the projector on the null space is 0 for samples that no other can stand
        in for: without them the matrix has a rank less.
        """
        phi, null = self.spectrum.filter(np.inf, alpha), ~self.spectrum.resolved
        coefficients = self.vectors @ (phi[:, None] * self.projections)
        inverse = (self.squares @ phi)[:, None]
        unseen = self.vectors[:, null] @ self.projections[null]
        diagonal = self.squares[:, null].sum(axis=1)[:, None]
        diagonal = np.where(diagonal > self._noise(), diagonal, 0)
        in_place = _divide(unseen, diagonal)
        shares = np.where(diagonal > 0, in_place, _divide(coefficients, inverse))
        return phi, shares, unseen, diagonal

    def _limit_outputs(self, alpha: float) -> NDArray:
        phi, shares, _, _ = self._limit(alpha)
        fitted = self.spectrum.eigenvalues * phi
        outputs = self.vectors @ (fitted[:, None] * self.projections)
        return outputs - (self.squares @ fitted)[:, None] * shares

    def _limit_corrections(self, alpha: float) -> tuple[NDArray, NDArray]:
        phi, shares, unseen, diagonal = self._limit(alpha)
        coefficients = self.vectors @ (phi[:, None] * self.projections)
        inverse = (self.squares @ phi)[:, None]
        second = _divide(coefficients * diagonal - unseen * inverse, diagonal**2)
        null = ~self.spectrum.resolved
        return phi, shares[:, :, None] * phi + second[:, :, None] * null

    def _noise(self) -> float:
        """What rounding may leave of a squared component of an eigenvector."""
        values = np.abs(self.spectrum.eigenvalues)
        kept = values[self.spectrum.resolved]
        if not len(kept):
            return 0.0
        apart = 10 * np.finfo(values.dtype).eps * kept.max() / kept.min()
        return float(min(1e-4, len(values) * apart**2))


def _contour() -> list[tuple[complex, complex]]:
    r"""Nodes s and weights w with :math:`\oint e^s F(s) ds / 2 \pi i = Re \sum w F(s)`.

    Talbot's contour as modified by Weideman; of each pair of conjugate nodes, one (Trefethen,
    Weideman and Schmelzer, "Talbot quadratures and rational approximations", 2006).
    """
    theta = np.arange(1, _N_NODES, 2) * np.pi / _N_NODES
    angle = 0.6407 * theta
    nodes = _N_NODES * (0.5017 * theta / np.tan(angle) - 0.6122 + 0.2645j * theta)
    slopes = 0.5017 / np.tan(angle) - 0.5017 * angle / np.sin(angle) ** 2 + 0.2645j
    weights = -2j * np.exp(nodes) * slopes
    return list(zip(nodes.tolist(), weights.tolist(), strict=True))


def _divide(numerator: NDArray, denominator: NDArray) -> NDArray:
    out = np.zeros(np.broadcast_shapes(numerator.shape, denominator.shape))
    return np.divide(numerator, denominator, out=out, where=denominator > 0)


@dataclass(frozen=True, eq=False)
class LeaveOneOutMachine:
    r"""The function that at row i is the machine trained without sample i.

    It is a differentiable classifier of exactly the n training samples, perturbed or not, in
    their order.

    Attributes
    ----------
    kernel : NeuralTangentKernel
    X : ndarray of shape (n, d)
    coefficients : ndarray of shape (n, n, k)
        Dual coefficients of each machine.
    classes_ : ndarray of shape (n_classes,)
    """

    kernel: Any
    X: NDArray
    coefficients: NDArray
    classes_: NDArray

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
        return np.einsum("ij,ijk->ik", gram, self.coefficients[: len(gram)])

    def _weights(self, cotangents: NDArray) -> NDArray:
        return np.einsum("ik,ijk->ij", cotangents, self.coefficients[: len(cotangents)])
