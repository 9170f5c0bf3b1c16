"""Sections on connectivity: hypotheses, effects, controls, reliability, exploration, truth."""

from __future__ import annotations

import pandas as pd

from connectrial.figures.numbers import format_count, term_words
from connectrial.report import fc_panels, live_matrices, trial_panels
from connectrial.report.blocks import (
    Block,
    Section,
    analysis_blocks,
    figure_block,
    live_block,
    model_blocks,
    notes_of,
    table_block,
)
from connectrial.report.cells import edges_table, estimates_table, plain_table
from connectrial.report.hypothesis_panel import hypothesis_panel
from connectrial.report.network_panels import network_blocks
from connectrial.report.source import stand_ins, table
from connectrial.report.systems_panel import systems_panel
from connectrial.results import Results

_STRONGEST = 25
_IN_DOWNLOAD = 1000


def hypotheses_section(results: Results) -> Section | None:
    """Show each hypothesis with every person, its means and its tests."""
    named = [result for result in results.analyses if result.what == "network FC"]
    blocks: list[Block] = [*figure_block(systems_panel(results))] if named else []
    for result in results.analyses:
        if result.what == "network FC":
            panel = hypothesis_panel(results, result)
            blocks += analysis_blocks(results, result, panel=panel)
    used = stand_ins(results)
    intro = "One panel per system that was named in advance."
    if used:
        intro += f" Stand-ins in use, which no source states: {', '.join(used)}."
    return Section(key="hypotheses", title="Hypotheses", intro=intro, blocks=tuple(blocks))


def effects_section(results: Results) -> Section | None:
    """Show all tested effects on one scale per unit."""
    panels = fc_panels.forest_panels(results)
    return Section(
        key="effects",
        title="All effects side by side",
        intro="Hypotheses, negative controls and sensitivities, with every df method.",
        blocks=tuple(Block(kind="figure", panels=(panel,)) for panel in panels),
    )


def groups_section(results: Results) -> Section | None:
    """Show patients beside controls."""
    panels = fc_panels.groups_panels(results)
    blocks = [*figure_block(trial_panels.balance_panel(results))]
    blocks += [Block(kind="grid", panels=tuple(panels))] if panels else []
    for result in results.analyses:
        if result.what == "groups":
            blocks += analysis_blocks(results, result)
    return Section(key="groups", title="Patients and controls", blocks=tuple(blocks))


def reliability_section(results: Results) -> Section | None:
    """Show how well sessions of the same visit agree."""
    wanted = [result for result in results.analyses if result.what == "reliability"]
    if not wanted:
        return None
    rows = pd.concat([result.estimates for result in wanted], ignore_index=True)
    blocks = [*figure_block(fc_panels.retest_panel(results))]
    if len(rows):
        shown = estimates_table(rows, caption="Reliability", full=())
        blocks.append(
            Block(
                kind="details",
                title="Coefficients with intervals",
                blocks=(table_block(shown, data=rows, name="reliability"),),
                opened=len(rows) <= 12,
            )
        )
    notes = tuple(dict.fromkeys(note for result in wanted for note in result.notes))
    if notes:
        blocks.append(Block(kind="notes", text=notes))
    return Section(
        key="reliability",
        title="Test-retest reliability",
        intro="Two sessions of the same visit: how much of a difference is between people.",
        blocks=tuple(blocks),
    )


def matrices_section(results: Results) -> Section | None:
    """Show mean connectivity by visit."""
    blocks = [*live_block(live_matrices.matrices_live(results))]
    blocks += [Block(kind="figure", panels=(p,)) for p in fc_panels.matrices_panels(results)]
    return Section(
        key="matrices", title="Mean connectivity", label="descriptive", blocks=tuple(blocks)
    )


def exploratory_section(results: Results) -> Section | None:
    """Show what the exploration of all edges found, plainly labelled."""
    blocks: list[Block] = []
    for result in results.analyses:
        if result.what != "edges" or result.name not in results.edges:
            continue
        edges = results.edges[result.name]
        blocks.append(Block(kind="heading", title=term_words(result.title), name="exploratory"))
        blocks.append(Block(kind="text", text=(_edge_counts(edges),)))
        blocks += live_block(live_matrices.edge_live(results, result.name))
        blocks += figure_block(fc_panels.edge_panel(results, result.name))
        blocks += network_blocks(results, result.name)
        blocks.append(_strongest(edges, result.name))
        if result.notes:
            blocks.append(Block(kind="notes", text=notes_of(result)))
        blocks += [
            Block(kind="details", title="The model", blocks=(model,))
            for model in model_blocks(result)
        ]
    return Section(
        key="exploratory",
        title="Exploration of all edges",
        label="exploratory",
        intro="Not planned as tests of a hypothesis: whatever stands out here is an idea for the "
        "next study, not a result of this one.",
        blocks=tuple(blocks),
    )


def _edge_counts(edges: pd.DataFrame) -> str:
    p = pd.to_numeric(edges["p"])
    adjusted = pd.to_numeric(edges["p_adjusted"])
    n, failed = len(edges), int(p.isna().sum())
    text = (
        f"{format_count(n)} edges; {format_count((adjusted < 0.05).sum())} pass adjustment at .05. "
        f"Without adjustment {format_count((p < 0.05).sum())} have p < .05, where about "
        f"{format_count(round(0.05 * (n - failed)))} are expected by chance alone."
    )
    return text + (f" {format_count(failed)} edges could not be estimated." if failed else "")


def _strongest(edges: pd.DataFrame, name: str) -> Block:
    order = pd.to_numeric(edges["statistic"]).abs().sort_values(ascending=False, kind="stable")
    ranked = edges.loc[order.dropna().index]
    top = ranked.head(_STRONGEST)
    caption = (
        f"The {len(top)} strongest edges (the download holds {min(len(ranked), _IN_DOWNLOAD)}; "
        "all of them are in the folder group/edges beside this page)"
    )
    return table_block(
        edges_table(top, caption=caption), data=ranked.head(_IN_DOWNLOAD), name=f"edges {name}"
    )


def truth_section(results: Results) -> Section | None:
    """Show how well the known truth of a simulated trial was recovered."""
    truth = table(results, "truth")
    if truth is None:
        return None
    shown = plain_table(truth, caption="Truth and estimates")
    return Section(
        key="truth",
        title="Recovery of the known truth",
        label="simulated",
        intro="These data were simulated, so the right answer is known.",
        blocks=(
            *figure_block(fc_panels.truth_panel(results)),
            Block(kind="details", title="As a table", blocks=(table_block(shown),)),
        ),
    )
