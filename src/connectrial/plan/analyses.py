"""Every analysis with its rows, its design and its tests, before an outcome is looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np
import pandas as pd

from connectrial.errors import ModelError
from connectrial.fc.networks import NetworkDefinition
from connectrial.plan.connection_tables import stand_in_note
from connectrial.plan.crossover import crossover_notes, with_treatments, within_treatments
from connectrial.plan.people import People
from connectrial.stats.design import Design, build_design
from connectrial.stats.grammar import parse_formula
from connectrial.stats.validity import f_test_notes, main_effect_notes, validity_notes
from connectrial.study import (
    AdjustMethod,
    ConnectionTable,
    ContrastSection,
    EdgeSetSection,
    ExplorationSection,
    HypothesisSection,
    ModelSection,
    RestOf,
    Section,
    Study,
)
from connectrial.study_model_checks import expanded_terms, grouping_variables, term_variables
from connectrial.study_set_checks import stated_contrasts
from connectrial.trial.visits import CONTROLS


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlannedAnalysis:
    """What will be done, with whom, under which model.

    Attributes
    ----------
    name, title, role, outcome : str
        As in :class:`connectrial.results.Result`.
    what : str
        ``"network FC"``, ``"score"``, ``"edges"``, ``"groups"``, ``"reliability"``,
        ``"response"``, ``"arms"``, ``"correlation"``, ``"time to event"``, ``"volumes"``,
        ``"safety"``, ``"exposure"``, ``"exposure response"``, ``"edge set"``, ``"map"`` or
        ``"profile"`` (a map over parcels).
    family : str or None
        Family that its tests belong to.
    analysis_set : str
        Who is analysed, in words.
    model : ModelSection or None
        The model; None for analyses without one.
    terms : tuple of str
        Fixed terms, ``*`` written out.
    tests : tuple of str
        Terms that are tested.
    rows : pandas.DataFrame
        One row per observation that is planned: ``subject``, ``visit`` and the model's variables.
    n_subjects, n_observations : int
        Behind the model, rows with a missing variable not counted.
    columns, aliased : tuple of str
        Columns of the design; those of them that cannot be estimated.
    reference_levels : dict
        First level of each factor.
    rank : int or None
        Rank of the design.
    edges : NetworkDefinition or None
        The system, for network FC.
    problems : tuple of str
        Why it cannot be run.
    notes : tuple of str
        What a reader must know.
    section : Section or None
        The section of the study file that settings are read from.
    estimand : mapping
        ``name`` and the attributes of the estimand; empty where none is named.
    contrasts : tuple of ContrastSection
        Treatments of a crossover that are compared beside the terms.
    stand_in : str
        What of the outcome no source states; every row of the results then says so.
    """

    name: str
    title: str
    what: str
    role: str
    outcome: str
    analysis_set: str
    family: str | None = None
    model: ModelSection | None = None
    terms: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    n_subjects: int = 0
    n_observations: int = 0
    columns: tuple[str, ...] = ()
    aliased: tuple[str, ...] = ()
    reference_levels: dict[str, str] = field(default_factory=dict)
    rank: int | None = None
    edges: NetworkDefinition | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    section: Section | None = None
    estimand: Mapping[str, object] = field(default_factory=dict)
    contrasts: tuple[ContrastSection, ...] = ()
    stand_in: str = ""

    @property
    def formula(self) -> str:
        """Return the model as a formula; empty without one."""
        if self.model is None:
            return ""
        random = " + ".join(
            [f"({term.strip('()')})" for term in self.model.random_terms]
            + ([self.model.covariance] if self.model.covariance else [])
        )
        outcome = "score" if self.what == "score" else "fc_z"
        outcome = "change" if "change" in self.rows else outcome
        return f"{outcome} ~ {' + '.join(self.terms)} + {random}"


def plan_analyses(
    study: Study,
    people: People,
    systems: dict[str, NetworkDefinition],
    tables: Mapping[str, pd.DataFrame] | None = None,
) -> list[PlannedAnalysis]:
    """Lay out all analyses of a study.

    Parameters
    ----------
    study : Study
        What is asked.
    people : People
        Who is there.
    systems : dict
        Edges of each hypothesis.
    tables : mapping, optional
        Tables of connections.

    Returns
    -------
    list of PlannedAnalysis
        Hypotheses, comparisons, clinical analyses, endpoints, reliability, explorations.
    """
    # These lay out their analyses with what is defined here.
    from connectrial.plan.correlations import plan_correlations
    from connectrial.plan.outcomes import plan_clinical, plan_endpoints, plan_safety, plan_times

    observed = scan_rows(people)
    planned = [
        _plan_hypothesis(study, people, observed, one, systems.get(one.name), tables or {})
        for one in study.hypothesis
    ]
    planned += [_plan_edge_set(study, section, planned) for section in study.edge_set]
    planned += _plan_comparisons(study, people, observed)
    planned += plan_clinical(study, people)
    planned += plan_correlations(study, people)
    planned += plan_endpoints(study, people)
    planned += plan_times(study, people)
    planned += plan_safety(study, people)
    planned += _plan_reliability(study, people)
    for exploration in study.exploration:
        model = study.model[exploration.model]
        rows, who = who_enters(study, people, observed, exploration.who)
        plan = PlannedAnalysis(
            name=exploration.name,
            title=exploration.name,
            what="edges",
            role="exploratory",
            outcome="every edge",
            analysis_set=who,
            model=model,
            terms=expanded_terms(model.fixed),
            tests=(exploration.test,),
            notes=(_over_edges(exploration),),
        )
        planned.append(with_design(*laid_out(study, people, plan, rows), one_column=True))
    return planned


def _plan_edge_set(
    study: Study, section: EdgeSetSection, planned: Sequence[PlannedAnalysis]
) -> PlannedAnalysis:
    """Plan a comparison with random sets: the rows and the model are those of its hypothesis."""
    own = next(one for one in planned if one.name == section.hypothesis)
    alike = " and ".join(section.match) or "nothing"
    drawn = f"those of {section.others}" if section.others else "all others of the atlas"
    notes = [
        f"{section.n_permutations} random sets from {drawn}, alike in {alike}",
        "the p value is about connections of these people, not about other people: it says whether "
        "the set is unusual among sets like it. It is too small where errors of the set's connections "
        "are more alike than those of random sets; the model of each person's difference does not "
        "suffer from that",
    ]
    problems = list(own.problems)
    if not problems and section.test not in own.columns:
        matching = [c for c in own.columns if _term_of(c) == _term_of(section.test)]
        if len(matching) != 1:
            problems.append(
                f"the test {section.test!r} has {len(matching)} columns ({', '.join(matching)}); name one"
            )
    return replace(
        own,
        name=section.name,
        title=section.name,
        what="edge set",
        role=section.role,
        family=section.family,
        tests=(section.test,),
        contrasts=(),
        section=section,
        notes=(*([own.notes[0]] if own.stand_in else ()), *notes),
        problems=tuple(problems),
        estimand={},
    )


def _term_of(column: str) -> frozenset[str]:
    return frozenset(part.partition("[")[0] for part in column.split(":"))


def _over_edges(exploration: ExplorationSection) -> str:
    if exploration.method not in get_args(AdjustMethod):
        return f"{exploration.method} over all edges by {exploration.n_permutations} permutations"
    return f"{exploration.method} over all edges"


def scan_rows(people: People) -> pd.DataFrame:
    """Return one row per person and visit with an analysed scan, with the person's factors."""
    analysed = people.scans.loc[people.scans["analysed"], ["subject", "visit"]]
    once = analysed.drop_duplicates()
    rows = once.merge(
        people.subjects.drop(columns=["included", "reason"]), on="subject", how="left"
    )
    return people.exposure.at_visits(rows)


