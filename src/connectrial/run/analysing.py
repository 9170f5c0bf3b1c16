"""Each kind of analysis: planned rows and measured values in, a Result out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from connectrial.errors import ConnectrialError
from connectrial.plan import PlannedAnalysis
from connectrial.results import COLUMNS, Result, tidy
from connectrial.run.comparing import mixed_comparison
from connectrial.run.crossing import contrast_rows as contrast_rows_of_treatments
from connectrial.run.crossing import (
    is_crossover,
    sensitivities,
    treatment_rows,
)
from connectrial.run.model_rows import (
    contrast_rows,
    estimate_rows,
    fit_planned,
    lacking_main_effects,
    model_means,
    sensitivity_rows,
    singular_words,
)
from connectrial.run.model_words import describe_design, methods_sentence
from connectrial.run.variance_rows import with_variance_intervals
from connectrial.stats.compare import compare_groups
from connectrial.stats.reliability import icc, repeatability
from connectrial.study_model_checks import term_variables
from connectrial.trial.visits import CONTROLS

FC_UNIT = "Fisher z"
MIXED = ("laird1982", "satterthwaite1946")


def failed(plan: PlannedAnalysis, problems: Sequence[str]) -> Result:
    """Return an analysis that could not be done, with the reason in place of numbers."""
    return Result(
        name=plan.name,
        title=plan.title,
        role=plan.role,
        what=plan.what,
        outcome=plan.outcome,
        estimates=tidy([]),
        notes=(*plan.notes, *(f"not done: {problem}" for problem in problems)),
        estimand=plan.estimand,
    )


def base_cells(plan: PlannedAnalysis, **more: object) -> dict[str, Any]:
    """Return the cells that all rows of an analysis share, `more` in place of the plan's own."""
    return {
        "analysis": plan.name,
        "role": plan.role,
        "analysis_set": plan.analysis_set,
        "outcome": plan.outcome,
        "declared": True,
        **more,
    }


def result_of(
    plan: PlannedAnalysis,
    rows: Sequence[Mapping[str, Any]],
    *,
    methods: str,
    citations: Sequence[str] = (),
    notes: Sequence[str] = (),
    design: Mapping[str, Any] | None = None,
    means: pd.DataFrame | None = None,
) -> Result:
    """Put rows and words into a result."""
    return Result(
        name=plan.name,
        title=plan.title,
        role=plan.role,
        what=plan.what,
        outcome=plan.outcome,
        estimates=tidy(rows),
        methods=methods,
        citations=tuple(citations),
        notes=tuple(dict.fromkeys((*plan.notes, *notes))),
        design=design or {},
        means=means,
        estimand=plan.estimand,
    )


def effect_size_cells(
    plan: PlannedAnalysis, row: pd.Series, term: str, **more: object
) -> dict[str, Any]:
    """Return the cells of the effect size that a row of statistics carries."""
    return base_cells(plan, **more) | {
        "kind": "effect size",
        "unit": str(row["effect_size_variant"]),
        "term": term,
        "estimate": row["effect_size"],
        "ci_level": row["ci_level"],
        "ci_low": row["effect_size_ci_low"],
        "ci_high": row["effect_size_ci_high"],
        "n_subjects": row["n_subjects"],
        "n_observations": row["n_observations"],
    }


def analyse_network(
    plan: PlannedAnalysis,
    visit_fc: pd.DataFrame,
    endpoints: Sequence[str],
    *,
    seed: int,
    units: Mapping[str, str],
) -> Result:
    """Fit a hypothesis' mixed model to its network FC.

    Parameters
    ----------
    plan : PlannedAnalysis
        The hypothesis.
    visit_fc : DataFrame
        ``subject``, ``visit``, ``outcome``, ``fc_z``.
    endpoints : sequence of str
        Factors that come from outcomes.
    seed : int
        Of the study file.
    units : mapping of str to str
        Units of the model's variables that are numbers, as far as they are known.
    """
    data, _ = rows_with_outcome(plan, visit_fc)
    edges = plan.edges
    if edges is None:
        what = f"Network FC of {plan.title}"
        return _mixed(plan, data, "fc_z", FC_UNIT, what, endpoints, seed=seed, units=units)
    count = f"mean Fisher z over {len(edges.edges)} edges"
    if edges.measure == "gbc":
        count = (
            f"mean over {len(edges.parcels_a)} parcels of each one's mean Fisher z with all others"
        )
    elif edges.measure == "participation":
        count = (
            f"mean over {len(edges.parcels_a)} parcels of the participation coefficient, from "
            "positive Fisher z, Guimera and Amaral 2005"
        )
    what = "Network FC" if edges.measure == "mean" else "The measure"
    # One pair of brackets: "Limbic (within, mean Fisher z over 28 edges)".
    title = plan.title.removesuffix(")")
    what = f"{what} of {title}{', ' if title != plan.title else ' ('}{count})"
    return _mixed(plan, data, "fc_z", edges.unit, what, endpoints, seed=seed, units=units)


