"""Signs that an attack says little about a model.

The checks of AutoAttack's evaluation (Croce and Hein 2020), and its fourth of Tramer et al.,
"On Adaptive Attacks to Adversarial Example Defenses", NeurIPS 2020: a gradient-free attack that
beats those with gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["doubts"]

#: Part of the samples that the gradient-free stage may break alone, after those with gradients.
_FREE_OF_DOUBT = 0.01


def doubts(
    model: Any, X: NDArray, outputs: NDArray, n_zero_gradient: int, n_by_search: NDArray, n: int
) -> list[str]:
    """Reasons why the robust accuracy may be too high, in whole sentences.

    Parameters
    ----------
    model : Model
        Attacked.
    X : ndarray of shape (m, d)
        Some of the samples.
    outputs : ndarray of shape (m, k)
        What the model gave for them.
    n_zero_gradient : int
        Samples classified correctly whose gradient is zero.
    n_by_search : ndarray of shape (E,)
        Samples that the search without gradients broke at each budget, after all other stages; of
        a regressor, on which it gained over half as much again.
    n : int
        Number of samples attacked.
    """
    of_gradients = _of_gradients(n_zero_gradient, n_by_search, n, model.classes_ is None)
    return [*_of_outputs(model, X, outputs), *of_gradients]


def _of_outputs(model: Any, X: NDArray, outputs: NDArray) -> Iterator[str]:
    again = model.outputs(X)
    tolerance = np.sqrt(np.finfo(outputs.dtype).eps)
    if not np.allclose(again, outputs, rtol=tolerance, atol=tolerance, equal_nan=True):
        yield (
            "The outputs are random: two calls with the same samples differ. Attack the average of "
            "many calls, which is a model without randomness."
        )
    if model.classes_ is None:
        return
    is_distribution = outputs.min() >= 0 and np.allclose(outputs.sum(axis=1), 1, atol=1e-5)
    if outputs.shape[1] > 1 and is_distribution:
        yield (
            "The outputs are probabilities, whose gradients vanish where the model is sure. Attack "
            "the logits in front of the softmax."
        )


def _of_gradients(
    n_zero_gradient: int, n_by_search: NDArray, n: int, is_regression: bool
) -> Iterator[str]:
    if n_zero_gradient:
        yield (
            f"The gradient is exactly zero at {n_zero_gradient} of {n} samples, where attacks that "
            "follow it do not move. Take gradients before whatever rounds or saturates."
        )
    largest = int(n_by_search.max(initial=0))
    if largest > _FREE_OF_DOUBT * n:
        found = f"broke {largest} of {n} samples on which every attack with gradients had failed"
        if is_regression:
            found = (
                f"gained, on {largest} of {n} samples, over half as much again as every attack "
                "with gradients"
            )
        yield (
            f"The search without gradients {found}. The gradients lead astray: check input_vjp "
            "against finite differences."
        )
