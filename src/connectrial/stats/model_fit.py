"""What a fitted model holds and answers: estimates, contrasts, marginal means, F tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.design import Design
from connectrial.stats.grammar import parse_formula
from connectrial.stats.inference import (
    DfMethod,
    as_table,
    coefficient_row,
    empty_row,
    independent_rows,
)
from connectrial.stats.margins import mean_rows, term_hypotheses
from connectrial.stats.solution import Solution, choose_df
from connectrial.stats.summary import summarise
from connectrial.stats.validity import f_test_notes, fit_notes

Array = NDArray[np.float64]
Weights = Mapping[str, float] | Mapping[str, Mapping[str, float]] | Sequence[float] | Array

_ESTIMABLE = 1e-8


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MixedFit:
    """A fitted mixed model.

    Parameters
    ----------
    formula : str
        As it was given.
    outcome : str
        Left side.
    method : str
        ``REML`` or ``ML``.
    df_method : str
        How degrees of freedom are found.
    design : Design
        Fixed part: columns, levels, rank, rows used.
    estimates : DataFrame
        Indexed by column of the design: estimate, se, df, df_method, statistic, p, ci_low,
        ci_high (95 %), flags, df_numerator, statistic_name. Columns that cannot be estimated are
        NaN and say why in flags.
    variance : DataFrame
        Variance components; variances as variances.
    deviance : float
        Minus twice the (restricted) log likelihood.
    n_observations, n_subjects : int
        Rows used; levels of the coarsest grouping.
    singular : bool
        The optimum lies on the boundary: a variance is zero, or a correlation one.
    notes : tuple of str
        What a reader must know of this fit; also where simulation found the degrees of freedom too
        liberal for a model and a trial of this size (docs, Validation).
    fitted, residuals : Series
        Fixed part plus predicted random effects, and outcome minus that; indexed as the rows used.
    random_effects : DataFrame
        Predicted random effects: group, level, effect, estimate.
    solution : Solution
        The optimum itself, from which other degrees of freedom follow without a new fit.
    """

    formula: str
    outcome: str
    method: str
    df_method: str
    design: Design
    estimates: pd.DataFrame
    variance: pd.DataFrame
    deviance: float
    n_observations: int
    n_subjects: int
    singular: bool
    notes: tuple[str, ...]
    fitted: pd.Series
    residuals: pd.Series
    random_effects: pd.DataFrame
    column_flags: dict[str, str]
    solution: Solution

    def __str__(self) -> str:
        return summarise(self)

    def __repr__(self) -> str:
        return (
            f"MixedFit({self.formula!r}, {self.method}, {self.n_observations} observations, "
            f"{self.n_subjects} subjects, df {self.df_method!r})"
        )

    @property
    def covariance(self) -> pd.DataFrame:
        """Covariance of the fixed effects that can be estimated, as if V were known."""
        names = [
            name for name, ok in zip(self.design.columns, self.design.estimable, strict=True) if ok
        ]
        return pd.DataFrame(self.solution.covariance, index=names, columns=names)

    def with_df(self, method: str) -> MixedFit:
        """Give the same optimum with other degrees of freedom.

        Parameters
        ----------
        method : str
            As `df` of `fit_mixed`.

        Raises
        ------
        ModelError
            If there is no such method, or it does not fit this model.
        """
        about_df = self._simulated(self.df_method)
        return replace(
            self,
            df_method=method,
            estimates=estimate_table(self.design, self.solution, method, self.column_flags),
            notes=(
                *(note for note in self.notes if note not in about_df),
                *self._simulated(method),
            ),
        )

    def test(self, term: str) -> pd.DataFrame:
        """Test one term: a coefficient if it has one column, else an F test of all its columns.

        Parameters
        ----------
        term : str
            ``time``, ``time:arm`` (in any order) or the name of a column.

        Returns
        -------
        DataFrame
            One row, the columns of `estimates`.

        Raises
        ------
        ModelError
            If the design has no such term.
        """
        if term in self.estimates.index:
            return self.estimates.loc[[term]]
        columns = self.design.columns_of(term)
        if len(columns) == 1:
            return self.estimates.loc[list(columns)].rename(index={columns[0]: term})
        rows = np.array([self._unit(name) for name in columns])
        return as_table([self._f_row(rows)], [term], index_name="term")

    def contrast(self, weights: Weights, *, joint: str = "no") -> pd.DataFrame:
        """Estimate weighted sums of coefficients.

        Parameters
        ----------
        weights : mapping or array
            ``{"time[post]": 1, "time[week2]": -1}``; several under names of their own,
            ``{"late": {...}, "early": {...}}``; or an array (n_columns,) or (n_rows, n_columns).
        joint : "no" or "yes"
            "yes" gives one F test of all of them.

        Returns
        -------
        DataFrame
            One row per contrast, the columns of `estimates`.

        Raises
        ------
        ModelError
            If a column is not in the design or the array has another width.
        """
        named = self._read_weights(weights)
        if joint == "yes":
            rows = np.array(list(named.values()))
            return as_table([self._f_row(rows)], [", ".join(named)], index_name="contrast")
        if joint != "no":
            raise ModelError(f"contrast: joint is {joint!r}; allowed are 'no' and 'yes'")
        found = [self._row(row) for row in named.values()]
        return as_table(found, list(named), index_name="contrast")

    def marginal_means(
        self, by: str | Sequence[str], *, at: Mapping[str, float] | None = None
    ) -> pd.DataFrame:
        """Estimate means over a reference grid that is spelled out.

        Parameters
        ----------
        by : str or sequence of str
            Factors or coded variables, one row per combination of their levels. Other factors and
            coded variables are averaged with equal weights; numeric variables are held at their
            mean over the rows used.
        at : mapping, optional
            Values at which numeric variables are held instead.

        Returns
        -------
        DataFrame
            The levels of `by`, then the columns of `estimates`, then ``reference_grid``: what was
            averaged and what was held where.

        Raises
        ------
        ModelError
            If a variable is not in the model, or numeric in `by`.
        """
        names = [by] if isinstance(by, str) else list(by)
        levels, rows, grid = mean_rows(self.design, names, at=at or {})
        table = as_table(
            [self._row(row) for row in rows], [str(k) for k in range(len(rows))], index_name="row"
        )
        for position, name in enumerate(names):
            table.insert(position, name, [level[position] for level in levels])
        return table.assign(reference_grid=grid).reset_index(drop=True)

    def f_tests(self, type: str = "III") -> pd.DataFrame:
        """Test every term but the intercept.

        Parameters
        ----------
        type : str
            ``"III"``: each term averaged with equal weights over the factors it interacts with,
            whatever their coding; ``"II"``: each term after all that do not contain it; ``"I"``:
            after those before it.

        Returns
        -------
        DataFrame
            One row per term, the columns of `estimates`; the statistic is F.

        Raises
        ------
        ModelError
            If there is no such type, or type III is asked where columns cannot be estimated.
        """
        hypotheses = term_hypotheses(self.design, type)
        found = [self._f_row(rows) for rows in hypotheses.values()]
        return as_table(found, list(hypotheses), index_name="term")

    def _simulated(self, method: str) -> tuple[str, ...]:
        """Take what simulation says about the degrees of freedom of a method, for this fit."""
        return fit_notes(
            parse_formula(self.formula),
            self.design,
            df=method,
            singular=self.singular,
            n_subjects=self.n_subjects,
        )

    def _unit(self, column: str) -> Array:
        row = np.zeros(len(self.design.columns))
        row[self.design.columns.index(column)] = 1.0
        return row

    def _read_weights(self, weights: Weights) -> dict[str, Array]:
        if not isinstance(weights, Mapping):
            rows = np.atleast_2d(np.asarray(weights, dtype=np.float64))
            if rows.ndim != 2 or rows.shape[1] != len(self.design.columns):
                raise ModelError(
                    f"contrast: {rows.shape[-1]} weights for {len(self.design.columns)} columns: "
                    + ", ".join(self.design.columns)
                )
            return {f"contrast {k + 1}": row for k, row in enumerate(rows)}
        single = {name: w for name, w in weights.items() if not isinstance(w, Mapping)}
        if single and len(single) < len(weights):
            raise ModelError("contrast: give weights, or named mappings of weights, not both")
        if single:
            name = " ".join(f"{float(w):+g} {column}" for column, w in single.items())
            return {name: self._weigh(single)}
        return {str(name): self._weigh(w) for name, w in weights.items() if isinstance(w, Mapping)}

    def _weigh(self, weights: Mapping[str, float]) -> Array:
        row = np.zeros(len(self.design.columns))
        for name, weight in weights.items():
            column = name if name in self.design.columns else None
            if column is None:
                columns = self.design.columns_of(name)
                if len(columns) > 1:
                    raise ModelError(
                        f"contrast: term {name!r} has columns {', '.join(columns)}; name one"
                    )
                column = columns[0]
            row[self.design.columns.index(column)] = float(weight)
        return row

    def _row(self, row: Array) -> dict[str, object]:
        flags = "; ".join(self._common_flags())
        if not _is_estimable(self.design, row):
            return empty_row(
                df_method=self.df_method,
                flags="; ".join(["not estimable", *self._common_flags()]),
            )
        result = self._df().test_row(row[self.design.estimable])
        return coefficient_row(result, df_method=self.df_method, flags=flags)

    def _f_row(self, rows: Array) -> dict[str, object]:
        """F test of what can be estimated among the rows of a hypothesis."""
        flags = self._common_flags()
        usable = [row for row in rows if row[self.design.estimable].any()]
        wanted = independent_rows(rows)
        fine = all(_is_estimable(self.design, row) for row in usable)
        kept = np.zeros((0, self.design.rank))
        if usable:
            kept = independent_rows(np.array(usable)[:, self.design.estimable])
        if len(kept) < len(wanted) or not fine:
            flags = [
                f"{len(kept)} of {len(wanted)} rows of the hypothesis can be estimated",
                *flags,
            ]
        if not len(kept):
            row = empty_row(df_method=self.df_method, flags="; ".join(["not estimable", *flags]))
            return {**row, "statistic_name": "F", "df_numerator": len(wanted)}
        result = self._df().test_rows(kept)
        if len(kept) > 1:
            parsed = parse_formula(self.formula)
            flags = [*flags, *f_test_notes(parsed, self.design.frame, df=self.df_method)]
        return coefficient_row(
            replace(result, estimate=np.nan), df_method=self.df_method, flags="; ".join(flags)
        )

    def _common_flags(self) -> list[str]:
        flag = self.column_flags.get("", "")
        return [flag] if flag else []

    def _df(self) -> DfMethod:
        return choose_df(self.solution, self.df_method, self.design)


def estimate_table(
    design: Design, solution: Solution, method: str, column_flags: Mapping[str, str]
) -> pd.DataFrame:
    """Table of all columns of a design, those that cannot be estimated too.

    Parameters
    ----------
    design : Design
        Fixed part.
    solution : Solution
        The optimum.
    method : str
        Degrees of freedom.
    column_flags : mapping
        Flags by column; those under an empty name go to every row.

    Returns
    -------
    DataFrame
        Indexed by column.
    """
    chosen = choose_df(solution, method, design)
    rows, position = [], 0
    for name, estimable in zip(design.columns, design.estimable, strict=True):
        said = (design.notes.get(name, ""), column_flags.get(name, ""), column_flags.get("", ""))
        flags = "; ".join(flag for flag in said if flag)
        if not estimable:
            rows.append(empty_row(df_method=method, flags=flags))
            continue
        unit = np.zeros(design.rank)
        unit[position] = 1.0
        position += 1
        rows.append(coefficient_row(chosen.test_row(unit), df_method=method, flags=flags))
    return as_table(rows, list(design.columns), index_name="term")


def _is_estimable(design: Design, row: Array) -> bool:
    """Whether the rows of the design span a contrast."""
    size = np.linalg.norm(row)
    zeros = design.dependencies
    left = np.abs(zeros @ row) if len(zeros) else np.zeros(1)
    scale = np.linalg.norm(zeros, axis=1) * size if len(zeros) else np.ones(1)
    return bool((left <= _ESTIMABLE * scale).all())
