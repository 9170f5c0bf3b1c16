"""Random-intercept models against lme4 1.1-31, lmerTest 3.1-3 and emmeans (mixed_intercept.R)."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.errors import ModelError
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.terms import fit_terms

FORMULAS = {
    "interior": ("trial", "y ~ visit * group + age + (1 | subject)", True),
    "ml": ("trial", "y ~ visit * group + age + (1 | subject)", False),
    "boundary": ("trial", "flat ~ visit * group + (1 | subject)", True),
    "nested": ("trial", "y ~ visit + visit:group + (1 | subject)", True),
    "slope by group": ("trial", "y ~ group * age + (1 | subject)", True),
    "siegel factors": ("siegel", "y ~ visit + visit:group + (1 | subject)", True),
}
SIEGEL_CODING = {
    "visit": {"pre": 0, "week2": 1},
    "group": {"responder": 0, "non-responder": 1},
}


@pytest.fixture(scope="module")
def tables(reference):
    data = pd.read_csv(reference / "mixed_intercept_data.csv")
    trial = data[data["set"] == "trial"].assign(
        visit=lambda t: pd.Categorical(t["visit"], ["pre", "week2", "week6"]),
        group=lambda t: pd.Categorical(t["group"], ["placebo", "ketamine"]),
    )
    siegel = data[data["set"] == "siegel"].assign(
        visit=lambda t: pd.Categorical(t["visit"], ["pre", "week2"]),
        group=lambda t: pd.Categorical(t["group"], ["responder", "non-responder"]),
    )
    return {"trial": trial, "siegel": siegel}


@pytest.fixture(scope="module")
def oracle(reference):
    return pd.read_csv(
        reference / "mixed_intercept.csv", keep_default_na=False, na_values=["NA", ""]
    )


def from_r(name: str) -> str:
    """R's names of coefficients in ours."""
    parts = []
    for part in name.replace("(Intercept)", "Intercept").split(":"):
        match = re.match(r"(visit|group|time|response)(?!01)(.+)", part)
        factor = {"time": "visit", "response": "group"}
        parts.append(f"{factor.get(match[1], match[1])}[{match[2]}]" if match else part)
    return ":".join(parts)


def fit_case(case, tables):
    table, formula, reml = FORMULAS[case]
    return fit_mixed(formula, tables[table], reml=reml)


