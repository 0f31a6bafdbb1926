"""Combines explorers: one after another in each scan, or one chosen at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons.arrays import Array, Floats
from numpygeons.explorers.base import (
    Explorer,
    Noise,
    NoiseShape,
    RoundOutcome,
    Start,
)
from numpygeons.explorers.parameters import as_explorer_hint
from numpygeons.target.potential import Evaluate, State

SHARED = ("acceptance", "n_gradients")  # reported for the whole, then for each part


class _Combination(Explorer):
    """What both combinations share: the parts' tuning, noise and statistics, side by side."""

    def __init__(self, *explorers: Explorer) -> None:
        if not explorers:
            raise ValueError(f"{type(self).__name__} needs at least one explorer: got none")
        for explorer in explorers:
            if isinstance(explorer, type) or not hasattr(explorer, "explore"):
                raise TypeError(
                    f"{type(self).__name__} combines explorers such as HMC(): "
                    f"{as_explorer_hint(explorer)}"
                )
        self.explorers = explorers

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.explorers))})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.explorers == other.explorers

    def __hash__(self) -> int:
        return hash((type(self), self.explorers))

    @property
    def statistics(self) -> tuple[str, ...]:
        parts = [f"{i}.{name}" for i, e in enumerate(self.explorers) for name in e.statistics]
        return (*SHARED, *(f"{i}.share" for i in range(len(self.explorers))), *parts)

    def chosen(self, tuning: tuple[Any, ...]) -> dict[str, Floats]:
        parts = enumerate(zip(self.explorers, tuning, strict=True))
        return {f"{i}.{name}": a for i, (e, part) in parts for name, a in e.chosen(part).items()}

    @property
    def needs_gradients(self) -> bool:
        return any(explorer.needs_gradients for explorer in self.explorers)

    def n_snapshots(self, n_chains: int, dimension: int) -> int:
        return max(explorer.n_snapshots(n_chains, dimension) for explorer in self.explorers)

    def proposals(self, tuning: tuple[Any, ...]) -> list[Any]:
        parts = zip(self.explorers, tuning, strict=True)
        return [table for explorer, part in parts for table in explorer.proposals(part)]

    def operands(self, tuning: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(e.operands(part) for e, part in zip(self.explorers, tuning, strict=True))

    def start(self, start: Start) -> tuple[Any, ...]:
        return tuple(explorer.start(start) for explorer in self.explorers)

    def adapt(self, tuning: tuple[Any, ...], outcome: RoundOutcome) -> tuple[Any, ...]:
        """Let each part learn from the means over the scans in which it explored."""

        def seen_by(i: int, explorer: Explorer) -> RoundOutcome:
            share = outcome.statistics[f"{i}.share"]

            def mean(name: str) -> Floats:
                total = outcome.statistics[f"{i}.{name}"]
                empty = np.full(len(share), np.nan)
                means: Floats = np.divide(total, share, out=empty, where=share > 0)
                return means

            return replace(outcome, statistics={name: mean(name) for name in explorer.statistics})

        return tuple(
            explorer.adapt(part, seen_by(i, explorer))
            for i, (explorer, part) in enumerate(zip(self.explorers, tuning, strict=True))
        )

    def _cut(self, noise: Noise, dimension: int, skip: int) -> list[Noise]:
        """Return the noise of each part, after `skip` uniforms of our own."""
        cut, z, u, p = [], 0, skip, 0
        for i, explorer in enumerate(self.explorers):
            shape = explorer.noise(dimension)
            key = noise.key
            if shape.key:
                typed = jax.random.wrap_key_data(noise.key, impl="threefry2x32")
                key = jax.random.key_data(jax.random.fold_in(typed, i))
            drawn = jax.tree.map(lambda a, p=p, n=shape.n_proposals: a[p : p + n], noise.proposals)
            cut.append(
                Noise(
                    noise.normals[z : z + shape.n_normals],
                    noise.uniforms[u : u + shape.n_uniforms],
                    key,
                    drawn,
                )
            )
            z, u, p = z + shape.n_normals, u + shape.n_uniforms, p + shape.n_proposals
        return cut

    def _noise(self, dimension: int, extra: int) -> NoiseShape:
        shapes = [explorer.noise(dimension) for explorer in self.explorers]
        return NoiseShape(
            n_normals=sum(shape.n_normals for shape in shapes),
            n_uniforms=extra + sum(shape.n_uniforms for shape in shapes),
            key=any(shape.key for shape in shapes),
            n_proposals=sum(shape.n_proposals for shape in shapes),
        )

    def _summary(self, shares: Sequence[Any], parts: Sequence[Array], dtype: Any) -> Array:
        """Return all statistics, from each part's, which are zero where it did not explore."""

        def of(name: str) -> list[Array]:
            return [
                part[explorer.statistics.index(name)]
                for explorer, part in zip(self.explorers, parts, strict=True)
                if name in explorer.statistics
            ]

        accepted = of("acceptance")
        n_exploring = sum(jnp.asarray(share, dtype) for share in shares)
        acceptance = sum(accepted, jnp.zeros((), dtype)) / n_exploring
        gradients = sum(of("n_gradients"), jnp.zeros((), dtype))
        shared = jnp.stack([acceptance, gradients, *(jnp.asarray(s, dtype) for s in shares)])
        return jnp.concatenate([shared, *parts])


class Compose(_Combination):
    """Applies every explorer, in the order given, in each scan.

    Parameters
    ----------
    *explorers : Explorer
        At least one.
    """

    def noise(self, dimension: int) -> NoiseShape:
        return self._noise(dimension, 0)

    def explore(
        self, evaluate: Evaluate, state: State, beta: Array, tuning: tuple[Any, ...], noise: Noise
    ) -> tuple[State, Array]:
        parts = []
        cuts = self._cut(noise, state.x.shape[0], 0)
        for explorer, part, cut in zip(self.explorers, tuning, cuts, strict=True):
            state, statistics = explorer.explore(evaluate, state, beta, part, cut)
            parts.append(statistics)
        return state, self._summary([1] * len(parts), parts, state.x.dtype)


class Mix(_Combination):
    """Applies one of the explorers in each scan, each with the same probability.

    Parameters
    ----------
    *explorers : Explorer
        At least one.
    """

    def noise(self, dimension: int) -> NoiseShape:
        return self._noise(dimension, 1)

    def explore(
        self, evaluate: Evaluate, state: State, beta: Array, tuning: tuple[Any, ...], noise: Noise
    ) -> tuple[State, Array]:
        n, dtype = len(self.explorers), state.x.dtype
        chosen = jnp.minimum((n * noise.uniforms[0]).astype(jnp.int32), n - 1)
        cuts = self._cut(noise, state.x.shape[0], 1)

        def branch(i: int) -> Any:
            def explore(state: State) -> tuple[State, list[Array]]:
                end, statistics = self.explorers[i].explore(
                    evaluate, state, beta, tuning[i], cuts[i]
                )
                zeros = [jnp.zeros(len(e.statistics), dtype) for e in self.explorers]
                return end, [*zeros[:i], statistics, *zeros[i + 1 :]]

            return explore

        end, parts = jax.lax.switch(chosen, [branch(i) for i in range(n)], state)
        return end, self._summary([chosen == i for i in range(n)], parts, dtype)
