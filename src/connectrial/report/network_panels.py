"""Edges that pass their adjustment, on the brain and on a circle of networks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.figures.connectome import draw_chords, draw_connectome
from connectrial.figures.matrices import order_by_network
from connectrial.figures.numbers import format_count
from connectrial.report.blocks import Block, figure_block, live_block
from connectrial.report.live import Live
from connectrial.report.panel import Panel
from connectrial.report.source import ends_of, networks_of, table
from connectrial.results import Results

_ALPHA = 0.05
_MOST = 400  # more lines than this hide one another
_SIGNS = "Solid warm lines are positive t, dashed blue ones negative."


def network_blocks(results: Results, name: str) -> list[Block]:
    """Show where the edges that pass lie; nothing where none passes."""
    edges = results.edges[name]
    passing = pd.to_numeric(edges["p_adjusted"], errors="coerce") < _ALPHA
    every = edges[passing & edges["statistic"].notna()]
    if every.empty:
        return []
    strongest = every["statistic"].abs().sort_values(ascending=False, kind="stable").index
    own = every.loc[strongest[:_MOST]]
    words = f"{format_count(len(every))} edges that pass at adjusted p < .05"
    if len(own) < len(every):
        words += f", the {len(own)} strongest of them drawn"
    centres = parcel_centres(results)
    blocks: list[Block] = []
    if centres is not None:
        blocks += [
            *live_block(_brain(name, own, centres)),
            *_connectome(results, name, own, centres, words),
        ]
    parcels = ends_of(edges)
    networks = networks_of(results, parcels)
    if len(set(networks.values())) > 1:  # one arc would say nothing that the brain does not
        panel = Panel(
            name=f"chords {name}",
            title=f"{name}: edges by network",
            how=f"Each arc is a network, each curve an edge between two parcels. {_SIGNS} "
            "Point at a curve for its parcels and t.",
            alt=f"Circle of networks with {words}.",
            svg=draw_chords(own, order_by_network(parcels, networks), alt=f"Chords of {words}."),
            methods=_methods(results, name),
            data=own,
            min_width_px=420,
        )
        blocks += figure_block(panel)
    return blocks


def _methods(results: Results, name: str) -> str:
    return next((one.methods for one in results.analyses if one.name == name), "")


def _connectome(
    results: Results, name: str, own: pd.DataFrame, centres: pd.DataFrame, words: str
) -> tuple[Block, ...]:
    ends = set(own["parcel_a"].astype(str)) | set(own["parcel_b"].astype(str))
    lost = sorted(ends - set(centres.index))
    more = f" {len(lost)} parcels have no known place and are left out." if lost else ""
    panel = Panel(
        name=f"connectome {name}",
        title=f"{name}: edges on the brain",
        how=f"Dots are the centres of parcels, the grey shape is the hull around all of them. {_SIGNS} "
        f"Point at a line for its parcels and t.{more}",
        alt=f"Three projections of the brain with {words}.",
        svg=draw_connectome(
            own, centres, alt=f"Projections from above, behind and the right: {words}."
        ),
        methods=_methods(results, name),
        data=own,
        min_width_px=560,
    )
    return figure_block(panel)


def _brain(name: str, own: pd.DataFrame, centres: pd.DataFrame) -> Live:
    place = {parcel: i for i, parcel in enumerate(centres.index)}
    a = own["parcel_a"].astype(str).map(place)
    b = own["parcel_b"].astype(str).map(place)
    known = a.notna() & b.notna()
    ends = np.column_stack([a[known], b[known]]).astype(int)
    t = own.loc[known, "statistic"].to_numpy(dtype=float)
    return Live(
        kind="brain",
        title=f"{name}: edges on a brain that turns",
        how="Drag, or use the arrow keys, to turn it; the buttons bring the usual views back. "
        f"{_SIGNS} Places are rounded to 0.1 mm, t to 0.01.",
        data={
            "parcels": list(centres.index),
            "places": centres.round(1).to_numpy().tolist(),
            "edges": [
                [int(i), int(j), round(float(one), 2)] for (i, j), one in zip(ends, t, strict=True)
            ],
        },
    )


def parcel_centres(results: Results) -> pd.DataFrame | None:
    """Return the known centres of parcels in mm, indexed by parcel."""
    listed = table(results, "parcels")
    columns = ["x_mm", "y_mm", "z_mm"]
    if listed is None or not set(columns) <= set(listed.columns):
        return None
    found = listed.assign(parcel=listed["parcel"].astype(str)).set_index("parcel")[columns]
    found = found.apply(pd.to_numeric, errors="coerce").dropna()
    return found if len(found) > 1 else None
