"""Explain why a model fails where JAX, NumPy or NumPyro say it in their own terms.

What the model raises itself passes through untouched.  Everything else names the line of the
model, the site where there is one, and what to change.
"""

from __future__ import annotations

import dis
import linecache
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
from numpyro import primitives
from numpyro.distributions import Distribution

from numpygeons.errors import ModelError
from numpygeons.target.model.arguments import unsuitable
from numpygeons.target.model.checks import kind_of

NEEDS_A_VALUE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)
LIBRARIES = frozenset(
    {"funsor", "jax", "jaxlib", "numpy", "numpygeons", "numpyro", "opt_einsum", "pandas", "scipy"}
)
OTHERS = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError),
    *(RuntimeError, TypeError, ValueError),
)
RAISES = ("RAISE_VARARGS", "RERAISE")


@contextmanager
def explaining(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """Raise the explanation of what fails in a run of the model with these arguments."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        found = _explained(error, args, kwargs)
        if found is None:
            raise
        raise found from error


def _explained(
    error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> ModelError | TypeError | None:
    """Return the error to raise in the place of `error`; None where that is the model's own."""
    frames = _frames(error)
    own = [(frame, last, line) for frame, last, line in frames if not _is_library(frame)]
    if _is_the_models(error, frames):
        return None
    where = _where(own)
    if isinstance(error, NEEDS_A_VALUE) or isinstance(error.__cause__, NEEDS_A_VALUE):
        return _needs_a_value(error, args, kwargs)
    site = _site(frames)
    if site is not None:
        found = _at_a_site(error, site, where)
        if found is not None:
            return found
    hints = unsuitable(args, kwargs)
    hint = "; ".join(hints) if hints else "check what the model wants at that place"
    at = f" at site {site['name']!r}" if site is not None and "name" in site else ""
    if isinstance(error, TypeError):
        kinds = [type(value).__name__ for value in args]
        named = {name: type(value).__name__ for name, value in kwargs.items()}
        return TypeError(
            f"calling the model with model_args of types {kinds} and model_kwargs of types "
            f"{named} failed{at}{where}: {text_of(error, frames)}; {hint}"
        )
    return ModelError(f"the model fails{at}{where}: {text_of(error, frames)}; {hint}")


def _needs_a_value(error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ModelError:
    """Say what the model does with a value that is not known before it runs."""
    frames = _frames(error)
    own = [(frame, last, line) for frame, last, line in frames if not _is_library(frame)]
    in_scan = any(
        frame.f_globals.get("__name__", "").endswith("control_flow.scan") for frame, _, _ in frames
    )
    what = "a value that depends on a latent"
    if in_scan:
        what += ", or on the step of the scan"
    used, remedy = _use(error, own)
    hints = "".join(f"; {hint}" for hint in unsuitable(args, kwargs))
    return ModelError(
        f"the model uses {what} {used}{_where(own)}: such values are unknown while JAX records "
        f"the model; {remedy}{hints}"
    )


def _use(error: Exception, own: list[Place]) -> tuple[str, str]:
    """Return how a value was used that is not known yet, and what to write instead."""
    instruction = _instruction(own[-1]) if own else ""
    cause = error if isinstance(error, NEEDS_A_VALUE) else error.__cause__
    if "STORE" in instruction:
        used, remedy = (
            "as an entry of a NumPy array or a list",
            "make the array by jnp functions: jnp.zeros(n).at[i].set(value)",
        )
    elif "SUBSCR" in instruction:
        used, remedy = (
            "as an index into a NumPy array or a list",
            "make the array JAX's before it is indexed: jnp.asarray(data)[i]",
        )
    elif isinstance(cause, jax.errors.TracerBoolConversionError):
        used, remedy = (
            "as a condition (if, while, assert, and, or)",
            "use jnp.where or jax.lax.cond there",
        )
    elif isinstance(cause, jax.errors.NonConcreteBooleanIndexError):
        used, remedy = (
            "as a mask that picks entries, so that a shape depends on it",
            "use jnp.where there, or numpyro.handlers.mask",
        )
    elif isinstance(cause, jax.errors.TracerIntegerConversionError):
        used, remedy = (
            "as a Python integer (an index, a range, a size)",
            "index jnp arrays, and let sizes be fixed",
        )
    elif isinstance(cause, jax.errors.TracerArrayConversionError):
        used, remedy = (
            "in a function of NumPy, SciPy or another library",
            "use jnp functions, and those of jax.scipy",
        )
    else:
        used, remedy = "as a Python number (float, int, a size)", "use jnp functions there"
    return used, remedy


@contextmanager
def explaining_function(name: str, argument: str) -> Iterator[None]:
    """Name a user's function of one argument where a call of it fails in JAX."""
    try:
        yield
    except (AssertionError, IndexError, NotImplementedError, TypeError, ValueError) as error:
        frames = _frames(error)
        if _is_the_models(error, frames):
            raise
        own = [place for place in frames if not _is_library(place[0])]
        if isinstance(error, NEEDS_A_VALUE) or isinstance(error.__cause__, NEEDS_A_VALUE):
            used, remedy = _use(error, own)
            said = f"it uses a value {used} that is unknown while JAX records it; {remedy}"
        else:
            said = text_of(error, frames)
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"{name} must be a JAX function of one argument, called here with {argument}"
            f"{_where(own)}: {said}"
        ) from error


@contextmanager
def at_site(site: dict[str, Any]) -> Iterator[None]:
    """Name a site where what we compute of it fails."""
    try:
        yield
    except ModelError:
        raise
    except (*NEEDS_A_VALUE, NotImplementedError):
        raise
    except OTHERS as error:
        frames = _frames(error)
        own = [place for place in frames if not _is_library(place[0])]
        if _is_the_models(error, frames):
            raise
        raise (
            _at_a_site(error, site, _where(own))
            or ModelError(
                f"the density of site {site['name']!r} ({kind_of(site['fn'])}) fails{_where(own)}: "
                f"{text_of(error, frames)}; check shapes and types there{_shapes(site)}"
            )
        ) from error


def text_of(error: Exception, frames: Any = None) -> str:
    """Return the first sentence of an error's own text, without JAX's advice to its developers."""
    frames = _frames(error) if frames is None else frames
    for frame, _, _ in reversed(frames):
        if frame.f_code is Distribution.validate_args.__code__ and "param" in frame.f_locals:
            here = frame.f_locals
            return (
                f"{type(here['self']).__name__} got {here['param']} = {_short(here['value'])}, "
                f"wanted {here['constraint']}"
            )
    if isinstance(error, KeyError):
        return f"there is no entry {error}"
    odd = re.search(r"value is of type <class '([^']+)'>", str(error))
    if odd is not None and "abstract array" in str(error):
        return f"a function of JAX wants numbers and got {odd[1]}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0].rstrip(".") if lines else type(error).__name__
    return re.sub(r"\b\w*Tracer\b", "jax.Array", text)


def place_of(error: Exception) -> str:
    """Return the site and the line of the model where an error was met, as far as they are
    known."""
    frames = _frames(error)
    site = _site(frames)
    at = f" at site {site['name']!r}" if site is not None else ""
    return at + _where([place for place in frames if not _is_library(place[0])])


# ------------------------------------------------------------------------------- where it was


Place = tuple[FrameType, int, int]  # frame, its last instruction, its line


def _frames(error: Exception) -> list[Place]:
    """Return the frames from where it was caught to where it was raised."""
    places, frame = [], error.__traceback__
    while frame is not None:
        places.append((frame.tb_frame, frame.tb_lasti, frame.tb_lineno))
        frame = frame.tb_next
    return places


def _is_library(frame: FrameType) -> bool:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0] in LIBRARIES


