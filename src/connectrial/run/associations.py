"""The pairs of values behind correlations over people, for the figures of a report."""

from __future__ import annotations

import pandas as pd

from connectrial.plan.exposure import unit_of
from connectrial.plan.making import Plan
from connectrial.plan.planned import PlannedAnalysis
from connectrial.run.analysing import FC_UNIT
from connectrial.run.correlating import values_of
from connectrial.run.exposing import change_of
from connectrial.study import CorrelationSection

COLUMNS = ("analysis", "term", "subject", "x", "y", "x_name", "y_name")


def association_points(plan: Plan, visit_fc: pd.DataFrame) -> pd.DataFrame:
    """Return every pair that a correlation over people rests on.

    Parameters
    ----------
    plan : Plan
        With its analyses.
    visit_fc : pandas.DataFrame
        Network FC of each person at each visit.

    Returns
    -------
    pandas.DataFrame
        ``analysis``, ``term`` as in the estimates, ``subject``, ``x``, ``y``, and what they are.
    """
    found = []
    for one in plan.analyses:
        if one.what == "exposure response":
            found += _exposure(plan, one, visit_fc)
        elif isinstance(one.section, CorrelationSection) and not one.problems:
            found += _scores(one, one.section, visit_fc)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(COLUMNS))


def _exposure(plan: Plan, one: PlannedAnalysis, visit_fc: pd.DataFrame) -> list[pd.DataFrame]:
    section = plan.study.exposure
    if section is None or one.rows is None or not len(one.rows):
        return []
    response = next(item for item in section.response if item.name == one.name)
    people = one.rows.set_index("subject")
    change = change_of(one, response, visit_fc)
    term = f"{response.measure} ~ change {response.baseline} to {response.visit}"
    what = response.scale or one.outcome
    # One of [[exposure.measure]], or of [variables.*], whose unit nobody states.
    units = {item.name: unit_of(item) for item in section.measure}
    measure = response.measure.replace("_", " ")
    if units.get(response.measure):
        measure += f" ({units[response.measure]})"
    scale = plan.study.scales.get(response.scale) if response.scale else None
    unit = FC_UNIT if response.scale is None else (scale.unit if scale is not None else "")
    return [
        _points(
            one,
            term,
            people.index.to_series(),
            people[response.measure],
            change,
            measure,
            f"change of {what}" + (f" ({unit})" if unit else ""),
        )
    ]


def _scores(
    one: PlannedAnalysis, section: CorrelationSection, visit_fc: pd.DataFrame
) -> list[pd.DataFrame]:
    """Return the pairs over people; within people there is a line for each, which is no such figure."""
    if section.method == "repeated measures":
        return []
    values = values_of(one, visit_fc)
    what = "change of " if section.baseline is not None else ""
    other = section.other if section.variable is not None else f"{what}{section.other}"
    people = values.index.to_series()
    return [
        _points(
            one, section.term, people, values["x"], values["y"], other, f"{what}{section.scale}"
        )
    ]


def _points(
    one: PlannedAnalysis,
    term: str,
    subject: pd.Series,
    x: pd.Series,
    y: pd.Series,
    x_name: str,
    y_name: str,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "analysis": one.name,
            "term": term,
            "subject": subject.astype(str).to_numpy(),
            "x": pd.to_numeric(x).to_numpy(dtype=float),
            "y": pd.to_numeric(y).to_numpy(dtype=float),
            "x_name": x_name,
            "y_name": y_name,
        }
    )
