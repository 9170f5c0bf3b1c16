"""Figures of the trial itself: flow, who was seen when, the clinical course, scan quality."""

from __future__ import annotations

import pandas as pd

from connectrial.figures.availability import STATES, plot_availability
from connectrial.figures.balance import plot_balance
from connectrial.figures.clinical import plot_course, plot_rates
from connectrial.figures.flow import describe_flow, draw_flow
from connectrial.figures.numbers import format_number
from connectrial.figures.quality import MEASURES, plot_quality
from connectrial.report.panel import Panel
from connectrial.report.source import (
    NOT_STATED,
    factor_of,
    factors,
    patients_level,
    places,
    split_factor,
    table,
    under_each_treatment,
    visit_days,
    visits,
    with_factors,
)
from connectrial.results import Result, Results


def flow_panel(results: Results) -> Panel | None:
    """Draw the flow of people and scans."""
    flow = table(results, "flow")
    if flow is None:
        return None
    return Panel(
        name="flow",
        title="Flow of people and scans",
        how="Top to bottom: who was there, who left on the way to the next box and why, who is "
        "analysed. A scan is one session of one person.",
        alt=describe_flow(flow),
        svg=draw_flow(flow),
        methods="People and scans were counted by the rules of the study file, before any model was "
        "fitted; a scan counts once, under the first reason that keeps it out.",
        data=flow,
        min_width_px=620,
    )


def availability_panel(results: Results) -> Panel | None:
    """Draw who was seen at which visit."""
    seen = table(results, "availability")
    if seen is None:
        return None
    ready = with_factors(results, seen)
    factor, levels = split_factor(results, ready)
    people = ready.drop_duplicates("subject")
    if factor is None:
        blocks = {"everyone": list(people["subject"])}
    else:
        own = people[factor].astype("object").where(people[factor].notna(), f"{factor} not stated")
        order = [*levels, *sorted(set(own.astype(str)) - set(levels))]
        blocks = {
            level: list(people.loc[own.astype(str) == level, "subject"])
            for level in order
            if (own.astype(str) == level).any()
        }
    blocks = {name: _by_completeness(ready, members) for name, members in blocks.items()}
    counts = ready["state"].astype(str).value_counts()
    words = ", ".join(f"{counts[state]} {state}" for state in STATES if state in counts)
    figure = plot_availability(ready, visits=places(results), blocks=blocks)
    return Panel(
        name="availability",
        title="Who was seen when",
        how="A column is a person, a row a visit. People with a missing visit stay in the models "
        "with what they have. Within a block, people with more visits stand to the left.",
        alt=f"Availability of visits by person: {words}.",
        figure=figure,
        data=seen,
        methods="What each person should have at each visit, against what was found and could be "
        "used.",
        min_width_px=680,
    )


def balance_panel(results: Results) -> Panel | None:
    """Draw how alike patients and matched controls are."""
    balance = table(results, "balance")
    if balance is None:
        return None
    balance = balance.assign(level=balance["level"].fillna(""))
    known = balance.dropna(subset=["smd_before", "smd_after"], how="all")
    if known.empty:
        return None
    words = "; ".join(
        f"{row.variable} {row.level}".strip() + f" {row.smd_before:.2f} to {row.smd_after:.2f}"
        for row in known.itertuples()
    )
    return Panel(
        name="balance",
        title="Patients and matched controls: balance",
        how="Each line is a variable: open circles before, filled ones after choosing controls. The "
        "nearer to 0, the more alike; between the dashed lines (0.1) groups usually count as balanced.",
        alt=f"Standardised differences before and after matching: {words}.",
        figure=plot_balance(known),
        data=balance,
        methods="Standardised mean differences: the difference of means (or shares) over the pooled "
        "standard deviation of the two groups before matching.",
    )


def _by_completeness(seen: pd.DataFrame, people: list[str]) -> list[str]:
    """Sort people by their scans, then by their scores, the fullest first."""
    worth = {"complete": 3, "partial": 2, "excluded": 1, "missing": 0}
    own = seen[seen["subject"].isin(people)]
    # A scan weighs more than all scores, so that the first rows fall like a staircase.
    weight = own["what"].eq("scan").map({True: 1000, False: 1})
    score = (own["state"].astype(str).map(worth) * weight).groupby(own["subject"]).sum()
    return sorted(people, key=lambda subject: -float(score.get(subject, 0)))


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
    figure = plot_course(
        own,
        means,
        visits=present,
        scale=scale,
        unit=str(section.get("unit") or ""),
        by=factor,
        levels=levels,
        days=visit_days(results),
        scan_visits=[visit for visit in present if visit in scanned],
    )
    how = "Thin lines are people (open circles: seen once)."
    if source:
        how += f" Thick lines are {source} means with their intervals."
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
        if result.role == "quality":
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
            label = (term or title) if named else f"{title}: {term}"
            if several:
                label += f" ({row['analysis_set']})"
            rows.append(
                {
                    "label": label,
                    "estimate": row["estimate"],
                    "ci_low": row["ci_low"],
                    "ci_high": row["ci_high"],
                    "text": f"{met} of {row['n_subjects']} ({100 * float(row['estimate']):.0f} %)",
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


def quality_panels(results: Results) -> list[Panel]:
    """Draw each measure of scan quality by visit and arm or group."""
    quality = table(results, "quality")
    if quality is None:
        return []
    ready = with_factors(results, quality)
    factor, levels = split_factor(results, ready)
    if factor is not None and ready[factor].isna().any():
        ready[factor] = ready[factor].astype("object").where(ready[factor].notna(), NOT_STATED)
        levels = [*levels, NOT_STATED]
    order = [*places(results), *sorted(ready["visit"].dropna().astype(str).unique())]
    order = list(dict.fromkeys(order))
    panels = []
    for measure, words in MEASURES.items():
        if measure not in ready.columns:
            continue
        known = pd.to_numeric(ready[measure], errors="coerce").dropna()
        # What is the same in every scan needs no picture; the table has it.
        if known.empty or known.min() == known.max():
            continue
        limit = _limit(results, measure)
        columns = ["subject", "session", "visit", factor, measure]
        panels.append(
            Panel(
                name=f"quality {measure}",
                title=words[0].upper() + words[1:],
                how="Dots are scans, bars their medians."
                + (" The dashed line is the limit of the study file." if limit else ""),
                alt=f"{words} of {len(known)} scans by visit"
                + (f" and {factor}" if factor else "")
                + f", from {format_number(known.min())} to {format_number(known.max())}.",
                figure=plot_quality(
                    ready, measure=measure, visits=order, by=factor, levels=levels, limit=limit
                ),
                data=ready[[c for c in columns if c in ready.columns]],
                methods="One value for each scan, as in the table of scan quality; scans that are left "
                "out are shown too.",
            )
        )
    return panels


_LIMITS = {
    "kept_minutes": ("censoring", "min_kept_minutes"),
    "kept_fraction": ("censoring", "min_kept_fraction"),
    "mean_fd_mm": ("quality", "max_mean_fd_mm"),
    "median_tsnr": ("quality", "min_median_tsnr"),
}


def _limit(results: Results, measure: str) -> float | None:
    section, key = _LIMITS.get(measure, ("", ""))
    value = (results.study.get(section) or {}).get(key)
    return None if value is None else float(value)
