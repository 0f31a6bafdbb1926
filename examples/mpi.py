"""Runs on one process, or on as many as a launcher of MPI starts: the same script, the same draws.

    python examples/mpi.py
    mpirun -n 4 python examples/mpi.py

The second needs MPI: pip install 'numpygeons-core[mpi]', and mpich or openmpi.
"""

import hashlib

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

import numpygeons

EXACT_LOG_Z = -33.5026117


def two_modes():
    x = numpyro.sample("x", dist.Normal(0, 10).expand([10]).to_event(1))
    unit = dist.Normal(0, 1).expand([10]).to_event(1)
    near, far = unit.log_prob(x - 5), unit.log_prob(x + 5)
    numpyro.factor("modes", jnp.logaddexp(jnp.log(0.7) + near, jnp.log(0.3) + far))


def main():
    pt = numpygeons.pigeons(two_modes, n_chains=14, n_rounds=14)  # rows from the first rank alone

    if numpygeons.find_ranks().rank == 0:  # every rank has the same result
        print(f"weight of the mode at 5: {(pt.samples['x'][:, 0] > 0).mean():.3f} (exact: 0.7)")
        print(f"log Z = {pt.log_z:.3f} ± {pt.log_z_error:.3f} (exact: {EXACT_LOG_Z})")
        digest = hashlib.sha256(pt.samples["x"].tobytes()).hexdigest()
        print("draws, whatever the number of ranks:", digest[:16])


if __name__ == "__main__":
    main()
