"""The preconditioners: which scale an exploration takes, and that position and momentum share it.

A scale that the momentum update forgets keeps every density, since the move stays reversible and
keeps volumes: only the size of the energy error tells.
"""

import jax
import numpy as np
import pytest
from exact_start import Normal, explored
from mutants import auto_mala_of, hmc_of, mutant
from scipy import stats

from numpygeons import (
    HMC,
    AutoMALA,
    DiagonalPreconditioner,
    IdentityPreconditioner,
    MixDiagonalPreconditioner,
)
from numpygeons.explorers import leapfrog
from numpygeons.explorers.auto_step import AutoStepTuning
from numpygeons.explorers.hmc import HMCTuning

SCALE = np.array([0.1, 1.0, 30.0])


def drawn(preconditioner, n=30_000):
    uniforms = np.random.default_rng(2).uniform(size=(n, 2))
    with jax.enable_x64(True):
        return np.asarray(jax.vmap(preconditioner.scale, in_axes=(None, 0))(SCALE, uniforms))


def test_the_identity_and_the_diagonal_are_what_they_say():
    assert np.all(drawn(IdentityPreconditioner(), 10) == 1)
    assert np.all(drawn(DiagonalPreconditioner(), 10) == SCALE)


@pytest.mark.parametrize("p", [(1 / 3, 1 / 3), (0.5, 0.2), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_the_mixture_has_its_parts_with_their_probabilities(p):
    scales = drawn(MixDiagonalPreconditioner(*p))
    diagonal = np.all(np.isclose(scales, SCALE, rtol=1e-14), axis=1)
    identity = np.all(scales == 1, axis=1)
    for part, probability in ((diagonal, p[0]), (identity, p[1])):
        assert stats.binomtest(int(part.sum()), len(part), probability).pvalue > 1e-6
    between = scales[~diagonal & ~identity]
    if len(between):
        # One weight for all coordinates, on the inverse scales, uniform.
        weights = (1 / between - 1 / SCALE)[:, [0, 2]] / (1 - 1 / SCALE)[[0, 2]]
        np.testing.assert_allclose(weights[:, 0], weights[:, 1], rtol=1e-9)
        assert stats.kstest(weights[:, 0], "uniform").pvalue > 1e-6
        np.testing.assert_allclose(between[:, 1], 1, rtol=1e-14)


@pytest.mark.parametrize("p", [(-0.1, 0.5), (0.5, -0.1), (0.6, 0.6)])
def test_shares_that_are_no_probabilities_are_refused(p):
    with pytest.raises(ValueError, match="must be probabilities that sum to at most 1"):
        MixDiagonalPreconditioner(*p)


def rejections(explorer, tuning):
    """Mean rejection probability of one leapfrog step from pi_1; it falls as the cube of steps."""
    copies = explored(explorer, Normal(), 1.0, tuning, n_scans=1, n=20_000)
    return 1 - copies.statistics["acceptance"].mean()


HMC_MUTANT = (
    "p = p + 0.5 * step * scale * gradient(state, beta)",
    "p = p + 0.5 * step * gradient(state, beta)",
)
HMC_END_MUTANT = (
    "return there, p + 0.5 * step * scale * gradient(there, beta)",
    "return there, p + 0.5 * step * gradient(there, beta)",
)


@pytest.mark.parametrize("mutation", [None, HMC_MUTANT, HMC_END_MUTANT])
def test_the_energy_error_of_hmc_falls_as_the_cube_of_the_step(mutation):
    explorer = hmc_of(mutant(leapfrog, *mutation) if mutation else leapfrog)
    large, small = (
        rejections(explorer, HMCTuning(step_size=step, length=1, scale=np.array([0.2, 2.0])))
        for step in (0.4, 0.1)
    )
    order = np.log(large / small) / np.log(4)
    assert (order > 2.5) == (mutation is None)


@pytest.mark.parametrize(
    "mutation",
    [
        None,
        ("scale * gradient(state,", "gradient(state,"),
        ("scale * gradient(there,", "gradient(there,"),
    ],
)
def test_the_search_of_auto_mala_finds_large_steps_only_where_the_scale_is_shared(mutation):
    dynamics = mutant(leapfrog, *mutation) if mutation else leapfrog
    explorer = auto_mala_of(dynamics=dynamics)(n_refresh=1, preconditioner=DiagonalPreconditioner())
    tuning = AutoStepTuning(step_size=1.0, scale=np.array([0.05, 0.05]))
    copies = explored(explorer, Normal(), 1.0, tuning, n_scans=1, n=20_000)
    assert (copies.statistics["step_factor"].mean() > 4) == (mutation is None)


def test_every_explorer_takes_its_scale_from_the_chain():
    """The same step in twice the scale is twice the step in the scale."""
    for explorer, make in (
        (HMC(n_components=0), lambda step, scale: HMCTuning(step_size=step, length=3, scale=scale)),
        (
            AutoMALA(preconditioner=DiagonalPreconditioner()),
            lambda step, scale: AutoStepTuning(step_size=step, scale=scale),
        ),
    ):
        scale = np.array([0.25, 2.0])
        one = explored(explorer, Normal(), 1.0, make(0.5, 2 * scale), n=500)
        other = explored(explorer, Normal(), 1.0, make(1.0, scale), n=500)
        np.testing.assert_array_equal(one.after, other.after)
