"""Measures by how much rounding in single precision puts log Z and the draws of the target off.

Where V is a sum of large terms it is rounded by more than the error of log Z: the run then follows
V~ = V + e, with the rounding error e a fixed function of the state. Its evidence is Z~, and

    log Z - log Z~ = log E~[exp(-e)]

under the target that was run, exp(log gamma_0 + V~): importance sampling from it to the exact
target. So states of the target's chain are all that is needed; errors at other chains change how
well the run mixes, not what it converges to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from numpygeons.arrays import Floats, Reals
from numpygeons.records import RoundRecord
from numpygeons.target.path import TemperedPath
from numpygeons.xla.double_precision import NotInDouble, in_double_precision
from numpygeons.xla.precision import run_precision

MOST_STATES, FEWEST_STATES = 128, 32
NUMBERS_AT_A_TIME = 2**20  # in the largest array


class Coarseness(NamedTuple):
    """What rounding does to a run, in nats."""

    shift: float  # by how much log Z is too high
    spread: float  # standard deviation of V's error among draws from the target


def with_coarseness(
    record: RoundRecord, path: TemperedPath, x: Reals | Floats, v: Reals | Floats
) -> RoundRecord:
    """Return a round's record with what rounding does, from states of its target chain and V
    there."""
    found = coarseness(path, x, v)
    if found is None:
        return record
    worst = max(abs(found.shift), found.spread)
    return replace(record, coarseness=worst, coarse_shift=found.shift)


def without_coarseness(record: RoundRecord) -> RoundRecord:
    """Return a round's record as of a round that was not a run's last, as it is once the run goes
    on."""
    if record.coarseness is None:
        return record
    return replace(record, coarseness=None, coarse_shift=None)


def coarseness(path: TemperedPath, x: Reals | Floats, v: Reals | Floats) -> Coarseness | None:
    """Return what rounding of V does, from states of the target's chain.

    Parameters
    ----------
    path : TemperedPath
    x : array, shape (n, dimension)
        States of the target's chain, unconstrained.
    v : array, shape (n,)
        V there, as the run computed it.

    Returns
    -------
    Coarseness or None
        None in double precision, without states, and for models that NumPy cannot follow (with
        callbacks, for instance).
    """
    if path.dtype == np.float64 or len(x) == 0:
        return None
    traced, n = _traced(path, min(len(x), MOST_STATES))
    chosen = np.unique(np.linspace(0, len(x) - 1, max(n, FEWEST_STATES)).astype(int))
    states = np.asarray(x)[chosen].astype(path.dtype)
    try:
        errors = np.asarray(v)[chosen].astype(np.float64) - _in_double(traced, states, n)
    except NotInDouble:
        return None
    errors = errors[~np.isnan(errors)]
    finite = errors[np.isfinite(errors)]  # V = -inf in double precision counts as weight 0
    if len(finite) == 0:
        return None
    least = float(np.min(finite))
    shift = least - np.log(np.sum(np.exp(least - finite)) / len(errors))
    return Coarseness(shift=float(shift), spread=float(np.std(finite)))


def _traced(path: TemperedPath, n: int) -> tuple[Any, int]:
    """Return V of `n` states, or of as many as fit, and their number."""
    with run_precision(path.dtype):
        shape = jax.ShapeDtypeStruct((n, path.dimension), path.dtype)
        traced = jax.make_jaxpr(jax.vmap(path.v))(shape)
    arrays = (variable.aval for equation in traced.eqns for variable in equation.outvars)
    largest = max((int(np.prod(a.shape, dtype=int)) for a in arrays), default=1)
    if n > 1 and largest > NUMBERS_AT_A_TIME:
        return _traced(path, max(NUMBERS_AT_A_TIME * n // largest, 1))
    return traced, n


def _in_double(traced: Any, x: Reals, n: int) -> Floats:
    """Return V at states, shape (any,), in double precision, `n` at a time."""
    values = []
    for first in range(0, len(x), n):
        batch = x[first : first + n]
        filled = np.concatenate([batch, np.repeat(batch[-1:], n - len(batch), axis=0)])
        values.append(in_double_precision(traced, filled)[0][: len(batch)])
    return np.concatenate(values)
