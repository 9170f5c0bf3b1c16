"""Structural volumes in the tables that FreeSurfer's ``asegstats2table`` writes."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from connectrial.errors import InputError
from connectrial.io.names import match_label
from connectrial.io.tables import parse_number, read_table


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VolumeTable:
    """Volumes of each person and session.

    Attributes
    ----------
    frame : DataFrame
        ``subject``, ``session`` (text; pd.NA where the name has none), one column per structure,
        mm3.
    notes : tuple of str
        What was handled.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()


def read_volumes(path: Path, *, known_subjects: Collection[str] = ()) -> VolumeTable:
    """Read a table of ``asegstats2table``: one row per FreeSurfer subject.

    Parameters
    ----------
    path : Path
        TSV or CSV; the first column holds the subjects' folders (``sub-01``, ``sub-01_ses-pre``,
        ``sub-01_ses-pre.long.sub-01``, or the bare label).
    known_subjects : collection of str, optional
        Labels on disk; rows of anybody else are noted.

    Returns
    -------
    VolumeTable

    Raises
    ------
    InputError
        The file cannot be read, has one column only, holds a cell that is no positive number
        (named with row and column), or one subject and session twice.
    """
    table = read_table(Path(path))
    frame = table.frame
    if frame.shape[1] < 2:
        raise InputError(
            f"{path}: has one column only; write it with asegstats2table, tab or comma separated"
        )
    names = frame.iloc[:, 0].astype("object")
    problems: list[str] = []
    subjects, sessions, notes = [], [], [*table.notes]
    for name, row in zip(names, table.rows, strict=True):
        if pd.isna(name):
            problems.append(f"{path}: row {row} names no subject; name it or delete the row")
            name = ""
        text = Path(str(name)).name
        found = re.match(r"(?:sub-)?([A-Za-z0-9]+)(?:_ses-([A-Za-z0-9]+))?", text)
        label = found[1] if found else text
        match = match_label(label, known=known_subjects, prefix="sub-")
        subjects.append(match.label or label)
        sessions.append(found[2] if found and found[2] else pd.NA)
    columns = {}
    for column in frame.columns[1:]:
        numbers = [parse_number(cell) for cell in frame[column]]
        for number, cell, row in zip(numbers, frame[column], table.rows, strict=True):
            if number is None or (np.isfinite(number) and number < 0):
                problems.append(
                    f"{path}: row {row}, column {str(column)!r} holds {cell!r}, which is no volume"
                )
        columns[str(column)] = [np.nan if one is None else one for one in numbers]
    result = pd.DataFrame(
        {
            "subject": pd.array(subjects, dtype="object"),
            "session": pd.array(sessions, dtype="object"),
            **columns,
        }
    )
    double = result.duplicated(["subject", "session"])
    for i in np.flatnonzero(double.to_numpy())[:5]:
        problems.append(
            f"{path}: row {table.rows[i]} is a second one of {names.iloc[i]!r}; keep one"
        )
    if problems:
        raise InputError(problems[:20])
    if known_subjects:
        strange = sorted({s for s in subjects if s not in set(known_subjects)})
        if strange:
            notes.append(f"{path.name}: {', '.join(strange[:5])} is nobody of this study; not used")
    return VolumeTable(frame=result, notes=tuple(notes))
