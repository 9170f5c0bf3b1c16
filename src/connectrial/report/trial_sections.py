"""Sections on the answer and on the trial: people, clinical course, scan quality."""

from __future__ import annotations

import pandas as pd

from connectrial.report import clinical_panels, endpoint_panels, trial_panels, trial_tables
from connectrial.report.association_panel import association_panel
from connectrial.report.blocks import (
    Block,
    Section,
    analysis_blocks,
    coding_note,
    figure_block,
    notes_of,
    table_block,
)
from connectrial.report.cells import plain_table
from connectrial.report.scan_links import people_links
from connectrial.report.source import networks_of, number_of_scans, table
from connectrial.report.verdict import verdict_sentences, verdict_summary, verdict_table
from connectrial.report.volume_panel import volumes_panel
from connectrial.results import Results

_LISTED = 12  # weak parcels of a scan that are named; the download names them all


def answer_section(results: Results) -> Section | None:
    """Show each primary test with its verdict, negative controls beside."""
    verdicts = verdict_table(results)
    if verdicts is None:
        return None
    sentences = tuple(verdict_sentences(results))
    rows = results.estimates
    rows = rows[rows["role"].isin(["primary", "negative control"])]
    return Section(
        key="answer",
        title="The answer",
        intro=verdict_summary(results),
        blocks=(
            table_block(verdicts, data=rows, name="primary"),
            *_cautions(results),
            Block(
                kind="details",
                title="The same as sentences, for a results section",
                blocks=(Block(kind="copy", title="Results", text=sentences),),
            ),
        ),
    )


def _cautions(results: Results) -> list[Block]:
    """Gather what a reader must know of these tests: coding, response, singular fits."""
    named = [r for r in results.analyses if r.role in ("primary", "negative control")]
    holders: dict[str, list[str]] = {}
    for result in named:
        for note in dict.fromkeys((*coding_note(result), *notes_of(result))):
            if "left out" not in note:
                holders.setdefault(note, []).append(result.name)
    lines = tuple(
        note if len(names) == len(named) else f"{', '.join(names)}: {note}"
        for note, names in holders.items()
    )
    lines += _motion_behind(results, [result.name for result in named])
    return [Block(kind="notes", title="Read with", text=lines)] if lines else []


def _motion_behind(results: Results, named: list[str]) -> tuple[str, ...]:
    """Say of which of these systems the change goes with a change of motion."""
    rows = results.estimates
    moved = rows[rows["flags"].astype(str).str.contains("motion may be behind", regex=False)]
    systems = [name for name in named if name in set(moved["outcome"].astype(str))]
    if not systems:
        return ()
    r = moved.loc[moved["outcome"].isin(systems), "estimate"].abs()
    size = f"{r.min():.2f}" if len(r) == 1 else f"{r.min():.2f} to {r.max():.2f}"
    return (
        f"{', '.join(systems)}: people whose motion changed differ in their change of FC too (|r| {size}, "
        "p < .05 each, not adjusted; see the quality of the scans)",
    )


def people_section(results: Results) -> Section | None:
    """Show who was there, who left and why, and what each scan lacks."""
    blocks = [
        *figure_block(trial_panels.flow_panel(results)),
        *trial_tables.people_tables(results),
        *figure_block(trial_panels.availability_panel(results)),
        *people_links(results),
        *_left_out(results),
        *_weak(results),
    ]
    return Section(
        key="people",
        title="People and scans",
        intro="Nobody is dropped in silence: whoever is missing here is missing with a reason.",
        blocks=tuple(blocks),
    )


def _left_out(results: Results) -> list[Block]:
    blocks = []
    heads = {"subject": "person", "session": "session", "run": "run", "visit": "visit"}
    heads |= {"kept_minutes": "kept minutes", "mean_fd_mm": "mean FD (mm)", "reason": "reason"}
    for name, words in (("subjects", "people"), ("scans", "scans")):
        listed = table(results, name)
        if listed is None or not {"included", "reason"} <= set(listed.columns):
            continue
        out = listed[~listed["included"].astype(bool)]
        if "run" in listed.columns and listed["run"].notna().any():
            words = "runs"
        if out.empty:
            continue
        shown = plain_table(
            out.dropna(axis=1, how="all"), caption=f"{words} left out", heads=heads, sortable=True
        )
        blocks.append(
            Block(
                kind="details",
                title=f"{len(out)} of {len(listed)} {words} left out, each with its reason",
                blocks=(table_block(shown, data=out, name=f"{name} left out"),),
                printed=True,
            )
        )
    return [*blocks, *_without_scan(results)]


