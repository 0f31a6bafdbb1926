"""Run a NumPyro model with one function that meets every sample site last."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from numpyro import handlers, primitives
from numpyro.primitives import Messenger

from numpygeons.arrays import Array
from numpygeons.errors import ModelError
from numpygeons.target.model.checks import check_plate

try:
    from jax.extend.core import get_opaque_trace_state
except ImportError:  # before JAX 0.10
    from jax.core import get_opaque_trace_state


Visit = Callable[..., Any]  # (site, length=0, reverse=False) to the site's value, or None


def visited_trace(
    model: Callable[..., Any],
    visit: Visit,
    params: dict[str, Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[dict[str, dict[str, Any]], bool]:
    """Run the model; `visit` gives values to its sites.

    Parameters
    ----------
    visit : callable
        Called with the site after all of the user's handlers.  Inside NumPyro's ``scan`` it is
        called within the body, with the scan's length and direction.  What it puts into
        ``site["args"]`` comes back in the trace, stacked over the steps.
    params : dict
        Values of ``param`` sites.

    Returns
    -------
    trace : dict
        NumPyro's sites by name.
    used_key : bool
        Whether the model itself called ``numpyro.prng_key``; it was given ``jax.random.key(0)``.

    Raises
    ------
    ModelError
        Something random without a site of its own: hidden by a block, subsampled, in a scan.
    """
    visitor = _Visitor(model, visit, params)
    try:
        return handlers.trace(visitor).get_trace(*args, **kwargs), visitor.used_key
    except NotImplementedError as error:
        if "control flow primitive under a `plate`" in str(error):
            raise ModelError(
                "NumPyro's scan stands inside a plate, which NumPyro does not define; move the "
                "plate into the body of the scan"
            ) from error
        raise
    except AssertionError as error:
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        if frame is not None and frame.tb_frame.f_code.co_name == "_subs_wrapper":
            site = frame.tb_frame.f_locals["site"]["name"]
            raise ModelError(
                f"site {site!r} in a scan is given fewer values than the scan has steps: the rest "
                "would be drawn anew at each call; end the scan with the data, and forecast "
                "afterwards with numpyro.infer.Predictive"
            ) from error
        raise


def at_step(values: Array, site: dict[str, Any], length: int, reverse: bool) -> Array:
    """Return a site's values; those of the current step where the site stands in a scan."""
    step = site["infer"].get("_scan_current_index")
    if step is None:
        return values
    return values[length - 1 - step if reverse else step]


def visit_in_control_flow(msg: dict[str, Any], visit: Visit, kind: str) -> None:
    """Have NumPyro call `visit` at the sites in the body of a scan or a cond.

    The body runs behind a block; NumPyro calls what stands on this stack in there.

    Parameters
    ----------
    kind : {"substitute", "condition"}
        Whether what `visit` returns leaves the site a latent.
    """
    args = msg["args"]
    if len(args) == 5:  # (f, init, xs, length, reverse): a scan, not a cond
        _, _, xs, length, reverse = args
        if length is None:
            length = jax.tree.leaves(xs)[0].shape[0]
        visit = partial(visit, length=length, reverse=reverse)
    msg["kwargs"]["substitute_stack"].append((kind, visit))


class _Visitor(Messenger):  # type: ignore[misc]
    """Stand outside all of the user's handlers."""

    def __init__(self, fn: Callable[..., Any], visit: Visit, params: dict[str, Any]) -> None:
        super().__init__(fn)
        self._visit = visit
        self._params = params
        self.used_key = False
        self._level: Any = None  # of JAX's transformations, at which the model runs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._level = get_opaque_trace_state(convention="flax")
        return super().__call__(*args, **kwargs)

    def process_message(self, msg: dict[str, Any]) -> None:
        kind = msg["type"]
        if kind in ("sample", "deterministic", "plate", "param"):
            self._check_name(msg, kind)
        if kind == "sample":
            if not msg.get("_control_flow_done", False):
                value = self._visit(msg)
                if value is not None:
                    msg["value"] = value
        elif kind == "control_flow":
            visit_in_control_flow(msg, self._visit, "substitute")
        elif kind == "plate":
            check_plate(msg["name"], *msg["args"])
        elif kind == "param":
            if msg["value"] is None and msg["name"] in self._params:
                msg["value"] = self._params[msg["name"]]
        elif kind == "prng_key" and msg["value"] is None and msg["kwargs"]["rng_key"] is None:
            self.used_key |= _asked_by_the_model()
            msg["value"] = jax.random.key(0)

    def _check_name(self, msg: dict[str, Any], kind: str) -> None:
        name = msg["name"]
        if not isinstance(name, str):
            raise ModelError(
                f"the name of a {kind} site must be text: got {name!r} of type "
                f"{type(name).__name__}; write {str(name)!r}"
            )
        if kind != "plate" and get_opaque_trace_state(convention="flax") != self._level:
            raise ModelError(
                f"site {name!r} stands inside a transformation of JAX (jax.jit, jax.vmap, "
                "jax.grad, or a loop or branch of jax.lax), through which its value cannot leave; "
                "take jax.jit off, and write numpyro.plate in the place of vmap, "
                "numpyro.contrib.control_flow.scan in that of a loop, cond in that of a branch"
            )


def _asked_by_the_model() -> bool:
    """Say whether a key is asked for by the model's own code; refuse what would be random.

    NumPyro asks for keys too: to unhide observed sites (not random: those become latents), for
    the initial values of params (fixed afterwards), and for what a block hides.
    """
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code is handlers.uncondition.process_message.__code__:
            return False
        if code is primitives.module.__code__:
            return False
        if code is primitives.apply_stack.__code__ and frame.f_locals["msg"]["type"] == "param":
            return False
        if code is handlers.block.process_message.__code__:
            _refuse_hidden(frame.f_locals["msg"])
        frame = frame.f_back  # type: ignore[assignment]
    if any(isinstance(handler, handlers.block) for handler in primitives._PYRO_STACK):
        raise ModelError(
            "numpyro.prng_key() inside a scan or a block gives other numbers at each call, so the "
            "density is not a function; draw the numbers before, and pass them in"
        )
    return True


def _refuse_hidden(msg: dict[str, Any]) -> None:
    if msg["type"] == "plate":
        check_plate(msg["name"], *msg["args"])
    name = msg.get("name", msg["type"])
    raise ModelError(
        f"site {name!r} is hidden by handlers.block: its value would be drawn anew at each call, "
        "so the density is not a function of the other sites; take the block off, or fix the "
        f"value with handlers.condition(model, {{{name!r}: value}})"
    )
