"""What a study file's parts must have in common: names that exist, parts that fit together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, get_args

from connectrial.errors import did_you_mean
from connectrial.study import AdjustMethod, ExposureSection, MapSection, Study
from connectrial.study_model_checks import (
    family_sizes,
    model_problems,
    model_variables,
    modelled_analyses,
    without_effect,
)
from connectrial.study_set_checks import set_problems
from connectrial.study_trial_checks import trial_problems

#: Columns that tables of the study have already; a variable cannot be called so.
RESERVED = (
    "subject", "visit", "time", "place", "session", "included", "reason", "scale", "score", "change",
    "fc_z", "outcome", "event", "severity",
)  # fmt: skip

#: What is known of a person's scans before they are read.
SCAN_MEASURES = ("mean_fd_mm", "kept_frames", "kept_minutes")


def find_contradictions(study: Study, raw: Mapping[str, Any], *, whole: bool) -> list[str]:
    """Find names that nothing declares, and declarations that contradict one another."""
    problems: list[str] = []

    def must_exist(name: str | None, known: Iterable[str], place: str, what: str, how: str) -> None:
        names = list(known)
        if name is not None and name not in names:
            problems.append(
                f"{place}: {what} {name!r} is not declared{did_you_mean(name, names)}"
                + ("" if names else f"; {how}")
            )

    def declared(section: str) -> list[str]:
        names = raw.get(section)
        return list(names) if isinstance(names, Mapping) else []

    scales, models, families = declared("scales"), declared("model"), declared("family")
    for section, item in modelled_analyses(study):
        place = f"[[{section}]] {item.name!r}"
        must_exist(item.model, models, place, "model", "add a [model.NAME]")
        must_exist(item.family, families, place, "family", "add a [family.NAME]")
    for clinical in study.clinical:
        place = f"[[clinical]] {clinical.name!r}"
        must_exist(clinical.scale, scales, place, "scale", "add a [scales.NAME]")
        for visit in (*clinical.visits, clinical.baseline):
            must_exist(visit, study.visits, place, "visit", "add a [[visit]]")
        if clinical.measure == "change" and clinical.baseline is None:
            problems.append(
                f"{place}: outcome = 'change' needs baseline = the visit it starts from"
            )
    listed = raw.get("hypothesis")
    hypotheses = [
        str(one.get("name"))
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, Mapping)
    ]
    for comparison in study.comparison:
        place = f"[[comparison]] {comparison.name!r}"
        must_exist(comparison.family, families, place, "family", "add a [family.NAME]")
        for name in comparison.hypotheses:
            must_exist(name, hypotheses, place, "hypothesis", "add a [[hypothesis]]")
        for visit in comparison.visits:
            must_exist(visit, study.visits, place, "visit", "add a [[visit]]")
    mapped = [(f"[[exploration]] {one.name!r}", one.model) for one in study.exploration]
    for place, model in [*mapped, *((f"[maps.{k}]", m.model) for k, m in study.maps.items())]:
        must_exist(model, models, place, "model", "add a [model.NAME]")
    for name, endpoint in study.endpoints.items():
        place = f"[endpoints.{name}]"
        must_exist(endpoint.scale, scales, place, "scale", "add a [scales.NAME]")
        for visit in (endpoint.visit, endpoint.baseline):
            must_exist(visit, study.visits, place, "visit", "add a [[visit]]")
    return [*problems, *_deeper_problems(study, whole=whole)]


def _deeper_problems(study: Study, *, whole: bool) -> list[str]:
    """Check what hangs together, unless a section was set aside that others hang on."""
    if not whole:
        return []
    return [
        *_contradictions(study),
        *_exposure_problems(study),
        *trial_problems(study),
        *set_problems(study),
        *model_problems(study),
        *without_effect(study),
        *family_sizes(study),
    ]


def _contradictions(study: Study) -> list[str]:
    problems = [
        f"[[comparison]] {one.name!r}: needs controls; add [groups] with column, patients, controls"
        for one in study.comparison
        if study.groups is None or study.groups.controls is None
    ]
    analyses = [item.name for item in study.hypothesis]
    analyses += [item.name for item in study.clinical]
    analyses += [item.name for item in study.correlation]
    analyses += [item.name for item in study.comparison]
    analyses += [item.name for item in study.time_to_event]
    analyses += [item.name for item in study.exploration]
    analyses += [item.name for item in study.edge_set]
    if study.exposure is not None:
        analyses += ["exposure", *(item.name for item in study.exposure.response)]
    analyses += list(study.maps)
    for what, names in (("visit", list(study.visits)), ("analysis", analyses)):
        problems += [
            f"the {what} {name!r} is declared twice; give each a name of its own"
            for name in sorted({name for name in names if names.count(name) > 1})
        ]
    problems += _session_problems(study)
    problems += _matching_problems(study)
    problems += [
        f"[variables.{name}]: the name {name!r} is taken by a column of our own tables; call the variable "
        f"otherwise and name the column: [variables.my_{name}] column = {name!r}"
        for name in study.variables
        if name in RESERVED
    ]
    problems += _crossover_problems(study)
    days = [(visit.name, visit.day) for visit in study.visit if visit.day is not None]
    for (before, first), (after, second) in pairwise(days):
        if second < first:
            problems.append(
                f"[[visit]] {after!r}: day {second:g} comes before day {first:g} of {before!r}; list the "
                "visits in order of time"
            )
    if study.design.kind == "parallel" and study.arms is None:
        problems.append("[design] kind = 'parallel' needs [arms] with column and levels")
    section = study.atlas
    if study.data.kind == "images" and not (section.image or section.table or section.name):
        problems.append(
            "[atlas]: images need an atlas; name one that is built in (name = 'Seitzman300'; connectrial "
            "atlases lists them all) or a label image of your own (image = ...)"
        )
    if study.data.derivatives is None and (study.hypothesis or study.exploration):
        problems.append(
            "[data] derivatives: is needed by [[hypothesis]]; name the folder with the scans"
        )
    return [*problems, *_map_problems(study)]


def map_label(name: str) -> str:
    """Return the part of file names that a map's name becomes."""
    return re.sub(r"[^A-Za-z0-9]", "", name)


