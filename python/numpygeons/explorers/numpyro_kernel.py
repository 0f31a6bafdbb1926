"""Explores with a kernel of NumPyro, NUTS for instance, on the tempered density of each chain.

The kernel works in coordinates divided by the chain's scale, which is the same as a diagonal mass
matrix and serves kernels that take none. Its state is made anew in every scan from what travels
with the replica, so it adapts nothing itself: step and scale are tuned between rounds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import HMC, SA, BarkerMH
from numpyro.infer.ensemble import EnsembleSampler
from numpyro.infer.mcmc import MCMCKernel

from numpygeons._core.tuning import tuned_steps
from numpygeons.arrays import Array, Floats
from numpygeons.explorers.base import Explorer, Noise, RoundOutcome, Start
from numpygeons.explorers.scale import carried_over, neighbour_variances
from numpygeons.target.potential import Evaluate, State, gradient, log_density

FIRST_SCALED_ROUND = 3  # earlier rounds have too few visits
SHORT_ROUND = 64  # scans; in shorter rounds the step makes up for a change of scale
ACCEPTANCE = 0.8  # that the step is tuned to, where the kernel names none
OURS = {  # arguments of kernels that the explorer fills in, and why
    "model": "the model is the target of pigeons",
    "potential_fn": "the density is the chain's",
    "adapt_step_size": "the step is tuned per chain between rounds",
    "adapt_mass_matrix": "the scale is tuned per chain between rounds",
    "inverse_mass_matrix": "the scale is tuned per chain between rounds",
    "dense_mass": "the scale is diagonal",
}

Potential = Callable[[Array], Array]


class KernelTuning(NamedTuple):
    """One row per chain."""

    step_size: Floats  # shape (n_chains,), in units of `scale`; NaN for kernels without a step
    scale: Floats  # shape (n_chains, dimension), unconstrained units


class _Traits(NamedTuple):
    """What a kernel does, as tracing it once shows."""

    needs_gradients: bool
    fields: frozenset[str]  # of its state


class NumPyroKernel(Explorer):
    """Any MCMC kernel of NumPyro that takes a `potential_fn`: NUTS, HMC, BarkerMH, or your own.

    Parameters
    ----------
    kernel_class : type
        A subclass of `numpyro.infer.mcmc.MCMCKernel`. One application must keep the density,
        whatever point it is initialised at.
    n_steps : int > 0
        Applications of the kernel per scan.
    **options
        Further arguments of the kernel, such as `max_tree_depth=6`, hashable each. `step_size`
        is that of the first round, in units of the chain's scale; `target_accept_prob` is what
        it is tuned to.

    Raises
    ------
    TypeError
        For a kernel that cannot work on one replica's density alone, and for an argument that
        the kernel does not know or that the explorer fills in.
    ValueError
        For a number out of range, and where `num_steps` and `trajectory_length` fix the step.

    Notes
    -----
    What a scan costs: the kernel's own evaluations, and one more if the state has moved, because
    NumPyro's states do not keep log gamma_0 and V apart. The state that it starts from is not
    evaluated again, but for kernels of your own, whose `init` may evaluate anything; that counts
    as one. `n_gradients` counts all of them, by the kernel's `num_steps` where it has that, else
    as one per application. NUTS draws random numbers for every leaf of its tree: where a
    gradient costs less than a microsecond they take most of the time (eight schools, 4 chains:
    30 µs and 74 gradients per scan, where `numpygeons.HMC` takes 5 µs for 25), and it takes
    about three times as long to compile.

    `HMC` of NumPyro goes 2 pi far unless told otherwise, the full period of a normal, which
    brings a trajectory back to where it began: `trajectory_length=1.5` serves better.

    Both drivers run it and give the same bits.

    Examples
    --------
    >>> import numpygeons, numpyro.infer
    >>> numpygeons.NumPyroKernel(numpyro.infer.NUTS, max_tree_depth=6)
    NumPyroKernel(NUTS, n_steps=1, max_tree_depth=6)
    """

    def __init__(self, kernel_class: type[Any], n_steps: int = 1, **options: Hashable) -> None:
        self._parameters = _parameters(kernel_class)
        if isinstance(n_steps, bool) or not isinstance(n_steps, int):
            raise TypeError(f"n_steps must be an integer: got {n_steps!r}")
        if n_steps < 1:
            raise ValueError(f"n_steps must be at least 1: got {n_steps}")
        self.kernel_class, self.n_steps = kernel_class, n_steps
        self.options = tuple(sorted(options.items()))
        self._check_options(options)
        self._kernel(lambda z: jnp.sum(z**2))  # so that NumPyro checks the rest

    def _check_options(self, options: dict[str, Any]) -> None:
        name = self.kernel_class.__name__
        for option, value in options.items():
            if option in OURS:
                raise TypeError(f"{name} cannot be given {option} here, {OURS[option]}: drop it")
            if option not in self._parameters:
                raise TypeError(
                    f"{name} takes no argument {option!r}: it takes "
                    f"{sorted(self._parameters.keys() - OURS.keys())}"
                )
            if not isinstance(value, Hashable):
                raise TypeError(
                    f"{option} must be hashable, because compiled programs are found by it: got "
                    f"{type(value).__name__}; write a tuple or a number"
                )
        if {"num_steps", "trajectory_length"} <= options.keys() and None not in (
            options["num_steps"],
            options["trajectory_length"],
        ):
            raise ValueError(
                f"num_steps = {options['num_steps']} and trajectory_length = "
                f"{options['trajectory_length']} leave no step to tune: give one of them"
            )
        step, acceptance = self._first_step, self._acceptance
        if self._has_step and not (_is_real(step) and 0 < step < np.inf):
            raise ValueError(f"step_size must be positive: got {step!r}")
        if not (_is_real(acceptance) and 0 < acceptance < 1):
            raise ValueError(f"target_accept_prob must lie in (0, 1): got {acceptance!r}")

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options)
        return f"NumPyroKernel({self.kernel_class.__name__}, n_steps={self.n_steps}{options})"

    def _identity(self) -> tuple[Any, ...]:
        return type(self), self.kernel_class, self.n_steps, self.options

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NumPyroKernel) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    @property
    def _has_step(self) -> bool:
        return "step_size" in self._parameters

    @property
    def _first_step(self) -> Any:
        return self._argument("step_size", 1.0)

    @property
    def _acceptance(self) -> Any:
        return self._argument("target_accept_prob", ACCEPTANCE)

    @property
    def _starts_where_put(self) -> bool:
        """Whether initialising evaluates nothing but the point that is given."""
        return self.kernel_class.init in (HMC.init, BarkerMH.init)

    def _argument(self, name: str, otherwise: float) -> Any:
        """Return the argument as given, else the kernel's default, else ours."""
        own = self._parameters[name].default if name in self._parameters else None
        return dict(self.options).get(name, otherwise if own in (None, inspect._empty) else own)

    def _kernel(self, potential: Potential, step: Any = None) -> Any:
        """Return the kernel of one chain, which adapts nothing."""
        given: dict[str, Any] = dict(self.options)
        for name in ("adapt_step_size", "adapt_mass_matrix"):
            if name in self._parameters:
                given[name] = False
        if given.get("num_steps") is not None:
            given["trajectory_length"] = None  # its default would fix the step
        if step is not None and self._has_step:
            given["step_size"] = step
        return self.kernel_class(potential_fn=potential, **given)

    @property
    def statistics(self) -> tuple[str, ...]:
        diverging = ("diverging",) if "diverging" in _traits(self).fields else ()
        return ("acceptance", "n_gradients", *diverging)

    @property
    def needs_gradients(self) -> bool:
        return _traits(self).needs_gradients

    def start(self, start: Start) -> KernelTuning:
        n = len(start.betas)
        step = self._first_step if self._has_step else np.nan
        return KernelTuning(step_size=np.full(n, step), scale=np.tile(start.scale, (n, 1)))

    def explore(
        self, evaluate: Evaluate, state: State, beta: Array, tuning: KernelTuning, noise: Noise
    ) -> tuple[State, Array]:
        dtype = state.x.dtype
        scale = jnp.asarray(tuning.scale)
        potential = at_start = _potential(evaluate, beta, scale)
        if self._starts_where_put:
            at_start = _known(-log_density(state, beta), -gradient(state, beta) * scale)
        current = at_start
        kernel = self._kernel(lambda z: current(z), tuning.step_size)
        key = jax.random.wrap_key_data(noise.key, impl="threefry2x32")
        z = state.x / scale
        walk = kernel.init(key, 0, z, (), {})
        current = potential

        def one(_: Any, carry: tuple[Any, Array]) -> tuple[Any, Array]:
            walk, sums = carry
            after = kernel.sample(walk, (), {})
            moved = jnp.any(_place(kernel, after) != _place(kernel, walk))
            probability = jnp.asarray(getattr(after, "accept_prob", moved), dtype)
            counted = [
                jnp.where(jnp.isfinite(probability), probability, 0) / self.n_steps,
                jnp.asarray(getattr(after, "num_steps", 1), dtype),
            ]
            if "diverging" in self.statistics:
                counted.append(jnp.asarray(after.diverging, dtype) / self.n_steps)
            return after, sums + jnp.stack(counted)

        carry = walk, jnp.zeros(len(self.statistics), dtype)
        if self.n_steps == 1:
            walk, sums = one(0, carry)
        else:
            walk, sums = jax.lax.fori_loop(0, self.n_steps, one, carry)
        end = _place(kernel, walk)
        moved = jnp.any(end != z)
        there: State = jax.lax.cond(moved, lambda: evaluate(end * scale), lambda: state)
        possible = jnp.isfinite(log_density(there, beta))
        new: State = jax.tree.map(lambda a, b: jnp.where(possible, a, b), there, state)
        n_more = jnp.asarray(moved, dtype) + (0 if self._starts_where_put else 1)
        return new, sums.at[1].add(n_more)

    def adapt(self, tuning: KernelTuning, outcome: RoundOutcome) -> KernelTuning:
        step, scale = tuning.step_size, tuning.scale
        if outcome.round >= FIRST_SCALED_ROUND:
            scale = np.sqrt(neighbour_variances(scale**2, outcome))
        if self._has_step:
            step = tuned_steps(
                step, outcome.statistics["acceptance"], self._acceptance, outcome.n_scans
            )
            if outcome.n_scans < SHORT_ROUND:
                change = np.exp(np.mean(np.log(tuning.scale) - np.log(scale), axis=1))
                step = step * np.clip(change, 0.1, 10.0)
            step = np.exp(carried_over(np.log(step), outcome))
        return KernelTuning(step_size=step, scale=np.exp(carried_over(np.log(scale), outcome)))


