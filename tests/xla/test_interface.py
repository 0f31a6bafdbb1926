"""A jaxlib that cannot call the compiled module is refused in one sentence, and stays usable."""

import subprocess
import sys

import pytest

from numpygeons import _core
from numpygeons.xla.interface import check_interface, version_here

BUILT = _core.engine.xla_interface_version()


def test_this_jaxlib_says_its_version():
    assert version_here() >= BUILT


@pytest.mark.parametrize("here", [None, BUILT, (BUILT[0], BUILT[1] + 7)])
def test_the_same_interface_and_newer_minor_ones_are_taken(here):
    check_interface(here)


@pytest.mark.parametrize("here", [(BUILT[0], BUILT[1] - 1), (BUILT[0] + 1, BUILT[1])])
def test_older_interfaces_and_other_major_ones_are_refused(here):
    with pytest.raises(ImportError, match=rf"has {here[0]}\.{here[1]}: install a newer jaxlib"):
        check_interface(here)


def test_headers_that_say_nothing_are_no_reason_to_refuse(tmp_path):
    assert version_here(tmp_path) is None


def test_jax_works_after_a_refused_import():
    script = """
import numpygeons.xla.interface as interface
interface.version_here = lambda: (0, -1)
try:
    import numpygeons.drivers.scan_call
except ImportError as error:
    assert "built for version" in str(error), error
else:
    raise AssertionError("not refused")
import jax.numpy as jnp
assert float(jnp.sum(jnp.ones(3))) == 3
"""
    # The package's __init__ imports everything: a stand-in lets one module be imported by itself.
    stand_in = (
        "import sys, types, importlib.util as u; s = u.find_spec('numpygeons'); "
        "m = types.ModuleType('numpygeons'); m.__path__ = list(s.submodule_search_locations); "
        "sys.modules['numpygeons'] = m\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", stand_in + script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
