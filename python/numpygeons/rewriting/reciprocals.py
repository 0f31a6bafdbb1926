"""Divides by a number that many share once: multiplies by its reciprocal.

The density of many normals with one scale divides each deviation by it, and its gradient twice
more. A processor divides several times as slowly as it multiplies.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

import jax.numpy as jnp

from numpygeons.jaxprs import Values, bind, read, variables
from numpygeons.rewriting.rules import Replacements

SPREADS = frozenset({"broadcast_in_dim", "gather"})  # repeat numbers, and leave them as they are


def by_reciprocals(code: Any) -> Replacements:
    """Replaces quotients of floating numbers whose divisor has fewer of them than the quotient.

    A quotient then is rounded twice. Where a divisor is so large that its reciprocal is subnormal,
    from 8.5e37 on in single precision, it is zero.
    """
    maker = {made: equation for equation in code.jaxpr.eqns for made in equation.outvars}
    replacements: Replacements = {}
    for equation in code.jaxpr.eqns:
        if equation.primitive.name != "div" or not variables(equation.invars[1:]):
            continue
        quotient, divisor = equation.outvars[0].aval, equation.invars[1]
        if not jnp.issubdtype(quotient.dtype, jnp.floating):
            continue
        spread = maker.get(divisor)
        if divisor.aval.size < quotient.size:
            replacements[id(equation)] = partial(_multiplied, equation, None)
        elif spread is not None and _repeats(spread):
            replacements[id(equation)] = partial(_multiplied, equation, spread)
    return replacements


def _repeats(equation: Any) -> bool:
    return equation.primitive.name in SPREADS and equation.invars[0].aval.size < prod(
        equation.outvars[0].aval.shape
    )


def _multiplied(equation: Any, spread: Any | None, known: Values) -> list[Any]:
    """The quotient; `spread`: how the divisor came about, to take the reciprocal before."""
    dividend = read(known, equation.invars[0])
    if spread is None:
        return [dividend * (1 / read(known, equation.invars[1]))]
    few, *others = (read(known, atom) for atom in spread.invars)
    return [dividend * bind(spread, [1 / few, *others], spread.params)[0]]
