"""Every fitted network f(x; w) as a differentiable classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.blocks import padded_blocks
from .._utils.precision import as_float_matrix, own_precision
from .._utils.targets import OutputClassifierMixin, as_columns, label_indices
from .._utils.validation import check_table
from ..kernels import EmpiricalNTK
from ..kernels._tangent_kernel import tangent_gram
from ..networks._function import Network, flattened
from ..networks._resolve import FittedNetwork
from ._adversarial_training import AdversarialTraining
from ._outputs import State, attack, decision_outputs, input_pullback, linearized, pulled_back

__all__ = ["NetworkMixin", "check_adversary"]


def check_adversary(name: str, adversary: Any) -> None:
    """Raise TypeError unless `adversary` is an `AdversarialTraining`."""
    if not isinstance(adversary, AdversarialTraining):
        raise TypeError(f"{name}={adversary!r} must be an AdversarialTraining.")


class NetworkMixin(OutputClassifierMixin, ClassifierMixin):
    """Outputs, input gradients, attacks and the tangent kernel of a network with parameters."""

    _network: Network
    input_shape: tuple[int, ...] | None
    params_: Any
    constants_: Any
    origin_: Any
    _origin_constants: Any
    anchor_: Any

    def decision_function(self, X: ArrayLike) -> NDArray:
        """Outputs of the network.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.

        Returns
        -------
        outputs : ndarray of shape (m,) if binary, else (m, n_classes)
        """
        outputs = self._evaluate(decision_outputs, self._validate_inputs(X))
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def input_vjp(self, X: ArrayLike, cotangents: ArrayLike) -> NDArray:
        """Gradient of the sum of outputs weighted by cotangents, with respect to each input.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        cotangents : array-like of shape (m,) or (m, k)
            Weight of each output, shaped like `decision_function(X)`.

        Returns
        -------
        gradient : ndarray of shape (m, d)
        """
        X = self._validate_inputs(X)
        c = as_float_matrix(as_columns(np.asarray(cotangents)), "cotangents")
        n_outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        if c.shape != (len(X), n_outputs):
            raise ValueError(
                f"cotangents have shape {c.shape} for outputs of shape {(len(X), n_outputs)}; "
                "give one weight per output."
            )
        return self._evaluate(input_pullback, X, c.astype(X.dtype, copy=False))

    def linearize(self, X: ArrayLike) -> tuple[NDArray, Callable[[NDArray], NDArray]]:
        """Outputs and their pullback, which does not evaluate the network again.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.

        Returns
        -------
        outputs : ndarray of shape (m, k), k = 1 if binary
        pullback : callable
            Maps cotangents (m, k) to gradients (m, d), like `input_vjp`.
        """
        X = self._validate_inputs(X)
        blocks = list(padded_blocks(len(X)))
        with own_precision():
            parts = [
                linearized(self._network, len(self.classes_), self._state(), X[rows])
                for rows, _ in blocks
            ]

        def pullback(cotangents: NDArray) -> NDArray:
            ends = np.cumsum([count for _, count in blocks])[:-1]
            gradients = []
            with own_precision():
                for (outputs, block), c in zip(parts, np.split(cotangents, ends), strict=True):
                    padded = np.zeros(outputs.shape, outputs.dtype)
                    padded[: len(c)] = c
                    gradients.append(np.asarray(pulled_back(block, padded))[: len(c)])
            return np.concatenate(gradients)

        outputs = [
            np.asarray(part)[:count] for (part, _), (_, count) in zip(parts, blocks, strict=True)
        ]
        return np.concatenate(outputs), pullback

    def attack(self, X: ArrayLike, y: ArrayLike, adversary: AdversarialTraining) -> NDArray:
        """Adversarial examples by a compiled attack; `NTKAttack` has more options.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        y : array-like of shape (m,)
            True labels.
        adversary : AdversarialTraining
            The adversary.

        Returns
        -------
        X_adv : ndarray of shape (m, d)
        """
        check_adversary("adversary", adversary)
        X = self._validate_inputs(X)
        check_consistent_length(X, y)
        adversary.check_features(X)
        labels = label_indices(y, self.classes_)
        return self._evaluate(attack, X, labels, static=(adversary,))

    def empirical_ntk(self, X: ArrayLike) -> NDArray:
        r"""Tangent kernel :math:`J_w f(x) J_w f(z)^T` at the current parameters (Eq. 6).

        Parameters
        ----------
        X : array-like of shape (n, d)
            Inputs.

        Returns
        -------
        kernel : ndarray of shape (n * k, n * k)
            Kernel between the k raw outputs of the module; row index = sample * k + output. For
            a linearised network, it is the kernel at the point of linearisation.

        Raises
        ------
        MemoryError
            If the kernel would not fit in memory.
        """
        X = self._validate_inputs(X)
        # f - f_0 and the expansion around the anchor have the Jacobians of the network itself.
        params = self.params_ if self.anchor_ is None else self.anchor_
        return tangent_gram(self._network, params, self.constants_, X)

    def as_kernel(self) -> EmpiricalNTK:
        """Tangent kernel of the fitted network, for kernel machines, features and attacks.

        Returns
        -------
        kernel : EmpiricalNTK
            At the current parameters, or at the point of linearisation, with the constants of the
            network; further training does not change it. `EmpiricalNTK.full` gives
            `empirical_ntk`, a call the mean over outputs of its diagonal blocks.

        Examples
        --------
        >>> import numpy as np
        >>> from skntk import FlaxClassifier, NTKClassifier
        >>> from skntk.networks import TwoLayerReLU
        >>> X = np.random.default_rng(0).random((20, 4))
        >>> y = X[:, 0] > 0.5
        >>> network = FlaxClassifier(TwoLayerReLU(32), max_epochs=2, random_state=0).fit(X, y)
        >>> NTKClassifier(network.as_kernel(), alpha=0.1).fit(X, y).dual_coef_.shape
        (20, 1)
        """
        check_is_fitted(self)
        params = self.params_ if self.anchor_ is None else self.anchor_
        network = FittedNetwork(self._network, self.constants_)
        return EmpiricalNTK(network, params, input_shape=self.input_shape)

    def _state(self) -> State:
        origin = self.origin_, self._origin_constants
        return {
            "params": self.params_,
            "constants": self.constants_,
            "origin": None if self.origin_ is None else origin,
            "anchor": self.anchor_,
        }

    def _evaluate(
        self, function: Callable, X: NDArray, *aligned: NDArray, static: tuple = ()
    ) -> NDArray:
        """Apply a function of (network, n_classes, *static, state, x, *aligned) in blocks."""
        results = []
        with own_precision():
            for rows, count in padded_blocks(len(X)):
                result = function(
                    self._network,
                    len(self.classes_),
                    *static,
                    self._state(),
                    X[rows],
                    *(array[rows] for array in aligned),
                )
                results.append(np.asarray(result)[:count])
        return np.concatenate(results)

    def _validate_inputs(self, X: ArrayLike) -> NDArray:
        check_is_fitted(self)
        X = flattened(X, self.input_shape)
        check_table(X)
        return validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=False)
