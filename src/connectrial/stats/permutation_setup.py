"""From values, formula and table to what a permutation needs: design, exchange, fits to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from connectrial.errors import InputError, ModelError
from connectrial.stats.design import Coding, Design, build_design
from connectrial.stats.edgewise import EdgeFits, fit_edges
from connectrial.stats.exchange import Exchange, Scheme, find_exchange
from connectrial.stats.freedman_lane import Part, draw_batches, make_parts, reduce_outcomes
from connectrial.stats.grammar import parse_formula

Array = NDArray[np.float64]
Draws = Iterator[tuple[NDArray[np.intp], NDArray[np.int8] | None]]

# Single precision of the permuted statistics: a permutation that gives the observed value again
# must count as reaching it.
_TIE = 1e-5
_ROW = "_row"  # a column without holes, so that an intercept alone has rows to stand on


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Setup:
    """One term of one model over many edges, ready to be permuted.

    Attributes
    ----------
    design : Design
    columns : list of int
        Of the tested term.
    exchange : Exchange
    tested : bool array, shape (n_edges,)
        Edges that are complete and vary.
    outcomes : array, shape (n_observations, n_tested)
    parts : list of Part
        Sets of tested edges that share a whitened design.
    refit : Refit or None
        For a model with a random intercept.
    """

    design: Design
    columns: list[int]
    exchange: Exchange
    tested: NDArray[np.bool_]
    outcomes: Array
    parts: list[Part]
    refit: Refit | None

    @property
    def statistic_name(self) -> str:
        """Whether it is t, for one column, or F, for several."""
        return "t" if len(self.columns) == 1 else "F"

    @property
    def flags(self) -> tuple[str, ...]:
        """What to know before believing a p."""
        n, still = self.exchange.n_possible, self.exchange.n_still
        few = f"only {n} exchanges are possible: no p below {1 / n:.3g}"
        alone = f"{still} people stay in place in every exchange ({self.exchange.scheme})"
        return (*([few] if n < 20 else []), *([alone] if still else []))

    def observed(self) -> Array:
        """Signed t, or F, of every edge; NaN for those that are not tested."""
        statistic = np.full(self.tested.size, np.nan)
        where = np.flatnonzero(self.tested)
        for part in self.parts:
            statistic[where[part.edges]] = part.observed
        return statistic

    def is_exhaustive(self, n_permutations: int) -> bool:
        """Whether every possible exchange can be done with so many permutations."""
        return self.exchange.n_possible <= n_permutations + 1

    def draws(self, n_permutations: int, rng: int | np.random.Generator) -> Draws:
        """Draw exchanges in batches; all of them, once each, if that takes no more."""
        return draw_batches(
            self.exchange,
            np.random.default_rng(rng),
            n_permutations=n_permutations,
            exhaustive=self.is_exhaustive(n_permutations),
            n_columns=self.parts[0].basis.shape[1],
        )


def set_up(
    values: ArrayLike,
    formula: str,
    data: pd.DataFrame,
    *,
    term: str,
    blocks: str | None,
    visit: str | None,
    scheme: Scheme | None,
    parts: str | None,
    coding: Coding | None,
) -> Setup:
    """Prepare a permutation; parameters and errors as `permute_edges`."""
    mixed = _is_mixed(formula, blocks)
    design = build_design(formula, _without_outcome(formula, data), coding=coding, also=[_ROW])
    outcomes = _outcomes(values, data, design)
    columns = _columns_of(design, term)
    exchange = find_exchange(
        design,
        data,
        term=_term_of(design, term),
        blocks=blocks,
        visit=visit,
        scheme=scheme,
        parts=parts,
    )
    tested = _testable(outcomes, design, columns)
    complete = outcomes[:, tested]
    person = _people(design, data, blocks)
    refit = Refit.of(design, columns, formula, data, coding, person) if mixed else None
    ratio = None if refit is None else refit.variance_ratio(complete)
    prepared = make_parts(design, columns, exchange, complete, person=person, ratio=ratio)
    return Setup(
        design=design,
        columns=columns,
        exchange=exchange,
        tested=tested,
        outcomes=complete,
        parts=prepared,
        refit=refit,
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Refit:
    """Mixed models fitted edge by edge, for their variances or their t."""

    formula: str
    table: pd.DataFrame
    coding: Coding | None
    column: str
    nuisance: Array
    person: NDArray[np.intp]

    @classmethod
    def of(
        cls,
        design: Design,
        columns: list[int],
        formula: str,
        data: pd.DataFrame,
        coding: Coding | None,
        person: NDArray[np.intp],
    ) -> Refit:
        """Prepare the fits of one design."""
        return cls(
            formula=formula,
            table=data.iloc[design.rows].reset_index(drop=True),
            coding=coding,
            column=design.columns[columns[0]],
            nuisance=np.linalg.qr(np.delete(design.matrix, columns, axis=1))[0],
            person=person,
        )

    def fit(self, values: Array) -> EdgeFits:
        """Fit every edge."""
        return fit_edges(values, self.formula, self.table, coding=self.coding, df="none")

    def variance_ratio(self, values: Array) -> Array:
        """Variance of the intercept over that of the residual, by edge, under the null hypothesis.

        The tested term must stay out: with it, an edge with a large effect by chance gets a small
        residual variance that its exchanges keep, and the test is liberal (an error of .17 for .05 in
        10 people with 3 visits).
        """
        names = [f"_nuisance{k}" for k in range(self.nuisance.shape[1])]
        if not names:
            raise ModelError(
                f"formula {self.formula!r}: with {self.column!r} out nothing is left to estimate the "
                "random intercept by; leave that out, blocks keep the rows of a person together"
            )
        table = pd.DataFrame(self.nuisance, columns=names).assign(_person=self.person)
        formula = f"0 + {' + '.join(names)} + (1 | _person)"
        variance = fit_edges(values, formula, table, df="none").variance
        return np.asarray(variance[0] / variance[1])

    def statistic(self, values: Array) -> Array:
        """Find the t of the tested column, by edge."""
        fits = self.fit(values)
        return np.asarray(fits.statistic[fits.terms.index(self.column)])

    def null(
        self,
        values: Array,
        draws: Iterator[tuple[NDArray[np.intp], NDArray[np.int8] | None]],
        score: Callable[[Array], float],
    ) -> Array:
        """Refit every edge to every exchange of the reduced model's residuals, and score its t."""
        left, _ = reduce_outcomes(self.nuisance, values)
        largest = []
        for rows, signs in draws:
            for k, order in enumerate(rows):
                # `order` says which row of the design comes where; the residuals move the other way
                moved = left[np.argsort(order)]
                if signs is not None:
                    moved = moved * signs[k][:, None]
                largest.append(score(self.statistic(moved)))
        return np.array(largest)


