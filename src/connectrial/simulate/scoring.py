"""Scores of a simulated study: means and spreads as asked for, and exactly so many responders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from connectrial.data import FloatArray
from connectrial.errors import StudyFileError
from connectrial.simulate.facts import Facts
from connectrial.simulate.recruiting import Recruited
from connectrial.study import EndpointSection, ScaleSection, Study


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRange:
    """What a score can be: lowest, highest, and whether it is a whole number."""

    minimum: float
    maximum: float
    whole: bool = True


def draw_scores(
    study: Study,
    facts: Facts,
    recruited: Recruited,
    *,
    ranges: Mapping[str, ScoreRange],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Draw every score.

    A person's scores of a scale over visits are normal with one correlation between any two visits,
    cut at the scale's ends. Where an endpoint's count is given, the people with the best scores meet
    it, and scores of the others are moved just beyond the rule: counts are exact, means and spreads
    those asked for up to this and up to chance.

    Returns
    -------
    DataFrame
        ``subject``, ``place``, ``scale``, ``score``.

    Raises
    ------
    StudyFileError
        An endpoint's count is not possible.
    """
    pieces = []
    for name, section in study.scales.items():
        wide = _draw_scale(name, section, study, facts, recruited, ranges[name], rng)
        counts = [*facts.many("endpoint"), *halves(study, facts)]
        own = [one for one in counts if study.endpoints[one["name"]].scale == name]
        for one in sorted(own, key=lambda one: _order(study, one["name"])):
            _enforce(wide, one, study, facts, recruited, ranges[name])
        long = wide.rename_axis(index="subject", columns="place").reset_index()
        long = long.melt(id_vars="subject", value_name="score").dropna(subset="score")
        pieces.append(long.assign(scale=name))
    columns = ["subject", "place", "scale", "score"]
    return (
        pd.concat(pieces, ignore_index=True)[columns] if pieces else pd.DataFrame(columns=columns)
    )


def halves(study: Study, facts: Facts) -> list[dict[str, Any]]:
    """Return endpoints that a model needs both levels of and whose count nobody states: half."""
    stated = {one["name"] for one in facts.many("endpoint")}
    words = {
        word
        for model in study.model.values()
        for term in model.fixed
        for word in re.split(r"[^\w]+", term)
    }
    return [
        {"name": name, "n": None}
        for name, one in study.endpoints.items()
        if name in words - stated and not (study.is_crossover or one.until or one.among)
    ]


def _order(study: Study, name: str) -> tuple[int, int]:
    """Sort endpoints: by visit, and response before the remission within it."""
    endpoint = study.endpoints[name]
    return study.visits.index(endpoint.visit), int(endpoint.min_percent_decrease is None)


def _by_place(value: object, place: str, visit: str, default: float) -> float:
    if isinstance(value, Mapping):
        return float(value.get(place, value.get(visit, default)))
    return default if value is None else float(str(value))


