"""Data sets by name: scikit-learn's digits, and data sets from OpenML."""

from __future__ import annotations

import os
import re

import numpy as np
from sklearn.datasets import fetch_openml, load_digits

from .._utils.optional import is_installed
from ._names import Arrays

__all__ = ["NAMES", "canonical_name", "read_by_name"]

#: OpenML's name, the stored shape of a sample, and the number of training images, which are first.
_OPENML: dict[str, tuple[str, tuple[int, ...], int]] = {
    "mnist": ("mnist_784", (28, 28, 1), 60_000),
    "fashion_mnist": ("Fashion-MNIST", (28, 28, 1), 60_000),
    "cifar10": ("CIFAR_10", (3, 32, 32), 50_000),
}

#: Names of the classes in the order of their labels, unless the labels are the names.
_CLASSES = {
    "fashion_mnist": "t-shirt trouser pullover dress coat sandal shirt sneaker bag boot",
    "cifar10": "airplane automobile bird cat deer dog frog horse ship truck",
}

NAMES = ("digits", *_OPENML)

#: Spellings of names, reduced to letters and digits.
_SPELLINGS = {"mnist784": "mnist", "mnist": "mnist", "digits": "digits", "cifar10": "cifar10"}
_SPELLINGS |= {"fashionmnist": "fashion_mnist"}


def canonical_name(source: str | os.PathLike) -> str | None:
    """Data set that a name stands for, or None; accepts spellings like "MNIST" and "cifar-10"."""
    if not isinstance(source, str):
        return None
    return _SPELLINGS.get(re.sub(r"[\s_-]", "", source.lower()))


def read_by_name(name: str) -> Arrays:
    """Read the arrays of a data set with a canonical name."""
    return _read_digits() if name == "digits" else _fetch(name)


def _read_digits() -> Arrays:
    digits = load_digits()
    # The file is ordered by writer, so the last third holds digits of other writers.
    return _split(digits.images / 16, digits.target, 1200)


def _fetch(name: str) -> Arrays:
    openml_name, shape, n_train = _OPENML[name]
    # The parser of pandas takes a tenth of the time.
    parser = "pandas" if is_installed("pandas") else "liac-arff"
    X, y = fetch_openml(openml_name, version=1, as_frame=False, return_X_y=True, parser=parser)
    X = X.reshape(-1, *shape).astype(np.uint8)
    if shape[0] == 3:  # CIFAR-10 is stored channel by channel
        X = X.transpose(0, 2, 3, 1)
    arrays = _split(X, y.astype(int), n_train)
    if name in _CLASSES:
        arrays["target_names"] = np.array(_CLASSES[name].split())
    return arrays


def _split(X: np.ndarray, y: np.ndarray, n_train: int) -> Arrays:
    parts = {"train": slice(n_train), "test": slice(n_train, None)}
    arrays = {f"X_{part}": X[rows] for part, rows in parts.items()}
    return arrays | {f"y_{part}": y[rows] for part, rows in parts.items()}
