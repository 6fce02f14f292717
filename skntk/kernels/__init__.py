"""Neural tangent kernels: Gram matrices and closed-form input gradients."""

from ._base import NeuralTangentKernel
from ._composition import ProductKernel, ScaledKernel, SumKernel
from ._constant import ConstantKernel
from ._convolutional import ConvolutionalNTK
from ._empirical import EmpiricalNTK
from ._fully_connected import FullyConnectedNTK
from ._neural_tangents import load as load_neural_tangents
from ._pair import PairNTK
from ._resolve import resolve_kernel
from ._stax import StaxNTK
from ._two_layer import TwoLayerNTK

__all__ = [
    "ConstantKernel",
    "ConvolutionalNTK",
    "EmpiricalNTK",
    "FullyConnectedNTK",
    "NeuralTangentKernel",
    "PairNTK",
    "ProductKernel",
    "ScaledKernel",
    "StaxNTK",
    "SumKernel",
    "TwoLayerNTK",
    "load_neural_tangents",
    "resolve_kernel",
]
