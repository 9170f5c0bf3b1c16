"""Whether motion shows in connectivity: correlations of edges with it, and their distance."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from connectrial.figures.palette import INK, LEVELS, MUTED, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    rows = 1 if by_distance is None else 2
    many = len(samples) > 3
    figure, axes = new_axes(
        width=min(9.5, 1.0 + 2.2 * len(samples)), height=2.1 * rows + 0.4, columns=len(samples),
        rows=rows, sharey="row",
    )  # fmt: skip
    for number, sample in enumerate(samples):
        own = histogram[histogram["sample"] == sample]
        ax = axes[number]
        ax.fill_between(own["r"], own["density"], step="mid", color=LEVELS[0], alpha=0.45,
                        linewidth=0)  # fmt: skip
        ax.plot(own["r"], own["expected"], color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        ax.axvline(0, color=MUTED, linewidth=0.8)
        ax.set_xlim(-1, 1)
        ax.set_ylim(bottom=0)
        # Many columns are narrow: their words are broken, and shorter.
        ax.set_title(textwrap.fill(sample, 12) if many else sample)
        ax.set_xlabel("r with FD" if many else "r of edge with mean FD")
        if number == 0:
            ax.set_ylabel("density of edges")
        if by_distance is None:
            continue
        near = by_distance[by_distance["sample"] == sample]
        ax = axes[len(samples) + number]
        ax.fill_between(near["distance_mm"], near["q05"], near["q95"], color=LEVELS[0], alpha=0.18,
                        linewidth=0)  # fmt: skip
        ax.fill_between(near["distance_mm"], near["q25"], near["q75"], color=LEVELS[0], alpha=0.4,
                        linewidth=0)  # fmt: skip
        ax.plot(near["distance_mm"], near["median"], color=INK, linewidth=1.4, marker="o",
                markersize=3)  # fmt: skip
        ax.axhline(0, color=MUTED, linewidth=0.8)
        ax.set_xlabel("distance (mm)" if many else "distance of parcels (mm)")
        if number == 0:
            ax.set_ylabel("r of edge with mean FD")
    return figure
