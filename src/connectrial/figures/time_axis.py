"""Concentration, acute effects and symptoms, one below the other on one axis of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from connectrial.figures.palette import (
    LINES,
    MUTED,
    PAPER,
    figure_of,
    level_colours,
    level_markers,
    new_axes,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Hours at which an axis from minutes to weeks is labelled.
_TICKS_H = {
    0.0: "0", 0.5: "30 min", 1.0: "1 h", 2.0: "2 h", 4.0: "4 h", 8.0: "8 h", 24.0: "1 d",
    72.0: "3 d", 168.0: "1 wk", 336.0: "2 wk", 672.0: "4 wk", 1344.0: "8 wk", 2688.0: "16 wk",
}  # fmt: skip


@styled
def plot_time_axis(
    curves: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    levels: Sequence[str] = ("",),
    units: Mapping[str, str] | None = None,
    wide: bool | None = None,
) -> Figure:
    """Draw concentrations above and the mean of each scale below, times being true to scale.

    Parameters
    ----------
    curves : pandas.DataFrame
        ``level``, ``time_h``, ``ketamine_ng_ml``: a typical concentration of each level, ng/ml.
    outcomes : pandas.DataFrame
        ``scale``, ``level``, ``time_h``, ``estimate``, ``ci_low``, ``ci_high``; one panel a scale, in
        the order of the table. Hours below 0 are drawn at 0, as the baseline.
    levels : sequence of str
        Levels (arms) in order; "" for everybody.
    units : mapping of str to str, optional
        Scale -> unit.
    wide : bool, optional
        Whether the axis is linear up to an hour and logarithmic from there; default: where the last
        time is more than fifty times the first one after 0.
    """
    scales = list(dict.fromkeys(outcomes["scale"].astype(str)))
    heights = [1.25, *([1.0] * len(scales))]
    _, axes = new_axes(
        width=7.2,
        height=0.9 + 1.45 * sum(heights),
        rows=len(heights),
        sharex=True,
        height_ratios=heights,
    )
    colours, markers = level_colours(levels), level_markers(levels)
    style = {name: LINES[i % len(LINES)] for i, name in enumerate(levels)}
    for name in levels:
        own = curves[curves["level"].astype(str) == name]
        axes[0].plot(
            own["time_h"], own["ketamine_ng_ml"], color=colours[name], linestyle=style[name],
            linewidth=1.6, label=name or "everyone",
        )  # fmt: skip
    axes[0].set_ylabel("ketamine\n(ng/ml, modelled)")
    axes[0].set_ylim(bottom=0)
    for ax, scale in zip(axes[1:], scales, strict=True):
        table = outcomes[outcomes["scale"].astype(str) == scale]
        for name in levels:
            own = table[table["level"].astype(str) == name].sort_values("time_h")
            _draw_means(ax, own, colours[name], markers[name], style[name], name)
        unit = (units or {}).get(scale, "")
        ax.set_ylabel(f"{scale}\n({unit})" if unit else scale)
    # The first panel with a line of every level carries the legend: placebo has no concentration.
    axes[1 if scales else 0].legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=min(5, len(levels)), handlelength=2.2
    )
    times = np.unique([*curves["time_h"], *outcomes["time_h"].clip(lower=0)])
    _lay_time(axes[-1], times, wide=wide)
    for ax in axes:
        ax.grid(axis="both")
    return figure_of(axes[0])


def _draw_means(
    ax: Axes,
    own: pd.DataFrame,
    colour: str,
    marker: str,
    line: Any,  # noqa: ANN401 - what matplotlib takes
    name: str,
) -> None:
    x = own["time_h"].clip(lower=0).to_numpy(dtype=float)
    y = own["estimate"].to_numpy(dtype=float)
    low = np.nan_to_num(y - own["ci_low"].to_numpy(dtype=float))
    high = np.nan_to_num(own["ci_high"].to_numpy(dtype=float) - y)
    ax.errorbar(
        x, y, yerr=[low, high], color=colour, marker=marker, markersize=4.5, linestyle=line,
        linewidth=1.5, elinewidth=0.9, capsize=0, markeredgecolor=PAPER, markeredgewidth=0.5,
        label=name or "everyone",
    )  # fmt: skip


def _lay_time(ax: Axes, times: Any, *, wide: bool | None) -> None:  # noqa: ANN401 - an array
    after = times[times > 0]
    last = float(after.max()) if len(after) else 1.0
    if wide is None:
        wide = bool(len(after)) and last > 50 * float(after.min())
    if not wide:
        per = 24.0 if last > 96 else 1.0
        step = _round_step(last / per)
        ticks = np.arange(0, last / per + 0.5 * step, step)
        ax.set_xticks(ticks * per, [f"{t:g}" for t in ticks])
        ax.set_xlabel("days from the first dose" if per > 1 else "hours from the first dose")
        ax.set_xlim(-0.02 * last, 1.02 * last)
        return
    ax.set_xscale("symlog", linthresh=1.0, linscale=0.9)
    chosen = {h: word for h, word in _TICKS_H.items() if h <= 1.05 * last}
    ax.set_xticks(list(chosen), list(chosen.values()))
    ax.minorticks_off()
    ax.set_xlabel("time from the first dose (linear up to an hour, then logarithmic)")
    ax.set_xlim(-0.06, 1.15 * last)
    ax.tick_params(axis="x", colors=MUTED)


def _round_step(span: float) -> float:
    raw = span / 8
    magnitude = 10.0 ** np.floor(np.log10(raw)) if raw > 0 else 1.0
    choices = (1, 2, 2.5, 5, 10) if span <= 20 else (1, 2, 7 / magnitude if raw <= 7 else 5, 10)
    return float(next((c * magnitude for c in sorted(choices) if c * magnitude >= raw), raw))
