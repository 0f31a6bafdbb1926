"""Models whose loops and mixtures once took half a minute to compile, with data made here."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.experimental.ode import odeint
from numpyro.contrib.control_flow import scan

from numpygeons import NumPyroPath

N_SEASONS = 4


def smoothing(y):
    """Exponential smoothing with a trend and seasons, one step of `scan` per datum."""
    level_weight = numpyro.sample("level_weight", dist.Beta(2, 2))
    trend_weight = numpyro.sample("trend_weight", dist.Beta(2, 2))
    season_weight = numpyro.sample("season_weight", dist.Beta(2, 2))
    noise = numpyro.sample("noise", dist.HalfCauchy(1))
    season_scale = numpyro.sample("season_scale", dist.HalfCauchy(1))
    level = numpyro.sample("level", dist.Cauchy(10, 2))
    trend = numpyro.sample("trend", dist.Cauchy(0, 1))
    with numpyro.plate("season", N_SEASONS):
        seasons = numpyro.sample("seasons", dist.Cauchy(0, season_scale))

    def step(carry, now):
        level, trend, seasons = carry
        expected = level + trend + seasons[0]
        numpyro.sample("y", dist.Normal(expected, noise), obs=now)
        new_level = level_weight * (now - seasons[0]) + (1 - level_weight) * (level + trend)
        new_trend = trend_weight * (new_level - level) + (1 - trend_weight) * trend
        season = season_weight * (now - new_level) + (1 - season_weight) * seasons[0]
        return (new_level, new_trend, jnp.append(seasons[1:], season)), expected

    scan(step, (level, trend, seasons), y)


def two_supports(y):
    """A mixture of positive and of real numbers."""
    weight = numpyro.sample("weight", dist.Beta(1, 1))
    rate = numpyro.sample("rate", dist.Gamma(1, 1))
    mean = numpyro.sample("mean", dist.Normal(0, 3))
    scale = numpyro.sample("scale", dist.HalfNormal(2))
    mixture = dist.MixtureGeneral(
        dist.Categorical(probs=jnp.stack([weight, 1 - weight])),
        [dist.Exponential(rate), dist.Normal(mean, scale)],
        support=dist.constraints.real,
    )
    with numpyro.plate("data", len(y)):
        numpyro.sample("y", mixture, obs=y)


def decay(times, y):
    """The rate of a decay that an adaptive solver of differential equations computes."""
    rate = numpyro.sample("rate", dist.LogNormal(0, 1))
    amounts = odeint(lambda amount, time, rate: -rate * amount, jnp.array(1.0), times, rate)
    numpyro.sample("y", dist.Normal(amounts, 0.05), obs=y)


def models() -> dict[str, NumPyroPath]:
    rng = np.random.default_rng(1)
    steps = 10 + np.cumsum(rng.normal(size=22))
    both = np.where(rng.random(500) < 0.3, rng.exponential(size=500), rng.normal(2, 1, size=500))
    times = np.linspace(0, 5, 10)
    amounts = np.exp(-0.7 * times) + 0.05 * rng.normal(size=10)
    return {
        "22 steps of scan": NumPyroPath(smoothing, (steps,)),
        "two supports": NumPyroPath(two_supports, (both,)),
        "odeint": NumPyroPath(decay, (times, amounts)),
    }
