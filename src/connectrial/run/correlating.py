"""Correlations over people and within them, from planned rows and network FC to a result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from connectrial.errors import ConnectrialError
from connectrial.plan import PlannedAnalysis
from connectrial.results import Result
from connectrial.run.analysing import base_cells, failed, result_of, tidy_cells
from connectrial.stats.association import (
    Method,
    correlate,
    correlate_partial,
    correlate_repeated,
)
from connectrial.study import CorrelationSection

_COEFFICIENTS = {"pearson": "Pearson's r", "spearman": "Spearman's rho"}
_CITATIONS = {"repeated measures": ("bakdash2017",)}


def analyse_correlation(plan: PlannedAnalysis, visit_fc: pd.DataFrame) -> Result:
    """Do a ``[[correlation]]``.

    Parameters
    ----------
    plan : PlannedAnalysis
        Rows as :func:`connectrial.plan.correlations.plan_correlations` lays them out.
    visit_fc : DataFrame
        ``subject``, ``visit``, ``outcome``, ``fc_z``.
    """
    section = plan.section
    assert isinstance(section, CorrelationSection)  # noqa: S101 - planned so
    rows: list[dict[str, Any]] = []
    notes = []
    base = base_cells(plan) | {"term": section.term}
    try:
        if section.method == "repeated measures":
            row = correlate_repeated(values_of(plan, visit_fc), subject="subject", x="x", y="y")
            found, n_single = row.iloc[0], int(row.iloc[0]["n_single"])
            rows.append(base | tidy_cells(found) | _named("repeated-measures r", plan))
            notes.append(
                f"{section.term}: {found['slope']:.4g} {section.scale} per unit of {section.other}; "
                f"{'1 person' if n_single == 1 else f'{n_single} people'} with one visit "
                f"{'says' if n_single == 1 else 'say'} nothing about change and "
                f"{'is' if n_single == 1 else 'are'} out"
            )
        else:
            rows += _over_people(plan, section, values_of(plan, visit_fc), base)
    except ConnectrialError as error:
        return failed(plan, error.problems)
    return result_of(
        plan,
        rows,
        methods=_methods(section),
        citations=_CITATIONS.get(section.method, ("fisher1915",)),
        notes=[*notes, "a correlation is an association, and says nothing of what causes what"],
    )


def _named(unit: str, plan: PlannedAnalysis) -> dict[str, Any]:
    return {"unit": unit, "family": plan.family or ""}


def _over_people(
    plan: PlannedAnalysis,
    section: CorrelationSection,
    values: pd.DataFrame,
    base: dict[str, Any],
) -> list[dict[str, Any]]:
    """Correlate by the declared coefficient, and by the other one beside it."""
    rows = []
    factors = values[list(section.covariates)]
    methods: tuple[Method, ...] = ("pearson", "spearman")
    for method in methods if section.method == "pearson" else methods[::-1]:
        declared = method == section.method
        unit = f"{'partial ' if section.covariates else ''}{_COEFFICIENTS[method]}"
        if section.covariates:
            seen = factors.apply(
                lambda one: (
                    one.cat.remove_unused_categories()
                    if isinstance(one.dtype, pd.CategoricalDtype)
                    else one
                )
            )
            numbers = pd.get_dummies(seen, drop_first=True, dtype=float)
            # An indicator of a missing level would be 0: the person has no covariate.
            numbers = numbers.where(factors.notna().all(axis=1))
            row = correlate_partial(values["x"], values["y"], covariates=numbers, method=method)
        else:
            row = correlate(values["x"], values["y"], method=method)
        cells = _named(unit, plan) if declared else {"unit": unit, "family": ""}
        rows.append(base | tidy_cells(row.iloc[0]) | cells | {"declared": declared})
    return rows


def values_of(plan: PlannedAnalysis, visit_fc: pd.DataFrame) -> pd.DataFrame:
    """Return what is correlated: a row per person (``x``, ``y``, covariates), or per visit.

    Repeated measures keep their rows with ``subject`` and ``visit``; else the index is the person,
    and values are those of the visit, or the change from the baseline to it.
    """
    section = plan.section
    assert isinstance(section, CorrelationSection)  # noqa: S101 - planned so
    rows = plan.rows.assign(visit=plan.rows["visit"].astype(str))
    if section.hypothesis is not None:
        mine = visit_fc.loc[visit_fc["outcome"] == section.hypothesis]
        keys = pd.MultiIndex.from_frame(mine[["subject", "visit"]].astype(str))
        fc = pd.Series(mine["fc_z"].to_numpy(dtype=np.float64), index=keys)
        wanted = pd.MultiIndex.from_frame(rows[["subject", "visit"]].astype(str))
        rows = rows.assign(x=fc.reindex(wanted).to_numpy())
    if section.method == "repeated measures":
        return rows
    at = {
        visit: rows.loc[rows["visit"] == visit].set_index("subject")
        for visit in (section.baseline, section.visit)
        if visit is not None
    }
    last = at[section.visit or ""]
    if section.baseline is None:
        return last
    first = at[section.baseline].reindex(last.index)
    changed = ["y"] if section.variable is not None else ["x", "y"]
    return last.assign(**{name: last[name] - first[name] for name in changed})


def _methods(section: CorrelationSection) -> str:
    if section.method == "repeated measures":
        return (
            f"{section.scale} was correlated with {section.other} within people over visits "
            "(repeated-measures correlation: a level for each person, one slope for all)."
        )
    what = f"at {section.visit}"
    if section.baseline is not None:
        what = f"as changes from {section.baseline} to {section.visit}"
    without = ""
    if section.covariates:
        without = f", the linear part of {', '.join(section.covariates)} taken out of both"
    return (
        f"{section.scale} was correlated with {section.other} over people {what} by "
        f"{section.method.capitalize()}'s coefficient with Fisher's interval{without}."
    )
