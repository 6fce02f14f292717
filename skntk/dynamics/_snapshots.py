"""Kernels on disk: written whole or not at all, checked when read, never pickled.

A snapshot is an .npz of plain arrays and a JSON manifest. The name of the .npz holds the
start of its SHA-256, and the manifest, written after it, the whole of that, its size, its
shapes and types, and a hash of itself. What no manifest vouches for was never recorded; what
one vouches for is never overwritten.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

__all__ = ["SnapshotError", "SnapshotStore"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TEMPORARY = re.compile(rf"\.{_NAME.pattern}\.(json|[0-9a-f]{{16}}\.npz)\.[0-9]+\.tmp")
_SETTINGS = "settings"
_MAX_MANIFEST_BYTES = 2**24
#: What reading something that is no snapshot, or one made to harm, may raise.
_UNREADABLE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, RuntimeError, SyntaxError, zipfile.BadZipFile),
)


class SnapshotError(ValueError):
    """A snapshot is damaged or missing, or belongs to another run."""


class SnapshotStore:
    """A directory of named snapshots, all made with the same settings.

    Parameters
    ----------
    directory : path
        Made if it does not exist.
    settings : dict
        What the snapshots are made with, as JSON.
    resume : bool, default=False
        Whether a directory that is in use already may be used.

    Raises
    ------
    SnapshotError
        If the directory is in use and `resume` is False, or is used with other settings.
    """

    def __init__(self, directory: Any, settings: dict[str, Any], *, resume: bool = False):
        self.directory, self.settings = Path(directory), settings
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"{_SETTINGS}.json"
        if not os.path.lexists(path):
            _write(path, _seal(settings))
        elif not resume:
            raise SnapshotError(
                f"directory={str(directory)!r} already holds checkpoints; pass resume=True to go "
                "on with them, or another directory."
            )
        else:
            self._check_settings()
        self._remove(_TEMPORARY)

    @classmethod
    def open(cls, directory: Any) -> SnapshotStore:
        """Open a directory as it is.

        Raises
        ------
        SnapshotError
            If it holds no settings that can be read.
        """
        store = cls.__new__(cls)
        store.directory, store.settings = Path(directory), _read_settings(Path(directory))
        return store

    def save(self, name: str, arrays: dict[str, NDArray], **facts: Any) -> None:
        """Write arrays and facts under a name.

        Raises
        ------
        TypeError
            If an array could not be written without pickling.
        OSError
            If the disk does not take them, with the path and the number of bytes. What was
            there before is intact.
        """
        path = self._manifest_path(name)
        for key, array in arrays.items():
            if array.dtype.kind not in "biufcSU":
                raise TypeError(f"Array {key!r} of {array.dtype} is not written: it needs pickle.")
        buffer = BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        data = buffer.getbuffer()
        manifest = {
            "name": name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "arrays": {key: [list(a.shape), a.dtype.str] for key, a in arrays.items()},
            "facts": facts,
        }
        sealed = _seal(manifest)
        data_path = self._data_path(manifest)
        _write(data_path, data)
        _write(path, sealed)
        self._remove(re.compile(rf"{re.escape(name)}\.[0-9a-f]{{16}}\.npz"), keep=data_path.name)

    def names(self) -> list[str]:
        """Names of the snapshots that have a manifest, sorted."""
        found = (path.stem for path in self.directory.glob("*.json"))
        return sorted(name for name in found if name != _SETTINGS and _NAME.fullmatch(name))

    def load(self, name: str) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Arrays and facts of a snapshot.

        Raises
        ------
        SnapshotError
            If anything about it does not agree with its manifest.
        """
        path = self._manifest_path(name)
        try:
            manifest = _unseal(_read(path, limit=_MAX_MANIFEST_BYTES))
            if manifest["name"] != name:
                raise SnapshotError(f"it was written as {manifest['name']!r}")
            size = manifest["bytes"]
            data = _read(self._data_path(manifest), limit=size)
            if len(data) != size or hashlib.sha256(data).hexdigest() != manifest["sha256"]:
                raise SnapshotError("its bytes are not those that were written")
            return _read_arrays(data, manifest["arrays"]), manifest["facts"]
        except _UNREADABLE as error:
            raise SnapshotError(f"Checkpoint {str(path)!r} is damaged: {error}.") from error

    def _check_settings(self) -> None:
        known = _read_settings(self.directory)
        if known != self.settings:
            keys = sorted(known.keys() | self.settings.keys())
            changed = [key for key in keys if self.settings.get(key) != known.get(key)]
            raise SnapshotError(
                f"directory={str(self.directory)!r} holds checkpoints of another run, with a "
                f"different {' and '.join(changed)}; use the same settings, or another directory."
            )

    def _manifest_path(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name == _SETTINGS:
            raise SnapshotError(f"{name!r} is no name for a checkpoint.")
        return self.directory / f"{name}.json"

    def _data_path(self, manifest: dict[str, Any]) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", manifest["sha256"]):
            raise SnapshotError("its hash is none")
        return self.directory / f"{manifest['name']}.{manifest['sha256'][:16]}.npz"

    def _remove(self, pattern: re.Pattern[str], keep: str | None = None) -> None:
        """Remove files left behind; only those whose whole name says that they are from here."""
        for file in os.listdir(self.directory):
            if pattern.fullmatch(file) and file != keep:
                (self.directory / file).unlink(missing_ok=True)


def _read_settings(directory: Path) -> dict[str, Any]:
    path = directory / f"{_SETTINGS}.json"
    try:
        return _unseal(_read(path, limit=_MAX_MANIFEST_BYTES))
    except _UNREADABLE as error:
        raise SnapshotError(f"{str(directory)!r} holds no checkpoints: {error}.") from error


def _seal(content: dict[str, Any]) -> bytes:
    """JSON of an object together with a hash of it."""
    document = {"content": content, "sha256": _digest(content)}
    sealed = json.dumps(document, sort_keys=True).encode()
    if len(sealed) > _MAX_MANIFEST_BYTES:
        raise ValueError(f"A manifest of {len(sealed):,} bytes is too long; give shorter labels.")
    return sealed


def _unseal(data: bytes) -> dict[str, Any]:
    document = json.loads(data)
    content = document.get("content") if isinstance(document, dict) else None
    # As it would be written again: nothing is accepted but the very bytes.
    if not isinstance(content, dict) or _seal(content) != data:
        raise SnapshotError("its manifest is not the one that was written")
    return content


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_arrays(data: bytes, expected: dict[str, Any]) -> dict[str, NDArray]:
    """Read an .npz whose headers agree with the manifest, before anything is allocated."""
    arrays = {}
    with zipfile.ZipFile(BytesIO(data)) as archive:
        if {f"{key}.npy" for key in expected} != set(archive.namelist()):
            raise SnapshotError("its arrays are not those of its manifest")
        for key, (shape, dtype) in expected.items():
            entry = archive.getinfo(f"{key}.npy")
            with archive.open(entry) as stream:
                found = _read_header(stream)
                left = entry.file_size - stream.tell()
            if found != (tuple(shape), np.dtype(dtype)):
                raise SnapshotError(f"array {key!r} has another shape or type than its manifest")
            stored = entry.compress_type == zipfile.ZIP_STORED and entry.file_size <= len(data)
            if not stored or math.prod(shape) * found[1].itemsize != left:
                raise SnapshotError(f"array {key!r} has another size than its shape")
            with archive.open(entry) as stream:
                arrays[key] = npy_format.read_array(stream, allow_pickle=False)
    return arrays


def _read_header(stream: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = npy_format.read_magic(stream)
    reader: Any = {
        (1, 0): npy_format.read_array_header_1_0,
        (2, 0): npy_format.read_array_header_2_0,
    }[version]
    shape, _, dtype = reader(stream)
    return shape, dtype


def _read(path: Path, *, limit: int) -> bytes:
    """Contents of a regular file of at most `limit` bytes; links are not followed."""
    flags = ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")  # each on some systems only
    descriptor = os.open(path, os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SnapshotError(f"{path.name} is not a file")
        if status.st_size > limit:
            raise SnapshotError(f"{path.name} is longer than it should be")
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read()
    finally:
        os.close(descriptor)


def _write(path: Path, data: Any) -> None:
    """Write a file so that after a crash it is there in full, or as it was before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _naming(path, len(data)):
        try:
            temporary.unlink(missing_ok=True)
            with open(temporary, "xb") as stream:  # a new file, never through a link
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
            _sync_directory(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def _naming(path: Path, n_bytes: int) -> Iterator[None]:
    """Say in an OSError which file, and how many bytes, could not be written."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno, f"{error.strerror}; {n_bytes:,} bytes were to be written", str(path)
        ) from error


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":  # Windows cannot open directories
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
