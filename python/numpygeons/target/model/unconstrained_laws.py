"""Draw priors in unconstrained space, and give their densities there, so that nothing is clipped.

NumPyro draws a constrained value and takes its density there.  A value of Beta(.01, .01) nearer to
1 than a float can be is clipped, one of Gamma(.01) that is too small becomes 0, and the density of
such a value says nothing about the unconstrained number that a chain moves.  Here a prior is drawn
as that number, mostly by logarithms of gamma variables, and the density is a function of it.  The
constrained value, which the rest of the model sees, may round to an edge of the support.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import logsumexp
from numpyro.distributions import biject_to, transforms

from numpygeons.arrays import Array
from numpygeons.target.model.unconstrained_families import FAMILIES, Shape, UnconstrainedLaw, floats


def unconstrained_law(fn: Any) -> UnconstrainedLaw | None:
    """Return the law of a distribution in unconstrained space.

    Parameters
    ----------
    fn : numpyro.distributions.Distribution
        Wrappers (expand, to_event, transforms whose unconstrained number can be computed) included.

    Returns
    -------
    UnconstrainedLaw or None
        None where NumPyro's own draw and density serve: they agree, or nothing better is known.
    """
    if isinstance(fn, dist.ExpandedDistribution | dist.Independent | dist.MaskedDistribution):
        return unconstrained_law(fn.base_dist)  # masks that hide something are refused
    for kind, law in LAWS.items():
        if isinstance(fn, kind):
            return law(fn) if _has_the_law_of(fn, kind) else None
    return None


def _has_the_law_of(fn: Any, kind: type[Any]) -> bool:
    """Return whether a distribution's class, which a user may have derived from `kind`, kept its
    law."""
    return all(
        getattr(type(fn), name) is getattr(kind, name) for name in ("sample", "rsample", "log_prob")
    )


def _mixture(fn: Any) -> UnconstrainedLaw | None:
    """Return the law of components with one number each, in the last axis of their batch."""
    component = unconstrained_law(fn.component_distribution)
    if component is None or fn.event_shape or component.event_dim:
        return None
    logits = fn.mixing_distribution.logits
    n = fn.mixture_size

    def draw(key: Array, shape: Shape) -> Array:
        one, two = jax.random.split(key)
        which = jax.random.categorical(one, logits, shape=shape)
        each = component.draw(two, (*shape, n))
        return jnp.take_along_axis(each, which[..., None], axis=-1)[..., 0]

    def log_density(u: Array) -> Array:
        weights = jax.nn.log_softmax(logits, axis=-1)
        return logsumexp(weights + component.log_density(u[..., None]), axis=-1)

    return UnconstrainedLaw(draw=draw, log_density=log_density)


def _transformed(fn: Any) -> UnconstrainedLaw | None:
    """Return the law of a transform at whose input the law is known, and of one that undoes the
    bijection."""
    outer, last = _parts(fn), fn.transforms[-1]
    inner = fn.base_dist
    if len(fn.transforms) > 1:
        inner = dist.TransformedDistribution(fn.base_dist, fn.transforms[:-1])
    if outer is None:
        return None
    if len(outer) == 1 and type(last) is type(outer[0]) and isinstance(last, UNDONE):
        return _plain(inner) if _parts(inner) == [] else None
    within = _parts(inner)
    known = unconstrained_law(inner)
    if known is None or not within or not outer or type(within[0]) is not type(outer[0]):
        return None
    if isinstance(last, transforms.PowerTransform) and len(outer) == len(within) == 1:
        (exponent,) = floats(last.exponent)
        return _scaled(known, exponent)
    if isinstance(last, transforms.AffineTransform):
        (factor,) = floats(last.scale)
        if isinstance(outer[0], transforms.ExpTransform):
            return _shifted(known, jnp.log(jnp.abs(factor)))
        is_known = not isinstance(last.scale, jax.core.Tracer)
        is_reversed = is_known and np.all(np.less(last.scale, 0))  # as NumPyro's `codomain` asks
        return _scaled(known, jnp.full((), -1.0 if is_reversed else 1.0))
    return None


# Transforms without parameters, whose input is the unconstrained number where they come last.
UNDONE = (
    transforms.ExpTransform,
    transforms.SigmoidTransform,
    transforms.StickBreakingTransform,
    transforms.OrderedTransform,
)


def _parts(fn: Any) -> list[Any] | None:
    """Return the bijection to the support, as a list without what wraps its steps; None: there is
    none."""
    try:
        return _unwrapped(biject_to(fn.support))
    except (NotImplementedError, TypeError, AttributeError):
        return None


def _unwrapped(transform: Any) -> list[Any]:
    if isinstance(transform, transforms.IndependentTransform):
        return _unwrapped(transform.base_transform)
    if isinstance(transform, transforms.ComposeTransform):
        return [step for part in transform.parts for step in _unwrapped(part)]
    return [] if isinstance(transform, transforms.IdentityTransform) else [transform]


def _plain(fn: Any) -> UnconstrainedLaw:
    """Return NumPyro's own, on the line."""
    law = unconstrained_law(fn)
    if law is not None:
        return law

    def draw(key: Array, shape: Shape) -> Array:
        drawn: Array = fn.expand(shape).sample(key)
        return drawn

    return UnconstrainedLaw(draw=draw, log_density=fn.log_prob, event_dim=fn.event_dim)


def _scaled(law: UnconstrainedLaw, factor: Array) -> UnconstrainedLaw:
    return UnconstrainedLaw(
        draw=lambda key, shape: factor * law.draw(key, shape),
        log_density=lambda u: law.log_density(u / factor) - jnp.log(jnp.abs(factor)),
        event_dim=law.event_dim,
    )


def _shifted(law: UnconstrainedLaw, shift: Array) -> UnconstrainedLaw:
    return UnconstrainedLaw(
        draw=lambda key, shape: shift + law.draw(key, shape),
        log_density=lambda u: law.log_density(u - shift),
        event_dim=law.event_dim,
    )


LAWS: dict[Any, Callable[[Any], UnconstrainedLaw | None]] = {
    **FAMILIES,
    dist.MixtureSameFamily: _mixture,
    dist.TransformedDistribution: _transformed,  # after the families that derive from it
}
