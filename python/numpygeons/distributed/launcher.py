"""Finds mpiexec, and says how ranks are started with it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

# What a launcher tells its ranks: a launcher started by a rank must not see it.
OF_A_RANK = (
    "PMI_",
    "PMIX_RANK",
    "PMIX_NAMESPACE",
    "PMIX_SERVER",
    "OMPI_COMM_WORLD_",
    "MV2_COMM_WORLD_",
    "PALS_RANKID",
    "MPI_LOCAL",
    "HYDI_",
)
# Open MPI's own defaults refuse more ranks than cores, and root, and tie a rank to one core, where
# XLA's pool has one thread and may add in another order. Others ignore these.
DEFAULTS = {
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
    "PYTHONUNBUFFERED": "1",
    "PYTHONIOENCODING": "utf-8",
}
AS_ROOT = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")


def python_command(folder: Path) -> list[str]:
    """Return what each rank runs; -P keeps the working directory from shadowing modules."""
    return [own_python(), "-P", "-m", "numpygeons", "run", str(folder)]


def own_python() -> str:
    """Return this Python's executable."""
    if not sys.executable:
        raise RuntimeError("this Python does not know its executable (sys.executable is empty)")
    return sys.executable


def find_mpiexec(mpiexec: str | None) -> list[str]:
    """Return the words that start ranks: those given, or the mpiexec beside this Python, or on
    PATH.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    if mpiexec is not None:
        words = shlex.split(mpiexec)
        found = shutil.which(words[0]) if words else None
        if found is None:
            raise FileNotFoundError(f"mpiexec={mpiexec!r}: no such program")
        return [found, *words[1:]]
    beside = os.pathsep.join((str(Path(own_python()).parent), sysconfig.get_path("scripts")))
    found = shutil.which("mpiexec", path=beside) or shutil.which("mpiexec")
    if found is None:
        raise FileNotFoundError(
            "several processes need mpiexec, and there is none beside this Python or on PATH: "
            "pip install 'numpygeons-core[mpi]' mpich, or load your cluster's MPI"
        )
    return [found]


def environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """Return the environment of the ranks: this process', with defaults below and `more` above
    it."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(OF_A_RANK)}
    root = dict.fromkeys(AS_ROOT, "1") if os.geteuid() == 0 else {}
    return {**DEFAULTS, **root, **own, **search_path(), **(more or {})}


def search_path() -> dict[str, str]:
    """Return PYTHONPATH with this numpygeons first, where it is not installed."""
    place = Path(__file__).resolve().parents[2]
    if {"site-packages", "dist-packages"} & set(place.parts):
        return {}
    old = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(place), *([old] if old else [])])}
