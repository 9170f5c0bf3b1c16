"""Clinical tables as they come: CSV, TSV or Excel, in any encoding, every cell as text."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from connectrial.errors import InputError
from connectrial.io.names import normalise_session, normalise_subject
from connectrial.reading import MOST_TABLE_BYTES, read_bytes

__all__ = ["RawTable", "normalise_session", "normalise_subject", "read_table", "to_numbers"]

MISSING_CODES = frozenset({"n/a", "N/A", "NA", "NaN", "nan", ""})
"""Cells that hold nothing. A group called "None" is a group."""

_BLANKS = " \t\u00a0\u200b\ufeff"
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")
_POINT_NUMBER = re.compile(r"[+-]?\d+\.\d+")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_NOT_TABLES = {
    b"<html": "a web page (perhaps of a failed download)",
    b"<!doctype": "a web page (perhaps of a failed download)",
    b"<?xml": "an XML file",
    b"{": "a JSON file",
    b"version https://git-lfs": "a Git LFS pointer whose content was never fetched",
    b"%pdf": "a PDF",
}
_SHOWN = 5  # of many alike, so many are named in a message


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RawTable:
    """A table as it stands in its file.

    Attributes
    ----------
    frame : pandas.DataFrame
        Every cell text without surrounding blanks; pd.NA where it holds nothing.
    path : Path
        The file.
    rows : array of int, shape (n_rows,)
        Line of the text file or row of the sheet where each row begins, for messages.
    notes : tuple of str
        What was handled on the way.
    decimal : {".", ","}
        What separates a number's whole part from its fraction.
    """

    frame: pd.DataFrame
    path: Path
    rows: np.ndarray[tuple[int], np.dtype[np.int64]]
    notes: tuple[str, ...] = ()
    decimal: str = "."

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.frame):
            raise InputError(f"{self.path}: {len(self.frame)} rows but {len(self.rows)} numbers")


def read_table(path: Path, *, sheet: str | None = None) -> RawTable:
    """Read a table with a header from CSV, TSV or an Excel workbook.

    Parameters
    ----------
    path : Path
        Text in UTF-8, UTF-16 or Windows-1252, separated by commas, tabs, semicolons or bars, with
        any line ends; or ``.xlsx``. The content decides, not the name.
    sheet : str, optional
        Sheet of a workbook that has several.

    Returns
    -------
    RawTable

    Raises
    ------
    InputError
        When the file is missing, a folder, empty or binary; a row has more or fewer cells than
        the header (all are named); two columns bear one name; a workbook has several sheets and
        none was named, merged cells, or formulas without a stored value.
    """
    path = Path(path)
    data = _read_file(path)
    notes: list[str] = []
    if data.startswith(b"PK\x03\x04"):
        from connectrial.io.workbooks import read_sheet

        records, start = read_sheet(path, data, sheet=sheet, notes=notes)
        decimal = "."
    else:
        if sheet is not None:
            raise InputError(f"{path}: sheet {sheet!r} was asked for, but this is no workbook")
        text = _decode(path, data, notes)
        records, start, separator = _split(path, text, notes)
        decimal = _decimal(path, records, separator, notes)
    frame, rows = _assemble(path, records, start, notes)
    return RawTable(frame=frame, path=path, rows=rows, notes=tuple(notes), decimal=decimal)


def to_numbers(table: RawTable, column: str) -> pd.Series[float]:
    """Turn a column's text into numbers.

    Parameters
    ----------
    table : RawTable
        The table; decimal commas are read as points where it uses them.
    column : str
        Name of a column.

    Returns
    -------
    pandas.Series of float
        NaN where the cell holds nothing; same index as ``table.frame``.

    Raises
    ------
    InputError
        When a cell is no number: names file, row, column and the cell, for the first few.
    """
    cells = table.frame[column]
    numbers = [parse_number(cell, decimal=table.decimal) for cell in cells]
    wrong = [
        f"{table.path}: row {row}, column {column!r} holds {cell!r}, which is no number; "
        "correct the cell, or write n/a if there is no value"
        for row, cell, number in zip(table.rows, cells, numbers, strict=True)
        if number is None
    ]
    if wrong:
        raise InputError(shorten(wrong, what="cells that are no numbers"))
    return pd.Series(numbers, index=table.frame.index, name=column, dtype="float64")


def parse_number(cell: object, *, decimal: str = ".") -> float | None:
    """Return a cell's number, NaN for a missing cell, None for one that is no number."""
    if cell is pd.NA or cell is None:
        return math.nan
    text = str(cell)
    if decimal == "," and _COMMA_NUMBER.fullmatch(text):
        text = text.replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def shorten(sentences: Sequence[str], *, what: str) -> list[str]:
    """Return the first few of many alike sentences, and how many more there are."""
    if len(sentences) <= _SHOWN:
        return list(sentences)
    return [*sentences[:_SHOWN], f"... and {len(sentences) - _SHOWN} more {what}"]


