"""Compares the efficiency of parallel tempering with that of other samplers from PyPI.

Prints one table, in Markdown, with a row per problem and method; README.md here says how to read
it:

    python benchmarks/efficiency.py [--problems coin,mrna] [--methods numpygeons,nuts] [--seeds 5]

Each method of each problem runs in a process of its own, one after another.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from typing import Any

import numpy as np

from common import efficiency_problems, own_process
from common.efficiency_problems import TITLES
from common.ess import min_ess
from common.machine import machine
from common.problem import Problem
from common.run import Run
from common.tables import line, names, number, print_head
from peers.methods import METHODS

COLUMNS = (
    "problem",
    "method",
    "seeds",
    "min ESS",
    "ESS/s, sampling",
    "ESS/s, whole run",
    "ESS/gradient, sampling",
    "ESS/gradient, whole run",
    "worst abs. log Z error",
    "mode weight",
    "worst bias / sd",
    "cold s",
    "warm s",
)

# ------------------------------------------------------------------ one problem, one method


def mean_and_sd(run: Run, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over chains and draws, by weight."""
    flat = np.asarray(value, float).reshape(-1, *value.shape[2:])
    mean = np.average(flat, axis=0, weights=run.weights)
    return mean, np.sqrt(np.average((flat - mean) ** 2, axis=0, weights=run.weights))


def measured(problem: Problem, run: Run, seconds: float) -> dict[str, float | None]:
    """The figures of one run that took so many seconds."""
    latents = {k: v for k, v in run.samples.items() if np.ndim(v) >= 2}
    bias = None
    for name, exact in problem.means.items():
        mean, sd = mean_and_sd(run, latents[name])
        bias = max(bias or 0.0, float(np.max(np.abs(mean - exact) / sd)))
    weight = None
    if problem.mode is not None:
        weight = float(mean_and_sd(run, np.asarray(problem.mode(latents)))[0])
    sampling_seconds = seconds if run.sampling_seconds is None else run.sampling_seconds
    sampling = run.n_gradients if run.sampling_gradients is None else run.sampling_gradients
    ess = min_ess(run)
    return {
        "ess": ess,
        "ess_per_sampling_second": ess / sampling_seconds,
        "ess_per_second": ess / seconds,
        "ess_per_sampling_gradient": ess / sampling,
        "ess_per_gradient": ess / run.n_gradients,
        "log_z_error": None if run.log_z is None else run.log_z - problem.log_z,
        "weight": weight,
        "bias": bias,
        "seconds": seconds,
    }


def work(problem_name: str, method: str, n_seeds: int, started: float) -> None:
    """Run the seeds one after another, and print the figures of each; the first one is cold."""
    import jax

    jax.config.update("jax_enable_x64", efficiency_problems.uses_x64(problem_name))
    problem = efficiency_problems.problem(problem_name)
    run = METHODS[method].prepare(problem)
    for seed in range(1, n_seeds + 1):
        begin = started if seed == 1 else time.time()
        result = run(seed)
        figures = measured(problem, result, time.time() - begin)
        own_process.give(figures)


# ---------------------------------------------------------------------------------- the table


def run_apart(
    problem: str, method: str, n_seeds: int, timeout: float
) -> tuple[list[dict[str, Any]], str | None]:
    """The figures of each finished seed of a process, and what went wrong, if anything did."""
    package = METHODS[method]
    if importlib.util.find_spec(package.module) is None:
        return [], f"not installed (pip install {package.package})"
    return own_process.run_apart([__file__, "--worker", problem, method, str(n_seeds)], timeout)


def row(problem: str, method: str, rows: list[dict[str, Any]], n_seeds: int) -> list[str]:
    """The cells of a method that finished at least one seed; speeds are of warm runs."""
    warm = rows[1:]

    def values(name: str, of: list[dict[str, Any]]) -> list[float]:
        return [one[name] for one in of if one[name] is not None]

    def median(name: str, of: list[dict[str, Any]]) -> str:
        found = values(name, of)
        return number(statistics.median(found)) if found else "-"

    def worst(name: str) -> str:
        found = values(name, rows)
        return f"{max(map(abs, found)):.3f}" if found else "-"

    weights = values("weight", rows)
    return [
        problem,
        method,
        f"{len(rows)}" if len(rows) == n_seeds else f"{len(rows)} of {n_seeds}",
        median("ess", rows),
        median("ess_per_sampling_second", warm),
        median("ess_per_second", warm),
        median("ess_per_sampling_gradient", rows),
        median("ess_per_gradient", rows),
        worst("log_z_error"),
        f"{min(weights):.3f} ... {max(weights):.3f}" if weights else "-",
        worst("bias"),
        f"{rows[0]['seconds']:.1f}",
        f"{statistics.median(values('seconds', warm)):.2f}" if warm else "-",
    ]


def table(problems: list[str], methods: list[str], n_seeds: int, timeout: float) -> None:
    print(f"{machine()}\n")
    print_head(COLUMNS)
    for name in problems:
        absent = efficiency_problems.missing(name)
        if absent:
            print(line([TITLES[name], absent], len(COLUMNS)), flush=True)
            continue
        for method in methods:
            title = METHODS[method].title
            rows, trouble = run_apart(name, method, n_seeds, timeout)
            if rows:
                cells = row(TITLES[name], title, rows, n_seeds)
            else:
                cells = [TITLES[name], title, trouble or "no result"]
            print(line(cells, len(COLUMNS)), flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        problem, method, n_seeds, started = sys.argv[2:]
        work(problem, method, int(n_seeds), float(started))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", default="", help=",".join(tuple(TITLES)))
    parser.add_argument("--methods", default="", help=",".join(METHODS))
    parser.add_argument("--seeds", type=int, default=5, help="the first is cold, speeds need two")
    parser.add_argument("--timeout", type=float, default=180, help="seconds, for all seeds")
    options = parser.parse_args()
    table(
        names(options.problems, tuple(TITLES)),
        names(options.methods, tuple(METHODS)),
        options.seeds,
        options.timeout,
    )


if __name__ == "__main__":
    main()
