"""A figure with all that a page says about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from connectrial.report.live import Live

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A panel's figure, drawn.

    Attributes
    ----------
    inline : str
        An ``svg`` element for the page; text from tables is escaped in it.
    people : frozenset of int
        Numbers of the people who are marked in it.
    links : tuple of (str, str)
        Words and ``data:`` address of each download of what was drawn.
    written : tuple of Path
        Files in which figure and data were saved; empty where nothing is saved.
    """

    inline: str
    people: frozenset[int] = frozenset()
    links: tuple[tuple[str, str], ...] = ()
    written: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Panel:
    """A figure, its words and its data.

    Attributes
    ----------
    name : str
        Name of its files, unique on the page.
    title : str
        What it shows.
    how : str
        How to read it, in one line.
    alt : str
        The same for those who cannot see it.
    figure : matplotlib.figure.Figure or None
        The figure; None where `svg` is given, and once it is drawn.
    svg : str
        A drawing of our own, as an ``svg`` element.
    data : pandas.DataFrame or None
        What was drawn.
    index : bool
        Whether the index of `data` belongs to it (matrices).
    methods : str
        How it was made, in a sentence that a figure legend could take; empty where `how` says it.
    parts : tuple of (str, pandas.DataFrame)
        What was drawn, where it is several tables: words for each, and the table with its index.
    min_width_px : int
        Below this width it scrolls sideways and does not shrink any more.
    live : Live or None
        The same data as a chart that answers to the reader; the drawing then stands below it, folded.
    drawing : Drawing or None
        What the page shows; None before the figure is drawn.
    """

    name: str
    title: str
    how: str
    alt: str
    figure: Figure | None = None
    svg: str = ""
    data: pd.DataFrame | None = None
    index: bool = False
    methods: str = ""
    parts: tuple[tuple[str, pd.DataFrame], ...] = ()
    min_width_px: int = 480
    live: Live | None = None
    drawing: Drawing | None = None


def slug(text: str) -> str:
    """Turn any text into an id or a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "item"


def figure_name(panel: Panel) -> str:
    """Return the name of a panel's files."""
    return slug(panel.name).replace("-", "_")
