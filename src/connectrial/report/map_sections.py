"""The section on maps: slices of volumes, counts, and clusters or peaks."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Grayordinates
from connectrial.figures.brains import HEMISPHERES, on_cortex, plot_glass_maps, plot_surface_maps
from connectrial.figures.maps import MapRow, plot_map_slices
from connectrial.figures.numbers import format_count, term_words
from connectrial.report.blocks import (
    Block,
    Section,
    live_block,
    model_blocks,
    notes_of,
    table_block,
)
from connectrial.report.cells import plain_table
from connectrial.report.live_slices import slices_live
from connectrial.report.live_surface import packed_cortex, surface_live
from connectrial.report.panel import Panel
from connectrial.report.profile_blocks import profile_blocks
from connectrial.report.source import places, visits
from connectrial.results import GroupMap, Result, Results

_LISTED = 20
_FSAVERAGE5 = 10_242  # points of each hemisphere
_MEAN = re.compile(r"visit-(.+)_stat-mean")
_CHANGE = re.compile(r"visit-(.+)_from-(.+)_stat-difference")


def maps_section(results: Results) -> Section | None:
    """Show every map by visit, its change, and its test where there is one."""
    blocks: list[Block] = []
    for result in results.analyses:
        drawn = results.maps.get(result.name)
        if result.what == "profile":
            blocks += profile_blocks(results, result)
        if result.what != "map":
            continue
        blocks.append(Block(kind="heading", title=result.title, name=result.role))
        if drawn is not None:
            held = any(block.live is not None and block.live.kind == "surface" for block in blocks)
            blocks += _drawn(results, result, drawn, first=not held)
        if result.notes:
            blocks.append(Block(kind="notes", text=notes_of(result)))
        blocks += [
            Block(kind="details", title="The model", blocks=(model,))
            for model in model_blocks(result)
        ]
    return Section(
        key="maps",
        title=_title(results),
        intro="Not planned as tests of a hypothesis: maps describe where, and whatever stands out "
        "is an idea for the next study."
        + (" The images are in the folder group/maps beside this page." if results.maps else ""),
        blocks=tuple(blocks),
    )


def _title(results: Results) -> str:
    if any(result.what == "profile" for result in results.analyses):
        return "Maps over parcels"
    on_voxels = all(one.rows is None for one in results.maps.values())
    return "Maps over voxels" if on_voxels else "Maps over grayordinates"


def _drawn(results: Results, result: Result, drawn: GroupMap, *, first: bool) -> list[Block]:
    blocks: list[Block] = []
    blocks += _on_surface(results, result, drawn, first=first)
    if drawn.rows is None and drawn.affine is not None:
        shown = map_rows(results, result, drawn)
        blocks += live_block(slices_live(result.title, shown, drawn.affine))
    blocks += [Block(kind="figure", panels=(panel,)) for panel in _panels(results, result, drawn)]
    if drawn.rows is not None:
        blocks.append(_by_structure(results, result, drawn))
    if drawn.rows is not None and not on_fsaverage5(drawn.rows):
        files = ".shape.gii" if drawn.is_pair else ".dscalar.nii"
        note = (
            f"The maps lie on grayordinates and are not drawn here: the one surface that comes with this "
            f"software is fsaverage5 (10,242 points a side), and theirs is "
            f"another; wb_view and other viewers show the {files} files in group/maps on a mesh."
        )
        blocks.append(Block(kind="text", text=(note,)))
    counts = result.estimates[result.estimates["role"] == "exploratory"]
    if len(counts):
        lines = [
            f"{term_words(str(row.term))}: {format_count(float(str(row.estimate)))}"
            for row in counts.itertuples()
        ]
        blocks.append(Block(kind="text", text=("; ".join(lines) + ".",)))
    if len(drawn.clusters):
        largest = drawn.clusters.head(_LISTED)
        what = "clusters" if drawn.rows is None else "structures with grayordinates that pass"
        caption = f"The {len(largest)} largest of {len(drawn.clusters)} {what}"
        blocks.append(
            table_block(
                plain_table(largest, caption=caption),
                data=drawn.clusters,
                name=f"clusters {result.name}",
            )
        )
    return blocks


def _on_surface(results: Results, result: Result, drawn: GroupMap, *, first: bool) -> list[Block]:
    """Draw maps on the cortex: in a viewer that turns, and as a figure."""
    rows = map_rows(results, result, drawn)
    on_grid = drawn.rows is None and drawn.affine is not None
    if not rows or not (on_grid or (drawn.rows is not None and on_fsaverage5(drawn.rows))):
        return []
    maps = {row.title: (row.scale, _sides(row.values, drawn)) for row in rows}
    if not any(np.isfinite(sides[side]).any() for _, sides in maps.values() for side in sides):
        return []
    live = surface_live(result.title, maps, meshes=packed_cortex() if first else None)
    words = "; ".join(maps)
    how = "Rows of one scale share their colours; grey is cortex without a value. "
    if on_grid and drawn.affine is not None:
        figure = plot_glass_maps(rows, drawn.affine)
        title = f"{result.title}: glass brain"
        how += "Seen from the left, behind, the right and above, the largest value along each line of sight."
    else:
        figure = plot_surface_maps(maps)
        title = f"{result.title}: on the inflated cortex"
        how += "Each hemisphere from outside and from inside."
    return [
        *live_block(live),
        Block(
            kind="figure",
            panels=(
                Panel(
                    name=f"brain {result.name}",
                    title=title,
                    how=how,
                    alt=f"Maps on the brain: {words}.",
                    figure=figure,
                    data=_summary(rows),
                    methods=result.methods or "Maps of the group, without a model.",
                    min_width_px=620,
                ),
            ),
        ),
    ]


def on_fsaverage5(rows: Grayordinates) -> bool:
    """Tell whether the cortex of these grayordinates is fsaverage5's, by its number of points."""
    sides = [rows.n_vertices.get(name) for name in ("CORTEX_LEFT", "CORTEX_RIGHT")]
    return sides == [_FSAVERAGE5, _FSAVERAGE5]


