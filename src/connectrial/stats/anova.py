"""Repeated-measures analysis of variance and the paired tests after it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.compare import EffectSize, compare_groups
from connectrial.stats.multiplicity import Method, adjust
from connectrial.stats.rows import as_numbers, check_level, estimate_row, need_columns, stack

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Cells:
    """Complete people by cells, and the sum-to-zero design of their groups."""

    scores: Array
    groups: Array
    levels: dict[str, list[Hashable]]
    n_left_out: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Effect:
    """Sums of squares of one effect; `error` is the residual cross-product of its contrasts."""

    term: str
    hypothesis: float
    error: Array
    df_numerator: int
    df_error: int


def repeated_measures_anova(
    table: pd.DataFrame,
    *,
    outcome: str,
    subject: str,
    within: str | Sequence[str],
    between: str | None = None,
    ci_level: float = 0.95,
) -> pd.DataFrame:
    """Test every effect of a repeated-measures design, with and without sphericity.

    Only people with a score in every cell enter (a mixed model keeps the others); who is left out
    is counted. With a between factor the sums of squares are of type III.

    Parameters
    ----------
    table : DataFrame
        Long: one row per person and cell.
    outcome, subject : str
        Columns with the score and the person.
    within : str or sequence of str
        Factors that vary within a person, such as the visit.
    between : str, optional
        Factor of which each person has one level.
    ci_level : float
        Of the interval of the effect size.

    Returns
    -------
    DataFrame
        For each effect one row per `df_method`: "residual" (sphericity assumed) and, where the
        effect has more than two levels, "greenhouse-geisser" and "huynh-feldt". `statistic` is F;
        `estimate` is partial eta squared, its interval by noncentral F (approximate within people).
        Then `effect_size_variant`, `epsilon` (1 if sphericity is assumed), `mauchly_w`, `mauchly_p`
        (NaN for two levels or when there are too few people), `n_left_out`.

    Raises
    ------
    InputError
        If a column is absent, a person has two rows in a cell, or two levels of the between factor.
    ModelError
        If fewer than two levels, or too few complete people, or nothing varies.

    References
    ----------
    Greenhouse & Geisser (1959) Psychometrika 24:95; Huynh & Feldt (1976) J Educ Stat 1:69 as
    corrected by Lecoutre (1991); Mauchly (1940) with the chi-square approximation of Box.
    """
    check_level(ci_level)
    factors = [within] if isinstance(within, str) else list(within)
    cells = _cells(table, outcome=outcome, subject=subject, factors=factors, between=between)
    rows = []
    for size in range(len(factors) + 1):
        for varying in combinations(factors, size):
            rows += [
                _rows_of_effect(effect, cells, ci_level)
                for effect in _effects(cells, factors, varying, between)
            ]
    return stack(rows)


def paired_comparisons(
    table: pd.DataFrame,
    *,
    outcome: str,
    subject: str,
    within: str,
    reference: Hashable | None = None,
    adjustment: Method = "holm",
    effect_size: EffectSize = "d_z",
    ci_level: float = 0.95,
) -> pd.DataFrame:
    """Compare levels of a within-person factor in pairs, by paired t tests.

    Each pair uses everybody who has both scores.

    Parameters
    ----------
    table : DataFrame
        Long: one row per person and level.
    outcome, subject, within : str
        Columns with the score, the person, the factor.
    reference : level, optional
        Compare all others with this one (each minus reference); default all pairs (later minus
        earlier, in the factor's order).
    adjustment : str
        Method of `adjust` over these comparisons.
    effect_size : {"d_z", "d_av"}
        Variant.
    ci_level : float
        Of the intervals, which are not adjusted.

    Returns
    -------
    DataFrame
        As `compare_groups`, one row per pair, named "b - a", then `p_adjusted` and `adjustment`.

    Raises
    ------
    InputError
        If a column or the reference is absent, or a person has two rows at one level.
    ModelError
        If there are fewer than two levels or complete pairs, or differences do not vary.
    """
    wide, levels = _wide(table, outcome=outcome, subject=subject, factors=[within])
    names = levels[within]
    if reference is None:
        pairs = list(combinations(names, 2))
    elif reference in names:
        pairs = [(reference, name) for name in names if name != reference]
    else:
        raise InputError(
            f"reference: got {reference!r}; the levels of {within!r} are "
            f"{', '.join(map(repr, names))}"
        )
    rows = []
    for first, second in pairs:
        row = compare_groups(
            wide[second], wide[first], paired=True, effect_size=effect_size, ci_level=ci_level
        )
        rows.append(row.rename(index={"difference": f"{second} - {first}"}))
    result = stack(rows)
    return result.assign(p_adjusted=adjust(result["p"], adjustment), adjustment=adjustment)


def _wide(
    table: pd.DataFrame, *, outcome: str, subject: str, factors: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, list[Hashable]]]:
    need_columns(table, [outcome, subject, *factors], what="table")
    keys = [subject, *factors]
    for name in keys:
        if table[name].isna().any():
            raise InputError(f"table: column {name!r} has {table[name].isna().sum()} empty cells")
    doubled = table.duplicated(keys)
    if doubled.any():
        first = table.loc[doubled, keys].iloc[0]
        raise InputError(
            f"table: two rows for {', '.join(f'{k} {first[k]!r}' for k in keys)}; keep one"
        )
    levels: dict[str, list[Hashable]] = {}
    for name in factors:
        column = table[name]
        present = list(column.unique())
        if isinstance(column.dtype, pd.CategoricalDtype):
            levels[name] = [level for level in column.cat.categories if level in present]
        else:
            levels[name] = sorted(present)
        if len(levels[name]) < 2:
            only = f"one level only, {levels[name][0]!r}" if levels[name] else "no rows"
            raise ModelError(f"factor {name!r} has {only}; an effect needs two levels")
    scores = pd.Series(
        as_numbers(table[outcome], name=f"column {outcome!r}"),
        index=pd.MultiIndex.from_arrays([table[name].astype(object) for name in keys], names=keys),
    )
    order = pd.MultiIndex.from_product(list(levels.values()), names=list(factors))
    wide = scores.unstack(list(range(1, len(keys))))  # one value per cell is checked above
    return wide.reindex(columns=order if len(factors) > 1 else levels[factors[0]]), levels


def _cells(
    table: pd.DataFrame, *, outcome: str, subject: str, factors: list[str], between: str | None
) -> _Cells:
    wide, levels = _wide(table, outcome=outcome, subject=subject, factors=factors)
    complete = wide.notna().all(axis=1)
    people = wide.index[complete]
    groups = np.ones((len(people), 1))
    if between is not None:
        need_columns(table, [between], what="table")
        given = table[[subject, between]].drop_duplicates().set_index(subject)[between]
        if given.isna().any() or given.index.has_duplicates:
            bad = given.index[given.isna() | given.index.duplicated()][0]
            raise InputError(
                f"table: {subject} {bad!r} needs exactly one {between}; it has none or two"
            )
        membership = given.reindex(people)
        names = (
            [c for c in membership.cat.categories if (membership == c).any()]
            if isinstance(membership.dtype, pd.CategoricalDtype)
            else sorted(membership.unique())
        )
        if len(names) < 2:
            raise ModelError(
                f"between factor {between!r} has {len(names)} level among "
                f"the {len(people)} complete people"
            )
        sizes = membership.value_counts()
        if sizes[names].min() < 2:
            raise ModelError(
                f"between factor {between!r}: {sizes[names].idxmin()!r} has one complete person only"
            )
        member = np.column_stack([(membership == name).to_numpy() for name in names]).astype(float)
        groups = np.column_stack([groups, member[:, :-1] - member[:, -1:]])
    if len(people) - groups.shape[1] < 1:
        raise ModelError(
            f"repeated-measures ANOVA needs more people with a score in every one of "
            f"{wide.shape[1]} cells: {len(people)} of {len(wide)} have them"
        )
    return _Cells(
        scores=wide.loc[complete].to_numpy(dtype=np.float64),
        groups=groups,
        levels=levels,
        n_left_out=int((~complete).sum()),
    )


def _effects(
    cells: _Cells, factors: list[str], varying: Sequence[str], between: str | None
) -> list[_Effect]:
    contrasts: Array = np.ones((1, 1))
    for name in factors:
        k = len(cells.levels[name])
        part = orthonormal_contrasts(k) if name in varying else np.full((k, 1), 1 / np.sqrt(k))
        contrasts = np.asarray(np.kron(contrasts, part), dtype=np.float64)
    z, x = cells.scores @ contrasts, cells.groups
    cross = np.linalg.inv(x.T @ x)
    beta = cross @ x.T @ z
    residual = z - x @ beta
    error = residual.T @ residual
    if np.trace(error) <= 1e-22 * max(np.sum(cells.scores**2), 1e-300):
        raise ModelError(
            f"effect {':'.join(varying) or between}: people do not differ in it at all, "
            "so no F test exists"
        )
    columns = {":".join(varying): slice(0, 1)} if varying else {}
    if between is not None:
        columns[":".join([between, *varying])] = slice(1, x.shape[1])
    effects = []
    for term, which in columns.items():
        b, c = beta[which], cross[which, which]
        effects.append(
            _Effect(
                term=term,
                hypothesis=float(np.sum(b * np.linalg.solve(c, b))),
                error=error,
                df_numerator=b.size,
                df_error=x.shape[0] - x.shape[1],
            )
        )
    return effects


def orthonormal_contrasts(k: int) -> Array:
    """Orthonormal contrasts of k levels (Helmert), shape (k, k - 1)."""
    full: Array = np.tril(np.ones((k, k)), -1)[:, : k - 1] * -1.0
    full[np.arange(k - 1), np.arange(k - 1)] = np.arange(k - 1, 0, -1)
    return np.asarray(full / np.sqrt((full**2).sum(axis=0)), dtype=np.float64)


def _rows_of_effect(effect: _Effect, cells: _Cells, ci_level: float) -> pd.DataFrame:
    d = effect.error.shape[0]
    total_error = float(np.trace(effect.error))
    df_denominator = effect.df_error * d
    f = (effect.hypothesis / effect.df_numerator) / (total_error / df_denominator)
    epsilons = {"residual": 1.0}
    mauchly = (np.nan, np.nan)
    if d > 1:
        gg = total_error**2 / (d * float(np.sum(effect.error**2)))
        hf = ((effect.df_error + 1) * d * gg - 2) / (d * (effect.df_error - d * gg))
        epsilons["greenhouse-geisser"] = gg
        epsilons["huynh-feldt"] = min(hf, 1.0) if effect.df_error > d * gg else 1.0
        mauchly = _mauchly(effect.error, effect.df_error)
    eta = effect.hypothesis / (effect.hypothesis + total_error)
    n, n_cells = cells.scores.shape
    rows = []
    for method, epsilon in epsilons.items():
        df_numerator, df = epsilon * effect.df_numerator, epsilon * df_denominator
        rows.append(
            estimate_row(
                effect.term,
                kind="F test",
                estimate=eta,
                statistic=f,
                statistic_name="F",
                df_numerator=df_numerator,
                df=df,
                df_method=method,
                p=float(stats.f.sf(f, df_numerator, df)),
                ci=partial_eta_interval(f, df_numerator, df, ci_level=ci_level),
                ci_level=ci_level,
                n_subjects=n,
                n_observations=n * n_cells,
                flags=[f"{cells.n_left_out} incomplete people left out"]
                if cells.n_left_out
                else [],
                effect_size_variant="partial_eta_squared",
                epsilon=epsilon,
                mauchly_w=mauchly[0],
                mauchly_p=mauchly[1],
                n_left_out=cells.n_left_out,
            )
        )
    return stack(rows)


def _mauchly(error: Array, df: int) -> tuple[float, float]:
    d = error.shape[0]
    if df < d:
        return np.nan, np.nan
    sign, log_det = np.linalg.slogdet(error)
    if sign <= 0:
        return 0.0, np.nan
    log_w = float(log_det - d * np.log(np.trace(error) / d))
    rho = 1 - (2 * d**2 + d + 2) / (6 * d * df)
    second = (d + 2) * (d - 1) * (d - 2) * (2 * d**3 + 6 * d**2 + 3 * d + 2)
    second /= 288 * (df * d * rho) ** 2
    z, f = -df * rho * log_w, d * (d + 1) / 2 - 1
    first_p, second_p = stats.chi2.sf(z, f), stats.chi2.sf(z, f + 4)
    return float(np.exp(log_w)), float(first_p + second * (second_p - first_p))


def partial_eta_interval(
    f: float, df_numerator: float, df: float, *, ci_level: float = 0.95
) -> tuple[float, float]:
    """Limits of partial eta squared, from those of the noncentrality behind an F.

    Parameters
    ----------
    f, df_numerator, df : float
        An F and its degrees of freedom.
    ci_level : float
        Of the interval.

    Returns
    -------
    low, high : float
        nc / (nc + df_numerator + df + 1) at both limits of nc, 0 where no nc is small enough.

    References
    ----------
    Smithson (2003) Confidence Intervals, Sage.
    """
    tail = (1 - ci_level) / 2

    def limit(probability: float) -> float:
        def off(nc: float) -> float:
            below = (
                float(special.ncfdtr(df_numerator, df, nc, f))
                if nc > 0
                else float(special.fdtr(df_numerator, df, f))
            )
            return (0.0 if np.isnan(below) else below) - probability

        if off(0.0) <= 0:
            return 0.0
        high = 10.0 + 2 * f * df_numerator
        while off(high) > 0:
            high *= 2
        nc = float(optimize.brentq(off, 0.0, high, xtol=1e-12, rtol=1e-12))
        return nc / (nc + df_numerator + df + 1)

    return limit(1 - tail), limit(tail)
