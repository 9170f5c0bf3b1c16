"""The printed summary of a fitted model, in the order that R's mmrm uses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from connectrial.stats.grammar import parse_formula

if TYPE_CHECKING:
    from connectrial.stats.model_fit import MixedFit


_STRUCTURES = {
    "us": "unstructured",
    "cs": "compound symmetry",
    "csh": "heterogeneous compound symmetry",
    "ar1": "auto-regressive of order one",
    "ar1h": "heterogeneous auto-regressive of order one",
    "toep": "Toeplitz",
    "toeph": "heterogeneous Toeplitz",
    "ad": "ante-dependence",
    "adh": "heterogeneous ante-dependence",
}


def summarise(fit: MixedFit) -> str:
    """Print formula, data, covariance, method, criteria, coefficients and notes to text."""
    design = fit.design
    dropped = design.n_rows - design.n_observations
    lines = [
        "mixed model fit",
        "",
        f"Formula:     {fit.formula}",
        f"Data:        {fit.n_observations} observations from {fit.n_subjects} subjects"
        + (f"; {dropped} of {design.n_rows} rows left out" if dropped else ""),
    ]
    lines += [f"             missing: {name} {count}" for name, count in design.dropped.items()]
    lines += [f"Reference:   {name} = {level}" for name, level in design.reference_levels.items()]
    lines += [
        f"Coding:      {name}: "
        + ", ".join(f"{level} = {value:g}" for level, value in levels.items())
        for name, levels in design.coding.items()
    ]
    lines += [
        f"Covariance:  {_covariance(fit)}",
        f"Method:      {fit.df_method}",
        f"Inference:   {fit.method}",
        "",
        "Model selection criteria:",
        _criteria(fit),
        "",
        "Coefficients:",
        _coefficients(fit.estimates),
        "",
        *_variances(fit),
    ]
    notes = [
        *fit.notes,
        *(f"{name}: {flag}" for name, flag in fit.estimates["flags"].items() if flag),
    ]
    if notes:
        lines += ["", "Notes:", *(f"- {note}" for note in dict.fromkeys(notes))]
    return "\n".join(lines)


def _covariance(fit: MixedFit) -> str:
    parsed = parse_formula(fit.formula)
    count = f"{len(fit.solution.parameters)} (co)variance parameters"
    if parsed.covariance is None:
        return f"{' + '.join(f'({t.effects} | {t.group})' for t in parsed.random)} ({count})"
    term = parsed.covariance
    arm = f", one for each level of {term.arm}" if term.arm else ""
    return f"{_STRUCTURES[term.structure]} over {term.visit} within {term.subject}{arm} ({count})"


def _criteria(fit: MixedFit) -> str:
    """AIC and BIC as SAS has them: REML counts (co)variances, ML the coefficients too."""
    count = len(fit.solution.parameters) + (0 if fit.method == "REML" else fit.design.rank)
    restricted = "restricted " if fit.method == "REML" else ""
    return (
        f"AIC {fit.deviance + 2 * count:.4f}, "
        f"BIC {fit.deviance + math.log(fit.n_subjects) * count:.4f}, "
        f"deviance {fit.deviance:.4f} (-2 {restricted}log likelihood)"
    )


def _variances(fit: MixedFit) -> list[str]:
    """Print components as a table, covariances between visits as a matrix for each group."""
    table = fit.variance
    if parse_formula(fit.formula).covariance is None:
        return [
            "Variance components:",
            table.to_string(float_format=lambda value: f"{value:.5g}"),
        ]
    lines = []
    for group, rows in table.groupby("group", sort=False):
        names = list(rows["effect"].unique())
        matrix = pd.DataFrame(0.0, index=names, columns=names)
        for effect, other, value in rows[["effect", "effect_2", "estimate"]].itertuples(
            index=False
        ):
            matrix.loc[effect, other or effect] = matrix.loc[other or effect, effect] = value
        lines += [
            "Covariance estimate" + (f" of {group}:" if group != "Residual" else ":"),
            matrix.to_string(float_format=lambda value: f"{value:.4f}"),
        ]
    return lines


def _coefficients(estimates: pd.DataFrame) -> str:
    shown = estimates[["estimate", "se", "df", "statistic", "p", "ci_low", "ci_high"]]
    return str(
        shown.to_string(
            formatters={
                "p": lambda value: "<0.0001" if value < 1e-4 else f"{value:.4f}",
                "df": lambda value: f"{value:.2f}",
            },
            float_format=lambda value: f"{value:.4f}",
        )
    )
