"""From values, formula and table to what a permutation needs: design, exchange, fits to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from connectrial.errors import InputError, ModelError
from connectrial.stats.design import Coding, Design, build_design
from connectrial.stats.exchange import Exchange, Scheme, find_exchange
from connectrial.stats.freedman_lane import (
    ExchangedEdges,
    WhiteDesign,
    draw_batches,
    icc_steps,
    reduce_outcomes,
    white_design,
)
from connectrial.stats.grammar import ParsedFormula, parse_formula
from connectrial.stats.mixed import single_subject_flags
from connectrial.stats.permutation_covariance import CovarianceDesign, covariance_design
from connectrial.stats.permutation_refit import Draw, Kind, Refit

Array = NDArray[np.float64]
Draws = Iterator[Draw]

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
    white : dict of int to WhiteDesign or CovarianceDesign
        Designs by these steps; one, 0, for all other models.
    components : array, shape (n_components, n_tested), or None
        Variance components under the null hypothesis, for a covariance of another kind.
    refit : Refit or None
        For a model with a random intercept or another covariance.
    """

    design: Design
    columns: list[int]
    exchange: Exchange
    values: NDArray[np.generic]
    tested: NDArray[np.bool_]
    person: NDArray[np.intp]
    steps: NDArray[np.int8] | None
    white: dict[int, WhiteDesign | CovarianceDesign]
    components: Array | None
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
        return self.any_design.df

    @property
    def any_design(self) -> WhiteDesign | CovarianceDesign:
        """One of the designs; their statistic and degrees of freedom are the same."""
        return next(iter(self.white.values()))

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
    def parts(self) -> list[ExchangedEdges]:
        """All tested edges at once, for where they are few."""
        return [part for group in self.groups() for part in group]

    def groups(self) -> Iterator[list[ExchangedEdges]]:
        """Prepare edges, so many at a time that memory stays flat in their number.

        A part never holds edges of two designs, and where it begins does not depend on how many
        parts are held, so that nothing that comes of it does either.
        """
        group: list[ExchangedEdges] = []
        for step, design in self.white.items():
            edges = np.arange(self.n_tested)
            if self.steps is not None:
                edges = np.flatnonzero(self.steps == step)
            for start in range(0, len(edges), EDGES_AT_ONCE):
                some = edges[start : start + EDGES_AT_ONCE]
                if isinstance(design, WhiteDesign):
                    group.append(design.take(some, self.take(some)))
                elif self.components is not None:
                    group.append(design.take(some, self.take(some), self.components[:, some]))
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
        single = single_subject_flags(self.design, self.person, "subject")
        about = {single[name] for k in self.columns if (name := self.design.columns[k]) in single}
        return (*([few] if n < 20 else []), *([alone] if still else []), *sorted(about))

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
        return draw_batches(
            self.exchange,
            np.random.default_rng(rng),
            n_permutations=n_permutations,
            exhaustive=self.is_exhaustive(n_permutations),
            n_columns=self.any_design.n_moved,
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
    parsed = parse_formula(formula)
    kind = _kind_of(parsed, formula, blocks)
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
    refit = steps = components = None
    if kind != "linear":
        refit = Refit.of(design, columns, formula, data, coding, person, kind=kind)
    white: dict[int, WhiteDesign | CovarianceDesign] = {}
    if kind == "covariance":
        general = covariance_design(parsed, design, columns, exchange, data, person, coding=coding)
        found = _by_edges(array, design, tested, general.fit)
        fitted = np.asarray(np.isfinite(found).all(axis=0), dtype=np.bool_)
        tested[tested] = fitted
        if not tested.any():
            raise ModelError(f"formula {formula!r}: no edge has a covariance that can be estimated")
        components, white[0] = found[:, fitted], general
    else:
        if refit is not None:
            ratio = _by_edges(array, design, tested, refit.variance_ratio)
            steps = icc_steps(ratio[0])
        for step in [0] if steps is None else np.unique(steps).tolist():
            white[step] = white_design(design, columns, exchange, person=person, step=step)
    return Setup(
        design=design,
        columns=columns,
        exchange=exchange,
        values=array,
        tested=tested,
        person=person,
        steps=steps,
        white=white,
        components=components,
        refit=refit,
    )


def _by_edges(
    values: NDArray[np.generic],
    design: Design,
    tested: NDArray[np.bool_],
    find: Callable[[Array], Array],
) -> Array:
    """Find something (k, n_tested) of the tested edges, block of edges by block."""
    where = np.flatnonzero(tested)
    starts = range(0, where.size, EDGES_AT_ONCE)
    blocks = (take_outcomes(values, design, where[k : k + EDGES_AT_ONCE]) for k in starts)
    return np.concatenate([np.atleast_2d(find(block)) for block in blocks], axis=1)


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


def _kind_of(parsed: ParsedFormula, formula: str, blocks: str | None) -> Kind:
    """Say what a formula has besides its fixed part."""
    if parsed.covariance is not None:
        if parsed.random:
            raise ModelError(
                "formula: has random terms and a residual covariance; keep one of the two"
            )
        if blocks != parsed.covariance.subject:
            raise InputError(
                f"blocks: got {blocks!r}; it must be {parsed.covariance.subject!r}, whose rows "
                f"covary in {formula!r}"
            )
        return "covariance"
    if not parsed.random:
        return "linear"
    if blocks is None or any(blocks not in term.groups for term in parsed.random):
        raise InputError(
            f"blocks: got {blocks!r}; it must be a grouping of every random term in {formula!r}"
        )
    only = parsed.random[0]
    plain = len(parsed.random) == 1 and only.groups == (blocks,) and only.effects.strip() == "1"
    return "intercept" if plain else "covariance"


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
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"values: got {array.dtype}; give numbers: {error}") from error
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
