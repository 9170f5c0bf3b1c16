"""Recognising a crossover: sessions named after treatments, and columns with their order."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from connectrial.run.draft_people import DraftPeople, LevelColumn
from connectrial.run.draft_protocol import MIN_PEOPLE, ModelPlan
from connectrial.run.draft_text import counted
from connectrial.run.draft_visits import COURSE, DraftVisit, find_codes, read_session_label

_REFERENCE = frozenset(["placebo", "saline", "sham", "control", "vehicle", "midazolam", "nacl"])
_DAYS = {"minute": 1 / 1440, "hour": 1 / 24, "day": 1.0, "week": 7.0, "month": 365.25 / 12}
_TIME = re.compile(r"(?P<number>\d+)\s*(?P<unit>minute|hour|day|week|month)s?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftCrossover:
    """What a crossover seems to be.

    Attributes
    ----------
    treatments : tuple of str
        The reference first.
    codes : mapping of str to str
        Cell of the order's columns -> treatment.
    columns : tuple of str
        Columns with the treatment of each period.
    sessions : mapping
        Visit -> treatment -> sessions, of the visits that each treatment has.
    known_reference : bool
        Whether a treatment is named as a reference is.
    """

    treatments: tuple[str, ...]
    codes: Mapping[str, str]
    columns: tuple[str, ...]
    sessions: Mapping[str, Mapping[str, tuple[str, ...]]]
    known_reference: bool


def find_crossover(
    people: DraftPeople, visits: Sequence[DraftVisit], meanings: Mapping[str, str]
) -> tuple[tuple[DraftVisit, ...], DraftCrossover | None]:
    """Join the sessions of a visit under each treatment, where the order of treatments is stated.

    Parameters
    ----------
    people : DraftPeople
        With the columns that name the treatment of each period.
    visits : sequence of DraftVisit
        As labels and days tell them.
    meanings : mapping of str to str
        What a data dictionary says of a session.

    Returns
    -------
    visits : tuple of DraftVisit
        Changed where a crossover was found.
    crossover : DraftCrossover or None
        None where sessions do not bear the codes that the columns have.
    """
    labels = [label for visit in visits for label in visit.labels]
    coded = find_codes(labels)
    codes = {code for column in people.order for code in column.counts}
    if len(people.order) < 2 or len(codes) < 2 or {c.lower() for c in codes} != set(coded):
        return tuple(visits), None
    names = {code: _named(code, people.order) for code in sorted(codes)}
    if len(set(names.values())) < len(names):
        return tuple(visits), None
    reference = next((c for c, name in names.items() if set(name.split()) & _REFERENCE), None)
    first = reference or min(names)
    treatments = (names[first], *(name for code, name in names.items() if code != first))
    treatment_of = {label: names[c] for c in codes for label in coded[c.lower()]}
    joined, sessions = _join(visits, treatment_of, meanings)
    return joined, DraftCrossover(
        treatments=treatments,
        codes=names,
        columns=tuple(column.column for column in people.order),
        sessions={
            visit: {name: found[name] for name in treatments if name in found}
            for visit, found in sessions.items()
        },
        known_reference=reference is not None,
    )


def _named(code: str, columns: Sequence[LevelColumn]) -> str:
    """Return what a code stands for, as far as the data dictionary says it in a word or three."""
    for column in columns:
        meaning = column.meanings.get(code, "").strip()
        if meaning and len(meaning.split()) <= 3:
            return meaning.lower()
    return code


def _join(
    visits: Sequence[DraftVisit], treatment_of: Mapping[str, str], meanings: Mapping[str, str]
) -> tuple[tuple[DraftVisit, ...], dict[str, dict[str, tuple[str, ...]]]]:
    common = [visit for visit in visits if not set(visit.labels) & set(treatment_of)]
    by_number: dict[float, list[DraftVisit]] = defaultdict(list)
    for visit in visits:
        if visit not in common:
            by_number[read_session_label(visit.labels[0]).number or 0.0].append(visit)
    joined, sessions = [], {}
    for number, group in sorted(by_number.items()):
        labels = [label for visit in group for label in visit.labels]
        name, day = _time_of(labels, meanings) or (f"session {number:g}", None)
        taken: dict[str, list[str]] = defaultdict(list)
        for label in labels:
            taken[treatment_of[label]].append(label)
        joined.append(
            DraftVisit(
                name=name,
                sessions=tuple(label for visit in group for label in visit.sessions),
                score_sessions=tuple(label for visit in group for label in visit.score_sessions),
                stage=COURSE,
                day=day,
                day_from="from the data dictionary" if day is not None else "",
            )
        )
        sessions[name] = {treatment: tuple(found) for treatment, found in taken.items()}
    before = [visit for visit in common if visit.stage < COURSE]
    after = [visit for visit in common if visit.stage >= COURSE]
    # Days of visits that follow other clocks than the periods' would run against their order.
    plain = [replace(v, day=None) if v.day is not None and v.day > 0 else v for v in after]
    return (*before, *joined, *plain), sessions


def _time_of(labels: Sequence[str], meanings: Mapping[str, str]) -> tuple[str, float] | None:
    found = {
        (match["number"], match["unit"].lower())
        for label in labels
        for match in [_TIME.search(meanings.get(label, ""))]
        if match
    }
    if len(found) != 1:
        return None
    number, unit = found.pop()
    return f"{unit} {number}", round(int(number) * _DAYS[unit], 3)


def crossover_model(crossover: DraftCrossover) -> ModelPlan:
    """Return the model of treatments within people."""
    several = len(crossover.sessions) > 1
    terms = ("treatment", "visit", "treatment:visit") if several else ("treatment",)
    return ModelPlan(
        name="crossover",
        fixed=(*terms, "period", "sequence"),
        tests=("treatment", "treatment:visit") if several else ("treatment",),
        question="does it differ between the treatments, within people?",
        one_column=len(crossover.treatments) == 2,
        random=("1 | subject", "1 | subject:period") if several else ("1 | subject",),
    )


def why_not_crossed(rows: pd.DataFrame, crossover: DraftCrossover) -> str:
    """Say why treatments cannot be compared within people; "" if they can.

    Parameters
    ----------
    rows : DataFrame
        ``subject`` and ``session``, one row per observation.
    crossover : DraftCrossover
        Which session belongs to which treatment.

    Returns
    -------
    str
    """
    treatment_of = {
        label: treatment
        for found in crossover.sessions.values()
        for treatment, labels in found.items()
        for label in labels
    }
    given = rows.assign(treatment=rows["session"].map(treatment_of)).dropna(subset=["treatment"])
    if given.empty:
        return "nobody was seen under a treatment"
    both = int((given.groupby("subject")["treatment"].nunique() > 1).sum())
    if both < MIN_PEOPLE:
        return f"{counted(both, 'person was', 'people were')} seen under two treatments; a model needs more"
    return ""
