"""The interactive forest: every tested effect with its interval, to be searched and filtered."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from connectrial.figures.linked_charts import chart_forest
from connectrial.figures.numbers import as_float, df_name, first_note, term_words
from connectrial.report.live import Live, chart
from connectrial.results import Results

_WIDE = 76  # characters of a label that the chart has room for
_APART = "\u241f"  # between what an axis writes of a row below its estimate, and the whole label
_MANY = 120  # rows of one unit beyond which the chart holds declared rows alone


def forest_live(results: Results, rows: pd.DataFrame, *, unit: str) -> Live:
    """Return the chart of what one static forest draws.

    Parameters
    ----------
    results : Results
        For the titles of the analyses.
    rows : pandas.DataFrame
        Rows of the schema, all in one unit.
    unit : str
        That unit.
    """
    titles = {result.name: result.title for result in results.analyses}
    own = [_row(row, titles) for row in rows.to_dict("records")]
    left_out = ""
    if len(own) > _MANY:
        declared = [row for row in own if row["declared"]]
        left_out = (
            f" Of {len(own)} rows those by the declared df method are here; the data hold all."
        )
        own = declared
    frame = pd.DataFrame(_below(_unique(own)))
    return chart(
        chart_forest(frame, unit=unit),
        title=f"All tested effects ({unit})" if unit else "All tested effects",
        how="Circles are estimates by the declared df method, diamonds the same estimate by another "
        "method, or a sensitivity; lines are intervals, the dashed line is no effect. Search for words, "
        f"choose a role, or leave declared rows alone; point at a row for its numbers.{left_out}",
    )


def _row(row: dict[Any, Any], titles: dict[str, str]) -> dict[str, Any]:
    name = str(row["analysis"])
    title = titles.get(name, name)
    is_plain = title == name or title.startswith(f"{name} (")  # else it has a title of its own
    named = name if is_plain else re.sub(r" \(.*\)$", "", title)
    outcome = str(row["outcome"])
    words = named if outcome in named or not outcome else f"{named}, {outcome}"
    declared = bool(row["declared"]) and row["role"] != "sensitivity"
    method = df_name(row["df_method"])
    note = first_note(row["flags"])
    term = term_words(row["term"], row["kind"])
    beside = "" if declared else f" · {method} df"
    if not declared and note and row["role"] == "sensitivity":
        beside = f" · {note}"
    label = f"{words}: {term}{beside}"
    if len(label) > _WIDE:  # else the chart would cut its end, which tells it from its neighbours
        label = f"{_cut(words, 26)}: {_cut(term, 30)}{_cut(beside, 20)}"
    return {
        "label": label,
        "head": f"{words}: {term}",
        "beside": beside.removeprefix(" · "),
        "effect": f"{words}: {term}{beside}",
        "role": str(row["role"]),
        "method": method,
        "declared": declared,
        "estimate": as_float(row["estimate"]),
        "low": as_float(row["ci_low"]),
        "high": as_float(row["ci_high"]),
        "df": as_float(row["df"]),
        "p": as_float(row["p"]),
        "adjusted": as_float(row["p_adjusted"]),
        "note": str(row["flags"]),
    }


def _below(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let a row below the declared one of the same estimate say only what differs."""
    heads: set[str] = set()
    made = []
    for row in rows:
        head, beside = row.pop("head"), row.pop("beside")
        if head in heads:
            short = beside or row["label"]
        else:
            short = head if len(head) <= _WIDE and len(row["label"]) > len(head) else row["label"]
        heads.add(head)
        made.append({**row, "label": f"{short}{_APART}{row['label']}"})
    return made


def _cut(text: str, n: int) -> str:
    return text if len(text) <= n else text[: n - 1].rstrip(" ,:") + "…"


def _unique(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tell labels that occur again apart: a chart would put their rows into one line."""
    seen: dict[str, int] = {}
    made = []
    for row in rows:
        n = seen[row["label"]] = seen.get(row["label"], 0) + 1
        made.append({**row, "label": f"{row['label']} ({n})"} if n > 1 else row)
    return made
