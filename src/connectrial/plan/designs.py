"""Who enters an analysis, its rows, its design, and what stands against it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from connectrial.errors import ModelError
from connectrial.plan.crossover import crossover_notes, with_treatments, within_treatments
from connectrial.plan.people import People
from connectrial.plan.planned import PlannedAnalysis
from connectrial.stats.design import Design, build_design
from connectrial.stats.grammar import parse_formula
from connectrial.stats.validity import f_test_notes, main_effect_notes, validity_notes
from connectrial.study import (
    ModelSection,
    Study,
)
from connectrial.study_model_checks import grouping_variables, term_variables
from connectrial.trial.visits import CONTROLS


def scan_rows(people: People) -> pd.DataFrame:
    """Return one row per person and visit with an analysed scan, with the person's factors."""
    analysed = people.scans.loc[people.scans["analysed"], ["subject", "visit"]]
    once = analysed.drop_duplicates()
    rows = once.merge(
        people.subjects.drop(columns=["included", "reason"]), on="subject", how="left"
    )
    return people.exposure.at_visits(rows)


def who_enters(
    study: Study,
    people: People,
    rows: pd.DataFrame,
    who: str | None,
    analysis_set: str | None = None,
) -> tuple[pd.DataFrame, str]:
    """Return the rows of those who enter an analysis, and what they are called."""
    groups = study.groups
    if groups is None or who == "everyone":
        label = "everyone" if groups is not None else _everyone(study)
    else:
        level = groups.controls if who == "controls" else groups.patients
        rows, label = rows.loc[rows["group"] == level], f"group {level}"
    if analysis_set is None:
        return rows, label
    members = people.sets.get(analysis_set, frozenset())
    return rows.loc[rows["subject"].isin(members)], analysis_set


def _everyone(study: Study) -> str:
    return "all with a known arm" if study.arms is not None else "everyone"


def response_note(study: Study, terms: Sequence[str]) -> tuple[str, ...]:
    """Say what a factor that was observed after baseline can mean, and cannot."""
    used = {variable for term in terms for variable in term_variables(term)}
    notes = []
    for name in sorted(used & set(study.endpoints)):
        notes.append(
            f"{name} was observed after baseline and not randomised: a contrast by {name} describes who "
            "changed, and is no effect of treatment"
        )
        if name not in terms:
            notes.append(f"the model with {name} stands beside this one as sensitivity")
    return tuple(notes)


def laid_out(
    study: Study,
    people: People,
    plan: PlannedAnalysis,
    rows: pd.DataFrame,
    *,
    keep: Sequence[str] = (),
    baseline: str | None = None,
) -> tuple[PlannedAnalysis, pd.DataFrame]:
    """Choose the rows of an analysis' model and give its variables their order."""
    model = plan.model
    assert model is not None  # noqa: S101 - only models come here
    if study.is_crossover:
        variables = {v for term in plan.terms for v in term_variables(term)}
        notes: list[str] = []
        if "place" not in rows:
            rows = with_treatments(rows, study=study, periods=people.periods)
        rows = within_treatments(rows, variables, notes)
        notes += crossover_notes(study, variables, baseline=baseline)
        plan = replace(plan, notes=(*plan.notes, *notes))
        keep = (*keep, "place", "treatment", "period")
    return plan, model_rows(study, people, rows, model, keep=keep)


def model_rows(
    study: Study, people: People, rows: pd.DataFrame, model: ModelSection, *, keep: Sequence[str]
) -> pd.DataFrame:
    """Give the variables of a model their order; visits that no row has are no levels."""
    ready = rows.reset_index(drop=True)
    visits = [visit for visit in (*study.visits, CONTROLS) if (ready["visit"] == visit).any()]
    ready["visit"] = pd.Categorical(ready["visit"].astype(str), categories=visits, ordered=True)
    ready["time"] = ready["visit"]
    if "day" not in ready:
        days = {visit.name: visit.day for visit in study.visit}
        ready["day"] = [np.nan if days.get(v) is None else days[v] for v in ready["visit"]]
    for name, levels in factor_levels(study, people).items():
        if name in ready:
            present = [level for level in levels if (ready[name] == level).any()]
            ready[name] = pd.Categorical(ready[name], categories=present, ordered=True)
    used = {variable for term in model.fixed for variable in term_variables(term)}
    used |= set(grouping_variables(model))
    used |= set(keep)
    return ready[["subject", "visit", *sorted(used - {"visit"} - (used - set(ready.columns)))]]


