"""On which scanner, at which site or with which software version each run was taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from connectrial.data import Scan
from connectrial.errors import InputError, did_you_mean
from connectrial.io.clinical_columns import find_column
from connectrial.io.names import parse_entities
from connectrial.io.tables import RawTable, read_table


def read_batches(
    column: str, *, scans: Sequence[Scan], folders: Sequence[Path], participants: Path | None
) -> dict[str, str]:
    """Find the batch of every run: in BIDS scans tables, else sessions tables, else participants.

    Parameters
    ----------
    column : str
        Name of the column.
    scans : sequence of Scan
        The runs.
    folders : sequence of Path
        Where ``sub-*/[ses-*/]*_scans.tsv`` and ``sub-*/*_sessions.tsv`` may lie.
    participants : Path or None
        Table of people, with a session column or without.

    Returns
    -------
    dict
        Batch by ``Scan.name``; runs whose batch no table states are left out.

    Raises
    ------
    InputError
        No table has the column, or a table cannot be read.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    people = (
        None if participants is None or not participants.is_file() else read_table(participants)
    )
    if people is not None:
        seen |= set(people.frame.columns)
        found |= _of_people(people, column, scans)
    for folder in dict.fromkeys(folders):
        for subject in sorted({scan.subject for scan in scans}):
            mine = [scan for scan in scans if scan.subject == subject]
            for path in sorted(folder.glob(f"sub-{subject}/sub-{subject}_sessions.tsv")):
                table = read_table(path)
                seen |= set(table.frame.columns)
                found |= _of_sessions(table, column, mine)
            for path in _scans_tables(folder, subject):
                table = read_table(path)
                seen |= set(table.frame.columns)
                found |= _of_scans(table, column, mine)
    if column not in seen:
        raise InputError(
            f"no table has a column {column!r}{did_you_mean(column, sorted(seen))}; it may stand in "
            "participants.tsv, sub-*_sessions.tsv or sub-*_scans.tsv"
        )
    return found


def _scans_tables(folder: Path, subject: str) -> Iterator[Path]:
    yield from sorted(folder.glob(f"sub-{subject}/sub-{subject}*_scans.tsv"))
    yield from sorted(folder.glob(f"sub-{subject}/ses-*/sub-{subject}*_scans.tsv"))


def _of_people(table: RawTable, column: str, scans: Sequence[Scan]) -> dict[str, str]:
    subject, session = find_column(table, "subject"), find_column(table, "session")
    if subject is None or column not in table.frame:
        return {}
    batches = {}
    for row in table.frame.to_dict("records"):
        if not _is_stated(row[column]):
            continue
        who = str(row[subject]).removeprefix("sub-")
        when = "" if session is None else str(row[session]).removeprefix("ses-")
        for scan in scans:
            if scan.subject == who and (not when or when == (scan.session or "")):
                batches[scan.name] = str(row[column])
    return batches


def _of_sessions(table: RawTable, column: str, scans: Sequence[Scan]) -> dict[str, str]:
    session = find_column(table, "session")
    if session is None or column not in table.frame:
        return {}
    of = {
        str(row[session]).removeprefix("ses-"): str(row[column])
        for row in table.frame.to_dict("records")
        if _is_stated(row[column])
    }
    return {scan.name: of[scan.session or ""] for scan in scans if (scan.session or "") in of}


def _of_scans(table: RawTable, column: str, scans: Sequence[Scan]) -> dict[str, str]:
    if "filename" not in table.frame or column not in table.frame:
        return {}
    batches = {}
    for row in table.frame.to_dict("records"):
        if not _is_stated(row[column]):
            continue
        entities = parse_entities(Path(str(row["filename"])).name)
        if entities.get("suffix") != "bold":
            continue
        for scan in scans:
            own = (scan.session, scan.run, scan.task)
            if own == (entities.get("ses"), entities.get("run"), entities.get("task", scan.task)):
                batches[scan.name] = str(row[column])
    return batches


def _is_stated(cell: object) -> bool:
    return isinstance(cell, str) and cell.strip() not in ("", "n/a")
