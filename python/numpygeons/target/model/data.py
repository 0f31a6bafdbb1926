"""Check what a model observes: numbers, of a shape that fits, each counted once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from numpygeons.errors import ModelError
from numpygeons.target.model.arguments import not_numbers


def check_data(site: dict[str, Any]) -> None:
    """Refuse data that are not numbers.

    Raises
    ------
    ModelError
        Names the site, what was got, and what to pass instead.
    """
    name, fn = site["name"], site["fn"]
    if isinstance(fn, dist.Unit):  # a factor
        _check_factor(name, fn.log_factor)
        return
    found = not_numbers(site["value"])
    if found is not None:
        raise ModelError(f"observed site {name!r} is given {found}")
    if np.iscomplexobj(site["value"]):
        raise ModelError(
            f"observed site {name!r} is given complex numbers, which have no density here; observe "
            "their real and imaginary parts"
        )


def _check_factor(name: str, value: Any) -> None:
    found = "None" if value is None else not_numbers(value)
    if found is not None:
        raise ModelError(f"factor {name!r} must be the log of a density: got {found}")
    if isinstance(value, bool) or getattr(value, "dtype", None) == np.dtype(bool):
        raise ModelError(
            f"factor {name!r} is True or False, which would add 1 or 0 to the log density: to "
            "leave out where a condition fails, write jnp.where(condition, 0.0, -jnp.inf)"
        )


def as_values(site: dict[str, Any]) -> Any:
    """Return the data of an observed site, a list as an array.

    What is known now stays NumPy's, so that it can be looked at while JAX records the model.
    """
    value = site["value"]
    if not isinstance(value, list | tuple):
        return value
    if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value)):
        return jnp.asarray(value)
    return np.asarray(value)


def blown_up(site: dict[str, Any]) -> Iterator[str]:
    """Say where data and distribution broadcast against each other, each along its own axis.

    A latent of shape (20, 1) and data of shape (20,) give a likelihood of 20 x 20 terms.  No word
    where one of the two is spread over the other alone (a single number over a plate), or over an
    axis that a plate declares.
    """
    fn = _as_written(site["fn"])
    event = len(fn.event_shape)
    data = tuple(jnp.shape(site["value"]))
    data = data[: max(len(data) - event, 0)]
    batch = tuple(fn.batch_shape)
    n_axes = max(len(data), len(batch))
    plates = {n_axes + frame.dim for frame in site["cond_indep_stack"]}
    own, theirs = ((1,) * (n_axes - len(shape)) + shape for shape in (batch, data))
    pairs = list(enumerate(zip(own, theirs, strict=True)))
    repeats_distribution = [axis for axis, (a, b) in pairs if a == 1 and b > 1]
    repeats_data = [axis for axis, (a, b) in pairs if b == 1 and a > 1 and axis not in plates]
    crossed = bool(repeats_distribution and repeats_data)
    # Or already within the distribution: its parameters were (20, 1) and (20,).
    squared = bool(data) and any(own[axis] == data[-1] > 1 for axis in repeats_data)
    if isinstance(fn, dist.Unit) or not (crossed or squared):
        return
    whole = tuple(max(a, b) for _, (a, b) in pairs)
    yield (
        f"observed site {site['name']!r} has a likelihood of shape {whole}, {math.prod(whole)} "
        f"terms: data of shape {data} and a distribution of batch shape {batch} broadcast against "
        "each other; if every datum counts once, give both the same shape, for instance by "
        "x[:, 0] or data[:, None]; if not, declare the other axis by a numpyro.plate"
    )


def _as_written(fn: Any) -> Any:
    """Return a distribution before plates expanded it and handlers masked it."""
    while isinstance(fn, dist.ExpandedDistribution | dist.MaskedDistribution):
        fn = fn.base_dist
    return fn
