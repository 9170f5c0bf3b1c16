"""Excel sheets as rows of text."""

from __future__ import annotations

import datetime
import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

from connectrial.errors import InputError
from connectrial.io.xml_guard import refuse_entities

_MOST_UNPACKED_BYTES = 1 << 26  # openpyxl needs some 50 times as much memory
_MOST_MEMBERS = 2000
_MOST_CELLS = 2_000_000


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
    _check_archive(path, data)
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

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and drawings, which nobody asked for
            book = openpyxl.load_workbook(io.BytesIO(data), data_only=values)
    except Exception:
        raise _unreadable(path) from None
    for sheet in book.worksheets:
        if sheet.max_row * sheet.max_column > _MOST_CELLS:
            raise InputError(
                f"{path}: sheet {sheet.title!r} reaches to row {sheet.max_row:,} and column "
                f"{sheet.max_column:,}, which are {sheet.max_row * sheet.max_column:,} cells (at most "
                f"{_MOST_CELLS:,}); delete what stands far from the table, or save it as CSV"
            )
    return book


def _unreadable(path: Path) -> InputError:
    return InputError(
        f"{path}: this is a zip archive but no readable Excel workbook; save it as .xlsx or CSV"
    )


def _check_archive(path: Path, data: bytes) -> None:
    """Refuse an archive that unpacks to what no table is, before any of it is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            unpacked = sum(one.file_size for one in members)
            if unpacked > _MOST_UNPACKED_BYTES or len(members) > _MOST_MEMBERS:
                raise InputError(
                    f"{path}: the workbook unpacks to {unpacked / 1e6:,.0f} MB in {len(members)} "
                    f"parts (at most {_MOST_UNPACKED_BYTES / 1e6:,.0f} MB in {_MOST_MEMBERS}); "
                    "save the sheet as CSV"
                )
            for one in members:
                if one.filename.endswith((".xml", ".rels")):
                    with archive.open(one) as stream:
                        refuse_entities(iter(lambda: stream.read(4096), b""), path)
    except InputError:
        raise
    except Exception:
        raise _unreadable(path) from None


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
