"""Which samples of a larger set a block of a kernel belongs to, for messages."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["WHOLE", "Places", "where"]

#: What samples on either side of a kernel come from, and the row of the first of them there.
Places = tuple[tuple[str, int], tuple[str, int]]

#: Both sides are whole sets.
WHOLE: Places = (("X", 0), ("Z", 0))


def where(wrong: NDArray, X: NDArray, Z: NDArray | None, places: Places) -> str:
    """Say which samples have the most wrong values, rows of `X` or else of `Z`."""
    sides = [(len(X), wrong, places[0])]
    if Z is not None:
        sides.append((len(Z), wrong.T, places[1]))
    # Between all outputs of a network, a sample has several rows.
    shares = [values.reshape(n, -1).mean(axis=1) for n, values, _ in sides]
    side = int(np.argmax([share.max() for share in shares]))
    name, start = places[side]
    rows = start + np.flatnonzero(shares[side] > shares[side].max() / 2)
    listed = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    part = "" if places == WHOLE else " in one block of the matrix"
    return f"{part}, most of them in row{'s' * (len(rows) > 1)} {listed} of {name}"
