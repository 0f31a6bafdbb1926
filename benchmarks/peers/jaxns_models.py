"""Writes the problems of both tables as models of jaxns: priors by quantiles."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxns.priors import Prior
from tensorflow_probability.substrates import jax as tfp

from common.efficiency_problems import log_two_modes
from common.problem import Problem

tfd = tfp.distributions


def prior_model(problem: Problem) -> Callable[..., Any]:
    """The model whose sites bear the same names and whose arguments are the problem's."""
    return MODELS[problem.model.__name__]


def _drawn(name: str, distribution: Any, *parameters: Any) -> Any:
    """A site, in the double precision that jaxns asks for."""
    wide = (jnp.asarray(parameter, jnp.float64) for parameter in parameters)
    return Prior(distribution(*wide), name=name).realise()


def _log_normal(y: Any, mean: Any, sd: Any) -> Any:
    y, sd = jnp.asarray(y, mean.dtype), jnp.asarray(sd, mean.dtype)
    return jnp.sum(tfd.Normal(mean, sd).log_prob(y))


def _eight_schools(effects: Any, errors: Any) -> Any:
    mu = _drawn("mu", tfd.Normal, 0, 5)
    tau = _drawn("tau", tfd.HalfCauchy, 0, 5)
    theta = _drawn("theta", tfd.Normal, jnp.full(8, mu), tau)
    return _log_normal(effects, theta, errors)


def _coin(n: int, y: int) -> Any:
    p = _drawn("p1", tfd.Uniform, 0, 1) * _drawn("p2", tfd.Uniform, 0, 1)
    return tfd.Binomial(jnp.asarray(n, p.dtype), probs=p).log_prob(jnp.asarray(y, p.dtype))


def _mrna(t: Any, y: Any) -> Any:
    from mrna import curve

    ends = {"lt0": (-2, 1), "lkm0": (-5, 5), "lbeta": (-5, 5), "ldelta": (-5, 5)}
    rates = {name: _drawn(name, tfd.Uniform, *pair) for name, pair in ends.items()}
    return _log_normal(y, curve(t, **rates), 10.0 ** _drawn("lsigma", tfd.Uniform, -2, 2))


def _two_modes() -> Any:
    return log_two_modes(_drawn("x", tfd.Normal, jnp.zeros(10), 10))


def _normal_50(y: Any) -> Any:
    return _log_normal(y, _drawn("x", tfd.Normal, jnp.zeros(50), 2), 1)


def _varying_slopes(group: Any, t: Any, y: Any) -> Any:
    from common.overhead_problems import N_GROUPS, slopes

    mean = _drawn("mean", tfd.Normal, jnp.zeros(2), 2)
    sd = _drawn("sd", tfd.HalfNormal, jnp.ones(2))
    correlation = _drawn("correlation", tfd.Uniform, -1, 1)
    noise = _drawn("noise", tfd.HalfNormal, 1)
    z = _drawn("z", tfd.Normal, jnp.zeros((2, N_GROUPS)), 1)
    intercept, slope = slopes(mean, sd, correlation, z)
    return _log_normal(y, intercept[group] + slope[group] * t, noise)


def _logistic_regression(x: Any, y: Any) -> Any:
    weights = _drawn("weights", tfd.Normal, jnp.zeros(50), 1)
    logits = jnp.asarray(x, weights.dtype) @ weights
    return jnp.sum(tfd.Bernoulli(logits=logits).log_prob(jnp.asarray(y, weights.dtype)))


def _conjugate_normal(y: Any) -> Any:
    return _log_normal(y, _drawn("x", tfd.Normal, jnp.zeros(len(y)), 1), 1)


MODELS = {
    "eight_schools": _eight_schools,
    "coin": _coin,
    "mrna": _mrna,
    "two_modes": _two_modes,
    "normal_50": _normal_50,
    "varying_slopes": _varying_slopes,
    "logistic_regression": _logistic_regression,
    "conjugate_normal": _conjugate_normal,
}
