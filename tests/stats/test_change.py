"""ANCOVA, crossover and equivalence against R 4.2.2 lm and t.test, emmeans 1.8.4-1."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.errors import InputError, ModelError
from connectrial.stats.ancova import ancova
from connectrial.stats.compare import compare_groups
from connectrial.stats.crossover import crossover
from connectrial.stats.equivalence import equivalence, non_inferiority

CROSSOVER = {
    "outcome": "score",
    "subject": "subject",
    "period": "period",
    "treatment": "treatment",
    "reference": "placebo",
}
ANCOVA = {"outcome": "change", "baseline": "pre", "group": "arm"}


@pytest.fixture(scope="module")
def oracle(reference):
    table = pd.read_csv(reference / "anova.csv")
    return lambda what: table.loc[table["what"] == what].set_index("value")["number"]


@pytest.fixture
def people(reference):
    table = pd.read_csv(reference / "anova_change.csv", dtype={"subject": str})
    return table.assign(change=table["week2"] - table["pre"])


@pytest.fixture
def periods(reference):
    return pd.read_csv(reference / "anova_crossover.csv", dtype={"subject": str})


def same(row, expected, rtol=1e-9):
    got = row[expected.index].astype(float)
    np.testing.assert_allclose(got, expected, rtol=rtol)


def test_ancova_equals_r(oracle, people):
    result = ancova(people, **ANCOVA, covariates=["age"], reference="placebo")
    assert list(result.index) == [
        "drug - placebo", "mean[placebo]", "mean[drug]", "pre", "arm:pre"
    ]  # fmt: skip
    same(result.loc["drug - placebo"], oracle("ancova"))
    same(result.loc["mean[placebo]"], oracle("ancova mean placebo"))
    same(result.loc["mean[drug]"], oracle("ancova mean drug"))
    assert result.loc["arm:pre", "p"] == pytest.approx(oracle("ancova slopes")["p"], rel=1e-8)


def test_ancova_of_the_later_score_has_the_same_difference(people):
    by_change = ancova(people, **ANCOVA).loc["placebo - drug"]
    by_score = ancova(people, **{**ANCOVA, "outcome": "week2"}).loc["placebo - drug"]
    for column in ("estimate", "se", "p", "effect_size", "effect_size_ci_low"):
        assert by_change[column] == pytest.approx(by_score[column], rel=1e-9)
    assert by_change["effect_size_variant"] == "d_residual"
    assert (
        by_change["effect_size_ci_low"]
        < by_change["effect_size"]
        < by_change["effect_size_ci_high"]
    )


def test_ancova_counts_whom_it_leaves_out(people):
    people.loc[3, "pre"] = np.nan
    people.loc[5, "change"] = np.nan
    result = ancova(people, **ANCOVA)
    assert (result["n_left_out"] == 2).all()
    expected = ancova(people.drop([3, 5]), **ANCOVA)
    np.testing.assert_allclose(result["estimate"], expected["estimate"])


def test_ancova_averages_over_other_factors_in_equal_shares(people):
    site = people.assign(site=["a", "b", "a"] * 5 + ["b", "a"])
    result = ancova(site, **ANCOVA, covariates=["site"])
    gap = result.loc["mean[placebo]", "estimate"] - result.loc["mean[drug]", "estimate"]
    assert gap == pytest.approx(result.loc["placebo - drug", "estimate"])


@pytest.mark.parametrize(
    ("change", "settings", "error", "says"),
    [
        ({}, {"reference": "sham"}, InputError, "the groups are 'drug', 'placebo'"),
        ({}, {"covariates": ["weight"]}, InputError, "no column 'weight'"),
        ({"age": 3.0}, {"covariates": ["age"]}, ModelError, "depend on one another"),
        ({"change": 2.0}, {}, ModelError, "nothing is left to chance"),
        ({"arm": ["drug"] * 16 + ["sham"]}, {}, ModelError, "arm 'sham' has fewer than 2"),
    ],
)
def test_ancova_refuses(people, change, settings, error, says):
    with pytest.raises(error, match=says):
        ancova(people.assign(**change), **ANCOVA, **settings)


def test_crossover_equals_r(oracle, periods):
    result = crossover(periods, **CROSSOVER, baseline="baseline")
    same(result.loc["ketamine - placebo"], oracle("crossover treatmentketamine"))
    same(result.loc["period"], oracle("crossover period2"))
    same(result.loc["sequence"], oracle("crossover sequence"))
    same(result.loc["ketamine - placebo | baseline"], oracle("crossover baseline"))
    same(result.loc["ketamine - placebo, period 1"], oracle("crossover period 1"))


def test_crossover_effect_size_is_over_the_sd_of_a_persons_difference(periods):
    row = crossover(periods, **CROSSOVER).loc["ketamine - placebo"]
    wide = periods.pivot(index="subject", columns="period", values="score")
    first = periods[periods["period"] == 1].set_index("subject")["treatment"]
    gap = wide[1] - wide[2]
    parts = [gap[first == name] for name in ("ketamine", "placebo")]
    pooled = np.sqrt(sum(((p - p.mean()) ** 2).sum() for p in parts) / (len(gap) - 2))
    assert row["effect_size"] == pytest.approx(row["estimate"] / pooled)
    assert row["effect_size_variant"] == "d_z"


def test_crossover_without_a_period_effect_is_close_to_the_paired_test(periods):
    # with equal sequences and the period effect taken out they agree exactly in the estimate
    even = periods[~periods["subject"].isin(["01", "02"])]
    row = crossover(even, **CROSSOVER).loc["ketamine - placebo"]
    wide = even.pivot(index="subject", columns="treatment", values="score")
    paired = compare_groups(wide["ketamine"], wide["placebo"], paired=True).iloc[0]
    assert row["estimate"] == pytest.approx(paired["estimate"])


def test_crossover_keeps_first_periods_of_people_who_left(periods):
    left = periods[~((periods["subject"] == "03") & (periods["period"] == 2))]
    result = crossover(left, **CROSSOVER)
    assert (result["n_left_out"][:3] == 1).all()
    assert result["n_subjects"].tolist() == [13, 13, 13, 14]
    joined = crossover(periods, **CROSSOVER).loc["ketamine - placebo, period 1", "estimate"]
    assert result.loc["ketamine - placebo, period 1", "estimate"] == pytest.approx(joined)


@pytest.mark.parametrize(
    ("broken", "error", "says"),
    [
        (lambda t: t.replace("placebo", "saline"), InputError, "the reference 'placebo'"),
        (lambda t: t.assign(period=1 + t.index % 3), InputError, "there must be two"),
        (lambda t: pd.concat([t, t.head(1)]), InputError, "'01' has two rows in 1"),
        (lambda t: t.assign(treatment=["placebo"] * 2 + list(t["treatment"][2:])),
         InputError, "two periods of placebo"),
        (lambda t: t[t["subject"] < "09"], ModelError, "8 had 'placebo' second, 0 had it first"),
    ],
)  # fmt: skip
def test_crossover_refuses(periods, broken, error, says):
    with pytest.raises(error, match=says):
        crossover(broken(periods), **CROSSOVER)


def test_equivalence_equals_two_one_sided_tests(oracle, people):
    drug = people.loc[people["arm"] == "drug", "week2"]
    placebo = people.loc[people["arm"] == "placebo", "pre"] - 8
    row = equivalence(drug, placebo, low=-4, high=5).iloc[0]
    expected = oracle("tost")
    same(row, expected)
    assert row["p"] == max(expected["p_low"], expected["p_high"]) or row["p"] == pytest.approx(
        max(expected["p_low"], expected["p_high"])
    )
    assert row["ci_level"] == pytest.approx(0.9)


@pytest.mark.parametrize("high", [0.5, 2.0, 4.0, 8.0])
def test_equivalent_exactly_when_the_interval_lies_within(people, high):
    drug = people.loc[people["arm"] == "drug", "week2"]
    placebo = people.loc[people["arm"] == "placebo", "pre"] - 8
    row = equivalence(drug, placebo, low=-high, high=high).iloc[0]
    assert row["equivalent"] == (-high < row["ci_low"] and row["ci_high"] < high)


def test_non_inferiority_turns_with_the_direction_of_the_scale(people):
    a, b = people["week2"], people["pre"]
    worse_if_high = non_inferiority(a, b, margin=3, higher_is_better=False).iloc[0]
    mirrored = non_inferiority(-a, -b, margin=3, higher_is_better=True).iloc[0]
    assert worse_if_high["p"] == pytest.approx(mirrored["p"])
    assert worse_if_high["p"] == worse_if_high["p_high"]
    assert worse_if_high["non_inferior"] == (worse_if_high["ci_high"] < 3)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: equivalence([1, 2], [1, 3], low=1, high=-1), "low < high"),
        (lambda: equivalence([1, 2], [1, 3], low=-1, high=1, alpha=0.6), "alpha: got 0.6"),
        (lambda: non_inferiority([1, 2], [1, 3], margin=0, higher_is_better=True), "above 0"),
    ],
)
def test_margins_are_checked(call, says):
    with pytest.raises(InputError, match=says):
        call()


@pytest.mark.parametrize("paired", [False, True])
def test_tests_of_likeness_have_the_effect_size_of_the_comparison(paired):
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=12), rng.normal(size=12)
    compared = compare_groups(a, b, paired=paired, ci_level=0.9).iloc[0]
    columns = [name for name in compared.index if name.startswith("effect_size")]
    assert len(columns) == 4
    for row in (
        equivalence(a, b, low=-1, high=1, paired=paired).iloc[0],
        non_inferiority(a, b, margin=1, higher_is_better=True, paired=paired, alpha=0.05).iloc[0],
    ):
        assert row[columns].tolist() == compared[columns].tolist()


def test_crossover_given_a_baseline_has_an_effect_size_of_its_own(periods):
    start = np.random.default_rng(3).normal(size=len(periods))
    table = crossover(periods.assign(start=start), **CROSSOVER, baseline="start")
    (name,) = [term for term in table.index if term.endswith("| start")]
    row = table.loc[name]
    assert row["effect_size_variant"] == "d_z_adjusted"
    assert row["effect_size_ci_low"] < row["effect_size"] < row["effect_size_ci_high"]
    assert np.sign(row["effect_size"]) == np.sign(row["estimate"])
