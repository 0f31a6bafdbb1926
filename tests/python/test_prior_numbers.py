"""Numbers at draws from the prior: what overflows is drawn again, zero likelihoods are counted."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import integrate, stats

from numpygeons import pigeons
from numpygeons.path import as_path

P_MIN = 1e-6


def run(model, **settings):
    return pigeons(model, **{"n_chains": 4, "n_rounds": 9, "show_report": False, **settings})


def assert_near(pt, log_z):
    z = (pt.log_z - log_z) / pt.log_z_error
    assert 2 * stats.t.sf(abs(z), pt.log_z_dof) > P_MIN


def single(distribution, observe=lambda x: None):
    def model():
        observe(numpyro.sample("x", distribution()))
        numpyro.factor("f", 0.0)

    return model


def not_representable(precision):
    """Gamma(a) is its smallest numbers' neighbour: P(x < tiny) = tiny**a / Gamma(a + 1)."""
    return float(stats.gamma.cdf(np.finfo(precision).tiny, 0.01))


def test_gamma_draws_that_underflow_are_made_again_and_counted(precision):
    pt = run(single(lambda: dist.Gamma(0.01, 1.0)))
    x, last = pt.samples["x"], pt.rounds[-1]
    assert np.all(np.isfinite(x))
    assert np.all(x > 0)
    share = not_representable(precision)
    n = last.n_redrawn + last.n_scans
    if precision == np.float32:
        assert stats.binomtest(last.n_redrawn, n, share).pvalue > P_MIN
        assert f"flag: redrawn (warning): {last.n_redrawn} of {n} draws" in pt.report()
    else:
        assert share < 1e-3
        assert last.n_redrawn <= stats.binom.isf(P_MIN, n, share)


def test_the_count_belongs_to_the_round_and_not_to_the_batch():
    model = single(lambda: dist.Gamma(0.01, 1.0))
    at_once = [record.n_redrawn for record in run(model, n_rounds=6).rounds]
    later = [record.n_redrawn for record in run(model, n_rounds=3).extend(3).rounds]
    assert at_once == later
    scans = 2 ** np.arange(1, 7)
    share = not_representable(np.float32)
    assert stats.binomtest(sum(at_once), sum(at_once) + scans.sum(), share).pvalue > P_MIN
    plain = run(single(dist.Normal), n_rounds=6)
    assert [record.n_redrawn for record in plain.rounds] == [0] * 6
    assert "redrawn" not in plain.report()


def test_one_chain_makes_no_reference_draws_and_counts_none():
    pt = run(single(lambda: dist.Gamma(0.01, 1.0)), n_chains=1, n_rounds=3)
    assert [record.n_redrawn for record in pt.rounds] == [0] * 3


@pytest.mark.parametrize(
    ("prior", "fewest", "most"),
    [
        (lambda: dist.InverseGamma(0.001, 0.001), 0.85, 0.97),
        (lambda: dist.LogNormal(0.0, 30.0), 1e-3, 1e-2),
        (lambda: dist.HalfCauchy(1.0), 0.0, 1e-3),
        (lambda: dist.Beta(0.1, 0.1), 0.0, 1e-3),
        (lambda: dist.Dirichlet(jnp.full(3, 0.01)), 1e-3, 5e-2),
        (lambda: dist.LKJ(3, 10.0), 0.0, 1e-3),
    ],
    ids=["InverseGamma", "LogNormal", "HalfCauchy", "Beta", "Dirichlet", "LKJ"],
)
def test_no_extreme_prior_lets_a_number_that_is_not_finite_into_a_replica(prior, fewest, most):
    pt = run(single(prior), n_rounds=10)
    assert all(np.all(np.isfinite(values)) for values in pt.samples.values())
    assert np.all(np.isfinite(pt._rounds.state.replicas.x))
    assert np.all(np.isfinite(pt._rounds.state.replicas.log_reference))
    assert pt.log_z == pytest.approx(0, abs=1e-6)
    redrawn = sum(record.n_redrawn for record in pt.rounds)
    drawn = redrawn + sum(record.n_scans for record in pt.rounds)
    assert fewest <= redrawn / drawn <= most


