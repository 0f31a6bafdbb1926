"""Rows of tuning: cut out, or left in place and looked up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from numpygeons.explorers.tables import Table, row_of


@pytest.mark.parametrize("x64", [False, True])
def test_a_table_row_is_looked_up_and_other_arrays_are_cut(x64):
    with jax.enable_x64(x64):
        small, large = np.arange(6.0).reshape(3, 2), np.arange(60.0).reshape(3, 4, 5)

        @jax.jit
        def read(tuning, chain, i):
            row = row_of(tuning, chain)
            return row["small"], row["large"][i], row["large"][:]

        tuning = {"small": small, "large": Table(large)}
        for chain in range(3):
            cut, entry, whole = read(tuning, jnp.int32(chain), 2)
            np.testing.assert_array_equal(cut, small[chain])
            np.testing.assert_array_equal(entry, large[chain, 2])
            np.testing.assert_array_equal(whole, large[chain])


def test_a_table_is_cast_and_moved_like_other_arrays():
    doubled = jax.tree.map(lambda a: 2 * a, {"t": Table(np.ones((2, 2)))})
    assert isinstance(doubled["t"], Table)
    np.testing.assert_array_equal(doubled["t"].rows, 2)
