"""Gradients of features with respect to the input, one by one and as parts of a loss gradient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch, check_consistent_length

from .._utils.memory import check_memory
from .._utils.targets import label_indices
from ..infinite._kernel_machine import KernelClassifierMixin
from ..kernels._base import Pullback
from ..kernels._gram import row_blocks
from ._components import check_components
from ._machine_scores import cross_entropy_gradient, gradient_shares, projection_cotangents

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
        shape = (len(X), len(self.feature_coef_), self.dual_coef_.shape[1])
        c = np.asarray(cotangents, X.dtype)
        if c.size != np.prod(shape) or len(c) != len(X):
            raise ValueError(
                f"cotangents have shape {c.shape}; give one weight for each of the "
                f"{np.prod(shape[1:])} columns of transform, for {len(X)} samples."
            )
        weights = projection_cotangents(c.reshape(shape), self.feature_coef_)
        vectors = self._dual_vectors.astype(X.dtype, copy=False)
        return self._expansion().project_vjp(X, self.X_fit_, vectors, weights)

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
            Class whose output is differentiated. If None, each feature's largest output on the
            training samples, up to its norm in the kernel. All outputs of a feature have the same
            gradient up to a factor, unless `multi_output`, and two classes share one output.

        Returns
        -------
        gradients : ndarray of shape (m, p, d)
        """
        X = self._validate_inputs(X)
        chosen = check_components(components, len(self.feature_coef_))
        coefficients = self.feature_coef_[chosen]
        columns = self._strengths(chosen).argmax(axis=1)
        k = self.dual_coef_.shape[1]
        if output is not None:
            # Two classes share a column.
            columns[:] = label_indices([output], self.classes_)[0] % k
        cotangents = np.broadcast_to(np.eye(k, dtype=X.dtype)[columns], (len(X), len(chosen), k))
        weights = projection_cotangents(cotangents, coefficients.astype(X.dtype, copy=False))
        gradients = np.empty((len(X), len(chosen), X.shape[1]), X.dtype)
        for rows, _, pullback in self._linearized(X, chosen):
            gradients[rows] = pullback(weights[rows])
        return gradients

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
            feature whose own gradient vanishes; with `multi_output` it is None, as the parts then
            are no multiples of the gradients.
        """
        X = self._validate_inputs(X)
        labels = label_indices(y, self.classes_)
        check_consistent_length(X, labels)
        shape = (len(X), len(self.feature_coef_), X.shape[1])
        coefficients = self.feature_coef_.astype(X.dtype, copy=False)
        parts, gradients, alphas = np.empty(shape, X.dtype), np.empty(shape, X.dtype), []
        for rows, projections, pullback in self._linearized(X, slice(None), n_arrays=2):
            outputs = (projections * coefficients).sum(axis=1)
            residual = cross_entropy_gradient(outputs, labels[rows])
            weights, own, alpha = gradient_shares(residual, projections, coefficients, labels[rows])
            if alpha is None:
                parts[rows], gradients[rows] = pullback(weights), pullback(own)
            else:  # multiples of one gradient
                gradients[rows] = pullback(np.ones_like(own))
                parts[rows] = gradients[rows] * weights
                gradients[rows] *= own
                alphas.append(alpha.astype(X.dtype))
        alpha = np.concatenate(alphas) if alphas else None
        return Bunch(parts=parts, total=parts.sum(axis=1), alpha=alpha, gradients=gradients)

    def _strengths(self, components: NDArray) -> NDArray:
        """Sizes (p, k) of the outputs of features, up to a factor for each feature."""
        coefficients = np.abs(self.feature_coef_[components])
        if coefficients.shape[1] == self.dual_coef_.shape[1]:
            return coefficients
        vectors = self._dual_vectors[:, components].T
        return np.linalg.norm(vectors.reshape(len(vectors), len(self.X_fit_), -1), axis=1)

    def _linearized(
        self, X: NDArray, components: Any, *, n_arrays: int = 1
    ) -> Iterator[tuple[slice, NDArray, Pullback]]:
        """Rows of `X`, their projections Theta(x, X) S v_i, and the pullback of these.

        `n_arrays` of the size of all gradients must fit into memory.
        """
        vectors = self._dual_vectors[:, components].astype(X.dtype, copy=False)
        (n_rows, p), d = vectors.shape, X.shape[1]
        check_memory(
            n_arrays * len(X) * p * d * X.itemsize,
            what=f"Gradients of {p} features",
            n=len(X),
            remedy="choose components, or pass fewer samples at a time",
        )
        expansion = self._expansion()
        for rows in row_blocks(len(X), n_rows * p, X.itemsize):
            yield rows, *expansion.projections(X[rows], self.X_fit_, vectors)
