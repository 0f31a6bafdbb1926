"""Tests how indices are split over ranks, and one process by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpygeons._core.comm import LocalCommunicator, block_of, largest_block


@given(n=st.integers(0, 2**40), n_parts=st.integers(1, 300))
def test_blocks_follow_one_another_and_differ_by_at_most_one(n, n_parts):
    blocks = [block_of(n, n_parts, part) for part in range(n_parts)]
    firsts, counts = zip(*blocks, strict=True)
    assert list(firsts) == [sum(counts[:part]) for part in range(n_parts)]
    assert sum(counts) == n
    assert list(counts) == sorted(counts, reverse=True)
    assert counts[0] - counts[-1] <= 1
    assert counts[0] == largest_block(n, n_parts)


@pytest.mark.parametrize(("n_parts", "part"), [(0, 0), (3, 3)])
def test_a_part_that_is_not_there_is_refused(n_parts, part):
    with pytest.raises(ValueError, match=f"below n_parts = {n_parts}: got {part}"):
        block_of(10, n_parts, part)


def test_one_process_gathers_its_own_block():
    local = LocalCommunicator()
    assert (local.rank, local.size) == (0, 1)
    assert np.array_equal(local.allgather(np.arange(3.0)), [[0, 1, 2]])
