"""Record a NumPyro model as two programs over one flat vector: prior draws and the densities.

The model is run three times and never again: a draw of all latents from the prior shows what the
sites are, an evaluation at an unknown vector gives everything else, and a second one shows whether
the model is a function.  What the runs show must agree.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers

from numpygeons.arrays import Array
from numpygeons.errors import DiscreteLatentError, ModelError, warn_user
from numpygeons.target.flat_layout import FlatLayout, default_float
from numpygeons.target.model.checks import check_no_nan, check_same_sites
from numpygeons.target.model.enumeration import summed_out
from numpygeons.target.model.failures import NEEDS_A_VALUE, explaining
from numpygeons.target.model.purity import changed_sites, recorded_twice
from numpygeons.target.model.sites import ModelRun, Sites
from numpygeons.target.rewriting.program import rewritten
from numpygeons.xla.traced import Traced


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordedModel:
    """A model, recorded; the vector x has the layout `layout`."""

    run: ModelRun
    sites: Sites
    layout: FlatLayout
    drawn: Callable[[Array], Array]  # a key of JAX's default kind to x
    evaluated: Traced  # x to log_reference, v, log_pair, pointwise, constrained

    def draw(self, key: Array) -> Array:
        """Draw x from the prior; any JAX key, typed or raw."""
        key = typed_key(key)
        if key.dtype != default_key().dtype:  # a generator the program was not recorded for
            return self.layout.flatten(self.run.draw(key)[0])
        return self.drawn(key)

    def constrain(self) -> Callable[[Array], dict[str, Array]]:
        """Return the function from x to latents, then deterministic sites, by name."""
        names = [*self.layout.names, *self.sites.deterministic]
        values = self.evaluated.part("constrained")
        return lambda x: dict(zip(names, values(x), strict=True))

    def log_likelihood(self) -> Callable[[Array], dict[str, Array]]:
        """Return the function from x to the pointwise log likelihood of each observed site."""
        names = [site.name for site in self.sites.observed]
        values = self.evaluated.part("pointwise")
        return lambda x: dict(zip(names, values(x), strict=True))

    def unconstrain(self, values: Mapping[str, Any]) -> Array:
        """Map the constrained values of all latents to x.

        Raises
        ------
        ValueError
            A latent is missing.
        """
        missing = [name for name in self.layout.names if name not in values]
        if missing:
            raise ValueError(
                f"values of all latent sites are needed: missing {missing}, got {list(values)}"
            )
        arrays = {
            latent.name: jnp.asarray(values[latent.name], latent.dtype)
            for latent in self.sites.latents
        }
        return self.layout.flatten(self.run.unconstrain(arrays))


def default_key() -> Any:
    """Return shape and dtype of a key of JAX's default kind."""
    return jax.eval_shape(jax.random.key, 0)


def typed_key(key: Array) -> Array:
    """Return a typed key for a typed key, or for the raw data of a key of the default kind."""
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    typed: Array = jax.random.wrap_key_data(key)
    return typed


