"""Hands an explorer the row of its chain, or a large table to look single entries up in.

Tuning has one row per chain. The rows of small arrays are cut out before an exploration; those of
a `Table`, which may be large, such as the factors of a mixture, are left where they are, and the
explorer takes what it needs.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from numpygeons.arrays import Array


@jax.tree_util.register_pytree_node_class
class Table:
    """An array whose leading axis is the chain, and of which an exploration reads little."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def tree_flatten(self) -> tuple[tuple[Any], None]:
        return (self.rows,), None

    @classmethod
    def tree_unflatten(cls, _: None, children: tuple[Any]) -> Table:
        return cls(children[0])


class TableRow:
    """The row of one chain, not cut out: `row[i]` is its entry i, `row[:]` all of it."""

    def __init__(self, rows: Array, chain: Array) -> None:
        self._rows, self._chain = rows, chain

    def __getitem__(self, i: Any) -> Array:
        first = [self._chain] if isinstance(i, slice) else [self._chain, i]
        rest = self._rows.shape[len(first) :]
        places = [jnp.asarray(place, jnp.int32) for place in first] + [jnp.int32(0)] * len(rest)
        ones = (1,) * len(first)
        entry: Array = jax.lax.dynamic_slice(self._rows, places, (*ones, *rest))
        return entry.reshape(rest)


def row_of(tuning: Any, chain: Array) -> Any:
    """Return the tuning of one chain."""

    def one(table: Any) -> Any:
        return TableRow(table.rows, chain) if isinstance(table, Table) else table[chain]

    return jax.tree.map(one, tuning, is_leaf=lambda node: isinstance(node, Table))
