"""Runs the examples as a stranger would, and the examples in the docstrings."""

import doctest
import importlib
import os
import subprocess
import sys

import pytest

from support import ROOT


def run(script, *arguments):
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_eight_schools_prints_the_table_the_evidence_and_a_summary():
    output = run("eight_schools.py")
    assert "restarts" in output
    assert "theta[7]" in output
    assert "hdi_3%" in output or "eti" in output
    assert "exact value in the 99 % interval: True" in output


@pytest.mark.slow
def test_mrna_finds_both_modes_in_simulated_data():
    assert "both modes found: True" in run("mrna.py", "--rounds", "11")


@pytest.mark.slow
def test_mrna_finds_both_modes_in_the_real_data(reference):
    data = reference / "problems" / "data" / "mrna.json"
    assert "both modes found: True" in run("mrna.py", "--data", str(data), "--rounds", "11")


def test_an_explorer_of_ones_own_takes_few_lines_and_gives_the_exact_evidence():
    lines = (ROOT / "examples" / "own_explorer.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
    assert "exact log Z -4.975 in the 99 % interval: True" in run("own_explorer.py")


@pytest.mark.slow
def test_child_processes_give_the_same_draws(tmp_path, monkeypatch):
    lines = (ROOT / "examples" / "child_process.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    monkeypatch.chdir(tmp_path)
    output = run("child_process.py")
    assert "the same draws as here: True" in output
    assert "    8     256" in output  # the rows of the children


def test_a_script_runs_on_one_process_as_on_the_ranks_of_mpirun():
    lines = (ROOT / "examples" / "mpi.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    output = run("mpi.py")
    assert "weight of the mode at 5: 0.7" in output or "weight of the mode at 5: 0.69" in output
    assert "draws, whatever the number of ranks: " in output


def test_the_readme_names_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    checks = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in (
        "pip install . && python examples/eight_schools.py",
        "pip install '.[test]' && pytest",
    ):
        assert command in readme
        assert command in checks


@pytest.mark.usual("target.path")
@pytest.mark.parametrize("name", ["target.path", "result"])
def test_the_examples_in_the_docstrings_work(name):
    module = importlib.import_module(f"numpygeons.{name}")
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0
