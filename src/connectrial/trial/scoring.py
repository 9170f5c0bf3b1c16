"""Item scores to totals and subscales; what is missing or prorated is said, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import InputError
from connectrial.scales import Item, Scale, ScoreRule

_SHOWN = 10


def score_scale(
    items: pd.DataFrame,
    scale: Scale,
    *,
    columns: Mapping[str, str] | None = None,
    scores: Sequence[str] | None = None,
    max_missing: int | None = None,
) -> pd.DataFrame:
    """Make totals and subscales of items, and log every item that was missing.

    Parameters
    ----------
    items : DataFrame
        One row per assessment. Columns ``file`` and ``row``, where they exist, are used in
        messages; every column that is no item is kept.
    scale : Scale
        As :func:`connectrial.read_scale` returns it.
    columns : mapping of str to str, optional
        Item -> column. Default ``NAME_1``, ``NAME_2``, ... with the scale's name.
    scores : sequence of str, optional
        Which of the scale's scores; default all.
    max_missing : int, optional
        With so many parts of a score missing at most, a sum is prorated. Default the scale's rule.

    Returns
    -------
    DataFrame
        One row per assessment and score, in the order of `items`: the other columns of `items`,
        ``score_name``, ``score`` (points; NaN where it cannot be had), ``n_missing`` (parts of the
        score without an answer), ``prorated`` (bool), ``reason`` (what was missing and what was
        done about it; empty where nothing was).

    Raises
    ------
    InputError
        A column is absent or holds text, or a value lies outside its item's range (row and column
        are named). Codes for "not assessed" count as missing.

    Examples
    --------
    >>> table = score_scale(items, read_scale("BPRS"))  # doctest: +SKIP
    >>> table[table["reason"] != ""]  # doctest: +SKIP
    """
    named = dict(columns) if columns is not None else default_columns(scale)
    values, code = _values(items, scale, named)
    wanted = [one.name for one in scale.scores] if scores is None else list(scores)
    kept = items.drop(columns=[c for c in named.values() if c in items.columns])
    parts = []
    for name in wanted:
        rule = scale.rule(name)
        limit = rule.max_missing if max_missing is None else max_missing
        scored = _score(values, code, scale, rule, limit)
        left = kept.assign(score_name=name).reset_index(drop=True)
        parts.append(pd.concat([left, scored], axis=1))
    together = pd.concat(parts, keys=range(len(parts)), names=["part", "place"])
    return together.sort_index(level=["place", "part"]).reset_index(drop=True)


def default_columns(scale: Scale) -> dict[str, str]:
    """Return the columns in which a scale's items are looked for: its name and their numbers."""
    return {item.name: f"{scale.name}_{n}" for n, item in enumerate(scale.items, start=1)}


def check_range(
    table: pd.DataFrame, item: Item, *, column: str, value: str = "number"
) -> tuple[NDArray[np.float64], list[str], int]:
    """Check the values of one item or total, and take codes for "not assessed" out.

    Parameters
    ----------
    table : DataFrame
        One row per value; ``file``, ``row``, ``subject``, ``session`` are used in messages.
    item : Item
        What is allowed.
    column : str
        The column's name, for messages.
    value : str
        Column of `table` with the values.

    Returns
    -------
    values : array, shape (n_rows,)
        NaN where missing or not assessed.
    problems : list of str
        One sentence per value that is not allowed, ten at most and then their number.
    n_codes : int
        How many values were codes.
    """
    values = table[value].to_numpy(dtype=np.float64, na_value=np.nan)
    coded, wrong = item.is_code(values), item.is_wrong(values)
    places = np.flatnonzero(wrong)
    problems = [
        f"{_where(table, int(i))}column {column!r} is {values[i]:g}; allowed are {item.allowed}"
        for i in places[:_SHOWN]
    ]
    if len(places) > _SHOWN:
        problems.append(f"column {column!r}: {len(places) - _SHOWN} more values are out of range")
    return np.where(coded | wrong, np.nan, values), problems, int(coded.sum())


def _where(table: pd.DataFrame, i: int) -> str:
    row = table.iloc[i]
    file = f"{row['file']}: " if "file" in table else ""
    place = f"row {row['row']}, " if "row" in table else f"row {table.index[i]}, "
    who = f"sub-{row['subject']}" if "subject" in table else ""
    if who and "session" in table and pd.notna(row["session"]):
        who += f" ses-{row['session']}"
    return f"{file}{place}" + (f"{who}, " if who else "")


