"""A network and its kernel followed through training at matching times (Sec. 3.2, App. C)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import Bunch

from ._utils.progress import track
from ._utils.validation import check_integer
from .attacks import NTKAttack
from .metrics import gradient_cosine_similarity, robust_accuracy_score

__all__ = ["follow_transfer"]


def follow_transfer(
    network: Any,
    kernel: Any,
    X: ArrayLike,
    y: ArrayLike,
    X_test: ArrayLike,
    y_test: ArrayLike,
    *,
    epochs: Sequence[int],
    eps: Any = 8 / 255,
    norm: float = np.inf,
    clip_values: Any = (0.0, 1.0),
    verbose: int = 0,
) -> Bunch:
    r"""Train a network and compare it with the kernel at checkpoints (Eq. 43).

    A step of gradient descent of learning rate :math:`\eta` on the mean squared error
    advances gradient-flow time by :math:`\eta / n`, so the kernel is taken at
    :math:`t = \eta\,\text{steps} / n`.

    Parameters
    ----------
    network : FlaxClassifier
        Network to train; it is cloned. It must use plain gradient descent on
        "squared_error"; ``centered=True`` removes the initial output f_0.
    kernel : NTKClassifier
        Kernel to compare with; it is cloned.
    X, y : array-like of shape (n, d) and (n,)
        Training samples.
    X_test, y_test : array-like of shape (m, d) and (m,)
        Samples on which both are compared and attacked.
    epochs : sequence of int
        Epochs at which both are compared, in increasing order.
    eps, norm, clip_values
        The FGSM attack, as in `NTKAttack`.
    verbose : int, default=0
        Show a progress bar if positive.

    Returns
    -------
    curve : Bunch
        ``epochs`` and ``times`` (T,); ``cosine``, the mean cosine of the loss gradients;
        ``accuracy`` and ``kernel_accuracy``, clean; ``own_robust_accuracy``, of the network
        on FGSM examples made from it; ``transfer_robust_accuracy``, of the network on those
        made from the kernel; ``kernel_robust_accuracy``, of the kernel on its own; ``network`` and
        ``kernel``, fitted, at the last checkpoint.

    Raises
    ------
    ValueError
        If the network's training has no matching time, or `epochs` does not increase.
    """
    _check(network, kernel, epochs)
    n = len(np.asarray(y))
    steps = 1 if network.batch_size is None else -(-n // min(network.batch_size, n))
    network = clone(network).set_params(warm_start=True)
    at_end = clone(kernel).fit(X, y)
    curve: dict[str, list[float]] = {}
    done = 0
    for epoch in track(list(epochs), "Training", enabled=verbose > 0):
        network.set_params(max_epochs=int(epoch) - done).fit(X, y)
        done = int(epoch)
        time = network.learning_rate * steps * done / n
        kernel = at_end.at_time(time)
        attacks = [
            NTKAttack(victim, eps=eps, norm=norm, clip_values=clip_values)
            for victim in (network, kernel)
        ]
        own, transferred = (
            robust_accuracy_score(network, X_test, y_test, attack) for attack in attacks
        )
        values = {
            "epochs": done,
            "times": time,
            "cosine": gradient_cosine_similarity(network, kernel, X_test, y_test),
            "accuracy": network.score(X_test, y_test),
            "kernel_accuracy": kernel.score(X_test, y_test),
            "own_robust_accuracy": own,
            "transfer_robust_accuracy": transferred,
            "kernel_robust_accuracy": robust_accuracy_score(kernel, X_test, y_test, attacks[1]),
        }
        for name, value in values.items():
            curve.setdefault(name, []).append(value)
    arrays = {name: np.asarray(values) for name, values in curve.items()}
    return Bunch(**arrays, network=network, kernel=kernel)


def _check(network: Any, kernel: Any, epochs: Sequence[int]) -> None:
    if not hasattr(kernel, "at_time"):
        raise TypeError(
            f"kernel is a {type(kernel).__name__}, which has no at_time(time) to follow the "
            "network by; give an NTKClassifier, of a Pipeline its last step."
        )
    for epoch in epochs:
        check_integer("epochs", epoch, low=1)
    if len(epochs) == 0 or (np.diff(epochs) <= 0).any():
        raise ValueError(f"epochs={list(epochs)!r} must be integers in increasing order.")
    if network.loss != "squared_error" or network.optimizer != "sgd":
        raise ValueError(
            f"loss={network.loss!r} with optimizer={network.optimizer!r} has no matching "
            "gradient-flow time; use loss='squared_error' and optimizer='sgd'."
        )
    if callable(network.learning_rate):
        raise ValueError("learning_rate must be a number for the times to match, not a schedule.")
