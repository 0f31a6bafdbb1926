"""Runs a model in child processes, and opens the result here: the same draws as in this process.

    python examples/child_process.py [N_PROCESSES]

Two processes or more need MPI: pip install 'numpygeons-core[mpi]' mpich
"""

import sys

import numpy as np
import numpyro
import numpyro.distributions as dist

import numpygeons

PRIOR_SCALE = 5.0  # of this file, and at hand in the other processes all the same


def two_modes(y):
    x = numpyro.sample("x", dist.Normal(0, PRIOR_SCALE))
    numpyro.sample("y", dist.Normal(x**2, 0.5), obs=y)


def main():
    n_processes = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    settings = {"model_args": (4.0,), "n_chains": 6, "n_rounds": 8}
    result = numpygeons.pigeons(
        two_modes, **settings, on=numpygeons.ChildProcess(n_processes=n_processes)
    )
    print(result)  # results/latest leads there too

    pt = numpygeons.load(result)
    print(f"x < 0 in {np.mean(pt.samples['x'] < 0):.0%} of the draws")
    here = numpygeons.pigeons(two_modes, **settings, show_report=False)
    print("the same draws as here:", np.array_equal(pt.samples["x"], here.samples["x"]))


if __name__ == "__main__":
    main()
