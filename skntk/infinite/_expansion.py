r"""The three ways in which :math:`f(x) = \Theta(x, X) A` is evaluated, behind one interface.

The kernel either has one value per pair of samples, or is a kernel between all outputs of a network
(Eq. 37-40), whose matrices are not formed to predict, or its values are given by the user.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels import NeuralTangentKernel
from ..kernels._base import Pullback
from ..kernels._gram import GramOperator, gram_matrix, row_blocks, upper_blocks

__all__ = ["AllOutputs", "Expansion", "Pairs", "Precomputed"]


#: From coefficients (q, n, k) to outputs (q, m, k) and their pullback.
Machines = Callable[[NDArray], tuple[NDArray, Pullback]]


class Expansion(ABC):
    """Computes the Gram matrix of training samples, and evaluates the machine."""

    #: Whether products with the matrix can be computed without storing it.
    has_operator = False

    @abstractmethod
    def gram(self, X: NDArray, n_jobs: int | None, on_step: Callable[[], Any]) -> NDArray:
        """Matrix to solve with, which the caller may overwrite."""

    def n_blocks(self, n: int) -> int:
        """Number of times that `gram` calls `on_step`."""
        return 1

    def rows(self, targets: NDArray) -> NDArray:
        """Targets (n, k) in the rows of the matrix, in place of samples."""
        return targets

    @abstractmethod
    def outputs(self, X: NDArray, X_fit: NDArray, coefficients: NDArray) -> NDArray:
        """Outputs (m, k)."""

    @abstractmethod
    def linearize(
        self, X: NDArray, X_fit: NDArray, coefficients: NDArray
    ) -> tuple[NDArray, Pullback]:
        """Outputs (m, k) and a pullback from cotangents (m, k) to gradients (m, d)."""

    def input_vjp(
        self, X: NDArray, X_fit: NDArray, coefficients: NDArray, cotangents: NDArray
    ) -> NDArray:
        """Gradient (m, d) of the outputs weighted by cotangents (m, k)."""
        return self.linearize(X, X_fit, coefficients)[1](cotangents)

    def machines(self, X: NDArray, X_fit: NDArray) -> Machines:
        """Function from coefficients (q, n, k) to outputs (q, m, k) and their pullback.

        The pullback maps cotangents (q, m, k) to gradients (q, m, d).
        """

        def evaluate(coefficients: NDArray) -> tuple[NDArray, Pullback]:
            each = [self.linearize(X, X_fit, A) for A in coefficients]

            def pullback(cotangents: NDArray) -> NDArray:
                return np.stack([pull(c) for (_, pull), c in zip(each, cotangents, strict=True)])

            return np.stack([outputs for outputs, _ in each]), pullback

        return evaluate

    def machine_outputs(self, X: NDArray, X_fit: NDArray, coefficients: NDArray) -> NDArray:
        """Outputs (q, m, k) of machines (q, n, k), each at points (q, m, d) of its own."""
        each = zip(X, coefficients, strict=True)
        return np.stack([self.outputs(points, X_fit, A) for points, A in each])

    def projections(self, X: NDArray, X_fit: NDArray, vectors: NDArray) -> tuple[NDArray, Pullback]:
        """Products (m, p, r) of Theta(x, X) with vectors (N, p), and their pullback.

        A vector has a number for each row of the matrix. The pullback maps cotangents (m, p, r) to
        the gradients (m, p, d) of each product.
        """
        coefficients = vectors.T.reshape(vectors.shape[1], len(X_fit), -1)
        outputs, pullback = self.machines(X, X_fit)(coefficients)
        return _swapped(outputs), lambda c: _swapped(pullback(_swapped(c)))

    def project(self, X: NDArray, X_fit: NDArray, vectors: NDArray) -> NDArray:
        """The products (m, p, r) alone."""
        return self.projections(X, X_fit, vectors)[0]

    def project_vjp(
        self, X: NDArray, X_fit: NDArray, vectors: NDArray, cotangents: NDArray
    ) -> NDArray:
        """Gradient (m, d) of the products weighted by cotangents (m, p, r)."""
        return self.projections(X, X_fit, vectors)[1](cotangents).sum(axis=1)


class Pairs(Expansion):
    """A kernel with one value per pair of samples."""

    has_operator = True

    def __init__(self, kernel: NeuralTangentKernel):
        self.kernel = kernel

    def gram(self, X: NDArray, n_jobs: int | None, on_step: Callable[[], Any]) -> NDArray:
        return gram_matrix(self.kernel, X, n_jobs, on_step=on_step)

    def operator(self, X: NDArray, n_jobs: int | None) -> GramOperator:
        """Operator for products with the matrix, which is not stored."""
        return GramOperator(self.kernel, X, n_jobs)

    def n_blocks(self, n: int) -> int:
        return len(upper_blocks(self.kernel, n))

    def outputs(self, X: NDArray, X_fit: NDArray, coefficients: NDArray) -> NDArray:
        blocks = row_blocks(len(X), len(X_fit), X.itemsize)
        products = [
            self.kernel._block(X[rows], X_fit, (("X", rows.start), ("X_fit_", 0))) @ coefficients
            for rows in blocks
        ]
        return np.concatenate(products)

    def linearize(
        self, X: NDArray, X_fit: NDArray, coefficients: NDArray
    ) -> tuple[NDArray, Pullback]:
        gram, pullback = self.kernel.linearize(X, X_fit)
        return gram @ coefficients, lambda c: pullback(c @ coefficients.T)

    def input_vjp(
        self, X: NDArray, X_fit: NDArray, coefficients: NDArray, cotangents: NDArray
    ) -> NDArray:
        gradients = [
            self.kernel.input_vjp(X[rows], X_fit, cotangents[rows] @ coefficients.T)
            for rows in row_blocks(len(X), len(X_fit), X.itemsize)
        ]
        return np.concatenate(gradients)

    def machines(self, X: NDArray, X_fit: NDArray) -> Machines:
        gram, pullback = self.kernel.linearize(X, X_fit)  # shared by all machines

        def evaluate(coefficients: NDArray) -> tuple[NDArray, Pullback]:
            transposed = coefficients.swapaxes(1, 2)
            return gram @ coefficients, lambda c: pullback(c @ transposed)

        return evaluate

    def machine_outputs(self, X: NDArray, X_fit: NDArray, coefficients: NDArray) -> NDArray:
        q, m, d = X.shape
        return self.kernel(X.reshape(q * m, d), X_fit).reshape(q, m, -1) @ coefficients

    def project(self, X: NDArray, X_fit: NDArray, vectors: NDArray) -> NDArray:
        blocks = row_blocks(len(X), len(X_fit), X.itemsize)
        return np.concatenate([self.kernel(X[rows], X_fit) @ vectors for rows in blocks])[..., None]

    def projections(self, X: NDArray, X_fit: NDArray, vectors: NDArray) -> tuple[NDArray, Pullback]:
        gram, pullback = self.kernel.linearize(X, X_fit)

        def pull_back(cotangents: NDArray) -> NDArray:
            return _swapped(pullback(_swapped(cotangents) * vectors.T[:, None, :]))

        return (gram @ vectors)[:, :, None], pull_back

    def project_vjp(
        self, X: NDArray, X_fit: NDArray, vectors: NDArray, cotangents: NDArray
    ) -> NDArray:
        return self.input_vjp(X, X_fit, vectors, cotangents[:, :, 0])


class AllOutputs(Expansion):
    """A tangent kernel between all outputs; a row of its matrix is sample * k + output."""

    def __init__(self, kernel: Any):
        self.kernel = kernel

    def gram(self, X: NDArray, n_jobs: int | None, on_step: Callable[[], Any]) -> NDArray:
        gram = self.kernel.full(X)
        on_step()
        return gram

    def rows(self, targets: NDArray) -> NDArray:
        return targets.reshape(-1, 1)

    def outputs(self, X: NDArray, X_fit: NDArray, coefficients: NDArray) -> NDArray:
        return self.linearize(X, X_fit, coefficients)[0]

    def linearize(
        self, X: NDArray, X_fit: NDArray, coefficients: NDArray
    ) -> tuple[NDArray, Pullback]:
        return self.kernel.full_linearize(X, X_fit, coefficients)

    def project(self, X: NDArray, X_fit: NDArray, vectors: NDArray) -> NDArray:
        n_rows, p = vectors.shape
        k = n_rows // len(X_fit)
        products = [
            self.kernel.full(X[rows], X_fit) @ vectors
            for rows in row_blocks(len(X), k * n_rows, X.itemsize)
        ]
        return np.concatenate(products).reshape(len(X), k, p).swapaxes(1, 2)


class Precomputed(Expansion):
    """Kernel values Theta(x, X) that are given in place of inputs x."""

    def gram(self, X: NDArray, n_jobs: int | None, on_step: Callable[[], Any]) -> NDArray:
        _check_symmetric(X)
        gram = X + X.T  # exactly symmetric, and a copy
        gram /= 2
        on_step()
        return gram

    def outputs(self, X: NDArray, X_fit: Any, coefficients: NDArray) -> NDArray:
        return X @ coefficients

    def linearize(self, X: NDArray, X_fit: Any, coefficients: NDArray) -> Any:
        raise ValueError(
            "kernel='precomputed' has no input to differentiate with respect to; fit with a "
            "kernel from skntk.kernels."
        )


def _swapped(array: NDArray) -> NDArray:
    return array.swapaxes(0, 1)


def _check_symmetric(gram: NDArray) -> None:
    """Raise ValueError if a matrix differs from its transpose by more than rounding."""
    blocks = row_blocks(len(gram), len(gram), gram.itemsize)
    largest = max(float(np.abs(gram[rows]).max()) for rows in blocks)
    apart = max(float(np.abs(gram[rows] - gram[:, rows].T).max()) for rows in blocks)
    if apart > np.sqrt(np.finfo(gram.dtype).eps) * largest:
        raise ValueError(
            f"The precomputed kernel is not symmetric: entries (i, j) and (j, i) differ by up to "
            f"{apart:.3g}, where the largest entry is {largest:.3g}. Select the same samples, in "
            "the same order, by rows and by columns. Meta-estimators that resample by rows alone "
            "cannot take a precomputed kernel; give them a kernel from skntk.kernels, and inputs. "
            "If the entries differ by rounding, pass (K + K.T) / 2."
        )
