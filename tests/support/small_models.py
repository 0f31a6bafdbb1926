"""Small models that several tests run."""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)


def eight_schools(effects=EFFECTS, errors=ERRORS):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    with numpyro.plate("school", len(errors)):
        theta = numpyro.sample("theta", dist.Normal(mu, tau))
        numpyro.sample("effect", dist.Normal(theta, jnp.array(errors)), obs=jnp.array(effects))
    numpyro.deterministic("best", jnp.max(theta))


def coin(n=100, y=50):
    p1 = numpyro.sample("p1", dist.Uniform(0, 1))
    p2 = numpyro.sample("p2", dist.Uniform(0, 1))
    numpyro.sample("y", dist.Binomial(n, p1 * p2), obs=y)


def normal(y=0.5):
    """Posterior N(y / 2, 1 / 2); log Z = log N(y; 0, 2)."""
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(x, 1), obs=y)


def half_excluded():
    """Half of the prior has likelihood zero; log Z = -log 2."""
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.factor("positive", jnp.where(x > 0, 0.0, -jnp.inf))


def half_not_a_number():
    """The likelihood is not a number on half of the prior; log Z = -log 2."""
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.factor("positive", jnp.where(x > 0, 0.0, jnp.nan))


def impossible():
    """The likelihood is zero everywhere."""
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.factor("never", jnp.where(x > 1e9, 0.0, -jnp.inf))
