"""Refuse the constructs of a model that leave nothing to temper from, or no fixed likelihood.

Every refusal names the site, says why, and says what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import biject_to

from numpygeons.errors import DiscreteLatentError, ModelError


def wrapped(fn: Any) -> Iterator[Any]:
    """Yield a distribution and everything that it wraps (mask, expand, to_event, transforms)."""
    while fn is not None:
        yield fn
        fn = getattr(fn, "base_dist", None)


def masks_of(fn: Any) -> list[Any]:
    """Return the masks on a distribution, each ready to broadcast against a value.

    A mask covers the batch shape of its own layer; the dimensions of the events are appended.
    """
    masks = []
    for layer in wrapped(fn):
        if isinstance(layer, dist.MaskedDistribution):
            mask = layer._mask
            if not isinstance(mask, bool):
                mask = mask.reshape(mask.shape + (1,) * len(layer.event_shape))
            masks.append(mask)
    return masks


def check_latent(site: dict[str, Any]) -> None:
    """Refuse a latent site without a proper prior density on a continuous space.

    Raises
    ------
    ModelError
        Improper, masked, scaled or Delta; and as DiscreteLatentError, discrete.
    """
    name, fn = site["name"], site["fn"]
    layers = list(wrapped(fn))
    if any(isinstance(layer, dist.ImproperUniform) for layer in layers):
        if name.endswith("_unwrapped"):
            raise ModelError(
                f"latent site {name!r}: CircularReparam replaces the prior by an improper one on "
                f"the whole line, which cannot be normalised at any beta or drawn from; leave "
                f"{name.removesuffix('_unwrapped')!r} as a plain VonMises"
            )
        raise ModelError(
            f"latent site {name!r} has an improper prior (ImproperUniform): it cannot be "
            f"normalised at beta = 0 or drawn from; give {name!r} a proper prior, for instance "
            "a wide Normal, HalfNormal or Uniform"
        )
    for layer in layers:
        if isinstance(layer, dist.MaskedDistribution) and layer._mask is not True:
            _refuse_mask(name)
    scale = site.get("scale")
    if scale is not None and not _is_one(scale):
        raise ModelError(
            f"latent site {name!r} stands under a scale: that multiplies its log prior, so the "
            "prior is no longer normalised and its own draws do not follow it; move the scale "
            "(or the subsampled plate) so that it covers observed sites only"
        )
    if any(isinstance(layer, dist.Delta) for layer in layers):
        raise ModelError(
            f"latent site {name!r} has a Delta distribution, which has no density; write "
            f"numpyro.deterministic({name!r}, value) instead"
        )
    if _is_discrete(fn):
        hint = (
            "sum it out of the model, for instance with MixtureSameFamily, or by logsumexp over "
            "its values and numpyro.factor"
        )
        if fn.has_enumerate_support:
            hint += ", or mark it with infer={'enumerate': 'parallel'} (needs funsor)"
        raise DiscreteLatentError(
            f"latent site {name!r} is discrete ({kind_of(fn)}): chains move in continuous space; "
            f"{hint}"
        )


def _refuse_mask(name: str) -> None:
    if name.endswith("_unobserved"):
        stem = name.removesuffix("_unobserved")
        raise ModelError(
            f"latent site {name!r} comes from obs_mask= at site {stem!r}: it is full-sized, and "
            "flat wherever data exist, so its prior cannot be normalised; sample the missing "
            f"entries alone as a latent of their own size, and observe the others at {stem!r}"
        )
    if name.endswith("_shared_latent"):
        raise ModelError(
            f"latent site {name!r} comes from NeuTraReparam: its prior is masked out and moved "
            "into factors, so there is no prior to draw from; pass the model without NeuTraReparam"
        )
    raise ModelError(
        f"latent site {name!r} is masked: the mask removes its prior and leaves it improper "
        "(flat); take the mask off the latent, and mask the observed sites instead"
    )


def check_real(name: str, what: str, value: Any) -> None:
    """Refuse complex numbers, whose imaginary part would be dropped.

    Raises
    ------
    ModelError
        Names the site.
    """
    if np.iscomplexobj(value):
        raise ModelError(
            f"site {name!r}: {what} is complex (dtype {value.dtype}), but a density is real; take "
            "jnp.real or jnp.abs of what is meant"
        )


def check_bounds(site: dict[str, Any]) -> None:
    """Refuse a distribution on an interval whose bounds, known now, leave nothing between them.

    Raises
    ------
    ModelError
        Names the site and the bounds.
    """
    try:
        support = site["fn"].support
        while hasattr(support, "base_constraint"):
            support = support.base_constraint
        low, high = support.lower_bound, support.upper_bound
    except (NotImplementedError, AttributeError):
        return
    if isinstance(low, jax.core.Tracer) or isinstance(high, jax.core.Tracer):
        return
    try:
        low, high = np.asarray(low), np.asarray(high)
        wrong = np.asarray(~(low <= high if _is_discrete(site["fn"]) else low < high))
    except (TypeError, ValueError):
        return
    if not wrong.any():
        return
    pairs = np.broadcast_arrays(low, high, wrong)
    low, high = (array[pairs[2]].flat[0] for array in pairs[:2])
    raise ModelError(
        f"site {site['name']!r} ({kind_of(site['fn'])}) has the lower bound {low} and the upper "
        f"bound {high}, so nothing lies between them; give a lower bound below the upper one"
    )


def _is_one(scale: Any) -> bool:
    try:
        return bool(np.all(np.asarray(scale) == 1))
    except Exception:  # a traced scale has no value to look at
        return False


def _is_discrete(fn: Any) -> bool:
    try:
        return bool(fn.support.is_discrete)
    except (NotImplementedError, AttributeError):
        return False


def kind_of(fn: Any) -> str:
    """Return the name of a distribution's family, whatever wraps it."""
    return type(list(wrapped(fn))[-1]).__name__


