"""Small versions of NumPyro's example models: exact splits by SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

from support.exact_splits import Cases, N, Y

CASES = Cases()


@CASES.case
def hidden_markov_model_by_factor():
    words = np.array([0, 2, 1, 1])
    t = np.array([[0.7, 0.3], [0.4, 0.6]])
    e = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])

    def model():
        move = numpyro.sample("move", dist.Dirichlet(jnp.ones((2, 2))).to_event(1))
        emit = numpyro.sample("emit", dist.Dirichlet(jnp.full((2, 3), 0.8)).to_event(1))

        def step(log_f, word):
            after = jax.nn.logsumexp(log_f[:, None] + jnp.log(move), 0)
            return after + jnp.log(emit[:, word]), None

        first = jnp.log(0.5) + jnp.log(emit[:, words[0]])
        log_f, _ = jax.lax.scan(step, first, jnp.asarray(words[1:]))
        numpyro.factor("forward", jax.nn.logsumexp(log_f))

    f = 0.5 * e[:, words[0]]
    for word in words[1:]:
        f = (f @ t) * e[:, word]
    prior = sum(stats.dirichlet.logpdf(row, [0.8] * 3) for row in e)  # Dirichlet(1, 1) is flat
    return (
        model,
        {"move": t, "emit": e},
        prior,
        np.log(f.sum()),
        lambda v: jnp.concatenate([v["move"][:, 0], jnp.ravel(v["emit"][:, :2])]),
    )


@CASES.case
def horseshoe_regression():
    x = np.linspace(-1, 1, 12).reshape(4, 3)

    def model():
        tau = numpyro.sample("tau", dist.HalfCauchy(1.0))
        lam = numpyro.sample("lam", dist.HalfCauchy(1.0).expand([3]))
        raw = numpyro.sample("raw", dist.Normal(0, 1).expand([3]))
        beta = numpyro.deterministic("beta", tau * lam * raw)
        precision = numpyro.sample("precision", dist.Gamma(3.0, 1.0))
        numpyro.sample("y", dist.Normal(x @ beta, 1 / jnp.sqrt(precision)), obs=Y)

    v = {"tau": 0.3, "lam": np.array([0.2, 1.0, 7.0]), "raw": np.array([0.5, -1.0, 0.1])}
    prior = stats.halfcauchy.logpdf(0.3) + stats.halfcauchy.logpdf(v["lam"]).sum()
    prior += N(v["raw"]).sum() + stats.gamma.logpdf(2.0, 3.0)
    want = N(Y, x @ (0.3 * v["lam"] * v["raw"]), np.sqrt(0.5)).sum()
    return (model, v | {"precision": 2.0}, prior, want)


@CASES.case
def gaussian_process():
    at = np.array([0.0, 0.4, 1.0, 1.3])

    def kernel(module, length, noise):
        gap = at[:, None] - at[None, :]
        return module.exp(-0.5 * (gap / length) ** 2) + noise * module.eye(4)

    def model():
        length = numpyro.sample("length", dist.LogNormal(0.0, 2.0))
        noise = numpyro.sample("noise", dist.LogNormal(0.0, 2.0))
        gp = dist.MultivariateNormal(jnp.zeros(4), kernel(jnp, length, noise))
        numpyro.sample("y", gp, obs=Y)

    prior = stats.lognorm.logpdf([0.7, 0.3], 2.0).sum()
    want = stats.multivariate_normal.logpdf(Y, np.zeros(4), kernel(np, 0.7, 0.3))
    return (model, {"length": 0.7, "noise": 0.3}, prior, want)


@CASES.case
def admissions_with_correlated_effects():
    department, applied, admitted = np.array([0, 0, 1]), np.array([9, 8, 7]), np.array([4, 1, 6])
    male = np.array([0.0, 1.0, 1.0])
    r, z = 0.6, np.array([[0.2, -0.5], [1.0, 0.4]])

    def model():
        sigma = numpyro.sample("sigma", dist.HalfNormal(1.0).expand([2]).to_event(1))
        low = numpyro.sample("low", dist.LKJCholesky(2, 2.0))
        with numpyro.plate("department", 2):
            base = dist.MultivariateNormal(0.0, scale_tril=sigma[:, None] * low)
            v = numpyro.sample("v", base)
        probability = jax.nn.sigmoid(v[department, 0] + v[department, 1] * male)
        with numpyro.plate("n", 3):
            numpyro.sample("p", dist.Delta(probability), obs=probability)
            numpyro.sample("admit", dist.Binomial(applied, probability), obs=admitted)

    sigma = np.array([0.8, 1.4])
    cov = np.outer(sigma, sigma) * [[1, r], [r, 1]]
    prior = stats.halfnorm.logpdf(sigma).sum() + stats.beta.logpdf(0.8, 2, 2) - np.log(2)
    prior += stats.multivariate_normal.logpdf(z, [0, 0], cov).sum()
    p = 1 / (1 + np.exp(-(z[department, 0] + z[department, 1] * male)))
    return (
        model,
        {"sigma": sigma, "low": np.array([[1.0, 0.0], [r, 0.8]]), "v": z},
        prior,
        stats.binom.logpmf(admitted, applied, p).sum(),
        lambda v: jnp.concatenate([v["sigma"], v["low"][1, :1], jnp.ravel(v["v"])]),
    )


@pytest.mark.usual("*horseshoe_regression", "*hidden_markov_model_by_factor")
@pytest.mark.filterwarnings("ignore::numpygeons.errors.NumpygeonsWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_split_into_prior_and_likelihood_is_exact(name, precision, check_split):
    check_split(precision, *CASES[name]())


@pytest.mark.usual("horseshoe_regression")
@pytest.mark.filterwarnings("ignore::numpygeons.errors.NumpygeonsWarning")
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_finite_and_those_of_the_functions(name, x64, check_gradients):
    check_gradients(*CASES[name]()[:2])
