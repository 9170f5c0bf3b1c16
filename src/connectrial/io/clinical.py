"""Clinical tables in the four BIDS layouts, or in any long or wide table with a column map.

Nothing is thrown away unsaid: what was handled is in ``notes``, what must be put right in
``problems``; only a file that cannot be read raises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from connectrial.errors import InputError
from connectrial.io.clinical_checks import check_constant, check_dates, settle_scores
from connectrial.io.clinical_columns import (
    TableMap,
    find_column,
    nameless,
    read_labels,
    strangers,
)
from connectrial.io.score_layouts import (
    COLUMNS,
    Reading,
    read_mapped,
    read_people,
    read_phenotype,
    read_session_files,
)
from connectrial.io.tables import RawTable, read_table

__all__ = [
    "ClinicalTable",
    "ScoreTable",
    "TableMap",
    "check_constant",
    "check_dates",
    "read_participants",
    "read_scores",
]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ClinicalTable:
    """What is known of each person, whatever the visit.

    Attributes
    ----------
    frame : pandas.DataFrame
        Indexed by subject (without ``sub-``), in file order; cells are text, pd.NA where missing.
    rows : mapping of str to int
        Where in the file each subject stands first.
    path : Path
        The file.
    notes, problems : tuple of str
        What was handled; what must be put right.
    """

    frame: pd.DataFrame
    rows: Mapping[str, int]
    path: Path
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ScoreTable:
    """Every value of every person at every session, one row each.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns ``subject`` (text), ``session`` (text; pd.NA for what belongs to the person),
        ``day`` (float, days), ``date`` (ISO 8601 text or pd.NA), ``variable`` (text), ``value``
        (text or pd.NA), ``number`` (float; NaN where the value is missing or no number), ``file``
        (text), ``row`` (int; line of the text file or row of the sheet).
    layouts : tuple of str
        Which layouts were found, and in which files.
    notes, problems : tuple of str
        What was handled; what must be put right.
    """

    frame: pd.DataFrame
    layouts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def read_participants(
    path: Path, *, known_subjects: Collection[str] = (), person_level: Collection[str] = ()
) -> ClinicalTable:
    """Read ``participants.tsv``, one row per person or one per person and session.

    Parameters
    ----------
    path : Path
        CSV, TSV or XLSX with a column ``participant_id`` (or ``subject``, ``USUBJID``, ...).
    known_subjects : collection of str, optional
        Labels on disk, without ``sub-``: ``1`` is read as ``01`` if that is who is there.
    person_level : collection of str, optional
        Columns that must not change within a person, such as the arm.

    Returns
    -------
    ClinicalTable
        Identical rows of one person are one row, with a note. Different ones are a problem that
        names both; if the file has a session column, only a change in `person_level` is, and what
        else changes is left out here (`read_scores` has it) with a note.

    Raises
    ------
    InputError
        When the file cannot be read or has no subject column.
    """
    table = read_table(Path(path))
    column, session = find_column(table, "subject"), find_column(table, "session")
    if column is None:
        raise InputError(
            f"{path}: there is no subject column; call it participant_id "
            f"(the columns are {', '.join(map(repr, table.frame.columns))})"
        )
    labels = read_labels(table, column, known=known_subjects, prefix="sub-")
    notes, problems = [*table.notes, *labels.notes], [*labels.problems]
    problems += nameless(table, column, labels.values)
    variables = [c for c in table.frame.columns if c not in {column, session}]
    frame = table.frame.assign(
        _subject=pd.array(labels.values, dtype="string"), _row=table.rows
    ).dropna(subset="_subject")
    changing: Counter[str] = Counter()
    people: dict[str, pd.Series] = {}
    rows: dict[str, int] = {}
    for subject, group in frame.groupby("_subject", sort=False):
        name = str(subject)
        rows[name] = int(group["_row"].iloc[0])
        people[name] = group[variables].bfill().iloc[0]
        varying = [v for v in variables if group[v].dropna().unique().size > 1]
        changing.update(varying)
        told = [v for v in varying if session is None or v in person_level]
        if told:
            problems.append(_contradiction(table, name, group, told))
        elif session is None and len(group) > 1:
            notes.append(
                f"{table.path.name}: rows {', '.join(map(str, group['_row']))} of {name} "
                "do not contradict one another and count as one"
            )
    gone = [v for v in variables if session is not None and changing[v] and v not in person_level]
    notes += [
        f"{table.path.name}: {v!r} changes between the sessions of {changing[v]} people, so it "
        "belongs to the session, not to the person"
        for v in gone
    ]
    notes += strangers(table.path.name, rows, known_subjects)
    result = pd.DataFrame.from_dict(people, orient="index", columns=variables, dtype="string")
    return ClinicalTable(
        frame=result.drop(columns=gone).rename_axis("subject"),
        rows=rows,
        path=table.path,
        notes=tuple(notes),
        problems=tuple(problems),
    )


def _contradiction(table: RawTable, name: str, group: pd.DataFrame, told: Sequence[str]) -> str:
    """Say which rows of one person contradict one another, and where."""
    v = told[0]
    filled = group.dropna(subset=v)
    first = filled.iloc[0]
    other = filled[filled[v] != first[v]].iloc[0]
    return (
        f"{table.path}: rows {first['_row']} and {other['_row']} are both sub-{name} but say "
        f"{first[v]!r} and {other[v]!r} for {v!r}"
        + (f" (and differ in {', '.join(map(repr, told[1:4]))})" if len(told) > 1 else "")
        + "; a person has one: keep the right row"
    )


def read_scores(
    dataset: Path,
    *,
    phenotype: Sequence[Path] | None = None,
    tables: Sequence[TableMap] = (),
    participants: Path | None = None,
    known_subjects: Collection[str] = (),
    known_sessions: Collection[str] = (),
    variables: Collection[str] | None = None,
) -> ScoreTable:
    """Read every clinical value of a dataset into one long table.

    Parameters
    ----------
    dataset : Path
        Folder in which ``sessions.tsv``, ``sub-*/sub-*_sessions.tsv`` and ``participants.tsv``
        are looked for; relative paths start here.
    phenotype : sequence of Path, optional
        Folders and files of the ``phenotype`` layout; None looks for ``phenotype`` in `dataset`.
    tables : sequence of TableMap, optional
        Other long or wide tables, with what their columns hold.
    participants : Path, optional
        Where ``participants.tsv`` is when not in `dataset`.
    known_subjects, known_sessions : collection of str, optional
        Labels on disk, without prefix, that the labels in tables are matched with; without known
        subjects, those of ``participants.tsv`` are.
    variables : collection of str, optional
        Those whose cells must be right. Contradictions and unreadable numbers of any other are
        notes, not problems. None: all.

    Returns
    -------
    ScoreTable

    Raises
    ------
    InputError
        When a named file is missing or a file cannot be read.
    """
    dataset = Path(dataset)
    people = dataset / (participants or "participants.tsv")
    known = known_subjects or (read_participants(people).rows if people.is_file() else ())
    reading = Reading(dataset, known, known_sessions, scanned=bool(known_subjects))
    read_phenotype(reading, phenotype)
    read_session_files(reading)
    read_people(reading, participants)
    for one in tables:
        read_mapped(reading, one)
    pieces = reading.pieces or [pd.DataFrame(columns=pd.Index(COLUMNS))]
    frame = settle_scores(
        pd.concat(pieces, ignore_index=True),
        variables=variables,
        notes=reading.notes,
        problems=reading.problems,
    )
    return ScoreTable(
        frame=frame,
        layouts=tuple(reading.layouts),
        notes=tuple(reading.notes),
        problems=tuple(reading.problems),
    )
