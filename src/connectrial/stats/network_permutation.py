"""Permutation inference on networks: blocks of edges within one network or between two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from connectrial.errors import InputError
from connectrial.stats.design import Coding
from connectrial.stats.exchange import Scheme
from connectrial.stats.freedman_lane import Part
from connectrial.stats.permutation_setup import Setup, set_up, tail_p

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NetworkPermutation:
    """Permutation inference for one term over blocks of edges.

    Attributes
    ----------
    estimates : DataFrame
        One row per block: `n_edges`, `n_untested` (edges left out of its mean), `mean_statistic`
        (mean t, or F, of its edges), `z` (that mean in units of its own permutation distribution),
        `p_single` (of the block alone), `p` (family-wise over all blocks).
    scheme, n_possible, n_permutations, exhaustive, seed, flags
        As in `EdgePermutation`.
    """

    estimates: pd.DataFrame
    scheme: Scheme
    n_possible: int
    n_permutations: int
    exhaustive: bool
    seed: int | None
    flags: tuple[str, ...]


def permute_networks(
    values: ArrayLike,
    formula: str,
    data: pd.DataFrame,
    *,
    term: str,
    labels: Sequence[str | None],
    n_permutations: int,
    blocks: str | None,
    rng: int | np.random.Generator,
    visit: str | None = None,
    scheme: Scheme | None = None,
    parts: str | None = None,
    coding: Coding | None = None,
) -> NetworkPermutation:
    """Test one term on blocks of edges, two-sided, by the mean statistic of each block.

    The mean of each block is brought to the mean and spread of its own permutations, so that a
    small block does not outshout a large one; the largest |z| over blocks controls the family-wise
    error.

    Parameters
    ----------
    values, formula, data, term, n_permutations, blocks, rng, visit, scheme, parts, coding
        As for `permute_edges`; a random intercept is taken with its variance ratio fixed.
    labels : sequence of str or None, n_edges of them
        Block of each edge, such as "Default" or "Default-Visual"; None for edges in no block.

    Returns
    -------
    NetworkPermutation

    Raises
    ------
    InputError, ModelError
        As `permute_edges`; or if labels do not match the edges, or no labelled edge can be tested.

    References
    ----------
    Noble & Scheinost (2020) MICCAI, LNCS 12267 (constrained network-based statistic).
    """
    outcomes = np.asarray(values, dtype=np.float64)
    setup = set_up(
        outcomes,
        formula,
        data,
        term=term,
        blocks=blocks,
        visit=visit,
        scheme=scheme,
        parts=parts,
        coding=coding,
    )
    if n_permutations < 2:
        raise InputError(f"n_permutations: got {n_permutations}; give at least 2")
    names, weights, sizes = _blocks_of(labels, setup)
    observed = setup.observed()[setup.tested]
    means = [(observed @ weights)[None, :]]
    for rows, signs in setup.draws(n_permutations, rng):
        means.append(_block_means(setup.parts, rows, signs, weights))
    every = np.concatenate(means)
    spread = every.std(axis=0)
    z = (every - every.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    z_directed = np.abs(z) if setup.statistic_name == "t" else z
    largest = z_directed[1:].max(axis=1)
    table = pd.DataFrame(
        {
            "n_edges": sizes,
            "n_untested": sizes - (weights > 0).sum(axis=0),
            "mean_statistic": every[0],
            "z": z[0],
            "p_single": [tail_p(column[:1], column[1:])[0] for column in z_directed.T],
            "p": tail_p(z_directed[0], largest),
        },
        index=pd.Index(names, name="block"),
    )
    return NetworkPermutation(
        estimates=table,
        scheme=setup.exchange.scheme,
        n_possible=setup.exchange.n_possible,
        n_permutations=largest.size,
        exhaustive=setup.is_exhaustive(n_permutations),
        seed=int(rng) if isinstance(rng, int | np.integer) else None,
        flags=setup.flags,
    )


def _blocks_of(
    labels: Sequence[str | None], setup: Setup
) -> tuple[list[str], Array, NDArray[np.intp]]:
    given = pd.Series(list(labels), dtype="object")
    if len(given) != setup.tested.size:
        raise InputError(
            f"labels: got {len(given)}; give one for each of {setup.tested.size} edges, "
            "None for an edge in no block"
        )
    names = list(dict.fromkeys(given.dropna()))
    member = np.column_stack([(given == name).to_numpy(dtype=bool) for name in names] or [[]])
    inside = member[setup.tested] if names else member
    if not names or not inside.any(axis=0).all():
        empty = [name for k, name in enumerate(names) if not inside[:, k].any()]
        raise InputError(
            f"labels: no edge of {', '.join(map(repr, empty))} can be tested"
            if names
            else "labels: no edge has one"
        )
    weights = inside / inside.sum(axis=0)
    return names, weights, np.asarray(member.sum(axis=0), dtype=np.intp)


def _block_means(
    parts: Sequence[Part], rows: NDArray[np.intp], signs: NDArray[np.int8] | None, weights: Array
) -> Array:
    means = np.zeros((len(rows), weights.shape[1]))
    for part in parts:
        for which, share in part.signed_shares(rows, signs, two_sided=False):
            statistic = part.to_statistic(share.astype(np.float64))
            means += statistic @ weights[part.edges[which]]
    return means
