"""An estimate over imputed data sets: Rubin's rules, Barnard and Rubin's degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """An estimate over imputed data sets, by Rubin's rules."""

    estimate: float
    se: float
    df: float
    ci: tuple[float, float]
    fraction_missing: float


def pool_rubin(
    estimates: Array, variances: Array, *, df_complete: float, ci_level: float = 0.95
) -> Pooled:
    """Pool an estimate over imputed data sets.

    Parameters
    ----------
    estimates, variances : array, shape (n_imputations,)
        Estimate and its squared standard error in each data set.
    df_complete : float
        Degrees of freedom that the analysis of complete data would have.
    ci_level : float
        Of the interval.

    Returns
    -------
    Pooled

    References
    ----------
    Rubin (1987); degrees of freedom of Barnard & Rubin (1999) Biometrika 86:948.
    """
    m = len(estimates)
    within, between = float(variances.mean()), float(estimates.var(ddof=1))
    total = within + (1 + 1 / m) * between
    share = (1 + 1 / m) * between / total
    observed = (df_complete + 1) / (df_complete + 3) * df_complete * (1 - share)
    # Without spread between imputations only the complete data's df remain.
    df = observed if share <= 0 else 1 / (1 / ((m - 1) / share**2) + 1 / observed)
    at, se = float(estimates.mean()), float(np.sqrt(total))
    half = float(stats.t.ppf((1 + ci_level) / 2, df)) * se
    return Pooled(estimate=at, se=se, df=df, ci=(at - half, at + half), fraction_missing=share)
