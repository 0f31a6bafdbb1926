"""Times scans on whatever device JAX has, beside the driver that is for CPUs.

Prints µs per scan and per replica and scan, medians of several runs of one round, after the rounds
before it, which tune the explorer:

    python benchmarks/device.py [--models eight_schools_10,logistic_regression]
                                [--explorers HMC,AutoMALA] [--drivers fused,device]
                                [--chains 10,100,1000] [--scans 256] [--repeats 3] [--threads 1]

What is timed are the scans of a round, without what follows them. The models are those of the
overhead table. On an accelerator the fused driver, which is for CPUs, is left out, and the stepwise
one stands in its place; `JAX_PLATFORMS=cpu` gives the CPU's figures there.
"""

import argparse
import statistics
import time
from typing import Any

from common import overhead_problems
from common.machine import machine
from common.tables import line, names, print_head

COLUMNS = ("model", "explorer", "driver", "chains", "µs per scan", "per replica")
DEFAULT_MODELS = "eight_schools_10,logistic_regression"


def seconds_per_scan(
    name: str, explorer: Any, driver: str, n_chains: int, options: argparse.Namespace
) -> float:
    """Of the round that has as many scans as asked for, at least."""
    import numpygeons
    from numpygeons.parallel.team import Interrupts, Team
    from numpygeons.rounds.rounds import Rounds
    from numpygeons.rounds.scan_round import Watch
    from numpygeons.settings import Settings
    from numpygeons.target.path import as_path

    problem = overhead_problems.problem(name)
    path = as_path(numpygeons.NumPyroPath(problem.model, problem.model_args))
    n_threads = options.threads if driver == "fused" else 1
    settings = Settings(n_chains=n_chains, driver=driver)
    rounds = Rounds(path, explorer, settings, team=Team(n_threads=n_threads))
    number = (options.scans - 1).bit_length()
    for _ in range(number - 1):
        rounds.advance(lambda *_: None)
    watch = Watch(lambda *_: None, None, Interrupts(rounds.team.ranks, rounds._coordinator))
    times = []
    for _ in range(1 + options.repeats):
        start = time.perf_counter()
        rounds._scans.run(rounds.state, rounds.driver, watch, None)
        times.append((time.perf_counter() - start) / 2**number)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default=DEFAULT_MODELS, help=",".join(overhead_problems.TITLES))
    parser.add_argument("--explorers", default="HMC,AutoMALA")
    parser.add_argument("--drivers", default="")
    parser.add_argument("--chains", default="10,100,1000")
    parser.add_argument("--scans", type=int, default=256, help="of the timed round")
    parser.add_argument("--repeats", type=int, default=3, help="per figure, which is their median")
    parser.add_argument("--threads", type=int, default=1, help="of the fused driver")
    options = parser.parse_args()
    models = names(options.models, tuple(overhead_problems.TITLES))
    import jax

    import numpygeons

    device = jax.devices()[0]
    usual = ["fused" if device.platform == "cpu" else "stepwise", "device"]
    drivers = options.drivers.split(",") if options.drivers else usual
    threads = f", {options.threads} threads of the fused driver" if "fused" in drivers else ""
    print(f"{machine()}\n{device.platform}: {device.device_kind}{threads}\n")
    print_head(COLUMNS)
    for name in models:
        jax.config.update("jax_enable_x64", overhead_problems.uses_x64(name))
        for explorer in options.explorers.split(","):
            for n_chains in map(int, options.chains.split(",")):
                for driver in drivers:
                    taken = 1e6 * seconds_per_scan(
                        name, getattr(numpygeons, explorer)(), driver, n_chains, options
                    )
                    cells = [overhead_problems.TITLES[name], explorer, driver, f"{n_chains:,}"]
                    cells += [f"{taken:,.1f}", f"{taken / n_chains:.3f}"]
                    print(line(cells, len(COLUMNS)), flush=True)


if __name__ == "__main__":
    main()
