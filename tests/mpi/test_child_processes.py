"""Several child processes end with the bits of one process."""

import pytest

import numpygeons
from numpygeons import ChildProcess, pigeons
from small_models import eight_schools


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
