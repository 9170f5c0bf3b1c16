"""Intraclass correlation of every edge at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from connectrial.errors import InputError, ModelError

Array = NDArray[np.float64]

FORMS = ("ICC(1,1)", "ICC(2,1)", "ICC(3,1)", "ICC(1,k)", "ICC(2,k)", "ICC(3,k)")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EdgeReliability:
    """How well each edge agrees with itself from session to session.

    Attributes
    ----------
    forms : tuple of str
        Shrout and Fleiss's six, rows of `estimate`.
    estimate : array, shape (6, n_edges)
        NaN for edges with a missing value, or that do not vary.
    sem : array, shape (n_edges,)
        Standard error of measurement, sqrt of the residual mean square, in the unit of the values.
    n_targets, n_raters : int
        Used in every edge.
    n_left_out : int
        Targets that lack a rater.
    """

    forms: tuple[str, ...]
    estimate: Array
    sem: Array
    n_targets: int
    n_raters: int
    n_left_out: int


def icc_edges(values: ArrayLike, *, targets: ArrayLike, raters: ArrayLike) -> EdgeReliability:
    """Estimate the six intraclass correlations of Shrout and Fleiss for each edge.

    Parameters
    ----------
    values : array-like, shape (n_observations, n_edges)
        One row per target and rater.
    targets, raters : array-like, shape (n_observations,)
        Who is measured (subject) and what measures (session).

    Returns
    -------
    EdgeReliability

    Raises
    ------
    InputError
        If shapes do not match, or a target has two rows from one rater.
    ModelError
        If fewer than two targets have rows from all raters, or there are fewer than two raters.

    References
    ----------
    Shrout & Fleiss (1979) Psychol Bull 86:420.
    """
    outcomes = np.asarray(values, dtype=np.float64)
    row, people = pd.factorize(np.asarray(targets), sort=True)
    column, sessions = pd.factorize(np.asarray(raters), sort=True)
    if outcomes.ndim != 2 or not len(outcomes) == len(row) == len(column):
        raise InputError(
            f"values: got shape {outcomes.shape} with {len(row)} targets and {len(column)} raters; "
            "give one row for each, one column per edge"
        )
    if (row < 0).any() or (column < 0).any():
        raise InputError("targets, raters: some are missing; every row needs both")
    place = np.full((len(people), len(sessions)), -1, dtype=np.intp)
    for k, (i, j) in enumerate(zip(row, column, strict=True)):
        if place[i, j] >= 0:
            raise InputError(f"values: target {people[i]} has two rows for rater {sessions[j]}")
        place[i, j] = k
    complete = place[(place >= 0).all(axis=1)]
    n, k = complete.shape
    if n < 2 or k < 2:
        raise ModelError(
            f"reliability needs at least 2 targets with rows from all of at least 2 raters; "
            f"{n} of {len(people)} have rows from all {k}"
        )
    cube = outcomes[complete]  # (n, k, n_edges)
    grand = cube.mean(axis=(0, 1))
    cube = cube - grand
    person, session = cube.mean(axis=1), cube.mean(axis=0)
    between = k * (person**2).sum(axis=0) / (n - 1)
    rater = n * (session**2).sum(axis=0) / (k - 1)
    within = ((cube - person[:, None]) ** 2).sum(axis=(0, 1)) / (n * (k - 1))
    error = ((cube - person[:, None] - session) ** 2).sum(axis=(0, 1)) / ((n - 1) * (k - 1))
    between = np.where(between > 1e-24 * np.maximum(grand**2, 1e-300), between, np.nan)
    estimate = np.stack(
        [
            (between - within) / (between + (k - 1) * within),
            (between - error) / (between + (k - 1) * error + k * (rater - error) / n),
            (between - error) / (between + (k - 1) * error),
            (between - within) / between,
            (between - error) / (between + (rater - error) / n),
            (between - error) / between,
        ]
    )
    return EdgeReliability(
        forms=FORMS,
        estimate=estimate,
        sem=np.where(np.isnan(between), np.nan, np.sqrt(error)),
        n_targets=n,
        n_raters=k,
        n_left_out=len(people) - n,
    )
