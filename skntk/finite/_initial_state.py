"""The state in which a training starts: a network drawn, given, or trained before."""

from __future__ import annotations

import copy
from typing import Any, Self

import jax
import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from .._utils.channels import warn_of_channels_first
from ..networks._function import (
    Network,
    as_numpy,
    check_input_shape,
    check_outputs,
    check_rowwise,
    draw_parameters,
    network_key,
)
from ..networks._resolve import make_network
from ..networks._training_mode import refuse_idle_statistics
from ._optimizer import convert_state

__all__ = ["InitialStateMixin"]


class InitialStateMixin:
    """Sets the state of a network before its first step, or before those of a warm start."""

    module: Any
    input_shape: tuple[int, ...] | None
    linearize_at: int | None
    centered: Any
    random_state: Any
    n_epochs_: int
    history_: dict[str, NDArray]
    classes_: NDArray
    origin_: Any
    _origin_constants: Any
    _split_seed: int | None
    _network: Network
    _random: np.random.RandomState
    _optimizer: Any
    _optimizer_state: Any
    _fitted_with: dict[str, Any]

    def _initialise(self, X: NDArray, classes: NDArray) -> None:
        """Draw a network; if it does not fit the data, no attribute is set."""
        n_features, n_outputs = X.shape[1], 1 if len(classes) == 2 else len(classes)
        check_input_shape(self.input_shape, n_features)
        warn_of_channels_first(X, self.input_shape)
        network = make_network(self.module, self.input_shape, n_outputs)
        random = np.random.RandomState(check_random_state(self.random_state).randint(2**31))
        params, constants = draw_parameters(network, random.randint(2**31), n_features, X.dtype)
        check_outputs(network, params, constants, n_features, len(classes), X.dtype)
        check_rowwise(network, params, constants, n_features, X.dtype)
        refuse_idle_statistics(network, constants)
        self._begin(network, params, constants, classes, random)

    def _begin(
        self, network: Network, params: Any, constants: Any, classes: NDArray, random: Any
    ) -> None:
        """Set the state of a network that this estimator has not trained."""
        self._network, self._random = network, random
        self.params_, self.constants_ = params, constants
        self.origin_ = params if self.centered else None
        self._origin_constants = constants if self.centered else None
        self.anchor_ = None
        self.classes_ = classes
        self.n_epochs_ = 0
        self._split_seed = None
        self.history_ = {"loss": np.empty(0)}
        names = ("module", "input_shape", "centered")
        self._fitted_with = {name: getattr(self, name) for name in names}
        self._optimizer = self._optimizer_state = None

    def _at_epoch(self, n_epochs: int, params: Any, constants: Any, anchor: Any) -> Self:
        """Copy of the fitted network as it was after an earlier epoch."""
        other = copy.copy(self)
        other._begin(self._network, params, constants, self.classes_, copy.deepcopy(self._random))
        other.origin_, other._origin_constants = self.origin_, self._origin_constants
        other.anchor_, other.n_epochs_ = anchor, n_epochs
        other.history_ = {name: values[:n_epochs] for name, values in self.history_.items()}
        for name in ("best_epoch_", "best_validation_score_"):
            other.__dict__.pop(name, None)
        return other

    def _resume(self, dtype: np.dtype) -> None:
        """Continue from the last fit, in the precision of the data."""
        linearize_at = self.n_epochs_ if self.linearize_at is None else self.linearize_at
        if self.anchor_ is None and linearize_at < self.n_epochs_:
            raise ValueError(
                f"linearize_at={linearize_at} has passed: {self.n_epochs_} epochs were trained. "
                "Give a later epoch, or fit anew with warm_start=False."
            )
        before = jax.tree.leaves(self.params_)[0].dtype if jax.tree.leaves(self.params_) else dtype
        for name in ("params_", "constants_", "origin_", "_origin_constants", "anchor_"):
            setattr(self, name, as_numpy(getattr(self, name), dtype))
        if before != dtype:
            self._optimizer_state = convert_state(self._optimizer_state, before, dtype)

    def _check_unchanged(self) -> None:
        """Raise if the parameters that define the network have changed since the last fit."""
        for name, before in self._fitted_with.items():
            now = getattr(self, name)
            if network_key(now) != network_key(before):
                raise ValueError(
                    f"{name} was changed since the last fit, which warm_start=True continues; "
                    "restore its value, or fit anew with warm_start=False."
                )
