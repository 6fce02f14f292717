"""Machines on digits that judges attack, shared by the run of the judges and its record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import NTKClassifier, RobustFeatureSelector, SpectralFeatureDecomposer

#: Test images that are attacked.
SAMPLES = 100

#: Images that machines are fitted to.
N_TRAIN = 600


@dataclass(frozen=True)
class Machine:
    """A classifier, the digits that it tells apart, and budgets (norm, eps) to attack it with."""

    build: Callable[[], Any]
    digits: tuple[int, ...]
    budgets: tuple[tuple[float, float], ...]


TEN = tuple(range(10))
FOUR = (1, 4, 7, 9)
PAIR = (3, 8)


def _network(adversary: Any = None) -> Any:
    from skntk import FlaxClassifier
    from skntk.networks import TwoLayerReLU

    return FlaxClassifier(
        TwoLayerReLU(64, 10),
        optimizer="adam",
        max_epochs=60,
        adversary=adversary,
        random_state=0,
    )


def _adversarial() -> Any:
    from skntk import AdversarialTraining

    return _network(AdversarialTraining(0.1, max_iter=5))


MACHINES = {
    "two classes": Machine(lambda: NTKClassifier("fc2"), PAIR, ((np.inf, 0.1), (2, 0.8))),
    "four classes": Machine(lambda: NTKClassifier("fc2"), FOUR, ((np.inf, 0.1), (2, 0.8))),
    "ten classes": Machine(
        lambda: NTKClassifier("fc2"), TEN, ((np.inf, 0.05), (np.inf, 0.1), (2, 0.6))
    ),
    "early": Machine(lambda: NTKClassifier("fc3", time=0.1), TEN, ((np.inf, 0.1),)),
    "features": Machine(
        lambda: RobustFeatureSelector(
            SpectralFeatureDecomposer("fc1"), n_features_to_select=200, random_state=0
        ),
        TEN,
        ((np.inf, 0.1),),
    ),
    "pipeline": Machine(
        lambda: make_pipeline(StandardScaler(), NTKClassifier("fc1")), TEN, ((np.inf, 0.05),)
    ),
    "network": Machine(_network, TEN, ((np.inf, 0.05), (2, 0.5))),
    "adversarial network": Machine(_adversarial, TEN, ((np.inf, 0.1),)),
}


@cache
def fitted(name: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """The machine, and test images with their labels."""
    machine = MACHINES[name]
    X, y = load_digits(return_X_y=True)
    chosen = np.isin(y, machine.digits)
    X, y = (X[chosen] / 16).astype(np.float32), y[chosen]
    n_train = min(N_TRAIN, len(X) // 2)
    return machine.build().fit(X[:n_train], y[:n_train]), X[n_train:], y[n_train:]
