"""Intervals of a model's variance components, where its section asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectrial.errors import ConnectrialError
from connectrial.plan import PlannedAnalysis
from connectrial.run.model_rows import component_words
from connectrial.stats.model_fit import MixedFit
from connectrial.stats.variance_intervals import variance_intervals

_LEVEL = 0.95
_N_SAMPLES = 999


def with_variance_intervals(
    plan: PlannedAnalysis, fit: MixedFit, rows: Sequence[Mapping[str, Any]], *, seed: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Put intervals into the rows of variances, and add the intraclass correlation with its own.

    Parameters
    ----------
    plan : PlannedAnalysis
        With its model.
    fit : MixedFit
        The fitted model.
    rows : sequence of mapping
        Rows of the analysis, those of variances among them.
    seed : int
        Of the study file, for the bootstrap.

    Returns
    -------
    rows : list of dict
        As they were where the model asks for no intervals.
    notes : list of str
        Why there are none, where they were asked for.
    """
    ready = [dict(row) for row in rows]
    asked = plan.model.variance_intervals if plan.model is not None else None
    if asked is None:
        return ready, []
    try:
        found = variance_intervals(fit, method=asked, level=_LEVEL, n_samples=_N_SAMPLES, rng=seed)
    except ConnectrialError as error:
        return ready, [f"intervals of variances not done: {text}" for text in error.problems]
    by_term = {row["term"]: row for row in ready if row["kind"] == "variance"}
    for component, one in found.iterrows():
        flags = _words(asked, int(one["n_failed"]))
        limits = {"ci_low": one["ci_low"], "ci_high": one["ci_high"], "ci_level": _LEVEL}
        own = by_term.get(component_words(str(component), among=fit.variance.index))
        if own is not None:
            own |= limits | {"flags": "; ".join(p for p in (str(own["flags"]), flags) if p)}
        elif str(component).startswith("ICC"):
            row = dict(next(iter(by_term.values()))) | limits
            row |= {"kind": "reliability", "term": str(component), "unit": "", "flags": flags}
            ready.append(row | {"estimate": float(one["estimate"])})
    return ready, []


def _words(method: str, n_failed: int) -> str:
    if method == "profile":
        return "interval: profile likelihood"
    failed = f", {n_failed} without an optimum left out" if n_failed else ""
    return f"interval: parametric bootstrap, {_N_SAMPLES} samples{failed}"
