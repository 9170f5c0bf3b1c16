"""Tables of the trial: rules, baseline, the flow of scans, severity, side effects, vital signs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.figures.numbers import MINUS, name_words
from connectrial.report.blocks import Block, table_block
from connectrial.report.cells import plain_table
from connectrial.report.source import table
from connectrial.results import Results


def people_tables(results: Results) -> list[Block]:
    """Show eligibility and analysis sets rule by rule, people at baseline, the flow of scans."""
    blocks = []
    sets = results.study.get("analysis_sets") or {}
    rules = table(results, "rules")
    if rules is not None:
        heads = {"set": "for", "rule": "rule", "condition": "condition", "n_before": "asked"}
        heads |= {"n_failed": "fail", "n_after": "left", "n_failed_of_all": "fail, of all"}
        heads |= {"n_missing": "missing"}
        blocks += _table(
            rules, caption="Eligibility and analysis sets, rule by rule", heads=heads, name="rules"
        )
    if sets:
        words = tuple(
            f"{name}: {one.get('description') or 'everybody who takes part'}"
            + (f" (missing outcomes: {one['missing']})" if one.get("missing") != "observed" else "")
            for name, one in sets.items()
        )
        blocks.append(Block(kind="notes", title="Analysis sets", text=words))
    scans = table(results, "imaging_flow")
    if scans is not None:
        heads = {"visit": "visit", "session": "session", "n_scanned": "scanned"}
        heads |= {"n_failed": "failed", "reasons": "why", "n_left_out": "person left out"}
        shown = scans.assign(session=scans["session"].replace("", "any"))
        heads |= {"n_analysed": "analysed"}
        blocks += _table(
            shown,
            caption="People with a scan, failed and analysed, by session",
            heads=heads,
            name="imaging flow",
        )
    periods = table(results, "period_flow")
    if periods is not None:
        heads = {"sequence": "sequence", "n_sequence": "people", "period": "period"}
        heads |= {"treatment": "treatment", "n_treated": "treated", "n_left": "not treated"}
        # A scale has counts at the visits at which it was asked.
        asked = [name for name in periods.columns if name not in heads and periods[name].any()]
        heads |= {str(name): str(name) for name in asked}
        blocks += _table(
            periods,
            caption="Patients through the periods: treated, and with a score at each visit",
            heads=heads,
            name="period flow",
        )
    return blocks + _baseline(results)


def _baseline(results: Results) -> list[Block]:
    known = table(results, "baseline")
    if known is None:
        return []
    groups = list(dict.fromkeys(known["group"].astype(str)))
    scales = sorted(map(str, results.study.get("scales") or {}), key=len, reverse=True)
    rows = []
    for (variable, level), mine in known.fillna({"level": ""}).groupby(
        ["variable", "level"], sort=False
    ):
        name = str(variable)
        scale = next((one for one in scales if name.startswith(f"{one} at ")), None)
        # Visits may be called "before": a score stands at "MADRS, before".
        name = name if scale is None else f"{scale}, {name.removeprefix(f'{scale} at ')}"
        name = name_words(name)
        row = {"what": f"{name}, {level}" if level else name}
        for group in groups:
            own = mine.loc[mine["group"].astype(str) == group]
            row[group] = _summary(own.iloc[0]) if len(own) else ""
        if len(groups) > 1:
            others = mine.loc[mine["group"].astype(str) != groups[0], "smd"].dropna()
            row["SMD"] = ", ".join(f"{one:.2f}".replace("-", MINUS) for one in others)
        rows.append(row)
    return _table(
        pd.DataFrame(rows),
        caption="People at the start: mean (SD) or count (percent); SMD, standardised difference "
        "from the first group",
        heads=None,
        name="baseline",
        data=known,
    )


def _summary(row: pd.Series) -> str:
    if row["n"] == 0:
        return "not recorded"
    if pd.notna(row["count"]):
        text = f"{int(row['count'])}\u00a0({row['percent']:.0f}\u00a0%)"
    elif pd.notna(row["mean"]):
        n = _decimals(row["sd"])
        text = f"{row['mean']:.{n}f} ({row['sd']:.{n}f})"
    else:
        text = "–"
    return text + (f", {int(row['n_missing'])} missing" if row["n_missing"] else "")


def _decimals(sd: float) -> int:
    """Return how many decimals tell people apart: one, and more where they differ by less."""
    if not (np.isfinite(sd) and sd > 0):
        return 1
    return int(np.clip(1 - np.floor(np.log10(sd)), 1, 6))


def outcome_tables(results: Results) -> list[Block]:
    """Show severity bands, curves of times to events, and what was missing in items."""
    blocks = []
    bands = table(results, "severity")
    if bands is not None:
        keys = [name for name in ("scale", "visit", "arm", "group") if name in bands]
        wide = _counted(bands, keys=keys, column="band", n="n_subjects")
        blocks += _table(
            wide,
            caption="People in each severity band, n (%)",
            heads=None,
            name="severity",
            data=bands,
        )
    curves = table(results, "survival")
    if curves is not None:
        heads = {"analysis": "analysis", "arm": "arm", "time": "day", "n_at_risk": "at risk"}
        heads |= {"n_events": "events", "survival": "without event", "ci_low": "95 % from"}
        heads |= {"ci_high": "to"}
        blocks += _details(curves, title="Kaplan-Meier estimates", heads=heads, name="survival")
    log = table(results, "score_log")
    if log is not None:
        heads = {"scale": "scale", "subject": "person", "session": "session", "score": "score"}
        heads |= {"reason": "what was missing, and what was done"}
        blocks += _details(
            log, title=f"{len(log)} assessments with missing items", heads=heads, name="score log"
        )
    return blocks


def _counted(rows: pd.DataFrame, *, keys: list[str], column: str, n: str) -> pd.DataFrame:
    cells = [
        f"{int(a)}\u00a0({b:.0f}\u00a0%)" for a, b in zip(rows[n], rows["percent"], strict=True)
    ]
    shown = rows.assign(cell=cells)
    columns = list(dict.fromkeys(rows[column].astype(str)))
    places = shown[keys].drop_duplicates()
    wide = shown.set_index([*keys, column])["cell"].unstack(column).reindex(columns=columns)
    ordered = wide.reindex(pd.MultiIndex.from_frame(places)).reset_index()
    return ordered.fillna("–").astype(str)


def safety_tables(results: Results) -> list[Block]:
    """Show side effects by arm and visit, each person's worst, courses and vital signs."""
    blocks = []
    events = table(results, "adverse_events")
    if events is not None:
        keys = [name for name in ("arm", "event") if name in events.columns]
        shown = events.assign(
            cell=[
                f"{int(a)}/{int(b)}\u00a0({c:.0f}\u00a0%)"
                for a, b, c in zip(
                    events["n_with"], events["n_people"], events["percent"], strict=True
                )
            ],
            visit=events["visit"].astype(str),
        )
        visits = list(dict.fromkeys(shown["visit"]))
        for key in keys:
            shown[key] = shown[key].astype(str)
        places = pd.MultiIndex.from_frame(shown[keys].drop_duplicates())
        wide = shown.set_index([*keys, "visit"])["cell"].unstack("visit").reindex(columns=visits)
        if len(keys) > 1:
            wide = wide.reindex(places)
        blocks += _table(
            wide.reset_index().fillna("–").astype(str),
            caption="People with each side effect by visit (intervals in the data)",
            heads=None,
            name="side effects",
            data=events,
        )
    worst = table(results, "worst_severity")
    if worst is not None:
        heads = {"event": "side effect", "subject": "person", "severity": "worst severity"}
        heads |= {"visit": "first at"}
        blocks += _details(
            worst.assign(visit=worst["visit"].astype(str)),
            title="Worst severity of each person",
            heads=heads,
            name="worst severity",
        )
    for name, caption in (
        ("safety_courses", "Means of safety scales by visit, 95 % intervals"),
        ("vital_signs", "Mean change of vital signs from baseline, 95 % intervals"),
    ):
        known = table(results, name)
        if known is None:
            continue
        heads = {"scale": "scale", "by": "arm", "visit": "visit", "estimate": "mean"}
        heads |= {"ci_low": "from", "ci_high": "to", "n_subjects": "people", "unit": "unit"}
        if not known["by"].astype(str).str.len().any():
            del heads["by"]
        shown = known.assign(visit=known["visit"].astype(str))
        blocks += _table(shown, caption=caption, heads=heads, name=name.replace("_", " "))
    return blocks


def _table(
    rows: pd.DataFrame,
    *,
    caption: str,
    heads: dict[str, str] | None,
    name: str,
    data: pd.DataFrame | None = None,
) -> list[Block]:
    shown = plain_table(rows, caption=caption, heads=heads)
    return [table_block(shown, data=rows if data is None else data, name=name)]


def _details(rows: pd.DataFrame, *, title: str, heads: dict[str, str], name: str) -> list[Block]:
    inner = _table(rows, caption=title, heads=heads, name=name)
    return [Block(kind="details", title=title, blocks=tuple(inner))]
