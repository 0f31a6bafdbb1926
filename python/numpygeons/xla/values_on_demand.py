"""Splits a function into what is always computed and what is computed where it is asked for.

In mid-trajectory only the gradient of a density is of use. Its value shares most of its work with
the gradient, but not all: logarithms and sums, as long as half a gradient in small models.

The traced evaluation is split in two: what gradients need, and what the values alone need. So the
program still holds the gradient once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from numpygeons.arrays import Array
from numpygeons.xla.jaxprs import constants_of, inlined, needed, read, replay, results_of, variables

# What is computed again for the values rather than kept for them: it costs less than memory does.
AGAIN = frozenset({
    "abs", "add", "add_any", "and", "broadcast_in_dim", "concatenate", "convert_element_type",
    "copy", "div", "eq", "expand_dims", "ge", "gt", "integer_pow", "iota", "is_finite", "le", "lt",
    "max", "min", "mul", "ne", "neg", "not", "or", "reshape", "rev", "select_n", "sign", "slice",
    "square", "squeeze", "stop_gradient", "sub", "transpose", "xor",
})  # fmt: skip


class Split(NamedTuple):
    """A function of x to (values, others), as it was and in two parts; traced once."""

    whole: Callable[[Array], tuple[Any, Any]]
    always: Callable[[Array], tuple[Any, list[Array]]]  # to the others, and what values need
    on_demand: Callable[[Array, list[Array]], Any]  # from x and that to the values


def split(function: Callable[[Array], tuple[Any, Any]], x: Any) -> Split:
    """Split `function`, traced for arguments of the shape and dtype of `x`."""
    traced, (values, others) = inlined(function, x)
    jaxpr = traced.jaxpr
    n_values = len(jax.tree.leaves(values))
    value_outputs, other_outputs = jaxpr.outvars[:n_values], jaxpr.outvars[n_values:]
    constants = constants_of(traced)

    always = needed(jaxpr.eqns, other_outputs)
    maker = {made: equation for equation in jaxpr.eqns for made in equation.outvars}
    handed_over: list[Any] = []
    again: set[int] = set()
    wanted, seen = variables(value_outputs), set(constants) | set(jaxpr.invars)
    while wanted:
        variable = wanted.pop()
        if variable in seen:
            continue
        seen.add(variable)
        equation = maker[variable]
        if id(equation) in always and equation.primitive.name not in AGAIN:
            handed_over.append(variable)
        else:
            again.add(id(equation))
            wanted += variables(equation.invars)

    def compute_all(x: Array) -> tuple[Any, Any]:
        results: tuple[Any, Any] = jax.tree.unflatten(
            jax.tree.structure((values, others)), results_of(traced, x)
        )
        return results

    def compute_always(x: Array) -> tuple[Any, list[Array]]:
        known = constants | {jaxpr.invars[0]: x}
        replay((e for e in jaxpr.eqns if id(e) in always), known)
        results = [read(known, variable) for variable in other_outputs]
        tree = jax.tree.structure(others)
        return jax.tree.unflatten(tree, results), [known[variable] for variable in handed_over]

    def compute_on_demand(x: Array, handed: list[Array]) -> Any:
        known = constants | {jaxpr.invars[0]: x} | dict(zip(handed_over, handed, strict=True))
        replay((e for e in jaxpr.eqns if id(e) in again), known)
        results = [read(known, variable) for variable in value_outputs]
        return jax.tree.unflatten(jax.tree.structure(values), results)

    return Split(compute_all, compute_always, compute_on_demand)
