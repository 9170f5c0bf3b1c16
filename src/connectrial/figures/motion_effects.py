"""Whether motion shows in connectivity: correlations of edges with it, and their distance."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from connectrial.figures.palette import INK, LEVELS, MUTED, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_COLUMNS = 5  # beside one another on a page


@styled
def plot_qc_fc(
    histogram: pd.DataFrame, by_distance: pd.DataFrame | None, *, samples: Sequence[str]
) -> Figure:
    """Draw how the edges' correlations with motion lie, and how they change with distance.

    Parameters
    ----------
    histogram : pandas.DataFrame
        ``sample``, ``r`` (middle of a bin), ``density``, ``expected`` (density without relation).
    by_distance : pandas.DataFrame or None
        ``sample``, ``distance_mm`` (middle of a bin), ``median``, ``q05``, ``q25``, ``q75``,
        ``q95`` of r; None where places are not known.
    samples : sequence of str
        Columns of the figure in order, such as visits.

    Returns
    -------
    matplotlib.figure.Figure
    """
    per = 1 if by_distance is None else 2
    many = len(samples) > 3
    # More columns than a page is wide go into bands below one another.
    bands = -(-len(samples) // _MOST_COLUMNS)
    columns = -(-len(samples) // bands)
    figure, axes = new_axes(
        width=min(9.5, 1.0 + 2.2 * columns), height=(2.1 * per + 0.4) * bands, columns=columns,
        rows=per * bands,
    )  # fmt: skip
    top = 1.05 * float(np.nanmax(histogram[["density", "expected"]].to_numpy(dtype=float)))
    grid = [axes[i * columns : (i + 1) * columns] for i in range(per * bands)]
    for kind in range(per):
        first = grid[kind][0]
        for row in grid[kind::per]:
            for ax in row:
                if ax is not first:
                    ax.sharey(first)
                ax.tick_params(labelleft=ax is row[0])
    for number in range(columns * bands):
        band, column = divmod(number, columns)
        own_axes = [grid[per * band + kind][column] for kind in range(per)]
        if number >= len(samples):
            for ax in own_axes:
                ax.set_axis_off()
            continue
        sample = samples[number]
        _histogram(own_axes[0], histogram[histogram["sample"] == sample], top=top)
        # Many columns are narrow: their words are broken, and shorter.
        own_axes[0].set_title(textwrap.fill(sample, 12) if many else sample)
        own_axes[0].set_xlabel("r with FD" if many else "r of edge with mean FD")
        if column == 0:
            own_axes[0].set_ylabel("density of edges")
        if by_distance is None:
            continue
        _over_distance(own_axes[1], by_distance[by_distance["sample"] == sample])
        own_axes[1].set_xlabel("distance (mm)" if many else "distance of parcels (mm)")
        if column == 0:
            own_axes[1].set_ylabel("r of edge with mean FD")
    return figure


def _histogram(ax: Axes, own: pd.DataFrame, *, top: float) -> None:
    ax.fill_between(own["r"], own["density"], step="mid", color=LEVELS[0], alpha=0.45, linewidth=0)
    ax.plot(own["r"], own["expected"], color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
    ax.axvline(0, color=MUTED, linewidth=0.8)
    ax.set_xlim(-1, 1)
    ax.set_ylim(0, top)


def _over_distance(ax: Axes, near: pd.DataFrame) -> None:
    for low, high, alpha in (("q05", "q95", 0.18), ("q25", "q75", 0.4)):
        ax.fill_between(
            near["distance_mm"], near[low], near[high], color=LEVELS[0], alpha=alpha, linewidth=0
        )
    ax.plot(near["distance_mm"], near["median"], color=INK, linewidth=1.4, marker="o", markersize=3)
    ax.axhline(0, color=MUTED, linewidth=0.8)
