"""Rows in blocks of a few sizes, so that functions of them are compiled a few times only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["padded_blocks"]

#: Rows in a block.
_BLOCK = 256


def padded_blocks(n: int) -> Iterator[tuple[NDArray, int]]:
    """Yield the indices of the rows in each block, and how many of them are not padding.

    Full blocks have 256 rows. The last one is padded, by its last row, to a power of two if it is
    the only block and to 256 rows otherwise.
    """
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        size = _BLOCK if n > _BLOCK else 1 << (n - 1).bit_length()
        yield np.minimum(np.arange(start, start + size), stop - 1), stop - start
