"""Slopes, nested and crossed groupings against lme4, lmerTest, pbkrtest (mixed_slopes.R)."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from connectrial.errors import ModelError
from connectrial.stats.mixed import fit_mixed

FORMULAS = {
    "intercept": "y ~ visit * arm + (1 | subject)",
    "correlated": "y ~ week * arm + (week | subject)",
    "correlated ml": "y ~ week * arm + (week | subject)",
    "uncorrelated": "y ~ week * arm + (week || subject)",
    "continuous times": "y ~ day * arm + (day | subject)",
    "slope only": "y ~ week * arm + (0 + week | subject)",
    "nested": "y ~ visit * arm + (1 | site / subject)",
    "crossed": "y ~ visit + arm + (1 | subject) + (1 | rater)",
    "all": "y ~ week * arm + (week | subject) + (1 | rater) + (1 | site)",
    "tied": "tied ~ week * arm + (week | subject)",
}
RESTRICTED = [case for case in FORMULAS if case != "correlated ml"]
# lme4 stops where its own criterion is this much above the minimum; there, estimates differ too
LOOSE = {"all": 1e-5, "tied": 1e-5}


@pytest.fixture(scope="module")
def data(reference):
    return pd.read_csv(reference / "mixed_slopes_data.csv").assign(
        arm=lambda t: pd.Categorical(t["arm"], ["placebo", "drug"]),
        visit=lambda t: pd.Categorical(t["visit"], ["w0", "w1", "w2", "w4"]),
    )


@pytest.fixture(scope="module")
def oracle(reference):
    return pd.read_csv(reference / "mixed_slopes.csv", keep_default_na=False, na_values=["NA", ""])


@pytest.fixture(scope="module")
def fits(data):
    return {
        case: fit_mixed(formula, data, reml=case != "correlated ml")
        for case, formula in FORMULAS.items()
    }


def part(oracle, case, kind):
    found = oracle[(oracle["case"] == case) & (oracle["kind"] == kind)]
    assert len(found)
    return found


def check_coefficients(table, expected, tolerance):
    names = [
        re.sub(r"(visit|arm)(w\d|drug)", r"\1[\2]", name.replace("(Intercept)", "Intercept"))
        for name in expected["term"]
    ]
    assert names == list(table.index)
    se = expected["se"].to_numpy()
    np.testing.assert_array_less(
        np.abs(table["estimate"] - expected["estimate"].to_numpy()) / se, tolerance
    )
    np.testing.assert_array_less(np.abs(table["se"].to_numpy() - se) / se, tolerance)
    np.testing.assert_allclose(table["df"], expected["df"], atol=1e-3)
    np.testing.assert_allclose(table["p"], expected["p"], rtol=2e-4)


@pytest.mark.parametrize("case", FORMULAS)
def test_deviance_is_never_above_that_of_lme4(case, fits, oracle):
    expected = part(oracle, case, "deviance")["estimate"].iloc[0]
    assert fits[case].deviance == pytest.approx(expected, abs=1e-6)
    assert fits[case].deviance < expected + 1e-9


@pytest.mark.parametrize("case", FORMULAS)
def test_coefficients_are_those_of_lmer_test(case, fits, oracle):
    check_coefficients(
        fits[case].estimates, part(oracle, case, "coefficient"), LOOSE.get(case, 1e-6)
    )


@pytest.mark.parametrize("case", RESTRICTED)
def test_kenward_roger_is_that_of_pbkrtest(case, fits, oracle):
    fit = fits[case].with_df("kenward-roger-expected")
    expected = part(oracle, case, "kenward-roger-expected")
    check_coefficients(fit.estimates, expected, LOOSE.get(case, 3e-6))
    assert set(fit.estimates["df_method"]) == {"kenward-roger-expected"}


@pytest.mark.parametrize(
    ("kind", "df"),
    [("anova", "satterthwaite"), ("anova kenward-roger-expected", "kenward-roger-expected")],
)
@pytest.mark.parametrize("case", RESTRICTED)
def test_f_tests_are_those_of_lmer_test(case, kind, df, fits, oracle):
    expected = part(oracle, case, kind)
    found = fits[case].with_df(df).f_tests("III").loc[expected["term"]]
    np.testing.assert_allclose(found["df"], expected["df"], atol=2e-3)
    np.testing.assert_allclose(found["statistic"], expected["statistic"], rtol=3e-5)
    np.testing.assert_allclose(found["p"], expected["p"], rtol=2e-4)


@pytest.mark.parametrize("case", FORMULAS)
def test_variance_components_are_those_of_lme4(case, fits, oracle):
    expected = part(oracle, case, "variance")
    ours = fits[case].variance
    for _, row in expected.iterrows():
        group, first, second = re.sub(r"\.\d ", " ", row["term"]).split(" ")
        group = ":".join(reversed(group.split(":")))
        names = {
            "" if name == "NA" else name.replace("(Intercept)", "Intercept")
            for name in (first, second)
        } | {""}
        match = [
            value
            for g, a, b, value in ours[["group", "effect", "effect_2", "estimate"]].itertuples(
                index=False
            )
            if g == group and {a, b, ""} == names
        ]
        assert match == [pytest.approx(row["estimate"], rel=1e-4, abs=1e-9)]


@pytest.mark.parametrize("case", ["correlated", "continuous times", "nested", "all"])
def test_predictions_are_those_of_lme4(case, fits, oracle):
    expected = part(oracle, case, "ranef").set_index("term")["estimate"]
    for row in fits[case].random_effects.itertuples():
        group = ":".join(reversed(row.group.split(":")))
        level = ":".join(reversed(row.level.split(":")))
        effect = row.effect.replace("Intercept", "(Intercept)")
        assert row.estimate == pytest.approx(expected[f"{group} {level} {effect}"], abs=2e-5)
    assert len(fits[case].random_effects) == len(expected)


def test_a_correlation_of_one_is_flagged(fits):
    assert fits["tied"].singular
    assert (
        fits["tied"].estimates["flags"].str.contains("singular: random effects are collinear").all()
    )
    assert abs(fits["tied"].variance["sd_or_correlation"].iloc[1]) == pytest.approx(1, abs=1e-9)
    assert not fits["correlated"].singular


def test_observed_information_is_another_kenward_roger(fits):
    """With V linear, second derivatives are zero; one-row df are Satterthwaite's."""
    fit = fits["correlated"]
    observed = fit.with_df("kenward-roger").estimates
    linear = fit.with_df("kenward-roger-linear").estimates
    np.testing.assert_allclose(observed["se"], linear["se"])
    np.testing.assert_allclose(observed["df"], fit.estimates["df"], rtol=1e-6)
    assert (observed["se"] > fit.estimates["se"]).all()


