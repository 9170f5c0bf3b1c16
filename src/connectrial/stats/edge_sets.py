"""Whether a set of edges moved more than matched random sets of edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from connectrial.errors import ModelError

Array = NDArray[np.float64]

_AT_ONCE = 2**21  # random numbers that are held at a time


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EdgeSetTest:
    """A set of edges beside random sets that are matched to it.

    Attributes
    ----------
    estimate : float
        Mean effect of the set minus that of its matched others.
    set_mean, others_mean : float
        The two means; the others weigh by stratum as the set does.
    null : array, shape (n_permutations,)
        The same difference for random sets.
    p : float
        (b + 1) / (m + 1).
    n_edges, n_others : int
        Edges of the set, and of the pool, that have partners and enter.
    n_unmatched : int
        Edges of the set in strata where the pool has none; they are left out.
    strata : DataFrame
        ``stratum``, ``n_set``, ``n_pool``: what was drawn from what.
    """

    estimate: float
    set_mean: float
    others_mean: float
    null: Array
    p: float
    n_edges: int
    n_others: int
    n_unmatched: int
    strata: pd.DataFrame


def match_strata(variables: Mapping[str, ArrayLike], *, n_bins: int) -> NDArray[np.object_]:
    """Sort edges into strata whose edges are alike in every variable.

    Parameters
    ----------
    variables : mapping
        Name -> one value per edge: numbers are cut at their quantiles into `n_bins`, text counts as
        it stands.
    n_bins : int
        Bins of each number.

    Returns
    -------
    array of str, shape (n_edges,)
        None where a number is missing: such an edge has no stratum.

    Raises
    ------
    ModelError
        If the variables differ in length, or a number has no value at all.
    """
    lengths = {len(np.asarray(one)) for one in variables.values()}
    if len(lengths) > 1:
        raise ModelError(f"match: the variables have {sorted(lengths)} values; give one per edge")
    if n_bins < 1:
        raise ModelError(f"n_bins: got {n_bins}; it must be at least 1")
    n_edges = lengths.pop() if lengths else 0
    labels = [""] * n_edges
    missing = np.zeros(n_edges, dtype=bool)
    for name, given in variables.items():
        values = np.asarray(given)
        if not np.issubdtype(values.dtype, np.number):
            own = [str(one) for one in values]
        else:
            numbers = values.astype(np.float64)
            known = np.isfinite(numbers)
            if not known.any():
                raise ModelError(f"match: no edge has a value of {name!r}")
            cuts = np.unique(np.quantile(numbers[known], np.linspace(0, 1, n_bins + 1)[1:-1]))
            own = [f"{name} {k + 1}" for k in np.searchsorted(cuts, numbers, side="right")]
            missing |= ~known
        labels = [f"{a}, {b}" if a else b for a, b in zip(labels, own, strict=True)]
    found = np.array(labels, dtype=object)
    found[missing] = None
    return found


def compare_edge_sets(
    effects: ArrayLike,
    *,
    chosen: ArrayLike,
    strata: ArrayLike,
    n_permutations: int,
    rng: np.random.Generator,
    alternative: str = "two-sided",
) -> EdgeSetTest:
    """Compare the mean effect of a set of edges with that of matched random sets.

    Edges change places with edges of their own stratum. The reference is therefore other edges of
    these people, not other people: the p value says whether the set is unusual among sets like it,
    and holds its level where edges of the set are no more alike in their errors than edges of random
    sets are. Whether people of the population change more in the set than elsewhere is asked by a
    model of each person's difference of means.

    Parameters
    ----------
    effects : array-like, shape (n_edges,)
        Effect of each edge of set and pool; NaN where it could not be estimated.
    chosen : array-like of bool, shape (n_edges,)
        Edges of the set; the others are the pool.
    strata : array-like, shape (n_edges,)
        From `match_strata`; edges without a stratum (None) are left out.
    n_permutations : int
        Random sets.
    rng : numpy.random.Generator
        Source of randomness.
    alternative : {"two-sided", "greater", "less"}
        Of the difference.

    Returns
    -------
    EdgeSetTest

    Raises
    ------
    ModelError
        If nothing can be compared.

    References
    ----------
    Phipson & Smyth 2010, Stat Appl Genet Mol Biol 9, 39 (the p value); Goeman & Buhlmann 2007,
    Bioinformatics 23, 980 (what such a p value is about).
    """
    if alternative not in ("two-sided", "greater", "less"):
        raise ModelError(
            f"alternative: got {alternative!r}; allowed are 'two-sided', 'greater', 'less'"
        )
    if n_permutations < 1:
        raise ModelError(f"n_permutations: got {n_permutations}; it must be at least 1")
    effect = np.asarray(effects, dtype=np.float64)
    inside = np.asarray(chosen, dtype=bool)
    stratum = np.asarray(strata, dtype=object)
    if not len(effect) == len(inside) == len(stratum):
        raise ModelError("effects, chosen, strata: give one value per edge in each")
    usable = np.isfinite(effect) & np.array([one is not None for one in stratum], dtype=bool)
    code, names = pd.factorize(stratum[usable], sort=True)
    values, member = effect[usable], inside[usable]
    n_set = np.bincount(code[member], minlength=len(names))
    n_all = np.bincount(code, minlength=len(names))
    matched = (n_set > 0) & (n_all > n_set)
    if not matched.any():
        raise ModelError(
            f"no edge of the set ({int(inside.sum())} edges, {int(member.sum())} of them usable) has a "
            "partner in the pool that is alike in the matching variables; take fewer of them, or "
            "fewer bins"
        )
    n = int(n_set[matched].sum())
    observed = set_total = 0.0
    null = np.zeros(n_permutations)
    for k in np.flatnonzero(matched):
        own = code == k
        drawn = _sums(values[own], int(n_set[k]), n_permutations, rng)
        total, mine = float(values[own].sum()), float(values[own & member].sum())
        rest = int(n_all[k] - n_set[k])
        share = n_set[k] / n
        observed += share * (mine / n_set[k] - (total - mine) / rest)
        null += share * (drawn / n_set[k] - (total - drawn) / rest)
        set_total += mine
    return EdgeSetTest(
        estimate=observed,
        set_mean=set_total / n,
        others_mean=set_total / n - observed,
        null=null,
        p=_p(observed, null, alternative),
        n_edges=n,
        n_others=int((n_all - n_set)[matched].sum()),
        n_unmatched=int(inside.sum()) - n,
        strata=pd.DataFrame({"stratum": list(names), "n_set": n_set, "n_pool": n_all - n_set}).loc[
            n_set > 0
        ],
    )


def _sums(values: Array, size: int, n_permutations: int, rng: np.random.Generator) -> Array:
    """Return sums of random subsets of one size, each subset being as likely as any other."""
    sums = np.empty(n_permutations)
    step = max(1, _AT_ONCE // len(values))
    for start in range(0, n_permutations, step):
        stop = min(start + step, n_permutations)
        keys = rng.random((stop - start, len(values)))
        first = np.argpartition(keys, size - 1, axis=1)[:, :size]
        sums[start:stop] = values[first].sum(axis=1)
    return sums


def _p(observed: float, null: Array, alternative: str) -> float:
    signs = {"greater": 1.0, "less": -1.0}
    if alternative == "two-sided":
        mine, others = abs(observed), np.abs(null)
    else:
        mine, others = signs[alternative] * observed, signs[alternative] * null
    # The same subset drawn again may differ from the observed one in the last bits of its sum.
    slack = 1e-12 * max(abs(observed), float(np.abs(null).max()))
    return float((1 + (others >= mine - slack).sum()) / (len(null) + 1))
