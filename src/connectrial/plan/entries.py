"""Checklist entries at the visits of the protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from connectrial.errors import InputError
from connectrial.plan.scores import visit_sessions
from connectrial.plan.survey import Survey
from connectrial.study import Study
from connectrial.trial.safety import read_severity


def safety_entries(
    study: Study,
    survey: Survey,
    subjects: pd.DataFrame,
    factors: Mapping[str, Sequence[str]],
    problems: list[str],
) -> pd.DataFrame:
    """Return checklist entries of those who take part: person, visit, event, severity, factors."""
    section = study.safety
    columns = ["subject", "visit", "event", "severity"]
    if section is None or not section.events or survey.scores.empty:
        return pd.DataFrame(columns=columns)
    known = set(survey.scores["variable"].dropna())
    absent = [one for one in section.events.values() if one not in known]
    if absent:
        problems.append(
            f"[safety] events: no column is called {', '.join(map(repr, absent))} in the clinical "
            "tables"
        )
        return pd.DataFrame(columns=columns)
    return _entries(study, survey, subjects, factors, problems)


def _entries(
    study: Study,
    survey: Survey,
    subjects: pd.DataFrame,
    factors: Mapping[str, Sequence[str]],
    problems: list[str],
) -> pd.DataFrame:
    section = study.safety
    assert section is not None  # noqa: S101 - the caller has seen to it
    visits: Sequence[str] = section.visits or study.visits
    table = survey.scores.assign(visit=survey.scores["session"].map(visit_sessions(study)))
    table = table.loc[table["visit"].isin(list(visits))]
    try:
        entries = read_severity(table, events=section.events, severity=section.severity)
    except InputError as error:
        problems += [f"[safety]: {problem}" for problem in error.problems]
        return pd.DataFrame(columns=["subject", "visit", "event", "severity"])
    entries["visit"] = pd.Categorical(entries["visit"], categories=list(visits), ordered=True)
    included = subjects.loc[subjects["included"]].drop(columns=["included", "reason"])
    joined = entries.merge(included, on="subject", how="inner")
    for name, levels in factors.items():
        if name in joined:
            joined[name] = pd.Categorical(joined[name], categories=list(levels), ordered=True)
    return joined
