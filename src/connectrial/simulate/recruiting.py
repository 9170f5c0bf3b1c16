"""Who takes part in a simulated study, what the participants table says, who is scanned when."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from connectrial.data import FloatArray
from connectrial.errors import StudyFileError
from connectrial.simulate.facts import Facts, check_names
from connectrial.study import Place, Study
from connectrial.study_trial import RuleSection
from connectrial.trial.periods import williams_sequences

PATIENTS_BY_DEFAULT = 20


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Recruited:
    """People of a simulated study.

    Attributes
    ----------
    people : DataFrame
        ``subject``, ``cohort``, ``is_control``, ``arm``, ``sequence`` (treatments joined by ``|``), then
        every column of the participants table.
    columns : tuple of str
        Columns of the participants table.
    scans : DataFrame
        ``subject``, ``session``, ``place`` of every session with scans.
    scored : DataFrame
        ``subject``, ``place`` of every assessment.
    """

    people: pd.DataFrame
    columns: tuple[str, ...]
    scans: pd.DataFrame
    scored: pd.DataFrame


def default_cohorts(study: Study) -> list[dict[str, Any]]:
    """Return cohorts of a sensible size: arms of 20, 20 patients, as many controls."""
    groups, arms = study.groups, study.arms
    own = {} if groups is None else {groups.column: groups.patients}
    if arms is not None:
        found = [
            {"name": level, "n": PATIENTS_BY_DEFAULT, "columns": own | {arms.column: level}}
            for level in arms.levels
        ]
    else:
        found = [{"name": "patients", "n": PATIENTS_BY_DEFAULT, "columns": own}]
    if groups is not None and groups.controls is not None:
        found.append(
            {
                "name": "controls",
                "n": PATIENTS_BY_DEFAULT,
                "columns": {groups.column: groups.controls},
            }
        )
    return found


def recruit(study: Study, facts: Facts, rng: np.random.Generator) -> Recruited:
    """Draw the people, the columns that the study reads of them, and who is seen when.

    Raises
    ------
    StudyFileError
        A cohort names a session or visit that the study does not have, or more people than it has.
    """
    cohorts = facts.many("cohort") or default_cohorts(study)
    _check(study, facts, cohorts)
    groups = study.groups
    people, scans, scored = [], [], []
    number = 0
    for cohort in cohorts:
        columns = {str(k): v for k, v in cohort.get("columns", {}).items()}
        is_control = groups is not None and columns.get(groups.column) == groups.controls
        mine = [f"{number + i:03d}" for i in range(1, cohort["n"] + 1)]
        number += len(mine)
        for i, subject in enumerate(mine):
            row: dict[str, Any] = {
                "subject": subject,
                "cohort": cohort["name"],
                "is_control": is_control,
                "arm": None if study.arms is None else columns.get(study.arms.column),
            }
            people.append(row | _sequence(study, i, is_control=is_control) | columns)
        for session, place in _sessions(study, controls=is_control):
            n = cohort.get("scans", {}).get(session, len(mine))
            chosen = sorted(rng.permutation(len(mine))[:n])
            scans += [(mine[k], session, place) for k in chosen]
        n_all = 0 if is_control else len(mine)
        for one in study.places:
            n = cohort.get("scored", {}).get(one.name, n_all if scored_at(one) else 0)
            scored += [(mine[k], one.name) for k in sorted(rng.permutation(len(mine))[:n])]
    table = pd.DataFrame(people)
    table["sequence"] = table.get("sequence", "")
    seen = {subject for subject, *_ in (*scans, *scored)}
    _fill_columns(table, study, facts, rng, seen=seen)
    fixed = {"subject", "cohort", "is_control", "arm", "sequence"}
    if study.arms is not None and study.arms.column == "arm":
        fixed -= {"arm"}
    sessions = pd.DataFrame(scans, columns=["subject", "session", "place"])
    order = {s: k for k, (s, _) in enumerate([*_sessions(study), *_sessions(study, controls=True)])}
    sessions = sessions.sort_values(
        ["subject", "session"], key=lambda c: c.map(order) if c.name == "session" else c
    )
    return Recruited(
        people=table,
        columns=tuple(str(c) for c in table if c not in fixed),
        scans=sessions.reset_index(drop=True),
        scored=pd.DataFrame(scored, columns=["subject", "place"]),
    )


def scored_at(place: Place) -> bool:
    """Say whether a place has a session for scores."""
    return bool(place.phenotype_sessions)


def _check(study: Study, facts: Facts, cohorts: Sequence[dict[str, Any]]) -> None:
    problems: list[str] = []
    sessions = [s for s, _ in [*_sessions(study), *_sessions(study, controls=True)]]
    places = [one.name for one in study.places]
    names = [cohort["name"] for cohort in cohorts]
    for cohort in cohorts:
        what = f"[[cohort]] {cohort['name']!r}"
        check_names(problems, cohort.get("scans", {}), sessions, what=f"{what} scans")
        check_names(problems, cohort.get("scored", {}), places, what=f"{what} scored")
        problems += [
            f"{what} {key}.{name} is {n}, but the cohort has n = {cohort['n']}"
            for key in ("scans", "scored")
            for name, n in cohort.get(key, {}).items()
            if n > cohort["n"]
        ]
    for section in ("scale", "endpoint"):
        known = list(study.scales if section == "scale" else study.endpoints)
        for one in facts.many(section):
            check_names(problems, [one["name"]], known, what=f"[[{section}]]")
            what = f"[[{section}]] {one['name']!r} cohorts"
            check_names(problems, one.get("cohorts", []), names, what=what)
    for name, how in facts.one("columns").items():
        check_names(problems, how.get("cohorts", []), names, what=f"[columns.{name}] cohorts")
    known = [one.name for one in study.hypothesis]
    check_names(problems, [one["name"] for one in facts.many("system")], known, what="[[system]]")
    odd = [one["session"] for one in facts.many("oddity") if "session" in one]
    check_names(problems, odd, sessions, what="[[oddity]] session")
    if not sum(cohort["n"] for cohort in cohorts):
        problems.append("[[cohort]]: nobody takes part; at least one cohort needs n of 1 or more")
    if problems:
        raise StudyFileError(problems)


def _sessions(study: Study, *, controls: bool = False) -> list[tuple[str, str]]:
    """Return every scan session in order, and the place that it belongs to."""
    if study.data.derivatives is None:
        return []
    if controls:
        own = () if study.groups is None else study.groups.control_sessions
        if own:
            return [(session, "control") for session in own]
        first = next((one for one in study.places if one.sessions), None)
        return [] if first is None else [(session, "control") for session in first.sessions[:1]]
    return [(session, place.name) for place in study.places for session in place.sessions]


def _sequence(study: Study, i: int, *, is_control: bool) -> dict[str, Any]:
    """Return a crossover's order of treatments: a Williams design's sequences by turns."""
    order = study.design.order
    if order is None or is_control:
        return {}
    sequences = williams_sequences(study.design.treatments)
    turned = sequences[i % len(sequences)]
    code = {treatment: cell for cell, treatment in order.codes.items()}
    cells = [code.get(one, one) for one in turned[: len(order.columns)]]
    return dict(zip(order.columns, cells, strict=False)) | {"sequence": "|".join(turned)}


def _fill_columns(
    people: pd.DataFrame,
    study: Study,
    facts: Facts,
    rng: np.random.Generator,
    *,
    seen: Collection[str],
) -> None:
    """Give every column that the study reads its cells, where no cohort states them.

    Levels are dealt among controls, among patients who were seen, and among the others apart, so that
    a count that is printed of those who began is exact among them.
    """
    stated: dict[str, dict[str, Any]] = facts.one("columns")
    wanted: dict[str, dict[str, Any]] = {}
    for rule in _rules(study):
        if rule.column is not None:
            wanted[rule.column] = _by_rule(rule, wanted.get(rule.column, {}))
    for name, variable in study.variables.items():
        column = variable.column or name
        if variable.levels:
            wanted.setdefault(column, {"levels": dict.fromkeys(variable.levels, 1.0)})
        else:
            wanted.setdefault(column, {"mean": 40.0, "sd": 12.0, "minimum": 18.0, "maximum": 65.0})
    if study.flow is not None:
        wanted.setdefault(study.flow.disposition, {"levels": {study.flow.completed[0]: 1.0}})
    if study.exposure is not None and study.exposure.weight is not None:
        weight = {"mean": 75.0, "sd": 13.0, "minimum": 45.0, "maximum": 130.0}
        wanted.setdefault(study.exposure.weight, weight)
    made = {one["column"] for one in facts.many("correlation")} | {facts.one("doses").get("column")}
    for column in dict.fromkeys([*wanted, *stated]):
        if column in made:
            continue
        if column not in people:
            people[column] = None
        people[column] = people[column].astype("object")
        how = stated.get(column) or wanted.get(column, {})
        never = ~people["is_control"] & ~people["subject"].isin(list(seen))
        empty = people[column].isna()
        if "cohorts" in how:
            empty &= people["cohort"].isin(how["cohorts"])
        for _, group in people.loc[empty].groupby([people["is_control"], never]):
            people.loc[group.index, column] = _draw_cells(how, len(group), rng)


def _draw_cells(how: dict[str, Any], n: int, rng: np.random.Generator) -> list[Any]:
    if "levels" in how:
        return deal(how["levels"], n, rng)
    values: FloatArray = how.get("mean", 0.0) + how.get("sd", 0.0) * rng.standard_normal(n)
    low, high = how.get("minimum", -np.inf), how.get("maximum", np.inf)
    return [round(float(one), how.get("decimals", 1)) for one in np.clip(values, low, high)]


def deal(shares: dict[str, float], n: int, rng: np.random.Generator) -> list[str]:
    """Deal levels to n people in these proportions, as exactly as whole people allow."""
    names, weight = list(shares), np.array(list(shares.values()), dtype=float)
    exact = n * weight / weight.sum()
    counts = np.floor(exact).astype(int)
    short = n - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return list(rng.permutation(np.repeat(names, counts)))


def _rules(study: Study) -> list[RuleSection]:
    return [*study.eligibility, *(r for one in study.analysis_sets.values() for r in one.rules)]


def _by_rule(rule: RuleSection, before: dict[str, Any]) -> dict[str, Any]:
    """Return cells that fulfil a rule."""
    if rule.one_of:
        return {"levels": {rule.one_of[0]: 1.0}}
    if rule.none_of:
        return before or {"levels": {"no" if "no" not in rule.none_of else "none": 1.0}}
    low = max(
        (x for x in (rule.at_least, rule.above, before.get("minimum")) if x is not None),
        default=0.0,
    )
    high = min(
        (x for x in (rule.at_most, rule.below, before.get("maximum")) if x is not None),
        default=low + 50.0,
    )
    width = high - low
    inner = {"minimum": low + 0.02 * width, "maximum": high - 0.02 * width}
    return {"mean": low + width / 2, "sd": width / 5, **inner}
