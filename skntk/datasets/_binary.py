"""Binary formats that no library reads: IDX (MNIST) and the batches of CIFAR."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ._names import Arrays, Entry, FileError, check_size, read_entries

__all__ = ["find_labels", "idx_entry", "read_cifar", "read_idx"]

_IDX_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def find_labels(path: Path, names: Iterable[str]) -> Path:
    """Find the file of labels beside a file of images; raise FileError if none has these names."""
    candidates = [path.with_name(name) for name in dict.fromkeys(names)]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise FileError(
            f"{str(path)!r} holds images without labels; put the labels beside it as "
            f"{' or '.join(repr(candidate.name) for candidate in candidates)}."
        )
    return found


def read_idx(path: Path) -> Arrays:
    """Read images and the labels in the IDX file beside them."""
    images = idx_entry(path)
    if len(images.shape) == 1:
        raise FileError(f"{str(path)!r} holds labels; give the file of the images.")
    stem = path.name.removesuffix(".gz")
    name = stem.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    names = [other for other in (name, f"{name}.gz") if other != path.name and name != stem]
    labels = idx_entry(find_labels(path, names or [f"{stem}-labels"]))
    return read_entries(path, {"X": images, "y": labels})


def idx_entry(path: Path) -> Entry:
    """Describe the array in an IDX file."""
    with _open(path) as file:
        _, _, code, n_axes = file.read(4)
        shape = tuple(int.from_bytes(file.read(4), "big") for _ in range(n_axes))
        dtype = np.dtype(_IDX_DTYPES[code])
    entry = Entry(shape, dtype, lambda: _read_idx(path, entry))
    return entry


def _read_idx(path: Path, entry: Entry) -> NDArray:
    check_size(path, entry)
    with _open(path) as file:
        file.seek(4 + 4 * len(entry.shape))
        content = file.read(entry.n_bytes + 1)
    if len(content) != entry.n_bytes:
        raise FileError(
            f"{str(path)!r} is truncated or damaged: its header announces {entry.n_bytes} bytes, "
            f"and it holds {'more' if len(content) > entry.n_bytes else len(content)}; fetch it "
            "again."
        )
    array = np.frombuffer(content, entry.dtype).reshape(entry.shape)
    return array.astype(entry.dtype.newbyteorder("="))


def _open(path: Path):  # type: ignore[no-untyped-def]
    return gzip.open(path) if path.suffix == ".gz" else open(path, "rb")


def read_cifar(path: Path) -> Arrays:
    """Read a batch of CIFAR-10, or of CIFAR-100 with its fine labels.

    A record is one label, or a coarse and a fine label, followed by an image stored channel by
    channel.
    """
    n_bytes = path.stat().st_size
    n_labels = 1 if n_bytes % 3073 == 0 else 2
    n = n_bytes // (3072 + n_labels)
    check_size(path, Entry((n, 3072 + n_labels), np.dtype(np.uint8), lambda: np.empty(0)))
    records = np.fromfile(path, np.uint8).reshape(n, 3072 + n_labels)
    labels = records[:, n_labels - 1]
    if labels.max() >= (10 if n_labels == 1 else 100):
        raise FileError(
            f"{str(path)!r} has the length of a batch of CIFAR-{10**n_labels} but labels up to "
            f"{labels.max()}: it is damaged, or another kind of file; fetch it again."
        )
    images = records[:, n_labels:].reshape(n, 3, 32, 32).transpose(0, 2, 3, 1)
    arrays: Arrays = {"X": np.ascontiguousarray(images), "y": labels.astype(np.int64)}
    names = path.with_name("batches.meta.txt" if n_labels == 1 else "fine_label_names.txt")
    if names.is_file():
        arrays["target_names"] = np.array(names.read_text(encoding="utf-8").split())
    return arrays
