"""Maps over voxels as planned analyses: what each shows, of whom, and under which model."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from connectrial.errors import InputError
from connectrial.fc.graphs import global_signal_note
from connectrial.plan.analyses import plan_over_places
from connectrial.plan.people import People
from connectrial.plan.planned import PlannedAnalysis
from connectrial.study import MapSection, Study
from connectrial.study_checks import not_over_parcels
from connectrial.study_model_checks import expanded_terms


def plan_maps(
    study: Study,
    people: People,
    *,
    places: Literal["voxels", "grayordinates", "parcels"] = "voxels",
) -> list[PlannedAnalysis]:
    """Lay out the maps of a study: exploratory with a model, descriptive without one.

    Parameters
    ----------
    study : Study
        Its ``[maps.*]``.
    people : People
        Who is there.
    places : {"voxels", "grayordinates", "parcels"}
        What the runs consist of; parcels, where series or matrices are ready-made.
    """
    planned = []
    for name, section in study.maps.items():
        model = None if section.model is None else study.model[section.model]
        plan = PlannedAnalysis(
            name=name,
            title=f"{name} ({shown_measure(section)})",
            what="profile" if places == "parcels" else "map",
            role="descriptive" if model is None else "exploratory",
            outcome=f"every {places[:-1]}",
            analysis_set="",
            model=model,
            terms=() if model is None else expanded_terms(model.fixed),
            tests=section.tests,
            notes=tuple(_notes(study, section, places)),
        )
        unfit = _unfit(section, places)
        if unfit:
            planned.append(replace(plan, problems=unfit))
            continue
        # A permutation tests a whole term; else each column of a term has a map of its own.
        alone = section.method == "max"
        planned.append(plan_over_places(study, people, plan, who=section.who, one_column=alone))
    return planned


def _unfit(section: MapSection, places: str) -> tuple[str, ...]:
    """Say which settings need what the scans do not have."""
    if places == "grayordinates":
        given = section.model_fields_set & {"smoothing_fwhm_mm", "min_cluster_voxels"}
        return tuple(
            f"{key}: the runs lie on grayordinates, and which of them are neighbours only a mesh tells, "
            "which is not read in this version; take the key out"
            for key in sorted(given)
        )
    if places == "voxels":
        return ()
    return not_over_parcels(section)


def shown_measure(section: MapSection) -> str:
    """Say in words what a map shows."""
    if section.measure == "react":
        names = list(section.receptors)
        beside = [name for name in names if name != (section.receptor or names[0])]
        held = f", {' and '.join(beside)} held constant" if beside else ""
        return f"REACT of {section.receptor or names[0]}{held}"
    if section.seed is None:
        unit = "Fisher z" if section.statistic == "mean_z" else "r"
        return f"global connectivity, mean {unit}"
    if section.seed.set is not None:
        return f"Fisher z with set {section.seed.set}"
    if section.seed.network is not None:
        return f"Fisher z with network {section.seed.network}"
    assert section.seed.sphere is not None  # noqa: S101 - a seed is one of the three
    place = ", ".join(f"{x:g}" for x in section.seed.sphere)
    return f"Fisher z with a sphere of {section.seed.radius_mm:g} mm at ({place})"


def _notes(study: Study, section: MapSection, places: str) -> list[str]:
    notes = []
    if section.model is not None and section.method == "max":
        notes.append(f"max over all {places} by {section.n_permutations} permutations")
    elif section.model is not None:
        how = "raw p, not adjusted" if section.method == "none" else section.method
        shown = "clusters" if places == "voxels" else "peaks by structure"
        notes.append(f"{how} over all {places}; {shown} below {section.alpha:g}")
    if section.smoothing_fwhm_mm is not None:
        notes.append(
            f"each session's finished map is smoothed by {section.smoothing_fwhm_mm:g} mm FWHM"
        )
    if section.measure == "gbc":
        try:
            note = global_signal_note(study.denoising.strategy)
        except InputError:  # an unknown strategy is reported where it is used
            note = ""
        notes += [note] if note else []
    return notes