def analyse_score(
    plan: PlannedAnalysis,
    unit: str,
    endpoints: Sequence[str],
    *,
    seed: int,
    units: Mapping[str, str],
) -> Result:
    """Fit a clinical analysis' mixed model to its scores."""
    _, outcome = rows_with_outcome(plan)
    what = f"{plan.outcome} {outcome}"
    return _mixed(plan, plan.rows, outcome, unit, what, endpoints, seed=seed, units=units)


def rows_with_outcome(
    plan: PlannedAnalysis, visit_fc: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, str]:
    """Return the rows that an analysis' mixed model is fitted to, and their column of the outcome.

    Parameters
    ----------
    plan : PlannedAnalysis
        Of network FC, as declared or in a variant of processing, or of a score.
    visit_fc : DataFrame, optional
        ``subject``, ``visit``, ``outcome``, ``fc_z``, for network FC.
    """
    if plan.what not in ("network FC", "variant") or visit_fc is None:
        return plan.rows, "change" if "change" in plan.rows else "score"
    mine = visit_fc.loc[visit_fc["outcome"] == plan.outcome, ["subject", "visit", "fc_z"]]
    return _attach(plan.rows, mine, "fc_z"), "fc_z"


def _attach(rows: pd.DataFrame, values: pd.DataFrame, column: str) -> pd.DataFrame:
    """Put measured values beside planned rows, keeping the rows' order and levels."""
    # In a crossover a visit comes under each treatment, and values are stored by both.
    place = rows["place" if "place" in rows else "visit"].astype(str)
    keys = pd.MultiIndex.from_arrays([rows["subject"].astype(str), place])
    by_key = values.set_index([values["subject"].astype(str), values["visit"].astype(str)])[column]
    return rows.assign(**{column: by_key.reindex(keys).to_numpy(dtype=np.float64)})


def _mixed(
    plan: PlannedAnalysis,
    data: pd.DataFrame,
    outcome: str,
    unit: str,
    what: str,
    endpoints: Sequence[str],
    *,
    seed: int,
    units: Mapping[str, str],
) -> Result:
    try:
        fit = fit_planned(plan, data, outcome=outcome)
        rows = estimate_rows(plan, fit, unit=unit) + contrast_rows(plan, fit, unit=unit)
        rows, undone = with_variance_intervals(plan, fit, rows, seed=seed)
    except ConnectrialError as error:
        return failed(plan, error.problems)
    notes = list(dict.fromkeys([*plan.notes, *fit.notes, *undone]))
    if fit.singular and not any("singular fit" in note for note in notes):
        notes.append(singular_words(fit))
    lost = fit.design.dropped.get(outcome, 0)
    if lost:
        notes.append(f"{lost} planned observations have no {outcome} and are left out")
    added = lacking_main_effects(plan, endpoints)
    if added:
        try:
            fuller = fit_planned(plan, data, outcome=outcome, extra=added)
            rows += sensitivity_rows(plan, fuller, added, unit=unit)
        except ConnectrialError as error:
            notes += [f"sensitivity with {', '.join(added)} not done: {p}" for p in error.problems]
    if is_crossover(plan):
        try:
            rows += contrast_rows_of_treatments(plan, fit, unit=unit)
        except ConnectrialError as error:
            return failed(plan, error.problems)
        rows += treatment_rows(plan, fit, unit=unit)
        more, undone = sensitivities(plan, data, outcome=outcome, unit=unit)
        rows += more
        notes += undone
    per = {name: units.get(name, f"unit of {name}") for name in _numbers_in(plan, data)}
    rows = [_marked(_per_unit(row, per), plan.stand_in) for row in rows]
    return result_of(
        plan,
        rows,
        means=model_means(fit, visit=_only_visit(plan, data)),
        methods=methods_sentence(plan, fit, what=what),
        citations=_citations(fit.df_method),
        design=describe_design(plan, fit),
        notes=notes,
    )


def _only_visit(plan: PlannedAnalysis, data: pd.DataFrame) -> str | None:
    """Return the visit of a hypothesis that is about one; scores are drawn over all their visits."""
    visits = data["visit"].astype(str).unique()
    return str(visits[0]) if len(visits) == 1 and plan.what != "score" else None


def _numbers_in(plan: PlannedAnalysis, data: pd.DataFrame) -> set[str]:
    """Return the model's variables that are numbers and not levels."""
    used = {name for term in plan.terms for name in term_variables(term)}
    return {one for one in used if one in data and pd.api.types.is_numeric_dtype(data[one])}


def _per_unit(row: dict[str, Any], per: Mapping[str, str]) -> dict[str, Any]:
    """Give a slope its unit: beside differences of means it would be read as one."""
    named = [per[part] for part in str(row["term"]).split(":") if part in per]
    if row["kind"] != "coefficient" or not named:
        return row
    return row | {"unit": f"{row['unit']} per {' and '.join(named)}"}


def _marked(row: dict[str, Any], note: str) -> dict[str, Any]:
    """Put a note in front of a row's flags."""
    return row | {"flags": "; ".join(p for p in (note, str(row.get("flags", ""))) if p)}