def test_the_density_is_zero_where_a_constrained_value_overflows(precision):
    path = as_path(single(lambda: dist.LogNormal(jnp.zeros(2), 30.0).to_event(1)))
    largest = np.log(np.finfo(precision).max)
    log_reference = jax.jit(path.log_reference)
    assert np.isfinite(log_reference(jnp.array([0.0, 0.99 * largest])))
    assert log_reference(jnp.array([0.0, 1.01 * largest])) == -np.inf


def test_the_report_says_by_how_much_redrawn_priors_shift_the_evidence():
    """x ~ Gamma(.01), kept where it exceeds .001: log Z is log P(x > .001)."""

    def observe(x):
        numpyro.factor("kept", jnp.where(x > 1e-3, 0.0, -jnp.inf))

    pt = run(single(lambda: dist.Gamma(0.01, 1.0), observe), n_rounds=11)
    share = not_representable(np.float32)
    exact = stats.gamma.logsf(1e-3, 0.01)
    assert_near(pt, exact - np.log1p(-share))
    said = float(pt.report().split("it is too high by ")[1].split(";")[0])
    assert said == pytest.approx(-np.log1p(-share), abs=0.1)
    assert said > 0.4


@pytest.mark.parametrize("centre", [np.pi, -np.pi + 0.05])
def test_a_von_mises_prior_may_sit_where_the_ends_of_its_interval_meet(centre, precision):
    """The unconstrained density has two modes; the circle has one."""

    def observe(phi):
        numpyro.sample("y", dist.Normal(jnp.cos(phi), 0.5), obs=-0.7)

    pt = run(single(lambda: dist.VonMises(centre, 20.0), observe), n_chains=5, n_rounds=11)
    phi = np.asarray(pt.samples["x"], float)
    assert np.all(np.isfinite(phi))
    assert np.all(np.abs(phi) <= np.float32(np.pi))
    assert 0.1 < np.mean(phi > 0) < 0.9
    assert pt.rounds[-1].n_redrawn < 10

    def density(phi):
        return stats.vonmises.pdf(phi, 20.0, loc=centre) * stats.norm.pdf(-0.7, np.cos(phi), 0.5)

    assert_near(pt, np.log(integrate.quad(density, -np.pi, np.pi)[0]))


def test_evidence_keeps_its_digits_beside_log_likelihoods_of_minus_one_trillion():
    """x ~ N(0, 1e6) and y ~ N(x, 1): V is -1e12 at prior draws, in single precision."""

    def observe(x):
        numpyro.sample("y", dist.Normal(x, 1.0), obs=0.5)

    pt = run(single(lambda: dist.Normal(0.0, 1e6), observe), n_chains=16, n_rounds=11)
    assert pt.samples["x"].dtype == np.float32
    v = np.array(pt._rounds.state.data.v)
    assert v.dtype == np.float64
    assert v[:, 0].min() < -1e12
    assert np.all(np.isfinite(v))
    assert_near(pt, stats.norm.logpdf(0.5, 0, np.sqrt(1e12 + 1)))


def test_a_likelihood_that_is_not_a_number_at_a_few_prior_draws_is_counted():
    """A cholesky factor fails where the jitter underflows: 7 % of draws, as with wide priors."""
    edge = float(stats.norm.isf(0.07))

    def observe(x):
        bad = x > edge
        root = jnp.sqrt(jnp.where(bad, -1.0, 1.0))
        numpyro.factor("root", root * -0.5 * x**2)

    pt = run(single(dist.Normal, observe), n_rounds=11)
    last = pt.rounds[-1]
    assert stats.binomtest(last.n_zero_likelihood, last.n_scans, 0.07).pvalue > P_MIN
    assert np.all(pt.samples["x"] <= edge)
    exact = np.log(stats.norm.cdf(edge * np.sqrt(2)) / np.sqrt(2))
    assert_near(pt, exact)
