"""Times scans on whatever device JAX has, beside the driver that is for CPUs.

Prints µs per scan and per replica and scan, medians of several rounds after one that compiles:

    python benchmarks/device.py [--chains 10,100,1000] [--scans 256] [--repeats 3]

What is timed are the scans of a round, without what follows them. On an accelerator the fused
driver, which is for CPUs, is left out, and the stepwise one stands in its place.
"""

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))


def seconds_per_scan(explorer, driver, n_chains, number, repeats):
    """Of round `number`, which has 2**number scans."""
    from eight_schools import EFFECTS, ERRORS, eight_schools

    import numpygeons
    from numpygeons.rounds import Rounds
    from numpygeons.settings import Settings
    from numpygeons.team import Interrupts

    path = numpygeons.path.as_path(numpygeons.NumPyroPath(eight_schools, (EFFECTS, ERRORS)))
    rounds = Rounds(path, explorer, Settings(n_chains=n_chains, driver=driver))
    before = replace(rounds.state, records=(None,) * (number - 1))
    interrupts = Interrupts(rounds.team.ranks, rounds._coordinator)
    times = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        rounds._scans(before, lambda *_: None, None, interrupts)
        times.append((time.perf_counter() - start) / 2**number)
    return statistics.median(times[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chains", default="10,100,1000")
    parser.add_argument("--scans", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    import jax

    import numpygeons

    device, number = jax.devices()[0], (arguments.scans - 1).bit_length()
    other = "fused" if device.platform == "cpu" else "stepwise"
    explorers = {"HMC()": numpygeons.HMC(), "AutoMALA()": numpygeons.AutoMALA()}
    print(f"eight schools, rounds of {2**number} scans on {device.platform}: {device.device_kind}")
    print(
        f"{'explorer':12s} {'driver':9s} {'chains':>6s} {'µs per scan':>12s} {'per replica':>12s}"
    )
    for name, explorer in explorers.items():
        for n_chains in map(int, arguments.chains.split(",")):
            for driver in (other, "device"):
                taken = 1e6 * seconds_per_scan(
                    explorer, driver, n_chains, number, arguments.repeats
                )
                print(
                    f"{name:12s} {driver:9s} {n_chains:6d} {taken:12.1f} {taken / n_chains:12.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
