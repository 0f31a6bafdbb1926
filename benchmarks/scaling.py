"""Times scans on one thread, two threads and two ranks, in turns, and prints the ratios.

The gradients take from 50 µs on: a random walk of 6,000 steps (a loop, which no library call
spreads over cores) and a logistic regression of 8,000 x 50. Needs mpi4py and an mpiexec for the
ranks:

    python benchmarks/scaling.py [--runs 5] [--mpiexec mpiexec]

Two share the chains that explore: 9 of 10, so that twice as fast is out of reach, and 5 / 9 of the
time is the least that can be had.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from common.overhead_problems import regression_data

ROUNDS = {10: 11, 40: 10}  # by number of chains; the time is that of the last round
MODES = ("one thread", "two threads", "two ranks")


def random_walk():
    import jax
    import jax.numpy as jnp
    import numpy as np
    import numpyro
    import numpyro.distributions as dist

    y = jnp.asarray(np.cumsum(np.random.default_rng(1).normal(size=6000)), jnp.float32)

    def model():
        drift = numpyro.sample("drift", dist.Normal(0, 1))
        scale = numpyro.sample("scale", dist.LogNormal(0, 1))
        decay = numpyro.sample("decay", dist.Beta(2, 2))

        def step(log_density, pair):
            before, now = pair
            gap = (now - decay * before - drift) / scale
            return log_density - 0.5 * gap**2 - jnp.log(scale), None

        total, _ = jax.lax.scan(step, jnp.float32(0), (y[:-1], y[1:]))
        numpyro.factor("steps", total)

    return model


def logistic_regression():
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    x, y = regression_data(8000)

    def model():
        weights = numpyro.sample("weights", dist.Normal(0, 1).expand([50]).to_event(1))
        numpyro.sample("y", dist.Bernoulli(logits=jnp.asarray(x) @ weights), obs=jnp.asarray(y))

    return model


MODELS = {"random walk": random_walk, "logistic regression": logistic_regression}


def one(name, n_chains, n_threads):
    """Prints, as JSON, µs per scan and per gradient of the last round."""
    import numpygeons

    pt = numpygeons.pigeons(
        MODELS[name](),
        n_chains=n_chains,
        n_rounds=ROUNDS[n_chains],
        n_threads=n_threads,
        show_report=False,
    )
    from numpygeons.parallel.ranks import find_ranks

    if find_ranks().rank == 0:
        last = pt.rounds[-1]
        scan = 1e6 * last.seconds / last.n_scans
        print(json.dumps([scan, 1e6 * last.seconds / last.n_gradients]), flush=True)


def times(name, n_chains, mode, mpiexec):
    command = [sys.executable, __file__, "--one", name, "--chains", str(n_chains)]
    if mode == "two threads":
        command += ["--threads", "2"]
    if mode == "two ranks":
        command = [mpiexec, "-n", "2", *command]
    environment = {
        **os.environ,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout
    return json.loads(output.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mpiexec", default=None)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--chains", type=int, default=10, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one, arguments.chains, arguments.threads)
        return
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = arguments.mpiexec or (str(beside) if beside.exists() else shutil.which("mpiexec"))
    modes = MODES if mpiexec else MODES[:2]
    print(f"µs per scan in the last round; medians of {arguments.runs} runs in turns")
    for name in MODELS:
        for n_chains in ROUNDS:
            found = {mode: [] for mode in modes}
            for _ in range(arguments.runs):
                for mode in modes:
                    found[mode].append(times(name, n_chains, mode, mpiexec))
            scans = {mode: statistics.median(scan for scan, _ in found[mode]) for mode in modes}
            gradient = statistics.median(g for _, g in found[MODES[0]])
            ratios = ", ".join(
                f"{mode} {scans[mode]:.0f} ({scans[MODES[0]] / scans[mode]:.2f} x)"
                for mode in modes
            )
            print(
                f"{name:20s} {n_chains:3d} chains, {gradient:4.0f} µs per gradient: {ratios}",
                flush=True,
            )


if __name__ == "__main__":
    main()
