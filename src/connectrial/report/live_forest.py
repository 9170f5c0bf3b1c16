"""Data of the interactive forest: every tested effect with its interval, to be filtered and sorted."""

from __future__ import annotations

from typing import Any

import pandas as pd

from connectrial.figures.numbers import as_float, df_name, term_words
from connectrial.report.cells import adjustment_words
from connectrial.report.live import Live
from connectrial.report.panel import Panel
from connectrial.results import Results


def forest_live(results: Results, panels: list[Panel]) -> Live | None:
    """Return the interactive forest of what the static forests draw.

    Parameters
    ----------
    results : Results
        For the titles of the analyses.
    panels : list of Panel
        Forests, one per unit, with their rows as data.
    """
    drawn = [panel.data for panel in panels if panel.data is not None and len(panel.data)]
    if not drawn:
        return None
    titles = {result.name: result.title for result in results.analyses}
    rows = [_row(row, titles) for row in pd.concat(drawn).to_dict("records")]
    return Live(
        kind="forest",
        title="All tested effects, to be searched, filtered and sorted",
        how="Rows of one unit share a scale; the dashed line is no effect. Filled dots are estimates by the "
        "declared df method, open ones the same estimate by another method, or a sensitivity. A heading "
        "sorts; estimates sort by size and sign.",
        data={"rows": rows, "units": list(dict.fromkeys(str(row["unit"]) for row in rows))},
    )


def _row(row: dict[Any, Any], titles: dict[str, str]) -> dict[str, Any]:
    adjusted = as_float(row["p_adjusted"])
    return {
        "title": titles.get(str(row["analysis"]), str(row["analysis"])),
        "outcome": str(row["outcome"]),
        "term": term_words(row["term"], row["kind"]),
        "role": str(row["role"]),
        "family": str(row["family"]),
        "method": df_name(row["df_method"]),
        "declared": bool(row["declared"]) and row["role"] != "sensitivity",
        "unit": str(row["unit"]),
        "estimate": as_float(row["estimate"]),
        "low": as_float(row["ci_low"]),
        "high": as_float(row["ci_high"]),
        "df": as_float(row["df"]),
        "p": as_float(row["p"]),
        "adjusted": adjusted,
        "adjustment": adjustment_words(row["adjustment"]) if adjusted == adjusted else "",
        "flags": str(row["flags"]),
    }
