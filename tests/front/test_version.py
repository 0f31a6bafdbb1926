"""There is one version: pyproject.toml has it, and everything else repeats it."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpygeons
from numpygeons import version

ROOT = Path(__file__).resolve().parents[2]
STATED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_package_says_its_version():
    assert numpygeons.__version__ == STATED


def test_a_tree_that_is_not_installed_says_its_version(monkeypatch):
    def nothing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(version, "version", nothing)
    tree = ROOT / "python" / "numpygeons" / "version.py"
    monkeypatch.setattr(version, "__file__", str(tree))  # where the tests may run an installed one
    assert version.own_version() == STATED


def test_the_installed_package_says_what_its_metadata_say(monkeypatch):
    monkeypatch.setattr(version, "version", lambda package: f"{package} 9.9")
    assert version.own_version() == "numpygeons-core 9.9"


def test_the_citation_and_the_changelog_have_that_version():
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited is not None
    assert cited[1] == STATED
    titles = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert titles[1].split()[0] == STATED
