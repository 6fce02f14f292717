"""Networks rebuilt from the weights that a tracker kept."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from .._utils.showing import shown
from ..networks._stored import stored, tree_like
from ._record import KernelRecord

__all__ = ["KeptWeightsMixin"]


class KeptWeightsMixin:
    """Gives the network of any recorded step."""

    keep_params: bool
    _recorded: KernelRecord

    def _kept(self, trees: dict[str, Any]) -> dict[str, list[NDArray]] | None:
        """Copies of the trees that there are, which the caller cannot change; None if not kept."""
        if not self.keep_params:
            return None
        present = {name: tree for name, tree in trees.items() if tree is not None}
        return {name: [leaf.copy() for leaf in stored(tree)] for name, tree in present.items()}

    def params_at(self, step: int, like: Any) -> Any:
        """Parameters of the network at a recorded step.

        Parameters
        ----------
        step : int
        like : tree of arrays
            Parameters of the same network, whose structure is taken.

        Returns
        -------
        params : tree of ndarray

        Raises
        ------
        KeyError
            If the step was not recorded.
        ValueError
            If weights were not kept, or are those of another network than `like`.

        Examples
        --------
        >>> import numpy as np
        >>> from skntk import KernelDynamicsTracker
        >>> def linear(params, x):
        ...     return x @ params["w"]
        >>> tracker = KernelDynamicsTracker(np.eye(2), top=(1,), keep_params=True)
        >>> params = {"w": np.ones((2, 1))}
        >>> for step in range(3):
        ...     tracker.record(linear, params, step)
        ...     params = {"w": params["w"] / 2}
        >>> tracker.params_at(1, like=params)["w"].ravel()
        array([0.5, 0.5])
        """
        return self._tree("params", step, like)

    def at_step(self, step: int, estimator: Any) -> Any:
        """The network that was recorded, as it was after an epoch.

        Parameters
        ----------
        step : int
            Number of the epoch, one of `steps_`.
        estimator : FlaxClassifier
            The fitted network that was recorded.

        Returns
        -------
        network : FlaxClassifier
            A fitted copy with the parameters, constants, point of linearisation and history of
            that epoch; ``as_kernel()`` is its kernel. Fitting it with ``warm_start=True`` goes on
            with a new optimiser.

        Raises
        ------
        KeyError
            If the step was not recorded.
        TypeError
            If `estimator` is no network.
        ValueError
            If weights were not kept, or are those of another network than `estimator`.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skntk import FlaxClassifier, KernelDynamicsTracker
        >>> from skntk.networks import TwoLayerReLU
        >>> X, y = load_digits(n_class=2, return_X_y=True)
        >>> tracker = KernelDynamicsTracker(X[:20] / 16, top=(3,), keep_params=True)
        >>> network = FlaxClassifier(TwoLayerReLU(8), max_epochs=3, random_state=0)
        >>> network = network.set_callbacks(tracker).fit(X / 16, y)
        >>> [tracker.at_step(step, network).n_epochs_ for step in tracker.steps_]
        [0, 1, 2, 3]
        """
        if not hasattr(estimator, "_at_epoch"):
            raise TypeError(
                f"estimator={shown(estimator)} is no FlaxClassifier; of other networks take "
                "params_at."
            )
        check_is_fitted(estimator)
        params = self._tree("params", step, estimator.params_)
        constants = self._tree("constants", step, estimator.constants_)
        if constants is None:
            raise ValueError(
                f"Step {step} was recorded by record, which knows no estimator; take params_at."
            )
        anchor = self._tree("anchor", step, estimator.params_)
        return estimator._at_epoch(int(step), params, constants, anchor)

    def _tree(self, name: str, step: int, like: Any) -> Any:
        """One of the trees of weights at a step; None if the network had no such."""
        weights = self._recorded.weights(step)
        if name not in weights:
            return None
        try:
            return tree_like(like, weights[name])
        except ValueError as error:
            raise ValueError(
                f"The {name} of step {step} are those of another network: {error}."
            ) from error
