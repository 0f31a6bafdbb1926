"""Holds the moves that follow a fitted mixture to exactness, and the fit to known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats
from scipy.special import logsumexp

from numpygeons import HMC, _core, pigeons
from numpygeons.explorers import hmc
from numpygeons.explorers.base import Noise, Proposals, Start
from numpygeons.explorers.hmc_tuning import Mixed, Ways
from numpygeons.explorers.mixture import (
    Mixtures,
    _mixtures,
    has_modes_apart,
    log_parts,
    log_total,
    pick,
    region_of,
)
from numpygeons.target.potential import State
from support.mutants import hmc_of
from support.nets import MIXTURE_MUTANTS
from support.small_models import coin, eight_schools

N_COPIES = 100_000
LEAST_P = 1e-6


def evaluate(x, valued=True):
    """A funnel: x0 ~ N(0, 1), x1 | x0 ~ N(0, exp(x0)^2); split over the pair at beta = 1/2."""

    def log_density(x):
        return -0.5 * x[0] ** 2 - x[0] - 0.5 * (x[1] * jnp.exp(-x[0])) ** 2

    value, slope = jax.value_and_grad(log_density)(x)
    value = jnp.where(valued, value, jnp.nan)
    return State(x, 0.5 * value, value, 0.5 * slope, slope)


LOG_WEIGHTS = np.log([0.5, 0.3, 0.2])
MEANS = np.array([[-1.0, 0.0], [0.5, 0.5], [1.0, -2.0]])
FACTORS = np.array([[[0.7, 0.0], [0.1, 0.4]], [[0.9, 0.0], [-0.4, 1.5]], [[0.8, 0.0], [0.5, 3]]])


def rough_mixture():
    """Three components that fit the funnel badly: their moves are often refused."""
    inverses = np.linalg.inv(FACTORS)
    centre = np.array([0.2, -0.3])
    return Mixtures(
        log_weights=LOG_WEIGHTS,
        log_heights=LOG_WEIGHTS - np.log(np.linalg.det(FACTORS)),
        means=MEANS,
        factors=FACTORS,
        centres=centre,
        whiteners=inverses.reshape(6, 2).T,
        offsets=np.einsum("kij,kj->ki", inverses, MEANS - centre).ravel(),
    )


def drawn(n_independent, scan):
    """What the core hands out for every copy, each a scan of its own."""
    table = _core.tuning.Proposals(
        log_weights=LOG_WEIGHTS[None],
        means=MEANS[None],
        factors=FACTORS[None],
        counts=[n_independent],
        n_most=6,
    )
    rows = [table.draw(seed=3, round=1, scan=scan * N_COPIES + i, chain=0) for i in range(N_COPIES)]
    return Proposals(*(np.stack(part) for part in zip(*rows, strict=True)))


def explored_copies(length, n_independent, module=hmc):
    """Exact draws of the funnel after two explorations, and the acceptances."""
    explorer = module.HMC(n_components=3)
    rng = np.random.default_rng(20)
    mixed = Mixed(
        step_size=np.float64(0.9),
        length=np.int32(length),
        n_independent=np.int32(n_independent),
        mixture=rough_mixture(),
    )
    ways = jax.tree.map(jnp.asarray, Ways(None, mixed))
    x0 = rng.normal(size=N_COPIES)
    x = np.stack([x0, rng.normal(size=N_COPIES) * np.exp(x0)], axis=1)
    shape = explorer.noise(2)

    @jax.jit
    @jax.vmap
    def explore(x, normals, uniforms, proposals):
        noise = Noise(normals, uniforms, jnp.zeros(0, jnp.uint32), proposals)
        state, statistics = explorer.explore(evaluate, evaluate(x), jnp.asarray(0.5), ways, noise)
        return state.x, statistics

    for scan in range(2):
        x, statistics = explore(
            x,
            rng.normal(size=(N_COPIES, shape.n_normals)),
            rng.uniform(size=(N_COPIES, shape.n_uniforms)),
            drawn(n_independent, scan),
        )
    return np.asarray(x), np.asarray(statistics).mean(axis=0)


def smallest_p(x):
    """Of the funnel's two independent normals, alone and together."""
    z = x[:, 0], x[:, 1] * np.exp(-x[:, 0])
    together = stats.norm.cdf((z[0] + z[1]) / np.sqrt(2))
    return min(
        stats.kstest(z[0], "norm").pvalue,
        stats.kstest(z[1], "norm").pvalue,
        stats.kstest(together, "uniform").pvalue,
    )


