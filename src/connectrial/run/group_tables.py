"""Tables beside the estimates: people, scans with their fates, scores, weak parcels."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from connectrial.plan import Plan
from connectrial.plan.crossover import with_treatments
from connectrial.run.associations import association_points
from connectrial.run.exposing import exposure_tables
from connectrial.run.parcels import parcels_table
from connectrial.run.people_tables import people_tables
from connectrial.run.safety import safety_tables
from connectrial.run.session_jobs import SessionOutcome
from connectrial.trial.endpoints import change_from_baseline
from connectrial.trial.periods import repeat_common
from connectrial.trial.summaries import observed_means
from connectrial.trial.visits import CONTROLS


def visit_facts(plan: Plan) -> dict[str, list[str]]:
    """Return the visits in order, and in a crossover the places: each visit under each treatment."""
    if not plan.study.is_crossover:
        return {"visits": list(plan.visits)}
    extra = [name for name in plan.visits if name == CONTROLS]
    return {"visits": [*plan.study.visits, *extra], "places": list(plan.visits)}


def _by_treatment(plan: Plan, table: pd.DataFrame) -> pd.DataFrame:
    """Name a crossover's visits as the protocol does, with the treatment in a column of its own."""
    if not plan.study.is_crossover or table.empty:
        return table
    ready = with_treatments(table, study=plan.study, periods=plan.people.periods)
    visits = visit_facts(plan)["visits"]
    ready["visit"] = pd.Categorical(ready["visit"], categories=visits, ordered=True)
    return ready.drop(columns=["place"])


def group_tables(
    plan: Plan,
    scans: pd.DataFrame,
    network_fc: pd.DataFrame,
    visit_fc: pd.DataFrame,
    outcomes: Sequence[SessionOutcome],
) -> dict[str, pd.DataFrame]:
    """Return the tables of people, scans and scores that stand beside the estimates."""
    people = plan.people
    flow, availability = plan.flow, plan.availability
    if not scans["included"].equals(people.scans["included"]):
        flow, availability = _shown_again(plan, scans)
    tables = {
        "subjects": people.subjects,
        "scans": scans,
        "flow": flow,
        "availability": availability,
        "network_fc": network_fc,
        "visit_fc": _by_treatment(plan, visit_fc),
        "scores": _by_treatment(plan, _scores(plan)),
        "score_means": _score_means(plan),
        "endpoints": people.endpoints,
        "weak_parcels": _weak(plan, scans, outcomes),
        **exposure_tables(plan),
        "associations": association_points(plan, visit_fc),
    }
    if people.matching is not None:
        tables |= {"matched": people.matching.pairs, "balance": people.matching.balance}
    tables |= people_tables(plan, scans) | safety_tables(plan)
    if plan.survey.atlas is not None:
        tables["parcels"] = parcels_table(plan.survey.atlas)
    return {name: table for name, table in tables.items() if len(table)}


def _shown_again(plan: Plan, scans: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Redraw flow and availability once reading has cost some scans."""
    from connectrial.plan.making import flow_and_availability

    return flow_and_availability(plan.study, plan.people, scans)


def _scores(plan: Plan) -> pd.DataFrame:
    """Return the scores with change from the first visit that a scale has."""
    scores = plan.people.scores
    if scores.empty:
        return scores
    tables = []
    for _, mine in scores.groupby("scale", sort=False):
        have = mine.loc[mine["score"].notna(), "visit"]
        if have.empty:
            continue
        changes = change_from_baseline(mine.reset_index(drop=True), baseline=str(have.min()))
        tables.append(changes.drop(columns=["reason"]))
    if not tables:
        return scores
    return pd.concat(tables, ignore_index=True)


def _score_means(plan: Plan) -> pd.DataFrame:
    scores = plan.people.scores
    if scores.empty:
        return pd.DataFrame()
    factor = "arm" if plan.study.arms is not None else next(iter(plan.study.endpoints), None)
    subjects = plan.people.subjects
    joined = scores.merge(subjects.loc[subjects["included"]], on="subject", how="inner")
    if plan.study.is_crossover:
        factor = "treatment"
        joined = repeat_common(
            _by_treatment(plan, _patients(plan, joined)), treatments=plan.study.design.treatments
        )
    tables = []
    for scale, mine in joined.groupby("scale", sort=False):
        overall = () if plan.study.is_crossover else (None,)
        for by in (*overall, factor) if factor is not None else (None,):
            means = observed_means(mine, value="score", by=by)
            tables.append(means.assign(scale=scale))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _patients(plan: Plan, rows: pd.DataFrame) -> pd.DataFrame:
    groups = plan.study.groups
    return rows if groups is None else rows.loc[rows["group"] == groups.patients]


def _weak(plan: Plan, scans: pd.DataFrame, outcomes: Sequence[SessionOutcome]) -> pd.DataFrame:
    atlas = plan.survey.atlas
    visits = scans.drop_duplicates(["subject", "session"]).set_index(["subject", "session"])[
        "visit"
    ]
    rows = []
    for one in outcomes:
        for weak in (one.sidecar or {}).get("WeakParcels", []):
            network = "" if atlas is None else atlas.parcels["network"].get(weak["parcel"], "")
            rows.append(
                {
                    "subject": one.subject,
                    "session": one.session,
                    "visit": visits.get((one.subject, one.session), ""),
                    "network": "" if pd.isna(network) else str(network),
                    "action": "edges left out"
                    if plan.study.coverage.action == "exclude"
                    else "flagged, still used",
                    **weak,
                }
            )
    return pd.DataFrame(rows)
