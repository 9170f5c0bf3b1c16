"""The group level: FC matrices and tables to the trial's results."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial._version import __version__
from connectrial.data import Atlas
from connectrial.errors import InputError
from connectrial.io.edge_rows import EdgeRows
from connectrial.plan import Plan, PlannedAnalysis
from connectrial.plan.exposure import slope_units
from connectrial.plan.variants import variant_words
from connectrial.results import GroupMap, Result, Results
from connectrial.run.analysing import (
    analyse_groups,
    analyse_network,
    analyse_reliability,
    analyse_score,
    failed,
)
from connectrial.run.batch_rows import batch_table
from connectrial.run.clinical import analyse_arms, analyse_times, analyse_volumes
from connectrial.run.correlating import analyse_correlation
from connectrial.run.diagnosing import diagnose_primary
from connectrial.run.edge_sets import analyse_edge_set
from connectrial.run.exploring import analyse_edges
from connectrial.run.exposing import correlate_exposure, describe_exposure
from connectrial.run.families import adjust_families, mark_simulated
from connectrial.run.group_parts import Earlier, analysis_key
from connectrial.run.group_tables import group_tables, visit_facts
from connectrial.run.making_of import made_from
from connectrial.run.map_analysis import analyse_map
from connectrial.run.motion_effects import analyse_motion, wants_qc_fc
from connectrial.run.participant import Progress
from connectrial.run.profiling import analyse_profile
from connectrial.run.quality_tables import quality_table, region_table, ruled_out
from connectrial.run.quality_tests import analyse_quality
from connectrial.run.responding import analyse_response, analyse_treatments
from connectrial.run.retesting import analyse_edge_reliability, retested_places
from connectrial.run.safety import analyse_side_effects
from connectrial.run.session_jobs import SessionJob, SessionOutcome
from connectrial.run.session_values import SessionValues, read_sessions
from connectrial.trial.visits import average_sessions

_log = logging.getLogger(__name__)


def analyse_group(
    plan: Plan,
    jobs: Sequence[SessionJob],
    outcomes: Sequence[SessionOutcome],
    *,
    folder: Path,
    progress: Progress,
    software: Mapping[str, str],
    earlier: Earlier | None = None,
) -> Results:
    """Compute every planned analysis from the sessions' matrices.

    Parameters
    ----------
    plan : Plan
        What was planned.
    jobs, outcomes : sequences
        The sessions, and what became of them, in the same order.
    folder : Path
        Where the values of all edges may lie as long as it takes.
    progress : callable
        Told of steps.
    software : mapping
        Versions, for the record.
    earlier : Earlier, optional
        Results of an earlier run: an analysis over all edges or places that would be made from the
        same is taken from there.
    """
    with ExitStack() as stack:
        atlas = plan.survey.atlas
        edges: EdgeRows | None = None
        if atlas is not None and (
            plan.study.exploration or plan.study.edge_set or wants_qc_fc(plan)
        ):
            edges = stack.enter_context(EdgeRows(folder, _n_edges(atlas)))
        retest: EdgeRows | None = None
        if atlas is not None and retested_places(plan):
            retest = stack.enter_context(EdgeRows(folder, _n_edges(atlas)))
        return _analyse_all(
            plan,
            jobs,
            outcomes,
            edges,
            retest,
            progress=progress,
            software=software,
            earlier=earlier or Earlier(),
        )


def _analyse_all(
    plan: Plan,
    jobs: Sequence[SessionJob],
    outcomes: Sequence[SessionOutcome],
    edge_rows: EdgeRows | None,
    retest: EdgeRows | None,
    *,
    progress: Progress,
    software: Mapping[str, str],
    earlier: Earlier,
) -> Results:
    people_scans = scans_after(plan, outcomes, ruled_out(plan, jobs, outcomes))
    visits = {
        (str(row.subject), str(row.session)): str(row.visit)
        for row in people_scans.loc[people_scans["analysed"]].itertuples()
    }
    sessions = read_sessions(
        plan, jobs, outcomes, visits=visits, edges=edge_rows, progress=progress, retest=retest
    )
    network_fc = sessions.network_fc()
    visit_fc = visit_fc_of(plan, network_fc)
    quality = quality_table(plan, people_scans, outcomes)
    regions = region_table(plan, people_scans, jobs, outcomes)
    results: list[Result] = analyse_quality(plan, quality, regions, visit_fc)
    qcfc = pd.DataFrame()
    if wants_qc_fc(plan) and edge_rows:
        motion, qcfc = analyse_motion(plan, quality, sessions.edge_values, _edge_table(plan))
        results.append(motion)
    progress("quality", 1, 1)
    edges: dict[str, pd.DataFrame] = {}
    maps: dict[str, GroupMap] = {}
    profiles: list[pd.DataFrame] = []
    random_sets: list[pd.DataFrame] = []
    keys = {(job.subject, job.session): made_from(job) for job in jobs if job.maps}
    hashes = {(one.subject, one.session): str(one.sidecar["ContentHash"])
              for one in outcomes if one.sidecar is not None}  # fmt: skip
    made: dict[str, str] = {}
    for number, one in enumerate(plan.analyses):
        table = None
        key = _key_of(plan, one, visits, keys if one.what == "map" else hashes, software)
        known = earlier.analysis(one.name, key) if key else None
        made |= {one.name: key} if key else {}
        if known is not None:
            result, table, drawn = known
            maps |= {} if drawn is None else {one.name: drawn}
        elif one.what == "map" and not one.problems:
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
        elif one.what == "profile" and not one.problems:
            result, profile = analyse_profile(one, sessions.profiles)
            profiles.append(profile)
        elif one.what == "edge set" and not one.problems:
            result, null = _analyse_set(plan, one, sessions)
            random_sets.append(null)
        else:
            result, table = _analyse(plan, one, network_fc, visit_fc, sessions)
        _log.info("%s: %d rows", one.name, len(result.estimates))
        results.append(result)
        if table is not None:
            edges[one.name] = table
        progress("analyses", number + 1, len(plan.analyses))
    edge_reliability = pd.DataFrame()
    if retest is not None:
        agreement, edge_reliability = analyse_edge_reliability(
            plan, visits, retest, _edge_table(plan)
        )
        results.append(agreement)
    results, fits = diagnose_primary(plan.analyses, results, visit_fc)
    results = adjust_families(plan, results)
    if plan.simulated:
        results = [mark_simulated(result) for result in results]
    tables = group_tables(plan, people_scans, network_fc, visit_fc, outcomes)
    measured = {
        "quality": quality,
        "region_quality": regions,
        "qcfc": qcfc,
        "edge_reliability": edge_reliability,
        "batches": batch_table(plan),
        "network_strength": sessions.network_strength(),
        "profiles": pd.concat(profiles, ignore_index=True) if profiles else pd.DataFrame(),
        "random_sets": pd.concat(random_sets) if random_sets else pd.DataFrame(),
        **fits,
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
        made_from=made,
    )


def _key_of(
    plan: Plan,
    one: PlannedAnalysis,
    visits: Mapping[tuple[str, str], str],
    hashes: Mapping[tuple[str, str], str],
    software: Mapping[str, str],
) -> str:
    """Hash what an analysis over all edges or places is made from; "" for one that costs nothing."""
    if one.what not in ("edges", "map") or one.problems:
        return ""
    if one.what == "map":
        section: Any = plan.study.maps[one.name]
    else:
        section = next(item for item in plan.study.exploration if item.name == one.name)
    sessions = [
        (*key, visit, hashes[key]) for key, visit in sorted(visits.items()) if key in hashes
    ]
    return analysis_key(
        plan, one, section.model_dump(mode="json"), sessions=sessions, software=software
    )


def _analyse(
    plan: Plan,
    one: PlannedAnalysis,
    network_fc: pd.DataFrame,
    visit_fc: pd.DataFrame,
    sessions: SessionValues,
) -> tuple[Result, pd.DataFrame | None]:
    study = plan.study
    endpoints, seed, units = list(study.endpoints), study.study.seed, slope_units(study)
    if one.problems:
        return failed(one, one.problems), None
    if one.what == "network FC":
        return analyse_network(one, visit_fc, endpoints, seed=seed, units=units), None
    if one.what == "score":
        unit = study.scales[one.outcome].unit
        return analyse_score(one, unit, endpoints, seed=seed, units=units), None
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
    if one.what == "correlation":
        return analyse_correlation(one, visit_fc), None
    if one.what == "exposure":
        return describe_exposure(plan, one), None
    if one.what == "exposure response":
        return correlate_exposure(plan, one, visit_fc), None
    section_of = {item.name: item for item in plan.study.exploration}
    exploration = section_of[one.name]
    table = _edge_table(plan)
    wanted: NDArray[np.intp] | None = None
    if exploration.networks:
        chosen = table["network_a"].isin(exploration.networks) & table["network_b"].isin(
            exploration.networks
        )
        table, wanted = table.loc[chosen].reset_index(drop=True), np.flatnonzero(chosen)
    values = sessions.edge_values(one.rows, edges=wanted)
    return analyse_edges(one, values, table, section=exploration, seed=seed)


def _analyse_set(
    plan: Plan, one: PlannedAnalysis, sessions: SessionValues
) -> tuple[Result, pd.DataFrame]:
    """Compare a hypothesis' connections with matched random ones."""
    section = next(item for item in plan.study.edge_set if item.name == one.name)
    assert plan.survey.atlas is not None  # noqa: S101 - hypotheses need scans
    with sessions.edge_values(one.rows).mapped() as values:
        return analyse_edge_set(
            one,
            values,
            _edge_table(plan),
            atlas=plan.survey.atlas,
            chosen=plan.systems[section.hypothesis],
            others=None if section.others is None else plan.systems[section.others],
            seed=plan.study.study.seed,
        )


