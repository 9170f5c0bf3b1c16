"""A two-period, two-treatment crossover: treatment, period, sequence, first period alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import InputError, ModelError
from connectrial.stats.compare import compare_groups, noncentrality_interval
from connectrial.stats.linear import LinearFit, fit_least_squares
from connectrial.stats.rows import as_numbers, check_level, estimate_row, need_columns, stack

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Periods:
    """Complete people: scores (n, 2) by period, +1 where the treatment came first, else -1."""

    scores: Array
    baselines: Array | None
    treated_first: Array
    first_period: tuple[Array, Array]
    n_left_out: int


def crossover(
    table: pd.DataFrame,
    *,
    outcome: str,
    subject: str,
    period: str,
    treatment: str,
    reference: str,
    baseline: str | None = None,
    ci_level: float = 0.95,
) -> pd.DataFrame:
    """Analyse a two-period crossover within people.

    Parameters
    ----------
    table : DataFrame
        One row per person and period.
    outcome, subject, period, treatment : str
        Columns. Periods are ordered as a Categorical, else sorted; both must hold two values.
    reference : str
        The treatment that is subtracted (placebo).
    baseline : str, optional
        Column with the score at the start of each period.
    ci_level : float
        Of the intervals.

    Returns
    -------
    DataFrame
        Rows:

        - "ketamine - placebo": from each person's difference between periods, freed of the period
          effect; with effect size d_z (over the SD of a person's difference; noncentral t).
        - "period": second minus first.
        - "sequence": total of the two periods, people with the reference second minus people with
          it first. It mixes carry-over with chance differences between the two sequences of people
          and has little power: never a reason to choose an analysis (Freeman 1989).
        - with `baseline`, "ketamine - placebo | baseline": the difference of period baselines as
          covariate; with effect size d_z_adjusted (over the SD of a person's difference that the
          covariate leaves).
        - "ketamine - placebo, period 1": first period only, between people (Welch), free of any
          carry-over, with Hedges' g. It uses everybody with a first period.

        `n_left_out` counts people without both periods (and baselines).

    Raises
    ------
    InputError
        If a column is absent, there are not two periods and two treatments, or somebody has two
        rows in a period or the same treatment twice.
    ModelError
        If a sequence has fewer than two complete people, or differences do not vary.

    References
    ----------
    Jones & Kenward (2014) Design and analysis of cross-over trials, ch. 2; Freeman (1989) Stat Med
    8:1421; Metcalfe (2010) Stat Med 29:3211 for the baseline difference as covariate.
    """
    check_level(ci_level)
    columns = [outcome, subject, period, treatment, *([baseline] if baseline else [])]
    need_columns(table, columns, what="table")
    other = _other_treatment(table[treatment], reference)
    people = _periods(
        table,
        outcome=outcome,
        subject=subject,
        period=period,
        treatment=treatment,
        reference=reference,
        baseline=baseline,
    )
    n, sign = len(people.scores), people.treated_first
    # Half of (first - second) is half a period effect plus, in turn, + and - half the treatment.
    half = (people.scores[:, 0] - people.scores[:, 1]) / 2
    design = np.column_stack([np.ones(n), sign])
    within = fit_least_squares(design, half, what=f"crossover of {outcome}")
    contrast = f"{other} - {reference}"
    common = {"n": n, "ci_level": ci_level, "n_left_out": people.n_left_out}
    rows = [
        _row(contrast, within, np.array([0.0, 2.0]), common).assign(
            **_effect_size(within, np.array([0.0, 2.0]), "d_z", ci_level=ci_level)
        ),
        _row("period", within, np.array([-2.0, 0.0]), common),
    ]
    between = fit_least_squares(design, people.scores.sum(axis=1), what=f"sequences of {outcome}")
    rows.append(
        _row("sequence", between, np.array([0.0, 2.0]), common).assign(
            flags="carry-over or chance: not a reason to choose an analysis"
        )
    )
    if people.baselines is not None:
        shift = (people.baselines[:, 0] - people.baselines[:, 1]) / 2
        wider = np.column_stack([design, shift])
        adjusted = fit_least_squares(wider, half, what=f"crossover of {outcome} given {baseline}")
        weights = np.array([0.0, 2.0, 0.0])
        rows.append(
            _row(f"{contrast} | {baseline}", adjusted, weights, common).assign(
                **_effect_size(adjusted, weights, "d_z_adjusted", ci_level=ci_level)
            )
        )
    first = compare_groups(*people.first_period, ci_level=ci_level)
    shared = [c for c in first.columns if c in rows[0].columns]
    rows.append(first[shared].rename(index={"difference": f"{contrast}, {period} 1"}))
    return stack(rows)


def _row(term: str, fit: LinearFit, weights: Array, common: dict[str, float]) -> pd.DataFrame:
    estimate, se, t, p = fit.contrast(weights)
    n_left_out = int(common["n_left_out"])
    return estimate_row(
        term,
        kind="difference",
        estimate=estimate,
        se=se,
        statistic=t,
        statistic_name="t",
        df=fit.df,
        df_method="residual",
        p=p,
        ci=fit.interval(weights, ci_level=common["ci_level"]),
        ci_level=common["ci_level"],
        n_subjects=int(common["n"]),
        n_observations=2 * int(common["n"]),
        flags=[
            f"{n_left_out} {'person' if n_left_out == 1 else 'people'} without both periods left out"
        ]
        if n_left_out
        else [],
        n_left_out=n_left_out,
    )


def _effect_size(
    fit: LinearFit, weights: Array, variant: str, *, ci_level: float
) -> dict[str, Any]:
    _, se, t, _ = fit.contrast(weights)
    per_t = se / (2 * fit.sigma)  # fit.sigma is the SD of half a person's difference
    low, high = noncentrality_interval(t, fit.df, ci_level=ci_level)
    return {
        "effect_size": t * per_t,
        "effect_size_variant": variant,
        "effect_size_ci_low": low * per_t,
        "effect_size_ci_high": high * per_t,
    }


def _other_treatment(column: pd.Series, reference: str) -> str:
    names = list(column.dropna().unique())
    if len(names) != 2 or reference not in names:
        raise InputError(
            f"crossover: treatments are {', '.join(map(repr, names))}; "
            f"there must be two, and the reference {reference!r} one of them"
        )
    return str(next(name for name in names if name != reference))


def _periods(
    table: pd.DataFrame,
    *,
    outcome: str,
    subject: str,
    period: str,
    treatment: str,
    reference: str,
    baseline: str | None,
) -> _Periods:
    for name in (subject, period, treatment):
        if table[name].isna().any():
            raise InputError(f"table: column {name!r} has {table[name].isna().sum()} empty cells")
    when = table[period]
    present = list(when.unique())
    order = (
        [c for c in when.cat.categories if c in present]
        if isinstance(when.dtype, pd.CategoricalDtype)
        else sorted(present)
    )
    if len(order) != 2:
        raise InputError(f"crossover: periods are {', '.join(map(repr, order))}; there must be two")
    for key, what in ((period, "rows in"), (treatment, "periods of")):
        doubled = table.duplicated([subject, key])
        if doubled.any():
            first = table.loc[doubled].iloc[0]
            raise InputError(f"table: {subject} {first[subject]!r} has two {what} {first[key]}")

    def by_period(column: str) -> pd.DataFrame:
        values = as_numbers(table[column], name=f"column {column!r}")
        wide = (
            table.assign(**{column: values}).set_index([subject, period])[column].unstack(period)
        )  # one value per cell is checked above
        return wide[order]

    scores = by_period(outcome)
    given = table.assign(_active=table[treatment] != reference).set_index([subject, period])[
        "_active"
    ]
    active_first = given.xs(order[0], level=period).reindex(scores.index)
    active_first = active_first.astype("boolean").fillna(
        ~given.xs(order[1], level=period).reindex(scores.index).astype("boolean")
    )
    complete = scores.notna().all(axis=1)
    starts = by_period(baseline).reindex(scores.index) if baseline else None
    if starts is not None:
        complete &= starts.notna().all(axis=1)
    sign = np.where(active_first.to_numpy(dtype=bool), 1.0, -1.0)
    kept = complete.to_numpy()
    sizes = [int((sign[kept] == s).sum()) for s in (1.0, -1.0)]
    if min(sizes) < 2:
        raise ModelError(
            f"crossover: each order of treatments needs at least 2 people with both periods; "
            f"{sizes[0]} had {reference!r} second, {sizes[1]} had it first"
        )
    opening = scores[order[0]].to_numpy(dtype=np.float64)
    return _Periods(
        scores=scores.to_numpy(dtype=np.float64)[kept],
        baselines=None if starts is None else starts.to_numpy(dtype=np.float64)[kept],
        treated_first=sign[kept],
        first_period=(opening[sign > 0], opening[sign < 0]),
        n_left_out=int((~kept).sum()),
    )
