"""Say what JAX cannot take as numbers among a model's arguments, and what to pass instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

DEEPEST = 3  # containers within containers that are looked into
FROM_TABLES = {  # libraries of tables and arrays, and how their objects become NumPy arrays
    "pandas": ".to_numpy()",
    "polars": ".to_numpy()",
    "pyarrow": ".to_numpy()",
    "xarray": ".to_numpy()",
    "torch": ".numpy()",
    "tensorflow": ".numpy()",
}
CODES = "code the categories as integers, for instance by np.unique(data, return_inverse=True)[1]"


def not_numbers(value: Any) -> str | None:
    """Return what a value is, and what to pass instead; None where JAX takes it for numbers.

    Parameters
    ----------
    value
        Data of an observed site, or an argument of the model that is used as such.
    """
    if isinstance(value, np.ma.MaskedArray):
        return (
            "a masked array, whose mask JAX does not know: pass data.filled(0) and np.ma."
            "getmaskarray(data), and observe under numpyro.handlers.mask(mask=~mask)"
        )
    if isinstance(value, jax.Array):
        return None
    kind = type(value).__name__
    library = type(value).__module__.partition(".")[0]
    if library in FROM_TABLES:
        return f"a {library} {kind}: pass its numbers, {FROM_TABLES[library]}{_also(value)}"
    if isinstance(value, np.ndarray | np.generic):
        return _not_numbers_in_array(value)
    if isinstance(value, list | tuple):
        return _not_numbers_in_list(value)
    if isinstance(value, str | bytes):
        return f"text, {value[:20]!r}: pass numbers; {CODES}"
    if isinstance(value, Iterator):
        return f"a {kind}, which can be read once only: pass np.array(list(data))"
    if isinstance(value, set | frozenset | Mapping):
        return f"a {kind}, which has no order of entries that JAX knows: pass an array"
    return None


def _also(value: Any) -> str:
    """Return what the dtype asks for besides."""
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "fiub":
        return ""
    if dtype is None:  # a table: its columns have dtypes of their own
        return ""
    return f"; its dtype is {dtype}: JAX takes numbers, such as float or int, alone"


def _not_numbers_in_array(value: Any) -> str | None:
    kind = value.dtype.kind
    if kind == "O":
        odd = [(i, a) for i, a in np.ndenumerate(value) if not isinstance(a, int | float)]
        where = f", with {odd[0][1]!r} at {list(odd[0][0])}" if odd else ""
        return (
            f"an array of Python objects{where}: pass np.array(data, float), which writes NaN for "
            "None, and observe under numpyro.handlers.mask(mask=~np.isnan(data))"
        )
    if kind in "USTV":
        return f"an array of text or records (dtype {value.dtype}): pass numbers; {CODES}"
    if kind in "Mm":
        return (
            f"an array of dates or durations (dtype {value.dtype}): pass numbers, for instance "
            '(dates - dates[0]) / np.timedelta64(1, "D")'
        )
    return None


def _not_numbers_in_list(value: list[Any] | tuple[Any, ...]) -> str | None:
    leaves = list(_leaves(value))
    if any(isinstance(leaf, jax.Array) for leaf in leaves):
        return None
    kind = type(value).__name__
    for leaf in leaves:
        if leaf is None or isinstance(leaf, str | bytes):
            return (
                f"a {kind} with {leaf!r} in it: pass an array of numbers, with NaN where a value "
                "is missing, and observe under numpyro.handlers.mask(mask=~np.isnan(data))"
            )
        found = not_numbers(leaf)
        if found is not None:
            return f"a {kind} with, in it, {found}"
    try:
        np.asarray(value)
    except ValueError:
        return f"a {kind} of parts with different lengths: pass an array, padded and masked"
    return None


def _leaves(value: Any) -> Iterator[Any]:
    for part in value:
        if isinstance(part, list | tuple):
            yield from _leaves(part)
        else:
            yield part


def unsuitable(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """Say which arguments of a model JAX does not take as numbers, and what to pass instead.

    A model may be right in taking them, since it may use them otherwise: ask once it has failed.
    """
    named = [(f"model_args[{i}]", value) for i, value in enumerate(args)]
    named += [(f"model_kwargs[{name!r}]", value) for name, value in kwargs.items()]
    return [found for name, value in named for found in _unsuitable(name, value, DEEPEST)]


def _unsuitable(name: str, value: Any, depth: int) -> list[str]:
    if isinstance(value, Mapping) and depth:
        parts = [(f"{name}[{key!r}]", part) for key, part in value.items()]
        return [found for key, part in parts for found in _unsuitable(key, part, depth - 1)]
    if isinstance(value, str):  # a choice, most likely
        return []
    found = not_numbers(value)
    if found is not None:
        return [f"{name} is {found}"]
    if isinstance(value, list | tuple) and value:
        kind = type(value).__name__
        return [f"{name} is a {kind}, which does no arithmetic: pass jnp.asarray({name})"]
    return []
