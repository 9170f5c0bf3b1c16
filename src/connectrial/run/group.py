"""The group level: FC matrices and tables to the trial's results."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial._version import __version__
from connectrial.data import FloatArray, Scan
from connectrial.errors import InputError
from connectrial.fc.networks import network_fc_detail
from connectrial.io.series import read_matrix
from connectrial.plan import Plan, PlannedAnalysis
from connectrial.plan.crossover import with_treatments
from connectrial.results import GroupMap, Result, Results
from connectrial.run.analysing import (
    adjust_families,
    analyse_groups,
    analyse_network,
    analyse_reliability,
    analyse_response,
    analyse_score,
    analyse_treatments,
    failed,
    mark_simulated,
)
from connectrial.run.clinical import analyse_arms, analyse_times, analyse_volumes
from connectrial.run.exploring import analyse_edges
from connectrial.run.exposing import correlate_exposure, describe_exposure, exposure_tables
from connectrial.run.map_analysis import analyse_map
from connectrial.run.motion_effects import analyse_motion, wants_qc_fc
from connectrial.run.parcels import parcels_table
from connectrial.run.participant import Progress, SessionJob, SessionOutcome, made_from
from connectrial.run.people_tables import people_tables
from connectrial.run.quality_tables import quality_table, region_table, ruled_out
from connectrial.run.quality_tests import analyse_quality, batch_table
from connectrial.run.safety import analyse_side_effects, safety_tables
from connectrial.trial.endpoints import change_from_baseline
from connectrial.trial.periods import repeat_common
from connectrial.trial.summaries import observed_means
from connectrial.trial.visits import CONTROLS, average_sessions

_log = logging.getLogger(__name__)


class _Sessions:
    """What the group level keeps of each session's matrix: network means and asked-for edges."""

    def __init__(self, plan: Plan, *, with_edges: bool) -> None:
        atlas = plan.survey.atlas
        self.plan = plan
        self.n_parcels = 0 if atlas is None else len(atlas.parcels)
        self.upper = np.triu_indices(self.n_parcels, k=1)
        self.network_rows: list[dict[str, Any]] = []
        self.sums: dict[str, tuple[FloatArray, NDArray[np.int32]]] = {}
        # Edges of a visit's sessions are summed as they come, so that one matrix is held at a time.
        self.edges: dict[tuple[str, str], tuple[FloatArray, NDArray[np.int32]]] | None = (
            {} if with_edges else None
        )

    def add(self, job: SessionJob, visit: str) -> None:
        scan = Scan(
            subject=job.subject,
            session=job.session or None,
            run=None,
            kind="matrix",
            path=job.matrix,
        )
        parcels = job.atlas.parcels.index
        connectivity = read_matrix(scan, values="r", parcels=parcels)
        for name, system in self.plan.systems.items():
            detail = network_fc_detail(connectivity, system)
            self.network_rows.append(
                {
                    "subject": job.subject,
                    "session": job.session,
                    "visit": visit,
                    "outcome": name,
                    "fc_z": detail.fc_z,
                    "n_edges": detail.n_edges,
                    "n_missing": detail.n_missing,
                    "missing_parcels": ", ".join(map(str, detail.missing_parcels)),
                }
            )
        _accumulate(self.sums, visit, connectivity.z)
        if self.edges is not None:
            _accumulate(self.edges, (job.subject, visit), connectivity.z[self.upper])

    def network_fc(self) -> pd.DataFrame:
        columns = [
            "subject",
            "session",
            "visit",
            "outcome",
            "fc_z",
            "n_edges",
            "n_missing",
            "missing_parcels",
        ]
        return pd.DataFrame(self.network_rows, columns=columns)

    def matrices(self) -> dict[str, pd.DataFrame]:
        atlas = self.plan.survey.atlas
        if atlas is None:
            return {}
        names = atlas.parcels.index
        return {
            visit: pd.DataFrame(_mean(*self.sums[visit]), index=names, columns=names)
            for visit in self.plan.visits
            if visit in self.sums
        }

    def edge_values(self, rows: pd.DataFrame) -> FloatArray:
        """Return (n_observations, n_edges) Fisher z in the order of planned rows."""
        assert self.edges is not None  # noqa: S101 - asked for at the start
        empty = np.full(len(self.upper[0]), np.nan)
        place = rows["place" if "place" in rows else "visit"].astype(str)
        keys = zip(rows["subject"].astype(str), place, strict=True)
        return np.vstack([_mean(*self.edges[k]) if k in self.edges else empty for k in keys])


def _accumulate(store: dict[Any, Any], key: object, values: FloatArray) -> None:
    present = np.isfinite(values)
    filled = np.where(present, values, 0.0)
    if key in store:
        total, count = store[key]
        total += filled
        count += present
    else:
        store[key] = (filled, present.astype(np.int32))


