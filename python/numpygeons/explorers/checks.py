"""Checks a user's explorer before anything is compiled; the package's own are trusted."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons.arrays import Array
from numpygeons.explorers.base import Explorer, Noise, NoiseShape, RoundOutcome
from numpygeons.explorers.compose import Compose, Mix
from numpygeons.explorers.parameters import as_explorer_hint
from numpygeons.target.potential import Evaluate, State

MEMBERS = (
    *("statistics", "needs_gradients", "noise", "n_snapshots", "start", "proposals", "operands"),
    *("explore", "adapt", "chosen"),
)
GUIDE = "docs/explorers.md says what an explorer is"


def check_members(explorer: Any) -> None:
    """Raise TypeError or ValueError unless `explorer` has the members of an `Explorer`."""
    if isinstance(explorer, type) or not hasattr(explorer, "explore"):
        raise TypeError(f"explorer must be an Explorer, {as_explorer_hint(explorer)}")
    if is_trusted(explorer):
        return
    name = type(explorer).__name__
    missing = [member for member in MEMBERS if not hasattr(explorer, member)]
    if missing:
        raise TypeError(
            f"explorer must be an Explorer: {name} lacks {', '.join(missing)}; derive it from "
            "numpygeons.Explorer, which has defaults for all but explore"
        )
    try:
        hash(explorer)
    except TypeError as error:
        raise TypeError(
            f"explorer must be hashable, because compiled programs are found by it: got {name} "
            f"({error}); make it a frozen dataclass of numbers and tuples"
        ) from None
    names = explorer.statistics
    if not (isinstance(names, tuple) and all(isinstance(one, str) for one in names)):
        raise TypeError(
            f"{name}.statistics must be a tuple of names: got {names!r}; for one number write "
            '("acceptance",), and let it be an attribute or a property'
        )
    if len(set(names)) < len(names):
        raise ValueError(f"{name}.statistics must be different names: got {names}")
    if not isinstance(explorer.needs_gradients, bool):
        raise TypeError(
            f"{name}.needs_gradients must be True or False: got {explorer.needs_gradients!r}"
        )
    for part in _parts(explorer):
        check_members(part)


def is_trusted(explorer: Any) -> bool:
    """Return whether it is the package's own, with all its parts."""
    ours = type(explorer).__module__.startswith("numpygeons.")
    return ours and all(is_trusted(part) for part in _parts(explorer))


def _parts(explorer: Any) -> tuple[Any, ...]:
    return explorer.explorers if isinstance(explorer, Compose | Mix) else ()


def check_sizes(explorer: Explorer, n_chains: int, dimension: int) -> None:
    """Raise unless what `noise` and `n_snapshots` ask for can be given."""
    if is_trusted(explorer):
        return
    name, noise = type(explorer).__name__, explorer.noise(dimension)
    if not isinstance(noise, NoiseShape):
        raise TypeError(
            f"{name}.noise must return a NoiseShape: got {noise!r}; write "
            "NoiseShape(n_normals=dimension, n_uniforms=1)"
        )
    counts = {
        "noise(dimension).n_normals": noise.n_normals,
        "noise(dimension).n_uniforms": noise.n_uniforms,
        "noise(dimension).n_proposals": noise.n_proposals,
        "n_snapshots(n_chains, dimension)": explorer.n_snapshots(n_chains, dimension),
    }
    for where, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"{name}.{where} must be an integer: got {count!r}; 0 is none")
        if count < 0:
            raise ValueError(f"{name}.{where} must not be negative: got {count}; 0 is none")


def check_tuning(explorer: Explorer, method: str, tuning: Any, n_chains: int) -> None:
    """Raise unless every leaf of what `method` returned is numbers with one row per chain."""
    if is_trusted(explorer):
        return
    name = f"{type(explorer).__name__}.{method}"
    for path, leaf in jax.tree_util.tree_leaves_with_path(tuning):
        where = f"tuning{jax.tree_util.keystr(path)}"
        array = np.asarray(leaf)
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"{name} must return a pytree of NumPy arrays of numbers: got {where} of type "
                f"{type(leaf).__name__}, dtype {array.dtype}"
            )
        if array.ndim == 0 or len(array) != n_chains:
            raise ValueError(
                f"{name} must return arrays with one row per chain: got {where} of shape "
                f"{array.shape}, wanted ({n_chains}, ...); write np.full({n_chains}, value), with "
                "len(start.betas) for the number of chains"
            )


