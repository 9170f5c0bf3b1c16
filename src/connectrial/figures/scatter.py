"""Pairs of numbers over people, several panels side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from connectrial.figures.palette import INK, LEVELS, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 3


@styled
def plot_scatter(pairs: pd.DataFrame, *, x_label: str, y_label: str) -> Figure:
    """Draw one panel for each kind of pair, with the line of least squares.

    Parameters
    ----------
    pairs : pandas.DataFrame
        ``panel``, ``title`` (of the panel), ``x``, ``y``; one row per person and panel.
    x_label, y_label : str
        With units.
    """
    names = list(dict.fromkeys(pairs["panel"].astype(str)))
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure, axes = new_axes(
        width=3.7 if columns == 1 else 2.45 * columns,
        height=2.3 * rows + 0.2,
        columns=columns,
        rows=rows,
        sharey=True,
    )
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    for number, (ax, name) in enumerate(zip(axes, names, strict=False)):
        own = pairs.loc[pairs["panel"].astype(str) == name]
        x, y = own["x"].to_numpy(dtype=np.float64), own["y"].to_numpy(dtype=np.float64)
        known = np.isfinite(x) & np.isfinite(y)
        x, y = x[known], y[known]
        ax.scatter(x, y, s=18, color=LEVELS[0], alpha=0.8, linewidths=0)
        if len(x) > 2 and np.ptp(x) > 0:
            slope, level = np.polyfit(x - x.mean(), y, 1)
            ends = np.array([x.min(), x.max()])
            ax.plot(ends, level + slope * (ends - x.mean()), color=INK, linewidth=1.1)
        ax.set_title(str(own["title"].iloc[0]), fontsize=8.5, loc="left")
        ax.tick_params(labelsize=7.5)
        ax.locator_params(axis="x", nbins=4)
        ax.grid(axis="y")
        if number % columns == 0:
            ax.set_ylabel(y_label)
        if number >= len(names) - columns:
            ax.set_xlabel(x_label)
    return figure
