"""Looks into traced functions, and replays them equation by equation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
from jax.extend.core import Literal

from numpygeons.arrays import Array

Values = dict[Any, Array]  # by variable of a traced function
CALLS = {"jit": "jaxpr", "pjit": "jaxpr"}  # primitives that call a function, and where they hold it


def equations(jaxpr: Any) -> Iterator[Any]:
    """Return all equations of a traced function, those of the functions inside it too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from equations(inner)


def inlined(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Any]:
    """Return `function` traced for these arguments, without calls inside, and the shapes it
    returns. It is not to be differentiated: what has a derivative of its own loses it."""
    traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    return without_calls(traced, CALLS | {"custom_jvp_call": "call_jaxpr"}), shapes


def without_calls(traced: Any, calls: Mapping[str, str] = CALLS) -> Any:
    """Return a traced function with the bodies of jitted functions in place of the calls."""

    def call(*arguments: Any) -> list[Any]:
        return results_of(traced, *arguments, calls=calls)

    return jax.make_jaxpr(call)(*inputs_of(traced))


def inputs_of(traced: Any) -> list[Any]:
    """Return the shapes and dtypes of the arguments of a traced function."""
    return [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in traced.in_avals]


def constants_of(traced: Any) -> Values:
    """Return the arrays that a traced function holds, by variable."""
    return dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))


def variables(atoms: Iterable[Any]) -> list[Any]:
    """Return what is no literal."""
    return [atom for atom in atoms if not isinstance(atom, Literal)]


def needed(equations: list[Any], outputs: list[Any]) -> set[int]:
    """Return the identities of the equations that the outputs need, and of those with side
    effects."""
    found: set[int] = set()
    wanted = set(variables(outputs))
    for equation in reversed(equations):
        if equation.effects or not wanted.isdisjoint(equation.outvars):
            found.add(id(equation))
            wanted.update(variables(equation.invars))
    return found


def read(known: Values, atom: Any) -> Any:
    """Return the value of a variable or a literal."""
    return atom.val if isinstance(atom, Literal) else known[atom]


def replay(equations: Iterable[Any], known: Values, calls: Mapping[str, str] = CALLS) -> None:
    """Add what the equations make to what is known, the bodies of jitted functions in place."""
    for equation in equations:
        arguments = [read(known, atom) for atom in equation.invars]
        inner = calls.get(equation.primitive.name)
        if inner is not None:
            results = results_of(equation.params[inner], *arguments, calls=calls)
        else:
            results = bind(equation, arguments, equation.params)
        known.update(zip(equation.outvars, results, strict=True))


def bind(equation: Any, arguments: list[Any], parameters: dict[str, Any]) -> list[Any]:
    """Return the results of an equation's primitive, with these arguments and parameters."""
    bound = equation.primitive.get_bind_params(parameters)
    functions: Any = ()
    if isinstance(bound, tuple):  # in older versions of JAX
        functions, bound = bound
    results = equation.primitive.bind(*functions, *arguments, **bound)
    return list(results) if equation.primitive.multiple_results else [results]


def results_of(traced: Any, *arguments: Any, calls: Mapping[str, str] = CALLS) -> list[Any]:
    """Return the results of a traced function."""
    jaxpr = traced.jaxpr
    known = constants_of(traced)
    known |= dict(zip(jaxpr.invars, arguments, strict=True))
    replay(jaxpr.eqns, known, calls)
    return [read(known, variable) for variable in jaxpr.outvars]
