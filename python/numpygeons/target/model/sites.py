"""Split a NumPyro model into log prior, in unconstrained space, and log likelihood, site by site.

The model runs abstractly: once to draw every latent from its prior (which also shows what the
sites are), and once to evaluate the density at given unconstrained values.  Latents
are moved between spaces here, at the site, with the support that the site has in that very
call: supports may depend on other latents, and a site inside NumPyro's ``scan`` counts its
determinant once per step.  NumPyro's own auxiliary Jacobian sites are never made, so a user's
site may bear any name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions.transforms import IdentityTransform, IndependentTransform

from numpygeons.arrays import Array
from numpygeons.errors import ModelError
from numpygeons.target.model.checks import (
    check_bounds,
    check_in_support,
    check_latent,
    check_real,
    check_same_shape,
    masks_of,
    transform_of,
)
from numpygeons.target.model.data import as_values, blown_up, check_data
from numpygeons.target.model.failures import at_site
from numpygeons.target.model.field_order import ordered_fields
from numpygeons.target.model.unconstrained_laws import unconstrained_law
from numpygeons.target.model.visitor import Visit, at_step, visited_trace

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """A latent site: where it stands in the flat vector is decided by the order of the sites."""

    name: str
    unconstrained_shape: Shape
    dtype: np.dtype[Any]
    shape: Shape  # of the constrained value
    dims: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """An observed site or a factor: likelihood."""

    name: str
    shape: Shape  # of its pointwise log likelihood
    dims: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """What one run of the model has shown; sites in the order in which the model meets them."""

    latents: tuple[Latent, ...]
    observed: tuple[Observed, ...]
    deterministic: dict[str, tuple[str, ...]]  # name to dims
    plates: dict[str, int]  # name to size
    signature: dict[str, tuple[str, Shape]]
    substituted: tuple[str, ...]  # latents that handlers.substitute tried to fix
    params: tuple[str, ...]
    uses_prng_key: bool
    remarks: tuple[str, ...] = ()  # what deserves a look


class Evaluation(NamedTuple):
    """The parts of the density at one point; logarithms are natural."""

    log_prior: Array  # summed over latents; in constrained space, or with the determinant
    log_det: Array  # log|det J| of the map to constrained values, where log_prior is without it
    v: Array  # the log likelihood, summed over observed sites
    pointwise: dict[str, Array]
    constrained: dict[str, Array]  # latents, then deterministic sites


@dataclass(slots=True, kw_only=True, eq=False)
class ModelRun:
    """A NumPyro model with its arguments, run in one of three ways.

    Parameters
    ----------
    model : callable
        A function with NumPyro primitives, handlers around it included.
    args, kwargs
        What the model is called with.
    params : dict
        Values of ``param`` sites, fixed.
    """

    model: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    params: dict[str, Any] = field(default_factory=dict)

    @ordered_fields()
    def draw(self, key: Array) -> tuple[dict[str, Array], dict[str, dict[str, Any]], Sites]:
        """Draw all latents from the prior.

        Returns
        -------
        unconstrained : dict of Array
            Stacked over the steps of a scan, in the order of its arrays.
        found : dict
            ``"data"``, ``"masks"`` and ``"params"``, by site name.
        sites : Sites
            What the sites are.
        """
        order: dict[str, int] = {}
        substituted: list[str] = []
        remarks: dict[str, None] = {}  # in order

        def visit(site: dict[str, Any], length: int = 0, reverse: bool = False) -> Any:
            if site["type"] != "sample":
                return None
            check_bounds(site)
            if site["is_observed"]:
                check_data(site)
                remarks.update(dict.fromkeys(blown_up(site)))
                return None
            check_latent(site)
            transform = transform_of(site)
            name, fn = site["name"], site["fn"]
            if site["value"] is not None and name not in substituted:
                substituted.append(name)
            own = jax.random.fold_in(key, order.setdefault(name, len(order)))
            step = site["infer"].get("_scan_current_index")
            if step is not None:
                own = jax.random.fold_in(own, step)
            sample_shape = tuple(site["kwargs"].get("sample_shape", ()))
            law = unconstrained_law(fn)
            # `args` travels with the site out of a scan, stacked, and is not used otherwise.
            if law is not None:
                shape = tuple(transform.inverse_shape(sample_shape + tuple(fn.shape())))
                free = law.draw(own, shape[: len(shape) - law.event_dim])
                site["args"] = (free,)
                return transform(free)
            try:
                value = fn(rng_key=own, sample_shape=sample_shape)
            except NotImplementedError as error:
                raise ModelError(
                    f"latent site {name!r} ({type(fn).__name__}) cannot be drawn from its prior: "
                    "its distribution has no `sample`; give the distribution one, or use another"
                ) from error
            check_real(name, "a draw", value)
            site["args"] = (transform.inv(value),)
            return value

        trace, used_key = self._trace(visit)
        unconstrained = {}
        found: dict[str, dict[str, Any]] = {"data": {}, "masks": {}, "params": {}}
        for name, site in trace.items():
            if site["type"] == "param":
                found["params"][name] = site["value"]
            elif site["type"] == "sample" and site["is_observed"]:
                value = as_values(site)
                if jnp.size(value):
                    check_in_support(name, site["fn"], value)
                    found["data"][name] = value
                    found["masks"][name] = masks_of(site["fn"])
            elif site["type"] == "sample":
                check_latent(site)  # again: a handler around a scan shows only now
                unconstrained[name] = jnp.asarray(site["args"][0])
        sites = _describe(trace, unconstrained, tuple(substituted), used_key)
        return unconstrained, found, replace(sites, remarks=tuple(remarks))

    @ordered_fields()
    def evaluate(self, unconstrained: dict[str, Array]) -> tuple[Evaluation, Sites]:
        """Evaluate the parts of the density at unconstrained values of all latents."""

        def visit(site: dict[str, Any], length: int = 0, reverse: bool = False) -> Any:
            name = site["name"]
            if site["type"] != "sample" or site["is_observed"] or name not in unconstrained:
                return None
            free = at_step(unconstrained[name], site, length, reverse)
            transform = transform_of(site)
            check_same_shape(site, transform, free.shape)
            value = transform(free)
            with at_site(site):
                site["args"] = _log_density(site["fn"], transform, free, value)
            check_real(name, "the log density", site["args"][0])
            return value

        trace, used_key = self._trace(visit)
        log_prior, log_det, v = jnp.zeros(()), jnp.zeros(()), jnp.zeros(())
        pointwise: dict[str, Array] = {}
        constrained: dict[str, Array] = {}
        deterministic: dict[str, Array] = {}
        for name, site in trace.items():
            if site["type"] == "deterministic":
                with at_site(site):
                    deterministic[name] = jnp.asarray(site["value"])
            elif site["type"] == "sample" and site["is_observed"]:
                with at_site(site):
                    terms = jnp.asarray(site["fn"].log_prob(jnp.asarray(as_values(site))))
                check_real(name, "the log density", terms)
                if site["scale"] is not None:
                    terms = site["scale"] * terms
                pointwise[name] = terms
                v = v + jnp.sum(terms)
            elif site["type"] == "sample" and name in unconstrained:
                constrained[name] = jnp.asarray(site["value"])
                log_prior = log_prior + jnp.sum(site["args"][0])
                log_det = log_det + jnp.sum(site["args"][1])
        parts = Evaluation(log_prior, log_det, v, pointwise, {**constrained, **deterministic})
        return parts, _describe(trace, unconstrained, (), used_key)

    @ordered_fields()
    def unconstrain(self, constrained: dict[str, Array]) -> dict[str, Array]:
        """Map constrained values of all latents to unconstrained ones."""

        def visit(site: dict[str, Any], length: int = 0, reverse: bool = False) -> Any:
            if site["type"] != "sample" or site["is_observed"]:
                return None
            value = at_step(constrained[site["name"]], site, length, reverse)
            site["args"] = (transform_of(site).inv(value),)
            return value

        trace, _ = self._trace(visit)
        return {
            name: site["args"][0]
            for name, site in trace.items()
            if site["type"] == "sample" and not site["is_observed"]
        }

    def _trace(self, visit: Visit) -> tuple[dict[str, dict[str, Any]], bool]:
        return visited_trace(self.model, visit, self.params, self.args, self.kwargs)


def _describe(
    trace: dict[str, dict[str, Any]],
    unconstrained: dict[str, Array],
    substituted: tuple[str, ...],
    uses_prng_key: bool,
) -> Sites:
    latents, observed, params = [], [], []
    deterministic: dict[str, tuple[str, ...]] = {}
    plates: dict[str, int] = {}
    signature: dict[str, tuple[str, Shape]] = {}
    for name, site in trace.items():
        kind = site["type"]
        if kind == "param":
            params.append(name)
        if kind not in ("sample", "deterministic"):
            continue
        for frame in site["cond_indep_stack"]:
            plates.setdefault(frame.name, frame.size)
        shape = tuple(jnp.shape(site["value"]))
        if kind == "deterministic":
            signature[name] = ("deterministic", shape)
            deterministic[name] = _dims(name, shape, site["cond_indep_stack"], None)
        elif site["is_observed"]:
            event_dim = len(site["fn"].event_shape)
            with at_site(site):
                batch = jnp.broadcast_shapes(
                    tuple(site["fn"].batch_shape), shape[: max(len(shape) - event_dim, 0)]
                )
            signature[name] = ("observed", (*batch, *site["fn"].event_shape))
            dims = _dims(name, batch, site["cond_indep_stack"], 0)
            observed.append(Observed(name=name, shape=batch, dims=dims))
        else:
            signature[name] = ("latent", shape)
            event_dim = len(site["fn"].event_shape)
            free = unconstrained[name]
            latents.append(
                Latent(
                    name=name,
                    unconstrained_shape=tuple(free.shape),
                    dtype=np.dtype(free.dtype),
                    shape=shape,
                    dims=_dims(name, shape, site["cond_indep_stack"], event_dim),
                )
            )
    return Sites(
        latents=tuple(latents),
        observed=tuple(observed),
        deterministic=deterministic,
        plates=plates,
        signature=signature,
        substituted=substituted,
        params=tuple(params),
        uses_prng_key=uses_prng_key,
    )


def _dims(name: str, shape: Shape, frames: list[Any], event_dim: int | None) -> tuple[str, ...]:
    """Name the axes of a value: the plates', and ``<site>_dim_<k>`` for the rest.

    A deterministic site does not know its event dimension (None): the smallest one under which
    each plate meets an axis of its own size is taken.
    """
    candidates = range(len(shape)) if event_dim is None else (event_dim,)
    for events in candidates:
        dims = [f"{name}_dim_{axis}" for axis in range(len(shape))]
        fits = True
        for frame in frames:
            axis = len(shape) - events + frame.dim
            if 0 <= axis < len(shape) and shape[axis] == frame.size:
                dims[axis] = frame.name
            else:
                fits = False
        if fits or event_dim is not None:
            return tuple(dims)
    return tuple(f"{name}_dim_{axis}" for axis in range(len(shape)))


def _log_density(fn: Any, transform: Any, free: Array, value: Array) -> tuple[Array, Array]:
    """Return two terms of the log density of a latent in unconstrained space, summed over its
    events."""
    law = unconstrained_law(fn)
    if law is not None:
        return jnp.sum(law.log_density(free)), jnp.zeros(())
    log_prob = jnp.sum(fn.log_prob(value))
    if not _is_identity(transform):
        # XLA takes log(exp(u)) for u: the density may be finite where the value is not.
        log_prob = jnp.where(jnp.all(jnp.isfinite(value)), log_prob, -jnp.inf)
    return log_prob, jnp.sum(transform.log_abs_det_jacobian(free, value))


def _is_identity(transform: Any) -> bool:
    while isinstance(transform, IndependentTransform):
        transform = transform.base_transform
    return isinstance(transform, IdentityTransform)
