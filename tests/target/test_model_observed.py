"""What is observed is likelihood: exact splits by SciPy, one small model per construct."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from scipy import stats

from support.exact_splits import Cases, N, Y, location

CASES = Cases()


@CASES.case
def observed_counts_in_a_plate():
    k = np.array([2, 0, 5])

    def model():
        rate = numpyro.sample("rate", dist.Gamma(2.0, 0.5))
        with numpyro.plate("n", 3):
            numpyro.sample("k", dist.Poisson(rate), obs=k)

    prior = stats.gamma.logpdf(1.7, 2.0, scale=2.0)
    return (model, {"rate": 1.7}, prior, stats.poisson.logpmf(k, 1.7).sum())


@CASES.case
def scale_multiplies_the_likelihood():
    def observe(x):
        with handlers.scale(scale=2.5):
            numpyro.sample("y", dist.Normal(x, 1), obs=Y)

    return (location(observe), {"x": -0.2}, N(-0.2), 2.5 * N(Y, -0.2).sum())


@CASES.case
def mask_hides_rows_with_nan():
    data = np.stack([Y, np.full(4, np.nan)], axis=1)
    data[[0, 2], 1] = [1.0, -2.0]
    seen = np.array([True, False, True, False])

    def observe(x):
        with numpyro.plate("n", 4), handlers.mask(mask=jnp.asarray(seen)):
            mvn = dist.MultivariateNormal(jnp.stack([x, 2 * x]), jnp.eye(2))
            numpyro.sample("y", mvn, obs=data)

    want = N(data[seen], [-0.2, -0.4]).sum()
    return (location(observe), {"x": -0.2}, N(-0.2), want)


@CASES.case
def mask_on_the_distribution_counts_too():
    seen = np.array([True, True, False, True])
    data = np.where(seen, Y, np.nan)

    def observe(x):
        numpyro.sample("y", dist.Normal(x, 1).mask(jnp.asarray(seen)).to_event(1), obs=data)

    return (location(observe), {"x": 0.6}, N(0.6), N(Y[seen], 0.6).sum())


@CASES.case
def factor_is_likelihood_and_counts_per_row():
    def observe(x):
        numpyro.factor("whole", 3 * x)
        with numpyro.plate("n", 4):
            numpyro.factor("row", -(x**2))

    return (location(observe), {"x": 0.6}, N(0.6), 1.8 - 4 * 0.36)


@CASES.case
def factor_may_be_minus_infinity():
    def observe(x):
        numpyro.factor("gate", jnp.where(x > 1, 0.0, -jnp.inf))

    return (location(observe), {"x": 0.6}, N(0.6), -np.inf)


@CASES.case
def user_sites_may_be_called_like_jacobian_sites():
    def model():
        s = numpyro.sample("s", dist.HalfNormal(2.0))
        numpyro.factor("_s_log_det", -s)
        numpyro.sample("s_log_det", dist.Normal(0, s), obs=Y)

    prior = stats.halfnorm.logpdf(1.3, scale=2)
    return (model, {"s": 1.3}, prior, -1.3 + N(Y, 0, 1.3).sum())


@CASES.case
def conditioned_latent_is_likelihood():
    def chain():
        x = numpyro.sample("x", dist.Normal(0, 1))
        m = numpyro.sample("m", dist.Normal(x, 2))
        numpyro.sample("y", dist.Normal(m, 1), obs=Y)

    model = handlers.condition(chain, {"m": jnp.array(0.5)})
    return (model, {"x": 0.1}, N(0.1), N(0.5, 0.1, 2) + N(Y, 0.5).sum())


@CASES.case
def observed_delta_on_a_latent_has_log_probability_zero():
    def observe(x):
        p = jax.nn.sigmoid(x)
        numpyro.sample("p", dist.Delta(p), obs=p)
        numpyro.sample("k", dist.Binomial(9, p), obs=4)

    want = stats.binom.logpmf(4, 9, 1 / (1 + np.exp(-0.6)))
    return (location(observe), {"x": 0.6}, N(0.6), want)


@CASES.case
def support_of_data_that_moves_with_a_latent_is_checked():
    def model():
        top = numpyro.sample("top", dist.Exponential(0.5))
        numpyro.sample("y", dist.Uniform(0, top), obs=np.array([0.4, 2.0]))

    return (model, {"top": 1.5}, stats.expon.logpdf(1.5, scale=2), -np.inf)


@CASES.case
def whole_plate_with_subsample_size_is_a_plate():
    def observe(x):
        with numpyro.plate("n", 4, subsample_size=4):
            numpyro.sample("y", dist.Normal(x, 1), obs=numpyro.subsample(jnp.asarray(Y), 0))

    return (location(observe), {"x": 0.6}, N(0.6), N(Y, 0.6).sum())


@CASES.case
def nothing_observed_has_likelihood_one():
    return (location(lambda x: None), {"x": 0.6}, N(0.6), 0.0)


@pytest.mark.usual("float64*")
@pytest.mark.filterwarnings("ignore::numpygeons.errors.NumpygeonsWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_split_into_prior_and_likelihood_is_exact(name, precision, check_split):
    check_split(precision, *CASES[name]())


@pytest.mark.usual("mask_hides_rows_with_nan", "factor_may_be_minus_infinity")
@pytest.mark.filterwarnings("ignore::numpygeons.errors.NumpygeonsWarning")
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_finite_and_those_of_the_functions(name, x64, check_gradients):
    check_gradients(*CASES[name]()[:2])
