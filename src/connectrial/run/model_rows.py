"""From a fitted model to rows of the results: tests, coefficients, means, changes, variances."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from connectrial.errors import ConnectrialError
from connectrial.plan import PlannedAnalysis
from connectrial.run.model_words import intercept_of
from connectrial.stats.margins import mean_rows
from connectrial.stats.model_fit import MixedFit
from connectrial.stats.terms import fit_terms
from connectrial.study import ClinicalSection
from connectrial.study_model_checks import term_variables

#: Degrees of freedom that stand beside the declared ones.
DF_METHODS = ("satterthwaite", "kenward-roger", "residual")
#: Below this many degrees of freedom a row says so.
FEW_DF = 10
_TIME = ("visit", "time")


def fit_planned(
    plan: PlannedAnalysis, data: pd.DataFrame, *, outcome: str, extra: Sequence[str] = ()
) -> MixedFit:
    """Fit the model of an analysis to its rows, with further terms where asked."""
    assert plan.model is not None  # noqa: S101 - only analyses with models come here
    coding = {name: dict(one) for name, one in plan.model.coding.items() if name in data}
    return fit_terms(
        data,
        outcome,
        fixed=[*plan.terms, *extra],
        random=list(plan.model.random_terms),
        covariance=plan.model.covariance,
        coding=coding,
        df=plan.model.df,
        reml=plan.model.reml,
    )


def estimate_rows(plan: PlannedAnalysis, fit: MixedFit, *, unit: str) -> list[dict[str, Any]]:
    """Lay out a fit: tests by every df method, all coefficients, changes, variances.

    Parameters
    ----------
    plan : PlannedAnalysis
        What was planned; its tests come first and are the ones that families count.
    fit : MixedFit
        The fitted model.
    unit : str
        Unit of the outcome.

    Returns
    -------
    list of dict
        Rows of the schema.
    """
    base = base_row(plan, fit, unit=unit)
    methods = [fit.df_method, *(one for one in DF_METHODS if one != fit.df_method)]
    rows: list[dict[str, Any]] = []
    tested: set[str] = set()
    terms = () if _is_mmrm(plan) else plan.tests
    for test in terms:
        columns = fit.design.columns_of(test)
        tested |= set(columns) if len(columns) == 1 else set()
        for method in methods:
            try:
                table = fit.with_df(method).test(test)
            except ConnectrialError:
                if method == fit.df_method:
                    raise
                continue  # a method beside the declared one that this model does not have
            kind = "coefficient" if len(columns) == 1 else "F test"
            name = columns[0] if len(columns) == 1 else fit.design.term_name(test)
            rows.append(
                base
                | estimate_cells(table.iloc[0])
                | {
                    "kind": kind,
                    "term": name,
                    "declared": method == fit.df_method,
                    "family": (plan.family or "") if method == fit.df_method else "",
                }
            )
    for column, row in fit.estimates.iterrows():
        if column in tested:
            continue
        cells = estimate_cells(row) | {"kind": "coefficient", "term": str(column), "declared": True}
        rows.append(base | cells)
    rows += _change_rows(fit, base)
    for component, row in fit.variance.iterrows():
        rows.append(
            base
            | {
                "kind": "variance",
                "term": component_words(str(component), among=fit.variance.index),
                "estimate": float(row["estimate"]),
                "unit": f"({unit})^2",
                "declared": True,
                "flags": "on the boundary" if fit.singular and component != "Residual" else "",
            }
        )
    return rows


def singular_words(fit: MixedFit) -> str:
    """Say which variance a singular fit puts at zero."""
    estimates = fit.variance["estimate"]
    small = 1e-6 * float(estimates.sum())
    zero = [str(name) for name, value in estimates.items() if name != "Residual" and value <= small]
    if not zero:
        return "the covariance of the random terms lies on its boundary (singular fit)"
    of = " and ".join(
        "people" if name == "subject" else intercept_of(name).replace("each person's", "a person's")
        for name in zero
    )
    return f"the variance between {of} was estimated as zero (singular fit)"


def component_words(component: str, *, among: Iterable[Hashable]) -> str:
    """Name a component of variance; what two visits have in common is a covariance."""
    first, crossed, second = component.partition(" x ")
    if crossed and first in set(among):
        return f"covariance of {first} and {second}"
    return f"variance of {component}"


def _is_mmrm(plan: PlannedAnalysis) -> bool:
    return isinstance(plan.section, ClinicalSection) and plan.section.way == "mmrm"


def base_row(plan: PlannedAnalysis, fit: MixedFit, *, unit: str) -> dict[str, Any]:
    """Return the cells that all rows of one fit share."""
    return {
        "analysis": plan.name,
        "role": plan.role,
        "analysis_set": plan.analysis_set,
        "outcome": plan.outcome,
        "unit": unit,
        "alternative": "two-sided",
        "ci_level": 0.95,
        "n_subjects": fit.n_subjects,
        "n_observations": fit.n_observations,
    }


def estimate_cells(row: pd.Series) -> dict[str, Any]:
    """Return the cells of a table of estimates that a row of the results has."""
    names = [
        "estimate",
        "se",
        "statistic",
        "statistic_name",
        "df_numerator",
        "df",
        "df_method",
        "p",
        "ci_low",
        "ci_high",
        "flags",
    ]
    cells = {name: row[name] for name in names if name in row and not _is_missing(row[name])}
    if cells.get("df", np.inf) < FEW_DF:
        few = f"fewer than {FEW_DF} degrees of freedom"
        cells["flags"] = "; ".join(part for part in (str(cells.get("flags", "")), few) if part)
    return cells


def _is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and np.isnan(cell))


def time_variable(fit: MixedFit) -> str | None:
    """Return the model's visit variable, if it has one."""
    known = {*fit.design.levels, *fit.design.coding}
    return next((name for name in _TIME if name in known), None)


