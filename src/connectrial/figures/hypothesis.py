"""One panel per hypothesis: every person, the model's means, and the change."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from connectrial.figures.lines import (
    draw_means,
    draw_people,
    draw_zero,
    mark_people,
    means_at,
    wide,
)
from connectrial.figures.numbers import as_float
from connectrial.figures.palette import (
    FAINT,
    INK,
    MARKERS,
    figure_of,
    level_colours,
    level_markers,
    new_axes,
    styled,
    swarm,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def plot_hypothesis(
    values: pd.DataFrame,
    means: pd.DataFrame | None,
    *,
    visits: Sequence[str],
    levels: Sequence[str] = (),
    by: str | None = None,
    changes: pd.DataFrame | None = None,
    unit: str = "Fisher z",
    ax: Sequence[Axes] | None = None,
) -> Figure:
    """Draw an outcome over visits, one panel per level of a factor, and its change.

    Parameters
    ----------
    values : pandas.DataFrame
        Columns ``subject``, ``visit``, ``value`` and the factor `by`.
    means : pandas.DataFrame or None
        Means by visit with intervals: ``visit``, ``by``, ``estimate``, ``ci_low``, ``ci_high``.
    visits : sequence of str
        Visits in order.
    levels : sequence of str
        Levels of the factor in order; empty for one panel.
    by : str, optional
        Column of `values` that holds the factor.
    changes : pandas.DataFrame or None
        Estimated change per level: ``level``, ``estimate``, ``ci_low``, ``ci_high``. Where it is
        None, the bar is the difference of the two `means`, without an interval.
    unit : str
        Unit of the outcome.
    ax : sequence of matplotlib.axes.Axes, optional
        One per level, and one more for the change.

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = list(levels) if by is not None and len(levels) else [""]
    present = [visit for visit in visits if visit in set(values["visit"].astype(str))]
    n = len(names) + (len(present) > 1)
    if ax is None:
        _, axes = new_axes(width=min(9.6, 1.2 + 2.3 * n), height=3.25, columns=n)
    else:
        axes = list(ax)
    colours, markers = level_colours(names), level_markers(names)
    people = {
        name: wide(values if not name else _at(values, by, name), value="value", visits=present)
        for name in names
    }
    for panel, name in zip(axes, names, strict=False):
        x = list(range(len(present)))
        own = people[name].reindex(columns=present)
        draw_people(panel, own, x=x, colour=colours[name], marker=markers[name])
        shown = means_at(means, name, present)
        if shown is not None:
            at = [present.index(visit) for visit in shown["visit"]]
            draw_means(panel, shown, x=at, colour=colours[name], marker=markers[name])
        panel.set_xticks(x, [f"{v}\nn = {int(own[v].notna().sum())}" for v in present])
        panel.set_xlim(-0.35, len(present) - 0.65)
        panel.set_title(name or "everyone", fontsize=9.5)
    _share_scale(axes[: len(names)], unit=unit)
    if len(present) > 1 and len(axes) > len(names):
        first, last = present[0], present[-1]
        plot_change(
            people, means, first=first, last=last, changes=changes, unit=unit, ax=axes[len(names)]
        )
    return figure_of(axes[0])


@styled
def plot_change(
    people: dict[str, pd.DataFrame],
    means: pd.DataFrame | None,
    *,
    first: str,
    last: str,
    changes: pd.DataFrame | None = None,
    unit: str = "Fisher z",
    ax: Axes | None = None,
) -> Figure:
    """Draw each person's change between two visits, and the model's change per level.

    Parameters
    ----------
    people : dict of str to pandas.DataFrame
        Level -> people by visits.
    means, changes : pandas.DataFrame or None
        As in :func:`plot_hypothesis`.
    first, last : str
        The two visits.
    unit : str
        Unit of the outcome.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; default a new figure.
    """
    if ax is None:
        _, (ax,) = new_axes(width=3.2, height=3.25)
    names = list(people)
    colours, markers = level_colours(names), level_markers(names)
    draw_zero(ax)
    counts = []
    for i, name in enumerate(names):
        both = people[name].reindex(columns=[first, last]).dropna()
        sizes = (both[last] - both[first]).sort_values(kind="stable")
        change = sizes.to_numpy(dtype=float)
        counts.append(len(change))
        points = ax.scatter(
            i - 0.12 + np.asarray(swarm(list(change), width=0.4)), change, s=13, marker=markers[name],
            color=colours[name], alpha=0.55, linewidths=0, zorder=3,
        )  # fmt: skip
        mark_people(points, list(sizes.index.astype(str)))
        estimate, low, high = _change_of(name, changes, means, first=first, last=last)
        if np.isfinite(estimate):
            ax.bar(i, estimate, width=0.62, color=colours[name], alpha=0.22, zorder=2)
            ax.plot([i - 0.31, i + 0.31], [estimate] * 2, color=colours[name], linewidth=2.2)
        if np.isfinite(low) and np.isfinite(high):
            ax.errorbar(
                i + 0.2, estimate, yerr=[[estimate - low], [high - estimate]], fmt="none", ecolor=INK,
                elinewidth=1.5, capsize=4, zorder=4,
            )  # fmt: skip
    labels = [
        f"{textwrap.fill(name, 14, break_long_words=False) or 'everyone'}\nn = {n}"
        for name, n in zip(names, counts, strict=True)
    ]
    ax.set_xticks(range(len(names)), labels)
    ax.set_xlim(-0.6, len(names) - 0.4)
    ax.set_title(f"change, {first} to {last}", fontsize=9.5)
    ax.set_ylabel(f"change ({unit})" if unit else "change")
    ax.grid(axis="y")
    return figure_of(ax)


