"""Every measure of quality tested against visit, arm and response, before FC is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from connectrial.errors import ConnectrialError
from connectrial.figures.measures import listed_measures
from connectrial.plan import Plan
from connectrial.plan.crossover import with_treatments
from connectrial.results import QUALITY_DICTIONARY, REGION_DICTIONARY, Result, tidy
from connectrial.run.batch_rows import batch_result
from connectrial.run.model_rows import estimate_cells
from connectrial.stats.association import correlate
from connectrial.stats.terms import fit_terms
from connectrial.study import Study
from connectrial.study_model_checks import term_variables
from connectrial.trial.visits import CONTROLS

#: Names of the analyses of quality, as results know them.
TESTS, CHANGES = "Quality of the scans", "Motion and change of FC"
_REGIONAL = ("mean_signal", "sd_before", "sd_after", "tsnr")
_LEVEL = 0.05
_LOOK = "p < .05: look at it before FC"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Design:
    """Who is looked at, by which terms, and which of them are tested."""

    rows: pd.DataFrame
    who: str
    fixed: tuple[str, ...]
    tests: tuple[str, ...]


def analyse_quality(
    plan: Plan, quality: pd.DataFrame, regions: pd.DataFrame, visit_fc: pd.DataFrame
) -> list[Result]:
    """Test quality against visit, arm, response and controls, and change of motion against FC's.

    Parameters
    ----------
    plan : Plan
        Factors, visits and systems.
    quality : DataFrame
        One row per session, the measures of ``results.QUALITY_DICTIONARY``.
    regions : DataFrame
        One row per session and region.
    visit_fc : DataFrame
        ``subject``, ``visit``, ``outcome``, ``fc_z``.

    Returns
    -------
    list of Result
        All of role ``quality``; p values are not adjusted, so that nothing is hidden.
    """
    if quality.empty:
        return []
    values, units = _visit_values(plan, quality, regions)
    results = [_tests(plan, values, units)]
    if values["mean_fd_mm"].notna().any():
        results.append(_changes(plan, values, visit_fc))
    if plan.study.quality.batch is not None:
        results.append(batch_result(plan))
    return [result for result in results if len(result.estimates)]


def _visit_values(
    plan: Plan, quality: pd.DataFrame, regions: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return measures by person and visit (sessions averaged) with factors, and their units."""
    subjects = plan.people.subjects
    who = set(subjects.loc[subjects["included"], "subject"])
    used = quality["included"] & quality["subject"].isin(who)
    units = {name: unit for name, (_, unit) in QUALITY_DICTIONARY.items() if name in quality}
    table = quality.loc[used, ["subject", "session", "visit", *units]]
    own = [name for name in plan.study.sets if len(regions) and (regions["region"] == name).any()]
    for name in own:
        mine = regions.loc[regions["region"] == name].set_index(["subject", "session"])
        for measure in _REGIONAL:
            column = f"{measure} in {name}"
            units[column] = REGION_DICTIONARY[measure][1]
            keys = pd.MultiIndex.from_frame(table[["subject", "session"]])
            table = table.assign(**{column: mine[measure].reindex(keys).to_numpy()})
    averaged = table.groupby(["subject", "visit"], observed=True, sort=False)[list(units)].mean()
    factors = [name for name in plan.people.factors if name in subjects]
    joined = averaged.reset_index().merge(subjects[["subject", *factors]], on="subject", how="left")
    return joined, units


