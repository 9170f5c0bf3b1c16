"""Everybody's percent change as bars, the largest rise first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from connectrial.figures.palette import (
    INK,
    MUTED,
    PAPER,
    figure_of,
    level_colours,
    new_axes,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def plot_waterfall(
    changes: pd.DataFrame,
    *,
    scale: str,
    levels: Sequence[str],
    threshold: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw everybody's percent change as bars, the largest rise on the left.

    Parameters
    ----------
    changes : pandas.DataFrame
        Columns ``subject``, ``percent_change``, ``level``.
    scale : str
        What changes.
    levels : sequence of str
        Levels in order, as colours.
    threshold : float, optional
        Decrease in percent that counts as response; a dashed line.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; default a new figure.
    """
    own = changes.sort_values("percent_change", ascending=False, kind="stable")
    if ax is None:
        _, (ax,) = new_axes(width=min(8.6, 3.2 + 0.13 * len(own)), height=3.1)
    colours = level_colours(list(levels))
    hatches = {level: ("", "////", "....", "xx")[i % 4] for i, level in enumerate(levels)}
    for level in levels:
        here = (own["level"].astype(str) == level).to_numpy()
        if not here.any():
            continue
        ax.bar(
            np.flatnonzero(here), own["percent_change"].to_numpy(dtype=float)[here], width=0.82,
            color=colours[level], hatch=hatches[level], edgecolor=PAPER, linewidth=0.4,
            label=f"{level} (n = {int(here.sum())})",
        )  # fmt: skip
    ax.axhline(0.0, color=MUTED, linewidth=0.9)
    if threshold is not None:
        ax.axhline(-threshold, color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
        ax.annotate(f"−{threshold:g} %", (1.005, -threshold), xycoords=("axes fraction", "data"),
                    fontsize=8, va="center")  # fmt: skip
    ax.set_xticks([])
    ax.set_xlim(-0.7, len(own) - 0.3)
    ax.set_xlabel("people, by change")
    ax.set_ylabel(f"change of {scale} (%)")
    ax.grid(axis="y")
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
    return figure_of(ax)
