"""Patients against controls by a mixed model of all their sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from connectrial.errors import ModelError
from connectrial.run.model_rows import estimate_cells
from connectrial.stats.mixed import fit_mixed
from connectrial.trial.visits import CONTROLS

_NOTE = "mixed model of all sessions"


def mixed_comparison(
    base: Mapping[str, Any], sessions: pd.DataFrame, visits: Sequence[str], *, unit: str
) -> list[dict[str, Any]]:
    """Return patients minus controls at each visit, and how that difference changes.

    Parameters
    ----------
    base : mapping
        Cells that all rows share.
    sessions : DataFrame
        One row per session: ``subject``, ``visit`` (of controls: "controls"), ``fc_z``.
    visits : sequence of str
        Visits of the patients, in order.
    unit : str
        Of the outcome.

    Returns
    -------
    list of dict
        Rows of the schema, role sensitivity. Between visits the difference from controls changes
        just as the patients do, for controls have one visit; its interval tells whether a difference
        that was there at first goes away.

    Raises
    ------
    ModelError
        If nobody has several sessions, or the model cannot be fitted.
    """
    present = [visit for visit in visits if (sessions["visit"].astype(str) == visit).any()]
    if not sessions["subject"].duplicated().any():
        raise ModelError("nobody has two sessions, so it would be the t test again")
    data = sessions.assign(
        condition=pd.Categorical(
            sessions["visit"].astype(str), categories=[CONTROLS, *present], ordered=True
        )
    )[["subject", "condition", "fc_z"]].reset_index(drop=True)
    fit = fit_mixed("fc_z ~ condition + (1 | subject)", data, df="satterthwaite")
    shared = dict(base) | {
        "role": "sensitivity",
        "declared": False,
        "kind": "difference",
        "unit": unit,
        "alternative": "two-sided",
        "ci_level": 0.95,
        "n_subjects": fit.n_subjects,
        "n_observations": fit.n_observations,
    }
    columns = list(fit.design.columns)
    weights = {
        visit: np.eye(len(columns))[columns.index(f"condition[{visit}]")] for visit in present
    }
    wanted = [(f"patients at {visit} - controls", weights[visit]) for visit in present]
    wanted += [
        (f"change of the difference: {visit} - {present[0]}", weights[visit] - weights[present[0]])
        for visit in present[1:]
    ]
    rows = []
    for term, weight in wanted:
        cells = estimate_cells(fit.contrast(weight).iloc[0])
        flags = "; ".join(part for part in (_NOTE, str(cells.get("flags", ""))) if part)
        rows.append(shared | cells | {"term": term, "flags": flags})
    return rows
