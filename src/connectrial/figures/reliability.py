"""Test and retest: two sessions of the same visit against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from connectrial.figures.palette import INK, LEVELS, MUTED, figure_of, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def plot_retest(
    pairs: pd.DataFrame,
    *,
    first: str,
    second: str,
    title: str,
    subtitle: str = "",
    unit: str = "Fisher z",
    ax: Axes | None = None,
) -> Figure:
    """Draw the second session of each person against the first.

    Parameters
    ----------
    pairs : pandas.DataFrame
        One row per person, columns `first` and `second`.
    first, second : str
        Sessions.
    title, subtitle : str
        Above the axes; the subtitle carries the coefficient, computed elsewhere.
    unit : str
        Unit of both.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; default a new figure.
    """
    if ax is None:
        _, (ax,) = new_axes(width=2.9, height=3.1)
    both = pairs[[first, second]].dropna().to_numpy(dtype=float)
    if len(both):
        low, high = float(both.min()), float(both.max())
        edge = 0.06 * ((high - low) or 1.0)
        limits = (low - edge, high + edge)
        ax.plot(limits, limits, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
        ax.set_xlim(limits)
        ax.set_ylim(limits)
    ax.scatter(both[:, 0], both[:, 1], s=18, color=LEVELS[0], alpha=0.65, linewidths=0)
    ax.set_aspect("equal")
    ax.grid()
    ax.set_xlabel(f"{first} ({unit})")
    ax.set_ylabel(f"{second} ({unit})")
    ax.set_title(title, fontsize=9, pad=17 if subtitle else 6)
    ax.text(0.0, 1.03, subtitle, transform=ax.transAxes, fontsize=7.5, color=INK)
    return figure_of(ax)


@styled
def plot_retests(
    pairs: Mapping[str, pd.DataFrame],
    *,
    first: str,
    second: str,
    subtitles: Mapping[str, str] | None = None,
    unit: str = "Fisher z",
) -> Figure:
    """Draw :func:`plot_retest` for several outcomes side by side.

    Parameters
    ----------
    pairs : mapping of str to pandas.DataFrame
        Title -> people by sessions.
    first, second : str
        Sessions.
    subtitles : mapping of str to str, optional
        Title -> line below it.
    unit : str
        Unit of all.
    """
    columns = min(4, len(pairs))
    rows = int(np.ceil(len(pairs) / columns))
    figure, axes = new_axes(
        width=max(3.1, 2.6 * columns), height=2.9 * rows, columns=columns, rows=rows
    )
    for panel, (title, table) in zip(axes, pairs.items(), strict=False):
        plot_retest(
            table, first=first, second=second, title=title,
            subtitle=(subtitles or {}).get(title, ""), unit=unit, ax=panel,
        )  # fmt: skip
    for panel in axes[len(pairs) :]:
        panel.set_visible(False)
    return figure
