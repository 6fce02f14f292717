"""Base class of kernels: parameters, a Gram matrix, a diagonal and an input gradient."""

from __future__ import annotations

import copy
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._utils.memory import check_memory
from .._utils.precision import as_float_matrix, common_dtype
from ._parameters import Parameters
from ._places import WHOLE, Places, where

__all__ = ["OPERATIONS", "NeuralTangentKernel", "Pullback"]

#: Maps weights (..., n, m) to the input gradient (..., n, d).
Pullback = Callable[[NDArray], NDArray]

#: What the operators make of kernels; entered by `_composition`, which imports this module.
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {}


class NeuralTangentKernel(Parameters, ABC):
    r"""Base class of all kernels :math:`\Theta(x, z)`.

    A new kernel is best derived from `PairNTK`, which requires one function of a pair of samples.
    A direct subclass of this class implements `_gram`, `_diag` and `_linearize` for validated
    arrays of one floating dtype. Both store the constructor's arguments under their own names,
    so that scikit-learn's `clone` and a grid search over ``kernel__depth`` work.
    """

    #: Samples on each side of a block in which a large Gram matrix is computed.
    block_size = 2048

    #: Matrices that `linearize` holds: the kernel and its two derivatives.
    _n_matrices = 3

    #: Makes NumPy's numbers leave a multiplication to the kernel.
    __array_ufunc__ = None

    #: Which kernel of the network is computed: "ntk", or "nngp" in a copy that `nngp` makes.
    _kind = "ntk"

    #: Whether the class computes both.
    _has_nngp = False

    def __call__(self, X: ArrayLike, Z: ArrayLike | None = None) -> Any:
        """Gram matrix between two sets of points.

        Two vectors are a pair of points, for scikit-learn's estimators that take a callable
        (`KernelPCA`, `KernelRidge`, `Nystroem`, `SpectralClustering`, `pairwise_kernels`) and
        call it once a pair. A precomputed Gram matrix is much faster.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Left inputs.
        Z : array-like of shape (m, d), default=None
            Right inputs. If None, `X` is used: each pair is then computed once, and the
            result is exactly symmetric.

        Returns
        -------
        gram : ndarray of shape (n, m), or float for a pair of points
            float32 if both inputs are float32, else float64.

        Raises
        ------
        ValueError
            If the inputs are not finite 2-D arrays of matching width.
        MemoryError
            If the matrix would not fit in memory.
        """
        if Z is not None and _is_point(X) and _is_point(Z):
            return float(self._block(np.asarray(X)[None], np.asarray(Z)[None])[0, 0])
        return self._block(X, Z)

    def __add__(self, other: Any) -> Any:
        if isinstance(other, NeuralTangentKernel):
            return OPERATIONS["+"](self, other)
        return OPERATIONS["shift"](self, other) if isinstance(other, Real) else NotImplemented

    __radd__ = __add__

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, NeuralTangentKernel):
            return OPERATIONS["*"](self, other)
        return OPERATIONS["scale"](self, other) if isinstance(other, Real) else NotImplemented

    def __rmul__(self, other: Any) -> Any:
        return self * other

    def nngp(self, X: ArrayLike, Z: ArrayLike | None = None) -> NDArray:
        r"""Covariance of the network's outputs at initialisation, its NNGP kernel.

        An infinitely wide network with random weights is a Gaussian process; this is its
        covariance function.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Left inputs.
        Z : array-like of shape (m, d), default=None
            Right inputs. If None, `X` is used: each pair is then computed once, and the
            result is exactly symmetric.

        Returns
        -------
        covariance : ndarray of shape (n, m)
            float32 if both inputs are float32, else float64.

        Raises
        ------
        TypeError
            If the kernel is not that of an infinitely wide network in closed form.
        ValueError, MemoryError
            As for a call of the kernel.

        References
        ----------
        Lee, Bahri, Novak, Schoenholz, Pennington and Sohl-Dickstein, "Deep Neural Networks as
        Gaussian Processes", ICLR 2018.
        """
        return self._as_nngp()._block(X, Z)

    def _as_nngp(self) -> NeuralTangentKernel:
        """Copy of the kernel that computes the NNGP kernel wherever this one computes the NTK."""
        if not self._has_nngp:
            raise TypeError(
                f"{type(self).__name__} has no NNGP kernel, the covariance of an infinitely wide "
                "network at initialisation; FullyConnectedNTK, ConvolutionalNTK, TwoLayerNTK and "
                "StaxNTK have one, and so have sums and multiples of them."
            )
        other = copy.copy(self)
        other._kind = "nngp"
        return other

    def as_jax(self) -> Callable[[Any, Any], Any]:
        """Kernel as a JAX function of two points, which can be traced and differentiated.

        Returns
        -------
        function : callable
            From two points x (d,) and z (d,) to the value, in their dtype. Its gradients are
            finite at coincident, opposite and zero points. For a Gram matrix, map it:
            ``jax.vmap(jax.vmap(function, (None, 0)), (0, None))(X, Z)``. It does not check that
            values are finite, and computes in float64 only where JAX does (``jax_enable_x64``).

        Raises
        ------
        TypeError
            If the kernel has no such function.
        """
        raise TypeError(
            f"{type(self).__name__} has no JAX function of two points; use FullyConnectedNTK, "
            "ConvolutionalNTK, TwoLayerNTK, a PairNTK, or sums, products and multiples of them."
        )

    def _block(self, X: ArrayLike, Z: ArrayLike | None, places: Places = WHOLE) -> NDArray:
        """Gram matrix of samples that are part of larger sets.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Left inputs.
        Z : array-like of shape (m, d) or None
            Right inputs; None means `X`.
        places : pair of (str, int)
            For either side, the set that the samples come from and the row of the first of them
            there. An error for values that are not finite names samples by it.

        Returns
        -------
        gram : ndarray of shape (n, m)
        """
        X, right = self._validate(X, Z)
        _check_gram_memory(X, X if right is None else right)
        with np.errstate(all="ignore"):
            return self._finite(self._gram(X, right), X, right, places)

    def diag(self, X: ArrayLike) -> NDArray:
        """Kernel of each point with itself.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Inputs.

        Returns
        -------
        diagonal : ndarray of shape (n,)
        """
        X, _ = self._validate(X, None)
        with np.errstate(all="ignore"):
            return self._finite(self._diag(X), X)

    def input_vjp(self, X: ArrayLike, Z: ArrayLike, W: ArrayLike) -> NDArray:
        r"""Gradient with respect to `X` of :math:`\sum_{ij} W_{ij} \Theta(x_i, z_j)`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Points at which the gradient is taken.
        Z : array-like of shape (m, d)
            The other argument of the kernel, held fixed.
        W : array-like of shape (n, m)
            Weight of each pair.

        Returns
        -------
        gradient : ndarray of shape (n, d)
            Finite everywhere: where the kernel has a kink (at coincident and opposite
            points) the tangential sub-gradient is taken to be 0.
        """
        X, right = self._validate(X, Z)
        W = as_float_matrix(W, "W").astype(X.dtype, copy=False)
        if W.shape != (len(X), len(right)):
            raise ValueError(
                f"W has shape {W.shape}; give one weight per pair, ({len(X)}, {len(right)})."
            )
        rows = max(1, _BLOCK_BYTES // (X.itemsize * len(right)))
        gradient = np.empty_like(X)
        for start in range(0, len(X), rows):
            block = slice(start, start + rows)
            with np.errstate(all="ignore"):
                gradient[block] = self._vjp(X[block], right, W[block])
        if not np.isfinite(gradient).all():
            self._block(X, right)  # whose error says of which samples, if the kernel is at fault
            raise ValueError(
                f"The gradient is not finite in {gradient.dtype} for weights W of up to "
                f"{np.abs(W).max():.3g}; scale W, or pass float64 inputs."
            )
        return gradient

    def linearize(self, X: ArrayLike, Z: ArrayLike) -> tuple[NDArray, Pullback]:
        r"""Gram matrix and its pullback, which share their common work.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Points at which the kernel is linearised.
        Z : array-like of shape (m, d)
            The other argument of the kernel, held fixed.

        Returns
        -------
        gram : ndarray of shape (n, m)
        pullback : callable
            Maps weights (..., n, m) to the gradient (..., n, d) of
            :math:`\sum_{ij} W_{ij} \Theta(x_i, z_j)` with respect to `X`; it may be
            called any number of times.
        """
        X, right = self._validate(X, Z)
        _check_gram_memory(X, right, n_matrices=self._n_matrices)
        with np.errstate(all="ignore"):
            gram, pullback = self._linearize(X, right)
            return self._finite(gram, X, right), np.errstate(all="ignore")(pullback)

    @abstractmethod
    def _gram(self, X: NDArray, Z: NDArray | None) -> NDArray: ...

    @abstractmethod
    def _diag(self, X: NDArray) -> NDArray: ...

    @abstractmethod
    def _linearize(self, X: NDArray, Z: NDArray) -> tuple[NDArray, Pullback]: ...

    def _vjp(self, X: NDArray, Z: NDArray, W: NDArray) -> NDArray:
        return self._linearize(X, Z)[1](W)

    def check_parameters(self, n_features: int) -> None:
        """Raise for an invalid parameter; called before any work. By default, check nothing."""

    def prepare(self) -> None:
        """Draw random quantities; called once, before the kernel is copied to workers."""

    #: Last remedy that the error about values that are not finite names.
    _if_not_finite = "check the kernel's parameters"

    def _finite(
        self, values: NDArray, X: NDArray, Z: NDArray | None = None, places: Places = WHOLE
    ) -> NDArray:
        """Give kernel values back, or raise ValueError if some are not finite."""
        # The sum is quick to check, but may itself overflow.
        if np.isfinite(values.sum()) or (finite := np.isfinite(values)).all():
            return values
        largest = max(float(np.abs(array).max()) for array in (X, Z) if array is not None)
        name = textwrap.shorten(repr(self), 200, placeholder="...)")
        name += " at initialisation (NNGP)" if self._kind == "nngp" else ""
        precision = "pass float64 inputs, " if values.dtype == np.float32 else ""
        raise ValueError(
            f"{name} is not finite for {np.sum(~finite):,} of {values.size:,} pairs of samples"
            f"{where(~finite, X, Z, places)}; the largest input is {largest:.3g} in "
            f"{values.dtype}. Scale the inputs "
            f"(StandardScaler, or division by the largest), {precision}or {self._if_not_finite}."
        )

    def _validate(self, X: ArrayLike, Z: ArrayLike | None) -> tuple[Any, Any]:
        X = as_float_matrix(X, "X")
        self.check_parameters(X.shape[1])
        if Z is None:
            return X, None
        Z = as_float_matrix(Z, "Z")
        if X.shape[1] != Z.shape[1]:
            raise ValueError(
                f"X has {X.shape[1]} features and Z has {Z.shape[1]}; give both the same number."
            )
        dtype = common_dtype(X, Z)
        return X.astype(dtype, copy=False), Z.astype(dtype, copy=False)


def _is_point(x: Any) -> bool:
    """Whether an input is one vector of numbers instead of a table."""
    if isinstance(x, list | tuple):
        return len(x) > 0 and all(isinstance(value, Real) for value in x)
    return getattr(x, "ndim", None) == 1


def _check_gram_memory(X: NDArray, Z: NDArray, n_matrices: int = 1) -> None:
    check_memory(
        n_matrices * len(X) * len(Z) * X.itemsize,
        what=f"A Gram matrix with {len(Z)} columns",
        n=len(X),
        remedy="use fewer samples, float32 input, or blocks of rows",
    )


#: Bytes of a block of weights and of each derivative that `input_vjp` holds at a time.
_BLOCK_BYTES = 64 * 2**20
