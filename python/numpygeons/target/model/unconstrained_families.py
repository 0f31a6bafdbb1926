"""Gives the families of priors whose laws are known in unconstrained space: draws, densities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.nn import log_sigmoid, softplus
from jax.scipy.special import gammaln
from numpyro.distributions import biject_to

from numpygeons.arrays import Array

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnconstrainedLaw:
    """A prior as a law of u, where `biject_to(support)` maps u to the constrained value."""

    draw: Callable[[Array, Shape], Array]  # a key, and the shape of u but for its events
    log_density: Callable[[Array], Array]  # of u, the Jacobian included; one number per event
    event_dim: int = 0


# ----------------------------------------------------------------------- functions of one number


def floats(*parameters: Any) -> list[Array]:
    return [jnp.asarray(parameter, jnp.result_type(float)) for parameter in parameters]


def _loggamma(key: Array, concentration: Array, shape: Shape) -> Array:
    """Return the logarithm of a gamma variable; accurate where the variable underflows."""
    return jax.random.loggamma(key, concentration, shape)


def _log_exponential(key: Array, shape: Shape) -> Array:
    """Return the logarithm of an exponential variable."""
    return -jax.random.gumbel(key, shape)


def _log1mexp(log_y: Array) -> Array:
    """Return log(1 - exp(-y)) of log y, for y that may be 0 or infinite in floating point."""
    small = log_y < -15.0 if log_y.dtype == jnp.float32 else log_y < -35.0
    y = jnp.exp(jnp.where(small, 0.0, jnp.minimum(log_y, 80.0)))
    # Two forms, each without cancellation on its side of log 2.
    near = y < 0.7
    series = jnp.log(-jnp.expm1(-jnp.where(near, y, 0.5)))
    far = jnp.log1p(-jnp.exp(-jnp.where(near, 1.0, y)))
    return jnp.where(small, log_y, jnp.where(near, series, far))


def _log_minus_log1mexp(log_y: Array) -> Array:
    """Return log(-log(1 - exp(-y))) of log y, likewise."""
    y = jnp.exp(log_y)
    large = y > 15.0 if log_y.dtype == jnp.float32 else y > 35.0
    return jnp.where(large, -y, jnp.log(-_log1mexp(jnp.where(large, 0.0, log_y))))


def _log_beta(a: Array, b: Array) -> Array:
    """Return log B(a, b); JAX's `betaln` has half of the digits in double precision."""
    return gammaln(a) + gammaln(b) - gammaln(a + b)


def _log_expm1(y: Array) -> Array:
    """Return log(exp(y) - 1) of y > 0."""
    return y + jnp.log(-jnp.expm1(-y))


# ------------------------------------------------------------------------------------- positive


def _gamma(fn: Any) -> UnconstrainedLaw:
    a, rate = floats(fn.concentration, fn.rate)

    def draw(key: Array, shape: Shape) -> Array:
        return _loggamma(key, a, shape) - jnp.log(rate)

    def log_density(u: Array) -> Array:
        t = u + jnp.log(rate)
        return a * t - jnp.exp(t) - gammaln(a)

    return UnconstrainedLaw(draw=draw, log_density=log_density)


def _weibull(fn: Any) -> UnconstrainedLaw:
    k, scale = floats(fn.concentration, fn.scale)

    def draw(key: Array, shape: Shape) -> Array:
        return jnp.log(scale) + _log_exponential(key, shape) / k

    def log_density(u: Array) -> Array:
        t = k * (u - jnp.log(scale))
        return jnp.log(k) + t - jnp.exp(t)

    return UnconstrainedLaw(draw=draw, log_density=log_density)


def _dagum(fn: Any) -> UnconstrainedLaw:
    p, a, scale = floats(fn.concentration, fn.sharpness, fn.scale)

    def draw(key: Array, shape: Shape) -> Array:
        # (x / scale)**-a = exp(E / p) - 1; its logarithm, for E / p of any size.
        log_y = _log_exponential(key, shape) - jnp.log(p)
        return jnp.log(scale) - (jnp.exp(log_y) + _log1mexp(log_y)) / a

    def log_density(u: Array) -> Array:
        t = a * (u - jnp.log(scale))
        # p t - (p + 1) softplus(t), without the difference of large numbers.
        return jnp.log(a) + jnp.log(p) - p * softplus(-t) - softplus(t)

    return UnconstrainedLaw(draw=draw, log_density=log_density)


