"""Keeps the target's states of a round in files, so that they need no memory; each rank its own.

A file `round-07.rank-0.draws` is a row of segments: eight bytes that say so, the number of draws
and the CRC-32 of what follows (8 bytes each, little endian), then the scans (8 bytes each), log
gamma_0 (8), and the states in the model's number type. What a writer that was killed has left of
its last segment is cut off before the next one is written. The CRC starts from the round's number,
so that a file under the name of another round is not believed; in older files it starts from zero.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from numpygeons.arrays import Floats, Reals
from numpygeons.errors import CheckpointError
from numpygeons.private_files import make_folders, open_new

MAGIC = b"NGDRAWS\n"
NUMBERS = struct.Struct("<QQ")  # draws, CRC-32
NAME = re.compile(r"round-(\d+)\.rank-(\d+)\.draws")
KEPT = 3  # rounds

Segment = tuple[npt.NDArray[np.uint64], Floats, Reals]


class DiskDraws:
    """The draws of one round in a folder."""

    def __init__(self, folder: Path, number: int, dimension: int, dtype: np.dtype[Any]) -> None:
        self.folder, self.number = folder, number
        self._dimension, self._dtype = dimension, dtype
        self._file: BinaryIO | None = None

    def append(
        self,
        rank: int,
        scans: npt.NDArray[np.unsignedinteger[Any]],
        x: npt.NDArray[np.uint8],
        log_reference: Floats,
    ) -> None:
        """Add draws of scans (from 0) to the file of a rank; `x` as bytes of the number type.

        Raises
        ------
        CheckpointError
            When they cannot be written.
        """
        if len(scans) == 0:
            return
        payload = scans.astype("<u8").tobytes() + log_reference.astype("<f8").tobytes()
        payload += x.tobytes()
        try:
            if self._file is None:
                self._file = self._opened(rank)
            self._file.write(
                MAGIC + NUMBERS.pack(len(scans), zlib.crc32(payload, self.number)) + payload
            )
        except OSError as error:
            raise self._cannot_write(error) from error

    def sync(self) -> None:
        """Put what was added on the disk. Raises as `append`."""
        if self._file is None:
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._cannot_write(error) from error

    def close(self) -> None:
        """End the round: synchronise, and drop the files that three later rounds made old."""
        self.sync()
        if self._file is not None:
            self._file.close()
            self._file = None
        with suppress(OSError):
            for name in os.listdir(self.folder):
                match = NAME.fullmatch(name)
                if match and int(match[1]) <= self.number - KEPT:
                    (self.folder / name).unlink()

    def read(self, n_scans: int) -> tuple[Reals, Floats]:
        """Return states, shape (n_scans, dimension), and their log gamma_0, shape (n_scans,), of
        all ranks, in scan order.

        Raises
        ------
        CheckpointError
            When draws are missing or damaged.
        """
        if self._file is not None:
            self._file.flush()
        x = np.empty((n_scans, self._dimension), self._dtype)
        log_reference = np.empty(n_scans)
        found = np.zeros(n_scans, bool)
        for path in self._files():
            with open(path, "rb") as file:
                for scans, logs, states in self._segments(file):
                    known = scans < n_scans
                    x[scans[known]], log_reference[scans[known]] = states[known], logs[known]
                    found[scans[known]] = True
        if not found.all():
            raise CheckpointError(
                f"{self.folder} lacks draws of round {self.number}: {np.sum(~found)} of {n_scans} "
                f"scans, the first is scan {int(np.argmin(found)) + 1}; bring the files of all "
                "ranks together there, or run the round again"
            )
        return x, log_reference

    def _files(self) -> list[Path]:
        names = os.listdir(self.folder) if self.folder.is_dir() else []
        matches = [(NAME.fullmatch(name), name) for name in sorted(names)]
        return [self.folder / name for m, name in matches if m and int(m[1]) == self.number]

    def _opened(self, rank: int) -> BinaryIO:
        """Return the file of a rank, at the end of its last whole segment."""
        make_folders(self.folder)
        path = self.folder / f"round-{self.number:02d}.rank-{rank}.draws"
        file = open(path, "r+b") if path.exists() else open_new(path)  # noqa: SIM115 - stays open
        end = 0
        for _ in self._segments(file):
            end = file.tell()
        file.seek(end)
        file.truncate()
        return file

    def _segments(self, file: BinaryIO) -> Iterator[Segment]:
        """Return the segments of a file up to the first that is not whole."""
        size, end = len(MAGIC) + NUMBERS.size, os.fstat(file.fileno()).st_size
        width = 16 + self._dimension * self._dtype.itemsize  # of a draw
        while len(start := file.read(size)) == size and start.startswith(MAGIC):
            n, checksum = NUMBERS.unpack(start[len(MAGIC) :])
            if n * width > end - file.tell():
                return
            payload = file.read(n * width)
            if checksum not in (zlib.crc32(payload, self.number), zlib.crc32(payload)):
                return
            scans = np.frombuffer(payload, "<u8", n)
            logs = np.frombuffer(payload, "<f8", n, 8 * n)
            states = np.frombuffer(payload, self._dtype, n * self._dimension, 16 * n)
            yield scans, logs, states.reshape(n, self._dimension)

    def _cannot_write(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"cannot write draws to {self.folder}: {error.strerror or error}; what was written "
            "before is whole: make room, or name another folder"
        )
