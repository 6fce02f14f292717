"""Optional progress bar, drawn by `rich` (as in scikit-learn) if it is installed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

__all__ = ["track"]

Item = TypeVar("Item")


def track(items: Sequence[Item], description: str, *, enabled: bool) -> Iterable[Item]:
    """Iterate over `items`, showing progress on stderr if `enabled`."""
    if not enabled:
        return items
    try:
        from rich.console import Console
        from rich.progress import track as rich_track
    except ImportError:
        return _track_in_text(items, description)
    return rich_track(items, description=description, console=Console(stderr=True))


def _track_in_text(items: Sequence[Item], description: str) -> Iterator[Item]:
    start = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        elapsed = time.monotonic() - start
        print(f"{description}: {done}/{len(items)}, {elapsed:.1f} s", file=sys.stderr)