def _plan_hypothesis(
    study: Study,
    people: People,
    observed: pd.DataFrame,
    hypothesis: HypothesisSection,
    edges: NetworkDefinition | None,
    tables: Mapping[str, pd.DataFrame],
) -> PlannedAnalysis:
    model = study.model[hypothesis.model]
    if hypothesis.visits:
        at = {p.name for p in study.places if p.visit in hypothesis.visits}
        observed = observed.loc[observed["visit"].isin(at)]
    rows, who = who_enters(study, people, observed, hypothesis.who, hypothesis.analysis_set)
    stand_in = stand_in_note(study, hypothesis, tables)
    plan = PlannedAnalysis(
        name=hypothesis.name,
        title=title_of(hypothesis.name, _system(hypothesis)),
        what="network FC",
        role=hypothesis.role,
        family=hypothesis.family,
        outcome=hypothesis.name,
        analysis_set=who,
        model=model,
        terms=expanded_terms(model.fixed),
        tests=hypothesis.tests,
        edges=edges,
        notes=(
            *([stand_in] if stand_in else ()),
            *response_note(study, expanded_terms(model.fixed)),
        ),
        estimand=estimand_of(study, hypothesis.estimand),
        contrasts=stated_contrasts(study, hypothesis),
        stand_in=stand_in.partition(":")[0],
    )
    return with_design(*laid_out(study, people, plan, rows))


def estimand_of(study: Study, name: str | None) -> dict[str, object]:
    """Return the attributes of an estimand as plain data; empty where none is named."""
    return {} if name is None else {"name": name, **study.estimand[name].model_dump()}