def _potential(evaluate: Evaluate, beta: Array, scale: Array) -> Potential:
    """Return minus the log density at z * scale; +inf where that is not a finite number. One
    evaluation gives the value and the gradient, by the rules of `evaluate`."""

    def energy(there: State) -> Array:
        log = log_density(there, beta)
        return jnp.where(jnp.isfinite(log), -log, jnp.inf)

    @jax.custom_jvp
    def potential(z: Array) -> Array:
        return energy(evaluate(z * scale))

    @potential.defjvp
    def with_slope(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
        there = evaluate(primals[0] * scale)
        slope = -gradient(there, beta) * scale
        return energy(there), jnp.sum(slope * tangents[0])

    result: Potential = potential
    return result


def _known(value: Array, slope: Array) -> Potential:
    """Return a potential that knows itself at one point alone, and evaluates nothing there."""

    @jax.custom_jvp
    def potential(z: Array) -> Array:
        return value

    @potential.defjvp
    def with_slope(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
        return value, jnp.sum(slope * tangents[0])

    result: Potential = potential
    return result


def _place(kernel: Any, walk: Any) -> Array:
    place: Array = getattr(walk, kernel.sample_field)
    return place


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


@lru_cache(maxsize=64)
def _traits(explorer: NumPyroKernel) -> _Traits:
    """Trace the kernel on a normal: whether it asks for slopes, and the fields of its state."""
    slopes = []

    @jax.custom_jvp
    def potential(z: Array) -> Array:
        return 0.5 * jnp.sum(z**2)

    @potential.defjvp
    def with_slope(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
        slopes.append(True)
        return potential(primals[0]), jnp.sum(primals[0] * tangents[0])

    def once(words: Array) -> Any:
        kernel = explorer._kernel(potential)
        key = jax.random.wrap_key_data(words, impl="threefry2x32")
        walk = kernel.sample(kernel.init(key, 0, jnp.zeros(2), (), {}), (), {})
        if _place(kernel, walk).shape != (2,):
            raise TypeError(
                f"{explorer.kernel_class.__name__} must keep the shape of its point: got "
                f"{_place(kernel, walk).shape}, wanted (2,)"
            )
        return walk

    walk = jax.eval_shape(once, jax.ShapeDtypeStruct((2,), np.uint32))
    fields = frozenset(getattr(walk, "_fields", ()))
    return _Traits(needs_gradients=bool(slopes), fields=fields)


def _parameters(kernel_class: Any) -> dict[str, inspect.Parameter]:
    """Return the arguments of a kernel that can work here, or a TypeError that says what to use."""
    if isinstance(kernel_class, MCMCKernel):
        name = type(kernel_class).__name__
        raise TypeError(
            f"kernel_class must be a class, not a kernel: write NumPyroKernel({name}), with the "
            "kernel's options but without the model"
        )
    if not (isinstance(kernel_class, type) and issubclass(kernel_class, MCMCKernel)):
        raise TypeError(
            "kernel_class must be a class of MCMC kernels, such as numpyro.infer.NUTS: got "
            f"{getattr(kernel_class, '__name__', repr(kernel_class))}"
        )
    name = kernel_class.__name__
    if issubclass(kernel_class, EnsembleSampler):
        raise TypeError(
            f"{name} moves many chains at a time, but an explorer moves one replica: use "
            "NumPyroKernel(numpyro.infer.NUTS), or SliceSampler() where there are no gradients"
        )
    if issubclass(kernel_class, SA):
        raise TypeError(
            f"{name} keeps a set of points between its steps, but a replica is one point: use "
            "NumPyroKernel(numpyro.infer.NUTS), or SliceSampler() where there are no gradients"
        )
    parameters = dict(inspect.signature(kernel_class).parameters)
    if "potential_fn" not in parameters:
        raise TypeError(
            f"{name} takes no potential_fn, so it cannot explore the density of a chain (kernels "
            "for discrete sites and for subsampled data need the model): sum discrete sites out, "
            "give the model all data, and use NumPyroKernel(numpyro.infer.NUTS)"
        )
    return parameters
