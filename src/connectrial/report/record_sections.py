"""Sections for the record: diagnostics, all estimates, methods, provenance."""

from __future__ import annotations

import pandas as pd

from connectrial.report import methods
from connectrial.report.blocks import Block, Section, figure_block, notes_of, table_block
from connectrial.report.cells import estimates_table, plain_table
from connectrial.report.diagnostics_panel import diagnostics_panel
from connectrial.report.results_text import results_text
from connectrial.results import ROLES, Results


def diagnostics_section(results: Results) -> Section | None:
    """Show how well the models of primary outcomes fit, and the flags and notes of all analyses."""
    panels = [diagnostics_panel(results, one) for one in results.analyses if one.role == "primary"]
    rows = results.estimates
    flags = rows.assign(flag=rows["flags"].str.split("; ")).explode("flag")
    # A flag beside a mere description (a spread, what chance would give) warns of nothing, quality
    # has a section of its own, and who is left out is said by the notes.
    warns = ~flags["role"].isin(["sensitivity", "descriptive", "quality"]) & (
        flags["kind"] != "mean"
    )
    flags = flags[warns & (flags["flag"] != "") & ~flags["flag"].str.contains("left out|lack a r")]
    flagged = [
        (str(flag), str(name)) for flag, name in zip(flags["flag"], flags["analysis"], strict=True)
    ]
    noted = [
        (note, methods.said(result.title))
        for result in results.analyses
        for note in notes_of(result)
    ]
    blocks = [block for panel in panels for block in figure_block(panel)]
    blocks += [
        table_block(plain_table(_by_text(pairs, head=head), caption=caption))
        for pairs, head, caption in (
            (flagged, "flag", "Flags of estimates"),
            (noted, "note", "Notes on the analyses"),
        )
        if pairs
    ]
    return Section(
        key="diagnostics",
        title="Model diagnostics",
        intro=(
            "Residuals and influence for the primary outcomes; singular"
            if any(panels)
            else "Singular"
        )
        + " fits (a variance estimated as zero: on the boundary of what it can be), columns that cannot "
        "be estimated, and cautions of all analyses, in one place.",
        blocks=tuple(blocks),
    )


def _by_text(pairs: list[tuple[str, str]], *, head: str) -> pd.DataFrame:
    """List each text once, with the analyses it holds for."""
    holders: dict[str, list[str]] = {}
    for text, name in pairs:
        names = holders.setdefault(text, [])
        if name not in names:
            names.append(name)
    return pd.DataFrame([{head: text, "analyses": "; ".join(n)} for text, n in holders.items()])


def estimates_section(results: Results) -> Section | None:
    """Show every row of the results, to be sorted and filtered."""
    rows = results.estimates
    if rows.empty:
        return None
    present = [role for role in ROLES if (rows["role"] == role).any()]
    # What was asked first stands first; an analysis keeps its rows together.
    rank = rows["role"].map(list(ROLES).index).groupby(rows["analysis"]).transform("min")
    rows = rows.iloc[rank.argsort(kind="stable")]
    shown = estimates_table(rows, caption="Every estimate of this run", full=present)
    return Section(
        key="estimates",
        title="All estimates",
        intro=f"{len(rows)} rows. Declared rows count; rows by another df method stand beside "
        "them and enter no family.",
        blocks=(table_block(shown, data=rows, name="results"),),
    )


def methods_section(results: Results) -> Section | None:
    """Write methods and results for a paper, with the references they need."""
    text, keys = methods.methods_text(results)
    blocks = [Block(kind="copy", title="Methods", text=tuple(text))] if text else []
    found = results_text(results)
    blocks += [Block(kind="copy", title="Results", text=tuple(found))] if found else []
    references = methods.references(keys)
    if references:
        blocks.append(Block(kind="references", title="References", text=tuple(references)))
    blocks.append(Block(kind="copy", title="How to cite", text=(methods.how_to_cite(results),)))
    return Section(key="methods", title="Methods and results in words", blocks=tuple(blocks))


def provenance_section(results: Results) -> Section | None:
    """Say what made the page: plan, software, study file, warnings."""
    plan = results.plan
    facts = [
        ("plan hash", plan.get("hash")),
        ("survey hash", plan.get("survey_hash")),
        ("seed", plan.get("seed")),
        ("connectrial", plan.get("version")),
        ("data", "simulated" if plan.get("simulated") else "real"),
        ("clinical data", "; ".join(str(one) for one in plan.get("layouts") or ())),
        *results.software.items(),
    ]
    rows = pd.DataFrame([(k, str(v)) for k, v in facts if v not in (None, "")])
    rows = rows.drop_duplicates(0).set_axis(["what", "value"], axis=1)
    blocks = []
    warnings = tuple(str(text) for text in plan.get("warnings") or ())
    if warnings:
        blocks.append(Block(kind="notes", title="Warnings", text=warnings))
    blocks.append(table_block(plain_table(rows, caption="What made this page")))
    if results.study:
        study = Block(kind="code", title="Study file", text=(methods.study_text(results),))
        blocks.append(
            Block(
                kind="details", title="The resolved study file, defaults filled in", blocks=(study,)
            )
        )
    return Section(key="provenance", title="Provenance", blocks=tuple(blocks))