def by_variable(fit: MixedFit) -> str | None:
    """Return the factor that a model is about beside the visits: a treatment, else the first.

    Period and sequence of a crossover are in a model for balance, and no model is about them.
    """
    known = [*fit.design.levels, *fit.design.coding]
    if "treatment" in known:
        return "treatment"
    balance = ("period", "sequence")
    return next((name for name in known if name not in (*_TIME, *balance)), None)


def model_means(fit: MixedFit, *, visit: str | None = None) -> pd.DataFrame | None:
    """Return the model's means by visit and by its other factor, each cell weighing the same.

    Parameters
    ----------
    fit : MixedFit
        The model.
    visit : str, optional
        The visit whose rows all are, of a model without visits.
    """
    time, by = time_variable(fit), by_variable(fit)
    names = [name for name in (time, by) if name is not None]
    if not names or (time is None and visit is None):
        return None
    try:
        table = fit.marginal_means(names).reset_index(drop=False)
    except ConnectrialError:
        return None
    means = pd.DataFrame(
        {
            "visit": visit if time is None else table[time].astype(str),
            "by": "" if by is None else table[by].astype(str),
            "by_factor": by or "",
        }
    )
    for column in ("estimate", "se", "df", "ci_low", "ci_high"):
        means[column] = table[column].to_numpy(dtype=np.float64)
    means["n_subjects"] = _cell_counts(fit, time, by, means)
    means["source"] = "model"
    return means


def _cell_counts(fit: MixedFit, time: str | None, by: str | None, means: pd.DataFrame) -> list[int]:
    frame = fit.design.frame
    visit = None if time is None else _levels_of(frame[time], fit.design.coding.get(time))
    other = None if by is None else _levels_of(frame[by], fit.design.coding.get(by))
    counts = []
    for row in means.itertuples():
        here = pd.Series(data=True, index=frame.index) if visit is None else visit == row.visit
        if other is not None:
            here &= other == row.by
        counts.append(int(frame.loc[here, "subject"].nunique()))
    return counts


def _levels_of(column: pd.Series, coding: Mapping[str, float] | None) -> pd.Series:
    """Return the levels behind a column, coded as numbers or not."""
    if coding is None:
        return column.astype(str)
    names = {number: level for level, number in coding.items()}
    return column.map(lambda number: names.get(float(number), str(number))).astype(str)


