"""Images from a file if one is given, otherwise synthetic images of the same shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skntk.datasets import load_images

MNIST = (28, 28, 1)
CIFAR = (32, 32, 3)

DATA = {"metavar": "FILE.npz", "help": "X_train, y_train, X_test, y_test; default: synthetic"}


def images(
    source: str | None,
    n_train: int,
    n_test: int,
    *,
    shape: tuple[int, int, int],
    n_classes: int = 10,
    dtype: Any = np.float32,
) -> Bunch:
    """Rows of pixels in [0, 1] and their labels: X_train, y_train, X_test, y_test."""
    if source is not None:
        return load_images(source, n_train=n_train, n_test=n_test, dtype=dtype)
    random = np.random.default_rng(0)
    # Relative to the variation within a class, classes are equally far apart at every image
    # size: as in real data, a few per cent of the test images are beyond any classifier.
    n_patches = np.prod(shape) / 16
    prototypes = 0.4 * np.sqrt(49 / n_patches) * _smooth(random, n_classes, shape)
    X, y = {}, {}
    for part, n in (("train", n_train), ("test", n_test)):
        y[part] = np.arange(n) % n_classes
        X[part] = random.standard_normal((n, np.prod(shape)), np.float32)
        X[part] *= 0.2  # pixel noise; without it, smooth images are collinear
        X[part] += prototypes[y[part]]
        for rows in range(0, n, 1000):  # variation within a class, as smooth as that between
            block = X[part][rows : rows + 1000]
            block += 0.8 * _smooth(random, len(block), shape)
        X[part] = np.clip(0.5 + 0.2 * X[part], 0, 1).astype(dtype, copy=False)
    return Bunch(X_train=X["train"], y_train=y["train"], X_test=X["test"], y_test=y["test"])


def _smooth(random: np.random.Generator, n: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Images made of 4 x 4 patches of one colour each; one image per row."""
    height, width, channels = shape
    coarse = random.standard_normal((n, height // 4, width // 4, channels), np.float32)
    return coarse.repeat(4, axis=1).repeat(4, axis=2).reshape(n, -1)
