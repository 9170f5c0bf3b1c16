"""How alike patients and controls are, before and after matching."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from connectrial.figures.palette import INK, MUTED, figure_of, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_AFTER, _BEFORE = "#0072b2", "#d55e00"
#: Beyond this a standardised difference is usually called imbalance (Austin 2009).
LIMIT = 0.1


@styled
def plot_balance(balance: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """Draw the standardised difference of each variable before and after matching (a Love plot).

    Parameters
    ----------
    balance : pandas.DataFrame
        Columns ``variable``, ``level``, ``smd_before``, ``smd_after``.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; default a new figure.
    """
    if ax is None:
        _, (ax,) = new_axes(width=6.4, height=1.1 + 0.3 * len(balance))
    labels = [
        ": ".join(part for part in (str(row.variable), str(row.level)) if part)
        for row in balance.itertuples()
    ]
    places = np.arange(len(balance))
    before = balance["smd_before"].to_numpy(dtype=np.float64)
    after = balance["smd_after"].to_numpy(dtype=np.float64)
    for limit in (-LIMIT, LIMIT):
        ax.axvline(limit, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
    ax.axvline(0.0, color=INK, linewidth=0.8)
    for place, start, end in zip(places, before, after, strict=True):
        ax.plot([start, end], [place, place], color=MUTED, linewidth=0.8, zorder=1)
    ax.plot(before, places, "o", color=_BEFORE, markerfacecolor="none", label="before", zorder=2)
    ax.plot(after, places, "o", color=_AFTER, label="after", zorder=3)
    ax.set_yticks(places, labels)
    ax.set_ylim(len(balance) - 0.5, -0.5)
    reach = np.nanmax(np.abs(np.concatenate([before, after, [LIMIT * 1.5]])))
    ax.set_xlim(-1.1 * reach, 1.1 * reach)
    ax.set_xlabel("standardised difference, patients - controls")
    ax.grid(axis="x")
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return figure_of(ax)
