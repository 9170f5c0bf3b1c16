"""Putting a plan together, and the two hashes that it is known by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pandas as pd

from connectrial.data import BoolArray
from connectrial.fc.graphs import global_signal_note
from connectrial.fc.networks import NetworkDefinition
from connectrial.plan.analyses import plan_analyses
from connectrial.plan.exposure_analyses import plan_exposures
from connectrial.plan.hashes import _records, hash_of, plan_hash, survey_hash_of
from connectrial.plan.map_plans import plan_maps
from connectrial.plan.people import People, plan_people
from connectrial.plan.planned import PlannedAnalysis
from connectrial.plan.quality_rules import (
    batch_notes,
    batch_sessions,
    named_sets,
    standard_error_problems,
)
from connectrial.plan.survey import Survey
from connectrial.plan.systems import plan_systems
from connectrial.study import Study
from connectrial.trial.flow import flow
from connectrial.trial.visits import CONTROLS, availability


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Plan:
    """What will be done: every scan's fate and every analysis.

    Attributes
    ----------
    study : Study
        The study file.
    survey : Survey
        What was on disk.
    people : People
        Subjects, scans, scores, endpoints.
    systems : mapping
        Edges of each hypothesis.
    sets : mapping
        Parcels of each network and set.
    analyses : tuple of PlannedAnalysis
        In order.
    availability, flow : pandas.DataFrame
        Missing-visit table and flow of people and scans.
    hash : str
        Of rules and models.
    survey_hash : str
        Of fates and counts.
    data_problems : tuple of str
        What keeps anything from being run.
    analysis_problems : tuple of str
        What keeps the group level from being run.
    warnings : tuple of str
        What a reader must know.
    variants : mapping of str to Plan
        The hypotheses again for every variant of processing.
    """

    study: Study
    survey: Survey
    people: People
    systems: Mapping[str, NetworkDefinition]
    sets: Mapping[str, pd.Index]
    analyses: tuple[PlannedAnalysis, ...]
    availability: pd.DataFrame
    flow: pd.DataFrame
    hash: str
    survey_hash: str
    data_problems: tuple[str, ...]
    analysis_problems: tuple[str, ...]
    warnings: tuple[str, ...]
    variants: Mapping[str, Plan] = field(default_factory=dict)

    @property
    def problems(self) -> tuple[str, ...]:
        """Return everything that keeps the plan from being run as a whole."""
        return (*self.data_problems, *self.analysis_problems)

    @property
    def simulated(self) -> bool:
        """Return whether study file or dataset says that the data are simulated."""
        return self.study.study.simulated or self.survey.simulated

    @property
    def visits(self) -> tuple[str, ...]:
        """Return the visits in order (in a crossover, under each treatment); controls' own last."""
        has_controls = (self.people.scans["visit"] == CONTROLS).any()
        places = tuple(place.name for place in self.study.places)
        return (*places, CONTROLS) if has_controls else places

    def kept_frames(self, scan_name: str) -> BoolArray | None:
        """Return which frames of a run survive censoring; None for matrices."""
        return self.people.kept.get(scan_name)

    def as_plain(self) -> dict[str, Any]:
        """Return the plan as plain data for ``plan.json``."""
        return {
            "plan_hash": self.hash,
            "survey_hash": self.survey_hash,
            "simulated": self.simulated,
            "study": self.study.as_plain(),
            "systems": {
                name: {"n_edges": len(one.edges), "parcels": [str(p) for p in one.parcels]}
                for name, one in self.systems.items()
            },
            "sets": {name: [str(p) for p in parcels] for name, parcels in self.sets.items()},
            "analyses": [_plain_analysis(one) for one in self.analyses],
            "subjects": _records(self.people.subjects),
            "scans": _records(self.people.scans),
            "flow": _records(self.flow),
            "warnings": list(self.warnings),
            "variants": {
                name: {
                    "survey_hash": one.survey_hash,
                    "analyses": [
                        _plain_analysis(a) for a in one.analyses if a.what == "network FC"
                    ],
                    "scans": _records(one.people.scans),
                }
                for name, one in self.variants.items()
            },
        }


