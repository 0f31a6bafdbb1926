"""Draws exactly from the reference, many at a time, each keyed by what it is for."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons import _core
from numpygeons.arrays import Array, Integers
from numpygeons.drivers.compilation import OCCASIONAL_OPTIONS, Lowered, Program, compile_with
from numpygeons.errors import NumericalError
from numpygeons.path import Path
from numpygeons.potential import Evaluate, State, raw_state

MOST_ATTEMPTS = 1000  # for one draw; a draw that underflows is drawn again
MOST_DRAWS, FEWEST_DRAWS = 1024, 64  # made together
NUMBERS_IN_A_FIELD = 2**20


def batch_size(dimension: int) -> int:
    """How many draws are made together: fewer in high dimension, which bounds the memory.

    Fixed for a dimension, because the last bits of a batched program depend on its width.
    """
    return int(np.clip(NUMBERS_IN_A_FIELD // dimension, FEWEST_DRAWS, MOST_DRAWS))


def lower_reference(path: Path, evaluate: Evaluate) -> Lowered:
    """Traces the program from keys, shape (batch_size, 2), to (states, attempts, good, likely):
    how many attempts there were, whether the last is a draw, and how many others had a likelihood.
    """

    def draw(key: Array) -> tuple[State, Array, Array, Array]:
        def attempt(carry: tuple[State, Array, Array, Array]) -> tuple[State, Array, Array, Array]:
            _, n, _, likely = carry
            typed = jax.random.wrap_key_data(key, impl="threefry2x32")
            state = raw_state(evaluate, path.sample_reference(jax.random.fold_in(typed, n)))
            good = jnp.isfinite(state.log_reference) & jnp.all(jnp.isfinite(state.x))
            return state, n + 1, good, likely + (~good & jnp.isfinite(state.v))

        empty = jax.tree.map(
            lambda s: jnp.zeros(s.shape, s.dtype),
            jax.eval_shape(evaluate, jax.ShapeDtypeStruct((path.dimension,), path.dtype)),
        )
        return jax.lax.while_loop(
            lambda c: ~c[2] & (c[1] < MOST_ATTEMPTS),
            attempt,
            (empty, jnp.int32(0), jnp.bool_(False), jnp.int32(0)),
        )

    def numpygeons_reference(keys: Array) -> tuple[State, Array, Array, Array]:
        return jax.vmap(draw)(keys)

    keys = jax.ShapeDtypeStruct((batch_size(path.dimension), 2), np.uint32)
    lowered = jax.jit(numpygeons_reference).lower(keys)

    def compile_it() -> Program:
        options = OCCASIONAL_OPTIONS if jax.default_backend() == "cpu" else {}
        return Program(call=compile_with(lowered, options), as_one_function=False)

    return Lowered(compile=compile_it)


class Batch(NamedTuple):
    """Reference draws made together; every array has a leading axis of one per draw."""

    states: State
    # Shape (n, 3), of each: how often it was drawn again; how many of these had a likelihood;
    # whether its own likelihood is not a number, which counts as zero.
    counts: Integers


class ReferenceDraws:
    """Draws from exp(log gamma_0), evaluated, in batches of `size`."""

    def __init__(self, program: Program, dimension: int, seed: int) -> None:
        """`program`: what `lower_reference` made for this dimension."""
        self.size = batch_size(dimension)
        self.seed = seed
        self._ahead: dict[tuple[Any, int], Future[Batch]] = {}
        # Of its own, because what one thread starts JAX computes in turn.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="numpygeons-reference")
        self._program = program

    def prepare(self, purpose: Any, number: int) -> None:
        """Starts making a batch, beside whatever the caller does until `batch` asks for it."""
        if (purpose, number) not in self._ahead:
            self._ahead[purpose, number] = self._thread.submit(self._make, purpose, number)

    def batch(self, purpose: Any, number: int) -> Batch:
        """The draws `number * size ...` of a purpose, `size` of them.

        Raises
        ------
        NumericalError
            When a draw has no finite density in `MOST_ATTEMPTS` attempts.
        """
        self.prepare(purpose, number)
        return self._ahead.pop((purpose, number)).result()

    def _make(self, purpose: Any, number: int) -> Batch:
        keys = _core.random.jax_keys(
            seed=self.seed,
            purpose=purpose,
            replica=0,
            round=0,
            first_scan=number * self.size,
            n=self.size,
        )
        states, attempts, good, likely = self._program.call(keys)
        good = np.asarray(good)
        if not np.all(good):
            draw = number * self.size + int(np.argmin(good))
            raise NumericalError(
                f"the reference gave no draw with a finite log density in {MOST_ATTEMPTS} "
                f"attempts (draw {draw}): check that its sampler and its "
                "density agree and that its scale fits the number type"
            )
        states = State(*states)
        v = np.asarray(states.v)
        not_a_number = np.isnan(v)
        if np.any(not_a_number):
            states = states._replace(v=jnp.asarray(np.where(not_a_number, -np.inf, v)))
        columns = [np.asarray(attempts) - 1, np.asarray(likely), not_a_number]
        return Batch(states, np.stack(columns, axis=1).astype(np.int64))


def truncation(counts: Integers, n_draws: int) -> tuple[float, float]:
    """What to add to log Z for draws that were made again, and the variance of that, nats.

    log Z is relative to the reference that was drawn from, the one given where its density is
    finite. A draw made again which has no likelihood either adds nothing to Z, but counts: with a
    share s of such draws, log(1 - s) is missing. One that has a likelihood is taken to have what
    the others have on average, which is not known.

    Parameters
    ----------
    counts : array, shape (3,)
        Draws made again, and how many of these had a likelihood; the third is not read.
    n_draws : int
        Draws that were kept.
    """
    unlikely = int(counts[0] - counts[1])
    kept = n_draws + int(counts[1])
    if unlikely == 0:
        return 0.0, 0.0
    share = unlikely / (unlikely + kept)
    return float(np.log1p(-share)), share / kept
