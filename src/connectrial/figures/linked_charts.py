"""Charts of scans and of effects with choices of their own: quality and the forest, by altair."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from connectrial.figures.charts import by_choice, chosen_in
from connectrial.figures.palette import INK, LEVELS, MUTED, ROLE_COLOURS, swarm

if TYPE_CHECKING:
    import altair as alt

_JITTER = 34.0  # pixels over which a column of points is spread
_WIDTH, _HEIGHT = 330, 190  # of a panel of quality, in pixels
_LETTER = 6.2  # width of a letter under an axis or in a legend, in pixels


def chart_quality(
    quality: pd.DataFrame,
    *,
    measures: Mapping[str, str],
    visits: Sequence[str],
    factors: Mapping[str, Sequence[str]],
    limits: Mapping[str, float],
) -> alt.ConcatChart:
    """Chart measures of scan quality by visit, one person marked in all, coloured by a chosen factor.

    Parameters
    ----------
    quality : pandas.DataFrame
        Columns ``subject``, ``session``, ``visit``, the measures and the factors.
    measures : mapping of str to str
        Column -> title, in order.
    visits : sequence of str
        Visits in order.
    factors : mapping of str to sequence of str
        Factors by which points may be coloured, with their levels in order.
    limits : mapping of str to float
        Measure -> limit of the study file.
    """
    import altair as alt

    pointed = alt.selection_point(
        name="pointed", fields=["person"], on="pointerover", clear="pointerout", empty=False
    )
    views = [f"view_{i}" for i in range(len(measures))]
    panels = [
        _panel(quality, measure, title, visits, factors, limits.get(measure), pointed, view)
        for (measure, title), view in zip(measures.items(), views, strict=True)
    ]
    chart: Any = alt.concat(*panels, columns=2)
    # One choice for all panels, named once: altair would compare it panel by panel.
    chart.params = [chosen_in(pointed, views)]
    if len(factors) > 1:
        chart = chart.add_params(_factor_choice(factors))
    made: alt.ConcatChart = chart.properties(
        description=f"Quality of {len(quality)} scans: {', '.join(measures.values())}"
    )
    return made


def _factor_choice(factors: Mapping[str, Sequence[str]]) -> Any:  # noqa: ANN401 - altair's parameter
    import altair as alt

    places = [f"f{i}" for i in range(len(factors))]
    box = alt.binding_select(options=places, labels=list(factors), name="Colour by ")
    return alt.param(name="colour_by", value=places[0], bind=box)


def _panel(
    quality: pd.DataFrame,
    measure: str,
    title: str,
    visits: Sequence[str],
    factors: Mapping[str, Sequence[str]],
    limit: float | None,
    pointed: Any,  # noqa: ANN401 - altair's parameter
    view: str,
) -> Any:  # noqa: ANN401 - altair's chart
    import altair as alt

    own = pd.DataFrame(
        {
            "person": quality["subject"].astype(str),
            "session": quality["session"].astype(str),
            "visit": quality["visit"].astype(str),
            "value": pd.to_numeric(quality[measure], errors="coerce"),
            **{
                f"f{i}": quality[name].astype("object").where(quality[name].notna(), "not stated")
                for i, name in enumerate(factors)
            },
        }
    ).dropna(subset=["value"])
    own = own[own["visit"].isin(visits)].sort_values("value", kind="stable")
    aside = own.groupby("visit")["value"].transform(
        lambda v: pd.Series(swarm(list(v)), index=v.index)
    )
    own = own.assign(aside=_JITTER * aside)
    base = alt.Chart(own)
    if factors:
        chosen = "datum[colour_by]" if len(factors) > 1 else "datum.f0"
        base = base.transform_calculate(level=chosen)
        colour: Any = alt.Color("level:N", scale=_scale(factors), legend=_legend(own, factors))
    else:
        colour = alt.ColorValue(LEVELS[0])
    tips: list[Any] = [alt.Tooltip(f"{name}:N") for name in ("person", "session", "visit")]
    tips.append(alt.Tooltip("value:Q", format=".4~g"))
    tips += [alt.Tooltip("level:N")] if factors else []
    dots = base.mark_circle().encode(
        x=alt.X("visit:N", sort=list(visits), title=None, axis=alt.Axis(**_below(visits))),
        y=alt.Y("value:Q", title=_lines(title), scale=alt.Scale(zero=False)),
        xOffset=alt.XOffset("aside:Q", scale=alt.Scale(domain=[-22, 22])),
        color=colour,
        size=by_choice(alt.SizeValue, pointed, 170, 26),
        opacity=by_choice(alt.OpacityValue, pointed, 1, 0.6),
        tooltip=tips,
    )
    layers: list[Any] = [dots.properties(name=view)]
    if limit is not None:
        line = alt.Chart(pd.DataFrame([{"value": limit}]))
        layers.append(line.mark_rule(strokeDash=[5, 3], color=LEVELS[5]).encode(y=alt.Y("value:Q")))
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)


def _scale(factors: Mapping[str, Sequence[str]]) -> Any:  # noqa: ANN401 - altair's scale
    """Colour levels by their place in their own factor: only one factor is shown at a time."""
    import altair as alt

    colours: dict[str, str] = {}
    for levels in factors.values():
        for i, level in enumerate(levels):
            colours.setdefault(level, LEVELS[i % len(LEVELS)])
    colours["not stated"] = MUTED
    return alt.Scale(domain=list(colours), range=list(colours.values()))


def _legend(own: pd.DataFrame, factors: Mapping[str, Sequence[str]]) -> Any:  # noqa: ANN401
    """Name the levels of the chosen factor alone, in full."""
    import altair as alt

    shown = {}
    for i, levels in enumerate(factors.values()):
        unknown = ["not stated"] if (own[f"f{i}"] == "not stated").any() else []
        shown[f"f{i}"] = [*levels, *unknown]
    if max(map(len, shown.values())) > _MOST_LEVELS:
        return None
    longest = max(len(level) for levels in shown.values() for level in levels)
    columns = int(2 * _WIDTH // (_LETTER * longest + 30))
    words = json.dumps(shown, ensure_ascii=False)
    chosen = alt.expr(f"({words})[colour_by]") if len(factors) > 1 else shown["f0"]
    return alt.Legend(
        title=None, orient="top", columns=min(4, max(1, columns)), labelLimit=0, values=chosen
    )


_MOST_LEVELS = 12


def _lines(title: str) -> str | list[str]:
    """Break a title that is longer than its axis."""
    lines = textwrap.wrap(title, int(_HEIGHT / _LETTER))
    return title if len(lines) < 2 else lines


def chart_forest(rows: pd.DataFrame, *, unit: str) -> alt.LayerChart:
    """Chart estimates with intervals, to be filtered by role, words and df method.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns ``label`` (unique; where it has the sign ␟, what stands before it is written while
        all rows show, what stands behind it else), ``effect`` (the same in full), ``role``, ``method``,
        ``declared``, ``estimate``, ``low``, ``high``, ``df``, ``p``, ``adjusted``, ``note``; in order.
    unit : str
        Of the estimates.
    """
    import altair as alt

    roles = list(dict.fromkeys(rows["role"].astype(str)))
    every = "all"
    role = alt.param(
        name="role", value=every, bind=alt.binding_select(options=[every, *roles], name="Role ")
    )
    own = alt.param(
        name="declared_only",
        value=False,
        bind=alt.binding_checkbox(name="Declared df methods only "),
    )
    words = alt.param(name="words", value="", bind=alt.binding(input="search", name="Search "))
    kept = (
        "(role == 'all' || datum.role == role) && (!declared_only || datum.declared) && "
        "indexof(lower(datum.effect), lower(words)) >= 0"
    )
    base = alt.Chart(rows).transform_filter(kept)
    y = alt.Y(
        "label:N", sort=list(rows["label"]), title=None,
        axis=alt.Axis(
            labelLimit=430, labelFontSize=11, ticks=False, domain=False, grid=False,
            # Among all rows one below its estimate is named by what differs; alone, in full.
            labelExpr="split(datum.label, '\u241f')[role == 'all' && words == '' ? 0 : 1] "
            "|| datum.label",
        ),
    )  # fmt: skip
    colour = alt.Color(
        "role:N",
        scale=alt.Scale(domain=roles, range=[ROLE_COLOURS.get(one, MUTED) for one in roles]),
        legend=alt.Legend(title=None, orient="top", columns=2),  # a phone has room for two
    )
    faint = by_choice(alt.OpacityValue, "datum.declared", 1, 0.6)
    tips = [
        alt.Tooltip("effect:N"), alt.Tooltip("role:N"),
        alt.Tooltip("estimate:Q", format=".3~g"), alt.Tooltip("low:Q", title="from", format=".3~g"),
        alt.Tooltip("high:Q", title="to", format=".3~g"), alt.Tooltip("df:Q", format=".1f"),
        alt.Tooltip("method:N", title="df method"), alt.Tooltip("p:Q", format=".2~g"),
        alt.Tooltip("adjusted:Q", title="adjusted p", format=".2~g"), alt.Tooltip("note:N"),
    ]  # fmt: skip
    span = base.mark_rule(strokeWidth=2.4).encode(
        y=y, x=alt.X(
            "low:Q", title=f"estimate ({unit})" if unit else "estimate",
            axis=alt.Axis(tickCount=5),  # few enough that none is dropped, zero least of all
        ),
        x2=alt.X2("high:Q"), color=colour, opacity=faint, tooltip=tips,
    )  # fmt: skip
    dots = base.mark_point(size=62, filled=True).encode(
        y=y, x=alt.X("estimate:Q"), color=colour, opacity=faint, tooltip=tips,
        shape=by_choice(alt.ShapeValue, "datum.declared", "circle", "diamond"),
    )  # fmt: skip
    zero = alt.Chart(pd.DataFrame([{"estimate": 0.0}])).mark_rule(strokeDash=[4, 3], color=INK)
    chart: Any = alt.layer(zero.encode(x=alt.X("estimate:Q")), span, dots).add_params(
        role, own, words
    )
    made: alt.LayerChart = chart.properties(
        width="container",
        # A step instead would make Vega-Lite warn of the width, which follows its container.
        height=17 * rows["label"].nunique(),
        description=f"{len(rows)} estimates with intervals in {unit or 'their unit'}",
    )
    return made


def _below(visits: Sequence[str]) -> dict[str, Any]:
    """Return how visits are written under an axis: in a line, word below word, or aslant."""
    room = _WIDTH / max(1, len(visits)) / _LETTER
    if max((len(visit) for visit in visits), default=0) <= room:
        return {"labelAngle": 0}
    if max(len(word) for visit in visits for word in visit.split()) <= room:
        return {"labelAngle": 0, "labelExpr": "split(datum.label, ' ')"}
    return {"labelAngle": -40, "labelAlign": "right", "labelLimit": 0}
