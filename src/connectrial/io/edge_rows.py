"""Edges of many observations on disk, so that a group level holds a block of them at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from connectrial.data import FloatArray
from connectrial.errors import MachineError
from connectrial.io.files import host_name, make_folder

Indices = NDArray[np.intp]

#: Numbers of a block that is read at once: 32 MB.
BLOCK_NUMBERS = 1 << 22
#: A block is never narrower than what a disk reads at once for one observation.
_FEWEST_EDGES = 512


class EdgeRows:
    """One row of edges per observation, in a file that is gone when the run is.

    Parameters
    ----------
    folder : Path
        Where there is room; the file has no name there once it is open (on Windows it goes at the
        end).
    n_edges : int
        Length of a row.
    """

    def __init__(self, folder: Path, n_edges: int) -> None:
        self.n_edges = n_edges
        self._folder = folder
        self._row_of: dict[tuple[str, str], int] = {}
        self._file, self._path = _nameless(folder)

    def __enter__(self) -> EdgeRows:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._row_of)

    def add(self, key: tuple[str, str], z: FloatArray) -> None:
        """Append the row of one observation, shape (n_edges,).

        Raises
        ------
        MachineError
            The disk is full.
        """
        self._row_of[key] = len(self._row_of)
        try:
            self._file.write(np.ascontiguousarray(z, dtype=np.float64).tobytes())
        except OSError as error:
            raise MachineError(_no_room(self._folder, error)) from error

    def take(self, keys: Sequence[tuple[str, str]], *, edges: Indices | None = None) -> EdgeValues:
        """Return the values of some observations, in this order; those without a row are NaN.

        Parameters
        ----------
        keys : sequence of (subject, visit)
            Observations.
        edges : array of int, optional
            Only these columns.
        """
        rows = np.array([self._row_of.get(key, -1) for key in keys], dtype=np.intp)
        columns = np.arange(self.n_edges) if edges is None else np.asarray(edges, dtype=np.intp)
        return EdgeValues(source=self, rows=rows, edges=columns)

    def read(self, rows: Indices, first: int, last: int) -> FloatArray:
        """Read columns `first` to `last` (without it) of some rows; -1 is a row of NaN."""
        try:
            self._file.flush()
        except OSError as error:
            raise MachineError(_no_room(self._folder, error)) from error
        values: FloatArray = np.full((len(rows), last - first), np.nan)
        for at, row in enumerate(rows):
            if row >= 0:
                self._file.seek(8 * (int(row) * self.n_edges + first))
                self._file.readinto(memoryview(values[at]).cast("B"))  # type: ignore[attr-defined]
        self._file.seek(0, os.SEEK_END)
        return values

    @contextlib.contextmanager
    def laid_out(self, rows: Indices, edges: Indices) -> Iterator[FloatArray]:
        """Lay rows and columns out in a file of their own, and map it into memory.

        Yields
        ------
        array, shape (n_rows, n_edges)
            Its pages are the file's: the system gives them up when memory is short.
        """
        file, path = _nameless(self._folder)
        values: FloatArray | None = None
        try:
            try:
                size = max(1, BLOCK_NUMBERS // self.n_edges)
                for start in range(0, len(rows), size):
                    part = self.read(rows[start : start + size], 0, self.n_edges)
                    file.write(np.ascontiguousarray(part[:, edges]).tobytes())
                file.flush()
            except OSError as error:
                raise MachineError(_no_room(self._folder, error)) from error
            shape = (len(rows), len(edges))
            values = np.memmap(file, dtype=np.float64, mode="r", shape=shape)
            yield values
        finally:
            del values
            file.close()
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EdgeValues:
    """Fisher z of planned observations, to be read in blocks of edges.

    Attributes
    ----------
    source : EdgeRows
        Where they lie.
    rows : array of int, shape (n_observations,)
        Of the source; -1 where an observation has none.
    edges : array of int, shape (n_edges,)
        Columns of the source, ascending.
    """

    source: EdgeRows
    rows: Indices
    edges: Indices

    @property
    def shape(self) -> tuple[int, int]:
        """Return (n_observations, n_edges)."""
        return len(self.rows), len(self.edges)

    def blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Yield (edges, values of shape (n_observations, so many edges)), from first to last.

        How many edges a block has follows from the number of observations alone.
        """
        n_rows, n_edges = self.shape
        size = max(_FEWEST_EDGES, BLOCK_NUMBERS // max(n_rows, 1))
        for start in range(0, n_edges, size):
            here = slice(start, min(start + size, n_edges))
            columns = self.edges[here]
            first, last = int(columns[0]), int(columns[-1]) + 1
            if last - first == len(columns):
                yield here, self.source.read(self.rows, first, last)
            else:
                yield here, self._scattered(columns)

    def _scattered(self, columns: Indices) -> FloatArray:
        """Read columns that do not lie side by side, a few rows at a time."""
        first, last = int(columns[0]), int(columns[-1]) + 1
        values = np.empty((len(self.rows), len(columns)))
        size = max(1, BLOCK_NUMBERS // (last - first))
        for start in range(0, len(self.rows), size):
            part = slice(start, start + size)
            values[part] = self.source.read(self.rows[part], first, last)[:, columns - first]
        return values

    def mapped(self) -> contextlib.AbstractContextManager[FloatArray]:
        """Return all values as an array whose pages the system may give up; for permutations."""
        return self.source.laid_out(self.rows, self.edges)


def _nameless(folder: Path) -> tuple[BinaryIO, Path]:
    """Open a file that vanishes with its process; its name is one that a later run clears away."""
    make_folder(folder)
    number = 0
    while True:
        path = folder / f".edges.{host_name()}-{os.getpid()}.{number}.part"
        try:
            file = path.open("x+b")
            break
        except FileExistsError:
            number += 1
        except OSError as error:
            raise MachineError(_no_room(folder, error)) from error
    with contextlib.suppress(OSError):  # Windows removes no open file
        path.unlink()
    return file, path


def _no_room(folder: Path, error: OSError) -> str:
    return (
        f"{folder}: the values of all edges cannot be put there ({error.strerror or error}); make room "
        "(8 bytes for each edge of each person's visit) and give the same command again: what is done "
        "is kept"
    )
