"""Who may take part, and the named sets of people that analyses are about."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from connectrial.errors import InputError
from connectrial.plan.survey import Survey
from connectrial.study import Study
from connectrial.study_trial import RuleSection
from connectrial.trial.flow import NOT_ELIGIBLE
from connectrial.trial.rules import Rule, apply_rules

COUNT_COLUMNS = ["set", "rule", "condition", "n_before", "n_failed", "n_failed_of_all"]
COUNT_COLUMNS += ["n_missing", "n_after"]


def rule_of(section: RuleSection) -> Rule:
    """Turn a rule of the study file into one that can be applied."""
    column = section.column or f"{section.scale} at {section.visit}"
    rule = Rule(
        name=section.name or "",
        column=column,
        one_of=section.one_of,
        none_of=section.none_of,
        at_least=section.at_least,
        at_most=section.at_most,
        above=section.above,
        below=section.below,
        missing=section.missing,
    )
    if section.name:
        return rule
    fields = {name: getattr(rule, name) for name in Rule.__slots__}
    return Rule(**{**fields, "name": rule.words})


def person_table(
    study: Study, survey: Survey, subjects: pd.DataFrame, scores: pd.DataFrame
) -> pd.DataFrame:
    """Return one row per person with every column that a rule may name."""
    table = subjects[["subject"]].copy()
    known = survey.participants
    for column in known.columns:
        table[str(column)] = known[column].astype("object").reindex(table["subject"]).to_numpy()
    wanted = [*study.eligibility, *(r for one in study.analysis_sets.values() for r in one.rules)]
    for scale, visit in dict.fromkeys((one.scale, one.visit) for one in wanted if one.scale):
        mine = scores.loc[(scores["scale"] == scale) & (scores["visit"] == visit)]
        values = mine.set_index("subject")["score"]
        table[f"{scale} at {visit}"] = values.reindex(table["subject"]).to_numpy()
    return table


def apply_eligibility(
    study: Study, subjects: pd.DataFrame, people: pd.DataFrame, problems: list[str]
) -> pd.DataFrame:
    """Leave out who fails a condition for taking part; return the counts.

    ``subjects`` is changed in place: ``included`` and ``reason``.
    """
    asked = {one.who for one in study.eligibility}
    counts = []
    for who in ("patients", "controls", "everyone"):
        rules = [rule_of(one) for one in study.eligibility if one.who == who]
        if who not in asked:
            continue
        chosen = _asked(study, subjects, who)
        try:
            outcome = apply_rules(people.loc[chosen.to_numpy()].reset_index(drop=True), rules)
        except InputError as error:
            problems += [f"[[eligibility]]: {problem}" for problem in error.problems]
            continue
        failed = outcome.people.loc[~outcome.people["passed"]].set_index("subject")["reason"]
        mine = subjects["subject"].isin(failed.index) & subjects["included"]
        subjects.loc[mine, "reason"] = [
            f"{NOT_ELIGIBLE}: {failed[subject]}" for subject in subjects.loc[mine, "subject"]
        ]
        subjects.loc[mine, "included"] = False
        counts.append(outcome.counts.assign(set=f"eligibility ({who})"))
    return _stacked(counts)


def _asked(study: Study, subjects: pd.DataFrame, who: str) -> pd.Series[bool]:
    """Return whom a condition is asked of; those whom another reason keeps out are not asked."""
    here = subjects["included"].astype(bool)
    if study.groups is None or who == "everyone":
        return here
    level = study.groups.patients if who == "patients" else study.groups.controls
    return here & (subjects["group"] == level)


def find_sets(
    study: Study, subjects: pd.DataFrame, people: pd.DataFrame, problems: list[str]
) -> tuple[dict[str, frozenset[str]], pd.DataFrame]:
    """Return the members of each analysis set, among those who take part, and the counts."""
    included = subjects["included"].to_numpy(dtype=bool)
    taking_part = people.loc[included].reset_index(drop=True)
    sets: dict[str, frozenset[str]] = {}
    counts = []
    for name, section in study.analysis_sets.items():
        rules: Sequence[Rule] = [rule_of(one) for one in section.rules]
        try:
            outcome = apply_rules(taking_part, rules)
        except InputError as error:
            problems += [f"[analysis_sets.{name}]: {problem}" for problem in error.problems]
            continue
        passed = outcome.people.loc[outcome.people["passed"], "subject"]
        sets[name] = frozenset(map(str, passed))
        counts.append(outcome.counts.assign(set=name))
    return sets, _stacked(counts)


def _stacked(counts: list[pd.DataFrame]) -> pd.DataFrame:
    if not counts:
        return pd.DataFrame(columns=COUNT_COLUMNS)
    return pd.concat(counts, ignore_index=True)[COUNT_COLUMNS]
