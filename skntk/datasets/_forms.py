"""Formats of files, recognised by their first bytes, and the reader of each."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ._binary import read_cifar, read_idx
from ._containers import read_hdf5, read_mat
from ._names import Arrays, FileError, complete
from ._numpy import read_npy, read_npz
from ._tables import read_csv, read_parquet

__all__ = ["PICTURES", "damage_named", "read_file", "read_single", "recognise"]

#: Suffixes of pictures, whose format Pillow recognises.
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
        "a Python pickle, which can run arbitrary code when it is loaded and is therefore never "
        "loaded here. If you trust it, convert it; for a batch of CIFAR-10: "
        "d = pickle.load(open(path, 'rb'), encoding='bytes'); "
        "X, y = d[b'data'].reshape(-1, 3, 32, 32), d[b'labels']; " + _SAVE
    ),
    "PyTorch": (
        "a PyTorch file, which contains a pickle and is therefore never loaded here. Convert it: "
        "d = torch.load(path, weights_only=True); take the images X and labels y from d; " + _SAVE
    ),
    "picture": (
        "a single picture; pass the folder in which each class has a folder of its pictures"
    ),
    "tar": "a tar archive; unpack it with tar -xf, and pass the folder",
    "archive": "a zip archive, but not of arrays; unpack it with unzip, and pass the folder",
    "Arrow": (
        "an Arrow file; convert it: pandas.read_feather(path).to_parquet('images.parquet'), or "
        "datasets.load_from_disk(folder).to_parquet('images.parquet')"
    ),
    "other table": (
        "a table whose columns no commas separate; convert it: pandas.read_csv(path, sep=None, "
        "engine='python').to_csv('images.csv', index=False)"
    ),
    "empty": "empty; fetch it again",
    "unknown": (
        "damaged, or in no format that is read here (.npz, .npy, IDX, CIFAR's .bin, .mat, HDF5, "
        "CSV, parquet, folders of pictures). Read it with the software that wrote it, then " + _SAVE
    ),
}


def recognise(path: Path) -> str:
    """Format of a file: a key of the readers, or of the reasons for refusal."""
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
    # A batch of CIFAR begins with a label, so its first bytes do not identify it.
    if path.suffix == ".bin" and any(path.stat().st_size % size == 0 for size in (3073, 3074)):
        return "CIFAR binary"
    for pattern, form in _MAGIC:
        if re.match(pattern, head, re.DOTALL):
            return form
    if {".pkl", ".pickle"} & {*path.suffixes}:
        return "pickle"
    return _kind_of_text(head)


def _kind_of_text(head: bytes) -> str:
    """Which table it is, if it is text with several columns in its first line."""
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # not just a character cut in two
            return "unknown"
        text = head[: error.start].decode()
    line = text.partition("\n")[0]
    if "\0" in text or not re.search(r"[,;\t]", line):
        return "unknown"
    return "CSV" if "," in line else "other table"


def _kind_of_zip(path: Path) -> str:
    if not zipfile.is_zipfile(path):
        return "npz"  # truncated, which its reader will report
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return "PyTorch"
    return "npz" if all(name.endswith(".npy") for name in names) else "archive"


def read_single(path: Path) -> Arrays:
    """Read a file of any format.

    Raises
    ------
    FileError
        If the file is damaged, or of a format that is refused; names the file and the remedy.
    """
    form = recognise(path)
    if form not in _READERS:
        raise FileError(f"{str(path)!r} is {_REFUSED[form]}.")
    with damage_named(path, form):
        return _READERS[form](path)


@contextmanager
def damage_named(path: Path, form: str) -> Iterator[None]:
    """Context in which any error of a reader becomes one that names the file.

    Raises
    ------
    FileError
        If it is damaged.
    """
    try:
        yield
    except (FileError, MemoryError, ImportError):
        raise
    # Libraries raise errors of any type for a file whose content does not match its first bytes.
    except Exception as error:
        raise FileError(
            f"{str(path)!r} is damaged or truncated, or not a valid {form} file ({error}); fetch "
            "or write it again."
        ) from error


def read_file(path: Path) -> Arrays:
    """Read training and test images, or a single set of images, from one file."""
    return complete(path, read_single(path))
