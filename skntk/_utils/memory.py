"""Check of the available memory before a large array is allocated."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["available_bytes", "check_memory"]

_CGROUP = Path("/sys/fs/cgroup")


def available_bytes(limit: float | None = None) -> int:
    """Bytes this process may still allocate, at most `limit` and what the cgroup allows."""
    candidates = [_system_available()]
    if limit is not None:
        candidates.append(int(limit))
    limit, usage = _read_int(_CGROUP / "memory.max"), _read_int(_CGROUP / "memory.current")
    if limit is not None and usage is not None:
        candidates.append(limit - usage)
    return max(0, min(candidates))


def check_memory(
    n_bytes: int, *, what: str, n: int, remedy: str, limit: float | None = None
) -> None:
    """Raise MemoryError, before allocation, if `n_bytes` more would not fit.

    Parameters
    ----------
    n_bytes : int
        Bytes about to be allocated.
    what : str
        Purpose of the memory, as the subject of the message.
    n : int
        Number of samples, for the message.
    remedy : str
        What the user can do instead.
    limit : float, default=None
        Largest number of bytes that the user allows. If None, all that are available.
    """
    available = available_bytes(limit)
    if n_bytes > available:
        raise MemoryError(
            f"{what} for n={n} samples needs {n_bytes:,} bytes and {available:,} are "
            f"available; {remedy}."
        )


def _system_available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        # This platform does not report its memory: let the allocation itself fail.
        return 2**63 - 1


def _read_int(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
