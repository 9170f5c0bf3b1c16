"""Looking at what tables are on disk: participants, scores and volumes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from connectrial.data import Scan
from connectrial.errors import ConnectrialError, InputError
from connectrial.io.clinical import TableMap, check_dates, read_participants, read_scores
from connectrial.io.scale_files import read_scale
from connectrial.io.volumes import read_volumes
from connectrial.plan import Survey
from connectrial.plan.scores import item_columns
from connectrial.scales import Scale, scale_from_plain
from connectrial.study import Study


def survey_participants(
    study: Study, known_subjects: tuple[str, ...], problems: list[str], notes: list[str]
) -> pd.DataFrame:
    """Read the participants table; what is wrong goes to `problems`."""
    needed = [section.column for section in (study.arms, study.groups) if section is not None]
    try:
        path = study.located(study.data.participants, key="data.participants")
        weight = study.exposure.weight if study.exposure is not None else None
        if not path.exists() and not needed and not study.variables and not weight:
            return pd.DataFrame()
        table = read_participants(path, known_subjects=known_subjects, person_level=needed)
    except ConnectrialError as error:
        problems += error.problems
        return pd.DataFrame()
    problems += table.problems
    notes += table.notes
    return table.frame


def survey_scores(
    study: Study,
    dataset: Path,
    scans: tuple[Scan, ...],
    participants: pd.DataFrame,
    scales: Mapping[str, Scale],
    problems: list[str],
    notes: list[str],
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read the scores of the study's scales, and say how their tables were laid out."""
    empty = Survey().scores
    if not study.scales and study.safety is None:
        return empty, ()
    subjects = {*map(str, participants.index), *(scan.subject for scan in scans)}
    sessions = {session for place in study.places for session in place.phenotype_sessions}
    sessions |= {session for place in study.places for session in place.sessions}
    try:
        people = study.located(study.data.participants, key="data.participants")
        maps = [_table_map(study, section) for section in study.data.table]
        folders = [study.located(path, key="data.phenotype") for path in study.data.phenotype]
        if "phenotype" not in study.data.model_fields_set:
            folders = [folder for folder in folders if folder.exists()]
        table = read_scores(
            dataset,
            phenotype=folders,
            tables=maps,
            participants=people if people.is_file() else None,
            known_subjects=subjects,
            known_sessions=sessions,
            variables=_variables(study, scales),
        )
    except ConnectrialError as error:
        problems += error.problems
        return empty, ()
    problems += table.problems
    notes += table.notes
    # The order of visits is the protocol's; dates that run against it are most often mistyped. In a
    # crossover it is another for each sequence, so that no one order can be asked for.
    in_order = [
        session
        for visit in (() if study.is_crossover else study.visit)
        for session in dict.fromkeys((*visit.phenotype_sessions, *visit.sessions))
    ]
    notes += check_dates(table.frame, in_order)
    return table.frame, table.layouts


def read_definitions(study: Study, problems: list[str]) -> dict[str, Scale]:
    """Read the definitions of the scales that have one; what is wrong goes to `problems`."""
    found: dict[str, Scale] = {}
    for name, section in study.scales.items():
        if section.definition is None:
            continue
        place = f"[scales.{name}] definition"
        try:
            if isinstance(section.definition, str):
                text = section.definition
                path = study.located(text, key=place) if text.endswith(".toml") else text
                scale = read_scale(path)
            else:
                scale = scale_from_plain({"name": name, **section.definition}, where=place)
            scale.rule(section.score or scale.scores[0].name)
        except ConnectrialError as error:
            problems += [
                f"{place}: {p}".replace(f"{place}: {place}", place) for p in error.problems
            ]
            continue
        found[name] = scale
    return found


def _variables(study: Study, scales: Mapping[str, Scale]) -> list[str]:
    """Return the variables whose cells must be right."""
    names = [section.column or name for name, section in study.scales.items()]
    for name, scale in scales.items():
        try:
            names += item_columns(study.scales[name], scale).values()
        except InputError:
            continue  # the plan says what is wrong
    return list(dict.fromkeys(names))


def survey_volumes(
    study: Study,
    participants: pd.DataFrame,
    known_subjects: tuple[str, ...],
    problems: list[str],
    notes: list[str],
) -> pd.DataFrame:
    """Read the table of volumes, where the study has one."""
    if study.volumes is None:
        return pd.DataFrame()
    try:
        path = study.located(study.volumes.table, key="volumes.table")
        known = known_subjects or tuple(map(str, participants.index))
        table = read_volumes(path, known_subjects=known)
    except ConnectrialError as error:
        problems += [f"[volumes] table: {problem}" for problem in error.problems]
        return pd.DataFrame()
    notes += table.notes
    return table.frame


def _table_map(study: Study, section: object) -> TableMap:
    fields = section.model_dump()  # type: ignore[attr-defined]
    fields["path"] = study.located(fields["path"], key="data.table.path")
    fields["scores"] = fields["scores"] or None
    return TableMap(**fields)
