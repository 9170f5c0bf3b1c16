"""Which column of a clinical table is what, and what its cells mean."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from connectrial.errors import InputError
from connectrial.io.names import match_label, natural_key
from connectrial.io.tables import RawTable, parse_number, shorten

# BIDS names first, then what clinics and ADaM call them; compared without case.
_ALIASES = {
    "subject": ("participant_id", "subject_id", "subject", "sub", "usubjid"),
    "session": ("session_id", "session", "ses", "avisit"),
    "day": ("day", "study_day", "ady"),
    "date": ("acq_time", "visit_date", "session_date", "date", "adt"),
    "scale": ("paramcd",),
    "score": ("aval",),
}
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ].*)?")
_THREE = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:[T ].*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMap:
    """What the columns of one clinical table hold.

    Attributes
    ----------
    path : Path
        CSV, TSV or XLSX.
    subject : str
        Column with the person.
    session : str, optional
        Column with the visit or session.
    scale, score : str, optional
        A long table's columns with the scale's name and with its score; `score` alone when the
        table holds one scale.
    scores : mapping of str to str, optional
        A wide table's column of each scale. Without `score` and `scores` every other column is
        a variable.
    day, date : str, optional
        Column with days from the first dose, with a calendar date.
    sheet : str, optional
        Sheet of a workbook.

    Raises
    ------
    InputError
        When `scale` comes without `score`, or `scores` with either.
    """

    path: Path
    subject: str
    session: str | None = None
    scale: str | None = None
    score: str | None = None
    scores: Mapping[str, str] | None = None
    day: str | None = None
    date: str | None = None
    sheet: str | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and self.score is None:
            raise InputError(
                f"{self.path}: 'scale' names the column with the scales; 'score' must name the "
                "column with their scores"
            )
        if self.scores is not None and self.score is not None:
            raise InputError(
                f"{self.path}: 'score' is for a long table and 'scores' for a wide one; give one"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is named."""
        single = (self.subject, self.session, self.scale, self.score, self.day, self.date)
        return (*(c for c in single if c is not None), *(self.scores or {}).values())


class Cells(NamedTuple):
    """A column's cells once understood, None where missing, and what there is to say."""

    values: list[str | None]
    notes: list[str]
    problems: list[str]


def find_column(table: RawTable, what: str) -> str | None:
    """Return the column that holds subjects, sessions, days, dates, scales or scores.

    Parameters
    ----------
    table : RawTable
        The table.
    what : {"subject", "session", "day", "date", "scale", "score"}
        Looked up among the names that BIDS, clinics and ADaM use.

    Returns
    -------
    str or None
        The column's name in the table.
    """
    lower = {str(name).lower(): str(name) for name in reversed(list(table.frame.columns))}
    return next((lower[alias] for alias in _ALIASES[what] if alias in lower), None)


def missing_columns(table: RawTable, columns: Iterable[str]) -> list[str]:
    """Return a sentence for every column that the table lacks."""
    names = [str(name) for name in table.frame.columns]
    sentences = []
    for column in columns:
        if column in names:
            continue
        near = difflib.get_close_matches(column, names, n=1, cutoff=0.5)
        near = near or [name for name in names if name.lower() == column.lower()]
        hint = f"; did you mean {near[0]!r}?" if near else ""
        sentences.append(
            f"{table.path}: there is no column {column!r}; there are "
            f"{', '.join(map(repr, names))}{hint}"
        )
    return sentences


def read_labels(table: RawTable, column: str, *, known: Collection[str], prefix: str) -> Cells:
    """Read a column of subjects or sessions as the labels on disk.

    Parameters
    ----------
    table : RawTable
        The table.
    column : str
        Its column.
    known : collection of str
        Labels on disk, without prefix.
    prefix : {"sub-", "ses-"}
        Which of the two they are.

    Returns
    -------
    Cells
    """
    known = frozenset(known)
    matches = {
        cell: match_label(cell, known=known, prefix=prefix)
        for cell in table.frame[column].dropna().unique()
    }
    values = [None if c is pd.NA else matches[c].label for c in table.frame[column]]
    bent = [match.note for match in matches.values() if match.note]
    notes = [
        f"{table.path.name}, column {column!r}: {'; '.join(shorten(bent, what='such labels'))}"
    ]
    problems = [
        f"{table.path}: column {column!r}: {match.problem}"
        for match in matches.values()
        if match.problem
    ]
    return Cells(values, notes if bent else [], problems)


