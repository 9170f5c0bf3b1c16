"""Data of the interactive matrices: edge tables with their tests, and mean connectivity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from connectrial.data import FloatArray
from connectrial.figures.matrices import Blocks, order_by_network
from connectrial.figures.numbers import format_number
from connectrial.report.live import Live
from connectrial.report.quantise import pack, worst
from connectrial.report.source import ends_of, networks_of
from connectrial.results import Results

_LEVEL = 0.95
_SMALLEST_P = 1e-16
_KEYS = (
    "Point at a cell, or move with the arrow keys (with Shift by ten). Below the diagonal stands every "
    "edge, above it only those that pass the threshold."
)


def edge_live(results: Results, name: str) -> Live | None:
    """Return the interactive matrix of an edge table; None where nothing was estimated."""
    edges = results.edges[name]
    if edges.empty or edges["statistic"].isna().all():
        return None
    known = ends_of(edges)
    order = next((list(map(str, m.index)) for m in results.matrices.values()), known)
    order = [parcel for parcel in order if parcel in set(known)]
    order += [parcel for parcel in known if parcel not in set(order)]
    blocks = order_by_network(order, networks_of(results, order))
    places = _edge_places(edges, blocks.order)
    columns = {
        "estimate": _numbers(edges, "estimate"),
        "half": _half_widths(edges),
        "t": _numbers(edges, "statistic"),
        "p": _magnitude(_numbers(edges, "p")),
        "adjusted": _magnitude(_numbers(edges, "p_adjusted")),
    }
    if "component" in edges.columns and (edges["component"].fillna(0) > 0).any():
        columns["component"] = _numbers(edges, "component")
    n = len(blocks.order)
    packed = {key: pack(_laid_out(values, places, n)) for key, values in columns.items()}
    unit = _unit(results, name)
    rounded = (
        f"Rounded for this view: estimates to within {format_number(worst(packed['estimate']), digits=2)}, "
        f"t to within {format_number(worst(packed['t']), digits=2)}, p to within "
        f"{format_number(100 * np.expm1(np.log(10) * worst(packed['p'])), digits=2)} percent of itself; "
        "the download and the folder group/edges hold the numbers as they are."
    )
    return Live(
        kind="matrix",
        title=f"{name}: every edge, with a threshold",
        how=f"{_KEYS} {rounded}",
        data={
            **_axes(blocks),
            "unit": unit,
            "level": _LEVEL,
            "tested": True,
            "views": [{"name": name, "columns": packed}],
        },
    )


def matrices_live(results: Results) -> Live | None:
    """Return the interactive matrices of mean connectivity; None where there is none."""
    if not results.matrices:
        return None
    first = [str(name) for name in next(iter(results.matrices.values())).index]
    blocks = order_by_network(first, networks_of(results, first))
    upper = np.triu_indices(len(blocks.order), 1)
    views = []
    for title, matrix in results.matrices.items():
        named = matrix.set_axis(matrix.index.astype(str)).set_axis(
            matrix.columns.astype(str), axis=1
        )
        ordered = named.reindex(index=list(blocks.order), columns=list(blocks.order))
        packed = pack(ordered.to_numpy(dtype=np.float64)[upper])
        views.append({"name": str(title), "columns": {"estimate": packed}})
    most = max(worst(view["columns"]["estimate"]) for view in views)  # type: ignore[index]  # plain data
    return Live(
        kind="matrix",
        title="Mean connectivity, with a threshold",
        how=f"{_KEYS} Rounded for this view to within {format_number(most, digits=2)}; the downloads hold "
        "the numbers as they are.",
        data={**_axes(blocks), "unit": "Fisher z", "tested": False, "views": views},
    )


def _axes(blocks: Blocks) -> dict[str, Any]:
    return {"parcels": list(blocks.order), "spans": [list(span) for span in blocks.spans]}


def _edge_places(edges: pd.DataFrame, order: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    place = {name: i for i, name in enumerate(order)}
    a = edges["parcel_a"].astype(str).map(place).to_numpy(dtype=np.float64)
    b = edges["parcel_b"].astype(str).map(place).to_numpy(dtype=np.float64)
    return np.minimum(a, b), np.maximum(a, b)


def _laid_out(values: FloatArray, places: tuple[FloatArray, FloatArray], n: int) -> FloatArray:
    """Put edges in the order of the upper triangle, row by row; edges that are not there are NaN."""
    low, high = (side.astype(np.int64) for side in places)
    laid = np.full(n * (n - 1) // 2, np.nan)
    laid[low * n - low * (low + 1) // 2 + high - low - 1] = values
    return laid


def _numbers(edges: pd.DataFrame, column: str) -> FloatArray:
    return pd.to_numeric(edges[column], errors="coerce").to_numpy(dtype=np.float64)


def _half_widths(edges: pd.DataFrame) -> FloatArray:
    """Return half the width of each edge's interval, by its own degrees of freedom."""
    df = _numbers(edges, "df")
    df = np.where(np.isnan(df) & np.isfinite(_numbers(edges, "se")), np.inf, df)
    return np.asarray(stdtrit(df, 0.5 + _LEVEL / 2) * _numbers(edges, "se"), dtype=np.float64)


def _magnitude(p: FloatArray) -> FloatArray:
    """Return -log10 of p values, so that small ones keep their digits."""
    return np.asarray(-np.log10(np.clip(p, _SMALLEST_P, 1.0)), dtype=np.float64)


def _unit(results: Results, name: str) -> str:
    units = [r.estimates["unit"] for r in results.analyses if r.name == name and len(r.estimates)]
    found = [unit for column in units for unit in column if unit and unit != "edges"]
    return str(found[0]) if found else "Fisher z"
