"""Reference-based imputation of a clinical outcome, from planned rows to a result."""

from __future__ import annotations

import numpy as np

from connectrial.plan import PlannedAnalysis
from connectrial.results import Result
from connectrial.run.analysing import base_cells, failed, result_of, tidy_cells
from connectrial.stats.imputation import impute_reference_based
from connectrial.study import ClinicalSection


def analyse_reference_based(
    plan: PlannedAnalysis, section: ClinicalSection, *, design: str, unit: str, seed: int
) -> Result:
    """Compare arms at a visit under a reference-based assumption on who dropped out.

    Parameters
    ----------
    plan : PlannedAnalysis
        Rows from the baseline to the visit that is compared.
    section : ClinicalSection
        Strategy and numbers of imputations and bootstrap samples.
    design : str
        Kind of trial; any but "parallel" is refused.
    unit : str
        Unit of the scale.
    seed : int
        Of the study file.
    """
    table = plan.rows.loc[plan.rows["arm"].notna()]
    arms = [a for a in table["arm"].cat.categories if (table["arm"] == a).any()]
    wide = table.pivot_table(
        index="subject", columns="visit", values="score", observed=False, dropna=False
    )
    visits = [str(v) for v in table["visit"].cat.categories if v != section.baseline]
    base = wide[section.baseline]
    complete = wide.loc[base.notna()]
    left = int(base.isna().sum())
    own = table.drop_duplicates("subject").set_index("subject")["arm"].reindex(complete.index)
    if section.strategy is None or len(arms) < 2:
        return failed(plan, ["there is one arm only"])
    fitted = impute_reference_based(
        complete[visits].to_numpy(dtype=np.float64),
        baseline=complete[section.baseline].to_numpy(dtype=np.float64),
        arm=own.astype(str).to_numpy(dtype=object),
        arms=[str(one) for one in arms],
        design=design,
        strategy=section.strategy,
        n_imputations=section.n_imputations,
        n_bootstraps=section.n_bootstraps,
        rng=np.random.default_rng(seed),
    )
    rows = []
    for term, row in fitted.iterrows():
        declared = row["df_method"] == "barnard-rubin"
        rows.append(
            base_cells(plan)
            | tidy_cells(row)
            | {
                "term": f"{term} at {section.visit}",
                "unit": unit,
                "declared": declared,
                "family": (plan.family or "") if declared else "",
            }
        )
    notes = [
        "Rubin's rules are information-anchored here: the interval is about as wide, relative to the "
        "analysis under missing at random, as the missing scores warrant; the bootstrap beside it "
        "shows the smaller spread of the estimate over repeated trials"
    ]
    if left:
        notes.append(f"{left} people without a score at {section.baseline} are left out")
    return result_of(
        plan,
        rows,
        methods=(
            f"{section.scale} at {section.visit} was compared between arms (least squares with the "
            f"baseline score) after multiple imputation, '{section.strategy}' with {arms[0]} as "
            f"reference, by {section.n_imputations} Bayesian draws of each arm's means and "
            "covariance; gaps before a person's last score were imputed as missing at random; "
            "estimates were pooled by Rubin's rules with Barnard and Rubin's degrees of freedom."
        ),
        citations=("carpenter2013", "barnard1999", "wolbers2022"),
        notes=notes,
    )
