"""The panel that lays concentration, acute effects and symptoms on one axis of time."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from connectrial.figures.time_axis import plot_time_axis
from connectrial.report.panel import Panel
from connectrial.report.source import factors, table
from connectrial.results import Results

_FEWEST_VISITS = 3


def visit_hours(results: Results) -> dict[str, float]:
    """Return hours from the first dose of each visit whose time the study file states."""
    exposure = results.study.get("exposure") or {}
    own = exposure.get("visit_h") or {}
    hours = {}
    for visit in results.study.get("visit") or ():
        day = visit.get("day")
        value = own.get(visit["name"], None if day is None else 24.0 * float(day))
        if value is not None:
            hours[str(visit["name"])] = float(value)
    return hours


def time_axis_panel(results: Results) -> Panel | None:
    """Draw concentrations and the means of every scale, by arm; None where times are not known."""
    curves, means = table(results, "concentrations"), table(results, "score_means")
    if curves is None or means is None or "treatment" in means.columns:
        return None
    hours = visit_hours(results)
    outcomes, levels = _outcomes(results, means, hours)
    scales = list(dict.fromkeys(outcomes["scale"]))
    if not scales:
        return None
    typical = _typical(results, curves, levels)
    sections = results.study.get("scales") or {}
    figure = plot_time_axis(
        typical,
        outcomes,
        levels=levels,
        units={name: str((sections.get(name) or {}).get("unit") or "") for name in scales},
    )
    words = "; ".join(_course(outcomes, scale) for scale in scales)
    return Panel(
        name="time axis",
        title="Concentration and outcomes on one axis of time",
        how="Above, the median of the modelled concentrations; below, observed means with 95 % "
        "intervals. What rises and falls with the concentration is an acute effect; what comes after "
        "it has gone is not.",
        alt=f"Concentration above {', '.join(scales)}. {words}.",
        figure=figure,
        data=outcomes,
        parts=(("Concentrations", typical),),
        methods="Concentrations of the compartment model (median over dosed people); means and 95 % t "
        "intervals of everybody who has a score at the visit; no model.",
        min_width_px=640,
    )


def _outcomes(
    results: Results, means: pd.DataFrame, hours: dict[str, float]
) -> tuple[pd.DataFrame, list[str]]:
    known = factors(results).get("arm", [])
    rows = means.assign(
        visit=means["visit"].astype(str),
        level=_words(means["by"]),
        scale=means["scale"].astype(str),
    )
    by_arm = _words(rows["by_factor"]).eq("arm")
    if known and by_arm.any():
        rows = rows[by_arm & rows["level"].isin(known)]
        levels = [level for level in known if level in set(rows["level"])]
    else:
        rows, levels = rows[rows["level"] == ""], [""]
    rows = rows[rows["visit"].isin(hours)].assign(time_h=lambda t: t["visit"].map(hours))
    n_visits = rows.groupby("scale")["time_h"].nunique()
    rows = rows[rows["scale"].map(n_visits) >= _FEWEST_VISITS]
    # The scale that is seen first after the dose stands next to the concentration.
    last = rows.groupby("scale", sort=False)["time_h"].max().sort_values(kind="stable")
    rows = rows.sort_values(["scale", "time_h"], key=_by(list(last.index)), kind="stable")
    columns = ["scale", "level", "visit", "time_h", "estimate", "ci_low", "ci_high", "n"]
    return rows[[c for c in columns if c in rows.columns]].reset_index(drop=True), levels


def _words(column: pd.Series) -> pd.Series:
    """Return a column as text; missing is empty (a column without any word may be one of numbers)."""
    return column.astype("object").where(column.notna(), "").astype(str)


def _by(order: list[str]) -> Callable[[pd.Series], pd.Series]:
    """Return a key of sort_values: scales in this order, hours as they are."""
    place = {name: i for i, name in enumerate(order)}
    return lambda column: column.map(place) if column.name == "scale" else column


def _typical(results: Results, curves: pd.DataFrame, levels: list[str]) -> pd.DataFrame:
    """Return each level's median concentration at each time."""
    people = table(results, "subjects")
    level = pd.Series("", index=curves.index)
    if levels != [""] and people is not None and "arm" in people.columns:
        arm = people.assign(subject=people["subject"].astype(str)).set_index("subject")["arm"]
        level = curves["subject"].astype(str).map(arm.astype(str))
    by = curves.assign(level=level).groupby(["level", "time_h"], sort=False)
    return by[["ketamine_ng_ml"]].median().reset_index()


def _course(outcomes: pd.DataFrame, scale: str) -> str:
    own = outcomes[outcomes["scale"] == scale]
    return f"{scale}: means from {own['estimate'].min():.1f} to {own['estimate'].max():.1f}"
