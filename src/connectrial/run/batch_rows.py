"""Scanners and sites against what the trial compares."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.plan import Plan
from connectrial.plan.quality_rules import batch_sessions
from connectrial.results import Result, tidy
from connectrial.stats.exact import fisher_table
from connectrial.trial.batches import cross_batches, is_inseparable

#: Name of the analysis, as results know it.
BATCHES = "Batch"
_LEVEL = 0.05


def batch_result(plan: Plan) -> Result:
    """Cross scanner, site or version with visit, arm and group."""
    column = str(plan.study.quality.batch)
    sessions = batch_sessions(plan.study, plan.survey, plan.people.scans, plan.people.subjects)
    rng = np.random.default_rng(plan.study.study.seed)
    rows = []
    for factor in ("visit", "arm", "group"):
        if factor not in sessions:
            continue
        unit = "sessions" if factor == "visit" else "people"
        counts = cross_batches(sessions, by=factor, unit=unit)
        if min(counts.shape) < 2:
            continue
        p = fisher_table(counts.to_numpy(), rng=rng)
        flags = ["sessions are counted as if independent" if factor == "visit" else ""]
        if is_inseparable(counts):
            flags.append(f"completely confounded: no model separates {factor} from {column}")
        elif p < _LEVEL:
            flags.append(f"p < .05: {column} goes with {factor}; put it into the model")
        known = sessions.dropna(subset=["batch", factor])
        rows.append(
            {
                "analysis": BATCHES,
                "role": "quality",
                "kind": "count",
                "analysis_set": "analysed sessions",
                "outcome": column,
                "term": f"{column} by {factor}",
                "estimate": float(counts.to_numpy().sum()),
                "unit": unit,
                "statistic_name": "Fisher's exact test",
                "declared": True,
                "alternative": "two-sided",
                "p": p,
                "n_subjects": known["subject"].nunique(),
                "n_observations": len(known),
                "flags": "; ".join(flag for flag in flags if flag),
            }
        )
    return Result(
        name=BATCHES,
        title=f"{column}: does it go with visit or arm?",
        role="quality",
        what="quality",
        outcome=column,
        estimates=tidy(rows),
        methods=f"Whether {column} goes with visit, arm or group was tested by Fisher's exact test "
        "(tables beyond two by two by drawing tables with the same margins).",
    )


def batch_table(plan: Plan) -> pd.DataFrame:
    """Return how many analysed sessions each batch has at each level of visit, arm and group."""
    if plan.study.quality.batch is None:
        return pd.DataFrame()
    sessions = batch_sessions(plan.study, plan.survey, plan.people.scans, plan.people.subjects)
    tables = []
    for factor in ("visit", "arm", "group"):
        if factor in sessions:
            counts = cross_batches(sessions, by=factor, unit="sessions")
            long = counts.rename_axis(index="level").reset_index().assign(factor=factor)
            tables.append(
                long.melt(id_vars=["factor", "level"], var_name="batch", value_name="n_sessions")
            )
    together = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return together.astype({"level": "str"}) if len(together) else together
