"""Whether motion still shows in connectivity: QC-FC over people and within them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from connectrial.data import FloatArray
from connectrial.errors import InputError
from connectrial.fc.places import parcel_centroids
from connectrial.fc.qcfc import QCFC, distance_trend, edge_distances, qc_fc_of_blocks
from connectrial.io.edge_rows import EdgeValues
from connectrial.plan import Plan
from connectrial.results import Result, tidy

NAME = "QC-FC"
WITHIN = "within people"
_LEVEL = 0.05
_NO_PLACES = (
    "not assessable: the parcels' places are not known; give the atlas a label image or the columns "
    "x_mm, y_mm, z_mm"
)


def wants_qc_fc(plan: Plan) -> bool:
    """Tell whether motion is to be related to every edge, and can be."""
    return plan.study.quality.qc_fc and bool(plan.survey.fd_mm)


def analyse_motion(
    plan: Plan,
    quality: pd.DataFrame,
    edges_of: Callable[[pd.DataFrame], EdgeValues],
    pairs: pd.DataFrame,
) -> tuple[Result, pd.DataFrame]:
    """Correlate mean displacement with every edge at each visit, and within people over visits.

    Parameters
    ----------
    plan : Plan
        Visits and atlas.
    quality : DataFrame
        One row per session, with ``mean_fd_mm`` and ``included``.
    edges_of : callable
        Rows with ``subject`` and ``visit`` in, Fisher z of shape (n_rows, n_edges) out, to be read in
        blocks.
    pairs : DataFrame
        The edges, as explorations have them.

    Returns
    -------
    result : Result
        Summary of each visit, role ``quality``.
    table : DataFrame
        One row per visit and edge, the columns of ``results.QCFC_DICTIONARY``.
    """
    people = plan.people.subjects
    who = set(people.loc[people["included"], "subject"])
    used = quality.loc[
        quality["included"] & quality["subject"].isin(who) & quality["mean_fd_mm"].notna()
    ]
    moved = used.groupby(["subject", "visit"], observed=True, sort=False)["mean_fd_mm"].mean()
    sessions = moved.reset_index()
    distance_mm = _distances(plan, len(pairs))
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    tables = []
    for name, mine in _samples(plan, sessions):
        within = name == WITHIN
        try:
            found = qc_fc_of_blocks(
                (block for _, block in edges_of(mine).blocks()),
                mine["mean_fd_mm"].to_numpy(dtype=np.float64),
                subjects=mine["subject"].to_numpy(dtype=object) if within else None,
            )
            rows += _summary_rows(name, found, mine, distance_mm)
        except InputError as error:
            notes.append(f"not done: {name}: {'; '.join(error.problems)}")
            continue
        tables.append(_edge_rows(name, found, pairs, distance_mm))
    result = Result(
        name=NAME,
        title="Does motion show in connectivity (QC-FC)?",
        role="quality",
        what="quality",
        outcome="every edge",
        estimates=tidy(rows),
        methods="Mean framewise displacement was correlated with the Fisher z of every edge over the "
        "people of each visit, and within people over their visits (QC-FC); the slope of these "
        "correlations over the distance of the parcels' centres was fitted by least squares.",
        citations=("ciric2017",),
        notes=(
            *notes,
            "QC-FC cannot tell artefact from a trait that goes with moving; it says how much is left, "
            "and where",
        ),
    )
    return result, pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _samples(plan: Plan, sessions: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the people of each visit, and people with several visits together."""
    samples = [
        (visit, sessions.loc[sessions["visit"] == visit].reset_index(drop=True))
        for visit in plan.visits
        if (sessions["visit"] == visit).any()
    ]
    repeated = sessions.loc[sessions["subject"].duplicated(keep=False)].reset_index(drop=True)
    return [*samples, (WITHIN, repeated)] if len(repeated) else samples


def _distances(plan: Plan, n_edges: int) -> FloatArray:
    assert plan.survey.atlas is not None  # noqa: S101 - there are matrices
    places = parcel_centroids(plan.survey.atlas)
    distance = edge_distances(places)
    assert len(distance) == n_edges  # noqa: S101 - both are the upper triangle
    return distance


def _summary_rows(
    name: str, found: QCFC, mine: pd.DataFrame, distance_mm: FloatArray
) -> list[dict[str, Any]]:
    base: dict[str, Any] = {
        "analysis": NAME,
        "role": "quality",
        "analysis_set": "people with several visits" if name == WITHIN else f"people at {name}",
        "outcome": "every edge",
        "declared": True,
        "n_subjects": mine["subject"].nunique(),
        "n_observations": len(mine),
    }
    known = np.isfinite(found.p)
    raw = float(np.mean(found.p[known] < _LEVEL)) if known.any() else np.nan
    expected = f"without any relation about {found.expected_median_abs_r:.2f}"
    rows: list[dict[str, Any]] = [
        {"kind": "correlation", "term": "median |r|", "unit": "r", "flags": expected}
        | {"estimate": found.median_abs_r},
        {"kind": "proportion", "term": "edges with p < .05", "estimate": raw}
        | {"unit": "share", "flags": "about .05 by chance; edges hang together, so it varies"},
        {"kind": "proportion", "term": "edges with adjusted p < .05", "unit": "share"}
        | {"estimate": found.share_significant, "adjustment": f"fdr_bh over {known.sum()} edges"},
    ]
    slope: dict[str, Any] = {
        "kind": "coefficient",
        "term": "slope of r over distance",
        "unit": "r per mm",
    }
    placed = np.isfinite(distance_mm) & known
    if placed.sum() > 2 and np.ptp(distance_mm[placed]) > 0:
        per_mm, rho = distance_trend(found.r[placed], distance_mm[placed])
        rows += [
            slope | {"estimate": per_mm},
            {
                "kind": "correlation",
                "term": "Spearman correlation of r with distance",
                "unit": "rho",
            }
            | {"estimate": rho},
        ]
    else:
        rows.append(slope | {"flags": _NO_PLACES})
    return [base | row | {"term": f"{row['term']}, {name}"} for row in rows]


def _edge_rows(
    name: str, found: QCFC, pairs: pd.DataFrame, distance_mm: FloatArray
) -> pd.DataFrame:
    table = pairs[["parcel_a", "parcel_b", "network_a", "network_b"]].assign(
        visit=name,
        distance_mm=np.round(distance_mm, 1),
        r=np.round(found.r, 5),
        p=[float(f"{p:.4g}") for p in found.p],
        p_adjusted=[float(f"{p:.4g}") for p in found.p_adjusted],
        df=found.df,
    )
    return table[["visit", *(column for column in table if column != "visit")]]