def _values(
    items: pd.DataFrame, scale: Scale, named: Mapping[str, str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the items as (n_assessments, n_items), and which were coded as not assessed."""
    unknown = [name for name in named if name not in [item.name for item in scale.items]]
    absent = [c for c in named.values() if c not in items.columns]
    lacking = [item.name for item in scale.items if item.name not in named]
    problems = [f"scale {scale.name}: there is no item {name!r}" for name in unknown]
    problems += [f"scale {scale.name}: item {name!r} has no column" for name in lacking]
    if absent:
        have = ", ".join(map(repr, items.columns[:12]))
        problems.append(
            f"scale {scale.name}: there is no column {', '.join(map(repr, absent[:4]))}; "
            f"the table has {have}; name the items' columns"
        )
    if problems:
        raise InputError(problems)
    columns, codes = [], []
    for item in scale.items:
        name = named[item.name]
        if not pd.api.types.is_numeric_dtype(items[name]):
            problems.append(
                f"column {name!r} is {items[name].dtype}; give numbers, NaN for missing"
            )
            continue
        clean, wrong, _ = check_range(items, item, column=name, value=name)
        problems += wrong
        columns.append(clean)
        codes.append(item.is_code(items[name].to_numpy(dtype=np.float64, na_value=np.nan)))
    if problems:
        raise InputError(problems)
    return np.column_stack(columns), np.column_stack(codes)


def _score(
    values: NDArray[np.float64],
    code: NDArray[np.bool_],
    scale: Scale,
    rule: ScoreRule,
    limit: int,
) -> pd.DataFrame:
    answered = np.isfinite(values)
    excused = _excused(answered, scale)
    parts, lacking = [], []
    for members in rule.parts:
        own = values[:, members]
        highest = np.where(np.isfinite(own), own, -np.inf).max(axis=1)
        # A part of several items is known only when every item that had to be answered was.
        lost = ~(answered[:, members] | excused[:, members]).all(axis=1) | np.isinf(highest)
        parts.append(np.where(lost, np.nan, highest))
        lacking.append(lost)
    points = np.column_stack(parts)
    lost = np.column_stack(lacking)
    n_missing = lost.sum(axis=1)
    known = n_missing <= limit
    kept = lost.shape[1] - n_missing
    mean = np.divide(
        np.nansum(points, axis=1), kept, out=np.full(len(points), np.nan), where=known & (kept > 0)
    )
    score = mean * lost.shape[1] if rule.method == "sum" else mean
    # A whole score is a sum of its points; only a prorated one goes through a mean.
    if rule.method == "sum":
        score = np.where(n_missing == 0, np.nansum(points, axis=1), score)
    prorated = (n_missing > 0) & np.isfinite(score)
    reasons = [
        _reason(lost[i], code[i], scale, rule, prorated=bool(prorated[i])) if n_missing[i] else ""
        for i in range(len(score))
    ]
    return pd.DataFrame(
        {
            "score": score,
            "n_missing": n_missing,
            "prorated": prorated,
            "reason": pd.array(reasons, dtype="str"),
        }
    )


def _excused(answered: NDArray[np.bool_], scale: Scale) -> NDArray[np.bool_]:
    """Mark items that are blank because the alternative was answered."""
    excused = np.zeros_like(answered)
    for pair in scale.alternatives:
        one = answered[:, pair].any(axis=1)
        for position in pair:
            excused[:, position] = one & ~answered[:, position]
    return excused


def _reason(
    lost: NDArray[np.bool_],
    code: NDArray[np.bool_],
    scale: Scale,
    rule: ScoreRule,
    *,
    prorated: bool,
) -> str:
    names = []
    for number in np.flatnonzero(lost)[:4]:
        members = rule.parts[int(number)]
        coded = any(code[i] for i in members)
        word = "not assessed" if coded else "missing"
        names.append(f"{', '.join(scale.items[i].name for i in members)} {word}")
    more = int(lost.sum()) - len(names)
    text = "; ".join(names) + (f"; and {more} more" if more > 0 else "")
    n = len(rule.parts)
    if prorated:
        return f"prorated from {n - int(lost.sum())} of {n} items: {text}"
    return f"no score: {text}"
