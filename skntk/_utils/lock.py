"""One writer at a time in a directory: a lock that names its owner and ends with it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

__all__ = ["DirectoryLock", "SnapshotError"]


class SnapshotError(ValueError):
    """A snapshot is damaged or missing, or belongs to another run."""


class DirectoryLock:
    """Context manager, which its holder may enter again.

    The operating system holds the lock on an open file, so it is gone when the process is, however
    that ended. The file stays, and says who held it last.

    Parameters
    ----------
    directory : path
    parameter : str, default="directory"
        Name of the user's parameter that gave the path, for messages.
    """

    def __init__(self, directory: Path, parameter: str = "directory"):
        self.path, self.parameter = directory / ".lock", parameter
        self._depth = 0
        self._descriptor: int | None = None

    @property
    def argument(self) -> str:
        """The directory as the user gave it, for messages."""
        return f"{self.parameter}={str(self.path.parent)!r}"

    def __enter__(self) -> None:
        if self._depth == 0:
            self._descriptor = self._acquire()
        self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if self._depth == 0 and self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __reduce__(self) -> tuple:
        return DirectoryLock, (self.path.parent, self.parameter)  # a copy holds nothing

    def _acquire(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(self.path, flags, 0o666)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        except BlockingIOError as error:
            owner = os.read(descriptor, 200).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise SnapshotError(
                f"{self.argument} is in use by {owner}; wait until it has ended, or use another "
                "directory."
            ) from error
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
