"""Guessing which columns of the clinical tables are totals of scales."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from connectrial.io.names import natural_key

_TOTAL = re.compile(r"(^|[_ .-])(total|tot|sum|score|totalscore)$", re.IGNORECASE)
_ITEM = re.compile(r"(?P<stem>.*?)[ _.-]*(item|q|i)?[ _.-]*\d+[a-z]?", re.IGNORECASE)
_NO_SCALE = re.compile(
    r"(.*[_ .-])?(age|sex|gender|bmi|weight|height|site|date|day|days|time|year|years|education|iq"
    r"|dose|id|index|run|visit|visitnum|avisitn|scanner|handedness|fd|acq_time)([_ .-].*)?",
    re.IGNORECASE,
)
_HIGHER = re.compile(r"(sofas|gaf|gas|cgas|moca|mmse|qol|sf-?36|qles|teps|who-?5|functioning)")
_MIN_SIBLINGS = 4  # so many numbered columns of one stem are items


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftScale:
    """A scale as the tables suggest it.

    Attributes
    ----------
    name, column : str
        What the study calls it; what the table does.
    file : str
        Where it stands.
    low, high : float
        Observed range.
    n_values, n_people : int
        Numbers there are, and from how many people.
    sessions : tuple of str
        Sessions with a number.
    better : {"lower", "higher"}
        Which way improvement lies.
    is_change : bool
        Whether the name says that the numbers are changes.
    unit : str
        Of the numbers.
    """

    name: str
    column: str
    file: str
    low: float
    high: float
    n_values: int
    n_people: int
    sessions: tuple[str, ...]
    better: str
    is_change: bool
    unit: str


def draft_scales(scores: pd.DataFrame) -> tuple[tuple[DraftScale, ...], tuple[str, ...]]:
    """Find the columns that look like totals.

    Parameters
    ----------
    scores : pandas.DataFrame
        As :func:`connectrial.io.clinical.read_scores` returns it.

    Returns
    -------
    scales : tuple of DraftScale
        In the order of the tables.
    others : tuple of str
        Numeric columns that look like items, or stand beside totals.
    """
    at_visits = scores.loc[scores["session"].notna() & scores["value"].notna()]
    numeric: dict[str, list[str]] = defaultdict(list)
    for variable, cells in at_visits.groupby("variable", sort=False):
        file = re.sub(r"^sub-[^/]*/sub-.*_sessions", "sub-*/sub-*_sessions", cells["file"].iloc[0])
        mostly = cells["number"].notna().mean() >= 0.8  # a few odd cells do not make it words
        if mostly and cells["number"].nunique() > 1 and not _NO_SCALE.fullmatch(str(variable)):
            numeric[file].append(str(variable))
    chosen: list[tuple[str, str]] = []
    others: list[str] = []
    for file, variables in numeric.items():
        totals = _totals(variables)
        chosen += [(file, variable) for variable in totals]
        others += [variable for variable in variables if variable not in totals]
    names = _names([variable for _, variable in chosen])
    scales = []
    for (file, variable), name in zip(chosen, names, strict=True):
        mine = at_visits.loc[(at_visits["variable"] == variable) & at_visits["number"].notna()]
        scales.append(_scale(name, variable, file, mine))
    return tuple(scales), tuple(others)


def _totals(variables: Sequence[str]) -> list[str]:
    items = _items(variables)
    left = [variable for variable in variables if variable not in items]
    totals = [variable for variable in left if _TOTAL.search(variable)]
    # Beside its items, or in a long table, only what is called a total is one.
    return totals if totals and (items or len(left) > 6) else left


def _items(variables: Collection[str]) -> set[str]:
    stems: dict[str, list[str]] = defaultdict(list)
    for variable in variables:
        match = _ITEM.fullmatch(variable)
        if match:
            stems[match["stem"].lower()].append(variable)
    return {v for group in stems.values() if len(group) >= _MIN_SIBLINGS for v in group}


def _names(variables: Sequence[str]) -> list[str]:
    """Return MADRS for MADRS_Total, unless two columns would then bear one name."""
    short = [_TOTAL.sub("", variable).strip() or variable for variable in variables]
    plain = [
        name if short.count(name) == 1 and name not in variables else variable
        for name, variable in zip(short, variables, strict=True)
    ]
    return [
        name if plain.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(plain, start=1)
    ]


def _scale(name: str, variable: str, file: str, rows: pd.DataFrame) -> DraftScale:
    words = set(re.split(r"[^a-z0-9]+", variable.lower()))
    is_change = bool(words & {"change", "chg", "delta", "diff", "difference"})
    unit = "points"
    if words & {"z", "zscore", "zscores"}:
        unit = "SD of change" if is_change else "SD"
    elif words & {"pct", "percent", "perc"}:
        unit = "percent"
    return DraftScale(
        name=name,
        column=variable,
        file=file,
        low=float(rows["number"].min()),
        high=float(rows["number"].max()),
        n_values=len(rows),
        n_people=int(rows["subject"].nunique()),
        sessions=tuple(sorted(rows["session"].unique().astype(str), key=natural_key)),
        better="higher" if _HIGHER.match(variable.lower()) else "lower",
        is_change=is_change,
        unit=unit,
    )