def _is_the_models(error: Exception, frames: list[Place]) -> bool:
    """Say whether the model raised the error itself, or Python did in the model's own code."""
    if type(error).__module__.partition(".")[0] not in {"builtins", "jax", "jaxlib", "numpy"}:
        return True
    frame, _, _ = frames[-1]
    if _is_library(frame):
        return False
    if _instruction(frames[-1]) in RAISES:
        return True
    # JAX takes its own frames out of a traceback: such an error may have been raised by JAX.
    kinds = (TypeError, ValueError, *NEEDS_A_VALUE)
    return not (isinstance(error, kinds) or isinstance(error.__cause__, NEEDS_A_VALUE))


def _instruction(place: Place) -> str:
    """Return the name of the instruction that a frame was at."""
    frame, last, _ = place
    for instruction in dis.get_instructions(frame.f_code):
        if instruction.offset == last:
            name: str = instruction.opname
            # From Python 3.14 on a[i] is a binary operation.
            return "BINARY_SUBSCR" if instruction.argrepr == "[]" else name
    return ""


def _where(own: list[Place]) -> str:
    """Return the line of the model that was met last, as code."""
    if not own:
        return ""
    frame, _, number = own[-1]
    name = frame.f_code.co_filename
    code = linecache.getline(name, number, frame.f_globals).strip()
    quoted = f", `{code}`" if code else ""
    return f" (line {number} of {Path(name).name}{quoted})"


