"""Quality of the scans by visit and by arm or group."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from connectrial.figures.measures import MEASURES
from connectrial.figures.palette import (
    INK,
    MUTED,
    figure_of,
    level_colours,
    level_markers,
    new_axes,
    styled,
    swarm,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_COUNTED = 16  # columns above which a number each has room


@styled
def plot_quality(
    quality: pd.DataFrame,
    *,
    measure: str,
    visits: Sequence[str],
    by: str | None = None,
    levels: Sequence[str] = (),
    limit: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw one measure of every scan, by visit, with the median of each column.

    Parameters
    ----------
    quality : pandas.DataFrame
        Columns ``visit``, `measure` and the factor `by`.
    measure : str
        One of :data:`connectrial.figures.measures.MEASURES`, or any numeric column.
    visits : sequence of str
        Visits in order.
    by : str, optional
        Column by which points are set apart.
    levels : sequence of str
        Its levels in order.
    limit : float, optional
        Value at which scans are left out; drawn as a line.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; default a new figure.
    """
    names = list(levels) if by is not None and by in quality.columns and len(levels) else [""]
    cells = [
        (visit, name, values)
        for visit in visits
        for name in names
        if len(values := _values(quality, measure, visit=visit, by=by, name=name))
    ]
    if ax is None:
        _, (ax,) = new_axes(width=min(8.0, 1.3 + 0.72 * max(2, len(cells))), height=2.9)
    colours, markers = level_colours(names), level_markers(names)
    places: dict[str, list[float]] = {}
    x = -1.0
    for i, (visit, name, values) in enumerate(cells):
        x += 1.0 if i and cells[i - 1][0] == visit else 1.5 if i else 1.0
        places.setdefault(visit, []).append(x)
        ax.scatter(
            x + np.asarray(swarm(list(values), width=0.7)), values, s=13, color=colours[name],
            marker=markers[name], alpha=0.6, linewidths=0,
        )  # fmt: skip
        ax.plot([x - 0.34, x + 0.34], [np.median(values)] * 2, color=INK, linewidth=1.6)
    for at, words in _counts(cells, places):
        ax.text(at, 1.0, words, transform=ax.get_xaxis_transform(), ha="center", va="bottom",
                fontsize=7.5, color=MUTED)  # fmt: skip
    if limit is not None:
        ax.axhline(limit, color="#d55e00", linewidth=1.1, linestyle=(0, (4, 2)))
        ax.annotate("limit", (1.0, limit), xycoords=("axes fraction", "data"), fontsize=8,
                    color="#d55e00", ha="left", va="center")  # fmt: skip
    wide = 18 if len(places) <= 3 else 10 if len(places) <= 6 else 8
    names_below = [textwrap.fill(visit, wide, break_long_words=False) for visit in places]
    ax.set_xticks([float(np.mean(at)) for at in places.values()], names_below)
    ax.set_ylabel(MEASURES.get(measure, measure))
    ax.grid(axis="y")
    shown = [name for name in names if name and any(name == cell[1] for cell in cells)]
    for name in shown:
        ax.scatter([], [], s=18, color=colours[name], marker=markers[name], label=name)
    if shown:
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return figure_of(ax)


def _counts(
    cells: Sequence[tuple[str, str, np.ndarray]], places: Mapping[str, Sequence[float]]
) -> list[tuple[float, str]]:
    """Say how many scans each column holds, or each visit where columns leave no room for it."""
    by_visit: dict[str, list[int]] = {}
    for visit, _, values in cells:
        by_visit.setdefault(visit, []).append(len(values))
    if len(cells) <= _MOST_COUNTED:
        return [
            (x, f"n = {n}")
            for visit, counts in by_visit.items()
            for x, n in zip(places[visit], counts, strict=True)
        ]
    return [
        (
            float(np.mean(places[visit])),
            f"n = {min(n)}" if min(n) == max(n) else f"n = {min(n)}–{max(n)}",
        )
        for visit, n in by_visit.items()
    ]


def _values(
    quality: pd.DataFrame, measure: str, *, visit: str, by: str | None, name: str
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    part = quality[quality["visit"].astype(str) == visit]
    if name and by is not None:
        part = part[part[by].astype(str) == name]
    values = pd.to_numeric(part[measure], errors="coerce").dropna().to_numpy(dtype=float)
    return np.sort(values)
