"""Names of the paper's kernels, which are accepted wherever a kernel is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from .._utils.channels import warn_of_channels_first
from .._utils.showing import shown
from ._base import NeuralTangentKernel
from ._convolutional import ConvolutionalNTK
from ._fully_connected import FullyConnectedNTK
from ._images import guess_image_shape
from ._two_layer import TwoLayerNTK

__all__ = ["KERNEL_NAMES", "kernel_for", "named_kernel", "resolve_kernel"]

_FACTORIES: dict[str, Callable[[int], NeuralTangentKernel]] = {
    "fc1": lambda _: FullyConnectedNTK(1),
    "fc2": lambda _: FullyConnectedNTK(2),
    "fc3": lambda _: FullyConnectedNTK(3),
    "fc4": lambda _: FullyConnectedNTK(4),
    "fc5": lambda _: FullyConnectedNTK(5),
    "conv1": lambda n_features: _convolutional("conv1", n_features),
    "conv2": lambda n_features: _convolutional("conv2", n_features),
    "two_layer": lambda _: TwoLayerNTK(),
}

KERNEL_NAMES = tuple(_FACTORIES)


def _convolutional(name: str, n_features: int) -> ConvolutionalNTK:
    image_shape = guess_image_shape(n_features)
    if image_shape is None:
        raise ValueError(
            f"kernel={name!r} needs square images of one or three channels, and {n_features} "
            f"features cannot be such an image; pass ConvolutionalNTK({name[-1]}, "
            "image_shape=(height, width, channels))."
        )
    return ConvolutionalNTK(int(name[-1]), image_shape=image_shape)


def named_kernel(name: Any) -> NeuralTangentKernel | None:
    """Return the kernel of a name that means the same kernel for all data, else None."""
    if not isinstance(name, str) or name not in _FACTORIES or name.startswith("conv"):
        return None
    return _FACTORIES[name](0)


def resolve_kernel(kernel: Any, n_features: int) -> NeuralTangentKernel:
    """Return the kernel that a name stands for; a kernel object is returned unchanged.

    Parameters
    ----------
    kernel : str or NeuralTangentKernel
        "fc1".."fc5", "conv1", "conv2" and "two_layer" name the paper's kernels; "conv1" and
        "conv2" need square images of one or three channels.
    n_features : int
        Number of input features.

    Returns
    -------
    kernel : NeuralTangentKernel

    Raises
    ------
    ValueError
        For an unknown name or a wrong kernel parameter.
    TypeError
        If `kernel` is neither a name nor a kernel.
    """
    if isinstance(kernel, str):
        if kernel not in _FACTORIES:
            raise ValueError(
                f"kernel={kernel!r} is not known; choose one of {', '.join(KERNEL_NAMES)}, "
                "or pass a kernel from skntk.kernels."
            )
        kernel = _FACTORIES[kernel](n_features)
    if not isinstance(kernel, NeuralTangentKernel):
        raise TypeError(
            f"kernel={shown(kernel)} must be a name or a kernel from skntk.kernels, "
            f"got {type(kernel).__name__}."
        )
    kernel.check_parameters(n_features)
    kernel.prepare()
    return kernel


def kernel_for(kernel: Any, X: NDArray) -> NeuralTangentKernel:
    """Give a kernel for training samples, with a warning if they look like others."""
    resolved = resolve_kernel(kernel, X.shape[1])
    for name in ("image_shape", "input_shape"):
        warn_of_channels_first(X, getattr(resolved, name, None))
    return resolved