def _designs(plan: Plan, values: pd.DataFrame) -> Iterator[_Design]:
    """Yield the models that this design calls for, factors in their declared order."""
    study = plan.study
    treated = values.loc[values["visit"] != CONTROLS]
    who = "everyone"
    if study.groups is not None:
        treated = treated.loc[treated["group"] == study.groups.patients]
        who = f"group {study.groups.patients}"
    if study.is_crossover:
        treated = with_treatments(treated, study=study, periods=plan.people.periods)
        order = _ordered(treated["treatment"], study.design.treatments)
        treated = treated.assign(treatment=order).loc[order.notna()]
    treated = treated.assign(visit=_ordered(treated["visit"], study.visits))
    several = treated["visit"].nunique() > 1
    visit: tuple[str, ...] = ("visit",) if several else ()
    factors = {"treatment": study.design.treatments, **plan.people.factors}
    named = {
        name: _ordered(treated[name], factors[name])
        for name in ("arm", "treatment", *_endpoints_in_models(study))
        if name in treated
    }
    crossed = {name: levels for name, levels in named.items() if levels.nunique() > 1}
    if several and not {"arm", "treatment"} & set(crossed):
        yield _Design(rows=treated, who=who, fixed=("visit",), tests=("visit",))
    for name, levels in crossed.items():
        rows = treated.assign(**{name: levels}).loc[levels.notna()]
        interaction = (f"visit:{name}",) if several else ()
        first = visit if name in ("arm", "treatment") else ()
        yield _Design(
            rows=rows,
            who=who,
            fixed=(*visit, name, *interaction),
            tests=(*first, name, *interaction),
        )
    if study.groups is not None and study.groups.controls is not None:
        group = _ordered(values["group"], (study.groups.controls, study.groups.patients))
        if group.nunique() == 2:
            yield _Design(
                rows=values.assign(group=group).loc[group.notna()],
                who="patients and controls",
                fixed=("group",),
                tests=("group",),
            )


def _endpoints_in_models(study: Study) -> list[str]:
    """Return the endpoints that a model splits people by; the first where no model does.

    A trial may count a dozen endpoints; quality matters by those that an analysis of scans uses.
    """
    models = [one.model for one in study.hypothesis] + [one.model for one in study.exploration]
    terms = [term for model in models for term in study.model[model].fixed]
    used = {name for term in terms for name in term_variables(term)}
    named = [name for name in study.endpoints if name in used]
    return named or list(study.endpoints)[:1]


def _ordered(column: pd.Series, levels: Sequence[str]) -> pd.Series:
    text = column.astype("object").where(column.notna(), None)
    present = [level for level in levels if (text == level).any()]
    known = text.where(text.isin(present), None)
    return pd.Series(pd.Categorical(known, categories=present, ordered=True), index=column.index)


def _tests(plan: Plan, values: pd.DataFrame, units: dict[str, str]) -> Result:
    designs = list(_designs(plan, values))
    rows = [
        row
        for measure, unit in units.items()
        if values[measure].notna().any()
        for design in designs
        for row in _test_rows(design, measure, unit)
    ]
    unknown = [name for name in units if values[name].isna().all()]
    notes = (
        [f"not known of these scans, so not tested: {listed_measures(unknown)}"] if unknown else []
    )
    n_tests = sum(np.isfinite(row.get("p", np.nan)) for row in rows)
    n_low = sum(row.get("p", np.nan) < _LEVEL for row in rows)
    if n_tests:
        notes.append(
            f"{n_low} of {n_tests} tests have p < .05, where about {_LEVEL * n_tests:.1f} are expected "
            "if nothing differs; none is adjusted, because a difference in quality is a reason to "
            "doubt whatever its rank"
        )
    models = "; ".join(dict.fromkeys(f"{' + '.join(d.fixed)} ({d.who})" for d in designs))
    return Result(
        name=TESTS,
        title=TESTS,
        role="quality",
        what="quality",
        outcome="every measure",
        estimates=tidy(rows),
        methods="Before connectivity, every measure of scan quality was modelled by a linear mixed "
        f"model with a random intercept for each person and the fixed terms {models}; tests use "
        "Satterthwaite's degrees of freedom and are not adjusted for their number."
        if n_tests
        else "No measure of scan quality is known that differs between scans, so none was tested.",
        citations=("laird1982", "satterthwaite1946") if n_tests else (),
        notes=tuple(notes),
    )


