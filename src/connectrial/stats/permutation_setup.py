"""From values, formula and table to what a permutation needs: design, exchange, fits to come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from connectrial.errors import InputError, ModelError
from connectrial.stats.design import Coding, Design, build_design
from connectrial.stats.edgewise import EdgeFits, fit_edges
from connectrial.stats.exchange import Exchange, Scheme, find_exchange
from connectrial.stats.freedman_lane import (
    Part,
    WhiteDesign,
    draw_batches,
    icc_steps,
    reduce_outcomes,
    white_design,
)
from connectrial.stats.grammar import parse_formula
from connectrial.stats.small_matrices import invert_stack, solve_stack

Array = NDArray[np.float64]
Draw = tuple[NDArray[np.intp], NDArray[np.int8] | None]
Draws = Iterator[Draw]
Scored = float | Array

# Single precision of the permuted statistics: a permutation that gives the observed value again
# must count as reaching it.
_TIE = 1e-5
EDGES_AT_ONCE = 2048
"""Edges of one part, which one product of matrices takes."""
EDGES_HELD = 8192
"""Edges that are held while all exchanges go by."""
CELLS_HELD = 2**22
"""Numbers that are held at once, of outcomes or of statistics of all edges."""
_ROW = "_row"  # a column without holes, so that an intercept alone has rows to stand on


@dataclass(frozen=True, eq=False, kw_only=True)
class Setup:
    """One term of one model over many edges, ready to be permuted.

    Attributes
    ----------
    design : Design
    columns : list of int
        Of the tested term.
    exchange : Exchange
    values : array, shape (n_rows, n_edges)
        As they were given, with rows and edges that are not used.
    tested : bool array, shape (n_edges,)
        Edges that are complete and vary.
    person : int array, shape (n_observations,)
    steps : int array, shape (n_tested,), or None
        Steps of the intraclass correlation, for a model with a random intercept.
    white : dict of int to WhiteDesign
        Designs by these steps; one, 0, for a linear model.
    refit : Refit or None
        For a model with a random intercept.
    """

    design: Design
    columns: list[int]
    exchange: Exchange
    values: NDArray[np.generic]
    tested: NDArray[np.bool_]
    person: NDArray[np.intp]
    steps: NDArray[np.int8] | None
    white: dict[int, WhiteDesign]
    refit: Refit | None

    @cached_property
    def _where(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.tested)

    @property
    def n_tested(self) -> int:
        """Edges that are tested."""
        return int(self._where.size)

    @property
    def df(self) -> int:
        """Residual degrees of freedom."""
        return next(iter(self.white.values())).df

    def take(self, edges: slice | NDArray[np.intp]) -> Array:
        """Outcomes (n_observations, n) of some of the tested edges."""
        return take_outcomes(self.values, self.design, self._where[edges])

    @property
    def outcomes(self) -> Array:
        """Outcomes (n_observations, n_tested) of all tested edges at once."""
        return self.take(slice(None))

    def blocks(self) -> list[Callable[[], Array]]:
        """Outcomes of the tested edges in blocks, for fits that cost more than their preparation."""
        size = max(EDGES_AT_ONCE, CELLS_HELD // len(self.design.rows))
        starts = range(0, self.n_tested, size)
        return [partial(self.take, slice(start, start + size)) for start in starts]

    @cached_property
    def parts(self) -> list[Part]:
        """All tested edges at once, for where they are few."""
        return [part for group in self.groups() for part in group]

    def groups(self) -> Iterator[list[Part]]:
        """Prepare edges, so many at a time that memory stays flat in their number.

        A part never holds edges of two designs, and where it begins does not depend on how many
        parts are held, so that nothing that comes of it does either.
        """
        group: list[Part] = []
        for step, design in self.white.items():
            edges = np.arange(self.n_tested)
            if self.steps is not None:
                edges = np.flatnonzero(self.steps == step)
            for start in range(0, len(edges), EDGES_AT_ONCE):
                some = edges[start : start + EDGES_AT_ONCE]
                group.append(design.take(some, self.take(some)))
                if sum(part.edges.size for part in group) >= EDGES_HELD:
                    yield group
                    group = []
        if group:
            yield group

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
        for group in self.groups():
            for part in group:
                statistic[self._where[part.edges]] = part.observed
        return statistic

    def is_exhaustive(self, n_permutations: int) -> bool:
        """Whether every possible exchange can be done with so many permutations."""
        return self.exchange.n_possible <= n_permutations + 1

    def draws(self, n_permutations: int, rng: int | np.random.Generator) -> Draws:
        """Draw exchanges in batches; all of them, once each, if that takes no more."""
        first = next(iter(self.white.values()))
        return draw_batches(
            self.exchange,
            np.random.default_rng(rng),
            n_permutations=n_permutations,
            exhaustive=self.is_exhaustive(n_permutations),
            n_columns=first.n_movable + first.n_term,
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
    array = _check_values(values, data)
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
    tested = _testable(array, design, columns)
    person = _people(design, data, blocks)
    refit = Refit.of(design, columns, formula, data, coding, person) if mixed else None
    steps = None
    if refit is not None:
        steps = np.zeros(int(tested.sum()), dtype=np.int8)
        where = np.flatnonzero(tested)
        for start in range(0, where.size, EDGES_AT_ONCE):
            some = take_outcomes(array, design, where[start : start + EDGES_AT_ONCE])
            steps[start : start + EDGES_AT_ONCE] = icc_steps(refit.variance_ratio(some))
    white = {
        int(step): white_design(design, columns, exchange, person=person, step=int(step))
        for step in ([0] if steps is None else np.unique(steps))
    }
    return Setup(
        design=design,
        columns=columns,
        exchange=exchange,
        values=array,
        tested=tested,
        person=person,
        steps=steps,
        white=white,
        refit=refit,
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Refit:
    """Mixed models fitted edge by edge, for their variances or their t."""

    formula: str
    table: pd.DataFrame
    coding: Coding | None
    columns: tuple[str, ...]
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
            columns=tuple(design.columns[k] for k in columns),
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
                f"formula {self.formula!r}: with {self.columns} out nothing is left to estimate the "
                "random intercept by; leave that out, blocks keep the rows of a person together"
            )
        table = pd.DataFrame(self.nuisance, columns=names).assign(_person=self.person)
        formula = f"0 + {' + '.join(names)} + (1 | _person)"
        variance = fit_edges(values, formula, table, df="none").variance
        return np.asarray(variance[0] / variance[1])

    def statistic(self, values: Array) -> Array:
        """Find the t of the tested column, or the F of several, by edge."""
        fits = self.fit(values)
        where = [fits.terms.index(name) for name in self.columns]
        if len(where) == 1:
            return np.asarray(fits.statistic[where[0]])
        return self._f(fits, where)

    def _f(self, fits: EdgeFits, where: list[int]) -> Array:
        """Wald's F of several columns: the covariance of all is that of their variance ratio."""
        x = fits.design.matrix
        size = np.bincount(self.person)
        sums = np.zeros((size.size, x.shape[1]))
        np.add.at(sums, self.person, x)
        ratio = fits.variance[0] / fits.variance[1]
        precision = np.repeat((x.T @ x)[:, :, None], ratio.size, axis=2)
        for n in np.unique(size):
            crossed = sums[size == n].T @ sums[size == n]
            precision -= crossed[:, :, None] * (ratio / (1 + n * ratio))
        inverse, _ = invert_stack(precision)
        estimate = fits.estimate[where]
        solved = solve_stack(inverse[np.ix_(where, where)], estimate)
        explained = np.einsum("ke,ke->e", solved, estimate)
        return np.asarray(explained / (fits.variance[1] * len(where)))

    def null(self, values: Array, draws: Iterable[Draw], score: Callable[[Array], Scored]) -> Array:
        """Refit every edge to every exchange of the reduced model's residuals, and score it."""
        return self.null_of([lambda: values], draws, score)

    def null_of(
        self,
        blocks: Sequence[Callable[[], Array]],
        draws: Iterable[Draw],
        score: Callable[[Array], Scored],
    ) -> Array:
        """Refit as `null`, with outcomes block of edges by block."""
        largest = []
        for rows, signs in draws:
            for k, order in enumerate(rows):
                # `order` says which row of the design comes where; the residuals move the other way
                back = np.argsort(order)
                found = []
                for take in blocks:
                    moved = reduce_outcomes(self.nuisance, take())[0][back]
                    if signs is not None:
                        moved = moved * signs[k][:, None]
                    found.append(self.statistic(moved))
                largest.append(score(np.concatenate(found)))
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


