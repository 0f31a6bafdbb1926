"""The preconditioners: which scale an exploration takes, and that position and momentum share it.

A scale that the momentum update forgets keeps every density, since the move stays reversible and
keeps volumes: only the size of the energy error tells.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

from numpygeons import (
    HMC,
    AutoMALA,
    DensePreconditioner,
    DiagonalPreconditioner,
    IdentityPreconditioner,
    MixDiagonalPreconditioner,
    pigeons,
)
from numpygeons.explorers import hmc, leapfrog
from numpygeons.explorers.auto_step import AutoStepTuning
from numpygeons.explorers.base import RoundOutcome, Snapshots
from numpygeons.explorers.scale import covariance_factors
from support.exact_start import Normal, explored, p_value
from support.mutants import auto_mala_of, hmc_of, mutant
from support.nets import plain_row

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
    "step * scaled_gradient(scale, gradient(state, beta))",
    "step * gradient(state, beta)",
)
HMC_END_MUTANT = (
    "step * scaled_gradient(scale, gradient(end, beta))",
    "step * gradient(end, beta)",
)


@pytest.mark.usual("None")
@pytest.mark.parametrize("mutation", [None, HMC_MUTANT, HMC_END_MUTANT])
def test_the_energy_error_of_hmc_falls_as_the_cube_of_the_step(mutation):
    explorer = (hmc_of(*mutation) if mutation else hmc).HMC(n_components=0)
    large, small = (
        rejections(explorer, plain_row(step, 1, np.array([0.2, 2.0]))) for step in (0.4, 0.1)
    )
    order = np.log(large / small) / np.log(4)
    assert (order > 2.5) == (mutation is None)


@pytest.mark.usual("None")
@pytest.mark.parametrize(
    "mutation",
    [
        None,
        ("scaled_gradient(scale, gradient(state, beta))", "gradient(state, beta)"),
        ("scaled_gradient(scale, gradient(there, beta))", "gradient(there, beta)"),
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
        (HMC(n_components=0), lambda step, scale: plain_row(step, 3, scale)),
        (
            AutoMALA(preconditioner=DiagonalPreconditioner()),
            lambda step, scale: AutoStepTuning(step_size=step, scale=scale),
        ),
    ):
        scale = np.array([0.25, 2.0])
        one = explored(explorer, Normal(), 1.0, make(0.5, 2 * scale), n=500)
        other = explored(explorer, Normal(), 1.0, make(1.0, scale), n=500)
        np.testing.assert_array_equal(one.after, other.after)


def snapshots_outcome(x, betas, round=8):
    """A finished round that kept the states x, shape (n, n_chains, d), with V = 0 everywhere."""
    n, n_chains, d = x.shape
    return RoundOutcome(
        round=round,
        n_scans=2**round,
        betas=betas,
        new_betas=betas,
        statistics={},
        counts=np.full(n_chains, n),
        means=x.mean(axis=0),
        squared_deviations=np.zeros((n_chains, d)),
        snapshots=Snapshots(x=x, v=np.zeros((n, n_chains)), log_z=np.zeros(n_chains)),
    )


def test_the_dense_factor_is_that_of_the_covariance():
    covariance = np.array([[4.0, 1.8, 0.0], [1.8, 1.0, 0.0], [0.0, 0.0, 1e-4]])
    rng = np.random.default_rng(4)
    x = rng.multivariate_normal(np.ones(3), covariance, size=(256, 3))
    betas = np.array([0.0, 0.5, 1.0])
    scales = np.tile(np.sqrt(np.diag(covariance)), (3, 1))
    factors = covariance_factors(snapshots_outcome(x, betas), scales)
    np.testing.assert_array_equal(factors[0], np.diag(scales[0]))  # the reference is not explored
    for factor in factors[1:]:
        assert np.all(np.triu(factor, 1) == 0)
        found = factor @ factor.T / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        wanted = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        np.testing.assert_allclose(found, wanted, atol=0.25)  # 512 picks of 512 states
        thin = wanted[0, 1] ** 2  # of the variance of one coordinate, the other explains this
        assert found[0, 1] ** 2 / (found[0, 0] * found[1, 1]) == pytest.approx(thin, abs=0.03)
    early = covariance_factors(snapshots_outcome(x, betas, round=4), scales)
    np.testing.assert_array_equal(early[1], np.diag(scales[1]))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_singular_sample_gives_a_usable_factor(n):
    """All states on a line, or in one point: the deviations keep the covariance definite."""
    line = np.outer(np.linspace(-1, 1, n), np.ones(6)) if n > 1 else np.zeros((1, 6))
    x = np.repeat(line[:, None], 2, axis=1)
    scales = np.tile(np.array([1.0, 2.0, 0.1, 1e-3, 1.0, 50.0]), (2, 1))
    (_, factor) = covariance_factors(snapshots_outcome(x, np.array([0.0, 1.0])), scales)
    diagonal = np.diagonal(factor) / scales[1]
    assert np.all(np.isfinite(factor))
    assert np.all(diagonal > 0.1)


def test_a_dense_scale_makes_a_correlated_normal_as_easy_as_a_round_one():
    """The same momentum in units of the factor: acceptance is that of a standard normal."""
    target = Normal()
    factor = target._moments(1.0)[1]
    explorer = HMC(n_components=0, preconditioner=DensePreconditioner())
    tuning = plain_row(0.9, 3, factor)
    copies = explored(explorer, target, 1.0, tuning, n_scans=1, n=20_000)
    assert copies.statistics["acceptance"].mean() > 0.93
    diagonal = plain_row(0.9, 3, np.sqrt(np.diag(factor @ factor.T)))
    worse = explored(HMC(n_components=0), target, 1.0, diagonal, n_scans=1, n=20_000)
    assert worse.statistics["acceptance"].mean() < copies.statistics["acceptance"].mean()
    assert p_value(target, 1.0, copies) > 1e-6


@pytest.mark.usual("HMC")
@pytest.mark.parametrize("explorer", [HMC, AutoMALA])
def test_a_run_with_a_dense_preconditioner_uses_correlations(explorer):
    def correlated():
        x = numpyro.sample("x", dist.Normal(0, 1).expand([4]).to_event(1))
        numpyro.factor("sum", -0.5 * ((jnp.sum(x) - 2) / 0.02) ** 2)

    def step(preconditioner):
        settings = {"n_components": 0} if explorer is HMC else {"n_refresh": 2}
        pt = pigeons(
            correlated,
            n_chains=6,
            n_rounds=9,
            explorer=explorer(preconditioner=preconditioner, **settings),
            show_report=False,
        )
        exact = -0.5 * np.log1p(4 / 0.02**2) - 0.5 * 4 / (4 + 0.02**2)
        assert abs(pt.log_z - exact) < 5 * pt.log_z_error
        return pt.rounds[-1].step_sizes[-1]

    # In units of the deviations a step may not leave the thin plane.
    assert step(DensePreconditioner()) > 5 * step(DiagonalPreconditioner())
