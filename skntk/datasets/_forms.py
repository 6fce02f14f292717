"""Forms of files, recognised by their first bytes, and who reads each of them."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from ._binary import read_cifar, read_idx
from ._containers import read_hdf5, read_mat
from ._names import Arrays, FileError, complete
from ._numpy import read_npy, read_npz
from ._tables import read_csv, read_parquet

__all__ = ["PICTURES", "read_file", "read_single", "recognise"]

#: Endings of pictures, which are told apart by Pillow.
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")

_MAGIC = [
    (rb"PK\x03\x04|PK\x05\x06", "zip"),
    (rb"\x93NUMPY", "npy"),
    (rb"\x89HDF\r\n\x1a\n|MATLAB 7\.3", "HDF5"),
    (rb"PAR1", "parquet"),
    (rb"MATLAB 5\.0 MAT-file", "MATLAB"),
    (rb"\x00\x00[\x08\x09\x0b-\x0e][\x01-\x04]", "IDX"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|BM|II\*\x00|MM\x00\*", "picture"),
    (rb"ARROW1|\xff\xff\xff\xff.\x00\x00\x00", "Arrow"),
    (rb"\x80[\x01-\x05]", "pickle"),
    (rb".{257}ustar", "tar"),
]

_READERS: dict[str, Callable[[Path], Arrays]] = {
    "npz": read_npz,
    "npy": read_npy,
    "HDF5": read_hdf5,
    "MATLAB": read_mat,
    "parquet": read_parquet,
    "CSV": read_csv,
    "IDX": read_idx,
    "CIFAR binary": read_cifar,
}

_SAVE = "np.savez('images.npz', X=X, y=y)"
_REFUSED = {
    "pickle": (
        "a Python pickle, which can run any code when it is opened and so is never opened "
        "unasked. If you trust it, convert it; for a batch of CIFAR-10: "
        "d = pickle.load(open(path, 'rb'), encoding='bytes'); "
        "X, y = d[b'data'].reshape(-1, 3, 32, 32), d[b'labels']; " + _SAVE
    ),
    "PyTorch": (
        "a file of PyTorch, which holds a pickle and so is not opened unasked. Convert it: "
        "d = torch.load(path, weights_only=True); look for the images and labels in d, then "
        + _SAVE
    ),
    "picture": (
        "a single picture; give the folder in which each class has a folder of its pictures"
    ),
    "tar": "a tar archive; unpack it, tar -xf, and give the folder",
    "archive": "a zip archive of files that are no arrays; unpack it, unzip, and give the folder",
    "Arrow": (
        "an Arrow file; convert it: pandas.read_feather(path).to_parquet('images.parquet'), or "
        "datasets.load_from_disk(folder).to_parquet('images.parquet')"
    ),
    "empty": "empty; fetch it again",
    "unknown": (
        "in no form that is read here (.npz, .npy, IDX, CIFAR's .bin, .mat, HDF5, CSV, parquet, "
        "folders of pictures), or damaged; read it with what wrote it, then " + _SAVE
    ),
}


def recognise(path: Path) -> str:
    """Form of a file: one that is read, or one that is refused with a reason."""
    with open(path, "rb") as file:
        head = file.read(1024)
    if head[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path) as compressed:
                head = compressed.read(1024)
        except (OSError, EOFError, zlib.error):
            return "unknown"
    form = _by_content(head, path)
    return _kind_of_zip(path) if form == "zip" else form


def _by_content(head: bytes, path: Path) -> str:
    if not head:
        return "empty"
    # CIFAR's batches begin with a label, which may look like anything.
    if path.suffix == ".bin" and any(path.stat().st_size % size == 0 for size in (3073, 3074)):
        return "CIFAR binary"
    for pattern, form in _MAGIC:
        if re.match(pattern, head, re.DOTALL):
            return form
    if {".pkl", ".pickle"} & {*path.suffixes}:
        return "pickle"
    return "CSV" if _is_table(head) else "unknown"


def _is_table(head: bytes) -> bool:
    """Whether it is text with several columns in its first line."""
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # not just a character cut in two
            return False
        text = head[: error.start].decode()
    return "\0" not in text and "," in text.partition("\n")[0]


def _kind_of_zip(path: Path) -> str:
    if not zipfile.is_zipfile(path):
        return "npz"  # whose end is missing, as its reader will say
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return "PyTorch"
    return "npz" if all(name.endswith(".npy") for name in names) else "archive"


def read_single(path: Path) -> Arrays:
    """Read a file of any form.

    Raises
    ------
    FileError
        If it is damaged, or of a form that is refused; names the file and the remedy.
    """
    form = recognise(path)
    if form not in _READERS:
        raise FileError(f"{str(path)!r} is {_REFUSED[form]}.")
    try:
        return _READERS[form](path)
    except (FileError, MemoryError, ImportError):
        raise
    # Whatever the libraries raise for a file that is not what its first bytes say.
    except Exception as error:
        raise FileError(
            f"{str(path)!r} is damaged or truncated, or is no {form} file after all ({error}); "
            "fetch or write it again."
        ) from error


def read_file(path: Path) -> Arrays:
    """Training and test images, or the only set, out of one file."""
    return complete(path, read_single(path))