def take_outcomes(values: NDArray[np.generic], design: Design, edges: NDArray[np.intp]) -> Array:
    """Outcomes (n_observations, n) of a design's rows and some edges, in double precision."""
    columns: slice | NDArray[np.intp] = edges
    if edges.size and edges[-1] - edges[0] == edges.size - 1:  # in order: no copy of what is left
        columns = slice(int(edges[0]), int(edges[-1]) + 1)
    taken = values[:, columns]
    if design.rows.size < len(values):
        taken = taken[design.rows]
    return np.asarray(taken, dtype=np.float64)


def _check_values(values: ArrayLike, data: pd.DataFrame) -> NDArray[np.generic]:
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    if array.ndim != 2 or len(array) != len(data):
        raise InputError(
            f"values: got shape {array.shape}; give one row for each of the {len(data)} rows of "
            "the table and one column per edge"
        )
    return array


def _testable(values: NDArray[np.generic], design: Design, columns: list[int]) -> NDArray[np.bool_]:
    tested = np.zeros(values.shape[1], dtype=bool)
    nuisance = np.linalg.qr(np.delete(design.matrix, columns, axis=1))[0]
    for start in range(0, tested.size, EDGES_AT_ONCE):
        edges = np.arange(start, min(start + EDGES_AT_ONCE, tested.size))
        some = take_outcomes(values, design, edges)
        complete: NDArray[np.bool_] = np.asarray(np.isfinite(some).all(axis=0), dtype=np.bool_)
        tested[edges[complete]] = reduce_outcomes(nuisance, some[:, complete])[1]
    if not tested.any():
        raise ModelError("permutation: no edge is complete and varies, so there is nothing to test")
    return tested


def _columns_of(design: Design, term: str) -> list[int]:
    names = (term,) if term in design.columns else design.columns_of(term)
    return [design.columns.index(name) for name in names]


def _term_of(design: Design, term: str) -> str:
    return next((name for name, columns in design.terms.items() if term in columns), term)
