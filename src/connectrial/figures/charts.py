"""Charts that answer to a pointer, as altair has them: course, waterfall, exposure, association.

Each shows what a static figure of this package shows. Columns have plain names of their own, so that
no name from a table is ever read as a path or a formula; a page may replace the palette's neutral
colours by those of its theme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from connectrial.figures.exposure import dose_levels
from connectrial.figures.palette import FAINT, INK, LEVELS, MUTED, level_colours

if TYPE_CHECKING:
    import altair as alt

C = TypeVar("C")

_ALL = "everyone"
_FEW_DAYS = 2.0
_MANY_HOURS = 240.0
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")


def chart_course(
    scores: pd.DataFrame,
    means: pd.DataFrame | None,
    *,
    visits: Sequence[str],
    scale: str,
    by: str | None = None,
    levels: Sequence[str] = (),
    days: Mapping[str, float] | None = None,
    scan_visits: Sequence[str] = (),
    infusion: tuple[float, float] | None = None,
) -> alt.LayerChart:
    """Chart one scale over visits: people, means with intervals, infusion and scans.

    Parameters
    ----------
    scores : pandas.DataFrame
        Columns ``subject``, ``visit``, ``score`` and the factor `by`.
    means : pandas.DataFrame or None
        Columns ``visit``, ``by``, ``estimate``, ``ci_low``, ``ci_high``, ``n_subjects``.
    visits : sequence of str
        Visits in order.
    scale : str
        Title of the y axis, with its unit.
    by, levels : str, sequence of str
        Column by which people are set apart, and its levels in order.
    days : mapping of str to float, optional
        Visit -> day; given for every visit, the x axis is true to time.
    scan_visits : sequence of str
        Visits with scans.
    infusion : tuple of float, optional
        First and last day of the infusion; drawn only where the axis is true to time.
    """
    import altair as alt

    true_to_time = days is not None and all(visit in days for visit in visits)
    span = (
        max(days[v] for v in visits) - min(days[v] for v in visits) if days and true_to_time else 0
    )
    # A day and less is read in hours.
    unit, per_day = ("hour", 24.0) if 0 < span <= _FEW_DAYS else ("day", 1.0)
    days = None if days is None else {visit: per_day * day for visit, day in days.items()}
    names = list(levels) if by is not None and by in scores.columns and len(levels) else [_ALL]
    own = pd.DataFrame(
        {
            "person": scores["subject"].astype(str),
            "visit": scores["visit"].astype(str),
            "score": pd.to_numeric(scores["score"]),
            "level": scores[by].astype(str) if names != [_ALL] else _ALL,
        }
    )
    own = own[own["visit"].isin(visits) & own["level"].isin(names)]
    x: Any
    if true_to_time and days is not None:
        own = own.assign(day=own["visit"].map(days))
        whole: Any = alt.Undefined if span <= _FEW_DAYS else 1  # no half days over a fortnight
        axis = alt.Axis(tickMinStep=whole, labelOverlap=True)
        x = alt.X("day:Q", title=unit, scale=alt.Scale(nice=False, padding=12), axis=axis)
    else:
        x = alt.X("visit:N", sort=list(visits), title=None, axis=alt.Axis(labelAngle=0))
    y = alt.Y("score:Q", title=scale, scale=alt.Scale(zero=False))
    colour = _colour(names)
    person = pointed_person()
    tips = [alt.Tooltip("person:N"), alt.Tooltip("visit:N"), alt.Tooltip("score:Q", format=".4~g")]
    lines = (
        alt.Chart(own)
        .mark_line(point=alt.OverlayMarkDef(size=18), aria=False)
        .encode(
            x=x, y=y, color=colour, detail=alt.Detail("person:N"), tooltip=tips,
            strokeWidth=by_choice(alt.StrokeWidthValue, person, 3, 0.9),
            opacity=by_choice(alt.OpacityValue, person, 1, 0.4),
        )
        .add_params(person)
    )  # fmt: skip
    layers: list[Any] = []
    if infusion is not None and true_to_time:
        first, last = (per_day * day for day in infusion)
        bar = pd.DataFrame([{"day": first, "until": last, "what": "infusion"}])
        layers.append(
            alt.Chart(bar)
            .mark_rect(color=LEVELS[1], opacity=0.22)
            .encode(x=x, x2=alt.X2("until:Q"), tooltip=alt.Tooltip("what:N", title="shaded"))
        )
    layers += [lines, *_means(means, names, visits, days if true_to_time else None, x, colour)]
    # True to time, a visit with a scan and no score has its place too.
    scanned = [v for v in scan_visits if v in visits or (true_to_time and v in (days or {}))]
    if scanned:
        marks = pd.DataFrame({"visit": scanned, "what": "scan"})
        marks = marks.assign(day=marks["visit"].map(days)) if true_to_time and days else marks
        layers.append(
            alt.Chart(marks)
            .mark_point(shape="triangle-up", size=70, filled=True, color=INK)
            .encode(
                x=x, y=alt.value("height"), tooltip=[alt.Tooltip("what:N"), alt.Tooltip("visit:N")]
            )
        )
    words = f"{scale} of {own['person'].nunique()} people over visits"
    return _sized(_layered(layers), words, height=300)


def _means(
    means: pd.DataFrame | None,
    names: Sequence[str],
    visits: Sequence[str],
    days: Mapping[str, float] | None,
    x: Any,  # noqa: ANN401 - altair's channel
    colour: Any,  # noqa: ANN401
) -> list[Any]:
    """Return the layers of means and their intervals."""
    import altair as alt

    if means is None or not len(means):
        return []
    own = means.assign(visit=means["visit"].astype(str), level=means["by"].fillna("").astype(str))
    own = own.assign(level=own["level"].where(own["level"] != "", _ALL))
    own = own[own["visit"].isin(visits) & own["level"].isin(names)]
    if "source" in own.columns and (own["source"] == "model").any():
        own = own[own["source"] == "model"]
    if own.empty:
        return []
    kept = ["visit", "level", "estimate", "ci_low", "ci_high", "n_subjects"]
    own = own[[name for name in kept if name in own.columns]]
    own = own.assign(day=own["visit"].map(days)) if days is not None else own
    tips = [
        alt.Tooltip("level:N"), alt.Tooltip("visit:N"),
        alt.Tooltip("estimate:Q", title="mean", format=".4~g"),
        alt.Tooltip("ci_low:Q", title="from", format=".4~g"),
        alt.Tooltip("ci_high:Q", title="to", format=".4~g"),
    ]  # fmt: skip
    base = alt.Chart(own)
    bars = base.mark_rule(strokeWidth=2.4).encode(
        x=x, y=alt.Y("ci_low:Q"), y2=alt.Y2("ci_high:Q"), color=colour
    )
    line = base.mark_line(strokeWidth=2.6).encode(x=x, y=alt.Y("estimate:Q"), color=colour)
    dots = base.mark_point(size=85, filled=True, opacity=1).encode(
        x=x, y=alt.Y("estimate:Q"), color=colour, tooltip=tips,
        shape=alt.Shape("level:N", sort=list(names), legend=_legend(names),
                        scale=alt.Scale(domain=list(names), range=list(_SHAPES[: len(names)]))),
    )  # fmt: skip
    return [bars, line, dots]


def chart_waterfall(
    changes: pd.DataFrame, *, scale: str, levels: Sequence[str], threshold: float | None = None
) -> alt.LayerChart:
    """Chart everybody's percent change, the largest rise first.

    Parameters
    ----------
    changes : pandas.DataFrame
        Columns ``subject``, ``percent_change``, ``level``.
    scale : str
        What changes.
    levels : sequence of str
        Levels in order, as colours.
    threshold : float, optional
        Decrease in percent that counts as response; a dashed line.
    """
    import altair as alt

    own = changes.rename(columns={"subject": "person", "percent_change": "change"})
    own = own[["person", "change", "level"]].sort_values("change", ascending=False)
    names = [level for level in levels if (own["level"] == level).any()]
    bars = (
        alt.Chart(own)
        .mark_bar()
        .encode(
            x=alt.X("person:N", sort=list(own["person"]), title="people, by change",
                    axis=alt.Axis(labels=False, ticks=False)),
            y=alt.Y("change:Q", title=f"change of {scale} (%)"),
            color=_colour(names),
            opacity=by_choice(alt.OpacityValue, pointed := pointed_person(), 1, 0.8),
            tooltip=[
                alt.Tooltip("person:N"), alt.Tooltip("level:N"),
                alt.Tooltip("change:Q", title="percent change", format=".1f"),
            ],
        )
        .add_params(pointed)
    )  # fmt: skip
    layers: list[Any] = [bars]
    if threshold is not None:
        line = alt.Chart(pd.DataFrame([{"change": -threshold}]))
        layers.append(line.mark_rule(strokeDash=[5, 3], color=INK).encode(y=alt.Y("change:Q")))
    return _sized(_layered(layers), f"Percent change of {scale} of {len(own)} people", height=260)


def chart_concentration(
    people: pd.DataFrame,
    *,
    measured: pd.DataFrame | None = None,
    doses: pd.DataFrame | None = None,
    scans_h: Mapping[str, float] | None = None,
) -> alt.LayerChart:
    """Chart modelled concentrations of people, their median, doses and measured points.

    Parameters
    ----------
    people : pandas.DataFrame
        ``subject``, ``time_h``, ``ketamine_ng_ml``; with a column ``level`` a median and a colour for
        each dose.
    measured : pandas.DataFrame, optional
        ``subject``, ``time_h``, ``analyte``, ``value_ng_ml``.
    doses : pandas.DataFrame, optional
        ``start_h``, ``duration_h`` of infusions that everybody got; shaded.
    scans_h : mapping of str to float, optional
        Visit -> hours; dotted lines.
    """
    import altair as alt

    # Doses of weeks are read in days.
    in_days = float(people["time_h"].max()) > _MANY_HOURS
    scale_h = 24.0 if in_days else 1.0
    own = pd.DataFrame(
        {
            "person": people["subject"].astype(str),
            "hours": (pd.to_numeric(people["time_h"]) / scale_h).round(5),
            "level": pd.to_numeric(people["ketamine_ng_ml"]).round(2),
            "dose": people["level"].astype(str) if "level" in people else _ALL,
        }
    ).dropna()
    seen = set(own["dose"])
    every = dose_levels(people) if "level" in people else [_ALL]
    names = [name for name in every if name in seen]
    median = own.groupby(["dose", "hours"], as_index=False)["level"].median()
    colours = level_colours(every)
    by_dose = alt.Color(
        "dose:N",
        scale=alt.Scale(domain=names, range=[colours[name] for name in names]),
        legend=alt.Legend(title=None, orient="top") if names != [_ALL] else None,
    )
    at = alt.Tooltip("hours:Q", title="days" if in_days else "hours")
    tips = [alt.Tooltip("person:N"), at, alt.Tooltip("level:Q")]
    tips += [alt.Tooltip("dose:N")] if len(names) > 1 else []
    pointed = pointed_person()
    thin = by_choice(alt.ColorValue, pointed, LEVELS[0], MUTED)
    x = alt.X("hours:Q", title="days from the first dose" if in_days else "hours")
    y = alt.Y("level:Q", title="plasma ketamine (ng/ml)")
    layers: list[Any] = []
    if doses is not None and len(doses):
        given = doses[doses["duration_h"] > 0]
        bars = (
            pd.DataFrame({"hours": given["start_h"], "end": given["start_h"] + given["duration_h"]})
            / scale_h
        )
        layers.append(
            alt.Chart(bars).mark_rect(color=LEVELS[1], opacity=0.16).encode(x=x, x2=alt.X2("end:Q"))
        )
    layers.append(
        alt.Chart(own)
        .mark_line(aria=False)
        .encode(
            x=x, y=y, detail=alt.Detail("person:N"), tooltip=tips,
            color=by_dose if len(names) > 1 else thin,
            opacity=by_choice(alt.OpacityValue, pointed, 1, 0.35),
            strokeWidth=by_choice(alt.StrokeWidthValue, pointed, 2.4, 0.8),
        )
        .add_params(pointed)
    )  # fmt: skip
    thick = alt.Chart(median).mark_line(strokeWidth=2.6).encode(x=x, y=y, color=by_dose)
    layers.append(thick)
    if measured is not None and len(measured):
        points = pd.DataFrame(
            {
                "person": measured["subject"].astype(str),
                "hours": measured["time_h"] / scale_h,
                "level": measured["value_ng_ml"],
                "analyte": measured["analyte"].astype(str),
            }
        )
        points = points[points["analyte"] == "ketamine"]
        layers.append(
            alt.Chart(points)
            .mark_point(size=26, filled=True, color=LEVELS[0], opacity=0.75)
            .encode(
                x=x,
                y=y,
                tooltip=[alt.Tooltip("person:N"), at, alt.Tooltip("level:Q", title="measured")],
            )
        )
    if scans_h:
        hours = [value / scale_h for value in scans_h.values()]
        visits = pd.DataFrame({"visit": list(scans_h), "hours": hours})
        rule = alt.Chart(visits).mark_rule(strokeDash=[2, 2], color=MUTED)
        layers.append(rule.encode(x=x, tooltip=[alt.Tooltip("visit:N"), at]))
    words = f"Modelled concentrations of {own['person'].nunique()} people"
    return _sized(_layered(layers), words, height=280)


def _colour(names: Sequence[str]) -> Any:  # noqa: ANN401 - altair's channel
    import altair as alt

    colours = level_colours(list(names))
    return alt.Color(
        "level:N",
        scale=alt.Scale(domain=list(names), range=[colours[name] for name in names]),
        legend=_legend(names),
    )


def by_choice(kind: Any, chosen: Any, yes: object, no: object) -> Any:  # noqa: ANN401 - altair's
    """Return a channel of one value for what is chosen, and of another for the rest.

    A channel that is named, here and wherever charts are made, spares altair the search for its
    kind among all that it knows: 10 ms each time, a third of what a chart costs.
    """
    import altair as alt

    return kind(**alt.condition(chosen, alt.value(yes), alt.value(no)))


def _legend(names: Sequence[str]) -> Any:  # noqa: ANN401 - altair's legend
    import altair as alt

    if list(names) == [_ALL]:
        return None
    # Charts stand two in a row: more names than three run out of half a page.
    return alt.Legend(title=None, orient="top", columns=3 if len(names) > 3 else 0)


def chosen_in(choice: Any, views: Sequence[str]) -> Any:  # noqa: ANN401 - altair's parameters
    """Return a choice as the parameter of a whole chart, made in the views of these names."""
    import altair as alt

    selected = choice.param
    return alt.TopLevelSelectionParameter(name=selected.name, select=selected.select, views=views)


def pointed_person() -> Any:  # noqa: ANN401 - altair's parameter
    """Return the choice of the person that is pointed at, the same one in all panels of a chart."""
    import altair as alt

    return alt.selection_point(
        name="pointed", fields=["person"], on="pointerover", clear="pointerout", empty=False
    )


def _sized(chart: C, description: str, *, height: int) -> C:
    any_chart: Any = chart
    sized: C = any_chart.properties(width="container", height=height, description=description)
    return sized


def _layered(layers: Sequence[Any]) -> alt.LayerChart:
    import altair as alt

    # altair's own type also allows facets, which layers never are.
    whole: Any = alt.layer(*layers)
    layered: alt.LayerChart = whole
    return layered


#: Neutral colours by which a page knows what to replace.
NEUTRAL = (INK, MUTED, FAINT)
