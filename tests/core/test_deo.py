"""Tests the pairings of deterministic even-odd swaps."""

import pytest

from numpygeons._core.tempering import deo_partner


@pytest.mark.parametrize(
    ("scan", "n_chains", "partners"),
    [
        (1, 4, [1, 0, 3, 2]),
        (2, 4, [0, 2, 1, 3]),
        (3, 4, [1, 0, 3, 2]),
        (1, 5, [1, 0, 3, 2, 4]),
        (2, 5, [0, 2, 1, 4, 3]),
        (1, 2, [1, 0]),
        (2, 2, [0, 1]),
        (1, 1, [0]),
        (2, 1, [0]),
    ],
)
def test_odd_scans_pair_from_0_and_even_scans_from_1(scan, n_chains, partners):
    assert [deo_partner(c, scan, n_chains) for c in range(n_chains)] == partners


@pytest.mark.parametrize("n_chains", [1, 2, 3, 10, 11])
@pytest.mark.parametrize("scan", [1, 2, 2**40, 2**40 + 1])
def test_the_partner_of_the_partner_is_the_chain_itself(n_chains, scan):
    for chain in range(n_chains):
        partner = deo_partner(chain, scan, n_chains)
        assert abs(partner - chain) <= 1
        assert partner < n_chains
        assert deo_partner(partner, scan, n_chains) == chain


@pytest.mark.parametrize("n_chains", [2, 3, 10, 11])
def test_two_scans_give_every_neighbouring_pair_its_turn_once(n_chains):
    pairs = [
        (c, deo_partner(c, scan, n_chains))
        for scan in (1, 2)
        for c in range(n_chains)
        if deo_partner(c, scan, n_chains) > c
    ]
    assert sorted(pairs) == [(c, c + 1) for c in range(n_chains - 1)]
