"""A classifier given as two functions of arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import validate_data

from .._utils.precision import as_float_matrix
from .._utils.showing import shown
from .._utils.targets import OutputClassifierMixin, as_columns
from .._utils.validation import check_integer, check_table

__all__ = ["FunctionClassifier"]


class FunctionClassifier(OutputClassifierMixin, ClassifierMixin, BaseEstimator):
    """Classifier made of two functions, so that anything with a gradient can be attacked.

    It is fitted from the start: `fit` checks its arguments and changes nothing.

    Parameters
    ----------
    outputs : callable
        From inputs (m, d) to outputs (m,) or (m, 1) for two classes, else (m, n_classes); the
        largest output is the prediction, or the sign of a single one. Two outputs for two
        classes stand for their difference.
    vjp : callable
        From inputs (m, d) and cotangents, shaped like the outputs, to the gradient (m, d) of the
        outputs weighted by the cotangents.
    classes : array-like of shape (n_classes,)
        Label of each output; of a single output, the labels of negative and positive values.
    n_features : int
        Number d of features.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    skntk.interop.from_jax : A JAX function, whose gradient JAX derives.
    skntk.interop.from_torch : A PyTorch module.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk import FunctionClassifier, NTKAttack
    >>> clf = FunctionClassifier(
    ...     lambda X: X[:, 0] ** 2 - X[:, 1],
    ...     lambda X, cotangents: (
    ...         cotangents[:, None] * np.stack([2 * X[:, 0], -(X[:, 0] ** 0)], axis=1)
    ...     ),
    ...     classes=["above", "below"],
    ...     n_features=2,
    ... )
    >>> NTKAttack(clf, eps=0.1).generate([[0.5, 0.2]], ["below"])
    array([[0.4, 0.3]])
    """

    def __init__(
        self,
        outputs: Callable[[NDArray], ArrayLike],
        vjp: Callable[[NDArray, NDArray], ArrayLike],
        *,
        classes: ArrayLike,
        n_features: int,
    ) -> None:
        self.outputs = outputs
        self.vjp = vjp
        self.classes = classes
        self.n_features = n_features

    @property
    def classes_(self) -> NDArray:  # type: ignore[override]
        """Label of each output."""
        classes = np.asarray(self.classes)
        if classes.ndim != 1 or len(classes) < 2 or len(set(classes.tolist())) < len(classes):
            raise ValueError(
                f"classes={shown(self.classes)} must be at least two different labels, one for "
                "each output; two for a single output."
            )
        return classes

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        return check_integer("n_features", self.n_features, low=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> FunctionClassifier:
        """Check the inputs; the functions are what they are.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Inputs.
        y : ignored

        Returns
        -------
        self : FunctionClassifier
        """
        self._inputs(X)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray:
        """Outputs of the function.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.

        Returns
        -------
        outputs : ndarray of shape (m,) if there are two classes, else (m, n_classes)
        """
        X = self._inputs(X)
        return self._decided(self._raw_outputs(X))

    def input_vjp(self, X: ArrayLike, cotangents: ArrayLike) -> NDArray:
        """Gradient of the outputs, weighted by cotangents, with respect to each input.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        cotangents : array-like of shape (m,) or (m, n_classes)
            Weights, shaped like `decision_function(X)`.

        Returns
        -------
        gradient : ndarray of shape (m, d)
        """
        X = self._inputs(X)
        return self._pull_back(X, self._raw_outputs(X[:1]).shape[1:], np.asarray(cotangents))

    def linearize(self, X: ArrayLike) -> tuple[NDArray, Callable[[NDArray], NDArray]]:
        """Outputs and their pullback.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.

        Returns
        -------
        outputs : ndarray of shape (m, k), k = 1 if there are two classes
        pullback : callable
            From cotangents (m, k) to the gradient (m, d).
        """
        X = self._inputs(X)
        outputs = self._raw_outputs(X)
        shape = outputs.shape[1:]
        return as_columns(self._decided(outputs)), lambda c: self._pull_back(X, shape, c)

    def _inputs(self, X: ArrayLike) -> NDArray:
        check_table(X)
        return validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=False)

    def _raw_outputs(self, X: NDArray) -> NDArray:
        """Outputs of the function, in its own shape."""
        outputs = np.asarray(self.outputs(X))
        n_classes = len(self.classes_)
        shapes = [(len(X), n_classes)] + ([(len(X),), (len(X), 1)] if n_classes == 2 else [])
        if outputs.shape not in shapes:
            raise ValueError(
                f"outputs(X) has shape {outputs.shape} for X of shape {X.shape} and {n_classes} "
                f"classes; return {' or '.join(map(str, shapes))}."
            )
        return outputs if outputs.dtype.kind == "f" else outputs.astype(X.dtype)

    def _decided(self, outputs: NDArray) -> NDArray:
        """One output for two classes."""
        if len(self.classes_) > 2 or outputs.ndim == 1:
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    def _pull_back(self, X: NDArray, shape: tuple[int, ...], cotangents: NDArray) -> NDArray:
        """Gradient for cotangents of what is decided by, in the shape of what is returned."""
        n_columns = 1 if len(self.classes_) == 2 else len(self.classes_)
        weights = as_float_matrix(as_columns(cotangents), "cotangents")
        if weights.shape != (len(X), n_columns):
            raise ValueError(
                f"cotangents have shape {np.shape(cotangents)} for outputs of shape "
                f"{(len(X), n_columns)}; give one weight an output."
            )
        if n_columns == 1 and shape == (2,):
            weights = np.concatenate([-weights, weights], axis=1)
        gradient = np.asarray(self.vjp(X, weights.reshape(len(X), *shape)))
        if gradient.shape != X.shape:
            raise ValueError(
                f"vjp(X, cotangents) has shape {gradient.shape} for X of shape {X.shape}; return "
                "one gradient a sample."
            )
        return gradient.astype(X.dtype, copy=False)
