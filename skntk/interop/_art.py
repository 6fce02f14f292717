"""Estimators as classifiers of the Adversarial Robustness Toolbox."""

from __future__ import annotations

from typing import Any

import numpy as np
from art.estimators import BaseEstimator, LossGradientsMixin, NeuralNetworkMixin
from art.estimators.classification.classifier import ClassGradientsMixin, ClassifierMixin
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.utils import gen_batches

from ..attacks._differentiable import as_differentiable
from ..attacks._losses import as_logits, as_output_cotangents

__all__ = ["EstimatorClassifier"]


class EstimatorClassifier(
    ClassGradientsMixin, LossGradientsMixin, NeuralNetworkMixin, ClassifierMixin, BaseEstimator
):
    """A fitted classifier that gives logits and their gradients.

    It is called a neural network because some attacks of the toolbox ask for one, of which they
    use the outputs alone.
    """

    def __init__(self, estimator: Any, clip_values: tuple, input_shape: tuple[int, ...] | None):
        super().__init__(model=estimator, clip_values=clip_values, channels_first=False)
        self._differentiable = as_differentiable(estimator)
        self.nb_classes = len(self._differentiable.classes_)
        self._input_shape = input_shape or (estimator.n_features_in_,)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self._input_shape

    def predict(self, x: NDArray, batch_size: int = 128, **kwargs: Any) -> NDArray:
        """Logits (m, n_classes)."""
        rows = self._rows(x)
        logits = [
            as_logits(self._differentiable.outputs(rows[batch]))
            for batch in gen_batches(len(rows), batch_size)
        ]
        return np.concatenate(logits).astype(rows.dtype)

    def class_gradient(self, x: NDArray, label: Any = None, **kwargs: Any) -> NDArray:
        """Gradients (m, n_classes, *input_shape) of all logits, or (m, 1, ...) of one each."""
        rows = self._rows(x)
        if label is None:
            chosen = np.arange(self.nb_classes)[:, None].repeat(len(rows), axis=1)
        else:
            chosen = np.broadcast_to(np.asarray(label, dtype=int), len(rows))[None]
        outputs, pullback = self._differentiable.linearize(rows)
        gradients = [
            self._pulled(np.eye(self.nb_classes)[labels], outputs, pullback) for labels in chosen
        ]
        return np.stack(gradients, axis=1).reshape(len(rows), -1, *x.shape[1:])

    def loss_gradient(self, x: NDArray, y: NDArray, **kwargs: Any) -> NDArray:
        """Gradient of the cross-entropy, shaped as `x`; labels one-hot or as indices."""
        rows = self._rows(x)
        outputs, pullback = self._differentiable.linearize(rows)
        cotangents = softmax(as_logits(outputs), axis=1) - self._one_hot(y)
        return self._pulled(cotangents, outputs, pullback).reshape(x.shape)

    def compute_loss(self, x: NDArray, y: NDArray, **kwargs: Any) -> NDArray:
        """Cross-entropy (m,) of the logits; labels one-hot or as indices."""
        probabilities = softmax(self.predict(x).astype(float), axis=1)
        tiny = np.finfo(float).tiny
        return -np.log(np.maximum((probabilities * self._one_hot(y)).sum(axis=1), tiny))

    def fit(self, x: NDArray, y: NDArray, **kwargs: Any) -> None:
        """Refuse: the estimator is fitted before it is wrapped."""
        raise NotImplementedError("Fit the estimator before it is given to to_art.")

    def get_activations(self, x: NDArray, layer: Any, batch_size: int, **kwargs: Any) -> NDArray:
        """Refuse: a kernel machine has no layers."""
        raise NotImplementedError("An estimator has no layers.")

    def _rows(self, x: NDArray) -> NDArray:
        x = np.asarray(x)
        return x.reshape(len(x), -1)

    def _one_hot(self, y: NDArray) -> NDArray:
        y = np.asarray(y)
        return y if y.ndim == 2 and y.shape[1] > 1 else np.eye(self.nb_classes)[y.ravel()]

    def _pulled(self, cotangents: NDArray, outputs: NDArray, pullback: Any) -> NDArray:
        weights = as_output_cotangents(cotangents, outputs.shape[1])
        return np.asarray(pullback(weights.astype(outputs.dtype)))