def _read_file(path: Path) -> bytes:
    data = read_bytes(path, wanted="CSV, TSV or XLSX file", most_bytes=MOST_TABLE_BYTES)
    if not data.strip(b" \t\r\n\0"):
        raise InputError(f"{path}: the file is empty; a table needs a row of column names")
    opening = data[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for mark, what in _NOT_TABLES.items():
        if opening.startswith(mark):
            raise InputError(f"{path}: this is {what}, not a table")
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(
            f"{path}: this is an Excel file of before 2007, or one with a password; "
            "save it as .xlsx without a password, or as CSV"
        )
    return data


_MOST_COLUMNS = 20_000


def _decode(path: Path, data: bytes, notes: list[str]) -> str:
    """Return the text, whatever its encoding, or say that it is none."""
    name = path.name
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        notes.append(f"{name}: UTF-32 with a byte-order mark")
        return _decoded(path, data, "utf-32")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        notes.append(f"{name}: UTF-16 with a byte-order mark")
        return _decoded(path, data, "utf-16")
    if data.startswith(b"\xef\xbb\xbf"):
        notes.append(f"{name}: UTF-8 with a byte-order mark, which is left out")
        return _decoded(path, data, "utf-8-sig")
    if b"\0" in data:
        for encoding, zeros in (("utf-16-le", data[1::2]), ("utf-16-be", data[::2])):
            if zeros.count(0) > 0.8 * len(zeros):
                notes.append(f"{name}: UTF-16 without a byte-order mark")
                return _decoded(path, data, encoding)
    if _CONTROL.search(data):
        raise InputError(
            f"{path}: this is a binary file, not a text table, whatever its name says; "
            "name a CSV, TSV or XLSX file"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        notes.append(
            f"{name}: not UTF-8; read as Windows-1252 (Latin-1), so look at letters with accents"
        )
        # Bytes that Windows-1252 leaves undefined exist in Latin-1.
        try:
            return data.decode("cp1252")
        except UnicodeDecodeError:
            return data.decode("latin-1")


def _decoded(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: the file says it is {encoding.upper()} but is damaged; save it again as UTF-8"
        ) from None


def _split(path: Path, text: str, notes: list[str]) -> tuple[list[list[str]], list[int], str]:
    """Return the cells of every record, the line where it begins, and what separates cells."""
    if "\n" not in text and "\r" in text:
        notes.append(f"{path.name}: line ends are single carriage returns (CR)")
    usual = "\t" if path.suffix.lower() in {".tsv", ".tab"} else ","
    separator = _separator(text, usual)
    if separator != usual and path.suffix.lower() in {".tsv", ".tab", ".csv"}:
        notes.append(
            f"{path.name}: separated by {_SEPARATORS[separator]}, not {_SEPARATORS[usual]}"
        )
    try:
        return *_records(path, text, separator, quoting=csv.QUOTE_MINIMAL), separator
    except InputError:
        if separator != "\t":
            raise
    # BIDS tables are never quoted, so a quotation mark may be just that.
    notes.append(f"{path.name}: quotation marks are read as they stand")
    return *_records(path, text, separator, quoting=csv.QUOTE_NONE), separator


def _records(
    path: Path, text: str, separator: str, *, quoting: Literal[0, 3]
) -> tuple[list[list[str]], list[int]]:
    """Return the cells of every record, and the line where it begins."""
    # newline="" leaves line breaks inside quoted cells to the csv module.
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, quoting=quoting, strict=True
    )
    records, start, line = [], [], 1
    try:
        for record in reader:
            records.append([cell.strip(_BLANKS) for cell in record])
            start.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}: line {line} is damaged ({error}); look for an unclosed quotation mark"
        ) from None
    return records, start