def _site(frames: list[Place]) -> dict[str, Any] | None:
    """Return the site that NumPyro was handling."""
    for frame, _, _ in reversed(frames):
        if frame.f_code is primitives.apply_stack.__code__:
            message: dict[str, Any] = frame.f_locals["msg"]
            if message.get("type") in ("sample", "deterministic", "param"):
                return message
    return None


# -------------------------------------------------------------------------------- what it was


def _at_a_site(error: Exception, site: dict[str, Any], where: str) -> ModelError | None:
    """Explain what is known to go wrong at a site."""
    name, kind = site["name"], site["type"]
    if isinstance(error, AssertionError) and "unique names" in str(error):
        return ModelError(
            f"two sites are named {name!r}{where}: give each its own name, for instance "
            f'f"{name}_{{i}}" in a loop; or stand equal ones under one numpyro.plate'
        )
    if kind == "deterministic":
        value = site.get("value")
        return ModelError(
            f"deterministic site {name!r} must be a number or an array: got "
            f"{type(value).__name__}{where}"
        )
    if kind != "sample":
        return None
    fn, value = site["fn"], site.get("value")
    batch, event = tuple(fn.batch_shape), tuple(fn.event_shape)
    plates = {frame.name: (frame.dim, frame.size) for frame in site.get("cond_indep_stack", ())}
    if not _fit(batch, *_shapes_of_plates(plates)):
        return ModelError(
            f"site {name!r}: its distribution {kind_of(fn)} has batch shape {batch}, which does "
            f"not fit {_plates(plates)}{where}; give the plate that size, or the parameters the "
            "plate's"
        )
    if value is None or not site.get("is_observed"):
        return None
    shape = tuple(jnp.shape(value))
    if not _fit((*batch, *event), shape):
        beside = f" under {_plates(plates)}" if plates else ""
        whole = f"batch shape {batch}" + (f" and event shape {event}" if event else "")
        return ModelError(
            f"observed site {name!r}: data of shape {shape} do not fit its distribution "
            f"{kind_of(fn)} of {whole}{beside}{where}; they must be equal from the right, or 1: "
            "correct the data, the parameters, or the size of the plate"
        )
    return None


def _shapes(site: dict[str, Any]) -> str:
    shape, fn = tuple(jnp.shape(site["value"])), site["fn"]
    return (
        f" (value of shape {shape}, distribution of batch shape {tuple(fn.batch_shape)} and event "
        f"shape {tuple(fn.event_shape)})"
    )


def _fit(*shapes: tuple[int, ...]) -> bool:
    try:
        jnp.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


def _shapes_of_plates(plates: dict[str, tuple[int, int]]) -> list[tuple[int, ...]]:
    return [(size, *(1,) * (-dim - 1)) for dim, size in plates.values()]


def _plates(plates: dict[str, tuple[int, int]]) -> str:
    each = [f"plate {name!r} of size {size} at dim {dim}" for name, (dim, size) in plates.items()]
    return " and ".join(each)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
