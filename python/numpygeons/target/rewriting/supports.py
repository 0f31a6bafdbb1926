"""Takes the tests of supports out of gradients.

NumPyro asks of each value whether it lies in the support of its distribution, and gives -inf where
it does not. The gradient asks again, for each value and each of its uses, and gives 0 there: a
large part of a small model's gradient. But a state of density zero is never accepted, and leapfrog
steps are reversible with any function of the state as gradient. So where the -inf makes the whole
log density -inf, the density keeps the test, and its derivative does without.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons.arrays import Array
from numpygeons.target.rewriting.rules import Replacements
from numpygeons.xla.jaxprs import Values, needed, read, variables

# Hand a term of -inf on to the result, by the numbers of the operands that do.
HANDED_ON: dict[str, slice] = {
    "add": slice(None),
    "add_any": slice(None),
    "broadcast_in_dim": slice(1),
    "concatenate": slice(None),
    "convert_element_type": slice(1),
    "copy": slice(1),
    "expand_dims": slice(1),
    "reduce_sum": slice(1),
    "reshape": slice(1),
    "select_n": slice(1, None),
    "squeeze": slice(1),
    "sub": slice(1),
    "transpose": slice(1),
}
REPEATED = frozenset({"broadcast_in_dim", "convert_element_type", "copy", "reshape"})


def past_supports(code: Any) -> Replacements:
    """Replace choices between a term of a log density and -inf, all of whose uses hand it on."""
    terms = _terms(code)
    infinite = _minus_infinite(code)
    replacements: Replacements = {}
    for equation in code.jaxpr.eqns:
        if equation.primitive.name != "select_n" or equation.outvars[0] not in terms:
            continue
        _, *cases = equation.invars
        if len(cases) == 2 and _is_minus_infinity(cases[0], infinite):
            replacements[id(equation)] = partial(_past_support, equation)
    return replacements


@jax.custom_jvp
def where_inside(is_inside: Array, term: Array, outside: Array) -> Array:
    """Return `term`, or `outside` where it is not inside; with the derivative of `term`
    everywhere."""
    return jax.lax.select_n(is_inside, outside, term)


@where_inside.defjvp
def _derivative(primals: Any, tangents: Any) -> tuple[Array, Array]:
    return where_inside(*primals), tangents[1]


def _past_support(equation: Any, known: Values) -> list[Any]:
    is_inside, outside, term = (read(known, atom) for atom in equation.invars)
    shape = equation.outvars[0].aval.shape
    outside, term = jnp.broadcast_to(outside, shape), jnp.broadcast_to(term, shape)
    return [where_inside(is_inside, term, outside)]


def _terms(code: Any) -> set[Any]:
    """Return the variables that make an output -inf where they have an element of -inf that
    counts."""
    terms = set(variables(code.jaxpr.outvars))
    others: set[Any] = set()  # that have other uses too
    outputs = needed(code.jaxpr.eqns, code.jaxpr.outvars)
    for equation in reversed(code.jaxpr.eqns):
        if id(equation) not in outputs:
            continue
        handed_on: set[Any] = set()
        if any(made in terms and made not in others for made in equation.outvars):
            which = HANDED_ON.get(equation.primitive.name, slice(0))
            handed_on = set(variables(equation.invars[which]))
        terms |= handed_on
        others.update(set(variables(equation.invars)) - handed_on)
    return terms - others


def _minus_infinite(code: Any) -> set[Any]:
    """Return the variables whose elements are all -inf, whatever the arguments."""
    found: set[Any] = set()
    for equation in code.jaxpr.eqns:
        if equation.primitive.name in REPEATED and _is_minus_infinity(equation.invars[0], found):
            found.update(equation.outvars)
    return found


def _is_minus_infinity(atom: Any, known: set[Any]) -> bool:
    if variables([atom]):
        return atom in known
    return bool(jnp.issubdtype(atom.aval.dtype, jnp.floating) and np.all(np.isneginf(atom.val)))
