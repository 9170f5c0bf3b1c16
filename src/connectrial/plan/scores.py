"""Scores of the protocol's visits: totals as entered or made of items, ranges checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from connectrial.errors import InputError, did_you_mean
from connectrial.plan.survey import Survey
from connectrial.scales import Scale
from connectrial.study import ScaleSection, Study
from connectrial.trial.scoring import check_range, default_columns, score_scale
from connectrial.trial.visits import average_sessions, visit_of_session

SCORE_COLUMNS = ["subject", "visit", "scale", "score", "day"]
LOG_COLUMNS = ["scale", "subject", "session", "visit", "score", "n_missing", "prorated", "reason"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scores:
    """All scores, and the log of what was missing in items.

    Attributes
    ----------
    table : DataFrame
        :data:`SCORE_COLUMNS`.
    log : DataFrame
        :data:`LOG_COLUMNS`; one row per assessment with a missing item.
    problems, notes : list of str
        What must be put right; what a reader should know.
    """

    table: pd.DataFrame
    log: pd.DataFrame
    problems: list[str]
    notes: list[str]


def item_columns(section: ScaleSection, scale: Scale) -> dict[str, str]:
    """Return item -> column of a scale whose items were entered.

    Raises
    ------
    InputError
        The list of columns is not as long as the list of items.
    """
    if section.items is None:
        return default_columns(scale)
    if isinstance(section.items, str):
        names = [section.items.replace("{n}", str(n)) for n in range(1, len(scale.items) + 1)]
    else:
        names = list(section.items)
    if len(names) != len(scale.items):
        raise InputError(
            f"items: names {len(names)} columns, but {scale.name} has {len(scale.items)} items"
        )
    return {item.name: column for item, column in zip(scale.items, names, strict=True)}


def visit_sessions(study: Study) -> dict[str, str]:
    """Return the visit of each session label in the clinical tables."""
    return visit_of_session(
        {place.name: place.phenotype_sessions or place.sessions for place in study.places}
    )


def study_scores(study: Study, survey: Survey) -> Scores:
    """Collect the scores of every declared scale.

    Parameters
    ----------
    study : Study
        Scales and visits.
    survey : Survey
        What the tables hold.
    """
    problems: list[str] = []
    notes: list[str] = []
    visit_of = visit_sessions(study)
    tables: list[pd.DataFrame] = []
    logs: list[pd.DataFrame] = []
    for name, section in study.scales.items():
        scale = survey.scales.get(name)
        if section.definition is not None and scale is None:
            continue  # its definition could not be read, and a problem says so
        mine = _entered(name, section, scale, survey, problems, notes, logs)
        if mine is None:
            continue
        at = mine.assign(visit=mine["session"].map(visit_of), scale=name, score=mine["number"])
        left = at.loc[at["visit"].isna(), "session"].dropna().unique()
        if len(left):
            notes.append(
                f"{name}: scores of the sessions {', '.join(map(str, left))} belong to no visit and "
                "are not used"
            )
        tables.append(at.loc[at["visit"].notna(), SCORE_COLUMNS])
    log = pd.concat(logs, ignore_index=True) if logs else pd.DataFrame(columns=LOG_COLUMNS)
    if len(log):
        log = log.assign(visit=log["session"].map(visit_of))[LOG_COLUMNS]
    if not tables:
        empty = pd.DataFrame(columns=SCORE_COLUMNS).astype({"score": float, "day": float})
        return Scores(table=empty, log=log, problems=problems, notes=notes)
    together = pd.concat(tables, ignore_index=True)
    averaged = average_sessions(together, value="score", by=["scale", "subject", "visit"])
    several = int((averaged["n_sessions"] > 1).sum())
    if several:
        notes.append(f"{several} scores are means over several sessions of one visit")
    days = together.groupby(["scale", "subject", "visit"], sort=False)["day"].mean().to_numpy()
    averaged["day"] = days
    averaged["visit"] = pd.Categorical(
        averaged["visit"], categories=[place.name for place in study.places], ordered=True
    )
    return Scores(table=averaged[SCORE_COLUMNS], log=log, problems=problems, notes=notes)


def _entered(
    name: str,
    section: ScaleSection,
    scale: Scale | None,
    survey: Survey,
    problems: list[str],
    notes: list[str],
    logs: list[pd.DataFrame],
) -> pd.DataFrame | None:
    """Return ``subject session day number`` of one scale; None where it cannot be had."""
    place = f"[scales.{name}]"
    wanted = section.column or name
    mine = survey.scores.loc[survey.scores["variable"] == wanted]
    known = set(survey.scores["variable"].dropna())
    if scale is not None:
        try:
            columns = item_columns(section, scale)
        except InputError as error:
            problems.extend(f"{place} {problem}" for problem in error.problems)
            return None
        found = [column for column in columns.values() if column in known]
        if section.items is not None or (mine.empty and found):
            return _from_items(name, section, scale, columns, survey, problems, notes, logs)
    if mine.empty and survey.scores.empty and survey.problems:
        return None  # the tables could not be read, and a problem says so already
    if mine.empty:
        hint = did_you_mean(wanted, sorted(known)) or "; no clinical table was found"
        problems.append(f"{place} column: no score is called {wanted!r}{hint}")
        return None
    if scale is not None:
        allowed = scale.range_of(section.score or scale.scores[0].name)
        values, wrong, n_codes = check_range(mine, allowed, column=wanted)
        problems.extend(f"{place}: {problem}; mend the table" for problem in wrong)
        if n_codes:
            notes.append(f"{name}: {n_codes} values mean 'not assessed' and count as missing")
        mine = mine.assign(number=values)
    _check_limits(place, section, mine, problems)
    return mine


def _check_limits(
    place: str, section: ScaleSection, mine: pd.DataFrame, problems: list[str]
) -> None:
    for low, limit, word in ((True, section.minimum, "below"), (False, section.maximum, "above")):
        if limit is None:
            continue
        wrong = mine.loc[mine["number"] < limit if low else mine["number"] > limit]
        where = [
            f" ({row.file}: row {row.row}, column {row.variable!r})" if "file" in wrong else ""
            for row in wrong.itertuples()
        ]
        problems.extend(
            f"{place}: sub-{row.subject} ses-{row.session} has {row.number:g}, {word} the "
            f"{'minimum' if low else 'maximum'} of {limit:g}{at}; mend the table or the range"
            for row, at in zip(wrong.itertuples(), where, strict=True)
        )


def _from_items(
    name: str,
    section: ScaleSection,
    scale: Scale,
    columns: Mapping[str, str],
    survey: Survey,
    problems: list[str],
    notes: list[str],
    logs: list[pd.DataFrame],
) -> pd.DataFrame | None:
    place = f"[scales.{name}]"
    mine = survey.scores.loc[survey.scores["variable"].isin(list(columns.values()))]
    absent = [column for column in columns.values() if column not in set(mine["variable"])]
    if absent:
        known = sorted(survey.scores["variable"].dropna().unique())
        problems.append(
            f"{place} items: no column is called {', '.join(map(repr, absent[:3]))}"
            f"{did_you_mean(absent[0], known)}"
        )
        return None
    clean, n_codes, found = mine.copy(), 0, len(problems)
    item_of = {column: item for item, column in zip(scale.items, columns.values(), strict=True)}
    for column, item in item_of.items():
        own = mine.loc[mine["variable"] == column]
        _, wrong, codes = check_range(own, item, column=column)
        problems.extend(f"{place}: {problem}; mend the table" for problem in wrong)
        n_codes += codes
    if len(problems) > found:
        return None
    keys = ["subject", "session"]
    wide = clean.pivot_table(
        index=keys, columns="variable", values="number", dropna=False, sort=False, observed=True
    )
    wide = wide.reindex(columns=list(columns.values()))
    answered = wide.notna().any(axis=1)
    day = clean.groupby(keys, sort=False)["day"].mean()
    wide = wide.loc[answered]
    scored = score_scale(
        wide.reset_index(),
        scale,
        columns=columns,
        scores=[section.score or scale.scores[0].name],
        max_missing=section.max_missing,
    )
    noted = scored.loc[scored["reason"] != ""].assign(scale=name)
    if len(noted):
        logs.append(noted[["scale", *keys, "score", "n_missing", "prorated", "reason"]])
    rule = scale.rule(section.score or scale.scores[0].name)
    n_prorated, n_lost = int(scored["prorated"].sum()), int(scored["score"].isna().sum())
    if n_codes:
        notes.append(f"{name}: {n_codes} items mean 'not assessed' and count as missing")
    if n_prorated:
        source = rule.missing_source if section.max_missing is None else "as the study file says"
        notes.append(f"{name}: {n_prorated} scores are prorated for missing items ({source})")
    if n_lost:
        notes.append(f"{name}: {n_lost} assessments have no score, for items are missing")
    _check_total(name, section, scored, survey, problems)
    scored["day"] = day.reindex(pd.MultiIndex.from_frame(scored[keys])).to_numpy()
    return scored.assign(number=scored["score"].to_numpy(np.float64))[[*keys, "day", "number"]]


def _check_total(
    name: str,
    section: ScaleSection,
    scored: pd.DataFrame,
    survey: Survey,
    problems: list[str],
) -> None:
    """Compare the sum with a total that was entered beside the items."""
    if section.column is None:
        return
    total = survey.scores.loc[survey.scores["variable"] == section.column]
    joined = total.merge(scored, on=["subject", "session"], suffixes=("", "_items"))
    whole = joined.loc[(joined["n_missing"] == 0) & joined["number"].notna()]
    wrong = whole.loc[(whole["number"] - whole["score"]).abs() > 1e-9]
    problems.extend(
        f"[scales.{name}]: {row.file}: row {row.row}, column {section.column!r} of sub-{row.subject} "
        f"is {row.number:g}, but its items make {row.score:g}; mend the one that is wrong"
        for row in wrong.head(10).itertuples()
    )
