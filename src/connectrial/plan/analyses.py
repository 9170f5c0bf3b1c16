"""Every analysis with its rows, its design and its tests, before an outcome is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

import pandas as pd

from connectrial.fc.networks import NetworkDefinition
from connectrial.plan.connection_tables import stand_in_note
from connectrial.plan.correlations import plan_correlations
from connectrial.plan.crossover import with_treatments
from connectrial.plan.designs import (
    laid_out,
    response_note,
    scan_rows,
    who_enters,
    with_design,
)
from connectrial.plan.endpoint_plans import plan_endpoints, plan_times
from connectrial.plan.outcomes import plan_clinical, plan_safety
from connectrial.plan.people import People
from connectrial.plan.planned import PlannedAnalysis, estimand_of, title_of
from connectrial.study import (
    AdjustMethod,
    ConnectionTable,
    EdgeSetSection,
    ExplorationSection,
    HypothesisSection,
    RestOf,
    Study,
)
from connectrial.study_model_checks import expanded_terms
from connectrial.study_set_checks import stated_contrasts
from connectrial.trial.visits import CONTROLS


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
