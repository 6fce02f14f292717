"""What recorded kernels say together, wherever they are kept."""

from __future__ import annotations

import re
import warnings
from functools import cached_property
from typing import Any

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
from ._snapshots import SnapshotError, SnapshotStore

__all__ = ["RecordedKernels"]

#: Bytes of kernels read into memory at a time, twice, for their products.
_BLOCK_BYTES = 256 * 2**20
_STEP_NAME = re.compile(r"step-[0-9]{10,}")


class RecordedKernels:
    """Kernels by step, in memory or in a store, and the results that follow from them.

    Of each kernel its norm and top eigenpairs are in memory. All results are in float64.
    """

    top: tuple[int, ...]
    _store: SnapshotStore | None
    _kernels: dict[int, NDArray]
    _facts: dict[int, dict[str, Any]]

    def kernel(self, step: int) -> NDArray:
        """Kernel (N k, N k) at a recorded step; row index = sample * k + output.

        Raises
        ------
        KeyError
            If the step was not recorded.
        """
        if step not in self._facts:
            raise KeyError(f"step={step!r} was not recorded; steps_ are {self.steps_.tolist()}.")
        return self._read(step).copy()

    @property
    def steps_(self) -> NDArray:
        """Steps that were recorded, in order."""
        return np.array(sorted(self._facts), dtype=int)

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
        """Pairwise kernel distances (T, T), Eq. 12."""
        return self._distances.copy()

    @property
    def polar_radius_(self) -> NDArray:
        """Distance from the first kernel, in units of the last one's (T,), Eq. 13."""
        return polar_from_distances(self._distances[0], self.frobenius_norm_)[0]

    @property
    def polar_angle_(self) -> NDArray:
        """Angle to the first kernel in radians (T,), Eq. 13."""
        return polar_from_distances(self._distances[0], self.frobenius_norm_)[1]

    @property
    def top_polar_radius_(self) -> dict[int, NDArray]:
        """Radius within the top eigenspaces, by p (T,)."""
        return {p: polar_from_distances(*self._top_distances[p])[0] for p in self.top}

    @property
    def top_polar_angle_(self) -> dict[int, NDArray]:
        """Angle within the top eigenspaces, by p (T,)."""
        return {p: polar_from_distances(*self._top_distances[p])[1] for p in self.top}

    def _save(self, step: int, kernel: NDArray, network: str) -> None:
        """Keep a kernel, with a digest of the network it is of."""
        values, vectors = top_eigenpairs(kernel.astype(np.float64, copy=False), max(self.top))
        arrays = {"kernel": kernel, "eigenvalues": values, "eigenvectors": vectors}
        if self._store is None:
            self._kernels[step] = kernel
        else:
            self._store.save(_name(step), arrays, network=network)
        self._learn(step, arrays, network)

    def _learn(self, step: int, arrays: dict[str, NDArray], network: str) -> None:
        for name in ("_distances", "_top_distances"):
            self.__dict__.pop(name, None)
        self._facts[step] = {
            "network": network,
            "norm": normalize(arrays["kernel"].astype(np.float64, copy=False))[0],
            "eigenvalues": arrays["eigenvalues"],
            "eigenvectors": arrays["eigenvectors"],
        }

    def _read_store(self) -> None:
        """Learn all that can be read, with a warning for what cannot."""
        assert self._store is not None
        for name in filter(_STEP_NAME.fullmatch, self._store.names()):
            try:
                arrays, facts = self._store.load(name)
            except SnapshotError as error:
                warnings.warn(f"{error} It is left out.", RuntimeWarning, stacklevel=3)
            else:
                self._learn(int(name.removeprefix("step-")), arrays, facts["network"])

    def _stacked(self, name: str) -> NDArray:
        if not self._facts:
            raise NotFittedError(
                "Nothing was recorded yet; fit a network with this tracker among its callbacks, "
                "or call record."
            )
        return np.stack([self._facts[step][name] for step in self.steps_.tolist()])

    @cached_property
    def _distances(self) -> NDArray:
        """All pairwise distances, from blocks of the one product of all kernels with all."""
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
        n = len(self._facts[steps[0]]["eigenvectors"])
        units = np.empty((len(steps), n, n))
        for unit, step in zip(units, steps, strict=True):
            norm = self._facts[step]["norm"] or 1.0
            np.divide(self._read(step), norm, out=unit, dtype=np.float64)
        return units

    def _read(self, step: int) -> NDArray:
        if self._store is None:
            return self._kernels[step]
        return self._store.load(_name(step))[0]["kernel"]


def _name(step: int) -> str:
    return f"step-{step:010d}"
