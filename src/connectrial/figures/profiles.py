"""Maps over parcels: a dot at every parcel's centre, coloured by its connectivity with the seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.figures.palette import FAINT, INK, MUTED, SIGNED, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Name, axis across (and its sign), axis upwards, and which parcels: x below, above 0 or all.
_VIEWS = (
    ("left side", 1, -1.0, 2, -1),
    ("right side", 1, 1.0, 2, 1),
    ("from above", 0, 1.0, 1, 0),
)
_MIDLINE_MM = 4.0  # parcels this near to the middle are seen from both sides


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ProfileRow:
    """One map of a figure.

    Attributes
    ----------
    title : str
        What it shows.
    values : pandas.Series
        By parcel; NaN where there is none.
    scale : str
        Rows with the same word share one colour scale; it is the colour bar's label.
    """

    title: str
    values: pd.Series
    scale: str


@styled
def plot_profiles(rows: list[ProfileRow], centres: pd.DataFrame, *, seed: set[str]) -> Figure:
    """Draw maps over parcels, one per row, from the left, the right and above.

    Parameters
    ----------
    rows : list of ProfileRow
        Maps.
    centres : pandas.DataFrame
        Indexed by parcel: ``x_mm``, ``y_mm``, ``z_mm``. Parcels without a place are left out.
    seed : set of str
        Parcels that get a ring.
    """
    places = centres[["x_mm", "y_mm", "z_mm"]].to_numpy(dtype=np.float64)
    ringed = np.array([str(name) in seed for name in centres.index])
    figure, axes = new_axes(
        width=7.4, height=1.75 * len(rows) + 0.1, columns=len(_VIEWS), rows=len(rows)
    )
    limits = _limits(rows)
    for number, row in enumerate(rows):
        mine = axes[number * len(_VIEWS) : (number + 1) * len(_VIEWS)]
        values = row.values.reindex(centres.index).to_numpy(dtype=np.float64)
        for column, (ax, view) in enumerate(zip(mine, _VIEWS, strict=True)):
            _draw(ax, places, values, ringed, limit=limits[row.scale], view=view)
            if column == 0:
                ax.set_title(row.title, fontsize=9)
            if number == len(rows) - 1:
                ax.text(
                    0.5, -0.03, view[0], transform=ax.transAxes,
                    ha="center", va="top", fontsize=7.5, color=MUTED,
                )  # fmt: skip
        bar = figure.colorbar(mine[0].collections[-1], ax=mine, shrink=0.8, aspect=12, pad=0.01)
        bar.set_label(row.scale, fontsize=7.5)
        bar.ax.tick_params(labelsize=7)
        bar.outline.set_visible(False)
    return figure


def _draw(
    ax: Axes,
    places: NDArray[np.float64],
    values: NDArray[np.float64],
    ringed: NDArray[np.bool_],
    *,
    limit: float,
    view: tuple[str, int, float, int, int],
) -> None:
    _, across, sign, up, side = view
    seen = np.ones(len(places), dtype=bool) if side == 0 else side * places[:, 0] > -_MIDLINE_MM
    # What stands out lies on top, or the dots around it would hide it.
    order = np.argsort(np.nan_to_num(np.abs(values)), kind="stable")
    order = order[seen[order]]
    x, y = sign * places[order, across], places[order, up]
    empty = ~np.isfinite(values[order])
    ax.scatter(x[empty], y[empty], s=9, facecolors="none", edgecolors=FAINT, linewidths=0.6)
    inside = ringed[order]
    ax.scatter(
        x[inside], y[inside], s=70, facecolors="none", edgecolors=INK, linewidths=1.0, zorder=4
    )
    ax.scatter(
        x[~empty],
        y[~empty],
        c=values[order][~empty],
        cmap=SIGNED,
        vmin=-limit,
        vmax=limit,
        s=26,
        edgecolors=MUTED,
        linewidths=0.25,
        zorder=3,
    )
    ax.set_aspect("equal")
    ax.set_axis_off()


def _limits(rows: list[ProfileRow]) -> dict[str, float]:
    """Give each scale the 99th percentile of its maps' absolute values."""
    found = {}
    for scale in dict.fromkeys(row.scale for row in rows):
        every = np.concatenate([row.values.abs().dropna() for row in rows if row.scale == scale])
        every = every[every > 0]
        found[scale] = float(np.percentile(every, 99)) if every.size else 1.0
    return found