def _without_scan(results: Results) -> list[Block]:
    """List for each visit who has no usable scan there, analysed or not, and why."""
    listed = table(results, "availability")
    if listed is None:
        return []
    scans = listed[listed["what"] == "scan"]
    blocks = []
    for visit, here in scans.groupby(scans["visit"].astype(str), sort=False):
        out = here[here["state"].isin(["missing", "excluded"])]
        if out.empty:
            continue
        why = [
            f"{count}: {reason}" for reason, count in out["reason"].value_counts(sort=False).items()
        ]
        title = (
            f"{len(out)} of {len(here)} people {'has' if len(out) == 1 else 'have'} no usable scan at "
            f"{visit} ({'; '.join(why)})"
        )
        shown = plain_table(
            out[["subject", "state", "reason"]],
            caption=f"no usable scan at {visit}",
            heads={"subject": "person", "state": "scan", "reason": "reason"},
            sortable=True,
        )
        inner = (table_block(shown, data=out, name=f"no scan at {visit}"),)
        blocks.append(Block(kind="details", title=title, blocks=inner, printed=True))
    return blocks


def _weak(results: Results) -> list[Block]:
    weak = table(results, "weak_parcels")
    if weak is None:
        return []
    n_scans = number_of_scans(results)
    once = weak.drop_duplicates(["subject", "session", "parcel"])
    by_parcel = once.groupby("parcel", sort=False).size().sort_values(ascending=False)
    parcels = pd.DataFrame(
        {"parcel": by_parcel.index.astype(str), "scans": by_parcel.to_numpy(dtype=int)}
    )
    networks = networks_of(results, list(parcels["parcel"]))
    if networks:
        parcels.insert(1, "network", parcels["parcel"].map(networks))
    parcels["weak in"] = [f"{n} of {n_scans} scans" if n_scans else f"{n} scans" for n in by_parcel]
    by_scan = once.groupby(["subject", "session"], sort=False, dropna=False)["parcel"]
    scans = pd.concat([by_scan.size(), by_scan.agg(_joined)], axis=1).reset_index()
    scans.columns = pd.Index(["person", "session", "weak parcels", "which"])
    scans = scans.sort_values("weak parcels", ascending=False, kind="stable")
    action = (results.study.get("coverage") or {}).get("action", "flag")
    what = "left out of every mean" if action == "exclude" else "kept, and shown here"
    return [
        Block(
            kind="details",
            title=f"{len(by_parcel)} parcels are weak in at least one of "
            f"{n_scans or len(scans)} scans ({what})",
            blocks=(
                Block(
                    kind="text",
                    text=(
                        "A parcel is weak where its coverage or signal lies far below that of the "
                        "scan's other parcels, as at the edge of the field of view.",
                    ),
                ),
                table_block(
                    plain_table(parcels, caption="Weak parcels, by parcel", sortable=True),
                    data=weak,
                    name="weak parcels",
                ),
                table_block(plain_table(scans, caption="Weak parcels, by scan", sortable=True)),
            ),
        )
    ]


def _joined(names: pd.Series) -> str:
    shown = list(names.astype(str))
    more = len(shown) - _LISTED
    return ", ".join(shown[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def clinical_section(results: Results) -> Section | None:
    """Show scores over visits, response and remission, and their models."""
    courses = tuple(clinical_panels.course_panels(results))
    blocks = [Block(kind="grid" if len(courses) > 1 else "figure", panels=courses)]
    blocks = blocks if courses else []
    blocks += figure_block(clinical_panels.waterfall_panel(results))
    blocks += figure_block(clinical_panels.rates_panel(results))
    blocks += endpoint_panels.endpoint_table(results)
    shown = ("score", "response", "arms", "correlation", "time to event", "volumes")
    done = [one for one in results.analyses if one.what in shown]
    done = [one for one in done if len(one.estimates) or one.notes]
    endpoints = [one for one in done if one.what == "response"]
    for result in done:
        if result.what != "response":
            drawn = _PANELS.get(result.what)
            panel = None if drawn is None else drawn(results, result)
            blocks += analysis_blocks(results, result, panel=panel)
    if endpoints:
        inner = [block for one in endpoints for block in analysis_blocks(results, one)]
        title = "Each endpoint with its tests, sentences and notes"
        blocks.append(Block(kind="details", title=title, blocks=tuple(inner)))
    blocks += trial_tables.outcome_tables(results)
    return Section(key="clinical", title="Clinical course", blocks=tuple(blocks))


#: Clinical analyses that have a figure of their own.
_PANELS = {"correlation": association_panel, "volumes": volumes_panel}


def safety_section(results: Results) -> Section | None:
    """Show side effects, courses of safety scales and vital signs."""
    blocks = trial_tables.safety_tables(results)
    for result in results.analyses:
        if result.what == "safety":
            blocks += analysis_blocks(results, result)
    return Section(
        key="safety",
        title="Safety",
        intro="Counts are of people, each once; nothing here is adjusted for the number of looks.",
        blocks=tuple(blocks),
    )
