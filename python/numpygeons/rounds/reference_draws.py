"""Draws exactly from the reference, many at a time, each keyed by what it is for.

The draws at beta = 0 are made 1,024 at a time, fewer in high dimension. They are keyed by the
number of the scan since the run began, not by round, so that short rounds share a batch. The next
batch is made beside the scans that use the one before: on two cores it costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from numpygeons._core.random import jax_keys
from numpygeons.arrays import Array, Integers
from numpygeons.errors import NumericalError
from numpygeons.records import RoundRecord
from numpygeons.target.path import TemperedPath
from numpygeons.target.potential import Evaluate, State, raw_state, read_v
from numpygeons.xla.compilation import (
    OCCASIONAL_OPTIONS,
    OCCASIONAL_SINGLE_OPTIONS,
    Lowered,
    Program,
    as_one_function,
    fits_one_function,
)
from numpygeons.xla.compilation_cache import in_another_thread
from numpygeons.xla.compiler_options import compile_with
from numpygeons.xla.jaxprs import equations
from numpygeons.xla.shared_draws import together

MOST_ATTEMPTS = 1000  # for one draw; a draw that underflows is drawn again
MOST_DRAWS, FEWEST_DRAWS = 1024, 64  # made together
NUMBERS_IN_A_FIELD = 2**20
MOST_NUMBERS = 4096  # in an array of a model whose reference program is worth a single function


def batch_size(dimension: int) -> int:
    """Return how many draws are made together: fewer in high dimension, which bounds the memory.

    Fixed for a dimension, because the last bits of a batched program depend on its width.
    """
    return int(np.clip(NUMBERS_IN_A_FIELD // dimension, FEWEST_DRAWS, MOST_DRAWS))


def lower_reference(path: TemperedPath, evaluate: Evaluate) -> Lowered:
    """Trace the program from keys, shape (batch_size, 2), to (states, attempts, good, likely):
    how many attempts there were, whether the last is a draw, and how many others had a likelihood.

    It is two, compiled side by side: one draws, and one evaluates. Gamma draws, in priors such as
    Beta, Dirichlet and StudentT, are loops within loops. They are made together and in a single
    machine function, which takes half the time to compile.
    """

    def plain(key: Array, n: Array) -> Array:
        return path.sample_reference(_attempt_key(key, n))

    if not _draws_gammas(path, evaluate):
        return _lower(path, evaluate, plain, single=False)
    shared = together(path.sample_reference, jax.eval_shape(_typed, _KEY))

    def sample(key: Array, n: Array) -> Array:
        return shared(_attempt_key(key, n))

    single = fits_one_function(jax.vmap(sample), *_keys_and_attempts(path))
    return _lower(path, evaluate, sample, single=single)


def _keys_and_attempts(path: TemperedPath) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    n = batch_size(path.dimension)
    return jax.ShapeDtypeStruct((n, 2), np.uint32), jax.ShapeDtypeStruct((n,), np.int32)


_KEY = jax.ShapeDtypeStruct((2,), np.uint32)


def _typed(key: Array) -> Array:
    typed: Array = jax.random.wrap_key_data(key, impl="threefry2x32")
    return typed


def _attempt_key(key: Array, n: Array) -> Array:
    return jax.random.fold_in(_typed(key), n)


def _draws_gammas(path: TemperedPath, evaluate: Evaluate) -> bool:
    """Return whether a model of small arrays on the CPU has gamma draws in its reference."""
    if jax.default_backend() != "cpu":
        return False
    x = jax.ShapeDtypeStruct((path.dimension,), path.dtype)
    sampled = jax.make_jaxpr(path.sample_reference)(jax.eval_shape(_typed, _KEY))
    if all(e.primitive.name != "random_gamma" for e in equations(sampled)):
        return False
    arrays = (a.aval for e in equations(jax.make_jaxpr(evaluate)(x)) for a in e.outvars)
    return all(a.size <= MOST_NUMBERS for a in arrays)


def _lower(
    path: TemperedPath, evaluate: Evaluate, sample: Callable[[Array, Array], Array], *, single: bool
) -> Lowered:
    """Trace both programs; `single`: `sample`, from a key and the number of the attempt to x, as
    one machine function."""

    def numpygeons_reference(keys: Array, attempts: Array) -> Array:
        batched = jax.vmap(sample)
        result: Array = (as_one_function(batched) if single else batched)(keys, attempts)
        return result

    def numpygeons_evaluation(x: Array) -> tuple[State, Array]:
        states = jax.vmap(partial(raw_state, evaluate))(x)
        return states, jnp.isfinite(states.log_reference) & jnp.all(jnp.isfinite(x), axis=1)

    drawing = jax.jit(numpygeons_reference).lower(*_keys_and_attempts(path))
    evaluation = jax.jit(numpygeons_evaluation).lower(drawing.out_info)
    options = OCCASIONAL_SINGLE_OPTIONS if single else OCCASIONAL_OPTIONS

    def compile_both() -> Program:
        on_cpu = jax.default_backend() == "cpu"
        with ThreadPoolExecutor(1) as pool:
            evaluated = partial(compile_with, evaluation, OCCASIONAL_OPTIONS if on_cpu else {})
            evaluating = pool.submit(in_another_thread(evaluated))
            draw = compile_with(drawing, options if on_cpu else {})
            call = partial(_until_good, draw, evaluating.result())
        return Program(call=call, as_one_function=single)

    otherwise = (lambda: _lower(path, evaluate, sample, single=False)) if single else None
    return Lowered(compile=compile_both, otherwise=otherwise)


def _until_good(
    draw: Callable[..., Array],
    evaluate: Callable[[Array], tuple[State, Array]],
    keys: npt.NDArray[np.uint32],
) -> tuple[State, Integers, npt.NDArray[np.bool_], Integers]:
    """Draw, and draw again where that was none, by the two programs of `lower_reference`."""
    attempts, likely = np.zeros((2, len(keys)), np.int64)
    states, found = evaluate(draw(keys, attempts.astype(np.int32)))
    good = np.asarray(found)
    attempts = attempts + 1
    while np.any(bad := ~good & (attempts < MOST_ATTEMPTS)):
        likely = likely + (bad & np.isfinite(states.v))
        others, found = evaluate(draw(keys, attempts.astype(np.int32)))
        states = jax.tree.map(partial(_where, bad), others, states)
        good = good | (bad & np.asarray(found))
        attempts = attempts + bad
    return states, attempts, good, likely


def _where(which: npt.NDArray[np.bool_], a: Array, b: Array) -> Array:
    """Return the rows of `a` or of `b`."""
    rows = which.reshape(-1, *[1] * (a.ndim - 1))
    return jnp.asarray(np.where(rows, np.asarray(a), np.asarray(b)))


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
        """Start making a batch, beside whatever the caller does until `batch` asks for it."""
        if (purpose, number) not in self._ahead:
            self._ahead[purpose, number] = self._thread.submit(self._make, purpose, number)

    def batch(self, purpose: Any, number: int) -> Batch:
        """Return the draws `number * size ...` of a purpose, `size` of them.

        Raises
        ------
        NumericalError
            When a draw has no finite density in `MOST_ATTEMPTS` attempts.
        """
        self.prepare(purpose, number)
        return self._ahead.pop((purpose, number)).result()

    def _make(self, purpose: Any, number: int) -> Batch:
        keys = jax_keys(
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
            states = states._replace(v=jnp.asarray(read_v(v, np)))
        columns = [np.asarray(attempts) - 1, np.asarray(likely), not_a_number]
        return Batch(states, np.stack(columns, axis=1).astype(np.int64))


def truncation(counts: Integers, n_draws: int) -> tuple[float, float]:
    """Return what to add to log Z for draws that were made again, and the variance of that, nats.

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


def with_reference_draws(record: RoundRecord, counts: Integers) -> RoundRecord:
    """Return a round's record with what is known of its reference draws, and log Z with what they
    miss.

    `counts`: sums of those of `Batch`, shape (3,).
    """
    missing, variance = truncation(counts, record.n_scans)
    return replace(
        record,
        n_redrawn=int(counts[0]),
        n_redrawn_likely=int(counts[1]),
        n_not_a_number=int(counts[2]),
        log_z=record.log_z + missing,
        log_z_variance=record.log_z_variance + variance,
    )
