"""Inference over many edges at once by permutation, with control of the family-wise error.

The scheme is Freedman and Lane's: residuals of the model without the tested term are exchanged as
the design allows, and the whole model is fitted to them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from connectrial.errors import InputError
from connectrial.stats.design import Coding, Design
from connectrial.stats.exchange import Scheme
from connectrial.stats.permutation_measure import (
    Alternative,
    Measure,
    Statistic,
    compare,
    split,
)
from connectrial.stats.permutation_setup import set_up

Variance = Literal["fixed", "refit"]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EdgePermutation:
    """Permutation inference for one term over all edges.

    Attributes
    ----------
    statistic : array, shape (n_edges,)
        t of the term (F if it has several columns), NaN for edges that cannot be tested.
    enhanced : array, shape (n_edges,), or None
        Threshold-free score of each edge, for "tfnbs".
    p : array, shape (n_edges,)
        Family-wise over all edges, (b + 1) / (m + 1). For the network-based statistics every edge
        has the p of its component, and 1 where it is in none. NaN as `statistic`.
    components : DataFrame
        For the network-based statistics one row per component, largest first: `n_edges`,
        `n_parcels`, `size` (what was compared: edges or intensity), `p`. Else empty.
    component_of_edge : int array, shape (n_edges,)
        Row of `components`, -1 for none.
    null : array, shape (n_permutations,)
        Largest statistic, score or size of each permutation.
    scheme : {"within", "whole", "signs"}
        What was exchanged.
    n_possible : int
        Exchanges that differ in the design, the observed one included.
    n_permutations : int
        Exchanges done besides the observed one; all of them if `exhaustive`.
    exhaustive : bool
        Whether every possible exchange was done.
    seed : int or None
        Of the random generator, if a number was given.
    statistic_name : {"t", "F"}
    df : int
        Residual degrees of freedom.
    n_untested : int
        Edges with a missing value or without variation.
    flags : tuple of str
        What to know before believing a p.
    design : Design
    """

    statistic: Array
    enhanced: Array | None
    p: Array
    components: pd.DataFrame
    component_of_edge: NDArray[np.intp]
    null: Array
    scheme: Scheme
    n_possible: int
    n_permutations: int
    exhaustive: bool
    seed: int | None
    statistic_name: str
    df: int
    n_untested: int
    flags: tuple[str, ...]
    design: Design


def permute_edges(
    values: ArrayLike,
    formula: str,
    data: pd.DataFrame,
    *,
    term: str,
    n_permutations: int,
    blocks: str | None,
    rng: int | np.random.Generator,
    edges: ArrayLike | None = None,
    statistic: Statistic = "max",
    threshold: float | None = None,
    e: float = 0.4,
    h: float = 3.0,
    alternative: Alternative = "two-sided",
    visit: str | None = None,
    scheme: Scheme | None = None,
    parts: str | None = None,
    coding: Coding | None = None,
    variance: Variance = "fixed",
) -> EdgePermutation:
    """Test one term on every edge by permutation.

    Parameters
    ----------
    values : array-like, shape (n_observations, n_edges)
        One column per edge, rows as `data`. An edge with a missing or infinite value, or without
        variation, is not tested and comes back as NaN.
    formula : str
        Linear model, such as "fc_z ~ time * arm", or one with random terms within the person,
        "fc_z ~ time * arm + (1 | subject)", or with a covariance between visits,
        "fc_z ~ time * arm + us(time | subject)"; its left side is only a label. Each test is valid,
        for `blocks` take care of the correlation within persons; with random terms or a covariance
        t weighs visits as a mixed model does. Other covariances than a random intercept's need a
        term that is tested by exchange of whole people, or by sign flips, and people with the same
        visits must have the same covariance: not one for each arm.
    data : DataFrame, n_observations rows
        Predictors. Rows with a missing predictor are left out.
    term : str
        A term of the model ("time:arm"), or one of its columns ("time[post]:arm[medication]").
    n_permutations : int
        How many exchanges to draw. If fewer are possible, each is done once instead.
    blocks : str or None
        Column with the person. None if every row is another person.
    rng : int or Generator
        Seed or generator.
    edges : array-like of int, shape (n_edges, 2), optional
        Parcels that each edge joins, from 0; default the upper triangle, row by row, no diagonal.
    statistic : {"max", "tfnbs", "nbs-extent", "nbs-intensity"}
        Largest statistic; threshold-free network-based statistic; network-based statistic by number
        of edges, or by the sum of what exceeds the threshold.
    threshold : float, optional
        On t (or F); needed by, and only by, the network-based statistics. An edge must exceed it.
    e, h : float
        Exponents of extent and height, for "tfnbs".
    alternative : {"two-sided", "greater", "less"}
        Of t; two-sided takes |t|, so that a component may hold edges of either sign. F has no
        sides.
    visit, scheme, parts
        How to exchange, where it does not follow from the design: see `find_exchange`.
    coding : mapping, optional
        Numbers for levels, as for `build_design`.
    variance : {"fixed", "refit"}
        For random terms and covariances. "fixed": the variances of each edge are estimated once,
        in the model without the term, and held; t is then a score test's, a little below that of
        `fit_edges`. A random intercept, its intraclass correlation rounded to 0.02, costs as much
        as a linear model, any other covariance a few times that. "refit": every exchange is a mixed
        model fitted anew by `fit_edges`, hundreds of times dearer; of a random intercept a term of
        several columns then has Wald's F, of other covariances it must have one column.

    Returns
    -------
    EdgePermutation

    Raises
    ------
    InputError
        If shapes, term, edges or settings do not fit.
    ModelError
        If the design is singular, no exchange is possible, an exchange would move rows to where the
        covariance is another, or no edge can be tested.

    Notes
    -----
    Memory beyond what is given and returned does not grow with the edges, but for an index and the
    like, some tens of bytes an edge. For the largest statistic, edges come in blocks, and each block
    sees the same exchanges. The network-based statistics, and refits, need the statistics of all
    edges at once: there exchanges come in blocks, of one exchange at least. No result depends on
    these blocks.

    The chance of any p <= .05 without any effect, in 400 simulated trials of 45 edges with 3 visits
    and intraclass correlation .7, all visits or four fifths of them, 199 permutations: .028 to .062
    for visit and arm at 10 and 20 people, linear and mixed; .015 to .042 for their interaction,
    which is cautious at 10 people, where the main effect of arm costs the exchanged residuals more than
    the observed ones.

    References
    ----------
    Freedman & Lane (1983) J Bus Econ Stat 1:292; Winkler et al. (2014) NeuroImage 92:381 and (2015)
    NeuroImage 123:253; Phipson & Smyth (2010) Stat Appl Genet Mol Biol 9:39.
    """
    _check_settings(statistic, threshold, alternative, n_permutations, variance)
    setup = set_up(
        values,
        formula,
        data,
        term=term,
        blocks=blocks,
        visit=visit,
        scheme=scheme,
        parts=parts,
        coding=coding,
    )
    n_columns = len(setup.columns)
    if n_columns > 1 and alternative != "two-sided":
        raise InputError(f"alternative: {term!r} has {n_columns} columns; an F test has no sides")
    ends, n_parcels = _ends(edges, setup.tested.size, needed=statistic != "max")
    measure = Measure(
        ends=ends[setup.tested] if statistic != "max" else ends,
        n_parcels=n_parcels,
        statistic=statistic,
        threshold=threshold,
        exponents=(e, h),
        alternative=alternative,
    )
    draws = list(setup.draws(n_permutations, rng))
    if setup.refit is not None and variance == "refit":
        blocks_of_edges = setup.blocks()
        observed = np.full(setup.tested.size, np.nan)
        observed[setup.tested] = np.concatenate(
            [setup.refit.statistic(take()) for take in blocks_of_edges]
        )
        null = setup.refit.null_of(
            blocks_of_edges, draws, lambda found: measure.score(measure.direct(found))[0]
        )
    elif statistic == "max":
        observed, null = measure.largest_edge(setup, draws)
    else:
        observed = setup.observed()
        null = np.concatenate([measure.largest(setup, part) for part in split(setup, draws)])
    enhanced, p, components, component_of_edge = compare(measure, observed, setup.tested, null)
    return EdgePermutation(
        statistic=observed,
        enhanced=enhanced,
        p=p,
        components=components,
        component_of_edge=component_of_edge,
        null=null,
        scheme=setup.exchange.scheme,
        n_possible=setup.exchange.n_possible,
        n_permutations=null.size,
        exhaustive=setup.is_exhaustive(n_permutations),
        seed=int(rng) if isinstance(rng, int | np.integer) else None,
        statistic_name=setup.statistic_name,
        df=setup.df,
        n_untested=int((~setup.tested).sum()),
        flags=setup.flags,
        design=setup.design,
    )


def _ends(edges: ArrayLike | None, n_edges: int, *, needed: bool) -> tuple[NDArray[np.intp], int]:
    if edges is None:
        n_parcels = (1 + isqrt(1 + 8 * n_edges)) // 2
        if n_parcels * (n_parcels - 1) // 2 != n_edges:
            raise InputError(
                f"edges: {n_edges} columns are not the upper triangle of any matrix; give edges"
            )
        if not needed:
            return np.empty((0, 2), dtype=np.intp), n_parcels
        return np.column_stack(np.triu_indices(n_parcels, 1)), n_parcels
    ends = np.asarray(edges)
    if ends.shape != (n_edges, 2) or not np.issubdtype(ends.dtype, np.integer):
        raise InputError(
            f"edges: got shape {ends.shape} of {ends.dtype}; give ({n_edges}, 2) parcel numbers"
        )
    if ends.min() < 0 or (ends[:, 0] == ends[:, 1]).any():
        raise InputError("edges: parcels are numbered from 0, and an edge joins two different ones")
    n_parcels = int(ends.max()) + 1
    if len(np.unique(ends.min(axis=1) * n_parcels + ends.max(axis=1))) < n_edges:
        raise InputError("edges: the same pair of parcels stands twice")
    return ends.astype(np.intp, copy=False), n_parcels


def _check_settings(
    statistic: Statistic,
    threshold: float | None,
    alternative: Alternative,
    n_permutations: int,
    variance: Variance,
) -> None:
    if statistic not in get_args(Statistic):
        raise InputError(f"statistic: got {statistic!r}; allowed: {', '.join(get_args(Statistic))}")
    if alternative not in get_args(Alternative):
        allowed = ", ".join(get_args(Alternative))
        raise InputError(f"alternative: got {alternative!r}; allowed: {allowed}")
    if variance not in get_args(Variance):
        raise InputError(f"variance: got {variance!r}; allowed: {', '.join(get_args(Variance))}")
    if statistic.startswith("nbs") != (threshold is not None):
        raise InputError(
            f"threshold: {statistic!r} "
            + ("needs one, on the scale of t or F" if threshold is None else "takes none")
        )
    if threshold is not None and not threshold > 0:
        raise InputError(f"threshold: got {threshold}; give a number above 0")
    if n_permutations < 1:
        raise InputError(f"n_permutations: got {n_permutations}; give at least 1")