def _analyse_people(plan: Plan, one: PlannedAnalysis) -> Result:
    """Do an analysis of clinical tables that is no mixed model."""
    if one.what == "arms":
        return analyse_arms(one, plan.study, seed=plan.study.study.seed)
    if one.what == "time to event":
        return analyse_times(one)
    if one.what == "volumes":
        return analyse_volumes(one)
    return analyse_side_effects(one, plan.people.factors.get("arm", ()))


def _n_edges(atlas: Atlas) -> int:
    return len(atlas.parcels) * (len(atlas.parcels) - 1) // 2


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


def scans_after(
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


def visit_fc_of(plan: Plan, network_fc: pd.DataFrame) -> pd.DataFrame:
    """Average sessions of a visit, and put the factors of people beside them."""
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
        **visit_facts(plan),
        "variants": {name: variant_words(plan.study, name) for name in plan.variants},
        "systems": {n: [str(p) for p in one.parcels] for n, one in plan.systems.items()},
        "factors": {name: list(levels) for name, levels in plan.people.factors.items()}
        | ({"treatment": list(plan.study.design.treatments)} if plan.study.is_crossover else {}),
        "families": {
            name: {"method": one.method, "size": one.size, "alpha": one.alpha}
            for name, one in plan.study.family.items()
        },
        "layouts": list(plan.survey.layouts),
        "warnings": list(plan.warnings),
    }


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
