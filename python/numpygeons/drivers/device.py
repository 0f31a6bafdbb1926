"""Runs blocks of scans on one device, swaps too, and has the coordinator replay them.

One program explores all replicas together, as one batch, and decides the swaps, for many scans: the
device is called once for all of them. Their randomness is the coordinator's, as everywhere else, so
it decides the same afterwards, from V alone, and an error says where it does not.

One call is for up to `MOST_SCANS` scans. While the device works, the core draws for the next two
calls and replays the last one (`engine/replay` of the core). One process, and one thread that
explores.

A device's swap must be the core's in every bit, whatever the model's number type:

- a pair swaps where log u < (difference of betas) (difference of V), in double precision
  (`tempering/swap_rule.hpp`). The core hands out log u, by its own logarithm, and the differences
  of betas. What is left is a subtraction, a product and a comparison, which IEEE fixes;
- doubles reach a program of single precision as pairs of words, which JAX leaves alone, and become
  doubles again in the few lines that are traced with `jax.enable_x64(True)`. A device that only
  imitates doubles (TPUs) is found out by the replay;
- the row at beta = 0 explores as the target's does and is then replaced by the exact draw: a batch
  runs both sides of a branch, and no explorer should meet a state that it cannot explore;
- products of matrices have all bits of their numbers (`xla/precision.py`), which such devices give
  up by default: whether to accept hangs on differences of large V;
- a branch under `vmap` copies for each row what it reads from outside. So the model is called
  through `jax.jit`, which keeps its data inside, and tables are cut before the batch.

On a GPU its loops are compiled into graphs of kernels (`GRAPH_OPTIONS` in `xla/compilation.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons._core import engine
from numpygeons._core.engine import Coordinator, ExploredBlock
from numpygeons.arrays import Array
from numpygeons.drivers.base import Block, Progress, Shapes, handed_in, noise_of
from numpygeons.drivers.exploration import Explore
from numpygeons.drivers.workers import Workers
from numpygeons.explorers.base import Noise
from numpygeons.target.potential import Replicas, State, read_v
from numpygeons.xla.compilation import Lowered, Program, lower_program

# For one call. Few enough that drawing and replaying are done while the device works, and that
# Ctrl-C is heard soon; enough that starting a call does not count.
MOST_BYTES = 16 * 2**20  # of what goes to the device, or comes from it
MOST_SCANS = 128
DRAWN_AHEAD = 2  # calls, each drawn for by a thread of its own

T = TypeVar("T")


class Given(NamedTuple):
    """The randomness of the scans of one call; leading axes: scans, then replicas or chains."""

    noise: Noise  # by replica, its proposals by chain
    log_uniforms: Array  # of the swaps, by the lower chain of a pair: bits of doubles


def as_words(doubles: Any) -> Any:
    """Return the bits of doubles, shape (..., 2): JAX would round doubles in a program of single
    precision."""
    return np.ascontiguousarray(doubles, np.float64)[..., None].view(np.uint32)


def accepts_swap(v_lower: Array, v_upper: Array, gap: Array, log_uniform: Array) -> Array:
    """Whether pairs swap: the core's rule (`tempering/swap_rule.hpp`), in double precision whatever
    the model's is, and without a transcendental, so that each bit is the core's. `gap`, the
    difference of the betas, above 0, and `log_uniform` as words."""
    with jax.enable_x64(True):
        gap, log_uniform = (
            jax.lax.bitcast_convert_type(words, np.dtype(np.float64))
            for words in (gap, log_uniform)
        )
        lower, upper = (read_v(v).astype(np.float64) for v in (v_lower, v_upper))
        accepted: Array = log_uniform < gap * (lower - upper)  # NaN where both are -inf: they stay
        return accepted


def swap(
    scan: Array, chains: Array, replicas: Array, v: Array, gaps: Array, log_uniforms: Array
) -> tuple[Array, Array]:
    """Return the chains by replica, and the replicas by chain, after the swaps of scan number
    `scan` (from 1): odd ones pair (0, 1), (2, 3), ..., even ones (1, 2), (3, 4) and so on."""
    chain = jnp.arange(len(chains), dtype=np.int32)
    partner = jnp.where((chain + scan) % 2 == 1, chain + 1, chain - 1)
    partner = jnp.where((partner < 0) | (partner >= len(chains)), chain, partner)
    lower, upper = jnp.minimum(chain, partner), jnp.maximum(chain, partner)
    v = v[replicas]
    accepted = accepts_swap(v[lower], v[upper], gaps[lower], log_uniforms[lower])
    to = jnp.where((lower < upper) & accepted, partner, chain)
    return to[chains], replicas[to]


def _make_call(explore: Explore, n: int, n_statistics: int) -> Callable[..., Any]:
    """Make the program: explore and swap `n` replicas, as many times as asked for."""

    def numpygeons_scans(
        n_scans: Array,
        n_before: Array,  # scans of the round
        first: Array,  # which exact draw is due
        draws: State,
        betas: Array,
        gaps: Array,
        tuning: Any,
        rows: Replicas,
        chains: Array,
        given: Given,
    ) -> tuple[Replicas, Array, ExploredBlock]:
        def body(i: Array, carry: Any) -> Any:
            replicas, chains, at_chain, found = carry
            noise, log_uniforms = jax.tree.map(lambda a: a[i], given)
            own = jax.tree.map(lambda a: a[chains], noise.proposals)
            replicas, statistics = explore(
                jnp.int32(n),
                first + i,
                chains,
                replicas,
                betas,
                tuning,
                draws,
                noise._replace(proposals=own),
            )
            chains, at_chain = swap(
                n_before + i + 1, chains, at_chain, replicas.v, gaps, log_uniforms
            )
            new = ExploredBlock(*handed_in(replicas, statistics), chains)
            found = jax.tree.map(
                lambda a, b: jax.lax.dynamic_update_index_in_dim(a, b, i, 0), found, new
            )
            return replicas, chains, at_chain, found

        replicas = jax.tree.map(lambda a: a[:n], rows)
        dtype, size = rows.x.dtype, len(given.log_uniforms)
        none = ExploredBlock(
            x=jnp.zeros((size, *replicas.x.shape), dtype),
            log_reference=jnp.zeros((size, n), dtype),
            v=jnp.zeros((size, n), dtype),
            statistics=jnp.zeros((size, n, n_statistics), dtype),
            chains=jnp.zeros((size, n), np.int32),
        )
        at_chain = jnp.zeros_like(chains).at[chains].set(jnp.arange(n, dtype=np.int32))
        replicas, chains, _, found = jax.lax.fori_loop(
            0, n_scans, body, (replicas, chains, at_chain, none)
        )
        rows = jax.tree.map(lambda a, b: jnp.concatenate([a, b[n:]]), replicas, rows)
        return rows, chains, found

    return numpygeons_scans


def scans_per_call(replicas: Any, noise: Any) -> int:
    """How many scans one call takes: as many as fit, the same in a run's every call. From arrays of
    one scan, or their shapes."""
    n_bytes = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves((replicas, noise)))
    n_scans = MOST_SCANS
    while n_scans > 1 and n_scans * n_bytes > MOST_BYTES:
        n_scans //= 2
    return n_scans


def computed_ahead(
    function: Callable[[int], T], numbers: Sequence[int], n_ahead: int
) -> Iterator[tuple[int, T]]:
    """Each of `numbers` with its `function`, which threads compute for as many in advance."""
    with ThreadPoolExecutor(n_ahead, thread_name_prefix="numpygeons-draws") as pool:
        waiting: deque[Future[T]] = deque()
        following = iter(numbers)
        for number in numbers:
            for later in islice(following, n_ahead + 1 - len(waiting)):
                waiting.append(pool.submit(function, later))
            yield number, waiting.popleft().result()


class DeviceDriver:
    """One call of the device for many scans; the core draws for the next ones, and replays the last
    one, while the device works."""

    stops_anywhere = False

    def __init__(self, program: Program) -> None:
        self.program = program
        self._workers = Workers()

    @staticmethod
    def lower(explore: Explore, shapes: Shapes, *, single: bool) -> Lowered:
        """Trace the program of one call; `single` is for programs of the CPU, which explore
        replicas one by one."""
        n = shapes.n_chains
        noise = noise_of(shapes.given)
        size = scans_per_call(shapes.replicas, noise)
        statistics = jax.eval_shape(explore, *shapes.of_one_scan())[1]

        def many(a: Any) -> Any:
            return jax.ShapeDtypeStruct((size, n, *a.shape[1:]), a.dtype)

        number: Any = jax.ShapeDtypeStruct((), np.int32)
        words = jax.ShapeDtypeStruct((n, 2), np.uint32)
        operands = (
            number,
            number,
            number,
            shapes.draws,
            shapes.betas,
            words,
            shapes.tuning,
            shapes.replicas,
            jax.ShapeDtypeStruct((n,), np.int32),
            Given(jax.tree.map(many, noise), many(words)),
        )
        make = _make_call(explore, n, statistics.shape[-1])
        return lower_program(lambda _: make, operands, single=False)

    def run(
        self,
        coordinator: Coordinator,
        parts: list[Replicas],
        betas: np.ndarray[Any, Any],
        tuning: Any,
        block: Block,
        progress: Progress,
    ) -> list[Replicas]:
        """See `Driver.run`. Stops after the scans of a call.

        Raises
        ------
        ReproducibilityError
            When the device has swapped otherwise than the coordinator does.
        """
        dtype = parts[0].x.dtype
        size = scans_per_call(parts[0], noise_of(coordinator.prepare(0, dtype)))
        gaps = as_words(np.append(np.diff(coordinator.betas), 0.0))
        n_before = coordinator.n_scans_done
        coordinator.begin_block(block.n_scans, block.first)

        def n_scans_from(start: int) -> int:
            return min(size, block.n_scans - start)

        def given_from(start: int) -> Given:
            n_scans = n_scans_from(start)
            drawn = engine.draw_block(coordinator, n_before + start, n_scans, size, dtype)
            log_uniforms = as_words(drawn.log_swap_uniforms)
            with jax.enable_x64(dtype == np.float64):  # a thread does not inherit it
                given: Given = jax.device_put(Given(noise_of(drawn), log_uniforms))
            return given

        def call(start: int, n_scans: int, rows: Replicas, chains: Any, given: Given) -> Any:
            return self.program.call(
                np.int32(n_scans),
                np.int32(n_before + start),
                np.int32(block.first + start),
                block.draws,
                betas,
                gaps,
                tuning,
                rows,
                chains,
                given,
            )

        def replayed(n_scans: int, found: ExploredBlock) -> bool:
            on_host = ExploredBlock(*(np.asarray(a) for a in found))
            return engine.replay(coordinator, n_scans, on_host)

        def work(_: int) -> Replicas:
            rows, chains = parts[0], coordinator.chains.astype(np.int32)
            last: tuple[int, ExploredBlock] | None = None
            starts = range(0, block.n_scans, size)
            for start, given in computed_ahead(given_from, starts, DRAWN_AHEAD):
                n_scans = n_scans_from(start)
                rows, chains, found = call(start, n_scans, rows, chains, given)
                for a in found:
                    a.copy_to_host_async()
                if last is not None and not replayed(*last):
                    break
                last = n_scans, found
            else:
                if last is not None:
                    replayed(*last)
            ready: Replicas = jax.block_until_ready(rows)
            return ready

        return self._workers.run(coordinator, work, block.meanwhile, progress)
