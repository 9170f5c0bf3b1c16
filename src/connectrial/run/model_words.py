"""What a mixed model was, in words and as plain data."""

from __future__ import annotations

from typing import Any

from connectrial.plan import PlannedAnalysis
from connectrial.stats.model_fit import MixedFit


def describe_design(plan: PlannedAnalysis, fit: MixedFit) -> dict[str, Any]:
    """Return a fit's design as plain data."""
    return {
        "formula": plan.formula,
        "columns": list(fit.design.columns),
        "reference_levels": fit.design.reference_levels,
        "coding": fit.design.coding,
        "rank": fit.design.rank,
        "aliased": dict(fit.design.notes),
        "covariance": _dependence(plan),
        "method": fit.method,
        "df_method": fit.df_method,
        "deviance": round(float(fit.deviance), 6),
        "singular": bool(fit.singular),
        "n_observations": fit.n_observations,
        "n_subjects": fit.n_subjects,
        "left_out": dict(fit.design.dropped),
        "summary": str(fit),
    }


_STRUCTURES = {
    "us": "an unstructured",
    "cs": "a compound-symmetric",
    "csh": "a heterogeneous compound-symmetric",
    "ar1": "an autoregressive",
    "ar1h": "a heterogeneous autoregressive",
    "toep": "a Toeplitz",
    "toeph": "a heterogeneous Toeplitz",
    "ad": "an ante-dependence",
    "adh": "a heterogeneous ante-dependence",
}


def _dependence(plan: PlannedAnalysis) -> str:
    """Say in words how observations of one person hang together."""
    assert plan.model is not None  # noqa: S101 - only analyses with models come here
    if plan.model.covariance is not None:
        structure = plan.model.covariance.partition("(")[0].strip()
        own = " of each arm's own" if "/" in plan.model.covariance else ""
        return f"{_STRUCTURES[structure]} covariance between visits{own}"
    if plan.model.random_terms == ("1 | subject",):
        return "a random intercept for each person"
    if all(term.startswith("1 | ") for term in plan.model.random_terms):
        of = [intercept_of(term.removeprefix("1 | ")) for term in plan.model.random_terms]
        return f"random intercepts for {' and '.join(of)}"
    return f"the random terms {', '.join(plan.model.random_terms)}"


def intercept_of(grouping: str) -> str:
    """Say whose a random intercept is: ``subject:period`` -> "each person's periods"."""
    first, *more = [part.strip() for part in grouping.split(":")]
    if first != "subject":
        return f"each {grouping}"
    return f"each person's {' by '.join(more)}s" if more else "each person"


_DF_NAMES = {
    "satterthwaite": "Satterthwaite's degrees of freedom",
    "kenward-roger": "Kenward and Roger's degrees of freedom (observed information)",
    "kenward-roger-linear": "Kenward and Roger's degrees of freedom (observed information, linear)",
    "kenward-roger-expected": "Kenward and Roger's degrees of freedom (expected information)",
    "between-within": "between-within degrees of freedom",
    "residual": "residual degrees of freedom (observations minus coefficients)",
    "none": "the normal distribution",
}


def methods_sentence(plan: PlannedAnalysis, fit: MixedFit, *, what: str) -> str:
    """Say in words for a methods section what was fitted."""
    method = "restricted maximum likelihood" if fit.method == "REML" else "maximum likelihood"
    return (
        f"{what} was modelled by a linear mixed model with the fixed terms "
        f"{', '.join(plan.terms)} and {_dependence(plan)}, fitted by {method} to "
        f"{fit.n_observations} observations of {fit.n_subjects} people, those with missing visits "
        f"included; tests use {_DF_NAMES[fit.df_method]}."
    )
