"""Times rounds of a model beside its bare gradient, in turns in one process."""

import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.problem import Problem

TINY = 1e-12  # of a gradient, by which a state moves: every gradient needs the one before
LEAST_SECONDS = 0.5  # that the last round shall take
FIRST_ROUNDS, MOST_ROUNDS = 6, 20


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What a model's rounds and gradients took; medians over runs."""

    dimension: int
    n_rounds: int
    barrier: float  # of the last round
    scan_us: float
    gradients_per_scan: float
    gradient_us: float  # a bare gradient
    valued_us: float  # a bare gradient with the value of the log density
    factor: float  # of the last round over its gradients
    valued_factor: float


def overhead_factor(round_seconds: float, n_gradients: int, gradient_seconds: float) -> float:
    """How much longer a round takes than its gradients alone would."""
    return round_seconds / (n_gradients * gradient_seconds)


def numpyro_density(problem: Problem, latents: dict[str, Any]) -> tuple[Callable[..., Any], Any]:
    """NumPyro's own joint log density of the model, of a flat vector, and the vector of these
    unconstrained latents."""
    from jax.flatten_util import ravel_pytree
    from numpyro.infer.util import potential_energy

    x, unravel = ravel_pytree(latents)

    def log_density(x: Any) -> Any:
        return -potential_energy(problem.model, problem.model_args, {}, unravel(x))

    return log_density, x


def bare_loops(
    log_density: Callable[..., Any], x: Any, *, with_value: bool
) -> list[Callable[[int], Any]]:
    """Loops of n gradients, from a state on, in the ways of compiling them: by XLA's defaults, and
    as the package compiles small models, as one machine function."""
    import jax
    import jax.numpy as jnp

    from numpygeons.xla.compilation import (
        SINGLE_FUNCTION_OPTIONS,
        as_one_function,
        compile_with,
        fits_one_function,
    )

    def gradient(x):
        if not with_value:
            return jax.grad(log_density)(x)
        value, gradient = jax.value_and_grad(log_density)(x)
        return gradient + value  # so that none of it can be left out

    def loop(x, tiny, n):
        return jax.lax.fori_loop(0, n, lambda _, x: x + tiny * gradient(x), x)

    tiny = jnp.asarray(TINY, x.dtype)
    compiled = [jax.jit(loop).lower(x, tiny, jnp.int32(1)).compile()]
    if fits_one_function(gradient, x):
        lowered = jax.jit(as_one_function(loop)).lower(x, tiny, jnp.int32(1))
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # XLA cannot, as in high dimension
            compiled.append(compile_with(lowered, SINGLE_FUNCTION_OPTIONS))

    def timed(call: Callable[..., Any]) -> Callable[[int], Any]:
        return lambda n: jax.block_until_ready(call(x, tiny, jnp.int32(n)))

    return [timed(call) for call in compiled]


def seconds(call: Callable[..., Any], *arguments: Any) -> float:
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def enough(loop: Callable[[int], Any], least_seconds: float) -> int:
    """How many gradients take so long."""
    n = 64
    while seconds(loop, n) < least_seconds:
        n *= 2
    return n


class BareGradient:
    """The fastest way of compiling a loop of gradients, to be timed again and again."""

    def __init__(self, loops: list[Callable[[int], Any]], least_seconds: float) -> None:
        self._loops = [(loop, enough(loop, least_seconds)) for loop in loops]

    def seconds(self) -> float:
        """Of one gradient, now."""
        return min(seconds(loop, n) / n for loop, n in self._loops)


def runner(problem: Problem, **settings: Any) -> tuple[Any, Callable[[int, int], Any]]:
    """The problem as a target, and a function of a number of rounds and a seed that runs it."""
    import numpygeons

    target = numpygeons.NumPyroPath(problem.model, problem.model_args)

    def run(n_rounds: int, seed: int) -> Any:
        return numpygeons.pigeons(
            target,
            n_chains=problem.n_chains,
            n_rounds=n_rounds,
            seed=seed,
            show_report=False,
            **settings,
        )

    return target, run


def long_enough(run: Callable[[int, int], Any], least_seconds: float) -> Any:
    """A run with as many rounds as make the last one take so long."""
    pt = run(FIRST_ROUNDS, 1)
    while pt.rounds[-1].seconds < least_seconds and len(pt.rounds) < MOST_ROUNDS:
        pt.extend(1)
    return pt


def timing(
    problem: Problem, runs: int, least_seconds: float = LEAST_SECONDS, **settings: Any
) -> Timing:
    """Runs the model, with as many rounds as make the last one long enough, with several seeds;
    bare gradients are timed before and after each. `settings` are those of `pigeons`."""
    from numpygeons.target.path import as_path

    target, run = runner(problem, **settings)
    path = as_path(target)
    pt = long_enough(run, least_seconds)
    n_rounds = len(pt.rounds)
    latents = {name: value[-1] for name, value in pt.samples.items()}
    density, x = numpyro_density(problem, path.unflatten(path.unconstrain(latents)))
    bare = [
        BareGradient(bare_loops(density, x, with_value=value), least_seconds / 4)
        for value in (False, True)
    ]
    last, times = [], [[one.seconds() for one in bare]]
    for seed in range(1, runs + 1):
        last.append(run(n_rounds, seed).rounds[-1])
        times.append([one.seconds() for one in bare])
    columns = list(zip(*times, strict=True))
    gradient_us, valued_us = (1e6 * statistics.median(column) for column in columns)
    factor, valued_factor = (
        statistics.median(
            overhead_factor(record.seconds, record.n_gradients, (before + after) / 2)
            for record, before, after in zip(last, column, column[1:], strict=False)
        )
        for column in columns
    )
    return Timing(
        dimension=path.dimension,
        n_rounds=n_rounds,
        barrier=statistics.median(record.global_barrier for record in last),
        scan_us=1e6 * statistics.median(r.seconds / r.n_scans for r in last),
        gradients_per_scan=statistics.median(r.n_gradients / r.n_scans for r in last),
        gradient_us=gradient_us,
        valued_us=valued_us,
        factor=factor,
        valued_factor=valued_factor,
    )
