"""The epochs of a fit: training, calls of callbacks, records and checkpoints."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning

from .._utils.targets import classify
from .._utils.warnings import warn_user
from ..networks._function import as_numpy
from ._adversarial_training import AdversarialTraining
from ._checkpoints import CheckpointMixin
from ._early_stopping import EarlyStoppingMixin
from ._optimizer import init_optimizer, optimizer_key
from ._outputs import State, attack, decision_outputs
from ._prediction import NetworkMixin
from ._training import mini_batches, train_epoch

__all__ = ["TrainingMixin"]

#: An epoch with this many times the loss of guessing has thrown the weights far out.
_HOPELESS = 100.0


class TrainingMixin(EarlyStoppingMixin, CheckpointMixin, CallbackSupportMixin, NetworkMixin):
    """Training of an estimator from its current state."""

    shuffle: bool
    centered: bool | str
    _optimizer: Any
    _optimizer_state: Any

    def _train(
        self,
        X: NDArray,
        labels: NDArray,
        weights: NDArray,
        validation: Any,
        given: tuple[Any, Any],
    ) -> None:
        """Train on validated samples; `given` holds X and y as callbacks receive them."""
        optimizer = optimizer_key(self.optimizer, self.learning_rate)
        rate = 0.0 if callable(self.learning_rate) else float(self.learning_rate)
        if self._optimizer != optimizer:  # its state is of no use to another one
            self._optimizer = optimizer
            self._optimizer_state = init_optimizer(optimizer, self.params_, rate)
        task = {"estimator": self, "X": given[0], "y": given[1]}
        state = task | {"reconstruction_attributes": self._fitted_attributes}
        first = self.n_epochs_
        last = first + self.max_epochs
        self._forget_best()
        self._restore_checkpoint()
        root = self._init_callback_context(max_subtasks=max(0, last - self.n_epochs_))
        root.call_on_fit_task_begin(**state)
        for _ in range(self.n_epochs_, last):
            if self._has_stalled(first):
                break
            context = root.subcontext(task_name="epoch").call_on_fit_task_begin(**state)
            if self.n_epochs_ == self.linearize_at:
                self.anchor_ = self.params_
            after, optimizer_state, loss = train_epoch(
                self._network,
                len(self.classes_),
                self.loss,
                optimizer,
                self.adversary,
                self._training_state(),
                self._optimizer_state,
                (X, labels),
                mini_batches(weights, self.batch_size, self._random, self.shuffle),
                rate,
                self._draw_key(),
            )
            self._finish_epoch(after, optimizer_state, float(loss))
            self._warn_of_scale(float(loss), X)
            self._record(float(loss), X, labels, validation)
            self._keep_best(first)
            stop = context.call_on_fit_task_end(**state)
            self._save_checkpoint()  # after callbacks have made their records
            if stop:
                break
        root.call_on_fit_task_end(**state)
        self._restore_best(first)  # after callbacks, for which the last epoch is the last

    def _training_state(self) -> State:
        """State of the function that training changes; f_0 may only be left out of measurements."""
        state = self._state()
        return state | {"origin": None} if self.centered == "measurement" else state

    def _draw_key(self) -> jax.Array:
        """Key of the random numbers of the next epoch's training mode and adversary."""
        # Nothing is drawn where none are needed: the order of samples depends on it.
        starts_at_random = self.adversary is not None and self.adversary.reach > 0
        draws = self._network.has_training_mode or starts_at_random
        return jax.random.key(self._random.randint(2**31) if draws else 0)

    def _finish_epoch(self, after: State, optimizer_state: Any, loss: float) -> None:
        # On the CPU these are views of what JAX computed, not copies.
        trained = as_numpy((after["params"], after["constants"]))
        # The loss was computed before the last step, so it does not show the effect of that step.
        if not (np.isfinite(loss) and all(np.isfinite(w).all() for w in jax.tree.leaves(trained))):
            raise FloatingPointError(
                f"Training diverged in epoch {self.n_epochs_ + 1}, with loss {loss}. Lower "
                f"learning_rate={self.learning_rate!r}, or centre the inputs."
            )
        self.params_, self.constants_ = trained
        self._optimizer_state = _on_host(optimizer_state)
        self.n_epochs_ += 1

    def _warn_of_scale(self, loss: float, X: NDArray) -> None:
        """Warn of the first epoch so far off that later ones hardly make up for it."""
        guessing = np.log(len(self.classes_)) if self.loss == "cross_entropy" else 0.5
        bound = _HOPELESS * guessing
        if loss > bound >= np.max(self.history_["loss"], initial=0.0):
            message = (
                f"The mean loss of epoch {self.n_epochs_} is {loss:.3g}, where guessing has "
                f"{guessing:.2g}: the steps are too long for inputs of up to "
                f"{np.abs(X).max():.3g}. Scale X to [0, 1] or to unit variance, or lower "
                f"learning_rate={self.learning_rate!r}."
            )
            warn_user(ConvergenceWarning(message))

    def _record(self, loss: float, X: NDArray, labels: NDArray, validation: Any) -> None:
        entries = {"loss": loss}
        if validation is not None:
            train = X[: len(validation[0])], labels[: len(validation[0])]
            for name, (inputs, indices) in {"train": train, "test": validation}.items():
                entries[f"{name}_accuracy"] = self._accuracy(inputs, indices)
                adversary = self._validation_adversary()
                if adversary is not None:
                    attacked = self._evaluate(attack, inputs, indices, static=(adversary,))
                    entries[f"{name}_robust_accuracy"] = self._accuracy(attacked, indices)
        unmeasured = np.full(self.n_epochs_ - 1, np.nan)
        for name in dict.fromkeys([*self.history_, *entries]):
            past = self.history_.get(name, unmeasured)
            self.history_[name] = np.append(past, entries.get(name, np.nan))
        if self.verbose > 0:
            values = ", ".join(f"{name} {value:.4f}" for name, value in entries.items())
            print(f"epoch {self.n_epochs_}: {values}")

    def _validation_adversary(self) -> AdversarialTraining | None:
        return self.adversary if self.validation_adversary is None else self.validation_adversary

    def _check_boxes(self, X: NDArray, validation: tuple[NDArray, NDArray] | None) -> None:
        """Raise for samples outside an adversary's box, which clipping would silently destroy."""
        attacked = [(self.adversary, X)]
        if validation is not None:
            attacked += [(self._validation_adversary(), part) for part in (X, validation[0])]
        for adversary, samples in attacked:
            if adversary is not None:
                adversary.check_features(samples)

    def _accuracy(self, X: NDArray, labels: NDArray) -> float:
        return float((classify(self._evaluate(decision_outputs, X)) == labels).mean())

    def _fitted_attributes(self) -> dict[str, Any]:
        """Attributes from which callbacks reconstruct an estimator as if it had stopped here."""
        names = ("params_", "constants_", "origin_", "anchor_", "classes_", "n_epochs_")
        names += ("_network", "_origin_constants")
        attributes = {name: getattr(self, name) for name in names}
        return attributes | {"history_": dict(self.history_)}  # a copy, as this one changes


def _on_host(state: Any) -> Any:
    """State of an optimiser as NumPy arrays, except for random keys, which only JAX has."""

    def convert(leaf: Any) -> Any:
        is_key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return leaf if is_key else np.asarray(leaf)

    return jax.tree.map(convert, state)
