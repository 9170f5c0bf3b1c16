"""Conditions on people, applied in order: who passes, who fails what, and how many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from connectrial.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A condition on one column of a table of people.

    Attributes
    ----------
    name : str
        Words for tables and reasons.
    column : str
        Column of the table.
    one_of, none_of : tuple of str
        Allowed values; values that are not allowed.
    at_least, at_most, above, below : float or None
        Limits of a number, in the column's unit.
    missing : {"fail", "pass"}
        What a missing value means.
    """

    name: str
    column: str
    one_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    missing: Literal["fail", "pass"] = "fail"

    @property
    def numeric(self) -> bool:
        """Tell whether the column must hold numbers."""
        return any(one is not None for one in (self.at_least, self.at_most, self.above, self.below))

    @property
    def words(self) -> str:
        """Say the condition."""
        parts = []
        if self.one_of:
            parts.append(f"is {' or '.join(self.one_of)}")
        if self.none_of:
            parts.append(f"is not {' or '.join(self.none_of)}")
        signs = {"at_least": ">=", "at_most": "<=", "above": ">", "below": "<"}
        for key, sign in signs.items():
            if getattr(self, key) is not None:
                parts.append(f"{sign} {getattr(self, key):g}")
        return f"{self.column} {' and '.join(parts)}"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RuleOutcome:
    """Who passed.

    Attributes
    ----------
    people : DataFrame
        ``subject``, ``passed`` (bool), ``reason`` (the first condition that failed, and the value;
        empty for those who pass).
    counts : DataFrame
        One row per rule: ``rule``, ``condition``, ``n_before`` (people who passed all rules above),
        ``n_failed`` (of those, who fail this one: sequential), ``n_failed_of_all`` (of everybody,
        who fail it: independent), ``n_missing`` (of everybody), ``n_after``.
    """

    people: pd.DataFrame
    counts: pd.DataFrame


def apply_rules(people: pd.DataFrame, rules: Sequence[Rule]) -> RuleOutcome:
    """Apply conditions in their order.

    Parameters
    ----------
    people : DataFrame
        One row per person: ``subject`` and the columns that the rules name.
    rules : sequence of Rule
        All must hold.

    Returns
    -------
    RuleOutcome

    Raises
    ------
    InputError
        A column is absent, or holds words where a rule has a limit.
    """
    problems = []
    left = np.ones(len(people), dtype=bool)
    reasons = np.full(len(people), "", dtype=object)
    counts = []
    for rule in rules:
        if rule.column not in people:
            problems.append(
                f"rule {rule.name!r}: there is no column {rule.column!r}; there are "
                f"{', '.join(map(repr, people.columns.drop('subject')))}"
            )
            continue
        try:
            failed, missing = _failed(people, rule)
        except InputError as error:
            problems += error.problems
            continue
        shown = people[rule.column].to_numpy(dtype=object)
        here = left & failed
        for i in np.flatnonzero(here):
            value = f"{rule.column} is missing" if missing[i] else f"has {_shown(shown[i])}"
            reasons[i] = f"{rule.name} ({value})"
        counts.append(
            {
                "rule": rule.name,
                "condition": rule.words,
                "n_before": int(left.sum()),
                "n_failed": int(here.sum()),
                "n_failed_of_all": int(failed.sum()),
                "n_missing": int(missing.sum()),
                "n_after": int((left & ~failed).sum()),
            }
        )
        left &= ~failed
    if problems:
        raise InputError(problems)
    columns = ["rule", "condition", "n_before", "n_failed", "n_failed_of_all", "n_missing"]
    return RuleOutcome(
        people=pd.DataFrame(
            {
                "subject": people["subject"].to_numpy(),
                "passed": left,
                "reason": pd.array(list(reasons), dtype="str"),
            }
        ),
        counts=pd.DataFrame(counts, columns=[*columns, "n_after"]),
    )


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _failed(people: pd.DataFrame, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    column = people[rule.column]
    missing = column.isna().to_numpy()
    failed = np.zeros(len(column), dtype=bool)
    if rule.numeric:
        text = column.astype("object").map(lambda cell: str(cell).replace(",", "."))
        numbers = pd.to_numeric(text.where(~missing), errors="coerce").to_numpy(dtype=np.float64)
        bad = np.isnan(numbers) & ~missing
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"rule {rule.name!r}: column {rule.column!r} of sub-{people['subject'].iloc[i]} is "
                f"{column.iloc[i]!r}, which is no number; correct the cell, or use one_of for words"
            )
        for limit, wrong in (
            (rule.at_least, np.less),
            (rule.at_most, np.greater),
            (rule.above, np.less_equal),
            (rule.below, np.greater_equal),
        ):
            if limit is not None:
                failed |= wrong(numbers, limit)
    words = column.astype("object").astype(str)
    if rule.one_of:
        failed |= ~words.isin(rule.one_of).to_numpy()
    if rule.none_of:
        failed |= words.isin(rule.none_of).to_numpy()
    return np.where(missing, rule.missing == "fail", failed).astype(bool), missing
