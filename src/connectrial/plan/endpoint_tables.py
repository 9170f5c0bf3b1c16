"""Who reached which endpoint, from the scores."""

from __future__ import annotations

import pandas as pd

from connectrial.errors import InputError
from connectrial.study import EndpointSection, Study
from connectrial.trial.courses import sustained
from connectrial.trial.endpoints import remission, response
from connectrial.trial.periods import Periods


def judge_endpoints(
    study: Study,
    scores: pd.DataFrame,
    subjects: pd.DataFrame,
    periods: Periods | None,
    problems: list[str],
) -> pd.DataFrame:
    """Judge all endpoints of a study: who reached which, or why it cannot be said."""
    people = who_has_endpoints(study, subjects)
    tables: dict[str, pd.DataFrame] = {}
    for name, section in study.endpoints.items():
        if scores.empty or section.scale not in set(scores["scale"]):
            continue
        try:
            if not study.is_crossover:
                tables[name] = find_endpoint(name, section, scores, people)
            elif periods is not None:
                parts = _endpoint_by_treatment(study, name, section, scores, people, periods)
                tables[name] = pd.concat(parts, ignore_index=True)
        except InputError as error:
            problems.extend(f"[endpoints.{name}]: {problem}" for problem in error.problems)
    for name, section in study.endpoints.items():
        if section.among in tables and name in tables:
            own = tables[section.among].set_index("subject")["met"]
            asked = own.reindex(tables[name]["subject"]).fillna(value=False).to_numpy(dtype=bool)
            tables[name].loc[~asked, "met"] = pd.NA
            tables[name].loc[~asked, "reason"] = f"is not asked: {section.among} not met"
    columns = ["subject", "endpoint", "visit", "met", "reason"]
    columns += ["treatment"] if study.is_crossover else []
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables.values(), ignore_index=True)[columns]


def who_has_endpoints(study: Study, subjects: pd.DataFrame) -> list[str]:
    """Endpoints are about people who are treated: controls have none."""
    rows = subjects
    if study.groups is not None:
        rows = subjects.loc[subjects["group"] == study.groups.patients]
    return list(rows["subject"])


def _endpoint_by_treatment(
    study: Study,
    name: str,
    section: EndpointSection,
    scores: pd.DataFrame,
    people: list[str],
    periods: Periods,
) -> list[pd.DataFrame]:
    """Judge an endpoint under each treatment, of the people who were given it."""
    names = {place.name for place in study.places}

    def placed(visit: str | None, treatment: str) -> str | None:
        own = f"{treatment} {visit}"
        return own if own in names else visit

    tables = []
    for treatment in study.design.treatments:
        given = periods.period[treatment].notna()
        mine = [one for one in people if given.get(one, False)]
        moved = section.model_copy(
            update={
                "visit": placed(section.visit, treatment),
                "baseline": placed(section.baseline, treatment),
            }
        )
        tables.append(find_endpoint(name, moved, scores, mine).assign(treatment=treatment))
    return tables


def find_endpoint(
    name: str, section: EndpointSection, scores: pd.DataFrame, people: list[str]
) -> pd.DataFrame:
    """Judge an endpoint: ``subject``, ``endpoint``, ``visit``, ``met``, ``reason``."""
    if section.until is not None:
        table = sustained(
            scores,
            scale=section.scale,
            visit=section.visit,
            until=section.until,
            baseline=section.baseline,
            min_percent_decrease=section.min_percent_decrease,
            below=section.below,
            at_most=section.at_most,
            subjects=people,
        )
    elif section.min_percent_decrease is not None:
        assert section.baseline is not None  # noqa: S101 - the study file has seen to it
        table = response(
            scores,
            scale=section.scale,
            baseline=section.baseline,
            visit=section.visit,
            min_percent_decrease=section.min_percent_decrease,
            subjects=people,
        ).rename(columns={"response": "met"})
    else:
        table = remission(
            scores,
            scale=section.scale,
            visit=section.visit,
            below=section.below,
            at_most=section.at_most,
            subjects=people,
        ).rename(columns={"remission": "met"})
    return table.assign(endpoint=name, visit=section.visit)
