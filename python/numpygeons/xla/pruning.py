"""Removes what a function computes and never uses, so that both drivers compile the same thing.

JAX prunes the program of one driver and not that of the other, whose loop calls the coordinator.
Where XLA then builds different code around what is left over, last bits differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.interpreters.partial_eval import dce_jaxpr

from numpygeons.arrays import Array


class Pruned(NamedTuple):
    """A traced function without its dead code."""

    call: Callable[..., list[Array]]  # of the leaves that it reads, to the leaves of its result
    reads: list[bool]  # whether it reads each leaf of its arguments
    result: Any  # structure of its result

    def operands(self, *arguments: Any) -> list[Array]:
        """Return the leaves of these arguments that `call` takes."""
        leaves = zip(jax.tree.leaves(arguments), self.reads, strict=True)
        return [leaf for leaf, is_read in leaves if is_read]


def pruned(function: Callable[..., Any], *arguments: Any) -> Pruned:
    """Trace `function` for these arguments, and prune it."""
    traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    jaxpr, reads = dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    # From JAX 0.12 on a jaxpr holds its constants itself.
    closed = jaxpr if hasattr(jaxpr, "consts") else ClosedJaxpr(jaxpr, traced.consts)
    return Pruned(jaxpr_as_fun(closed), reads, jax.tree.structure(shapes))
