"""What identifies a plan: its rules and models, and what was found on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from connectrial.plan.people import People
from connectrial.plan.planned import PlannedAnalysis
from connectrial.study import Study

#: Where the data lie and what the study is called is not part of the plan.
_NOT_PLANNED = {
    "study": ("name", "description", "registration", "simulated"),
    "data": ("derivatives", "dataset", "participants", "phenotype"),
}


def plan_hash(study: Study, connections: Mapping[str, pd.DataFrame] | None = None) -> str:
    """Identify the rules and models of a study; where its data lie does not matter.

    Parameters
    ----------
    study : Study
        The study file.
    connections : mapping, optional
        Tables of connections that it names: what they say is part of the plan.
    """
    plain = study.as_plain()
    for one in plain["variants"].values():
        one.pop("derivatives")
        one.pop("description")
    if connections:
        plain["connections"] = {
            name: _records(table.sort_index(axis=1)) for name, table in connections.items()
        }
    for section, keys in _NOT_PLANNED.items():
        plain[section] = {key: v for key, v in plain[section].items() if key not in keys}
    return hash_of(plain)


def survey_hash_of(people: People, analyses: list[PlannedAnalysis]) -> str:
    """Identify what was found: people, the fate of every scan, and the counts of the analyses."""
    counts = [(one.name, one.n_subjects, one.n_observations) for one in analyses]
    fates = people.scans.drop(columns=["file"])
    return hash_of([_records(people.subjects), _records(fates), counts])


def hash_of(plain: object) -> str:
    """Return 16 hexadecimal digits that change with plain data and with nothing else."""
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Turn a table into plain rows, missing cells as None."""
    ready = table.astype(object).where(table.notna(), None)
    return [
        {
            str(key): (value.item() if hasattr(value, "item") else value)
            for key, value in row.items()
        }
        for row in ready.to_dict(orient="records")
    ]
