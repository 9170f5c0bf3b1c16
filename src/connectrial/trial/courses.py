"""Outcomes over several visits: sustained response, time to an event, last value carried forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from connectrial.errors import InputError
from connectrial.trial.endpoints import remission, response

Event = Literal["response", "remission", "relapse"]


def sustained(
    scores: pd.DataFrame,
    *,
    scale: str,
    visit: str,
    until: str,
    baseline: str | None = None,
    min_percent_decrease: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    subjects: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Who met a rule at every visit from one to another.

    Parameters
    ----------
    scores : DataFrame
        Long table as in :mod:`connectrial.trial.endpoints`.
    scale : str
        The scale that decides.
    visit, until : str
        First and last visit at which the rule must hold; visits between them count if anybody has
        a score on the scale there.
    baseline : str, optional
        Visit of the baseline, for a decrease.
    min_percent_decrease, below, at_most : float
        The rule; exactly one, as for `response` and `remission`.
    subjects : sequence of str, optional
        Whom to ask about.

    Returns
    -------
    DataFrame
        One row per person: ``subject``, ``met`` (True, False or missing: one visit that fails
        settles it, a visit without a score leaves it open), ``reason``.

    Raises
    ------
    InputError
        If the table is malformed or a visit unknown.
    """
    names = list(scores["visit"].cat.categories)
    if until not in names or visit not in names or names.index(until) <= names.index(visit):
        raise InputError(f"until: {until!r} must be a visit after {visit!r}; they are {names}")
    have = set(scores.loc[(scores["scale"] == scale) & scores["score"].notna(), "visit"])
    between = names[names.index(visit) : names.index(until) + 1]
    wanted = [one for one in between if one in have or one in (visit, until)]
    tables = []
    for one in wanted:
        table = _met(
            scores,
            scale=scale,
            visit=one,
            baseline=baseline,
            min_percent_decrease=min_percent_decrease,
            below=below,
            at_most=at_most,
            subjects=subjects,
        )
        tables.append(table.set_index("subject"))
    met = pd.concat([one["met"] for one in tables], axis=1, keys=wanted)
    why = pd.concat([one["reason"] for one in tables], axis=1, keys=wanted)
    failed = (~met).fillna(value=False).any(axis=1)
    unknown = met.isna().any(axis=1) & ~failed
    reasons = [
        "; ".join(dict.fromkeys(text for text in texts if text)) if open_ else ""
        for texts, open_ in zip(why.to_numpy(), unknown, strict=True)
    ]
    result = (~failed).astype("boolean").where(~unknown)
    return pd.DataFrame(
        {"subject": met.index, "met": result.to_numpy(dtype=object), "reason": reasons}
    ).astype({"met": "boolean", "reason": "str"})


def _met(
    scores: pd.DataFrame,
    *,
    scale: str,
    visit: str,
    baseline: str | None,
    min_percent_decrease: float | None,
    below: float | None,
    at_most: float | None,
    subjects: Sequence[str] | None,
) -> pd.DataFrame:
    if min_percent_decrease is None:
        table = remission(
            scores, scale=scale, visit=visit, below=below, at_most=at_most, subjects=subjects
        )
        return table.rename(columns={"remission": "met"})
    if baseline is None:
        raise InputError("min_percent_decrease: needs 'baseline', the visit it decreases from")
    table = response(
        scores,
        scale=scale,
        baseline=baseline,
        visit=visit,
        min_percent_decrease=min_percent_decrease,
        subjects=subjects,
    )
    return table.rename(columns={"response": "met"})


