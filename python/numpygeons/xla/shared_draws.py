"""Makes random draws of a traced function together where they do not wait for each other.

Each draw of a generator that is computed in software is a loop of its own, and a gamma draw six of
them inside two more: they take most of the time that a prior of several sites takes to compile.
Draws of the same kind and shape are one draw of many keys, with the same bits; gamma draws are
other draws of the same law, which take less time to compile.

On the CPU the draws of a small model are compiled as one machine function.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from numpygeons.arrays import Array
from numpygeons.xla.gamma_draws import log_gamma
from numpygeons.xla.jaxprs import bind, constants_of, inlined, read, replay, variables

TOGETHER = frozenset({"random_bits", "random_fold_in", "random_gamma", "random_split"})


def together(function: Callable[[Array], Array], x: Any) -> Callable[[Array], Array]:
    """Return `function`, traced for arguments of the shape and dtype of `x`, with draws made
    together.

    A draw waits for the draws that its arguments come from, and for no others.
    """
    traced, shape = inlined(function, x)
    jaxpr = traced.jaxpr
    constants = constants_of(traced)
    n_before: dict[Any, int] = defaultdict(int)  # draws on the longest way to a variable
    waves: dict[int, list[Any]] = defaultdict(list)
    draws: dict[int, dict[Any, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for equation in jaxpr.eqns:
        depth = max((n_before[v] for v in variables(equation.invars)), default=0)
        is_draw = equation.primitive.name in TOGETHER and not equation.effects
        if is_draw:
            draws[depth][_kind(equation)].append(equation)
        else:
            waves[depth].append(equation)
        for made in equation.outvars:
            n_before[made] = depth + is_draw

    def call(x: Array) -> Array:
        known = constants | {jaxpr.invars[0]: x}
        for depth in range(max((*waves, *draws), default=0) + 1):
            replay(waves[depth], known)
            for alike in draws[depth].values():
                _draw(alike, known)
        leaves = [read(known, variable) for variable in jaxpr.outvars]
        result: Array = jax.tree.unflatten(jax.tree.structure(shape), leaves)
        return result

    return call


def _kind(equation: Any) -> Any:
    """Return what draws that can be made together share."""
    types = tuple((a.aval.shape, a.aval.dtype) for a in equation.invars)
    return equation.primitive, tuple(sorted(map(repr, equation.params.items()))), types


def _draw(alike: list[Any], known: dict[Any, Any]) -> None:
    """Add what equations of one kind draw to what is known."""
    first = alike[0]

    def draw(*row: Any) -> list[Any]:
        if first.primitive.name == "random_gamma":
            return [_gamma(*row, log_space=first.params["log_space"])]
        return bind(first, list(row), first.params)

    arguments = [[read(known, atom) for atom in equation.invars] for equation in alike]
    if len(alike) == 1:
        known.update(zip(first.outvars, draw(*arguments[0]), strict=True))
        return
    stacked = [jnp.stack([jnp.asarray(a) for a in row]) for row in zip(*arguments, strict=True)]
    results = jax.vmap(draw)(*stacked)
    for i, equation in enumerate(alike):
        known.update(zip(equation.outvars, (r[i] for r in results), strict=True))


def _gamma(keys: Array, concentration: Array, *, log_space: bool) -> Array:
    """Return what the primitive draws: for each key, as many as there are concentrations for it."""
    draws = log_gamma
    for _ in range(keys.ndim):
        draws = jax.vmap(draws)
    result = draws(keys, concentration)
    return result if log_space else jnp.exp(result)
