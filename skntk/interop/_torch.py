"""PyTorch modules as functions of NumPy arrays, and estimators as PyTorch modules."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.autograd.function import once_differentiable

from ..attacks._differentiable import as_differentiable
from ..attacks._losses import as_logits, as_output_cotangents

__all__ = ["EstimatorModule", "TorchFunction"]


def _as_rows(inputs: torch.Tensor) -> NDArray:
    """Inputs as rows, images with channels last."""
    if inputs.ndim == 4:
        inputs = inputs.permute(0, 2, 3, 1)
    return inputs.detach().cpu().numpy().reshape(len(inputs), -1)


def _as_inputs(rows: NDArray, shape: tuple[int, ...]) -> torch.Tensor:
    """Rows as inputs, images with channels first."""
    if len(shape) != 3:
        return torch.from_numpy(rows.reshape(len(rows), *shape))
    channels, height, width = shape
    images = rows.reshape(len(rows), height, width, channels)
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


class TorchFunction:
    """Outputs and pullback of a module, as functions of rows."""

    def __init__(self, module: torch.nn.Module, input_shape: tuple[int, ...]):
        if module.training:
            raise ValueError(
                "module is in training mode, where batch normalisation and dropout make the "
                "outputs of a sample depend on others and on chance; call module.eval()."
            )
        self.module, self.input_shape = module, tuple(input_shape)
        self.n_features = prod(self.input_shape)

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, ...) for inputs (m, d), in their dtype."""
        with torch.no_grad():
            outputs = self.module(self._inputs(X))
        return outputs.cpu().numpy().astype(X.dtype, copy=False)

    def vjp(self, X: NDArray, cotangents: NDArray) -> NDArray:
        """Gradient (m, d) of the outputs weighted by cotangents."""
        inputs = self._inputs(X).requires_grad_()
        with torch.enable_grad():
            outputs = self.module(inputs)
        weights = torch.from_numpy(np.ascontiguousarray(cotangents)).to(outputs)
        [gradient] = torch.autograd.grad(outputs, inputs, weights)
        return _as_rows(gradient).astype(X.dtype, copy=False)

    def _inputs(self, X: NDArray) -> torch.Tensor:
        inputs = _as_inputs(X, self.input_shape)
        parameter = next(self.module.parameters(), None)
        return inputs if parameter is None else inputs.to(parameter)


class EstimatorModule(torch.nn.Module):
    """A fitted classifier as a module that gives logits."""

    def __init__(self, estimator: Any, input_shape: tuple[int, ...] | None):
        super().__init__()
        self.estimator, self.input_shape = estimator, input_shape
        self.model = as_differentiable(estimator)
        # It tells toolboxes which device to work on, and has no values.
        self.device_marker = torch.nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits (m, n_classes) of inputs (m, *input_shape)."""
        if self.input_shape is not None and inputs.shape[1:] != torch.Size(self.input_shape):
            raise ValueError(
                f"inputs have shape {tuple(inputs.shape)}, and input_shape={self.input_shape!r}; "
                "give a batch of inputs of that shape."
            )
        return _Logits.apply(inputs, self.model)


class _Logits(torch.autograd.Function):
    """Logits of a model that is differentiated in closed form."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, model: Any) -> torch.Tensor:
        rows = _as_rows(inputs)
        if ctx.needs_input_grad[0]:
            outputs, ctx.pullback = model.linearize(rows)
            ctx.input_shape, ctx.n_outputs = tuple(inputs.shape[1:]), outputs.shape[1]
        else:
            outputs = model.outputs(rows)
        return torch.from_numpy(as_logits(outputs)).to(inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangents: torch.Tensor) -> tuple[torch.Tensor, None]:
        weights = as_output_cotangents(cotangents.cpu().numpy(), ctx.n_outputs)
        gradient = np.asarray(ctx.pullback(weights))
        return _as_inputs(gradient, ctx.input_shape).to(cotangents), None
