"""Compare what two calls of a model recorded: a density is a function, and gives the same twice.

Random numbers of NumPy or Python, the clock and files are read while JAX records the model, and
what they gave then stays in the program for good.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from numpygeons.errors import ModelError
from numpygeons.xla.traced import Traced

SOURCES = (
    "random numbers of NumPy or Python, the clock or a file are read once, while the model is "
    "recorded, and stay as they were; make such numbers before, and pass them in model_args"
)


class Recordings:
    """The programs of two calls, and whether both drew from a global generator."""

    def __init__(self, first: Traced, second: Traced, draws: bool) -> None:
        self.first, self.second, self.draws = first, second, draws


def recorded_twice(record: Callable[[], Traced]) -> Recordings:
    """Record a program twice; `record` must not let JAX remember the first time."""
    before = _generators()
    first = record()
    between = _generators()
    second = record()
    # A generator that the model seeds itself is the same after each call.
    draws = before != between and between != _generators()
    return Recordings(first, second, draws)


def changed_sites(both: Recordings, names: list[str]) -> Iterator[str]:
    """Say what differs between two calls of the model.

    Parameters
    ----------
    names : list of str
        Observed sites, in the order of the part "pointwise".

    Raises
    ------
    ModelError
        The prior differs: draws from it would follow another density.
    """
    if _difference(both.first.program, both.second.program) is None:
        if both.draws:
            yield f"the model draws from the global generator of NumPy or Python: {SOURCES}"
        return
    found = _difference(both.first.reduced("log_reference"), both.second.reduced("log_reference"))
    if found is not None:
        raise ModelError(
            f"the prior changes between calls of the model: it holds {found[0]} in one and "
            f"{found[1]} in the next, so that draws from it and its density disagree; {SOURCES}"
        )
    for index, name in enumerate(names):
        found = _difference(
            both.first.reduced("pointwise", index), both.second.reduced("pointwise", index)
        )
        if found is not None:
            yield (
                f"site {name!r} changes between calls of the model: its log likelihood holds "
                f"{found[0]} in one and {found[1]} in the next; {SOURCES}"
            )
            return
    yield f"the deterministic sites change between calls of the model; {SOURCES}"


def changed_functions(both: Recordings) -> Iterator[str]:
    """Say what differs between two calls of a target's functions."""
    if _difference(both.first.program, both.second.program) is None:
        if both.draws:
            yield f"the target draws from the global generator of NumPy or Python: {SOURCES}"
        return
    for part, name in (("log_reference", "log_reference"), ("v", "log_target")):
        found = _difference(both.first.reduced(part), both.second.reduced(part))
        if found is not None:
            yield (
                f"{name} changes between calls: it holds {found[0]} in one and {found[1]} in the "
                f"next; {SOURCES}"
            )
            return


def _generators() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
    return name, np.asarray(keys).tobytes(), *rest, random.getstate()


def _difference(first: Any, second: Any) -> tuple[str, str] | None:
    """Return the first numbers in which two recorded programs differ."""
    pairs = zip(_numbers(first), _numbers(second), strict=False)
    for a, b in pairs:
        if a is b:
            continue
        if isinstance(a, str) or isinstance(b, str):
            if isinstance(a, str) and isinstance(b, str) and a == b:
                continue
            return "other operations", "others"
        left, right = _plain(a), _plain(b)
        if left.shape != right.shape or left.dtype != right.dtype:
            return f"numbers of shape {left.shape}", f"of shape {right.shape}"
        if left.tobytes() != right.tobytes():
            where = np.flatnonzero(np.ravel(left != right))
            at = int(where[0]) if len(where) else 0
            return str(np.ravel(left)[at]), str(np.ravel(right)[at])
    return None


def _plain(value: Any) -> np.ndarray[Any, Any]:
    """Return a number or an array as NumPy's; a key of JAX as its data."""
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    return np.asarray(value)


def _numbers(program: Any) -> Iterator[Any]:
    """Return all numbers that a recorded program uses, and the names of its operations, in
    order."""
    jaxpr = getattr(program, "jaxpr", program)
    atoms = [*(atom for equation in jaxpr.eqns for atom in equation.invars), *jaxpr.outvars]
    used = {atom for atom in atoms if not isinstance(atom, Literal)}
    constants = getattr(program, "consts", ())
    yield from (
        value
        for variable, value in zip(jaxpr.constvars, constants, strict=True)
        if variable in used
    )
    yield from (atom.val for atom in atoms if isinstance(atom, Literal))
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(getattr(inner, "jaxpr", inner), "eqns"):
                    yield from _numbers(inner)
