"""The layouts in which clinical values come, each turned into long rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from connectrial.errors import InputError
from connectrial.io.clinical_columns import (
    TableMap,
    find_column,
    missing_columns,
    nameless,
    read_dates,
    read_days,
    read_labels,
    strangers,
)
from connectrial.io.names import natural_key
from connectrial.io.tables import RawTable, read_table
from connectrial.reading import read_json_object

COLUMNS = ["subject", "session", "day", "date", "variable", "value", "file", "row"]
_TABLES = (".tsv", ".csv", ".xlsx")


@dataclass(slots=True)
class Reading:
    """What has been read so far, and what there is to say about it."""

    dataset: Path
    known_subjects: Collection[str]
    known_sessions: Collection[str]
    scanned: bool  # whether the known subjects are those with scans
    pieces: list[pd.DataFrame] = field(default_factory=list)
    layouts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def label(self, path: Path) -> str:
        """Return how messages and the ``file`` column call a file."""
        try:
            return path.relative_to(self.dataset).as_posix()
        except ValueError:
            return str(path)


def read_phenotype(reading: Reading, phenotype: Sequence[Path] | None) -> None:
    """Layout 1: phenotype/<scale>.tsv with a dictionary beside."""
    if phenotype is None:
        default = reading.dataset / "phenotype"
        phenotype = [default] if default.is_dir() else []
    files: list[Path] = []
    for given in phenotype:
        path = reading.dataset / given
        if path.is_dir():
            files += sorted(p for p in path.iterdir() if p.suffix.lower() in _TABLES)
        else:
            files.append(path)
    loaded = [read_table(path) for path in files]
    owners = Counter(str(c).lower() for table in loaded for c in table.frame.columns)
    for table in loaded:
        table = _with_missing_codes(reading, table)
        shared = {
            str(c): f"{table.path.stem}.{c}"
            for c in table.frame.columns
            if owners[str(c).lower()] > 1
        }
        _read_bids(reading, table, rename=shared)
    if loaded:
        names = ", ".join(reading.label(table.path) for table in loaded)
        reading.layouts.append(f"phenotype tables: {names}")


def read_session_files(reading: Reading) -> None:
    """Layouts 2 and 3: sessions.tsv in the root, or one beside each person's folders."""
    root = reading.dataset / "sessions.tsv"
    if root.is_file():
        _read_bids(reading, read_table(root))
        reading.layouts.append("sessions.tsv in the root")
    own = sorted(reading.dataset.glob("sub-*/sub-*_sessions.tsv"))
    for path in own:
        table = read_table(path)
        if find_column(table, "subject") is None:
            person = path.parent.name.removeprefix("sub-")
            frame = table.frame.assign(
                participant_id=pd.array([person] * len(table.frame), "string")
            )
            table = RawTable(
                frame=frame, path=path, rows=table.rows, notes=table.notes, decimal=table.decimal
            )
        _read_bids(reading, table)
    if own:
        reading.layouts.append(f"sub-*/sub-*_sessions.tsv: {len(own)} files")


def read_people(reading: Reading, participants: Path | None) -> None:
    """Layout 4: participants.tsv, by person or by person and session."""
    path = reading.dataset / (participants or "participants.tsv")
    if participants is None and not path.is_file():
        return
    table = read_table(path)
    _read_bids(reading, table)
    by = "person" if find_column(table, "session") is None else "person and session"
    reading.layouts.append(f"{reading.label(path)}: one row per {by}")


def _read_bids(
    reading: Reading, table: RawTable, *, rename: Mapping[str, str] | None = None
) -> None:
    """Read a table whose columns bear the names that BIDS (or ADaM) gives them."""
    found = {what: find_column(table, what) for what in ("subject", "session", "day", "date")}
    if found["subject"] is None:
        columns = ", ".join(map(repr, table.frame.columns))
        reading.problems.append(
            f"{table.path}: there is no subject column; call it participant_id, or describe the "
            f"table's columns in the study file (they are {columns})"
        )
        return
    scale, score = find_column(table, "scale"), find_column(table, "score")
    if scale is None or score is None:
        # A date is also a variable of its own: a table may hold nothing else.
        keep = [
            str(c) for c in table.frame.columns if c not in {found["subject"], found["session"]}
        ]
        scores = {(rename or {}).get(c, c): c for c in keep}
        for new, old in scores.items():
            if new != old:
                reading.notes.append(
                    f"{table.path.name}: column {old!r} is called {new!r}, since other tables have "
                    "a column of that name too"
                )
        form = TableMap(path=table.path, subject=found["subject"], scores=scores)
    else:
        form = TableMap(path=table.path, subject=found["subject"], scale=scale, score=score)
    one = replace(form, session=found["session"], day=found["day"], date=found["date"])
    _add(reading, table, one)


