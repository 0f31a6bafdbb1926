"""Tests what ranks say to each other, under the MPI at hand."""

import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT, program


def lines_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(done.stdout.splitlines())


@pytest.mark.usual("3")
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_every_rank_gathers_the_blocks_of_all(start, n):
    lines_of(start(n, "allgather"))


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_large_objects_reach_every_rank(start, n):
    lines_of(start(n, "objects"))


@pytest.mark.usual("3")
@pytest.mark.parametrize("n", [2, 3])
def test_what_cannot_be_pickled_is_an_error_on_all_ranks(start, n):
    lines = lines_of(start(n, "cannot_be_pickled"))
    assert len(lines) == n
    for rank, line in enumerate(lines):
        assert ("rank 1 could not pickle" in line) == (rank != 1), line
        assert line.startswith(f"{rank}: ")


@pytest.mark.usual("2")
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_one_failing_rank_raises_on_all(start, n):
    last = n - 1
    expected = [f"{last}: both: mine {last}" if last else ""]
    for rank in range(n):
        own = rank == last
        prefix, who = ("", "own") if own else (f"rank {last}: ", "told")
        odd, leaving = ("", "") if own else ("Odd: ", "SystemExit: ")
        expected += [
            f"{rank}: NumericalError: {prefix}no way on: chain 3: {who}",
            f"{rank}: ValueError: {prefix}n_chains: {who}",
            f"{rank}: KeyboardInterrupt: {prefix}stop: {who}",
            f"{rank}: {'Odd' if own else 'RuntimeError'}: {prefix}{odd}('one', 'two'): {who}",
            f"{rank}: {'SystemExit' if own else 'RuntimeError'}: {prefix}{leaving}0: {who}",
        ]
        if n > 1 and not own:
            expected.append(f"{rank}: both: {f'mine {rank}' if rank else 'rank 1: mine 1'}")
    assert lines_of(start(n, "agree")) == sorted(filter(None, expected))


def test_one_rank_needs_no_mpi4py(start):
    assert lines_of(start(1, "without_mpi4py")) == []


def test_ranks_without_mpi4py_are_told_what_to_install(start):
    done = start(2, "without_mpi4py")
    assert done.returncode != 0
    assert "CommunicationError: started by mpirun with 2 ranks" in done.stderr
    assert "mpi4py is not installed: pip install 'numpygeons-core[mpi]'" in done.stderr


def test_a_launcher_of_another_mpi_is_named(environment):
    pytest.importorskip("mpi4py")
    done = subprocess.run(
        [sys.executable, program("programs"), "who"],
        env={**environment, "MV2_COMM_WORLD_SIZE": "4"},  # neither MPICH nor Open MPI reads it
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "started by mpirun with 4 ranks (MV2_COMM_WORLD_SIZE = 4)" in done.stderr
    assert "it has loaded another MPI, " in done.stderr
    version = subprocess.check_output(
        [sys.executable, "-c", "from mpi4py import MPI; print(MPI.Get_library_version()[:9])"],
        env=environment,
        text=True,
    )
    assert version.strip() in done.stderr


def test_an_mpi_for_one_thread_is_refused(start):
    done = start(2, "single_thread")
    assert done.returncode != 0
    assert "CommunicationError: MPI must allow calls from several threads: got" in done.stderr


def test_abort_ends_all_ranks(start):
    assert start(3, "abort", timeout=20).returncode != 0


EMBEDDING = """
#include <mpi.h>

#include <array>
#include <cstdlib>
#include <span>
#include <vector>

#include "numpygeons/comm/mpi_embedding.hpp"

int main() {
  MPI_Init(nullptr, nullptr);
  const auto ranks = numpygeons::mpi_communicator(MPI_COMM_WORLD);
  const std::size_t size = ranks->size();
  const std::array<double, 2> own{double(ranks->rank()), 0.5};
  std::vector<double> all(2 * size);
  ranks->allgather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)));
  bool good = size == 3;
  for (std::size_t r = 0; r < size; ++r) good = good && all[2 * r] == double(r);
  std::array<std::byte, 1> byte{std::byte(ranks->rank() + 1)};
  ranks->broadcast(byte, 2);
  good = good && byte[0] == std::byte(3);
  MPI_Finalize();
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
"""


def test_a_program_in_cpp_brings_its_own_mpi(mpiexec, environment, tmp_path):
    compiler = Path(mpiexec).with_name("mpicxx")
    if not compiler.is_file():
        pytest.skip(f"no mpicxx beside {mpiexec}")
    if subprocess.run([compiler, "--version"], capture_output=True).returncode != 0:
        pytest.skip(f"{compiler} finds no compiler")
    source = tmp_path / "embedding.cpp"
    source.write_text(EMBEDDING)
    core = ROOT / "cpp"
    command = [str(compiler), "-std=c++20", "-Wall", "-Wextra", "-Werror", f"-I{core}"]
    command += [str(source), *map(str, sorted((core / "numpygeons" / "comm").glob("*.cpp")))]
    program = tmp_path / "embedding"
    subprocess.run([*command, "-ldl", "-o", str(program)], check=True)
    done = subprocess.run(
        [mpiexec, "-n", "3", str(program)], env=environment, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
