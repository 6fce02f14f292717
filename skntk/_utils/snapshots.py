"""Arrays on disk: written whole or not at all, checked when read, never pickled.

A snapshot is an .npz of plain arrays and a JSON manifest. The name of the .npz holds the
start of its SHA-256, and the manifest, written after it, the whole of that, its size, its
shapes and types, and a hash of itself. What no manifest vouches for was never recorded; what
one vouches for is never overwritten. One process at a time
writes.
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
from numpy.typing import NDArray

from .lock import DirectoryLock, SnapshotError

__all__ = ["SnapshotError", "SnapshotStore", "hash_of"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TEMPORARY = re.compile(rf"\.{_NAME.pattern}\.(json|[0-9a-f]{{16}}\.npz)\.[0-9]+\.tmp")
_SETTINGS = "settings"
_MAX_MANIFEST_BYTES = 2**24
#: What reading something that is no snapshot, or one made to harm, may raise.
_UNREADABLE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, RuntimeError, SyntaxError, MemoryError, zipfile.BadZipFile),
)


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
    parameter : str, default="directory"
        Name of the user's parameter that gave the path, for messages.

    Raises
    ------
    SnapshotError
        If the directory is in use and `resume` is False, or is used with other settings; or if the
        path is that of a file.
    """

    def __init__(
        self,
        directory: Any,
        settings: dict[str, Any],
        *,
        resume: bool = False,
        parameter: str = "directory",
    ):
        self.directory, self.settings = Path(directory), settings
        self._lock = DirectoryLock(self.directory, parameter)
        with self.writing():
            if not (os.path.lexists(self._settings_path) and self.names()):
                # Whatever was to begin here, if anything, has recorded nothing.
                _write(self._settings_path, _encode_manifest(settings))
            elif resume:
                self._check_settings()
            else:
                raise SnapshotError(
                    f"{self._lock.argument} already holds checkpoints; pass resume=True to go on "
                    "with them, or another directory."
                )
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
        store._lock = DirectoryLock(store.directory)
        return store

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Context in which no other process, and no other store, writes to the directory.

        Raises
        ------
        SnapshotError
            If another is writing, which it names; or if the path is that of a file.
        """
        try:
            with _naming(self.directory, 0):
                self.directory.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise SnapshotError(
                f"{self._lock.argument} is a file or lies under one; give the path of a directory, "
                "which is made if there is none."
            ) from error
        with self._lock:
            yield

    def save(self, name: str, arrays: dict[str, NDArray], **facts: Any) -> None:
        """Write arrays and facts under a name that has none yet, or damaged ones.

        Raises
        ------
        TypeError
            If an array could not be written without pickling.
        SnapshotError
            If there are others under that name, or of another run in the directory; or if
            another process is writing.
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
        sealed = _encode_manifest(manifest)
        data_path = self._data_path(manifest)
        with self.writing():
            self._check_settings()
            if self._holds(name, manifest):
                return
            _write(data_path, data)
            _write(path, sealed)
            left_behind = re.compile(rf"{re.escape(name)}\.[0-9a-f]{{16}}\.npz")
            self._remove(left_behind, keep=data_path.name)

    def discard(self, name: str) -> None:
        """Remove a snapshot that a later one has made needless."""
        with self.writing():
            # Without its manifest the data is nobody's, so that is what goes first.
            self._manifest_path(name).unlink(missing_ok=True)
            self._remove(re.compile(rf"{re.escape(name)}\.[0-9a-f]{{16}}\.npz"))

    def _holds(self, name: str, manifest: dict[str, Any]) -> bool:
        """Whether this very snapshot is there; SnapshotError if another one is."""
        if not os.path.lexists(self._manifest_path(name)):
            return False
        try:
            self.load(name)
        except SnapshotError:
            return False  # damaged: it is written again
        if self._manifest(name) != manifest:
            raise SnapshotError(
                f"{name!r} is in {str(self.directory)!r} already, recorded by another run; use "
                "another directory. What has been recorded is never replaced."
            )
        return True

    def _manifest(self, name: str) -> dict[str, Any]:
        return _decode_manifest(_read(self._manifest_path(name), limit=_MAX_MANIFEST_BYTES))

    @property
    def _settings_path(self) -> Path:
        return self.directory / f"{_SETTINGS}.json"

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
            manifest = self._manifest(name)
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
                f"{self._lock.argument} holds checkpoints of another run, with a different "
                f"{' and '.join(changed)}; use the same settings, or another directory."
            )

    def _manifest_path(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name == _SETTINGS:
            raise SnapshotError(f"{name!r} is no name for a checkpoint.")
        return self.directory / f"{name}.json"

    def _data_path(self, manifest: dict[str, Any]) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", manifest["sha256"]):
            raise SnapshotError("what it gives as its hash is not one")
        return self.directory / f"{manifest['name']}.{manifest['sha256'][:16]}.npz"

    def _remove(self, pattern: re.Pattern[str], keep: str | None = None) -> None:
        """Remove files left behind; only those whose whole name says that they are from here."""
        for file in os.listdir(self.directory):
            if pattern.fullmatch(file) and file != keep:
                (self.directory / file).unlink(missing_ok=True)


def hash_of(*arrays: Any) -> str:
    """SHA-256 of arrays and strings, their types and shapes."""
    digest = hashlib.sha256()
    for array in map(np.asarray, arrays):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _read_settings(directory: Path) -> dict[str, Any]:
    path = directory / f"{_SETTINGS}.json"
    try:
        return _decode_manifest(_read(path, limit=_MAX_MANIFEST_BYTES))
    except _UNREADABLE as error:
        raise SnapshotError(f"{str(directory)!r} holds no checkpoints: {error}.") from error


def _encode_manifest(content: dict[str, Any]) -> bytes:
    """JSON of an object together with a hash of it."""
    document = {"content": content, "sha256": _json_hash(content)}
    sealed = json.dumps(document, sort_keys=True).encode()
    if len(sealed) > _MAX_MANIFEST_BYTES:
        raise ValueError(f"A manifest of {len(sealed):,} bytes is too long; give shorter labels.")
    return sealed


def _decode_manifest(data: bytes) -> dict[str, Any]:
    document = json.loads(data)
    content = document.get("content") if isinstance(document, dict) else None
    # As it would be written again: nothing is accepted but the very bytes.
    if not isinstance(content, dict) or _encode_manifest(content) != data:
        raise SnapshotError("its manifest is not the one that was written")
    return content


def _json_hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_arrays(data: bytes, expected: dict[str, Any]) -> dict[str, NDArray]:
    """Arrays of an .npz whose bytes are known to be those that were written."""
    # For one that was made to harm: nothing is inflated, and no array is larger than the file.
    with zipfile.ZipFile(BytesIO(data)) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise SnapshotError("it is compressed, which checkpoints are not")
    for key, (shape, dtype) in expected.items():
        if math.prod(shape) * np.dtype(dtype).itemsize > len(data):
            raise SnapshotError(f"array {key!r} is larger than its file")
    with np.load(BytesIO(data), allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    if {key: [list(a.shape), a.dtype.str] for key, a in arrays.items()} != expected:
        raise SnapshotError("its arrays are not those of its manifest")
    return arrays


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
