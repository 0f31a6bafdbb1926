"""Splits a function into what is always computed and what is computed where it is asked for.

In mid-trajectory only the gradient of a density is of use. Its value shares most of its work with
the gradient, but not all: logarithms and sums, as long as half a gradient in small models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
from jax.extend.core import Literal

from numpygeons.arrays import Array

Values = dict[Any, Array]  # by variable of a traced function

# What is computed again for the values rather than kept for them: it costs less than memory does.
AGAIN = frozenset({
    "abs", "add", "add_any", "and", "broadcast_in_dim", "concatenate", "convert_element_type",
    "copy", "div", "eq", "expand_dims", "ge", "gt", "integer_pow", "iota", "is_finite", "le", "lt",
    "max", "min", "mul", "ne", "neg", "not", "or", "reshape", "rev", "select_n", "sign", "slice",
    "square", "squeeze", "stop_gradient", "sub", "transpose", "xor",
})  # fmt: skip
SMALL = 16  # numbers in an array, up to which it is kept all the same: there is less to compile


class Split(NamedTuple):
    """A function of x to (values, others), in two parts."""

    always: Callable[[Array], tuple[Any, list[Array]]]  # to the others, and what values need
    on_demand: Callable[[list[Array]], Any]  # from that to the values


def split(function: Callable[[Array], tuple[Any, Any]], x: Any) -> Split:
    """Splits `function`, traced for arguments of the shape and dtype of `x`."""
    traced, (values, others) = jax.make_jaxpr(function, return_shape=True)(x)
    traced = jax.make_jaxpr(lambda x: _evaluated(traced, x))(x)  # without calls inside
    jaxpr = traced.jaxpr
    n_values = len(jax.tree.leaves(values))
    value_outputs, other_outputs = jaxpr.outvars[:n_values], jaxpr.outvars[n_values:]
    constants: Values = dict(zip(jaxpr.constvars, traced.consts, strict=True))

    always = _needed(jaxpr.eqns, other_outputs)
    maker = {made: equation for equation in jaxpr.eqns for made in equation.outvars}
    handed_over: list[Any] = []
    again: set[int] = set()
    wanted, seen = _variables(value_outputs), set(constants)
    while wanted:
        variable = wanted.pop()
        if variable in seen:
            continue
        seen.add(variable)
        equation = maker.get(variable)
        if equation is None or (id(equation) in always and _is_worth_keeping(equation, variable)):
            handed_over.append(variable)
        else:
            again.add(id(equation))
            wanted += _variables(equation.invars)

    def compute_always(x: Array) -> tuple[Any, list[Array]]:
        known = constants | {jaxpr.invars[0]: x}
        _evaluate((e for e in jaxpr.eqns if id(e) in always), known)
        results = [_read(known, variable) for variable in other_outputs]
        tree = jax.tree.structure(others)
        return jax.tree.unflatten(tree, results), [known[variable] for variable in handed_over]

    def compute_on_demand(handed: list[Array]) -> Any:
        known = constants | dict(zip(handed_over, handed, strict=True))
        _evaluate((e for e in jaxpr.eqns if id(e) in again), known)
        results = [_read(known, variable) for variable in value_outputs]
        return jax.tree.unflatten(jax.tree.structure(values), results)

    return Split(compute_always, compute_on_demand)


def _is_worth_keeping(equation: Any, variable: Any) -> bool:
    return equation.primitive.name not in AGAIN or variable.aval.size <= SMALL


def _variables(atoms: Iterable[Any]) -> list[Any]:
    return [atom for atom in atoms if not isinstance(atom, Literal)]


def _needed(equations: list[Any], outputs: list[Any]) -> set[int]:
    """Identities of the equations that the outputs need, and of those with side effects."""
    found: set[int] = set()
    wanted = set(_variables(outputs))
    for equation in reversed(equations):
        if equation.effects or not wanted.isdisjoint(equation.outvars):
            found.add(id(equation))
            wanted.update(_variables(equation.invars))
    return found


def _read(known: Values, atom: Any) -> Any:
    return atom.val if isinstance(atom, Literal) else known[atom]


def _evaluate(equations: Iterable[Any], known: Values) -> None:
    """Adds what the equations make to what is known, the bodies of jitted functions in place."""
    for equation in equations:
        arguments = [_read(known, atom) for atom in equation.invars]
        if equation.primitive.name in ("jit", "pjit"):
            results = _evaluated(equation.params["jaxpr"], *arguments)
        else:
            parameters = equation.primitive.get_bind_params(equation.params)
            functions = ()
            if isinstance(parameters, tuple):  # in older versions of JAX
                functions, parameters = parameters
            results = equation.primitive.bind(*functions, *arguments, **parameters)
            if not equation.primitive.multiple_results:
                results = [results]
        known.update(zip(equation.outvars, results, strict=True))


def _evaluated(traced: Any, *arguments: Any) -> list[Any]:
    """The results of a traced function."""
    jaxpr = traced.jaxpr
    known: Values = dict(zip(jaxpr.constvars, traced.consts, strict=True))
    known |= dict(zip(jaxpr.invars, arguments, strict=True))
    _evaluate(jaxpr.eqns, known)
    return [_read(known, variable) for variable in jaxpr.outvars]
