"""Several child processes end with the bits of one process."""

import time

import pytest

import numpygeons
from numpygeons import ChildProcess, RunError, pigeons
from numpygeons.checkpoint.folder import finished_rounds
from numpygeons.distributed.ranks_log import notes
from support.small_models import eight_schools, normal


@pytest.mark.usual("2")
@pytest.mark.parametrize("n_processes", [2, 3])
def test_child_processes_have_the_bits_of_one(n_processes, tmp_path, mpiexec, capfd):
    pytest.importorskip("mpi4py", reason="no mpi4py: pip install 'numpygeons-core[mpi]'")
    here = pigeons(eight_schools, n_chains=4, n_rounds=6, show_report=False)
    place = ChildProcess(n_processes=n_processes, mpiexec=mpiexec)
    result = pigeons(eight_schools, n_chains=4, n_rounds=6, checkpoint=tmp_path / "run", on=place)
    there = numpygeons.load(result)
    for site, draws in here.samples.items():
        assert there.samples[site].tobytes() == draws.tobytes()
    assert there.schedule.tobytes() == here.schedule.tobytes()
    assert there.log_z == here.log_z
    assert len(list((result.folder / "ranks").glob("*.json"))) == n_processes
    log = (result.folder / "log.txt").read_text(encoding="utf-8")
    assert log.count("log Z ± error") == 1  # rank 0 alone prints


@pytest.mark.slow
def test_interrupted_ranks_keep_their_rounds(tmp_path, mpiexec):
    pytest.importorskip("mpi4py", reason="no mpi4py: pip install 'numpygeons-core[mpi]'")
    place = ChildProcess(n_processes=2, mpiexec=mpiexec, wait=False)
    result = pigeons(normal, n_chains=4, n_rounds=24, checkpoint=tmp_path / "run", on=place)
    deadline = time.monotonic() + 120
    while max(finished_rounds(result.folder), default=0) < 6:
        assert time.monotonic() < deadline, (result.folder / "log.txt").read_text()
        time.sleep(0.1)
    result.kill()
    with pytest.raises(RunError, match="the run was stopped before its end"):
        result.wait(timeout=10)
    assert [(note.end, note.error) for note in notes(result.folder)] == [("interrupted", "")] * 2
    assert len(result.load().rounds) >= 6
