"""Rewrites a traced model into one with the same densities whose gradients are faster.

Done once, when a path is made, and before anything is differentiated, so that derivatives gain too.

What the model derives from its data before it multiplies is computed then too. The rules are
`matrix_order`, which stores matrices of data along their longer axis, and `supports`, which takes
NumPyro's tests of supports out of gradients.
"""

from __future__ import annotations

from typing import Any

import jax

from numpygeons.arrays import Array
from numpygeons.target.rewriting.matrix_order import along_longer_axes
from numpygeons.target.rewriting.rules import Replacements, Rule
from numpygeons.target.rewriting.supports import past_supports
from numpygeons.xla.jaxprs import constants_of, equations, inputs_of, read, replay, without_calls

OWN_REVERSE = frozenset({"custom_vjp_call", "custom_vjp_call_jaxpr"})
RULES: tuple[Rule, ...] = (along_longer_axes, past_supports)


def rewritten(traced: Any, rules: tuple[Rule, ...] = RULES) -> Any:
    """Return a traced function with the equations that the rules replace, outside of loops and
    branches.

    Results agree to rounding. Each output must be a log density, or not be differentiated. A
    function that calls one with a reverse derivative of its own, as `jax.experimental.ode` does,
    stays as it is: such a derivative may index constants, which it gets as NumPy's arrays after a
    replay, with what it traces.
    """
    if any(e.primitive.name in OWN_REVERSE for e in equations(traced.jaxpr)):
        return traced
    code = without_calls(traced)
    replacements: Replacements = {}
    for rule in rules:
        replacements |= rule(code)
    if not replacements:
        return traced

    def call(*arguments: Array) -> list[Any]:
        known = constants_of(code) | dict(zip(code.jaxpr.invars, arguments, strict=True))
        for equation in code.jaxpr.eqns:
            replacement = replacements.get(id(equation))
            if replacement is None:
                replay([equation], known)
            else:
                known.update(zip(equation.outvars, replacement(known), strict=True))
        return [read(known, atom) for atom in code.jaxpr.outvars]

    return jax.make_jaxpr(call)(*inputs_of(code))
