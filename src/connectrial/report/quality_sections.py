"""The section on scan quality: what was measured, what differs, and every scan's picture."""

from __future__ import annotations

import re

import pandas as pd

from connectrial.figures.measures import measure_words
from connectrial.figures.numbers import as_float, format_interval, format_number, format_p
from connectrial.report import quality_panels, trial_panels
from connectrial.report.blocks import (
    Block,
    Section,
    analysis_blocks,
    figure_block,
    live_block,
    table_block,
)
from connectrial.report.cells import Cell, Table, plain_table
from connectrial.report.qc_fc_table import QC_FC, qc_fc_table
from connectrial.report.scan_links import page_links
from connectrial.report.source import table
from connectrial.results import Result, Results

_TESTS = "Quality of the scans"
_LEVEL = 0.05
_SCAN_COLUMNS = {
    "mean_fd_mm": "mean FD (mm)",
    "kept_minutes": "kept minutes",
    "remaining_df": "df left",
    "median_tsnr": "median tSNR",
    "n_weak_parcels": "weak parcels",
}


def quality_section(results: Results) -> Section | None:
    """Show how good the scans are, by visit and arm or group, and what that may do to FC."""
    panels = trial_panels.quality_panels(results)
    blocks = [*_warnings(results), *_motion_note(results), *_tests(results)]
    blocks += live_block(trial_panels.quality_chart(results))
    if panels:
        grid = Block(kind="grid", panels=tuple(panels))
        title = "Each measure by itself, with its data"
        blocks.append(Block(kind="details", title=title, blocks=(grid,), printed=True))
    regions = tuple(quality_panels.region_panels(results))
    blocks += [Block(kind="figure", panels=(panel,)) for panel in regions]
    blocks += figure_block(quality_panels.qc_fc_panel(results))
    for result in results.analyses:
        if result.role == "quality" and result.what not in ("reliability", "quality"):
            blocks += analysis_blocks(results, result)
    blocks += _analyses(results)
    blocks += [*_batches(results), *_scans(results)]
    return Section(
        key="quality",
        title="Quality of the scans",
        intro="Look here before believing a difference: motion and the amount of data must not "
        "differ between visits or groups.",
        blocks=tuple(blocks),
    )


def _warnings(results: Results) -> list[Block]:
    """Put what no analysis can mend on top."""
    lines = tuple(
        str(one)
        for one in results.plan.get("warnings") or ()
        if "completely confounded" in str(one)
    )
    return [Block(kind="notes", title="Cannot be separated", text=lines)] if lines else []


def _motion_note(results: Results) -> list[Block]:
    quality = table(results, "quality")
    if quality is None:
        return []
    known = [name for name in ("mean_fd_mm", "mean_dvars") if name in quality]
    if known and quality[known].notna().any(axis=None):
        return []
    text = (
        "Motion is not assessable: the scans came without confounds, so that neither "
        "framewise displacement nor DVARS is known. Look for it where they were processed."
    )
    return [Block(kind="notes", text=(text,))]


def _tests(results: Results) -> list[Block]:
    """Show the p value of every measure and every factor in one table, all rows behind a click."""
    found = next((one for one in results.analyses if one.name == _TESTS), None)
    if found is None:
        return []
    blocks: list[Block] = [
        Block(kind="heading", title=f"Does quality differ by {_factors(found)}?", name="quality"),
        table_block(_p_table(found), data=found.estimates, name="quality tests"),
    ]
    if found.notes:
        blocks.append(Block(kind="notes", text=found.notes))
    return blocks


def _factors(result: Result) -> str:
    """Name the factors that were tested: ``visit, arm or response``."""
    names = [one for one in dict.fromkeys(result.estimates["term"].map(_bare)) if ":" not in one]
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "visit"


def _p_table(result: Result) -> Table:
    """Lay tests out: a row per measure, a column per term, p values below .05 marked."""
    rows = result.estimates.assign(column=result.estimates["term"].map(_bare))
    columns = list(dict.fromkeys(rows["column"]))
    body = []
    for measure, own in rows.groupby("outcome", sort=False):
        by_column = own.drop_duplicates("column").set_index("column")
        known = pd.to_numeric(by_column["p"]).notna().any()
        cells = [Cell(text=measure_words(str(measure)))]
        for column in columns:
            row = by_column.loc[column] if column in by_column.index else None
            p = as_float(row["p"]) if row is not None else float("nan")
            if p == p:
                badge = "warn" if p < _LEVEL else ""
                cells.append(Cell(text=format_p(p), sort=p, css="num", badge=badge))
            else:
                cells.append(Cell(text="–", css="num"))
        why = str(own["flags"].iloc[0]).partition(":")[2].strip() if not known else ""
        cells[0] = Cell(text=cells[0].text, sub=(f"not tested: {why}",) if why else ())
        body.append(("", tuple(cells)))
    heads = [("measure", ""), *((column.replace(":", " × "), "num") for column in columns)]
    return Table(
        heads=tuple(heads),
        rows=tuple(body),
        caption="p value of each measure, not adjusted; estimates are in the download",
    )


