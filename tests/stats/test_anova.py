"""Repeated-measures ANOVA against R 4.2.2 anova.mlm and car 3.1-1 Anova (type III)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.errors import InputError, ModelError
from connectrial.stats.anova import (
    orthonormal_contrasts,
    paired_comparisons,
    partial_eta_interval,
    repeated_measures_anova,
)
from connectrial.stats.compare import compare_groups

VISITS = ["pre", "day1", "week2", "week8"]
ROLES = {"outcome": "score", "subject": "subject", "within": "visit"}


@pytest.fixture(scope="module")
def oracle(reference):
    table = pd.read_csv(reference / "anova.csv")
    return lambda what: table.loc[table["what"] == what].set_index("value")["number"]


@pytest.fixture
def visits(reference):
    table = pd.read_csv(reference / "anova_visits.csv", dtype={"subject": str})
    return table.assign(visit=pd.Categorical(table["visit"], VISITS, ordered=True))


def check(result, term, expected, has_epsilon=True):
    rows = result.loc[[term]].set_index("df_method")
    plain = rows.loc["residual"]
    for name in ("statistic", "df_numerator", "df", "p"):
        assert plain[name] == pytest.approx(expected[name], rel=1e-9), name
    assert plain["estimate"] == pytest.approx(expected["eta"], rel=1e-9)
    if not has_epsilon:
        assert list(rows.index) == ["residual"]
        return
    for method, short in (("greenhouse-geisser", "gg"), ("huynh-feldt", "hf")):
        assert rows.loc[method, "p"] == pytest.approx(expected[f"{short}_p"], rel=1e-8)
        assert rows.loc[method, "epsilon"] == pytest.approx(min(expected[short], 1), rel=1e-9)
    assert plain["mauchly_w"] == pytest.approx(expected["mauchly_w"], rel=1e-9)
    assert plain["mauchly_p"] == pytest.approx(expected["mauchly_p"], rel=1e-8)


def test_one_way_equals_r(oracle, visits):
    result = repeated_measures_anova(visits, **ROLES)
    check(result, "visit", oracle("one way visit"))
    base = oracle("one way visit base")  # base R: the p of anova.mlm(test = "Spherical")
    assert result["p"].tolist()[1:] == pytest.approx([base["gg_p"], base["hf_p"]], rel=1e-8)


def test_with_arms_equals_car(oracle, visits):
    result = repeated_measures_anova(visits, **ROLES, between="arm")
    assert list(dict.fromkeys(result.index)) == ["arm", "visit", "arm:visit"]
    check(result, "arm", oracle("mixed arm"), has_epsilon=False)
    check(result, "visit", oracle("mixed visit"))
    check(result, "arm:visit", oracle("mixed arm:visit"))


def test_two_factors_within_equal_car(oracle, reference):
    table = pd.read_csv(reference / "anova_two_within.csv", dtype={"subject": str})
    result = repeated_measures_anova(
        table, outcome="fc", subject="subject", within=["treatment", "hour"]
    )
    check(result, "treatment", oracle("two within treatment"), has_epsilon=False)
    check(result, "hour", oracle("two within hour"))
    check(result, "treatment:hour", oracle("two within treatment:hour"))


def test_two_visits_are_the_paired_t_test(visits):
    two = visits[visits["visit"].isin(["pre", "week2"])]
    row = repeated_measures_anova(two, **ROLES).iloc[0]
    wide = two.pivot(index="subject", columns="visit", values="score")
    t = compare_groups(wide["week2"], wide["pre"], paired=True).iloc[0]
    assert row["statistic"] == pytest.approx(t["statistic"] ** 2)
    assert row["p"] == pytest.approx(t["p"])


def test_limits_of_partial_eta_equal_r(oracle):
    expected = oracle("eta limits of F(3, 48) = 6.5")
    got = partial_eta_interval(6.5, 3, 48)
    np.testing.assert_allclose(got, expected[["ci_low", "ci_high"]], rtol=1e-7)
    assert partial_eta_interval(0.2, 3, 48)[0] == 0


@pytest.mark.parametrize("k", [2, 3, 7])
def test_contrasts_are_orthonormal(k):
    c = orthonormal_contrasts(k)
    np.testing.assert_allclose(c.T @ c, np.eye(k - 1), atol=1e-14)
    np.testing.assert_allclose(c.sum(axis=0), 0, atol=1e-14)


def test_laws(visits):
    expected = repeated_measures_anova(visits, **ROLES, between="arm")
    renamed = visits.assign(
        score=3 - 2.5 * visits["score"],
        subject="p" + visits["subject"],
        arm=visits["arm"].map({"drug": "b", "placebo": "a"}),
    ).sample(frac=1, random_state=3)
    got = repeated_measures_anova(renamed, **ROLES, between="arm")
    for column in ("statistic", "df", "p", "estimate", "epsilon"):
        np.testing.assert_allclose(got[column], expected[column], rtol=1e-8)


def test_incomplete_people_are_left_out_and_counted(visits):
    holes = visits.drop(visits.index[5]).assign(
        score=lambda t: t["score"].where(t["subject"] != "17")
    )
    result = repeated_measures_anova(holes, **ROLES)
    assert (result["n_left_out"] == 2).all()
    assert result["flags"].iloc[0] == "2 incomplete people left out"
    kept = visits[~visits["subject"].isin(["02", "17"])]
    np.testing.assert_allclose(result["p"], repeated_measures_anova(kept, **ROLES)["p"])


def test_paired_comparisons(visits):
    result = paired_comparisons(visits, **ROLES, reference="pre", adjustment="bonferroni")
    assert list(result.index) == ["day1 - pre", "week2 - pre", "week8 - pre"]
    wide = visits.pivot(index="subject", columns="visit", values="score")
    one = compare_groups(wide["week2"], wide["pre"], paired=True).iloc[0]
    assert result.loc["week2 - pre", "statistic"] == one["statistic"]
    np.testing.assert_allclose(result["p_adjusted"], np.minimum(3 * result["p"], 1))
    assert len(paired_comparisons(visits, **ROLES)) == 6
    assert paired_comparisons(visits, **ROLES).index[0] == "day1 - pre"


def test_everybody_with_both_scores_enters_a_pair(visits):
    holes = visits.drop(visits.index[[3, 7, 11]])  # three people lack week8
    result = paired_comparisons(holes, **ROLES, reference="pre")
    assert result["n_subjects"].tolist() == [17, 17, 14]
    assert result["n_missing"].tolist() == [0, 0, 3]


@pytest.mark.parametrize(
    ("broken", "error", "says"),
    [
        (lambda t: t.drop(columns="visit"), InputError, "no column 'visit'"),
        (lambda t: pd.concat([t, t.head(1)]), InputError, "two rows for subject '01'"),
        (lambda t: t[t["visit"] == "pre"], ModelError, "has one level only, 'pre'"),
        (lambda t: t.iloc[:0], ModelError, "has no rows"),
        (lambda t: t[t["subject"] == "01"], ModelError, "1 of 1 have them"),
        (lambda t: t.assign(score=4.0), ModelError, "do not differ"),
        (lambda t: t.assign(score=t["score"].where(t.index > 0, np.inf)), InputError, "infinite"),
    ],
)
def test_refuses(visits, broken, error, says):
    with pytest.raises(error, match=says):
        repeated_measures_anova(broken(visits), **ROLES)


def test_refuses_a_person_in_two_arms(visits):
    visits.loc[1, "arm"] = "drug" if visits.loc[0, "arm"] == "placebo" else "placebo"
    with pytest.raises(InputError, match="subject '01' needs exactly one arm"):
        repeated_measures_anova(visits, **ROLES, between="arm")


def test_refuses_an_unknown_reference(visits):
    with pytest.raises(InputError, match="reference: got 'base'"):
        paired_comparisons(visits, **ROLES, reference="base")


def test_refuses_an_arm_with_one_person(visits):
    visits["arm"] = "drug"
    visits.loc[visits["subject"] == "03", "arm"] = "placebo"
    with pytest.raises(ModelError, match="'placebo' has one complete person only"):
        repeated_measures_anova(visits, **ROLES, between="arm")
