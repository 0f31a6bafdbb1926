"""The Makefile and the hooks before a commit do what .ci/run does, and no step is missing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CI = (ROOT / ".ci" / "run").read_text()


def steps_of_ci():
    lists = re.findall(r"^(?:usual|named)=\((.+)\)$", CI, re.MULTILINE)
    assert len(lists) == 2
    return " ".join(lists).split()


def body_of(step):
    """The commands of a step."""
    found = re.search(rf"^{step}\(\) {{\n(.+?)^}}", CI, re.MULTILINE | re.DOTALL)
    assert found is not None, step
    return [line.strip() for line in found[1].splitlines()]


def test_the_makefile_has_every_step():
    stated = re.search(r"^STEPS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert stated is not None
    assert stated[1].split() == steps_of_ci()


@pytest.mark.parametrize("step", steps_of_ci())
def test_every_step_is_a_function_of_ci(step):
    assert body_of(step)


def test_ci_refuses_a_step_that_it_does_not_have():
    done = subprocess.run(
        [str(ROOT / ".ci" / "run"), "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no step nonsense" in done.stderr


def newest_where(folder, **exit_codes):
    """What the step says where the PATH has these interpreters alone; they make nothing."""
    for name, code in exit_codes.items():
        python = folder / name.replace("_", ".")
        python.write_text(f"#!/bin/sh\nexit {code}\n")
        python.chmod(0o755)
    step = "\n".join(["newest() {", *body_of("newest"), "}"])
    done = subprocess.run(
        [shutil.which("bash"), "-ec", f'say() {{ echo "$*"; }}\n{step}\nnewest'],
        env={"PATH": str(folder), "environment": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_newest_says_that_it_is_skipped_where_no_python_makes_an_environment(tmp_path):
    code, said = newest_where(tmp_path, python3_11=0, python3_13=1)
    assert code == 0
    assert "SKIPPED" in said


def test_newest_takes_the_first_python_that_makes_an_environment(tmp_path):
    code, said = newest_where(tmp_path, python3_14=1, python3_13=0, python3_12=0)
    assert code != 0  # there is no pip in what this interpreter made
    assert said == "newest versions, with python3.13\n"


def test_hooks_run_the_commands_of_ci():
    config = (ROOT / ".pre-commit-config.yaml").read_text()
    hooks = re.findall(r"^ +entry: (.+)$", config, re.MULTILINE)
    commands = body_of("style") + body_of("types")
    assert len(hooks) == 4
    for hook in hooks:
        assert any(line == hook or line.endswith(f"| xargs {hook}") for line in commands), hook
