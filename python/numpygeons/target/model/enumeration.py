"""Sum enumerable discrete latents out of a NumPyro model.

What is left is a model of the continuous latents and one factor: the log likelihood of the data
with the discrete latents, weighted by their own probabilities, summed out.  The sum is that of
NumPyro's enumeration, which needs funsor: exact, over plates and over the steps of a scan.

So nothing after it knows of discrete latents.  The terms of the sum are compared first, with all
latents held in one state, with the model's own terms in that state.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro import handlers
from numpyro.primitives import Messenger

from numpygeons.arrays import Array
from numpygeons.errors import DiscreteLatentError, ModelError
from numpygeons.target.model.checks import (
    check_in_support,
    check_latent,
    check_no_nan,
    masks_of,
    transform_of,
)
from numpygeons.target.model.data import check_data
from numpygeons.target.model.failures import place_of, text_of
from numpygeons.target.model.visitor import at_step, visit_in_control_flow, visited_trace
from numpygeons.xla.compiler_options import jit
from numpygeons.xla.traced import Traced

Model = Callable[..., Any]
BY_HAND = "sum by hand, with MixtureSameFamily or with logsumexp and numpyro.factor"


def summed_out(
    model: Model, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Model, list[str]] | None:
    """Return the model without its discrete latents, and sites that depend on them.

    Every discrete latent must be enumerable and marked with ``infer={"enumerate": "parallel"}``,
    as ``config_enumerate`` does; None where a mark is missing.

    Returns
    -------
    model : callable
        Samples the continuous latents, and has one factor for all that is observed.
    left_out : list of str
        Deterministic sites that have no value, because they depend on a discrete latent.

    Raises
    ------
    ModelError
        A latent depends on a discrete one, a discrete one is masked or scaled, or funsor is
        missing.
    """
    given = _Given(model, 0, kind="substitute")

    def program(state: Array) -> dict[str, Any]:
        given.state = state
        trace = handlers.trace(handlers.seed(given, jax.random.key(0))).get_trace(*args, **kwargs)
        kinds = ("sample", "deterministic")
        values = {name: site["value"] for name, site in trace.items() if site["type"] in kinds}
        return {"values": values, "observed": {"data": given.data, "masks": given.masks}}

    recorded = Traced(program, jnp.int32(0))
    names = list(given.marked)
    if not names or not all(given.marked.values()):
        return None
    if find_spec("funsor") is None:
        raise ModelError(
            f"latent sites {names} are discrete and marked for enumeration, which needs funsor: "
            f"pip install 'numpygeons-core[enum]'; or {BY_HAND}"
        )
    observed = recorded.constants("observed")
    for name, value in observed["data"].items():
        check_no_nan(name, value, observed["masks"][name])
    moving = [name for name, varies in recorded.varies("values").items() if varies]
    for name in moving:
        if name in given.latents:
            raise ModelError(
                f"latent site {name!r} depends on a discrete one of {names}, so its prior alone "
                f"is no reference once they are summed out; {BY_HAND}, such that {name!r} has a "
                "prior of its own"
            )

    _check_broadcasts(model, given, args, kwargs)

    def marginal(*args: Any, **kwargs: Any) -> None:
        with handlers.trace() as trace:
            _Given(model, jnp.int32(0), moving)(*args, **kwargs)
        values = {name: trace[name]["value"] for name in given.latents}
        log_sum, _ = _log_sum(model, values, given.n_dims, names, args, kwargs)
        numpyro.factor("sum_over_" + "_".join(names), log_sum)

    return marginal, moving


def _log_sum(
    model: Model,
    values: dict[str, Array],
    n_dims: int,
    names: list[str],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Array, dict[str, dict[str, Any]]]:
    """Return the log of the sum over the discrete latents `names` of everything but the prior of
    the others.

    Also the sites, whose values have one axis more for each discrete latent.
    """
    from numpyro.contrib.funsor import enum
    from numpyro.contrib.funsor.infer_util import log_density

    enumerated = enum(model, first_available_dim=-1 - n_dims)
    try:
        with _Apart():
            total, sites = log_density(_WithoutPrior(enumerated, values), args, kwargs, {})
    except ModelError:
        raise
    except (AssertionError, LookupError, NotImplementedError, TypeError, ValueError) as error:
        raise ModelError(
            f"latent sites {names} cannot be summed out by NumPyro's enumeration: it fails"
            f"{place_of(error)}, {text_of(error)}. Enumeration gives each of {names} all its "
            f"states at once, in an axis to the left of the {n_dims} of the plates: its shape is "
            f"{(2, *(1,) * n_dims)} for two states, and matmul, sums and indices meet that axis; "
            f"let them act on the last axes alone, such as z[..., None], or {BY_HAND}"
        ) from error
    return jnp.asarray(total), sites


def _check_broadcasts(
    model: Model, given: _Given, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Refuse a model in which the axes that hold the states meet other axes.

    With every discrete latent in one state, the terms of the sum must be those of the model
    itself in that state.

    Raises
    ------
    ModelError
        They are not.
    """
    names = list(given.marked)

    def program() -> dict[str, Any]:
        found, _ = visited_trace(_Given(model, 0), _some_value, {}, args, kwargs)
        values = {name: found[name]["value"] for name in given.latents}
        _, sites = _log_sum(model, values, given.n_dims, names, args, kwargs)
        own, summed = [], []
        for state in range(2):
            inner = handlers.trace(model)
            with _Apart():
                _Given(_WithoutPrior(inner, values), state)(*args, **kwargs)
            own.append(sum(_terms(site, {}, state) for site in inner.trace.values()))
            axes = [{d: n for d, n in _axes(site) if _plain(n) in names} for site in sites.values()]
            terms = zip(sites.values(), axes, strict=True)
            summed.append(sum(_terms(site, held, state) for site, held in terms))
        return {"own": jnp.stack(own), "summed": jnp.stack(summed)}

    result = jax.device_get(jit(program)())
    if not np.allclose(result["own"], result["summed"], rtol=1e-3, atol=1e-3, equal_nan=True):
        raise ModelError(
            f"latent sites {names} cannot be summed out: with all of them in their states 0 and 1 "
            f"the log density is {result['own']}, but {result['summed']} when they hold all states "
            "at once, in axes to the left of the plates; give what depends on them an axis for the "
            "entries of each event, such as z[..., None], and index from the right"
        )