def _mean(total: FloatArray, count: NDArray[np.int32]) -> FloatArray:
    empty: FloatArray = np.full(total.shape, np.nan)
    return np.divide(total, count, out=empty, where=count > 0)


def analyse_group(
    plan: Plan,
    jobs: Sequence[SessionJob],
    outcomes: Sequence[SessionOutcome],
    *,
    progress: Progress,
    software: Mapping[str, str],
) -> Results:
    """Compute every planned analysis from the sessions' matrices.

    Parameters
    ----------
    plan : Plan
        What was planned.
    jobs, outcomes : sequences
        The sessions, and what became of them, in the same order.
    progress : callable
        Told of steps.
    software : mapping
        Versions, for the record.
    """
    people_scans = _scans_after(plan, outcomes, ruled_out(plan, jobs, outcomes))
    visits = {
        (str(row.subject), str(row.session)): str(row.visit)
        for row in people_scans.loc[people_scans["analysed"]].itertuples()
    }
    sessions = _Sessions(plan, with_edges=bool(plan.study.exploration) or wants_qc_fc(plan))
    for number, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True)):
        visit = visits.get((job.subject, job.session))
        if outcome.sidecar is not None and visit is not None:
            sessions.add(job, str(visit))
        progress("reading matrices", number + 1, len(jobs))
    network_fc = sessions.network_fc()
    visit_fc = _visit_fc(plan, network_fc)
    quality = quality_table(plan, people_scans, jobs, outcomes)
    regions = region_table(plan, people_scans, jobs, outcomes)
    results: list[Result] = analyse_quality(plan, quality, regions, visit_fc)
    qcfc = pd.DataFrame()
    if wants_qc_fc(plan) and sessions.edges:
        motion, qcfc = analyse_motion(plan, quality, sessions.edge_values, _edge_table(plan))
        results.append(motion)
    progress("quality", 1, 1)
    edges: dict[str, pd.DataFrame] = {}
    maps: dict[str, GroupMap] = {}
    keys = {(job.subject, job.session): made_from(job) for job in jobs if job.maps}
    for number, one in enumerate(plan.analyses):
        table = None
        if one.what == "map" and not one.problems:
            result, drawn = analyse_map(
                one,
                plan.study.maps[one.name],
                jobs=jobs,
                visits=visits,
                keys=keys,
                atlas=plan.survey.atlas,
                seed=plan.study.study.seed,
            )
            maps |= {} if drawn is None else {one.name: drawn}
        else:
            result, table = _analyse(plan, one, network_fc, visit_fc, sessions)
        _log.info("%s: %d rows", one.name, len(result.estimates))
        results.append(result)
        if table is not None:
            edges[one.name] = table
        progress("analyses", number + 1, len(plan.analyses))
    results = adjust_families(plan, results)
    if plan.simulated:
        results = [mark_simulated(result) for result in results]
    tables = _tables(plan, people_scans, network_fc, visit_fc, outcomes)
    measured = {
        "quality": quality,
        "region_quality": regions,
        "qcfc": qcfc,
        "batches": batch_table(plan),
    }
    return Results(
        study=plan.study.as_plain(),
        plan=_plan_facts(plan),
        analyses=tuple(results),
        tables=tables | {name: table for name, table in measured.items() if len(table)},
        edges=edges,
        matrices=sessions.matrices(),
        maps=maps,
        software=software,
    )


def _analyse(
    plan: Plan,
    one: PlannedAnalysis,
    network_fc: pd.DataFrame,
    visit_fc: pd.DataFrame,
    sessions: _Sessions,
) -> tuple[Result, pd.DataFrame | None]:
    endpoints = list(plan.study.endpoints)
    if one.problems:
        return failed(one, one.problems), None
    if one.what == "network FC":
        return analyse_network(one, visit_fc, endpoints), None
    if one.what == "score":
        return analyse_score(one, plan.study.scales[one.outcome].unit, endpoints), None
    if one.what == "reliability":
        return analyse_reliability(one, network_fc, unit=plan.systems[one.outcome].unit), None
    if one.what == "groups":
        section = next(item for item in plan.study.comparison if item.name == one.name)
        result = analyse_groups(
            one,
            visit_fc,
            network_fc,
            hypotheses=section.hypotheses,
            visits=section.visits,
            equal_variance=section.equal_variance,
            units={name: system.unit for name, system in plan.systems.items()},
        )
        return result, None
    if one.what == "response" and plan.study.is_crossover:
        return analyse_treatments(one, plan.study.design.treatments), None
    if one.what in ("arms", "time to event", "volumes", "safety"):
        return _analyse_people(plan, one), None
    if one.what == "response":
        arms = plan.people.subjects.set_index("subject").get("arm")
        return analyse_response(one, arms, plan.people.factors.get("arm", ())), None
    if one.what == "exposure":
        return describe_exposure(plan, one), None
    if one.what == "exposure response":
        return correlate_exposure(plan, one, visit_fc), None
    section_of = {item.name: item for item in plan.study.exploration}
    exploration = section_of[one.name]
    table = _edge_table(plan)
    values = sessions.edge_values(one.rows)
    if exploration.networks:
        chosen = table["network_a"].isin(exploration.networks) & table["network_b"].isin(
            exploration.networks
        )
        table, values = table.loc[chosen].reset_index(drop=True), values[:, chosen.to_numpy()]
    seed = plan.study.study.seed
    return analyse_edges(one, values, table, section=exploration, seed=seed)


