"""What clinical values must not do: stand twice, contradict, hold no number, run backwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from connectrial.io.clinical_columns import locate
from connectrial.io.tables import parse_number, shorten

_KEY = ["subject", "session", "day", "variable"]


def settle_scores(
    frame: pd.DataFrame,
    *,
    variables: Collection[str] | None,
    notes: list[str],
    problems: list[str],
) -> pd.DataFrame:
    """Drop what stands twice, report contradictions and cells that are no numbers.

    Parameters
    ----------
    frame : pandas.DataFrame
        Long rows: subject, session, day, date, variable, value, file, row.
    variables : collection of str or None
        Those whose troubles are problems; of any other they are notes. None: all.
    notes, problems : list of str
        Sentences are added here.

    Returns
    -------
    pandas.DataFrame
        The same columns and ``number`` (float), one row per subject, session, day and variable.
    """
    frame = frame.astype(
        {
            "subject": "string",
            "session": "string",
            "day": "float64",
            "date": "string",
            "variable": "string",
            "value": "string",
            "file": "string",
            "row": "int64",
        }
    )
    frame = frame[frame["variable"].notna()]
    numbers = [parse_number(value) for value in frame["value"]]
    frame = frame.assign(number=[np.nan if n is None else n for n in numbers])
    unreadable = pd.Series([n is None for n in numbers], index=frame.index, dtype=bool)
    _report_unreadable(frame, unreadable, variables, notes, problems)
    return _settle_double(frame, variables, notes, problems).reset_index(drop=True)


def _report_unreadable(
    frame: pd.DataFrame,
    unreadable: pd.Series[bool],
    variables: Collection[str] | None,
    notes: list[str],
    problems: list[str],
) -> None:
    """Report the odd cells of variables most of whose cells are numbers."""
    for (file, variable), group in frame.groupby(["file", "variable"], sort=False):
        wrong = group[unreadable[group.index]]
        if wrong.empty or len(wrong) >= group["number"].notna().sum():
            continue  # a variable of words
        sentences = [
            f"{file}: row {row}, {variable} of sub-{subject} is {value!r}, which is no number; "
            "correct the cell, or write n/a if there is no value"
            for row, subject, value in zip(
                wrong["row"], wrong["subject"], wrong["value"], strict=True
            )
        ]
        target = problems if variables is None or variable in variables else notes
        target += shorten(sentences, what=f"cells of {variable} in {file}")


def _settle_double(
    frame: pd.DataFrame,
    variables: Collection[str] | None,
    notes: list[str],
    problems: list[str],
) -> pd.DataFrame:
    """Keep one row per subject, session, day and variable; the first that holds a value."""
    key = frame[_KEY].copy()
    key["session"] = key["session"].fillna("")
    key["day"] = key["day"].fillna(-np.inf)
    double = key.duplicated(keep=False)
    if not double.any():
        return frame
    drop: list[int] = []
    same: dict[str, list[int]] = defaultdict(list)
    clashes: dict[bool, list[str]] = {True: [], False: []}
    groups = key[double].groupby(_KEY, sort=False).groups
    for labels in groups.values():
        rows = frame.loc[labels]
        filled = rows[rows["value"].notna()]
        keep = filled.index[0] if len(filled) else rows.index[0]
        drop += [i for i in rows.index if i != keep]
        different = filled[~_same(filled, keep)] if len(filled) else filled
        if different.empty:
            for i in rows.index.difference([keep]):
                same[str(frame.loc[i, "file"])].append(i)
            continue
        first, other = frame.loc[keep], different.iloc[0]
        session = "" if first["session"] is pd.NA else f" at ses-{first['session']}"
        matters = variables is None or first["variable"] in variables
        clashes[matters].append(
            f"{locate([first['file'], other['file']], [first['row'], other['row']])}: "
            f"sub-{first['subject']}{session} has two values of {first['variable']}, "
            f"{first['value']!r} and {other['value']!r}; keep the right row"
        )
    for file, rows_of in same.items():
        unique = sorted(set(frame.loc[rows_of, "row"]))
        notes.append(
            f"{file}: {len(unique)} rows repeat what another row says and are dropped "
            f"(rows {', '.join(map(str, unique[:5]))}{' ...' if len(unique) > 5 else ''})"
        )
    problems += shorten(clashes[True], what="values that stand twice")
    notes += shorten(clashes[False], what="values that stand twice")
    return frame.drop(index=drop)


def _same(filled: pd.DataFrame, keep: int) -> pd.Series[bool]:
    """Compare values as text, or as numbers where both are: 24 is 24.0."""
    value, number = filled.loc[keep, "value"], filled.loc[keep, "number"]
    return (filled["value"] == value) | (filled["number"] == number)


def check_constant(frame: pd.DataFrame, variables: Sequence[str]) -> tuple[str, ...]:
    """Report people in whom something changes that belongs to the person, such as the arm.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``ScoreTable.frame``.
    variables : sequence of str
        Variables of the person.

    Returns
    -------
    tuple of str
        One problem per person and variable, naming both rows.
    """
    problems = []
    told = frame[frame["variable"].isin(list(variables)) & frame["value"].notna()]
    for (subject, variable), group in told.groupby(["subject", "variable"], sort=False):
        if group["value"].nunique() < 2:
            continue
        first = group.iloc[0]
        other = group[group["value"] != first["value"]].iloc[0]
        problems.append(
            f"{locate([first['file'], other['file']], [first['row'], other['row']])}: {variable} "
            f"of sub-{subject} changes from {first['value']!r} to {other['value']!r}; it belongs "
            "to the person and must stay the same"
        )
    return tuple(problems)


def check_dates(frame: pd.DataFrame, session_order: Sequence[str]) -> tuple[str, ...]:
    """Report people whose sessions' dates, or days, run against the order of the visits.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``ScoreTable.frame``.
    session_order : sequence of str
        Session labels in the order of the trial; any other session is passed over.

    Returns
    -------
    tuple of str
        One problem per person and pair of neighbouring sessions, naming the rows and the dates.
    """
    problems = []
    place = {session: i for i, session in enumerate(session_order)}
    known = frame[frame["session"].isin(list(place))]
    for column, what in (("date", "dates"), ("day", "days")):
        timed = known[known[column].notna()].drop_duplicates(["subject", "session", column])
        for subject, group in timed.groupby("subject", sort=False):
            ordered = group.sort_values(column, kind="stable")
            latest: pd.Series | None = None
            for session in sorted(ordered["session"].unique(), key=place.__getitem__):
                rows = ordered[ordered["session"] == session]
                first, last = rows.iloc[0], rows.iloc[-1]
                if latest is not None and first[column] < latest[column]:
                    problems.append(
                        f"{locate(*zip(_place(latest), _place(first), strict=True))}: "
                        f"sub-{subject} has ses-{session} ({column} {first[column]}) before "
                        f"ses-{latest['session']} ({column} {latest[column]}), against the order "
                        f"of the visits; correct the {what} or the order of the visits"
                    )
                if latest is None or last[column] >= latest[column]:
                    latest = last
    return tuple(problems)


def _place(row: pd.Series) -> tuple[object, object]:
    return row["file"], row["row"]
