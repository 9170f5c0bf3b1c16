"""The same tests in several variants of processing, and a set of connections among random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from connectrial.figures.numbers import as_float, format_interval, format_number, format_p
from connectrial.figures.palette import (
    FAINT,
    INK,
    LEVELS,
    MARKERS,
    MUTED,
    figure_of,
    new_axes,
    styled,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_APART = 0.36  # between variants of one test


@styled
def plot_variants(
    rows: pd.DataFrame, *, unit: str = "Fisher z", ax: Sequence[Axes] | None = None
) -> Figure:
    """Draw each test once for every variant, one below the other.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``label`` (the test), ``variant``, ``estimate``, ``ci_low``, ``ci_high``, ``p``; variants of one
        test follow each other.
    unit : str
        Unit of all estimates.
    ax : sequence of matplotlib.axes.Axes, optional
        Two axes, for the drawing and for the numbers beside it; default a new figure.
    """
    labels = list(dict.fromkeys(rows["label"]))
    variants = list(dict.fromkeys(rows["variant"]))
    gap = 0.6 + _APART * len(variants)
    depth = gap * len(labels)
    if ax is None:
        _, ax = new_axes(width=9.8, height=1.0 + 0.5 * depth, columns=2, width_ratios=(1.0, 0.9))
    drawing, numbers = ax
    drawing.axvline(0.0, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
    for row in rows.to_dict("records"):
        k = variants.index(row["variant"])
        y = gap * labels.index(row["label"]) + _APART * k
        colour, marker = LEVELS[k % len(LEVELS)], MARKERS[k % len(MARKERS)]
        low, high = as_float(row["ci_low"]), as_float(row["ci_high"])
        drawing.plot([low, high], [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
        drawing.plot(as_float(row["estimate"]), y, marker=marker, color=colour, markersize=6)
        value = f"{format_number(row['estimate'])} {format_interval(low, high)}"
        for x, text in ((0.0, value), (0.82, format_p(row["p"]))):
            numbers.text(x, y, text, va="center", fontsize=8, color=INK).set_in_layout(False)
    middle = _APART * (len(variants) - 1) / 2
    drawing.set_yticks([gap * i + middle for i in range(len(labels))], labels)
    for panel in ax:
        panel.set_ylim(depth - gap + _APART * len(variants) + 0.2, -0.7)
    drawing.tick_params(axis="y", length=0)
    drawing.spines["left"].set_visible(False)
    drawing.grid(axis="x")
    drawing.set_xlabel(f"estimate and interval ({unit})")
    numbers.set_xlim(0.0, 1.0)
    numbers.axis("off")
    for x, head in ((0.0, "estimate [interval]"), (0.82, "p")):
        numbers.text(x, -0.55, head, fontsize=8, color=MUTED, va="bottom").set_in_layout(False)
    for k, name in enumerate(variants):
        drawing.plot(
            [], [], marker=MARKERS[k % len(MARKERS)], color=LEVELS[k % len(LEVELS)],
            linewidth=1.8, markersize=6, label=name,
        )  # fmt: skip
    drawing.figure.legend(loc="outside upper left", ncols=min(3, len(variants)))
    return figure_of(drawing)


@styled
def plot_random_sets(
    null: ArrayLike, *, observed: float, unit: str = "Fisher z", ax: Axes | None = None
) -> Figure:
    """Draw where a set of connections lies among random sets that are matched to it.

    Parameters
    ----------
    null : array-like
        Difference of each random set from its matched others.
    observed : float
        That of the set.
    unit : str
        Of both.
    ax : matplotlib.axes.Axes, optional
        Default a new figure.
    """
    values = np.asarray(null, dtype=np.float64)
    if ax is None:
        _, (ax,) = new_axes(width=6.4, height=2.6)
    ax.hist(values, bins=40, color=FAINT, edgecolor=MUTED, linewidth=0.4)
    ax.axvline(observed, color=LEVELS[0], linewidth=2.4)
    right = observed > float(np.median(values))
    ax.annotate(
        f"the set: {format_number(observed)}",
        (observed, 0.96),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if right else 6, 0),
        textcoords="offset points",
        ha="right" if right else "left",
        va="top",
        color=LEVELS[0],
    )
    ax.set_xlabel(f"difference from matched connections ({unit})")
    ax.set_ylabel("random sets")
    return figure_of(ax)
