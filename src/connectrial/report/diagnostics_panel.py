"""Residuals and the weight of single people, for the models of the primary outcomes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.figures.diagnostics import plot_diagnostics
from connectrial.figures.numbers import format_p, term_words
from connectrial.report.panel import Panel
from connectrial.report.source import table
from connectrial.results import Result, Results

_HOW = (
    "Left: points should lie around the line in a band of one width. Middle: points on the line are "
    "what normal errors give (residuals made independent within people). Right: how far each "
    "coefficient moves when one person is left out, in its standard errors; orange dots beyond the "
    "dotted lines (2/√people) are people to look at, not to remove."
)


def diagnostics_panel(results: Results, result: Result) -> Panel | None:
    """Draw how well the model of an analysis fits; None where its residuals were not kept.

    Parameters
    ----------
    results : Results
        With the tables ``residuals`` and ``influence``.
    result : Result
        Of a primary outcome.
    """
    listed = [table(results, "residuals"), table(results, "influence")]
    own = [one[one["analysis"].astype(str) == result.name] for one in listed if one is not None]
    if len(own) < 2 or own[0].empty or own[1].empty:
        return None
    residuals, influence = own
    unit = str(result.estimates["unit"].iloc[0]) if len(result.estimates) else ""
    largest = influence.iloc[int(influence["cooks_distance"].argmax())]
    shown = _moved_most(influence)
    n_terms, n_shown = influence["term"].nunique(), shown["term"].nunique()
    rest = f" The {n_shown} of {n_terms} coefficients that moved most." if n_shown < n_terms else ""
    return Panel(
        name=f"diagnostics {result.name}",
        title=f"{result.title}: residuals and influence",
        how=f"{_HOW}{rest}",
        alt=f"{len(residuals)} residuals; {_span(result, influence)}",
        figure=plot_diagnostics(residuals, shown, unit=unit),
        parts=(
            ("residuals", residuals.set_index("analysis")),
            ("influence", influence.set_index("analysis")),
        ),
        methods="Conditional residuals against fitted values; marginal residuals standardised by the "
        "inverse Cholesky factor of each person's covariance against normal quantiles (Blom); the "
        "model fitted again without each person in turn, coefficients compared in standard errors "
        f"of the whole fit. {_span(result, influence)} The largest Cook's distance is "
        f"{float(largest['cooks_distance']):.2g} (person {largest['subject']}).",
        min_width_px=640,
    )


def _moved_most(influence: pd.DataFrame) -> pd.DataFrame:
    """Keep the coefficients that a person moves most: arms at many visits have dozens."""
    most = influence["change"].abs().groupby(influence["term"].astype(str)).max()
    kept = most.nlargest(_MOST_TERMS).index
    return influence[influence["term"].astype(str).isin(kept)]


_MOST_TERMS = 10


def _span(result: Result, influence: pd.DataFrame) -> str:
    """Say between which values the p of each declared coefficient lies without one person."""
    rows = result.estimates
    tested = rows[rows["declared"] & (rows["kind"] == "coefficient") & (rows["family"] != "")]
    said = []
    for term in tested["term"].astype(str):
        p = influence.loc[influence["term"].astype(str) == term, "p_without"].to_numpy(dtype=float)
        p = p[np.isfinite(p)]
        if p.size:
            low, high = format_p(p.min()), format_p(p.max())
            how = f"stays {low}" if low == high else f"goes from {low} to {high}"
            said.append(f"p of {term_words(term)} {how}")
    if not said:
        return "No declared test is a single coefficient."
    return f"Without any one person, {'; '.join(said)}."
