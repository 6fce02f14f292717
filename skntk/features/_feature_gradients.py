"""Gradients of features with respect to the input, one by one and as parts of a loss gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch, check_consistent_length

from .._utils.memory import check_memory
from .._utils.targets import label_indices
from ..infinite._expansion import Pairs
from ..infinite._kernel_machine import KernelClassifierMixin
from ..kernels._gram import row_blocks
from ._components import check_components
from ._machine_scores import cross_entropy_gradient, gradient_shares

__all__ = ["FeatureGradientsMixin"]


class FeatureGradientsMixin(KernelClassifierMixin):
    """Gradients from `kernel_`, `X_fit_` and the dual vectors and coefficients of the features."""

    feature_coef_: NDArray
    _dual_vectors: NDArray

    def transform_vjp(self, X: ArrayLike, cotangents: ArrayLike) -> NDArray:
        r"""Gradient of the columns of `transform`, weighted by cotangents.

        It lets an attack differentiate a pipeline in which this transformer is an earlier step.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        cotangents : array-like of shape (m, p) or (m, p * k)
            Weights, shaped like ``transform(X)``.

        Returns
        -------
        gradient : ndarray of shape (m, d)
        """
        X = self._validate_inputs(X)
        shape = (len(X), *self.feature_coef_.shape)
        c = np.asarray(cotangents, X.dtype)
        if c.size != np.prod(shape) or len(c) != len(X):
            raise ValueError(
                f"cotangents have shape {c.shape}; give one weight for each of the "
                f"{np.prod(shape[1:])} columns of transform, for {len(X)} samples."
            )
        weights = np.einsum("mpk,pk->mp", c.reshape(shape), self.feature_coef_)
        duals = self._dual_vectors.astype(X.dtype, copy=False)
        return Pairs(self.kernel_).input_vjp(X, self.X_fit_, duals, weights)

    def feature_gradients(
        self, X: ArrayLike, components: ArrayLike | None = None, output: Any = None
    ) -> NDArray:
        r"""Gradient of features with respect to the input, to be viewed as images (Fig. 2, 4).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        components : array-like of int, default=None
            Indices of features. If None, all kept features.
        output : label, default=None
            Class whose output is differentiated. If None, each feature's largest output.
            All outputs of a feature have the same gradient up to a factor, and two classes
            share one output.

        Returns
        -------
        gradients : ndarray of shape (m, p, d)
        """
        X = self._validate_inputs(X)
        chosen = check_components(components, len(self.feature_coef_))
        coefficients = self.feature_coef_[chosen]
        columns = np.abs(coefficients).argmax(axis=1)
        if output is not None:
            # Two classes share a column.
            columns[:] = label_indices([output], self.classes_)[0] % coefficients.shape[1]
        scale = np.take_along_axis(coefficients, columns[:, None], axis=1)[:, 0]
        weights = np.broadcast_to(scale, (len(X), len(chosen)))
        return self._weighted_gradients(X, chosen, weights)

    def decompose_gradient(self, X: ArrayLike, y: ArrayLike) -> Bunch:
        r"""Loss gradient as a sum over features (Eq. 10, 45, 46).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        y : array-like of shape (m,)
            True labels.

        Returns
        -------
        decomposition : Bunch
            ``parts`` (m, p, d), the contribution of each feature i,
            :math:`\sum_r (\sigma(f_\infty) - \hat y)_r \nabla f^{(i)}_r`; ``total`` (m, d), their
            sum, the gradient of the cross-entropy of all kept features; ``gradients`` (m, p, d),
            of each feature's own cross-entropy; and ``alpha`` (m, p), the :math:`\alpha_i` of
            Eq. 46: a part is alpha times a gradient. With more than two classes, alpha is 0 for a
            feature whose own gradient vanishes.
        """
        X = self._validate_inputs(X)
        labels = label_indices(y, self.classes_)
        check_consistent_length(X, labels)
        gram, pullback = self.kernel_.linearize(X, self.X_fit_)
        residual = cross_entropy_gradient(gram @ self.dual_coef_, labels)
        weights, own, alpha = gradient_shares(
            residual, gram @ self._dual_vectors, self.feature_coef_, labels
        )
        parts = self._weighted_gradients(X, slice(None), np.ones_like(weights), n_arrays=2)
        gradients = parts * own[:, :, None]
        parts *= weights[:, :, None]
        total = pullback(residual @ self.dual_coef_.T)
        return Bunch(parts=parts, total=total, alpha=alpha.astype(X.dtype), gradients=gradients)

    def _weighted_gradients(
        self, X: NDArray, components: Any, weights: NDArray, *, n_arrays: int = 1
    ) -> NDArray:
        """Gradients (m, p, d) of Theta(x, X) S v_i, times weights (m, p).

        `n_arrays` of their size must fit into memory.
        """
        (n, d), p = self.X_fit_.shape, weights.shape[1]
        check_memory(
            n_arrays * len(X) * p * d * X.itemsize,
            what=f"Gradients of {p} features",
            n=len(X),
            remedy="choose components, or pass fewer samples at a time",
        )
        gradients = np.empty((len(X), p, d), X.dtype)
        vectors = self._dual_vectors[:, components].astype(X.dtype, copy=False)
        for rows in row_blocks(len(X), n * p, X.itemsize):
            _, pullback = self.kernel_.linearize(X[rows], self.X_fit_)
            block = weights[rows].T[:, :, None] * vectors.T[:, None, :]
            gradients[rows] = pullback(block).transpose(1, 0, 2)
        return gradients
