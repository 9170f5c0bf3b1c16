"""Intervals of variance components (lme4's profiles, mixed_intervals.R) and diagnostics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from connectrial.errors import ModelError
from connectrial.stats.diagnostics import leave_one_out, residual_table
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.mmrm import fit_mmrm
from connectrial.stats.variance_intervals import variance_intervals

FORMULAS = {
    "intercept": "y ~ week * arm + (1 | subject)",
    "crossed": "y ~ week * arm + (1 | subject) + (1 | rater)",
    "slope": "y ~ week * arm + (week | subject)",
}


@pytest.fixture(scope="module")
def data(reference):
    return pd.read_csv(reference / "mixed_slopes_data.csv").assign(
        arm=lambda t: pd.Categorical(t["arm"], ["placebo", "drug"]),
        visit=lambda t: pd.Categorical(t["visit"]),
    )


@pytest.mark.parametrize("case", FORMULAS)
def test_profiles_are_those_of_lme4(case, data, reference):
    """lme4 interpolates its profiles, coarsely where a limit is near zero."""
    oracle = pd.read_csv(reference / "mixed_intervals.csv")
    oracle = oracle[oracle["case"] == case]
    found = variance_intervals(fit_mixed(FORMULAS[case], data, reml=False)).iloc[: len(oracle)]
    np.testing.assert_allclose(found["ci_low"], oracle["low"], rtol=2e-3)
    np.testing.assert_allclose(found["ci_high"], oracle["high"], rtol=2e-5)
    ends = [0, -1]
    np.testing.assert_allclose(found["ci_low"].iloc[ends], oracle["low"].iloc[ends], rtol=3e-4)


def dense_deviance(variances, y, x, z):
    v = variances[0] * z @ z.T + variances[1] * np.eye(len(y))
    inverse = np.linalg.inv(v)
    m = x.T @ inverse @ x
    r = y - x @ np.linalg.solve(m, x.T @ inverse @ y)
    n_free = len(y) - x.shape[1]
    logs = np.linalg.slogdet(v)[1] + np.linalg.slogdet(m)[1]
    return logs + r @ inverse @ r + n_free * np.log(2 * np.pi)


def test_restricted_profiles_rise_by_the_quantile(data):
    """At each limit the restricted deviance, minimised by other means, is 3.8415 higher."""
    fit = fit_mixed(FORMULAS["intercept"], data)
    limits = variance_intervals(fit)
    y, x = data["y"].to_numpy(), fit.design.matrix
    z = pd.get_dummies(data["subject"]).to_numpy(dtype=float)
    top = fit.deviance + 3.841458820694124
    for end in ("ci_low", "ci_high"):
        between, within, share = limits[end]
        held = minimize(
            lambda s, b=between: dense_deviance((b, np.exp(s[0])), y, x, z), [0.0], tol=1e-10
        )
        assert held.fun == pytest.approx(top, abs=1e-5)
        held = minimize(
            lambda s, w=within: dense_deviance((np.exp(s[0]), w), y, x, z), [0.0], tol=1e-10
        )
        assert held.fun == pytest.approx(top, abs=1e-5)
        held = minimize(
            lambda s, r=share: dense_deviance((r * np.exp(s[0]), (1 - r) * np.exp(s[0])), y, x, z),
            [0.0],
            tol=1e-10,
        )
        assert held.fun == pytest.approx(top, abs=1e-5)


def test_a_profile_may_end_at_zero(reference):
    table = pd.read_csv(reference / "mixed_intercept_data.csv")
    trial = table[table["set"] == "trial"]
    fit = fit_mixed("flat ~ visit + (1 | subject)", trial)
    limits = variance_intervals(fit)
    assert limits.loc["subject", "ci_low"] == 0.0 == limits.loc["ICC subject", "ci_low"]
    assert limits.loc["subject", "ci_high"] > 0.01


def test_the_bootstrap_repeats_itself_and_covers_the_estimate(data):
    fit = fit_mixed(FORMULAS["slope"], data)
    one = variance_intervals(fit, method="bootstrap", n_samples=200, rng=5)
    two = variance_intervals(fit, method="bootstrap", n_samples=200, rng=np.random.default_rng(5))
    pd.testing.assert_frame_equal(one, two)
    assert (one["ci_low"] < one["estimate"]).all()
    assert (one["estimate"] < one["ci_high"]).all()
    assert not [name for name in one.index if name.startswith("ICC")]
    profile = variance_intervals(fit)
    # two methods of one answer: the same order of magnitude
    assert (np.abs(np.log(one["ci_high"] / profile["ci_high"])) < np.log(2)).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"method": "wald"}, "allowed"), ({"method": "bootstrap"}, "seed"), ({"level": 95}, "level")],
)
def test_choices_that_are_not_allowed(arguments, said, data):
    with pytest.raises(ModelError, match=said):
        variance_intervals(fit_mixed(FORMULAS["intercept"], data), **arguments)
    with pytest.raises(ModelError, match="no random effects"):
        variance_intervals(fit_mmrm("y ~ arm + cs(visit | subject)", data))


def test_residuals_are_standardised_by_their_covariance(data):
    fit = fit_mixed(FORMULAS["slope"], data.sample(frac=1, random_state=2))
    table = residual_table(fit)
    estimate = fit.variance["estimate"]
    psi = np.array([[estimate.iloc[0], estimate.iloc[1]], [estimate.iloc[1], estimate.iloc[2]]])
    for _, rows in fit.design.frame.assign(row=range(len(table))).groupby("subject"):
        z = np.column_stack([np.ones(len(rows)), rows["week"]])
        v = z @ psi @ z.T + estimate["Residual"] * np.eye(len(rows))
        marginal = table["marginal"].to_numpy()[rows["row"]]
        np.testing.assert_allclose(
            table["pearson"].to_numpy()[rows["row"]], marginal / np.sqrt(np.diag(v)), rtol=1e-8
        )
        np.testing.assert_allclose(
            table["normalized"].to_numpy()[rows["row"]],
            np.linalg.solve(np.linalg.cholesky(v), marginal),
            rtol=1e-8,
        )
    np.testing.assert_allclose(table["conditional"], fit.residuals)


@pytest.mark.parametrize("structure", ["us", "toep", "adh"])
def test_normalized_residuals_add_up(structure, data):
    """At a restricted optimum r'V^-1 r = n - p, whatever the structure with a free scale."""
    fit = fit_mmrm(f"y ~ arm * visit + {structure}(visit | subject)", data)
    table = residual_table(fit)
    assert (table["normalized"] ** 2).sum() == pytest.approx(
        fit.n_observations - fit.design.rank, rel=1e-6
    )


