"""Text tables of numbers alone, parsed fast and exactly, whatever separates their cells."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd

from connectrial.data import FloatArray
from connectrial.errors import InputError
from connectrial.reading import MOST_SERIES_BYTES, read_bytes

_WIDE = {
    (b"\xff\xfe\0\0", b"\0\0\xfe\xff"): "utf-32",
    (b"\xff\xfe", b"\xfe\xff"): "utf-16",
}
_MOST_COLUMNS = 50_000
MISSING = ("n/a", "N/A", "NA", "NaN", "nan", "")
"""Cells that hold no number, as BIDS, R, pandas and numpy write them."""

# Until pandas 3.1 the default converter may be off by a few units in the last place.
EXACT_FLOATS: dict[str, Any] = (
    {"float_precision": "round_trip"}
    if tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1)
    else {}
)


class NumberText(NamedTuple):
    """The text of a table of numbers, and how it is laid out."""

    path: Path
    data: bytes
    separator: bytes | None
    header: tuple[str, ...] | None
    n_cells: int
    n_rows: int

    @property
    def first_row(self) -> int:
        """The line, from 1, of the first row of numbers."""
        return 1 if self.header is None else 2


def open_numbers(path: Path) -> NumberText:
    """Read a text table of numbers and find its separator and header."""
    data = _without_last_separator(_read_bytes(path))
    first, _, _ = data.partition(b"\n")
    separator = b"\t" if b"\t" in first else b"," if b"," in first else None
    if separator is None and b";" in first:
        separator = b";"
    cells = split_cells(first, separator)
    if len(cells) > _MOST_COLUMNS:
        raise InputError(
            f"{path}: the first row has {len(cells):,} cells; at most {_MOST_COLUMNS:,} are read: are "
            "rows and columns exchanged?"
        )
    n_lines = data.count(b"\n") + 1
    if _is_header(cells):
        if n_lines == 1:
            raise InputError(f"{path}: the file has a header but no rows of numbers")
        return NumberText(path, data, separator, tuple(cells), len(cells), n_lines - 1)
    return NumberText(path, data, separator, None, len(cells), n_lines)


def _read_bytes(path: Path) -> bytes:
    """Return a text file as UTF-8 bytes with newline line ends and no byte-order mark."""
    data = read_bytes(path, most_bytes=MOST_SERIES_BYTES)
    for marks, encoding in _WIDE.items():
        if data.startswith(marks):
            try:
                data = data.decode(encoding).encode()
            except UnicodeError:
                raise InputError(
                    f"{path}: the file is damaged {encoding.upper()}; save it as UTF-8"
                ) from None
            break
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data:
        raise InputError(f"{path}: this is a binary file, not a text table")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = data.rstrip(b"\n")
    if not data.strip():
        raise InputError(f"{path}: the file is empty")
    return data


def _without_last_separator(data: bytes) -> bytes:
    """Drop the separator that some programs put after every row's last cell."""
    first, _, _ = data.partition(b"\n")
    for separator in (b"\t", b",", b";"):
        if first.endswith(separator) and len(first) > 1:
            lines = data.split(b"\n")
            if all(line.endswith(separator) for line in lines):
                return b"\n".join(line[:-1] for line in lines)
    return data


def split_cells(line: bytes, separator: bytes | None) -> list[str]:
    """Return the cells of a line without blanks and quotation marks around them."""
    text = line.decode("utf-8", errors="replace")
    cells = text.split() if separator is None else text.split(separator.decode())
    return [cell.strip().strip('"') for cell in cells]


def _is_header(cells: Sequence[str]) -> bool:
    """Tell names from numbers; 0, 1, 2, ... in a first row are column names."""
    numbers = [cell for cell in cells if is_number(cell)]
    if 2 * sum("." in cell for cell in numbers) > len(cells):
        return False  # so that a row of numbers with one wrong cell does not pass for names
    if len(numbers) < len(cells):
        return True
    return len(cells) > 2 and counts_up(cells)


def is_number(cell: str) -> bool:
    """Tell whether a cell holds a number or says that it is missing."""
    if cell in MISSING[:-1]:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True


