"""Reliability against Shrout & Fleiss (1979), R psych 2.2.9 and simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.edge_reliability import icc_edges
from connectrial.stats.reliability import icc, repeatability

TYPES = ("ICC(1,1)", "ICC(2,1)", "ICC(3,1)", "ICC(1,k)", "ICC(2,k)", "ICC(3,k)")
# Shrout & Fleiss (1979), table 2: six targets, four judges.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]],
    dtype=float,
)
NAMES = {"targets": "target", "raters": "rater", "scores": "score"}


def long(scores):
    n, k = scores.shape
    return pd.DataFrame(
        {
            "target": np.repeat([f"t{i:02d}" for i in range(n)], k),
            "rater": np.tile([f"r{j}" for j in range(k)], n),
            "score": scores.ravel(),
        }
    )


def test_equals_shrout_and_fleiss():
    result = icc(long(SHROUT_FLEISS), **NAMES)
    assert tuple(result.index) == TYPES
    expected = [0.1657, 0.2898, 0.7148, 0.4428, 0.6201, 0.9093]
    np.testing.assert_allclose(result["estimate"], expected, atol=5e-5)
    np.testing.assert_allclose(
        result["statistic"][:2], [1.79, 11.03], atol=6e-3
    )  # their F, table 3
    assert result[["n_subjects", "n_raters", "n_left_out"]].to_numpy().tolist() == [[6, 4, 0]] * 6


def test_equals_psych(reference):
    table = pd.read_csv(reference / "two_groups_raters.csv", dtype={"target": str})
    oracle = pd.read_csv(reference / "two_groups.csv")
    result = icc(table, **NAMES)
    for term, name in zip(TYPES, ("ICC1", "ICC2", "ICC3", "ICC1k", "ICC2k", "ICC3k"), strict=True):
        expected = oracle.loc[oracle["what"] == f"icc {name}"].set_index("value")["number"]
        got = result.loc[term, expected.index].astype(float)
        np.testing.assert_allclose(got, expected, rtol=1e-9, err_msg=term)


def test_a_target_without_all_raters_is_left_out_and_counted():
    table = long(SHROUT_FLEISS)
    more = pd.DataFrame(
        {"target": ["x", "x", "y"], "rater": ["r0", "r1", "r0"], "score": [1, np.nan, 99.0]}
    )
    result = icc(pd.concat([table, more]), **NAMES)
    pd.testing.assert_series_equal(result["estimate"], icc(table, **NAMES)["estimate"])
    assert (result["n_left_out"] == 2).all()
    assert (result["flags"] == "2 targets lack a rater").all()


def test_row_order_names_and_affine_changes_do_not_matter():
    table = long(SHROUT_FLEISS)
    other = table.sample(frac=1, random_state=0).assign(score=lambda t: 40 - 3.5 * t["score"])
    got, expected = icc(other, **NAMES), icc(table, **NAMES)
    for column in ("estimate", "ci_low", "ci_high", "p"):
        np.testing.assert_allclose(got[column], expected[column], rtol=1e-9)


def test_intervals_cover():
    # ICC(3,1) interval is exact: 0.95 within 3 standard errors of 80 draws
    rng = np.random.default_rng(3)
    truth, hits = 0.6, 0
    for _ in range(80):
        scores = rng.normal(0, np.sqrt(truth), (12, 1)) + rng.normal(0, np.sqrt(1 - truth), (12, 2))
        row = icc(long(scores), **NAMES).loc["ICC(3,1)"]
        hits += row["ci_low"] <= truth <= row["ci_high"]
    assert abs(hits / 80 - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 80)


def test_repeatability_equals_its_formulas():
    first, second = SHROUT_FLEISS[:, 0], SHROUT_FLEISS[:, 2]
    result = repeatability(long(SHROUT_FLEISS[:, [0, 2]]), **NAMES)
    difference = second - first
    sd = difference.std(ddof=1)
    assert result.loc["sem_consistency", "estimate"] == pytest.approx(sd / np.sqrt(2))
    assert result.loc["sdc_consistency", "estimate"] == pytest.approx(1.96 * sd)
    # agreement: rater variance + error variance from the definition
    pooled = np.var(SHROUT_FLEISS[:, [0, 2]].mean(axis=0), ddof=1) - sd**2 / 2 / 6
    assert result.loc["sem_agreement", "estimate"] == pytest.approx(np.sqrt(pooled + sd**2 / 2))
    t = stats.ttest_rel(second, first)
    bias = result.loc["bias"]
    assert bias["estimate"] == pytest.approx(difference.mean())
    assert bias["contrast"] == "r1 - r0"
    assert bias["p"] == pytest.approx(t.pvalue)
    np.testing.assert_allclose(bias[["ci_low", "ci_high"]].astype(float), t.confidence_interval())
    assert result.loc["limit_low", "estimate"] == pytest.approx(difference.mean() - 1.96 * sd)
    assert result.loc["limit_high", "estimate"] == pytest.approx(difference.mean() + 1.96 * sd)


def test_three_raters_have_no_bland_altman():
    result = repeatability(long(SHROUT_FLEISS), **NAMES)
    assert list(result.index) == [
        "sem_consistency",
        "sem_agreement",
        "sdc_consistency",
        "sdc_agreement",
    ]
    assert result.loc["sem_consistency", "estimate"] == pytest.approx(np.sqrt(1.0194444), rel=1e-6)


def test_interval_of_a_limit_of_agreement_approaches_bland_and_altmans():
    # their approximation: SE of a limit = s sqrt(1/n + 1.96^2 / (2 (n - 1)))
    rng = np.random.default_rng(0)
    n = 4000
    scores = rng.normal(size=(n, 2))
    row = repeatability(long(scores), **NAMES).loc["limit_high"]
    sd = np.diff(scores).std(ddof=1)
    half = 1.96 * sd * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    assert row["ci_high"] - row["estimate"] == pytest.approx(half, rel=0.03)
    assert row["estimate"] - row["ci_low"] == pytest.approx(half, rel=0.03)


def test_measurement_error_intervals_cover():
    rng = np.random.default_rng(11)
    hits = np.zeros(3)
    for _ in range(80):
        scores = rng.normal(0, 2, (10, 1)) + rng.normal(0, 1, (10, 2))
        result = repeatability(long(scores), **NAMES)
        for i, (term, truth) in enumerate(
            [
                ("sem_consistency", 1.0),
                ("sdc_consistency", 1.96 * 2**0.5),
                ("limit_high", 1.96 * 2**0.5),
            ]
        ):
            hits[i] += result.loc[term, "ci_low"] <= truth <= result.loc[term, "ci_high"]
    np.testing.assert_allclose(hits / 80, 0.95, atol=3 * np.sqrt(0.95 * 0.05 / 80))


def test_identical_raters_agree_perfectly():
    result = icc(long(np.tile(np.arange(5.0)[:, None], 2)), **NAMES)
    np.testing.assert_array_equal(result["estimate"], 1.0)
    np.testing.assert_array_equal(result["ci_low"], 1.0)
    assert (result["p"] == 0).all()


@pytest.mark.parametrize(
    ("table", "error", "says"),
    [
        (long(SHROUT_FLEISS).drop(columns="rater"), InputError, "no column 'rater'"),
        (
            pd.concat([long(SHROUT_FLEISS)] * 2),
            InputError,
            "target 't00' has two rows for rater 'r0'",
        ),
        (long(SHROUT_FLEISS[:1]), ModelError, "1 of 1 targets"),
        (long(SHROUT_FLEISS[:, :1]), ModelError, "over 1 raters"),
        (long(np.ones((5, 2))), ModelError, "do not differ"),
        (long(SHROUT_FLEISS).replace(10.0, np.inf), InputError, "infinite"),
        (long(SHROUT_FLEISS).assign(score="six"), InputError, "not all numbers"),
        (long(SHROUT_FLEISS).iloc[:0], ModelError, "0 of 0 targets"),
        (long(SHROUT_FLEISS).replace("t03", None), InputError, "empty cells"),
    ],
)
def test_refuses(table, error, says):
    with pytest.raises(error, match=says):
        icc(table, **NAMES)


def test_each_edge_equals_its_own_table():
    rng = np.random.default_rng(4)
    values = rng.normal(0, 1, (9, 1, 5)) + rng.normal(0, 1, (9, 3, 5)) + 7
    rows = values.reshape(27, 5)[:-1]  # the last target lacks a rater
    who, session = np.repeat(list("abcdefghi"), 3)[:-1], np.tile(["s1", "s2", "s3"], 9)[:-1]
    rows[:, 3] = 2.0
    rows[4, 4] = np.nan
    result = icc_edges(rows, targets=who, raters=session)
    assert (result.n_targets, result.n_raters, result.n_left_out) == (8, 3, 1)
    assert result.forms == TYPES
    for edge in range(3):
        table = pd.DataFrame({"target": who, "rater": session, "score": rows[:, edge]})
        one = icc(table, **NAMES)
        np.testing.assert_allclose(result.estimate[:, edge], one["estimate"], rtol=1e-10)
        sem = repeatability(table, **NAMES).loc["sem_consistency", "estimate"]
        assert result.sem[edge] == pytest.approx(sem)
    assert np.isnan(result.estimate[:, 3:]).all()
    assert np.isnan(result.sem[3:]).all()


@pytest.mark.parametrize(
    ("targets", "raters", "error", "says"),
    [
        (["a", "a", "b"], ["x", "y", "x"], InputError, "got shape"),
        (["a", "a", "b", "b"], ["x", "x", "x", "y"], InputError, "a has two rows for rater x"),
        (["a", "a", "b", "c"], ["x", "y", "x", "y"], ModelError, "1 of 3"),
        (["a", None, "b", "b"], ["x", "y", "x", "y"], InputError, "some are missing"),
    ],
)
def test_edges_refuse(targets, raters, error, says):
    with pytest.raises(error, match=says):
        icc_edges(np.zeros((4, 2)), targets=targets, raters=raters)
