"""Mixed models fitted anew under every exchange, for the whole or for their variances."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import InputError, ModelError
from connectrial.stats.design import Coding, Design
from connectrial.stats.edgewise import EdgeFits, PreparedEdges, fit_edges
from connectrial.stats.freedman_lane import reduce_outcomes
from connectrial.stats.small_matrices import invert_stack, solve_stack

Array = NDArray[np.float64]
Draw = tuple[NDArray[np.intp], NDArray[np.int8] | None]
Scored = float | Array
Kind = Literal["linear", "intercept", "covariance"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Refit:
    """Mixed models fitted edge by edge, for their variances or their t."""

    formula: str
    prepared: PreparedEdges
    columns: tuple[str, ...]
    nuisance: Array
    person: NDArray[np.intp]
    kind: Kind

    @classmethod
    def of(
        cls,
        design: Design,
        columns: list[int],
        formula: str,
        data: pd.DataFrame,
        coding: Coding | None,
        person: NDArray[np.intp],
        *,
        kind: Kind,
    ) -> Refit:
        """Prepare the fits of one design."""
        return cls(
            formula=formula,
            prepared=PreparedEdges.of(
                formula, data.iloc[design.rows].reset_index(drop=True), coding=coding, df="none"
            ),
            columns=tuple(design.columns[k] for k in columns),
            nuisance=np.linalg.qr(np.delete(design.matrix, columns, axis=1))[0],
            person=person,
            kind=kind,
        )

    def fit(self, values: Array) -> EdgeFits:
        """Fit every edge."""
        return self.prepared.fit(values)

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
        if self.kind == "covariance":
            raise InputError(
                f"variance: 'refit' finds F of several columns for a random intercept only, and the "
                f"term has {', '.join(self.columns)}; name one of them, or take 'fixed'"
            )
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

        def residuals(take: Callable[[], Array]) -> Array:
            return reduce_outcomes(self.nuisance, take())[0]

        # a single block is reduced once for all exchanges
        kept = residuals(blocks[0]) if len(blocks) == 1 else None
        largest = []
        for rows, signs in draws:
            for k, order in enumerate(rows):
                # `order` says which row of the design comes where; the residuals move the other way
                back = np.argsort(order)
                found = []
                for take in blocks:
                    moved = (residuals(take) if kept is None else kept)[back]
                    if signs is not None:
                        moved = moved * signs[k][:, None]
                    found.append(self.statistic(moved))
                largest.append(score(np.concatenate(found)))
        return np.array(largest)
