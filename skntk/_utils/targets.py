"""Targets as columns of numbers, and predicted classes from outputs.

Two classes are encoded as one column in {-1, +1} and decoded by its sign; more classes as
one-hot columns in {0, 1} and decoded by argmax.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

__all__ = [
    "OutputClassifierMixin",
    "as_columns",
    "classify",
    "encode_targets",
    "label_indices",
    "one_hot_or_sign",
    "real_targets",
]


def encode_targets(y: ArrayLike) -> tuple[NDArray, NDArray]:
    """Return the sorted classes of a target vector and the index of each sample's class.

    Labels stay in NumPy, because JAX would wrap integers beyond 32 bits.

    Raises
    ------
    ValueError
        If `y` is not a vector of at least two classes.
    """
    _check_one_type(y)
    check_classification_targets(y)
    classes, indices = np.unique(column_or_1d(y, warn=True), return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y holds one class only ({classes[0]!r}); a classifier needs samples of at "
            "least two classes."
        )
    return classes, indices


def _check_one_type(y: Any) -> None:
    """Raise ValueError if `y` mixes strings with other types, which cannot be sorted."""
    labels = np.asarray(y)
    if labels.dtype != object:
        return
    kinds = {str if isinstance(label, str) else type(label) for label in labels.ravel().tolist()}
    if len(kinds) > 1 and str in kinds:
        names = sorted(kind.__name__ for kind in kinds)
        raise ValueError(
            f"y mixes labels of types {' and '.join(names)}; give labels of one type, for instance "
            "np.asarray(y, dtype=str)."
        )


def one_hot_or_sign(indices: NDArray, n_classes: int, dtype: np.dtype) -> NDArray:
    """Regression targets, (n, 1) in {-1, +1} for two classes, else one-hot (n, k)."""
    if n_classes == 2:
        return (2 * indices - 1).astype(dtype)[:, None]
    return np.eye(n_classes, dtype=dtype)[indices]


def real_targets(y: NDArray, dtype: Any) -> NDArray:
    """Targets of a regression as columns (n, k) of float64, within the range of `dtype`.

    Raises
    ------
    TypeError
        If `y` does not hold numbers.
    ValueError
        If a number is beyond the range of `dtype`.
    """
    if getattr(y, "dtype", np.dtype(object)).kind not in "biufO" or hasattr(y, "tocsr"):
        kind = "a sparse matrix" if hasattr(y, "tocsr") else f"an array of {y.dtype}"
        raise TypeError(f"y is {kind}; a regressor needs a dense array of real numbers.")
    try:
        targets = as_columns(np.asarray(y, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise TypeError(f"y is no array of numbers, which a regressor needs: {error}.") from None
    largest = float(np.abs(targets).max())
    if not largest < float(np.sqrt(np.finfo(dtype).max)):
        raise ValueError(
            f"y holds {largest:.3g} in absolute value, beyond the range of {np.dtype(dtype).name}; "
            "scale the targets, for instance by sklearn.compose.TransformedTargetRegressor."
        )
    return targets


def label_indices(y: ArrayLike, classes: NDArray) -> NDArray:
    """Index of each label in `classes`.

    Raises
    ------
    ValueError
        If a label is not among the classes.
    """
    y = column_or_1d(y)
    known = {label: index for index, label in enumerate(classes.tolist())}
    # Unlike sorting, a dictionary allows labels of different types.
    indices = [known.get(label, -1) for label in y.tolist()]
    unseen = [label for label, index in zip(y.tolist(), indices, strict=True) if index < 0]
    if unseen:
        distinct = list({repr(label): label for label in unseen}.values())
        raise ValueError(
            f"y holds labels the estimator never saw: {distinct!r}; it knows {classes.tolist()!r}."
        )
    return np.array(indices, dtype=np.intp)


def as_columns(outputs: NDArray) -> NDArray:
    """Reshape outputs to (n, k), with one column for two classes."""
    return outputs[:, None] if outputs.ndim == 1 else outputs


def classify(outputs: NDArray) -> NDArray:
    """Index of the class predicted by outputs of shape (..., 1) or (..., k)."""
    if outputs.shape[-1] == 1:
        return (outputs[..., 0] > 0).astype(np.intp)
    return outputs.argmax(axis=-1)


class OutputClassifierMixin:
    """Mixin that predicts from `decision_function` and `classes_`."""

    classes_: NDArray

    def predict(self, X: Any) -> NDArray:
        """Predict the class of each sample.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Inputs.

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        outputs = as_columns(self.decision_function(X))  # type: ignore[attr-defined]
        return self.classes_[classify(outputs)]

    def predict_proba(self, X: Any) -> NDArray:
        """Sigmoid (binary) or softmax of the outputs; columns in order of `classes_`.

        They order samples and are differentiable, and are far from calibrated where outputs were
        fitted to targets by squared error, as those of every kernel machine. An output of exactly
        its target, 1 or -1, is a probability of 0.73 or 0.27, and of one-hot targets of ten classes
        the largest is 0.23, however sure the machine is. For probabilities that mean frequencies
        use `sklearn.calibration.CalibratedClassifierCV`, which reads `decision_function`; its
        ``method="temperature"`` divides all outputs by one number, so that no prediction changes.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Inputs.

        Returns
        -------
        probabilities : ndarray of shape (n, n_classes)

        Examples
        --------
        Even digits against odd ones: 95 of 100 are right, and no probability says so. Calibration
        on held-out folds divides the log loss by three:

        >>> from sklearn.calibration import CalibratedClassifierCV
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.metrics import log_loss
        >>> from skntk import NTKClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> X, y = X / 16, y % 2
        >>> clf = NTKClassifier("fc1").fit(X[:500], y[:500])
        >>> clf.predict_proba(X[500:503])[:, 1].round(2)
        array([0.34, 0.26, 0.39])
        >>> calibrated = CalibratedClassifierCV(NTKClassifier("fc1")).fit(X[:500], y[:500])
        >>> [round(log_loss(y[500:], m.predict_proba(X[500:])), 2) for m in (clf, calibrated)]
        [0.39, 0.12]
        """
        outputs = self.decision_function(X)  # type: ignore[attr-defined]
        if outputs.ndim == 1:
            return np.stack([expit(-outputs), expit(outputs)], axis=1)
        return softmax(outputs, axis=1)

    def predict_log_proba(self, X: Any) -> NDArray:
        """Logarithm of `predict_proba`, finite where the probability itself is rounded to 0.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Inputs.

        Returns
        -------
        log_probabilities : ndarray of shape (n, n_classes)
        """
        outputs = self.decision_function(X)  # type: ignore[attr-defined]
        if outputs.ndim == 1:
            return np.stack([log_expit(-outputs), log_expit(outputs)], axis=1)
        return log_softmax(outputs, axis=1)