def _analyse_people(plan: Plan, one: PlannedAnalysis) -> Result:
    """Do an analysis of clinical tables that is no mixed model."""
    if one.what == "arms":
        return analyse_arms(one, plan.study, seed=plan.study.study.seed)
    if one.what == "time to event":
        return analyse_times(one)
    if one.what == "volumes":
        return analyse_volumes(one)
    return analyse_side_effects(one, plan.people.factors.get("arm", ()))


def _edge_table(plan: Plan) -> pd.DataFrame:
    atlas = plan.survey.atlas
    assert atlas is not None  # noqa: S101 - explorations need scans
    first, second = np.triu_indices(len(atlas.parcels), k=1)
    names = atlas.parcels.index.to_numpy()
    networks = atlas.parcels["network"].astype("object").fillna("").to_numpy()
    return pd.DataFrame(
        {
            "index_a": first,
            "index_b": second,
            "parcel_a": names[first],
            "parcel_b": names[second],
            "network_a": networks[first],
            "network_b": networks[second],
        }
    )


def _scans_after(
    plan: Plan, outcomes: Sequence[SessionOutcome], ruled: Mapping[tuple[str, str], str]
) -> pd.DataFrame:
    """Note in the table of scans what could not be used once it was read, or not by the rules."""
    scans = plan.people.scans.copy()
    lost = {(one.subject, one.session): one.reason for one in outcomes if one.sidecar is None}
    for (subject, session), reason in {**ruled, **lost}.items():
        here = (scans["subject"] == subject) & (scans["session"] == session)
        scans.loc[here, "included"] = False
        scans.loc[here, "analysed"] = False
        scans.loc[here, "reason"] = reason
    return scans


def _visit_fc(plan: Plan, network_fc: pd.DataFrame) -> pd.DataFrame:
    averaged = average_sessions(network_fc, value="fc_z", by=["subject", "visit", "outcome"])
    subjects = plan.people.subjects.drop(columns=["included", "reason"])
    table = averaged.merge(subjects, on="subject", how="left")
    table["visit"] = pd.Categorical(table["visit"], categories=list(plan.visits), ordered=True)
    return table


def _plan_facts(plan: Plan) -> dict[str, Any]:
    return {
        "hash": plan.hash,
        "survey_hash": plan.survey_hash,
        "seed": plan.study.study.seed,
        "version": __version__,
        "simulated": plan.simulated,
        "stand_ins": list(plan.study.study.stand_ins),
        **_visit_facts(plan),
        "factors": {name: list(levels) for name, levels in plan.people.factors.items()}
        | ({"treatment": list(plan.study.design.treatments)} if plan.study.is_crossover else {}),
        "families": {
            name: {"method": one.method, "size": one.size, "alpha": one.alpha}
            for name, one in plan.study.family.items()
        },
        "layouts": list(plan.survey.layouts),
        "warnings": list(plan.warnings),
    }


def _visit_facts(plan: Plan) -> dict[str, list[str]]:
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
    visits = _visit_facts(plan)["visits"]
    ready["visit"] = pd.Categorical(ready["visit"], categories=visits, ordered=True)
    return ready.drop(columns=["place"])


def _tables(
    plan: Plan,
    scans: pd.DataFrame,
    network_fc: pd.DataFrame,
    visit_fc: pd.DataFrame,
    outcomes: Sequence[SessionOutcome],
) -> dict[str, pd.DataFrame]:
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


def require_all(jobs: Sequence[SessionJob], outcomes: Sequence[SessionOutcome | None]) -> None:
    """Refuse the group level alone while sessions have no current matrix.

    Raises
    ------
    InputError
        Naming how many, and the first.
    """
    lacking = [job for job, outcome in zip(jobs, outcomes, strict=True) if outcome is None]
    if lacking:
        first = lacking[0]
        raise InputError(
            f"{len(lacking)} of {len(jobs)} sessions have no FC matrix made by this plan from these data "
            f"(sub-{first.subject} ses-{first.session} first); run '--level participant' before "
            "'--level group'"
        )
