"""Correlations of scores with network FC, with other scores and with variables: who has both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from connectrial.plan.designs import scan_rows, who_enters
from connectrial.plan.outcomes import clinical_rows
from connectrial.plan.people import People
from connectrial.plan.planned import PlannedAnalysis, estimand_of
from connectrial.study import CorrelationSection, Study

_FEWEST = 4  # people that a correlation needs


def plan_correlations(study: Study, people: People) -> list[PlannedAnalysis]:
    """Lay out every ``[[correlation]]``.

    The rows of each hold ``subject``, ``visit``, ``y`` (the scale), ``x`` (what it is correlated
    with; missing where that is network FC, which is not known yet) and the covariates.
    """
    return [_plan_one(study, people, section) for section in study.correlation]


def _plan_one(study: Study, people: People, section: CorrelationSection) -> PlannedAnalysis:
    repeated = section.method == "repeated measures"
    visits = [v for v in (section.baseline, section.visit) if v is not None]
    if repeated:
        visits = list(section.visits or study.visits)
    scored = people.scores.loc[people.scores["visit"].astype(str).isin(visits)]
    own = clinical_rows(study, people, scored.loc[scored["scale"] == section.scale], baseline=None)
    rows, who = who_enters(study, people, own, section.who, section.analysis_set)
    rows = rows.loc[rows["score"].notna()].reset_index(drop=True)
    rows = rows.rename(columns={"score": "y"}).assign(x=_other(section, rows, scored))
    columns = ["subject", "visit", "y", "x", *section.covariates]
    plan = PlannedAnalysis(
        name=section.name,
        title=section.name,
        what="correlation",
        role=section.role,
        family=section.family,
        outcome=section.scale,
        analysis_set=who,
        tests=(section.term,),
        rows=rows[list(dict.fromkeys(columns))],
        section=section,
        estimand=estimand_of(study, section.estimand),
    )
    complete = _complete(people, section, plan.rows, visits)
    n_subjects = int(complete["subject"].nunique())
    problem = (
        f"only {n_subjects} people have {section.scale} and {section.other}; a correlation needs "
        f"{_FEWEST}"
    )
    return replace(
        plan,
        n_subjects=n_subjects,
        n_observations=len(complete) if repeated else n_subjects,
        problems=(problem,) if n_subjects < _FEWEST else (),
    )


def _other(
    section: CorrelationSection, rows: pd.DataFrame, scores: pd.DataFrame
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return what stands beside the scale in each row, as far as it is known before the scans."""
    if section.variable is not None:
        return rows[section.variable].to_numpy(dtype=np.float64)
    if section.other_scale is None:
        return np.full(len(rows), np.nan)
    other = scores.loc[scores["scale"] == section.other_scale]
    keys = pd.MultiIndex.from_arrays([other["subject"].astype(str), other["visit"].astype(str)])
    wanted = pd.MultiIndex.from_arrays([rows["subject"].astype(str), rows["visit"].astype(str)])
    found = pd.Series(other["score"].to_numpy(dtype=np.float64), index=keys)
    return found[~found.index.duplicated()].reindex(wanted).to_numpy(dtype=np.float64)


def _complete(
    people: People, section: CorrelationSection, rows: pd.DataFrame, visits: list[str]
) -> pd.DataFrame:
    """Return the rows with both values, of people who have all that their correlation needs."""
    if section.hypothesis is not None:
        scans = scan_rows(people)[["subject", "visit"]].astype(str)
        have = pd.MultiIndex.from_frame(scans)
        keys = pd.MultiIndex.from_frame(rows[["subject", "visit"]].astype(str))
        rows = rows.loc[keys.isin(have)]
    else:
        rows = rows.loc[rows["x"].notna()]
    rows = rows.dropna(subset=list(section.covariates))
    times = rows.groupby("subject")["visit"].nunique()
    least = 2 if section.method == "repeated measures" else len(visits)
    return rows.loc[rows["subject"].isin(times.index[times >= least])]
