"""Times scans against the number of chains and against the dimension, and plots both:

    python benchmarks/growth.py [--runs 3] [--plot docs/growth.svg]

Chains: the centred eight schools. Dimension: a standard normal seen through noise, 10 chains. Each
point is a process of its own, with the default explorer. Its tuning chooses how many gradients a
scan takes, so the time is given per gradient too. Prints the numbers as Markdown.
"""

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from common import overhead_problems, own_process
from common.machine import machine, peak_mb
from common.round_timing import LEAST_SECONDS, timing
from common.tables import line, number, print_head

SIZES = {
    "chains": (3, 10, 30, 100, 300, 1000),
    "dimension": (10, 30, 100, 300, 1000, 3000, 10_000),
}
COLUMNS = (
    "µs per scan",
    "µs per scan and chain",
    "gradients per scan and chain",
    "µs per gradient",
    "µs per gradient and coordinate",
    "µs per bare gradient with value",
    "peak MB",
)


def point(kind: str, size: int, runs: int, least_seconds: float) -> None:
    """Gives the figures of one size."""
    if kind == "chains":
        problem = replace(overhead_problems.eight_schools_problem(), n_chains=size)
    else:
        problem = overhead_problems.conjugate_normal_problem(size)
    found = asdict(timing(problem, runs, least_seconds))
    own_process.give(found | {"size": size, "chains": problem.n_chains, "peak_mb": peak_mb()})


def row(point: dict[str, Any]) -> list[str]:
    scan, gradients = point["scan_us"], point["gradients_per_scan"]
    return [
        f"{point['size']:,}",
        number(scan),
        number(scan / point["chains"]),
        number(gradients / point["chains"]),
        number(scan / gradients),
        number(scan / gradients / point["dimension"]),
        number(point["valued_us"]),
        f"{point['peak_mb']:.0f}",
    ]


def plot(points: dict[str, list[dict[str, Any]]], file: Path) -> None:
    """Both kinds side by side, with the line of linear growth through the first point."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "growth"  # the same file from the same numbers
    from matplotlib import pyplot

    labels = {
        "chains": "chains (eight schools)",
        "dimension": "dimension (conjugate normal, 10 chains)",
    }
    figure, axes = pyplot.subplots(1, len(points), figsize=(9, 3.6), layout="constrained")
    for axis, (kind, found) in zip(axes, points.items(), strict=True):
        sizes = [one["size"] for one in found]
        scans = [one["scan_us"] for one in found]
        each = [one["scan_us"] / one["gradients_per_scan"] for one in found]
        axis.loglog(sizes, scans, "o-", label="µs per scan")
        axis.loglog(sizes, each, "s-", label="µs per gradient")
        linear = [scans[0] * size / sizes[0] for size in sizes]
        axis.loglog(sizes, linear, ":", color="grey", label="linear")
        axis.set_xlabel(labels[kind])
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("µs")
    axes[0].legend()
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def main() -> None:
    if sys.argv[1:2] == ["--point"]:
        kind, size, runs, least_seconds, _ = sys.argv[2:]
        point(kind, int(size), int(runs), float(least_seconds))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="per figure, which is their median")
    parser.add_argument("--seconds", type=float, default=LEAST_SECONDS, help="of the last round")
    parser.add_argument("--largest", type=int, default=10_000, help="leave out what is larger")
    docs = Path(__file__).resolve().parents[1] / "docs"
    parser.add_argument("--plot", type=Path, default=docs / "growth.svg")
    options = parser.parse_args()
    print(f"{machine()}; medians of {options.runs} runs")
    points: dict[str, list[dict[str, Any]]] = {kind: [] for kind in SIZES}
    for kind, sizes in SIZES.items():
        print()
        print_head([kind, *COLUMNS])
        for size in sizes:
            if size > options.largest:
                continue
            arguments = [__file__, "--point", kind, str(size)]
            arguments += [str(options.runs), str(options.seconds)]
            found, trouble = own_process.run_apart(arguments)
            points[kind] += found
            cells = row(found[0]) if found else [f"{size:,}", trouble or "no result"]
            print(line(cells, len(COLUMNS) + 1), flush=True)
    plot(points, options.plot)
    print(f"\nplotted in {options.plot}")


if __name__ == "__main__":
    main()
