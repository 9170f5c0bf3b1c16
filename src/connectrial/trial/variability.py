"""How people differ in what a dose does: draws from a model's variances between people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from connectrial.data import FloatArray
from connectrial.errors import InputError
from connectrial.trial.compartments import CompartmentModel, find_model
from connectrial.trial.pharmacokinetics import ANALYTES, check_times, solve_checked
from connectrial.trial.regimens import check_regimen, check_weight

Spread = float | Literal["model"] | None
#: Coefficient of variation of the clearance between patients, percent; a stand-in.
STAND_IN_CV_PERCENT = 30.0
_Block = tuple[tuple[str, ...], FloatArray]


def describe_variability(model: CompartmentModel, clearance_cv_percent: Spread = None) -> str:
    """Say in words how people are made to differ.

    Raises
    ------
    InputError
        As :func:`simulate_people`.
    """
    _blocks(model, clearance_cv_percent)
    own = "the model's own variances between people"
    if clearance_cv_percent == "model" or (clearance_cv_percent is None and not model.clearance):
        return own
    cv = STAND_IN_CV_PERCENT if clearance_cv_percent is None else float(clearance_cv_percent)
    others = own if model.variability else "nothing else, the model having no variances"
    reason = (
        " (a stand-in: observed spread exceeds the models')" if clearance_cv_percent is None else ""
    )
    return f"clearance with a coefficient of variation of {cv:g} %{reason}; for the rest {others}"


def simulate_people(
    regimen: pd.DataFrame,
    *,
    model: str,
    weight_kg: float,
    times_h: ArrayLike,
    n_people: int,
    seed: int,
    clearance_cv_percent: Spread = None,
) -> pd.DataFrame:
    """Draw people of one weight and compute their concentrations.

    Parameters are lognormal around the typical ones. No error of an assay is added.

    Parameters
    ----------
    regimen, model, weight_kg, times_h
        As :func:`connectrial.simulate_concentration` takes them.
    n_people : int
        How many, 1 or more.
    seed : int
        Of the draws; the same seed draws the same people.
    clearance_cv_percent : float or "model", optional
        Spread of the clearance between people, percent. Default: 30, a stand-in (patients differ
        more than the healthy volunteers of most models), where the model has one clearance; else,
        or with "model", the model's own variances. Correlations are the model's.

    Returns
    -------
    DataFrame
        ``person`` (1, 2, ...), ``time_h``, ``ketamine_ng_ml``, ``norketamine_ng_ml``.

    Raises
    ------
    InputError
        As for :func:`connectrial.simulate_concentration`; or the model has no variances of its own,
        or no single clearance to give a spread to.
    """
    found = find_model(model)
    times = check_times(times_h)
    if n_people < 1:
        raise InputError(f"n_people: is {n_people}; allowed are 1 and more")
    doses, weight_kg = check_regimen(regimen), check_weight(weight_kg)
    tables = []
    for person, factors in enumerate(
        draw_factors(
            found, n_people=n_people, seed=seed, clearance_cv_percent=clearance_cv_percent
        ),
        start=1,
    ):
        solution = solve_checked(doses, model=found, weight_kg=weight_kg, factors=factors)
        table = solution.table(times)
        table.insert(0, "person", person)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def draw_factors(
    model: CompartmentModel, *, n_people: int, seed: int, clearance_cv_percent: Spread = None
) -> list[Mapping[str, float]]:
    """Draw each person's multiples of the typical parameters.

    Parameters
    ----------
    model : CompartmentModel
        With its variances.
    n_people, seed, clearance_cv_percent
        As :func:`simulate_people` takes them.

    Returns
    -------
    list of dict
        Parameter -> factor, one dict per person; medians are 1.
    """
    rng = np.random.default_rng(seed)
    blocks = _blocks(model, clearance_cv_percent)
    draws: dict[str, FloatArray] = {}
    for names, covariance in blocks:
        root = np.linalg.cholesky(covariance)
        steps = rng.standard_normal((n_people, len(names))) @ root.T
        draws |= {name: np.exp(steps[:, i]) for i, name in enumerate(names)}
    return [{name: float(values[i]) for name, values in draws.items()} for i in range(n_people)]


def _blocks(model: CompartmentModel, clearance_cv_percent: Spread) -> list[_Block]:
    blocks: list[_Block] = [
        (names, np.array(rows, dtype=np.float64)) for names, rows in model.variability
    ]
    if clearance_cv_percent == "model" or (clearance_cv_percent is None and not model.clearance):
        if not blocks:
            raise InputError(
                f"clearance_cv_percent: {model.name} has no variances between people; give a number, "
                f"such as {STAND_IN_CV_PERCENT:g}"
            )
        return blocks
    if model.clearance is None:
        raise InputError(
            f"clearance_cv_percent: {model.name} has no single clearance to give a spread to; "
            "leave it out, or say 'model' for its own variances"
        )
    cv = STAND_IN_CV_PERCENT if clearance_cv_percent is None else clearance_cv_percent
    if not isinstance(cv, int | float) or not 0 < cv <= 200:
        raise InputError(f"clearance_cv_percent: is {cv!r}; allowed are 'model' and 0 to 200")
    sd = float(np.sqrt(np.log1p((cv / 100) ** 2)))
    for number, (names, covariance) in enumerate(blocks):
        if model.clearance in names:
            scale = np.ones(len(names))
            place = names.index(model.clearance)
            scale[place] = sd / np.sqrt(covariance[place, place])
            blocks[number] = (names, covariance * np.outer(scale, scale))
            return blocks
    return [((model.clearance,), np.array([[sd**2]])), *blocks]


def prediction_interval(people: pd.DataFrame, *, level: float = 0.9) -> pd.DataFrame:
    """Say between which concentrations most people lie at each time.

    Parameters
    ----------
    people : DataFrame
        As :func:`simulate_people` returns it.
    level : float
        Share of people inside.

    Returns
    -------
    DataFrame
        ``time_h``, ``analyte``, ``median_ng_ml``, ``low_ng_ml``, ``high_ng_ml``, ``n_people``.

    Raises
    ------
    InputError
        `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"level: is {level:g}; allowed are numbers between 0 and 1")
    quantiles = [(1 - level) / 2, 0.5, (1 + level) / 2]
    tables = []
    for analyte in ANALYTES:
        grouped = people.groupby("time_h", sort=True)[f"{analyte}_ng_ml"]
        spread = grouped.quantile(np.array(quantiles)).unstack()
        tables.append(
            pd.DataFrame(
                {
                    "time_h": spread.index.to_numpy(),
                    "analyte": analyte,
                    "median_ng_ml": spread[quantiles[1]].to_numpy(),
                    "low_ng_ml": spread[quantiles[0]].to_numpy(),
                    "high_ng_ml": spread[quantiles[2]].to_numpy(),
                    "n_people": grouped.size().to_numpy(),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
