"""Exposure in a run: reading its files, describing it, and correlating it with change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from connectrial.data import FloatArray
from connectrial.errors import ConnectrialError, InputError
from connectrial.io.names import normalise_subject
from connectrial.io.regimens import RegimenFile, read_regimen, shipped_regimens
from connectrial.io.tables import read_table, to_numbers
from connectrial.plan import Plan, PlannedAnalysis
from connectrial.plan.exposure import unit_of
from connectrial.results import Result, tidy
from connectrial.stats.association import correlate
from connectrial.study import ExposureResponseSection, MeasuredSection, Study
from connectrial.trial.compartments import find_model
from connectrial.trial.pharmacokinetics import solve_checked

_CURVE_POINTS = 121
_FADING_H = 8.0
_AROUND_H = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # hours after a dose begins or ends
_MOST_EDGES = 80


def read_exposure(
    study: Study,
    known_subjects: set[str],
    problems: list[str],
    *,
    only: Sequence[str] | None = None,
) -> tuple[RegimenFile | None, tuple[pd.DataFrame, ...]]:
    """Read the dose plan and the samples that a study names.

    Parameters
    ----------
    study : Study
        With ``[exposure]`` or without.
    known_subjects : set of str
        Labels of the study's people.
    problems : list of str
        Is added to.
    only : sequence of str, optional
        Take the rows of these people alone.

    Returns
    -------
    regimen : RegimenFile or None
    samples : tuple of DataFrame
        One for each ``[[exposure.measured]]``: ``subject``, ``session``, ``time_h`` and the columns
        with concentrations, as text.
    """
    section = study.exposure
    if section is None:
        return None, ()
    regimen = None
    if section.regimen is not None:
        try:
            name: Any = section.regimen
            if name not in shipped_regimens():
                name = study.located(name, key="exposure.regimen")
            regimen = read_regimen(name)
        except ConnectrialError as error:
            problems += [f"[exposure] regimen: {text}" for text in error.problems]
    if regimen is not None and regimen.per_person:
        labels = regimen.doses["subject"].map(lambda one: _person(one, known_subjects))
        regimen = replace(regimen, doses=_of(regimen.doses.assign(subject=labels), only))
    samples = []
    for measured in section.measured:
        try:
            samples.append(_of(_read_samples(study, measured, known_subjects), only))
        except ConnectrialError as error:
            problems += [f"[[exposure.measured]] {text}" for text in error.problems]
    return regimen, tuple(samples) if len(samples) == len(section.measured) else ()


def _of(table: pd.DataFrame, only: Sequence[str] | None) -> pd.DataFrame:
    if only is None:
        return table
    wanted = {one.removeprefix("sub-") for one in only}
    return table.loc[table["subject"].isin(wanted)].reset_index(drop=True)


def _person(label: object, known: set[str]) -> object:
    return label if label is None or label is pd.NA else normalise_subject(str(label), known=known)


def _read_samples(study: Study, measured: MeasuredSection, known: set[str]) -> pd.DataFrame:
    table = read_table(study.located(measured.path, key="exposure.measured.path"))
    columns = [column for own in measured.columns.values() for column in own]
    asked = [measured.subject, *columns, *(c for c in (measured.time_h, measured.session) if c)]
    have = [str(name) for name in table.frame.columns]
    lacking = [name for name in asked if name not in have]
    if lacking:
        raise InputError(
            f"{table.path}: has no column {' and no '.join(map(repr, lacking))}; there are: {', '.join(have)}"
        )
    frame = table.frame[columns].copy()
    subject = table.frame[measured.subject]
    if subject.isna().any():
        row = int(table.rows[int(np.flatnonzero(subject.isna())[0])])
        raise InputError(
            f"{table.path}: row {row}, column {measured.subject!r} is empty; whose sample is it?"
        )
    frame["subject"] = [str(_person(one, known)) for one in subject]
    frame["session"] = None
    if measured.session is not None:
        frame["session"] = table.frame[measured.session].astype("object").str.removeprefix("ses-")
    frame["time_h"] = (
        np.nan if measured.time_h is None else to_numbers(table, measured.time_h).to_numpy()
    )
    return frame


def describe_exposure(plan: Plan, one: PlannedAnalysis) -> Result:
    """Return the mean of each measure of exposure, with the model and its source in words."""
    section = plan.study.exposure
    assert section is not None  # noqa: S101 - planned only with it
    rows: list[dict[str, Any]] = []
    dosed = plan.people.exposure
    by_visit = dosed.visit.loc[dosed.visit["subject"].isin(set(one.rows["subject"]))]
    # Means are over the dosed: zeros of a placebo arm would say nothing of the dose.
    for measure in section.measure:
        if measure.what != "at visit":
            groups = {measure.name: one.rows.set_index("subject")[measure.name]}
        elif measure.name in by_visit:
            groups = {
                f"{measure.name} at {place.name}": by_visit.loc[
                    by_visit["visit"] == place.name
                ].set_index("subject")[measure.name]
                for place in plan.study.places
                if place.treatment is None or place.treatment in section.treatments
            }
        else:
            groups = {}
        for term, values in groups.items():
            rows += [
                row
                for words, own, n_people in _by_arm(plan, one, term, values)
                for row in _mean_row(one, words, own.dropna(), unit_of(measure), n_people)
            ]
    uses_model = any(m.source == "model" for m in section.measure)
    model = find_model(section.model)
    return Result(
        name=one.name,
        title=one.title,
        role=one.role,
        what=one.what,
        outcome=one.outcome,
        estimates=tidy(rows),
        methods=_methods(plan) if uses_model else _measured_methods(plan),
        citations=model.citations if uses_model else (),
        notes=(*one.notes, *((model.assumption, *model.cautions) if uses_model else ())),
    )


def _dosed_arms(plan: Plan) -> list[str]:
    """Return the arms that got doses, in order; fewer than two tell no doses apart."""
    study, section = plan.study, plan.study.exposure
    if study.arms is None or section is None:
        return []
    return [arm for arm in study.arms.levels if not section.arms or arm in section.arms]


def _by_arm(
    plan: Plan, one: PlannedAnalysis, term: str, values: pd.Series
) -> list[tuple[str, pd.Series, int]]:
    """Split a measure by arm where arms got different doses: a mean over doses says nothing."""
    arms = _dosed_arms(plan)
    if len(arms) < 2 or "arm" not in plan.people.subjects:
        return [(term, values, len(one.rows))]
    arm_of = plan.people.subjects.set_index("subject")["arm"].astype(str)
    mine = arm_of.reindex(values.index).to_numpy()
    people = arm_of.reindex(one.rows["subject"]).to_numpy()
    return [(f"{term}, {arm}", values[mine == arm], int((people == arm).sum())) for arm in arms]


def _mean_row(
    one: PlannedAnalysis, term: str, values: pd.Series, unit: str, n_people: int
) -> list[dict[str, Any]]:
    if values.empty:
        return []
    n = len(values)
    low, high = _digits(float(values.min())), _digits(float(values.max()))
    sd = _digits(float(values.std(ddof=1))) if n > 1 else ""
    flags = [f"SD {sd}, range {low} to {high}" if n > 1 else "one person"]
    if n < n_people:
        lack = n_people - n
        flags.append(f"{lack} {'person' if lack == 1 else 'people'} without it")
    return [
        {
            "analysis": one.name,
            "role": one.role,
            "kind": "mean",
            "analysis_set": one.analysis_set,
            "outcome": one.outcome,
            "term": term,
            "estimate": float(values.mean()),
            "unit": unit,
            "declared": True,
            "n_subjects": n,
            "n_observations": n,
            "flags": "; ".join(flags),
        }
    ]


def _digits(value: float) -> str:
    """Print a number to three digits; what lies far below any assay is said to."""
    return "< 0.001" if 0 < value < _LEAST else f"{value:.3g}"


_LEAST = 0.001


def _methods(plan: Plan) -> str:
    section = plan.study.exposure
    assert section is not None  # noqa: S101 - planned only with it
    model = find_model(section.model)
    keys = ", ".join(f"@{key}" for key in model.citations)
    text = (
        f"Exposure was derived from the doses ({plan.survey.doses_title or section.regimen}) by the "
        f"compartment model {model.name} of {model.drug} in {model.population} ({keys}), solved exactly; "
        f"it assumes that {model.assumption}."
    )
    blocks = [one for one in section.measure if one.what == "average occupancy"]
    if blocks:
        text += " Receptor occupancy is assumed from the concentration; it was not measured."
    measured = _measured_methods(plan)
    return f"{text} {measured}".strip()


def _measured_methods(plan: Plan) -> str:
    section = plan.study.exposure
    if section is None or not section.measured:
        return ""
    rules = {"half": "half the limit", "zero": "zero", "missing": "missing"}
    used = " and ".join(dict.fromkeys(rules[one.below] for one in section.measured))
    return f"Measured concentrations below quantification counted as {used}; enantiomers were added up."


def correlate_exposure(plan: Plan, one: PlannedAnalysis, visit_fc: pd.DataFrame) -> Result:
    """Correlate a measure of exposure with a change of score or network FC."""
    section = plan.study.exposure
    assert section is not None  # noqa: S101 - planned only with it
    response = next(item for item in section.response if item.name == one.name)
    people = one.rows.set_index("subject")
    change = change_of(one, response, visit_fc)
    rows: list[dict[str, Any]] = []
    notes = list(one.notes)
    for method in (response.method, "spearman" if response.method == "pearson" else "pearson"):
        try:
            row = correlate(people[response.measure], change, method=method).iloc[0]
        except ConnectrialError as error:
            notes += [f"not done: {text}" for text in error.problems]
            break
        cells = {name: row[name] for name in _CELLS if name in row and not _is_missing(row[name])}
        rows.append(
            cells
            | {
                "analysis": one.name,
                "role": one.role,
                "kind": "correlation",
                "analysis_set": one.analysis_set,
                "outcome": one.outcome,
                "term": f"{response.measure} ~ change {response.baseline} to {response.visit}",
                "unit": _COEFFICIENT[method],
                "declared": method == response.method,
                "alternative": "two-sided",
            }
        )
    return Result(
        name=one.name,
        title=one.title,
        role=one.role,
        what=one.what,
        outcome=one.outcome,
        estimates=tidy(rows),
        methods=(
            f"{response.measure} was correlated over people with the change of "
            f"{response.scale or one.outcome} from {response.baseline} to {response.visit} by "
            f"{response.method.capitalize()}'s coefficient with Fisher's interval; {_caution(plan)}."
        )
        if rows
        else "",
        citations=("fisher1915",) if rows else (),
        notes=tuple(notes),
    )


def _caution(plan: Plan) -> str:
    """Say what of an exposure was randomised."""
    if plan.study.design.kind == "parallel" and len(_dosed_arms(plan)) > 1:
        return (
            "the dose was randomised with the arm, differences of exposure within an arm were not, so "
            "this is an association"
        )
    return "dose and exposure were not randomised here, so this is an association"


_COEFFICIENT = {"pearson": "Pearson's r", "spearman": "Spearman's rho"}
_CELLS = (
    "estimate", "se", "statistic", "statistic_name", "df", "df_method", "p", "ci_level", "ci_low",
    "ci_high", "n_subjects", "n_observations", "flags",
)  # fmt: skip


def _is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and np.isnan(cell))


def change_of(
    one: PlannedAnalysis, response: ExposureResponseSection, visit_fc: pd.DataFrame
) -> pd.Series:
    """Return the change of score or network FC of everybody in an analysis of exposure, by subject."""
    people = one.rows.set_index("subject")
    change = people["change"] if "change" in people else _fc_change(visit_fc, one, response)
    by_person: pd.Series = change.reindex(people.index)
    return by_person


def _fc_change(
    visit_fc: pd.DataFrame, one: PlannedAnalysis, response: ExposureResponseSection
) -> pd.Series:
    mine = visit_fc.loc[visit_fc["outcome"] == one.outcome]
    wide = {
        visit: mine.loc[mine["visit"].astype(str) == visit].set_index("subject")["fc_z"]
        for visit in (response.baseline, response.visit)
    }
    change = wide[response.visit] - wide[response.baseline]
    by_person: pd.Series = change.set_axis(change.index.astype(str))
    return by_person


def exposure_tables(plan: Plan) -> dict[str, pd.DataFrame]:
    """Return ``exposure``, ``concentrations`` and ``samples`` of a study; nothing without any."""
    section = plan.study.exposure
    if section is None:
        return {}
    found = plan.people.exposure
    people = set(plan.people.subjects.loc[plan.people.subjects["included"], "subject"].astype(str))
    exposure = found.person.reset_index()
    exposure["weight_kg"] = exposure["subject"].map(found.weight_kg)
    exposure["reason"] = [found.reason.get(str(name), "") for name in exposure["subject"]]
    return {
        "exposure": exposure,
        "doses": _doses(plan, people),
        "concentrations": _curves(plan, sorted(people & set(found.doses))),
        "samples": found.samples,
    }


def _doses(plan: Plan, people: set[str]) -> pd.DataFrame:
    own = [
        table.assign(subject=name)[["subject", *table.columns]]
        for name, table in plan.people.exposure.doses.items()
        if name in people and len(table)
    ]
    return pd.concat(own, ignore_index=True) if own else pd.DataFrame()


def _curves(plan: Plan, people: list[str]) -> pd.DataFrame:
    """Return everybody's modelled concentrations on one grid, from the first dose to its fading."""
    section, found = plan.study.exposure, plan.people.exposure
    assert section is not None  # noqa: S101 - asked for with it only
    dosed = [name for name in people if len(found.doses[name])]
    if not dosed:
        return pd.DataFrame(columns=["subject", "time_h", "ketamine_ng_ml", "norketamine_ng_ml"])
    ends = [float((d["start_h"] + d["duration_h"]).max()) for d in (found.doses[n] for n in dosed)]
    edges = {
        float(t) for n in dosed for t in found.doses[n]["start_h"] + found.doses[n]["duration_h"]
    }
    starts = {float(t) for n in dosed for t in found.doses[n]["start_h"]}
    # An hour's infusion has faded hours later; a long one is mostly seen while it lasts.
    last = max(max(ends) * 1.25, max(ends) + _FADING_H)
    grid = _grid(starts, edges, last)
    model = find_model(section.model)
    tables = []
    for name in dosed:
        solution = solve_checked(found.doses[name], model=model, weight_kg=found.weight_kg[name])
        table = solution.table(grid)
        table.insert(0, "subject", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _grid(starts: set[float], ends: set[float], last: float) -> FloatArray:
    """Return the times of a curve: even ones, and some around every dose, or its peak would be missed."""
    even = np.linspace(0, last, _CURVE_POINTS)
    if len(starts | ends) > _MOST_EDGES:
        return even
    near = [*starts, *ends, *(t + h for t in starts | ends for h in _AROUND_H)]
    times: FloatArray = np.unique([*even, *(t for t in near if t <= last)])
    return times
