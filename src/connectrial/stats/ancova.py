"""Change between two visits compared across arms, at equal baseline."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.compare import noncentrality_interval
from connectrial.stats.design import Design, build_design
from connectrial.stats.linear import LinearFit, fit_least_squares
from connectrial.stats.rows import as_numbers, check_level, estimate_row, need_columns, stack


def ancova(
    table: pd.DataFrame,
    *,
    outcome: str,
    baseline: str,
    group: str,
    covariates: Sequence[str] = (),
    reference: str | None = None,
    ci_level: float = 0.95,
) -> pd.DataFrame:
    """Compare groups at equal baseline by analysis of covariance.

    The outcome may be the change or the later score itself: the difference between groups is the
    same.

    Parameters
    ----------
    table : DataFrame
        One row per person; rows with a missing value are left out and counted.
    outcome, baseline, group : str
        Columns with the change (or later score), the baseline score, the arm.
    covariates : sequence of str
        Further columns; numbers stay numbers, anything else becomes indicator columns.
    reference : str, optional
        Group that is subtracted; default the first level (order of a Categorical, else sorted).
    ci_level : float
        Of the intervals.

    Returns
    -------
    DataFrame
        Rows "drug - placebo" (one per other group; with `effect_size` d_residual: difference
        over the residual SD, interval exact by noncentral t), "mean[drug]" for every group at the
        mean of the numeric covariates and over equal shares of the levels of others, `baseline`
        (slope), and "arm:baseline": an F test that the slopes are equal, which the comparison takes
        for granted.
        `n_left_out` counts people.

    Raises
    ------
    InputError
        If a column or the reference is absent.
    ModelError
        If a group has fewer than two complete people, too few remain, or columns are collinear.
    """
    check_level(ci_level)
    need_columns(table, [outcome, baseline, group, *covariates], what="table")
    data = table.assign(**{group: _reference_first(table[group], reference)})
    terms = [_quote(name) for name in (baseline, group, *covariates)]
    design = build_design(terms, data, also=[outcome])
    x = design.matrix
    y = as_numbers(design.frame[outcome], name=f"column {outcome!r}")
    fit = fit_least_squares(x, y, what=f"ANCOVA of {outcome}")
    levels = design.levels[group]
    sizes = design.frame[group].value_counts()
    alone = [str(level) for level in levels if sizes.get(level, 0) < 2]
    if alone:
        raise ModelError(
            f"ANCOVA of {outcome}: {group} {', '.join(map(repr, alone))} has fewer than 2 complete "
            "people; leave it out or pool it"
        )
    means = {level: _mean_row(design, group, level) for level in levels}
    common = {
        "n_subjects": len(y),
        "ci_level": ci_level,
        "df": fit.df,
        "df_method": "residual",
        "flags": [f"{design.n_rows - len(y)} incomplete people left out"]
        if design.n_rows > len(y)
        else [],
        "n_left_out": design.n_rows - len(y),
    }
    rows = [
        _row(f"{level} - {levels[0]}", fit, means[level] - means[levels[0]], "difference", common)
        for level in levels[1:]
    ]
    rows += [
        _row(f"mean[{level}]", fit, weights, "mean", common) for level, weights in means.items()
    ]
    slope = np.array([float(column == baseline) for column in design.columns])
    rows.append(_row(baseline, fit, slope, "coefficient", common))
    rows.append(_slopes(design, y, fit, baseline=baseline, group=group, common=common))
    return stack(rows)


def _row(
    term: str, fit: LinearFit, weights: NDArray[np.float64], kind: str, common: dict[str, Any]
) -> pd.DataFrame:
    level = float(common["ci_level"])
    estimate, se, t, p = fit.contrast(weights)
    more: dict[str, Any] = {}
    if kind == "difference":
        low, high = noncentrality_interval(t, fit.df, ci_level=level)
        per_t = se / fit.sigma
        more = {
            "effect_size": estimate / fit.sigma,
            "effect_size_variant": "d_residual",
            "effect_size_ci_low": low * per_t,
            "effect_size_ci_high": high * per_t,
        }
    return estimate_row(
        term,
        kind=kind,
        estimate=estimate,
        se=se,
        statistic=t,
        statistic_name="t",
        p=p,
        ci=fit.interval(weights, ci_level=level),
        **common,
        **more,
    )


def _slopes(
    design: Design,
    y: NDArray[np.float64],
    fit: LinearFit,
    *,
    baseline: str,
    group: str,
    common: dict[str, Any],
) -> pd.DataFrame:
    """F test of groups with slopes of their own against one common slope."""
    x = design.matrix
    position = {column: j for j, column in enumerate(design.columns)}
    own = [x[:, position[c]] * x[:, position[baseline]] for c in design.columns_of(group)]
    term = f"{group}:{baseline}"
    wider = np.column_stack([x, *own])
    df = len(y) - wider.shape[1]
    settings = {**common, "df": df}
    if df < 1 or np.linalg.matrix_rank(wider) < wider.shape[1]:
        settings["flags"] = ["too few people to test whether slopes are equal"]
        return estimate_row(term, kind="F test", estimate=np.nan, **settings)
    residual = y - wider @ np.linalg.lstsq(wider, y, rcond=None)[0]
    error = float(residual @ residual)
    f = (fit.sigma**2 * fit.df - error) / len(own) / (error / df)
    return estimate_row(
        term,
        kind="F test",
        estimate=np.nan,
        statistic=f,
        statistic_name="F",
        df_numerator=len(own),
        p=float(stats.f.sf(f, len(own), df)),
        **settings,
    )


def _mean_row(design: Design, group: str, level: str) -> NDArray[np.float64]:
    others = {name: levels for name, levels in design.levels.items() if name != group}
    grid = pd.DataFrame(list(product(*others.values())), columns=list(others), dtype="object")
    if grid.empty:
        grid = pd.DataFrame(index=[0])
    grid = grid.assign(**{group: level}, **design.numeric)
    return np.asarray(design.rows_at(grid).mean(axis=0), dtype=np.float64)


def _reference_first(column: pd.Series, reference: str | None) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        factor = column.cat.remove_unused_categories()
    else:
        factor = column.astype(pd.CategoricalDtype(sorted(column.dropna().unique(), key=str)))
    if reference is None:
        return factor
    levels = list(factor.cat.categories)
    if reference not in levels:
        raise InputError(
            f"reference: got {reference!r}; the groups are {', '.join(map(repr, levels))}"
        )
    return factor.cat.reorder_categories([reference, *(v for v in levels if v != reference)])


def _quote(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"
