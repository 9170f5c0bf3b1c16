"""Figures of the clinical course: scores over visits, everybody's change, response and remission."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from connectrial.figures.charts import chart_course, chart_waterfall
from connectrial.figures.clinical import plot_course, plot_rates
from connectrial.figures.numbers import (
    format_number,
    name_words,
)
from connectrial.figures.waterfall import plot_waterfall
from connectrial.report.endpoint_panels import endpoint_strip
from connectrial.report.live import chart
from connectrial.report.panel import Panel
from connectrial.report.source import (
    factor_of,
    factors,
    included_people,
    patients_level,
    split_factor,
    table,
    under_each_treatment,
    visit_days,
    visits,
    with_factors,
)
from connectrial.results import Result, Results

_HOURS = 24.0
_MOSTLY = 0.5  # share of the time from first to last dose in which something is given
_POINT = (
    "Point at a line or a dot for the person, the visit and the value; the person stands out, and "
    "everybody else stays pale."
)


def course_panels(results: Results) -> list[Panel]:
    """Draw each scale over visits."""
    scores = table(results, "scores")
    if scores is None:
        return []
    ready = with_factors(results, scores.dropna(subset=["score", "visit"]))
    if "treatment" in ready:
        # A course of each treatment is one of people who were given it.
        patients = patients_level(results)
        ready = ready if patients is None else ready[ready["group"].astype(str) == patients]
        ready = under_each_treatment(results, ready)
    panels = []
    for scale in dict.fromkeys(ready["scale"].astype(str)):
        own = ready[ready["scale"].astype(str) == scale]
        panel = _course_panel(results, own, scale)
        if panel is not None:
            panels.append(panel)
    return panels


def _course_panel(results: Results, own: pd.DataFrame, scale: str) -> Panel | None:
    order = [*visits(results), *dict.fromkeys(own["visit"].astype(str))]
    order = list(dict.fromkeys(order))
    analysis = _score_analysis(results, scale)
    means, source = _score_means(results, scale, analysis)
    factor, levels = split_factor(results, own)
    if analysis is not None and means is analysis.means:
        factor, levels = factor_of(results, analysis)
    elif means is not None and len(means):
        named = [str(n) for n in means["by_factor"].dropna().unique() if str(n)]
        factor = named[0] if named else None
        levels = factors(results).get(factor, []) if factor else []
    present = [visit for visit in order if (own["visit"].astype(str) == visit).any()]
    section = (results.study.get("scales") or {}).get(scale) or {}
    better = section.get("better")
    scanned = _scan_visits(results)
    unit = str(section.get("unit") or "")
    days = visit_days(results)
    # True to time, a visit with a scan and no score has its place too.
    timed = days or {}
    known = all(visit in timed for visit in present)
    scan_visits = [v for v in order if v in scanned and (v in present or (known and v in timed))]
    infusion = infusion_days(results, [days[visit] for visit in present] if days else [])
    strip = endpoint_strip(results, scale)
    figure = plot_course(
        own,
        means,
        visits=present,
        scale=scale,
        unit=unit,
        by=factor,
        levels=levels,
        days=days,
        scan_visits=scan_visits,
        infusion=infusion,
        strip=strip,
    )
    how = "Thin lines are people (open marks: seen once)."
    if source:
        how += f" Thick lines are {source} means with their intervals."
    if scan_visits:
        how += " Triangles are visits with scans."
    if infusion is not None and days is not None:
        how += " The infusion is shaded."
    if strip is not None:
        how += " Below the static one: who met each rule, of those with a known outcome."
    if better:
        how += f" {str(better).capitalize()} is better."
    n_people = own["subject"].nunique()
    return Panel(
        name=f"course {scale}",
        title=f"{scale} over time",
        how=how,
        alt=f"{scale} of {n_people} people at {', '.join(present)}"
        + (f", coloured by {factor}" if factor else "")
        + ".",
        figure=figure,
        data=own[[c for c in ("subject", "visit", "scale", "score", factor) if c in own.columns]],
        methods=_course_methods(analysis, source),
        live=chart(
            chart_course(
                own,
                means,
                visits=present,
                scale=f"{scale} ({unit})" if unit else scale,
                by=factor,
                levels=levels,
                days=days,
                scan_visits=scan_visits,
                infusion=infusion,
            ),
            title=f"{scale} over time",
            how=_POINT,
        ),
    )


def _course_methods(analysis: Result | None, source: str) -> str:
    if source == "model-based" and analysis is not None and analysis.methods:
        return analysis.methods
    if source:
        return "Means and 95 % t intervals of everybody who has a score at the visit; no model."
    return "Scores as they were recorded; no model."


def _score_analysis(results: Results, scale: str) -> Result | None:
    for result in results.analyses:
        if result.what == "score" and result.outcome == scale and result.means is not None:
            return result
    return None


def _score_means(
    results: Results, scale: str, analysis: Result | None
) -> tuple[pd.DataFrame | None, str]:
    """Return means of a scale and whose they are: observed ones first, they need no model."""
    listed = table(results, "score_means")
    if listed is not None:
        own = listed[listed["scale"].astype(str) == scale]
        if len(own):
            return own, "observed"
    if analysis is None or analysis.means is None or not len(analysis.means):
        return None, ""
    # A model of change draws no means of scores.
    if analysis.design.get("outcome") == "change" or "change" in analysis.title.lower():
        return None, ""
    modelled = (analysis.means["source"].astype(str) == "model").any()
    return analysis.means, "model-based" if modelled else "observed"


def _scan_visits(results: Results) -> set[str]:
    for name in ("visit_fc", "scans"):
        listed = table(results, name)
        if listed is not None and "visit" in listed.columns:
            return set(listed["visit"].dropna().astype(str))
    return set()


def rates_panel(results: Results) -> Panel | None:
    """Draw response, remission and the like with their intervals."""
    rows = []
    for result in results.analyses:
        if result.role in ("quality", "safety"):  # shares of another kind, in their own sections
            continue
        own = result.estimates
        own = own[(own["kind"] == "proportion") & own["estimate"].notna()]
        several = result.what == "response" and own["analysis_set"].nunique() > 1
        for row in own.to_dict("records"):
            met = round(float(row["estimate"]) * float(row["n_subjects"]))
            title = str(row["outcome"] or result.title)
            term = str(row["term"])
            # "response, ketamine" says already what it is a share of.
            named = term.startswith(title) or term in (result.name, "")
            label = ((term or title) if named else f"{title}: {term}").replace("_", " ")
            if several:
                label += f" ({row['analysis_set']})"
            rows.append(
                {
                    "label": name_words(label),
                    "estimate": row["estimate"],
                    "ci_low": row["ci_low"],
                    "ci_high": row["ci_high"],
                    "text": f"{met} of {row['n_subjects']} ({100 * float(row['estimate']):.0f}\u00a0%)",
                }
            )
    if not rows:
        return None
    rates = pd.DataFrame(rows)
    words = "; ".join(f"{row['label']}: {row['text']}" for row in rows)
    return Panel(
        name="rates",
        title="Response and remission",
        how="Dots are shares of people with a known outcome, lines their intervals; the counts "
        "stand on the right.",
        alt=words + ".",
        figure=plot_rates(rates),
        data=rates,
        methods=next((one.methods for one in results.analyses if one.what == "response"), "")
        or "Shares of people with their confidence intervals.",
    )


def infusion_days(results: Results, shown: Sequence[float]) -> tuple[float, float] | None:
    """Return first and last day of everybody's doses, apart as far as the days shown let one see."""
    doses = table(results, "doses")
    if doses is None:
        return None
    ends = (doses["start_h"] + doses["duration_h"]).groupby(doses["subject"]).max()
    starts = doses["start_h"].groupby(doses["subject"]).min()
    if (
        len(ends) == 0
        or ends.max() - ends.median() > _HOURS
        or starts.max() - starts.min() > _HOURS
    ):
        return None
    given = doses["duration_h"].groupby(doses["subject"]).sum()
    if (given / (ends - starts).clip(lower=1e-9)).median() < _MOSTLY:
        return None  # infusions weeks apart are no infusion of weeks
    first, last = float(starts.median()) / _HOURS, float(ends.median()) / _HOURS
    return (first, max(last, first + (max(shown) - min(shown)) / 200 if shown else last))


