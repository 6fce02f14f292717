"""A recorder of the tangent kernel of a network at checkpoints of its training."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from numbers import Integral
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from .._utils.frames import framed_like
from .._utils.precision import own_precision
from .._utils.snapshots import SnapshotError, SnapshotStore, hash_of
from .._utils.validation import check_boolean, check_integer
from ..finite._adversarial_training import AdversarialTraining
from ..finite._outputs import attack
from ..kernels._tangent_kernel import tangent_gram
from ..networks._function import (
    as_leaves,
    as_numpy,
    check_rowwise,
    count_outputs,
)
from ..networks._given_parameters import refuse_untrainable
from ..networks._resolve import wrap_function
from ._fit_callback import FitCallbackMixin
from ._kept_weights import KeptWeightsMixin
from ._record import KernelRecord
from ._stores import DirectoryStore, KernelStore, MemoryStore

__all__ = ["KernelDynamicsTracker"]

#: Format of the settings in a directory, so that those of other versions are not misread.
_FORMAT = "skntk kernel dynamics 1"


def _result(name: str) -> property:
    """Property that a tracker takes from its record of kernels."""
    return property(attrgetter(f"_recorded.{name}"), doc=getattr(KernelRecord, name).__doc__)


class KernelDynamicsTracker(FitCallbackMixin, KeptWeightsMixin):
    r"""Record the tangent kernel of a network through its training (Sec. 5, App. E).

    The kernel is the empirical one on a fixed reference batch, between all N inputs and k
    outputs. If training is adversarial, the batch is attacked again at every checkpoint, as
    the training batches are. Pass the tracker to a network as a callback::

        clf.set_callbacks(tracker).fit(X, y)

    or call `record` from any other training loop.

    Parameters
    ----------
    X : array-like of shape (N, d)
        Reference batch; for `record`, of any shape (N, ...) that the network accepts. A hundred
        samples and ten outputs give kernels of 1000 x 1000.
    y : array-like of shape (N,), default=None
        Labels of the batch, required if it is attacked; for `record`, indices of outputs.
    every : int, default=1
        Number of epochs of a fit between checkpoints. The first and the last network are always
        recorded, and so is every call of `record`.
    adversary : AdversarialTraining, default=None
        Adversary that attacks the batch at every checkpoint, the first included. If None, the one
        of the network's own training, if any; a radius of 0 leaves the batch clean (Notes).
    top : tuple of int, default=(10, 20)
        Sizes p of the top eigenspaces that are followed.
    directory : path, default=None
        Directory in which kernels are stored as .npz and .json files, so that they survive the
        process. If None, kernels are kept in memory.
    resume : bool, default=False
        Whether a directory that already holds checkpoints may be used. Training is then repeated,
        unless the network resumes from a `checkpoint` of its own. Networks that were recorded are
        compared with the new ones, and their kernels are not computed again.
    keep_params : bool, default=False
        Whether the weights of the network are kept with every kernel, for `at_step` and
        `params_at`.

    Attributes
    ----------
    steps_ : ndarray of shape (T,)
        Epoch of each checkpoint, or the step given to `record`.
    distances_ : ndarray of shape (T, T)
        Pairwise kernel distances, Eq. 12.
    polar_radius_, polar_angle_ : ndarray of shape (T,)
        Polar coordinates relative to the first kernel, Eq. 13; angles are in radians.
    top_polar_radius_, top_polar_angle_ : dict of int to ndarray of shape (T,)
        The same for kernels truncated to their top p eigenpairs.
    concentration_ : dict of int to ndarray of shape (T,)
        Share of the squared Frobenius norm in the top p eigenvalues.
    frobenius_norm_ : ndarray of shape (T,)
        Norm of each kernel.
    eigenvalues_ : ndarray of shape (T, max(top))
        Largest eigenvalues, descending.

    Notes
    -----
    A checkpoint costs one empirical kernel and its top eigenpairs. Distances are computed on first
    access, by one product of the (T, (N k)^2) matrix of kernels with itself. With a directory,
    only blocks of that matrix are in memory.

    How far a kernel moves depends on the batch as well as on training: one that is attacked anew
    at every checkpoint moves with it. Like is compared with like by following both trainings on
    the same kind of batch, with two trackers as callbacks of one fit where both kinds are wanted:

    ============  ======================================  =======================================
    training      clean batch                             attacked batch
    ============  ======================================  =======================================
    standard      ``adversary=None``                      ``adversary=AdversarialTraining(eps)``
    adversarial   ``adversary=AdversarialTraining(0.0)``  ``adversary=None``, as training attacks,
                                                          or one of its own
    ============  ======================================  =======================================

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
    array([ 5.66,  6.93, 16.97])
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
        keep_params: bool = False,
    ):
        # A copy, so that the caller cannot change the batch.
        options: Any = {"order": "C", "copy": True, "allow_nd": True, "input_name": "X"}
        self.X = check_array(X, dtype=[np.float64, np.float32], **options)
        self.y = None if y is None else np.array(y)
        if self.y is not None and self.y.shape != (len(self.X),):
            raise ValueError(
                f"X has {len(self.X)} samples and y has shape {self.y.shape}; give one label per "
                "sample."
            )
        self.n_samples = len(self.X)
        self.labels = None if self.y is None else _as_json(self.y)
        self.every = check_integer("every", every, low=1)
        self.adversary = adversary
        if adversary is not None:
            self._check_adversary(adversary)
        self.top = _check_top(top)
        check_boolean("resume", resume)
        check_boolean("keep_params", keep_params)
        self.keep_params = keep_params
        # The names of features are kept, since scikit-learn compares them.
        frame: Any = X
        self._framed = partial(framed_like, frame[:0] if hasattr(X, "columns") else None)
        store: KernelStore = MemoryStore()
        if directory is not None:
            store = DirectoryStore(SnapshotStore(directory, self._settings(), resume=resume))
        self._recorded = KernelRecord(store, self.top)
        self._writing = ExitStack()

    @classmethod
    def load(cls, directory: Any) -> KernelDynamicsTracker:
        """Load the kernels that were recorded in a directory.

        Parameters
        ----------
        directory : path

        Returns
        -------
        tracker : KernelDynamicsTracker
            A tracker that only gives results. To continue recording, make one with the same
            `X` and ``resume=True``.

        Raises
        ------
        SnapshotError
            If nothing in the directory can be read. A damaged checkpoint is ignored, with a
            warning that names it.
        """
        snapshots = SnapshotStore.open(directory)
        settings = snapshots.settings
        if settings.get("format") != _FORMAT:
            raise SnapshotError(f"{str(directory)!r} holds no checkpoints of this version.")
        tracker = cls.__new__(cls)
        tracker.X = tracker.y = tracker.adversary = None
        tracker.keep_params = settings.get("keep_params", False)
        try:
            tracker.n_samples = check_integer("n_samples", settings["n_samples"], low=1)
            labels = settings["labels"]
            tracker.labels = None if labels is None else np.array(labels)
            tracker.every, tracker.top = settings["every"], _check_top(settings["top"])
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(
                f"The settings in {str(directory)!r} are not those of a tracker: {error}."
            ) from error
        tracker._recorded = KernelRecord(DirectoryStore(snapshots), tracker.top)
        tracker._writing = ExitStack()
        if not len(tracker._recorded):
            raise SnapshotError(f"{str(directory)!r} holds no checkpoint that can be read.")
        return tracker

    def kernel(self, step: int) -> NDArray:
        """Kernel (N k, N k) at a recorded step; row index = sample * k + output.

        Raises
        ------
        KeyError
            If the step was not recorded.
        """
        return self._recorded.kernel(step)

    steps_ = _result("steps_")
    eigenvalues_ = _result("eigenvalues_")
    frobenius_norm_ = _result("frobenius_norm_")
    concentration_ = _result("concentration_")
    distances_ = _result("distances_")
    polar_radius_ = _result("polar_radius_")
    polar_angle_ = _result("polar_angle_")
    top_polar_radius_ = _result("top_polar_radius_")
    top_polar_angle_ = _result("top_polar_angle_")

    def record(self, apply_fn: Any, params: Any, step: int) -> None:
        """Record the kernel of any network, from any training loop.

        Parameters
        ----------
        apply_fn : callable
            ``apply_fn(params, x)`` returns outputs (n, k) for inputs like `X`, such as the
            ``apply`` of a Linen module. Pass the same function every time, since each function is
            compiled separately.
        params : tree of arrays
            Parameters at this step, converted to the precision of `X`; for ``module.apply`` its
            variables, ``{"params": ...}``. Every array counts as trained, so leave out those that
            are not: ``lambda params, x: module.apply({"params": params, **frozen}, x)``.
        step : int
            Number of the step; each is recorded once.
        """
        self._check_can_record()
        network = wrap_function(apply_fn, params, self.X.shape[1:])
        # Flax's TrainState counts its steps in an array.
        step = check_integer("step", step.item() if hasattr(step, "item") else step, low=0)
        refuse_untrainable(params)
        given, params = params, as_numpy(params, self.X.dtype)
        leaves = as_leaves(params)
        X = self.X.reshape(len(self.X), -1)
        n_outputs = count_outputs(network, params, {}, X.shape[1], X.dtype)
        check_rowwise(network, params, {}, X.shape[1], X.dtype)

        def kernel() -> NDArray:
            attack = partial(self._attacked, network, params, n_outputs)
            attacked = X if self.adversary is None else attack(self.adversary)
            return tangent_gram(network, params, {}, attacked)

        digest = hash_of(*leaves, repr(self.adversary))
        self._record(step, n_outputs, digest, {"params": given}, kernel)

    def _attacked(
        self, network: Any, params: Any, n_outputs: int, adversary: AdversarialTraining
    ) -> NDArray:
        n_classes = max(2, n_outputs)
        y: Any = self.y
        if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= n_classes:
            raise ValueError(
                f"y holds {np.unique(y).tolist()}, which cannot label an attack on {n_classes} "
                "classes; give indices of outputs."
            )
        state = {"params": params, "constants": {}, "origin": None, "anchor": None}
        X = self.X.reshape(len(self.X), -1)
        with own_precision():
            return np.asarray(attack(network, n_classes, adversary, state, X, y))

    def _record(
        self,
        step: int,
        n_outputs: int,
        network: str,
        trees: dict[str, Any],
        kernel: Callable[[], NDArray],
    ) -> None:
        """Record a kernel unless the step was recorded; `network` is a digest of the network."""
        if step in self._recorded:
            if self._recorded.network(step) != network:
                raise SnapshotError(
                    f"step {step} was recorded with other parameters or another adversary; use one "
                    "tracker, and one directory, for one training run."
                )
            return
        if max(self.top) > self.n_samples * n_outputs:
            raise ValueError(
                f"top={self.top} asks for {max(self.top)} eigenvalues of a kernel of "
                f"{self.n_samples * n_outputs} rows; give more samples, or smaller values."
            )
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            K = kernel()
        if not np.isfinite(K).all():
            raise ValueError(
                f"The kernel at step {step} holds NaN or infinity; lower the learning rate if "
                "training diverged."
            )
        self._recorded.add(step, K, network, self._kept(trees))

    def _check_can_record(self) -> None:
        if self.X is None:
            raise ValueError(
                "This tracker was loaded for its results; to continue recording, make one with the "
                "same X and resume=True."
            )

    def _check_adversary(self, adversary: Any) -> None:
        if not isinstance(adversary, AdversarialTraining):
            raise TypeError(f"adversary={adversary!r} must be an AdversarialTraining or None.")
        if self.y is None:
            raise ValueError("y=None, but an adversary is given; give the labels of X.")
        adversary.check_features(self.X.reshape(len(self.X), -1))

    def _settings(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "batch": hash_of(self.X),
            "n_samples": self.n_samples,
            "labels": None if self.labels is None else self.labels.tolist(),
            "every": self.every,
            "adversary": repr(self.adversary),
            "top": list(self.top),
            **({"keep_params": True} if self.keep_params else {}),  # older directories lack it
        }


def _check_top(top: Any) -> tuple[int, ...]:
    sizes = (top,) if isinstance(top, Integral) else top
    if isinstance(sizes, str) or not hasattr(sizes, "__iter__"):
        raise TypeError(f"top={top!r} must be a tuple of integers.")
    sizes = tuple(check_integer("top", p, low=1) for p in sizes)
    if not sizes:
        raise ValueError("top is empty; give at least one number of eigenvalues.")
    return sizes


def _as_json(y: NDArray) -> NDArray:
    """Labels that JSON can store: numbers and strings unchanged, all others as text."""
    return y if y.dtype.kind in "biufU" else np.array([str(label) for label in y.tolist()])