def with_variant_plans(plan: Plan, variants: Mapping[str, Plan]) -> Plan:
    """Put the plans of variants beside a plan: their problems are its own.

    Parameters
    ----------
    plan : Plan
        The study's.
    variants : mapping of str to Plan
        By name, in the order of the study file.

    Returns
    -------
    Plan
        Its data hash covers theirs; its plan hash has them in the study file already.
    """
    if not variants:
        return plan
    data: list[str] = []
    analyses: list[str] = []
    for name, one in variants.items():
        known = (*plan.data_problems, *plan.analysis_problems)
        place = f"[variants.{name}]"
        data += [f"{place}: {text}" for text in one.data_problems if text not in known]
        analyses += [f"{place}: {text}" for text in one.analysis_problems if text not in known]
    hashes = [plan.survey_hash, *(one.survey_hash for one in variants.values())]
    return replace(
        plan,
        variants=dict(variants),
        survey_hash=hash_of(hashes),
        data_problems=(*plan.data_problems, *data),
        analysis_problems=(*plan.analysis_problems, *analyses),
    )


def make_plan(study: Study, survey: Survey) -> Plan:
    """Decide every scan's fate and lay out every analysis.

    Parameters
    ----------
    study : Study
        The study file.
    survey : Survey
        What is on disk.

    Returns
    -------
    Plan
        With ``problems`` where it cannot be run as declared; nothing is raised, so that all of
        them can be shown at once.
    """
    people = plan_people(study, survey)
    problems = [*survey.problems, *(people.problems if survey.looked else ())]
    systems: dict[str, NetworkDefinition] = {}
    sets: dict[str, pd.Index] = {}
    if survey.atlas is not None:
        systems, sets, wrong = plan_systems(study, survey.atlas, survey.connections)
        problems += wrong
        problems += named_sets(study, sets)
        if (
            study.connectivity.network_strength
            and not survey.atlas.parcels["network"].notna().any()
        ):
            problems.append(
                "[connectivity] network_strength: the atlas names no networks; give [atlas] table, or "
                "take the key out"
            )
    problems += standard_error_problems(study, survey)
    wanted = study.hypothesis or study.exploration or study.maps
    if people.scans.empty and wanted and not survey.problems:
        problems.append("[data] derivatives: holds no scan that the study could use")
    analyses = (
        [] if people.subjects.empty else plan_analyses(study, people, systems, survey.connections)
    )
    if survey.kind == "image" or study.connectivity.parcel_mean == "regress":
        analyses = [_with_global_signal(study, one) for one in analyses]
    if not problems and not people.subjects.empty:
        analyses += plan_exposures(study, people)
    analyses += (
        [] if people.subjects.empty else plan_maps(study, people, places=_map_places(survey))
    )
    unfit = _by_problem(analyses)
    if people.subjects.empty and not survey.problems:
        problems.append("there are no people: neither a participants table nor a scan was found")
    steps, available = flow_and_availability(study, people, people.scans)
    sessions = batch_sessions(study, survey, people.scans, people.subjects)
    warnings = [*survey.notes, *people.notes, *batch_notes(study, sessions)]
    return Plan(
        study=study,
        survey=survey,
        people=people,
        systems=systems,
        sets=sets,
        analyses=tuple(analyses),
        availability=available,
        flow=steps,
        hash=plan_hash(study, survey.connections),
        survey_hash=survey_hash_of(people, analyses),
        data_problems=tuple(dict.fromkeys(problems)),
        # Wrong data make every model on them look wrong: mend the data first.
        analysis_problems=() if problems else tuple(unfit),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _with_global_signal(study: Study, plan: PlannedAnalysis) -> PlannedAnalysis:
    """Say of an analysis of global connectivity what regressing the global signal does to it."""
    if plan.edges is None or plan.edges.measure != "gbc":
        return plan
    note = global_signal_note(study.denoising.strategy)
    if study.connectivity.parcel_mean == "regress":
        note = (
            "the mean of all parcels was regressed out, which pulls the mean over all parcels towards 0 "
            "by construction: a change of whole-brain connectivity cannot be seen any more"
        )
    return replace(plan, notes=(*plan.notes, note)) if note else plan


def _map_places(survey: Survey) -> Literal["voxels", "grayordinates", "parcels"]:
    """Say what maps are made over."""
    if survey.kind not in (None, "image"):
        return "parcels"
    on_rows = any(scan.on_grayordinates for scan in survey.scans)
    return "grayordinates" if on_rows else "voxels"


def _by_problem(analyses: list[PlannedAnalysis]) -> list[str]:
    """Say each problem once, with all the analyses that have it."""
    names: dict[str, list[str]] = {}
    for one in analyses:
        for problem in one.problems:
            names.setdefault(problem, []).append(one.name)
    return [f"{', '.join(who)}: {problem}" for problem, who in names.items()]


def _plain_analysis(one: PlannedAnalysis) -> dict[str, Any]:
    return {
        "name": one.name,
        "what": one.what,
        "role": one.role,
        "family": one.family,
        "analysis_set": one.analysis_set,
        "formula": one.formula,
        "df": one.model.df if one.model else None,
        "coding": one.model.coding if one.model else {},
        "tests": list(one.tests),
        "contrasts": [contrast.model_dump(mode="json") for contrast in one.contrasts],
        "columns": list(one.columns),
        "aliased": list(one.aliased),
        "reference_levels": one.reference_levels,
        "rank": one.rank,
        "n_subjects": one.n_subjects,
        "n_observations": one.n_observations,
        "notes": list(one.notes),
    }


def flow_and_availability(
    study: Study, people: People, scans: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw up the flow and the missing-visit table for a table of scans.

    Parameters
    ----------
    study : Study
        The visits.
    people : People
        Subjects and scores.
    scans : DataFrame
        As in `people`, or as it stands after reading.

    Returns
    -------
    flow, availability : DataFrame
    """
    expected = _scan_visits(study, scans)
    available = _availability(study, people, scans, expected)
    steps = flow(
        people.subjects,
        scans,
        visits=[*(place.name for place in study.places), CONTROLS],
        scan_visits=list(expected),
        available=available,
        dispositions=people.dispositions,
        controls=_controls(study, people),
    )
    return steps, available


def _controls(study: Study, people: People) -> list[str]:
    if study.groups is None or study.groups.controls is None or "group" not in people.subjects:
        return []
    is_control = people.subjects["group"].astype("object") == study.groups.controls
    return [str(name) for name in people.subjects.loc[is_control, "subject"]]


def _scan_visits(study: Study, scans: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return the sessions of each visit that has scans; controls are expected once."""
    visits = {place.name: place.sessions for place in study.places if place.sessions}
    if (scans["visit"] == CONTROLS).any():
        visits[CONTROLS] = ("any",)
    return visits if len(scans) else {}


def _availability(
    study: Study,
    people: People,
    scans: pd.DataFrame,
    expected: Mapping[str, tuple[str, ...]],
) -> pd.DataFrame:
    subjects = list(people.subjects["subject"])
    places = tuple(place.name for place in study.places)
    own = dict.fromkeys(subjects, places)
    if study.groups is not None and study.groups.controls is not None:
        is_control = people.subjects["group"] == study.groups.controls
        own |= dict.fromkeys(people.subjects.loc[is_control, "subject"], (CONTROLS,))
    scored = people.scores.loc[people.scores["score"].notna()]
    score_visits = {
        str(scale): tuple(v for v in places if v in set(mine["visit"].astype(str)))
        for scale, mine in scored.groupby("scale", sort=False)
    }
    return availability(
        scans,
        people.scores,
        subjects=subjects,
        expected=expected,
        score_visits=score_visits,
        subject_visits=own,
    )