def waterfall_panel(results: Results) -> Panel | None:
    """Draw everybody's percent change at the visit of the first endpoint that asks for a decrease."""
    rules = [
        (name, rule)
        for name, rule in (results.study.get("endpoints") or {}).items()
        if rule.get("min_percent_decrease") is not None and not rule.get("until")
    ]
    scores, reached = table(results, "scores"), table(results, "endpoints")
    if not rules or scores is None or "percent_change" not in scores.columns:
        return None
    endpoint, rule = rules[0]
    scale, visit = str(rule["scale"]), str(rule["visit"])
    own = scores[(scores["scale"].astype(str) == scale) & (scores["visit"].astype(str) == visit)]
    own = own.dropna(subset=["percent_change"])
    people = included_people(results)
    own = own if people is None else own[own["subject"].astype(str).isin(people)]
    if reached is not None:  # healthy controls have scores, but no response to reach
        asked = reached.loc[reached["endpoint"].astype(str) == endpoint, "subject"]
        own = own[own["subject"].astype(str).isin(asked.astype(str))]
    if len(own) < 3:
        return None
    threshold = float(rule["min_percent_decrease"])
    ready = with_factors(results, own)
    known = factors(results)
    treated = next((n for n in ("treatment", "arm") if n in ready.columns and n in known), None)
    if treated is not None and ready["subject"].duplicated().any():
        ready = ready.assign(
            subject=ready["subject"].astype(str) + ", " + ready[treated].astype(str)
        )
    met = ready["percent_change"] <= -threshold
    if treated is not None:
        level, levels = ready[treated].astype(str), known[treated]
    else:
        levels = ["response", "no response"]
        level = met.map({True: levels[0], False: levels[1]})
    data = ready.assign(level=level)[["subject", "visit", "percent_change", "level"]]
    how = (
        f"Each bar is one person's change of {scale} from baseline to {visit}; bars below the dashed "
        f"line ({threshold:g} % lower) are responses."
    )
    return Panel(
        name=f"waterfall {scale}",
        title=f"Change of {scale} at {visit}, person by person",
        how=how,
        alt=f"Percent change of {scale} of {len(data)} people, from "
        f"{format_number(data['percent_change'].max())} to {format_number(data['percent_change'].min())}; "
        f"{int(met.sum())} fell by at least {threshold:g} %.",
        figure=plot_waterfall(data, scale=scale, levels=levels, threshold=threshold),
        data=data,
        methods="Percent change from each person's own baseline, of everybody with both scores; no model.",
        live=chart(
            chart_waterfall(data, scale=scale, levels=levels, threshold=threshold),
            title=f"Change of {scale} at {visit}, person by person",
            how="Point at a bar for the person and the change.",
        ),
    )
