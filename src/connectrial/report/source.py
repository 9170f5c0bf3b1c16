"""Questions that several sections ask of the results: factors, visits, tested rows, networks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from connectrial.results import Result, Results
from connectrial.trial.periods import repeat_common
from connectrial.wording import contrast_term

NOT_STATED = "not stated"
_TEST_KINDS = (
    *("coefficient", "contrast", "F test", "difference", "risk difference", "correlation"),
    *("hazard ratio", "probabilistic index", "test"),
)
_FORMULA_WORDS = re.compile(r"\[[^\]]*\]")


def table(results: Results, name: str) -> pd.DataFrame | None:
    """Return a table that has rows, else None."""
    found = results.tables.get(name)
    return found if found is not None and len(found) else None


def without_marks(results: Results) -> Results:
    """Take the mark of simulated data out of single rows: banner and headings say it for all."""
    if not results.plan.get("simulated"):
        return results
    analyses = []
    for one in results.analyses:
        flags = (
            one.estimates["flags"].astype(str).str.replace(r"(; )?simulated data$", "", regex=True)
        )
        analyses.append(replace(one, estimates=one.estimates.assign(flags=flags)))
    return replace(results, analyses=tuple(analyses))


def visits(results: Results) -> list[str]:
    """Return the visits in the plan's order."""
    return [str(visit) for visit in results.plan.get("visits", ())]


def places(results: Results) -> list[str]:
    """Return where scans and scores stand, in order: in a crossover each visit under each treatment."""
    return [str(place) for place in results.plan.get("places", ())] or visits(results)


def under_each_treatment(results: Results, rows: pd.DataFrame) -> pd.DataFrame:
    """Repeat what all periods of a crossover have in common under each treatment, for courses."""
    if "treatment" not in rows.columns:
        return rows
    return repeat_common(rows, treatments=factors(results).get("treatment", []))


def factors(results: Results) -> dict[str, list[str]]:
    """Return factors of people (not of visits) with their ordered levels."""
    declared = results.plan.get("factors", {}) or {}
    skipped = {"visit", "time", "subject", "session"}
    return {
        str(name): [str(level) for level in levels]
        for name, levels in declared.items()
        if name not in skipped
    }


def controls_level(results: Results) -> str | None:
    """Return the level of ``group`` that means controls."""
    groups = results.study.get("groups") or {}
    level = groups.get("controls")
    return None if level is None else str(level)


def patients_level(results: Results) -> str | None:
    """Return the level of ``group`` that means patients."""
    groups = results.study.get("groups") or {}
    level = groups.get("patients")
    return None if level is None else str(level)


def with_factors(results: Results, rows: pd.DataFrame) -> pd.DataFrame:
    """Add the factors of people that a table lacks, from ``subjects``."""
    people = table(results, "subjects")
    ready = rows.assign(subject=rows["subject"].astype(str))
    if people is None or "subject" not in people.columns:
        return ready
    by_subject = people.assign(subject=people["subject"].astype(str)).set_index("subject")
    by_subject = by_subject[~by_subject.index.duplicated()]
    missing = [name for name in factors(results) if name not in ready.columns]
    for name in missing:
        if name in by_subject.columns:
            ready[name] = ready["subject"].map(by_subject[name])
    return ready


def included_people(results: Results) -> set[str] | None:
    """Return the people who are analysed; None where the tables do not say."""
    people = table(results, "subjects")
    if people is None or "included" not in people.columns:
        return None
    return set(people.loc[people["included"].astype(bool), "subject"].astype(str))


def split_factor(results: Results, rows: pd.DataFrame) -> tuple[str | None, list[str]]:
    """Choose the factor that sets people apart in descriptive figures, and its levels.

    What people were randomised to or given comes first (in a crossover the sequence), then patients
    and controls, then endpoints.
    """
    known = factors(results)
    for name in [*(n for n in ("arm", "treatment", "sequence", "group") if n in known), *known]:
        if name in rows.columns:
            present = set(rows[name].dropna().astype(str))
            levels = [level for level in known[name] if level in present]
            if len(levels) > 1:
                return name, levels
    return None, []


