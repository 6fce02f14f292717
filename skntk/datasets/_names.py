"""The names of arrays of images and labels in files, and their meaning."""

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

#: Arrays by canonical name: ``X`` and ``y``, alone or with a part as in ``X_train``, and
#: ``target_names``.
Arrays = dict[str, NDArray]

_IMAGES = {"x", "image", "images", "img", "imgs", "data", "pixels", "inputs"}
_LABELS = {"y", "label", "labels", "target", "targets", "class"}
_TARGET_NAMES = {"target_names", "class_names", "label_names", "list_classes"}
#: Words for the parts of a data set, of which a name has at most one; MNIST uses "t10k" for test.
_PARTS = {
    "train": r"train(ing)?|data_batch",
    "test": r"test(ing)?|t10k",
    "val": r"val(id|idation)?",
}
#: Error messages give the range of values of arrays up to this many bytes.
_SMALL = 2**28


class FileError(ValueError):
    """Error about a file whose message is complete, so that it is not wrapped in another one."""


@dataclass(frozen=True)
class Entry:
    """An array in a file, described before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], NDArray]

    @property
    def n_bytes(self) -> int:
        """Size in memory, in Python integers, which do not overflow for any header."""
        return int(np.prod([1, *map(int, self.shape)], dtype=object)) * self.dtype.itemsize


def part_of(name: str) -> str | None:
    """Part that a name contains, "train", "test" or "val", or None."""
    for part, words in _PARTS.items():
        if re.search(rf"(?<![a-z])({words})(?![a-z])", name.lower()):
            return part
    return None


def canonical_array(name: str, part: str | None = None) -> str | None:
    """Canonical name of an array, or None if its name is not recognised.

    `part` is the part of the file, for arrays whose own name contains none.
    """
    if name.lower() in _TARGET_NAMES:
        return "target_names"
    words = [word for word in re.split(r"[/_\-. ]+", name.lower()) if word not in ("", "set")]
    # Names may also be written as one word, as in "xtrain".
    words = [w for word in words for w in re.split(r"(?<=^[xy])(?=train$|test$|val$)", word)]
    own = part_of("_".join(words)) or part
    rest = [word for word in words if part_of(word) is None]
    if len(rest) != 1 or rest[0] not in _IMAGES | _LABELS:
        return None
    kind = "X" if rest[0] in _IMAGES else "y"
    return kind if own is None else f"{kind}_{own}"


def check_size(path: Path, entry: Entry) -> None:
    """Raise MemoryError, before anything is allocated, if an array does not fit in memory."""
    n = entry.shape[0] if entry.shape else 1
    remedy = "keep fewer images in the file"
    check_memory(entry.n_bytes, what=f"Reading {str(path)!r}", n=n, remedy=remedy)


def read_entries(path: Path, entries: Mapping[str, Entry], part: str | None = None) -> Arrays:
    """Read images and labels from a file of named arrays.

    Raises
    ------
    FileError
        If they are missing, with a list of the arrays found, or if a name is ambiguous.
    """
    chosen: dict[str, str] = {}
    for name in entries:
        canonical = canonical_array(name, part)
        if canonical in chosen:
            raise FileError(
                f"{str(path)!r} has several arrays that may be {canonical}: {chosen[canonical]!r} "
                f"and {name!r}; save it again with only one of them."
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
    """Rename the arrays of a single set of images for the part that the file's name contains."""
    if part is None or "X" not in arrays:
        return arrays
    return {f"{name}_{part}" if name in ("X", "y") else name: a for name, a in arrays.items()}


def complete(path: Path, arrays: Arrays) -> Arrays:
    """Check that training and test images, or a single set of images, are complete.

    Without test images, validation images take their place.

    Raises
    ------
    FileError
        If training or test images are missing.
    """
    if "X_test" not in arrays and "X_val" in arrays:
        arrays = arrays | {f"{kind}_test": arrays[f"{kind}_val"] for kind in "Xy"}
    needed = [f"{kind}_{part}" for part in ("train", "test") for kind in "Xy"]
    missing = [name for name in needed if name not in arrays]
    if "X_train" not in arrays and "X_test" not in arrays and "X" in arrays:
        needed = ["X", "y"]
    elif missing:
        raise FileError(
            f"{str(path)!r} lacks {', '.join(missing)}; it needs X_train, y_train, X_test and "
            "y_test, or X and y, which are then split."
        )
    return {name: arrays[name] for name in (*needed, "target_names") if name in arrays}


def _missing(names: Iterable[str]) -> list[str]:
    names = {*names}
    parts = [part for part in _PARTS if f"X_{part}" in names or f"y_{part}" in names]
    needed = [f"{kind}_{part}" for part in parts for kind in "Xy"] or ["X", "y"]
    return [name for name in needed if name not in names]


def _read_checked(path: Path, name: str, entry: Entry) -> NDArray:
    if entry.dtype.hasobject:
        raise FileError(
            f"{name} in {str(path)!r} is an array of objects, which NumPy pickles and which are "
            f"never unpickled here; save {name} with a dtype of its own, for instance "
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