def _sides(values: NDArray[np.float32], drawn: GroupMap) -> dict[str, NDArray[np.float32]]:
    """Return a map's values by hemisphere: sampled from a volume, or put where they belong."""
    if drawn.rows is None:
        assert drawn.affine is not None  # noqa: S101 - the caller has looked
        return on_cortex(values, drawn.affine)
    found = {}
    for side in HEMISPHERES:
        name = f"CORTEX_{side.upper()}"
        here = drawn.rows.structure == list(drawn.rows.structures).index(name)
        laid = np.full(_FSAVERAGE5, np.nan, dtype=np.float32)
        laid[drawn.rows.vertex[here]] = values[here]
        found[side] = laid
    return found


def _by_structure(results: Results, result: Result, drawn: GroupMap) -> Block:
    """List mean maps and changes by structure: how many grayordinates, their mean and range."""
    rows = drawn.rows
    assert rows is not None  # noqa: S101 - the caller has looked
    known = _places(results)
    lines = []
    for key, values in drawn.images.items():
        mean, change = _MEAN.fullmatch(key), _CHANGE.fullmatch(key)
        if not (mean or change):
            continue
        if change:
            later, first = (known.get(name, name) for name in change.groups())
            title = _difference(results, later, first)
        else:
            title = f"mean at {known.get(mean[1], mean[1])}" if mean else ""
        for number, structure in enumerate(rows.structures):
            here = values[(rows.structure == number) & np.isfinite(values)].astype(np.float64)
            lines.append(
                {
                    "map": title,
                    "structure": structure,
                    "grayordinates": len(here),
                    f"mean {_unit(result)}": here.mean() if len(here) else np.nan,
                    "lowest": here.min() if len(here) else np.nan,
                    "highest": here.max() if len(here) else np.nan,
                }
            )
    table = pd.DataFrame(lines)
    caption = f"{_unit(result)} by structure"
    return table_block(
        plain_table(table, caption=caption), data=table, name=f"structures {result.name}"
    )


