"""Draws from the reference follow exp(log gamma_0), which therefore integrates to one."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.distributions import transforms
from numpyro.infer import reparam
from scipy import stats

from numpygeons.target.path import as_path

pytestmark = pytest.mark.filterwarnings("ignore:the data do not depend on the latents")

P_MIN = 1e-6
N_DRAWS = 20_000


def single(distribution):
    def model():
        numpyro.sample("x", distribution())
        numpyro.factor("f", 0.0)

    return model


def moving():
    a = numpyro.sample("a", dist.HalfNormal(1.0))
    numpyro.sample("b", dist.Uniform(-a, 2 * a))
    numpyro.factor("f", 0.0)


def growing():
    def step(last, _):
        z = numpyro.sample("z", dist.TruncatedNormal(0.0, 1.0, low=last))
        return z, None

    scan(step, jnp.zeros(()), None, length=3, reverse=True)
    numpyro.factor("f", 0.0)


def levels():
    mu = numpyro.sample("mu", dist.Normal(0, 1))
    with numpyro.plate("n", 2):
        numpyro.sample("x", dist.LogNormal(mu, 1.0))
    numpyro.factor("f", 0.0)


MODELS = {
    "real": single(lambda: dist.StudentT(3.0, 1.0, 2.0)),
    "positive": single(lambda: dist.Gamma(2.0, 3.0)),
    "interval": single(lambda: dist.Beta(0.7, 2.0)),
    "below": single(lambda: dist.TruncatedNormal(0.0, 1.0, high=0.3)),
    "above a bound": single(lambda: dist.Pareto(1.0, 1.5)),
    "circle": single(lambda: dist.VonMises(0.5, 4.0)),
    "simplex": single(lambda: dist.Dirichlet(jnp.array([0.8, 1.5, 2.0, 1.0]))),
    "batch of simplices": single(lambda: dist.Dirichlet(jnp.ones((2, 3)))),
    "correlation": single(lambda: dist.LKJ(3, 1.5)),
    "correlation factor": single(lambda: dist.LKJCholesky(3, 0.7)),
    "zero sum": single(lambda: dist.ZeroSumNormal(1.5, (4,))),
    "zero sum in two axes": single(lambda: dist.ZeroSumNormal(1.5, (2, 3))),
    "positive definite": single(lambda: dist.Wishart(5.0, jnp.eye(2))),
    "ordered": single(
        lambda: dist.TransformedDistribution(
            dist.Normal(0, 1).expand([3]).to_event(1), transforms.OrderedTransform()
        )
    ),
    "vector": single(lambda: dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2) + 0.5)),
    "random walk": single(lambda: dist.GaussianRandomWalk(0.5, 3)),
    "mixture": single(
        lambda: dist.MixtureSameFamily(
            dist.Categorical(jnp.array([0.3, 0.7])), dist.Gamma(jnp.array([1.0, 4.0]), 1.0)
        )
    ),
    "moving support": moving,
    "moving support in a scan": growing,
    "plate under a level": levels,
    "decentred": handlers.reparam(levels, {"x": reparam.TransformReparam()}),
}


@pytest.mark.usual("simplex", "positive", "interval")
@pytest.mark.parametrize("name", MODELS)
def test_the_density_of_the_draws_is_the_exponential_of_log_reference(name, x64):
    """E[1(x in box) / gamma_0(x)] is the volume of the box, whatever the box."""
    path = as_path(MODELS[name])

    @jax.jit
    def draws(keys):
        x = jax.vmap(path.sample_reference)(keys)
        return x, jax.vmap(path.log_reference)(x)

    x, log_density = map(np.asarray, draws(jax.random.split(jax.random.key(11), N_DRAWS)))
    assert np.isfinite(x).all()
    low, high = np.quantile(x[:1000], [0.2, 0.8], axis=0)
    inside = ((x[1000:] > low) & (x[1000:] < high)).all(axis=1)
    ratios = np.where(inside, np.exp(-log_density[1000:]), 0.0) / np.prod(high - low)
    z = (ratios.mean() - 1) / (ratios.std() / np.sqrt(len(ratios)))
    assert 2 * stats.norm.sf(abs(z)) > P_MIN
    assert ratios.std() / np.sqrt(len(ratios)) < 0.1  # else the test could not see a factor


LAWS = {
    "gamma": (lambda: dist.Gamma(2.0, 3.0), stats.gamma(2.0, scale=1 / 3)),
    "beta": (lambda: dist.Beta(0.7, 2.0), stats.beta(0.7, 2.0)),
    "half Cauchy": (lambda: dist.HalfCauchy(2.0), stats.halfcauchy(scale=2.0)),
    "truncated": (lambda: dist.TruncatedNormal(0.0, 1.0, low=0.5), stats.truncnorm(0.5, np.inf)),
    "log-normal": (lambda: dist.LogNormal(0.3, 2.0), stats.lognorm(2.0, scale=np.exp(0.3))),
}


@pytest.mark.usual("float32-beta")
@pytest.mark.parametrize("name", LAWS)
def test_constrained_draws_follow_the_prior(name, precision):
    distribution, law = LAWS[name]
    path = as_path(single(distribution))
    keys = jax.random.split(jax.random.key(5), N_DRAWS)
    draws = jax.jit(jax.vmap(lambda key: path.constrain(path.sample_reference(key))))(keys)
    assert stats.kstest(np.asarray(draws["x"], float), law.cdf).pvalue > P_MIN


def test_draws_inside_a_scan_follow_the_prior(x64):
    """Steps of a walk are independent: no step may use another's key."""

    def model():
        def step(last, _):
            z = numpyro.sample("z", dist.Normal(last, 1))
            return z, None

        scan(step, jnp.zeros(()), None, length=3)
        numpyro.factor("f", 0.0)

    path = as_path(model)
    keys = jax.random.split(jax.random.key(5), N_DRAWS)
    z = np.asarray(jax.jit(jax.vmap(path.sample_reference))(keys))
    steps = np.diff(z, axis=1, prepend=0)
    for column in steps.T:
        assert stats.kstest(column, "norm").pvalue > P_MIN
    assert stats.pearsonr(steps[:, 0], steps[:, 1]).pvalue > P_MIN
    assert stats.pearsonr(steps[:, 1], steps[:, 2]).pvalue > P_MIN


@pytest.mark.usual("correlation", "circle", "moving support", "ordered")
@pytest.mark.parametrize("name", MODELS)
def test_maps_to_and_fro_give_back_the_draw(name, x64):
    path = as_path(MODELS[name])

    @jax.jit
    def there_and_back(key):
        x = path.sample_reference(key)
        return x, path.unconstrain(path.constrain(x))

    for seed in range(3):
        x, back = there_and_back(jax.random.key(seed))
        np.testing.assert_allclose(back, x, rtol=1e-8, atol=1e-8)
