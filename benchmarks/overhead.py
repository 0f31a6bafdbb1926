"""Prints what a run costs beyond the gradients that it takes, for models of several sizes:

    python benchmarks/overhead.py [--models mrna,normal_1000] [--runs 5] [--peers [nuts,smc]]

With `--peers` a second table says how long other samplers take for draws of the same worth.
README.md here says how to read both. Each figure is of a process of its own, one after another.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from dataclasses import asdict
from typing import Any

from common import overhead_problems, own_process
from common.ess import min_ess
from common.machine import machine, peak_mb
from common.overhead_problems import CHAINS, TITLES
from common.round_timing import LEAST_SECONDS, timing
from common.tables import line, names, number, print_head
from peers.doubling import PEERS, Attempt, enough
from peers.methods import METHODS

COLUMNS = (
    "model",
    "dim.",
    "chains",
    "Λ",
    "µs per scan",
    "gradients per scan",
    "µs per bare gradient",
    "**overhead factor**",
    "µs per gradient with value",
    "factor with value",
    "compile s",
    "import s",
    "process s, cold",
    "process s, warm",
    "peak MB",
)
PEER_COLUMNS = ("model", "method", "process s", "min ESS", "length", "abs. log Z error")

# --------------------------------------------------------------------------- in own processes


def rounds(name: str, runs: int, least_seconds: float) -> None:
    """Gives the times of rounds and gradients, side by side."""
    import jax

    jax.config.update("jax_enable_x64", overhead_problems.uses_x64(name))
    problem = overhead_problems.problem(name)
    own_process.give({"chains": problem.n_chains} | asdict(timing(problem, runs, least_seconds)))


def process(name: str, n_rounds: int, started: float) -> None:
    """Does what a user's script does, and gives its seconds and its peak memory."""
    import jax
    import numpyro

    before = time.perf_counter()
    import numpygeons

    import_seconds = time.perf_counter() - before
    jax.config.update("jax_enable_x64", overhead_problems.uses_x64(name))
    problem = overhead_problems.problem(name)
    pt = numpygeons.pigeons(
        problem.model,
        model_args=problem.model_args,
        n_chains=problem.n_chains,
        n_rounds=n_rounds,
    )
    means = {site: value.mean() for site, value in pt.samples.items()}
    print(numpyro.__version__, means, pt.log_z, pt.log_z_error, flush=True)
    own_process.give(
        {
            "seconds": time.time() - started,
            "import_seconds": import_seconds,
            "compile_seconds": sum(record.compile_seconds for record in pt.rounds),
            "peak_mb": peak_mb(),
        }
    )


def peer(name: str, method: str, length: int, started: float) -> None:
    """Runs a method at one length, and gives its seconds, its ESS and its error."""
    import jax

    jax.config.update("jax_enable_x64", overhead_problems.uses_x64(name))
    problem = overhead_problems.problem(name)
    run = PEERS[method].prepare(problem, length)(1)
    seconds = time.time() - started
    error = None if run.log_z is None else abs(run.log_z - problem.log_z)
    own_process.give({"seconds": seconds, "ess": min_ess(run), "log_z_error": error})


# --------------------------------------------------------------------------------- the tables


def row(
    title: str, timing: dict[str, Any], cold: list[dict[str, Any]], warm: list[dict[str, Any]]
) -> list[str]:
    """The cells of a model; of whole processes, medians."""

    def median(name: str, of: list[dict[str, Any]]) -> float:
        return statistics.median(one[name] for one in of)

    return [
        title,
        f"{timing['dimension']:,}",
        f"{timing['chains']}",
        f"{timing['barrier']:.1f}",
        number(timing["scan_us"]),
        number(timing["gradients_per_scan"]),
        number(timing["gradient_us"]),
        f"**{timing['factor']:.2f}**",
        number(timing["valued_us"]),
        f"{timing['valued_factor']:.2f}",
        f"{median('compile_seconds', cold):.2f}",
        f"{median('import_seconds', cold):.2f}",
        f"{median('seconds', cold):.2f}",
        f"{median('seconds', warm):.2f}",
        f"{median('peak_mb', cold):.0f}",
    ]


def cells(name: str, runs: int, least_seconds: float, n_rounds: int) -> list[str]:
    """Measures a model, or says why not."""
    title = TITLES[name]
    absent = overhead_problems.missing(name)
    if absent:
        return [title, absent]
    arguments = [__file__, "--rounds-of", name, str(runs), str(least_seconds)]
    found, trouble = own_process.run_apart(arguments)
    if trouble:
        return [title, trouble]
    arguments = [__file__, "--process-of", name, str(n_rounds)]
    cold, warm, trouble = own_process.cold_and_warm(arguments, runs)
    if trouble:
        return [title, trouble]
    return row(title, found[0], cold, warm)


def table(models: list[str], runs: int, least_seconds: float, n_rounds: int) -> None:
    print_head(COLUMNS)
    for name in models:
        print(line(cells(name, runs, least_seconds, n_rounds), len(COLUMNS)), flush=True)


def peer_cells(name: str, method: str, least_ess: float, timeout: float) -> list[str]:
    """The row of a method, or why there is none."""
    package = METHODS[method]
    chains = f", {CHAINS[name]} chains" if method == "numpygeons" else ""
    peer, head = PEERS[method], [TITLES[name], package.title + chains]
    absent = overhead_problems.missing(name)
    if absent:
        return [*head, absent]
    if importlib.util.find_spec(package.module) is None:
        return [*head, "not installed"]

    def run(length: int) -> Attempt:
        arguments = [__file__, "--peer-of", name, method, str(length)]
        return own_process.run_apart(arguments, timeout, {"NUMPYGEONS_CACHE": "off"})

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


def peers_table(models: list[str], methods: list[str], least_ess: float, timeout: float) -> None:
    print_head(PEER_COLUMNS)
    for name, method in pairs(models, methods):
        row = peer_cells(name, method, least_ess, timeout)
        print(line(row, len(PEER_COLUMNS)), flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--rounds-of"]:
        name, runs, least_seconds, _ = sys.argv[2:]
        rounds(name, int(runs), float(least_seconds))
        return
    if sys.argv[1:2] == ["--process-of"]:
        name, n_rounds, started = sys.argv[2:]
        process(name, int(n_rounds), float(started))
        return
    if sys.argv[1:2] == ["--peer-of"]:
        name, method, length, started = sys.argv[2:]
        peer(name, method, int(length), float(started))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = tuple(PEERS)
    parser.add_argument("--models", default="", help=",".join(TITLES))
    parser.add_argument("--runs", type=int, default=5, help="per figure, which is their median")
    parser.add_argument("--seconds", type=float, default=LEAST_SECONDS, help="of the last round")
    parser.add_argument("--rounds", type=int, default=10, help="of whole processes")
    parser.add_argument("--peers", nargs="?", const="", help=",".join(known))
    parser.add_argument("--ess", type=float, default=1000, help="smallest that peers must reach")
    parser.add_argument("--timeout", type=float, default=180, help="seconds, for one peer's run")
    options = parser.parse_args()
    models = names(options.models, tuple(TITLES))
    print(f"{machine()}; medians of {options.runs} runs\n")
    table(models, options.runs, options.seconds, options.rounds)
    if options.peers is not None:
        print()
        peers_table(models, names(options.peers, known), options.ess, options.timeout)


if __name__ == "__main__":
    main()
