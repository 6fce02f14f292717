"""Results computed from recorded kernels, wherever these are stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from ._geometry import (
    concentration,
    frobenius_products,
    normalize,
    pairwise_distances,
    polar_from_distances,
    top_distances,
    top_eigenpairs,
)
from ._stores import Checkpoint, KernelStore

__all__ = ["KernelRecord"]

#: Bytes of each of the two blocks of kernels that are in memory for their products.
_BLOCK_BYTES = 256 * 2**20


@dataclass(frozen=True, eq=False)
class _Summary:
    """The part of a checkpoint that stays in memory."""

    norm: float
    eigenvalues: NDArray
    eigenvectors: NDArray
    network: str


def _summary(checkpoint: Checkpoint) -> _Summary:
    norm, _ = normalize(checkpoint.kernel.astype(np.float64, copy=False))
    return _Summary(norm, checkpoint.eigenvalues, checkpoint.eigenvectors, checkpoint.network)


class KernelRecord:
    """Kernels by step, and the results computed from them.

    The norm and top eigenpairs of each kernel are kept in memory. All results are in float64.

    Parameters
    ----------
    store : KernelStore
        Store of the kernels, which may already contain some.
    top : tuple of int
        Sizes p of the top eigenspaces that are followed.
    """

    def __init__(self, store: KernelStore, top: tuple[int, ...]):
        self.store, self.top = store, top
        self._summaries: dict[int, _Summary] = {}
        for step, checkpoint in store.checkpoints():
            self._summaries[step] = _summary(checkpoint)

    def __contains__(self, step: int) -> bool:
        return step in self._summaries

    def __len__(self) -> int:
        return len(self._summaries)

    def network(self, step: int) -> str:
        """Digest of the network whose kernel was recorded at a step."""
        return self._summaries[step].network

    def add(
        self,
        step: int,
        kernel: NDArray,
        network: str,
        weights: dict[str, list[NDArray]] | None = None,
    ) -> None:
        """Store a kernel together with a digest of its network, and with its weights if given."""
        values, vectors = top_eigenpairs(kernel.astype(np.float64, copy=False), max(self.top))
        checkpoint = Checkpoint(kernel, values, vectors, network, weights)
        with self.store.writing():
            self.store.save(step, checkpoint)
        for name in ("_distances", "_top_distances"):
            self.__dict__.pop(name, None)
        self._summaries[step] = _summary(checkpoint)

    def kernel(self, step: int) -> NDArray:
        """Kernel (N k, N k) at a recorded step; row index = sample * k + output.

        Raises
        ------
        KeyError
            If the step was not recorded.
        """
        return self._load(step).kernel.copy()

    def weights(self, step: int) -> dict[str, list[NDArray]]:
        """Copies of the weights of the network at a recorded step.

        Raises
        ------
        KeyError
            If the step was not recorded.
        ValueError
            If it was recorded without them.
        """
        weights = self._load(step).weights
        if weights is None:
            raise ValueError("Weights were not kept; record with keep_params=True.")
        return {name: [leaf.copy() for leaf in leaves] for name, leaves in weights.items()}

    def _load(self, step: int) -> Checkpoint:
        if step not in self:
            raise KeyError(f"step={step!r} was not recorded; steps_ are {self.steps_.tolist()}.")
        return self.store.load(step)

    @property
    def steps_(self) -> NDArray:
        """Steps that were recorded, in order."""
        return np.array(sorted(self._summaries), dtype=int)

    @property
    def eigenvalues_(self) -> NDArray:
        """Largest eigenvalues (T, max(top)), descending."""
        return self._stacked("eigenvalues")

    @property
    def frobenius_norm_(self) -> NDArray:
        """Frobenius norm of each kernel (T,)."""
        return self._stacked("norm")

    @property
    def concentration_(self) -> dict[int, NDArray]:
        """Share of the squared norm in the top p eigenvalues, by p (T,)."""
        return {p: concentration(self.eigenvalues_, self.frobenius_norm_, p) for p in self.top}

    @property
    def distances_(self) -> NDArray:
        """Pairwise kernel distances (T, T). See Eq. 12."""
        return self._distances.copy()

    @property
    def polar_radius_(self) -> NDArray:
        """Distance (T,) to the first kernel, relative to that of the last kernel. See Eq. 13."""
        return polar_from_distances(self._distances[0], self.frobenius_norm_)[0]

    @property
    def polar_angle_(self) -> NDArray:
        """Angle to the first kernel in radians (T,). See Eq. 13."""
        return polar_from_distances(self._distances[0], self.frobenius_norm_)[1]

    @property
    def top_polar_radius_(self) -> dict[int, NDArray]:
        """Radius within the top eigenspaces, by p (T,)."""
        return {p: polar_from_distances(*self._top_distances[p])[0] for p in self.top}

    @property
    def top_polar_angle_(self) -> dict[int, NDArray]:
        """Angle within the top eigenspaces, by p (T,)."""
        return {p: polar_from_distances(*self._top_distances[p])[1] for p in self.top}

    def _stacked(self, name: str) -> NDArray:
        if not self._summaries:
            raise NotFittedError(
                "Nothing was recorded yet; fit a network that has this tracker as a callback, or "
                "call record."
            )
        return np.stack([getattr(self._summaries[step], name) for step in self.steps_.tolist()])

    @cached_property
    def _distances(self) -> NDArray:
        """All pairwise distances, from the products of all pairs of kernels, in blocks."""
        norms = self.frobenius_norm_
        steps = self.steps_.tolist()
        first = self._unit_kernels(steps[:1])
        size = max(1, _BLOCK_BYTES // first.nbytes)
        blocks = [slice(start, start + size) for start in range(0, len(steps), size)]

        def differences(block: slice) -> NDArray:
            units = self._unit_kernels(steps[block])
            units -= first
            return units

        products = np.empty((len(steps), len(steps)))
        for k, rows in enumerate(blocks):
            left = differences(rows)
            products[rows, rows] = frobenius_products(left, left)
            for columns in blocks[:k]:
                block = frobenius_products(left, differences(columns))
                products[rows, columns], products[columns, rows] = block, block.T
        return pairwise_distances(products, norms)

    @cached_property
    def _top_distances(self) -> dict[int, tuple[NDArray, NDArray]]:
        values, vectors = self._stacked("eigenvalues"), self._stacked("eigenvectors")
        return {p: top_distances(values[:, :p], vectors[:, :, :p]) for p in self.top}

    def _unit_kernels(self, steps: list[int]) -> NDArray:
        """Kernels divided by their norms (S, N k, N k), in one allocation."""
        n = len(self._summaries[steps[0]].eigenvectors)
        units = np.empty((len(steps), n, n))
        for unit, step in zip(units, steps, strict=True):
            norm = self._summaries[step].norm or 1.0
            np.divide(self.store.load(step).kernel, norm, out=unit, dtype=np.float64)
        return units
