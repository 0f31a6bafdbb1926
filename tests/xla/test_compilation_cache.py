"""What one process has compiled, the next one finds; and nothing else changes by it."""

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from numpygeons.xla import compilation_cache
from numpygeons.xla.compilation_cache import in_another_thread, kept_programs, name_for_this_machine
from numpygeons.xla.program_store import ABANDONED_AFTER, ProgramStore
from support import program
from support.counted_runs import Count

RUNS = [
    {"explorer": "HMC", "dtype": "float32"},
    {"explorer": "HMC", "dtype": "float32", "driver": "stepwise"},
    {"explorer": "AutoMALA", "dtype": "float64"},
    {"n_threads": 2},
    {"n_threads": 2, "driver": "stepwise"},
]
ONE = [{"model": "normal"}]


def start(runs, folder, **variables):
    environment = {**os.environ, **variables}
    if folder is None:
        environment.pop("NUMPYGEONS_CACHE", None)
    else:
        environment["NUMPYGEONS_CACHE"] = str(folder)
    return subprocess.Popen(
        [sys.executable, program("counted_runs"), json.dumps(runs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "persistent compilation cache" not in err
    return [json.loads(line) for line in out.splitlines()]


def run(runs, folder, **variables):
    return finish(start(runs, folder, **variables))


def files(folder):
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


def compiled(results):
    return [result["compiled"] for result in results]


def digests(results):
    return [result["digest"] for result in results]


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A folder, and what the first runs in it gave."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, run(RUNS, folder)


# --------------------------------------------------------------------------- whole processes


def test_the_second_process_compiles_nothing_and_gets_the_same_bits(cold):
    folder, first = cold
    *alone, threads, threads_stepwise = compiled(first)
    assert min(alone) > 0
    assert (threads, threads_stepwise) == (0, 0)  # the programs of one thread serve any number
    assert len(set(digests(first))) == 2  # by explorer and precision; not by driver or threads
    second = run(RUNS, folder)
    assert compiled(second) == [0] * len(RUNS)
    assert digests(second) == digests(first)


@pytest.mark.slow
def test_the_program_of_a_device_is_kept_too(cold):
    folder, _ = cold
    first, second = (run([{"driver": "device"}], folder) for _ in range(2))
    assert compiled(first) > [0] == compiled(second)
    assert digests(first) == digests(second)


def test_another_seed_or_length_compiles_nothing_another_program_does(cold):
    folder, first = cold
    seed, length, chains, model = run(
        [{"seed": 7}, {"n_rounds": 6}, {"n_chains": 5}, {"model": "funnel"}], folder
    )
    assert (seed["compiled"], length["compiled"]) == (0, 0)
    assert chains["compiled"] > 0
    assert model["compiled"] > 0
    assert len({*digests(first), *digests([seed, length, chains, model])}) == 6


@pytest.mark.slow
def test_without_the_cache_every_process_compiles_the_same_bits(cold, tmp_path):
    (alone,) = run(ONE, "off", XDG_CACHE_HOME=str(tmp_path))
    assert alone["compiled"] > 0
    assert alone["digest"] == cold[1][0]["digest"]
    assert files(tmp_path) == []


@pytest.mark.slow
def test_four_processes_at_once_on_an_empty_folder_leave_a_good_one(cold, tmp_path):
    folder = tmp_path / "not" / "there"
    processes = [start(ONE, folder) for _ in range(4)]
    four = [result for process in processes for result in finish(process)]
    (fifth,) = run(ONE, folder)
    assert {*digests(four), fifth["digest"]} == {cold[1][0]["digest"]}
    assert max(compiled(four)) > 0
    assert fifth["compiled"] == 0
    assert {path.suffix for path in files(folder)} == {".program"}


def damaged(content, generator):
    """Cut, lengthened, with a bit flipped, or with a stretch of zeros."""
    data, where = bytearray(content), int(generator.integers(len(content)))
    kind = generator.integers(4)
    if kind == 0:
        del data[where:]
    elif kind == 1:
        data[where] ^= 1 << int(generator.integers(8))
    elif kind == 2:
        data[where : where + 64] = bytes(64)
    else:
        data += b"\0"
    return bytes(data) if data != content else damaged(content, generator)


@pytest.mark.slow
def test_damaged_programs_are_compiled_again(cold, tmp_path):
    folder = tmp_path / "cache"
    first = run(ONE, folder)
    generator = np.random.default_rng(1)
    for path in files(folder):
        path.write_bytes(damaged(path.read_bytes(), generator))
    again, after = run(ONE, folder), run(ONE, folder)
    assert compiled(again) == compiled(first)
    assert compiled(after) == [0]
    assert digests(again) == digests(after) == digests(cold[1])[:1]


@pytest.mark.slow
def test_a_model_that_calls_python_finds_its_python_in_every_process(tmp_path):
    """What is kept of it depends on JAX; the addresses of functions must not be."""
    first, second = (run([{"model": "calling_python"}], tmp_path)[0] for _ in range(2))
    (alone,) = run([{"model": "calling_python"}], "off")
    assert second["compiled"] < first["compiled"]
    assert first["digest"] == second["digest"] == alone["digest"]


@pytest.mark.slow
def test_by_default_programs_are_in_the_users_folder_for_caches(tmp_path):
    assert compiled(run(ONE, None, XDG_CACHE_HOME=str(tmp_path)))[0] > 0
    assert compiled(run(ONE, None, XDG_CACHE_HOME=str(tmp_path))) == [0]
    assert {path.parts[0] for path in (p.relative_to(tmp_path) for p in files(tmp_path))} == {
        "numpygeons"
    }


@pytest.mark.slow
def test_the_users_own_cache_of_jax_is_used_instead(tmp_path):
    jaxs, users = tmp_path / "jax", tmp_path / "user"
    variables = {"JAX_COMPILATION_CACHE_DIR": str(jaxs), "XDG_CACHE_HOME": str(users)}
    assert compiled(run(ONE, None, **variables))[0] > 0
    assert compiled(run(ONE, None, **variables)) == [0]
    assert any("numpygeons_round" in path.name for path in files(jaxs))
    assert not users.exists()


def test_importing_loads_nothing_slow():
    code = (
        "import sys, jax, numpyro; before = set(sys.modules); import numpygeons;"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    slow = {
        "arviz", "xarray", "pandas", "matplotlib", "scipy", "rich", "multiprocessing",
        "platformdirs", "cloudpickle", "mpi4py", "funsor", "asyncio",
    }  # fmt: skip
    added = set(done.stdout.split())
    assert "numpygeons" in added
    assert added & slow == set()


# ------------------------------------------------------------------------------ in this process


@pytest.fixture(scope="module")
def count():
    return Count()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMPYGEONS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fresh():
    """A function that JAX has to compile, or to find in a cache."""
    return jax.jit(lambda x: 2 * x + 1)


@pytest.mark.usual("10")
@pytest.mark.parametrize("n_times", [10, 200])
def test_a_damaged_program_is_compiled_again(n_times, folder, count):
    generator = np.random.default_rng(2)
    with kept_programs():
        fresh()(np.float32(1))
        (path,) = files(folder)
        for _ in range(n_times):
            path.write_bytes(damaged(path.read_bytes(), generator))
            before = count.compiled
            assert float(fresh()(np.float32(3))) == 7
            assert count.compiled == before + 1
            assert float(fresh()(np.float32(4))) == 9
            assert count.compiled == before + 1


def test_what_others_compile_is_left_alone(folder, count):
    def configuration():
        names = (*compilation_cache.THRESHOLDS, "jax_compilation_cache_dir")
        return {name: getattr(jax.config, name) for name in names}

    def another():
        before = count.compiled
        fresh()(np.float32(1))
        seen.append((count.compiled - before, configuration()))

    seen, before = [], configuration()
    another()
    with kept_programs():
        thread = threading.Thread(target=another)
        thread.start()
        thread.join()
        assert files(folder) == []
        fresh()(np.float32(1))
        assert len(files(folder)) == 1
        thread = threading.Thread(target=another)  # which must not find it either
        thread.start()
        thread.join()
    another()
    assert seen == [(1, before)] * 4
    assert len(files(folder)) == 1


def test_a_thread_that_works_for_this_one_shares_its_cache(folder):
    with kept_programs():
        thread = threading.Thread(target=in_another_thread(lambda: fresh()(np.float32(1))))
    thread.start()
    thread.join()
    assert len(files(folder)) == 1


@pytest.mark.parametrize("off", ["off", "OFF", "0", ""])
def test_the_cache_can_be_switched_off(off, tmp_path, monkeypatch, count):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NUMPYGEONS_CACHE", off)
    monkeypatch.chdir(tmp_path)
    before = count.compiled
    with kept_programs():
        assert float(fresh()(np.float32(1))) == float(fresh()(np.float32(1))) == 3
    assert count.compiled == before + 2
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_one_line_in_the_log(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMPYGEONS_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with kept_programs():
                assert float(fresh()(np.float32(1))) == 3
    (message,) = caplog.messages
    assert "are not kept" in message
    assert "NUMPYGEONS_CACHE" in message


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(PermissionError, match="no permission to write"):
        ProgramStore(tmp_path, "name")


def test_a_full_disk_is_one_line_in_the_log_and_leaves_nothing(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    store = ProgramStore(tmp_path, "name")
    store.put("before", b"program")
    monkeypatch.setattr(os, "replace", full)
    with caplog.at_level(logging.WARNING):
        for key in "ab":
            store.put(key, b"program")
    (message,) = caplog.messages
    assert "No space left" in message
    assert len(files(tmp_path)) == 1
    assert (store.get("before"), store.get("a")) == (b"program", None)


# ----------------------------------------------------------------------------------- the store


def test_a_program_is_found_under_its_own_key_alone(tmp_path):
    store = ProgramStore(tmp_path, "name")
    store.put("a", b"first")
    store.put("a", b"second")
    store.put("b", b"third")
    assert [store.get(key) for key in "abc"] == [b"second", b"third", None]
    a, b = sorted(files(tmp_path), key=lambda path: b"third" in path.read_bytes())
    shutil.copy(a, b)
    assert [store.get(key) for key in "ab"] == [b"second", None]
    store.clear()
    assert store.get("a") is None


def test_a_file_is_never_seen_in_part(tmp_path):
    """One thread writes, in turn, two long programs; what others read is one of the two."""
    values = [bytes([n]) * 2_000_000 for n in (1, 2)]
    store, seen = ProgramStore(tmp_path, "name"), []
    store.put("key", values[0])

    def read():
        for _ in range(100):
            seen.append(ProgramStore(tmp_path, "name").get("key"))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    number = 0
    while any(thread.is_alive() for thread in readers):
        number += 1
        store.put("key", values[number % 2])
    assert number > 10
    assert len(seen) == 200
    assert set(seen) <= set(values)


def test_what_was_used_longest_ago_goes_when_there_is_too_much(tmp_path):
    (tmp_path / "name").mkdir()
    (tmp_path / "name" / "notes.txt").write_text("somebody's")
    old = ProgramStore(tmp_path, "an older version", 100_000)
    old.put("old", b"x" * 10_000)
    abandoned, under_way = (tmp_path / "name" / f"{n}.unfinished" for n in (1, 2))
    abandoned.touch()
    under_way.touch()
    os.utime(tmp_path / "name" / "notes.txt", (0, 0))
    for path, age in ((files(tmp_path / "an older version")[0], 9_000), (abandoned, 5_000)):
        os.utime(path, (time.time() - age,) * 2)
    assert ABANDONED_AFTER < 5_000
    store = ProgramStore(tmp_path, "name", 100_000)
    store.put("first", b"x" * 10_000)
    os.utime(store._path("first"), (time.time() - 8_000,) * 2)
    assert store.get("first") is not None  # used: it is no longer the oldest but one
    for number in range(40):
        store.put(str(number), b"x" * 10_000)
        os.utime(store._path(str(number)), (time.time() - 7_000 + number,) * 2)
        size = sum(path.stat().st_size for path in tmp_path.rglob("*.program"))
        assert size < 120_000
    assert old.get("old") is None
    assert store.get("first") is not None
    assert store.get("39") is not None
    assert store.get("0") is None
    assert {path.name for path in files(tmp_path) if path.suffix != ".program"} == {
        "notes.txt",
        "2.unfinished",
    }


def test_nobody_else_may_enter_the_folder(tmp_path):
    ProgramStore(tmp_path / "a", "name")
    assert [(tmp_path / f).stat().st_mode & 0o777 for f in ("a", "a/name")] == [0o700] * 2


def test_a_folder_that_another_user_can_write_to_is_not_used(tmp_path, monkeypatch, caplog):
    def put():
        store = ProgramStore(tmp_path, "name")
        store.put("key", b"program")

    put()
    for place in (tmp_path, tmp_path / "name"):
        for mode in (0o777, 0o720):
            place.chmod(mode)
            with pytest.raises(PermissionError, match=r"others may write to it .*: chmod go-w"):
                put()
        place.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PermissionError, match="it belongs to another user"):
        put()
    monkeypatch.setenv("NUMPYGEONS_CACHE", str(tmp_path))
    with caplog.at_level(logging.WARNING), kept_programs():
        assert float(fresh()(np.float32(1))) == 3
    (message,) = caplog.messages
    assert "are not kept" in message
    assert "it belongs to another user" in message


def test_a_link_to_a_folder_of_ones_own_may_hold_the_programs(tmp_path):
    (tmp_path / "scratch").mkdir(mode=0o700)
    (tmp_path / "cache").symlink_to(tmp_path / "scratch")
    ProgramStore(tmp_path / "cache", "name").put("key", b"program")
    assert ProgramStore(tmp_path / "scratch", "name").get("key") == b"program"


def test_programs_are_for_their_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        ProgramStore(tmp_path / "a" / "b", "name").put("key", b"program")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "a").rglob("*") if path.is_dir()}
    assert modes == {0o700}
    (program,) = (path for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert program.stat().st_mode & 0o777 == 0o600


CPU = """processor\t: 0
vendor_id\t: GenuineIntel
model\t\t: 85
cpu MHz\t\t: 2200.0
flags\t\t: fpu avx2 avx512f

processor\t: 1
flags\t\t: fpu
"""


@pytest.mark.parametrize(
    ("change", "is_other"),
    [
        (("fpu avx2 avx512f", "fpu avx2"), True),
        (("85", "86"), True),
        (("2200", "3100"), False),
        (("fpu avx2 avx512f", "avx2 fpu avx512f"), False),
        (("flags\t\t: fpu\n", "flags\t\t: sse\n"), False),
    ],
)
def test_processors_with_other_instructions_share_no_folder(
    change, is_other, tmp_path, monkeypatch
):
    names = []
    for number, text in enumerate((CPU, CPU.replace(*change))):
        (tmp_path / str(number)).write_text(text)
        facts = compilation_cache._processor(str(tmp_path / str(number)))
        monkeypatch.setattr(compilation_cache, "_processor", lambda facts=facts: facts)
        names.append(name_for_this_machine())
        monkeypatch.undo()
    assert (names[0] != names[1]) is is_other


@pytest.mark.parametrize("package", ["jax", "jaxlib", "numpygeons-core"])
def test_other_versions_share_no_folder(package, monkeypatch):
    here = name_for_this_machine()
    of = compilation_cache.metadata.version
    monkeypatch.setattr(
        compilation_cache.metadata,
        "version",
        lambda name: "99" if name == package else of(name),
    )
    assert name_for_this_machine() != here


def test_a_machine_that_says_nothing_has_a_folder_of_its_own(tmp_path):
    assert compilation_cache._processor(str(tmp_path / "nothing"))[0] == os.uname().nodename


def test_a_jax_that_has_moved_its_cache_is_one_line_in_the_log(folder, monkeypatch, caplog):
    from jax._src import compilation_cache as jaxs

    compilation_cache._is_connected.cache_clear()
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.delattr(jaxs, "_get_cache")
        for _ in range(2):
            with kept_programs():
                pass
    compilation_cache._is_connected.cache_clear()
    (message,) = caplog.messages
    assert "this JAX is not known" in message
