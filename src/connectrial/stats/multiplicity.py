"""Adjusting the p values of a family of tests."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from connectrial.errors import InputError

Method = Literal["bonferroni", "holm", "hochberg", "fdr_bh", "fdr_by"]


def adjust(p: ArrayLike, method: Method, *, size: int | None = None) -> NDArray[np.float64]:
    """Adjust the p values of one family.

    Parameters
    ----------
    p : array-like, any shape
        Raw p values. All of them are one family. NaN (a test that could not be made) stays NaN and
        is counted out of the family, unless `size` counts it in.
    method : {"bonferroni", "holm", "hochberg", "fdr_bh", "fdr_by"}
        The first three hold the family-wise error rate (Hochberg under independence or positive
        dependence), the last two the false discovery rate (BY under any dependence).
    size : int, optional
        Number of tests in the declared family. Tests without a p value then count as if theirs were
        1, which is the cautious reading. With "bonferroni" it may also exceed the number of
        entries in `p`: a family of which only some members are at hand.

    Returns
    -------
    array, same shape as p
        Never below p, never above 1.

    Raises
    ------
    InputError
        If a p lies outside [0, 1], the method is unknown, or `size` does not fit.

    References
    ----------
    Holm (1979) Scand J Stat 6:65; Hochberg (1988) Biometrika 75:800; Benjamini & Hochberg (1995)
    J R Stat Soc B 57:289; Benjamini & Yekutieli (2001) Ann Stat 29:1165.
    """
    if method not in get_args(Method):
        raise InputError(f"method: got {method!r}; allowed are {', '.join(get_args(Method))}")
    raw = np.asarray(p, dtype=np.float64)
    present = ~np.isnan(raw)
    tested = raw[present]
    if tested.size and not (tested.min() >= 0.0 and tested.max() <= 1.0):
        outside = tested[(tested < 0.0) | (tested > 1.0)][0]
        raise InputError(f"p: got {outside}; a p value lies between 0 and 1")
    n_family = _family_size(method, n_tested=tested.size, n_entries=raw.size, size=size)
    adjusted = np.full(raw.shape, np.nan)
    if tested.size:
        adjusted[present] = np.clip(_adjust_tested(tested, method, n_family), tested, 1.0)
    return adjusted


def _family_size(method: Method, *, n_tested: int, n_entries: int, size: int | None) -> int:
    if size is None:
        return n_tested
    if size < n_tested:
        raise InputError(
            f"size: the family is declared with {size} tests, but {n_tested} p values came; "
            "declare all of them or give fewer"
        )
    if size > n_entries and method != "bonferroni":
        raise InputError(
            f"size: {size} tests declared, {n_entries} given; only 'bonferroni' can adjust "
            f"a family whose other members are not at hand, not {method!r}"
        )
    return size


def _adjust_tested(tested: NDArray[np.float64], method: Method, size: int) -> NDArray[np.float64]:
    if method == "bonferroni":
        return tested * size
    order = np.argsort(tested, kind="stable")
    rank = np.arange(1, tested.size + 1)
    if method == "holm":
        stepped = np.maximum.accumulate(tested[order] * (size - rank + 1))
    else:
        if method == "hochberg":
            factor = (size - rank + 1).astype(np.float64)
        else:
            factor = size / rank
            if method == "fdr_by":
                factor = factor * np.sum(1.0 / np.arange(1, size + 1))
        stepped = np.minimum.accumulate((tested[order] * factor)[::-1])[::-1]
    adjusted = np.empty_like(tested)
    adjusted[order] = stepped
    return adjusted
