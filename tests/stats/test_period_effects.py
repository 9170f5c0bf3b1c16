"""Several visits in each period of a crossover: person and person-by-period effects against R."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.stats.margins import mean_rows
from connectrial.stats.mixed import fit_mixed

RANDOM = ("(1 | subject) + (1 | subject:period)", "(1 | subject/period)")
LEVELS = {
    "treatment": ["placebo", "ketamine"],
    "visit": ["50 min", "80 min", "165 min", "24 h"],
    "period": ["1", "2"],
    "sequence": ["placebo then ketamine", "ketamine then placebo"],
}


def rows(reference):
    table = pd.read_csv(
        reference / "period_effects_data.csv", dtype={"subject": str, "period": str}
    )
    for name, levels in LEVELS.items():
        table[name] = pd.Categorical(table[name], categories=levels, ordered=True)
    return table


def r_name(term: str) -> str:
    """Write a column as R does."""
    return term.replace("[", "").replace("]", "").replace("Intercept", "(Intercept)")


@pytest.mark.parametrize("random", RANDOM)
@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger-expected"])
def test_person_by_period_effects_equal_lme4(reference, random, df):
    """lmerTest and pbkrtest by period_effects.R: estimates to 1e-5 SE, SE to 1e-5, df to 5e-3.

    pbkrtest takes the expected information, so Kenward and Roger's are compared in that form.
    """
    stored = pd.read_csv(reference / "period_effects.csv", dtype={"df_method": str}).fillna(
        {"df_method": ""}
    )
    stored = stored[stored["model"] == random]
    fit = fit_mixed(
        f"fc_z ~ treatment * visit + period + sequence + {random}", rows(reference), df=df
    )
    ours = fit.estimates[["estimate", "se", "df"]].rename(index=r_name)
    levels, weights, _ = mean_rows(fit.design, ["treatment", "visit"], at={})
    cell = {one: weights[k] for k, one in enumerate(levels)}
    differences = [cell["ketamine", v] - cell["placebo", v] for v in LEVELS["visit"]]
    contrasts = fit.contrast(np.array([np.mean(differences[:3], axis=0), differences[3]]))
    contrasts.index = ["acute", "delayed"]
    ours = pd.concat([ours, contrasts[["estimate", "se", "df"]]]).astype(float)
    name = df.removesuffix("-expected")
    r = (
        stored[stored["df_method"] == name]
        .set_index("term")[["estimate", "se", "df"]]
        .astype(float)
    )
    assert set(r.index) == set(ours.index)
    ours = ours.loc[r.index]
    assert np.abs((ours["estimate"] - r["estimate"]) / r["se"]).max() < 1e-5
    assert np.abs(ours["se"] / r["se"] - 1).max() < 1e-5
    assert np.abs(ours["df"] - r["df"]).max() < 5e-3
    assert (fit.n_observations, fit.n_subjects) == (120, 16)
    variance = stored[stored["term"].str.startswith("variance")]["estimate"].to_numpy(dtype=float)
    assert np.sort(fit.variance["estimate"]) == pytest.approx(np.sort(variance), rel=1e-4)
    assert fit.deviance == pytest.approx(
        float(stored.set_index("term").loc["deviance", "estimate"]), abs=1e-6
    )
