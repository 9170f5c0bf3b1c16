"""Guessing arms, patients and controls from the participants table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from connectrial.io.names import natural_key

MAX_LEVELS = 8
_HEALTHY = frozenset(
    [
        "hc",
        "healthy",
        "control",
        "controls",
        "ctrl",
        "ctl",
        "con",
        "hv",
        "nc",
        "comparison",
        "nonpatient",
        "nonpatients",
    ]
)
_REFERENCE = frozenset(
    [
        "placebo",
        "pbo",
        "plc",
        "sham",
        "saline",
        "vehicle",
        "inactive",
        "waitlist",
        "waiting",
        "tau",
        "usual",
    ]
)
_SURELY_HEALTHY = frozenset(["hc", "hv", "healthy"])
_TREATED = frozenset(
    ["treatment", "treated", "active", "intervention", "experimental", "drug", "verum"]
)
_ARM = re.compile(
    r"(study_?)?arms?|treatment(_?(arm|group))?|trt\d*[ap]?|randomi[sz](ation|ed)(_?(arm|group|to))?"
    r"|allocation|assigned_?(arm|treatment)|intervention"
)
_GROUP = re.compile(
    r"(participant_?|clinical_?|study_?|subject_?)?groups?|diagnos[ie]s|dx|diag|cohort"
    r"|case_?control|(participant|subject)_?type"
)
_NUMBERED = re.compile(
    r"(?P<stem>infusion|treatment|drug|period|intervention|condition|trt|tx|dose|phase)[ _]?\d"
)
_SEQUENCE = re.compile(r"(treatment_?|randomi[sz]ation_?|infusion_?)?(sequence|order)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelColumn:
    """A column of the participants table whose cells are levels.

    Attributes
    ----------
    column : str
        Its name.
    counts : mapping of str to int
        People by level, in natural order.
    reference : str or None
        The level that looks like placebo or control.
    meanings : mapping of str to str
        What the data dictionary says of the levels.
    """

    column: str
    counts: Mapping[str, int]
    reference: str | None
    meanings: Mapping[str, str]

    @property
    def ordered(self) -> tuple[str, ...]:
        """Levels, the reference first."""
        return tuple(sorted(self.counts, key=lambda level: level != self.reference))

    @property
    def described(self) -> str:
        """Levels with their counts, and their meaning where a dictionary gives one."""
        return ", ".join(
            f"{level} {n}" + (f" ({self.meanings[level]})" if level in self.meanings else "")
            for level, n in self.counts.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftPeople:
    """What the participants table seems to say.

    Attributes
    ----------
    arms, groups : LevelColumn or None
        Column of the arm; of patients and controls.
    undecided : LevelColumn or None
        A column that could be either.
    order : tuple of LevelColumn
        Columns that name the treatment of each period of a crossover.
    numbers, factors : tuple of str
        Further columns that a model could use.
    """

    arms: LevelColumn | None = None
    groups: LevelColumn | None = None
    undecided: LevelColumn | None = None
    order: tuple[LevelColumn, ...] = ()
    numbers: tuple[str, ...] = ()
    factors: tuple[LevelColumn, ...] = ()

    @property
    def patients(self) -> str | None:
        """The most frequent level of `groups` that is no control."""
        if self.groups is None:
            return None
        others = {k: n for k, n in self.groups.counts.items() if k != self.groups.reference}
        return max(others, key=lambda level: others[level])


def guess_people(people: pd.DataFrame, dictionary: Mapping[str, object]) -> DraftPeople:
    """Find the columns that tell arms, patients and controls.

    Parameters
    ----------
    people : pandas.DataFrame
        Indexed by subject; text, missing as NA.
    dictionary : mapping
        The data dictionary beside the table.

    Returns
    -------
    DraftPeople
        A name decides together with the levels: a column ``group`` with a level ``placebo`` holds
        arms, one with ``HC`` patients and controls.
    """
    columns = [_levels(people, str(name), dictionary) for name in people.columns]
    levels = [one for one in columns if one is not None]
    order = _order_columns(levels)
    free = [one for one in levels if one not in order and len(one.counts) > 1]
    arms = _first(free, lambda c: _is_named(c, _ARM) and _find(c, _SURELY_HEALTHY) is None)
    arms = arms or _first(free, _has_arms)
    rest = [one for one in free if one is not arms]
    groups = _first(rest, lambda c: _is_named(c, _GROUP) and _find(c, _HEALTHY) is not None)
    groups = groups or _first(rest, lambda c: _find(c, _SURELY_HEALTHY) is not None)
    undecided = None
    if arms is None and groups is None:
        undecided = _first(free, lambda c: _is_named(c, _GROUP) or _is_named(c, _ARM))
    used = {one.column for one in (arms, groups, undecided, *order) if one is not None}
    return DraftPeople(
        arms=_with_reference(arms, _REFERENCE | _HEALTHY),
        groups=_with_reference(groups, _HEALTHY),
        undecided=undecided,
        order=order,
        numbers=tuple(str(c) for c in people.columns if str(c) not in used and _numeric(people[c])),
        factors=tuple(c for c in free if c.column not in used and not _numeric(people[c.column])),
    )


def _levels(
    people: pd.DataFrame, name: str, dictionary: Mapping[str, object]
) -> LevelColumn | None:
    counts = people[name].dropna().value_counts()
    if not 0 < len(counts) <= MAX_LEVELS:
        return None
    entry = dictionary.get(name)
    told = entry.get("Levels") if isinstance(entry, dict) else None
    meanings = {}
    for level, text in told.items() if isinstance(told, dict) else ():
        text = text.get("Description", "") if isinstance(text, dict) else text
        if isinstance(text, str) and text and str(level) in counts.index:
            meanings[str(level)] = text
    ordered = sorted(map(str, counts.index), key=natural_key)
    return LevelColumn(
        column=name,
        counts={level: int(counts[level]) for level in ordered},
        reference=None,
        meanings=meanings,
    )


def _first(
    columns: Sequence[LevelColumn], test: Callable[[LevelColumn], bool]
) -> LevelColumn | None:
    return next((one for one in columns if test(one)), None)


def _is_named(column: LevelColumn, pattern: re.Pattern[str]) -> bool:
    return pattern.fullmatch(column.column.strip().lower().replace(" ", "_")) is not None


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def _find(column: LevelColumn, words: frozenset[str]) -> str | None:
    """Return the level that bears one of the words; its meaning counts only if no label does."""
    for texts in ({level: level for level in column.counts}, column.meanings):
        hits = [level for level in column.counts if _words(texts.get(level, "")) & words]
        if hits:
            return max(hits, key=lambda level: column.counts[level])
    return None


def _has_arms(column: LevelColumn) -> bool:
    """Tell whether the levels are arms: a placebo, or a control beside a treatment."""
    if _find(column, _REFERENCE) is not None:
        return True
    control = _find(column, _HEALTHY - _SURELY_HEALTHY)
    others = [level for level in column.counts if level != control]
    return control is not None and any(_words(level) & _TREATED for level in others)


def _with_reference(column: LevelColumn | None, words: frozenset[str]) -> LevelColumn | None:
    if column is None:
        return None
    return LevelColumn(
        column=column.column,
        counts=column.counts,
        reference=_find(column, words & _REFERENCE) or _find(column, words),
        meanings=column.meanings,
    )


def _order_columns(columns: Sequence[LevelColumn]) -> tuple[LevelColumn, ...]:
    stems: dict[str, list[LevelColumn]] = {}
    found = []
    for column in columns:
        name = column.column.strip().lower()
        match = _NUMBERED.fullmatch(name)
        if match:
            stems.setdefault(match["stem"], []).append(column)
        elif _SEQUENCE.fullmatch(name):
            found.append(column)
    return tuple(found + [one for group in stems.values() if len(group) > 1 for one in group])


def _numeric(column: pd.Series) -> bool:
    cells = column.dropna()
    return bool(len(cells)) and bool(pd.to_numeric(cells, errors="coerce").notna().all())
