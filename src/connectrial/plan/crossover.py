"""The crossover form: each row of a model with its treatment, period and sequence."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from connectrial.errors import InputError
from connectrial.plan.survey import Survey
from connectrial.study import Study
from connectrial.study_model_checks import CROSSOVER_VARIABLES
from connectrial.trial.periods import Periods, assign_periods


def plan_periods(
    study: Study, survey: Survey, subjects: pd.DataFrame, problems: list[str], notes: list[str]
) -> Periods | None:
    """Read the order of treatments and leave out patients who were given none.

    Parameters
    ----------
    study : Study
        Treatments, and the columns that hold their order.
    survey : Survey
        The participants table.
    subjects : DataFrame
        Everybody; gains ``sequence``, and ``included`` and ``reason`` of those without treatment
        are changed in place.
    problems, notes : list of str
        Are added to.

    Returns
    -------
    Periods or None
        None outside crossovers, and where the table is of no use.
    """
    order = study.design.order
    if not study.is_crossover or order is None:
        return None
    table = survey.participants
    absent = [name for name in order.columns if name not in table]
    if absent:
        if table.shape[1] > 0 or not survey.problems:
            known = ", ".join(map(repr, map(str, table.columns))) or "no columns"
            problems.append(
                f"[design] order.columns: the participants table has no column {absent[0]!r}; it has "
                f"{known}"
            )
        subjects["sequence"] = pd.Series([np.nan] * len(subjects), dtype="object")
        return None
    given = table[list(order.columns)].astype("object").reindex(subjects["subject"])
    try:
        periods = assign_periods(given, treatments=study.design.treatments, codes=order.codes)
    except InputError as error:
        problems += [f"[design] order: {problem}" for problem in error.problems]
        subjects["sequence"] = pd.Series([np.nan] * len(subjects), dtype="object")
        return None
    subjects["sequence"] = periods.sequence.to_numpy()
    groups = study.groups
    is_control = (
        pd.Series(data=False, index=subjects.index)
        if groups is None
        else subjects["group"] != groups.patients
    )
    why = subjects["subject"].astype(str).map(periods.reasons)
    lost = why.notna() & subjects["included"] & ~is_control
    subjects["reason"] = subjects["reason"].where(~lost, why)
    subjects["included"] = subjects["included"] & ~lost
    notes += periods.notes
    return periods


def with_treatments(rows: pd.DataFrame, *, study: Study, periods: Periods | None) -> pd.DataFrame:
    """Put treatment and period beside rows whose ``visit`` is a place of a crossover.

    Parameters
    ----------
    rows : DataFrame
        ``subject``, ``visit`` (name of a place), and more.
    study : Study
        Its places.
    periods : Periods or None
        When each person was given what.

    Returns
    -------
    DataFrame
        The same rows; ``place`` is what ``visit`` was, ``visit`` the protocol's visit;
        ``treatment`` and ``period`` are missing at visits that all periods have in common.
    """
    places = {place.name: place for place in study.places}
    names = rows["visit"].astype(str)
    found = [places.get(name) for name in names]
    treatment = [None if place is None else place.treatment for place in found]
    numbers: dict[tuple[str, str], float] = {}
    if periods is not None:
        numbers = {
            (str(subject), str(name)): float(value)
            for name in periods.period.columns
            for subject, value in zip(
                periods.period.index, periods.period[name].to_numpy(dtype=np.float64), strict=True
            )
        }
    period: list[str | float] = []
    for subject, name in zip(rows["subject"].astype(str), treatment, strict=True):
        number = np.nan
        if name is not None:
            number = numbers.get((subject, name), np.nan)
        period.append(str(int(number)) if np.isfinite(number) else np.nan)
    return rows.assign(
        place=names.to_numpy(),
        visit=[name if one is None else one.visit for name, one in zip(names, found, strict=True)],
        treatment=pd.Series(treatment, index=rows.index, dtype="object"),
        period=pd.Series(period, index=rows.index, dtype="object"),
    )


def within_treatments(
    rows: pd.DataFrame, variables: Collection[str], notes: list[str]
) -> pd.DataFrame:
    """Keep the rows that a model of treatments is about: those that belong to a treatment.

    Parameters
    ----------
    rows : DataFrame
        From `with_treatments`.
    variables : collection of str
        Of the model.
    notes : list of str
        Is told who is left out, and why.
    """
    if not {"treatment", "period"} & set(variables):
        return rows
    common = rows["treatment"].isna()
    if common.any():
        visits = ", ".join(dict.fromkeys(rows.loc[common, "visit"].astype(str)))
        notes.append(
            f"observations at {visits} belong to no treatment: all periods have them in common, so "
            "they are no rows of the model"
        )
    unknown = ~common & rows["period"].isna()
    for subject, mine in rows.loc[unknown].groupby("subject", sort=False):
        notes.append(
            f"sub-{subject}: observations at {', '.join(mine['place'])} are left out: the table says "
            "that this treatment was never given"
        )
    return rows.loc[~common & ~unknown]


def baselines(
    scores: pd.DataFrame, rows: pd.DataFrame, *, study: Study, baseline: str
) -> pd.DataFrame:
    """Find the baseline of every row of a crossover: common, or of the row's own period.

    Parameters
    ----------
    scores : DataFrame
        ``subject``, ``visit`` (place), ``score`` of one scale.
    rows : DataFrame
        From `with_treatments`; one per observation.
    study : Study
        Places, and the visit that may stand for a later period's baseline.
    baseline : str
        The visit of the baseline. Where each treatment has it, each period has its own.

    Returns
    -------
    DataFrame
        Aligned with `rows`: ``baseline``, and where the design names a stand-in,
        ``period_baseline``: in period 1 the baseline, later the score at that visit of the period
        before.
    """
    score = scores.assign(visit=scores["visit"].astype(str)).set_index(["subject", "visit"])[
        "score"
    ]
    names = {place.name for place in study.places}
    treatment = rows["treatment"].astype("object")
    own = [
        f"{name} {baseline}"
        if isinstance(name, str) and f"{name} {baseline}" in names
        else baseline
        for name in treatment
    ]
    found = pd.DataFrame({"baseline": _look_up(score, rows["subject"], own)}, index=rows.index)
    stand_in = study.design.period_baseline
    if stand_in is None:
        return found
    given = {
        (str(subject), str(period)): str(name)
        for subject, period, name in zip(
            rows["subject"], rows["period"], rows["treatment"], strict=True
        )
        if not pd.isna(period)
    }
    before = []
    for subject, period in zip(rows["subject"], rows["period"], strict=True):
        earlier = "" if pd.isna(period) else str(int(period) - 1)
        name = given.get((str(subject), earlier))
        before.append("" if name is None else f"{name} {stand_in}")
    later = _look_up(score, rows["subject"], before)
    first = (rows["period"] == "1").to_numpy()
    found["period_baseline"] = np.where(first, found["baseline"], later)
    return found


def _look_up(score: pd.Series, subjects: pd.Series, places: list[str]) -> np.ndarray:
    keys = pd.MultiIndex.from_arrays([subjects.to_numpy(), places])
    return score.reindex(keys).to_numpy(dtype=np.float64)


#: What a reader of any crossover analysis must know (Freeman 1989, doi 10.1002/sim.4780081202).
CARRY_OVER = (
    "the effect of one period may carry over into the next; the data cannot tell this from a "
    "treatment effect that differs between periods, and a test for it decides nothing (Freeman 1989), so "
    "none is made: period 1 alone, free of carry-over, stands beside as sensitivity"
)


def crossover_notes(study: Study, variables: Collection[str], *, baseline: str | None) -> list[str]:
    """Say what the crossover means for an analysis of treatments."""
    if "treatment" not in variables:
        return []
    notes = [CARRY_OVER]
    common = [visit.name for visit in study.visit if not visit.by_treatment]
    if baseline in common and "baseline" in variables:
        notes.append(
            f"{baseline} is the baseline of both periods, since none was taken before the second: it "
            "adjusts for differences between people, not for where a period began"
        )
    missing = [name for name in CROSSOVER_VARIABLES[1:] if name not in variables]
    if missing:
        notes.append(f"the model has no {' and no '.join(missing)} effect")
    return notes