def transform_of(site: dict[str, Any]) -> Any:
    """Return the bijection from unconstrained space to the support of a latent site.

    Raises
    ------
    ModelError
        NumPyro has no bijection for the support.
    """
    fn = site["fn"]
    try:
        return biject_to(fn.support)
    except (NotImplementedError, TypeError, AttributeError) as error:
        hint = "reparametrise it, or write it through latents with a support NumPyro can transform"
        if any(isinstance(layer, dist.ProjectedNormal) for layer in wrapped(fn)):
            hint = (
                "wrap the model in numpyro.handlers.reparam(model, "
                f"config={{{site['name']!r}: ProjectedNormalReparam()}})"
            )
        raise ModelError(
            f"latent site {site['name']!r} ({kind_of(fn)}) has a support without a smooth "
            f"bijection to unconstrained space: {fn.support}; {hint}"
        ) from error


def check_plate(name: str, size: int, subsample_size: int | None) -> None:
    """Refuse a plate that shows a random part of the data.

    Raises
    ------
    ModelError
        ``subsample_size`` differs from ``size``.
    """
    if subsample_size is not None and subsample_size != size:
        raise ModelError(
            f"plate {name!r} subsamples {subsample_size} of {size} rows, drawn anew by the seed: "
            "the likelihood is not a fixed function; use the whole plate "
            f"(subsample_size=None or {size})"
        )


def check_no_nan(name: str, value: Any, masks: list[Any]) -> None:
    """Refuse observed data with NaN that no mask covers.

    Parameters
    ----------
    value : ndarray or None
        The data; None where they depend on a latent.
    masks : list of ndarray, bool or None
        What `masks_of` gave, with None for a mask that depends on a latent.

    Raises
    ------
    ModelError
        Names the site and counts the NaN.
    """
    if value is None or not np.issubdtype(np.asarray(value).dtype, np.floating):
        return
    missing = np.isnan(value)
    if not missing.any():
        return
    for mask in masks:
        if mask is None:
            return
        missing = missing & mask
    count = int(missing.sum())
    if count:
        raise ModelError(
            f"observed site {name!r} has {count} NaN of {missing.size} values, so the likelihood "
            "is NaN everywhere; drop these rows, or mask them: "
            "with numpyro.handlers.mask(mask=~jnp.isnan(data)): ..."
        )


def check_same_sites(
    first: dict[str, tuple[str, tuple[int, ...]]],
    second: dict[str, tuple[str, tuple[int, ...]]],
) -> None:
    """Refuse a model whose sites differ between two calls.

    Parameters
    ----------
    first, second : dict
        Site name to (what the site is, shape of its value).

    Raises
    ------
    ModelError
        Names the first site that differs.
    """
    for name in [*first, *second]:
        if first.get(name) != second.get(name):
            got = [
                f"{calls[name][0]} of shape {calls[name][1]}" if name in calls else "absent"
                for calls in (first, second)
            ]
            raise ModelError(
                f"site {name!r} changes between calls of the model: {got[0]} in one, {got[1]} in "
                "the next; the sites and their shapes must be the same at every call, so fix the "
                "size, and mask what is not used"
            )


def check_same_shape(site: dict[str, Any], transform: Any, got: tuple[int, ...]) -> None:
    """Refuse a latent whose shape differs from the one that it had in an earlier call.

    Raises
    ------
    ModelError
        Names the site.
    """
    shape = tuple(site["kwargs"].get("sample_shape", ())) + tuple(site["fn"].shape())
    wanted = tuple(transform.inverse_shape(shape))
    if wanted != tuple(got):
        check_same_sites(
            {site["name"]: ("unconstrained latent", tuple(got))},
            {site["name"]: ("unconstrained latent", wanted)},
        )


def check_in_support(name: str, fn: Any, value: Any) -> None:
    """Refuse data at which NumPyro's density is zero whatever the latents are.

    Data or supports that are known only when the model runs, and masked sites, pass.

    Raises
    ------
    ModelError
        Names the site and counts the values.
    """
    layers = list(wrapped(fn))
    if isinstance(value, jax.core.Tracer) or masks_of(fn):
        return
    if not any(getattr(layer, "_validate_args", False) for layer in layers):
        return  # NumPyro's density does not look at the support then
    try:
        inside = np.asarray(fn.support(np.asarray(value)))
    except (NotImplementedError, TypeError, ValueError):
        return
    count = int(inside.size - inside.sum())
    if count and not np.isnan(np.asarray(value, float)).any():
        raise ModelError(
            f"observed site {name!r} has {count} of {inside.size} values outside the support "
            f"{fn.support} of its distribution ({kind_of(fn)}), so the likelihood is zero "
            "everywhere; correct the data or the distribution, or mask these values"
        )
