"""How well a model fits: residuals against fitted values, their quantiles, and single people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtri

from connectrial.figures.numbers import term_words
from connectrial.figures.palette import INK, LEVELS, MUTED, new_axes, styled, swarm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def plot_diagnostics(residuals: pd.DataFrame, influence: pd.DataFrame, *, unit: str) -> Figure:
    """Draw residuals against fitted values, their normal quantiles, and the weight of each person.

    Parameters
    ----------
    residuals : pandas.DataFrame
        ``fitted``, ``conditional``, ``normalized``; a row per observation.
    influence : pandas.DataFrame
        ``subject``, ``term``, ``change`` (in standard errors); a row per person and coefficient.
    unit : str
        Of the outcome.
    """
    terms = list(dict.fromkeys(influence["term"].astype(str)))
    figure, axes = new_axes(
        width=8.2, height=max(2.7, 0.34 * len(terms) + 1.3), columns=3, width_ratios=[1, 1, 1.25]
    )
    first, second, third = axes
    first.axhline(0, color=MUTED, linewidth=0.8, linestyle="--")
    first.scatter(
        residuals["fitted"],
        residuals["conditional"],
        s=16,
        color=LEVELS[0],
        alpha=0.75,
        linewidths=0,
    )
    first.set_xlabel(f"fitted, {unit}")
    first.set_ylabel(f"residual, {unit}")
    _quantiles(second, residuals["normalized"].to_numpy(dtype=float))
    _changes(third, influence, terms)
    for ax in axes:
        ax.tick_params(labelsize=7.5)
        ax.locator_params(axis="x", nbins=5)
    return figure


def _quantiles(ax: Axes, values: np.ndarray) -> None:
    """Draw sorted residuals against the quantiles of a standard normal distribution."""
    ordered = np.sort(values[np.isfinite(values)])
    n = len(ordered)
    # Blom's positions (1958): close to the expected values of a normal sample in order.
    expected = ndtri((np.arange(1, n + 1) - 0.375) / (n + 0.25))
    ends = np.array([expected.min(), expected.max()])
    ax.plot(ends, ends, color=INK, linewidth=1.0)
    ax.scatter(expected, ordered, s=16, color=LEVELS[0], alpha=0.75, linewidths=0)
    ax.set_xlabel("normal quantile")
    ax.set_ylabel("residual, standardised")


def _changes(ax: Axes, influence: pd.DataFrame, terms: list[str]) -> None:
    """Draw for each coefficient how far it moves without each person."""
    people = influence["subject"].nunique()
    limit = 2 / np.sqrt(people)
    for place, term in enumerate(terms):
        values = influence.loc[influence["term"].astype(str) == term, "change"].to_numpy(
            dtype=float
        )
        values = values[np.isfinite(values)]
        far = np.abs(values) > limit
        heights = place + np.asarray(swarm(list(values), width=0.7))
        ax.scatter(values[~far], heights[~far], s=11, color=MUTED, linewidths=0, alpha=0.8)
        ax.scatter(values[far], heights[far], s=18, color=LEVELS[1], linewidths=0)
    for side in (-limit, limit):
        ax.axvline(side, color=MUTED, linewidth=0.8, linestyle=":")
    ax.axvline(0, color=MUTED, linewidth=0.8, linestyle="--")
    ax.set_yticks(range(len(terms)), [term_words(term) for term in terms])
    ax.set_ylim(len(terms) - 0.4, -0.6)
    ax.set_xlabel("change without one person, SE")
