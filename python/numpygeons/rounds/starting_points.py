"""Finds where the replicas start, and the scale of the reference."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons._core.random import Purpose, jax_keys
from numpygeons.arrays import Floats
from numpygeons.errors import NumericalError
from numpygeons.rounds.reference_draws import ReferenceDraws
from numpygeons.target.path import TemperedPath
from numpygeons.target.potential import Evaluate, Replicas, State
from numpygeons.xla.compiler_options import jit

MOST_BATCHES = 16  # of reference draws searched for states of finite density
MOST_LOOKED_AT = 64  # draws, to say which sites have likelihood zero
IQR_OF_A_NORMAL = 1.349  # interquartile range over standard deviation


def robust_location_and_scale(x: Floats) -> tuple[Floats, Floats]:
    """Return the median and interquartile range / 1.349 of each column of x, shape (n, dimension).

    The reference may have no variance; a column that does not move gets scale 1.
    """
    low, centre, high = np.quantile(x, (0.25, 0.5, 0.75), axis=0)
    scale = (high - low) / IQR_OF_A_NORMAL
    return centre, np.where(scale > 0, scale, 1.0)


def starting_points(
    path: TemperedPath, evaluate: Evaluate, reference: ReferenceDraws, pilot: State, n_replicas: int
) -> Replicas:
    """Return states of finite density, one per replica.

    They are the path's own starting points, where it has such; else draws from the reference in
    the order they come, those of likelihood zero left out. `pilot` is the first batch of them.

    Raises
    ------
    NumericalError
        When there is no such state, V = +inf at one of them, or all draws from the reference
        agree in a coordinate.
    """
    _refuse_constant(path, pilot)
    initial = path.initial
    if initial is not None:
        keys = jax_keys(
            seed=reference.seed,
            purpose=Purpose.initial_state,
            replica=0,
            round=1,  # round 0 belongs to the reference's own draws
            first_scan=0,
            n=n_replicas,
        )
        typed = jax.random.wrap_key_data(jnp.asarray(keys), impl="threefry2x32")
        states = jit(jax.vmap(lambda key: evaluate(initial(key))))(typed)
        chosen: State = jax.device_get(states)
        _refuse_infinite(path, chosen, "initial")
        bad = ~(np.isfinite(chosen.v) & np.isfinite(chosen.log_reference))
        if np.any(bad):
            replica = int(np.argmax(bad))
            raise NumericalError(
                f"initial gave a state of density zero for replica {replica}, chain {replica}, "
                "scan 0: it must return states where both densities are finite"
            )
        return chosen
    found: list[State] = []
    n = 0
    for number in range(MOST_BATCHES):
        batch = pilot if number == 0 else reference.batch(Purpose.initial_state, number).states
        _refuse_infinite(path, batch, "the reference")
        good = np.flatnonzero(np.isfinite(np.asarray(batch.v)))
        found.append(jax.tree.map(lambda a, good=good: np.asarray(a)[good], batch))
        n += len(good)
        if n >= n_replicas:
            break
    if n == 0:
        raise NumericalError(
            f"no finite state for chain 1 (beta > 0), replica 1, scan 0: all "
            f"{MOST_BATCHES * reference.size} draws from the reference have likelihood zero"
            f"{_never_finite(path, np.asarray(pilot.x))}; check the data, the support of the "
            "likelihood, and the scale of the priors"
        )
    rows = np.arange(n_replicas) % n  # a rare state starts several replicas
    replicas: Replicas = jax.tree.map(lambda *a: np.concatenate(a)[rows], *found)
    return replicas


def _refuse_constant(path: TemperedPath, pilot: State) -> None:
    """Refuse a sampler that is a stub: no density gives two equal draws, let alone hundreds."""
    x = np.asarray(pilot.x)
    constant = np.all(x == x[0], axis=0)
    if np.any(constant):
        coordinate = int(np.argmax(constant))
        raise NumericalError(
            f"all {len(x)} draws from the reference have {path.coordinate_names[coordinate]} = "
            f"{x[0, coordinate]:g} (unconstrained): the `sample` of its distribution does not "
            "follow its density, or the number type is too coarse for its scale; write a `sample` "
            "that draws from the density, or use double precision"
        )


def _refuse_infinite(path: TemperedPath, states: State, source: str) -> None:
    infinite = np.asarray(states.v) == np.inf
    if np.any(infinite):
        draw = int(np.argmax(infinite))
        terms = _terms(path, np.asarray(states.x)[draw : draw + 1])
        sites = [repr(name) for name, rows in terms.items() if np.any(rows == np.inf)]
        where = f", at site {' and '.join(sites)}" if sites else ""
        raise NumericalError(
            f"V = log target - log reference is +inf at draw {draw} from {source} (replica 0, "
            f"chain 0, beta 0, scan 0){where}: the target's density is infinite there"
        )


def _never_finite(path: TemperedPath, x: Floats) -> str:
    """Return which sites have no finite likelihood at any of these draws, and what they have
    instead."""
    terms = _terms(path, x[:MOST_LOOKED_AT])
    n = min(len(x), MOST_LOOKED_AT)
    found = []
    for name, rows in terms.items():
        rows = rows.reshape(n, -1)
        if np.any(np.all(np.isfinite(rows), axis=1)):
            continue
        kinds = (
            ("NaN", np.isnan(rows)),
            ("-inf", rows == -np.inf),
            ("+inf", rows == np.inf),
        )
        counts = [
            f"{kind} at {int(np.sum(np.any(is_it, axis=1)))}"
            for kind, is_it in kinds
            if np.any(is_it)
        ]
        found.append(f"site {name!r} is {' and '.join(counts)} of {n} draws")
    if found:
        return ": " + "; ".join(found)
    v = np.asarray(jit(jax.vmap(path.v))(jnp.asarray(x[:MOST_LOOKED_AT])))
    return f": V is NaN at {int(np.sum(np.isnan(v)))} and -inf at the others of {n} draws"


def _terms(path: TemperedPath, x: Floats) -> dict[str, Floats]:
    """Return the log likelihoods of each observed site at draws x, shape (n, dimension); {} for a
    target of functions."""
    terms: dict[str, Floats] = jit(jax.vmap(path.log_likelihood))(jnp.asarray(x))
    return {name: np.asarray(terms[name]) for name in path.observed}