def _test_rows(design: _Design, measure: str, unit: str) -> list[dict[str, Any]]:
    """Fit one measure; a model that cannot be fitted is a row that says why."""
    data = design.rows.loc[design.rows[measure].notna()]
    base: dict[str, Any] = {
        "analysis": TESTS,
        "role": "quality",
        "kind": "F test",
        "analysis_set": design.who,
        "outcome": measure,
        "unit": unit,
        "declared": True,
        "alternative": "two-sided",
        "ci_level": 0.95,
        "n_subjects": data["subject"].nunique(),
        "n_observations": len(data),
    }
    why = _unfit(data, measure)
    try:
        if why:
            return [base | {"term": test, "flags": f"not tested: {why}"} for test in design.tests]
        fit = fit_terms(data, measure, fixed=design.fixed, df="satterthwaite")
        rows = []
        for test in design.tests:
            columns = fit.design.columns_of(test)
            cells = estimate_cells(fit.test(test).iloc[0])
            single = len(columns) == 1
            flags = [str(cells.get("flags", "")), _LOOK if cells.get("p", 1.0) < _LEVEL else ""]
            rows.append(
                base
                | cells
                | {
                    "kind": "coefficient" if single else "F test",
                    "term": columns[0] if single else fit.design.term_name(test),
                    "flags": "; ".join(flag for flag in flags if flag),
                }
            )
    except ConnectrialError as error:
        flags_text = f"not tested: {'; '.join(error.problems)}"
        return [base | {"term": test, "flags": flags_text} for test in design.tests]
    return rows


def _unfit(data: pd.DataFrame, measure: str) -> str:
    known = data[measure].to_numpy(dtype=np.float64)
    if len(known) == 0:
        return "no session has it"
    if np.ptp(known) <= 1e-12 * max(1.0, float(np.abs(known).max())):
        return "it is the same in every session"
    if not data["subject"].duplicated().any():
        return "nobody has two visits with it, and the model needs repeated visits"
    return ""


def _changes(plan: Plan, values: pd.DataFrame, visit_fc: pd.DataFrame) -> Result:
    """Relate each person's change of motion to the change of every declared network's FC."""
    motion = values.pivot_table(
        index="subject", columns="visit", values="mean_fd_mm", observed=True
    )
    rows = []
    notes = []
    for system in plan.systems:
        mine = visit_fc.loc[visit_fc["outcome"] == system]
        fc = mine.pivot_table(index="subject", columns="visit", values="fc_z", observed=True)
        for first, later in _pairs(plan, values):
            term = f"change of mean FD with change of FC, {later} - {first}"
            if not {first, later} <= (set(fc.columns) & set(motion.columns)):
                continue
            moved = (motion[later] - motion[first]).dropna()
            changed = (fc[later] - fc[first]).dropna()
            people = moved.index.intersection(changed.index)
            try:
                cells = estimate_cells(correlate(moved[people], changed[people]).iloc[0])
            except ConnectrialError as error:
                notes.append(f"not done: {system}, {term}: {'; '.join(error.problems)}")
                continue
            look = "p < .05: motion may be behind the change" if cells["p"] < _LEVEL else ""
            rows.append(
                {
                    "analysis": CHANGES,
                    "role": "quality",
                    "analysis_set": "people with both visits",
                    "outcome": system,
                    "unit": "r",
                    "declared": True,
                    "alternative": "two-sided",
                    "ci_level": 0.95,
                    "n_subjects": len(people),
                    "n_observations": len(people),
                }
                | cells
                | {
                    "kind": "correlation",
                    "term": term,
                    "flags": "; ".join(x for x in (str(cells.get("flags", "")), look) if x),
                }
            )
    return Result(
        name=CHANGES,
        title=CHANGES,
        role="quality",
        what="quality",
        outcome="every hypothesis",
        estimates=tidy(rows),
        methods="Over people, the change of mean framewise displacement was correlated (Pearson) with "
        "the change of each network's FC; these p values are not adjusted.",
        notes=tuple(notes),
    )


def _pairs(plan: Plan, values: pd.DataFrame) -> list[tuple[str, str]]:
    """Return what is compared: the first visit with later ones, or treatments at one visit."""
    study = plan.study
    if study.is_crossover:
        reference, *others = study.design.treatments
        at = {(place.visit, place.treatment): place.name for place in study.places}
        return [
            (at[visit, reference], at[visit, other])
            for visit in study.visits
            for other in others
            if (visit, reference) in at and (visit, other) in at
        ]
    visits = [visit for visit in study.visits if (values["visit"] == visit).any()]
    return [(visits[0], later) for later in visits[1:]]
