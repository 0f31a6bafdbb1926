"""Explores with slice sampling along lines, without gradients (Neal 2003).

A level is drawn under the density; an interval around the point is widened until its ends lie
below the level, then shrunk towards the point until a uniform draw from it lies above.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons.arrays import Array, Floats
from numpygeons.explorers.base import Explorer, Noise, NoiseShape, RoundOutcome, Start
from numpygeons.explorers.parameters import take_counts, take_reals
from numpygeons.explorers.scale import carried_over, neighbour_variances
from numpygeons.target.potential import Evaluate, State, log_density

FIRST_SCALED_ROUND = 3  # earlier rounds have too few visits
DIRECTIONS = ("coordinates", "random")
EXPANSIONS = ("stepping_out", "doubling")

Inside = Callable[[Array], Array]  # whether the density at a place on the line exceeds the level
Draw = Callable[[Array], Array]  # the i-th uniform of one update


class SliceTuning(NamedTuple):
    """One row per chain."""

    scale: Floats  # shape (n_chains, dimension), unconstrained units


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceSampler(Explorer):
    """Slice sampling along every coordinate in turn, or along random directions.

    Parameters
    ----------
    window : float > 0
        Width of the first interval, in units of the chain's scale.
    n_passes : int > 0
        Sweeps over all coordinates per scan; with random directions, directions per scan.
    directions : {"coordinates", "random"}
        "random" is hit-and-run: directions from a normal distribution in units of the scale.
    expansion : {"stepping_out", "doubling"}
        Doubling reaches far with few evaluations, stepping out wastes none when the window fits.
    max_expansions : int > 0
        Most windows of an interval when stepping out; most doublings.
    max_shrinks : int > 0
        Most draws from the shrinking interval; the point stays where it is after as many.

    References
    ----------
    Neal (2003), Slice sampling, Annals of Statistics 31(3), figures 3 to 6.
    """

    window: float = 2.0
    n_passes: int = 1
    directions: str = "coordinates"
    expansion: str = "stepping_out"
    max_expansions: int = 20
    max_shrinks: int = 100

    def __post_init__(self) -> None:
        take_reals(self, "window")
        take_counts(self, "n_passes", "max_expansions", "max_shrinks")
        if not 0 < self.window < np.inf:
            raise ValueError(f"window must be positive: got {self.window}")
        if not (isinstance(self.directions, str) and self.directions in DIRECTIONS):
            raise ValueError(f"directions must be one of {DIRECTIONS}: got {self.directions!r}")
        if not (isinstance(self.expansion, str) and self.expansion in EXPANSIONS):
            raise ValueError(f"expansion must be one of {EXPANSIONS}: got {self.expansion!r}")

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("acceptance", "n_gradients")

    def noise(self, dimension: int) -> NoiseShape:
        random = self.directions == "random"
        return NoiseShape(
            n_normals=self.n_passes * dimension if random else 0, n_uniforms=0, key=True
        )

    def start(self, start: Start) -> SliceTuning:
        return SliceTuning(scale=np.tile(start.scale, (len(start.betas), 1)))

    def explore(
        self, evaluate: Evaluate, state: State, beta: Array, tuning: SliceTuning, noise: Noise
    ) -> tuple[State, Array]:
        dimension = state.x.shape[0]
        dtype = state.x.dtype
        scale = jnp.asarray(tuning.scale)
        key = jax.random.wrap_key_data(noise.key, impl="threefry2x32")
        random = self.directions == "random"
        n_updates = self.n_passes * (1 if random else dimension)

        def update(i: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
            here, sums = carry
            if random:
                z = jax.lax.dynamic_slice(noise.normals, (i * dimension,), (dimension,))
                direction = z * scale
            else:
                direction = jnp.where(jnp.arange(dimension) == i % dimension, scale, 0)
            there, new = self._update(evaluate, here, beta, direction, jax.random.fold_in(key, i))
            return there, sums + new

        end, sums = jax.lax.fori_loop(0, n_updates, update, (state, jnp.zeros(2, dtype)))
        return end, sums * jnp.asarray([1 / n_updates, 1], dtype)

    def _update(
        self, evaluate: Evaluate, state: State, beta: Array, direction: Array, key: Array
    ) -> tuple[State, Array]:
        """Move once along a line; places on it are multiples of `direction`, 0 where we are."""
        dtype = state.x.dtype
        smallest = float(np.finfo(dtype).tiny)

        def draw(i: Array) -> Array:
            return jax.random.uniform(jax.random.fold_in(key, i), (), dtype, minval=smallest)

        level = log_density(state, beta) + jnp.log(draw(jnp.uint32(0)))

        def at(t: Array) -> State:
            return evaluate(state.x + t * direction)

        def inside(t: Array) -> Array:
            return log_density(at(t), beta) > level

        low = -self.window * draw(jnp.uint32(1))
        first = (low, low + self.window)
        if self.expansion == "stepping_out":
            *interval, n = self._stepped_out(inside, first, draw)
        else:
            *interval, n = self._doubled(inside, first, draw)

        def shrink(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            i, low, high, _, _, n = carry
            t = low + (high - low) * draw(jnp.uint32(100) + i)
            found = inside(t)
            if self.expansion == "doubling":
                reachable, more = self._reachable(inside, t, interval[0], interval[1], found)
                found, n = found & reachable, n + more
            return (
                i + 1,
                jnp.where(~found & (t < 0), t, low),
                jnp.where(~found & (t >= 0), t, high),
                t,
                found,
                n + 1,
            )

        start = (jnp.uint32(0), *interval, jnp.zeros((), dtype), jnp.bool_(False), n)
        _, _, _, t, found, n = jax.lax.while_loop(
            lambda c: ~c[4] & (c[0] < self.max_shrinks), shrink, start
        )
        end = at(jnp.where(found, t, 0))
        new: State = jax.tree.map(lambda a, b: jnp.where(found, a, b), end, state)
        return new, jnp.stack([found.astype(dtype), (n + 1).astype(dtype)])

    def _stepped_out(
        self, inside: Inside, first: tuple[Array, Array], draw: Draw
    ) -> tuple[Array, Array, Array]:
        """Widen by whole windows, at most max_expansions in all, split at random between the
        two sides: j to the left and max_expansions - 1 - j to the right, j from 0 on."""
        j = jnp.floor(self.max_expansions * draw(jnp.uint32(2))).astype(jnp.int32)
        j = jnp.minimum(j, self.max_expansions - 1)

        def widen(end: Array, budget: Array, step: float) -> tuple[Array, Array]:
            def go(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
                t, left, _ = carry
                wider = inside(t) & (left > 0)
                return jnp.where(wider, t + step, t), left - 1, wider

            t, left, _ = jax.lax.while_loop(
                lambda c: c[2] & (c[1] > 0), go, (end, budget, jnp.bool_(True))
            )
            return t, budget - left

        low, n_low = widen(first[0], j, -self.window)
        high, n_high = widen(first[1], self.max_expansions - 1 - j, self.window)
        return low, high, n_low + n_high

    def _doubled(
        self, inside: Inside, first: tuple[Array, Array], draw: Draw
    ) -> tuple[Array, Array, Array]:
        """Double towards a random side until both ends are outside, or max_expansions times."""

        def ends(low: Array, high: Array) -> Array:
            return inside(low) | inside(high)

        def double(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            i, low, high, _ = carry
            left = draw(jnp.uint32(3) + i) < 0.5
            width = high - low
            low, high = jnp.where(left, low - width, low), jnp.where(left, high, high + width)
            return i + 1, low, high, ends(low, high)

        start = (jnp.uint32(0), *first, ends(*first))
        i, low, high, _ = jax.lax.while_loop(
            lambda c: c[3] & (c[0] < self.max_expansions), double, start
        )
        return low, high, 2 * (i.astype(jnp.int32) + 1)

    def _reachable(
        self, inside: Inside, t: Array, low: Array, high: Array, needed: Array
    ) -> tuple[Array, Array]:
        """Return whether doubling from `t` could have given the same interval (Neal 2003, figure
        6)."""

        def halve(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            low, high, apart, good, n = carry
            middle = 0.5 * (low + high)
            apart = apart | ((middle > 0) != (middle > t))
            low, high = jnp.where(t < middle, low, middle), jnp.where(t < middle, middle, high)
            good = ~(apart & ~inside(low) & ~inside(high))
            return low, high, apart, good, n + 2

        start = (low, high, jnp.bool_(False), jnp.bool_(True), jnp.int32(0))
        end = jax.lax.while_loop(
            lambda c: needed & c[3] & (c[1] - c[0] > 1.1 * self.window), halve, start
        )
        return end[3], end[4]

    def adapt(self, tuning: SliceTuning, outcome: RoundOutcome) -> SliceTuning:
        scale = tuning.scale
        if outcome.round >= FIRST_SCALED_ROUND:
            scale = np.sqrt(neighbour_variances(scale**2, outcome))
        return SliceTuning(scale=np.exp(carried_over(np.log(scale), outcome)))
