"""Writes and reads one checkpoint file: whole or not at all, and never believed when damaged.

A file is 56 bytes of preamble and a payload. The preamble, little endian: eight bytes that say what
the file is, the format's version, a zero, the payload's length, and the SHA-256 of those numbers
and the payload. The payload is an `.npz` of named arrays (no pickle), with `header.json` beside
them.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from numpygeons.errors import CheckpointError
from numpygeons.private_files import TEMPORARY, open_new, temporary_name

MAGIC = b"NPGEONS\n"
VERSION = 2  # of the payload; the preamble is the same in all
FIRST = 1  # that is still read: its headers do not say what the file is
NUMBERS = struct.Struct("<IIQ")  # version, zero, length of the payload
PREAMBLE = len(MAGIC) + NUMBERS.size + hashlib.sha256().digest_size
HEADER = "header.json"
RUN, ROUND, UNFINISHED = "a run", "round", "the beginning of round"  # what a file may hold
PIECE = 2**20  # bytes read at a time
NO_TIME = (1980, 1, 1, 0, 0, 0)  # the same content gives the same bytes

Arrays = Mapping[str, npt.NDArray[Any]]


class WrittenLater(CheckpointError):
    """A newer version wrote the file: there is nothing wrong with it."""


def write(path: Path, arrays: Arrays, header: dict[str, Any]) -> None:
    """Write a file, or leave the old one as it is.

    The content is on the disk before the name points at it (temporary file, fsync, rename, fsync
    of the folder).

    Raises
    ------
    CheckpointError
        When it cannot be written; nothing is left behind.
    """
    _write(path, lambda file: _fill(file, arrays, header))


def write_npz(path: Path, arrays: Arrays) -> None:
    """Write an `.npz` for `numpy.load`, without pickle. Raises as `write`."""

    def fill(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            _add(archive, arrays)

    _write(path, fill)


def _write(path: Path, fill: Callable[[BinaryIO], None]) -> None:
    temporary = temporary_name(path)
    try:
        try:
            with open_new(temporary) as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> CheckpointError:
    """Return what to raise when the system refuses to write."""
    return CheckpointError(
        f"cannot write {path}: {error.strerror or error}; what was written before is whole: make "
        "room, or name another folder"
    )


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def probe(folder: Path) -> None:
    """Raise CheckpointError unless a file can be written in the folder now."""
    path = temporary_name(folder / "probe")
    try:
        try:
            with open_new(path) as file:
                file.write(MAGIC)
        finally:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def remove_temporary(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder."""
    for path in folder.glob(f".*{TEMPORARY}"):
        with suppress(OSError):
            path.unlink()


class _Hashed:
    """Passes bytes on to a file, and hashes them; cannot go back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha = hashlib.sha256()
        self.length = 0

    def write(self, data: Any) -> int:
        self.sha.update(data)
        self._file.write(data)
        n = memoryview(data).nbytes
        self.length += n
        return n

    def flush(self) -> None:
        self._file.flush()


def _fill(file: BinaryIO, arrays: Arrays, header: dict[str, Any]) -> None:
    file.write(bytes(PREAMBLE))
    payload: Any = _Hashed(file)  # all of a file that an archive needs
    with zipfile.ZipFile(payload, "w") as archive:
        with archive.open(zipfile.ZipInfo(HEADER, NO_TIME), "w") as entry:
            entry.write(json.dumps(header, allow_nan=False, indent=1).encode())
        _add(archive, arrays)
    numbers = NUMBERS.pack(VERSION, 0, payload.length)
    file.seek(0)
    file.write(MAGIC + numbers + _digest(numbers, payload.sha))


def _add(archive: zipfile.ZipFile, arrays: Arrays) -> None:
    for name, array in arrays.items():
        info = zipfile.ZipInfo(f"{name}.npy", NO_TIME)
        with archive.open(info, "w", force_zip64=True) as entry:
            np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)


def _digest(numbers: bytes, payload: Any) -> bytes:
    return hashlib.sha256(numbers + payload.digest()).digest()


def read(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the arrays and the header of a file.

    Raises
    ------
    CheckpointError
        When there is no such file, or it is damaged; `WrittenLater` when a newer version wrote it.
    """
    try:
        with open(path, "rb") as file:
            _check(path, file)
            with sense(path):
                return _content(file)
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path}: {error.strerror or error}; name a folder that "
            "checkpoint= or PT.save has written"
        ) from error


def damaged(path: Path, how: str) -> CheckpointError:
    """Return what to raise for a file that cannot be believed."""
    return CheckpointError(
        f"{path} is damaged: {how}; put back a copy of it, or load the folder as it is, which "
        "takes the last round that is whole"
    )


def _check(path: Path, file: BinaryIO) -> None:
    preamble = file.read(PREAMBLE)
    if len(preamble) < PREAMBLE:
        raise damaged(path, f"it ends after {len(preamble)} bytes, within its preamble")
    magic, numbers = preamble[: len(MAGIC)], preamble[len(MAGIC) : -hashlib.sha256().digest_size]
    version, _, length = NUMBERS.unpack(numbers)
    if magic != MAGIC:
        raise damaged(path, f"it begins with {magic!r} and not {MAGIC!r}, as checkpoints do")
    there = os.fstat(file.fileno()).st_size - PREAMBLE
    if there != length:
        raise damaged(path, f"it holds {there} bytes of content where it should hold {length}")
    sha = hashlib.sha256()
    while piece := file.read(PIECE):
        sha.update(piece)
    if _digest(numbers, sha) != preamble[-hashlib.sha256().digest_size :]:
        raise damaged(path, "its content does not match its checksum")
    if version > VERSION:
        raise WrittenLater(
            f"{path} was written by a newer version of numpygeons: it has format version "
            f"{version}, and this numpygeons reads versions {FIRST} to {VERSION}; install the "
            "version that wrote it, or a later one"
        )
    if version < FIRST:
        raise damaged(path, f"it says that it has format version {version}")


@contextmanager
def sense(path: Path) -> Iterator[None]:
    """Call a file damaged whose checksum is right and whose content makes no sense.

    Raises
    ------
    CheckpointError
        Where reading it, or making something of it, raises anything else.
    """
    try:
        yield
    except (CheckpointError, OSError, MemoryError):
        raise
    except Exception as error:
        raise damaged(
            path, f"its content cannot be read ({type(error).__name__}: {error})"
        ) from error


def check_kind(path: Path, header: dict[str, Any], kind: str, number: int = 0) -> None:
    """Return whether a file is what its name says, by its header.

    Raises
    ------
    CheckpointError
        When it is of another kind, or round: it was copied under this name.
    """
    got = header.get("kind", _kind_of_first(header)), header.get("number", number)
    if got != (kind, number):
        what = [f"{name} {n}" if n else name for name, n in (got, (kind, number))]
        raise damaged(path, f"it holds {what[0]} and not {what[1]}: another file has got its name")


def _kind_of_first(header: dict[str, Any]) -> str:
    """Return what a file of the first version is, whose header does not say so."""
    if "settings" in header:
        return RUN
    return ROUND if "records" in header else UNFINISHED


def _content(file: BinaryIO) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {}
    with zipfile.ZipFile(file) as archive:
        header: dict[str, Any] = json.loads(archive.read(HEADER))
        for name in archive.namelist():
            if name != HEADER:
                with archive.open(name) as entry:
                    arrays[name.removesuffix(".npy")] = np.lib.format.read_array(
                        entry, allow_pickle=False
                    )
    return arrays, header