def factor_of(results: Results, result: Result) -> tuple[str | None, list[str]]:
    """Find the factor by which an analysis splits its people, and its levels in order."""
    known = factors(results)
    if result.means is not None and len(result.means) and "by_factor" in result.means.columns:
        named = [str(n) for n in result.means["by_factor"].dropna().unique() if str(n)]
        if named:
            by = result.means.loc[result.means["by_factor"].astype(str) == named[0], "by"]
            present = [str(level) for level in by.dropna().unique() if str(level)]
            order = known.get(named[0], present)
            levels = [level for level in order if level in present]
            return named[0], levels + [level for level in present if level not in levels]
        return None, []
    for name, levels in known.items():
        if any(name in _words(term) for term in result.estimates["term"].astype(str)):
            return name, levels
    return None, []


def family_alpha(results: Results, family: str) -> float:
    """Return the level at which a family's verdict is given."""
    declared = (results.plan.get("families") or {}).get(family)
    declared = declared or (results.study.get("family") or {}).get(family) or {}
    return float(declared.get("alpha", 0.05))


def declared_tests(results: Results, name: str) -> tuple[str, ...]:
    """Return the terms and contrasts that the study file tests in an analysis, or in its variant."""
    for section in ("hypothesis", "clinical"):
        for entry in results.study.get(section) or ():
            if not isinstance(entry, Mapping) or not entry.get("name"):
                continue
            own = str(entry["name"])
            if name == own or (name.startswith(f"{own} [") and name.endswith("]")):
                terms = tuple(str(term) for term in entry.get("tests") or ())
                return (*terms, *_contrasts(results, entry))
    return ()


def ends_of(edges: pd.DataFrame) -> list[str]:
    """Return the parcels at the ends of edges, each once, in the order in which they come."""
    ends = pd.concat([edges["parcel_a"], edges["parcel_b"]])
    return [str(parcel) for parcel in ends.unique()]


def visits_of(results: Results, name: str) -> set[str]:
    """Return the visits that the study file gives a hypothesis; empty where it takes all."""
    for entry in results.study.get("hypothesis") or ():
        if isinstance(entry, Mapping) and entry.get("name") == name:
            return {str(visit) for visit in entry.get("visits") or ()}
    return set()


def _contrasts(results: Results, entry: Mapping[str, Any]) -> tuple[str, ...]:
    treatments = (results.study.get("design") or {}).get("treatments") or [""]
    return tuple(
        contrast_term(
            str(one["treatment"]),
            str(one.get("against") or treatments[0]),
            visits=one.get("visits") or (),
            since=one.get("since"),
        )
        for one in entry.get("contrasts") or ()
    )


def tested_rows(results: Results, result: Result) -> pd.DataFrame:
    """Return the rows of an analysis that are tests, all df methods, declared ones first.

    Those are the members of its family and whatever stands there by more than one df method; else
    the terms that the study file tests; else every row with a p value but the intercept.
    """
    rows = result.estimates.reset_index(drop=True)
    rows = rows[rows["kind"].isin(_TEST_KINDS) & rows["p"].notna()]
    if rows.empty:
        return rows
    named = declared_tests(results, result.name)
    if any(contrast in named for contrast in rows.loc[rows["kind"] == "contrast", "term"]):
        # Where contrasts are declared, the others stand among the other rows of the analysis.
        rows = rows[rows["kind"].ne("contrast") | rows["term"].isin(named)]
    members = set(rows.loc[(rows["family"] != "") | ~rows["declared"], "term"])
    chosen = rows[rows["term"].isin(members)]
    bare = rows["term"].map(_bare)
    if chosen.empty:
        wanted = {_bare(term) for term in declared_tests(results, result.name)}
        chosen = rows[bare.isin(wanted)]
    if chosen.empty:
        chosen = rows[~bare.isin({"Intercept", "1", ""})]
    return chosen.sort_values("declared", ascending=False, kind="stable")