def _above(scale: Array, alpha: Array) -> UnconstrainedLaw:
    """Return the law of density proportional to x**(-alpha - 1) above `scale`; u = log(x -
    scale)."""

    def draw(key: Array, shape: Shape) -> Array:
        log_y = _log_exponential(key, shape) - jnp.log(alpha)
        return jnp.log(scale) + jnp.exp(log_y) + _log1mexp(log_y)

    def log_density(u: Array) -> Array:
        t = u - jnp.log(scale)
        # alpha log scale - (alpha + 1) log(scale + exp(u)) + u
        return jnp.log(alpha) - alpha * softplus(t) - softplus(-t)

    return UnconstrainedLaw(draw=draw, log_density=log_density)


def _pareto(fn: Any) -> UnconstrainedLaw:
    return _above(*floats(fn.scale, fn.alpha))


def _lower_truncated_power(fn: Any) -> UnconstrainedLaw:
    low, alpha = floats(fn.low, fn.alpha)
    return _above(low, -1.0 - alpha)


# ------------------------------------------------------------------------------------- interval


def _logit_beta(a: Array, b: Array) -> UnconstrainedLaw:
    def draw(key: Array, shape: Shape) -> Array:
        both = jnp.stack(jnp.broadcast_arrays(a, b))  # one loop to compile
        both = both.reshape(2, *(1,) * (len(shape) + 1 - both.ndim), *both.shape[1:])
        logs = _loggamma(key, both, (2, *shape))
        return logs[0] - logs[1]

    def log_density(u: Array) -> Array:
        return a * log_sigmoid(u) + b * log_sigmoid(-u) - _log_beta(a, b)

    return UnconstrainedLaw(draw=draw, log_density=log_density)


def _beta(fn: Any) -> UnconstrainedLaw:
    return _logit_beta(*floats(fn.concentration1, fn.concentration0))


def _kumaraswamy(fn: Any) -> UnconstrainedLaw:
    a, b = floats(fn.concentration1, fn.concentration0)

    def draw(key: Array, shape: Shape) -> Array:
        # -log(1 - x**a) = E / b, and m = log(-log x).
        m = _log_minus_log1mexp(_log_exponential(key, shape) - jnp.log(b)) - jnp.log(a)
        return -jnp.exp(m) - _log1mexp(m)

    def log_density(u: Array) -> Array:
        log_x = log_sigmoid(u)
        far = u > (15.0 if u.dtype == jnp.float32 else 35.0)
        m = jnp.where(far, -u, jnp.log(softplus(-jnp.where(far, 0.0, u))))
        inner = _log1mexp(jnp.log(a) + m)  # log(1 - x**a)
        return jnp.log(a) + jnp.log(b) + a * log_x + (b - 1) * inner + log_sigmoid(-u)

    return UnconstrainedLaw(draw=draw, log_density=log_density)


def _log_uniform(fn: Any) -> UnconstrainedLaw:
    low, high = (jnp.log(bound) for bound in floats(fn.low, fn.high))

    def draw(key: Array, shape: Shape) -> Array:
        least = float(np.finfo(low.dtype).eps) / 4
        share = jax.random.uniform(key, shape, low.dtype, least)
        above, below = share * (high - low), (1 - share) * (high - low)
        # log(x - low) - log(high - x)
        return low + _log_expm1(above) - high - jnp.log(-jnp.expm1(-below))

    def log_density(u: Array) -> Array:
        width = high + jnp.log(-jnp.expm1(low - high))
        log_x = jnp.logaddexp(low, width + log_sigmoid(u))
        return width + log_sigmoid(u) + log_sigmoid(-u) - log_x - jnp.log(high - low)

    return UnconstrainedLaw(draw=draw, log_density=log_density)


def _polya_gamma(fn: Any) -> UnconstrainedLaw:
    """Take the library's density; its draws, sums of 8 of infinitely many variates, are too small.

    Polson, Scott & Windle (2013), doi:10.1080/01621459.2013.829001, equation 2.
    """
    to_value = biject_to(fn.support)
    n, end = 100, fn.truncation_point
    weights = 1 / (2 * np.pi**2 * (np.arange(n) + 0.5) ** 2)
    rest = 0.25 - np.sum(weights)  # the mean of the variates that are left out

    def draw(key: Array, shape: Shape) -> Array:
        x = jax.random.exponential(key, (*shape, n)) @ jnp.asarray(weights, jnp.result_type(float))
        x = jnp.minimum(x + rest, end * (1 - 1e-6))  # above `end` in 5 draws of a million
        return jnp.log(x) - jnp.log(end - x)

    def log_density(u: Array) -> Array:
        value = to_value(u)
        total: Array = fn.log_prob(value) + to_value.log_abs_det_jacobian(u, value)
        return total

    return UnconstrainedLaw(draw=draw, log_density=log_density)


