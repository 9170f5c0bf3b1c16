"""The clinical course: scores of people and their means, response and remission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from connectrial.figures.lines import draw_means, draw_people, means_at, wide
from connectrial.figures.palette import (
    INK,
    LINES,
    figure_of,
    level_colours,
    level_markers,
    new_axes,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def plot_course(
    scores: pd.DataFrame,
    means: pd.DataFrame | None,
    *,
    visits: Sequence[str],
    scale: str,
    unit: str = "points",
    by: str | None = None,
    levels: Sequence[str] = (),
    days: Mapping[str, float] | None = None,
    scan_visits: Sequence[str] = (),
    ax: Axes | None = None,
) -> Figure:
    """Draw one scale over visits: a thin line per person, means with intervals on top.

    Parameters
    ----------
    scores : pandas.DataFrame
        Columns ``subject``, ``visit``, ``score`` and the factor `by`.
    means : pandas.DataFrame or None
        Columns ``visit``, ``by``, ``estimate``, ``ci_low``, ``ci_high``.
    visits : sequence of str
        Visits in order.
    scale, unit : str
        Of the y axis.
    by : str, optional
        Column of `scores` by which lines are coloured.
    levels : sequence of str
        Its levels in order.
    days : mapping of str to float, optional
        Visit -> days from the first dose; given for every visit, the x axis is true to time.
    scan_visits : sequence of str
        Visits with scans; marked on the x axis.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; default a new figure.
    """
    present = [visit for visit in visits if visit in set(scores["visit"].astype(str))]
    if ax is None:
        _, (ax,) = new_axes(width=min(8.4, 2.9 + 0.95 * len(present)), height=3.5)
    x = _places(present, days)
    # Means of several levels stand a little aside of one another, or their intervals would hide.
    step = 0.012 * ((max(x) - min(x)) or 1.0) if present else 0.0
    names = list(levels) if by is not None and by in scores.columns and len(levels) else [""]
    aside = [step * (i - (len(names) - 1) / 2) for i in range(len(names))]
    colours, markers = level_colours(names), level_markers(names)
    for i, name in enumerate(names):
        own = scores if not name else scores[scores[by].astype(str) == name]
        people = wide(own, value="score", visits=present).reindex(columns=present)
        draw_people(ax, people, x=x, colour=colours[name], marker=markers[name])
        shown = means_at(means, name, present)
        label = f"{name or 'everyone'} (n = {len(people)})"
        if shown is None:
            ax.plot([], [], color=colours[name], marker=markers[name], label=label)
            continue
        at = [x[present.index(visit)] + aside[i] for visit in shown["visit"]]
        draw_means(
            ax, shown, x=at, colour=colours[name], marker=markers[name], label=label,
            linestyle=LINES[i % len(LINES)],
        )  # fmt: skip
    labels = [f"{visit}\n(scan)" if visit in scan_visits else visit for visit in present]
    ax.set_xticks(x, labels)
    if days is not None and len(present) > 1 and min(np.diff(x)) < np.ptp(x) / 9:
        ax.tick_params(axis="x", rotation=40)
    ax.set_ylabel(f"{scale} ({unit})" if unit else scale)
    ax.grid(axis="y")
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, handlelength=2.2)
    return figure_of(ax)


def _places(visits: Sequence[str], days: Mapping[str, float] | None) -> list[float]:
    if days is not None and visits and all(visit in days for visit in visits):
        return [float(days[visit]) for visit in visits]
    return [float(i) for i in range(len(visits))]


@styled
def plot_rates(rates: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """Draw shares of people with their intervals.

    Parameters
    ----------
    rates : pandas.DataFrame
        Columns ``label``, ``estimate``, ``ci_low``, ``ci_high`` (fractions), ``text`` (the counts).
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; default a new figure.
    """
    if ax is None:
        _, (ax,) = new_axes(width=6.4, height=0.8 + 0.34 * len(rates))
    for i, row in enumerate(rates.to_dict("records")):
        estimate = 100.0 * float(row["estimate"])
        low, high = 100.0 * float(row["ci_low"]), 100.0 * float(row["ci_high"])
        ax.barh(i, estimate, height=0.56, color="#0072b2", alpha=0.28)
        if np.isfinite(low) and np.isfinite(high):
            ax.plot([low, high], [i, i], color="#0072b2", linewidth=2.0, solid_capstyle="butt")
        ax.plot(estimate, i, "o", color="#0072b2", markersize=5.5)
        ax.text(1.01, i, str(row["text"]), transform=ax.get_yaxis_transform(), va="center",
                fontsize=8.5, color=INK)  # fmt: skip
    ax.set_yticks(range(len(rates)), rates["label"].astype(str))
    ax.set_ylim(len(rates) - 0.4, -0.6)
    ax.set_xlim(0, 100)
    ax.set_xlabel("percent of people")
    ax.grid(axis="x")
    return figure_of(ax)
