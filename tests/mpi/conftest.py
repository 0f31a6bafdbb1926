"""Launches programs on several ranks."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support import ROOT, program

PACKAGE = ROOT / "python"
# Open MPI: more ranks than cores, and as root, as containers have it. Others ignore these.
OPEN_MPI = {
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}
Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def mpiexec() -> str:
    """The launcher: NUMPYGEONS_MPIEXEC, or the one beside this Python, or that on the PATH."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = os.environ.get("NUMPYGEONS_MPIEXEC") or (
        str(beside) if beside.is_file() else shutil.which("mpiexec")
    )
    if not found:
        pytest.skip("no mpiexec: pip install mpich, or set NUMPYGEONS_MPIEXEC")
    return found


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """This one, with the package under test where this checkout has a compiled core."""
    folders = [str(ROOT / "tests"), str(ROOT / "examples"), os.environ.get("PYTHONPATH", "")]
    if any((PACKAGE / "numpygeons").glob("_core*.so")):
        folders.insert(0, str(PACKAGE))
    path = os.pathsep.join(filter(None, folders))
    return {**os.environ, **OPEN_MPI, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}


@pytest.fixture
def start(mpiexec: str, environment: dict[str, str]) -> Launch:
    """Runs `programs.py <words>` on n ranks; never longer than `timeout` seconds.

    `unseen`: the launcher sees a shell in the place of each rank, which outlives it.
    """
    pytest.importorskip("mpi4py", reason="no mpi4py: pip install 'numpygeons-core[mpi]'")

    def launch(
        n: int, *words: str, timeout: float = 60, unseen: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        rank = [sys.executable, program("programs"), *words]
        if unseen:
            rank = ["sh", "-c", f"{shlex.join(rank)}; code=$?; sleep 25; exit $code"]
        return subprocess.run(
            [mpiexec, "-n", str(n), *rank],
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return launch
