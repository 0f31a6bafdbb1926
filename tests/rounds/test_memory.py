"""Memory of a run grows by what it must keep, and no more: measured as the peak of a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DIMENSION, N_CHAINS = 50, 4
FEWER, MORE = 8, 16  # rounds; the longer run's last round has 2**16 - 2**8 more draws
DRAWS = 2**MORE - 2**FEWER
MEGABYTE = 2**20
CONSTANT = 40 * MEGABYTE

SCRIPT = f"""
import json, sys
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp, numpyro, numpyro.distributions as dist
from numpygeons import pigeons

def model():
    x = numpyro.sample("x", dist.Normal(0, 1).expand([{DIMENSION}]).to_event(1))
    numpyro.sample("y", dist.Normal(x.sum(), 20.0), obs=1.0)

rounds, reads = int(sys.argv[1]), sys.argv[2] == "True"
pt = pigeons(model, n_chains={N_CHAINS}, n_rounds=rounds, show_report=False)
if reads:
    assert pt.samples["x"].shape == (2 ** rounds, {DIMENSION})
# Not ru_maxrss, which a process takes over from the one that starts it.
status = open("/proc/self/status").read()
peak = int(status.split("VmHWM:")[1].split()[0])
print(json.dumps(peak * (1 if sys.platform == "darwin" else 1024)))
"""


def peak(n_rounds, reads):
    """Largest resident memory of a process that runs so many rounds, in bytes."""
    command = [sys.executable, "-c", SCRIPT, str(n_rounds), str(reads)]
    environment = {**os.environ, "NUMPYGEONS_CACHE": "off"}  # compiling is in both peaks
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(("reads", "copies"), [(False, 1), (True, 2)], ids=["run", "samples read"])
def test_memory_grows_by_the_draws_and_what_the_evidence_needs(reads, copies):
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process is read from /proc")
    draws = copies * DRAWS * DIMENSION * 8  # unconstrained, and constrained once they are read
    by_chain = DRAWS * N_CHAINS * 24
    growth = peak(MORE, reads) - peak(FEWER, reads)
    print(
        f"grew by {growth / MEGABYTE:.1f} MB; draws {draws / MEGABYTE:.1f}, by chain "
        f"{by_chain / MEGABYTE:.1f}, allowed {(draws + by_chain + CONSTANT) / MEGABYTE:.1f}"
    )
    assert growth > 0.8 * draws, "the measurement does not see what is certainly kept"
    assert growth < draws + by_chain + CONSTANT
