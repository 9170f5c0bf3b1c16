"""Plans of binary endpoints and of times to events."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from connectrial.errors import InputError
from connectrial.plan.designs import factor_levels, who_enters
from connectrial.plan.endpoint_tables import find_endpoint, who_has_endpoints
from connectrial.plan.outcomes import LOCF_NOTE
from connectrial.plan.people import People
from connectrial.plan.planned import PlannedAnalysis, estimand_of, title_of
from connectrial.study import EndpointSection, Study
from connectrial.study_trial_checks import endpoint_tests
from connectrial.trial.courses import carry_forward, time_to_event

_ENDPOINT_COLUMNS = ["subject", "met", "analysis_set", "treatment"]


def plan_endpoints(study: Study, people: People) -> list[PlannedAnalysis]:
    """Lay out every endpoint, once for each set of people that it is asked of."""
    planned = []
    included = set(people.subjects.loc[people.subjects["included"], "subject"])
    for name, section in study.endpoints.items():
        notes: list[str] = []
        tables = []
        observed = people.endpoints.loc[people.endpoints["endpoint"] == name]
        observed = observed.loc[observed["subject"].isin(included)]
        if not section.analysis_sets:
            tables.append(observed.assign(analysis_set="all with a score"))
        for one in section.analysis_sets:
            table, note = _endpoint_in(study, people, name, section, observed, one)
            tables.append(table)
            notes += note
        rows = pd.concat(tables, ignore_index=True)
        shown = (
            rows.loc[rows["analysis_set"] == rows["analysis_set"].iloc[0]] if len(rows) else rows
        )
        known = shown.loc[shown["met"].notna()]
        yes = int(known["met"].astype(bool).sum())
        first = f"{yes} of {len(known)} {section.plural(met=True)} at {_when(section)}"
        if "treatment" in known:
            counts = [
                f"{int(one['met'].astype(bool).sum())} of {len(one)} under {treatment!s}"
                for treatment, one in known.groupby("treatment", sort=False)
            ]
            first = f"{section.plural(met=True)} at {section.visit}: {', '.join(counts)}"
        notes = [first, *notes]
        missing = len(shown) - len(known)
        if missing:
            reasons = "; ".join(shown["reason"]).split("; ")
            why = "; ".join(sorted(set(reasons) - {""}))
            many = "observations" if study.is_crossover else "people"
            who = (
                f"{missing} {many}"
                if missing > 1
                else {"people": "1 person"}.get(many, f"1 {many[:-1]}")
            )
            notes.append(f"{who} without it: {why}")
        planned.append(
            PlannedAnalysis(
                name=name,
                title=f"{name} ({section.scale} at {_when(section)})",
                what="response",
                role=section.role,
                family=section.family,
                outcome=name,
                analysis_set=", ".join(section.analysis_sets) or "all with a score",
                tests=endpoint_tests(study) if section.family else (),
                rows=rows[[c for c in _ENDPOINT_COLUMNS if c in rows]],
                n_subjects=known["subject"].nunique(),
                n_observations=len(known),
                notes=tuple(notes),
                section=section,
                estimand=estimand_of(study, section.estimand),
            )
        )
    return planned


def _when(section: EndpointSection) -> str:
    return section.visit if section.until is None else f"{section.visit} to {section.until}"


def _endpoint_in(
    study: Study,
    people: People,
    name: str,
    section: EndpointSection,
    observed: pd.DataFrame,
    analysis_set: str,
) -> tuple[pd.DataFrame, list[str]]:
    members = people.sets.get(analysis_set, frozenset())
    mine = observed.loc[observed["subject"].isin(members)].reset_index(drop=True)
    rule = study.analysis_sets[analysis_set].missing
    notes = []
    open_ = mine["met"].isna() & ~mine["reason"].str.startswith("is not asked")
    if rule == "worst case" and open_.any():
        mine.loc[open_, "met"] = False
        mine.loc[open_, "reason"] = ""
        notes.append(
            f"{analysis_set}: {int(open_.sum())} without the outcome count as "
            f"{section.plural(met=False)} (worst case)"
        )
    if rule == "locf" and open_.any():
        scores = people.scores
        own = carry_forward(scores, scale=section.scale, visits=study.visits)
        known = mine.loc[open_, "subject"]
        filled = find_endpoint(name, section, own, list(known)).set_index("subject")
        mine.loc[open_, "met"] = filled["met"].reindex(known).to_numpy(dtype=object)
        mine.loc[open_, "reason"] = filled["reason"].reindex(known).to_numpy()
        notes.append(f"{analysis_set}: {LOCF_NOTE} ({int(open_.sum())} people)")
    return mine.assign(analysis_set=analysis_set), notes


def plan_times(study: Study, people: People) -> list[PlannedAnalysis]:
    """Lay out every ``[[time_to_event]]``."""
    planned = []
    days = {visit.name: visit.day for visit in study.visit if visit.day is not None}
    for section in study.time_to_event:
        plan = PlannedAnalysis(
            name=section.name,
            title=title_of(section.name, f"time to {section.event}, {section.scale}"),
            what="time to event",
            role=section.role,
            family=section.family,
            outcome=section.scale,
            analysis_set=section.analysis_set or "everyone",
            tests=endpoint_tests(study),
            section=section,
            estimand=estimand_of(study, section.estimand),
        )
        asked = who_has_endpoints(study, people.subjects)
        everybody = people.subjects.loc[people.subjects["included"]]
        everybody = everybody.loc[everybody["subject"].isin(asked)]
        chosen, who = who_enters(study, people, everybody, None, section.analysis_set)
        try:
            table = time_to_event(
                people.scores,
                scale=section.scale,
                event=section.event,
                baseline=section.baseline,
                days=days,
                min_percent_decrease=section.min_percent_decrease,
                below=section.below,
                at_most=section.at_most,
                relapse_percent_decrease=section.relapse_percent_decrease,
                subjects=list(chosen["subject"]),
            )
        except InputError as error:
            planned.append(replace(plan, problems=tuple(error.problems)))
            continue
        if "arm" in chosen:
            arms = factor_levels(study, people)["arm"]
            own = chosen.set_index("subject")["arm"].reindex(table["subject"]).to_numpy()
            table["arm"] = pd.Categorical(own, categories=list(arms), ordered=True)
        timed = table.loc[table["time_days"].notna()]
        lost = table.loc[table["time_days"].isna(), "reason"].value_counts(sort=False)
        notes = [
            f"{'1 person has' if count == 1 else f'{count} people have'} no time: {reason}"
            for reason, count in lost.items()
        ]
        notes.append(
            "an event is known to the visit only: it came at that visit or some time after the one "
            "before"
        )
        planned.append(
            replace(
                plan,
                analysis_set=who,
                rows=table,
                n_subjects=len(timed),
                n_observations=len(timed),
                notes=tuple(notes),
            )
        )
    return planned
