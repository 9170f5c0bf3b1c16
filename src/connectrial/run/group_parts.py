"""What the group level is made from, part by part, and what of an earlier run still stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from connectrial.data import Atlas
from connectrial.errors import ConnectrialError
from connectrial.io.outputs import MADE_FROM, load_results
from connectrial.io.provenance import digest_bytes, digest_file, digest_plain, read_json
from connectrial.plan import Plan, PlannedAnalysis
from connectrial.results import GroupMap, Result, Results
from connectrial.run.making_of import hash_of, what_changed
from connectrial.run.session_jobs import SessionOutcome


def group_parts(
    plan: Plan,
    outcomes: Sequence[SessionOutcome],
    software: Mapping[str, str],
    *,
    variants: Mapping[str, Sequence[SessionOutcome]],
) -> dict[str, str]:
    """List everything that the group level depends on.

    Parameters
    ----------
    plan : Plan
        Study and survey.
    outcomes : sequence of SessionOutcome
        What became of the sessions.
    software : mapping
        Versions of what computes.
    variants : mapping of str to sequence of SessionOutcome
        What became of the sessions of each variant of processing.

    Returns
    -------
    dict of str to str
        Names as a person knows them, with a hash or a version each.
    """
    survey = plan.survey
    plain = plan.as_plain()
    tables = {
        "participants": [survey.participants],
        "scores": [survey.scores],
        "volumes": [survey.volumes],
        "doses": [table for table in (survey.doses, *survey.samples) if table is not None],
    }
    motion = [(name, digest_bytes(fd.tobytes())) for name, fd in sorted(survey.fd_mm.items())]
    dvars = [(name, digest_bytes(one.tobytes())) for name, one in sorted(survey.std_dvars.items())]
    scales = {name: asdict(one) for name, one in survey.scales.items()}
    return {
        **{f"version of {name}": number for name, number in software.items()},
        "study file": digest_plain([plain["study"], scales]),
        **{name: digest_plain([_digest(one) for one in some]) for name, some in tables.items()},
        "motion": digest_plain([motion, dvars, sorted(survey.batches.items())]),
        "atlas": _digest_atlas(survey.atlas),
        "sessions": digest_plain(_fates(outcomes)),
        **{f"variant {name}": digest_plain(_fates(some)) for name, some in variants.items()},
        "fates of people and scans": digest_plain(plain),
    }


def _fates(outcomes: Sequence[SessionOutcome]) -> list[tuple[str, str, object]]:
    return [(one.subject, one.session, one.sidecar or one.reason) for one in outcomes]


def _digest(table: pd.DataFrame) -> str:
    return digest_plain([table.to_csv(), [str(one) for one in table.dtypes]])


def _digest_atlas(atlas: Atlas | None) -> str:
    if atlas is None:
        return ""
    labels = (
        "" if atlas.labels is None else digest_bytes(np.ascontiguousarray(atlas.labels).tobytes())
    )
    return digest_plain([atlas.name, _digest(atlas.parcels), labels])


def told_change(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Put what changed into words; the fates of people are named where nothing else did."""
    said = what_changed(before, now).split(", ")
    first = [one for one in said if not one.startswith("fates")]
    return ", ".join(first or said)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Earlier:
    """Results of an earlier run in the same folder, whole and unaltered.

    Attributes
    ----------
    results : Results or None
        None where there are none, or a file of theirs is lost or altered.
    parts : mapping
        What they were made from.
    why_not : str
        Why there are none.
    """

    results: Results | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    why_not: str = ""

    def stands(self, parts: Mapping[str, str]) -> bool:
        """Tell whether the same parts would make the same results."""
        return self.results is not None and hash_of(self.parts) == hash_of(parts)

    def analysis(
        self, name: str, key: str
    ) -> tuple[Result, pd.DataFrame | None, GroupMap | None] | None:
        """Return one analysis with its table or maps, if it was made from just this."""
        if self.results is None or self.results.made_from.get(name) != key:
            return None
        found = next((one for one in self.results.analyses if one.name == name), None)
        if found is None:
            return None
        return found, self.results.edges.get(name), self.results.maps.get(name)


def earlier_results(output_dir: Path) -> Earlier:
    """Load what an earlier run left, if every file of it is what was written.

    Parameters
    ----------
    output_dir : Path
        The run's folder.

    Returns
    -------
    Earlier
    """
    group = output_dir / "group"
    known = read_json(group / "results.json")
    noted: Any = (known or {}).get(MADE_FROM)
    if known is None or not isinstance(noted, dict):
        return Earlier(
            why_not="new" if not (group / "results.tsv").exists() else "broken off before"
        )
    altered = [
        name
        for name, digest in noted["Files"].items()
        if not (group / name).is_file() or digest_file(group / name) != digest
    ]
    if altered:
        rest = f" and {len(altered) - 1} more" if len(altered) > 1 else ""
        return Earlier(why_not=f"{altered[0]}{rest} lost or altered")
    try:
        return Earlier(results=load_results(output_dir), parts=noted["Parts"])
    except ConnectrialError as error:
        return Earlier(why_not="; ".join(error.problems))


def analysis_key(
    plan: Plan,
    one: PlannedAnalysis,
    section: object,
    *,
    sessions: Sequence[tuple[str, str, str, str]],
    software: Mapping[str, str],
) -> str:
    """Hash what an analysis over all edges or places depends on.

    Parameters
    ----------
    plan : Plan
        Atlas, seed.
    one : PlannedAnalysis
        Its model and rows.
    section : object
        Of the study file, as plain data.
    sessions : sequence of (subject, session, visit, hash)
        The sessions of its people, with the hash of what is read of them.
    software : mapping
        Versions of what computes.
    """
    people = set(one.rows["subject"].astype(str)) if "subject" in one.rows else set()
    model = None if one.model is None else one.model.model_dump(mode="json")
    visits = {key: list(map(str, one.rows[key].cat.categories))
              for key in one.rows if isinstance(one.rows[key].dtype, pd.CategoricalDtype)}  # fmt: skip
    return digest_plain(
        {
            "software": dict(software),
            "section": section,
            "model": model,
            "title": [one.title, one.role, one.family, one.analysis_set, one.outcome],
            "terms": [list(one.terms), list(one.tests), list(one.columns), one.rank],
            "notes": list(one.notes),
            "rows": _digest(one.rows),
            "levels": visits,
            "sessions": [item for item in sessions if item[0] in people],
            "atlas": _digest_atlas(plan.survey.atlas),
            "seed": plan.study.study.seed,
            "simulated": plan.simulated,
        }
    )
