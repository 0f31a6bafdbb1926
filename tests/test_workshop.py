"""The Makefile and the hooks before a commit do what .ci/run does, and no step is missing."""

import re
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


def test_hooks_run_the_commands_of_ci():
    config = (ROOT / ".pre-commit-config.yaml").read_text()
    hooks = re.findall(r"^ +entry: (.+)$", config, re.MULTILINE)
    commands = body_of("style") + body_of("types")
    assert len(hooks) == 4
    for hook in hooks:
        assert any(line == hook or line.endswith(f"| xargs {hook}") for line in commands), hook
