"""Linear mixed models with random effects, exact, the optimum verified."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.design import Design, build_design
from connectrial.stats.grammar import parse_formula
from connectrial.stats.model_fit import MixedFit, estimate_table
from connectrial.stats.model_frame import Coding
from connectrial.stats.patterns import RandomBlock, gather, lay_out
from connectrial.stats.random_effects import (
    parameter_units,
    predict_effects,
    random_blocks,
    variance_table,
)
from connectrial.stats.random_optimum import find_random_optimum
from connectrial.stats.small_matrices import invert_symmetric
from connectrial.stats.solution import Solution, check_df_method
from connectrial.stats.standardise import standardise
from connectrial.stats.validity import fit_notes

Array = NDArray[np.float64]


def fit_mixed(
    formula: str,
    data: pd.DataFrame,
    *,
    coding: Coding | None = None,
    df: str = "satterthwaite",
    reml: bool = True,
) -> MixedFit:
    """Fit a linear mixed model by restricted or full maximum likelihood.

    Parameters
    ----------
    formula : str
        ``"fc_z ~ time * arm + (1 | subject)"``, with lme4's grammar of random terms:
        ``(time | g)``, ``(x || g)`` for numeric x, ``(1 | a/b)``, ``(1 | a) + (1 | b)``. Factors
        get treatment contrasts.
    data : DataFrame
        One row per observation. Rows with a missing value in any variable of the model are left
        out, and counted in ``design.dropped``.
    coding : mapping, optional
        Numbers for the levels of a variable, ``{"time": {"pre": 0, "week2": 1}}``.
    df : str
        Degrees of freedom: ``"residual"`` (n - rank); ``"between-within"`` as R's mmrm has it;
        ``"satterthwaite"``; ``"kenward-roger"`` with observed information, as SAS has it;
        ``"kenward-roger-linear"``, the same without second derivatives (there are none here);
        ``"kenward-roger-expected"`` with expected information, as R's pbkrtest has it;
        ``"none"`` (normal tests).
    reml : bool
        Restricted likelihood; else full likelihood.

    Returns
    -------
    MixedFit

    Raises
    ------
    ModelError
        If the formula cannot be read, the outcome is constant, the variance between subjects
        cannot be told from the residual, or there is one subject only.

    Notes
    -----
    The likelihood of one random intercept is searched over the whole range of the variance ratio,
    because it can have two maxima; other models are fitted by Newton's method with exact second
    derivatives from several starts. The result is refused unless the gradient vanishes, the
    curvature is not negative and, on the boundary, the likelihood falls inwards. On the boundary
    Satterthwaite's degrees of freedom are those of R's lmerTest: with one random intercept n - p.
    """
    check_df_method(df)
    parsed = parse_formula(formula)
    if parsed.covariance is not None:
        raise ModelError(f"formula {formula!r}: has a residual covariance; fit it with fit_mmrm")
    if parsed.outcome is None:
        raise ModelError(f"formula {formula!r}: no left side; write 'outcome ~ terms'")
    if not parsed.random:
        raise ModelError(
            f"formula {formula!r}: no random term; add one such as '(1 | subject)', or fit "
            "independent rows with a linear model"
        )
    design = build_design(formula, data, coding=coding)
    y = read_outcome(parsed.outcome, design, data)
    blocks = random_blocks(parsed, design)
    standard = standardise(parsed.outcome, y, design)
    layout = lay_out(blocks, standard.x)
    moments = gather(layout, standard.outcome)
    optimum = find_random_optimum(blocks, layout, moments, standard.outcome, standard.x, reml=reml)
    _refuse_failure(parsed.outcome, standard.scale**2 * optimum.parameters[0], optimum.converged[0])
    units = parameter_units(blocks)
    solution = Solution(
        beta=standard.beta(optimum.state.beta[0]),
        basis=standard.basis,
        state=optimum.state,
        moments=moments,
        covariances=optimum.covariances,
        parameters=standard.scale**2 * optimum.parameters[0] / units,
        parameter_covariance=optimum.parameter_covariance[0],
        deviance=standard.deviance(float(optimum.state.deviance[0]), reml=reml),
        singular=bool(optimum.singular[0]),
        reml=reml,
        n_observations=design.n_observations,
        subject=blocks[0].codes if len({block.label for block in blocks}) == 1 else None,
    )
    residual = y - design.matrix[:, design.estimable] @ solution.beta
    inverses = [invert_symmetric(c.value)[0][0] for c in optimum.covariances]
    effects = predict_effects(blocks, layout, residual, optimum.parameters[0], inverses)
    predicted = sum(
        (
            np.einsum("nc,nc->n", b.effects, u[b.codes])
            for b, u in zip(blocks, effects, strict=True)
        ),
        start=np.zeros(len(y)),
    )
    variance = variance_table(blocks, solution.parameters)
    flags = column_flags(
        design, blocks, variance, outcome=parsed.outcome, singular=solution.singular
    )
    rows = data.index[design.rows]
    n_subjects = min((len(block.group_names) for block in blocks), default=len(y))
    return MixedFit(
        formula=formula,
        outcome=parsed.outcome,
        method="REML" if reml else "ML",
        df_method=df,
        design=design,
        estimates=estimate_table(design, solution, df, flags),
        variance=variance,
        deviance=solution.deviance,
        n_observations=len(y),
        n_subjects=n_subjects,
        singular=solution.singular,
        notes=fit_notes(parsed, design, df=df, singular=solution.singular, n_subjects=n_subjects),
        fitted=pd.Series(y - residual + predicted, index=rows, name="fitted"),
        residuals=pd.Series(residual - predicted, index=rows, name="residual"),
        random_effects=_effect_table(blocks, effects),
        column_flags=flags,
        solution=solution,
    )


def read_outcome(outcome: str, design: Design, data: pd.DataFrame) -> Array:
    """Take the outcome (n_observations,) on the rows that a design uses.

    Raises
    ------
    ModelError
        If there is no such column, or it holds no numbers.
    """
    if outcome not in data.columns:
        raise ModelError(f"outcome {outcome!r}: no such column in the data")
    column = design.frame[outcome]
    if isinstance(column.dtype, pd.CategoricalDtype):
        raise ModelError(
            f"outcome {outcome!r}: holds text or levels "
            f"({', '.join(map(str, column.cat.categories[:5]))}); a linear model needs numbers"
        )
    return column.to_numpy(dtype=np.float64)


def column_flags(
    design: Design,
    blocks: Sequence[RandomBlock],
    variance: pd.DataFrame,
    *,
    outcome: str,
    singular: bool,
) -> dict[str, str]:
    """Collect what a reader must know of single columns, and of all under an empty name."""
    everywhere = []
    if singular:
        components = variance[variance["group"] != "Residual"]
        zero = components[(components["effect_2"] == "") & (components["estimate"] <= 0)]
        names = [f"variance of {name} is zero" for name in zero.index]
        everywhere.append("singular: " + (", ".join(names) or "random effects are collinear"))
    everywhere += missing_flags(design, outcome)
    flags = {"": "; ".join(everywhere)}
    if blocks:
        coarsest = min(blocks, key=lambda block: len(block.group_names))
        flags |= single_subject_flags(design, coarsest.codes, coarsest.label)
    return flags


def missing_flags(design: Design, outcome: str | None = None) -> list[str]:
    """Name the variables, but for the outcome, that are missing in rows, with how many."""
    return [
        f"{count} row{'s' * (count > 1)} left out: {name} is missing"
        for name, count in design.dropped.items()
        if name != outcome
    ]


def single_subject_flags(design: Design, subject: NDArray[np.intp], label: str) -> dict[str, str]:
    """Flag the columns that hang on a level which a single subject has."""
    flags: dict[str, str] = {}
    for name, levels in design.levels.items():
        held = pd.DataFrame({"level": design.frame[name], "subject": subject}).drop_duplicates()
        if held["subject"].duplicated().any():
            continue  # varies within subjects
        counts = held["level"].astype(str).value_counts()
        for level in levels:
            if counts.get(level, 0) == 1:
                flags |= {
                    column: f"{name} {level!r} is a single {label}"
                    for term, columns in design.terms.items()
                    for column in columns
                    if name in term.split(":")
                    and (level == levels[0] or f"{name}[{level}]" in column)
                }
    return flags


def _refuse_failure(outcome: str, parameters: Array, converged: np.bool_) -> None:
    if not converged:
        raise ModelError(
            f"outcome {outcome!r}: no optimum was found, (co)variances run to "
            f"{', '.join(f'{value:.3g}' for value in parameters)}; most often the residual "
            "variance vanishes, because values within subjects are all the same, or there are too "
            "many random effects; leave some out"
        )


def _effect_table(blocks: Sequence[RandomBlock], effects: Sequence[Array]) -> pd.DataFrame:
    tables = [
        pd.DataFrame(
            {
                "group": block.label,
                "level": block.group_names,
                "effect": name,
                "estimate": found[:, position] / block.scales[position],
            }
        )
        for block, found in zip(blocks, effects, strict=True)
        for position, name in enumerate(block.effect_names)
    ]
    columns = ["group", "level", "effect", "estimate"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
