"""NumPy's own file formats. Headers are read before arrays, and nothing is ever unpickled."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from ._binary import find_labels
from ._names import Arrays, Entry, FileError, canonical_array, read_entries

__all__ = ["npy_entry", "read_npy", "read_npz"]

_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


def read_npz(path: Path) -> Arrays:
    """Read an archive of named arrays."""
    # np.load would leave a file open if it is not an archive.
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise FileError(f"{str(path)!r} is a damaged or truncated .npz file; fetch it again.")
        with zipfile.ZipFile(file) as archive:
            entries = {
                info.filename.removesuffix(".npy"): _member(archive, info)
                for info in archive.infolist()
            }
            return read_entries(path, entries)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    with archive.open(info) as member:
        shape, dtype, start = _header(member)
    entry = Entry(shape, dtype, partial(_read_member, archive, info))
    if not dtype.hasobject and entry.n_bytes != info.file_size - start:
        raise ValueError(f"the length of {info.filename} differs from that in its header")
    return entry


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray:
    with archive.open(info) as member:
        return npy_format.read_array(member, allow_pickle=False)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, dtype, and the offset of the array in the file."""
    version = npy_format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of the format is not used for arrays of numbers")
    shape, _, dtype = _HEADERS[version](file)
    return shape, dtype, file.tell()


def npy_entry(path: Path) -> Entry:
    """Describe the array in a .npy file."""
    with open(path, "rb") as file:
        shape, dtype, start = _header(file)
    entry = Entry(shape, dtype, partial(np.load, path, allow_pickle=False))
    if not dtype.hasobject and entry.n_bytes != path.stat().st_size - start:
        raise ValueError("its length differs from that in its header")
    return entry


def read_npy(path: Path) -> Arrays:
    """Read images and the labels in the .npy file beside them."""
    name = canonical_array(path.stem)
    if name is not None and name.startswith("y"):
        raise FileError(f"{str(path)!r} holds labels; give the file of the images.")
    labels = find_labels(path, _label_names(path.stem))
    entries: dict[str, Any] = {"X": npy_entry(path), "y": npy_entry(labels)}
    return read_entries(path, entries)


def _label_names(stem: str) -> list[str]:
    pairs = [("images", "labels"), ("image", "label"), ("X", "y"), ("x", "y"), ("data", "labels")]
    names = [stem.replace(images, labels) for images, labels in pairs if images in stem]
    return [f"{name}.npy" for name in [*names, "labels"] if name != stem]
