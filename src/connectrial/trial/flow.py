"""How many people and scans there are at each step, and why the others left."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from connectrial.trial.periods import JOIN, Periods
from connectrial.trial.visits import CONTROLS

#: How the reason of somebody begins who fails a condition for taking part.
NOT_ELIGIBLE = "not eligible"


def flow(
    subjects: pd.DataFrame,
    scans: pd.DataFrame,
    *,
    visits: Sequence[str],
    scan_visits: Sequence[str],
    available: pd.DataFrame,
    dispositions: pd.DataFrame | None = None,
    controls: Collection[str] = (),
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
    dispositions : DataFrame, optional
        ``subject``, ``disposition``, ``fate`` ("completed", "lost", "excluded", "not_treated"): what
        became of those who take part, by arm where `subjects` has a column ``arm``.
    controls : collection of str
        Controls, of whom eligibility and disposition say nothing: where either is told, they join
        after it.

    Returns
    -------
    DataFrame
        Columns ``step`` (int; equal steps stand side by side), ``box``, ``n_subjects``,
        ``n_scans`` (sessions; missing where scans are not the point), ``left_out`` (lines: who left
        on the way to this box, and why).
    """
    rows: list[tuple[int, str, int, int | None, str]] = []
    with_scans = len(scan_visits) > 0
    judged = bool(subjects["reason"].astype(str).str.startswith(NOT_ELIGIBLE).any())
    followed = dispositions is not None and len(dispositions) > 0
    is_control = subjects["subject"].isin(list(controls)) if judged or followed else None
    trial = subjects if is_control is None else subjects.loc[~is_control]
    n_joining = 0 if is_control is None else int(is_control.sum())
    own_scans = scans.loc[scans["subject"].isin(trial["subject"])]
    first = "Assessed for eligibility" if judged else "Known from tables and scans"
    rows.append((0, first, len(trial), _sessions(own_scans) if with_scans else None, ""))
    step = 1
    analysed = subjects.loc[subjects["included"]]
    out = subjects.loc[~subjects["included"]]
    taking_part = trial.loc[trial["included"]]
    if judged:
        left_here = trial.loc[~trial["included"]]
        rows.append((step, "Eligible", len(taking_part), None, _reasons(left_here)))
        step += 1
    if dispositions is not None and followed:
        rows += [(step, *box) for box in _follow_up(taking_part, dispositions)]
        step += 1
    if n_joining:
        words = f"With {_counted(n_joining, 'control')}"
        n_scans = _sessions(scans) if with_scans else None
        rows.append((step, words, len(taking_part) + n_joining, n_scans, ""))
        step += 1
    if with_scans:
        usable = scans.loc[scans["included"]]
        lost = scans.loc[~scans["included"]]
        left = [_counted(count, "scan", reason) for reason, count in _by_reason(lost).items()]
        # Where eligibility is told, whoever is not eligible has left before.
        left_before = set(trial.loc[~trial["included"], "subject"]) if judged else set()
        unscanned = len(set(subjects["subject"]) - left_before - set(scans["subject"]))
        left += [_counted(unscanned, "person", "no scan on disk")] if unscanned else []
        n_usable = int(usable["subject"].nunique())
        rows.append((step, "With a usable scan", n_usable, _sessions(usable), "\n".join(left)))
        step += 1
    kept_scans = scans.loc[scans["analysed"]] if with_scans else scans
    rows.append(
        (
            step,
            "Analysed",
            len(analysed),
            _sessions(kept_scans) if with_scans else None,
            "" if judged else _reasons(out),
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


def _reasons(out: pd.DataFrame) -> str:
    return "\n".join(
        _counted(int(count), "person", str(reason))
        for reason, count in out["reason"].value_counts(sort=False).items()
    )


_FATES = {
    "not_treated": "did not start",
    "lost": "lost to follow-up",
    "excluded": "excluded by the investigators",
}


def _follow_up(
    analysed: pd.DataFrame, dispositions: pd.DataFrame
) -> list[tuple[str, int, int | None, str]]:
    """Count completers in each arm, and the others by what became of them."""
    joined = analysed.merge(dispositions, on="subject", how="left")
    groups: dict[str, pd.DataFrame] = {"": joined}
    if "arm" in joined and joined["arm"].notna().any():
        groups = {f" ({arm})": own for arm, own in joined.groupby("arm", sort=False)}
    boxes: list[tuple[str, int, int | None, str]] = []
    for suffix, own in groups.items():
        left = []
        for fate, words in _FATES.items():
            mine = own.loc[own["fate"] == fate, "disposition"]
            left += [
                _counted(int(n), "person", f"{words} ({why})")
                for why, n in mine.value_counts(sort=False).items()
            ]
        unknown = int(own["fate"].isna().sum())
        left += [_counted(unknown, "person", "not stated")] if unknown else []
        box = f"Completed{suffix} of {len(own)}"
        boxes.append((box, int((own["fate"] == "completed").sum()), None, "\n".join(left)))
    return boxes


def _sessions(scans: pd.DataFrame) -> int:
    return len(scans[["subject", "session"]].drop_duplicates())


def _by_reason(scans: pd.DataFrame) -> dict[str, int]:
    once = scans.drop_duplicates(["subject", "session"])
    return {str(reason): int(n) for reason, n in once["reason"].value_counts(sort=False).items()}


def _counted(count: int, what: str, reason: str = "") -> str:
    plural = {"person": "people", "scan": "scans", "control": "controls"}[what]
    return f"{count} {plural if count != 1 else what}" + (f": {reason}" if reason else "")


def period_flow(
    subjects: Sequence[str], periods: Periods, scores: pd.DataFrame, *, visits: Sequence[str]
) -> pd.DataFrame:
    """Count people of a crossover from their sequence down to each period's scores.

    Parameters
    ----------
    subjects : sequence of str
        Who takes part and was to be treated.
    periods : Periods
        Sequences, and the period of each treatment.
    scores : DataFrame
        ``subject``, ``visit``, ``treatment``, ``scale``, ``score`` (NaN: none).
    visits : sequence of str
        Visits of each period, in order.

    Returns
    -------
    DataFrame
        One row per sequence and period: ``sequence``, ``n_sequence`` (people of it), ``period``,
        ``treatment``, ``n_treated``, ``n_left`` (not treated in that period), then for each scale and
        visit how many have a score (``SCALE, VISIT``).
    """
    mine = [str(name) for name in subjects]
    sequence = periods.sequence.reindex(mine)
    known = scores.loc[scores["score"].notna() & scores["subject"].isin(mine)]
    cells = known.groupby(["scale", "visit", "treatment"], observed=True, sort=False)["subject"]
    scored = {key: set(who) for key, who in cells}
    scales = list(dict.fromkeys(scores["scale"].astype(str)))
    rows: list[dict[str, object]] = []
    for name in periods.sequences:
        members = {str(who) for who in sequence.index[sequence == name]}
        for number, treatment in enumerate(name.split(JOIN), start=1):
            given = periods.period[treatment]
            treated = members & {str(who) for who in given.index[given.notna()]}
            row: dict[str, object] = {
                "sequence": name,
                "n_sequence": len(members),
                "period": number,
                "treatment": treatment,
                "n_treated": len(treated),
                "n_left": len(members - treated),
            }
            for scale in scales:
                for visit in visits:
                    here = scored.get((scale, visit, treatment), set())
                    row[f"{scale}, {visit}"] = len(treated & here)
            rows.append(row)
    return pd.DataFrame(rows)


def imaging_flow(
    scans: pd.DataFrame, subjects: pd.DataFrame, *, sessions: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Count scan sessions from those of the protocol down to those analysed.

    Parameters
    ----------
    scans : DataFrame
        As for :func:`flow`.
    subjects : DataFrame
        As for :func:`flow`.
    sessions : mapping of str to sequence of str
        Scan sessions of each visit, in order.

    Returns
    -------
    DataFrame
        One row per session of the protocol, and one per visit with several sessions (``session``
        empty): ``visit``, ``session``, ``n_scanned`` (people with a scan on disk), ``n_failed``
        (whose scan cannot be used), ``n_usable``, ``n_left_out`` (usable, but the person is left
        out), ``n_analysed``, ``reasons`` (of failures, one a line).
    """
    rows: list[dict[str, object]] = []
    if scans.empty:
        columns = ["visit", "session", "n_scanned", "n_failed", "n_usable", "n_left_out"]
        return pd.DataFrame(rows, columns=[*columns, "n_analysed", "reasons"])
    whole = subjects.set_index("subject")["included"].astype(bool)
    for visit, names in sessions.items():
        groups: list[tuple[str, list[str]]] = [(name, [name]) for name in names]
        if len(names) > 1:
            groups.append(("", list(names)))
        for label, members in groups:
            mine = scans.loc[scans["session"].isin(members)]
            by_person = mine.groupby("subject", sort=False)
            usable = by_person["included"].any()
            kept = usable & whole.reindex(usable.index).fillna(value=False)
            lost = mine.loc[mine["subject"].isin(usable.index[~usable])]
            reasons = [_counted(n, "scan", reason) for reason, n in _by_reason(lost).items()]
            rows.append(
                {
                    "visit": visit,
                    "session": label,
                    "n_scanned": len(usable),
                    "n_failed": int((~usable).sum()),
                    "n_usable": int(usable.sum()),
                    "n_left_out": int((usable & ~kept).sum()),
                    "n_analysed": int(kept.sum()),
                    "reasons": "\n".join(reasons),
                }
            )
    return pd.DataFrame(rows)
