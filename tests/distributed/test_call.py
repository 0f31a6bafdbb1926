"""A call is written so that another process makes it in the same surroundings."""

import json
import subprocess
import sys

import jax
import numpyro
import pytest

from numpygeons.distributed.call import Call, read_call, write_call

CALL = Call(n_rounds=7, n_threads=2, show_report=False)
READ = """
import json, sys
from pathlib import Path
import jax, numpyro
from numpygeons.distributed.call import Call, read_call
call = read_call(Path(sys.argv[1]))
print(json.dumps({
    "same": call == Call(n_rounds=7, n_threads=2, show_report=False),
    "x64": jax.config.jax_enable_x64,
    "precision": jax.config.jax_default_matmul_precision,
    "validates": numpyro.distributions.Distribution._validate_args,
    "n_devices": jax.local_device_count(),
    "path": sys.path,
}))
"""


def read_elsewhere(folder):
    done = subprocess.run(
        [sys.executable, "-P", "-c", READ, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_configuration_of_jax_and_numpyro_goes_along(tmp_path, monkeypatch):
    plain = tmp_path / "plain"
    plain.mkdir()
    with jax.enable_x64(False):
        write_call(plain, CALL)
    monkeypatch.setattr(numpyro.distributions.Distribution, "_validate_args", False)
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=3")
    with jax.enable_x64(True), jax.default_matmul_precision("float32"):
        write_call(tmp_path, CALL)
    monkeypatch.delenv("XLA_FLAGS")
    names = ("same", "x64", "precision", "validates", "n_devices")
    read, other = read_elsewhere(tmp_path), read_elsewhere(plain)
    assert [read[name] for name in names] == [True, True, "float32", False, 3]
    assert [other[name] for name in names] == [True, False, None, True, 1]


def test_the_search_path_goes_along_behind_the_other_process_own(tmp_path, monkeypatch):
    extra = tmp_path / "with 'quotes'"
    monkeypatch.setattr(sys, "path", [str(extra), *sys.path])
    write_call(tmp_path, CALL)
    assert str(extra) in read_elsewhere(tmp_path)["path"][1:]


def test_a_folder_without_a_call_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no call to run"):
        read_call(tmp_path)


def test_another_python_is_refused(tmp_path, monkeypatch):
    write_call(tmp_path, CALL)
    monkeypatch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
    with pytest.raises(RuntimeError, match=r"written by Python 3\.\d+ and is read by 3\.99"):
        read_call(tmp_path)
