"""What goes with what over people, as a chart that answers to a pointer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from connectrial.figures.charts import by_choice, chosen_in, pointed_person
from connectrial.figures.numbers import term_words
from connectrial.figures.palette import INK, LEVELS

if TYPE_CHECKING:
    import altair as alt


def chart_association(points: pd.DataFrame, *, words: Mapping[str, str]) -> alt.ConcatChart:
    """Chart what goes with what over people, one panel per term, one person marked in all.

    Parameters
    ----------
    points : pandas.DataFrame
        Columns ``subject``, ``term``, ``x``, ``y``, ``x_name``, ``y_name``.
    words : mapping of str to str
        Term -> coefficient with interval and p, for the panel's title.
    """
    import altair as alt

    pointed = pointed_person()
    # What all panels have in common is made once, and the choice of a person named above them all:
    # altair would copy and compare them over and over, for longer than it takes to draw the figure.
    any_dots = (
        alt.Chart()
        .mark_circle(color=LEVELS[0])
        .encode(
            size=by_choice(alt.SizeValue, pointed, 190, 48),
            opacity=by_choice(alt.OpacityValue, pointed, 1, 0.65),
            tooltip=[
                alt.Tooltip("person:N"),
                alt.Tooltip("x:Q", format=".4~g"),
                alt.Tooltip("y:Q", format=".4~g"),
            ],
        )
    )
    any_line = alt.Chart().transform_regression("x", "y").mark_line(color=INK, strokeWidth=1.4)
    panels: list[Any] = []
    views: list[str] = []
    for term, here in points.groupby("term", sort=False):
        own = here.rename(columns={"subject": "person"})[["person", "x", "y"]]
        names = here.iloc[0]
        x = alt.X("x:Q", title=str(names["x_name"]), scale=alt.Scale(zero=False),
                  axis=alt.Axis(tickCount=4))  # fmt: skip
        y = alt.Y("y:Q", title=str(names["y_name"]), scale=alt.Scale(zero=False))
        title = alt.TitleParams(term_words(term, "correlation"), subtitle=words.get(str(term), ""))
        views.append(f"view_{len(views)}")
        dots = any_dots.encode(x=x, y=y).properties(name=views[-1])
        panels.append(
            alt.layer(any_line.encode(x=x, y=y), dots, data=own).properties(
                width=220, height=190, title=title
            )
        )
    words_ = f"{len(panels)} scatter plots, one for each term"
    made: alt.ConcatChart = alt.concat(*panels, columns=3).properties(description=words_)
    made.params = [chosen_in(pointed, views)]
    return made
