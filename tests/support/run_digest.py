"""One digest of everything a run holds but its times, by a way of its own."""

import hashlib
from dataclasses import fields, is_dataclass

import jax
import numpy as np

from numpygeons import _core
from numpygeons.explorers.tables import Table
from numpygeons.rounds.online_moments import OnlineMoments
from numpygeons.rounds.traces import Traces

TIMES = ("seconds", "compile_seconds")
LATER = ("evidence",)  # follows from the rest
PARTS = {
    _core.engine.RoundData: [
        name for name in dir(_core.engine.RoundData) if not name.startswith("_")
    ],
    Traces: ["n", "keeps_draws", "x", "log_reference", "online"],
    Table: ["rows"],
    OnlineMoments: ["n", "mean", "variance"],
}


def digest(pt):
    sha = hashlib.sha256()
    _add(sha, "state", pt._rounds.state)
    return sha.hexdigest()


def _add(sha, name, value):
    """Adds names, types, shapes and bits."""
    kind = type(value)
    if is_dataclass(value):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
    elif kind in PARTS:
        parts = {part: getattr(value, part) for part in PARTS[kind]}
    elif isinstance(value, dict):
        parts = dict(sorted(value.items()))
    elif isinstance(value, tuple):
        names = getattr(value, "_fields", range(len(value)))
        parts = dict(zip(names, value, strict=True))
    elif isinstance(value, np.ndarray | np.generic | jax.Array | float):
        array = np.ascontiguousarray(value)
        sha.update(f"{name} {array.dtype} {np.shape(value)}".encode() + array.tobytes())
        return
    else:
        assert value is None or isinstance(value, bool | int | str), f"{name} of {kind}"
        sha.update(f"{name} {value!r}".encode())
        return
    sha.update(f"{name} {kind.__name__} {len(parts)}".encode())
    for part, content in parts.items():
        if part not in TIMES + LATER:
            _add(sha, f"{name}.{part}", content)