def same_estimate(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Group rows that differ in df method alone, in order of appearance, declared one first.

    Sensitivity rows are another model's and form groups of their own, after the one they belong to.
    """
    keys = ["analysis", "analysis_set", "outcome", "term", "kind"]
    found = []
    for _, group in rows.groupby(keys, sort=False, dropna=False):
        beside = group["role"] == "sensitivity"
        ordered = group[~beside].sort_values("declared", ascending=False, kind="stable")
        found += [ordered, *(one for _, one in group[beside].groupby("flags", sort=False))]
    return [group for group in found if len(group)]


def sensitivities(rows: pd.DataFrame, group: pd.DataFrame) -> pd.DataFrame:
    """Return the sensitivity rows that stand beside an estimate."""
    first = group.iloc[0]
    same = rows["role"] == "sensitivity"
    for key in ("analysis", "outcome", "term", "kind"):
        same &= rows[key] == first[key]
    beside: pd.DataFrame = rows[same & (first["role"] != "sensitivity")]
    return beside


def networks_of(results: Results, parcels: Sequence[str]) -> dict[str, str]:
    """Find each parcel's network: from the table ``parcels``, the edge tables, or the names."""
    listed = table(results, "parcels")
    found: dict[str, str] = {}
    if listed is not None and {"parcel", "network"} <= set(listed.columns):
        known = listed.dropna(subset=["network"])
        found = dict(zip(known["parcel"].astype(str), known["network"].astype(str), strict=True))
    if not found:
        for edges in results.edges.values():
            for side in "ab":
                if f"network_{side}" in edges.columns:
                    pairs = edges[[f"parcel_{side}", f"network_{side}"]].dropna()
                    pairs = pairs.drop_duplicates()
                    found |= dict(pairs.astype(str).itertuples(index=False, name=None))
    if not found:
        found = {parcel: name for parcel in parcels if (name := _network_in(parcel))}
    return {parcel: found[parcel] for parcel in parcels if parcel in found}


def stand_ins(results: Results) -> list[str]:
    """Return the settings whose values no source states."""
    return [str(key) for key in results.plan.get("stand_ins") or ()]


def number_of_scans(results: Results) -> int:
    """Count sessions with a scan, from ``scans`` or ``quality``."""
    for name in ("scans", "quality"):
        listed = table(results, name)
        if listed is not None and {"subject", "session"} <= set(listed.columns):
            return len(listed[["subject", "session"]].drop_duplicates())
    return 0


def unit_of(result: Result, default: str = "Fisher z") -> str:
    """Return the unit of an analysis' outcome, which a slope has per unit of something."""
    units = [unit for unit in result.estimates["unit"] if isinstance(unit, str) and unit]
    return units[0].partition(" per ")[0] if units else default


def visit_days(results: Results) -> dict[str, float] | None:
    """Return the day of each visit; None where one is not stated."""
    days: dict[str, float] = {}
    for entry in results.study.get("visit") or ():
        day: Any = entry.get("day")
        if day is None:
            return None
        days[str(entry["name"])] = float(day)
    return days or None


def values_of(results: Results, outcome: str) -> pd.DataFrame:
    """Return network FC of an outcome: ``subject``, ``visit``, ``value`` and the factors."""
    listed = table(results, "visit_fc")
    if listed is None:
        return pd.DataFrame({"subject": [], "visit": [], "value": []})
    if "outcome" in listed.columns:
        own = listed[listed["outcome"].astype(str) == outcome]
        own = own.assign(value=pd.to_numeric(own["fc_z"], errors="coerce"))
    elif outcome in listed.columns:
        own = listed.assign(value=pd.to_numeric(listed[outcome], errors="coerce"))
    else:
        own = listed.iloc[0:0].assign(value=np.nan)
    ready = with_factors(results, own.assign(visit=own["visit"].astype(str)))
    people = included_people(results)
    return ready if people is None else ready[ready["subject"].isin(people)]


def _bare(term: object) -> str:
    """Strip the levels from a term: ``time[post]:arm[b]`` -> ``time:arm``."""
    return _FORMULA_WORDS.sub("", str(term)).replace(" ", "")


def _words(term: str) -> set[str]:
    return set(_bare(term).split(":"))


def _network_in(parcel: str) -> str:
    """Read the network from a name such as ``7Networks_LH_Default_PFC_1``."""
    match = re.match(r"(?:\d+Networks_)?[LR]H_([A-Za-z]+)", parcel)
    return match.group(1) if match else ""
