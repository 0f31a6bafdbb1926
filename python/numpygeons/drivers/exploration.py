"""Builds the exploration of all replicas, which every driver shares, so that they agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from numpygeons.arrays import Array
from numpygeons.explorers.base import Explorer, Noise
from numpygeons.explorers.tables import row_of
from numpygeons.potential import Evaluate, State

Replicas = State  # with a leading axis of replicas on every field
Explore = Callable[[Array, Replicas, Array, Any, State, Noise], tuple[Replicas, Array]]


def make_explore(explorer: Explorer, evaluate: Evaluate) -> Explore:
    """The function that explores every replica once, one after another.

    Its arguments: chains (n,), replicas, betas by chain (n,), tuning by chain, one exact draw
    from the reference, noise with a leading axis of replicas. It returns the replicas and their
    statistics (n, n_statistics). The replica at beta = 0 takes the exact draw.
    """
    n_statistics = len(explorer.statistics)

    def explore_all(
        chains: Array,
        replicas: Replicas,
        betas: Array,
        tuning: Any,
        reference: State,
        noise: Noise,
    ) -> tuple[Replicas, Array]:
        def explore_one(one: tuple[Array, State, Noise]) -> tuple[State, Array]:
            chain, state, own = one
            beta = betas[chain]

            def refresh() -> tuple[State, Array]:
                return reference, jnp.zeros(n_statistics, state.x.dtype)

            def explore() -> tuple[State, Array]:
                return explorer.explore(evaluate, state, beta, row_of(tuning, chain), own)

            result: tuple[State, Array] = jax.lax.cond(beta == 0, refresh, explore)
            return result

        explored: tuple[Replicas, Array] = jax.lax.map(explore_one, (chains, replicas, noise))
        return explored

    return explore_all
