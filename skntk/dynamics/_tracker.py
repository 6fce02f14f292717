"""Kernels of a network at checkpoints of its training, and what they say together."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from .._adversarial_training import AdversarialTraining
from .._precision import precision
from .._validation import check_boolean, check_integer
from ._geometry import (
    concentration,
    distances_from_products,
    frobenius_products,
    polar_from_products,
    subspace_products,
    top_eigenpairs,
)
from ._snapshots import SnapshotError, SnapshotStore

__all__ = ["KernelDynamicsTracker"]

#: Bytes of kernels read into memory at a time, twice, for their products.
_BLOCK_BYTES = 256 * 2**20


class KernelDynamicsTracker:
    r"""Record the tangent kernel of a network through its training (Sec. 5, App. E).

    The kernel is the empirical one on a fixed reference batch, between all N inputs and k
    outputs. Where training is adversarial the batch is attacked anew at every checkpoint,
    as the training batches are. Give it to a network as a callback::

        clf.set_callbacks(tracker).fit(X, y)

    or call `record` from any other training loop.

    Parameters
    ----------
    X : array-like of shape (N, d)
        Reference batch; for `record`, (N, ...) as the network takes it. A hundred samples
        of ten outputs give kernels of 1000 x 1000.
    y : array-like of shape (N,), default=None
        Its labels, needed where it is attacked; for `record`, indices of outputs.
    every : int, default=1
        Epochs between checkpoints. The first and the last network are always recorded.
    adversary : AdversarialTraining, default=None
        The attack on the batch. None: that of the network's own training, if any.
    top : tuple of int, default=(10, 20)
        Sizes p of the top eigenspaces that are followed.
    directory : path, default=None
        Where kernels are kept, as .npz and .json; None: in memory. What has been recorded
        survives whatever happens to the process.
    resume : bool, default=False
        Whether a directory that already holds checkpoints may be used. Training is then
        repeated and its recorded part is checked against them, not computed again.

    Attributes
    ----------
    steps_ : ndarray of shape (T,)
        Epoch of each checkpoint, or the step given to `record`.
    distances_ : ndarray of shape (T, T)
        Pairwise kernel distances, Eq. 12.
    polar_radius_, polar_angle_ : ndarray of shape (T,)
        Eq. 13; angles in radians.
    top_polar_radius_, top_polar_angle_ : dict of int to ndarray of shape (T,)
        The same for every kernel cut down to its top p eigenpairs.
    concentration_ : dict of int to ndarray of shape (T,)
        Share of the squared Frobenius norm in the top p eigenvalues.
    frobenius_norm_ : ndarray of shape (T,)
        Norm of each kernel.
    eigenvalues_ : ndarray of shape (T, max(top))
        Largest eigenvalues, descending.

    Notes
    -----
    A checkpoint costs one empirical kernel and its top eigenpairs. The rest is computed when
    it is first asked for, from one product of the (T, (N k)^2) matrix of kernels with
    itself, of which only blocks are in memory if there is a directory.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk import KernelDynamicsTracker
    >>> def square(params, x):
    ...     return (x @ params) ** 2
    >>> tracker = KernelDynamicsTracker(np.eye(3), top=(1,))
    >>> for step in range(3):
    ...     tracker.record(square, np.array([[1.0], [1.0], [step]]), step)
    >>> tracker.steps_
    array([0, 1, 2])
    >>> tracker.frobenius_norm_.round(2)
    array([5.66, 6.93, 16.97])
    """

    def __init__(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        every: int = 1,
        adversary: AdversarialTraining | None = None,
        top: tuple[int, ...] = (10, 20),
        directory: Any = None,
        resume: bool = False,
    ):
        self.X = check_array(X, dtype=[np.float64, np.float32], order="C", allow_nd=True)
        self.y = None if y is None else np.asarray(y)
        if self.y is not None and self.y.shape != (len(self.X),):
            raise ValueError(
                f"X has {len(self.X)} samples and y has shape {self.y.shape}; give a label each."
            )
        self.n_samples = len(self.X)
        # As text: this is kept with the kernels, to order their samples by class.
        self.labels = None if self.y is None else np.array([str(v) for v in self.y.tolist()])
        self.every = check_integer("every", every, low=1)
        if adversary is not None and not isinstance(adversary, AdversarialTraining):
            raise TypeError(f"adversary={adversary!r} must be an AdversarialTraining or None.")
        self.adversary = adversary
        self.top = _check_top(top)
        check_boolean("resume", resume)
        self._kernels: dict[int, NDArray] = {}
        self._facts: dict[int, dict[str, Any]] = {}
        self._store = None
        if directory is not None:
            self._store = SnapshotStore(directory, self._settings(), resume=resume)
            self._read_store()

    @classmethod
    def load(cls, directory: Any) -> KernelDynamicsTracker:
        """Read what was recorded in a directory.

        Parameters
        ----------
        directory : path

        Returns
        -------
        tracker : KernelDynamicsTracker
            For its results only: to go on recording, make one with the same `X` and
            ``resume=True``.

        Raises
        ------
        SnapshotError
            If nothing in the directory can be read. A checkpoint that is damaged is left
            out with a warning that names it.
        """
        tracker = cls.__new__(cls)
        tracker._store = SnapshotStore.open(directory)
        settings = tracker._store.settings
        tracker.X = tracker.y = tracker.adversary = None
        tracker.n_samples = settings["n_samples"]
        tracker.labels = None if settings["labels"] is None else np.array(settings["labels"])
        tracker.every, tracker.top = settings["every"], tuple(settings["top"])
        tracker._kernels, tracker._facts = {}, {}
        tracker._read_store()
        if not tracker._facts:
            raise SnapshotError(f"{str(directory)!r} holds no checkpoint that can be read.")
        return tracker

    def record(self, apply_fn: Any, params: Any, step: int) -> None:
        """Record the kernel of any network, from any training loop.

        Parameters
        ----------
        apply_fn : callable
            ``apply_fn(params, x)`` gives outputs (n, k) for inputs like `X`. Pass the same
            function every time, or it is compiled every time.
        params : tree of arrays
            Parameters at this step.
        step : int
            Number of the step; each is recorded once.
        """
        # Here, so that the tracker is there without Flax.
        from .._flax_network import FunctionNetwork, as_numpy
        from ..kernels._empirical import tangent_gram

        self._check_can_record()
        step = check_integer("step", step, low=0)
        params = as_numpy(params, self.X.dtype)
        if self._is_recorded(step, params):
            return
        network = FunctionNetwork(apply_fn, self.X.shape[1:])
        X = self.X.reshape(len(self.X), -1)
        if self.adversary is not None:
            X = self._attacked(network, params, X)
        self._keep(step, tangent_gram(network, params, {}, X), params)

    def kernel(self, step: int) -> NDArray:
        """Kernel (N k, N k) at a recorded step; row index = sample * k + output.

        Raises
        ------
        KeyError
            If the step was not recorded.
        """
        if step not in self._facts:
            raise KeyError(f"step={step!r} was not recorded; steps_ are {self.steps_.tolist()}.")
        if self._store is None:
            return self._kernels[step].copy()
        return self._store.load(_name(step))[0]["kernel"]

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
        return np.sqrt(self._stacked("squared_norm"))

    @property
    def concentration_(self) -> dict[int, NDArray]:
        """Share of the squared norm in the top p eigenvalues, by p (T,)."""
        squares = self._stacked("squared_norm")
        return {p: concentration(self.eigenvalues_, squares, p) for p in self.top}

    @property
    def distances_(self) -> NDArray:
        """Pairwise kernel distances (T, T), Eq. 12."""
        return distances_from_products(self._products)

    @property
    def polar_radius_(self) -> NDArray:
        """Distance from the first kernel, in units of the last one's (T,), Eq. 13."""
        return polar_from_products(self._products)[0]

    @property
    def polar_angle_(self) -> NDArray:
        """Angle to the first kernel in radians (T,), Eq. 13."""
        return polar_from_products(self._products)[1]

    @property
    def top_polar_radius_(self) -> dict[int, NDArray]:
        """Radius within the top eigenspaces, by p (T,)."""
        return {p: polar[0] for p, polar in self._top_polar.items()}

    @property
    def top_polar_angle_(self) -> dict[int, NDArray]:
        """Angle within the top eigenspaces, by p (T,)."""
        return {p: polar[1] for p, polar in self._top_polar.items()}

    # --- scikit-learn's fit callback -----------------------------------------------------

    def setup(self, estimator: Any, context: Any) -> None:
        """Check, before training, that the batch suits the network."""
        self._check_can_record()
        if self.X.ndim != 2:
            raise ValueError(f"X has shape {self.X.shape}; an estimator takes (N, d).")
        if self._adversary_of(estimator) is not None and self.y is None:
            raise ValueError("y=None, but training is adversarial; give the labels of X.")

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing to undo."""

    def on_fit_task_begin(
        self, estimator: Any, context: Any, *, fitted_estimator: Any = None
    ) -> None:
        """Record the network before its first step."""
        if context.task_name == "fit" and fitted_estimator is not None:
            self._record_estimator(fitted_estimator)

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, fitted_estimator: Any = None
    ) -> None:
        """Record the network after an epoch, or at the end of training."""
        if fitted_estimator is None:
            return
        if context.task_name == "fit" or fitted_estimator.n_epochs_ % self.every == 0:
            self._record_estimator(fitted_estimator)

    def _record_estimator(self, network: Any) -> None:
        step = int(network.n_epochs_)
        if self._is_recorded(step, network.params_):
            return
        adversary = self._adversary_of(network)
        X = self.X if adversary is None else network.attack(self.X, self.y, adversary)
        self._keep(step, network.empirical_ntk(X), network.params_)

    def _adversary_of(self, network: Any) -> AdversarialTraining | None:
        return self.adversary or getattr(network, "adversary", None)

    def _attacked(self, network: Any, params: Any, X: NDArray) -> NDArray:
        from .._flax_network import count_outputs
        from .._flax_training import attack

        n_classes = max(2, count_outputs(network, params, {}, X.shape[1]))
        y = self.y
        if y is None or y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= n_classes:
            raise ValueError(
                f"y={y!r} cannot label an attack on {n_classes} classes; give indices of outputs."
            )
        state = {"params": params, "constants": {}, "origin": None, "anchor": None}
        with precision(X.dtype):
            return np.asarray(attack(network, n_classes, self.adversary, state, X, y))

    # --- keeping and reading -------------------------------------------------------------

    def _check_can_record(self) -> None:
        if self.X is None:
            raise ValueError(
                "This tracker was loaded for its results; to go on recording, make one with the "
                "same X and resume=True."
            )

    def _is_recorded(self, step: int, params: Any) -> bool:
        """Whether a step is there; raise if it is another run's."""
        if step not in self._facts:
            return False
        if self._facts[step]["params"] != _digest_tree(params):
            raise SnapshotError(
                f"step {step} was recorded with other parameters; use one tracker, and one "
                "directory, for one training run."
            )
        return True

    def _keep(self, step: int, kernel: NDArray, params: Any) -> None:
        n_top = max(self.top)
        if n_top > len(kernel):
            raise ValueError(
                f"top={self.top} asks for {n_top} eigenvalues of a kernel of {len(kernel)} rows; "
                "give more samples, or smaller values."
            )
        if not np.isfinite(kernel).all():
            raise ValueError(f"The kernel at step {step} holds NaN or infinity; did it diverge?")
        values, vectors = top_eigenpairs(kernel, n_top)
        arrays = {"kernel": kernel, "eigenvalues": values, "eigenvectors": vectors}
        facts = {"step": step, "params": _digest_tree(params)}
        if self._store is None:
            self._kernels[step] = kernel
        else:
            self._store.save(_name(step), arrays, **facts)
        self._learn(arrays, facts)

    def _learn(self, arrays: dict[str, NDArray], facts: dict[str, Any]) -> None:
        kernel = arrays["kernel"].astype(np.float64, copy=False)
        self._facts[facts["step"]] = {
            "params": facts["params"],
            "eigenvalues": arrays["eigenvalues"],
            "eigenvectors": arrays["eigenvectors"],
            "squared_norm": np.vdot(kernel, kernel),
        }
        for name in ("_products", "_top_polar"):
            self.__dict__.pop(name, None)

    def _read_store(self) -> None:
        assert self._store is not None
        for name in self._store.names():
            try:
                self._learn(*self._store.load(name))
            except SnapshotError as error:
                warnings.warn(f"{error} It is left out.", RuntimeWarning, stacklevel=3)

    def _settings(self) -> dict[str, Any]:
        return {
            "batch": _digest(self.X),
            "n_samples": self.n_samples,
            "labels": None if self.labels is None else self.labels.tolist(),
            "every": self.every,
            "adversary": repr(self.adversary),
            "top": list(self.top),
        }

    def _stacked(self, name: str) -> NDArray:
        if not self._facts:
            raise ValueError(
                "Nothing was recorded yet; fit a network with this tracker among its callbacks, "
                "or call record."
            )
        return np.stack([self._facts[step][name] for step in self.steps_.tolist()])

    @cached_property
    def _products(self) -> NDArray:
        squares = self._stacked("squared_norm")
        products = np.diag(squares)
        for rows, left in self._blocks():
            for columns, right in self._blocks():
                if columns.start > rows.start:
                    continue
                block = frobenius_products(left, right if columns != rows else left)
                products[rows, columns], products[columns, rows] = block, block.T
        return products

    @cached_property
    def _top_polar(self) -> dict[int, tuple[NDArray, NDArray]]:
        values = self._stacked("eigenvalues").astype(np.float64)
        vectors = self._stacked("eigenvectors").astype(np.float64)
        return {
            p: polar_from_products(subspace_products(values[:, :p], vectors[:, :, :p]))
            for p in self.top
        }

    def _blocks(self) -> Iterator[tuple[slice, NDArray]]:
        """Stacks of as many kernels as may be in memory at once, in float64."""
        steps = self.steps_.tolist()
        size = len(self._facts[steps[0]]["eigenvectors"])
        block = max(1, _BLOCK_BYTES // (8 * size * size))
        for start in range(0, len(steps), block):
            chosen = steps[start : start + block]
            kernels = [self.kernel(step).astype(np.float64, copy=False) for step in chosen]
            yield slice(start, start + len(chosen)), np.stack(kernels)


def _check_top(top: Any) -> tuple[int, ...]:
    sizes = (top,) if isinstance(top, int) else tuple(top)
    if not sizes:
        raise ValueError("top is empty; give at least one number of eigenvalues.")
    return tuple(check_integer("top", p, low=1) for p in sizes)


def _name(step: int) -> str:
    return f"step-{step:010d}"


def _digest_tree(params: Any) -> str:
    from .._flax_network import as_leaves

    return _digest(*as_leaves(params))


def _digest(*arrays: Any) -> str:
    """SHA-256 of arrays, their types and shapes."""
    digest = hashlib.sha256()
    for array in map(np.asarray, arrays):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