def _draw_scale(
    name: str,
    section: ScaleSection,
    study: Study,
    facts: Facts,
    recruited: Recruited,
    limits: ScoreRange,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return one scale's scores, people by places; NaN where nobody was seen."""
    people = recruited.people.set_index("subject")
    places = [one for one in study.places if one.phenotype_sessions]
    seen = recruited.scored.assign(yes=True).pivot_table(
        index="subject", columns="place", values="yes", aggfunc="any"
    )
    entries = [one for one in facts.many("scale") if one["name"] == name]
    width = limits.maximum - limits.minimum
    middle, spread = limits.minimum + 0.45 * width, 0.12 * width
    wide = pd.DataFrame(np.nan, index=people.index, columns=[one.name for one in places])
    for cohort, group in people.groupby("cohort", sort=False):
        mine = [e for e in entries if cohort in e.get("cohorts", [cohort])]
        # What names the cohort goes before what is said of everybody.
        entry: dict[str, Any] = next(iter(sorted(mine, key=lambda e: "cohorts" not in e)), {})
        rho = float(entry.get("correlation", 0.6))
        common = rng.standard_normal(len(group))
        before = (middle, spread)
        for one in places:
            own = rng.standard_normal(len(group))
            mean = _by_place(entry.get("mean"), one.name, one.visit, before[0])
            sd = _by_place(entry.get("sd"), one.name, one.visit, before[1])
            before = (mean, sd)
            drawn = mean + sd * (np.sqrt(rho) * common + np.sqrt(1 - rho) * own)
            least = _by_place(entry.get("minimum"), one.name, one.visit, limits.minimum)
            drawn = np.maximum(drawn, least)
            wide.loc[group.index, one.name] = _rounded(drawn, limits)
        if entry and "mean" in entry and isinstance(entry["mean"], Mapping):
            # A scale that is given by visit is rated at these visits alone.
            absent = [p.name for p in places if not {p.name, p.visit} & set(entry["mean"])]
            wide.loc[group.index, absent] = np.nan
    return wide.where(seen.reindex(index=wide.index, columns=wide.columns).eq(True))  # noqa: FBT003


def _rounded(values: FloatArray, limits: ScoreRange) -> FloatArray:
    cut = np.clip(values, limits.minimum, limits.maximum)
    return np.round(cut) if limits.whole else np.round(cut, 3)


def met(endpoint: EndpointSection, wide: pd.DataFrame, *, better: str) -> pd.Series:
    """Return who meets an endpoint at its visit (NaN: unknown); people are rows, places columns."""
    now = wide[endpoint.visit]
    if endpoint.min_percent_decrease is None:
        limit = endpoint.below if endpoint.below is not None else endpoint.at_most
        found = now < limit if endpoint.below is not None else now <= limit
        return found.where(now.notna())
    assert endpoint.baseline is not None  # noqa: S101 - checked with the study file
    base = wide[endpoint.baseline]
    fall = 100 * (base - now) / base * (1 if better == "lower" else -1)
    return (fall >= endpoint.min_percent_decrease).where(now.notna() & base.notna())


def _enforce(
    wide: pd.DataFrame,
    fact: dict[str, Any],
    study: Study,
    facts: Facts,
    recruited: Recruited,
    limits: ScoreRange,
) -> None:
    """Move scores of a visit so that exactly so many people of the cohorts meet an endpoint."""
    name, endpoint = fact["name"], study.endpoints[fact["name"]]
    if endpoint.visit not in wide or endpoint.until is not None:
        raise StudyFileError(
            f"[[endpoint]] {name!r}: counts can be given for an endpoint at one visit, outside crossovers"
        )
    people = recruited.people.set_index("subject")
    cohorts = fact.get("cohorts", list(people["cohort"].unique()))
    inside = people["cohort"].isin(cohorts)
    now = wide.loc[inside[inside].index, endpoint.visit].dropna()
    base = wide.loc[now.index, endpoint.baseline] if endpoint.baseline else now
    better = study.scales[endpoint.scale].better
    sign = 1.0 if better == "lower" else -1.0
    must = pd.Series(data=False, index=now.index)
    if endpoint.among is not None:
        pool = met(study.endpoints[endpoint.among], wide, better=better).reindex(now.index).eq(True)  # noqa: FBT003
        must = ~pool
    rank = (sign * (now / base if endpoint.min_percent_decrease is not None else now)).rename(
        "rank"
    )
    ordered = pd.concat([must.rename("must"), rank], axis=1).sort_values(["must", "rank"])
    n_free = int((~must).sum())
    fact = fact | {"n": n_free // 2 if fact["n"] is None else fact["n"]}
    if fact["n"] > n_free:
        raise StudyFileError(
            f"[[endpoint]] {name!r}: n is {fact['n']}, but {n_free} people have the score that it needs"
        )
    if endpoint.among is not None:
        yes, no = ordered.index[: fact["n"]], ordered.index[fact["n"] : n_free]
    else:
        kept = _kept_by_others(wide, fact, study, facts, now.index)
        yes, no = _choose(rank, fact["n"], kept)
    step = 1.0 if limits.whole else 0.001
    for subject in now.index:
        if subject not in yes and subject not in no:
            continue
        edge = _edge(endpoint, base.loc[subject], step, sign, is_met=subject in yes)
        value = float(now.loc[subject])
        beyond = sign * value > sign * edge if subject in yes else sign * value < sign * edge
        if beyond:
            wide.loc[subject, endpoint.visit] = float(np.clip(edge, limits.minimum, limits.maximum))


def _choose(rank: pd.Series, n: int, kept: pd.Series) -> tuple[pd.Index, pd.Index]:
    """Choose the n best: those who must meet it first, those who must not last."""
    table = pd.concat([kept.reindex(rank.index).fillna(0).rename("kept"), rank], axis=1)
    ordered = table.sort_values(["kept", "rank"], kind="stable").index
    return ordered[:n], ordered[n:]


def _kept_by_others(
    wide: pd.DataFrame, fact: dict[str, Any], study: Study, facts: Facts, people: pd.Index
) -> pd.Series:
    """Say who must (-1) or must not (1) meet a rule, by endpoints among others at the same visit.

    With 11 responders at the last visit, of whom 8 had responded before, the 8 are chosen first and
    the other early responders last.
    """
    endpoint = study.endpoints[fact["name"]]
    kept = pd.Series(0, index=people)
    if endpoint.min_percent_decrease is None:
        # Remission lies inside response: only who responds at this visit may remit.
        for other in facts.many("endpoint"):
            rule = study.endpoints[other["name"]]
            same = rule.visit == endpoint.visit and rule.scale == endpoint.scale
            if same and rule.min_percent_decrease is not None and rule.among is None:
                better = study.scales[endpoint.scale].better
                responds = met(rule, wide, better=better).reindex(people).eq(True)  # noqa: FBT003
                kept = kept.mask(~responds, 1)
        return kept
    for other in facts.many("endpoint"):
        rule = study.endpoints[other["name"]]
        if rule.among is None or rule.visit != endpoint.visit or rule.scale != endpoint.scale:
            continue
        better = study.scales[endpoint.scale].better
        pool = met(study.endpoints[rule.among], wide, better=better).reindex(people).eq(True)  # noqa: FBT003
        score = wide.loc[people, endpoint.visit].where(pool).sort_values().dropna()
        kept = kept.mask(kept.index.isin(score.index[: other["n"]]), -1)
        kept = kept.mask(kept.index.isin(score.index[other["n"] :]), 1)
    return kept


def _edge(
    endpoint: EndpointSection,
    base: float,
    step: float,
    sign: float,
    *,
    is_met: bool,
) -> float:
    """Return the worst score that meets a rule, or the best one that does not."""
    if endpoint.min_percent_decrease is not None:
        limit = base * (1 - sign * endpoint.min_percent_decrease / 100)
        whole = np.floor(limit / step) if sign > 0 else np.ceil(limit / step)
        return float(whole * step if is_met else (whole + sign) * step)
    if endpoint.below is not None:
        highest = np.ceil(endpoint.below / step) * step - step
        return float(highest if is_met else highest + step)
    assert endpoint.at_most is not None  # noqa: S101 - a rule has one of the three
    highest = np.floor(endpoint.at_most / step) * step
    return float(highest if is_met else highest + step)
