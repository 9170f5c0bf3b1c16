"""Safety: side effects by arm and visit, courses of safety scales, vital signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from connectrial.errors import ConnectrialError
from connectrial.plan import Plan, PlannedAnalysis
from connectrial.results import Result
from connectrial.run.analysing import base_cells, result_of, tidy_cells
from connectrial.stats.logistic import fit_firth
from connectrial.stats.proportions import proportion
from connectrial.study_trial import SafetySection
from connectrial.trial.endpoints import change_from_baseline
from connectrial.trial.safety import count_events, worst_of_person
from connectrial.trial.summaries import observed_means


def analyse_side_effects(plan: PlannedAnalysis, arms: Sequence[str]) -> Result:
    """Return the incidence of each side effect over all visits, and what any of them goes with."""
    section = plan.section
    assert isinstance(section, SafetySection)  # noqa: S101 - planned so
    by = ["arm"] if arms and "arm" in plan.rows and plan.rows["arm"].notna().any() else []
    counts = _with_intervals(count_events(plan.rows, present_from=section.present_from, by=by))
    rows: list[dict[str, Any]] = []
    for one in counts.to_dict("records"):
        suffix = f", {one['arm']}" if by else ""
        rows.append(
            base_cells(plan, n_subjects=one["n_people"], n_observations=one["n_people"])
            | {
                "kind": "proportion",
                "unit": "proportion",
                "term": f"{one['event']}{suffix}",
                "estimate": one["n_with"] / one["n_people"],
                "ci_level": 0.95,
                "ci_low": one["ci_low"] / 100,
                "ci_high": one["ci_high"] / 100,
            }
        )
    worst = worst_of_person(plan.rows, present_from=section.present_from)
    anybody = worst.groupby("subject")["present"].any()
    notes: list[str] = []
    for variable in section.exposure:
        rows += _firth(plan, anybody, variable, notes)
    fitted = (
        f" Any side effect was regressed on {', '.join(section.exposure)} by Firth's penalised "
        "logistic regression."
        if section.exposure
        else ""
    )
    return result_of(
        plan,
        rows,
        methods="People with each side effect were counted once, with Wilson's 95 % intervals."
        + fitted,
        citations=("wilson1927", *(("firth1993",) if section.exposure else ())),
        notes=notes,
    )


def _firth(
    plan: PlannedAnalysis, anybody: pd.Series, variable: str, notes: list[str]
) -> list[dict[str, Any]]:
    people = plan.rows.drop_duplicates("subject").set_index("subject")
    table = pd.DataFrame({"any": anybody.astype(float), variable: people[variable]}).dropna()
    if isinstance(table[variable].dtype, pd.CategoricalDtype):
        table[variable] = table[variable].cat.remove_unused_categories()
    try:
        fit = fit_firth(f"any ~ {variable}", table)
    except ConnectrialError as error:
        notes += [f"any side effect on {variable}: not done: {p}" for p in error.problems]
        return []
    rows = []
    for term, row in fit.estimates.iterrows():
        if term == "Intercept":
            continue
        cells = tidy_cells(row) | {
            "kind": "odds ratio",
            "estimate": row["odds_ratio"],
            "ci_low": row["odds_ratio_ci_low"],
            "ci_high": row["odds_ratio_ci_high"],
        }
        # The standard error is that of the logarithm, not of the estimate that stands here.
        cells |= {"term": f"any side effect on {term}", "unit": "odds ratio", "se": np.nan}
        rows.append(base_cells(plan) | cells)
    return rows


def _with_intervals(counts: pd.DataFrame) -> pd.DataFrame:
    """Add percentages with Wilson's interval."""
    numbers = counts[["n_with", "n_people"]].to_numpy(dtype=int)
    found = [proportion(int(yes), int(n)).iloc[0] for yes, n in numbers]
    return counts.assign(
        percent=[100 * row["estimate"] for row in found],
        ci_low=[100 * row["ci_low"] for row in found],
        ci_high=[100 * row["ci_high"] for row in found],
    )


def safety_tables(plan: Plan) -> dict[str, pd.DataFrame]:
    """Return the tables of the safety section: incidence by arm and visit, severity, courses.

    Parameters
    ----------
    plan : Plan
        With its people.
    """
    section = plan.study.safety
    if section is None:
        return {}
    tables: dict[str, pd.DataFrame] = {}
    planned = [one for one in plan.analyses if one.what == "safety" and not one.problems]
    by = ["arm"] if plan.study.arms is not None else []
    for one in planned:
        rows = one.rows.loc[one.rows["arm"].notna()] if by else one.rows
        counts = count_events(rows, present_from=section.present_from, by=[*by, "visit"])
        tables["adverse_events"] = _with_intervals(counts)
        worst = worst_of_person(one.rows, present_from=section.present_from)
        tables["worst_severity"] = worst.sort_values(["event", "subject"]).reset_index(drop=True)
    courses = [_course(plan, scale, baseline=None) for scale in section.courses]
    changes = [_course(plan, scale, baseline=section.baseline) for scale in section.vital_signs]
    for name, found in (("safety_courses", courses), ("vital_signs", changes)):
        if found:
            tables[name] = pd.concat(found, ignore_index=True)
    return tables


def _course(plan: Plan, scale: str, *, baseline: str | None) -> pd.DataFrame:
    """Return observed means of a scale, or of its change, by visit and arm."""
    section = plan.study.safety
    assert section is not None  # noqa: S101 - the caller has seen to it
    people = plan.people
    mine = people.scores.loc[people.scores["scale"] == scale].reset_index(drop=True)
    if section.analysis_set is not None:
        members = people.sets.get(section.analysis_set, frozenset())
        mine = mine.loc[mine["subject"].isin(members)].reset_index(drop=True)
    value = "score"
    if baseline is not None and len(mine):
        mine, value = change_from_baseline(mine, baseline=baseline), "change"
    subjects = people.subjects.loc[people.subjects["included"]]
    joined = mine.merge(
        subjects.drop(columns=["included", "reason"]), on="subject", suffixes=("", "_of_person")
    )
    by = None
    if plan.study.arms is not None:
        by = "arm"
        levels = list(plan.study.arms.levels)
        joined["arm"] = pd.Categorical(joined["arm"], categories=levels, ordered=True)
    means = observed_means(joined, value=value, by=by)
    return means.assign(scale=scale, unit=plan.study.scales[scale].unit)