def _map_problems(study: Study) -> list[str]:
    """Find maps whose files would bear one name, or none."""
    problems = []
    owner: dict[str, str] = {}
    for name in study.maps:
        place, label = f"[maps.{name}]", map_label(name).lower()
        if not label:
            problems.append(f"{place}: the name needs a letter or a digit, for its files")
        elif label in owner:
            problems.append(
                f"{place}: its files would bear the same name as those of [maps.{owner[label]}]; "
                "rename one"
            )
        owner.setdefault(label, name)
        if study.data.kind in ("time series", "matrices"):
            problems += [f"{place} {problem}" for problem in not_over_parcels(study.maps[name])]
    return problems


def not_over_parcels(section: MapSection) -> tuple[str, ...]:
    """Say what a map asks for that series and matrices of parcels cannot give."""
    problems = []
    if section.seed is not None and section.seed.sphere is not None:
        problems.append(
            "seed.sphere: series and matrices of parcels have no voxels; name a set or a network"
        )
    if section.smoothing_fwhm_mm is not None:
        problems.append("smoothing_fwhm_mm: parcels are not smoothed; take the key out")
    if section.model is not None:
        problems.append(
            "model: maps over parcels are described, not tested; [[exploration]] tests every edge, a "
            "[[hypothesis]] the mean between a seed and a network"
        )
    return tuple(problems)


def _matching_problems(study: Study) -> list[str]:
    matching = study.matching
    if matching is None:
        return []
    problems = []
    if study.groups is None or study.groups.controls is None:
        problems.append("[matching]: needs controls; add [groups] with column, patients, controls")
    numeric = [name for name, one in study.variables.items() if not one.levels]
    known = [*SCAN_MEASURES, *study.variables]
    for key in ("on", "caliper", "exact"):
        for name in getattr(matching, key):
            if name not in known:
                problems.append(
                    f"[matching] {key}: there is no variable {name!r}{did_you_mean(name, known)}"
                )
            elif key != "exact" and name not in (*SCAN_MEASURES, *numeric):
                problems.append(f"[matching] {key}: {name!r} is a factor; put it under exact")
    return problems


def _session_problems(study: Study) -> list[str]:
    problems = []
    owner: dict[str, str] = {}
    for place in study.places:
        for session in place.sessions:
            if session in owner:
                problems.append(
                    f"[[visit]] {place.name!r}: session {session!r} already belongs to visit "
                    f"{owner[session]!r}; a session has one visit"
                )
            owner[session] = place.name
    if study.quality.edge_reliability and all(len(place.sessions) < 2 for place in study.places):
        problems.append(
            "[quality] edge_reliability: no visit has several sessions, so nothing is measured twice; leave "
            "it out"
        )
    problems += [
        f"[[visit]] {visit.name!r}: has neither sessions nor phenotype_sessions; say which "
        "sessions on disk belong to it"
        for visit in study.visit
        if not (visit.sessions or visit.phenotype_sessions or visit.by_treatment)
    ]
    return problems


