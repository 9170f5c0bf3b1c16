"""Residuals by row and the weight of single people in a fitted mixed model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.edgewise import fit_edges
from connectrial.stats.grammar import ParsedFormula, parse_formula
from connectrial.stats.model_fit import MixedFit
from connectrial.stats.patterns import Layout, lay_out
from connectrial.stats.random_effects import random_blocks
from connectrial.stats.standardise import standardise
from connectrial.stats.visits import lay_out_visits, read_visits

Array = NDArray[np.float64]


def residual_table(fit: MixedFit) -> pd.DataFrame:
    """Give the residuals of every row, raw and standardised.

    Parameters
    ----------
    fit : MixedFit
        From `fit_mixed` or `fit_mmrm`.

    Returns
    -------
    DataFrame
        Indexed as the rows used. ``marginal``: outcome minus fixed part; ``conditional``: minus
        predicted random effects too; ``pearson``: marginal over its standard deviation;
        ``normalized``: marginal residuals of a person made independent of those in the rows of
        the table before (inverse Cholesky factor of V), standard normal if the model holds.
    """
    parsed = parse_formula(fit.formula)
    y = (fit.fitted + fit.residuals).to_numpy()
    layout, values = _covariances(fit, parsed, y)
    marginal = y - fit.design.matrix[:, fit.design.estimable] @ fit.solution.beta
    # rows that no random effect touches are in no pattern
    pearson = marginal / np.sqrt(fit.solution.parameters[-1])
    normalized = pearson.copy()
    for pattern, value in zip(layout, values, strict=True):
        for rows in pattern:
            order = np.argsort(rows)
            v = value[np.ix_(order, order)]
            here = rows[order]
            pearson[here] = marginal[here] / np.sqrt(np.diag(v))
            normalized[here] = np.linalg.solve(np.linalg.cholesky(v), marginal[here])
    return pd.DataFrame(
        {
            "fitted": fit.fitted.to_numpy(),
            "marginal": marginal,
            "conditional": fit.residuals.to_numpy(),
            "pearson": pearson,
            "normalized": normalized,
        },
        index=fit.fitted.index,
    )


def leave_one_out(fit: MixedFit) -> pd.DataFrame:
    """Refit the model without each person and say what changes.

    Parameters
    ----------
    fit : MixedFit
        From `fit_mixed` or `fit_mmrm`, by restricted likelihood.

    Returns
    -------
    DataFrame
        Indexed by person (level of the coarsest grouping): ``cooks_distance`` (squared change of
        all coefficients, in units of their covariance, per coefficient), then for every column
        of the design ``change <column>`` (estimate with everyone minus estimate without this
        person, in standard errors of the former) and ``p <column>`` (p without this person), then
        ``flags``. People without whom the model cannot be fitted are NaN and say so.

    Raises
    ------
    ModelError
        If the model was fitted by full likelihood.
    """
    if fit.method != "REML":
        raise ModelError("leave_one_out: fit the model by restricted likelihood, reml=True")
    parsed = parse_formula(fit.formula)
    person = _people(parsed, fit)
    names = sorted(person.unique())
    y = (fit.fitted + fit.residuals).to_numpy()
    values = np.repeat(y[:, None], len(names), axis=1)
    for place, name in enumerate(names):
        values[(person == name).to_numpy(), place] = np.nan
    without = fit_edges(values, fit.formula, fit.design.frame, df=fit.df_method)
    kept = fit.design.estimable
    change = fit.estimates["estimate"].to_numpy()[:, None] - without.estimate
    precision = np.linalg.inv(fit.solution.covariance)
    moved = change[kept]
    table: dict[str, object] = {
        "cooks_distance": np.einsum("pe,pq,qe->e", moved, precision, moved) / len(moved)
    }
    se = np.full(len(kept), np.nan)
    se[kept] = np.sqrt(np.diag(fit.solution.covariance))
    for j, column in enumerate(fit.design.columns):
        table[f"change {column}"] = change[j] / se[j]
        table[f"p {column}"] = without.p[j]
    table["flags"] = without.flags
    return pd.DataFrame(table, index=pd.Index(names, name="without"))


def _people(parsed: ParsedFormula, fit: MixedFit) -> pd.Series:
    """Name the person of each row, by the coarsest grouping."""
    frame = fit.design.frame
    if parsed.covariance is not None:
        return frame[parsed.covariance.subject].astype(str)
    joined = [frame[list(term.groups)].astype(str).agg(":".join, axis=1) for term in parsed.random]
    return min(joined, key=lambda column: len(column.unique()))


def _covariances(
    fit: MixedFit, parsed: ParsedFormula, y: Array
) -> tuple[list[NDArray[np.intp]], list[Array]]:
    """Rows (n_blocks, n_rows) and covariance (n_rows, n_rows) of every pattern."""
    standard = standardise(fit.outcome, y, fit.design)
    layout: Layout
    if parsed.covariance is not None:
        layout, _ = lay_out_visits(read_visits(parsed.covariance, fit.design), standard.x)
    else:
        layout = lay_out(random_blocks(parsed, fit.design), standard.x)
    index, values = [], []
    residual = float(fit.solution.parameters[-1])
    for stack, covariance in zip(layout.stacks(), fit.solution.covariances, strict=False):
        for pattern, turned in zip(stack, covariance.value[0], strict=True):
            value = standard.scale**2 * turned
            if pattern.rotation is not None:
                size = pattern.rotation.shape[1]
                inner = value - residual * np.eye(len(value))
                value = pattern.rotation.T @ inner @ pattern.rotation + residual * np.eye(size)
            index.append(pattern.index)
            values.append(value)
    return index, values
