"""Tests examples/mpi.py under a launcher: one table, and the draws of one process."""

import re
import subprocess
import sys

import pytest

import numpygeons
from support import ROOT

EXAMPLE = ROOT / "examples" / "mpi.py"


@pytest.mark.slow
@pytest.mark.parametrize("n_ranks", [2, 3])
def test_the_launcher_is_all_that_changes(mpiexec, environment, n_ranks):
    pytest.importorskip("mpi4py", reason="no mpi4py: pip install 'numpygeons-core[mpi]'")

    def output(*launcher):
        done = subprocess.run(
            [*launcher, sys.executable, str(EXAMPLE)],
            env={
                **environment,
                "TERM": "dumb",
                "PYTHONWARNINGS": "ignore",
                "PYTHONIOENCODING": "utf-8",
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    one, many = output(), output(mpiexec, "-n", str(n_ranks))
    for text in (one, many):
        assert len(re.findall(r"^ +14 +16384 ", text, re.MULTILINE)) == 1  # one row per round
    last = one.splitlines()[-3:]
    assert last[0].startswith("weight of the mode at 5: 0.")
    assert many.splitlines()[-3:] == last


SAVING = """
import sys
import numpygeons, numpyro, numpyro.distributions as dist
def model(y):
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(x, 1), obs=y)
pt = numpygeons.pigeons(model, model_args=(1.0,), n_chains=3, n_rounds=5, show_report=False)
pt.save(sys.argv[1])
print(pt.samples["x"].tobytes().hex()[:32] + "\\n", end="", flush=True)
"""


def test_one_rank_of_several_saves_the_run_that_all_have(mpiexec, environment, tmp_path):
    pytest.importorskip("mpi4py", reason="no mpi4py: pip install 'numpygeons-core[mpi]'")
    done = subprocess.run(
        [mpiexec, "-n", "3", sys.executable, "-c", SAVING, str(tmp_path / "run")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    x = numpygeons.load(tmp_path / "run").samples["x"]
    assert done.stdout.split() == 3 * [x.tobytes().hex()[:32]]
