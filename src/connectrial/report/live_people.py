"""One person in all figures: who drew which line, by a number that names nobody."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from connectrial.figures.lines import people_of
from connectrial.report.blocks import Block, Section, live_block
from connectrial.report.live import Live
from connectrial.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARK = "who_"
_MARKED = re.compile(rf'\bid="[^"]*{_MARK}([0-9_]+)"')
_SECTIONS = ("clinical", "hypotheses", "groups")


def number_people(results: Results) -> dict[str, int]:
    """Give people their numbers, counted from 1 in the order of ``subjects``.

    Parameters
    ----------
    results : Results
        What was found. People who stand in other tables alone come after those of ``subjects``.

    Returns
    -------
    dict of str to int
    """
    tables = dict(results.tables)
    listed = [tables.pop("subjects", None), *tables.values()]
    names = [
        pd.Series(pd.unique(rows["subject"].astype(str)))
        for rows in listed
        if rows is not None and "subject" in rows.columns
    ]
    every = pd.unique(pd.concat(names)) if names else []
    return {str(name): i + 1 for i, name in enumerate(every)}


def mark_numbers(figure: Figure, numbers: Mapping[str, int]) -> frozenset[int]:
    """Write into a figure which line is whose, by number; return the numbers.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Its artists know their people; see ``figures.lines.mark_people``.
    numbers : mapping of str to int
        Of :func:`number_people`.
    """
    seen: set[int] = set()
    for axes in figure.axes:
        for artist in (*axes.lines, *axes.collections):
            own = [numbers[one] for one in people_of(artist) if one in numbers]
            if own:
                seen.update(own)
                artist.set_gid(_MARK + "_".join(map(str, own)))
    return frozenset(seen)


def with_people(svg: str) -> str:
    """Turn the numbers of people in an SVG's ids into ``data-who``: ids would not be unique."""
    return _MARKED.sub(lambda found: f'data-who="{found[1].replace("_", " ")}"', svg)


def offer_people(sections: Sequence[Section]) -> list[Section]:
    """Put a choice of one person above the figures of people; `sections` are drawn."""
    people = sorted(frozenset().union(*(_people(section.blocks) for section in sections)))
    if len(people) < 2:
        return list(sections)
    live = Live(
        kind="people",
        title="One person in all figures",
        how="Point at a line or a dot, or choose a number here: the same person stands out in every "
        "figure of the page, everybody else fades. Click to keep a person, Escape to let go. The "
        "numbers are the rows of the table of people and name nobody.",
        data={"people": people},
    )
    return [
        replace(section, blocks=(*live_block(live), *section.blocks))
        if section.key in _SECTIONS and _people(section.blocks)
        else section
        for section in sections
    ]


def _people(blocks: Sequence[Block]) -> frozenset[int]:
    drawings = [panel.drawing for block in blocks for panel in block.panels]
    own = [drawing.people for drawing in drawings if drawing is not None]
    return frozenset().union(*own, *(_people(block.blocks) for block in blocks))