def read_mapped(reading: Reading, one: TableMap) -> None:
    """Any other table, by its column map."""
    table = read_table(reading.dataset / one.path, sheet=one.sheet)
    wrong = missing_columns(table, one.columns)
    if wrong:
        reading.problems += wrong
        return
    _add(reading, table, one)
    form = "long" if one.score is not None else "wide"
    reading.layouts.append(f"{reading.label(table.path)}: {form} table by its column map")


def _add(reading: Reading, table: RawTable, one: TableMap) -> None:
    """Turn a table into long rows."""
    reading.notes += table.notes
    subjects = read_labels(table, one.subject, known=reading.known_subjects, prefix="sub-")
    columns = [subjects]
    base = pd.DataFrame({"subject": subjects.values, "row": table.rows})
    reading.problems += nameless(table, one.subject, subjects.values)
    for name, column, read in (
        ("session", one.session, None),
        ("day", one.day, read_days),
        ("date", one.date, read_dates),
    ):
        if column is None:
            base[name] = None
            continue
        cells = (
            read_labels(table, column, known=reading.known_sessions, prefix="ses-")
            if read is None
            else read(table, column)
        )
        base[name] = cells.values
        columns.append(cells)
    for cells in columns:
        reading.notes += cells.notes
        reading.problems += cells.problems
    where = reading.label(table.path)
    if reading.scanned:
        people = [s for s in subjects.values if s]
        reading.notes += strangers(where, people, reading.known_subjects)
    foreign = {s for s in base["session"].dropna() if s not in reading.known_sessions}
    if reading.known_sessions and foreign:
        listed = ", ".join(sorted(foreign, key=natural_key))
        reading.notes.append(f"{where}: sessions without scans: {listed}")
    base["file"] = where
    long = _long(table, one, base)
    named = long["subject"].notna()
    if one.session is not None:
        named &= _check_sessions(reading, table, one.session, long)
    reading.pieces.append(long.loc[named, COLUMNS])


def _long(table: RawTable, one: TableMap, base: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell that holds a score."""
    text = table.frame
    if table.decimal == ",":
        text = text.apply(lambda c: c.str.replace(r"^([+-]?\d+),(\d+)$", r"\1.\2", regex=True))
    if one.score is not None:
        scale = text[one.scale].to_numpy() if one.scale is not None else one.score
        return base.assign(variable=scale, value=text[one.score].to_numpy())
    used = {one.subject, one.session, one.day, one.date}
    scores = one.scores or {str(c): str(c) for c in text.columns if c not in used}
    n = len(scores)
    long = base.loc[np.repeat(base.index, n)].reset_index(drop=True)
    values = text[list(scores.values())].to_numpy(dtype=object).ravel()
    return long.assign(
        variable=np.tile(np.array(list(scores), dtype=object), len(base)), value=values
    )


def _check_sessions(
    reading: Reading, table: RawTable, column: str, long: pd.DataFrame
) -> pd.Series[bool]:
    """Refuse values without a session; rows without values may lack one."""
    named = long["session"].notna()
    lost = long.loc[~named & long["value"].notna(), "row"].unique()
    if len(lost):
        reading.problems.append(
            f"{table.path}: rows {', '.join(map(str, lost[:5]))} hold values but no session in "
            f"column {column!r}; name the session or delete the rows"
        )
    blank = [row for row in long.loc[~named, "row"].unique() if row not in lost]
    if blank:
        reading.notes.append(
            f"{table.path.name}: row {blank[0]} holds neither a session nor a value and is left out"
            if len(blank) == 1
            else f"{table.path.name}: rows {', '.join(map(str, blank[:5]))} hold neither a session "
            "nor a value and are left out"
        )
    return named


def _with_missing_codes(reading: Reading, table: RawTable) -> RawTable:
    """Apply ``MissingValues`` of the data dictionary beside the table."""
    path = table.path.with_suffix(".json")
    if not path.is_file():
        return table
    try:
        dictionary = read_json_object(path)
    except InputError as error:
        reading.problems += error.problems
        return table
    frame = table.frame.copy()
    for column, entry in dictionary.items():
        codes = entry.get("MissingValues") if isinstance(entry, dict) else None
        if codes is None or column not in frame:
            continue
        texts = {str(code) for code in (codes if isinstance(codes, list) else [codes])}
        hit = frame[column].isin(texts)
        if hit.any():
            frame.loc[hit, column] = pd.NA
            reading.notes.append(
                f"{table.path.name}: {int(hit.sum())} cells of {column!r} hold a code for missing "
                f"({', '.join(sorted(texts))}, from {path.name})"
            )
    return RawTable(
        frame=frame, path=table.path, rows=table.rows, notes=table.notes, decimal=table.decimal
    )
