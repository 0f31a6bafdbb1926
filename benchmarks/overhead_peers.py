"""Times whole processes of several samplers, each as long as its draws need to be worth enough.

A sampler's length is doubled until the smallest bulk ESS of a coordinate is large enough. Each
length is run in a process of its own, which is timed from its start to the draws in memory;
programs are compiled anew. Methods and their settings are those of the efficiency table.
"""

import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apart
import efficiency_methods
import overhead_models
from efficiency import min_ess, number
from efficiency_problems import Problem
from efficiency_runs import Runner
from overhead_models import CHAINS, TITLES

COLUMNS = ("model", "method", "process s", "min ESS", "length", "abs. log Z error")
MOST_DOUBLINGS = 20


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A method of the efficiency table, and what of it is doubled."""

    prepare: Callable[[Problem, int], Runner]
    first: int
    length: Callable[[int], str]


PEERS = {
    "numpygeons": Peer(
        prepare=lambda problem, k: efficiency_methods.numpygeons(problem, k.bit_length() - 1),
        first=2**10,  # scans of the last round
        length=lambda k: f"{k.bit_length() - 1} rounds",
    ),
    "nuts": Peer(
        prepare=efficiency_methods.nuts, first=250, length=lambda k: f"4 chains of 1000 + {k:,}"
    ),
    "smc": Peer(prepare=efficiency_methods.smc, first=1024, length=lambda k: f"{k:,} particles"),
    "jaxns": Peer(
        prepare=efficiency_methods.jaxns, first=15, length=lambda k: f"{k} live points per dim."
    ),
}
PACKAGES = tuple(efficiency_methods.METHODS[name].package for name in PEERS if name != "nuts")


def once(name: str, method: str, length: int, started: float) -> None:
    """Runs a method at one length, and gives its seconds, its ESS and its error."""
    import jax

    jax.config.update("jax_enable_x64", overhead_models.uses_x64(name))
    problem = overhead_models.problem(name)
    run = PEERS[method].prepare(problem, length)(1)
    seconds = time.time() - started
    error = None if run.log_z is None else abs(run.log_z - problem.log_z)
    apart.give({"seconds": seconds, "ess": min_ess(run), "log_z_error": error})


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


def cells(name: str, method: str, least_ess: float, timeout: float) -> list[str]:
    """The row of a method, or why there is none."""
    package = efficiency_methods.METHODS[method]
    chains = f", {CHAINS[name]} chains" if method == "numpygeons" else ""
    peer, head = PEERS[method], [TITLES[name], package.title + chains]
    absent = overhead_models.missing(name)
    if absent:
        return [*head, absent]
    if importlib.util.find_spec(package.module) is None:
        return [*head, "not installed"]

    def run(length: int) -> Attempt:
        arguments = [str(Path(__file__).resolve()), name, method, str(length)]
        return apart.run_apart(arguments, timeout, {"NUMPYGEONS_CACHE": "off"})

    length, found, trouble = enough(run, peer.first, least_ess, timeout)
    if found is None:
        return [*head, trouble, "", peer.length(length)]
    error = found["log_z_error"]
    return [
        *head,
        f"{found['seconds']:.1f}",
        number(found["ess"]),
        peer.length(length),
        "-" if error is None else f"{error:.3f}",
    ]


def pairs(models: list[str], methods: list[str]) -> list[tuple[str, str]]:
    """Each method with each model. To ours alone, other numbers of chains make another model."""
    seen: set[tuple[str, str]] = set()
    found = []
    for name in models:
        for method in methods:
            key = (name if method == "numpygeons" else TITLES[name], method)
            if key not in seen:
                found.append((name, method))
            seen.add(key)
    return found


if __name__ == "__main__":
    model, method, length, started = sys.argv[1:]
    once(model, method, int(length), float(started))
