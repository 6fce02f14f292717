"""Files of several arrays: HDF5, read by h5py, and MATLAB, read by SciPy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, whosmat

from .._utils.optional import import_for
from ._names import Arrays, Entry, FileError, read_entries

__all__ = ["read_hdf5", "read_mat"]

_MATLAB_DTYPES = {"double": "f8", "single": "f4", "logical": "?", "char": "U1"}
_MATLAB_DTYPES |= {f"{u}int{bits}": f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)}


def read_hdf5(path: Path) -> Arrays:
    """Read the arrays of an HDF5 file, including those in groups, such as ``train/X``.

    Links to other files are not followed.
    """
    h5py = import_for("Reading HDF5", "h5py", extra="data")
    entries: dict[str, Entry] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            if item.external or item.is_virtual:
                raise FileError(
                    f"{name} in {str(path)!r} is stored in other files, which are not read; save "
                    "its values in this file."
                )
            text = h5py.check_string_dtype(item.dtype) is not None and item.dtype.kind == "O"
            entries[name] = _hdf5_entry(item, text)

    with h5py.File(path, "r") as file:
        file.visititems(add)
        from_matlab = any("MATLAB_class" in file[name].attrs for name in entries)
        arrays = read_entries(path, entries)
    return _samples_first(path, arrays) if from_matlab else arrays


def _hdf5_entry(dataset: Any, text: bool) -> Entry:
    # MATLAB stores the axes of an array in reverse.
    reverse = "MATLAB_class" in dataset.attrs
    dtype = np.dtype("U1") if text else dataset.dtype

    def read() -> NDArray:
        values = np.asarray(dataset.asstr()[()], dtype=str) if text else dataset[()]
        return np.ascontiguousarray(values.T) if reverse else values

    return Entry(dataset.shape[::-1] if reverse else dataset.shape, dtype, read)


def read_mat(path: Path) -> Arrays:
    """Read the arrays of a MATLAB file; samples may lie along the last axis, as in SVHN."""
    entries = {
        name: Entry(
            shape, np.dtype(_MATLAB_DTYPES.get(kind, "V8")), _matlab_reader(path, name, kind)
        )
        for name, shape, kind in whosmat(path)
    }
    return _samples_first(path, read_entries(path, entries))


def _matlab_reader(path: Path, name: str, kind: str) -> Callable[[], NDArray]:
    return partial(_load_variable, path, name, kind)


def _load_variable(path: Path, name: str, kind: str) -> NDArray:
    if kind not in _MATLAB_DTYPES:
        raise FileError(
            f"{name} in {str(path)!r} is a {kind} array of MATLAB's; save numbers, in MATLAB "
            f"full({name}) of a sparse array, or char({name}) of a cell array of words."
        )
    return loadmat(path, variable_names=[name])[name]


def _samples_first(path: Path, arrays: Arrays) -> Arrays:
    """Move the axis of samples to the front if it is at the end, as is usual in MATLAB."""
    moved = dict(arrays)
    for name, X in arrays.items():
        if not name.startswith("X"):
            continue
        n = arrays[f"y{name[1:]}"].size
        if X.shape[-1] == n and X.shape[0] == n and X.ndim > 1:
            raise FileError(
                f"{name} in {str(path)!r} has shape {X.shape} for {n} labels: the first axis or "
                "the last may be that of the images. Save it as .npz, with images along the first."
            )
        if X.shape[-1] == n != X.shape[0]:
            moved[name] = np.moveaxis(X, -1, 0)
    return moved