@pytest.mark.parametrize("formula", [FORMULAS["slope"], "y ~ arm + visit + ar1h(visit | subject)"])
def test_leaving_a_person_out_is_a_new_fit(formula, data):
    fit = (fit_mmrm if "ar1h" in formula else fit_mixed)(formula, data)
    table = leave_one_out(fit)
    assert len(table) == fit.n_subjects
    for name in table.index[[0, 11]]:
        again = (fit_mmrm if "ar1h" in formula else fit_mixed)(
            formula, data[data["subject"] != name]
        )
        moved = fit.estimates["estimate"] - again.estimates["estimate"]
        cook = moved @ np.linalg.inv(fit.covariance) @ moved / len(moved)
        assert table.loc[name, "cooks_distance"] == pytest.approx(cook, rel=1e-4)
        assert table.loc[name, "p arm[drug]"] == pytest.approx(
            again.estimates.loc["arm[drug]", "p"], rel=1e-5
        )
        assert table.loc[name, "change arm[drug]"] == pytest.approx(
            moved["arm[drug]"] / fit.estimates.loc["arm[drug]", "se"], rel=1e-4, abs=1e-7
        )


def test_an_outlier_is_the_most_influential(data):
    odd = data.assign(y=data["y"] + 8.0 * (data["subject"] == "s03") * data["week"])
    table = leave_one_out(fit_mixed(FORMULAS["intercept"], odd))
    assert table["cooks_distance"].idxmax() == "s03"