def counts_up(cells: Sequence[str]) -> bool:
    """Tell whether cells are 0, 1, 2, ... or 1, 2, 3, ..."""
    start = cells[0]
    return start in {"0", "1"} and list(cells) == [str(int(start) + i) for i in range(len(cells))]


def parse_numbers(text: NumberText, *, skip: int = 0, infinite: bool = False) -> FloatArray:
    """Parse every cell below the header, exactly as the decimal digits say.

    Parameters
    ----------
    text : NumberText
        From `open_numbers`.
    skip : int
        Columns at the left that hold names.
    infinite : bool
        Whether a cell may be infinite.

    Returns
    -------
    array, shape (n_rows, n_cells - skip)
        NaN where a cell is missing.

    Raises
    ------
    InputError
        When a row has more or fewer cells than the first, or a cell is no number: names it.
    """
    separator = r"\s+" if text.separator is None else text.separator.decode()
    try:
        frame = pd.read_csv(
            io.BytesIO(text.data),
            sep=separator,
            header=None,
            usecols=range(skip, text.n_cells) if skip else None,
            skiprows=0 if text.header is None else 1,
            dtype=np.float64,
            keep_default_na=False,
            na_values=list(MISSING),
            engine="c",
            **EXACT_FLOATS,
        )
    except (ValueError, pd.errors.ParserError):
        _refuse_cell(text, skip=skip)
    values: FloatArray = frame.to_numpy()
    if values.dtype != np.float64:  # columns that no row has come as objects
        _refuse_cell(text, skip=skip)
    finite = np.isfinite(values)
    if (
        values.shape != (text.n_rows, text.n_cells - skip)
        or not finite.all()
        or (skip and not _even(text))
    ):
        # The parser pads short rows with NaN and, choosing columns, cuts long ones.
        _check_rows(text)
    wrong = np.isinf(values)
    if wrong.any() and not infinite:
        row, column = (int(k) for k in np.argwhere(wrong)[0])
        raise InputError(
            f"{text.path}: row {row + text.first_row}, column {_column(text, column + skip)} holds "
            "an infinite number; write n/a where there is none"
        )
    return values


def _even(text: NumberText) -> bool:
    """Tell whether there are as many separators as rows of equal length need."""
    if text.separator is None:
        return False
    found = text.data.count(text.separator, text.data.find(b"\n") if text.header else 0)
    return found == text.n_rows * (text.n_cells - 1)


def _column(text: NumberText, position: int) -> str:
    names = text.header or ()
    return repr(names[position]) if position < len(names) else str(position + 1)


def _check_rows(text: NumberText) -> None:
    lines = text.data.split(b"\n")[text.first_row - 1 :]
    for number, line in enumerate(lines, start=text.first_row):
        n = len(line.split(text.separator)) if line.strip() else 0
        if n != text.n_cells:
            raise InputError(
                f"{text.path}: row {number} has {n} cells where the first row has {text.n_cells}; "
                "the file may be cut short: write it again"
            )


def _refuse_cell(text: NumberText, *, skip: int) -> NoReturn:
    """Find the cell that is no number and raise with its row and column."""
    _check_rows(text)
    lines = text.data.split(b"\n")[text.first_row - 1 :]
    for number, line in enumerate(lines, start=text.first_row):
        for position, cell in enumerate(split_cells(line, text.separator)):
            if position < skip or cell == "" or is_number(cell):
                continue
            raise InputError(
                f"{text.path}: row {number}, column {_column(text, position)} holds {cell!r}, "
                "which is no number; a cell is a number with a decimal point, or n/a"
            )
    raise InputError(f"{text.path}: this is not a table of numbers")


def read_columns(path: Path) -> tuple[tuple[str, ...] | None, FloatArray]:
    """Read a text table of numbers.

    Parameters
    ----------
    path : Path
        Cells separated by tabs, commas, semicolons or blanks.

    Returns
    -------
    names : tuple of str or None
        The header; None where the first row holds numbers.
    values : array, shape (n_rows, n_columns)
        NaN where a cell is missing.

    Raises
    ------
    InputError
        When the file is missing, empty or binary, or a cell or row is wrong (named).
    """
    text = open_numbers(path)
    return text.header, parse_numbers(text)
