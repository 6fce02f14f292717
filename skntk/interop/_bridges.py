"""Bridges from and to other toolboxes, each imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike

from .._utils.optional import import_for
from .._utils.showing import shown
from .._utils.validation import check_boolean
from ._function_classifier import FunctionClassifier

__all__ = ["from_jax", "from_torch", "to_art", "to_gaussian_process", "to_jax", "to_torch"]


def from_jax(function: Callable, *, classes: ArrayLike, n_features: int) -> FunctionClassifier:
    """Classifier of a JAX function, with the gradient that JAX derives.

    Parameters
    ----------
    function : callable
        From an array (m, d) to outputs (m,) or (m, 1) for two classes, else (m, n_classes), each
        row of which depends on its own row alone; parameters are closed over. It is compiled, for
        batches of a few sizes.
    classes : array-like of shape (n_classes,)
        Label of each output; of a single output, the labels of negative and positive values.
    n_features : int
        Number d of features.

    Returns
    -------
    classifier : FunctionClassifier

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from skntk import NTKAttack
    >>> from skntk.interop import from_jax
    >>> clf = from_jax(lambda x: x[:, 0] ** 2 - x[:, 1], classes=["above", "below"], n_features=2)
    >>> NTKAttack(clf, eps=0.1).generate([[0.5, 0.2]], ["below"])
    array([[0.4, 0.3]])
    """
    from ._jax import JaxFunction

    bridge = JaxFunction(function)
    return FunctionClassifier(bridge.outputs, bridge.vjp, classes=classes, n_features=n_features)


def from_torch(
    module: Any, *, classes: ArrayLike, input_shape: tuple[int, ...]
) -> FunctionClassifier:
    """Classifier of a PyTorch module, with the gradient that PyTorch derives.

    The module runs where its parameters are and in their precision.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode (``module.eval()``); from a tensor ``(m, *input_shape)`` to logits (m,)
        or (m, 1) for two classes, else (m, n_classes).
    classes : array-like of shape (n_classes,)
        Label of each output; of a single output, the labels of negative and positive values.
    input_shape : tuple of int
        Shape of one input as the module takes it, (d,) or (channels, height, width). Images here
        are rows with channels last; they are transposed on the way.

    Returns
    -------
    classifier : FunctionClassifier

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    ValueError
        If the module is in training mode, where the outputs of a sample may depend on others.
    """
    import_for("from_torch", "torch", extra="torch")
    from ._torch import TorchFunction

    bridge = TorchFunction(module, input_shape)
    return FunctionClassifier(
        bridge.outputs, bridge.vjp, classes=classes, n_features=bridge.n_features
    )


def to_jax(estimator: Any) -> Callable:
    """Outputs of a fitted kernel machine as a JAX function of its inputs.

    Parameters
    ----------
    estimator : kernel machine
        Fitted, with a kernel that has a JAX function (see `as_jax` of the kernels): an
        `NTKClassifier` or `NTKRegressor`, with CV or without, a `SpectralFeatureDecomposer` or a
        `RobustFeatureSelector`.

    Returns
    -------
    function : callable
        From x (d,) or (m, d) to the outputs: a number or (m,) if there is one, as for two
        classes, else (k,) or (m, k). It can be compiled, mapped and differentiated, and computes in
        float64 only where JAX does (``jax_enable_x64``).

    Raises
    ------
    TypeError
        If the estimator is no kernel machine, or its kernel has no JAX function.
    ValueError
        If the kernel is precomputed, or lies between all outputs of a network.

    Examples
    --------
    >>> import jax
    >>> import numpy as np
    >>> from skntk import NTKClassifier
    >>> from skntk.interop import to_jax
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> function = to_jax(NTKClassifier("fc1").fit(X, [0, 1]))
    >>> jax.grad(function)(X[0]).shape
    (2,)
    """
    from ._jax import kernel_machine

    if not hasattr(estimator, "dual_coef_") or not hasattr(estimator, "kernel_"):
        raise TypeError(
            f"estimator={shown(estimator)} is no fitted kernel machine; give a fitted "
            "NTKClassifier, SpectralFeatureDecomposer or RobustFeatureSelector. Of a pipeline, "
            "give the last step."
        )
    if estimator.kernel_ is None:
        raise ValueError(
            "kernel='precomputed' leaves no inputs to be a function of; fit with a kernel from "
            "skntk.kernels."
        )
    if getattr(estimator, "multi_output", False):
        raise ValueError("multi_output=True has no JAX function; fit with multi_output=False.")
    return kernel_machine(estimator.kernel_.as_jax(), estimator.X_fit_, estimator.dual_coef_)


def to_torch(estimator: Any, *, input_shape: tuple[int, ...] | None = None) -> Any:
    """View of a fitted classifier as a PyTorch module with exact gradients.

    AutoAttack, torchattacks and foolbox run on it.

    Parameters
    ----------
    estimator : estimator
        Fitted, as `NTKAttack` takes it.
    input_shape : tuple of int, default=None
        Shape of one input as the attacks want it, (channels, height, width): it is made a row
        with channels last, as images are here. None: (d,).

    Returns
    -------
    module : torch.nn.Module
        From a tensor ``(m, *input_shape)`` to logits (m, n_classes), in its dtype and on its
        device; two logits -f/2 and f/2 for a single output f. It can be differentiated once.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If the estimator has no input gradient.
    """
    import_for("to_torch", "torch", extra="torch")
    from ._torch import EstimatorModule

    return EstimatorModule(estimator, input_shape)


def to_art(
    estimator: Any, *, clip_values: tuple, input_shape: tuple[int, ...] | None = None
) -> Any:
    """View of a fitted classifier as a classifier of the Adversarial Robustness Toolbox.

    Parameters
    ----------
    estimator : estimator
        Fitted, as `NTKAttack` takes it.
    clip_values : tuple of two floats or arrays
        Lowest and highest value of a feature.
    input_shape : tuple of int, default=None
        Shape of one input as the attacks want it, (height, width, channels). None: (d,).

    Returns
    -------
    classifier : art.estimators.classification.classifier.Classifier
        Whose `predict` gives logits, two of them for two classes, and whose loss is their
        cross-entropy.

    Raises
    ------
    ImportError
        If the toolbox is not installed.
    TypeError
        If the estimator has no input gradient.
    """
    import_for("to_art", "art", extra="art")
    from ._art import EstimatorClassifier

    return EstimatorClassifier(estimator, clip_values, input_shape)


def to_gaussian_process(kernel: Any, *, nngp: bool = False) -> Any:
    r"""Covariance function for scikit-learn's Gaussian processes, from a kernel of a network.

    With the tangent kernel, the posterior mean of `GaussianProcessRegressor` is the prediction of
    `NTKRegressor` with the same `alpha`. With the covariance at initialisation (NNGP), the
    posterior is the one of the Bayesian network of infinite width.

    Parameters
    ----------
    kernel : NeuralTangentKernel
        The kernel. Its parameters are not hyperparameters, which an optimiser changes; a grid
        search reaches them as ``kernel__kernel__depth``. Sums and products with kernels of
        scikit-learn, such as `WhiteKernel`, have the hyperparameters of these.
    nngp : bool, default=False
        Whether to take the covariance at initialisation, for kernels that have one.

    Returns
    -------
    covariance : sklearn.gaussian_process.kernels.Kernel

    Raises
    ------
    TypeError
        If `kernel` is not a kernel of `skntk.kernels`, or has no covariance at initialisation.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from skntk.interop import to_gaussian_process
    >>> from skntk.kernels import FullyConnectedNTK
    >>> X, y = load_diabetes(return_X_y=True, scaled=False)
    >>> X = (X - X.mean(axis=0)) / X.std(axis=0)
    >>> process = GaussianProcessRegressor(
    ...     to_gaussian_process(FullyConnectedNTK(2)), alpha=10.0, normalize_y=True
    ... ).fit(X[:300], y[:300])
    >>> mean, std = process.predict(X[300:302], return_std=True)
    >>> mean.shape, std.shape
    ((2,), (2,))
    """
    from ._gaussian_process import NetworkKernel

    if not (callable(kernel) and hasattr(kernel, "nngp") and hasattr(kernel, "input_vjp")):
        raise TypeError(
            f"kernel={kernel!r} must be a kernel from skntk.kernels, got {type(kernel).__name__}; "
            "of a kernel's name, give resolve_kernel(name, n_features)."
        )
    check_boolean("nngp", nngp)
    if nngp:
        kernel._as_nngp()  # which raises for kernels that have none
    return NetworkKernel(kernel, nngp)
