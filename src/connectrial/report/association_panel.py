"""What goes with what over people: exposure and change."""

from __future__ import annotations

from connectrial.figures.association_chart import chart_association
from connectrial.figures.numbers import MINUS, as_float, format_p, term_words
from connectrial.figures.scatter import plot_scatter
from connectrial.report.live import chart
from connectrial.report.panel import Panel
from connectrial.report.source import table
from connectrial.results import Result, Results


def association_panel(results: Results, result: Result) -> Panel | None:
    """Draw the pairs of values behind the correlations of an analysis; None where there are none.

    Parameters
    ----------
    results : Results
        With the table ``associations``.
    result : Result
        Correlations over people, one or more terms.
    """
    listed = table(results, "associations")
    if listed is None:
        return None
    own = listed[listed["analysis"].astype(str) == result.name].dropna(subset=["x", "y"])
    if own.empty:
        return None
    words = _words(result)
    terms = list(dict.fromkeys(own["term"].astype(str)))
    return Panel(
        name=f"association {result.name}",
        title="Person by person",
        how="Dots are people; the line is that of least squares. Above each panel stand the coefficient, "
        "its interval and its p, not adjusted.",
        alt="; ".join(f"{term_words(term, 'correlation')}: {words.get(term, '')}" for term in terms)
        + ".",
        figure=plot_scatter(
            own.assign(
                panel=own["term"],
                title=[
                    f"{term_words(t, 'correlation')}\n{words.get(str(t), '')}" for t in own["term"]
                ],
            ),
            x_label=str(own["x_name"].iloc[0]),
            y_label=str(own["y_name"].iloc[0]),
        ),
        data=own,
        methods=result.methods or "Correlation over people.",
        min_width_px=260 * min(3, len(terms)),
        live=chart(
            chart_association(own, words=words),
            title=f"{result.title}: person by person",
            how="Point at a dot: the same person stands out in every panel.",
        ),
    )


def _words(result: Result) -> dict[str, str]:
    words = {}
    rows = result.estimates
    for row in rows[rows["declared"] & (rows["kind"] == "correlation")].to_dict("records"):
        r, low, high = (_r(row[name]) for name in ("estimate", "ci_low", "ci_high"))
        interval = f" [{low}, {high}]" if row["ci_low"] == row["ci_low"] else ""
        name = _coefficient(str(row["unit"]))
        words[str(row["term"])] = f"{name} = {r}{interval}, p {format_p(row['p'], sign=True)}"
    return words


def _coefficient(unit: str) -> str:
    """Write a coefficient's sign: ``Spearman's rho`` -> ``ρ``, ``partial Pearson's r`` -> ``partial r``."""
    return unit.replace("Pearson's ", "").replace("Spearman's rho", "ρ") or "r"


def _r(value: object) -> str:
    """Print a correlation as papers do, to two decimals."""
    return f"{as_float(value):.2f}".replace("-", MINUS)
