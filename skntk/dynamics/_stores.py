"""Stores of recorded kernels, in memory or in a directory, behind one interface."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from .._utils.snapshots import SnapshotError, SnapshotStore
from ..networks._stored import leaves_named, named

__all__ = ["Checkpoint", "DirectoryStore", "KernelStore", "MemoryStore"]

_STEP_NAME = re.compile(r"step-[0-9]{10,}")


class Checkpoint(NamedTuple):
    """A kernel, its top eigenpairs, and a digest of its network, or its weights as well.

    The weights are lists of arrays as `stored` gives them: "params", "constants" and "anchor".
    """

    kernel: NDArray
    eigenvalues: NDArray
    eigenvectors: NDArray
    network: str
    weights: dict[str, list[NDArray]] | None = None


class KernelStore(Protocol):
    """The interface of a store of kernels."""

    def writing(self) -> AbstractContextManager:
        """Context in which no other process writes to the store."""

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Store a checkpoint; an existing one is never replaced."""

    def load(self, step: int) -> Checkpoint:
        """Return the checkpoint of a step, which must exist."""

    def checkpoints(self) -> Iterator[tuple[int, Checkpoint]]:
        """Steps and checkpoints that can be read; warn for each that cannot."""


class MemoryStore:
    """Checkpoints in a dictionary."""

    def __init__(self) -> None:
        self._checkpoints: dict[int, Checkpoint] = {}

    def writing(self) -> AbstractContextManager:
        """Context without a lock, since no other process can write to the store."""
        return nullcontext()

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Store a checkpoint; an existing one is never replaced."""
        self._checkpoints.setdefault(step, checkpoint)

    def load(self, step: int) -> Checkpoint:
        """Return the checkpoint of a step."""
        return self._checkpoints[step]

    def checkpoints(self) -> Iterator[tuple[int, Checkpoint]]:
        """Steps and checkpoints."""
        return iter(self._checkpoints.items())


class DirectoryStore:
    """Checkpoints as snapshots in a directory.

    Parameters
    ----------
    snapshots : SnapshotStore
    """

    def __init__(self, snapshots: SnapshotStore):
        self._snapshots = snapshots

    def writing(self) -> AbstractContextManager:
        """Context that holds the lock of the directory."""
        return self._snapshots.writing()

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Write a checkpoint."""
        arrays = checkpoint._asdict()
        weights = arrays.pop("weights")
        facts = {"network": arrays.pop("network")}
        if weights is not None:
            facts["weights"] = list(weights)
            for name, leaves in weights.items():
                arrays |= named(name, leaves)
        self._snapshots.save(_name(step), arrays, **facts)

    def load(self, step: int) -> Checkpoint:
        """Read the checkpoint of a step."""
        arrays, facts = self._snapshots.load(_name(step))
        return _checkpoint(arrays, facts)

    def checkpoints(self) -> Iterator[tuple[int, Checkpoint]]:
        """Read all checkpoints, one at a time."""
        for name in filter(_STEP_NAME.fullmatch, self._snapshots.names()):
            try:
                checkpoint = _checkpoint(*self._snapshots.load(name))
            except SnapshotError as error:
                warnings.warn(f"{error} It is ignored.", RuntimeWarning, stacklevel=4)
            else:
                yield int(name.removeprefix("step-")), checkpoint


def _name(step: int) -> str:
    return f"step-{step:010d}"


def _checkpoint(arrays: dict[str, NDArray], facts: dict[str, Any]) -> Checkpoint:
    try:
        weights = None
        if "weights" in facts:
            weights = {name: leaves_named(name, arrays) for name in facts["weights"]}
        kernel = {name: arrays[name] for name in ("kernel", "eigenvalues", "eigenvectors")}
        return Checkpoint(**kernel, network=facts["network"], weights=weights)
    except (TypeError, KeyError) as error:
        raise SnapshotError(f"A checkpoint does not contain a kernel: {error}.") from error
