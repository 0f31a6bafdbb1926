"""Tests the recorder "disk": draws in files have the bits of draws in memory, and are whole."""

import os
import zlib

import numpy as np
import pytest

import numpygeons
from numpygeons import CheckpointError, pigeons
from numpygeons.rounds.draws_on_disk import DiskDraws
from support.small_models import normal

SETTINGS = {"n_chains": 3, "n_rounds": 7, "show_report": False}


@pytest.fixture(scope="module")
def in_memory():
    return pigeons(normal, **SETTINGS)


def draws_of(folder):
    return sorted(path.name for path in (folder / "draws").iterdir())


@pytest.mark.usual("record1")
@pytest.mark.parametrize("record", [["disk"], ["disk", "online"], ["disk", "traces"]])
def test_draws_in_files_are_those_in_memory(tmp_path, in_memory, record):
    pt = pigeons(normal, **SETTINGS, record=record, checkpoint=tmp_path / "run")
    for run in (pt, numpygeons.load(tmp_path / "run")):
        np.testing.assert_array_equal(run.samples["x"], in_memory.samples["x"])
        for name, values in in_memory.log_density.items():
            np.testing.assert_array_equal(run.log_density[name], values)
    if record == ["disk"]:
        assert pt._rounds.state.traces.x.size == 0  # none in memory
    assert draws_of(tmp_path / "run") == [f"round-{n:02d}.rank-0.draws" for n in (5, 6, 7)]
    assert "x" in pt.to_arviz().posterior


def test_a_run_that_goes_on_writes_its_draws(tmp_path):
    whole = pigeons(normal, **SETTINGS | {"n_rounds": 9})
    pigeons(normal, **SETTINGS, record=["disk"], checkpoint=tmp_path / "run")
    pt = numpygeons.load(tmp_path / "run").extend(2)
    np.testing.assert_array_equal(pt.samples["x"], whole.samples["x"])


def test_a_saved_run_takes_its_draws_along(tmp_path, in_memory):
    pt = pigeons(normal, **SETTINGS, record=["disk"], checkpoint=tmp_path / "run")
    pt.save(tmp_path / "copy")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    loaded = numpygeons.load(tmp_path / "copy")
    np.testing.assert_array_equal(loaded.samples["x"], in_memory.samples["x"])
    with pytest.raises(ValueError, match="this run has none"):
        loaded.extend()


def test_the_disk_needs_a_folder():
    with pytest.raises(ValueError, match=r"writes to the folder of checkpoint="):
        pigeons(normal, **SETTINGS, record=["disk"])


@pytest.fixture
def disk(tmp_path):
    return DiskDraws(tmp_path / "draws", 7, 2, np.dtype(np.float32))


def segment(first, n, seed=1):
    """Scans first, first + 2, ... and their draws."""
    rng = np.random.default_rng((seed, first))
    x = rng.normal(size=(n, 2)).astype(np.float32)
    return first + 2 * np.arange(n, dtype=np.uint64), x, rng.normal(size=n)


def add(disk, rank, scans, x, log_reference):
    disk.append(rank, scans, np.frombuffer(x.tobytes(), np.uint8), log_reference)


def test_files_of_several_ranks_are_read_in_scan_order(disk):
    even, odd = segment(0, 50), segment(1, 50)
    add(disk, 0, *even)
    disk.close()
    add(disk, 1, *odd)
    x, log_reference = disk.read(100)
    np.testing.assert_array_equal(x[::2], even[1])
    np.testing.assert_array_equal(x[1::2], odd[1])
    np.testing.assert_array_equal(log_reference[1::2], odd[2])


def test_a_draw_that_is_missing_is_named(disk):
    add(disk, 0, *segment(0, 50))
    with pytest.raises(CheckpointError, match="50 of 100 scans, the first is scan 2;"):
        disk.read(100)


def test_draws_of_another_round_are_not_read(disk):
    add(disk, 0, *segment(0, 50))
    add(disk, 1, *segment(1, 50))
    disk.sync()
    disk.read(100)
    for rank in (0, 1):
        place = disk.folder / f"round-07.rank-{rank}.draws"
        if place.exists():
            place.rename(disk.folder / f"round-08.rank-{rank}.draws")
    with pytest.raises(CheckpointError, match="lacks draws of round 8: 100 of 100 scans"):
        DiskDraws(disk.folder, 8, 2, np.dtype(np.float32)).read(100)


def test_draws_of_an_older_version_are_read(disk, monkeypatch):
    whole = segment(0, 50)
    crc32 = zlib.crc32
    with monkeypatch.context() as patch:
        patch.setattr(zlib, "crc32", lambda data, *_: crc32(data))
        add(disk, 0, *whole)
        disk.close()
    x, _ = disk.read(1)
    np.testing.assert_array_equal(x[0], whole[1][0])


def test_a_torn_segment_is_cut_off_before_the_next_one(disk):
    whole, torn, again = segment(0, 10), segment(20, 10), segment(20, 40)
    add(disk, 0, *whole)
    add(disk, 0, *torn)
    disk.close()
    (path,) = disk.folder.iterdir()
    size = path.stat().st_size
    for cut in (size - 1, size - 200, size // 2 + 3):
        os.truncate(path, cut)
        add(disk, 0, *again)
        disk.close()
        add(disk, 1, *segment(1, 50))
        disk.close()
        x, _ = disk.read(100)
        np.testing.assert_array_equal(x[:20:2], whole[1])
        np.testing.assert_array_equal(x[20::2], again[1])
        (disk.folder / "round-07.rank-1.draws").unlink()


def test_no_flipped_bit_is_read(disk):
    add(disk, 0, *segment(0, 20))
    add(disk, 0, *segment(1, 20))
    disk.close()
    (path,) = disk.folder.iterdir()
    good = path.read_bytes()
    x, log_reference = disk.read(40)
    rng = np.random.default_rng(3)
    for _ in range(300):
        bad = bytearray(good)
        bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match="lacks draws of round 7"):
            disk.read(40)
    path.write_bytes(good)
    np.testing.assert_array_equal(disk.read(40)[0], x)
    np.testing.assert_array_equal(disk.read(40)[1], log_reference)


def test_a_full_disk_is_a_clear_error(disk, monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(DiskDraws, "_opened", lambda self, rank: Full())
    with pytest.raises(CheckpointError, match=r"cannot write draws to .*No space left"):
        add(disk, 0, *segment(0, 3))
