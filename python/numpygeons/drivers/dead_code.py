"""Removes what a function computes and never uses, so that both drivers compile the same thing.

JAX prunes the program of one driver and not that of the other, whose loop calls the coordinator.
Where XLA then builds different code around what is left over, last bits differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.interpreters.partial_eval import dce_jaxpr


def without_dead_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which is traced and pruned in every call: for use inside `jax.jit`."""

    def pruned(*arguments: Any) -> Any:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        n_results = len(traced.jaxpr.outvars)
        jaxpr, _ = dce_jaxpr(traced.jaxpr, [True] * n_results, instantiate=True)
        # From JAX 0.12 on a jaxpr holds its constants itself.
        closed = jaxpr if hasattr(jaxpr, "consts") else ClosedJaxpr(jaxpr, traced.consts)
        results = jaxpr_as_fun(closed)(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return pruned
