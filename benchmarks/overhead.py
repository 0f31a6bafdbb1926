"""Prints what a run costs beyond the gradients that it takes, for models of several sizes:

    python benchmarks/overhead.py [--models mrna,normal_1000] [--runs 5] [--peers [nuts,smc]]

With `--peers` a second table says how long other samplers take for draws of the same worth.
README.md here says how to read both. Each figure is of a process of its own, one after another.
"""

import argparse
import importlib.metadata
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import apart
import overhead_models
import overhead_peers
from efficiency import names, number
from overhead_models import TITLES
from overhead_timing import LEAST_SECONDS

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
PACKAGES = ("jax", "numpyro", "numpy")

# --------------------------------------------------------------------------- in own processes


def rounds(name: str, runs: int, least_seconds: float) -> None:
    """Gives the times of rounds and gradients, side by side."""
    import jax
    from overhead_timing import timing

    jax.config.update("jax_enable_x64", overhead_models.uses_x64(name))
    problem = overhead_models.problem(name)
    apart.give({"chains": problem.n_chains} | asdict(timing(problem, runs, least_seconds)))


def process(name: str, n_rounds: int, started: float) -> None:
    """Does what a user's script does, and gives its seconds and its peak memory."""
    import jax
    import numpyro

    before = time.perf_counter()
    import numpygeons

    import_seconds = time.perf_counter() - before
    jax.config.update("jax_enable_x64", overhead_models.uses_x64(name))
    problem = overhead_models.problem(name)
    pt = numpygeons.pigeons(
        problem.model,
        model_args=problem.model_args,
        n_chains=problem.n_chains,
        n_rounds=n_rounds,
    )
    means = {site: value.mean() for site, value in pt.samples.items()}
    print(numpyro.__version__, means, pt.log_z, pt.log_z_error, flush=True)
    apart.give(
        {
            "seconds": time.time() - started,
            "import_seconds": import_seconds,
            "compile_seconds": sum(record.compile_seconds for record in pt.rounds),
            "peak_mb": peak_mb(),
        }
    )


def peak_mb() -> float:
    """The most memory that this process has had at once."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes, elsewhere kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


# ---------------------------------------------------------------------------------- the table


def machine() -> str:
    """Where this runs, for above the table."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text().splitlines()
        found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = found[0] if found else model
    versions = []
    for package in (*PACKAGES, *overhead_peers.PACKAGES):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}{load}; "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def line(cells: list[str] | tuple[str, ...], width: int) -> str:
    """A row of a table, filled up to its width."""
    return "| " + " | ".join([*cells, *[""] * (width - len(cells))]) + " |"


def print_head(columns: list[str] | tuple[str, ...]) -> None:
    """The first two lines of a table."""
    print(line(columns, len(columns)))
    print("|" + " --- |" * len(columns), flush=True)


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
    absent = overhead_models.missing(name)
    if absent:
        return [title, absent]
    arguments = [__file__, "--rounds-of", name, str(runs), str(least_seconds)]
    found, trouble = apart.run_apart(arguments)
    if trouble:
        return [title, trouble]
    arguments = [__file__, "--process-of", name, str(n_rounds)]
    cold, warm, trouble = apart.cold_and_warm(arguments, runs)
    if trouble:
        return [title, trouble]
    return row(title, found[0], cold, warm)


def table(models: list[str], runs: int, least_seconds: float, n_rounds: int) -> None:
    print_head(COLUMNS)
    for name in models:
        print(line(cells(name, runs, least_seconds, n_rounds), len(COLUMNS)), flush=True)


def peers_table(models: list[str], methods: list[str], least_ess: float, timeout: float) -> None:
    columns = overhead_peers.COLUMNS
    print_head(columns)
    for name, method in overhead_peers.pairs(models, methods):
        row = overhead_peers.cells(name, method, least_ess, timeout)
        print(line(row, len(columns)), flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--rounds-of"]:
        name, runs, least_seconds, _ = sys.argv[2:]
        rounds(name, int(runs), float(least_seconds))
        return
    if sys.argv[1:2] == ["--process-of"]:
        name, n_rounds, started = sys.argv[2:]
        process(name, int(n_rounds), float(started))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = tuple(overhead_peers.PEERS)
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