def _bare(term: object) -> str:
    """Strip the levels from a term: ``visit[b]:arm[drug]`` -> ``visit:arm``."""
    return re.sub(r"\[[^\]]*\]", "", str(term))


def _analyses(results: Results) -> list[Block]:
    """Show the other analyses of quality as short tables."""
    blocks: list[Block] = []
    for result in results.analyses:
        if result.role != "quality" or result.what != "quality" or result.name == _TESTS:
            continue
        blocks.append(Block(kind="heading", title=result.title, name="quality"))
        told = result.notes
        if len(result.estimates):  # what could not be done has its reason in the notes alone
            shown, more = (
                qc_fc_table(result.estimates)
                if result.name == QC_FC
                else (_short_table(result), ())
            )
            blocks.append(table_block(shown, data=result.estimates, name=result.name))
            told = (*more, *told)
        if told:
            blocks.append(Block(kind="notes", text=told))
    return blocks


def _short_table(result: Result) -> Table:
    """Lay an analysis of quality out: a row is a network, a visit, a factor."""
    heads = {"what": "", "estimate": "estimate", "interval": "95 % interval", "p": "p"}
    heads |= {"people": "people", "note": "note"}
    rows = pd.DataFrame(
        [
            {
                "what": f"{row['outcome']}: {row['term']}"
                if row["outcome"] != result.outcome
                else row["term"],
                "estimate": f"{format_number(row['estimate'])} {row['unit']}",
                "interval": format_interval(row["ci_low"], row["ci_high"]),
                "p": format_p(row["p"]) if row["p"] == row["p"] else "",
                "people": row["n_subjects"],
                "note": row["flags"],
            }
            for row in result.estimates.to_dict("records")
        ]
    )
    empty = [name for name in ("interval", "p", "note") if not rows[name].astype(bool).any()]
    return plain_table(rows.drop(columns=empty), caption="Estimates", heads=heads)


def _batches(results: Results) -> list[Block]:
    listed = table(results, "batches")
    if listed is None:
        return []
    shown = listed.pivot_table(
        index=["factor", "level"], columns="batch", values="n_sessions", sort=False
    ).reset_index()
    shown.columns = pd.Index([str(column) for column in shown.columns])
    caption = "Sessions of each batch"
    return [table_block(plain_table(shown, caption=caption), data=listed, name="batches")]


def _scans(results: Results) -> list[Block]:
    """List every scan, those that moved most first, with links to its frames."""
    quality = table(results, "quality")
    if quality is None:
        return []
    pages = page_links(results)
    sessions = quality["session"].fillna("").map(str)
    keys = list(zip(quality["subject"].map(str), sessions, strict=True))
    linked = quality.assign(page=[pages.get(key, "") for key in keys])
    drawn = linked[linked["page"] != ""]
    if drawn.empty:
        return []
    columns = {name: head for name, head in _SCAN_COLUMNS.items() if drawn[name].notna().any()}
    by = "mean_fd_mm" if "mean_fd_mm" in columns else next(iter(columns), "session")
    ranked = drawn.sort_values(by, ascending=False, kind="stable")
    heads = [("person", ""), ("session", ""), ("visit", "")]
    heads += [(head, "num") for head in columns.values()] + [("frame by frame", "")]
    body = []
    for row in ranked.to_dict("records"):
        cells = [Cell(text=str(row[name])) for name in ("subject", "session", "visit")]
        cells += [
            Cell(text=format_number(row[name]), sort=as_float(row[name]), css="num")
            for name in columns
        ]
        cells.append(Cell(links=(("page", str(row["page"])),)))
        body.append(("", tuple(cells)))
    shown = Table(
        heads=tuple(heads),
        rows=tuple(body),
        caption="Scans (links lead to pictures beside this page)",
        sortable=True,
    )
    how = (
        "A carpet shows a run frame by frame: displacement and DVARS above, every parcel as a row "
        "below, ordered by network, before and after denoising. Vertical stripes under a spike of "
        "motion are artefact; after denoising they should be gone or censored (orange)."
    )
    return [
        Block(
            kind="details",
            title=f"Every scan frame by frame ({len(ranked)}), those that moved most first"
            if by == "mean_fd_mm"
            else f"Every scan frame by frame ({len(ranked)})",
            blocks=(Block(kind="text", text=(how,)), table_block(shown)),
        )
    ]
