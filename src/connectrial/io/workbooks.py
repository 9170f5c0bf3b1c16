"""Excel sheets as rows of text."""

from __future__ import annotations

import datetime
import io
import zipfile
from pathlib import Path
from typing import Any

from connectrial.errors import InputError


def read_sheet(
    path: Path, data: bytes, *, sheet: str | None, notes: list[str]
) -> tuple[list[list[str]], list[int]]:
    """Return the cells of one sheet as text, and the row number of each row.

    Parameters
    ----------
    path : Path
        The workbook, for messages.
    data : bytes
        Its content.
    sheet : str or None
        Which sheet; None takes the only one that holds cells.
    notes : list of str
        What was handled is added here.

    Returns
    -------
    records : list of list of str
        Rows of equal length; dates as ISO 8601.
    start : list of int
        Row numbers, from 1.

    Raises
    ------
    InputError
        When the file is damaged, the sheet is not there or must be chosen, cells are merged, or a
        formula has no stored value.
    """
    book, formulas = _open(path, data, values=True), _open(path, data, values=False)
    name = _choose(path, book, sheet, notes)
    values, source = book[name], formulas[name]
    merged = [str(r) for r in values.merged_cells.ranges]
    if merged:
        raise InputError(
            f"{path}: sheet {name!r} has merged cells ({', '.join(sorted(merged)[:5])}); unmerge "
            "them, so that the first row names the columns and every row is complete"
        )
    records = []
    counts = {"dates": 0}
    for row, source_row in zip(values.iter_rows(), source.iter_rows(), strict=True):
        cells = []
        for cell, original in zip(row, source_row, strict=True):
            if cell.value is None and original.data_type == "f":
                raise InputError(
                    f"{path}: sheet {name!r}, cell {cell.coordinate} holds a formula without a "
                    "stored value; open the file in a spreadsheet program and save it, or save "
                    "the sheet as CSV"
                )
            cells.append(_text(cell.value, counts))
        records.append(cells)
    if counts["dates"]:
        notes.append(f"{path.name}: {counts['dates']} Excel dates are read as ISO dates")
    return records, list(range(1, len(records) + 1))


def _open(path: Path, data: bytes, *, values: bool) -> Any:  # noqa: ANN401  openpyxl has no usable type here
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        return openpyxl.load_workbook(io.BytesIO(data), data_only=values)
    except (zipfile.BadZipFile, KeyError, ValueError, InvalidFileException):
        raise InputError(
            f"{path}: this is a zip archive but no readable Excel workbook; save it as .xlsx or CSV"
        ) from None


def _choose(path: Path, book: Any, sheet: str | None, notes: list[str]) -> str:  # noqa: ANN401
    """Return the name of the sheet to read."""
    names = [ws.title for ws in book.worksheets]
    if sheet is not None:
        if sheet not in names:
            raise InputError(
                f"{path}: there is no sheet {sheet!r}; there are {', '.join(map(repr, names))}"
            )
        return sheet
    filled = [
        ws.title for ws in book.worksheets if any(c is not None for row in ws.values for c in row)
    ]
    if not filled:
        raise InputError(f"{path}: no sheet of this workbook holds a cell")
    if len(filled) > 1:
        raise InputError(
            f"{path}: several sheets hold cells: {', '.join(map(repr, filled))}; "
            "name one with sheet = ..."
        )
    if len(names) > 1:
        notes.append(f"{path.name}: sheet {filled[0]!r} is read; the others are empty")
    return str(filled[0])


def _text(value: object, counts: dict[str, int]) -> str:
    """Return what a reader sees in the cell, numbers to all their digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime.datetime):
        counts["dates"] += 1
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(timespec="seconds")
    if isinstance(value, datetime.date):
        counts["dates"] += 1
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()
