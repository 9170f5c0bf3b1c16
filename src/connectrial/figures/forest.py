"""Estimates with their intervals in rows: hypotheses, degrees of freedom, known truth."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from connectrial.figures.numbers import (
    ABSENT,
    as_float,
    df_name,
    first_note,
    format_df,
    format_interval,
    format_number,
    format_p,
    term_words,
)
from connectrial.figures.palette import (
    INK,
    MUTED,
    PAPER,
    ROLE_COLOURS,
    ROLE_MARKERS,
    figure_of,
    new_axes,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = (0.0, 0.53, 0.66)  # where the numbers beside the drawing start
_USUAL, _LETTER = 28, 0.018  # letters before the p that have room, and what each more takes


@styled
def plot_forest(
    rows: pd.DataFrame, *, unit: str = "Fisher z", ax: Sequence[Axes] | None = None
) -> Figure:
    """Draw estimates with intervals; rows that differ in df method alone stand close together.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns ``label``, ``role``, ``estimate``, ``ci_low``, ``ci_high``, ``p``, ``df``,
        ``df_method``, ``flags``, ``first`` (False for rows that are drawn fainter: another df method,
        or a sensitivity), optionally ``apart`` (whether a row stands apart from the one above; else
        as ``first``). A label of a row that does not stand apart is written smaller.
    unit : str
        Unit of all estimates.
    ax : sequence of matplotlib.axes.Axes, optional
        Two axes, for the drawing and for the numbers beside it; default a new figure.
    """
    records = rows.to_dict("records")
    places = _places(records)
    depth = places[-1] if places else 0.0
    long = max((len(_value(row)) for row in records), default=0)
    more = _LETTER * max(0, long - _USUAL)
    if ax is None:
        _, ax = new_axes(
            width=9.8 * (1 + more / 2), height=1.15 + 0.31 * (depth + 1), columns=2,
            width_ratios=(1.0, 1.0 + more),
        )  # fmt: skip
    columns = [(x + more if x else x) / (1 + more) for x in _COLUMNS]
    drawing, numbers = ax
    drawing.axvline(0.0, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
    ticks: list[tuple[float, str, bool]] = []
    for row, y in zip(records, places, strict=True):
        _draw_row(drawing, row, y)
        _write_row(numbers, row, y, columns=columns)
        if _apart(row) or ("apart" in row and row["label"]):
            ticks.append((y, str(row["label"]), _apart(row)))
    drawing.set_yticks([y for y, *_ in ticks], [label for _, label, _ in ticks])
    for text, (_, _, apart) in zip(drawing.get_yticklabels(), ticks, strict=True):
        if not apart:
            text.set(fontsize=7.0, color=MUTED)
    for panel in ax:
        panel.set_ylim(depth + 0.7, -0.8)
    drawing.tick_params(axis="y", length=0)
    drawing.spines["left"].set_visible(False)
    drawing.grid(axis="x")
    drawing.set_xlabel(f"estimate and interval ({unit})" if unit else "estimate and interval")
    numbers.set_xlim(0.0, 1.0)
    numbers.axis("off")
    for x, head in zip(columns, ("estimate [interval]", "p", "df (method)"), strict=True):
        text = numbers.text(x, -0.85, head, fontsize=8, color=MUTED, va="bottom")
        text.set_in_layout(False)
    _legend(drawing, records)
    return figure_of(drawing)


def _apart(row: dict[Hashable, Any]) -> bool:
    return bool(row.get("apart", row["first"]))


def _places(records: list[dict[Hashable, Any]]) -> list[float]:
    """Rows one apart; the other df methods of the same estimate closer below it."""
    places: list[float] = []
    above = False  # whether the label above has two lines
    for row in records:
        tall = "\n" in str(row["label"])
        if _apart(row):
            step = 1.3 if tall else 1.0
        else:
            step = 0.9 if above and row["label"] and "apart" in row else 0.62
        places.append(0.0 if not places else places[-1] + step)
        above = tall
    return places


def _draw_row(ax: Axes, row: dict[Hashable, Any], y: float) -> None:
    role = str(row["role"])
    colour = ROLE_COLOURS.get(role, MUTED)
    declared = bool(row["first"])
    estimate, low, high = (as_float(row[name]) for name in ("estimate", "ci_low", "ci_high"))
    if np.isfinite(low) and np.isfinite(high):
        ax.plot(
            [low, high], [y, y], color=colour, linewidth=2.2 if declared else 1.1,
            alpha=1.0 if declared else 0.65, solid_capstyle="butt",
        )  # fmt: skip
    ax.plot(
        estimate, y, marker=ROLE_MARKERS.get(role, "o"), markersize=6.5 if declared else 4.0,
        color=colour, markerfacecolor=colour if declared else PAPER, markeredgewidth=1.0,
    )  # fmt: skip


def _value(row: dict[Hashable, Any]) -> str:
    return f"{format_number(row['estimate'])} {format_interval(row['ci_low'], row['ci_high'])}"


def _write_row(ax: Axes, row: dict[Hashable, Any], y: float, *, columns: Sequence[float]) -> None:
    declared = bool(row["first"])
    style: dict[str, Any] = {
        "fontsize": 8.5 if declared else 7.5,
        "color": INK if declared else MUTED,
    }
    named = df_name(row["df_method"])
    numerator = row["df_numerator"] if row.get("statistic_name") == "F" else None
    df = format_df(row["df"], numerator=numerator)
    method = f"{df} ({named})" if named else "" if df == ABSENT else df
    for x, text in zip(columns, (_value(row), format_p(row["p"]), method), strict=True):
        ax.text(x, y, text, va="center", **style).set_in_layout(False)


def _legend(ax: Axes, records: list[dict[Hashable, Any]]) -> None:
    for role in dict.fromkeys(str(row["role"]) for row in records):
        notes = {first_note(row["flags"]) for row in records if row["role"] == role}
        alike = role == "sensitivity" and len(notes) == 1 and notes != {""}
        ax.plot(
            [], [], marker=ROLE_MARKERS.get(role, "o"), color=ROLE_COLOURS.get(role, MUTED),
            linewidth=2, markersize=5.5, label=f"{role}: {notes.pop()}" if alike else role,
        )  # fmt: skip
    if any(not row["first"] and row["role"] != "sensitivity" for row in records):
        ax.plot(
            [], [], marker="o", color=MUTED, markerfacecolor=PAPER, linewidth=1, markersize=4,
            label="same estimate, other df method",
        )  # fmt: skip
    # Outside the axes, so that its width does not narrow the drawing.
    figure_of(ax).legend(
        handles=ax.get_legend_handles_labels()[0], loc="outside upper left", ncols=3
    )


@styled
def plot_truth(truth: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """Draw estimates and intervals of a simulated trial beside the truth that made the data.

    Parameters
    ----------
    truth : pandas.DataFrame
        Columns ``name``, ``term``, ``truth``, ``estimate``, ``ci_low``, ``ci_high``, ``covered``.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; default a new figure.
    """
    if ax is None:
        _, (ax,) = new_axes(width=7.2, height=1.1 + 0.26 * len(truth))
    ax.axvline(0.0, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
    for y, row in enumerate(truth.to_dict("records")):
        known = not pd.isna(row["covered"])
        colour = MUTED if not known else "#0072b2" if bool(row["covered"]) else "#d55e00"
        low, high = as_float(row["ci_low"]), as_float(row["ci_high"])
        if np.isfinite(low) and np.isfinite(high):
            ax.plot([low, high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
        ax.plot(as_float(row["estimate"]), y, "o", color=colour, markersize=6)
        ax.plot(as_float(row["truth"]), y, "|", color=INK, markersize=13, markeredgewidth=2.2)
    labels = [f"{row['name']}: {term_words(row['term'])}" for row in truth.to_dict("records")]
    ax.set_yticks(range(len(truth)), labels)
    ax.set_ylim(len(truth) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")
    ax.set_xlabel("Fisher z")
    styles: dict[str, dict[str, Any]] = {
        "truth": {"marker": "|", "color": INK, "markersize": 11, "markeredgewidth": 2.2},
        "estimate, interval covers the truth": {"marker": "o", "color": "#0072b2"},
        "interval misses the truth": {"marker": "o", "color": "#d55e00"},
    }
    for label, style in styles.items():
        ax.plot([], [], linewidth=0 if label == "truth" else 2, label=label, **style)
    figure_of(ax).legend(
        handles=ax.get_legend_handles_labels()[0], loc="outside upper left", ncols=3
    )
    return figure_of(ax)
