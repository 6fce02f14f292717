"""Checkpoints of a training, which resumes from them with bitwise identical results."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from numbers import Integral
from os import PathLike
from types import CellType
from typing import Any

import jax
import joblib
import numpy as np
from numpy.typing import NDArray

from .._utils.keys import is_of_library, value_key
from .._utils.snapshots import SnapshotError, SnapshotStore, hash_of
from .._utils.validation import check_boolean
from ..networks._stored import leaves_named, named, stored, tree_like

__all__ = ["CheckpointMixin"]

_FORMAT = "skntk training 3"
#: The last one, and the one before in case the last is damaged.
_KEPT = 2
#: Trees that are saved, and for each the attribute that has the same structure.
_TREES = {
    "params_": "params_",
    "constants_": "constants_",
    "origin_": "params_",
    "_origin_constants": "constants_",
    "anchor_": "params_",
    "_optimizer_state": "_optimizer_state",
    "_best": "_current",
    "_best_anchor": "params_",
}


class CheckpointMixin:
    """Saves the state of a training to a directory after every epoch, and restores it."""

    checkpoint: Any
    resume: bool
    early_stopping: bool
    n_epochs_: int
    history_: dict[str, NDArray]
    _random: np.random.RandomState
    _checkpoints: SnapshotStore | None = None

    def _check_checkpoint(self) -> None:
        """Raise unless `checkpoint` and `resume` are of the right type, and go together."""
        check_boolean("resume", self.resume)
        if not isinstance(self.checkpoint, str | PathLike | None):
            raise TypeError(
                f"checkpoint={self.checkpoint!r} must be the path of a directory or None."
            )
        if self.resume and self.checkpoint is None:
            raise ValueError("resume=True needs a checkpoint; give the directory of the first fit.")

    @contextmanager
    def _open_checkpoints(self, *data: NDArray) -> Iterator[None]:
        """Context for training, in which no other process writes to the directory."""
        if self.checkpoint is None:
            yield
            return
        settings = self._checkpoint_settings(*data)
        self._checkpoints = SnapshotStore(
            self.checkpoint, settings, resume=self.resume, parameter="checkpoint"
        )
        try:
            with self._checkpoints.writing():
                yield
        finally:
            del self._checkpoints

    def _checkpoint_settings(self, *data: NDArray) -> dict[str, Any]:
        """All settings that training depends on, as far as another process can compare them."""
        estimator: Any = self
        names: tuple[str, ...] = ("loss", "batch_size", "linearize_at", "centered")
        names += ("early_stopping", "n_iter_no_change", "tol") if self.early_stopping else ()
        names += () if estimator.shuffle else ("shuffle",)  # older checkpoints do not have it
        described = ("module", "optimizer", "learning_rate")
        shape, seed = estimator.input_shape, estimator.random_state
        return {
            "format": _FORMAT,
            "data": hash_of(*data),
            "weights": [list(leaf.shape) for leaf in jax.tree.leaves(estimator.params_)],
            "adversary": repr(estimator.adversary),
            "input_shape": None if shape is None else [*map(int, shape)],
            # A generator is another one whenever it was used.
            "random_state": int(seed) if isinstance(seed, Integral) else type(seed).__name__,
            **{name: repr(getattr(self, name)) for name in names},
            **{name: joblib.hash(_key(getattr(self, name))) for name in described},
        }

    def _save_checkpoint(self) -> None:
        store = self._checkpoints
        if store is None:
            return
        arrays = {f"history {name}": values for name, values in self.history_.items()}
        for name in _TREES:
            arrays |= named(name, stored(getattr(self, name)))
        random = self._random.get_state(legacy=False)
        state = random.pop("state")
        arrays["random"] = state.pop("key")
        absent = [name for name in _TREES if getattr(self, name) is None]
        store.save(_name(self.n_epochs_), arrays, random=random | {"state": state}, absent=absent)
        for name in store.names()[:-_KEPT]:
            store.discard(name)

    def _restore_checkpoint(self) -> None:
        """Restore the last state that can be read; without any, leave the state unchanged."""
        store = self._checkpoints
        if store is None:
            return
        for name in reversed(store.names()):
            try:
                arrays, facts = store.load(name)
            except SnapshotError as error:
                warnings.warn(f"{error} It is ignored.", RuntimeWarning, stacklevel=2)
            else:
                self._put_back(int(name.removeprefix("epoch-")), arrays, facts)
                return

    def _put_back(self, n_epochs: int, arrays: dict[str, NDArray], facts: dict[str, Any]) -> None:
        trees = dict.fromkeys(_TREES)
        for name in _TREES.keys() - facts["absent"]:
            like = getattr(self, _TREES[name])
            try:
                trees[name] = tree_like(like, leaves_named(name, arrays))
            except ValueError as error:
                raise SnapshotError(
                    f"The checkpoint of epoch {n_epochs} belongs to a network with a different "
                    f"{name}; use the same module and optimizer, or another directory."
                ) from error
        self.__dict__.update(trees)
        prefix = "history "
        found = (key for key in arrays if key.startswith(prefix))
        self.history_ = {key.removeprefix(prefix): arrays[key] for key in found}
        self.n_epochs_ = n_epochs
        random = facts["random"]
        self._random.set_state(random | {"state": random["state"] | {"key": arrays["random"]}})


def _name(n_epochs: int) -> str:
    return f"epoch-{n_epochs:010d}"


def _key(value: Any, seen: frozenset[int] = frozenset()) -> Hashable:
    """Key that is the same in another process, whoever defined the value."""
    return value_key(value, persistent=True, otherwise=partial(_named_key, seen=seen))


def _named_key(value: Any, seen: frozenset[int]) -> Hashable:
    """Name of a function or class, and what an optimiser or a schedule was made of."""
    definition = value if hasattr(value, "__qualname__") else type(value)
    name = f"{definition.__module__}.{definition.__qualname__}"
    held: Any = None
    if inspect.isfunction(value):
        held = [*map(_content, value.__closure__ or ()), value.__defaults__, value.__kwdefaults__]
    elif definition is not value and is_of_library(definition):
        held = getattr(value, "__dict__", None)
    if held is None or id(value) in seen:
        return name
    return name, _key(held, seen | {id(value)})


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is still empty
        return None
