"""One person in all figures: who drew which line, by a number that names nobody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from connectrial.figures.lines import people_of
from connectrial.report.blocks import Block, Section, live_block
from connectrial.report.live import Live
from connectrial.report.panel import Panel
from connectrial.report.source import table
from connectrial.results import Results

_MARK = "who_"
_MARKED = re.compile(rf'\bid="[^"]*{_MARK}([0-9_]+)"')
_SECTIONS = ("clinical", "hypotheses", "groups")


def number_people(results: Results, panels: Sequence[Panel]) -> list[int]:
    """Give what people drew in figures their numbers, counted from 1 in the order of ``subjects``.

    Parameters
    ----------
    results : Results
        What was found.
    panels : sequence of Panel
        Whose figures are marked; see ``figures.lines.mark_people``.

    Returns
    -------
    list of int
        Numbers of the people who occur, in order.
    """
    known = _order(results)
    seen: set[int] = set()
    for panel in panels:
        if panel.figure is None:
            continue
        for axes in panel.figure.axes:
            for artist in (*axes.lines, *axes.collections):
                people = people_of(artist)
                if people:
                    own = [known.setdefault(one, len(known) + 1) for one in people]
                    seen.update(own)
                    artist.set_gid(_MARK + "_".join(map(str, own)))
    return sorted(seen)


def with_people(svg: str) -> str:
    """Turn the numbers of people in an SVG's ids into ``data-who``: ids would not be unique."""
    return _MARKED.sub(lambda found: f'data-who="{found[1].replace("_", " ")}"', svg)


def offer_people(sections: Sequence[Section], people: Sequence[int]) -> list[Section]:
    """Put a choice of one person above the figures of people."""
    if len(people) < 2:
        return list(sections)
    live = Live(
        kind="people",
        title="One person in all figures",
        how="Point at a line or a dot, or choose a number here: the same person stands out in every "
        "figure of the page, everybody else fades. Click to keep a person, Escape to let go. The "
        "numbers are the rows of the table of people and name nobody.",
        data={"people": list(people)},
    )
    return [
        replace(section, blocks=(*live_block(live), *section.blocks))
        if section.key in _SECTIONS and _has_people(section.blocks)
        else section
        for section in sections
    ]


def _has_people(blocks: Sequence[Block]) -> bool:
    figures = [p.figure for b in blocks for p in b.panels if p.figure is not None]
    return any(people_of(line) for f in figures for a in f.axes for line in a.lines)


def _order(results: Results) -> dict[str, int]:
    listed = table(results, "subjects")
    if listed is None or "subject" not in listed.columns:
        return {}
    return {name: i + 1 for i, name in enumerate(pd.unique(listed["subject"].astype(str)))}
