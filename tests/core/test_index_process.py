"""Tests that the permutation of chains and replicas follows the decisions it is given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpygeons._core.tempering import IndexProcess, deo_partner


def test_it_begins_with_replica_i_at_chain_i():
    process = IndexProcess(4)
    assert process.n_chains == 4
    assert process.chains.tolist() == process.replicas.tolist() == [0, 1, 2, 3]


def test_only_the_active_pairs_below_their_acceptance_swap():
    process = IndexProcess(5)
    nan = np.nan  # the entries of pairs that are not active are not read
    assert process.apply_swaps(1, [0.5, nan, 0.5, nan], [0.4, nan, 0.6, nan]) == 1
    assert process.replicas.tolist() == [1, 0, 2, 3, 4]
    assert process.apply_swaps(2, [nan, 1.0, nan, 1.0], [nan, 0.9, nan, 0.9]) == 2
    assert process.replicas.tolist() == [1, 2, 0, 4, 3]
    assert process.chains.tolist() == [2, 0, 1, 4, 3]


def test_a_uniform_equal_to_the_acceptance_rejects():
    process = IndexProcess(2)
    assert process.apply_swaps(1, [0.5], [0.5]) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 30), st.randoms(use_true_random=False))
def test_both_directions_stay_inverse_permutations(n_chains, n_scans, random):
    process = IndexProcess(n_chains)
    states = list(range(n_chains))  # the replica at each chain, followed apart
    for scan in range(1, n_scans + 1):
        alphas = [random.random() for _ in range(n_chains - 1)]
        uniforms = [random.random() for _ in range(n_chains - 1)]
        process.apply_swaps(scan, alphas, uniforms)
        for c in range(n_chains - 1):
            if deo_partner(c, scan, n_chains) == c + 1 and uniforms[c] < alphas[c]:
                states[c], states[c + 1] = states[c + 1], states[c]
        assert process.replicas.tolist() == states
        assert process.chains[process.replicas].tolist() == list(range(n_chains))
    again = IndexProcess.from_chains(process.chains)
    assert again.replicas.tolist() == states


def test_bad_input_is_an_error():
    with pytest.raises(ValueError, match="n_chains must be at least 1"):
        IndexProcess(0)
    with pytest.raises(ValueError, match="one entry per pair of 3 chains, 2, got 1 and 2"):
        IndexProcess(3).apply_swaps(1, [0.5], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"permutation of 0, ..., 2: chains\[2\] = 1 occurs twice"):
        IndexProcess.from_chains([0, 1, 1])
    with pytest.raises(ValueError, match=r"chains\[1\] = 3 is too large"):
        IndexProcess.from_chains([0, 3, 1])
    with pytest.raises(ValueError, match="must not be empty"):
        IndexProcess.from_chains([])
