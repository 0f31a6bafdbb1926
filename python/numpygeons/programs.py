"""Compiles what a run calls: the reference's draws and the rounds, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from numpygeons.collector import paused_collector
from numpygeons.drivers.base import Shapes
from numpygeons.drivers.compilation import Lowered, Program, compile_together, fits_one_function
from numpygeons.drivers.device import DeviceDriver
from numpygeons.drivers.exploration import at_least_two, make_explore
from numpygeons.drivers.fused import FusedDriver
from numpygeons.drivers.lanes import width
from numpygeons.drivers.stepwise import StepwiseDriver
from numpygeons.explorers.base import N_LOGS, Explorer, Noise, Proposals, Start
from numpygeons.explorers.checks import check_sizes, check_tuning, checked, is_trusted
from numpygeons.path import Path
from numpygeons.potential import Evaluate, State
from numpygeons.reference_draws import batch_size, lower_reference
from numpygeons.settings import Settings

DRIVERS: dict[str, type[FusedDriver] | type[StepwiseDriver] | type[DeviceDriver]] = {
    "fused": FusedDriver,
    "stepwise": StepwiseDriver,
    "device": DeviceDriver,
}


class Programs(NamedTuple):
    """The compiled programs of a run."""

    reference: Program
    round: Program
    seconds: float  # that compiling took; 0 when the path had both


def compile_programs(
    path: Path, evaluate: Evaluate, explorer: Explorer, settings: Settings, n_rows: int
) -> Programs:
    """Compiles for these settings, or finds what the path keeps from an earlier run; `n_rows` is
    the coordinator's.

    Raises
    ------
    ValueError
        For the fused driver where JAX does not compute on the CPU.
    """
    backend = jax.default_backend()
    if settings.driver == "fused" and backend != "cpu":
        raise ValueError(
            f'driver="fused" calls the core from inside a program of the CPU, and JAX computes on '
            f'a {backend}: use driver="device", or set JAX_PLATFORMS=cpu'
        )
    start = time.perf_counter()
    lanes = width(settings.lanes, settings.n_chains, settings.driver)

    def lower_round() -> Lowered:
        shapes = _shapes(path, evaluate, explorer, settings.n_chains, n_rows)
        explore = make_explore(checked(explorer), evaluate, lanes)
        if is_trusted(explorer):  # nothing but the model can call a library
            x = jax.ShapeDtypeStruct((path.dimension,), path.dtype)
            batch = jax.ShapeDtypeStruct((lanes, path.dimension), path.dtype)
            one = (
                fits_one_function(evaluate, x)
                if lanes == 1
                else fits_one_function(jax.vmap(evaluate), batch)
            )
        else:
            one = fits_one_function(explore, *shapes.of_one_scan())
        single = backend == "cpu" and one
        return DRIVERS[settings.driver].lower(explore, shapes, single=single)

    lower: dict[Any, Callable[[], Lowered]] = {
        (settings.driver, settings.n_chains, n_rows, lanes, explorer): lower_round,
        ("reference", explorer.needs_gradients): lambda: lower_reference(path, evaluate),
    }
    missing = [key for key in lower if key not in path.programs]
    if missing:
        with paused_collector():
            compiled = compile_together([lower[key] for key in missing])
        path.programs.update(zip(missing, compiled, strict=True))
    rounds, reference = (path.programs[key] for key in lower)
    return Programs(reference, rounds, time.perf_counter() - start if missing else 0.0)


def _shapes(
    path: Path, evaluate: Evaluate, explorer: Explorer, n_chains: int, n_rows: int
) -> Shapes:
    """Shapes of everything that the program of a worker works on.

    Raises
    ------
    TypeError, ValueError
        Where a user's explorer asks for, or starts with, what cannot be.
    """
    check_sizes(explorer, n_chains, path.dimension)
    state = jax.eval_shape(evaluate, jax.ShapeDtypeStruct((path.dimension,), path.dtype))
    noise = explorer.noise(path.dimension)

    def many(count: int) -> State:
        rows: State = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((count, *a.shape), a.dtype), state
        )
        return rows

    def table(a: Any) -> jax.ShapeDtypeStruct:
        a = at_least_two(a)
        return jax.ShapeDtypeStruct(a.shape, path.dtype if a.dtype.kind == "f" else np.int32)

    def rows(*shape: int, dtype: Any = path.dtype) -> Any:
        return jax.ShapeDtypeStruct((n_rows, *shape), dtype)

    ones = np.ones(path.dimension)
    anything = Start(betas=np.linspace(0, 1, n_chains), centre=ones, scale=ones)
    tuning = explorer.start(anything)
    check_tuning(explorer, "start", tuning, n_chains)
    return Shapes(
        n_chains=n_chains,
        draws=many(batch_size(path.dimension)),
        replicas=many(n_rows),
        betas=table(anything.betas),
        tuning=jax.tree.map(table, tuning),
        chains=jax.ShapeDtypeStruct((n_rows,), np.int32),
        noise=Noise(
            normals=rows(noise.n_normals),
            uniforms=rows(noise.n_uniforms),
            key=rows(2 if noise.key else 0, dtype=np.uint32),
            proposals=Proposals(
                x=rows(noise.n_proposals, path.dimension),
                logs=rows(noise.n_proposals, N_LOGS),
                components=rows(noise.n_proposals, dtype=np.int32),
            ),
        ),
    )