def trace_model(
    model: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> RecordedModel:
    """Record a model; refuse what cannot be tempered.

    Raises
    ------
    ModelError
        No proper prior, no fixed likelihood, nothing to sample, or NaN in the data.
    TypeError
        The model cannot be called with these arguments.
    """
    _check_call(model, args, kwargs)
    run = ModelRun(model=model, args=args, kwargs=kwargs)
    try:
        drawn, sites = _trace_draw(run)
    except DiscreteLatentError:
        with explaining(args, kwargs):
            found = summed_out(model, args, kwargs)
        if found is None:
            raise
        marginal, left_out = found
        run = ModelRun(model=marginal, args=args, kwargs=kwargs)
        drawn, sites = _trace_draw(run)
        for name in left_out:
            warn_user(
                f"deterministic site {name!r} depends on a discrete latent that is summed out: "
                "it has no value, and is left out of the draws"
            )
    if not sites.latents:
        hint = "is every site observed or conditioned?"
        if callable(handlers.block(handlers.seed(model, 0))(*args, **kwargs)):
            hint = "it returned a function: if that is the model, pass it in the place of its maker"
        if sites.params:
            hint = (
                f"the param sites {list(sites.params)} are not latents: make them "
                "numpyro.sample sites with priors, or lift them with numpyro.handlers.lift"
            )
        raise ModelError(
            f"the model has no latent site, so there is nothing to sample (dimension 0); {hint}"
        )
    layout = FlatLayout(
        names=tuple(latent.name for latent in sites.latents),
        shapes=tuple(latent.unconstrained_shape for latent in sites.latents),
        dtypes=tuple(latent.dtype for latent in sites.latents),
        dtype=default_float(),
    )
    if layout.dimension == 0:
        raise ModelError(
            f"the latent sites {list(layout.names)} have no coordinates (dimension 0), so there "
            "is nothing to sample; is a plate or an event empty, or a Dirichlet of length 1?"
        )
    _take_constants(run, drawn.constants("found"))
    evaluated = _trace_evaluation(run, layout, sites)
    _warn_about(sites)
    return RecordedModel(
        run=run, sites=sites, layout=layout, drawn=drawn.part("x"), evaluated=evaluated
    )


def _check_call(model: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if isinstance(model, type):
        raise TypeError(
            f"the model must be a function with NumPyro primitives: got the class "
            f"{model.__name__}; pass an instance whose __call__ is the model, or its method"
        )
    if inspect.isgeneratorfunction(model) or inspect.iscoroutinefunction(model):
        word = "yield" if inspect.isgeneratorfunction(model) else "async"
        raise TypeError(
            f"the model {getattr(model, '__name__', model)} has `{word}` in it, so that calling it "
            f"does not run its body: got a generator or coroutine; drop `{word}`"
        )
    try:
        signature = inspect.signature(model)
    except ValueError:
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        name = getattr(model, "__name__", type(model).__name__)
        raise TypeError(
            f"the model cannot be called with {len(args)} model_args and model_kwargs "
            f"{sorted(kwargs)}: {error}; it wants {name}{signature}"
        ) from error


def _take_constants(run: ModelRun, found: dict[str, dict[str, Any]]) -> None:
    """Check the data, and keep what later runs of the model need to know."""
    for name, value in found["data"].items():
        check_no_nan(name, value, found["masks"][name])
    for name, value in found["params"].items():
        leaves = jax.tree.leaves(value, is_leaf=lambda leaf: leaf is None)
        if all(leaf is not None for leaf in leaves):
            run.params[name] = jax.tree.map(jnp.asarray, value)


def _trace_draw(run: ModelRun) -> tuple[Traced, Sites]:
    seen: list[Sites] = []

    def program(key: Array) -> dict[str, Any]:
        free, found, sites = run.draw(key)
        seen.append(sites)
        layout = FlatLayout(
            names=tuple(free),
            shapes=tuple(value.shape for value in free.values()),
            dtypes=(),
            dtype=default_float(),
        )
        return {"x": layout.flatten(free) if free else jnp.zeros(0), "found": found}

    with explaining(run.args, run.kwargs):
        try:
            return Traced(program, default_key()), seen[-1]
        except NEEDS_A_VALUE:
            _refuse_changing_sites(run)
            raise


def _refuse_changing_sites(run: ModelRun) -> None:
    """Say which site changes with the values of the latents, by running the model on some."""
    first = None
    for seed in range(8):
        try:
            signature = run.draw(jax.random.key(seed))[2].signature
            check_same_sites(first or signature, signature)
        except ModelError:
            raise
        except Exception:
            return
        first = signature


def _trace_evaluation(run: ModelRun, layout: FlatLayout, sites: Sites) -> Traced:
    seen: list[Sites] = []

    def program(x: Array) -> dict[str, Any]:
        parts, now = run.evaluate(layout.unflatten(x))
        seen.append(now)
        log_reference = (parts.log_prior + parts.log_det).astype(layout.dtype)
        v = parts.v.astype(layout.dtype)
        return {
            "log_reference": log_reference,
            "v": v,
            "log_pair": (log_reference, v),
            # Tuples: JAX sorts the keys of a dictionary, and the order of the model is wanted.
            "pointwise": tuple(parts.pointwise.values()),
            "constrained": tuple(parts.constrained.values()),
        }

    x = jnp.zeros(layout.dimension, layout.dtype)
    with explaining(run.args, run.kwargs):
        both = recorded_twice(lambda: Traced(lambda x: program(x), x))
    for now in seen:
        check_same_sites(sites.signature, now.signature)
    names = [site.name for site in sites.observed]
    for remark in changed_sites(both, names):
        warn_user(remark)
    _check_likelihood(both.first, names)
    return both.first.rewritten(rewritten)


def _check_likelihood(evaluated: Traced, names: list[str]) -> None:
    """Look at the log likelihoods that no latent influences."""
    fixed = evaluated.constants("pointwise")
    for name, value in zip(names, fixed, strict=True):
        if value is not None and value.size and not np.all(np.isfinite(value)):
            raise ModelError(
                f"observed site {name!r} has the log likelihood "
                f"{value[~np.isfinite(value)].flat[0]} whatever the latents are: it depends on "
                "none of them; check its data and its parameters"
            )
    if names and all(value is not None for value in fixed):
        warn_user(
            f"the data do not depend on the latents: no latent enters the log likelihood of "
            f"{', '.join(map(repr, names))}, so the posterior is the prior; use the latents in "
            "the parameters of an observed site"
        )


def _warn_about(sites: Sites) -> None:
    if not sites.observed:
        warn_user(
            "the model has nothing observed and no factor: the posterior is the prior, and log Z "
            "is 0 at every beta"
        )
    for remark in sites.remarks:
        warn_user(remark)
    for name in sites.params:
        warn_user(
            f"param site {name!r} is not a latent: it stays fixed at its initial value; make it a "
            "numpyro.sample site to infer it"
        )
    for name in sites.substituted:
        warn_user(
            f"latent site {name!r} has a value from handlers.substitute, which does not make it "
            "data: it is sampled all the same; use handlers.condition to fix it"
        )
    if sites.uses_prng_key:
        warn_user("numpyro.prng_key() in the model is frozen to jax.random.key(0) at every call")
