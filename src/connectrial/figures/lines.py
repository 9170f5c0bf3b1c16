"""Lines of people over visits, with means and intervals on top: what several figures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from connectrial.figures.palette import MUTED, PAPER

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


def wide(table: pd.DataFrame, *, value: str, visits: Sequence[str]) -> pd.DataFrame:
    """Turn a long table into people by visits, visits in the given order.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``subject``, ``visit`` and `value`; one row per person and visit.
    value : str
        Column to spread out.
    visits : sequence of str
        Visits in order; those that the table lacks are left out.
    """
    long = table.assign(visit=table["visit"].astype(str), subject=table["subject"].astype(str))
    long = long.dropna(subset=[value]).drop_duplicates(["subject", "visit"], keep="first")
    spread = long.pivot_table(index="subject", columns="visit", values=value, observed=True)
    return spread.reindex(columns=[visit for visit in visits if visit in spread.columns])


def draw_people(
    ax: Axes,
    people: pd.DataFrame,
    *,
    x: Sequence[float],
    colour: str,
    marker: str,
) -> None:
    """Draw one thin line per person; people seen once are open circles.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where.
    people : pandas.DataFrame
        People by visits (see :func:`wide`).
    x : sequence of float
        Place of each visit.
    colour, marker : str
        Of the lines and of their ends.
    """
    places = np.asarray(x, dtype=float)
    values = people.to_numpy(dtype=float)
    once = np.isfinite(values).sum(axis=1) == 1
    names = people.index.astype(str).to_numpy()
    for name, row in zip(names[~once], values[~once], strict=True):
        kept = np.isfinite(row)
        (line,) = ax.plot(
            places[kept], row[kept], color=colour, alpha=0.45, linewidth=0.8, marker=marker,
            markersize=2.6, markeredgewidth=0,
        )  # fmt: skip
        mark_people(line, [name])
    for name, row in zip(names[once], values[once], strict=True):
        kept = np.isfinite(row)
        (line,) = ax.plot(
            places[kept], row[kept], linestyle="none", marker=marker, markersize=3.6,
            markerfacecolor=PAPER, markeredgecolor=colour, markeredgewidth=0.9, alpha=0.8,
        )  # fmt: skip
        mark_people(line, [name])


def mark_people(artist: Artist, people: Sequence[str]) -> None:
    """Note on an artist whose it is, so that a page can tell people apart.

    Parameters
    ----------
    artist : matplotlib.artist.Artist
        A line of one person, or points of several.
    people : sequence of str
        In the order of the points. The note never reaches a file: a label that starts with an
        underscore stands in no legend and in no SVG.
    """
    artist.set_label(_PEOPLE + "\x1f".join(people))


def people_of(artist: Artist) -> list[str]:
    """Return whose an artist is, in the order of its points; empty where nobody noted it."""
    label = str(artist.get_label())
    return label.removeprefix(_PEOPLE).split("\x1f") if label.startswith(_PEOPLE) else []


_PEOPLE = "_people\x1f"


def draw_means(
    ax: Axes,
    means: pd.DataFrame,
    *,
    x: Sequence[float],
    colour: str,
    marker: str,
    **line: Any,  # noqa: ANN401 - matplotlib's line properties
) -> None:
    """Draw means with their intervals, joined by a line.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where.
    means : pandas.DataFrame
        Columns ``estimate``, ``ci_low``, ``ci_high``; one row for each of `x`.
    x : sequence of float
        Places.
    colour, marker : str
        Of the line and of the means.
    **line
        Further properties of the line.
    """
    estimate = means["estimate"].to_numpy(dtype=float)
    low = estimate - means["ci_low"].to_numpy(dtype=float)
    high = means["ci_high"].to_numpy(dtype=float) - estimate
    if np.isfinite(low).any():
        bars = np.nan_to_num(np.vstack([low, high])).clip(min=0.0)
        ax.errorbar(
            x, estimate, yerr=bars, fmt="none", ecolor=colour, elinewidth=1.8, capsize=3.5,
            capthick=1.4, zorder=4,
        )  # fmt: skip
    ax.plot(
        x, estimate, color=colour, linewidth=line.pop("linewidth", 2.2), marker=marker,
        markersize=6.5, markeredgecolor=PAPER, markeredgewidth=0.9, zorder=5, **line,
    )  # fmt: skip


def fitted_names(
    names: Sequence[str], places: Sequence[float], *, inches: float, lines: int = 2
) -> tuple[list[str], float]:
    """Return names as they fit below an axis, and how far they are turned.

    Parameters
    ----------
    names : sequence of str
        Of visits.
    places : sequence of float
        Where they stand on the axis.
    inches : float
        From the first to the last of them.
    lines : int
        1 where words may not be broken.

    Returns
    -------
    list of str
        In one line, else word below word.
    float
        Degrees: 0, or 40 where neither fits.
    """
    order = np.argsort(places, kind="stable")
    at = np.asarray(places, dtype=float)[order]
    span = float(np.ptp(at)) if len(at) else 0.0
    gaps = np.diff(at) / (span or 1.0) * inches
    for words in (list(names), [name.replace(" ", "\n") for name in names])[:lines]:
        wide_ = [_LETTER_INCHES * max(map(len, words[i].split("\n"))) for i in order]
        if all(gap >= (a + b) / 2 for gap, a, b in zip(gaps, wide_, wide_[1:], strict=False)):
            return words, 0.0
    return list(names), 40.0


_LETTER_INCHES = 0.085  # a letter below an axis, and a little room between names


def draw_zero(ax: Axes) -> None:
    """Draw the line of no difference."""
    ax.axhline(0.0, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)


def means_at(means: pd.DataFrame | None, level: str, visits: Sequence[str]) -> pd.DataFrame | None:
    """Pick a level's means in the order of the visits; None where there are none.

    Model-based means come before observed ones.
    """
    if means is None or not len(means):
        return None
    part = means[means["by"].fillna("").astype(str) == level]
    if "source" in part.columns and (part["source"] == "model").any():
        part = part[part["source"] == "model"]
    part = part.assign(visit=part["visit"].astype(str)).drop_duplicates("visit").set_index("visit")
    present = [visit for visit in visits if visit in part.index]
    return part.loc[present].reset_index() if present else None