def factor_levels(study: Study, people: People) -> dict[str, tuple[str, ...]]:
    """Return the declared levels of every factor of people, and of a crossover's periods."""
    levels: dict[str, tuple[str, ...]] = {}
    if study.is_crossover:
        n_periods = len(study.design.order.columns) if study.design.order is not None else 0
        levels["treatment"] = study.design.treatments
        levels["period"] = tuple(str(number + 1) for number in range(n_periods))
        levels["sequence"] = people.factors.get("sequence", ())
    if study.groups is not None:
        levels["group"] = tuple(g for g in (study.groups.patients, study.groups.controls) if g)
    if study.arms is not None:
        levels["arm"] = study.arms.levels
    levels |= {name: section.levels for name, section in study.endpoints.items()}
    levels |= {name: one.levels for name, one in study.variables.items() if one.levels}
    return levels


def with_design(
    plan: PlannedAnalysis, rows: pd.DataFrame, *, one_column: bool = False
) -> PlannedAnalysis:
    """Build the design and say what it can and cannot estimate."""
    assert plan.model is not None  # noqa: S101 - only models come here
    try:
        design = build_design(
            list(plan.terms), rows, coding=coding_of(plan.model, rows), also=["subject"]
        )
    except ModelError as error:
        return replace(plan, rows=rows, problems=tuple(error.problems))
    problems, notes = _design_problems(plan, design, one_column=one_column)
    used = rows.iloc[design.rows]
    for name, count in design.dropped.items():
        people = rows.loc[rows[name].isna(), "subject"].nunique()
        notes.append(
            f"{count} of {design.n_rows} observations ({people} people) are left out: {name} is missing"
        )
    repeated = used["subject"].duplicated().any()
    if not repeated:
        problems.append("nobody has two observations; a mixed model needs repeated visits")
    return replace(
        plan,
        rows=rows,
        n_subjects=int(used["subject"].nunique()),
        n_observations=design.n_observations,
        columns=design.columns,
        aliased=tuple(design.notes),
        reference_levels=design.reference_levels,
        rank=design.rank,
        problems=tuple(problems),
        notes=(*plan.notes, *notes, *_validity_notes(plan, design, used)),
    )


def _validity_notes(plan: PlannedAnalysis, design: Design, used: pd.DataFrame) -> list[str]:
    """Warn where simulation found a model or its degrees of freedom wanting (docs, Validation)."""
    assert plan.model is not None  # noqa: S101 - only models come here
    parsed = parse_formula(plan.formula)
    notes = list(main_effect_notes(design, parsed))
    notes += validity_notes(parsed, used, df=plan.model.df)
    # A map tests each column of a term on its own, by t.
    together = plan.what != "map"
    if together and any(len(tested_columns(design, test)) > 1 for test in plan.tests):
        notes += f_test_notes(parsed, used, df=plan.model.df)
    return notes


def coding_of(model: ModelSection, rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return a model's coding for the variables that the rows have."""
    return {name: dict(numbers) for name, numbers in model.coding.items() if name in rows}


def tested_columns(design: Design, test: str) -> tuple[str, ...]:
    """Return the columns that a test names: a term's, or one column by its name.

    Parameters
    ----------
    design : Design
        Of the model.
    test : str
        A term such as ``treatment``, or one of its columns, such as ``treatment[high]``.

    Returns
    -------
    tuple of str
        Empty where the design has no such column.
    """
    if "[" not in test:
        return design.columns_of(test)
    wanted = {part.strip() for part in test.split(":")}
    return tuple(column for column in design.columns if set(column.split(":")) == wanted)


def _design_problems(
    plan: PlannedAnalysis, design: Design, *, one_column: bool
) -> tuple[list[str], list[str]]:
    problems, notes = [], []
    for column, why in design.notes.items():
        partner = column in design.estimable_columns
        notes.append(f"{column}: {why}" if partner else f"{column} cannot be estimated: {why}")
    for test in plan.tests:
        columns = tested_columns(design, test)
        if not columns:
            own = design.columns_of(re.sub(r"\[[^\]]*\]", "", test))
            problems.append(
                f"the test {test!r} is no column of the model; its columns are {', '.join(own)}"
            )
            continue
        lost = [column for column in columns if column in design.notes]
        if len(lost) == len(columns):
            problems.append(f"the test {test!r} cannot be estimated: {design.notes[lost[0]]}")
        if one_column and len(columns) != 1:
            problems.append(
                f"the test {test!r} has {len(columns)} columns ({', '.join(columns)}); a map needs "
                "one: name it"
            )
    return problems, notes
