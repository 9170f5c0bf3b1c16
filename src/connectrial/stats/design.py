"""From a formula and a table to a design matrix whose every choice is on record.

Factors get treatment contrasts, the first level being the reference; the names of columns, the
levels, the rank and the rows that were left out are part of the result.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.formula_matrix import expand, find_variables
from connectrial.stats.grammar import ParsedFormula, parse_formula
from connectrial.stats.model_frame import Coding as Coding  # part of this module's interface
from connectrial.stats.model_frame import read_frame

_RANK_TOLERANCE = 1e-7  # R's, in lm and lme4: norm left over after the columns before it


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Design:
    """The fixed part of a model as numbers, and how it came about.

    Parameters
    ----------
    formula : str
        Fixed part as it was read.
    matrix : (n_observations, n_columns) array
        Rows that are used, all columns, those that cannot be estimated too.
    columns : tuple of str
        ``Intercept``, ``time[post]``, ``time[post]:arm[medication]``; numeric ones by their name.
    terms : dict
        Columns of each term.
    levels : dict
        Levels of each factor in order, the reference first.
    coding : dict
        Number of each level, for the variables that were coded.
    numeric : dict
        Mean over the rows used, for each numeric variable.
    rank : int
        Rank of `matrix`.
    estimable : (n_columns,) bool array
        False for columns that depend on those before them.
    dependencies : (n_dependent, n_columns) array
        Combinations of columns that are zero in every row.
    notes : dict
        What stands in the way, for each column that cannot be estimated and for each one that is
        confounded with such a column.
    rows : (n_observations,) int array
        Positions of the rows used in the table that was given.
    n_rows : int
        Rows of the table that was given.
    dropped : dict
        Rows left out, by the variable that is missing there; a row may count for several.
    empty_levels : dict
        Levels without a row, by factor.
    frame : DataFrame
        The rows used: all variables of the formula, random terms and outcome too.
    spec : formulaic.ModelSpec
        Expands further rows the same way.
    """

    formula: str
    matrix: NDArray[np.float64]
    columns: tuple[str, ...]
    terms: dict[str, tuple[str, ...]]
    levels: dict[str, tuple[str, ...]]
    coding: dict[str, dict[str, float]]
    numeric: dict[str, float]
    rank: int
    estimable: NDArray[np.bool_]
    dependencies: NDArray[np.float64]
    notes: dict[str, str]
    rows: NDArray[np.intp]
    n_rows: int
    dropped: dict[str, int]
    empty_levels: dict[str, tuple[str, ...]]
    frame: pd.DataFrame
    spec: Any

    @property
    def reference_levels(self) -> dict[str, str]:
        """First level of each factor."""
        return {name: levels[0] for name, levels in self.levels.items()}

    @property
    def estimable_columns(self) -> tuple[str, ...]:
        """Columns that can be estimated."""
        return tuple(name for name, ok in zip(self.columns, self.estimable, strict=True) if ok)

    @property
    def n_observations(self) -> int:
        """Rows used."""
        return len(self.rows)

    def term_name(self, term: str) -> str:
        """Find a term whatever the order of its factors, ``arm:visit`` for ``visit:arm``.

        Raises
        ------
        ModelError
            If the design has no such term.
        """
        wanted = sorted(part.strip().strip("`") for part in term.split(":"))
        for name in self.terms:
            if name == term or sorted(name.split(":")) == wanted:
                return name
        if term == "1":
            return self.term_name("Intercept")
        raise ModelError(f"term {term!r}: the design has {', '.join(self.terms)}")

    def columns_of(self, term: str) -> tuple[str, ...]:
        """Columns of a term, whatever the order of its factors.

        Raises
        ------
        ModelError
            If the design has no such term.
        """
        return self.terms[self.term_name(term)]

    def rows_at(self, grid: pd.DataFrame) -> NDArray[np.float64]:
        """Rows of the design at given values of its variables.

        Parameters
        ----------
        grid : DataFrame
            One column per variable of the formula; factors by level, coded variables by number.

        Returns
        -------
        (n_grid, n_columns) array

        Raises
        ------
        ModelError
            If the formula makes levels of a number (``C(t)``) and the grid has others.
        """
        ready = grid.assign(
            **{
                name: pd.Categorical(grid[name].astype(str), categories=list(levels))
                for name, levels in self.levels.items()
            }
        )
        from formulaic.errors import DataMismatchWarning

        with warnings.catch_warnings():
            warnings.simplefilter("error", DataMismatchWarning)
            try:
                rows = self.spec.get_model_matrix(ready, context={})
            except DataMismatchWarning as error:
                raise ModelError(
                    f"formula {self.formula!r}: C() makes levels of a number, which cannot be held at "
                    "its mean; give the column as text or as a Categorical instead"
                ) from error
        return np.asarray(rows, dtype=np.float64)


def build_design(
    formula_or_terms: str | Sequence[str],
    data: pd.DataFrame,
    *,
    coding: Coding | None = None,
    also: Sequence[str] = (),
) -> Design:
    """Build the design matrix of the fixed part of a model.

    Parameters
    ----------
    formula_or_terms : str or sequence of str
        ``"fc_z ~ time * arm + (1 | subject)"`` or ``["time", "time:arm"]``. Variables of the left
        side and of random terms decide only which rows are complete.
    data : DataFrame
        One row per observation.
    coding : mapping, optional
        Numbers for the levels of a variable, ``{"time": {"pre": 0, "week2": 1}}``; the variable
        is then numeric.
    also : sequence of str
        Further variables in which a row must not be missing.

    Returns
    -------
    Design

    Raises
    ------
    ModelError
        If a variable is not in the table, has infinite values, one level only or no row at its
        reference level, or if the formula cannot be read.
    """
    text = (
        formula_or_terms if isinstance(formula_or_terms, str) else terms_formula(formula_or_terms)
    )
    parsed = parse_formula(text)
    fixed = find_variables(parsed.fixed)
    frame = read_frame(
        data, [*fixed, *other_variables(parsed, data), *also], coding=coding, where=text
    )
    missing = frame.isna()
    used = np.flatnonzero(~missing.to_numpy().any(axis=1))
    if not len(data):
        raise ModelError(f"formula {text!r}: the data have no rows")
    if not len(used):
        raise ModelError(
            f"formula {text!r}: no row is complete; missing values: "
            + ", ".join(f"{name} {count}" for name, count in missing.sum().items() if count)
        )
    kept = frame.iloc[used].reset_index(drop=True)
    factors = {
        name: tuple(str(level) for level in kept[name].cat.categories)
        for name in fixed
        if isinstance(kept[name].dtype, pd.CategoricalDtype)
    }
    empty = _check_levels(kept, factors)
    matrix, columns, terms, spec = expand(parsed.fixed, kept[fixed])
    estimable, dependencies, notes = find_dependent_columns(matrix, columns)
    for column in notes:
        if not matrix[:, columns.index(column)].any():
            notes[column] = _explain_empty(column, empty)
    return Design(
        formula=parsed.fixed,
        matrix=matrix,
        columns=columns,
        terms=terms,
        levels=factors,
        coding={
            name: {str(level): float(number) for level, number in levels.items()}
            for name, levels in (coding or {}).items()
            if name in fixed
        },
        numeric={name: float(kept[name].mean()) for name in fixed if name not in factors},
        rank=int(estimable.sum()),
        estimable=estimable,
        dependencies=dependencies,
        notes=notes,
        rows=used,
        n_rows=len(data),
        dropped={str(name): int(count) for name, count in missing.sum().items() if count},
        empty_levels=empty,
        frame=kept,
        spec=spec,
    )


def terms_formula(terms: Iterable[str]) -> str:
    """Join a list of terms into the right side of a formula."""
    return " + ".join(terms) or "1"


def other_variables(parsed: ParsedFormula, data: pd.DataFrame) -> list[str]:
    """Variables outside the fixed part: outcome, groupings, what varies over groups, visits."""
    names = [parsed.outcome] if parsed.outcome in data.columns else []
    for term in parsed.random:
        names += [*find_variables(term.effects), *term.groups]
    if parsed.covariance is not None:
        given = (parsed.covariance.subject, parsed.covariance.visit, parsed.covariance.arm)
        names += [name for name in given if name is not None]
    return [name for name in names if name is not None]


def find_dependent_columns(
    matrix: NDArray[np.float64], columns: Sequence[str]
) -> tuple[NDArray[np.bool_], NDArray[np.float64], dict[str, str]]:
    """Find the columns that depend on those before them, and what they are confounded with.

    Parameters
    ----------
    matrix : (n_observations, n_columns) array
        A design.
    columns : sequence of str
        Names of its columns.

    Returns
    -------
    estimable : (n_columns,) bool array
        False for columns that depend on earlier ones.
    dependencies : (n_dependent, n_columns) array
        Combinations that are zero.
    notes : dict
        A sentence for each column that is involved in a dependency.
    """
    basis = np.zeros((matrix.shape[0], 0))
    estimable = np.zeros(matrix.shape[1], dtype=bool)
    notes: dict[str, str] = {}
    zeros = []
    for j, name in enumerate(columns):
        column = matrix[:, j]
        left = column - basis @ (basis.T @ column)
        left -= basis @ (basis.T @ left)
        size = float(np.linalg.norm(column))
        if size > 0 and np.linalg.norm(left) > _RANK_TOLERANCE * size:
            estimable[j] = True
            basis = np.column_stack([basis, left / np.linalg.norm(left)])
            continue
        before = np.flatnonzero(estimable)
        weights = np.linalg.lstsq(matrix[:, before], column, rcond=None)[0]
        scale = np.linalg.norm(matrix[:, before], axis=0) * np.abs(weights)
        involved = scale > _RANK_TOLERANCE * max(size, 1e-300)
        zero = np.zeros(matrix.shape[1])
        zero[j], zero[before[involved]] = 1.0, -weights[involved]
        zeros.append(zero)
        partners = [columns[k] for k in before[involved]]
        notes[name] = f"not estimable: determined by {', '.join(partners)}"
        for partner in partners:
            so_far = f"{notes[partner]}, " if partner in notes else "confounded with "
            notes[partner] = so_far + name
    return estimable, np.array(zeros).reshape(-1, matrix.shape[1]), notes


def expand_effects(
    effects: str, frame: pd.DataFrame
) -> tuple[NDArray[np.float64], tuple[str, ...], tuple[str, ...]]:
    """Expand the effects of a random term over the rows that a design uses.

    Parameters
    ----------
    effects : str
        ``"1"``, ``"1 + time"``, ``"0 + time"``.
    frame : DataFrame
        Of a `Design`.

    Returns
    -------
    matrix : (n_observations, n_effects) array
    names : tuple of str
    factors : tuple of str
        Variables among them that are factors.

    Raises
    ------
    ModelError
        If the effects cannot be evaluated.
    """
    names = find_variables(effects)
    used = frame[names].copy()
    for name in names:
        if isinstance(used[name].dtype, pd.CategoricalDtype):
            used[name] = used[name].cat.remove_unused_categories()
    factors = [name for name in names if isinstance(used[name].dtype, pd.CategoricalDtype)]
    matrix, columns, _, _ = expand(effects, used)
    return matrix, columns, tuple(factors)


def _check_levels(
    frame: pd.DataFrame, factors: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Levels without rows by factor; refuses factors that no contrast can be formed of."""
    problems, empty = [], {}
    for name, levels in factors.items():
        counts = frame[name].value_counts(sort=False).reindex(frame[name].cat.categories)
        without = tuple(str(level) for level, count in counts.items() if not count)
        if len(levels) < 2:
            problems.append(
                f"factor {name!r}: only one level, {levels[0]!r}, over the {len(frame)} complete "
                "rows; its effect cannot be estimated; leave it out of the formula"
            )
        elif levels[0] in without:
            problems.append(
                f"factor {name!r}: no row at its reference level {levels[0]!r}; levels with rows: "
                f"{', '.join(map(repr, [x for x in levels if x not in without]))}; "
                "put one of these first, or remove the empty level"
            )
        elif without:
            empty[name] = without
    if problems:
        raise ModelError(problems)
    return empty


def _explain_empty(column: str, empty: Mapping[str, Sequence[str]]) -> str:
    without = [
        f"{name} {level!r}"
        for name, levels in empty.items()
        for level in levels
        if f"{name}[{level}]" in column.replace(")", "")
    ]
    return "not estimable: no observations at " + (" and ".join(without) or column)
