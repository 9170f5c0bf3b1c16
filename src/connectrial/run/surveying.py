"""Looking at what is on disk: names, headers, confounds and tables, but no image data."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from connectrial.data import Atlas, FloatArray, Scan
from connectrial.errors import ConnectrialError, InputError, StudyFileError
from connectrial.fc.motion import measure_fd
from connectrial.fc.places import parcel_centroids
from connectrial.fc.quality import framewise_displacement
from connectrial.io.batches import read_batches
from connectrial.io.bids import index_scans, read_dataset_description, read_motion, survey_series
from connectrial.io.confounds import check_rotations
from connectrial.io.series import read_matrix
from connectrial.plan import Plan, Survey, make_plan
from connectrial.plan.making import with_variant_plans
from connectrial.plan.variants import reads_other_data, variant_study
from connectrial.run.atlases import declare_atlas, names_an_atlas, series_atlas, whole_atlas
from connectrial.run.connection_files import read_connections
from connectrial.run.exposing import read_exposure
from connectrial.run.image_headers import read_image_headers, within_line
from connectrial.run.survey_tables import (
    read_definitions,
    survey_participants,
    survey_scores,
    survey_volumes,
)
from connectrial.study import Study

_MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
_log = logging.getLogger(__name__)


def plan_study(
    study: Study,
    *,
    subjects: Sequence[str] | None = None,
    sessions: Sequence[str] | None = None,
) -> Plan:
    """Survey a study's data and plan every analysis; nothing is computed.

    Parameters
    ----------
    study : Study
        As :func:`connectrial.load_study` returns it.
    subjects, sessions : sequence of str, optional
        Look at these only.

    Returns
    -------
    Plan
        With all problems of the data in ``problems``.
    """
    survey = survey_study(study, subjects=subjects, sessions=sessions)
    variants = {}
    for name, section in study.variants.items():
        own = variant_study(study, name)
        seen = (
            survey_study(own, subjects=subjects, sessions=sessions)
            if reads_other_data(section)
            else survey
        )
        variants[name] = make_plan(own, seen)
    return with_variant_plans(make_plan(study, survey), variants)


def survey_study(
    study: Study,
    *,
    subjects: Sequence[str] | None = None,
    sessions: Sequence[str] | None = None,
) -> Survey:
    """Find scans, headers, motion, participants and scores.

    Parameters
    ----------
    study : Study
        Where to look.
    subjects, sessions : sequence of str, optional
        Look at these only.

    Returns
    -------
    Survey
    """
    problems: list[str] = []
    notes: list[str] = []
    try:
        derivatives, dataset = study.derivatives, study.dataset
    except StudyFileError as error:
        return Survey(problems=error.problems, looked=False)
    scans: tuple[Scan, ...] = ()
    known_subjects: tuple[str, ...] = ()
    if derivatives is not None:
        try:
            index = index_scans(
                derivatives,
                kind=study.data.kind,
                task=study.data.task,
                space=study.data.space,
                atlas=None
                if study.data.kind == "images" or names_an_atlas(study)
                else study.atlas.name,
                description=study.data.description,
                subjects=subjects,
                sessions=sessions,
                filters=None if study.data.filters is None else study.data.filters.by_entity(),
            )
        except InputError as error:
            return Survey(problems=error.problems, looked=False)
        problems += index.problems
        notes += index.notes
        scans, known_subjects = index.scans, index.subjects
    simulated = _is_simulated(derivatives, dataset)
    unusable: dict[str, str] = {}
    scans, atlas = _read_headers(study, scans, unusable, problems, notes)
    notes += [] if atlas is None else atlas.notes
    problems += _receptor_problems(study)
    fd_mm, std_dvars = _read_motion(study, scans, unusable, notes)
    batches = _batches(study, scans, derivatives, dataset, problems)
    participants = survey_participants(study, known_subjects, problems, notes)
    scales = read_definitions(study, problems)
    scores, layouts = survey_scores(study, dataset, scans, participants, scales, problems, notes)
    volumes = survey_volumes(study, participants, known_subjects, problems, notes)
    everybody = {*map(str, participants.index), *(scan.subject for scan in scans)}
    connections = {} if not scans else read_connections(study, problems)
    regimen, samples = read_exposure(study, everybody, problems, only=subjects)
    if subjects is not None:
        wanted = {one.removeprefix("sub-") for one in subjects}
        participants = participants.loc[participants.index.isin(wanted)]
        scores = scores.loc[scores["subject"].isin(wanted)]
    _log.info("%s: %d runs, %d scores", dataset, len(scans), len(scores))
    return Survey(
        scans=scans,
        atlas=atlas,
        participants=participants,
        scores=scores,
        fd_mm=fd_mm,
        std_dvars=std_dvars,
        batches=batches,
        unusable=unusable,
        problems=tuple(problems),
        notes=tuple(notes),
        layouts=layouts,
        doses=None if regimen is None else regimen.doses,
        doses_title="" if regimen is None else regimen.title,
        doses_stand_in="" if regimen is None else regimen.stand_in,
        samples=samples,
        scales=scales,
        volumes=volumes,
        connections=connections,
        simulated=simulated,
        partial=subjects is not None or sessions is not None,
    )


def _receptor_problems(study: Study) -> list[str]:
    """Find maps of receptors that are not there."""
    problems = []
    for name, section in study.maps.items():
        given = {**section.receptors, "reference": section.reference}
        for label, text in given.items():
            if text is None:
                continue
            path = study.located(text, key=f"maps.{name}.{label}")
            if not path.is_file():
                problems.append(
                    f"[maps.{name}] {label}: there is no file {path}; paths start at the dataset or "
                    "at the study file"
                )
    return problems


def _is_simulated(*folders: Path | None) -> bool:
    for folder in folders:
        if folder is None or not (folder / "dataset_description.json").is_file():
            continue
        try:
            description = read_dataset_description(folder)
        except ConnectrialError:
            continue
        if description.get("Simulated") is True:
            return True
    return False


def _read_headers(
    study: Study,
    scans: tuple[Scan, ...],
    unusable: dict[str, str],
    problems: list[str],
    notes: list[str],
) -> tuple[tuple[Scan, ...], Atlas | None]:
    """Count frames, find the parcels, and put aside what does not fit the others."""
    if not scans:
        return scans, None
    declared = _declared_atlas(study, scans, problems)
    if scans[0].kind == "image":
        counted = read_image_headers(
            study, scans, declared, unusable=unusable, problems=problems, notes=notes
        )
        return counted, declared
    names: dict[str, tuple[str, ...] | None] = {}
    found = []
    for scan in scans:
        seconds = scan.repetition_time_s or study.data.repetition_time_s
        try:
            if scan.kind == "matrix":
                own = tuple(map(str, read_matrix(scan, values=study.data.values).parcels))
                names[scan.name], n_frames = own, None
            else:
                header = survey_series(scan)
                names[scan.name], n_frames = header.parcels, header.n_frames
                seconds = seconds or header.repetition_time_s
        except InputError as error:
            unusable[scan.name] = within_line(error, scan.path)
            n_frames = None
        found.append(replace(scan, n_frames=n_frames, repetition_time_s=seconds))
    label = study.atlas.name or scans[0].atlas or "atlas"
    atlas = _atlas_of_series(label, names, declared, unusable, problems)
    return tuple(found), atlas


def _declared_atlas(study: Study, scans: tuple[Scan, ...], problems: list[str]) -> Atlas | None:
    try:
        return declare_atlas(study, scans)
    except ConnectrialError as error:
        problems += [f"[atlas]: {problem}" for problem in error.problems]
        return None


def _atlas_of_series(
    label: str,
    names: dict[str, tuple[str, ...] | None],
    declared: Atlas | None,
    unusable: dict[str, str],
    problems: list[str],
) -> Atlas | None:
    """Agree on one list of parcels; a scan with others is put aside, never rearranged."""
    present = Counter(own for own in names.values() if own is not None)
    if not present:
        declared = declared or whole_atlas(label)
        if declared is None and names:
            problems.append(
                "[atlas] table: the series have no header, so the parcels' names must come from a table; "
                "name it"
            )
        return declared
    common = present.most_common(1)[0][0]
    for scan_name, own in names.items():
        if own is not None and own != common:
            unusable.setdefault(scan_name, _difference(own, common))
    if declared is None:
        return series_atlas(label, pd.Index(common))
    missing = [name for name in common if name not in declared.parcels.index]
    if missing:
        problems.append(
            f"[atlas] table: has no row for {len(missing)} of the {len(common)} parcels of the series, "
            f"{missing[0]!r} first; name the table of the same atlas (or its name_column)"
        )
        return None
    return replace(
        declared,
        name=label,
        parcels=_with_places(declared).loc[list(common)],
        labels=None,
        affine=None,
        grayordinates=None,
        row_labels=None,
    )


def _with_places(atlas: Atlas) -> pd.DataFrame:
    """Note in the table where parcels lie, before their image is let go."""
    places = parcel_centroids(atlas)
    if np.isnan(places).all():
        return atlas.parcels
    return atlas.parcels.assign(**dict(zip(("x_mm", "y_mm", "z_mm"), places.T, strict=True)))


def _difference(own: tuple[str, ...], common: tuple[str, ...]) -> str:
    if len(own) != len(common):
        return f"has {len(own)} parcels where most scans have {len(common)}"
    place = next(i for i, (a, b) in enumerate(zip(own, common, strict=True)) if a != b)
    what = "the same parcels in another order" if set(own) == set(common) else "other parcels"
    return f"{what}: column {place + 1} is {own[place]!r} where most scans have {common[place]!r}"


def _read_motion(
    study: Study, scans: tuple[Scan, ...], unusable: dict[str, str], notes: list[str]
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    fd_mm: dict[str, FloatArray] = {}
    std_dvars: dict[str, FloatArray] = {}
    computed: list[str] = []
    for scan in scans:
        if scan.confounds is None or scan.kind == "matrix":
            continue
        try:
            table = _with_own_fd(study, scan, read_motion(scan.confounds))
        except InputError as error:
            unusable.setdefault(scan.name, "; ".join(error.problems))
            continue
        if "framewise_displacement" not in table and set(_MOTION) <= set(table):
            table = table.assign(
                framewise_displacement=framewise_displacement(table[list(_MOTION)].to_numpy())
            )
            computed.append(scan.name)
        if "motion_outlier" in table and scan.n_frames == int((table["motion_outlier"] == 0).sum()):
            # XCP-D left its censored frames out of the series: their motion goes with them.
            table = table.loc[table["motion_outlier"] == 0]
        for column, into in (("framewise_displacement", fd_mm), ("std_dvars", std_dvars)):
            if column in table:
                into[scan.name] = table[column].to_numpy(dtype=np.float64)
    if computed:
        notes.append(
            f"framewise displacement of {len(computed)} runs is computed from their motion "
            "parameters (Power, 50 mm), since their tables lack it"
        )
    return fd_mm, std_dvars


def _with_own_fd(study: Study, scan: Scan, table: pd.DataFrame) -> pd.DataFrame:
    """Put framewise displacement as the study wants it in place of the table's, frames complete."""
    assert scan.confounds is not None  # noqa: S101 - its table was read
    rules, name = study.motion, scan.confounds.name
    if rules is not None or scan.kind == "image":
        check_rotations(table, Path(name), rotation_unit=study.rotation_unit)
    if rules is None:
        return table
    missing = [column for column in _MOTION if column not in table]
    if missing:
        raise InputError(
            f"{name}: [motion] measures displacement anew, but the table has no column {missing[0]!r}; "
            "take [motion] out to use its own framewise_displacement"
        )
    try:
        own = measure_fd(
            table[list(_MOTION)].to_numpy(dtype=np.float64),
            fd_kind=rules.fd_kind,
            radius_mm=rules.radius_mm,
            rotation_unit=rules.rotation_unit,
            low_pass_hz=rules.low_pass_hz,
            notch_hz=rules.notch_hz,
            repetition_time_s=scan.repetition_time_s,
        )
    except InputError as error:
        raise InputError([f"{name}: {problem}" for problem in error.problems]) from error
    return table.assign(framewise_displacement=own)


def _batches(
    study: Study,
    scans: tuple[Scan, ...],
    derivatives: Path | None,
    dataset: Path,
    problems: list[str],
) -> dict[str, str]:
    column = study.quality.batch
    if column is None or not scans:
        return {}
    try:
        people = study.located(study.data.participants, key="data.participants")
        folders = [folder for folder in (dataset, derivatives) if folder is not None]
        return read_batches(column, scans=scans, folders=folders, participants=people)
    except ConnectrialError as error:
        problems += [f"[quality] batch: {problem}" for problem in error.problems]
        return {}
