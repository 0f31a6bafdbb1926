"""Holds Philox4x32-10 to the published known-answer vectors."""

import numpy as np
import pytest

from numpygeons._core.random import philox4x32

KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "block"), KNOWN_ANSWERS)
def test_philox_gives_the_published_blocks(counter, key, block):
    assert tuple(philox4x32(counter, key)) == block


def test_one_bit_of_the_counter_changes_half_of_the_bits():
    changes = []
    for word in range(4):
        for bit in range(32):
            counter = [0, 0, 0, 0]
            counter[word] = 1 << bit
            pairs = zip(philox4x32(counter, (7, 8)), philox4x32((0,) * 4, (7, 8)), strict=True)
            changes.append(sum((a ^ b).bit_count() for a, b in pairs))
    n_bits = 128 * len(changes)
    z = (np.sum(changes) - n_bits / 2) / np.sqrt(n_bits / 4)
    assert abs(z) < 4.9  # p < 1e-6
