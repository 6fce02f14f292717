"""The choice of images: by class, by number, and for the test set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._labels import as_label_vector
from ._names import Arrays, FileError

__all__ = ["check_enough", "hold_out", "of_classes", "stratified"]


def stratified(y: NDArray, n: int, random: np.random.RandomState) -> NDArray:
    """Indices of `n` samples in random order, with the proportions of the classes in `y`.

    One sample of every class comes first, as far as `n` allows. The first m indices are a
    stratified choice of m samples, for any m.
    """
    shuffled = random.permutation(len(y))
    _, codes, counts = np.unique(y[shuffled], return_inverse=True, return_counts=True)
    by_class = np.argsort(codes, kind="stable")
    rank = np.empty(len(y))
    rank[by_class] = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Every class is spread evenly over [0, 1), so that the first n contain the same share of each.
    position = np.where(rank == 0, -1.0, (rank + 0.5) / counts[codes])
    return shuffled[np.argsort(position, kind="stable")[:n]]


def hold_out(arrays: Arrays, test_size: float, random: np.random.RandomState) -> Arrays:
    """Split the only set of images into training and test images, class by class.

    Raises
    ------
    FileError
        If a class has a single image.
    """
    X, y = arrays["X"], as_label_vector("y", arrays["y"], len(arrays["X"]))
    period = _period(y)
    classes, counts = np.unique(y[:period], return_counts=True)
    if counts.min(initial=2) < 2:
        raise FileError(
            f"The class {classes[counts.argmin()].item()!r} has a single image, which cannot be "
            "both a training and a test image; leave the class out, or save X_train, y_train, "
            "X_test and y_test."
        )
    n_test = min(period - len(classes), max(round(test_size * period), len(classes)))
    is_test = np.zeros(period, bool)
    is_test[stratified(y[:period], n_test, random)] = True
    is_test = np.resize(is_test, len(y))
    split = {"train": ~is_test, "test": is_test}
    parts = {f"X_{part}": X[rows] for part, rows in split.items()}
    parts |= {f"y_{part}": y[rows] for part, rows in split.items()}
    return {name: array for name, array in arrays.items() if name not in ("X", "y")} | parts


def _period(y: NDArray) -> int:
    """Number of distinct images if the labels repeat five times, else the number of all images.

    Data sets such as CIFAR-10-C contain all images at five severities, one after another. The
    five versions of an image belong on the same side of a split.
    """
    n = len(y) // 5
    return n if n > 1 and len(y) == 5 * n and _repeats(y, n) else len(y)


def _repeats(y: NDArray, n: int) -> bool:
    # Labels that cycle through the classes, 0 1 2 0 1 2 ..., repeat too, with a shorter period.
    turn = len(np.unique(y))
    in_turn = len(y) > turn and np.array_equal(y[turn:], y[:-turn])
    return np.array_equal(y[n:], y[:-n]) and not in_turn


def of_classes(
    y: NDArray,
    classes: Sequence[Any] | None,
    names: Mapping[Any, str],
    what: str,
    source: Any,
) -> NDArray:
    """Indices of the samples of given classes, each a label or name, which must occur."""
    present = np.unique(y).tolist()
    if classes is None:
        return np.arange(len(y))
    if isinstance(classes, str):
        raise TypeError(f"classes={classes!r} is one name; give a sequence: [{classes!r}].")
    if not isinstance(classes, Iterable):
        raise TypeError(f"classes={classes!r} is no sequence; give one: [{classes!r}].")
    wanted = [_label(given, present, names) for given in classes]
    missing = [label for label in wanted if label not in present]
    if missing or not wanted:
        named = [names.get(label, label) for label in present]
        also = "" if [*map(str, present)] == [*map(str, named)] else f", named {named}"
        raise ValueError(
            f"No {what} of classes={missing} in {str(source)!r}; it has {present}{also}."
        )
    return np.flatnonzero(np.isin(y, wanted))


def _label(given: Any, present: list[Any], names: Mapping[Any, str]) -> Any:
    """The label that is meant; on a command line, all of them are strings."""
    if given in present or not isinstance(given, str):
        return given
    meant = [label for label, name in names.items() if name == given]
    if len(meant) > 1:
        raise ValueError(f"classes={given!r} names each of the labels {meant}; give labels.")
    by_text = {str(label): label for label in present}
    return meant[0] if meant else by_text.get(given, given)


def check_enough(n_train: int | None, y: NDArray, classes: Any, names: Mapping[Any, str]) -> None:
    """Raise ValueError if fewer training images are kept than there are classes."""
    n_classes = len(names if classes is None else {*map(str, classes)})
    if n_train is not None and n_train < n_classes:
        raise ValueError(
            f"n_train={n_train} is fewer than the {n_classes} classes, of which "
            f"{len(np.unique(y))} would be left; give at least {n_classes}, or choose classes."
        )
