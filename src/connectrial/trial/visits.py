"""From sessions on disk and in tables to the visits of a protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

#: Where the averaged sessions of controls stand among the visits.
CONTROLS = "controls"


def visit_of_session(visits: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Turn visit -> sessions around.

    Parameters
    ----------
    visits : mapping
        Sessions of each visit, in order.

    Returns
    -------
    dict
        Visit of each session; the first one where a session stands in several.
    """
    turned: dict[str, str] = {}
    for visit, sessions in visits.items():
        for session in sessions:
            turned.setdefault(session, visit)
    return turned


def average_sessions(values: pd.DataFrame, *, value: str, by: Sequence[str]) -> pd.DataFrame:
    """Average a value over the sessions of each visit.

    Parameters
    ----------
    values : DataFrame
        One row per session, with the columns `by` and `value`.
    value : str
        Column that is averaged; rows where it is missing do not count.
    by : sequence of str
        Columns that name a visit of a person (and an outcome).

    Returns
    -------
    DataFrame
        One row per combination that occurs, in order of first appearance: `by`, `value` (missing
        where every session lacks it) and ``n_sessions``.
    """
    grouped = values.groupby(list(by), observed=True, sort=False)[value]
    return grouped.agg(["mean", "count"]).set_axis([value, "n_sessions"], axis=1).reset_index()


def availability(
    scans: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    subjects: Sequence[str],
    expected: Mapping[str, Sequence[str]],
    score_visits: Mapping[str, Sequence[str]],
    subject_visits: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    """Say for every person and visit what is there.

    Parameters
    ----------
    scans : DataFrame
        Columns ``subject``, ``session``, ``visit``, ``included``, ``reason``; one row per run.
    scores : DataFrame
        Columns ``subject``, ``visit``, ``scale``, ``score``.
    subjects : sequence of str
        Everybody, in order.
    expected : mapping
        Sessions of each visit that has scans.
    score_visits : mapping
        Visits at which each scale is asked for.
    subject_visits : mapping
        Visits that a person's protocol has (controls have others than patients).

    Returns
    -------
    DataFrame
        Columns ``subject``, ``visit``, ``what`` ("scan" or the scale), ``state`` ("complete",
        "partial", "excluded", "missing"), ``reason``.
    """
    rows = []
    by_place = dict(iter(scans.groupby(["subject", "visit"], observed=True)))
    have = scores.loc[scores["score"].notna()]
    scored = set(zip(have["scale"], have["subject"], have["visit"].astype(str), strict=True))
    for subject in subjects:
        for visit in subject_visits[subject]:
            if visit in expected:
                state, reason = _scan_state(by_place.get((subject, visit)), expected[visit])
                rows.append((subject, visit, "scan", state, reason))
            for scale, visits in score_visits.items():
                if visit in visits:
                    there = (scale, subject, visit) in scored
                    reason = "" if there else "no score"
                    rows.append((subject, visit, scale, "complete" if there else "missing", reason))
    return pd.DataFrame(rows, columns=["subject", "visit", "what", "state", "reason"])


def _scan_state(found: pd.DataFrame | None, expected: Sequence[str]) -> tuple[str, str]:
    if found is None or found.empty:
        return "missing", "no scan on disk"
    usable = found.loc[found["included"], "session"].nunique()
    if usable == 0:
        return "excluded", "; ".join(dict.fromkeys(found["reason"]))
    if usable < len(expected):
        return "partial", f"{usable} of {len(expected)} sessions"
    return "complete", ""
