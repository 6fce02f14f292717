"""The function f(x) = Theta(x, X) A, which every fitted kernel estimator evaluates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.precision import as_float_matrix
from .._utils.targets import OutputClassifierMixin, as_columns, real_targets
from .._utils.validation import check_table
from .._utils.weights import check_sample_weight, positive
from ..kernels._resolve import kernel_for
from ._expansion import AllOutputs, Expansion, Pairs, Precomputed
from ._kernel_parameters import KernelParametersMixin

__all__ = ["KernelClassifierMixin", "KernelMachineMixin", "KernelRegressorMixin"]


class KernelMachineMixin(KernelParametersMixin):
    """Outputs and input gradients from `kernel_`, `X_fit_` and `dual_coef_`."""

    kernel_: Any  # NeuralTangentKernel, or None if it is precomputed
    X_fit_: Any  # ndarray, or None if the kernel is precomputed
    dual_coef_: NDArray

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        kernel = getattr(self, "kernel", None)
        tags.input_tags.pairwise = isinstance(kernel, str) and kernel == "precomputed"
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Whether the last fit ended well; one that failed leaves no coefficients."""
        return hasattr(self, "dual_coef_")

    def input_vjp(self, X: ArrayLike, cotangents: ArrayLike) -> NDArray:
        r"""Gradient of :math:`\sum_r c_r f_r(x)` with respect to each input (Eq. 22).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        cotangents : array-like of shape (m,) or (m, k)
            Weight c of each output, shaped like the outputs for X.

        Returns
        -------
        gradient : ndarray of shape (m, d)
        """
        X = self._validate_inputs(X)
        c = self._validate_cotangents(cotangents, len(X))
        return self._expansion().input_vjp(X, self.X_fit_, self.dual_coef_, c)

    def linearize(self, X: ArrayLike) -> tuple[NDArray, Callable[[NDArray], NDArray]]:
        """Outputs and their pullback, which share the Gram matrix.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.

        Returns
        -------
        outputs : ndarray of shape (m, k), k = 1 for two classes
        pullback : callable
            Maps cotangents (m, k) to gradients (m, d), like `input_vjp`.
        """
        X = self._validate_inputs(X)
        return self._expansion().linearize(X, self.X_fit_, self.dual_coef_)

    def _outputs(self, X: ArrayLike) -> NDArray:
        """Outputs (m, k)."""
        X = self._validate_inputs(X)
        return self._expansion().outputs(X, self.X_fit_, self.dual_coef_)

    def _expansion(self) -> Expansion:
        """The way in which the machine is evaluated."""
        return Precomputed() if self.kernel_ is None else Pairs(self.kernel_)

    def _set_kernel(self, X: NDArray, kept: NDArray | None = None) -> NDArray:
        """Resolve the parameter `kernel` for training inputs, or for their Gram matrix.

        Returns the inputs `X_fit_`, or the Gram matrix, of the kept samples; None keeps all.
        """
        kernel = self.kernel  # type: ignore[attr-defined]
        if not (isinstance(kernel, str) and kernel == "precomputed"):
            self.kernel_ = kernel_for(clone(kernel, safe=False), X)
            # A copy: the caller may go on with its own.
            self.X_fit_ = X.copy() if kept is None else X[kept]
            return self.X_fit_
        self.kernel_, self.X_fit_ = None, None
        if X.shape[0] != X.shape[1]:
            raise ValueError(
                f"Precomputed kernel must be a square matrix. Input is a "
                f"{X.shape[0]}x{X.shape[1]} matrix."
            )
        return X if kept is None else X[np.ix_(kept, kept)]

    def _of_all_samples(self, coefficients: NDArray, kept: NDArray | None) -> NDArray:
        """Dual coefficients that fit the columns of a precomputed matrix, 0 if not kept."""
        if self.kernel_ is not None or kept is None:
            return coefficients
        n_samples: int = self.n_features_in_  # type: ignore[attr-defined]
        of_all = np.zeros((n_samples, coefficients.shape[1]), coefficients.dtype)
        of_all[kept] = coefficients
        return of_all

    def _validate_inputs(self, X: Any) -> NDArray:
        check_is_fitted(self, "dual_coef_")
        check_table(X)
        return validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=False)

    def _validate_cotangents(self, cotangents: ArrayLike, n_samples: int) -> NDArray:
        c = as_float_matrix(as_columns(np.asarray(cotangents)), "cotangents")
        expected = (n_samples, self.dual_coef_.shape[1])
        if c.shape != expected:
            raise ValueError(
                f"cotangents have shape {c.shape} for outputs of shape {expected}; "
                "give one weight per output."
            )
        return c


class KernelRegressorMixin(KernelMachineMixin, RegressorMixin):
    """A kernel machine whose outputs are real targets, one or several."""

    def _training_samples(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[NDArray, NDArray, NDArray | None, NDArray | None]:
        """Inputs (n, d), and the targets and weights of the samples kept, with their indices.

        Indices are None if all samples have a positive weight. Targets (n_kept, k) are float64,
        within the range of the inputs' dtype.
        """
        check_table(X)
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], order="C", multi_output=True
        )
        targets = real_targets(y, X.dtype)
        self._one_target = y.ndim == 1
        weights = check_sample_weight(sample_weight, X)
        kept = positive(weights)
        if kept is not None and weights is not None:
            targets, weights = targets[kept], weights[kept]
        return X, targets, weights, kept

    def _mean(self, X: ArrayLike) -> NDArray:
        """Outputs with as many dimensions as the targets of the fit."""
        outputs = self._outputs(X)
        return outputs.ravel() if self._one_target else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class KernelClassifierMixin(KernelMachineMixin, OutputClassifierMixin, ClassifierMixin):
    """A kernel machine whose outputs decide between classes."""

    #: Whether the kernel is that between all outputs; a parameter of some.
    multi_output: bool = False

    def _expansion(self) -> Expansion:
        return AllOutputs(self.kernel_) if self.multi_output else super()._expansion()

    def _check_outputs(self, X: NDArray) -> None:
        """Raise ValueError if `multi_output` asks for outputs that the kernel does not have."""
        if not self.multi_output:
            return
        if not hasattr(self.kernel_, "full"):
            raise ValueError(
                f"multi_output=True needs a kernel between outputs, and kernel={self.kernel!r} has "
                "none; use EmpiricalNTK, or multi_output=False."
            )
        n_targets = 1 if len(self.classes_) == 2 else len(self.classes_)
        n_outputs = self.kernel_.count_outputs(X.shape[1], X.dtype)
        if n_outputs != n_targets:
            raise ValueError(
                f"The kernel's network has {n_outputs} outputs for {n_targets} targets; give it "
                f"{n_targets}, or use multi_output=False."
            )

    def decision_function(self, X: ArrayLike) -> NDArray:
        r"""Outputs :math:`f_t(x) = \Theta(x, X) A_t` (Eq. 16).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs; with a precomputed kernel, the (m, n) values Theta(x, X).

        Returns
        -------
        outputs : ndarray of shape (m,) if binary, else (m, n_classes)
        """
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs
