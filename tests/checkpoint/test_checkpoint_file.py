"""A checkpoint file is whole or not there, and damage is never believed."""

import errno
import os
import resource
import shutil
from contextlib import contextmanager

import numpy as np
import pytest

from numpygeons import CheckpointError, NumpygeonsWarning, load, pigeons
from numpygeons.checkpoint import file
from support.small_models import normal

ARRAYS = {
    "float64": np.array([[1.5, np.nan], [-np.inf, 5e-324]]),
    "float32": np.linspace(0, 1, 7, dtype=np.float32),
    "int32": np.arange(6, dtype=np.int32).reshape(2, 3),
    "uint32": np.array([2**32 - 1], np.uint32),
    "flags": np.array([True, False]),
    "scalar": np.array(2.5),
    "empty": np.empty((0, 3)),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "a/b c.é": np.array([1.0]),
}
HEADER = {"name": "μ", "list": [1, None, True], "nested": {"a": "1"}}
N_CASES = 1000


def test_arrays_and_header_come_back_with_the_same_bits(tmp_path):
    file.write(tmp_path / "one", ARRAYS, HEADER)
    arrays, header = file.read(tmp_path / "one")
    assert header == HEADER
    assert list(arrays) == list(ARRAYS)
    for name, wanted in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (wanted.dtype, wanted.shape)
        assert arrays[name].tobytes() == wanted.tobytes()


def test_the_payload_is_what_numpy_loads_without_pickle(tmp_path):
    file.write(tmp_path / "one", ARRAYS, HEADER)
    content = (tmp_path / "one").read_bytes()
    (tmp_path / "payload.npz").write_bytes(content[file.PREAMBLE :])
    with np.load(tmp_path / "payload.npz", allow_pickle=False) as payload:
        np.testing.assert_array_equal(payload["int32"], ARRAYS["int32"])


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        file.write(tmp_path / name, ARRAYS, HEADER)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_objects_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        file.write(tmp_path / "one", {"object": np.array([object()])}, HEADER)
    assert os.listdir(tmp_path) == []


# ------------------------------------------------------------------------------ damage


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    pigeons(normal, n_chains=2, n_rounds=5, checkpoint=folder, show_report=False)
    return folder


def damage(content, rng):
    """A truncation or a flipped bit, anywhere; often in the preamble, where each bit counts."""
    end = len(content) if rng.random() < 0.7 else file.PREAMBLE
    place = int(rng.integers(end))
    if rng.random() < 0.3:
        return content[:place], f"cut after {place} bytes"
    bit = int(rng.integers(8))
    changed = bytearray(content)
    changed[place] ^= 1 << bit
    return bytes(changed), f"bit {bit} of byte {place} flipped"


@pytest.mark.parametrize("name", ["round-05.checkpoint", "run.checkpoint"])
def test_no_damaged_file_is_believed(run_folder, tmp_path, name):
    content = (run_folder / name).read_bytes()
    rng = np.random.default_rng(20)
    place = tmp_path / name
    believed = []
    for _ in range(N_CASES):
        changed, how = damage(content, rng)
        place.write_bytes(changed)
        try:
            file.read(place)
            believed.append(how)
        except CheckpointError as error:
            if str(place) not in str(error):
                believed.append(f"{how}: not named in {error}")
    assert believed == []


def test_what_is_appended_is_damage_too(run_folder, tmp_path):
    place = tmp_path / "round-05.checkpoint"
    place.write_bytes((run_folder / place.name).read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match=r"damaged: it holds \d+ bytes of content where"):
        file.read(place)


def test_the_round_before_a_damaged_one_is_taken(run_folder, tmp_path):
    rng = np.random.default_rng(21)
    content = (run_folder / "round-05.checkpoint").read_bytes()
    for case in range(10):
        folder = tmp_path / str(case)
        shutil.copytree(run_folder, folder)
        (folder / "round-05.checkpoint").write_bytes(damage(content, rng)[0])
        with pytest.warns(NumpygeonsWarning, match=r"round-05.*damaged.*Round 4 is taken instead"):
            assert len(load(folder).rounds) == 4


def test_a_run_without_a_whole_round_is_an_error_and_no_new_start(run_folder, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    for place in folder.glob("round-*"):
        place.write_bytes(place.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"no round .* can be loaded: .*round-03"):
        load(folder)


def test_a_damaged_run_file_is_an_error_that_names_it(run_folder, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    (folder / "run.checkpoint").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"run\.checkpoint is damaged: it ends after 0 bytes"):
        load(folder)


def test_a_newer_format_is_named(tmp_path, monkeypatch):
    newer = file.VERSION + 1
    monkeypatch.setattr(file, "VERSION", newer)
    file.write(tmp_path / "one", ARRAYS, HEADER)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=f"by a newer version .*: it has format .* {newer}"):
        file.read(tmp_path / "one")


def test_a_round_of_a_newer_version_is_not_passed_over(run_folder, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    content = file.read(folder / "round-05.checkpoint")
    monkeypatch.setattr(file, "VERSION", file.VERSION + 1)
    file.write(folder / "round-05.checkpoint", *content)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"round-05\.checkpoint was written by a newer"):
        load(folder)


def as_first_version(place, monkeypatch):
    """Writes a file as the first version did, whose headers do not say what it is."""
    arrays, header = file.read(place)
    with monkeypatch.context() as patch:
        patch.setattr(file, "VERSION", 1)
        header = {key: value for key, value in header.items() if key not in ("kind", "number")}
        file.write(place, arrays, header)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("round-04.checkpoint", "it holds (round 4 and not round 5|4 rounds)"),
        ("run.checkpoint", "it holds a run"),
        ("round-06.unfinished", "it holds the beginning of round"),
    ],
)
def test_a_whole_file_in_the_wrong_place_is_damage(
    run_folder, tmp_path, monkeypatch, source, what, version
):
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    place = folder / "round-05.checkpoint"
    if source.endswith("unfinished"):
        own = {"kind": file.UNFINISHED, "number": 6, "run": file.read(place)[1]["run"]}
        file.write(place, {}, {**own, "n_done": 3})
    else:
        shutil.copy(folder / source, place)
    if version == 1:
        for checkpoint in folder.glob("*.checkpoint"):
            as_first_version(checkpoint, monkeypatch)
    with pytest.warns(NumpygeonsWarning, match=rf"round-05.* is damaged: {what}.*Round 4 is taken"):
        assert len(load(folder).rounds) == 4


def test_a_round_in_the_place_of_the_run_is_damage(run_folder, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    shutil.copy(folder / "round-05.checkpoint", folder / "run.checkpoint")
    with pytest.raises(CheckpointError, match=r"run\.checkpoint is damaged: it holds round"):
        load(folder)


@pytest.mark.parametrize("name", ["run.checkpoint", "round-05.checkpoint"])
def test_content_that_makes_no_sense_is_damage(run_folder, tmp_path, name):
    for n, change in enumerate((lambda a, h: (a, {}), lambda a, h: ({}, h), spoilt)):
        folder = tmp_path / str(n)
        shutil.copytree(run_folder, folder)
        file.write(folder / name, *change(*file.read(folder / name)))
        if name == "run.checkpoint":
            with pytest.raises(CheckpointError, match=r"run\.checkpoint is damaged: "):
                load(folder)
        else:
            with pytest.warns(NumpygeonsWarning, match=r"round-05\.checkpoint is damaged: "):
                assert len(load(folder).rounds) == 4


def spoilt(arrays, header):
    """Other types in all places but those that say what the file is."""
    known = ("kind", "number", "run")
    return arrays, {key: value if key in known else 7 for key, value in header.items()}


def test_another_kind_of_file_is_named(tmp_path):
    (tmp_path / "one").write_bytes(bytes(100))
    with pytest.raises(CheckpointError, match="one is damaged: it begins with"):
        file.read(tmp_path / "one")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot read .*one: No such file"):
        file.read(tmp_path / "one")


# ------------------------------------------------------------------------- a full disk


@contextmanager
def small_files(monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield "File too large"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def no_sync(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        yield "No space left on device"


@contextmanager
def no_rename(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        yield "No space left on device"


@pytest.mark.parametrize("disk", [small_files, no_sync, no_rename])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, disk):
    place = tmp_path / "one"
    file.write(place, {"a": np.array([1.0])}, {})
    with (
        disk(monkeypatch) as reason,
        pytest.raises(CheckpointError, match=rf"cannot write {place}: {reason}; .*make room"),
    ):
        file.write(place, {"a": np.zeros(10_000)}, {})
    assert os.listdir(tmp_path) == ["one"]
    assert file.read(place)[0]["a"] == 1.0


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        file.write(tmp_path / "one", ARRAYS, HEADER)
    assert os.listdir(tmp_path) == []


def test_content_is_on_the_disk_before_its_name(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, name=name, real=real: (done.append(name), real(*a))[1]
        )
    file.write(tmp_path / "one", ARRAYS, HEADER)
    assert done == ["fsync", "replace", "fsync"]