def _some_value(site: dict[str, Any], length: int = 0, reverse: bool = False) -> Array | None:
    """Return a value in the support of a latent; no draw, which takes long to compile."""
    if site["type"] != "sample" or site["is_observed"]:
        return None
    transform = transform_of(site)
    shape = transform.inverse_shape(
        tuple(site["kwargs"].get("sample_shape", ())) + tuple(site["fn"].shape())
    )
    free = 0.3 * jnp.cos(jnp.arange(np.prod(shape, dtype=int), dtype=float))
    value: Array = transform(free.reshape(shape))
    return value


def _axes(site: dict[str, Any]) -> list[tuple[int, str]]:
    return list(site["infer"]["dim_to_name"].items()) if site["type"] == "sample" else []


def _terms(site: dict[str, Any], held: dict[int, str], state: int) -> Array:
    """Return the log probability of a site, with the axes `held` at one state."""
    if site["type"] != "sample":
        return jnp.zeros(())
    terms = jnp.asarray(site["fn"].log_prob(site["value"]))
    if site["scale"] is not None:
        terms = site["scale"] * terms
    for axis in held:
        if -axis <= terms.ndim and terms.shape[axis] > 1:
            terms = jnp.expand_dims(jnp.take(terms, state, axis=axis), axis)
    return jnp.sum(terms)


