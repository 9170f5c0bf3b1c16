"""The analyses that are about exposure: its description, and its correlations with change."""

from __future__ import annotations

import numpy as np

from connectrial.plan.designs import scan_rows
from connectrial.plan.people import People
from connectrial.plan.planned import PlannedAnalysis
from connectrial.study import Study
from connectrial.trial.endpoints import change_from_baseline

_FEWEST = 4  # people that a correlation needs


def plan_exposures(study: Study, people: People) -> list[PlannedAnalysis]:
    """Plan the description of exposure, and its correlations with change."""
    section = study.exposure
    if section is None:
        return []
    names = list(people.exposure.person.columns)
    observed = scan_rows(people)
    included = people.subjects.loc[people.subjects["included"]]
    rows = included[["subject", *names]]
    undosed = [name for name, doses in people.exposure.doses.items() if doses.empty]
    if people.exposure.doses:
        planned_for = {*people.exposure.doses, *people.exposure.reason} - {*undosed}
        rows = rows.loc[rows["subject"].isin(planned_for)]
    planned = [
        PlannedAnalysis(
            name="exposure",
            title="Exposure",
            what="exposure",
            role="descriptive",
            outcome="exposure",
            analysis_set="dosed people" if people.exposure.doses else "everyone",
            rows=rows,
            n_subjects=len(rows),
            n_observations=len(rows),
        )
    ]
    for response in section.response:
        measured = included.loc[included[response.measure].notna(), ["subject", response.measure]]
        if not response.include_undosed:
            measured = measured.loc[~measured["subject"].isin(undosed)]
        if response.scale is not None:
            scores = people.scores.loc[people.scores["scale"] == response.scale]
            changes = (
                change_from_baseline(scores.reset_index(drop=True), baseline=response.baseline)
                if len(scores)
                else scores.assign(change=np.nan)
            )
            at = changes.loc[changes["visit"] == response.visit, ["subject", "change"]]
            ready = measured.merge(at, on="subject", how="left")
            complete = int(ready["change"].notna().sum())
        else:
            ready = measured
            seen = observed.groupby("subject")["visit"].agg(set)
            both = {response.baseline, response.visit}
            complete = int(sum(both <= seen.get(name, set()) for name in ready["subject"]))
        constant = complete >= _FEWEST and ready[response.measure].nunique() < 2
        problems = [
            f"only {complete} people have {response.measure} and the change; a correlation needs {_FEWEST}"
        ]
        planned.append(
            PlannedAnalysis(
                name=response.name,
                title=response.name,
                what="exposure response",
                role=response.role,
                outcome=response.scale or str(response.hypothesis),
                analysis_set=f"{'' if response.include_undosed else 'dosed '}people with "
                f"{response.measure}",
                tests=(f"{response.measure} ~ change {response.baseline} to {response.visit}",),
                rows=ready,
                n_subjects=complete,
                n_observations=complete,
                problems=tuple(problems)
                if complete < _FEWEST
                else (
                    f"{response.measure} is the same for everybody, so nothing can depend on it; it needs "
                    "doses or samples of each person",
                )
                if constant
                else (),
            )
        )
    return planned