def _citations(df_method: str) -> tuple[str, ...]:
    more = {"satterthwaite": ("satterthwaite1946",), "residual": ()}
    return (MIXED[0], *more.get(df_method, ("kenward1997",) if "kenward" in df_method else ()))


def analyse_groups(
    plan: PlannedAnalysis,
    visit_fc: pd.DataFrame,
    session_fc: pd.DataFrame,
    *,
    hypotheses: Sequence[str],
    visits: Sequence[str],
    equal_variance: bool,
    units: Mapping[str, str],
) -> Result:
    """Compare patients at each visit with controls, sessions of each person averaged.

    A mixed model of all sessions stands beside it as sensitivity: it weighs people by the sessions
    that they have, and tells whether the difference itself changes between visits.

    Parameters
    ----------
    plan : PlannedAnalysis
        The comparison.
    visit_fc, session_fc : DataFrame
        ``subject``, ``visit``, ``outcome``, ``fc_z``: a row per visit; a row per session.
    hypotheses, visits : sequence of str
        Systems; visits of the patients.
    equal_variance : bool
        Pooled t test; else Welch's.
    units : mapping
        System -> the unit of its values.
    """
    rows: list[dict[str, Any]] = []
    notes = list(plan.notes)
    who = plan.rows.set_index(["subject", "visit"]).index
    for system in hypotheses:
        mine = visit_fc.loc[(visit_fc["outcome"] == system) & visit_fc["fc_z"].notna()]
        mine = mine.loc[pd.MultiIndex.from_frame(mine[["subject", "visit"]].astype(str)).isin(who)]
        controls = mine.loc[mine["visit"] == CONTROLS, "fc_z"].to_numpy()
        for visit in visits:
            patients = mine.loc[mine["visit"] == visit, "fc_z"].to_numpy()
            try:
                row = compare_groups(patients, controls, equal_variance=equal_variance).iloc[0]
            except ConnectrialError as error:
                notes += [f"{system} at {visit}: not done: {p}" for p in error.problems]
                continue
            base = base_cells(plan, outcome=system)
            rows.append(
                base
                | tidy_cells(row)
                | {
                    "kind": "difference",
                    "unit": units[system],
                    "family": plan.family or "",
                    "term": f"patients at {visit} - controls",
                }
            )
            term = f"patients at {visit} - controls"
            rows.append(effect_size_cells(plan, row, term, outcome=system))
        own = session_fc.loc[(session_fc["outcome"] == system) & session_fc["fc_z"].notna()]
        own = own.loc[pd.MultiIndex.from_frame(own[["subject", "visit"]].astype(str)).isin(who)]
        try:
            rows += mixed_comparison(
                base_cells(plan, outcome=system), own, visits, unit=units[system]
            )
        except ConnectrialError as error:
            notes += [
                f"{system}: mixed model of all sessions not done: {p}" for p in error.problems
            ]
    test = "Student's t test with pooled variance" if equal_variance else "Welch's t test"
    return result_of(
        plan,
        rows,
        methods=(
            f"Patients at {' and '.join(visits)} were compared with controls by {test}, two-sided; "
            "several sessions of one person were averaged first. As sensitivity a mixed model of all "
            "sessions (group and visit fixed, a random intercept for each person, Satterthwaite's "
            "degrees of freedom) stands beside it."
        ),
        notes=notes,
    )


def tidy_cells(row: pd.Series) -> dict[str, Any]:
    """Return the cells of a row that estimates have, those that are known."""
    return {
        str(name): value
        for name, value in row.items()
        if name in COLUMNS and not (isinstance(value, float) and np.isnan(value))
    }


def analyse_reliability(plan: PlannedAnalysis, network_fc: pd.DataFrame, *, unit: str) -> Result:
    """Return ICC, standard error of measurement and smallest detectable change of a system."""
    mine = network_fc.loc[
        (network_fc["outcome"] == plan.outcome) & network_fc["session"].isin(plan.tests)
    ]
    table = mine.assign(
        session=pd.Categorical(mine["session"], categories=list(plan.tests), ordered=True)
    )[["subject", "session", "fc_z"]]
    try:
        coefficients = icc(table, targets="subject", raters="session", scores="fc_z")
        errors = repeatability(table, targets="subject", raters="session", scores="fc_z")
    except ConnectrialError as error:
        return failed(plan, error.problems)
    base = base_cells(plan)
    rows = [
        base | tidy_cells(row) | {"kind": "reliability", "unit": "", "term": str(term)}
        for term, row in coefficients.loc[["ICC(2,1)", "ICC(3,1)"]].iterrows()
    ]
    rows += [
        base | tidy_cells(row) | {"kind": "reliability", "unit": unit, "term": str(term)}
        for term, row in errors.iterrows()
    ]
    return result_of(
        plan,
        rows,
        methods=(
            f"Test-retest reliability of {' and '.join(plan.tests)} is given as intraclass correlation, "
            "two-way random ICC(2,1) and mixed ICC(3,1), of people with all these sessions."
        ),
        citations=("shrout1979",),
    )