class _Given(Messenger):  # type: ignore[misc]
    """Give every enumerable latent the `state`-th value of its support, and hide the data.

    With kind "substitute" the latents of a scan stay latents, so that handlers around the scan
    mark them; with "condition" they are not shown to the handlers outside.
    """

    def __init__(
        self, fn: Model, state: Any, left_out: list[str] | None = None, kind: str = "condition"
    ) -> None:
        super().__init__(fn)
        self.state, self.kind = state, kind
        self.left_out = left_out or []
        self.marked: dict[str, bool] = {}  # discrete latents, and whether enumeration is asked for
        self.latents: list[str] = []  # the others
        self.data: dict[str, Any] = {}
        self.masks: dict[str, list[Any]] = {}
        self.n_dims = 0  # of the plates

    def process_message(self, msg: dict[str, Any]) -> None:
        if msg["type"] == "control_flow":
            visit_in_control_flow(msg, self._value, self.kind)
        elif msg["type"] == "deterministic":
            msg["stop"] = msg["name"] in self.left_out
        elif msg["type"] == "sample":
            self._sample(msg)

    def _sample(self, msg: dict[str, Any]) -> None:
        name = msg["name"]
        dims = [-frame.dim for frame in msg["cond_indep_stack"]]
        self.n_dims = max(self.n_dims, len(msg["fn"].batch_shape), *dims)
        value = self._value(msg)
        if value is not None:
            msg["value"], msg["is_observed"] = value, True
        elif name in self.marked:  # after a scan
            pass
        elif msg["is_observed"]:
            check_data(msg)
            check_in_support(name, msg["fn"], msg["value"])
            self.data[name], self.masks[name] = msg["value"], masks_of(msg["fn"])
        else:
            self.latents.append(name)
        msg["stop"] = msg["is_observed"]

    def _value(self, site: dict[str, Any], length: int = 0, reverse: bool = False) -> Array | None:
        """Return the value of a discrete latent; None for other sites."""
        if site["type"] != "sample" or site["is_observed"]:
            return None
        if not _is_discrete(site):
            return None
        fn, name = site["fn"], site["name"]
        if reverse:
            raise ModelError(
                f"latent site {name!r} is discrete, in a scan with reverse=True, which NumPyro's "
                f"enumeration takes for a forward one; reverse the data instead, or {BY_HAND}"
            )
        marked = site["infer"].get("enumerate") == "parallel"
        self.marked[name] = self.marked.get(name, False) or marked
        support: Array = fn.enumerate_support(expand=False)
        shape = tuple(site["kwargs"].get("sample_shape", ())) + tuple(fn.shape())
        return jnp.broadcast_to(support[self.state], shape)


def _is_discrete(site: dict[str, Any]) -> bool:
    """Say whether a latent is discrete; refuse what cannot be tempered or enumerated."""
    try:
        check_latent(site)
    except DiscreteLatentError:
        if not site["fn"].has_enumerate_support:
            raise
        return True
    return False


class _WithoutPrior(Messenger):  # type: ignore[misc]
    """Give the continuous latents their values, with log probability zero."""

    def __init__(self, fn: Model, values: dict[str, Array]) -> None:
        super().__init__(fn)
        self._values = values

    def process_message(self, msg: dict[str, Any]) -> None:
        if msg["type"] == "control_flow":
            visit_in_control_flow(msg, self._at_step, "condition")
        elif msg["type"] == "sample":
            _own_marks(msg)
            name = msg["name"]
            if name not in self._values:
                name = _plain(name)
            if name in self._values:
                if msg["value"] is None:
                    msg["value"], msg["is_observed"] = self._values[name], True
                msg["fn"] = msg["fn"].mask(False)

    def _at_step(self, site: dict[str, Any], length: int = 0, reverse: bool = False) -> Any:
        if site["type"] != "sample":
            return None
        _own_marks(site)
        if site["name"] not in self._values:
            return None
        return at_step(self._values[site["name"]], site, length, reverse)


def _plain(name: str) -> str:
    """Return the name of a site without what NumPyro puts before it in the first steps."""
    while name.startswith("_PREV_"):
        name = name.removeprefix("_PREV_")
    return name


def _own_marks(site: dict[str, Any]) -> None:
    """Give the site marks of its own: NumPyro writes into what the user may share among sites."""
    site["infer"] = dict(site["infer"])


class _Apart(Messenger):  # type: ignore[misc]
    """Keep all messages but those of params from the handlers outside."""

    def process_message(self, msg: dict[str, Any]) -> None:
        if msg["type"] == "param":
            return
        msg["stop"] = True
        if msg["type"] == "prng_key" and msg["value"] is None:
            msg["value"] = jax.random.key(0)
