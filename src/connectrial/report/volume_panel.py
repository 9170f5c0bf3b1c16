"""The figure of structural volumes against a clinical change."""

from __future__ import annotations

import pandas as pd

from connectrial.figures.association_chart import chart_association
from connectrial.figures.numbers import MINUS, format_p
from connectrial.figures.scatter import plot_scatter
from connectrial.report.live import chart
from connectrial.report.panel import Panel
from connectrial.report.source import table
from connectrial.results import Result, Results


def volumes_panel(results: Results, result: Result) -> Panel | None:
    """Draw each structure's share of intracranial volume against the change."""
    known = table(results, "volumes")
    if known is None or not len(result.estimates):
        return None
    outcome = "change" if "change" in known else "percent_change"
    section = results.study.get("volumes") or {}
    titles = {}
    for row in result.estimates.query("declared").to_dict("records"):
        r, p = f"{row['estimate']:.2f}".replace("-", MINUS), format_p(row["p"], sign=True)
        titles[str(row["term"])] = f"{row['term']}\nr = {r}, p {p}, n = {row['n_subjects']}"
    shown = known.loc[known["structure"].astype(str).isin(titles)]
    pairs = pd.DataFrame(
        {
            "panel": shown["structure"].astype(str),
            "title": shown["structure"].astype(str).map(titles),
            "x": 1000 * pd.to_numeric(shown["share"]),
            "y": pd.to_numeric(shown[outcome]),
        }
    )
    if pairs.empty:
        return None
    words = "percent change" if outcome == "percent_change" else "change"
    return Panel(
        name="volumes",
        title=result.title,
        how="Dots are people, the line is that of least squares; p values are not adjusted for the "
        "number of structures.",
        alt="; ".join(title.replace("\n", ": ") for title in titles.values()) + ".",
        figure=plot_scatter(
            pairs,
            x_label="volume, per mille of\nintracranial volume",
            y_label=f"{words} of {section.get('scale', 'the score')}",
        ),
        methods=result.methods,
        data=shown,
        min_width_px=520,
        live=chart(
            chart_association(
                pd.DataFrame(
                    {
                        "subject": shown["subject"].astype(str),
                        "term": pairs["panel"],
                        "x": pairs["x"],
                        "y": pairs["y"],
                        "x_name": "volume (‰ of intracranial)",
                        "y_name": f"{words} of {section.get('scale', 'the score')}",
                    }
                ).dropna(subset=["x", "y"]),
                words={term: title.partition("\n")[2] for term, title in titles.items()},
            ),
            title=result.title,
            how="Point at a dot: the same person stands out in every panel.",
        ),
    )
