"""Doubles the length of a method's run until its draws are worth enough.

Methods and their settings are those of the efficiency table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.problem import Problem
from common.run import Runner
from peers.jaxns import jaxns
from peers.nuts import nuts
from peers.ours import numpygeons
from peers.smc import smc

MOST_DOUBLINGS = 20


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A method of the efficiency table, and what of it is doubled."""

    prepare: Callable[[Problem, int], Runner]
    first: int
    length: Callable[[int], str]


PEERS = {
    "numpygeons": Peer(
        prepare=lambda problem, k: numpygeons(problem, k.bit_length() - 1),
        first=2**10,  # scans of the last round
        length=lambda k: f"{k.bit_length() - 1} rounds",
    ),
    "nuts": Peer(prepare=nuts, first=250, length=lambda k: f"4 chains of 1000 + {k:,}"),
    "smc": Peer(prepare=smc, first=1024, length=lambda k: f"{k:,} particles"),
    "jaxns": Peer(prepare=jaxns, first=15, length=lambda k: f"{k} live points per dim."),
}

Attempt = tuple[list[dict[str, Any]], str | None]


def enough(
    run: Callable[[int], Attempt], first: int, least_ess: float, timeout: float
) -> tuple[int, dict[str, Any] | None, str]:
    """Doubles the length until the ESS is reached: the last length, its figures, and where it was
    not reached, why."""
    length = first
    for _ in range(MOST_DOUBLINGS):
        found, trouble = run(length)
        if trouble or not found:
            late = trouble and trouble.startswith("not finished")
            return length, None, f"> {timeout:.0f}" if late else trouble or "no result"
        if found[0]["seconds"] > timeout:
            break
        if found[0]["ess"] >= least_ess:
            return length, found[0], ""
        length *= 2
    return length, None, f"> {timeout:.0f}"
