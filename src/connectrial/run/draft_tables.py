"""People, scores and dictionaries of a dataset, read before there is a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from connectrial.errors import ConnectrialError, InputError
from connectrial.io.bids import (
    ScanIndex,
    read_dataset_description,
)
from connectrial.io.clinical import ClinicalTable, ScoreTable, read_participants, read_scores
from connectrial.io.tables import read_table
from connectrial.run.draft_scales import draft_scales

TABLE_ENDINGS = (".tsv", ".csv", ".xlsx")


def people_of(
    path: Path | None, index: ScanIndex | None, problems: list[str]
) -> ClinicalTable | None:
    """Read the participants table; what is wrong with it joins `problems`."""
    if path is None:
        return None
    try:
        table = read_participants(path, known_subjects=index.subjects if index else ())
    except InputError as error:
        problems += error.problems
        return None
    problems += table.problems
    return table


def scores_of(
    dataset: Path,
    participants: Path | None,
    people: ClinicalTable | None,
    index: ScanIndex | None,
    problems: list[str],
) -> pd.DataFrame:
    """Read the scores of a dataset; what is wrong with them joins `problems`."""
    subjects = {scan.subject for scan in index.scans} if index else set()
    subjects |= set(people.rows) if people is not None else set()

    def read(variables: Sequence[str] | None) -> ScoreTable:
        return read_scores(
            dataset,
            participants=participants if people is not None else None,
            known_subjects=subjects,
            known_sessions={s.session for s in index.scans if s.session} if index else (),
            variables=variables,
        )

    try:
        table = read(None)
        if table.problems:  # what ails columns that are no scales is no matter of the study
            table = read([scale.column for scale in draft_scales(table.frame)[0]])
    except InputError as error:
        problems += error.problems
        return pd.DataFrame(
            columns=["subject", "session", "day", "variable", "value", "number", "file"]
        )
    problems += table.problems
    return table.frame


def dictionary_beside(table: Path | None) -> Mapping[str, object]:
    """Read the data dictionary beside a table; one that cannot be read says nothing."""
    path = table.with_suffix(".json") if table is not None else None
    if path is None or not path.is_file():
        return {}
    try:
        return read_dataset_description(path)
    except (ConnectrialError, OSError):
        return {}


def session_meanings(dataset: Path) -> dict[str, str]:
    """Return what the dictionaries of the tables say of each session."""
    meanings: dict[str, str] = {}
    for path in [*sorted((dataset / "phenotype").glob("*.json")), dataset / "sessions.json"]:
        entry = dictionary_beside(path).get("session_id")
        levels = entry.get("Levels") if isinstance(entry, dict) else None
        for label, text in levels.items() if isinstance(levels, dict) else ():
            text = text.get("Description") if isinstance(text, dict) else text
            if isinstance(text, str):
                meanings.setdefault(str(label).removeprefix("ses-"), text)
    return meanings


def loose_tables(dataset: Path) -> tuple[tuple[Path, tuple[str, ...]], ...]:
    """Find tables of people in the root that no BIDS layout covers."""
    known = {"participants", "sessions", "descriptions", "dataset", "desc"}
    loose = []
    for path in sorted(dataset.iterdir()):
        if path.suffix.lower() not in TABLE_ENDINGS or path.stem in known or not path.is_file():
            continue
        try:
            columns = tuple(map(str, read_table(path).frame.columns))
        except InputError:
            continue
        if any(any(word in c.lower() for word in ("subj", "patient", "particip")) for c in columns):
            loose.append((path, columns))
    return tuple(loose)


def description_in(*folders: Path) -> dict[str, Any]:
    """Read the first dataset description that can be read; empty where there is none."""
    for folder in folders:
        if (folder / "dataset_description.json").is_file():
            try:
                return read_dataset_description(folder)
            except ConnectrialError:
                continue
    return {}
