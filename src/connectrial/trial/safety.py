"""Side effects: who had what when, and how badly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from connectrial.errors import InputError

_YES_NO = {"yes": 1.0, "no": 0.0, "y": 1.0, "n": 0.0, "true": 1.0, "false": 0.0}


def read_severity(
    entries: pd.DataFrame, *, events: Mapping[str, str], severity: Mapping[str, float]
) -> pd.DataFrame:
    """Turn checklist cells into numbers.

    Parameters
    ----------
    entries : DataFrame
        ``subject``, ``visit``, ``variable``, ``value`` (text or missing), and ``file``, ``row`` for
        messages.
    events : mapping of str to str
        Side effect -> variable.
    severity : mapping of str to float
        Word -> severity; numbers, and yes and no, are understood without it.

    Returns
    -------
    DataFrame
        ``subject``, ``visit``, ``event``, ``severity`` (0 for none; missing where the cell is).

    Raises
    ------
    InputError
        A cell is neither a number of 0 or more nor a known word, named with file and row.
    """
    words = _YES_NO | {word.lower(): float(number) for word, number in severity.items()}
    event_of = {column: name for name, column in events.items()}
    mine = entries.loc[entries["variable"].isin(list(event_of))].reset_index(drop=True)
    numbers, problems = [], []
    for row in mine.itertuples():
        number = _number(row.value, words)
        if number is None:
            problems.append(
                f"{row.file}: row {row.row}, {row.variable} of sub-{row.subject} is {row.value!r}; "
                f"allowed are numbers from 0 and {', '.join(map(repr, words))}: name other words in "
                "[safety] severity"
            )
        numbers.append(np.nan if number is None else number)
    if problems:
        more = [f"and {len(problems) - 10} more such cells"] if len(problems) > 10 else []
        raise InputError([*problems[:10], *more])
    return pd.DataFrame(
        {
            "subject": mine["subject"].astype(str),
            "visit": mine["visit"],
            "event": mine["variable"].map(event_of),
            "severity": np.array(numbers, dtype=np.float64),
        }
    )


def _number(value: object, words: Mapping[str, float]) -> float | None:
    if pd.isna(value):  # type: ignore[call-overload]  # one cell, never a table
        return np.nan
    text = str(value).strip().lower()
    if text in words:
        return words[text]
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if number >= 0 and np.isfinite(number) else None


def count_events(
    entries: pd.DataFrame, *, present_from: float = 1.0, by: Sequence[str] = ("visit",)
) -> pd.DataFrame:
    """Count people with each side effect.

    Parameters
    ----------
    entries : DataFrame
        ``subject``, ``visit``, ``event``, ``severity``, and further columns of `by`.
    present_from : float
        Least severity that counts.
    by : sequence of str
        Columns within which people are counted; a person counts once in each cell.

    Returns
    -------
    DataFrame
        The columns of `by`, ``event`` ("any side effect" last), ``n_people`` (with an entry),
        ``n_with``, ``n_severe`` (people whose worst entry is the highest severity seen) and
        ``worst`` (highest severity).
    """
    known = entries.loc[entries["severity"].notna()]
    anything = known.assign(event="any side effect")
    order = list(dict.fromkeys(known["event"]))
    top = known["severity"].max()
    rows = []
    for table, names in ((known, order), (anything, ["any side effect"])):
        worst = table.groupby([*by, "event", "subject"], observed=True, sort=False)["severity"]
        person = worst.max().reset_index()
        for key, cell in person.groupby([*by, "event"], observed=True, sort=True):
            rows.append(
                {
                    **dict(zip([*by, "event"], key, strict=True)),
                    "n_people": len(cell),
                    "n_with": int((cell["severity"] >= present_from).sum()),
                    "n_severe": int(((cell["severity"] == top) & (top > 0)).sum()),
                    "worst": float(cell["severity"].max()),
                    "_place": names.index(str(key[-1])) if table is known else len(order),
                }
            )
    columns = [*by, "event", "n_people", "n_with", "n_severe", "worst", "_place"]
    table = pd.DataFrame(rows, columns=columns)
    for name in by:
        # Arms and visits keep their declared order.
        if isinstance(entries[name].dtype, pd.CategoricalDtype):
            table[name] = pd.Categorical(
                table[name], categories=entries[name].cat.categories, ordered=True
            )
    ordered = table.sort_values([*by, "_place"], kind="stable")
    return ordered.drop(columns="_place").reset_index(drop=True)


def worst_of_person(entries: pd.DataFrame, *, present_from: float = 1.0) -> pd.DataFrame:
    """Return each person's worst severity of each side effect, over all visits.

    Parameters
    ----------
    entries : DataFrame
        ``subject``, ``visit``, ``event``, ``severity``.
    present_from : float
        Least severity that counts.

    Returns
    -------
    DataFrame
        ``subject``, ``event``, ``severity`` (the highest), ``visit`` (the first one at which it was
        that high), ``present`` (bool), ``n_visits`` (with an entry).
    """
    known = entries.loc[entries["severity"].notna()]
    rows = []
    for (subject, event), own in known.groupby(["subject", "event"], sort=False):
        worst = own.sort_values("visit", kind="stable")
        first = worst.iloc[int(worst["severity"].to_numpy().argmax())]
        rows.append(
            {
                "subject": subject,
                "event": event,
                "severity": float(first["severity"]),
                "visit": str(first["visit"]),
                "present": bool(first["severity"] >= present_from),
                "n_visits": len(own),
            }
        )
    return pd.DataFrame(
        rows, columns=["subject", "event", "severity", "visit", "present", "n_visits"]
    )
