"""What a permutation compares: the largest statistic, score or component over all edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.stats.components import component_sizes, enhance, largest_sizes
from connectrial.stats.freedman_lane import rearrange
from connectrial.stats.permutation_refit import Draw
from connectrial.stats.permutation_setup import CELLS_HELD, Setup, tail_p

Statistic = Literal["max", "tfnbs", "nbs-extent", "nbs-intensity"]
Alternative = Literal["two-sided", "greater", "less"]
Array = NDArray[np.float64]

_CELLS_SCORED = 2**18
"""Numbers of statistics, in double precision, that are scored at once."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Measure:
    """What is compared with its permutation distribution."""

    ends: NDArray[np.intp]
    n_parcels: int
    statistic: Statistic
    threshold: float | None
    exponents: tuple[float, float]
    alternative: Alternative

    def largest_edge(self, setup: Setup, draws: Sequence[Draw]) -> tuple[Array, Array]:
        """Find the statistic of every edge, and the largest of all under each exchange.

        Edges come in groups and every group sees the same exchanges, so that only the largest so
        far is held.
        """
        observed = np.full(setup.tested.size, np.nan)
        where = np.flatnonzero(setup.tested)
        two_sided = self.alternative == "two-sided"
        largest = [np.full(len(rows), -np.inf, dtype=np.float32) for rows, _ in draws]
        for group in setup.groups():
            for part in group:
                observed[where[part.edges]] = part.observed
            for best, draw in zip(largest, draws, strict=True):
                for part, moved in rearrange(group, draw):
                    share = part.shares_of(moved, two_sided=two_sided)
                    high = -share.min(axis=1) if self.alternative == "less" else share.max(axis=1)
                    np.maximum(best, high, out=best)
        top = np.concatenate(largest).astype(np.float64)
        return observed, setup.any_design.to_statistic(top)

    def largest(self, setup: Setup, draw: Draw) -> Array:
        """Find the largest score over all edges under each exchange, which needs all at once."""
        two_sided = self.alternative == "two-sided"
        shares = np.empty((len(draw[0]), setup.n_tested), dtype=np.float32)
        for group in setup.groups():
            for part, moved in rearrange(group, draw):
                shares[:, part.edges] = part.shares_of(moved, two_sided=two_sided)
        size = max(1, _CELLS_SCORED // setup.n_tested)
        several = (shares[k : k + size].astype(np.float64) for k in range(0, len(shares), size))
        return np.concatenate(
            [self.largest_of(setup.any_design.to_statistic(some)) for some in several]
        )

    def largest_of(self, statistics: Array) -> Array:
        """Find the largest score over all edges (n_sets,) in statistics (n_sets, n_edges)."""
        directed = self.direct(statistics)
        if not self.statistic.startswith("nbs"):
            return np.array([self.score(one)[0] for one in directed])
        return largest_sizes(
            directed,
            self.ends,
            self.n_parcels,
            threshold=float(self.threshold or 0.0),
            intensity=self.statistic == "nbs-intensity",
        )

    def score(self, directed: Array) -> tuple[float, Array]:
        """Largest score, and the statistics, scores or sizes of components that compete."""
        if self.statistic == "max":
            return float(directed.max()), directed
        if self.statistic == "tfnbs":
            e, h = self.exponents
            scores, highest = enhance(directed, self.ends, self.n_parcels, e=e, h=h)
            return highest, scores
        sizes, _ = self.components(directed)
        return (float(sizes.max()) if sizes.size else 0.0), sizes

    def components(self, directed: Array) -> tuple[Array, NDArray[np.intp]]:
        """Sizes of components above the threshold and the component of each edge."""
        return component_sizes(
            directed,
            self.ends,
            self.n_parcels,
            threshold=float(self.threshold or 0.0),
            intensity=self.statistic == "nbs-intensity",
        )

    def direct(self, observed: Array) -> Array:
        """Turn t so that large values speak for the alternative."""
        if self.alternative == "two-sided":
            return np.abs(observed)
        return observed if self.alternative == "greater" else -observed


def split(setup: Setup, draws: Sequence[Draw]) -> Iterator[Draw]:
    """Cut batches of exchanges so that the statistics of all edges fit."""
    size = max(1, CELLS_HELD // setup.n_tested)
    for rows, signs in draws:
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            yield rows[part], None if signs is None else signs[part]


def compare(
    measure: Measure, observed: Array, tested: NDArray[np.bool_], null: Array
) -> tuple[Array | None, Array, pd.DataFrame, NDArray[np.intp]]:
    """Set the observed values against the permutation distribution of the largest."""
    directed = measure.direct(observed[tested])
    p = np.full(observed.size, np.nan)
    component_of_edge = np.full(observed.size, -1, dtype=np.intp)
    table = pd.DataFrame(
        {
            "n_edges": np.array([], dtype=np.intp),
            "n_parcels": np.array([], dtype=np.intp),
            "size": np.array([], dtype=np.float64),
            "p": np.array([], dtype=np.float64),
        }
    )
    if measure.statistic == "max":
        p[tested] = tail_p(directed, null)
        return None, p, table, component_of_edge
    if measure.statistic == "tfnbs":
        scores = measure.score(directed)[1]
        p[tested] = tail_p(scores, null)
        enhanced = np.full(observed.size, np.nan)
        enhanced[tested] = scores
        return enhanced, p, table, component_of_edge
    sizes, labels = measure.components(directed)
    order = np.argsort(-sizes, kind="stable")
    place = np.append(np.argsort(order), -1)  # label -1 stays -1
    ranked = place[labels]
    component_p = tail_p(sizes[order], null)
    members = [np.flatnonzero(ranked == k) for k in range(sizes.size)]
    table = pd.DataFrame(
        {
            "n_edges": [len(m) for m in members],
            "n_parcels": [np.unique(measure.ends[m]).size for m in members],
            "size": sizes[order],
            "p": component_p,
        }
    )
    p[tested] = np.append(component_p, 1.0)[ranked]
    component_of_edge[tested] = ranked
    return None, p, table, component_of_edge
