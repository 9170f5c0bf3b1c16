"""How many people and scans there are at each step, and why the others left."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from connectrial.trial.visits import CONTROLS


def flow(
    subjects: pd.DataFrame,
    scans: pd.DataFrame,
    *,
    visits: Sequence[str],
    scan_visits: Sequence[str],
    available: pd.DataFrame,
) -> pd.DataFrame:
    """Count people and scan sessions from everybody known down to each visit's analysis.

    Parameters
    ----------
    subjects : DataFrame
        Columns ``subject``, ``included`` (bool), ``reason``; one row per person.
    scans : DataFrame
        Columns ``subject``, ``session``, ``visit``, ``included`` (usable), ``analysed`` (usable, of
        a person who is analysed), ``reason``; one row per run.
    visits : sequence of str
        Visits in order, controls' own visit too where there is one.
    scan_visits : sequence of str
        Those of them that have scans.
    available : DataFrame
        ``subject``, ``visit``, ``what``, ``state``, ``reason``; says why an analysed person has no
        scan at a visit.

    Returns
    -------
    DataFrame
        Columns ``step`` (int; equal steps stand side by side), ``box``, ``n_subjects``,
        ``n_scans`` (sessions; missing where scans are not the point), ``left_out`` (lines: who left
        on the way to this box, and why).
    """
    rows: list[tuple[int, str, int, int | None, str]] = []
    with_scans = len(scan_visits) > 0
    everybody = len(subjects)
    rows.append(
        (0, "Known from tables and scans", everybody, _sessions(scans) if with_scans else None, "")
    )
    step = 1
    if with_scans:
        usable = scans.loc[scans["included"]]
        lost = scans.loc[~scans["included"]]
        left = [_counted(count, "scan", reason) for reason, count in _by_reason(lost).items()]
        unscanned = everybody - scans["subject"].nunique()
        left += [_counted(unscanned, "person", "no scan on disk")] if unscanned else []
        n_usable = int(usable["subject"].nunique())
        rows.append((step, "With a usable scan", n_usable, _sessions(usable), "\n".join(left)))
        step += 1
    analysed = subjects.loc[subjects["included"]]
    out = subjects.loc[~subjects["included"]]
    kept_scans = scans.loc[scans["analysed"]] if with_scans else scans
    left = [
        _counted(int(count), "person", str(reason))
        for reason, count in out["reason"].value_counts(sort=False).items()
    ]
    rows.append(
        (
            step,
            "Analysed",
            len(analysed),
            _sessions(kept_scans) if with_scans else None,
            "\n".join(left),
        )
    )
    step += 1
    for visit in visits:
        if visit not in scan_visits:
            continue
        here = kept_scans.loc[kept_scans["visit"] == visit]
        without = available.loc[
            (available["what"] == "scan")
            & (available["visit"] == visit)
            & available["state"].isin(["missing", "excluded"])
            & available["subject"].isin(analysed["subject"])
        ]
        left = [
            _counted(int(count), "person", str(reason))
            for reason, count in without["reason"].value_counts(sort=False).items()
        ]
        n_people = int(here["subject"].nunique())
        box = "Scan of controls" if visit == CONTROLS else f"Scan at {visit}"
        rows.append((step, box, n_people, _sessions(here), "\n".join(left)))
    table = pd.DataFrame(rows, columns=["step", "box", "n_subjects", "n_scans", "left_out"])
    return table.astype({"n_scans": "Int64"})


def _sessions(scans: pd.DataFrame) -> int:
    return len(scans[["subject", "session"]].drop_duplicates())


def _by_reason(scans: pd.DataFrame) -> dict[str, int]:
    once = scans.drop_duplicates(["subject", "session"])
    return {str(reason): int(n) for reason, n in once["reason"].value_counts(sort=False).items()}


def _counted(count: int, what: str, reason: str) -> str:
    plural = {"person": "people", "scan": "scans"}[what] if count != 1 else what
    return f"{count} {plural}: {reason}"
