"""The clinical course: scores of people and their means, response and remission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from connectrial.figures.lines import draw_means, draw_people, fitted_names, means_at, wide
from connectrial.figures.palette import (
    INK,
    LINES,
    MUTED,
    figure_of,
    level_colours,
    level_markers,
    new_axes,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: Share of an axis from its first to its last mark.
_INSIDE = 0.9


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
    infusion: tuple[float, float] | None = None,
    strip: pd.DataFrame | None = None,
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
        Visits with scans; marked above the x axis.
    infusion : tuple of float, optional
        First and last day of the infusion; shaded where the x axis is true to time.
    strip : pandas.DataFrame, optional
        Shares of people who met a rule, below the drawing: columns ``rule``, ``visit``, ``by`` (a
        level, or empty), ``estimate`` (a fraction), ``n_met``, ``n_subjects``.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; default a new figure.
    """
    present = [visit for visit in visits if visit in set(scores["visit"].astype(str))]
    rules = _strip_rows(strip, present, levels)
    below = None
    if ax is None:
        width = min(8.4, 2.9 + 0.95 * len(present))
        if rules:
            tall = 0.34 * len(rules) + 0.1
            _, (ax, below) = new_axes(
                width=width, height=3.5 + tall, rows=2, height_ratios=(3.2, tall)
            )
        else:
            _, (ax,) = new_axes(width=width, height=3.5)
    x = _places(present, days)
    if infusion is not None and _true_to_time(present, days):
        _draw_infusion(ax, infusion)
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
    place = dict(zip(present, x, strict=True))
    alone = [v for v in scan_visits if v not in place and v in (days or {})]
    if _true_to_time(present, days):  # a scan at a visit without a score has its place too
        place |= {visit: float((days or {})[visit]) for visit in alone}
    _draw_scans(ax, [place[visit] for visit in scan_visits if visit in place])
    long = ax.get_position().width * float(figure_of(ax).get_figwidth())
    words, aslant = fitted_names(list(place), list(place.values()), inches=_INSIDE * long)
    ax.set_xticks(list(place.values()), words)
    ax.tick_params(axis="x", rotation=aslant)
    ax.set_ylabel(f"{scale} ({unit})" if unit else scale)
    ax.grid(axis="y")
    columns = 3 if len(present) > 3 else 1  # few visits make a narrow figure
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, handlelength=2.2)
    if below is not None:
        _draw_strip(below, rules, x=dict(zip(present, x, strict=True)), limits=ax.get_xlim())
    return figure_of(ax)


def _true_to_time(visits: Sequence[str], days: Mapping[str, float] | None) -> bool:
    return days is not None and bool(visits) and all(visit in days for visit in visits)


def _draw_infusion(ax: Axes, infusion: tuple[float, float]) -> None:
    ax.axvspan(*infusion, color="#e69f00", alpha=0.22, linewidth=0, zorder=0)
    ax.annotate(
        "infusion", (infusion[1], 0.985), xycoords=("data", "axes fraction"), fontsize=8,
        color=MUTED, va="top", ha="left", xytext=(2, 0), textcoords="offset points",
    )  # fmt: skip


def _draw_scans(ax: Axes, places: Sequence[float]) -> None:
    """Mark scans by triangles that stand on the x axis."""
    if not len(places):
        return
    ax.plot(
        places, [0.0] * len(places), linestyle="none", marker="^", color=INK, markersize=6,
        transform=ax.get_xaxis_transform(), clip_on=False, zorder=6, label="scan",
    )  # fmt: skip


def _strip_rows(
    strip: pd.DataFrame | None, visits: Sequence[str], levels: Sequence[str]
) -> list[tuple[str, dict[str, str]]]:
    """Return each line of the strip: its words, and what stands at which visit."""
    if strip is None or not len(strip):
        return []
    by = strip["by"].fillna("").astype(str)
    rows = []
    for rule in dict.fromkeys(strip["rule"].astype(str)):
        for level in ("", *levels):
            own = strip[(strip["rule"] == rule) & (by == level)]
            cells = {
                str(
                    row["visit"]
                ): f"{100 * row['estimate']:.0f} %\n{row['n_met']}/{row['n_subjects']}"
                for row in own.to_dict("records")
                if str(row["visit"]) in visits
            }
            if cells:
                rows.append((f"{rule}, {level}" if level else rule, cells))
    return rows


def _draw_strip(
    ax: Axes,
    rows: Sequence[tuple[str, dict[str, str]]],
    *,
    x: Mapping[str, float],
    limits: tuple[float, float],
) -> None:
    ax.set_xlim(*limits)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    for y, (_, cells) in enumerate(rows):
        for visit, text in cells.items():
            ax.text(x[visit], y, text, ha="center", va="center", fontsize=7.2, linespacing=1.05)
    ax.set_yticks(range(len(rows)), [words for words, _ in rows])
    ax.set_xticks([])
    ax.tick_params(axis="y", length=0)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)


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