def test_kenward_roger_needs_restricted_likelihood(fits):
    with pytest.raises(ModelError, match="reml=True"):
        fits["correlated ml"].with_df("kenward-roger")


def test_between_within_needs_one_grouping(fits):
    with pytest.raises(ModelError, match="one grouping"):
        fits["crossed"].with_df("between-within")
    table = fits["correlated"].with_df("between-within").estimates
    n, people = fits["correlated"].n_observations, fits["correlated"].n_subjects
    assert table.loc["arm[drug]", "df"] == people - 2
    assert table.loc["week", "df"] == n - people - 2
    assert table.loc["Intercept", "df"] == n - people - 2


def test_a_shift_of_time_changes_nothing_but_the_parametrisation(data, fits):
    moved = fit_mixed("y ~ later * arm + (later | subject)", data.assign(later=data["week"] + 50))
    assert moved.deviance == pytest.approx(fits["correlated"].deviance, abs=1e-6)
    assert moved.estimates.loc["later", "df"] == pytest.approx(
        fits["correlated"].estimates.loc["week", "df"], rel=1e-5
    )


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("y ~ week + (visit || subject)", "numeric variables only"),
        ("y ~ week + (visit | subject)", "cannot be told from the residual"),
        ("y ~ week + (week | subject) + (1 | subject)", "given twice"),
        ("y ~ week + (week + twice | subject)", "depend on each other"),
        ("y ~ week + us(visit | subject)", "fit_mmrm"),
    ],
)
def test_random_terms_that_cannot_be_fitted(formula, said, data):
    with pytest.raises(ModelError, match=said):
        fit_mixed(formula, data.assign(twice=2 * data["week"]))


@pytest.mark.parametrize("case", ["correlated", "uncorrelated", "nested", "crossed"])
def test_laws(case, data, fits):
    """Row order, the names of people and levels, and units of the outcome change nothing else."""
    one = fits[case].with_df("kenward-roger-expected").estimates
    other = data.sample(frac=1, random_state=2).assign(
        y=lambda t: 300 - 20 * t["y"],
        subject=lambda t: "p" + t["subject"].str[::-1],
        site=lambda t: "x" + t["site"].str[::-1],
        rater=lambda t: "z" + t["rater"].str[::-1],
        arm=lambda t: t["arm"].cat.rename_categories({"placebo": "zz", "drug": "aa"}),
    )
    two = fit_mixed(FORMULAS[case], other).with_df("kenward-roger-expected").estimates
    np.testing.assert_allclose(two["se"], 20 * one["se"], rtol=1e-5)
    np.testing.assert_allclose(two["df"], one["df"], rtol=1e-4)
    tolerance = 1e-5 * one["se"].iloc[1:].max() * 20
    np.testing.assert_allclose(
        two["estimate"].iloc[1:], -20 * one["estimate"].iloc[1:], rtol=1e-5, atol=tolerance
    )
