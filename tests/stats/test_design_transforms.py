"""Polynomials, scaled covariates and splines in formulas, against lme4 (mixed_transforms.R)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.errors import ModelError
from connectrial.stats.design import build_design
from connectrial.stats.edgewise import fit_edges
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.mmrm import fit_mmrm

FORMULAS = {
    "poly": "y ~ poly(week, 2) * arm + (1 | subject)",
    "scale": "y ~ scale(day) * arm + (scale(day) | subject)",
    "center": "y ~ center(day) + arm + (1 | subject)",
    "spline": "y ~ bs(day, df=4) + arm + (1 | subject)",
}


@pytest.fixture(scope="module")
def data(reference):
    return pd.read_csv(reference / "mixed_slopes_data.csv").assign(
        arm=lambda t: pd.Categorical(t["arm"], ["placebo", "drug"])
    )


@pytest.mark.parametrize("case", FORMULAS)
def test_transformations_are_those_of_r(case, data, reference):
    """Deviance to 1e-6, estimate and SE to 1e-4 of an SE (lme4 stops early), df to 1e-3."""
    oracle = pd.read_csv(reference / "mixed_transforms.csv", keep_default_na=False, na_values="NA")
    oracle = oracle[oracle["case"] == case]
    fit = fit_mixed(FORMULAS[case], data)
    deviance = oracle.loc[oracle["kind"] == "deviance", "estimate"].iloc[0]
    assert fit.deviance == pytest.approx(deviance, abs=1e-6)
    expected = oracle[oracle["kind"] == "coefficient"]
    se = expected["se"].to_numpy()
    assert len(se) == len(fit.estimates)
    # R and formulaic list the columns of an interaction in the same order
    np.testing.assert_array_less(
        np.abs(fit.estimates["estimate"] - expected["estimate"].to_numpy()) / se, 1e-4
    )
    np.testing.assert_allclose(fit.estimates["se"], se, rtol=1e-4)
    np.testing.assert_allclose(fit.estimates["df"], expected["df"], atol=2e-3)
    f = oracle[oracle["kind"] == "F"]
    found = fit.f_tests("I")
    np.testing.assert_allclose(found["statistic"], f["statistic"], rtol=1e-4)
    np.testing.assert_allclose(found["p"], f["p"], rtol=1e-3)


@pytest.mark.parametrize("formula", FORMULAS.values())
def test_what_a_transformation_learns_comes_from_the_complete_rows(formula, data):
    holed = data.copy()
    holed.loc[[3, 40], "y"] = np.nan
    holed.loc[7, ["day", "week"]] = np.nan
    one = fit_mixed(formula, holed)
    two = fit_mixed(formula, holed.dropna())
    pd.testing.assert_frame_equal(
        one.estimates.drop(columns="flags"), two.estimates.drop(columns="flags"), rtol=1e-9
    )
    assert one.design.dropped["y"] == 2


def test_every_edge_has_the_transformed_covariate(data):
    values = data[["y", "y"]].to_numpy() * [1.0, 2.0]
    fits = fit_edges(values, FORMULAS["poly"], data)
    single = fit_mixed(FORMULAS["poly"], data)
    np.testing.assert_allclose(fits.estimate[:, 0], single.estimates["estimate"], rtol=1e-6)
    np.testing.assert_allclose(fits.statistic[:, 1], single.estimates["statistic"], rtol=1e-5)


def test_marginal_means_keep_what_the_transformation_learnt(data):
    """A centred covariate at its mean is zero: the means are those of the plain covariate."""
    scaled = fit_mixed(FORMULAS["center"], data).marginal_means("arm")
    plain = fit_mixed("y ~ day + arm + (1 | subject)", data).marginal_means("arm")
    np.testing.assert_allclose(scaled["estimate"], plain["estimate"], rtol=1e-8)
    np.testing.assert_allclose(scaled["se"], plain["se"], rtol=1e-8)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("y ~ poly(wek, 2) + (1 | subject)", "no column 'wek' in the data; did you mean 'week'"),
        ("y ~ scale(arm) + (1 | subject)", r"Unable to evaluate factor `scale\(arm\)`"),
        ("y ~ bs(day, df=2) + (1 | subject)", r"Unable to evaluate factor `bs\(day, df=2\)`"),
        ("y ~ lag(day) + (1 | subject)", r"column 'lag\(day\)' is nan"),
    ],
)
def test_a_term_that_cannot_be_evaluated_is_named(formula, said, data):
    with pytest.raises(ModelError, match=said):
        fit_mixed(formula, data)


def test_levels_made_of_a_number_have_no_mean(data):
    fit = fit_mixed("y ~ C(week) + arm + (1 | subject)", data)
    with pytest.raises(ModelError, match="give the column as text or as a Categorical"):
        fit.marginal_means("arm")


def test_an_intercept_alone(data):
    assert build_design("y ~ 1", data[["y"]]).columns == ("Intercept",)
    assert build_design("1", data).matrix.shape == (len(data), 1)
    # edges that bring their outcome along, with no variable at all
    values = data[["y"]].to_numpy()
    fits = fit_edges(values, "y ~ 1", data)
    assert fits.estimate[0, 0] == pytest.approx(values.mean())
    assert fit_mmrm("y ~ 1 + cs(visit | subject)", data).estimates.index.tolist() == ["Intercept"]
