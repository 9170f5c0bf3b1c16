"""Mixed models for repeated measures: fixed effects and a covariance between visits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.covariance import GroupedCovariance, VisitCovariance
from connectrial.stats.design import build_design
from connectrial.stats.grammar import STRUCTURES, parse_formula
from connectrial.stats.mixed import missing_flags, read_outcome, single_subject_flags
from connectrial.stats.model_fit import MixedFit, estimate_table
from connectrial.stats.model_frame import Coding
from connectrial.stats.patterns import gather
from connectrial.stats.solution import Solution, check_df_method
from connectrial.stats.standardise import standardise
from connectrial.stats.validity import fit_notes
from connectrial.stats.visit_optimum import find_visit_optimum
from connectrial.stats.visits import (
    VisitTable,
    check_pairs,
    component_names,
    lay_out_visits,
    read_visits,
)

Array = NDArray[np.float64]


def fit_mmrm(
    formula: str,
    data: pd.DataFrame,
    *,
    coding: Coding | None = None,
    df: str = "satterthwaite",
    reml: bool = True,
) -> MixedFit:
    """Fit a mixed model for repeated measures by restricted or full maximum likelihood.

    Parameters
    ----------
    formula : str
        ``"y ~ arm * visit + us(visit | subject)"``; ``us(visit | arm / subject)`` gives each arm
        a covariance of its own. Structures: us (unstructured), cs and csh (compound symmetry,
        one variance or one per visit), ar1 and ar1h (autoregressive in the order of visits), toep
        and toeph (Toeplitz), ad and adh (ante-dependence of order one).
    data : DataFrame
        One row per observation. Rows with a missing value in any variable of the model are left
        out, and counted in ``design.dropped``.
    coding : mapping, optional
        Numbers for the levels of a variable.
    df : str
        As for `fit_mixed`. ``"kenward-roger"`` uses observed information and derivatives by SAS's
        parameters: (co)variances for us, cs and toep; variances and correlations for the others.
    reml : bool
        Restricted likelihood; else full likelihood.

    Returns
    -------
    MixedFit
        `variance` lists the covariance between visits, by group where groups have their own.

    Raises
    ------
    ModelError
        If the formula cannot be read, a person has two rows at a visit, the covariance cannot be
        estimated from these visits, or no optimum is found.

    Notes
    -----
    Visits without a row are left out of the covariance, so that neighbours in ar1, toep and ad
    are neighbours among the visits that occur.
    """
    check_df_method(df)
    parsed = parse_formula(formula)
    if parsed.outcome is None:
        raise ModelError(f"formula {formula!r}: no left side; write 'outcome ~ terms'")
    if parsed.covariance is None or parsed.random:
        raise ModelError(
            f"formula {formula!r}: fit_mmrm takes exactly one residual covariance and no random "
            f"terms, such as 'us(visit | subject)'; structures are {', '.join(STRUCTURES)}"
        )
    term = parsed.covariance
    design = build_design(formula, data, coding=coding)
    y = read_outcome(parsed.outcome, design, data)
    table = read_visits(term, design)
    check_pairs(term.structure, table)
    standard = standardise(parsed.outcome, y, design)
    layout, stacks = lay_out_visits(table, standard.x)
    moments = gather(layout, standard.outcome)
    structure = GroupedCovariance(
        VisitCovariance(term.structure, len(table.visit_names)), len(table.group_names)
    )
    optimum = find_visit_optimum(structure, stacks, moments, reml=reml)
    if not optimum.converged[0]:
        raise ModelError(
            f"outcome {parsed.outcome!r}: no optimum was found for {term.structure!r} with "
            f"{structure.n_parameters} covariance parameters from {len(y)} rows of "
            f"{len(table.subject_names)} subjects; choose a structure with fewer parameters "
            "('cs', 'ar1', 'toep')"
        )
    solution = Solution(
        beta=standard.beta(optimum.state.beta[0]),
        basis=standard.basis,
        state=optimum.state,
        moments=moments,
        covariances=optimum.covariances,
        parameters=optimum.parameters[0],
        parameter_covariance=optimum.parameter_covariance[0],
        deviance=standard.deviance(float(optimum.state.deviance[0]), reml=reml),
        singular=False,
        reml=reml,
        n_observations=len(y),
        subject=table.subject,
    )
    fitted = design.matrix[:, design.estimable] @ solution.beta
    flags = {"": "; ".join(missing_flags(design, parsed.outcome))}
    flags |= single_subject_flags(design, table.subject, term.subject)
    rows = data.index[design.rows]
    return MixedFit(
        formula=formula,
        outcome=parsed.outcome,
        method="REML" if reml else "ML",
        df_method=df,
        design=design,
        estimates=estimate_table(design, solution, df, flags),
        variance=_variance_table(table, standard.scale**2 * optimum.matrices[0]),
        deviance=solution.deviance,
        n_observations=len(y),
        n_subjects=len(table.subject_names),
        singular=False,
        notes=(
            *_notes(table, term.visit),
            *fit_notes(parsed, design, df=df, singular=False, n_subjects=len(table.subject_names)),
        ),
        fitted=pd.Series(fitted, index=rows, name="fitted"),
        residuals=pd.Series(y - fitted, index=rows, name="residual"),
        random_effects=pd.DataFrame(columns=["group", "level", "effect", "estimate"]),
        column_flags=flags,
        solution=solution,
    )


def _notes(table: VisitTable, visit: str) -> tuple[str, ...]:
    if not table.unused_visits:
        return ()
    return (
        f"{visit}: no row at {', '.join(table.unused_visits)}; the covariance is over "
        + ", ".join(table.visit_names),
    )


def _variance_table(table: VisitTable, matrices: Array) -> pd.DataFrame:
    """List the covariance between visits, lower triangle by rows."""
    rows = []
    for group, matrix in zip(table.group_names, matrices, strict=True):
        sd = np.sqrt(np.diag(matrix))
        for a, name in enumerate(table.visit_names):
            for b in range(a + 1):
                diagonal = a == b
                rows.append(
                    {
                        "group": group or "Residual",
                        "effect": table.visit_names[b],
                        "effect_2": "" if diagonal else name,
                        "estimate": matrix[a, b],
                        "sd_or_correlation": sd[a] if diagonal else matrix[a, b] / (sd[a] * sd[b]),
                    }
                )
    return pd.DataFrame(rows, index=pd.Index(component_names(table), name="component"))
