"""Holds a function whose traced program was rewritten against the function itself."""

import jax
import numpy as np
from jax.extend.core import jaxpr_as_fun

from numpygeons.target.rewriting.program import rewritten


def named(function):
    """For the names of parametrized tests."""
    return function.__name__


def rewritten_function(function, x, *rules):
    """`function` of arrays like `x`, with these rules applied to its program."""
    traced = rewritten(jax.make_jaxpr(function)(x), rules)
    return lambda x: jaxpr_as_fun(traced)(x)[0]


def assert_same_values_and_gradients(function, points, *rules):
    """At `points`, a leading axis, up to rounding."""
    after = rewritten_function(function, points[0], *rules)
    for got, wanted in zip(
        jax.jit(jax.vmap(jax.value_and_grad(after)))(points),
        jax.vmap(jax.value_and_grad(function))(points),
        strict=True,
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
