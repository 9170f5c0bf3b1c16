"""What a crossover analysis shows beside its model: treatments at each visit, and sensitivities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as t_distribution

from connectrial.errors import ConnectrialError, ModelError
from connectrial.plan import PlannedAnalysis
from connectrial.run.model_rows import (
    DF_METHODS,
    base_row,
    estimate_cells,
    fit_planned,
    time_variable,
)
from connectrial.stats.edgewise import EdgeFits, fit_edges
from connectrial.stats.margins import mean_rows
from connectrial.stats.model_fit import MixedFit
from connectrial.study import ContrastSection
from connectrial.study_model_checks import grouping_variables, term_variables

Array = NDArray[np.float64]

_OF_PERIODS = frozenset({"period", "sequence", "period_baseline"})
_FIRST = "1"


def is_crossover(plan: PlannedAnalysis) -> bool:
    """Return whether an analysis compares treatments within people."""
    return any("treatment" in term_variables(term) for term in plan.terms) and (
        "treatment" in plan.rows
    )


def pairs_of(treatments: Sequence[str]) -> list[tuple[str, str]]:
    """Return which treatment is compared with which: (reference first) all with it, then the rest."""
    return list(combinations(treatments, 2))


def _cells_of(
    fit: MixedFit,
) -> tuple[dict[tuple[str, str], Array], list[str], list[str]]:
    """Return the weights of each treatment's mean at each visit, the treatments and the visits.

    Visits are one empty name where the model has none.

    Raises
    ------
    ConnectrialError
        The model has no such means.
    """
    time = time_variable(fit)
    levels, weights, _ = mean_rows(
        fit.design, ["treatment"] if time is None else ["treatment", time], at={}
    )
    place = {
        (one[0], one[1] if time is not None else ""): weights[k] for k, one in enumerate(levels)
    }
    treatments, visits = zip(*place, strict=True)
    return place, list(dict.fromkeys(treatments)), list(dict.fromkeys(visits))


def contrast_rows(
    plan: PlannedAnalysis, fit: MixedFit, *, unit: str, note: str = ""
) -> list[dict[str, Any]]:
    """Return the contrasts of treatments that an analysis declares, by every df method.

    Parameters
    ----------
    plan : PlannedAnalysis
        The analysis.
    fit : MixedFit
        Its model, or a variant of it.
    unit : str
        Of the outcome.
    note : str
        What is other about the variant; its rows then are sensitivity, by the declared df alone.

    Raises
    ------
    ConnectrialError
        A contrast names a treatment or visit that the model's rows do not have.
    """
    if not plan.contrasts:
        return []
    place, treatments, visits = _cells_of(fit)
    base = base_row(plan, fit, unit=unit) | ({"role": "sensitivity"} if note else {})
    others = () if note else (one for one in DF_METHODS if one != fit.df_method)
    methods = [fit.df_method, *others]
    rows = []
    for contrast in plan.contrasts:
        weights = _weights(contrast, place, treatments, visits)
        for method in methods:
            declared = method == fit.df_method and not note
            try:
                cells = estimate_cells(fit.with_df(method).contrast(weights).iloc[0])
            except ConnectrialError:
                if method == fit.df_method:
                    raise
                continue  # a method beside the declared one that this model does not have
            family = contrast.family or plan.family or ""
            rows.append(
                base
                | cells
                | {
                    "kind": "contrast",
                    "term": contrast.term(),
                    "declared": declared,
                    "family": family if declared else "",
                    "flags": "; ".join(p for p in (note, str(cells.get("flags", ""))) if p),
                }
            )
    return rows


def _weights(
    contrast: ContrastSection,
    place: Mapping[tuple[str, str], Array],
    treatments: Sequence[str],
    visits: Sequence[str],
) -> Array:
    against = str(contrast.against)
    named = contrast.visits if visits != [""] else ("",)
    over = named or tuple(visits)
    absent = [one for one in (contrast.treatment, against) if one not in treatments]
    since = contrast.since
    absent += [one for one in (*over, *([since] if since else ())) if one not in visits]
    if absent:
        raise ModelError(f"{contrast.term()}: no observation is at {absent[0]!r}")
    differences = [place[contrast.treatment, one] - place[against, one] for one in over]
    found = np.asarray(np.mean(differences, axis=0), dtype=np.float64)
    return (
        found
        if since is None
        else found - (place[contrast.treatment, since] - place[against, since])
    )


def treatment_rows(
    plan: PlannedAnalysis, fit: MixedFit, *, unit: str, note: str = ""
) -> list[dict[str, Any]]:
    """Return the difference of each treatment from those before it at each visit, and over them.

    Parameters
    ----------
    plan : PlannedAnalysis
        The analysis.
    fit : MixedFit
        Its model, or a variant of it.
    unit : str
        Of the outcome.
    note : str
        What is other about the variant; its rows then are sensitivity.

    Returns
    -------
    list of dict
        Rows of the schema, kind "contrast"; periods and sequences weigh the same. Declared contrasts
        are left out: they stand in `contrast_rows`. Where the model lets a treatment do the same at
        every visit, that difference is one row, without a visit's name.
    """
    try:
        place, treatments, visits = _cells_of(fit)
        declared = [_weights(c, place, treatments, visits) for c in plan.contrasts]
    except ConnectrialError:
        return []
    base = base_row(plan, fit, unit=unit) | ({"role": "sensitivity"} if note else {})
    rows = []
    for other, treatment in pairs_of(treatments):
        differences = [place[treatment, visit] - place[other, visit] for visit in visits]
        named = [
            (f"{treatment} - {other}" + (f" at {visit}" if visit else ""), difference)
            for visit, difference in zip(visits, differences, strict=True)
        ]
        if all(np.allclose(one, differences[0]) for one in differences[1:]):
            named = [(f"{treatment} - {other}", differences[0])]
        elif len(visits) > 1:
            over = f"{treatment} - {other}, mean of {len(visits)} visits"
            named.append((over, np.mean(differences, axis=0)))
        for term, difference in named:
            if any(np.allclose(difference, one) for one in declared):
                continue
            cells = estimate_cells(fit.contrast(difference).iloc[0])
            rows.append(
                base
                | cells
                | {
                    "kind": "contrast",
                    "term": term,
                    "declared": not note,
                    "flags": "; ".join(p for p in (note, str(cells.get("flags", ""))) if p),
                }
            )
    return rows


def sensitivities(
    plan: PlannedAnalysis, data: pd.DataFrame, *, outcome: str, unit: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """Fit a crossover again to its first period alone, and with period baselines where declared.

    Parameters
    ----------
    plan : PlannedAnalysis
        The analysis.
    data : DataFrame
        Its rows with the outcome.
    outcome : str
        Column of the outcome.
    unit : str
        Of the outcome.

    Returns
    -------
    rows : list of dict
        Role sensitivity, with what is other about them in ``flags``.
    notes : list of str
        What could not be done, and why.
    """
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    variants = [("period 1 alone, between people", _first_period(plan, data))]
    if "period_baseline" in data and "baseline" in plan.terms:
        moved = data.assign(baseline=data["period_baseline"])
        if outcome == "change":  # a change, too, starts where its period began
            moved["change"] = data["change"] + data["baseline"] - data["period_baseline"]
        variants.append(("each period's own baseline (a stand-in)", (plan, moved)))
    for note, (variant, mine) in variants:
        try:
            if mine["subject"].duplicated().any():
                fit = fit_planned(variant, mine, outcome=outcome)
                rows += _test_rows(variant, fit, unit=unit, note=note)
                rows += contrast_rows(variant, fit, unit=unit, note=note)
                rows += treatment_rows(variant, fit, unit=unit, note=note)
            else:
                rows += _independent_rows(variant, mine, outcome=outcome, unit=unit, note=note)
        except ConnectrialError as error:
            notes += [f"sensitivity ({note}) not done: {problem}" for problem in error.problems]
    return rows, notes


def _first_period(
    plan: PlannedAnalysis, data: pd.DataFrame
) -> tuple[PlannedAnalysis, pd.DataFrame]:
    """Take out what a single period cannot have: effects of periods and of their order."""
    assert plan.model is not None  # noqa: S101 - only analyses with models come here
    terms = tuple(t for t in plan.terms if not _OF_PERIODS & set(term_variables(t)))
    random = tuple(
        term
        for term in plan.model.random_terms
        if "period" not in grouping_variables(plan.model.model_copy(update={"random": (term,)}))
    )
    model = plan.model
    if model.covariance is None:
        model = model.model_copy(update={"random": random or ("1 | subject",)})
    first = data.loc[data["period"].astype("object") == _FIRST].copy()
    for name in first.columns:
        if isinstance(first[name].dtype, pd.CategoricalDtype):
            first[name] = first[name].cat.remove_unused_categories()
    return replace(plan, terms=terms, model=model), first.reset_index(drop=True)


def _test_rows(
    plan: PlannedAnalysis, fit: MixedFit, *, unit: str, note: str
) -> list[dict[str, Any]]:
    """Return the declared tests of a variant that still has them."""
    terms = {frozenset(term_variables(term)) for term in plan.terms}
    base = base_row(plan, fit, unit=unit) | {"role": "sensitivity", "declared": False}
    rows = []
    for test in plan.tests:
        if frozenset(term_variables(test)) not in terms:
            continue
        columns = fit.design.columns_of(test)
        cells = estimate_cells(fit.test(test).iloc[0])
        one = len(columns) == 1
        rows.append(
            base
            | cells
            | {
                "kind": "coefficient" if one else "F test",
                "term": columns[0] if one else fit.design.term_name(test),
                "flags": "; ".join(p for p in (note, str(cells.get("flags", ""))) if p),
            }
        )
    return rows


def _independent_rows(
    plan: PlannedAnalysis, data: pd.DataFrame, *, outcome: str, unit: str, note: str
) -> list[dict[str, Any]]:
    """Compare treatments between people with one observation each, by least squares."""
    used = {v for term in plan.terms for v in term_variables(term)}
    single = [v for v in used if v in data and data[v].nunique() == 1]
    terms = [t for t in plan.terms if not set(single) & set(term_variables(t))]
    treatments = [str(one) for one in data["treatment"].cat.categories]
    rows = []
    for other, treatment in pairs_of(treatments):
        order = [other, *(one for one in treatments if one != other)]
        turned = data.assign(treatment=data["treatment"].cat.reorder_categories(order))
        fits = fit_edges(
            data[[outcome]].to_numpy(dtype=np.float64),
            f"y ~ {' + '.join(terms)}",
            turned,
            df="residual",
        )
        column = f"treatment[{treatment}]"
        if column in fits.terms:
            base = {
                "analysis": plan.name,
                "role": "sensitivity",
                "analysis_set": plan.analysis_set,
                "outcome": plan.outcome,
                "unit": unit,
                "term": f"{treatment} - {other}",
                "flags": note,
            }
            rows.append(base | _least_squares(fits, fits.terms.index(column)))
    return rows


def _least_squares(fits: EdgeFits, at: int) -> dict[str, Any]:
    """Return the cells of one coefficient of least squares."""
    reach = float(t_distribution.isf(0.025, fits.df[at, 0])) * float(fits.se[at, 0])
    return {
        "kind": "contrast",
        "alternative": "two-sided",
        "estimate": float(fits.estimate[at, 0]),
        "se": float(fits.se[at, 0]),
        "statistic": float(fits.statistic[at, 0]),
        "statistic_name": "t",
        "df": float(fits.df[at, 0]),
        "df_method": "residual",
        "p": float(fits.p[at, 0]),
        "ci_level": 0.95,
        "ci_low": float(fits.estimate[at, 0]) - reach,
        "ci_high": float(fits.estimate[at, 0]) + reach,
        "declared": False,
        "n_subjects": int(fits.n_subjects[0]),
        "n_observations": int(fits.n_observations[0]),
    }


def paired_response(
    plan: PlannedAnalysis, treatments: Sequence[str]
) -> tuple[list[tuple[str, int, int]], list[tuple[str, pd.Series, pd.Series]]]:
    """Count an endpoint under each treatment, and pair the people who have two of them.

    Parameters
    ----------
    plan : PlannedAnalysis
        Rows ``subject``, ``treatment``, ``met``.
    treatments : sequence of str
        The first is the reference.

    Returns
    -------
    counts : list of (treatment, n met, n known)
    pairs : list of (term, met under the treatment, met under the one that it is compared with)
        Aligned by subject, people with both only.
    """
    known = plan.rows.loc[plan.rows["met"].notna()]
    wide = known.pivot(index="subject", columns="treatment", values="met")
    counts, pairs = [], []
    for treatment in treatments:
        if treatment in wide:
            mine = wide[treatment].dropna().astype(bool)
            counts.append((treatment, int(mine.sum()), len(mine)))
    for other, treatment in pairs_of(treatments):
        if treatment in wide and other in wide:
            both = wide[[treatment, other]].dropna().astype(bool)
            if len(both):
                name = f"{treatment} - {other}"
                pairs.append((name, both[treatment], both[other]))
    return counts, pairs
