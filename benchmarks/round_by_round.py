"""Times the eight schools: µs per scan round by round, and whole processes without a cache.

Prints medians of several runs in this process, and of several processes:

    python benchmarks/eight_schools.py [--runs 5]
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))
FIRST, LAST = 10, 16  # rounds whose time per scan is shown: it must not grow


def per_scan(name, explorer, n_chains, runs):
    from eight_schools import EFFECTS, ERRORS, eight_schools

    import numpygeons

    path = numpygeons.NumPyroPath(eight_schools, (EFFECTS, ERRORS))
    times = {r: [] for r in range(FIRST, LAST + 1)}
    compiled = 0.0
    for seed in range(1, runs + 1):
        pt = numpygeons.pigeons(
            path, n_chains=n_chains, n_rounds=LAST, explorer=explorer, seed=seed, show_report=False
        )
        compiled = max(compiled, sum(record.compile_seconds for record in pt.rounds))
        for record in pt.rounds[FIRST - 1 :]:
            times[record.round].append(1e6 * record.seconds / record.n_scans)
    gradients = pt.rounds[-1].n_gradients / pt.rounds[-1].n_scans
    cells = " ".join(f"{statistics.median(values):7.2f}" for values in times.values())
    print(f"{name:28s} {n_chains:2d} chains  {cells}   {gradients:5.1f} gradients per scan")
    print(f"{'':28s} compiled in {compiled:.2f} s")


def whole_process(runs):
    script = "\n".join(
        [
            f"import sys; sys.path.insert(0, {str(ROOT / 'examples')!r})",
            "from eight_schools import EFFECTS, ERRORS, eight_schools",
            "import numpygeons",
            "pt = numpygeons.pigeons(eight_schools, model_args=(EFFECTS, ERRORS), n_rounds=10)",
            "print(pt.samples['mu'].mean(), pt.log_z, pt.log_z_error)",
        ]
    )
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "NUMPYGEONS_CACHE": "off"},
        )
        seconds.append(time.perf_counter() - start)
    print(
        f"whole process, 10 chains, 10 rounds, nothing cached: {statistics.median(seconds):.2f} s"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    import numpygeons

    print(f"µs per scan in round {FIRST} ... {LAST}, medians of {runs} runs")
    per_scan("AutoMALA(n_refresh=3)", numpygeons.AutoMALA(n_refresh=3), 3, runs)
    per_scan("HMC()", numpygeons.HMC(), 4, runs)
    whole_process(runs)


if __name__ == "__main__":
    main()
