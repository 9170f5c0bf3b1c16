"""Clinical endpoints of every person: change, response, remission.

All functions take one long table with the columns

- `subject`: text
- `visit`: ordered Categorical, in the order of the protocol
- `scale`: text, such as "MADRS"
- `score`: float, NaN for missing

and at most one row per subject, visit and scale. A value that cannot be had is missing and says why
in the column `reason`; nobody is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from connectrial.errors import InputError

_COLUMNS = ("subject", "visit", "scale", "score")
# Percentages are quotients of floats: half of 31.4 must still count as a decrease of 50 %.
_ROUNDING = 1e-9


def change_from_baseline(scores: pd.DataFrame, *, baseline: str) -> pd.DataFrame:
    """Change of every score from the same person's baseline.

    Parameters
    ----------
    scores : DataFrame
        Long table, see the module.
    baseline : str
        The visit that is subtracted.

    Returns
    -------
    DataFrame
        The rows of `scores` in their order, with four columns more: `baseline` (score at the
        baseline visit), `change` (score - baseline, in points; negative is better on most scales),
        `percent_change` (100 change / baseline) and `reason` (why one of them is missing, else "").
        Rows at or before the baseline visit have no change. A baseline of 0 or below has no percent
        change.

    Raises
    ------
    InputError
        If a column is absent, `visit` is not an ordered Categorical or lacks `baseline`, or a
        person has two rows for one visit and scale.
    """
    _check(scores)
    _check_visit(scores, baseline, key="baseline")
    at_baseline = scores.loc[scores["visit"] == baseline].set_index(["subject", "scale"])["score"]
    keys = pd.MultiIndex.from_frame(scores[["subject", "scale"]])
    base = at_baseline.reindex(keys).to_numpy(dtype=np.float64)
    score = scores["score"].to_numpy(dtype=np.float64)
    place = list(scores["visit"].cat.categories).index(baseline)
    visit = scores["visit"].cat.codes.to_numpy()
    after = visit > place
    change = np.where(after, score - base, np.nan)
    positive = base > 0
    percent = np.full(score.size, np.nan)
    percent[positive] = 100 * change[positive] / base[positive]
    reason = np.select(
        [
            visit < place,
            visit == place,
            np.isnan(score),
            np.isnan(base),
            base == 0,
            base < 0,
        ],
        [
            f"before {baseline}",
            "is the baseline visit",
            "no score at this visit",
            f"no score at {baseline}",
            f"score at {baseline} is 0, no percent change",
            f"score at {baseline} is negative, no percent change",
        ],
        default="",
    )
    return scores.assign(
        baseline=base, change=change, percent_change=percent, reason=pd.array(reason, dtype="str")
    )


def response(
    scores: pd.DataFrame,
    *,
    scale: str,
    baseline: str,
    visit: str,
    min_percent_decrease: float,
    subjects: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Who responded: a decrease from baseline of at least so many percent.

    Parameters
    ----------
    scores : DataFrame
        Long table, see the module.
    scale : str
        The scale that decides.
    baseline, visit : str
        From which visit to which.
    min_percent_decrease : float
        Percent of the baseline score; exactly so many is a response. 50 is usual.
    subjects : sequence of str, optional
        Whom to ask about; default everybody in `scores`, on any scale.

    Returns
    -------
    DataFrame
        One row per person, in order of first appearance: `subject`, `visit`, `baseline`, `score`,
        `percent_change`, `response` (True, False or missing), `reason` (why missing, else "").

    Raises
    ------
    InputError
        If the table is malformed, or the scale or a visit is unknown.
    """
    _check(scores)
    _check_scale(scores, scale)
    _check_visit(scores, baseline, key="baseline")
    _check_visit(scores, visit, key="visit")
    visits = list(scores["visit"].cat.categories)
    if visits.index(visit) <= visits.index(baseline):
        raise InputError(f"visit: {visit!r} does not come after the baseline visit {baseline!r}")
    if not 0 < min_percent_decrease <= 100:
        raise InputError(
            f"min_percent_decrease: got {min_percent_decrease}; "
            "allowed is above 0 up to 100 (percent)"
        )
    people = _people(scores, subjects)
    base, score = (_at(scores, scale, name).reindex(people) for name in (baseline, visit))
    result = pd.DataFrame(
        {"subject": people, "visit": visit, "baseline": base.to_numpy(), "score": score.to_numpy()}
    )
    known = result["baseline"].gt(0) & result["score"].notna()
    result["percent_change"] = (
        100 * (result["score"] - result["baseline"]) / result["baseline"].where(known)
    )
    met = -result["percent_change"] >= min_percent_decrease - _ROUNDING
    result["response"] = met.astype("boolean").where(known)
    result["reason"] = _reasons(
        [
            (result["baseline"].isna(), f"no score at {baseline}"),
            (result["score"].isna(), f"no score at {visit}"),
            (result["baseline"].eq(0), f"score at {baseline} is 0"),
            (result["baseline"].lt(0), f"score at {baseline} is negative"),
        ],
        len(result),
    )
    return result


