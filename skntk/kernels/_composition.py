"""Sums, products and multiples of kernels, and sums with numbers: kernels themselves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from operator import add, mul
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._utils.validation import check_real
from ._base import OPERATIONS, NeuralTangentKernel, Pullback
from ._constant import ConstantKernel
from ._gram import upper_blocks

__all__ = ["ProductKernel", "ScaledKernel", "SumKernel"]


class _Composition(NeuralTangentKernel):
    """A kernel made of others, its parts, whose samples and checks it shares."""

    @property
    @abstractmethod
    def _parts(self) -> tuple[NeuralTangentKernel, ...]: ...

    @property
    def block_size(self) -> int:  # type: ignore[override]
        """Samples on each side of a block: as many as the part that needs most."""
        return max(part.block_size for part in self._parts)

    @property
    def _n_matrices(self) -> int:  # type: ignore[override]
        return sum(part._n_matrices for part in self._parts)

    @property
    def _if_not_finite(self) -> str:  # type: ignore[override]
        return ", or ".join(dict.fromkeys(part._if_not_finite for part in self._parts))

    def check_parameters(self, n_features: int) -> None:
        for part in self._parts:
            part.check_parameters(n_features)

    def prepare(self) -> None:
        for part in self._parts:
            part.prepare()

    def _validate(self, X: ArrayLike, Z: ArrayLike | None) -> tuple[Any, Any]:
        X, Z = super()._validate(X, Z)
        for part in self._parts:
            part._validate(X, Z)
        return X, Z


class _Pair(_Composition):
    """Two kernels combined entry by entry by a ufunc."""

    _ufunc: np.ufunc

    def __init__(self, left: NeuralTangentKernel, right: NeuralTangentKernel):
        self.left = left
        self.right = right

    @property
    def _parts(self) -> tuple[NeuralTangentKernel, ...]:
        return self.left, self.right

    def check_parameters(self, n_features: int) -> None:
        for name in ("left", "right"):
            _check_kernel(name, getattr(self, name))
        super().check_parameters(n_features)

    def _gram(self, X: NDArray, Z: NDArray | None) -> NDArray:
        gram = self.left._gram(X, Z)
        # The other matrix is never held as a whole.
        for rows, columns in _blocks(self, len(X), None if Z is None else len(Z)):
            same = Z is None and rows == columns
            other = self.right._gram(X[rows], None if same else (X if Z is None else Z)[columns])
            self._ufunc(gram[rows, columns], other, out=gram[rows, columns])
            if Z is None and not same:
                gram[columns, rows] = gram[rows, columns].T
        return gram

    def as_jax(self) -> Callable[[Any, Any], Any]:
        for name in ("left", "right"):
            _check_kernel(name, getattr(self, name))
        left, right = self.left.as_jax(), self.right.as_jax()
        combine = add if self._ufunc is np.add else mul
        return lambda x, z: combine(left(x, z), right(x, z))

    def _diag(self, X: NDArray) -> NDArray:
        return self._ufunc(self.left._diag(X), self.right._diag(X))


class SumKernel(_Pair):
    r"""Sum :math:`\Theta_1(x, z) + \Theta_2(x, z)` of two kernels, written ``left + right``.

    It is the tangent kernel of the sum of two independent networks. A number in place of a kernel
    stands for a `ConstantKernel`.

    Parameters
    ----------
    left, right : NeuralTangentKernel
        The kernels. A grid addresses their parameters as ``left__depth``.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.kernels import FullyConnectedNTK, TwoLayerNTK
    >>> kernel = TwoLayerNTK() + 2.0 * TwoLayerNTK()
    >>> kernel
    TwoLayerNTK() + 2.0 * TwoLayerNTK()
    >>> kernel(np.eye(2))
    array([[1.5, 0. ],
           [0. , 1.5]])
    """

    _ufunc = np.add

    def _as_nngp(self) -> NeuralTangentKernel:
        return type(self)(self.left._as_nngp(), self.right._as_nngp())

    def _linearize(self, X: NDArray, Z: NDArray) -> tuple[NDArray, Pullback]:
        (gram, left), (other, right) = (part._linearize(X, Z) for part in self._parts)
        gram += other
        return gram, lambda W: left(W) + right(W)

    def _vjp(self, X: NDArray, Z: NDArray, W: NDArray) -> NDArray:
        return self.left._vjp(X, Z, W) + self.right._vjp(X, Z, W)

    def __repr__(self) -> str:
        return f"{self.left!r} + {_in_parentheses(self.right, SumKernel)}"


class ProductKernel(_Pair):
    r"""Product :math:`\Theta_1(x, z)\,\Theta_2(x, z)` of two kernels, written ``left * right``.

    Parameters
    ----------
    left, right : NeuralTangentKernel
        The kernels. A grid addresses their parameters as ``left__depth``.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.kernels import TwoLayerNTK
    >>> (TwoLayerNTK() * TwoLayerNTK())(np.eye(2))
    array([[0.25, 0.  ],
           [0.  , 0.25]])
    """

    _ufunc = np.multiply

    @property
    def _n_matrices(self) -> int:  # type: ignore[override]
        return super()._n_matrices + 1  # the product, beside both factors

    def _linearize(self, X: NDArray, Z: NDArray) -> tuple[NDArray, Pullback]:
        (gram, left), (other, right) = (part._linearize(X, Z) for part in self._parts)
        return gram * other, lambda W: left(W * other) + right(W * gram)

    def __repr__(self) -> str:
        left = _in_parentheses(self.left, SumKernel)
        return f"{left} * {_in_parentheses(self.right, _Composition)}"


class ScaledKernel(_Composition):
    r"""Multiple :math:`c\,\Theta(x, z)` of a kernel, written ``c * kernel`` or ``kernel * c``.

    It is the tangent kernel of the network whose outputs are multiplied by :math:`\sqrt c`.

    Parameters
    ----------
    kernel : NeuralTangentKernel
        The kernel. A grid addresses its parameters as ``kernel__depth``.
    factor : float, default=1.0
        The factor c, above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.kernels import TwoLayerNTK
    >>> (0.5 * TwoLayerNTK())(np.eye(2))
    array([[0.25, 0.  ],
           [0.  , 0.25]])
    """

    def __init__(self, kernel: NeuralTangentKernel, factor: float = 1.0):
        self.kernel = kernel
        self.factor = factor

    @property
    def _parts(self) -> tuple[NeuralTangentKernel, ...]:
        return (self.kernel,)

    def check_parameters(self, n_features: int) -> None:
        _check_kernel("kernel", self.kernel)
        check_real("factor", self.factor, low=0.0, strict=True)
        super().check_parameters(n_features)

    def _as_nngp(self) -> NeuralTangentKernel:
        return type(self)(self.kernel._as_nngp(), self.factor)

    def _gram(self, X: NDArray, Z: NDArray | None) -> NDArray:
        gram = self.kernel._gram(X, Z)
        gram *= float(self.factor)
        return gram

    def as_jax(self) -> Callable[[Any, Any], Any]:
        _check_kernel("kernel", self.kernel)
        factor = check_real("factor", self.factor, low=0.0, strict=True)
        function = self.kernel.as_jax()
        return lambda x, z: factor * function(x, z)

    def _diag(self, X: NDArray) -> NDArray:
        return self.kernel._diag(X) * float(self.factor)

    def _linearize(self, X: NDArray, Z: NDArray) -> tuple[NDArray, Pullback]:
        factor = float(self.factor)
        gram, pullback = self.kernel._linearize(X, Z)
        gram *= factor
        return gram, lambda W: factor * pullback(W)

    def _vjp(self, X: NDArray, Z: NDArray, W: NDArray) -> NDArray:
        return float(self.factor) * self.kernel._vjp(X, Z, W)

    def __repr__(self) -> str:
        return f"{self.factor!r} * {_in_parentheses(self.kernel, _Composition)}"


def _scaled(kernel: NeuralTangentKernel, factor: Any) -> ScaledKernel:
    return ScaledKernel(kernel, check_real("factor", factor, low=0.0, strict=True))


def _shifted(kernel: NeuralTangentKernel, value: Any) -> SumKernel:
    return SumKernel(kernel, ConstantKernel(check_real("value", value, low=0.0, strict=True)))


def _blocks(kernel: _Composition, n: int, m: int | None) -> list[tuple[slice, slice]]:
    """Blocks of an (n, m) matrix, or of the upper triangle if m is None."""
    if m is None:
        return upper_blocks(kernel, n)
    size = kernel.block_size
    return [
        (slice(top, top + size), slice(left, left + size))
        for top in range(0, n, size)
        for left in range(0, m, size)
    ]


def _check_kernel(name: str, kernel: Any) -> None:
    if not isinstance(kernel, NeuralTangentKernel):
        raise TypeError(
            f"{name}={kernel!r} must be a kernel from skntk.kernels, got {type(kernel).__name__}; "
            "of a kernel's name, give resolve_kernel(name, n_features)."
        )


def _in_parentheses(kernel: Any, kinds: type) -> str:
    return f"({kernel!r})" if isinstance(kernel, kinds) else repr(kernel)


OPERATIONS.update({"+": SumKernel, "*": ProductKernel, "scale": _scaled, "shift": _shifted})