def check_adapted(explorer: Explorer, before: Any, after: Any, outcome: RoundOutcome) -> Any:
    """Return `after`, unless it differs from the tuning `before` in structure, shape or kind of
    number.

    Raises
    ------
    TypeError
        For another structure or kind of number.
    ValueError
        For another shape.
    """
    if is_trusted(explorer):
        return after
    name, where = f"{type(explorer).__name__}.adapt", f"after round {outcome.round}"
    check_tuning(explorer, "adapt", after, len(outcome.betas))
    old: Any = jax.tree.structure(before)
    new: Any = jax.tree.structure(after)
    if old != new:
        raise TypeError(
            f"{name} must return the same pytree as start, {where}: got {new}, wanted {old}"
        )
    leaves = zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
    for (path, a), b in leaves:
        (a, b), leaf = (np.asarray(a), np.asarray(b)), f"tuning{jax.tree_util.keystr(path)}"
        if a.shape != b.shape:
            raise ValueError(
                f"{name} must keep the shapes that start gave, {where}: got {b.shape} for {leaf}, "
                f"wanted {a.shape}"
            )
        if (a.dtype.kind == "f") != (b.dtype.kind == "f"):
            raise TypeError(
                f"{name} must keep the kind of number that start gave, {where}: got {b.dtype} for "
                f"{leaf}, wanted {a.dtype}; write {leaf}.astype({a.dtype})"
            )
    return after


def checked(explorer: Any) -> Any:
    """Return the explorer, or what stands for it where it is the user's, with all its parts."""
    if is_trusted(explorer):
        return explorer
    if isinstance(explorer, Compose | Mix):
        return type(explorer)(*map(checked, explorer.explorers))
    return CheckedExplorer(explorer)


class CheckedExplorer:
    """An explorer whose results are checked as it is traced, and whose coordinates at run time."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self.statistics = explorer.statistics
        self.noise = explorer.noise

    def explore(
        self, evaluate: Evaluate, state: State, beta: Array, tuning: Any, noise: Noise
    ) -> tuple[State, Array]:
        """Return what the explorer gives. The core calls a state without a finite density an error;
        a coordinate or a statistic that is not a number makes it one."""
        result = self.explorer.explore(evaluate, state, beta, tuning, noise)
        name = f"{type(self.explorer).__name__}.explore"
        new, statistics = _checked_result(name, result, state, self.statistics)
        finite = jnp.all(jnp.isfinite(new.x)) & jnp.all(jnp.isfinite(statistics))
        log_reference = jnp.where(finite, new.log_reference, jnp.nan)
        return new._replace(log_reference=log_reference), statistics


def _checked_result(
    name: str, result: Any, state: State, statistics: tuple[str, ...]
) -> tuple[State, Array]:
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], State)):
        raise TypeError(
            f"{name} must return a pair (State, statistics): got {_outline(result)}; the state is "
            "one that `evaluate` returned, or the one that was given"
        )
    new, numbers = result
    for field, got, wanted in zip(State._fields, new, state, strict=True):
        _check_array(f"{name} must return a state with {field}", got, wanted.shape, wanted.dtype)
    _check_array(
        f"{name} must return the statistics {statistics}",
        numbers,
        (len(statistics),),
        state.x.dtype,
    )
    return new, numbers


def _check_array(what: str, got: Any, shape: tuple[int, ...], dtype: Any) -> None:
    if not hasattr(got, "shape") or not hasattr(got, "dtype"):
        raise TypeError(
            f"{what} as an array of shape {shape} and dtype {dtype}: got {type(got).__name__}; "
            "write jnp.stack([...])"
        )
    if got.shape != shape:
        raise ValueError(f"{what} of shape {shape}: got shape {got.shape}; {GUIDE}")
    if got.dtype != dtype:
        raise TypeError(
            f"{what} of dtype {dtype}: got dtype {got.dtype}; write .astype(state.x.dtype)"
        )


def _outline(value: Any) -> str:
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return f"({', '.join(_outline(part) for part in value)})"
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"an array of shape {shape}"
