"""One figure per hypothesis: every person, the means of its model, and the change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from connectrial.figures.hypothesis import plot_groups, plot_hypothesis
from connectrial.figures.palette import level_colours
from connectrial.report.panel import Panel
from connectrial.report.source import factor_of, factors, unit_of, values_of, visits, visits_of
from connectrial.results import Result, Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def hypothesis_panel(results: Results, result: Result) -> Panel | None:
    """Draw one hypothesis: people, model means and change, split by the analysis' factor."""
    values = values_of(results, result.outcome)
    values = _of_set(values, result)
    means = result.means if result.means is not None and len(result.means) else None
    taken = visits_of(results, result.name)
    if means is not None:
        taken = taken or set(means["visit"].astype(str))
    if taken:
        values = values[values["visit"].isin(taken)]
    values = values.dropna(subset=["value"])
    if values.empty:
        return None
    factor, levels = _split_by(results, result, values)
    own = factor is None or factor == factor_of(results, result)[0]
    means = (
        means if own else None
    )  # those of a model that does not split people so say nothing here
    order = list(dict.fromkeys([*visits(results), *values["visit"].unique()]))
    present = [visit for visit in order if (values["visit"] == visit).any()]
    changes = _changes(result, levels, visits=present) if own else None
    unit = unit_of(result)
    at_one = factor is not None and len(present) == 1
    figure = (
        _at_one_visit(values, means, factor=str(factor), levels=levels, unit=unit)
        if at_one
        else plot_hypothesis(
            values, means, visits=present, levels=levels, by=factor, changes=changes, unit=unit
        )
    )
    how = _how_to_read(means, at_one=at_one, several=len(present) > 1)
    n_people = values["subject"].nunique()
    columns = ["subject", "visit", factor, "value"]
    return Panel(
        name=f"hypothesis {result.name}",
        title=_title(means, at_one=len(present) == 1),
        how=how,
        alt=f"{result.title}: connectivity of {n_people} people over visits"
        + (f" by {factor}" if factor else "")
        + ", with means and changes; the tests stand in the table below.",
        figure=figure,
        data=values[[c for c in columns if c in values.columns]],
        methods=result.methods or "Network FC of each person at each visit; no model.",
    )


def _split_by(
    results: Results, result: Result, values: pd.DataFrame
) -> tuple[str | None, list[str]]:
    """Return the factor that a hypothesis' figure is split by, and its levels: what was given first."""
    factor, levels = factor_of(results, result)
    given = factors(results).get("treatment", [])
    if factor in (None, "period", "sequence") and given and "treatment" in values.columns:
        known = set(values["treatment"].dropna().astype(str))
        factor, levels = "treatment", [level for level in given if level in known]
    return (factor, levels) if factor in values.columns else (None, [])


def _at_one_visit(
    values: pd.DataFrame,
    means: pd.DataFrame | None,
    *,
    factor: str,
    levels: list[str],
    unit: str,
) -> Figure:
    """Draw the levels of a factor side by side, people who were seen under several joined."""
    colours = level_colours(levels)
    return plot_groups(
        values.assign(column=values[factor].astype(str)),
        None if means is None else means.assign(column=means["by"].astype(str)),
        columns=levels,
        colours=[colours[level] for level in levels],
        unit=unit,
    )


def _title(means: pd.DataFrame | None, *, at_one: bool) -> str:
    shown = ["every person", *(["the means"] if means is not None else [])]
    shown += [] if at_one else ["the change"]
    words = ", ".join(shown[:-1]) + ("," if len(shown) > 2 else "") + f" and {shown[-1]}"
    return (words if len(shown) > 1 else shown[0]).capitalize()


def _how_to_read(means: pd.DataFrame | None, *, at_one: bool, several: bool) -> str:
    source = "model" if means is not None and (means["source"] == "model").any() else "observed"
    if at_one:
        middle = f"{source} means with intervals" if means is not None else "medians"
        return f"Dots are people, grey lines join one person's; beside them {middle}."
    how = "Thin lines are people; open marks were scanned at one visit only."
    if means is not None:
        how += f" Thick lines are {source} means with intervals."
    if not several:
        return how
    bar = ", and the change of the means as a bar" if means is not None else ""
    return f"{how} On the right: each person's change{bar}."


def _of_set(values: pd.DataFrame, result: Result) -> pd.DataFrame:
    """Keep the group that an analysis is about, where its set names one."""
    sets = {str(name) for name in result.estimates["analysis_set"].unique()}
    if len(sets) == 1 and "group" in values.columns:
        name = sets.pop().removeprefix("group ")
        if (values["group"].astype(str) == name).any():
            return values[values["group"].astype(str) == name]
    return values


def _changes(result: Result, levels: list[str], *, visits: list[str]) -> pd.DataFrame | None:
    """Find the estimated change from first to last visit, per level, among the contrasts."""
    rows = result.estimates
    rows = rows[rows["declared"] & (rows["kind"] == "contrast")]
    change = f"{visits[-1]} - {visits[0]}"
    found = []
    for level in levels or [""]:
        wanted = f"{change}, {level}" if level else change
        terms = rows["term"].astype(str)
        # A model without an interaction lets all levels change alike, and says so once.
        named = rows[terms == wanted] if (terms == wanted).any() else rows[terms == change]
        if len(named):
            one = named.iloc[0]
            found.append({"level": level, **one[["estimate", "ci_low", "ci_high"]].to_dict()})
    return pd.DataFrame(found) if found else None