def read_dates(table: RawTable, column: str) -> Cells:
    """Read a column of dates as ISO 8601.

    Days before months (31/12/2024) and the reverse are told apart by the column as a whole; dots
    mean days first.

    Parameters
    ----------
    table : RawTable
        The table.
    column : str
        Its column.

    Returns
    -------
    Cells
        ``YYYY-MM-DD``; a date that cannot be read is missing and a problem.
    """
    cells = list(table.frame[column])
    parts = [_THREE.fullmatch(c) for c in cells if c is not pd.NA]
    slashed = [m for m in parts if m and m[2] != "."]
    day_first = any(int(m[1]) > 12 for m in slashed)
    month_first = any(int(m[3]) > 12 for m in slashed)
    values: list[str | None] = []
    wrong = []
    for row, cell in zip(table.rows, cells, strict=True):
        value = None if cell is pd.NA else _date(str(cell), day_first=day_first)
        ambiguous = bool(slashed) and day_first == month_first
        if (
            value is not None
            and ambiguous
            and not _ISO.fullmatch(str(cell))
            and "." not in str(cell)
        ):
            value = None
        if value is None and cell is not pd.NA:
            wrong.append(
                f"{table.path}: row {row}, column {column!r} holds {cell!r}, which is no clear "
                "date; write dates as YYYY-MM-DD"
            )
        values.append(value)
    notes = []
    if slashed and not wrong:
        order = "day, month, year" if day_first else "month, day, year"
        notes.append(f"{table.path.name}: dates in {column!r} are read as {order}")
    return Cells(values, notes, shorten(wrong, what="such dates"))


def _date(cell: str, *, day_first: bool) -> str | None:
    iso, three = _ISO.fullmatch(cell), _THREE.fullmatch(cell)
    if iso:
        year, month, day = iso[1], iso[2], iso[3]
    elif three and (day_first or three[2] == "."):
        year, month, day = three[4], three[3], three[1]
    elif three:
        year, month, day = three[4], three[1], three[3]
    else:
        return None
    try:
        return datetime.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


def read_days(table: RawTable, column: str) -> Cells:
    """Read a column of days as text of numbers; a cell that is none is missing and a problem."""
    values: list[str | None] = []
    wrong = []
    for row, cell in zip(table.rows, table.frame[column], strict=True):
        number = parse_number(cell, decimal=table.decimal)
        if number is None:
            wrong.append(
                f"{table.path}: row {row}, column {column!r} holds {cell!r}, which is no number of "
                "days; correct the cell, or write n/a"
            )
        values.append(None if number is None or cell is pd.NA else repr(number))
    return Cells(values, [], shorten(wrong, what="such cells"))


def nameless(table: RawTable, column: str, values: Sequence[str | None]) -> list[str]:
    """Return a problem for the rows that name no subject."""
    rows = [str(row) for row, value in zip(table.rows, values, strict=True) if value is None]
    if not rows:
        return []
    return [
        f"{table.path}: rows {', '.join(rows[:5])} name no subject in column {column!r}; "
        "name one or delete the rows"
    ]


def strangers(where: str, subjects: Iterable[str], known: Collection[str]) -> list[str]:
    """Return a note on the subjects of a table that have no scan."""
    unknown = sorted({s for s in subjects if s not in known}, key=natural_key)
    if not known or not unknown:
        return []
    shown = ", ".join(f"sub-{one}" for one in unknown[:8]) + (" ..." if len(unknown) > 8 else "")
    return [f"{where}: {len(unknown)} subjects have no scan: {shown}"]


def locate(files: Sequence[object], rows: Sequence[object]) -> str:
    """Return "a.tsv row 3 and b.tsv row 7" for a message."""
    return " and ".join(f"{file} row {row}" for file, row in zip(files, rows, strict=True))
