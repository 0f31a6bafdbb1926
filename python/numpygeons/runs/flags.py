"""Says what stands against a result: everything that the report prints after "flag:"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from numpygeons.records import Flag, RoundRecord, Severity, as_flag
from numpygeons.runs.evidence import pooled_evidence

LOW_ACCEPTANCE = 0.1  # below, a pair of chains hardly talks
SATURATED = 0.05  # below, a pair's share of the barrier is a lower bound
COARSE, WRONG_BY = 0.05, 0.5  # nats that rounding may put V off: more is flagged, more is wrong
LEAST_COARSE = 0.005  # nats: less does not matter to anybody
SHARE_OF_ERROR = 0.5  # of log Z's error, that rounding may come to
ORDER: tuple[Severity, ...] = ("wrong", "warning", "note")


def flags_of(records: Sequence[RoundRecord]) -> tuple[Flag, ...]:
    """Return the flags of a run, from the records of its finished rounds; the gravest first."""
    if not records:
        return ()
    last = records[-1]
    found: list[Flag] = []
    pooled = pooled_evidence(records)
    if pooled is not None:
        found += [*last.flags, *(as_flag(flag) for flag in pooled.flags)]
        found += [*_no_restarts(last), *_few_chains(last)]
    error = np.inf if pooled is None else float(np.sqrt(pooled.variance))
    found += [*_zero_likelihood(last), *_redrawn(last), *_coarse(last, error)]
    return tuple(sorted(found, key=lambda flag: ORDER.index(flag.severity)))


def is_sound(flags: Sequence[Flag]) -> bool:
    """Return whether no flag stands against the result."""
    return all(flag.severity == "note" for flag in flags)


def _no_restarts(last: RoundRecord) -> list[Flag]:
    # With many chains a trip takes longer than a short round: then "slow" counts shorter ones.
    names = {flag.name for flag in last.flags}
    if last.n_restarts > 0 or names.isdisjoint({"slow", "short", "no overlap"}):
        return []
    return [
        Flag(
            "no restarts",
            "warning",
            f"no replica travelled from the reference to the target in the {last.n_scans} scans "
            "of the last round, so the draws may miss modes",
            "run more rounds, or use more chains where a pair seldom swaps",
        )
    ]


def _few_chains(last: RoundRecord) -> list[Flag]:
    n, worst = len(last.schedule), int(np.argmin(last.swap_acceptance))
    least = float(last.swap_acceptance[worst])
    if least >= LOW_ACCEPTANCE:
        return []
    barrier = last.extrapolated_barrier
    bound = "at least " if least < SATURATED else ""
    return [
        Flag(
            "few chains",
            "warning",
            f"chains {worst} and {worst + 1} of {n} swap with probability {least:.2g}: Λ is "
            f"{bound}{barrier:.3g} (its part seen by these chains is {last.global_barrier:.3g})",
            f"use {bound or 'about '}{chains_for(barrier)} chains",
        )
    ]


def chains_for(barrier: float) -> int:
    """Return a good number of chains, 2 Λ + 1 (Syed et al. 2022, section 5)."""
    return int(np.ceil(2 * barrier)) + 1


def _zero_likelihood(last: RoundRecord) -> list[Flag]:
    if not last.n_zero_likelihood:
        return []
    first = last.first_zero_likelihood
    where = (
        ""
        if first is None
        else f"; the first at replica {first.replica}, chain {first.chain}, beta {first.beta:g}, "
        f"scan {first.scan}"
    )
    counted = f"{last.n_zero_likelihood} of {last.n_scans} draws from the reference had likelihood "
    if last.n_not_a_number:
        return [
            Flag(
                "likelihood not a number",
                "warning",
                f"{counted}zero, and in {last.n_not_a_number} of these it was not a number (NaN), "
                f"which counts as zero{where}",
                "look for 0/0, inf - inf, or the log or root of a negative number in the model",
            )
        ]
    return [
        Flag(
            "zero likelihood",
            "note",
            f"{counted}zero{where}",
            "log Z takes it into account; nothing to do if the model means it",
        )
    ]


def _redrawn(last: RoundRecord) -> list[Flag]:
    if not last.n_redrawn:
        return []
    n = last.n_redrawn + last.n_scans
    unlikely = last.n_redrawn - last.n_redrawn_likely
    reason = (
        f"{last.n_redrawn} of {n} draws from the reference had no finite density in this precision "
        "(a number that overflows, for instance) and were made again"
    )
    if unlikely:
        correction = float(np.log1p(-unlikely / n))
        reason += (
            f"; {unlikely} of them have no likelihood, for which log Z is corrected by "
            f"{correction:.2g}"
        )
    if last.n_redrawn_likely:
        reason += (
            f"; {last.n_redrawn_likely} have a likelihood: log Z and the draws are those without "
            f"{last.n_redrawn_likely / n:.2g} of the prior"
        )
    return [
        Flag(
            "redrawn",
            "warning" if last.n_redrawn_likely else "note",
            reason,
            "use double precision (numpyro.enable_x64()), or a less extreme prior",
        )
    ]


def _coarse(last: RoundRecord, error: float) -> list[Flag]:
    """Return the flag of what rounding does, held against `error`, that of log Z, nats."""
    worst, shift = last.coarseness, last.coarse_shift
    if worst is None or shift is None:
        return []
    limit = SHARE_OF_ERROR * error if np.isfinite(error) else COARSE
    if worst <= min(max(limit, LEAST_COARSE), COARSE):
        return []
    is_wrong = worst > WRONG_BY or (np.isfinite(error) and abs(shift) > error)
    return [
        Flag(
            "coarse arithmetic",
            "wrong" if is_wrong else "warning",
            f"V is a sum of numbers too large for single precision: rounding puts log Z off by "
            f"{shift:+.2g}, and V at single draws by {worst:.2g}",
            "use double precision: numpyro.enable_x64() before anything else of JAX",
        )
    ]