def _panels(results: Results, result: Result, drawn: GroupMap) -> list[Panel]:
    """Draw mean maps, changes and tests on one figure."""
    if drawn.rows is not None or drawn.affine is None:
        return []
    rows = map_rows(results, result, drawn)
    if not rows:
        return []
    outlined = (
        " Outlines hold the voxels that pass." if any(r.passing is not None for r in rows) else ""
    )
    return [
        Panel(
            name=f"map {result.name}",
            title=f"{result.title}: axial slices",
            how="Slices from below to above, left of the brain on the left; mean maps share a "
            f"colour scale. Grey: brain without a value in that map.{outlined}",
            alt=f"Axial slices of {len(rows)} maps: {'; '.join(row.title for row in rows)}.",
            figure=plot_map_slices(rows, drawn.affine),
            methods=result.methods,
            data=_summary(rows),
            min_width_px=620,
        )
    ]


def map_rows(results: Results, result: Result, drawn: GroupMap) -> list[MapRow]:
    """Name the maps that are shown: means, changes, then each test with the voxels that pass."""
    known = _places(results)
    rows = []
    for key, values in drawn.images.items():
        mean, change = _MEAN.fullmatch(key), _CHANGE.fullmatch(key)
        if mean:
            title = f"mean at {known.get(mean[1], mean[1])}"
            rows.append(MapRow(title=title, values=values, scale=_unit(result)))
        elif change:
            later, first = (known.get(name, name) for name in change.groups())
            title = _difference(results, later, first)
            rows.append(MapRow(title=title, values=values, scale=f"change of {_unit(result)}"))
    tested = [key for key in drawn.images if key.endswith("_stat-t")]
    for key in tested:
        adjusted = drawn.images.get(key.removesuffix("t") + "padj")
        judged = drawn.images[key.removesuffix("t") + "p"] if adjusted is None else adjusted
        section = (results.study.get("maps") or {}).get(result.name) or {}
        passing = np.nan_to_num(judged, nan=1.0) < float(section.get("alpha", 0.05))
        term = key.removeprefix("term-").removesuffix("_stat-t")
        terms = [str(one) for one in dict.fromkeys(drawn.clusters.get("term", ()))]
        named = next((one for one in terms if _bare(one) == term), term)
        title = f"t of {term_words(named)}"
        rows.append(MapRow(title=title, values=drawn.images[key], scale="t", passing=passing))
    return [row for row in rows if np.isfinite(row.values).any()]


def _summary(rows: list[MapRow]) -> pd.DataFrame:
    """Say in numbers what each row of slices shows; the maps themselves are files of their own."""
    listed = []
    for row in rows:
        known = row.values[np.isfinite(row.values)]
        listed.append(
            {
                "map": row.title,
                "unit": row.scale,
                "n_voxels": len(known),
                "minimum": float(known.min()),
                "median": float(np.median(known)),
                "maximum": float(known.max()),
            }
        )
    return pd.DataFrame(listed)


def _places(results: Results) -> dict[str, str]:
    """Return the visits (in a crossover, under each treatment) by their names in files."""
    return {_bare(name): name for name in (*visits(results), *places(results))}


def _difference(results: Results, later: str, first: str) -> str:
    """Say in words what a map of differences shows."""
    if "places" in results.plan:
        return f"mean difference, {later} - {first}"
    return f"mean change, {first} to {later}"


def _unit(result: Result) -> str:
    if "(REACT of " in result.title:
        return "signal per SD of the receptor's course"
    return "mean r" if "mean r" in result.title else "Fisher z"


def _bare(name: str) -> str:
    return "".join(letter for letter in name if letter.isalnum())
