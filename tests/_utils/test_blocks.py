"""Blocks of a few sizes."""

import numpy as np
import pytest

from skntk._utils.blocks import padded_blocks


@pytest.mark.parametrize("n", [0, 1, 2, 3, 100, 255, 256, 257, 600])
def test_every_row_comes_once_and_sizes_are_few(n):
    blocks = list(padded_blocks(n))
    kept = [rows[:count] for rows, count in blocks]
    np.testing.assert_array_equal(np.concatenate([[], *kept]), np.arange(n))
    assert {len(rows) for rows, _ in blocks} <= {1, 2, 4, 8, 16, 32, 64, 128, 256}
    assert len({len(rows) for rows, _ in blocks}) <= 1
    for rows, count in blocks:
        assert (rows[count:] == rows[count - 1]).all()
