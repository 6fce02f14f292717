"""The kernel of one value for all pairs, which a sum with a number adds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .._utils.validation import check_real
from ._base import NeuralTangentKernel, Pullback
from ._functions import as_floats

__all__ = ["ConstantKernel"]


class ConstantKernel(NeuralTangentKernel):
    r"""One value c for every pair of points; ``kernel + c`` adds it to a kernel.

    It is the tangent kernel, and the covariance at initialisation, of a trained bias
    :math:`\sqrt c\, b` of the output, with b drawn from a standard normal distribution.

    Parameters
    ----------
    value : float, default=1.0
        The value c, above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.kernels import TwoLayerNTK
    >>> kernel = TwoLayerNTK() + 2.0
    >>> kernel
    TwoLayerNTK() + ConstantKernel(value=2.0)
    >>> kernel(np.eye(2))
    array([[2.5, 2. ],
           [2. , 2.5]])
    """

    _has_nngp = True

    def __init__(self, value: float = 1.0):
        self.value = value

    def check_parameters(self, n_features: int) -> None:
        check_real("value", self.value, low=0.0, strict=True)

    def _gram(self, X: NDArray, Z: NDArray | None) -> NDArray:
        return np.full((len(X), len(X if Z is None else Z)), self.value, X.dtype)

    def _diag(self, X: NDArray) -> NDArray:
        return np.full(len(X), self.value, X.dtype)

    def _linearize(self, X: NDArray, Z: NDArray) -> tuple[NDArray, Pullback]:
        return self._gram(X, Z), lambda W: np.zeros((*W.shape[:-1], X.shape[1]), X.dtype)

    def as_jax(self) -> Callable[[Any, Any], Any]:
        value = check_real("value", self.value, low=0.0, strict=True)

        def constant(x: Any, z: Any) -> Any:
            return jnp.full((), value, as_floats(x, z)[0].dtype)

        return constant
