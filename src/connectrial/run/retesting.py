"""How well every edge agrees with itself over the sessions of a visit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from connectrial.errors import ConnectrialError
from connectrial.io.edge_rows import EdgeRows
from connectrial.plan import Plan
from connectrial.results import Result, tidy
from connectrial.stats.edge_reliability import EdgeReliability, icc_edges

NAME = "Edge reliability"
_SHOWN = {"ICC(2,1)": "icc_2_1", "ICC(3,1)": "icc_3_1"}


def retested_places(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return the sessions of each visit that has several, where edges are to be compared; else nothing."""
    if not plan.study.quality.edge_reliability or plan.survey.atlas is None:
        return {}
    places = {place.name: place.sessions for place in plan.study.places}
    return {name: sessions for name, sessions in places.items() if len(sessions) > 1}


def analyse_edge_reliability(
    plan: Plan, visits: Mapping[tuple[str, str], str], rows: EdgeRows, pairs: pd.DataFrame
) -> tuple[Result, pd.DataFrame]:
    """Estimate the reliability of every edge over the sessions of each visit.

    Parameters
    ----------
    plan : Plan
        With the visits that have several sessions.
    visits : mapping
        Visit of each (subject, session) that is analysed.
    rows : EdgeRows
        Fisher z of every edge, by (subject, session).
    pairs : DataFrame
        The edges, as explorations have them.

    Returns
    -------
    result : Result
        Middle of the edges' coefficients, role ``quality``.
    table : DataFrame
        A row per visit and edge: ``icc_2_1``, ``icc_3_1``, ``sem`` (Fisher z), NaN where an edge has
        no value in somebody.
    """
    estimates: list[dict[str, Any]] = []
    notes: list[str] = []
    tables = []
    for visit in retested_places(plan):
        keys = [key for key, place in visits.items() if place == visit]
        try:
            found = _in_blocks(rows, keys)
        except ConnectrialError as error:
            notes += [f"not done: {visit}: {problem}" for problem in error.problems]
            continue
        estimates += _summary(visit, found)
        if found.n_left_out:
            notes.append(f"{visit}: {found.n_left_out} people without all sessions are left out")
        columns = {new: found.estimate[found.forms.index(old)] for old, new in _SHOWN.items()}
        names = pairs[["parcel_a", "parcel_b", "network_a", "network_b"]]
        table = names.assign(**columns, sem=found.sem)
        table.insert(0, "visit", visit)
        tables.append(table)
    result = Result(
        name=NAME,
        title="Reliability of every edge",
        role="quality",
        what="reliability",
        outcome="every edge",
        estimates=tidy(estimates),
        methods="Test-retest reliability of every edge is given as intraclass correlation, two-way random "
        "ICC(2,1) and mixed ICC(3,1), of people with all sessions of the visit.",
        citations=("shrout1979",),
        notes=tuple(notes),
    )
    return result, pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _in_blocks(rows: EdgeRows, keys: list[tuple[str, str]]) -> EdgeReliability:
    """Compute as many edges at a time as fit into memory."""
    who, sessions = ([key[place] for key in keys] for place in (0, 1))
    parts = [
        icc_edges(values, targets=who, raters=sessions) for _, values in rows.take(keys).blocks()
    ]
    first = parts[0]
    return EdgeReliability(
        forms=first.forms,
        estimate=np.concatenate([part.estimate for part in parts], axis=1),
        sem=np.concatenate([part.sem for part in parts]),
        n_targets=first.n_targets,
        n_raters=first.n_raters,
        n_left_out=first.n_left_out,
    )


def _summary(visit: str, found: EdgeReliability) -> list[dict[str, Any]]:
    base = {
        "analysis": NAME,
        "role": "quality",
        "kind": "reliability",
        "analysis_set": f"people with all sessions of {visit}",
        "outcome": "every edge",
        "declared": True,
        "n_subjects": found.n_targets,
        "n_observations": found.n_targets * found.n_raters,
    }
    measures = [(form, "", found.estimate[found.forms.index(form)]) for form in _SHOWN]
    measures.append(("standard error of measurement", "Fisher z", found.sem))
    rows = []
    for name, unit, values in measures:
        known = values[np.isfinite(values)]
        if not known.size:
            continue
        low, high = np.quantile(known, [0.25, 0.75])
        flags = f"median over {known.size} edges, half of them from {low:.2f} to {high:.2f}"
        term = f"{name} of edges at {visit}"
        rows.append(
            base | {"term": term, "unit": unit, "estimate": float(np.median(known)), "flags": flags}
        )
    return rows
