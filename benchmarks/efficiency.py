"""Compares the efficiency of parallel tempering with that of other samplers from PyPI.

Prints one table, in Markdown, with a row per problem and method; README.md here says how to read
it:

    python benchmarks/efficiency.py [--problems coin,mrna] [--methods numpygeons,nuts] [--seeds 5]

Each method of each problem runs in a process of its own, one after another.
"""

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import statistics
import sys
import time
from typing import Any

import apart
import efficiency_problems
import numpy as np
from efficiency_methods import METHODS
from efficiency_problems import TITLES, Problem
from efficiency_runs import Run

FEW_FAMILIES = 20
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


def min_ess(run: Run) -> float:
    """The smallest bulk ESS of a coordinate.

    It is made of ranks, so it is the same in constrained space as in unconstrained space, where
    one coordinate is a rising function of the other, as in all these problems.
    """
    if run.ess is not None:
        return run.ess
    columns = [
        column
        for value in run.samples.values()
        for column in np.moveaxis(value.reshape(*value.shape[:2], -1), -1, 0)
    ]
    if run.families is not None:
        return min(genealogical_ess(column[0], run.families) for column in columns)
    import arviz

    return min(float(arviz.ess(column, method="bulk")) for column in columns)


def genealogical_ess(values: np.ndarray, families: np.ndarray) -> float:
    """ESS of equally weighted particles, from the variance of their mean between families.

    The sum over families of squared sums, divided by the square of the number of particles,
    estimates that variance (Chan and Lai 2013; Lee and Whiteley 2018); as in the bulk ESS of
    series, values are replaced by the normal scores of their ranks. Where hardly a family is
    left that says nothing, and the result is their effective number.
    """
    from scipy import stats

    n = len(values)
    n_effective = n**2 / np.sum(np.bincount(families, minlength=n) ** 2.0)
    if n_effective < FEW_FAMILIES:
        return float(n_effective)
    scores = stats.norm.ppf((stats.rankdata(values) - 0.375) / (n + 0.25))
    sums = np.bincount(families, weights=scores - scores.mean(), minlength=n)
    return float(n**2 * scores.var() / np.sum(sums**2))


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
        apart.give(figures)


# ---------------------------------------------------------------------------------- the table


def run_apart(
    problem: str, method: str, n_seeds: int, timeout: float
) -> tuple[list[dict[str, Any]], str | None]:
    """The figures of each finished seed of a process, and what went wrong, if anything did."""
    package = METHODS[method]
    if importlib.util.find_spec(package.module) is None:
        return [], f"not installed (pip install {package.package})"
    return apart.run_apart([__file__, "--worker", problem, method, str(n_seeds)], timeout)


def row(problem: str, method: str, rows: list[dict[str, Any]], n_seeds: int) -> list[str]:
    """The cells of a method that finished at least one seed; speeds are of warm runs."""
    warm = rows[1:]

    def values(name: str, of: list[dict[str, Any]]) -> list[float]:
        return [line[name] for line in of if line[name] is not None]

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


def number(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def versions() -> str:
    names = ["jax", "numpy", *(method.package for method in METHODS.values())]
    found = []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def names(text: str, known: tuple[str, ...]) -> list[str]:
    chosen = text.split(",") if text else list(known)
    for name in chosen:
        if name not in known:
            raise SystemExit(f"unknown name {name!r}; there are {', '.join(known)}")
    return chosen


def table(problems: list[str], methods: list[str], n_seeds: int, timeout: float) -> None:
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs: {versions()}\n")
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " --- |" * len(COLUMNS), flush=True)
    for name in problems:
        absent = efficiency_problems.missing(name)
        if absent:
            print("| " + " | ".join([TITLES[name], absent, *[""] * (len(COLUMNS) - 2)]) + " |")
            continue
        for method in methods:
            title = METHODS[method].title
            rows, trouble = run_apart(name, method, n_seeds, timeout)
            if rows:
                cells = row(TITLES[name], title, rows, n_seeds)
            else:
                cells = [TITLES[name], title, trouble or "no result"]
                cells += [""] * (len(COLUMNS) - len(cells))
            print("| " + " | ".join(cells) + " |", flush=True)


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
