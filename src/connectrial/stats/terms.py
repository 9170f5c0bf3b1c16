"""A model whose terms are listed, as study files list them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from connectrial.errors import ModelError
from connectrial.stats.design import terms_formula
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.mmrm import fit_mmrm
from connectrial.stats.model_fit import MixedFit
from connectrial.stats.model_frame import Coding


def fit_terms(
    data: pd.DataFrame,
    outcome: str,
    *,
    fixed: Sequence[str],
    random: Sequence[str] = ("1 | subject",),
    covariance: str | None = None,
    coding: Coding | None = None,
    df: str = "satterthwaite",
    reml: bool = True,
) -> MixedFit:
    """Fit a mixed model by its terms: with random effects, or with a covariance between visits.

    Parameters
    ----------
    data : DataFrame
        One row per observation.
    outcome : str
        Column of the outcome, of any name.
    fixed : sequence of str
        ``["time", "time:response"]``.
    random : sequence of str
        ``["1 | subject"]``; empty where `covariance` is given.
    covariance : str, optional
        ``"us(visit | subject)"``, as `fit_mmrm` takes it.
    coding, df, reml
        As in `fit_mixed`.

    Returns
    -------
    MixedFit

    Raises
    ------
    ModelError
        If both or neither of `random` and `covariance` are given; else as `fit_mixed` and
        `fit_mmrm`.
    """
    if outcome not in data.columns:
        raise ModelError(f"outcome: no column {outcome!r} in the data")
    if bool(random) == (covariance is not None):
        raise ModelError("random, covariance: give one of them")
    grouped = [term if term.startswith("(") else f"({term})" for term in random]
    left = f"`{outcome}` ~ "
    if covariance is not None:
        formula = left + terms_formula([*fixed, covariance])
        return fit_mmrm(formula, data, coding=coding, df=df, reml=reml)
    formula = left + terms_formula([*fixed, *grouped])
    return fit_mixed(formula, data, coding=coding, df=df, reml=reml)
