"""A finite network as a scikit-learn classifier, with the interface of the infinite one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ._adversarial_training import AdversarialTraining
from ._flax_network import as_numpy, make_network, wrap_trained
from ._flax_training import (
    LOSSES,
    attack,
    decide,
    init_network,
    init_optimizer,
    input_pullback,
    jacobian_rows,
    train_epoch,
)
from ._precision import as_float_matrix, precision
from ._targets import OutputClassifierMixin, as_columns, classify, encode_targets, label_indices
from ._validation import check_integer, check_option, check_real

__all__ = ["FlaxClassifier"]

#: Samples evaluated at a time; the last block is filled up, so that nothing recompiles.
_EVALUATION_BATCH = 256


class FlaxClassifier(CallbackSupportMixin, OutputClassifierMixin, BaseEstimator):
    r"""Flax network under standard, adversarial or linearised training.

    Parameters
    ----------
    module : linen.Module, NNX module class, or callable
        The network: a Linen module or class (one whose field ``n_outputs`` is None gets as
        many as are needed), an NNX class, or a function from `nnx.Rngs` to an NNX module. Two
        classes are read from one output by its sign, from two by argmax.
    input_shape : tuple of int, default=None
        Shape that a sample is given before the network sees it; None: flat.
    loss : {"cross_entropy", "squared_error"}, default="cross_entropy"
        "squared_error" is the mean over samples of half the squared distance to targets in
        {-1, +1} or one-hot, so that a full-batch step of learning rate eta advances
        gradient-flow time by eta/n.
    optimizer : str, callable or optax.GradientTransformation, default="sgd"
        Name in Optax, a function from the learning rate to a transformation, or the
        transformation itself.
    learning_rate : float or callable, default=1e-2
        Step size, or an Optax schedule.
    batch_size : int or None, default=128
        Samples a step, shuffled every epoch; None: all, in order.
    max_epochs : int, default=20
        Passes over the data.
    adversary : AdversarialTraining, default=None
        What every batch is attacked by, on the current weights.
    validation_adversary : AdversarialTraining, default=None
        What the robust accuracies in `history_` are measured with; None: `adversary`.
    linearize_at : int, default=None
        Epoch from which on the first-order expansion around the weights of that epoch is
        trained and attacked instead of the network (App. E.1).
    centered : bool, default=False
        Whether the outputs are f - f_0, the network less itself at initialisation.
    random_state : int, RandomState instance or None, default=None
        For initialisation and the order of samples; an int gives the same bits each time.
    warm_start : bool, default=False
        Whether `fit` continues from where the last one stopped: parameters, optimiser and
        random numbers. Two fits of five epochs then equal one of ten.
    verbose : int, default=0
        Print a line every epoch if positive.

    Attributes
    ----------
    params_ : dict
        Trained parameters, a tree of NumPy arrays.
    constants_ : dict
        Variables that are not trained.
    origin_ : dict or None
        Initial parameters, if centred.
    anchor_ : dict or None
        Parameters the network is linearised around, if it is.
    history_ : dict of str to ndarray of shape (n_epochs_,)
        "loss"; and with validation samples "train_accuracy", "test_accuracy" and, with an
        adversary, "train_robust_accuracy", "test_robust_accuracy". Training accuracies are
        of as many training samples as there are validation samples.
    n_epochs_ : int
        Epochs trained so far.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of input features.

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

    def __init__(
        self,
        module,
        *,
        input_shape=None,
        loss="cross_entropy",
        optimizer="sgd",
        learning_rate=1e-2,
        batch_size=128,
        max_epochs=20,
        adversary=None,
        validation_adversary=None,
        linearize_at=None,
        centered=False,
        random_state=None,
        warm_start=False,
        verbose=0,
    ):
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

    @classmethod
    def from_params(
        cls,
        module: Any,
        params: Any = None,
        *,
        classes: ArrayLike,
        n_features: int | None = None,
        input_shape: tuple[int, ...] | None = None,
        **parameters: Any,
    ) -> FlaxClassifier:
        """Wrap a network that is already trained.

        Parameters
        ----------
        module : linen.Module or nnx.Module
            The network; an NNX module brings its own parameters.
        params : dict, default=None
            Linen variables, ``{"params": ..., ...}``, or the parameters alone.
        classes : array-like of shape (n_classes,)
            Label of each output; for one output, of negative and positive values.
        n_features : int, default=None
            Number of input features; None: the product of `input_shape`.
        input_shape : tuple of int, default=None
            Shape that a sample is given before the network sees it.
        **parameters : dict
            Further constructor parameters.

        Returns
        -------
        classifier : FlaxClassifier
            Fitted.
        """
        if n_features is None:
            if input_shape is None:
                raise ValueError("n_features=None needs input_shape; give either.")
            n_features = int(np.prod(input_shape))
        classifier = cls(module, input_shape=input_shape, **parameters)
        network, trained, constants = wrap_trained(module, params, input_shape)
        classifier.classes_ = np.asarray(classes)
        classifier.n_features_in_ = check_integer("n_features", n_features, low=1)
        classifier._network = network
        classifier.params_, classifier.constants_ = as_numpy(trained), as_numpy(constants)
        classifier.origin_ = classifier.anchor_ = None
        classifier.history_ = {"loss": np.empty(0)}
        classifier.n_epochs_ = 0
        return classifier

    @with_callbacks
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> FlaxClassifier:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training inputs.
        y : array-like of shape (n,)
            Labels of any type.
        X_val, y_val : array-like of shape (m, d) and (m,), default=None
            Samples to measure accuracy on after every epoch.

        Returns
        -------
        self : FlaxClassifier

        Raises
        ------
        ValueError
            For wrong parameters, inputs that are not finite, or a single class.
        FloatingPointError
            If the loss is no longer finite: the state before that epoch is kept.
        """
        self._check_parameters()
        continuing = self.warm_start and hasattr(self, "params_")
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], order="C", reset=not continuing
        )
        validation = self._validate_held_out(X_val, y_val)
        with precision(X.dtype):
            labels = self._initialise(X, y, continuing)
            self._train(jnp.asarray(X), jnp.asarray(labels), validation)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray:
        """Outputs of the network.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.

        Returns
        -------
        outputs : ndarray of shape (m,) if binary, else (m, n_classes)
        """
        outputs = self._evaluate(decide, self._validate_inputs(X))
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def input_vjp(self, X: ArrayLike, cotangents: ArrayLike) -> NDArray:
        """Gradient of outputs, weighted by cotangents, with respect to each input.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        cotangents : array-like of shape (m,) or (m, k)
            Weights, shaped like `decision_function(X)`.

        Returns
        -------
        gradient : ndarray of shape (m, d)
        """
        X = self._validate_inputs(X)
        c = as_float_matrix(as_columns(np.asarray(cotangents)), "cotangents")
        n_outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        if c.shape != (len(X), n_outputs):
            raise ValueError(
                f"cotangents have shape {c.shape} for outputs of shape {(len(X), n_outputs)}; "
                "give one weight an output."
            )
        return self._evaluate(input_pullback, X, c.astype(X.dtype, copy=False))

    def attack(self, X: ArrayLike, y: ArrayLike, adversary: AdversarialTraining) -> NDArray:
        """Adversarial examples by a compiled adversary; `NTKAttack` offers more.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        y : array-like of shape (m,)
            True labels.
        adversary : AdversarialTraining
            The attack.

        Returns
        -------
        X_adv : ndarray of shape (m, d)
        """
        labels = label_indices(y, self.classes_)
        return self._evaluate(attack, self._validate_inputs(X), labels, static=(adversary,))

    def empirical_ntk(self, X: ArrayLike) -> NDArray:
        r"""Tangent kernel of the network as it stands, :math:`J_w f(x) J_w f(z)^T` (Eq. 6).

        Parameters
        ----------
        X : array-like of shape (n, d)
            Inputs.

        Returns
        -------
        kernel : ndarray of shape (n * k, n * k)
            Over the k raw outputs of the module; row index = sample * k + output. Of a
            linearised network, the kernel where it was linearised.
        """
        X = self._validate_inputs(X)
        jacobian = self._evaluate(jacobian_rows, X)
        jacobian = jacobian.reshape(-1, jacobian.shape[-1])
        return jacobian @ jacobian.T

    def _check_parameters(self) -> None:
        check_option("loss", self.loss, tuple(LOSSES))
        if isinstance(self.optimizer, str) and not hasattr(optax, self.optimizer):
            raise ValueError(f"optimizer={self.optimizer!r} is not a name in optax.")
        if not callable(self.learning_rate):
            check_real("learning_rate", self.learning_rate, low=0.0, strict=True)
        if self.batch_size is not None:
            check_integer("batch_size", self.batch_size, low=1)
        check_integer("max_epochs", self.max_epochs, low=0)
        if self.linearize_at is not None:
            check_integer("linearize_at", self.linearize_at, low=0)
        for name in ("adversary", "validation_adversary"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, AdversarialTraining):
                raise TypeError(f"{name}={value!r} must be an AdversarialTraining or None.")

    def _validate_held_out(self, X_val: Any, y_val: Any) -> tuple[NDArray, NDArray] | None:
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val go together; give both or neither.")
        if X_val is None:
            return None
        X_val = validate_data(self, X_val, dtype=[np.float64, np.float32], reset=False)
        return X_val, np.asarray(y_val)

    def _initialise(self, X: NDArray, y: NDArray, continuing: bool) -> NDArray:
        """Set the state that training starts from and give the labels as indices."""
        if continuing:
            return label_indices(y, self.classes_)
        self.classes_, labels = encode_targets(y)
        n_outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        self._network = make_network(self.module, self.input_shape, n_outputs)
        self._random = np.random.RandomState(check_random_state(self.random_state).randint(2**31))
        key = jax.random.key(self._random.randint(2**31))
        params, constants = init_network(self._network, key, jnp.asarray(X[:1]))
        self.params_, self.constants_ = as_numpy(params, X.dtype), as_numpy(constants, X.dtype)
        self._check_outputs(X)
        self.origin_ = self.params_ if self.centered else None
        self.anchor_ = None
        self._optimizer_state = None
        self.history_: dict[str, Any] = {}
        self.n_epochs_ = 0
        return labels

    def _check_outputs(self, X: NDArray) -> None:
        shape = jax.eval_shape(
            self._network.apply, self.params_, self.constants_, jnp.asarray(X[:1])
        ).shape
        k = len(self.classes_)
        allowed = {2: (1, 2)}.get(k, (k,))
        if len(shape) != 2 or shape[1] not in allowed:
            raise ValueError(
                f"module gives outputs of shape (n, {', '.join(map(str, shape[1:]))}) for {k} "
                f"classes; it needs {' or '.join(map(str, allowed))} outputs."
            )

    def _train(self, X: jax.Array, labels: jax.Array, validation: Any) -> None:
        optimizer = self._optimizer_key()
        rate = 0.0 if callable(self.learning_rate) else float(self.learning_rate)
        if self._optimizer_state is None:
            self._optimizer_state = init_optimizer(optimizer, self.params_, rate)
        root = self._init_callback_context(max_subtasks=self.max_epochs)
        root.call_on_fit_task_begin(estimator=self)
        for _ in range(self.max_epochs):
            context = root.subcontext(task_name="epoch")
            context.call_on_fit_task_begin(estimator=self)
            if self.n_epochs_ == self.linearize_at:
                self.anchor_ = self.params_
            params, optimizer_state, loss = train_epoch(
                self._network,
                len(self.classes_),
                self.loss,
                optimizer,
                self.adversary,
                self._state(),
                self._optimizer_state,
                (X, labels),
                self._batches(len(X), X.dtype),
                rate,
            )
            self._finish_epoch(params, optimizer_state, float(loss))
            self._record(float(loss), X, labels, validation)
            stop = context.call_on_fit_task_end(
                estimator=self, reconstruction_attributes=self._fitted_attributes
            )
            if stop:
                break
        root.call_on_fit_task_end(estimator=self, reconstruction_attributes=self._fitted_attributes)

    def _finish_epoch(self, params: Any, optimizer_state: Any, loss: float) -> None:
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"The loss is {loss} after epoch {self.n_epochs_ + 1}: training diverged. The "
                f"state before it is kept. Lower learning_rate={self.learning_rate!r}, or centre "
                "the inputs."
            )
        # On the CPU these are views of what JAX computed, not copies.
        self.params_ = as_numpy(params)
        self._optimizer_state = jax.tree.map(np.asarray, optimizer_state)
        self.n_epochs_ += 1

    def _record(self, loss: float, X: jax.Array, labels: jax.Array, validation: Any) -> None:
        entries = {"loss": loss}
        if validation is not None:
            X_val, y_val = validation
            y_val = label_indices(y_val, self.classes_)
            rows = slice(0, len(X_val))
            train = np.asarray(X[rows]), np.asarray(labels[rows])
            for name, (inputs, indices) in {"train": train, "test": (X_val, y_val)}.items():
                entries[f"{name}_accuracy"] = self._accuracy(inputs, indices)
                adversary = self.validation_adversary or self.adversary
                if adversary is not None:
                    attacked = self._evaluate(attack, inputs, indices, static=(adversary,))
                    entries[f"{name}_robust_accuracy"] = self._accuracy(attacked, indices)
        for name, value in entries.items():
            self.history_[name] = np.append(self.history_.get(name, []), value)
        if self.verbose > 0:
            values = ", ".join(f"{name} {value:.4f}" for name, value in entries.items())
            print(f"epoch {self.n_epochs_}: {values}")

    def _accuracy(self, X: NDArray, labels: NDArray) -> float:
        return float((classify(self._evaluate(decide, X)) == labels).mean())

    def _batches(self, n: int, dtype: Any) -> tuple[NDArray, NDArray]:
        """Rows of sample indices and of their weights."""
        size = n if self.batch_size is None else min(self.batch_size, n)
        order = np.arange(n) if size == n else self._random.permutation(n)
        n_batches = -(-n // size)
        weights = np.zeros(n_batches * size, dtype)
        weights[:n] = 1
        rows = np.resize(order, n_batches * size).astype(np.int32)
        return rows.reshape(n_batches, size), weights.reshape(n_batches, size)

    def _optimizer_key(self) -> tuple[Any, Any]:
        return self.optimizer, self.learning_rate if callable(self.learning_rate) else None

    def _state(self) -> dict[str, Any]:
        return {
            "params": self.params_,
            "constants": self.constants_,
            "origin": self.origin_,
            "anchor": self.anchor_,
        }

    def _fitted_attributes(self) -> dict[str, Any]:
        names = ("params_", "constants_", "origin_", "anchor_", "classes_", "n_epochs_", "_network")
        return {name: getattr(self, name) for name in names}

    def _evaluate(
        self, function: Callable, X: NDArray, *aligned: NDArray, static: tuple = ()
    ) -> NDArray:
        """Apply a function of (network, n_classes, *static, state, x, *aligned) in blocks."""
        results = []
        with precision(X.dtype):
            for start in range(0, len(X), _EVALUATION_BATCH):
                stop = min(start + _EVALUATION_BATCH, len(X))
                size = _EVALUATION_BATCH if len(X) > _EVALUATION_BATCH else len(X)
                # Filled up with a sample again, so that all blocks have one shape.
                rows = np.minimum(np.arange(start, start + size), stop - 1)
                result = function(
                    self._network,
                    len(self.classes_),
                    *static,
                    self._state(),
                    X[rows],
                    *(array[rows] for array in aligned),
                )
                results.append(np.asarray(result)[: stop - start])
        return np.concatenate(results)

    def _validate_inputs(self, X: ArrayLike) -> NDArray:
        check_is_fitted(self)
        return validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=False)
