"""Builds the exploration of a worker's replicas, which every driver shares, so that they agree.

One program serves every partition of the replicas over ranks and threads. Its arrays have as many
rows as there are chains, however few are a worker's replicas, and one replica is explored after
another by a loop whose length is known at run time alone. With arrays of the worker's own size XLA
compiled ten rows otherwise than five, and contracted other products. Rows that are no replicas are
written once per block and not again: 4,000 rows in place of 4 cost a scan of four chains 4 % in 10
dimensions (4.5 to 4.7 µs), and in 1,000 dimensions 30 µs, a copy of 100 MB per block shared by its
scans.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons.arrays import Array
from numpygeons.explorers.base import Explorer, Noise
from numpygeons.explorers.tables import row_of
from numpygeons.target.potential import Evaluate, Replicas, State
from numpygeons.xla.pruning import pruned

Explore = Callable[
    [Array, Array, Array, Replicas, Array, Any, State, Noise], tuple[Replicas, Array]
]


def at_least_two(rows: Any) -> Any:
    """Return an array by chain with two rows at least, for a run of one chain: XLA does not read an
    index into a single row, and ends the process over an operand that a single function does not
    read."""
    rows = np.asarray(rows)
    return rows if len(rows) > 1 else np.concatenate([rows, rows])


def make_explore(explorer: Explorer, evaluate: Evaluate, lanes: int = 1) -> Explore:
    """Make the function that explores each replica of a worker once: one after another, or in
    batches of `lanes`.

    Its arguments: how many of the rows are replicas, which of the reference's exact draws is due,
    chains (n_rows,), replicas, betas and tuning by chain (`at_least_two`), a batch of exact draws,
    noise with a leading axis of rows. It returns the replicas and their statistics (n_rows,
    n_statistics). The replica at beta = 0 takes the exact draw; rows that are no replicas stay.

    The number of replicas is known at run time alone, so that whoever explores one of them, or
    ten, runs the same instructions, and gets the same bits.
    """
    explore_some = _one(explorer, evaluate) if lanes == 1 else _batch(explorer, evaluate, lanes)
    n_statistics = len(explorer.statistics)

    def explore_all(
        n_replicas: Array,
        reference_draw: Array,
        chains: Array,
        replicas: Replicas,
        betas: Array,
        tuning: Any,
        draws: State,
        noise: Noise,
    ) -> tuple[Replicas, Array]:
        given = (n_replicas, reference_draw, chains, betas, tuning, draws, noise)
        none = jnp.zeros((len(chains), n_statistics), replicas.x.dtype)
        # Pruned before it becomes a loop's body, out of which nothing prunes operands.
        code = pruned(explore_some, jnp.int32(0), replicas, none, given)

        def explore_next(i: Array, so_far: tuple[Replicas, Array]) -> tuple[Replicas, Array]:
            explored = code.call(*code.operands(i, *so_far, given))
            put: tuple[Replicas, Array] = jax.tree.unflatten(code.result, explored)
            return put

        n_batches = n_replicas if lanes == 1 else (n_replicas + (lanes - 1)) // lanes
        explored: tuple[Replicas, Array] = jax.lax.fori_loop(
            0, n_batches, explore_next, (replicas, none)
        )
        return explored

    return explore_all


ExploreSome = Callable[[Array, Replicas, Array, Any], tuple[Replicas, Array]]


def _one(explorer: Explorer, evaluate: Evaluate) -> ExploreSome:
    """Explores one row. The replica at beta = 0 costs nothing."""
    n_statistics = len(explorer.statistics)

    def explore_one(
        row: Array, replicas: Replicas, statistics: Array, given: Any
    ) -> tuple[Replicas, Array]:
        _, reference_draw, chains, betas, tuning, draws, noise = given
        chain, state, own = jax.tree.map(lambda a: a[row], (chains, replicas, noise))
        beta = betas[chain]

        def refresh() -> tuple[State, Array]:
            reference: State = jax.tree.map(lambda a: a[reference_draw], draws)
            return reference, jnp.zeros(n_statistics, state.x.dtype)

        def explore() -> tuple[State, Array]:
            return explorer.explore(evaluate, state, beta, row_of(tuning, chain), own)

        new: tuple[State, Array] = jax.lax.cond(beta == 0, refresh, explore)
        put: tuple[Replicas, Array] = jax.tree.map(
            lambda a, b: a.at[row].set(b), (replicas, statistics), new
        )
        return put

    return explore_one


def _batch(explorer: Explorer, evaluate: Evaluate, lanes: int) -> ExploreSome:
    """Explores `lanes` rows in step, for as long as the slowest of them takes.

    A lane that has no replica repeats the first one's work, and the replica at beta = 0, which
    takes the exact draw, that of the replica nearest to the target: so the batch waits for nobody
    more, and no explorer meets a state that it cannot explore. All batches of a run have the same
    width, full or not, because last bits depend on it.
    """
    # Under vmap a branch gets a copy per lane of whatever it reads from outside: not of the model's
    # data, which stay inside this call, nor of all tables, which are cut before.
    evaluate_all: Callable[[Array], State] = jax.jit(evaluate)

    def evaluate_lane(x: Array, valued: Array | bool = True) -> State:
        # Some lane always wants the values, and to hand over what they need would take longer.
        return evaluate_all(x)

    def explore_one(
        beta: Array, state: State, own_tuning: Any, noise: Noise
    ) -> tuple[State, Array]:
        tuning = row_of(own_tuning, jnp.int32(0))
        return explorer.explore(evaluate_lane, state, beta, tuning, noise)

    def explore_batch(
        batch: Array, replicas: Replicas, statistics: Array, given: Any
    ) -> tuple[Replicas, Array]:
        n_replicas, reference_draw, chains, betas, tuning, draws, noise = given
        all_rows = jnp.arange(len(chains), dtype=jnp.int32)
        last = jnp.argmax(jnp.where(all_rows < n_replicas, chains, -1)).astype(jnp.int32)
        first = batch * lanes
        places = first + jnp.arange(lanes, dtype=jnp.int32)
        is_replica = places < n_replicas
        rows = jnp.where(is_replica, places, first)
        is_exact = betas[chains[rows]] == 0
        chosen, states, own = jax.tree.map(
            lambda a: a[jnp.where(is_exact, last, rows)], (chains, replicas, noise)
        )
        own_tuning = jax.tree.map(lambda a: a[chosen, None], tuning)
        explored, numbers = jax.vmap(explore_one)(betas[chosen], states, own_tuning, own)
        reference: State = jax.tree.map(lambda a: a[reference_draw], draws)

        def kept(exact: Array, explored: Array) -> Array:
            is_one = is_exact.reshape(-1, *[1] * (explored.ndim - 1))
            return jnp.where(is_one, exact, explored)

        new = jax.tree.map(kept, (reference, jnp.zeros_like(numbers[0])), (explored, numbers))
        # Each its own, so that an accelerator need not sort them first; of none, beyond the end.
        places = jnp.where(is_replica, places, len(chains) + places)
        put: tuple[Replicas, Array] = jax.tree.map(
            lambda a, b: a.at[places].set(
                b, mode="drop", unique_indices=True, indices_are_sorted=True
            ),
            (replicas, statistics),
            new,
        )
        return put

    return explore_batch
