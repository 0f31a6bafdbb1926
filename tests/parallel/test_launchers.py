"""Tests who started this process, by its environment, and one process by itself."""

import pytest

from numpygeons.parallel.ranks import alone, find_ranks, launcher


@pytest.mark.parametrize(
    ("environment", "n_ranks"),
    [
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "1", "PMIX_RANK": "1"}, 4),
        ({"PMI_SIZE": "2", "PMI_RANK": "0", "MPI_LOCALNRANKS": "1"}, 2),  # one on each machine
        ({"MV2_COMM_WORLD_SIZE": "3"}, 3),
        ({"MPI_LOCALNRANKS": "2"}, 2),
        ({"PMIX_RANK": "0", "SLURM_NTASKS": "4"}, None),
        ({"PALS_RANKID": "3"}, None),
    ],
)
def test_a_launcher_is_recognised(environment, n_ranks):
    found = launcher(environment)
    assert found is not None
    assert found.n_ranks == n_ranks
    assert found.variable in environment
    assert found.variable in str(found)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OMPI_COMM_WORLD_SIZE": "1", "PMIX_RANK": "0"},  # mpirun -n 1
        {"PMI_SIZE": "1", "PMI_RANK": "0", "MPI_LOCALNRANKS": "1"},
        {"PMI_SIZE": ""},
        {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_ID": "17"},  # plain python in a job
    ],
)
def test_one_process_is_no_launcher(environment):
    assert launcher(environment) is None


def test_one_process_agrees_with_itself():
    ranks = alone()
    assert (ranks.rank, ranks.size) == (0, 1)
    thing = object()
    assert ranks.broadcast(thing) is thing
    assert ranks.gather_all(thing) == [thing]
    ranks.agree(None)
    error = KeyError("own")
    with pytest.raises(KeyError) as caught:
        ranks.agree(error)
    assert caught.value is error
    with pytest.raises(ValueError, match="root must lie between 0 and 0: got 1"):
        ranks.broadcast(thing, root=1)
    with pytest.raises(SystemExit) as ended:
        ranks.abort(3)
    assert ended.value.code == 3


def test_without_a_launcher_nothing_of_mpi_is_imported(monkeypatch):
    import os
    import sys

    for variable in list(os.environ):
        if variable.startswith(("OMPI_", "PMI", "MPI_", "MV2_", "PALS_")):
            monkeypatch.delenv(variable)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert find_ranks().size == 1
