"""Sections on sets of connections among random ones, and on variants of processing."""

from __future__ import annotations

from typing import Any

import pandas as pd

from connectrial.figures.numbers import format_interval, format_number, format_p, term_words
from connectrial.figures.variants import plot_random_sets, plot_variants
from connectrial.report.blocks import (
    Block,
    Section,
    analysis_blocks,
    figure_block,
    notes_of,
    table_block,
)
from connectrial.report.cells import plain_table
from connectrial.report.panel import Panel
from connectrial.report.source import declared_tests, table, tested_rows
from connectrial.results import Result, Results

#: What the study's own processing is called beside its variants.
AS_DECLARED = "as declared"


def random_sets_section(results: Results) -> Section | None:
    """Show each set of connections among random sets that are matched to it."""
    blocks: list[Block] = []
    for result in results.analyses:
        if result.what == "edge set":
            blocks += analysis_blocks(results, result, panel=_random_panel(results, result))
    return Section(
        key="random-sets",
        title="Sets of connections among random ones",
        intro="Is the set unusual among sets of connections like it? The reference is other connections "
        "of these people, not other people: the hypotheses above ask about people.",
        blocks=tuple(blocks),
    )


def _random_panel(results: Results, result: Result) -> Panel | None:
    null = table(results, "random_sets")
    tests = result.estimates[result.estimates["kind"] == "difference"]
    if null is None or tests.empty:
        return None
    own = null.loc[null["analysis"] == result.name, ["difference"]]
    row = tests.iloc[0]
    return Panel(
        name=f"random sets {result.name}",
        title="The set among random sets",
        how="Grey: mean effect of matched random sets minus that of the others of their strata; the line "
        "is the set that was named in advance.",
        alt=f"{result.title}: the set differs from its matched others by {format_number(row['estimate'])} "
        f"{row['unit']}, p {format_p(row['p'])} over {len(own)} random sets.",
        figure=plot_random_sets(
            own["difference"], observed=float(row["estimate"]), unit=str(row["unit"])
        ),
        data=own,
        methods=result.methods,
    )


def variants_section(results: Results) -> Section | None:
    """Show every declared test of every hypothesis side by side in all variants of processing."""
    facts = table(results, "variants")
    if facts is None:
        return None
    rows = variant_rows(results)
    words = facts.drop(columns=["survey_hash"])
    heads = {str(name): str(name).replace("_", " ") for name in words.columns}
    shown = plain_table(words, caption="Variants", heads=heads)
    blocks = [table_block(shown, data=words, name="variants")]
    for unit, own in rows.groupby("unit", sort=False):
        blocks += figure_block(_variants_panel(own, str(unit)))
    notes = _own_notes(results)
    if notes:
        blocks.append(Block(kind="notes", text=notes))
    inner: list[Block] = []
    for result in results.analyses:
        if result.what == "variant":
            inner += analysis_blocks(results, result)
    blocks.append(Block(kind="details", title="Every variant in full", blocks=tuple(inner)))
    return Section(
        key="variants",
        title="Variants of processing, side by side",
        label="sensitivity",
        intro="The same scans processed in other ways, the same models. The study's own processing is "
        f"called {AS_DECLARED!r}; the others were declared beside it and enter no family.",
        blocks=tuple(blocks),
    )


def _own_notes(results: Results) -> tuple[str, ...]:
    """Return what was not done, and what holds of a variant alone, each once."""
    known = {note for one in results.analyses if one.what != "variant" for note in notes_of(one)}
    own: dict[str, None] = {}
    for one in results.analyses:
        for note in notes_of(one) if one.what == "variant" else ():
            if note.startswith("not done"):
                own[f"{one.title}: {note}"] = None
            elif note not in known and not note.startswith("variant "):
                own[note] = None
    return tuple(own)


def variant_rows(results: Results) -> pd.DataFrame:
    """Return each declared test with an interval, as declared and in every variant.

    Parameters
    ----------
    results : Results
        Of a study with variants.

    Returns
    -------
    DataFrame
        ``label``, ``variant``, ``unit``, ``estimate``, ``ci_low``, ``ci_high``, ``p``,
        ``n_observations``; variants of one test follow each other.
    """
    facts = table(results, "variants")
    names = [] if facts is None else [str(name) for name in facts["variant"]]
    by_name = {result.name: result for result in results.analyses}
    found: list[dict[str, Any]] = []
    for result in results.analyses:
        if result.what != "network FC":
            continue
        family = [(AS_DECLARED, result)]
        family += [
            (name, by_name[f"{result.name} [{name}]"])
            for name in names
            if f"{result.name} [{name}]" in by_name
        ]
        rows = [(name, row) for name, one in family for row in _tests(results, one)]
        kinds = {str(row["term"]): str(row["kind"]) for _, row in rows}
        for term in kinds:
            label = f"{result.name}:\n{term_words(term, kinds[term])}"
            found += [
                {"label": label, "variant": name} | {key: row[key] for key in _KEPT}
                for name, row in rows
                if row["term"] == term
            ]
    return pd.DataFrame(found, columns=["label", "variant", *_KEPT])


_KEPT = ("unit", "estimate", "ci_low", "ci_high", "p", "n_observations")


def _tests(results: Results, result: Result) -> list[dict[str, Any]]:
    """Return the declared tests of an analysis that are one number with an interval."""
    rows = tested_rows(results, result)
    if rows.empty:
        return []
    rows = rows[rows["declared"] & rows["ci_low"].notna() & rows["kind"].ne("F test")]
    named = set(declared_tests(results, result.name))
    wanted = rows[(rows["kind"] != "contrast") | rows["term"].isin(named)]
    return [{str(k): v for k, v in row.items()} for row in wanted.to_dict("records")]


def _variants_panel(rows: pd.DataFrame, unit: str) -> Panel:
    listed = "; ".join(
        f"{' '.join(str(row['label']).split())}, {row['variant']}: {format_number(row['estimate'])} "
        f"{format_interval(row['ci_low'], row['ci_high'])}"
        for row in rows.to_dict("records")
    )
    return Panel(
        name=f"variants {unit}",
        title=f"Each test in every variant ({unit})",
        how="Dots are estimates, lines their 95 % intervals, not adjusted for the number of tests; the "
        "dashed line is no effect.",
        alt=f"Estimates by variant of processing: {listed}.",
        figure=plot_variants(rows, unit=unit),
        data=rows,
        methods="The model of each hypothesis, fitted to the network FC of every variant.",
        min_width_px=820,
    )
