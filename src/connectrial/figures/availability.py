"""Who was seen when: people by visits, for scans and for each scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from connectrial.figures.palette import FAINT, INK, MUTED, PAPER, figure_of, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: State -> (marker, face, edge, words).
STATES: dict[str, tuple[str, str, str, str]] = {
    "complete": ("s", "#0072b2", "#0072b2", "complete"),
    "partial": ("s", PAPER, "#0072b2", "partial: some sessions or runs only"),
    "excluded": ("X", "#d55e00", "#d55e00", "there, but excluded"),
    "missing": (".", FAINT, FAINT, "missing"),
}


@styled
def plot_availability(
    availability: pd.DataFrame,
    *,
    visits: Sequence[str],
    blocks: Mapping[str, Sequence[str]],
    ax: Axes | None = None,
) -> Figure:
    """Draw a column per person and a row per thing seen at a visit.

    Parameters
    ----------
    availability : pandas.DataFrame
        Columns ``subject``, ``visit``, ``what`` (``scan`` or a scale), ``state`` (one of
        :data:`STATES`).
    visits : sequence of str
        Visits in order.
    blocks : mapping of str to sequence of str
        Name of a group or arm -> its people, in the order in which they are drawn.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; default a new figure.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = [
        (what, visit)
        for what in dict.fromkeys(availability["what"].astype(str))
        for visit in _visits_of(availability, what, visits)
    ]
    if ax is None:
        n_people = sum(len(people) for people in blocks.values())
        width = min(11.0, max(6.0, 1.9 + 0.13 * n_people))
        _, (ax,) = new_axes(width=width, height=1.35 + 0.2 * len(rows))
    place = _places(blocks)
    room = 72.0 * 0.62 * (figure_of(ax).get_figwidth() - 1.9) / max(1.0, max(place.values()) + 1)
    size = min(26.0, room**2)
    levels = {row: i for i, row in enumerate(rows)}
    pairs = zip(availability["what"].astype(str), availability["visit"].astype(str), strict=True)
    seen = availability.assign(
        x=availability["subject"].astype(str).map(place),
        y=[float(levels[pair]) for pair in pairs],
    ).dropna(subset=["x"])
    for state, (marker, face, edge, words) in STATES.items():
        part = seen[seen["state"].astype(str) == state]
        ax.scatter(
            part["x"], part["y"], marker=marker, s=size if marker != "." else 0.7 * size, facecolor=face,
            edgecolor=edge, linewidth=1.0, label=f"{words} ({len(part)})" if len(part) else None,
        )  # fmt: skip
    _label(ax, rows, blocks=blocks, place=place)
    return figure_of(ax)


def _visits_of(availability: pd.DataFrame, what: str, visits: Sequence[str]) -> list[str]:
    own = set(availability.loc[availability["what"].astype(str) == what, "visit"].astype(str))
    return [visit for visit in visits if visit in own] + sorted(own - set(visits))


def _places(blocks: Mapping[str, Sequence[str]]) -> dict[str, float]:
    place: dict[str, float] = {}
    x = 0.0
    for people in blocks.values():
        for subject in people:
            place[str(subject)] = x
            x += 1.0
        x += 1.2
    return place


def _headings(
    ax: Axes, blocks: Mapping[str, Sequence[str]], place: Mapping[str, float]
) -> list[tuple[str, int, float, float]]:
    """Give each block its heading and the line that it stands on: above a neighbour it would touch."""
    points = 72.0 * (figure_of(ax).get_figwidth() - 1.9) / max(1.0, max(place.values()) + 1)
    found: list[tuple[str, int, float, float]] = []
    ends: list[float] = []  # of the headings of each line, in points
    for name, people in blocks.items():
        if not people:
            continue
        first, last = place[str(people[0])], place[str(people[-1])]
        words = f"{name} ({len(people)})"
        half = 0.5 * 5.0 * len(words)  # a letter of 8.5 pt is about 5 pt wide
        middle = points * (first + last) / 2
        line = next((i for i, end in enumerate(ends) if middle - half > end + 6), len(ends))
        ends[line : line + 1] = [middle + half]
        found.append((words, line, first, last))
    return found


def _label(
    ax: Axes,
    rows: Sequence[tuple[str, str]],
    *,
    blocks: Mapping[str, Sequence[str]],
    place: Mapping[str, float],
) -> None:
    several = len({what for what, _ in rows}) > 1
    names = [f"{what}, {visit}" if several else visit for what, visit in rows]
    ax.set_yticks(range(len(rows)), names)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xticks([])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    for name, line, first, last in _headings(ax, blocks, place):
        ax.plot([first - 0.4, last + 0.4], [-0.75] * 2, color=MUTED, linewidth=1.2, clip_on=False)
        ax.annotate(
            name, ((first + last) / 2, -0.75), xytext=(0, 2.0 + 11.0 * line), textcoords="offset points",
            ha="center", va="bottom", fontsize=8.5, color=INK, annotation_clip=False,
        )  # fmt: skip
    changes = [i for i in range(1, len(rows)) if rows[i][0] != rows[i - 1][0]]
    for i in changes:
        ax.axhline(i - 0.5, color=FAINT, linewidth=0.8)
    # Under the names of the rows too: four states are wider than the people of a small trial.
    figure_of(ax).legend(
        *ax.get_legend_handles_labels(),
        loc="outside lower left",
        ncols=4,
        handletextpad=0.2,
        columnspacing=1.2,
    )