def remission(
    scores: pd.DataFrame,
    *,
    scale: str,
    visit: str | None = None,
    below: float | None = None,
    at_most: float | None = None,
    subjects: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Who is in remission: a score under a cut-off, whatever it was before.

    Parameters
    ----------
    scores : DataFrame
        Long table, see the module.
    scale : str
        The scale that decides.
    visit : str, optional
        Default every visit at which anybody has a row on this scale.
    below, at_most : float
        The cut-off, in points: `below` leaves it out, `at_most` includes it. Exactly one is given,
        for protocols differ.
    subjects : sequence of str, optional
        Whom to ask about; default everybody in `scores`, on any scale.

    Returns
    -------
    DataFrame
        One row per person and visit: `subject`, `visit`, `score`, `remission` (True, False or
        missing), `reason` (why missing, else "").

    Raises
    ------
    InputError
        If the table is malformed, the scale or visit unknown, or not exactly one cut-off is given.
    """
    _check(scores)
    _check_scale(scores, scale)
    if (below is None) == (at_most is None):
        raise InputError(
            f"remission on {scale}: give exactly one of 'below' (cut-off excluded) "
            "and 'at_most' (cut-off included)"
        )
    people = _people(scores, subjects)
    if visit is None:
        planned = scores.loc[scores["scale"] == scale, "visit"]
        visits = [name for name in scores["visit"].cat.categories if (planned == name).any()]
    else:
        _check_visit(scores, visit, key="visit")
        visits = [visit]
    parts = []
    for name in visits:
        score = _at(scores, scale, name).reindex(people).to_numpy()
        part = pd.DataFrame({"subject": people, "visit": name, "score": score})
        met = part["score"] < below if below is not None else part["score"] <= at_most
        part["remission"] = met.astype("boolean").where(part["score"].notna())
        part["reason"] = _reasons([(part["score"].isna(), f"no score at {name}")], len(part))
        parts.append(part)
    result = pd.concat(parts, ignore_index=True)
    result["visit"] = pd.Categorical(
        result["visit"], categories=scores["visit"].cat.categories, ordered=True
    )
    return result


def _check(scores: pd.DataFrame) -> None:
    absent = [name for name in _COLUMNS if name not in scores.columns]
    if absent:
        raise InputError(
            f"scores: no column {', '.join(map(repr, absent))}; "
            f"a table of scores has {', '.join(_COLUMNS)}, "
            f"this one {', '.join(map(str, scores.columns))}"
        )
    visit = scores["visit"]
    if not isinstance(visit.dtype, pd.CategoricalDtype) or not visit.dtype.ordered:
        raise InputError(
            f"scores: column 'visit' is {visit.dtype}; "
            "give an ordered Categorical, visits in protocol order"
        )
    empty = [name for name in ("subject", "visit", "scale") if scores[name].isna().any()]
    if empty:
        raise InputError(
            f"scores: column {empty[0]!r} has empty cells; each score needs its {empty[0]}"
        )
    if not pd.api.types.is_numeric_dtype(scores["score"]):
        raise InputError(
            f"scores: column 'score' is {scores['score'].dtype}; give numbers, NaN for missing"
        )
    if np.isinf(scores["score"].to_numpy(dtype=np.float64, na_value=np.nan)).any():
        raise InputError("scores: column 'score' holds an infinite value")
    doubled = scores.duplicated(["subject", "visit", "scale"])
    if doubled.any():
        problems = [
            f"scores: subject {row.subject} has more than one {row.scale} score "
            f"at visit {row.visit}; keep one"
            for row in scores.loc[doubled].head(10).itertuples()
        ]
        raise InputError(problems)


def _check_scale(scores: pd.DataFrame, scale: str) -> None:
    known = scores["scale"].unique()
    if scale not in known:
        raise InputError(
            f"scale: got {scale!r}; the table has {', '.join(map(repr, sorted(known)))}"
        )


def _check_visit(scores: pd.DataFrame, visit: str, *, key: str) -> None:
    known = list(scores["visit"].cat.categories)
    if visit not in known:
        raise InputError(f"{key}: got {visit!r}; the visits are {', '.join(map(repr, known))}")


def _people(scores: pd.DataFrame, subjects: Sequence[str] | None) -> pd.Index:
    people = pd.Index(scores["subject"].unique() if subjects is None else list(subjects))
    if people.has_duplicates:
        raise InputError(f"subjects: {people[people.duplicated()][0]!r} is named twice")
    return people


def _at(scores: pd.DataFrame, scale: str, visit: str) -> pd.Series:
    rows = scores.loc[(scores["scale"] == scale) & (scores["visit"] == visit)]
    return rows.set_index("subject")["score"].astype(np.float64)


def _reasons(causes: Sequence[tuple[pd.Series, str]], n: int) -> pd.Series:
    if n == 0:
        return pd.Series([], dtype="str")
    chosen = np.select(
        [cause.to_numpy() for cause, _ in causes], [text for _, text in causes], default=""
    )
    return pd.Series(chosen, dtype="str")
