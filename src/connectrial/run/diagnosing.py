"""How well the models of the primary outcomes fit: residuals, and the weight of single people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from connectrial.errors import ConnectrialError
from connectrial.plan import PlannedAnalysis
from connectrial.results import Result
from connectrial.run.analysing import rows_with_outcome
from connectrial.run.model_rows import fit_planned
from connectrial.stats.diagnostics import leave_one_out, residual_table


def diagnose_primary(
    analyses: Sequence[PlannedAnalysis], results: Sequence[Result], visit_fc: pd.DataFrame
) -> tuple[list[Result], dict[str, pd.DataFrame]]:
    """Give residuals and influence for every mixed model of a primary outcome.

    Parameters
    ----------
    analyses : sequence of PlannedAnalysis
        Of the plan.
    results : sequence of Result
        What was found; an analysis without estimates has no model to look at.
    visit_fc : DataFrame
        ``subject``, ``visit``, ``outcome``, ``fc_z``.

    Returns
    -------
    results : list of Result
        As they came; a model that has no such check has the reason among its notes.
    tables : dict of str to DataFrame
        ``residuals``: ``analysis``, ``subject``, ``visit``, ``fitted``, ``conditional``,
        ``normalized`` (see :func:`connectrial.stats.diagnostics.residual_table`), a row per
        observation. ``influence``: ``analysis``, ``subject`` (who is left out), ``term``,
        ``change`` (of the coefficient, in its standard errors), ``p_without``, ``cooks_distance``,
        a row per person and coefficient. No key where there is no such model.
    """
    found = {one.name for one in results if len(one.estimates)}
    residuals, influence = [], []
    undone: dict[str, list[str]] = {}
    for one in analyses:
        if one.role != "primary" or one.name not in found or one.model is None or one.problems:
            continue
        if one.what not in ("network FC", "score") or one.rows is None:
            continue
        data, outcome = rows_with_outcome(one, visit_fc)
        try:
            fit = fit_planned(one, data, outcome=outcome)
            rows = residual_table(fit)[["fitted", "conditional", "normalized"]]
            without = leave_one_out(fit)
        except ConnectrialError as error:
            undone[one.name] = [f"residuals and influence not done: {p}" for p in error.problems]
            continue
        named = data.loc[rows.index, ["subject", "place" if "place" in data else "visit"]]
        named = named.set_axis(["subject", "visit"], axis=1).astype(str)
        residuals.append(pd.concat([named, rows], axis=1).assign(analysis=one.name))
        for term in fit.design.columns:
            influence.append(
                pd.DataFrame(
                    {
                        "analysis": one.name,
                        "subject": without.index.astype(str),
                        "term": term,
                        "change": without[f"change {term}"].to_numpy(),
                        "p_without": without[f"p {term}"].to_numpy(),
                        "cooks_distance": without["cooks_distance"].to_numpy(),
                    }
                )
            )
    tables = {"residuals": residuals, "influence": influence}
    made = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items() if parts}
    first = ["analysis", "subject"]
    said = [
        replace(one, notes=(*one.notes, *undone[one.name])) if one.name in undone else one
        for one in results
    ]
    return said, {
        name: one[[*first, *(column for column in one if column not in first)]]
        for name, one in made.items()
    }