@pytest.mark.parametrize("case", FORMULAS)
def test_coefficients_are_those_of_lmer_test(case, tables, oracle):
    fit = fit_case(case, tables)
    expected = oracle[(oracle["case"] == case) & (oracle["kind"] == "coefficient")]
    assert [from_r(name) for name in expected["term"]] == list(fit.estimates.index)
    se = expected["se"].to_numpy()
    ours = fit.estimates
    np.testing.assert_array_less(
        np.abs(ours["estimate"] - expected["estimate"].to_numpy()) / se, 1e-6
    )
    np.testing.assert_array_less(np.abs(ours["se"].to_numpy() - se) / se, 1e-6)
    np.testing.assert_allclose(ours["df"], expected["df"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(ours["p"], expected["p"], rtol=1e-4, atol=1e-12)
    assert set(ours["df_method"]) == {"satterthwaite"}


@pytest.mark.parametrize("case", FORMULAS)
def test_variances_deviance_and_predictions_are_those_of_lme4(case, tables, oracle):
    fit = fit_case(case, tables)
    expected = oracle[oracle["case"] == case].set_index("kind")
    variances = expected.loc["variance"].set_index("term")["estimate"]
    np.testing.assert_allclose(
        fit.variance["estimate"], variances[["subject", "Residual"]], rtol=1e-5, atol=1e-12
    )
    assert fit.deviance == pytest.approx(expected.loc["deviance", "estimate"], abs=1e-8)
    effects = expected.loc["ranef"]
    assert list(fit.random_effects["level"]) == list(effects["term"])
    np.testing.assert_allclose(
        fit.random_effects["estimate"], effects["estimate"], rtol=1e-5, atol=1e-9
    )


@pytest.mark.parametrize("type_", ["I", "II", "III"])
@pytest.mark.parametrize("case", ["interior", "ml", "boundary", "slope by group"])
def test_f_tests_are_those_of_lmer_test(case, type_, tables, oracle):
    found = fit_case(case, tables).f_tests(type_)
    expected = oracle[(oracle["case"] == case) & (oracle["kind"] == f"anova{type_}")]
    found = found.loc[expected["term"]]
    np.testing.assert_array_equal(found["df_numerator"], expected["df_numerator"])
    np.testing.assert_allclose(found["df"], expected["df"], atol=1e-3)
    np.testing.assert_allclose(found["statistic"], expected["statistic"], rtol=1e-5)
    np.testing.assert_allclose(found["p"], expected["p"], rtol=1e-4)


def test_marginal_means_are_those_of_emmeans(tables, oracle):
    fit = fit_case("interior", tables)
    expected = oracle[(oracle["case"] == "interior") & (oracle["kind"] == "mean")].set_index("term")
    cells = fit.marginal_means(["visit", "group"])
    names = cells["visit"] + " " + cells["group"]
    for name, (_, row) in zip(names, cells.iterrows(), strict=True):
        assert row["estimate"] == pytest.approx(expected.loc[name, "estimate"], abs=1e-7)
        assert row["se"] == pytest.approx(expected.loc[name, "se"], rel=1e-6)
        assert row["df"] == pytest.approx(expected.loc[name, "df"], abs=1e-3)
    visits = fit.marginal_means("visit")
    np.testing.assert_allclose(
        visits["estimate"], expected.loc[list(visits["visit"]), "estimate"], atol=1e-7
    )
    assert "averaged over group (placebo, ketamine), equal weights" in visits["reference_grid"][0]
    assert "age = " in visits["reference_grid"][0]


def test_joint_contrast_is_that_of_lmer_test(tables, oracle):
    rows = np.zeros((2, 7))
    # R orders the columns: visit, group, age, interactions; so do we
    rows[0, 5], rows[1, [1, 2, 6]] = 1, [1, -1, 0.5]
    found = fit_case("interior", tables).contrast(rows, joint="yes").iloc[0]
    expected = oracle[oracle["kind"] == "joint"].iloc[0]
    assert found["df"] == pytest.approx(expected["df"], abs=1e-3)
    assert found["statistic"] == pytest.approx(expected["statistic"], rel=1e-5)
    assert found["p"] == pytest.approx(expected["p"], rel=1e-4)


def test_three_columns_of_a_coded_responder_model(tables, oracle):
    """21 people, 40 rows, `time + time:response` with 0/1 coding: residual df 40 - 3 = 37."""
    fit = fit_terms(
        tables["siegel"],
        "y",
        fixed=["visit", "visit:group"],
        random=["1 | subject"],
        coding=SIEGEL_CODING,
        df="residual",
    )
    expected = oracle[(oracle["case"] == "siegel") & (oracle["kind"] == "coefficient")]
    assert list(fit.estimates.index) == ["Intercept", "visit", "visit:group"]
    assert (fit.n_observations, fit.n_subjects) == (40, 21)
    assert set(fit.estimates["df"]) == {37.0}
    np.testing.assert_allclose(fit.estimates["estimate"], expected["estimate"], atol=1e-8)
    satterthwaite = fit.with_df("satterthwaite").estimates
    np.testing.assert_allclose(satterthwaite["df"], expected["df"], atol=1e-3)
    np.testing.assert_allclose(satterthwaite["p"], expected["p"], rtol=1e-4)
    assert (
        fit.test("group:visit")["estimate"].iloc[0] == fit.estimates.loc["visit:group", "estimate"]
    )


def test_a_boundary_fit_is_flagged_and_has_residual_df(tables):
    fit = fit_case("boundary", tables)
    assert fit.singular
    assert fit.variance.loc["subject", "estimate"] == 0.0
    np.testing.assert_allclose(fit.estimates["df"], fit.n_observations - fit.design.rank)
    assert fit.estimates["flags"].str.contains("singular").all()


def test_no_degrees_of_freedom_means_normal(tables):
    row = fit_case("interior", tables).with_df("none").estimates.loc["age"]
    z = abs(row["estimate"] / row["se"])
    import statistics

    assert row["p"] == pytest.approx(2 * statistics.NormalDist().cdf(-z), rel=1e-9)
    assert row["ci_high"] - row["estimate"] == pytest.approx(1.959963984540054 * row["se"])


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    shift=st.floats(-1e4, 1e4),
    factor=st.floats(1e-3, 1e3),
)
def test_laws(seed, shift, factor):
    """Row order and level names change nothing; the outcome's unit scales estimates and SE."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "subject": np.repeat([f"s{i}" for i in range(9)], 3),
            "time": pd.Categorical(np.tile(["a", "b", "c"], 9)),
            "y": np.repeat(rng.normal(size=9), 3) + rng.normal(size=27),
        }
    )
    formula = "y ~ time + (1 | subject)"
    one = fit_mixed(formula, data).estimates
    other = data.sample(frac=1, random_state=seed).assign(
        y=lambda t: t["y"] * factor + shift,
        time=lambda t: t["time"].cat.rename_categories({"a": "x", "b": "y", "c": "z"}),
        subject=lambda t: "p" + t["subject"],
    )
    two = fit_mixed(formula, other).estimates
    np.testing.assert_allclose(two["se"], one["se"] * factor, rtol=1e-6)
    np.testing.assert_allclose(two["df"], one["df"], rtol=1e-5)
    np.testing.assert_allclose(
        two["estimate"][1:], one["estimate"][1:] * factor, atol=1e-6 * one["se"].max() * factor
    )
    np.testing.assert_allclose(
        two["estimate"].iloc[0],
        one["estimate"].iloc[0] * factor + shift,
        atol=1e-6 * one["se"].max() * factor + 1e-12 * abs(shift),
    )


def frame(**changes):
    rng = np.random.default_rng(3)
    data = pd.DataFrame(
        {
            "subject": np.repeat([f"s{i}" for i in range(8)], 2),
            "time": pd.Categorical(np.tile(["pre", "post"], 8), ["pre", "post"]),
            "arm": pd.Categorical(np.repeat(["a", "b"], 8), ["a", "b"]),
            "age": np.repeat(rng.normal(40, 9, 8), 2),
            "y": np.repeat(rng.normal(size=8), 2) + rng.normal(size=16),
        }
    )
    return data.assign(**changes)


@pytest.mark.parametrize(
    ("changes", "formula", "said"),
    [
        ({"y": 1.5}, "y ~ time + (1 | subject)", "constant"),
        ({"subject": "s1"}, "y ~ time + (1 | subject)", "one level only"),
        ({"subject": [f"s{i}" for i in range(16)]}, "y ~ time + (1 | subject)", "residual"),
        ({"time": "pre"}, "y ~ time + (1 | subject)", "only one level"),
        ({"age": np.inf}, "y ~ age + (1 | subject)", "infinite"),
        ({"y": [np.inf] + [0.0] * 15}, "y ~ time + (1 | subject)", "infinite"),
        ({"y": "high"}, "y ~ time + (1 | subject)", "text"),
        ({"age": np.nan}, "y ~ age + (1 | subject)", "no row is complete"),
        ({}, "y ~ tiem + (1 | subject)", "did you mean 'time'"),
        ({}, "z ~ time + (1 | subject)", "'z'"),
        ({}, "y ~ time + (1 | subject", "brackets"),
        ({}, "y ~ time + 1 | subject", "brackets"),
        ({}, "~ time + (1 | subject)", "left side"),
        ({"y": np.repeat(np.arange(8.0), 2)}, "y ~ 1 + (1 | subject)", "same"),
    ],
)
def test_bad_input_is_a_model_error(changes, formula, said):
    with pytest.raises(ModelError, match=said):
        fit_mixed(formula, frame(**changes))


def test_an_unknown_df_method_is_refused():
    with pytest.raises(ModelError, match="satterthwaite"):
        fit_mixed("y ~ time + (1 | subject)", frame(), df="containment")


def test_collinear_columns_are_named_and_flagged():
    data = frame()
    fit = fit_mixed("y ~ age + twice + (1 | subject)", data.assign(twice=2 * data["age"]))
    assert np.isnan(fit.estimates.loc["twice", "estimate"])
    assert "determined by age" in fit.estimates.loc["twice", "flags"]
    assert "confounded with twice" in fit.estimates.loc["age", "flags"]
    alone = fit_mixed("y ~ age + (1 | subject)", data)
    assert fit.estimates.loc["age", "p"] == pytest.approx(alone.estimates.loc["age", "p"])
    assert np.isnan(fit.contrast({"twice": 1.0})["estimate"].iloc[0])
    # what the two say together can be estimated
    assert fit.contrast({"age": 1.0, "twice": 2.0})["estimate"].iloc[0] == pytest.approx(
        alone.estimates.loc["age", "estimate"]
    )


def test_an_empty_level_is_named():
    data = frame()
    data["time"] = data["time"].cat.set_categories(["pre", "post", "week6"])
    fit = fit_mixed("y ~ time * arm + (1 | subject)", data)
    assert fit.design.empty_levels == {"time": ("week6",)}
    assert "no observations at time 'week6'" in fit.estimates.loc["time[week6]", "flags"]
    assert fit.estimates.loc["time[post]", "flags"] == ""
    with pytest.raises(ModelError, match="type III"):
        fit.f_tests("III")
    assert "1 of 2 rows" in fit.test("arm:time")["flags"].iloc[0]


def test_a_missing_covariate_is_flagged_in_every_row():
    data = frame()
    data.loc[[0, 1, 6], "age"] = np.nan
    fit = fit_mixed("y ~ time + age + (1 | subject)", data)
    assert fit.design.dropped == {"age": 3}
    assert fit.n_observations == 13
    assert fit.estimates["flags"].str.contains("3 rows left out: age is missing").all()
    assert "3 of 16 rows left out" in str(fit)


def test_an_arm_with_a_single_person_is_flagged():
    arm = pd.Categorical(["a"] * 14 + ["b"] * 2)
    fit = fit_mixed("y ~ time * arm + (1 | subject)", frame(arm=arm))
    assert "arm 'b' is a single subject" in fit.estimates.loc["arm[b]", "flags"]
    assert "single" not in fit.estimates.loc["time[post]", "flags"]


def test_residuals_and_fitted_values_add_up(tables):
    fit = fit_case("interior", tables)
    y = tables["trial"]["y"].dropna()
    np.testing.assert_allclose(fit.fitted + fit.residuals, y)
    assert list(fit.fitted.index) == list(y.index)
