"""The tangent kernel of a finite network, at given parameters or averaged over initialisations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from .._utils.copying import clone_parameter
from .._utils.pickling import PickledByValue
from .._utils.validation import check_integer
from ..networks._function import (
    as_numpy,
    check_input_shape,
    check_rowwise,
    count_outputs,
    draw_parameters,
    flattened,
)
from ..networks._given_parameters import refuse_untrainable
from ..networks._resolve import is_trained, make_network, wrap_trained
from ._base import NeuralTangentKernel, Pullback
from ._linear_network import linear_outputs, linear_vjp, weighted_jacobian
from ._tangent_kernel import tangent_diag, tangent_gram, tangent_vjp

__all__ = ["EmpiricalNTK"]

#: (network, params, constants)
Draw = tuple[Any, Any, Any]


class EmpiricalNTK(PickledByValue, NeuralTangentKernel):
    r"""Tangent kernel :math:`J_w f(x) J_w f(z)^T` of a finite network (Eq. 6).

    A call returns the trace over the k outputs divided by k; `full` returns the kernel between
    all outputs. Without `params` the kernel is averaged over random initialisations, which
    approximates the analytic kernel of architectures for which none is known (App. B).

    Parameters
    ----------
    module : linen.Module, NNX module, class or factory, or callable
        The network. With `params`, also any function ``apply_fn(params, x)`` from a batch
        (n, d) to outputs (n, k), which must be defined at module level for the kernel to be
        picklable.
    params : tree of arrays, default=None
        Parameters of the network; for a Linen module, either all of its variables or its
        parameters alone. If None, they are drawn at random.
    input_shape : tuple of int, default=None
        Shape that each sample is given before it enters the network; calls of the kernel take
        samples of this shape, too. If None, samples stay flat.
    n_draws : int, default=1
        Number of initialisations to average over if `params` is None.
    random_state : int, RandomState instance or None, default=None
        Determines the initialisations.

    Notes
    -----
    A dense layer contributes :math:`(h_i \cdot h_j)(\delta_{ia} \cdot \delta_{jb})`, from its
    inputs h and output derivatives delta. The Jacobian of a convolution is one product of
    patches and delta per sample. A call computes the derivatives of each sample once.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.kernels import EmpiricalNTK
    >>> def linear(params, x):
    ...     return x @ params
    >>> X = np.array([[1.0, 2.0], [0.0, 1.0]])
    >>> EmpiricalNTK(linear, np.zeros((2, 1)))(X)
    array([[5., 2.],
           [2., 1.]])
    """

    _pickled_by_value = ("module",)

    #: Large, since each block computes the derivatives of its samples anew.
    block_size = 4096

    _if_not_finite = "pass finite params, unlike those of a training that diverged"

    def __init__(
        self,
        module: Any,
        params: Any = None,
        *,
        input_shape: tuple[int, ...] | None = None,
        n_draws: int = 1,
        random_state: Any = None,
    ):
        self.module = module
        self.params = params
        self.input_shape = input_shape
        self.n_draws = n_draws
        self.random_state = random_state

    def __sklearn_clone__(self) -> EmpiricalNTK:
        parameters = self.get_params()
        return type(self)(**{name: clone_parameter(p) for name, p in parameters.items()})

    def full(self, X: ArrayLike, Z: ArrayLike | None = None) -> NDArray:
        """Kernel between all outputs.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Left inputs.
        Z : array-like of shape (m, d), default=None
            Right inputs. If None, `X` is used, and the result is exactly symmetric.

        Returns
        -------
        kernel : ndarray of shape (n * k, m * k)
            Row index = sample * k + output.
        """
        X, right = self._validate(X, Z)
        with np.errstate(all="ignore"):
            kernel = self._mean(lambda draw: tangent_gram(*draw, X, right), X)
        return self._finite(kernel, X, right)

    def count_outputs(self, n_features: int, dtype: Any = np.float64) -> int:
        """Return the number k of outputs of the network for inputs of the given dtype."""
        X = np.zeros((1, n_features), dtype)
        self._validate(X, None)
        network, params, constants = next(self._draws(X))
        return count_outputs(network, params, constants, n_features, X.dtype)

    def full_linearize(self, X: ArrayLike, Z: ArrayLike, A: ArrayLike) -> tuple[NDArray, Pullback]:
        r"""Sums :math:`\sum_j \Theta(x_i, z_j) A_j` for the kernel between all outputs.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Points at which the sums are evaluated.
        Z : array-like of shape (m, d)
            The other argument of the kernel, held fixed.
        A : array-like of shape (m, k)
            Weight of each sample of `Z` and each output.

        Returns
        -------
        outputs : ndarray of shape (n, k)
        pullback : callable
            Maps cotangents (n, k) to the gradient (n, d), with respect to `X`, of the sum of
            `outputs` weighted by them.
        """
        X, right = self._validate(X, Z)
        weights = np.asarray(A, X.dtype)
        machines = [(draw, weighted_jacobian(*draw, right, weights)) for draw in self._draws(X)]
        share = X.dtype.type(1 / len(machines))

        def pullback(C: NDArray) -> NDArray:
            C = np.asarray(C, X.dtype)
            return share * sum(linear_vjp(*draw, theta, X, C) for draw, theta in machines)

        return share * sum(linear_outputs(*draw, theta, X) for draw, theta in machines), pullback

    def _validate(self, X: ArrayLike, Z: ArrayLike | None) -> tuple[Any, Any]:
        """Accept samples of the shape `input_shape` as well as rows."""
        return super()._validate(*(flattened(array, self.input_shape) for array in (X, Z)))

    def check_parameters(self, n_features: int) -> None:
        check_integer("n_draws", self.n_draws, low=1)
        check_input_shape(self.input_shape, n_features)
        if self.n_draws != 1 and (self.params is not None or is_trained(self.module)):
            raise ValueError(
                f"n_draws={self.n_draws} has no effect when params are given; leave it at 1."
            )

    def prepare(self) -> None:
        """Draw the seeds, so that all workers that compute a Gram matrix use the same ones."""
        self._seeds()

    def _gram(self, X: NDArray, Z: NDArray | None) -> NDArray:
        return self._mean(lambda draw: tangent_gram(*draw, X, Z, trace=True), X)

    def _diag(self, X: NDArray) -> NDArray:
        return self._mean(lambda draw: tangent_diag(*draw, X), X)

    def _linearize(self, X: NDArray, Z: NDArray) -> tuple[NDArray, Pullback]:
        def of_one(W: NDArray) -> NDArray:
            return self._mean(lambda draw: tangent_vjp(*draw, X, Z, W), X)

        def pullback(W: NDArray) -> NDArray:
            flat = W.reshape(-1, *W.shape[-2:])
            return np.stack([of_one(w) for w in flat]).reshape(*W.shape[:-2], *X.shape)

        return self._gram(X, Z), pullback

    def _mean(self, function: Callable[[Draw], NDArray], X: NDArray) -> NDArray:
        """Average of a function over the initialisations."""
        draws = self._draws(X)
        total = function(next(draws))
        for draw in draws:
            total += function(draw)
        return total / X.dtype.type(self.n_draws)

    def _draws(self, X: NDArray) -> Iterator[Draw]:
        """(network, params, constants) of each initialisation, in the dtype of `X`."""
        n_features = X.shape[1]
        if is_trained(self.module) or self.params is not None:
            network, *trees = wrap_trained(self.module, self.params, self.input_shape)
            refuse_untrainable(trees[0])
            params, constants = (as_numpy(tree, X.dtype) for tree in trees)
            _check(network, params, constants, X)
            yield network, params, constants
            return
        network = make_network(self.module, self.input_shape, 1)
        for seed in self._seeds():
            params, constants = draw_parameters(network, int(seed), n_features, X.dtype)
            _check(network, params, constants, X)
            yield network, params, constants

    def _seeds(self) -> NDArray:
        """Seed of each initialisation, drawn once so that all calls evaluate the same kernel."""
        wanted = (self.random_state, self.n_draws)
        if getattr(self, "_drawn_for", None) != wanted:
            random = check_random_state(self.random_state)
            self._drawn_seeds = random.randint(2**31, size=self.n_draws)
            self._drawn_for = wanted
        return self._drawn_seeds


def _check(network: Any, params: Any, constants: Any, X: NDArray) -> None:
    """Raise unless the network has parameters and treats each sample independently."""
    if not jax.tree.leaves(params):
        raise ValueError(f"module {network.name!r} has no params, so its tangent kernel is zero.")
    count_outputs(network, params, constants, X.shape[1], X.dtype)
    check_rowwise(network, params, constants, X.shape[1], X.dtype)