def _separator(text: str, usual: str) -> str:
    """Return the separator that gives the first rows most columns, all of equal number."""
    best, best_score = usual, (False, 1)
    for separator in (usual, *(s for s in _SEPARATORS if s != usual)):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        try:
            counts = [len(row) for row in itertools.islice(reader, 50) if any(row)]
        except csv.Error:
            continue
        score = (len(set(counts)) == 1 and counts[0] > 1, counts[0] if counts else 0)
        if score > best_score:
            best, best_score = separator, score
    return best


def _decimal(path: Path, records: Iterable[Sequence[str]], separator: str, notes: list[str]) -> str:
    """Return "," when numbers are written with decimal commas and none with a point."""
    if separator == ",":
        return "."
    cells = [cell for record in records for cell in record]
    if not any(_COMMA_NUMBER.fullmatch(cell) for cell in cells):
        return "."
    if any(_POINT_NUMBER.fullmatch(cell) for cell in cells):
        return "."  # both: a comma may separate thousands, so such a cell is no number
    notes.append(f"{path.name}: decimal commas are read as points")
    return ","


def _assemble(
    path: Path, records: list[list[str]], start: Sequence[int], notes: list[str]
) -> tuple[pd.DataFrame, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Make a frame of text from records of equal length."""
    filled = [i for i, record in enumerate(records) if any(record)]
    if not filled:
        raise InputError(f"{path}: the file holds no cell; a table needs a row of column names")
    header = list(records[filled[0]])
    body = filled[1:]
    while (
        header
        and not header[-1]
        and not any(len(records[i]) >= len(header) and records[i][len(header) - 1] for i in body)
    ):
        header.pop()
    if len(header) > _MOST_COLUMNS:
        raise InputError(
            f"{path}: the first row names {len(header):,} columns; at most {_MOST_COLUMNS:,} are read: "
            "is it another file, or rows for columns?"
        )
    inner_blank = len([i for i in range(filled[0], filled[-1]) if not any(records[i])])
    if inner_blank:
        notes.append(f"{path.name}: {inner_blank} blank rows are left out")
    if not body:
        notes.append(f"{path.name}: has a header but no rows")
    rows = []
    ragged = []
    for i in body:
        record = records[i]
        extra = record[len(header) :]
        if len(record) < len(header) or any(extra):
            ragged.append(
                f"{path}: row {start[i]} has {len(record)} cells where the header has "
                f"{len(header)}; look for a missing or an unquoted separator"
            )
            continue
        rows.append([pd.NA if c in MISSING_CODES else c for c in record[: len(header)]])
    if ragged:
        raise InputError(shorten(ragged, what="such rows"))
    names = _column_names(path, header, notes)
    frame = pd.DataFrame(rows, columns=pd.Index(names, dtype="object"), dtype="string")
    return frame, np.array([start[i] for i in body], dtype=np.int64)


def _column_names(path: Path, header: Sequence[str], notes: list[str]) -> list[str]:
    if 2 * sum(not name for name in header) > len(header) > 1:
        raise InputError(
            f"{path}: the first row names {sum(map(bool, header))} of {len(header)} columns; "
            "delete what stands above the row of column names"
        )
    names = []
    for position, name in enumerate(header, start=1):
        if name:
            names.append(name)
            continue
        names.append(f"(column {position})")
        notes.append(f"{path.name}: column {position} has no name and is called '{names[-1]}'")
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise InputError(
            f"{path}: these column names stand more than once: {', '.join(map(repr, twice))}; "
            "give each column a name of its own"
        )
    return names
