"""Times whole processes, from start to printed result, with an empty cache and with a full one.

Eight schools, 10 chains, 10 rounds, default settings; medians of several processes:

    python benchmarks/startup.py [--runs 5]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = {
    "process": "start to printed result",
    "interpreter": "until Python runs",
    "jax": "import jax, numpyro",
    "numpygeons": "import numpygeons",
    "compile": "trace and compile, or load",
    "rounds": "ten rounds",
    "rest": "model, starting points, results",
}
CHILD = """
import time
start = time.time()
import jax, numpyro
imported_jax = time.time()
import numpygeons
imported = time.time()
import numpy as np
import numpyro.distributions as dist

EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0], np.float32)
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0], np.float32)

def eight_schools(effects, errors):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    with numpyro.plate("school", len(errors)):
        theta = numpyro.sample("theta", dist.Normal(mu, tau))
        numpyro.sample("effect", dist.Normal(theta, errors), obs=effects)

pt = numpygeons.pigeons(eight_schools, model_args=(EFFECTS, ERRORS), n_chains=10, n_rounds=10)
print(pt.samples["mu"].mean(), pt.log_z, pt.log_z_error)
compiling = sum(r.compile_seconds for r in pt.rounds)
rounds = sum(r.seconds for r in pt.rounds)
print(start, imported_jax - start, imported - imported_jax, compiling, rounds, flush=True)
"""


def seconds(folder):
    """Of one process, by column."""
    start = time.time()
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        env={**os.environ, "NUMPYGEONS_CACHE": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    process = time.time() - start
    began, jax, numpygeons, compiling, rounds = map(float, done.stdout.splitlines()[-1].split())
    interpreter = began - start
    rest = process - interpreter - jax - numpygeons - compiling - rounds
    values = (process, interpreter, jax, numpygeons, compiling, rounds, rest)
    return dict(zip(COLUMNS, values, strict=True))


def medians(measured):
    return {name: statistics.median(one[name] for one in measured) for name in COLUMNS}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    cold, warm = [], []
    for _ in range(runs):  # in turn, so that both meet the same load
        with tempfile.TemporaryDirectory() as folder:
            cold.append(seconds(folder))
            warm.append(seconds(folder))
    cold, warm = medians(cold), medians(warm)
    print(f"eight schools, 10 chains, 10 rounds; seconds, medians of {runs}")
    print(f"{'':34s} {'cold':>6s} {'warm':>6s} {'ratio':>6s}")
    for name, meaning in COLUMNS.items():
        ratio = cold[name] / warm[name]
        print(f"{meaning:34s} {cold[name]:6.2f} {warm[name]:6.2f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
