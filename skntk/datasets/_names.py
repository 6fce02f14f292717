"""The names that files give to images and labels, and what each of them means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._utils.memory import check_memory

__all__ = [
    "Arrays",
    "Entry",
    "FileError",
    "canonical_array",
    "check_size",
    "complete",
    "names_part",
    "part_of",
    "read_entries",
]

#: Arrays under canonical names: ``X``, ``y``, or each with a part, as in ``X_train``; and
#: ``target_names``.
Arrays = dict[str, NDArray]

_IMAGES = {"x", "image", "images", "img", "imgs", "data", "pixels", "inputs"}
_LABELS = {"y", "label", "labels", "target", "targets", "class"}
_TARGET_NAMES = {"target_names", "class_names", "label_names", "list_classes"}
#: No name has two of these; "t10k" is MNIST's word for its test images.
_PARTS = {
    "train": r"train(ing)?|data_batch",
    "test": r"test(ing)?|t10k",
    "val": r"val(id|idation)?",
}
#: Ranges are told of arrays up to this many bytes.
_SMALL = 2**28


class FileError(ValueError):
    """A file that is not what is needed, said in full: it is passed on as it is."""


@dataclass(frozen=True)
class Entry:
    """An array in a file, described before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], NDArray]

    @property
    def n_bytes(self) -> int:
        """Size in memory; Python's integers do not overflow, whatever a header claims."""
        return int(np.prod([1, *map(int, self.shape)], dtype=object)) * self.dtype.itemsize


def part_of(name: str) -> str | None:
    """Which of the parts "train", "test" and "val" a name speaks of, if any."""
    for part, words in _PARTS.items():
        if re.search(rf"(?<![a-z])({words})(?![a-z])", name.lower()):
            return part
    return None


def canonical_array(name: str, part: str | None = None) -> str | None:
    """Canonical name of an array, or None if its name says nothing.

    `part` is that of its file, for arrays whose own name has none.
    """
    if name.lower() in _TARGET_NAMES:
        return "target_names"
    words = [word for word in re.split(r"[/_\-. ]+", name.lower()) if word not in ("", "set")]
    # Also written in one word, as in "xtrain".
    words = [w for word in words for w in re.split(r"(?<=^[xy])(?=train$|test$|val$)", word)]
    own = part_of("_".join(words)) or part
    rest = [word for word in words if part_of(word) is None]
    if len(rest) != 1 or rest[0] not in _IMAGES | _LABELS:
        return None
    kind = "X" if rest[0] in _IMAGES else "y"
    return kind if own is None else f"{kind}_{own}"


def check_size(path: Path, entry: Entry) -> None:
    """Raise MemoryError, before anything is allocated, for an array that does not fit."""
    n = entry.shape[0] if entry.shape else 1
    remedy = "keep fewer images in the file"
    check_memory(entry.n_bytes, what=f"Reading {str(path)!r}", n=n, remedy=remedy)


def read_entries(path: Path, entries: Mapping[str, Entry], part: str | None = None) -> Arrays:
    """Read images and labels out of a file of named arrays.

    Raises
    ------
    FileError
        If they are not there, or several arrays may be meant; lists what is there.
    """
    chosen: dict[str, str] = {}
    for name in entries:
        canonical = canonical_array(name, part)
        if canonical in chosen:
            raise FileError(
                f"{str(path)!r} has several arrays that may be {canonical}: {chosen[canonical]!r} "
                f"and {name!r}; save it again with one of them."
            )
        if canonical is not None:
            chosen[canonical] = name
    missing = _missing(chosen)
    if missing:
        raise FileError(
            f"{str(path)!r} lacks {', '.join(missing)}; it needs X_train, y_train, X_test, y_test, "
            f"or X and y, and holds {_listing(entries)}. Save it again under these names: "
            "np.savez('images.npz', X=..., y=...)."
        )
    return {name: _read_checked(path, name, entries[own]) for name, own in chosen.items()}


def names_part(arrays: Arrays, part: str | None) -> Arrays:
    """Arrays of a file that has a single set of images, under the part that its name speaks of."""
    if part is None or "X" not in arrays:
        return arrays
    return {f"{name}_{part}" if name in ("X", "y") else name: a for name, a in arrays.items()}


def complete(path: Path, arrays: Arrays) -> Arrays:
    """Keep training and test images, or the only set; validation images where there is no test.

    Raises
    ------
    FileError
        If one of the two is missing.
    """
    if "X_test" not in arrays and "X_val" in arrays:
        arrays = arrays | {f"{kind}_test": arrays[f"{kind}_val"] for kind in "Xy"}
    if "X_train" not in arrays and "X_test" not in arrays and "X" in arrays:
        return arrays
    missing = [
        f"{kind}_{part}"
        for part in ("train", "test")
        for kind in "Xy"
        if f"{kind}_{part}" not in arrays
    ]
    if missing:
        raise FileError(
            f"{str(path)!r} lacks {', '.join(missing)}; it needs X_train, y_train, X_test and "
            "y_test, or X and y, which are split."
        )
    return arrays


def _missing(names: Iterable[str]) -> list[str]:
    names = {*names}
    parts = [part for part in _PARTS if f"X_{part}" in names or f"y_{part}" in names]
    needed = [f"{kind}_{part}" for part in parts for kind in "Xy"] or ["X", "y"]
    return [name for name in needed if name not in names]


def _read_checked(path: Path, name: str, entry: Entry) -> NDArray:
    if entry.dtype.hasobject:
        raise FileError(
            f"{name} in {str(path)!r} is an array of pickled Python objects, which is never "
            f"unpickled unasked; save {name} with a dtype of its own, for instance "
            f"np.stack({name}) or {name}.astype(str)."
        )
    check_size(path, entry)
    return entry.read()


def _listing(entries: Mapping[str, Entry]) -> str:
    if not entries:
        return "no arrays"
    shown = [f"{name} {e.shape} {e.dtype}{_range(e)}" for name, e in [*entries.items()][:12]]
    more = len(entries) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _range(entry: Entry) -> str:
    if entry.dtype.kind not in "biuf" or not 0 < entry.n_bytes <= _SMALL:
        return ""
    values = np.asarray(entry.read(), np.float64)
    return f" in [{values.min():g}, {values.max():g}]"
