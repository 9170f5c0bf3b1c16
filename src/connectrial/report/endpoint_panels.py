"""Response, remission and the like: rules in words, the strip below a course, the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from connectrial.figures.numbers import (
    as_float,
    format_interval,
    format_number,
    nnt_words,
    term_words,
)
from connectrial.report.blocks import Block, table_block
from connectrial.report.cells import Cell, Table
from connectrial.results import Result, Results


def _endpoints(results: Results) -> list[tuple[str, Mapping[str, Any], Result]]:
    """Return each endpoint that was analysed: its name, its rule, its result."""
    declared = results.study.get("endpoints") or {}
    by_name = {one.name: one for one in results.analyses if one.what == "response"}
    return [(name, rule, by_name[name]) for name, rule in declared.items() if name in by_name]


def when_words(rule: Mapping[str, Any]) -> str:
    """Say at which visit an endpoint is judged, or from which to which it must hold."""
    visit, until = str(rule["visit"]), rule.get("until")
    return f"{visit} to {until}" if until else visit


def rule_words(rule: Mapping[str, Any]) -> str:
    """Write an endpoint's rule as a paper does: ``MADRS halved``, ``CGI-I of 2 or less``."""
    scale = str(rule.get("scale") or "")
    percent = rule.get("min_percent_decrease")
    if percent is not None:
        words = f"{scale} down by {float(percent):g} %"
    elif rule.get("below") is not None:
        words = f"{scale} < {float(rule['below']):g}"
    elif rule.get("at_most") is not None:
        words = f"{scale} ≤ {float(rule['at_most']):g}"
    else:
        words = scale
    return words + (f", of those with {rule['among']}" if rule.get("among") else "")


def endpoint_strip(results: Results, scale: str) -> pd.DataFrame | None:
    """Return shares of people below the course of the scale that most endpoints ask about.

    Endpoints of scales that are rated for improvement alone (CGI-I) stand there too.
    """
    found = _endpoints(results)
    asked = pd.Series([str(rule["scale"]) for _, rule, _ in found], dtype=object)
    if asked.empty or asked.value_counts().index[0] != scale:
        return None
    rows = []
    for _, rule, result in found:
        if rule.get("until") or rule.get("among"):
            continue
        own = result.estimates
        own = own[(own["kind"] == "proportion") & own["estimate"].notna()]
        own = own[own["analysis_set"] == own["analysis_set"].iloc[0]] if len(own) else own
        split = own[own["term"].astype(str).str.contains(", ", regex=False)]
        for row in (split if len(split) else own).to_dict("records"):
            level = str(row["term"]).rpartition(", ")[2] if len(split) else ""
            rows.append(
                {
                    "rule": rule_words(rule),
                    "visit": str(rule["visit"]),
                    "by": level,
                    "estimate": as_float(row["estimate"]),
                    "n_met": round(as_float(row["estimate"]) * int(row["n_subjects"])),
                    "n_subjects": int(row["n_subjects"]),
                }
            )
    return pd.DataFrame(rows) if rows else None


def endpoint_table(results: Results) -> list[Block]:
    """Lay endpoints out by analysis set: counts, share with interval, difference between arms."""
    found = _endpoints(results)
    sets = list(
        dict.fromkeys(str(s) for *_, one in found for s in one.estimates["analysis_set"] if str(s))
    )
    if not found or not sets:
        return []
    rows = []
    for name, rule, result in found:
        own = result.estimates[result.estimates["estimate"].notna()]
        for term in dict.fromkeys(own["term"].astype(str)):
            mine = own[own["term"].astype(str) == term]
            for kind in dict.fromkeys(mine["kind"].astype(str)):
                cells = [
                    _share(mine[(mine["kind"] == kind) & (mine["analysis_set"] == s)]) for s in sets
                ]
                what = term.rpartition(", ")[2] if ", " in term else "everyone"
                what = what if kind == "proportion" else f"{kind}, {term_words(term, kind)}"
                first = Cell(text=name.replace("_", " "), sub=(rule_words(rule),))
                rows.append(("", (first, Cell(text=when_words(rule)), Cell(text=what), *cells)))
    shown = Table(
        heads=(
            ("endpoint", ""),
            ("visit", ""),
            ("of", ""),
            *((s.replace("_", " "), "num") for s in sets),
        ),
        rows=tuple(rows),
        caption="Endpoints by analysis set, with 95 % intervals",
    )
    data = pd.concat([one.estimates for *_, one in found], ignore_index=True)
    return [table_block(shown, data=data, name="endpoints")]


def _share(rows: pd.DataFrame) -> Cell:
    if rows.empty:
        return Cell(text="–", css="num")
    row = rows.iloc[0]
    estimate = as_float(row["estimate"])
    if row["kind"] == "number needed to treat":
        number, limits = nnt_words(estimate, row["ci_low"], row["ci_high"])
        return Cell(text=number, sub=(limits,) if limits else (), css="num")
    if row["kind"] != "proportion":
        interval = format_interval(row["ci_low"], row["ci_high"])
        return Cell(text=format_number(estimate), sub=(interval,) if interval else (), css="num")
    n = int(row["n_subjects"])
    ends = (100 * as_float(row["ci_low"]), 100 * as_float(row["ci_high"]))
    return Cell(
        text=f"{round(estimate * n)} of {n} ({100 * estimate:.0f}\u00a0%)",
        sub=(f"[{ends[0]:.0f}, {ends[1]:.0f}] %",) if ends[0] == ends[0] else (),
        css="num",
    )