@pytest.mark.usual("3-6")
@pytest.mark.parametrize(
    ("length", "n_independent"), [(1, 0), (3, 0), (1, 2), (3, 6)], ids=lambda n: str(n)
)
def test_exact_draws_stay_exact(length, n_independent):
    with jax.enable_x64(True):
        x, (acceptance, n_gradients, independent) = explored_copies(length, n_independent)
    assert smallest_p(x) > LEAST_P
    assert n_gradients == length + n_independent
    assert 0.2 < acceptance < 0.99  # refusals happen, so that a wrong rule would show
    assert (0.05 < independent < 0.9) == (n_independent > 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ratio of regions upside down", "region of the start"])
def test_a_mutant_of_the_region_does_not_keep_the_density(name):
    """Two that the wide net of exact starts lets through: its mixture fits too well."""
    module = hmc_of(*MIXTURE_MUTANTS[name])
    with jax.enable_x64(True):
        found = [smallest_p(explored_copies(2, n, module)[0]) for n in (1, 3)]
    assert 2 * min(found) < LEAST_P


def test_parts_are_the_weighted_densities_up_to_one_constant():
    with jax.enable_x64(True):
        row = rough_mixture()
        x = np.array([0.3, -0.8])
        parts = np.asarray(log_parts(row, jnp.asarray(x)))
        total = float(log_total(jnp.asarray(parts)))
        found, share, region = region_of(row, jnp.asarray(x), jnp.asarray(0.999999))
        assert float(found) == total
        np.testing.assert_allclose(share, parts[int(region)] - total)
    wanted = [
        w + stats.multivariate_normal(m, f @ f.T).logpdf(x) + np.log(2 * np.pi)
        for w, m, f in zip(row.log_weights, row.means, row.factors, strict=True)
    ]
    np.testing.assert_allclose(parts, wanted, rtol=1e-12)
    np.testing.assert_allclose(total, np.logaddexp.reduce(wanted), rtol=1e-12)


def test_components_are_picked_with_their_weights():
    weights = np.array([0.0, 0.2, 0.0, 0.5, 0.3, 0.0])
    uniforms = (np.arange(1000) + 0.5) / 1000
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights) + 7
    picked = jax.vmap(lambda u: pick(jnp.asarray(log_weights), u))(uniforms)
    np.testing.assert_array_equal(np.bincount(picked, minlength=6), 1000 * weights)


def test_a_fit_finds_two_normals_of_unlike_shape():
    rng = np.random.default_rng(3)
    n = 4000
    factors = np.array([[[1.0, 0.0], [0.9, 0.05]], [[0.1, 0.0], [0.0, 3.0]]])
    means = np.array([[0.0, 0.0], [8.0, -20.0]])
    which = (np.arange(n) % 4 == 0).astype(int)
    x = means[which] + np.einsum("nij,nj->ni", factors[which], rng.normal(size=(n, 2)))
    log_weights, fitted_means, fitted, inverses = _core.math.fit_normal_mixture(x, 2, 20)
    order = np.argsort(fitted_means[:, 0])
    np.testing.assert_allclose(np.exp(log_weights[order]), [0.75, 0.25], rtol=1e-3)
    np.testing.assert_allclose(fitted_means[order], means, atol=0.5)
    covariances = (fitted @ fitted.swapaxes(1, 2))[order]
    np.testing.assert_allclose(covariances, factors @ factors.swapaxes(1, 2), rtol=0.15, atol=0.05)
    np.testing.assert_allclose(inverses @ fitted, np.tile(np.eye(2), (2, 1, 1)), atol=1e-9)


def test_a_fit_stands_coordinates_that_do_not_move_and_repeated_points():
    x = np.repeat([[1.0, 2.0, 5.0], [1.0, 3.0, 5.0]], 20, axis=0)
    for part in _core.math.fit_normal_mixture(x, 4, 10):
        assert np.all(np.isfinite(part))


def test_a_fit_needs_as_many_points_as_components():
    with pytest.raises(ValueError, match="needs as many points"):
        _core.math.fit_normal_mixture(np.zeros((3, 2)), 4, 10)


def test_states_of_all_chains_stand_for_a_beta_between_them():
    """V = -x^2 / 2 on the reference N(0, 1): chain beta is N(0, 1 / (1 + beta))."""
    rng = np.random.default_rng(5)
    betas = np.array([0.5, 1.0, 4.0])
    x = rng.normal(size=(20_000, 3)) / np.sqrt(1 + betas)
    log_z = -0.5 * np.log1p(betas)
    v = -0.5 * x.ravel() ** 2
    log_mixture = _core.tuning.log_mixture(v, betas, log_z)
    np.testing.assert_allclose(log_mixture, logsumexp(np.outer(v, betas) - log_z, axis=1))
    for beta in (0.7, 2.0):
        chosen = _core.tuning.tempered_sample(v, log_mixture, beta, 5000, 300)
        variance = np.var(x.ravel()[chosen])
        assert abs(variance * (1 + beta) - 1) < 5 * np.sqrt(2 / 5000)


