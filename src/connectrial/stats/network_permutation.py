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
from connectrial.stats.freedman_lane import rearrange
from connectrial.stats.permutation_refit import Draw
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
        As for `permute_edges`; random terms and covariances are taken with their variances fixed.
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
    if n_permutations < 2:
        raise InputError(f"n_permutations: got {n_permutations}; give at least 2")
    names, codes = _blocks_of(labels, setup.tested.size)
    sizes = np.bincount(codes[codes >= 0], minlength=len(names))
    inside = codes[setup.tested]
    n_tested = np.bincount(inside[inside >= 0], minlength=len(names))
    if not n_tested.all():
        empty = ", ".join(repr(name) for name, n in zip(names, n_tested, strict=True) if not n)
        raise InputError(f"labels: no edge of {empty} can be tested")
    every = (
        _block_sums(setup, list(setup.draws(n_permutations, rng)), inside, len(names)) / n_tested
    )
    spread = every.std(axis=0)
    z = (every - every.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    z_directed = np.abs(z) if setup.statistic_name == "t" else z
    largest = z_directed[1:].max(axis=1)
    table = pd.DataFrame(
        {
            "n_edges": sizes,
            "n_untested": sizes - n_tested,
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


def _blocks_of(labels: Sequence[str | None], n_edges: int) -> tuple[list[str], NDArray[np.intp]]:
    """Names of blocks in the order in which they come, and each edge's, -1 for none."""
    given = pd.Series(list(labels), dtype="object")
    if len(given) != n_edges:
        raise InputError(
            f"labels: got {len(given)}; give one for each of {n_edges} edges, "
            "None for an edge in no block"
        )
    codes, names = pd.factorize(given)
    if not len(names):
        raise InputError("labels: no edge has one")
    return [str(name) for name in names], np.asarray(codes, dtype=np.intp)


def _block_sums(
    setup: Setup, draws: Sequence[Draw], codes: NDArray[np.intp], n_blocks: int
) -> Array:
    """Sum the statistics of each block, as observed and then under each exchange."""
    sums = [np.zeros((len(rows), n_blocks)) for rows, _ in draws]
    observed = np.zeros((1, n_blocks))
    for group in setup.groups():
        members = {id(part): np.eye(n_blocks + 1)[codes[part.edges], :-1] for part in group}
        for part in group:
            observed += part.observed @ members[id(part)]
        for total, draw in zip(sums, draws, strict=True):
            for part, moved in rearrange(group, draw):
                share = part.shares_of(moved, two_sided=False).astype(np.float64)
                total += part.to_statistic(share) @ members[id(part)]
    return np.concatenate([observed, *sums])
