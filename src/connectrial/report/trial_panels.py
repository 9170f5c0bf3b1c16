"""Figures of the trial itself: flow, who was seen when, the clinical course, scan quality."""

from __future__ import annotations

import pandas as pd

from connectrial.figures.availability import STATES, plot_availability
from connectrial.figures.balance import plot_balance
from connectrial.figures.flow import describe_flow, draw_flow, split_reasons
from connectrial.figures.linked_charts import chart_quality
from connectrial.figures.measures import MEASURES
from connectrial.figures.numbers import format_number
from connectrial.figures.quality import plot_quality
from connectrial.report.live import Live, chart
from connectrial.report.panel import Panel
from connectrial.report.source import (
    NOT_STATED,
    factors,
    included_people,
    places,
    split_factor,
    table,
    visits,
    with_factors,
)
from connectrial.results import Results


def flow_panel(results: Results) -> Panel | None:
    """Draw the flow of people and scans."""
    flow = table(results, "flow")
    if flow is None:
        return None
    drawn = _by_arm(results, flow)
    return Panel(
        name="flow",
        title="Flow of people and scans",
        how="Top to bottom: who was there, who left on the way to the next box and why, who is "
        "analysed. A scan is one session of one person.",
        alt=describe_flow(drawn),
        svg=draw_flow(drawn),
        methods="People and scans were counted by the rules of the study file, before any model was "
        "fitted; a scan counts once, under the first reason that keeps it out.",
        data=flow,
        min_width_px=620,
    )


def _by_arm(results: Results, flow: pd.DataFrame) -> pd.DataFrame:
    """Put a box for each arm, with its scans, in place of the boxes of all scans at a visit."""
    arms, people = factors(results).get("arm", []), table(results, "subjects")
    if not arms or people is None or not {"arm", "included"} <= set(people.columns):
        return flow
    last = flow["step"] == flow["step"].max()
    of_scans = last & flow["box"].astype(str).str.startswith("Scan ")
    taken = people[people["included"].astype(bool)]
    arm_of = taken.set_index(taken["subject"].astype(str))["arm"].astype(str)
    counts = _scans_by_arm(results, arm_of)
    reasons = [
        f"{row['box']}: {reason}"
        for row in flow[of_scans].to_dict("records")
        for reason in split_reasons(row["left_out"])
    ]
    rows = [
        {
            "step": flow["step"].max() + (0 if of_scans.any() else 1),
            "box": arm,
            "n_subjects": int((arm_of == arm).sum()),
            "left_out": "\n".join(reasons if i == 0 else []),
            "labelled": True,
            "more": "\n".join(
                f"scan {visit}: {n} {'person' if n == 1 else 'people'}"
                for visit, n in counts.get(arm, {}).items()
            ),
        }
        for i, arm in enumerate(arms)
    ]
    boxes: pd.DataFrame = pd.concat([flow[~of_scans], pd.DataFrame(rows)], ignore_index=True)
    return boxes


def _scans_by_arm(results: Results, arm_of: pd.Series) -> dict[str, dict[str, int]]:
    """Count for each arm the people with a usable scan at each visit."""
    scans = table(results, "scans")
    if scans is None or not {"visit", "included"} <= set(scans.columns):
        return {}
    used = scans[scans["included"].astype(bool) & scans["visit"].notna()]
    used = used.assign(visit=used["visit"].astype(str), arm=used["subject"].astype(str).map(arm_of))
    seen = used.dropna(subset=["arm"]).drop_duplicates(["subject", "visit"])
    found = seen.groupby(["arm", "visit"]).size()
    order = [visit for visit in visits(results) if visit in set(seen["visit"])]
    return {
        str(arm): {visit: int(found.get((arm, visit), 0)) for visit in order}
        for arm in seen["arm"].unique()
    }


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
    taking_part = included_people(results)
    if taking_part is not None:
        out = [one for one in people["subject"] if one not in taking_part]
        blocks = {
            name: [one for one in members if one in taking_part] for name, members in blocks.items()
        } | {"left out": out}
        blocks = {name: members for name, members in blocks.items() if members}
    blocks = {name: _by_completeness(ready, members) for name, members in blocks.items()}
    counts = ready["state"].astype(str).value_counts()
    words = ", ".join(f"{counts[state]} {state}" for state in STATES if state in counts)
    figure = plot_availability(ready, visits=places(results), blocks=blocks)
    return Panel(
        name="availability",
        title="Who was seen when",
        how="A column is a person, a row a visit. People with a missing visit stay in the models "
        "with what they have. Within a block, people with more visits stand to the left; whoever takes "
        "no part stands in a block of their own.",
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


def quality_chart(results: Results) -> Live | None:
    """Return the measures of scan quality as linked charts; None where nothing varies."""
    quality = table(results, "quality")
    if quality is None:
        return None
    ready = with_factors(results, quality)
    known = {
        name: list(levels)
        for name, levels in factors(results).items()
        if name in ready.columns and ready[name].notna().any()
    }
    measures = {}
    for measure, words in MEASURES.items():
        if measure in ready.columns:
            values = pd.to_numeric(ready[measure], errors="coerce").dropna()
            if len(values) and values.min() < values.max():
                measures[measure] = words
    if not measures:
        return None
    shown = ready[ready["visit"].notna()]
    # Visits without a scan take no room, or names of the others would be turned.
    scanned = set(shown["visit"].astype(str))
    declared = dict.fromkeys([*places(results), *visits(results)])
    order = [visit for visit in declared if visit in scanned]
    limits = {name: limit for name in measures if (limit := _limit(results, name)) is not None}
    return chart(
        chart_quality(shown, measures=measures, visits=order, factors=known, limits=limits),
        title="Scan quality by visit, one person in all measures",
        how="Dots are scans. Point at a dot: the same person stands out in every panel. "
        + ("Choose by which factor dots are coloured. " if len(known) > 1 else "")
        + ("Dashed lines are the limits of the study file." if limits else ""),
    )


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