def tail_p(values: Array, null: Array) -> Array:
    """Count (b + 1) / (m + 1), b being the permutations of m that reach a value.

    Parameters
    ----------
    values : array, shape (n_values,)
    null : array, shape (n_permutations,)

    Returns
    -------
    array, shape (n_values,)
    """
    ordered = np.sort(null)
    reached = ordered.size - np.searchsorted(ordered, values - _TIE * np.abs(values))
    return np.asarray((reached + 1) / (ordered.size + 1), dtype=np.float64)


def _is_mixed(formula: str, blocks: str | None) -> bool:
    parsed = parse_formula(formula)
    if parsed.covariance is not None:
        raise ModelError(
            f"formula {formula!r}: permutation takes a linear model or one random intercept; leave "
            "the covariance out, blocks keep the rows of a person together"
        )
    if not parsed.random:
        return False
    if blocks is None or [term.groups for term in parsed.random] != [(blocks,)]:
        raise InputError(
            f"blocks: got {blocks!r}; it must be the one grouping of the random intercept in "
            f"{formula!r}"
        )
    return True


def _people(design: Design, data: pd.DataFrame, blocks: str | None) -> NDArray[np.intp]:
    if blocks is None:
        return np.arange(len(design.rows))
    return np.asarray(pd.factorize(data[blocks].iloc[design.rows])[0], dtype=np.intp)


def _without_outcome(formula: str, data: pd.DataFrame) -> pd.DataFrame:
    outcome = parse_formula(formula).outcome
    kept = data.drop(columns=[outcome]) if outcome in data.columns else data
    return kept.assign(**{_ROW: 0.0})


def _outcomes(values: ArrayLike, data: pd.DataFrame, design: Design) -> Array:
    outcomes = np.asarray(values, dtype=np.float64)
    if outcomes.ndim != 2 or len(outcomes) != len(data):
        raise InputError(
            f"values: got shape {outcomes.shape}; give one row for each of the {len(data)} rows of "
            "the table and one column per edge"
        )
    return outcomes[design.rows]


def _testable(outcomes: Array, design: Design, columns: list[int]) -> NDArray[np.bool_]:
    tested: NDArray[np.bool_] = np.atleast_1d(np.isfinite(outcomes).all(axis=0))
    nuisance = np.linalg.qr(np.delete(design.matrix, columns, axis=1))[0]
    tested[tested] = reduce_outcomes(nuisance, outcomes[:, tested])[1]
    if not tested.any():
        raise ModelError("permutation: no edge is complete and varies, so there is nothing to test")
    return tested


def _columns_of(design: Design, term: str) -> list[int]:
    names = (term,) if term in design.columns else design.columns_of(term)
    return [design.columns.index(name) for name in names]


def _term_of(design: Design, term: str) -> str:
    return next((name for name, columns in design.terms.items() if term in columns), term)
