"""Numbers at draws from the prior: what overflows is drawn again, zero likelihoods are counted."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import integrate, special, stats

from numpygeons import pigeons
from numpygeons.target.path import as_path

pytestmark = pytest.mark.filterwarnings("ignore:the data do not depend on the latents")

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


def wide():
    """x ~ N(0, sd = 1e25): 1 draw in 6 times 1e13 overflows in single precision. The scale of z is
    far above the rounding of its mean, about 1e31, of which its density would else be made."""
    x = numpyro.sample("x", dist.Normal(0.0, 1e25))
    numpyro.sample("z", dist.Normal(x * 1e13, 1e36))
    numpyro.factor("f", 0.0)


OVERFLOWS = 2 * stats.norm.sf(float(np.finfo(np.float32).max) / 1e38)


@pytest.mark.usual("float32")
def test_draws_that_overflow_are_made_again_and_counted(precision):
    pt = run(wide, n_rounds=8)
    last = pt.rounds[-1]
    assert np.all(np.isfinite(pt.samples["z"]))
    n = last.n_redrawn + last.n_scans
    if precision == np.float32:
        assert stats.binomtest(last.n_redrawn, n, OVERFLOWS).pvalue > P_MIN
        assert last.n_redrawn_likely == last.n_redrawn  # the factor is 0 everywhere
        assert f"{last.n_redrawn} have a likelihood" in pt.report()
    else:
        assert last.n_redrawn == 0


def test_draws_without_density_and_likelihood_count_in_the_evidence():
    """The scale of theta overflows for x > .89, and is 0 where x < -.88, as the likelihood is."""

    def heavy():
        x = numpyro.sample("x", dist.Normal(0, 1))
        theta = numpyro.sample("theta", dist.Normal(0, jnp.exp(100 * x)))
        numpyro.factor("y", jnp.where(jnp.isfinite(theta) & (x > -0.8), 0.0, -jnp.inf))

    pt = run(heavy, n_rounds=10)
    edge = np.log(np.finfo(np.float32).max) / 100
    last = pt.rounds[-1]
    assert last.n_redrawn > 100
    assert last.n_redrawn_likely < 5
    assert pt.log_z == pytest.approx(np.log(stats.norm.cdf(edge) - stats.norm.cdf(-0.8)), abs=0.1)
    assert "log Z is corrected by" in pt.report()
    _, curve, errors = pt.log_z_curve()
    assert curve[0] == errors[0] == 0
    assert curve[-1] == pytest.approx(last.log_z, abs=1e-9)
    assert errors[-1] == pytest.approx(last.log_z_error, rel=1e-6)


def test_the_count_belongs_to_the_round_and_not_to_the_batch():
    at_once = [record.n_redrawn for record in run(wide, n_rounds=6).rounds]
    later = [record.n_redrawn for record in run(wide, n_rounds=3).extend(3).rounds]
    assert at_once == later
    plain = run(single(dist.Normal), n_rounds=6)
    assert [record.n_redrawn for record in plain.rounds] == [0] * 6
    assert "redrawn" not in plain.report()


def test_one_chain_makes_no_reference_draws_and_counts_none():
    pt = run(wide, n_chains=1, n_rounds=3)
    assert [record.n_redrawn for record in pt.rounds] == [0] * 3


@pytest.mark.usual("LogNormal", "Beta")
@pytest.mark.parametrize(
    "prior",
    [
        lambda: dist.InverseGamma(0.001, 0.001),
        lambda: dist.LogNormal(0.0, 30.0),
        lambda: dist.HalfCauchy(1.0),
        lambda: dist.Beta(0.1, 0.1),
        lambda: dist.Dirichlet(jnp.full(3, 0.01)),
        lambda: dist.LKJ(3, 10.0),
    ],
    ids=["InverseGamma", "LogNormal", "HalfCauchy", "Beta", "Dirichlet", "LKJ"],
)
def test_no_extreme_prior_lets_a_number_that_is_not_finite_into_a_replica(prior):
    """Nor is any drawn again, though the constrained value may be 0 or infinite."""
    pt = run(single(prior), n_rounds=10)
    assert np.all(np.isfinite(pt._rounds.state.replicas.x))
    assert np.all(np.isfinite(pt._rounds.state.replicas.log_reference))
    assert pt.log_z == pytest.approx(0, abs=1e-6)
    assert sum(record.n_redrawn for record in pt.rounds) <= 1


@pytest.mark.usual("float32")
def test_the_density_is_finite_where_a_constrained_value_overflows(precision):
    """The model says what an infinite value is worth; its prior probability is known."""
    path = as_path(single(lambda: dist.LogNormal(jnp.zeros(2), 30.0).to_event(1)))
    largest = np.log(np.finfo(precision).max)
    got = jax.jit(path.log_reference)(jnp.array([0.0, 1.01 * largest]))
    exact = stats.norm.logpdf([0, 1.01 * largest], 0, 30).sum()
    np.testing.assert_allclose(got, exact, rtol=1e-6)


def test_what_underflows_keeps_its_prior_probability():
    """x ~ Gamma(.01), kept where it exceeds .001: log Z is log P(x > .001)."""

    def observe(x):
        numpyro.factor("kept", jnp.where(x > 1e-3, 0.0, -jnp.inf))

    pt = run(single(lambda: dist.Gamma(0.01, 1.0), observe), n_rounds=11)
    assert_near(pt, stats.gamma.logsf(1e-3, 0.01))


@pytest.mark.usual("float32-0.01")
@pytest.mark.parametrize("a", [0.01, 0.1])
def test_both_ends_of_a_beta_prior_keep_their_mass(a, precision):
    """The likelihood at a draw is that at 0 or 1 for nearly all; the right share is below 1/2."""

    def observe(x):
        numpyro.sample("y", dist.Normal(jnp.tanh(x), 0.3), obs=0.4)

    def weighted(w, share):  # in u = logit x, by quantiles of the beta
        x = stats.beta.ppf(w, a, a)
        return stats.norm.pdf(0.4, np.tanh(x), 0.3) * (x < 0.5 if share else 1)

    grid = (np.arange(200_000) + 0.5) / 200_000
    z, below = (np.mean(weighted(grid, share)) for share in (False, True))
    pt = run(single(lambda: dist.Beta(a, a), observe), n_rounds=12)
    assert_near(pt, np.log(z))
    x = np.asarray(pt.samples["x"], float)
    assert np.mean(x < 0.5) == pytest.approx(below / z, abs=0.04)


@pytest.mark.usual("float32")
def test_a_vague_gamma_prior_of_a_precision_gives_the_right_evidence(precision):
    y = np.random.default_rng(0).normal(1, 2, 20)

    def vague(y):
        mu = numpyro.sample("mu", dist.Uniform(0, 10))
        tau = numpyro.sample("tau", dist.Gamma(0.001, 0.001))
        numpyro.sample("y", dist.Normal(mu, 1 / jnp.sqrt(tau)), obs=y)

    a, n = 0.001, len(y)

    def of_mu(mu):  # tau integrated out
        rate = a + 0.5 * np.sum((y - mu) ** 2)
        return np.exp(
            a * np.log(a) + special.gammaln(a + n / 2) - special.gammaln(a)
            - (a + n / 2) * np.log(rate) - n / 2 * np.log(2 * np.pi)
        )  # fmt: skip

    exact = np.log(integrate.quad(of_mu, 0, 10)[0] / 10)
    assert exact == pytest.approx(-48.525, abs=1e-3)
    pt = pigeons(vague, model_args=(jnp.asarray(y),), n_rounds=10, show_report=False)
    assert_near(pt, exact)
    assert pt.rounds[-1].n_redrawn == 0


@pytest.mark.usual("float32-3.1415*")
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