def _change_rows(fit: MixedFit, base: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each visit's difference from the first one, for each level of the other factor."""
    time, by = time_variable(fit), by_variable(fit)
    if time is None:
        return []
    names = [time] if by is None else [time, by]
    try:
        levels, weights, _ = mean_rows(fit.design, names, at={})
    except ConnectrialError:
        return []
    visits = list(dict.fromkeys(one[0] for one in levels))
    groups = list(dict.fromkeys(one[1:] for one in levels))
    place = {one: number for number, one in enumerate(levels)}
    rows = []
    differences = {
        (visit, group): weights[place[(visit, *group)]] - weights[place[(visits[0], *group)]]
        for group in groups
        for visit in visits[1:]
    }
    # Without an interaction each level changes alike: that is one row, not one per level.
    alike = all(
        np.allclose(one, differences[visit, groups[0]]) for (visit, _), one in differences.items()
    )
    for group in groups[:1] if alike else groups:
        for visit in visits[1:]:
            table = fit.contrast(differences[visit, group])
            suffix = f", {group[0]}" if group and not alike else ""
            rows.append(
                dict(base)
                | estimate_cells(table.iloc[0])
                | {
                    "kind": "contrast",
                    "term": f"{visit} - {visits[0]}{suffix}",
                    "declared": True,
                }
            )
    return rows


def contrast_rows(plan: PlannedAnalysis, fit: MixedFit, *, unit: str) -> list[dict[str, Any]]:
    """Lay out the contrasts that an MMRM is read by: arms at each visit, or change at each visit.

    Covariates are held at their means; the plan's tests stand by every df method.
    """
    if not _is_mmrm(plan):
        return []
    with_arms = "arm" in fit.design.levels
    levels, weights, _ = mean_rows(fit.design, ["visit", "arm"] if with_arms else ["visit"], at={})
    place = {one: number for number, one in enumerate(levels)}
    wanted: dict[str, Any] = {}
    for visit in dict.fromkeys(one[0] for one in levels):
        if not with_arms:
            wanted[f"change at {visit}"] = weights[place[(visit,)]]
            continue
        arms = list(dict.fromkeys(one[1] for one in levels))
        for arm in arms[1:]:
            difference = weights[place[(visit, arm)]] - weights[place[(visit, arms[0])]]
            wanted[f"{arm} - {arms[0]} at {visit}"] = difference
    base = base_row(plan, fit, unit=unit)
    rows = []
    others = [one for one in DF_METHODS if one != fit.df_method]
    for term, weight in wanted.items():
        tested = term in plan.tests
        for method in [fit.df_method, *(others if tested else ())]:
            try:
                table = fit.with_df(method).contrast(weight)
            except ConnectrialError:
                if method == fit.df_method:
                    raise
                continue
            declared = method == fit.df_method
            rows.append(
                base
                | estimate_cells(table.iloc[0])
                | {
                    "kind": "contrast",
                    "term": term,
                    "declared": declared,
                    "family": (plan.family or "") if declared and tested else "",
                }
            )
    return rows


def lacking_main_effects(plan: PlannedAnalysis, endpoints: Sequence[str]) -> list[str]:
    """Return endpoints that a model has in an interaction but not by themselves."""
    used = {variable for term in plan.terms for variable in term_variables(term)}
    return [name for name in endpoints if name in used and name not in plan.terms]


def sensitivity_rows(
    plan: PlannedAnalysis, fit: MixedFit, added: Sequence[str], *, unit: str
) -> list[dict[str, Any]]:
    """Lay out the tests of the model that has the lacking main effects, as sensitivity."""
    base = base_row(plan, fit, unit=unit) | {"role": "sensitivity"}
    note = f"with the main effect of {' and '.join(added)}"
    rows = []
    for test in plan.tests:
        table = fit.test(test)
        columns = fit.design.columns_of(test)
        cells = estimate_cells(table.iloc[0])
        flags = "; ".join(part for part in (note, str(cells.get("flags", ""))) if part)
        rows.append(
            base
            | cells
            | {
                "kind": "coefficient" if len(columns) == 1 else "F test",
                "term": columns[0] if len(columns) == 1 else fit.design.term_name(test),
                "declared": False,
                "flags": flags,
            }
        )
    return rows
