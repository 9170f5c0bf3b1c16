"""Clinical analyses with their rows: models, arms at a visit, safety, volumes."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from connectrial.plan.crossover import baselines, with_treatments
from connectrial.plan.designs import (
    factor_levels,
    laid_out,
    model_rows,
    response_note,
    who_enters,
    with_design,
)
from connectrial.plan.people import People
from connectrial.plan.planned import PlannedAnalysis, estimand_of, title_of
from connectrial.study import ClinicalSection, ModelSection, Study
from connectrial.study_model_checks import expanded_terms
from connectrial.study_set_checks import stated_contrasts
from connectrial.study_trial_checks import clinical_tests, last_visit
from connectrial.trial.courses import carry_forward
from connectrial.trial.endpoints import change_from_baseline

LOCF_NOTE = (
    "last observation carried forward: missing scores are replaced by the last one before, which "
    "treats an unknown course as a standstill; read it beside the analysis of observed scores"
)


def plan_clinical(study: Study, people: People) -> list[PlannedAnalysis]:
    """Lay out every ``[[clinical]]``."""
    return [_plan_one(study, people, clinical) for clinical in study.clinical]


def _plan_one(study: Study, people: People, clinical: ClinicalSection) -> PlannedAnalysis:
    mine = people.scores.loc[people.scores["scale"] == clinical.scale]
    notes: list[str] = []
    if _missing_rule(study, clinical.analysis_set) == "locf" and len(mine):
        mine, note = _carried(study, people, clinical, mine)
        notes += [LOCF_NOTE, note]
    rows = clinical_rows(study, people, mine, baseline=clinical.baseline)
    rows = rows.loc[rows["score"].notna()]
    rows, who = who_enters(study, people, rows, clinical.who, clinical.analysis_set)
    plan = PlannedAnalysis(
        name=clinical.name,
        title=title_of(clinical.name, f"{clinical.scale} {clinical.measure}"),
        what="score" if clinical.way in ("mixed", "mmrm") else "arms",
        role=clinical.role,
        family=clinical.family,
        outcome=clinical.scale,
        analysis_set=who,
        tests=clinical_tests(study, clinical),
        notes=tuple(notes),
        section=clinical,
        estimand=estimand_of(study, clinical.estimand),
    )
    if rows.empty:
        return replace(plan, problems=(f"there are no {clinical.scale} scores to model",))
    if clinical.way == "mixed":
        return _plan_mixed(study, people, clinical, plan, rows)
    return (
        _plan_mmrm(study, people, clinical, plan, rows)
        if clinical.way == "mmrm"
        else _plan_arms(study, people, clinical, plan, rows)
    )


def _missing_rule(study: Study, analysis_set: str | None) -> str:
    return "observed" if analysis_set is None else study.analysis_sets[analysis_set].missing


def _carried(
    study: Study, people: People, clinical: ClinicalSection, mine: pd.DataFrame
) -> tuple[pd.DataFrame, str]:
    have = set(mine.loc[mine["score"].notna(), "visit"].astype(str))
    visits = [visit for visit in study.visits if visit in have]
    filled = carry_forward(mine, scale=clinical.scale, visits=visits)
    days = mine.groupby("visit", observed=True)["day"].mean()
    filled["day"] = filled["visit"].map(days).astype(float)
    members = people.sets.get(clinical.analysis_set or "", frozenset())
    used = filled.loc[filled["subject"].isin(members) & (filled["carried_from"] != "")]
    return filled, f"{len(used)} scores of {used['subject'].nunique()} people are carried forward"


def _plan_mixed(
    study: Study,
    people: People,
    clinical: ClinicalSection,
    plan: PlannedAnalysis,
    rows: pd.DataFrame,
) -> PlannedAnalysis:
    model = study.model[clinical.model or ""]
    if clinical.measure == "change":
        rows = rows.loc[rows["change"].notna()]
    if clinical.visits:
        rows = rows.loc[rows["visit"].isin(clinical.visits)]
    terms = expanded_terms(model.fixed)
    plan = replace(
        plan,
        model=model,
        terms=terms,
        tests=clinical.tests,
        contrasts=stated_contrasts(study, clinical),
        notes=(*plan.notes, *response_note(study, terms)),
    )
    if rows.empty:
        return replace(plan, problems=(f"there are no {clinical.scale} scores to model",))
    keep = [clinical.measure] + (["period_baseline"] if "period_baseline" in rows else [])
    return with_design(*laid_out(study, people, plan, rows, keep=keep, baseline=clinical.baseline))


def _plan_mmrm(
    study: Study,
    people: People,
    clinical: ClinicalSection,
    plan: PlannedAnalysis,
    rows: pd.DataFrame,
) -> PlannedAnalysis:
    """Lay out change ~ baseline + arm * visit with an unstructured covariance."""
    after = rows.loc[rows["change"].notna()]
    if clinical.visits:
        after = after.loc[after["visit"].isin(clinical.visits)]
    fixed = ["baseline", "arm * visit" if study.arms is not None else "visit", *clinical.covariates]
    n_visits = after["visit"].nunique()
    if n_visits < 2:
        return replace(
            plan,
            problems=(
                f"an mmrm needs two visits after {clinical.baseline} with {clinical.scale}; there is "
                f"{n_visits}: take method = 'ancova' with visit",
            ),
        )
    model = ModelSection.model_validate(
        {
            "fixed": fixed,
            "covariance": "us(visit | subject)",
            "df": clinical.df or "satterthwaite",
        }
    )
    ready = model_rows(study, people, after, model, keep=[clinical.measure])
    tests = plan.tests
    # Tests of an MMRM are contrasts of its means, which are no terms of the design.
    laid = with_design(
        replace(plan, model=model, terms=expanded_terms(model.fixed), tests=()), ready
    )
    short = after.loc[after["visit"] == last_visit(study, clinical)]
    problems = laid.problems
    without = rows["subject"].nunique() - after["subject"].nunique()
    if without:
        note = (
            f"{without} people of this set have no change at any visit that enters, and are left out; "
            "a mixed model takes scores as missing at random only of those it has"
        )
        laid = replace(laid, notes=(*laid.notes, note))
    if short.empty:
        problems = (*problems, f"nobody has {clinical.scale} at {last_visit(study, clinical)}")
    return replace(laid, tests=tests, problems=problems)


def _plan_arms(
    study: Study,
    people: People,
    clinical: ClinicalSection,
    plan: PlannedAnalysis,
    rows: pd.DataFrame,
) -> PlannedAnalysis:
    """Lay out methods that compare arms at one visit, or visits by analysis of variance."""
    visits = [v for v in study.visits if (rows["visit"] == v).any()]
    if clinical.way == "anova":
        wanted = clinical.visits or visits
        wanted = [v for v in visits if v in wanted or v == clinical.baseline]
    elif clinical.way == "reference-based":
        start = study.visits.index(clinical.baseline or "")
        stop = study.visits.index(clinical.visit or "")
        wanted = [v for v in study.visits[start : stop + 1] if v in visits]
        wanted = [v for v in wanted if not clinical.visits or v in (*clinical.visits, visits[0])]
    else:
        wanted = [clinical.visit or ""]
    here = rows.loc[rows["visit"].isin(wanted)].reset_index(drop=True)
    here["visit"] = pd.Categorical(here["visit"].astype(str), categories=wanted, ordered=True)
    for name, levels in factor_levels(study, people).items():
        if name in here:
            here[name] = pd.Categorical(here[name], categories=list(levels), ordered=True)
    problems = []
    if clinical.way == "anova" and clinical.baseline not in set(here["visit"].astype(str)):
        problems.append(f"nobody has {clinical.scale} at the baseline visit {clinical.baseline}")
    if clinical.way != "anova" and clinical.visit not in set(here["visit"].astype(str)):
        problems.append(f"nobody has {clinical.scale} at {clinical.visit}")
    if here.empty:
        problems = [f"there are no {clinical.scale} scores at {', '.join(wanted)}"]
    value = here[clinical.measure] if clinical.measure in here else here["score"]
    known = here.loc[value.notna()]
    return replace(
        plan,
        rows=here,
        n_subjects=int(known["subject"].nunique()),
        n_observations=len(known),
        problems=tuple(problems),
    )


def clinical_rows(
    study: Study, people: People, scores: pd.DataFrame, *, baseline: str | None
) -> pd.DataFrame:
    """Return scores of analysed people with their factors; change and baseline where asked."""
    included = people.subjects.loc[people.subjects["included"]]
    rows = scores.merge(included.drop(columns=["included", "reason"]), on="subject", how="inner")
    rows = people.exposure.at_visits(rows)
    if study.is_crossover:
        rows = with_treatments(rows, study=study, periods=people.periods)
        if baseline is not None:
            rows = rows.join(baselines(scores, rows, study=study, baseline=baseline))
            order = {visit: number for number, visit in enumerate(study.visits)}
            later = rows["visit"].map(order) > order[baseline]
            rows["change"] = (rows["score"] - rows["baseline"]).where(later)
    elif baseline is not None:
        changes = change_from_baseline(rows, baseline=baseline)
        rows["baseline"] = changes["baseline"].to_numpy()
        rows["change"] = changes["change"].to_numpy()
        rows["percent_change"] = changes["percent_change"].to_numpy()
    return rows


def plan_safety(study: Study, people: People) -> list[PlannedAnalysis]:
    """Lay out ``[safety]`` and ``[volumes]``."""
    planned = []
    if study.safety is not None and study.safety.events:
        entries = people.events
        rows, who = who_enters(study, people, entries, None, study.safety.analysis_set)
        notes: tuple[str, ...] = ()
        if len(rows):
            notes = (
                f"a side effect counts from severity {study.safety.present_from:g}; a person counts "
                "once",
            )
        planned.append(
            PlannedAnalysis(
                name="Side effects",
                title="Side effects",
                what="safety",
                role="safety",
                outcome="side effects",
                analysis_set=who,
                rows=rows,
                n_subjects=int(rows["subject"].nunique()),
                n_observations=len(rows),
                section=study.safety,
                notes=notes,
                problems=() if len(rows) else ("no checklist entry belongs to a visit",),
            )
        )
    if study.volumes is not None:
        planned.append(_plan_volumes(study, people))
    return planned


def _plan_volumes(study: Study, people: People) -> PlannedAnalysis:
    section = study.volumes
    assert section is not None  # noqa: S101 - asked for
    mine = people.scores.loc[people.scores["scale"] == section.scale]
    changes = clinical_rows(study, people, mine, baseline=section.baseline)
    changes = changes.loc[changes["visit"] == section.visit]
    chosen, who = who_enters(study, people, changes, None, section.analysis_set)
    table = people.volumes
    problems: list[str] = []
    absent = [one for one in (*section.structures, section.intracranial) if one not in table]
    if absent:
        known = [str(c) for c in table.columns if c not in ("subject", "session")]
        problems.append(
            f"the table of volumes has no column {', '.join(map(repr, absent))}; it has "
            f"{', '.join(known[:12])}"
        )
    if section.session is not None and "session" in table:
        table = table.loc[table["session"] == section.session]
    if len(table) and table["subject"].duplicated().any():
        twice = table.loc[table["subject"].duplicated(), "subject"].iloc[0]
        problems.append(f"sub-{twice} has several rows of volumes; name the session to use")
    rows = pd.DataFrame()
    if not problems:
        rows = chosen[["subject", section.outcome]].merge(table, on="subject", how="inner")
        without = len(chosen) - len(rows)
        if len(rows) < 4:
            problems.append(f"only {len(rows)} people have both volumes and a change")
    notes = (f"{without} people with a change have no volumes",) if not problems and without else ()
    return PlannedAnalysis(
        name="Structural volumes",
        title=f"Structural volumes and {section.scale} {section.outcome.replace('_', ' ')}",
        what="volumes",
        role=section.role,
        outcome=section.scale,
        analysis_set=who,
        tests=section.structures,
        rows=rows,
        n_subjects=len(rows),
        n_observations=len(rows),
        section=section,
        problems=tuple(problems),
        notes=notes,
    )
