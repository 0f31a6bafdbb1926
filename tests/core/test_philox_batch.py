"""Holds the blocks that are made several at once to those made one by one."""

import numpy as np
import pytest

from numpygeons._core.random import Purpose, philox4x32, words


def counter_of(block, purpose, replica, round, scan):
    last = scan >> 32 | round << 16 | purpose.value << 24
    return (block, scan & 0xFFFFFFFF, replica, last)


@pytest.mark.parametrize("purpose", list(Purpose.__members__.values()))
@pytest.mark.parametrize(
    ("seed", "replica", "round", "scan"),
    [
        (0, 0, 0, 0),
        (1, 2, 3, 4),
        (2**64 - 1, 2**32 - 1, 255, 2**48 - 1),
        (0x0123456789ABCDEF, 0xFEDCBA98, 0x9A, 0x123456789ABC),
    ],
)
def test_a_stream_is_the_blocks_whose_counter_spells_its_meaning(
    purpose, seed, replica, round, scan
):
    got = words(seed, purpose, replica, round, scan, 333)
    wanted = []
    for block in range(167):
        counter = counter_of(block, purpose, replica, round, scan)
        a, b, c, d = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32))
        wanted += [a | b << 32, c | d << 32]
    np.testing.assert_array_equal(got, np.array(wanted[:333], dtype=np.uint64))
