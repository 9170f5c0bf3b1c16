"""From doses to concentrations: linear compartment models, solved exactly.

Between two changes of the dose the input is constant, so amounts follow a matrix exponential; no
step of an integrator is taken. The integral of every amount needs no quadrature either: from
dx/dt = A x + b u it is A^-1 (x(t) - b D(t)), with D(t) the drug given so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from connectrial.data import FloatArray
from connectrial.errors import InputError
from connectrial.trial.compartments import CompartmentModel, find_model
from connectrial.trial.regimens import check_regimen, check_weight

Analyte = Literal["ketamine", "norketamine"]
ANALYTES: tuple[Analyte, ...] = ("ketamine", "norketamine")
_NG_ML_PER_MG_L = 1000.0
#: Above this condition number of the eigenvectors the matrix exponential itself is taken.
_MAX_CONDITION = 1e8
_EARLY = 0.5  # in units of the fastest rate constant


def simulate_concentration(
    regimen: pd.DataFrame, *, model: str, weight_kg: float, times_h: ArrayLike
) -> pd.DataFrame:
    """Compute the concentrations of ketamine and norketamine that a dose plan leads to.

    Parameters
    ----------
    regimen : DataFrame
        One row per dose: ``start_h``, ``duration_h`` (0 for a bolus), and ``amount_mg_kg`` or
        ``rate_mg_kg_h``. Doses that overlap add up.
    model : str
        A published compartment model: "otto2021", "kamp2020", "perez-ruixo2021", "clements1981" or
        "domino1982" (:data:`connectrial.trial.compartments.MODELS` has their sources and caveats).
    weight_kg : float
        Weight of the person.
    times_h : array-like, shape (n_times,)
        Hours from time zero. At the very time of a bolus the value is that just after it; before
        the first dose it is 0.

    Returns
    -------
    DataFrame
        ``time_h``, ``ketamine_ng_ml``, ``norketamine_ng_ml`` (NaN where the model has none), rows in
        the order of `times_h`. For a typical person; exact for the model, checked against an
        integrator (scipy's ``solve_ivp``) to 1e-6.

    Raises
    ------
    InputError
        The plan, the model, the weight or a time is not allowed; all problems of the plan at once.

    Examples
    --------
    >>> import pandas as pd
    >>> plan = pd.DataFrame({"start_h": [0.0], "duration_h": [40 / 60], "amount_mg_kg": [0.5]})
    >>> table = simulate_concentration(plan, model="otto2021", weight_kg=70, times_h=[40 / 60])
    >>> round(float(table["ketamine_ng_ml"].iloc[0]))
    158
    """
    times = check_times(times_h)
    solution = solve(regimen, model=find_model(model), weight_kg=weight_kg)
    return solution.table(times)


def check_times(times_h: ArrayLike) -> FloatArray:
    """Return times as a vector of finite numbers.

    Raises
    ------
    InputError
        They are no vector of finite numbers.
    """
    times = np.atleast_1d(np.asarray(times_h, dtype=np.float64))
    if times.ndim != 1 or not np.isfinite(times).all():
        raise InputError("times_h: must be a list of finite numbers, in hours")
    return times


def solve(
    regimen: pd.DataFrame,
    *,
    model: CompartmentModel,
    weight_kg: float,
    factors: Mapping[str, float] | None = None,
) -> Solution:
    """Solve a model for a dose plan.

    Parameters
    ----------
    regimen : DataFrame
        As :func:`simulate_concentration` takes it.
    model : CompartmentModel
        The model.
    weight_kg : float
        Weight of the person.
    factors : mapping of str to float, optional
        The person's multiples of the typical parameters.

    Returns
    -------
    Solution
    """
    return solve_checked(
        check_regimen(regimen), model=model, weight_kg=check_weight(weight_kg), factors=factors
    )


def solve_checked(
    doses: pd.DataFrame,
    *,
    model: CompartmentModel,
    weight_kg: float,
    factors: Mapping[str, float] | None = None,
) -> Solution:
    """Do as :func:`solve`, for doses that ``check_regimen`` has returned; there may be none."""
    values = model.values(weight_kg, factors)
    return Solution(
        model=model,
        values=values,
        start_h=doses["start_h"].to_numpy(dtype=np.float64),
        duration_h=doses["duration_h"].to_numpy(dtype=np.float64),
        amount_mg=doses["amount_mg_kg"].to_numpy(dtype=np.float64) * weight_kg,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Solution:
    """A model's exact answer to a dose plan.

    Attributes
    ----------
    model : CompartmentModel
        The model.
    values : mapping of str to float
        The person's parameters, in L, L/h and 1/h.
    start_h, duration_h, amount_mg : arrays, shape (n_doses,)
        The doses.
    """

    model: CompartmentModel
    values: Mapping[str, float]
    start_h: FloatArray
    duration_h: FloatArray
    amount_mg: FloatArray

    @cached_property
    def matrix(self) -> FloatArray:
        """The system's matrix A, shape (n_compartments, n_compartments), per hour."""
        return self.model.matrix_of(self.values)

    @cached_property
    def _inverse(self) -> FloatArray:
        return np.asarray(np.linalg.inv(self.matrix), dtype=np.float64)

    @cached_property
    def _eigen(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None:
        """Eigenvalues, eigenvectors and their inverse; None where they are nearly dependent."""
        values, vectors = np.linalg.eig(self.matrix)
        if np.linalg.cond(vectors) > _MAX_CONDITION:
            return None
        return values, vectors, np.linalg.inv(vectors)

    @cached_property
    def slowest_per_h(self) -> float:
        """The rate constant of the last phase, per hour."""
        return float(np.min(np.abs(np.linalg.eigvals(self.matrix).real)))

    @cached_property
    def breaks_h(self) -> FloatArray:
        """Times at which the input changes, shape (n_breaks,)."""
        changes = np.concatenate([[0.0], self.start_h, self.start_h + self.duration_h])
        return np.asarray(np.unique(changes), dtype=np.float64)

    @cached_property
    def _pieces(self) -> tuple[FloatArray, FloatArray]:
        """State just after each change, and the steady state of the input that follows."""
        n = len(self.matrix)
        states = np.zeros((len(self.breaks_h), n))
        steady = np.zeros_like(states)
        infused = self.duration_h > 0
        rate = np.divide(
            self.amount_mg, self.duration_h, out=np.zeros_like(self.amount_mg), where=infused
        )
        end = self.start_h + self.duration_h
        state = np.zeros(n)
        for number, time in enumerate(self.breaks_h):
            if number:
                state = self._follow(
                    state, steady[number - 1], np.array([time - self.breaks_h[number - 1]])
                )[0]
            state = state.copy()
            state[0] += self.amount_mg[~infused & (self.start_h == time)].sum()
            states[number] = state
            on = infused & (self.start_h <= time) & (time < end)
            steady[number] = -self._inverse[:, 0] * rate[on].sum()
        return states, steady

    def _follow(self, states: FloatArray, steady: FloatArray, elapsed_h: FloatArray) -> FloatArray:
        """Return the amounts so long after `states`; shapes (n_times, n_compartments) or one row."""
        away = np.broadcast_to(states - steady, (len(elapsed_h), len(self.matrix)))
        if self._eigen is None:
            from scipy.linalg import expm

            moved = np.einsum("tij,tj->ti", expm(self.matrix * elapsed_h[:, None, None]), away)
            return np.asarray(steady + moved, dtype=np.float64)
        values, vectors, inverse = self._eigen
        parts, steps = away @ inverse.T, np.outer(elapsed_h, values)
        # Far from the start the steady state plus what is left of the difference is exact, close to
        # it the start plus what has changed: each cancels where the other is used.
        late = steady + np.real((parts * np.exp(steps)) @ vectors.T)
        early = states + np.real((parts * np.expm1(steps)) @ vectors.T)
        is_early = np.max(np.abs(steps), axis=1, initial=0.0, keepdims=True) < _EARLY
        return np.asarray(np.where(is_early, early, late), dtype=np.float64)

    def amounts(self, times_h: FloatArray) -> FloatArray:
        """Return the drug in each compartment, mg, shape (n_times, n_compartments)."""
        states, steady = self._pieces
        piece = np.searchsorted(self.breaks_h, times_h, side="right") - 1
        at = np.maximum(piece, 0)
        elapsed = np.maximum(times_h - self.breaks_h[at], 0.0)
        found = self._follow(states[at], steady[at], elapsed)
        found[piece < 0] = 0.0
        # No amount is negative; rounding at the very start could make one so.
        return np.maximum(found, 0.0)

    def given_mg(self, times_h: FloatArray) -> FloatArray:
        """Return the drug given until each time, mg, shape (n_times,)."""
        since = np.asarray(times_h, dtype=np.float64)[:, None] - self.start_h
        share = np.where(
            self.duration_h > 0,
            np.clip(since / np.where(self.duration_h > 0, self.duration_h, 1.0), 0.0, 1.0),
            since >= 0,
        )
        return np.asarray(share @ self.amount_mg, dtype=np.float64)

    def has(self, analyte: Analyte) -> bool:
        """Return whether the model knows an analyte."""
        return analyte == "ketamine" or self.model.norketamine is not None

    def _compartment(self, analyte: Analyte) -> tuple[int, float]:
        name = "central" if analyte == "ketamine" else str(self.model.norketamine)
        volume = self.values[self.model.volumes[name]]
        return self.model.compartments.index(name), volume

    def concentration(self, times_h: FloatArray, analyte: Analyte = "ketamine") -> FloatArray:
        """Return a concentration, ng/ml, shape (n_times,); NaN where the model has no such."""
        if not self.has(analyte):
            return np.full(len(times_h), np.nan)
        place, volume = self._compartment(analyte)
        return self.amounts(times_h)[:, place] / volume * _NG_ML_PER_MG_L

    def auc(self, times_h: FloatArray, analyte: Analyte = "ketamine") -> FloatArray:
        """Return the area under the concentration until each time, ng h/ml; inf is allowed."""
        if not self.has(analyte):
            return np.full(len(times_h), np.nan)
        place, volume = self._compartment(analyte)
        times = np.asarray(times_h, dtype=np.float64)
        rest = self.amounts(np.where(np.isinf(times), 0.0, times))
        rest[np.isinf(times)] = 0.0
        rest[:, 0] -= self.given_mg(times)
        area = rest @ self._inverse[place] / volume * _NG_ML_PER_MG_L
        return np.where(times <= 0, 0.0, np.maximum(area, 0.0))

    def table(self, times_h: FloatArray) -> pd.DataFrame:
        """Return ``time_h``, ``ketamine_ng_ml``, ``norketamine_ng_ml``."""
        return pd.DataFrame(
            {
                "time_h": times_h,
                **{f"{name}_ng_ml": self.concentration(times_h, name) for name in ANALYTES},
            }
        )
