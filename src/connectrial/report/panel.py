"""A figure with all that a page says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from connectrial.report.live import Live

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        The drawing; None where `svg` is given.
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
