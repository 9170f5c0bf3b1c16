"""The verdict strip: each primary test with its interval, p values and what they mean."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from connectrial.figures.numbers import (
    as_float,
    df_name,
    first_note,
    format_count,
    format_interval,
    format_number,
    format_p,
    term_words,
)
from connectrial.report.cells import (
    Cell,
    Table,
    adjustment_words,
    df_words,
    result_sentence,
    statistic_words,
)
from connectrial.report.explained import share_words
from connectrial.report.source import (
    declared_tests,
    family_alpha,
    same_estimate,
    sensitivities,
    tested_rows,
)
from connectrial.results import Result, Results

_ROLES = ("primary", "negative control")


def verdict_table(results: Results) -> Table | None:
    """Lay out the primary tests, and the negative controls below them."""
    entries = [
        (result.title, group, sensitivities(result.estimates, group))
        for role in _ROLES
        for result in results.analyses
        if result.role == role
        for group in _tests(results, result)
    ]
    if not entries:
        return None
    reach = _reach([group for _, group, _ in entries])
    rows = []
    seen: set[str] = set()
    for title, group, sensitive in entries:
        row = group[group["declared"]].iloc[0].to_dict()
        others = [_beside(other) for other in group[~group["declared"]].to_dict("records")]
        others += [_beside_model(other) for other in sensitive.to_dict("records")]
        role = str(row["role"])
        css = "control" if role == "negative control" else "primary"
        css += " first" if role not in seen else ""
        seen.add(role)
        rows.append((css, _cells(results, title, row, others, reach=reach)))
    heads = (
        ("outcome and test", ""),
        ("estimate", "num"),
        ("", "glyph"),
        ("statistic", ""),
        ("p", "num"),
        ("adjusted p", "num"),
        ("verdict", ""),
    )
    return Table(
        heads=heads,
        rows=tuple(rows),
        caption="Primary outcomes, and negative controls beside them",
        cards=True,
    )


def _tests(results: Results, result: Result) -> list[pd.DataFrame]:
    """Return the declared tests of an analysis; contrasts that stand beside them are no verdict."""
    rows = tested_rows(results, result)
    named = declared_tests(results, result.name)
    members = rows[(rows["kind"] != "contrast") | (rows["family"] != "") | rows["term"].isin(named)]
    groups = same_estimate(members if len(members) else rows)
    return [group for group in groups if group["declared"].any()]


def _cells(
    results: Results,
    title: str,
    row: Mapping[Hashable, Any],
    others: list[str],
    *,
    reach: dict[str, float],
) -> tuple[Cell, ...]:
    estimate = as_float(row["estimate"])
    has_estimate = estimate == estimate and row["kind"] != "F test"
    share, of, whence = share_words(row)
    level = as_float(row["ci_level"])
    interval = format_interval(row["ci_low"], row["ci_high"])
    adjusted = as_float(row["p_adjusted"])
    badge, text, why = _verdict(results, row)
    unit = str(row["unit"] or "")
    return (
        Cell(text=title, sub=(term_words(row["term"], row["kind"]), _counts(row))),
        Cell(
            text=f"{share or format_number(estimate)} {of or unit}".strip()
            if has_estimate or share
            else "–",
            sub=tuple(
                filter(None, (whence, f"{100 * level:g}% CI {interval}" if interval else ""))
            ),
            css="num whole",
        ),
        Cell(glyph=_glyph(row, reach.get(unit, 0.0)) if has_estimate else None, css="glyph"),
        Cell(text=statistic_words(row), css="stat", sub=(_declared(row), *others, *_flags(row))),
        Cell(text=format_p(row["p"]), css="num"),
        Cell(
            text=format_p(adjusted),
            sub=(adjustment_words(row["adjustment"]), f"family {row['family']}")
            if adjusted == adjusted
            else ("in no family",),
            css="num whole",
        ),
        Cell(text=text, badge=badge, sub=(why,) if why else ()),
    )


def _beside(row: Mapping[Hashable, Any]) -> str:
    return f"{df_name(row['df_method'])} df {df_words(row)}: {_p(row)}"


def _beside_model(row: Mapping[Hashable, Any]) -> str:
    known = as_float(row["estimate"]) == as_float(row["estimate"])  # an F test has none
    estimate = f"{format_number(row['estimate'])}, " if known else ""
    return f"{first_note(row['flags'])}: {estimate}{_p(row)}"


def _p(row: Mapping[Hashable, Any]) -> str:
    """Print a p value that no line may break."""
    return f"p {format_p(row['p'], sign=True)}".replace(" ", "\u00a0")


def _declared(row: Mapping[Hashable, Any]) -> str:
    name = df_name(row["df_method"])
    return f"{name} df, declared" if name else ""


def _flags(row: Mapping[Hashable, Any]) -> tuple[str, ...]:
    # Who is left out is said by the counts, and with the hypothesis.
    flags = str(row["flags"]).split("; ")
    return tuple(f"! {flag}" for flag in flags if flag and "left out" not in flag)


def _counts(row: Mapping[Hashable, Any]) -> str:
    people, rows = format_count(row["n_subjects"]), format_count(row["n_observations"])
    return f"{people} people, {rows} observations"


def _verdict(results: Results, row: Mapping[Hashable, Any]) -> tuple[str, str, str]:
    """Return badge, verdict and what it rests on."""
    p, adjusted = as_float(row["p"]), as_float(row["p_adjusted"])
    if row["role"] == "negative control":
        if p != p:
            return "none", "not estimable", str(row["flags"])
        if p < 0.05:
            return "warn", "changed", "a control that changes casts doubt on specificity"
        return "calm", "no change shown", "as expected; not a proof of none"
    alpha = family_alpha(results, str(row["family"]))
    if adjusted == adjusted:
        how = f"adjusted p {'<' if adjusted < alpha else '≥'} {f'{alpha:g}'.removeprefix('0')}"
        return ("pass", "passes", how) if adjusted < alpha else ("fail", "does not pass", how)
    if p != p:
        return "none", "not estimable", str(row["flags"])
    return "none", "not adjusted", "belongs to no family"


def _reach(groups: list[pd.DataFrame]) -> dict[str, float]:
    """Find for each unit how far its intervals reach, so that they share a scale."""
    reach: dict[str, float] = {}
    for group in groups:
        row = group.iloc[0]
        if row["kind"] == "F test":
            continue
        ends = [abs(as_float(row[name])) for name in ("estimate", "ci_low", "ci_high")]
        most = max([end for end in ends if end == end and end != float("inf")], default=0.0)
        reach[str(row["unit"])] = max(reach.get(str(row["unit"]), 0.0), most)
    return reach


def _glyph(row: Mapping[Hashable, Any], reach: float) -> tuple[float, float, float] | None:
    """Place an interval on a scale of 0 to 100 with no effect in the middle."""
    ends = [as_float(row[name]) for name in ("ci_low", "estimate", "ci_high")]
    if reach <= 0 or any(end != end for end in ends):
        return None
    low, middle, high = (50 + 48 * max(-1.0, min(1.0, end / reach)) for end in ends)
    return low, middle, high


def verdict_sentences(results: Results) -> list[str]:
    """Write the primary tests and the negative controls as sentences."""
    return [
        result_sentence(group[group["declared"]].iloc[0].to_dict(), title=result.title)
        for role in _ROLES
        for result in results.analyses
        if result.role == role
        for group in _tests(results, result)
    ]


def verdict_summary(results: Results) -> str:
    """Say in one line how many primary tests pass."""
    total = passed = 0
    families: dict[str, str] = {}
    for result in results.analyses:
        if result.role != "primary":
            continue
        rows = tested_rows(results, result)
        for row in rows[rows["declared"] & rows["p_adjusted"].notna()].to_dict("records"):
            total += 1
            passed += as_float(row["p_adjusted"]) < family_alpha(results, str(row["family"]))
            families[str(row["family"])] = adjustment_words(row["adjustment"])
    if not total:
        return ""
    how = "; ".join(
        f"family {name}: {words}" if name else words for name, words in families.items()
    )
    if total == 1:
        verdict = f"The primary test {'passes' if passed else 'does not pass'}"
        return f"{verdict} ({how}).{_controls(results)}"
    return f"{passed} of {total} primary tests pass after adjustment ({how}).{_controls(results)}"


def _controls(results: Results) -> str:
    """Say how many tests of negative controls show a change; empty where there is none."""
    p = [
        as_float(value)
        for result in results.analyses
        if result.role == "negative control"
        for rows in [tested_rows(results, result)]
        for value in rows.loc[rows["declared"], "p"]
    ]
    if not p:
        return ""
    moved = sum(value < 0.05 for value in p)
    if len(p) == 1:
        return f" The negative control shows {'a' if moved else 'no'} change (p {'<' if moved else '≥'} .05)."
    return (
        f" Negative controls: {moved or 'none'} of {len(p)} tests "
        f"{'show' if moved > 1 else 'shows'} a change (p < .05)."
    )
