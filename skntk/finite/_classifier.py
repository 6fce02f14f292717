"""A finite network as a scikit-learn classifier, with the same interface as an infinite one."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.callback import with_callbacks
from sklearn.utils.validation import validate_data

from .._utils.copying import copy_module
from .._utils.pickling import PickledByValue
from .._utils.precision import own_precision
from .._utils.targets import encode_targets, label_indices
from .._utils.validation import check_boolean, check_integer, check_option, check_table
from ..networks._function import flattened
from ..networks._training_mode import check_training_mode
from ._adversarial_training import AdversarialTraining
from ._epochs import TrainingMixin
from ._from_params import FromParamsMixin
from ._optimizer import check_optimizer
from ._prediction import check_adversary
from ._training import TRAINING_LOSSES
from ._weights import training_weights

__all__ = ["FlaxClassifier"]

#: All attributes that `fit` sets.
_FITTED = (
    *("params_", "constants_", "origin_", "anchor_", "classes_", "history_", "n_epochs_"),
    *("n_features_in_", "feature_names_in_"),
    *("best_epoch_", "best_validation_score_", "_best", "_best_anchor", "_split_seed"),
    *("_network", "_origin_constants", "_random", "_optimizer", "_optimizer_state"),
    "_fitted_with",
)


class FlaxClassifier(FromParamsMixin, PickledByValue, TrainingMixin, BaseEstimator):
    r"""Flax network under standard, adversarial or linearised training.

    Parameters
    ----------
    module : linen.Module, NNX module class, or callable
        The network: a Linen module or class, an NNX module class, or a function from
        `nnx.Rngs` to an NNX module. If a Linen module has a field ``n_outputs`` that is None,
        it is set to the number of outputs needed. For two classes, the prediction is the sign
        of a single output, or the argmax of two.
    input_shape : tuple of int, default=None
        Shape that a sample is given before the network sees it; None: flat. A row of (H, W, C)
        runs over height, then width, then channels; rows that look otherwise are warned of.
        Samples of this shape are taken, too.
    loss : {"cross_entropy", "squared_error"}, default="cross_entropy"
        "squared_error" is the mean over samples of half the squared distance to targets in
        {-1, +1} or one-hot, so that a full-batch step of learning rate eta advances
        gradient-flow time by eta/n.
    optimizer : str, callable or optax.GradientTransformation, default="sgd"
        Name of an optimiser in Optax, a function from the learning rate to a gradient
        transformation, or the transformation itself.
    learning_rate : float or callable, default=1e-2
        Step size, or an Optax schedule.
    batch_size : int or None, default=128
        Number of samples per step. If None, each step uses all samples, in order.
    max_epochs : int, default=20
        Number of passes over the data.
    adversary : AdversarialTraining, default=None
        Adversary that attacks every batch, at the current weights, in inference mode (Notes).
    validation_adversary : AdversarialTraining, default=None
        Adversary that the robust accuracies in `history_` are measured with. If None,
        `adversary`.
    linearize_at : int, default=None
        Epoch at which the network is replaced by its first-order expansion around the weights
        of that epoch, which is trained and attacked from then on (App. E.1).
    centered : bool, "training" or "measurement", default=False
        Whether the outputs are f - f_0, the network minus itself at initialisation. With
        "training", or True, that is what is trained; with "measurement", f is trained, and f_0
        subtracted from predictions, gradients, accuracies and attacks on the fitted network.
    random_state : int, RandomState instance or None, default=None
        Determines the initialisation and the order of samples. With an int, results are
        bitwise reproducible.
    warm_start : bool, default=False
        Whether `fit` continues where the last one stopped, with its parameters, optimiser and
        random numbers. Two fits of five epochs then equal one fit of ten.
    verbose : int, default=0
        Print a line after every epoch if positive.
    checkpoint : path, default=None
        Directory in which the state of training is saved after every epoch: network, optimiser,
        random numbers and history. Files are written atomically, checked when they are read, and
        never pickled.
    resume : bool, default=False
        Whether `fit` continues from the last state in `checkpoint` until `max_epochs` epochs are
        trained in total. The result is bitwise the same as without the interruption. A tracker
        that is given a directory of its own and ``resume=True`` continues as well.
    class_weight : "balanced" or dict, default=None
        Weights of the classes in the loss, by label; "balanced" gives each class the same total
        weight. They multiply the weights of the samples.
    early_stopping : bool, default=False
        Whether to keep the parameters of the epoch with the highest accuracy on validation
        samples, and to stop when it no longer rises. With an adversary, it is the robust accuracy.
        Validation samples are those given to `fit`, or else held out of the training samples.
    validation_fraction : float, default=0.1
        Part of the training samples that is held out for early stopping, stratified by class.
    n_iter_no_change : int, default=10
        Training stops early after more than this many epochs without an improvement by `tol`.
    tol : float, default=1e-4
        Least improvement of the accuracy, for early stopping.
    shuffle : bool, default=True
        Whether the samples are shuffled every epoch. If not, the batches are the same ones
        throughout, in order, as in the paper.

    Attributes
    ----------
    params_ : dict
        Trained parameters, a tree of NumPy arrays.
    constants_ : dict
        Variables that are not trained, such as running statistics.
    origin_ : dict or None
        Initial parameters if `centered`, else None.
    anchor_ : dict or None
        Parameters around which the network is linearised, or None if it is not.
    history_ : dict of str to ndarray of shape (n_epochs,)
        "loss"; with validation samples also "train_accuracy" and "test_accuracy", and with an
        adversary "train_robust_accuracy" and "test_robust_accuracy". Entries are NaN for epochs
        in which they were not measured. Training accuracies are measured on as many training
        samples as there are validation samples.
    n_epochs_ : int
        Number of epochs trained so far.
    best_epoch_, best_validation_score_ : int and float
        Epoch whose parameters were kept, counted from 1, and the validation accuracy after it;
        with early stopping.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of input features.

    Notes
    -----
    Modules with batch normalisation or dropout are trained in training mode, and evaluated,
    attacked, linearised and measured in inference mode with the current running statistics. The
    mode is told to a Linen module by arguments of its call, or by fields, named ``train``,
    ``training``, ``is_train``, ``is_training``, ``deterministic``, ``use_running_average``,
    ``inference``, ``eval_mode`` or ``is_eval``, and to an NNX module by its methods ``train`` and
    ``eval`` or by the same arguments; other names are refused. From `linearize_at` on, and in f_0
    of a centred network, the mode is inference and the statistics are fixed.

    The two ways to centre are two flows. Training f - f_0 sends the output from 0 to the targets,
    as the kernel machine does, so that a wide network is near it at any matching time. Training f
    and subtracting f_0 afterwards, as in the paper's App. C, sends it to the targets *less f_0*: on
    training samples it ends at y - f_0, and stays off the kernel by the size of f_0.

    The adversary of training attacks the network in inference mode, as in TRADES [1]_: this is the
    network that is evaluated, every sample is attacked on its own, and attacks leave no trace in
    the statistics. Training mode is the other choice in use.

    References
    ----------
    .. [1] Zhang et al., "Theoretically Principled Trade-off between Robustness and Accuracy",
       ICML 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skntk import FlaxClassifier
    >>> from skntk.networks import TwoLayerReLU
    >>> X, y = load_digits(n_class=2, return_X_y=True)
    >>> network = FlaxClassifier(TwoLayerReLU(64), learning_rate=0.5, random_state=0)
    >>> network.fit(X / 16, y).score(X / 16, y) > 0.95
    True
    """

    _pickled_by_value = (
        *("module", "optimizer", "learning_rate"),
        *("_network", "_optimizer", "_fitted_with"),
    )

    def __init__(
        self,
        module: Any,
        *,
        input_shape: tuple[int, ...] | None = None,
        loss: str = "cross_entropy",
        optimizer: Any = "sgd",
        learning_rate: Any = 1e-2,
        batch_size: int | None = 128,
        max_epochs: int = 20,
        adversary: AdversarialTraining | None = None,
        validation_adversary: AdversarialTraining | None = None,
        linearize_at: int | None = None,
        centered: bool | str = False,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        checkpoint: Any = None,
        resume: bool = False,
        class_weight: Any = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        shuffle: bool = True,
    ) -> None:
        self.module = module
        self.input_shape = input_shape
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.adversary = adversary
        self.validation_adversary = validation_adversary
        self.linearize_at = linearize_at
        self.centered = centered
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.checkpoint = checkpoint
        self.resume = resume
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.shuffle = shuffle

    @with_callbacks
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> FlaxClassifier:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training inputs.
        y : array-like of shape (n,)
            Labels of any type.
        X_val, y_val : array-like of shape (m, d) and (m,), default=None
            Samples on which accuracy is measured after every epoch.
        sample_weight : array-like of shape (n,), default=None
            Weight of each sample in the loss. Samples of weight 0 are left out, and their class
            keeps its output. Whole numbers are repeated samples in steps on all samples, but for
            the statistics of batch normalisation, which are not weighted, nor are accuracies.

        Returns
        -------
        self : FlaxClassifier

        Raises
        ------
        ValueError
            For invalid parameters, inputs that are not finite, or a single class.
        FloatingPointError
            If the loss or the parameters are no longer finite.

        Notes
        -----
        If a fit fails or is interrupted, the estimator is left as it was before if
        ``warm_start=True``, and not fitted otherwise.
        """
        continuing = self.warm_start and hasattr(self, "params_")
        before = {name: vars(self)[name] for name in _FITTED if continuing and name in vars(self)}
        try:
            self._check_parameters()
            if continuing:
                self._check_unchanged()
                self._random = copy.deepcopy(before["_random"])
                self.history_ = dict(before["history_"])
            self._fit(X, y, sample_weight, (X_val, y_val), continuing)
        except BaseException:
            for name in _FITTED:
                self.__dict__.pop(name, None)
            self.__dict__.update(before)
            raise
        return self

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, held_out: tuple[Any, Any], continuing: bool
    ) -> None:
        X = flattened(X, self.input_shape)
        check_table(X)
        given = X, y
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], order="C", reset=not continuing
        )
        if continuing:
            classes, labels = self.classes_, label_indices(y, self.classes_)
        else:
            classes, labels = encode_targets(y)
        validation = self._validate_held_out(*held_out, classes)
        splits = self.early_stopping and validation is None
        self._check_boxes(X, (X, labels) if splits else validation)
        weights = training_weights(sample_weight, self.class_weight, X, labels, classes)
        if continuing:
            self._resume(X.dtype)
        else:
            self._initialise(X, classes)
        variables = self.params_, self.constants_
        check_training_mode(self._network, *variables, X.shape[1], X.dtype)
        data: tuple[NDArray, NDArray, NDArray] = (X, labels, weights)
        if not weights.all():
            data = X[weights > 0], labels[weights > 0], weights[weights > 0]
        if splits:
            data, validation = self._hold_out(*data)
        with own_precision(), self._open_checkpoints(*data):
            self._train(*data, validation, given)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "params_")

    def __sklearn_clone__(self) -> FlaxClassifier:
        other = super().__sklearn_clone__()
        other.module = copy_module(self.module)
        return other

    def _check_parameters(self) -> None:
        check_option("loss", self.loss, tuple(TRAINING_LOSSES))
        check_optimizer(self.optimizer, self.learning_rate)
        if self.batch_size is not None:
            check_integer("batch_size", self.batch_size, low=1)
        check_integer("max_epochs", self.max_epochs, low=0)
        if self.linearize_at is not None:
            check_integer("linearize_at", self.linearize_at, low=0)
        self._check_early_stopping()
        check_boolean("shuffle", self.shuffle)
        if isinstance(self.centered, str):
            check_option("centered", self.centered, ("training", "measurement"))
        self._check_checkpoint()
        if self.warm_start and self.checkpoint is not None:
            raise ValueError(
                f"checkpoint={self.checkpoint!r} and warm_start=True both say where training "
                "continues from; give one of them."
            )
        for name in ("adversary", "validation_adversary"):
            if getattr(self, name) is not None:
                check_adversary(name, getattr(self, name))
        is_trades = self.adversary is not None and self.adversary.is_trades
        if is_trades and self.loss != "cross_entropy":
            raise ValueError(
                f"loss={self.loss!r} cannot be combined with an adversary of loss='trades', "
                "which compares probabilities; use loss='cross_entropy'."
            )