def plan_over_places(
    study: Study, people: People, plan: PlannedAnalysis, *, who: str | None, one_column: bool
) -> PlannedAnalysis:
    """Give an analysis of every voxel its people, and its design where it has a model."""
    rows, words = who_enters(study, people, scan_rows(people), who)
    ready = replace(plan, analysis_set=words)
    if plan.model is not None:
        ready = replace(ready, notes=(*plan.notes, *response_note(study, plan.terms)))
        ready = with_design(*laid_out(study, people, ready, rows), one_column=one_column)
        return replace(ready, rows=_with_places_in_order(study, ready.rows))
    if study.is_crossover:
        rows = with_treatments(rows, study=study, periods=people.periods)
        given = [one for one in study.design.treatments if (rows["treatment"] == one).any()]
        rows["treatment"] = pd.Categorical(rows["treatment"], categories=given, ordered=True)
    visits = [visit for visit in (*study.visits, CONTROLS) if (rows["visit"] == visit).any()]
    rows["visit"] = pd.Categorical(rows["visit"].astype(str), categories=visits, ordered=True)
    return replace(
        ready,
        rows=_with_places_in_order(study, rows.reset_index(drop=True)),
        n_subjects=int(rows["subject"].nunique()),
        n_observations=len(rows),
    )


def _with_places_in_order(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    """Give a crossover's places the order in which treatments and visits stand in the protocol."""
    if "place" not in rows:
        return rows
    known = [place.name for place in study.places]
    order = [name for name in (*known, CONTROLS) if (rows["place"] == name).any()]
    return rows.assign(place=pd.Categorical(rows["place"], categories=order, ordered=True))


def title_of(name: str, about: str) -> str:
    """Put what an analysis is about behind its name, where the name does not say it already."""
    if about.lower() == f"within {name}".lower():
        return f"{name} (within)"
    return name if about.lower() == name.lower() else f"{name} ({about})"


def _system(hypothesis: HypothesisSection) -> str:
    if hypothesis.within is not None:
        return f"within {hypothesis.within}"
    if isinstance(hypothesis.between, RestOf):
        return f"{hypothesis.between.set} to the rest of {hypothesis.between.rest_of}"
    if hypothesis.between is not None:
        return " to ".join(hypothesis.between)
    if hypothesis.gbc is not None:
        return f"global connectivity of {hypothesis.gbc}"
    if hypothesis.participation is not None:
        return f"participation of {hypothesis.participation}"
    if hypothesis.difference is not None:
        return " minus ".join(hypothesis.difference)
    if isinstance(hypothesis.connections, ConnectionTable):
        listed = hypothesis.connections
        return f"connections {listed.set or 'all'} of {listed.table}"
    return f"{len(hypothesis.connections)} connections"


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


def _plan_comparisons(
    study: Study, people: People, observed: pd.DataFrame
) -> list[PlannedAnalysis]:
    planned = []
    for comparison in study.comparison:
        assert study.groups is not None  # noqa: S101 - the study file has seen to it
        patients = observed.loc[observed["group"] == study.groups.patients]
        controls = observed.loc[observed["group"] == study.groups.controls]
        notes = tuple(
            f"{visit}: {int((patients['visit'] == visit).sum())} patients, {len(controls)} controls"
            for visit in comparison.visits
        )
        problems = [
            f"{visit}: a comparison needs two people on each side"
            for visit in comparison.visits
            if min(int((patients["visit"] == visit).sum()), len(controls)) < 2
        ]
        rows = pd.concat([patients.loc[patients["visit"].isin(comparison.visits)], controls])
        planned.append(
            PlannedAnalysis(
                name=comparison.name,
                title=comparison.name,
                what="groups",
                role=comparison.role,
                family=comparison.family,
                outcome=", ".join(comparison.hypotheses),
                analysis_set="patients and controls",
                tests=tuple(
                    f"{h} at {v}" for h in comparison.hypotheses for v in comparison.visits
                ),
                rows=rows[["subject", "visit", "group"]],
                n_subjects=int(rows["subject"].nunique()),
                n_observations=len(rows),
                problems=tuple(problems),
                notes=notes,
            )
        )
    return planned


def _plan_reliability(study: Study, people: People) -> list[PlannedAnalysis]:
    """Plan test-retest reliability wherever one visit has several sessions."""
    planned = []
    for visit in study.visit:
        if len(visit.sessions) < 2:
            continue
        mine = people.scans.loc[people.scans["analysed"] & (people.scans["visit"] == visit.name)]
        sessions = mine.groupby("subject")["session"].nunique()
        both = int((sessions == len(visit.sessions)).sum())
        for hypothesis in study.hypothesis:
            planned.append(
                PlannedAnalysis(
                    name=f"{hypothesis.name}: reliability at {visit.name}",
                    title=f"{hypothesis.name}: {' and '.join(visit.sessions)}",
                    what="reliability",
                    role="quality",
                    outcome=hypothesis.name,
                    analysis_set=f"people with {' and '.join(visit.sessions)}",
                    tests=visit.sessions,
                    n_subjects=both,
                    n_observations=both * len(visit.sessions),
                    problems=()
                    if both >= 3
                    else (f"only {both} people have all of {', '.join(visit.sessions)}",),
                    notes=(f"{len(sessions) - both} people without all sessions are left out",)
                    if len(sessions) > both
                    else (),
                )
            )
    return planned