def test_weights_are_flattened_until_enough_states_carry_them():
    v = np.append(np.linspace(-5000, 0, 100), [np.inf, np.nan, -np.inf])
    log_mixture = _core.tuning.log_mixture(v, [0.01], [0.0])
    few = _core.tuning.tempered_sample(v, log_mixture, 1.0, 400, 1.0)
    assert len(set(few)) == 1
    many = _core.tuning.tempered_sample(v, log_mixture, 1.0, 400, 50.0)
    shares = np.bincount(many.astype(int), minlength=100) / 400
    assert 45 < 1 / np.sum(shares**2) < 55
    assert np.all(np.diff(shares) > -1.5 / 400)  # picks at equal steps are off by one at most


def test_mixtures_are_left_out_in_many_dimensions():
    for dimension, mixed in ((32, True), (33, False)):
        start = Start(
            betas=np.array([0.0, 1.0]), centre=np.zeros(dimension), scale=np.ones(dimension)
        )
        assert (HMC().start(start).regions is not None) == mixed
        assert HMC(n_components=0).start(start).regions is None
        assert (HMC().n_snapshots(2, dimension) > 0) == mixed
        assert (HMC().noise(dimension).n_proposals > 0) == mixed


def mixture_of(weights, means, deviation=1.0):
    """One chain's mixture of round normals."""
    means = np.asarray(means, float)[None]
    _, n, d = means.shape
    factors = np.broadcast_to(deviation * np.eye(d), (1, n, d, d))
    return _mixtures(np.log(weights)[None], means, factors, factors / deviation**2)


@pytest.mark.parametrize(
    ("weights", "means", "apart"),
    [
        ([0.5, 0.5], [[0.0, 0.0], [20.0, 0.0]], True),
        ([0.5, 0.5], [[0.0, 0.0], [5.0, 0.0]], False),
        ([0.4, 0.3, 0.3], [[0.0, 0.0], [5.0, 0.0], [10.0, 0.0]], False),  # a bridge
        ([0.4, 0.3, 0.3], [[0.0, 0.0], [5.0, 0.0], [25.0, 0.0]], True),
        ([0.999, 0.001], [[0.0, 0.0], [20.0, 0.0]], False),  # hardly a mode
    ],
)
def test_modes_are_apart_where_a_deep_valley_lies_between_them(weights, means, apart):
    assert has_modes_apart(mixture_of(weights, means)).tolist() == [apart]


def test_a_fit_to_one_normal_has_no_modes_apart():
    rng = np.random.default_rng(8)
    for dimension in (3, 10, 30):
        fits = [
            _core.math.fit_normal_mixture(rng.normal(size=(512, dimension)), 8, 20)
            for _ in range(5)
        ]
        assert not np.any(
            has_modes_apart(_mixtures(*(np.stack(a) for a in zip(*fits, strict=True))))
        )


def two_modes():
    x = numpyro.sample("x", dist.Normal(0, 10).expand([12]).to_event(1))
    modes = [-0.5 * jnp.sum((x - centre) ** 2) for centre in (5.0, -5.0)]
    numpyro.factor("modes", jnp.logaddexp(jnp.log(0.7) + modes[0], jnp.log(0.3) + modes[1]))


@pytest.mark.slow
def test_in_more_dimensions_chains_take_independence_steps_where_modes_are_apart():
    def steps(model):
        pt = pigeons(model, n_chains=10, n_rounds=10, show_report=False)
        return pt.rounds[-1].chosen["independence steps"][1:]

    # In 10 dimensions. A funnel's few fitted states may seem to lie apart, but not twice in a row.
    assert np.all(steps(eight_schools) == 0)
    cold_to_hot = steps(two_modes)[::-1]
    assert cold_to_hot[0] > 0
    assert cold_to_hot[-1] == 0


def test_independence_steps_are_taken_and_reported():
    pt = pigeons(coin, n_chains=4, n_rounds=9, show_report=False)
    first, last = pt.rounds[4], pt.rounds[-1]
    assert np.all(first.explorer["independent_acceptance"][1:] == 0)
    assert np.all(last.explorer["independent_acceptance"][1:] > 0.05)


@pytest.mark.slow
def test_one_chain_alone_is_explored():
    pt = pigeons(coin, n_chains=1, n_rounds=7, show_report=False)
    assert np.all(np.isfinite(pt.samples["p1"]))