def _crossover_problems(study: Study) -> list[str]:
    """Check that treatments, their sessions and the visits of a crossover fit together."""
    problems = []
    for visit in study.visit:
        for key in ("treatment_sessions", "treatment_phenotype_sessions"):
            named = getattr(visit, key)
            if named and not study.is_crossover:
                problems.append(
                    f"[[visit]] {visit.name!r} {key}: belongs to [design] kind = 'crossover'; use "
                    f"{key.removeprefix('treatment_')}"
                )
                continue
            problems += [
                f"[[visit]] {visit.name!r} {key}: there is no treatment {name!r}"
                f"{did_you_mean(name, study.design.treatments)}"
                for name in named
                if name not in study.design.treatments
            ]
    if not study.is_crossover:
        return problems
    if study.arms is not None:
        problems.append(
            "[arms]: people of a crossover are not randomised to arms but to orders of treatments; "
            "take the section out ([design] order says who was given what when)"
        )
    by_treatment = [visit.name for visit in study.visit if visit.by_treatment]
    if not by_treatment:
        problems.append(
            "[design] kind = 'crossover': no [[visit]] has treatment_sessions = {TREATMENT = [...]}"
        )
    stand_in = study.design.period_baseline
    if stand_in is not None and stand_in not in by_treatment:
        problems.append(
            f"[design] period_baseline: {stand_in!r} is no visit of each treatment"
            f"{did_you_mean(stand_in, by_treatment)}"
        )
    problems += [
        f"[[exploration]] {one.name!r} method: {one.method!r} would exchange observations across "
        "the periods of a crossover; take fdr_bh or another that does not permute"
        for one in study.exploration
        if one.method not in get_args(AdjustMethod)
    ]
    problems += [
        f"[maps.{name}] method: 'max' would exchange observations across the periods of a crossover; "
        "take fdr_bh or another that does not permute"
        for name, one in study.maps.items()
        if one.model is not None and one.method == "max"
    ]
    return problems


def _unmeasured(exposure: ExposureSection) -> list[str]:
    """Find measures of what no table of samples has."""
    columns = [c for one in exposure.measured for own in one.columns.values() for c in own]
    analytes = [name for one in exposure.measured for name in one.columns]
    problems = []
    for one in exposure.measure:
        known = analytes if one.column is None else columns
        if one.source == "measured" and one.sampled not in known:
            what = "analyte" if one.column is None else "column"
            problems.append(
                f"[[exposure.measure]] {one.name!r}: [[exposure.measured]] has no {what} "
                f"{one.sampled!r}{did_you_mean(one.sampled, known)}"
            )
    return problems


def _exposure_problems(study: Study) -> list[str]:
    """Find what [exposure] names that nothing declares."""
    exposure = study.exposure
    if exposure is None:
        return []
    problems: list[str] = []
    names = [one.name for one in exposure.measure]
    taken = model_variables(study)[: -len(names)]  # the measures stand last
    for name in names:
        if names.count(name) > 1 or name in taken or not re.fullmatch(r"[A-Za-z_]\w*", name):
            problems.append(
                f"[[exposure.measure]] {name!r}: must be a word of its own (letters, digits, _) that no "
                "other measure, variable or endpoint bears"
            )

    def must_exist(name: str | None, known: Iterable[str], place: str) -> None:
        if name is not None and name not in (listed := list(known)):
            problems.append(f"{place} {name!r} is not declared{did_you_mean(name, listed)}")

    if exposure.arms and study.arms is None:
        problems.append("[exposure] arms: the study has no [arms]; take the key out")
    for arm in exposure.arms if study.arms is not None else ():
        must_exist(arm, study.arms.levels if study.arms else (), "[exposure] arms:")
    if study.arms is not None and not exposure.arms and exposure.regimen is not None:
        problems.append(
            "[exposure] arms: say which arms get the dose plan; people of the others count as undosed"
        )
    problems += _crossover_exposure(study, exposure)
    for visit in exposure.visit_h:
        must_exist(visit, study.visits, "[exposure.visit_h]: visit")
    problems += _unmeasured(exposure)
    per_person = [one.name for one in exposure.measure if one.what != "at visit"]
    per_person += [name for name, one in study.variables.items() if not one.levels]
    for response in exposure.response:
        place = f"[[exposure.response]] {response.name!r}:"
        must_exist(response.measure, per_person, f"{place} measure (one per person)")
        must_exist(response.scale, study.scales, f"{place} scale")
        must_exist(response.hypothesis, [h.name for h in study.hypothesis], f"{place} hypothesis")
        for visit in (response.baseline, response.visit):
            must_exist(visit, study.visits, f"{place} visit")
        if response.baseline == response.visit:
            problems.append(f"{place} baseline and visit are the same; a change needs two visits")
    return [*dict.fromkeys(problems)]


def _crossover_exposure(study: Study, exposure: ExposureSection) -> list[str]:
    """Find what [exposure] says of the treatments of a crossover, or cannot say there."""
    known = study.design.treatments
    problems = [
        f"[exposure] treatments: {name!r} is not declared{did_you_mean(name, known)}"
        for name in exposure.treatments
        if name not in known and study.is_crossover
    ]
    if exposure.treatments and not study.is_crossover:
        problems.append("[exposure] treatments: belongs to crossovers; take the key out")
    if not study.is_crossover:
        return problems
    problems += [
        f"[[exposure.measure]] {one.name!r}: 'at visit' in a crossover needs [exposure] treatments = [...], "
        f"those that are the dose plan; there are {', '.join(known)}"
        for one in exposure.measure
        if one.what == "at visit" and one.source == "model" and not exposure.treatments
    ]
    return problems + [
        f"[[exposure.response]] {one.name!r}: is not part of crossovers in this version; use the "
        "measure in a model"
        for one in exposure.response
    ]
