"""The section on exposure: concentrations, measures with their model, and what goes with them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from connectrial.figures.charts import chart_concentration
from connectrial.figures.exposure import plot_concentration
from connectrial.figures.numbers import as_float, format_number
from connectrial.report.association_panel import association_panel
from connectrial.report.blocks import (
    Block,
    Section,
    analysis_blocks,
    figure_block,
    heading_block,
    notes_of,
    table_block,
)
from connectrial.report.cells import Cell, Table, plain_table
from connectrial.report.live import chart
from connectrial.report.panel import Panel
from connectrial.report.source import factors, table, with_factors
from connectrial.report.time_axis import time_axis_panel, visit_hours
from connectrial.results import Result, Results

_DOSES = ("start_h", "duration_h", "amount_mg_kg")
_LEAST = 0.001
_ENDS_SHOWN = 1.05  # marks beyond so much of the curve's length are left out


def exposure_section(results: Results) -> Section | None:
    """Show what people got: concentrations over time, measures of exposure, correlations."""
    own = [one for one in results.analyses if one.what in ("exposure", "exposure response")]
    if not own:
        return None
    blocks: list[Block] = [
        *figure_block(concentration_panel(results)),
        *figure_block(time_axis_panel(results)),
    ]
    for result in own:
        by_arm = _arm_blocks(results, result) if result.what == "exposure" else []
        blocks += by_arm or analysis_blocks(
            results, result, panel=association_panel(results, result)
        )
    people = table(results, "exposure")
    if people is not None:
        shown = plain_table(people, caption="Exposure of each person", sortable=True)
        inner = (table_block(shown, data=people, name="exposure"),)
        blocks.append(Block(kind="details", title="Exposure of each person", blocks=inner))
    return Section(
        key="exposure",
        title="Exposure",
        intro="What a model makes of the doses is no measurement: it rests on the assumptions below. "
        "A correlation with exposure that was not randomised is an association.",
        blocks=tuple(blocks),
    )


def _arm_blocks(results: Results, result: Result) -> list[Block]:
    """Lay means of each dose side by side; nothing where all got the same."""
    rows = result.estimates
    arms = [
        arm
        for arm in factors(results).get("arm", [])
        if rows["term"].astype(str).str.endswith(f", {arm}").any()
    ]
    if len(arms) < 2:
        return []
    body = []
    measures = [str(term).rpartition(", ")[0] for term in rows["term"]]
    for measure in dict.fromkeys(measures):
        own = rows[[one == measure for one in measures]]
        by_arm = {str(row["term"]).rpartition(", ")[2]: row for row in own.to_dict("records")}
        first = Cell(text=measure.replace("_", " "), sub=(str(own["unit"].iloc[0]),))
        body.append(("", (first, *(_mean_cell(by_arm.get(arm)) for arm in arms))))
    shown = Table(
        heads=(("mean over people", ""), *((arm, "num") for arm in arms)),
        rows=tuple(body),
        caption="Exposure by arm",
    )
    blocks = [
        *heading_block(result),
        table_block(shown, data=rows, name=result.name),
    ]
    notes = notes_of(result)
    return [*blocks, Block(kind="notes", text=notes)] if notes else blocks


def _mean_cell(row: Mapping[Hashable, Any] | None) -> Cell:
    if row is None:
        return Cell(text="–", css="num")
    estimate = as_float(row["estimate"])
    # A model goes on where no assay could: what it says there is no number to print.
    text = "< 0.001" if 0 < estimate < _LEAST else format_number(estimate)
    return Cell(text=text, sub=tuple(str(row["flags"]).split("; ")), sort=estimate, css="num")


def concentration_panel(results: Results) -> Panel | None:
    """Draw everybody's modelled concentrations, their median, the doses, and measured ones."""
    curves = table(results, "concentrations")
    if curves is None:
        return None
    doses = _common_doses(results)
    levels = [] if len(doses) else _dose_levels(results, curves)
    if levels:
        arm = with_factors(results, curves)["arm"].astype(str)
        every = factors(results)["arm"]  # those without a dose too: an arm has one colour on a page
        curves = curves.assign(level=pd.Categorical(arm, categories=every, ordered=True))
    keys = ["level", "time_h"] if levels else ["time_h"]
    median = curves.groupby(keys, as_index=False, observed=True)[
        ["ketamine_ng_ml", "norketamine_ng_ml"]
    ].median()
    curves = curves.sort_values("level", kind="stable") if levels else curves
    n_people = int(curves["subject"].nunique())
    last = float(median["time_h"].max())
    top = float(median["ketamine_ng_ml"].max())
    measured = _measured(results, last)
    scans_h = {name: h for name, h in visit_hours(results).items() if 0 <= h <= _ENDS_SHOWN * last}
    figure = plot_concentration(median, doses, people=curves, measured=measured, scans_h=scans_h)
    points = "" if measured is None else " Points are measured, enantiomers added up."
    return Panel(
        name="concentrations",
        title="Concentrations over time, by the model",
        how=f"Thin lines are the {n_people} dosed people, thick ones the median"
        f"{' of each arm' if levels else ''}; dotted lines are visits."
        f"{' Bars are doses.' if len(doses) else ''}{points}",
        alt=f"Modelled concentrations of {n_people} people over {last:.0f} hours; the "
        f"{'highest ' if levels else ''}median of ketamine reaches {top:.0f} ng/ml.",
        figure=figure,
        data=curves,
        methods=next((o.methods for o in results.analyses if o.what == "exposure"), "")
        or "Concentrations of the compartment model that the study file names.",
        live=chart(
            chart_concentration(curves, measured=measured, doses=doses, scans_h=scans_h),
            title="Concentrations over time, by the model",
            how="Point at a line for the person and the concentration of ketamine. Norketamine stands "
            "in the static figure.",
        ),
    )


def _dose_levels(results: Results, curves: pd.DataFrame) -> list[str]:
    """Return the arms that got doses, where they are what tells doses apart."""
    arms = factors(results).get("arm", [])
    known = with_factors(results, curves)
    if len(arms) < 2 or "arm" not in known:
        return []
    dosed = set(known["arm"].astype(str))
    return [arm for arm in arms if arm in dosed]


def _common_doses(results: Results) -> pd.DataFrame:
    """Return the doses where all dosed people got the same, else none."""
    doses = table(results, "doses")
    if doses is None:
        return pd.DataFrame(columns=list(_DOSES))
    plans = [
        own[list(_DOSES)].reset_index(drop=True) for _, own in doses.groupby("subject", sort=False)
    ]
    same = all(plan.equals(plans[0]) for plan in plans[1:])
    return plans[0] if same else plans[0].iloc[:0]


def _measured(results: Results, last: float) -> pd.DataFrame | None:
    samples = table(results, "samples")
    if samples is None:
        return None
    shown = samples.loc[samples["time_h"].between(0, _ENDS_SHOWN * last)]
    return shown if len(shown) else None
