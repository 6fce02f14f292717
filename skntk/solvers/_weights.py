r"""Weights of samples, as a change of variables before and after any solver.

The loss :math:`\frac12 \sum_i w_i (f(x_i) - y_i)^2` gives, with :math:`S = diag(\sqrt w)`, the dual
coefficients :math:`S \phi_t(S K S + \alpha I) S Y`. So a solver is given the matrix S K S and the
targets S Y, and its coefficients are multiplied by S.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Weighting"]

#: Rows that are scaled at a time.
_HEIGHT = 256


@dataclass(frozen=True, eq=False)
class Weighting:
    """The matrix S, or the identity.

    Attributes
    ----------
    root : ndarray of shape (n,) or None
        Square roots of the weights, in the dtype of the matrix; None stands for ones.
    """

    root: NDArray | None = None

    @classmethod
    def from_weights(cls, weights: NDArray | None, dtype: Any, repeats: int = 1) -> Weighting:
        """S for positive weights of samples, each with that number of rows in the matrix.

        Raises
        ------
        ValueError
            If a weight is so large or so small that its square would leave the range of `dtype`.
        """
        if weights is None:
            return cls()
        limit = float(np.sqrt(np.finfo(dtype).max))
        wrong = weights[~((weights <= limit) & (weights >= 1 / limit))]
        if len(wrong):
            raise ValueError(
                f"sample_weight, multiplied by class_weight if there is one, holds {wrong[0]:.3g}, "
                f"beyond the range of {np.dtype(dtype).name}; divide the weights by their mean, so "
                f"that they lie between {1 / limit:.0e} and {limit:.0e}, or are 0."
            )
        return cls(np.sqrt(np.repeat(weights, repeats)).astype(dtype))

    def vectors(self, vectors: NDArray) -> NDArray:
        """S V, for vectors (n, k)."""
        return vectors if self.root is None else self.root[:, None] * vectors

    def matrix(self, matrix: Any) -> Any:
        """S K S: in place for an array, as an operator for an operator."""
        if self.root is None:
            return matrix
        if not isinstance(matrix, np.ndarray):
            return _WeightedOperator(matrix, self.root)
        for top in range(0, len(matrix), _HEIGHT):
            rows = slice(top, top + _HEIGHT)
            # One product of both factors, so that the matrix stays exactly symmetric.
            matrix[rows] *= np.outer(self.root[rows], self.root)
        return matrix


class _WeightedOperator:
    """Products with S K S, given those with K."""

    def __init__(self, operator: Any, root: NDArray):
        self.operator, self.root = operator, root

    def __matmul__(self, vectors: NDArray) -> NDArray:
        return self.root[:, None] * (self.operator @ (self.root[:, None] * vectors))

    def columns(self, indices: NDArray) -> NDArray:
        """Selected columns (n, b)."""
        return self.operator.columns(indices) * np.outer(self.root, self.root[indices])

    def diagonal(self) -> NDArray:
        """Diagonal (n,)."""
        return self.operator.diagonal() * np.square(self.root)
