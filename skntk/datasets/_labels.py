"""Labels as a vector, and the names of the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._names import FileError

__all__ = ["as_label_vector", "check_labels", "name_labels"]


def check_labels(name: str, labels: NDArray, images: NDArray) -> NDArray:
    """Return labels as a vector with one label per image."""
    labels = as_label_vector(name, labels, len(images))
    if len(labels) != len(images):
        last = images.ndim > 2 and images.shape[-1] == len(labels)
        remedy = "move the last axis to the front: np.moveaxis(X, -1, 0)" if last else ""
        raise FileError(
            f"{name} has shape {labels.shape} for {len(images)} images in X{name[1:]}; "
            f"{remedy or 'give one label per image'}."
        )
    return labels


def as_label_vector(name: str, labels: NDArray, n: int) -> NDArray:
    """Return labels (n,) from a vector, column or row; whole numbers become integers.

    Raises
    ------
    FileError
        If an image has several labels, or a label is not a whole number.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "biufSU":
        raise FileError(f"{name} holds values of type {labels.dtype}; give whole numbers or text.")
    if labels.ndim == 2 and 1 in labels.shape:
        labels = labels.ravel()
    if labels.ndim == 2 and len(labels) == n:
        one_hot = labels.dtype.kind in "biuf" and np.isin(labels, (0, 1)).all()
        single = one_hot and (labels.sum(axis=1) == 1).all()
        remedy = f"{name}.argmax(axis=1)" if single else "one of the columns"
        raise FileError(
            f"{name} has shape {labels.shape}, which is several values per image"
            f"{', as in one-hot labels' if single else ''}; save {remedy} instead."
        )
    if labels.ndim != 1:
        raise FileError(f"{name} has shape {labels.shape}; give one label per image.")
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all() or (labels != np.round(labels)).any():
            raise FileError(f"{name} holds numbers that are not class labels; give whole numbers.")
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "backslashreplace")
    return labels


def name_labels(y: NDArray, names: NDArray | None) -> dict[Any, str]:
    """Name of every label in `y`.

    `names` are those of the labels 0, 1, 2, ..., or of the sorted labels in `y`. If None, the
    labels themselves are the names.

    Raises
    ------
    FileError
        If there are too few names.
    """
    labels = np.unique(y).tolist()
    if names is None:
        return dict(zip(labels, map(str, labels), strict=True))
    texts = [name.decode() if isinstance(name, bytes) else str(name) for name in names.tolist()]
    if all(isinstance(label, int) and 0 <= label < len(texts) for label in labels):
        return {label: texts[label] for label in labels}
    if len(texts) != len(labels):
        raise FileError(
            f"target_names has {len(texts)} names for the {len(labels)} labels {labels}; give one "
            "name per label."
        )
    return dict(zip(labels, texts, strict=True))
