"""Firth's logistic regression against brglm2 0.9 and R 4.2.2's optim."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special

from connectrial.errors import InputError, ModelError
from connectrial.stats.logistic import fit_firth

FORMULAS = ("dizzy ~ auc + sex", "response ~ auc + age", "rare ~ sex + age")
R_NAMES = {"Intercept": "(Intercept)", "sex[m]": "sexm"}


@pytest.fixture(scope="module")
def people(reference):
    return pd.read_csv(reference / "firth_people.csv")


@pytest.fixture(scope="module")
def oracle(reference):
    table = pd.read_csv(reference / "firth.csv")
    return lambda what: table.loc[table["what"] == what].set_index("value")["number"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_equals_r(people, oracle, formula):
    # the second outcome is separated completely, the third by one level: Firth stays finite
    fit = fit_firth(formula, people)
    for term, row in fit.estimates.iterrows():
        expected = oracle(f"{formula} | {R_NAMES.get(term, term)}")
        assert row["estimate"] == pytest.approx(expected["estimate"], rel=1e-6), term
        assert row["se"] == pytest.approx(expected["se"], rel=1e-6), term
        # R's optimiser carries the limits and the test to about six digits
        assert row["statistic"] == pytest.approx(expected["statistic"], rel=1e-5, abs=1e-6), term
        width = expected["ci_high"] - expected["ci_low"]
        assert row["ci_low"] == pytest.approx(expected["ci_low"], abs=1e-5 * width), term
        assert row["ci_high"] == pytest.approx(expected["ci_high"], abs=1e-5 * width), term


def test_one_proportion_is_the_half_added_to_either_count():
    # Firth (1993): an intercept alone estimates log((y + 1/2) / (n - y + 1/2))
    table = pd.DataFrame({"response": [True] * 3 + [False] * 8})
    fit = fit_firth("response ~ 1", table)
    assert fit.estimates["estimate"].item() == pytest.approx(np.log(3.5 / 8.5), rel=1e-10)
    assert fit.intercept_unbiased == pytest.approx(np.log(3 / 8), rel=1e-10)


def test_two_groups_are_the_half_added_to_every_cell():
    table = pd.DataFrame({"response": [1] * 9 + [0] * 4 + [0] * 7, "arm": ["b"] * 13 + ["a"] * 7})
    row = fit_firth("response ~ arm", table).estimates.loc["arm[b]"]
    assert row["estimate"] == pytest.approx(np.log(9.5 * 7.5 / (4.5 * 0.5)), rel=1e-8)
    assert row["se"] == pytest.approx(np.sqrt(1 / 9.5 + 1 / 4.5 + 1 / 0.5 + 1 / 7.5), rel=0.1)
    assert row["odds_ratio"] == pytest.approx(9.5 * 7.5 / (4.5 * 0.5), rel=1e-8)


@pytest.mark.parametrize("formula", FORMULAS)
def test_predicted_share_is_the_observed_one_with_the_unbiased_intercept(people, formula):
    fit = fit_firth(formula, people)
    beta = fit.estimates["estimate"].to_numpy().copy()
    beta[0] = fit.intercept_unbiased
    assert special.expit(fit.design.matrix @ beta).sum() == pytest.approx(fit.n_events, abs=1e-8)


def test_interval_and_test_agree(people):
    for formula in FORMULAS:
        rows = fit_firth(formula, people).estimates
        assert ((rows["p"] < 0.05) == ((rows["ci_low"] > 0) | (rows["ci_high"] < 0))).all()


def test_laws(people):
    fit = fit_firth("dizzy ~ auc + sex", people)
    moved = people.assign(auc=people["auc"] / 1000 - 5).sample(frac=1, random_state=0)
    other = fit_firth("dizzy ~ auc + sex", moved)
    for column in ("estimate", "ci_low", "ci_high"):
        assert other.estimates.loc["auc", column] == pytest.approx(
            1000 * fit.estimates.loc["auc", column], rel=1e-6
        )
    assert other.estimates.loc["sex[m]", "p"] == pytest.approx(
        fit.estimates.loc["sex[m]", "p"], rel=1e-6
    )
    turned = fit_firth("dizzy ~ auc + sex", people.assign(dizzy=1 - people["dizzy"]))
    np.testing.assert_allclose(turned.estimates["estimate"], -fit.estimates["estimate"], rtol=1e-6)
    np.testing.assert_allclose(turned.estimates["p"], fit.estimates["p"], rtol=1e-6)


def test_missing_rows_are_counted_and_the_intercept_carries_its_note(people):
    outcome = people["dizzy"].astype("boolean")
    outcome[4] = pd.NA
    fit = fit_firth("dizzy ~ auc", people.assign(dizzy=outcome))
    assert fit.n_observations == len(people) - 1
    assert fit.estimates["flags"].str.contains("1 incomplete rows left out").all()
    assert "towards 1/2" in fit.estimates.loc["Intercept", "flags"]


@pytest.mark.parametrize(
    ("formula", "changes", "error", "says"),
    [
        ("nausea ~ auc", {}, InputError, "must name a column"),
        ("auc ~ age", {}, InputError, "must be True/False or 1/0"),
        ("sex ~ age", {}, InputError, "must be True/False or 1/0"),
        ("dizzy ~ auc", {"dizzy": 1}, ModelError, "have dizzy = True"),
        ("dizzy ~ auc + twice", {"twice": "auc"}, ModelError, "twice not estimable"),
    ],
)
def test_refuses(people, formula, changes, error, says):
    table = people.assign(**{k: people.get(v, v) for k, v in changes.items()})
    with pytest.raises(error, match=says):
        fit_firth(formula, table)


def test_a_fit_can_be_read(people):
    said = str(fit_firth("response ~ auc + age", people))
    assert "events in" in said.splitlines()[0]
    assert "Intercept for predicted risks" in said
    assert "read risks from intercept_unbiased" in said


def test_an_arm_with_a_single_person_is_flagged():
    table = pd.DataFrame({"e": [1, 0, 1, 0, 1, 0, 1], "arm": ["a"] * 6 + ["b"]})
    flags = fit_firth("e ~ arm", table).estimates["flags"]
    assert "arm 'b' is a single person" in flags["arm[b]"]