def time_to_event(
    scores: pd.DataFrame,
    *,
    scale: str,
    event: Event,
    baseline: str,
    days: Mapping[str, float],
    min_percent_decrease: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    relapse_percent_decrease: float | None = None,
    subjects: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Days until a rule first holds, or until the last score of those in whom it never did.

    Parameters
    ----------
    scores : DataFrame
        Long table as in :mod:`connectrial.trial.endpoints`; a column ``day`` (days from the first
        dose), where it has a value, goes before `days`.
    scale : str
        The scale that decides.
    event : {"response", "remission", "relapse"}
        What is waited for. A relapse is waited for from the first response on, by responders alone.
    baseline : str
        Visit from which response and remission are timed.
    days : mapping of str to float
        Planned day of each visit.
    min_percent_decrease : float, optional
        Response: least decrease from baseline, percent.
    below, at_most : float, optional
        Remission: score below, or at or below, so many points.
    relapse_percent_decrease : float, optional
        Relapse: the decrease from baseline is smaller than so many percent.
    subjects : sequence of str, optional
        Whom to ask about.

    Returns
    -------
    DataFrame
        One row per person: ``subject``, ``time_days`` (missing where time cannot start),
        ``event`` (bool), ``visit`` (of the event or of the last score), ``reason`` (why there is no
        time, else empty). An event is known to the visit only: it came at that visit or some time
        after the one before.

    Raises
    ------
    InputError
        If the table is malformed or a visit unknown.
    """
    names = list(scores["visit"].cat.categories)
    if baseline not in names:
        raise InputError(f"baseline: got {baseline!r}; the visits are {names}")
    later = names[names.index(baseline) + 1 :]
    people = list(scores["subject"].unique() if subjects is None else subjects)
    mine = scores.loc[scores["scale"] == scale]
    score = mine.pivot_table(
        index="subject", columns="visit", values="score", observed=False, dropna=False
    ).reindex(index=people, columns=names)
    day = _days(mine, people, names, days)
    base = score[baseline].to_numpy(dtype=np.float64)
    rows = []
    for i, person in enumerate(people):
        values = score.loc[person, later].to_numpy(dtype=np.float64)
        times = day.loc[person, later].to_numpy(dtype=np.float64)
        start = float(day.loc[person, baseline])
        if event == "remission":
            holds = values < below if below is not None else values <= (at_most or 0.0)
            reason = ""
        else:
            assert min_percent_decrease is not None  # noqa: S101 - the caller has seen to it
            decrease = 100 * (base[i] - values) / base[i] if base[i] > 0 else values * np.nan
            holds = decrease >= min_percent_decrease - 1e-9
            reason = "" if base[i] > 0 else f"no score above 0 at {baseline}"
        first = int(np.argmax(holds)) if holds.any() else None
        known = np.isfinite(values)
        if event == "relapse" and not reason:
            if first is None:
                reason = "did not respond"
            else:
                assert relapse_percent_decrease is not None  # noqa: S101
                start, known = float(times[first]), known & (np.arange(len(values)) > first)
                holds = known & (decrease < relapse_percent_decrease - 1e-9)
                first = int(np.argmax(holds)) if holds.any() else None
        if not reason and not known.any():
            reason = "no score after " + ("the response" if event == "relapse" else baseline)
        if reason:
            rows.append((person, np.nan, False, "", reason))
            continue
        at = first if first is not None else int(np.flatnonzero(known)[-1])
        rows.append((person, float(times[at] - start), first is not None, later[at], ""))
    return pd.DataFrame(rows, columns=["subject", "time_days", "event", "visit", "reason"])


def _days(
    mine: pd.DataFrame, people: list[str], names: list[str], days: Mapping[str, float]
) -> pd.DataFrame:
    planned = pd.DataFrame({name: [days.get(name, np.nan)] * len(people) for name in names})
    planned.index = pd.Index(people)
    if "day" not in mine or mine["day"].isna().all():
        return planned
    own = mine.pivot_table(
        index="subject", columns="visit", values="day", observed=False, dropna=False
    ).reindex(index=people, columns=names)
    return own.where(own.notna(), planned)


def carry_forward(scores: pd.DataFrame, *, scale: str, visits: Sequence[str]) -> pd.DataFrame:
    """Fill each person's missing scores with the last one before, and mark them.

    Parameters
    ----------
    scores : DataFrame
        Long table as in :mod:`connectrial.trial.endpoints`.
    scale : str
        The scale that is filled.
    visits : sequence of str
        Visits in order; the first one's score may be carried on, nothing is carried back.

    Returns
    -------
    DataFrame
        Rows of this scale at these visits, one per person and visit that has a score now, with the
        column ``carried_from`` (visit the score came from; empty where it is the visit's own).
    """
    mine = scores.loc[(scores["scale"] == scale) & scores["visit"].isin(list(visits))]
    have = mine.loc[mine["score"].notna(), ["subject", "visit", "score"]]
    by_person = {str(s): dict(zip(g["visit"].astype(str), g["score"], strict=True))
                 for s, g in have.groupby("subject", sort=False)}  # fmt: skip
    rows = []
    for person, known in by_person.items():
        last: tuple[str, float] | None = None
        for visit in visits:
            if visit in known:
                last = (visit, float(known[visit]))
                rows.append((person, visit, scale, last[1], ""))
            elif last is not None:
                rows.append((person, visit, scale, last[1], last[0]))
    table = pd.DataFrame(rows, columns=["subject", "visit", "scale", "score", "carried_from"])
    table["visit"] = pd.Categorical(
        table["visit"], categories=scores["visit"].cat.categories, ordered=True
    )
    return table
