"""Logistic regression that survives small trials: Firth's penalised likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.design import Coding, Design, build_design
from connectrial.stats.grammar import parse_formula
from connectrial.stats.mixed import single_subject_flags
from connectrial.stats.rows import as_numbers, check_level, estimate_row, stack

Array = NDArray[np.float64]

_INTERCEPT_NOTE = (
    "Firth's correction pulls predicted probabilities towards 1/2: "
    "read risks from intercept_unbiased, not from this intercept"
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FirthFit:
    """A logistic regression by penalised likelihood.

    Attributes
    ----------
    estimates : DataFrame
        One row per column of the design: log odds ratios with their standard errors (from the
        information at the estimate), `statistic` the penalised likelihood-ratio chi-square, its p,
        profile limits; then `odds_ratio`, `odds_ratio_ci_low`, `odds_ratio_ci_high`.
    intercept_unbiased : float
        Intercept refitted so that predicted probabilities average to the observed share (FLIC); NaN
        without an intercept.
    penalised_log_likelihood : float
        At the optimum; comparable only between fits of the same design.
    n_events, n_observations : int
        People with the outcome, and all.
    design : Design
        Columns, levels, and who was left out.
    """

    estimates: pd.DataFrame
    intercept_unbiased: float
    penalised_log_likelihood: float
    n_events: int
    n_observations: int
    design: Design

    def __repr__(self) -> str:
        return (
            f"FirthFit({self.design.formula!r}, {self.n_events} events in {self.n_observations} "
            "observations)"
        )

    def __str__(self) -> str:
        shown = ["estimate", "se", "p", "ci_low", "ci_high", "odds_ratio"]
        notes = [f"{name}: {flag}" for name, flag in self.estimates["flags"].items() if flag]
        return "\n".join(
            [
                repr(self),
                self.estimates[shown].round(4).to_string(),
                f"Intercept for predicted risks: {self.intercept_unbiased:.4f}",
                *notes,
            ]
        )


def fit_firth(
    formula: str, data: pd.DataFrame, *, coding: Coding | None = None, ci_level: float = 0.95
) -> FirthFit:
    """Fit a logistic regression with Firth's correction, which is finite under separation.

    Parameters
    ----------
    formula : str
        "response ~ exposure + age"; the left side is a column of True/False or 1/0.
    data : DataFrame
        One row per person; rows with a missing value are left out and counted in the design.
    coding : mapping, optional
        Numbers for levels, as for `build_design`.
    ci_level : float
        Of the profile intervals.

    Returns
    -------
    FirthFit

    Raises
    ------
    InputError
        If the outcome is absent or not True/False.
    ModelError
        If everybody has the same outcome, columns depend on one another, or no optimum is found.

    References
    ----------
    Firth (1993) Biometrika 80:27; Heinze & Schemper (2002) Stat Med 21:2409; Puhr et al. (2017)
    Stat Med 36:2302 for the intercept.
    """
    check_level(ci_level)
    outcome = parse_formula(formula).outcome
    if outcome is None or outcome not in data.columns:
        raise InputError(
            f"formula {formula!r}: the left side must name a column of the table; "
            f"got {outcome!r}, it has {', '.join(map(repr, data.columns))}"
        )
    design = build_design(formula, data.assign(**{outcome: _yes_no(data[outcome])}), coding=coding)
    if design.rank < design.matrix.shape[1]:
        raise ModelError([f"{formula}: {name} {note}" for name, note in design.notes.items()])
    y = design.frame[outcome].to_numpy(dtype=np.float64)
    n_events = int(y.sum())
    if n_events in (0, y.size):
        raise ModelError(
            f"{formula}: all {y.size} complete rows have {outcome} = {bool(n_events)}; "
            "a regression needs both outcomes"
        )
    single = single_subject_flags(design, np.arange(y.size), "person")
    rows = []
    beta = np.zeros(design.matrix.shape[1])
    for j, name in enumerate(design.columns):
        model, best, top = _fit_with_last(design.matrix, y, j)
        beta[j] = best[-1]
        _, without = model.maximise(model.along(best, 0.0), hold_last=True)
        chi2 = max(2 * (top - without), 0.0)
        se = float(np.sqrt(np.linalg.inv(model.information(best))[-1, -1]))
        low, high = model.profile_limits(best, top, se, ci_level)
        flags = [_INTERCEPT_NOTE] if name == "Intercept" else []
        flags += [single[name]] if name in single else []
        if design.n_rows > y.size:
            flags.append(f"{design.n_rows - y.size} incomplete rows left out")
        rows.append(
            estimate_row(
                name,
                kind="coefficient",
                estimate=best[-1],
                se=se,
                statistic=chi2,
                statistic_name="penalised likelihood-ratio chi-square",
                df_numerator=1,
                p=float(stats.chi2.sf(chi2, 1)),
                ci=(low, high),
                ci_level=ci_level,
                n_subjects=y.size,
                flags=flags,
                odds_ratio=float(np.exp(best[-1])),
                odds_ratio_ci_low=float(np.exp(low)),
                odds_ratio_ci_high=float(np.exp(high)),
            )
        )
    return FirthFit(
        estimates=stack(rows),
        intercept_unbiased=_flic(design, y, beta),
        penalised_log_likelihood=top,
        n_events=n_events,
        n_observations=y.size,
        design=design,
    )


def _fit_with_last(x: Array, y: Array, j: int) -> tuple[_Penalised, Array, float]:
    """Fit in coordinates of which the last is coefficient j, the others orthogonal to it.

    However nearly the columns depend on one another, the climb is then well conditioned.
    """
    rest = np.delete(x, j, axis=1)
    basis = np.linalg.qr(rest)[0] * np.sqrt(len(y)) if rest.size else rest
    own = x[:, j] - basis @ (basis.T @ x[:, j]) / len(y)
    model = _Penalised(np.column_stack([basis, own]), y)
    scale = float(np.sqrt(np.mean(own**2)))
    unit = _Penalised(np.column_stack([basis, own / scale]), y)
    best, _ = unit.maximise(np.zeros(x.shape[1]), hold_last=False)
    best[-1] /= scale
    return model, best, model.value(best)


class _Penalised:
    """The penalised likelihood of one design and outcome."""

    def __init__(self, x: Array, y: Array) -> None:
        self.x, self.y = x, y

    def information(self, beta: Array) -> Array:
        probability = special.expit(self.x @ beta)
        weight = probability * (1 - probability)
        return np.asarray((self.x * weight[:, None]).T @ self.x, dtype=np.float64)

    def value(self, beta: Array) -> float:
        eta = self.x @ beta
        sign, log_det = np.linalg.slogdet(self.information(beta))
        if sign <= 0:
            return -np.inf
        return float(self.y @ eta - np.logaddexp(0, eta).sum() + 0.5 * log_det)

    def derivatives(self, beta: Array) -> tuple[Array, Array]:
        """Score and Hessian of the penalised likelihood."""
        probability = special.expit(self.x @ beta)
        weight, tilt = probability * (1 - probability), 1 - 2 * probability
        hat = self.x @ np.linalg.solve(self.information(beta), self.x.T)
        leverage = weight * np.diag(hat)
        score = self.x.T @ (self.y - probability + leverage * tilt / 2)
        spread = np.diag(leverage * tilt) - weight[:, None] * hat**2 * (weight * tilt)
        inner = (tilt / 2)[:, None] * spread - np.diag((1 + leverage) * weight)
        return score, self.x.T @ inner @ self.x

    def maximise(self, start: Array, *, hold_last: bool) -> tuple[Array, float]:
        """Climb from `start`, the last coefficient held or not, by Newton steps halved at need."""
        beta, now = start.copy(), self.value(start)
        free = slice(0, start.size - 1 if hold_last else start.size)
        if not beta[free].size:
            return beta, now
        for _ in range(200):
            score, hessian = self.derivatives(beta)
            curvature = -hessian[free, free]
            if np.linalg.eigvalsh(curvature)[0] <= 0:  # not yet near the top
                curvature = self.information(beta)[free, free]
            step = np.zeros_like(beta)
            step[free] = np.linalg.solve(curvature, score[free])
            gain = float(score @ step)
            step *= min(1.0, 5.0 / max(float(np.abs(self.x @ step).max()), 1e-300))
            for _ in range(40):
                ahead = self.value(beta + step)
                if ahead >= now - 1e-12 * max(1.0, abs(now)):
                    break
                step /= 2
            else:
                break
            beta, now = beta + step, ahead
            if gain < 1e-14:  # that step was the last that counts: Newton squares the error
                return beta, now
        raise ModelError("logistic regression: the penalised likelihood did not reach its top")

    def along(self, best: Array, value: float) -> Array:
        """Move the last coefficient to `value`, the others following it to first order."""
        information = self.information(best)
        moved = best.copy()
        moved[-1] = value
        if best.size > 1:
            follow = np.linalg.solve(information[:-1, :-1], information[:-1, -1])
            moved[:-1] -= follow * (value - best[-1])
        return moved

    def profile_limits(
        self, best: Array, top: float, se: float, ci_level: float
    ) -> tuple[float, float]:
        """Find where twice the loss of penalised likelihood is critical, either side."""
        critical = float(stats.chi2.ppf(ci_level, 1))

        def loss_at(value: float) -> float:
            return 2 * (top - self.maximise(self.along(best, value), hold_last=True)[1]) - critical

        return _cross(loss_at, best[-1], -se), _cross(loss_at, best[-1], se)


def _cross(loss_at: Callable[[float], float], start: float, step: float) -> float:
    inner, outer = start, start + 2 * step
    for _ in range(60):
        if loss_at(outer) > 0:
            return float(optimize.brentq(loss_at, inner, outer, xtol=1e-11, rtol=1e-12))
        inner, step = outer, 2 * step
        outer = inner + step
    return float(np.copysign(np.inf, step))  # the likelihood is flat on this side


def _flic(design: Design, y: Array, beta: Array) -> float:
    if "Intercept" not in design.columns:
        return float(np.nan)
    j = design.columns.index("Intercept")
    offset = np.delete(design.matrix, j, axis=1) @ np.delete(beta, j)

    def surplus(intercept: float) -> float:
        return float(special.expit(offset + intercept).sum() - y.sum())

    far = float(np.abs(offset).max()) + 40
    return float(optimize.brentq(surplus, -far, far, xtol=1e-12))


def _yes_no(column: pd.Series) -> pd.Series:
    name = column.name
    try:
        values = as_numbers(column.astype("Float64"), name=f"column {name!r}")
    except (TypeError, ValueError) as error:
        raise InputError(
            f"column {name!r}: the outcome of a logistic regression must be True/False or 1/0"
        ) from error
    strange = values[~np.isnan(values) & (values != 0) & (values != 1)]
    if strange.size:
        raise InputError(
            f"column {name!r}: got {strange[0]:g}; the outcome must be True/False or 1/0"
        )
    return pd.Series(values, index=column.index, name=name)
