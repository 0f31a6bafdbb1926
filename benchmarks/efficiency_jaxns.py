"""Writes the problems of the efficiency table as models of jaxns: priors by quantiles."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from efficiency_problems import Problem, log_two_modes
from jaxns.priors import Prior
from tensorflow_probability.substrates import jax as tfp

tfd = tfp.distributions


def prior_model(problem: Problem) -> Callable[..., Any]:
    """The model whose sites bear the same names and whose arguments are the problem's."""
    return MODELS[problem.model.__name__]


def _drawn(name: str, distribution: Any) -> Any:
    return Prior(distribution, name=name).realise()


def _vector(distribution: Any, n: int, *parameters: float) -> Any:
    return distribution(*(jnp.full(n, parameter) for parameter in parameters))


def _eight_schools(effects: Any, errors: Any) -> Any:
    mu = _drawn("mu", tfd.Normal(0.0, 5.0))
    tau = _drawn("tau", tfd.HalfCauchy(0.0, 5.0))
    theta = _drawn("theta", tfd.Normal(jnp.full(8, mu), tau))
    return jnp.sum(tfd.Normal(theta, errors).log_prob(effects))


def _coin(n: int, y: int) -> Any:
    p1 = _drawn("p1", tfd.Uniform(0.0, 1.0))
    p2 = _drawn("p2", tfd.Uniform(0.0, 1.0))
    return tfd.Binomial(float(n), probs=p1 * p2).log_prob(float(y))


def _mrna(t: Any, y: Any) -> Any:
    from mrna import curve

    ends = {"lt0": (-2.0, 1.0), "lkm0": (-5.0, 5.0), "lbeta": (-5.0, 5.0), "ldelta": (-5.0, 5.0)}
    rates = {name: _drawn(name, tfd.Uniform(*pair)) for name, pair in ends.items()}
    lsigma = _drawn("lsigma", tfd.Uniform(-2.0, 2.0))
    return jnp.sum(tfd.Normal(curve(t, **rates), 10.0**lsigma).log_prob(y))


def _two_modes() -> Any:
    return log_two_modes(_drawn("x", _vector(tfd.Normal, 10, 0.0, 10.0)))


def _normal_50(y: Any) -> Any:
    x = _drawn("x", _vector(tfd.Normal, 50, 0.0, 2.0))
    return jnp.sum(tfd.Normal(x, 1.0).log_prob(y))


MODELS = {
    "eight_schools": _eight_schools,
    "coin": _coin,
    "mrna": _mrna,
    "two_modes": _two_modes,
    "normal_50": _normal_50,
}
