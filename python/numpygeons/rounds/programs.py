"""Compiles what a run calls: the reference's draws, and rounds by what their explorer reads.

An explorer says which parts of its tuning a round's explorations read (`Explorer.operands`), and a
program is compiled for each structure of them. `HMC` needs the model once for chains without a
mixture and once for chains with one. In up to eight dimensions all chains have one in the end: so
it has the second way alone, with single normals for mixtures at first. In more dimensions it has
the first alone, until a chain takes the second, which most models never see.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from numpygeons._core.engine import NextScan, next_scan_shapes
from numpygeons.drivers.base import Driver, Shapes
from numpygeons.drivers.device import DeviceDriver
from numpygeons.drivers.exploration import at_least_two, make_explore
from numpygeons.drivers.fused import FusedDriver
from numpygeons.drivers.lanes import width
from numpygeons.drivers.stepwise import StepwiseDriver
from numpygeons.explorers.base import Explorer, Start
from numpygeons.explorers.checks import check_sizes, check_tuning, checked, is_trusted
from numpygeons.parallel.signals import raise_if_interrupted
from numpygeons.rounds.reference_draws import batch_size, lower_reference
from numpygeons.settings import Settings
from numpygeons.target.path import TemperedPath
from numpygeons.target.potential import Evaluate, State
from numpygeons.xla.compilation import Lowered, Program, compile_together, fits_one_function
from numpygeons.xla.garbage import paused_collector
from numpygeons.xla.one_thread import one_thread

DRIVERS: dict[str, type[FusedDriver] | type[StepwiseDriver] | type[DeviceDriver]] = {
    "fused": FusedDriver,
    "stepwise": StepwiseDriver,
    "device": DeviceDriver,
}


def first_operands(explorer: Explorer, n_chains: int, dimension: int) -> Any:
    """Return the explorer's operands of a first round, by structure; their values are anything.

    Raises
    ------
    TypeError, ValueError
        Where a user's explorer asks for, or starts with, what cannot be.
    """
    check_sizes(explorer, n_chains, dimension)
    ones = np.ones(dimension)
    tuning = explorer.start(Start(betas=np.linspace(0, 1, n_chains), centre=ones, scale=ones))
    check_tuning(explorer, "start", tuning, n_chains)
    return explorer.operands(tuning)


class RoundPrograms:
    """The compiled programs of a run: one for the reference's draws, and for rounds one for each
    structure of the explorer's operands. The path keeps them for later runs."""

    def __init__(
        self,
        path: TemperedPath,
        evaluate: Evaluate,
        explorer: Explorer,
        settings: Settings,
        n_rows: int,
    ) -> None:
        """Take up what programs depend on; compile nothing yet. `n_rows`: the coordinator's.

        Raises
        ------
        ValueError
            For the fused driver where JAX does not compute on the CPU.
        """
        backend = jax.default_backend()
        if settings.driver == "fused" and backend != "cpu":
            raise ValueError(
                f'driver="fused" calls the core from inside a program of the CPU, and JAX computes '
                f'on a {backend}: use driver="device", or set JAX_PLATFORMS=cpu'
            )
        self.seconds = 0.0  # that compiling has taken; whoever reads them may set them back
        self._path, self._evaluate, self._explorer = path, evaluate, explorer
        self._settings, self._n_rows = settings, n_rows
        self._lanes = width(settings.lanes, settings.n_chains, settings.driver)
        self._drivers: dict[Any, Driver] = {}

    def reference(self) -> Program:
        """Return that of the reference's draws."""
        ((key, lower),) = self._lower_reference().items()
        self._compile({key: lower})
        found: Program = self._path.programs[key]
        return found

    def prepare(self, own: Any) -> None:
        """Compile, side by side, the reference's draws and the rounds whose explorer gets `own`,
        by chain, so that nothing is left to do when they are asked for."""
        reference, rounds = self._lower_reference(), {self._key(own): partial(self._lower, own)}
        if is_trusted(self._explorer):
            self._compile({**reference, **rounds})
        else:  # which may be refused as it is traced, before anything is compiled
            self._compile({**rounds, **reference})

    def driver(self, own: Any) -> Driver:
        """Return who does the rounds whose explorer gets `own`, by chain."""
        key = self._key(own)
        if key not in self._drivers:
            self._compile({key: partial(self._lower, own)})
            self._drivers[key] = DRIVERS[self._settings.driver](self._path.programs[key])
        return self._drivers[key]

    def _lower_reference(self) -> dict[Any, Callable[[], Lowered]]:
        key = "reference", self._explorer.needs_gradients
        return {key: partial(lower_reference, self._path, self._evaluate)}

    def _key(self, own: Any) -> Any:
        """Return what the program of a round depends on."""
        settings, leaves = self._settings, [np.asarray(a) for a in jax.tree.leaves(own)]
        return (
            *(settings.driver, settings.n_chains, self._n_rows, self._lanes, self._explorer),
            jax.tree.structure(own),
            tuple((a.shape, a.dtype.kind) for a in leaves),
        )

    def _compile(self, lower: dict[Any, Callable[[], Lowered]]) -> None:
        """Compile what the path does not have."""
        with one_thread():
            self._compile_missing(lower)

    def _compile_missing(self, lower: dict[Any, Callable[[], Lowered]]) -> None:
        programs = self._path.programs
        missing = [key for key in lower if key not in programs]
        if not missing:
            return
        raise_if_interrupted()
        start = time.perf_counter()
        with paused_collector():
            compiled = compile_together([lower[key] for key in missing])
        programs.update(zip(missing, compiled, strict=True))
        self.seconds += time.perf_counter() - start

    def _lower(self, own: Any) -> Lowered:
        """Trace a round's program."""
        path, evaluate, explorer, lanes = self._path, self._evaluate, self._explorer, self._lanes
        settings = self._settings
        shapes = shapes_of(path, evaluate, explorer, settings.n_chains, self._n_rows, own)
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
        single = jax.default_backend() == "cpu" and one
        return DRIVERS[settings.driver].lower(explore, shapes, single=single)


def shapes_of(
    path: TemperedPath, evaluate: Evaluate, explorer: Explorer, n_chains: int, n_rows: int, own: Any
) -> Shapes:
    """Return the shapes of all that a worker's program works on; `own`: its explorer's operands."""
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

    given = next_scan_shapes(
        path.dtype,
        n_rows=n_rows,
        dimension=path.dimension,
        n_normals=noise.n_normals,
        n_uniforms=noise.n_uniforms,
        hands_out_keys=noise.key,
        n_proposals=noise.n_proposals,
    )
    return Shapes(
        n_chains=n_chains,
        draws=many(batch_size(path.dimension)),
        replicas=many(n_rows),
        betas=table(np.zeros(n_chains)),
        tuning=jax.tree.map(table, own),
        given=NextScan(*(jax.ShapeDtypeStruct(*shape_and_dtype) for shape_and_dtype in given)),
    )