# ------------------------------------------------------------------------------------- the line


def _student(fn: Any) -> UnconstrainedLaw:
    df, loc, scale = floats(fn.df, fn.loc, fn.scale)

    def draw(key: Array, shape: Shape) -> Array:
        one, two = jax.random.split(key)
        z = jax.random.normal(one, shape)
        log_ratio = jnp.log(0.5 * df) - _loggamma(two, 0.5 * df, shape)  # of df and a chi-square
        return loc + jnp.sign(z) * jnp.exp(jnp.log(scale) + jnp.log(jnp.abs(z)) + 0.5 * log_ratio)

    def log_density(x: Array) -> Array:
        t = jnp.abs((x - loc) / scale) / jnp.sqrt(df)
        far = t > 1e5 if t.dtype == jnp.float32 else t > 1e9
        near = jnp.log1p(jnp.where(far, 0.0, t) ** 2)
        power = jnp.where(far, 2 * jnp.log(jnp.where(far, t, 1.0)), near)
        constant = _log_beta(0.5 * df, jnp.full_like(df, 0.5)) + 0.5 * jnp.log(df) + jnp.log(scale)
        return -0.5 * (df + 1) * power - constant

    return UnconstrainedLaw(draw=draw, log_density=log_density)


# ------------------------------------------------------------------------------------- matrices


def _dirichlet(fn: Any) -> UnconstrainedLaw:
    """Return the law of the sticks: share k of what 0, ..., k - 1 leave is Beta(a_k, a_{k+1} +
    a_{k+2} + ...)."""
    (a,) = floats(fn.concentration)
    after = _summed_after(a)
    n = a.shape[-1] - 1
    shift = jnp.log(jnp.arange(n, 0, -1, dtype=a.dtype))  # of NumPyro's stick-breaking

    def draw(key: Array, shape: Shape) -> Array:
        logs = _loggamma(key, a, (*shape, n + 1))
        rest = jax.lax.cumlogsumexp(logs, axis=logs.ndim - 1, reverse=True)
        return logs[..., :-1] - rest[..., 1:] + shift

    def log_density(u: Array) -> Array:
        t = u - shift
        terms = a[..., :-1] * log_sigmoid(t) + after * log_sigmoid(-t)
        constant = jnp.sum(gammaln(a), axis=-1) - gammaln(jnp.sum(a, axis=-1))
        return jnp.sum(terms, axis=-1) - constant

    return UnconstrainedLaw(draw=draw, log_density=log_density, event_dim=1)


def _summed_after(a: Array) -> Array:
    return jnp.cumsum(a[..., :0:-1], axis=-1)[..., ::-1]


def _correlation(fn: Any) -> UnconstrainedLaw:
    """Return the law of the partial correlations, tanh(u): (1 + r) / 2 is Beta(b, b), independent
    (C-vine).

    Lewandowski, Kurowicka & Joe (2009), doi:10.1016/j.jmva.2009.04.008, section 2.4.
    """
    (concentration,) = floats(fn.concentration)
    dimension = fn.dimension
    _, column = np.tril_indices(dimension, -1)
    b = concentration[..., None] + 0.5 * (dimension - 2 - column)
    of_entry = _logit_beta(b, b)  # of 2 u

    def draw(key: Array, shape: Shape) -> Array:
        return 0.5 * of_entry.draw(key, (*shape, len(column)))

    def log_density(u: Array) -> Array:
        return jnp.sum(of_entry.log_density(2 * u) + jnp.log(2.0), axis=-1)

    return UnconstrainedLaw(draw=draw, log_density=log_density, event_dim=1)


FAMILIES: dict[Any, Callable[[Any], UnconstrainedLaw]] = {
    dist.Beta: _beta,
    dist.Dagum: _dagum,
    dist.Dirichlet: _dirichlet,
    dist.Gamma: _gamma,
    dist.Kumaraswamy: _kumaraswamy,
    dist.LKJ: lambda fn: _correlation(fn.base_dist),
    dist.LKJCholesky: _correlation,
    dist.LogUniform: _log_uniform,
    dist.LowerTruncatedPowerLaw: _lower_truncated_power,
    dist.Pareto: _pareto,
    dist.StudentT: _student,
    dist.TruncatedPolyaGamma: _polya_gamma,
    dist.Weibull: _weibull,
}