@styled
def plot_groups(
    values: pd.DataFrame,
    means: pd.DataFrame | None,
    *,
    columns: Sequence[str],
    colours: Sequence[str],
    unit: str = "Fisher z",
    ax: Axes | None = None,
) -> Figure:
    """Draw one column of points per group and visit: controls, before, after.

    Parameters
    ----------
    values : pandas.DataFrame
        Columns ``subject``, ``column`` (which column it stands in), ``value``.
    means : pandas.DataFrame or None
        Columns ``column``, ``estimate``, ``ci_low``, ``ci_high``; without them a bar marks the
        median of each column.
    columns : sequence of str
        Columns in order.
    colours : sequence of str
        One for each column.
    unit : str
        Unit of the outcome.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; default a new figure.
    """
    if ax is None:
        _, (ax,) = new_axes(width=1.1 + 1.15 * len(columns), height=3.1)
    # People seen in two columns are joined, so that a reader sees who moved.
    joined = wide(
        values.assign(visit=values["column"]), value="value", visits=list(columns)
    ).reindex(columns=list(columns))
    places = joined.copy()
    for i, name in enumerate(columns):
        known = joined[name].dropna().sort_values()
        aside = pd.Series(swarm(list(known), width=0.5), index=known.index, dtype=float)
        places[name] = i + aside.reindex(joined.index)
    for name, row, at in zip(
        joined.index.astype(str),
        joined.to_numpy(dtype=float),
        places.to_numpy(dtype=float),
        strict=True,
    ):
        kept = np.isfinite(row)
        if kept.sum() > 1:
            (line,) = ax.plot(at[kept], row[kept], color=FAINT, linewidth=0.8, zorder=1)
            mark_people(line, [name])
    labels = []
    for i, name in enumerate(columns):
        own = joined[name].dropna()
        points = ax.scatter(
            places.loc[own.index, name], own, s=14, color=colours[i],
            marker=MARKERS[i % len(MARKERS)], alpha=0.7, linewidths=0, zorder=2,
        )  # fmt: skip
        mark_people(points, list(own.index.astype(str)))
        labels.append(f"{name}\nn = {len(own)}")
        mean = None if means is None else means[means["column"].astype(str) == name]
        if mean is not None and len(mean):
            one = mean.iloc[[0]]
            draw_means(ax, one, x=[i + 0.33], colour=colours[i], marker="o")
        elif len(own):
            ax.plot([i - 0.3, i + 0.3], [own.median()] * 2, color=INK, linewidth=1.8, zorder=3)
    ax.set_xticks(range(len(columns)), labels)
    ax.set_xlim(-0.5, len(columns) - 0.3)
    ax.set_ylabel(unit)
    ax.grid(axis="y")
    return figure_of(ax)


def _at(values: pd.DataFrame, by: str | None, name: str) -> pd.DataFrame:
    if by is None or by not in values.columns:
        return values.iloc[0:0]
    return values[values[by].astype(str) == name]


def _share_scale(axes: Sequence[Axes], *, unit: str) -> None:
    limits = [panel.get_ylim() for panel in axes]
    low, high = min(a for a, _ in limits), max(b for _, b in limits)
    for i, panel in enumerate(axes):
        panel.set_ylim(low, high)
        panel.grid(axis="y")
        if i:
            panel.tick_params(labelleft=False)
        else:
            panel.set_ylabel(unit)


def _change_of(
    name: str,
    changes: pd.DataFrame | None,
    means: pd.DataFrame | None,
    *,
    first: str,
    last: str,
) -> tuple[float, float, float]:
    if changes is not None and len(changes):
        row = changes[changes["level"].astype(str) == name]
        if len(row):
            one = row.iloc[0]
            return as_float(one["estimate"]), as_float(one["ci_low"]), as_float(one["ci_high"])
    both = means_at(means, name, [first, last])
    if both is not None and len(both) == 2:
        estimate = both["estimate"].to_numpy(dtype=float)
        return float(estimate[1] - estimate[0]), np.nan, np.nan
    return np.nan, np.nan, np.nan
