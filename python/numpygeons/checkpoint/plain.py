"""Takes values apart into named arrays and what JSON can hold, and puts them together again.

Numbers keep their bits: a float is written in hexadecimal, so NaN and the infinities too.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from numpygeons.records import Flag, RoundRecord, ZeroLikelihood
from numpygeons.settings import Settings

Arrays = dict[str, npt.NDArray[Any]]
KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (Flag, RoundRecord, Settings, ZeroLikelihood)
}


def take_apart(value: Any, name: str, arrays: Arrays) -> Any:
    """Return what JSON can hold of `value`; its arrays are put into `arrays`, under names that
    begin with `name`.

    Raises
    ------
    TypeError
        For a type that no run has.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return {"float": float(value).hex()}
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, dict):
        return {"dict": [[key, take_apart(v, f"{name}.{k}", arrays)] for k, (key, v) in _of(value)]}
    kind = type(value).__name__
    if kind in KINDS and is_dataclass(value):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
    elif kind in KINDS and isinstance(value, tuple):
        parts = dict(zip(type(value)._fields, value, strict=True))  # type: ignore[attr-defined]
    elif isinstance(value, tuple):
        return {"tuple": [take_apart(v, f"{name}.{k}", arrays) for k, v in enumerate(value)]}
    else:
        raise TypeError(f"{name} cannot be written to a checkpoint: got {type(value).__name__}")
    return {kind: {key: take_apart(v, f"{name}.{key}", arrays) for key, v in parts.items()}}


def _of(value: dict[str, Any]) -> Any:
    return enumerate(value.items())


def put_together(plain: Any, arrays: Arrays) -> Any:
    """Return the value that was taken apart."""
    if not isinstance(plain, dict):
        return plain
    ((kind, content),) = plain.items()
    if kind == "float":
        return float.fromhex(content)
    if kind == "array":
        return arrays[content]
    if kind == "dict":
        return {key: put_together(value, arrays) for key, value in content}
    if kind == "tuple":
        return tuple(put_together(value, arrays) for value in content)
    known = {f.name for f in fields(KINDS[kind])} if is_dataclass(KINDS[kind]) else set(content)
    parts = {key: put_together(v, arrays) for key, v in content.items() if key in known}
    return KINDS[kind](**parts)
