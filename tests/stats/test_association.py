"""Correlations against R 4.2.2 cor.test, lm and aov, and a paper's printed values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.association import correlate, correlate_partial, correlate_repeated


@pytest.fixture(scope="module")
def oracle(reference):
    table = pd.read_csv(reference / "two_groups.csv")
    return lambda what: table.loc[table["what"] == what].set_index("value")["number"]


@pytest.fixture(scope="module")
def people(reference):
    return pd.read_csv(reference / "two_groups_pairs.csv")


@pytest.fixture(scope="module")
def repeated(reference):
    return pd.read_csv(reference / "two_groups_repeated.csv", dtype={"subject": str})


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_equals_r(oracle, people, method):
    row = correlate(people["x"], people["y"], method=method).iloc[0]
    expected = oracle(method)
    np.testing.assert_allclose(row[expected.index].astype(float), expected, rtol=1e-9)
    assert (row["df"], row["n_subjects"], row["n_missing"]) == (12, 14, 0)


def test_spearman_interval_is_bonett_and_wrights(people):
    row = correlate(people["x"], people["y"], method="spearman").iloc[0]
    r = stats.spearmanr(people["x"], people["y"]).statistic
    half = stats.norm.isf(0.025) * np.sqrt((1 + r**2 / 2) / 11)
    assert row["ci_low"] == pytest.approx(np.tanh(np.arctanh(r) - half))
    assert row["ci_high"] == pytest.approx(np.tanh(np.arctanh(r) + half))


def test_printed_values_of_the_ketamine_infusion_trial():
    # r = .52 with 19 people has p = .023, r = -.54 with 22 has p = .009
    rng = np.random.default_rng(0)
    for r, n, p in ((0.52, 19, 0.023), (-0.54, 22, 0.009)):
        q = np.linalg.qr(np.column_stack([np.ones(n), rng.normal(size=(n, 2))]))[0]
        row = correlate(q[:, 1], r * q[:, 1] + np.sqrt(1 - r**2) * q[:, 2]).iloc[0]
        assert row["estimate"] == pytest.approx(r)
        assert row["p"] == pytest.approx(p, abs=6e-4)


def test_partial_has_the_t_of_the_regression(oracle, people):
    row = correlate_partial(people["x"], people["y"], covariates=people[["a", "b"]]).iloc[0]
    expected = oracle("partial")
    np.testing.assert_allclose(row[expected.index].astype(float), expected, rtol=1e-9)
    assert row["df"] == 10
    half = stats.norm.isf(0.025) / np.sqrt(14 - 2 - 3)
    assert row["ci_high"] == pytest.approx(np.tanh(np.arctanh(row["estimate"]) + half))


def test_partial_spearman_is_partial_pearson_of_ranks(people):
    ranks = people.rank()
    got = correlate_partial(people["x"], people["y"], covariates=people[["a"]], method="spearman")
    expected = correlate_partial(ranks["x"], ranks["y"], covariates=ranks[["a"]])
    assert got["estimate"].item() == pytest.approx(expected["estimate"].item())


def test_series_are_matched_by_index_and_missing_counted(people):
    x, y = people["x"].copy(), people["y"].sample(frac=1, random_state=1)
    x[3] = np.nan
    y[7] = np.nan
    row = correlate(x, y.drop(11)).iloc[0]
    assert (row["n_missing_x"], row["n_missing_y"], row["n_missing"]) == (1, 2, 3)
    kept = people.drop([3, 7, 11])
    assert row["estimate"] == pytest.approx(kept["x"].corr(kept["y"]))
    assert "3 people with a missing value left out" in row["flags"]


def test_within_persons_equals_r(oracle, repeated):
    row = correlate_repeated(repeated, subject="subject", x="x", y="y").iloc[0]
    expected = oracle("repeated")
    np.testing.assert_allclose(row[expected.index].astype(float), expected, rtol=1e-9)
    assert row["n_single"] == 1
    assert (row["n_subjects"], row["n_observations"]) == (11, 41)
    half = stats.norm.isf(0.025) / np.sqrt(29 - 1)
    assert row["ci_low"] == pytest.approx(np.tanh(np.arctanh(row["estimate"]) - half))


def test_levels_of_people_play_no_part_within_persons(repeated):
    shift = repeated["subject"].astype("category").cat.codes * 100.0
    moved = repeated.assign(x=repeated["x"] + shift, y=repeated["y"] - 3 * shift)
    got = correlate_repeated(moved, subject="subject", x="x", y="y")["estimate"].item()
    assert got == pytest.approx(
        correlate_repeated(repeated, subject="subject", x="x", y="y")["estimate"].item(), rel=1e-8
    )


def test_few_people_and_perfect_fits_are_flagged():
    row = correlate([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 8.0]).iloc[0]
    assert (row["estimate"], row["p"], row["ci_low"]) == (1.0, 0.0, 1.0)
    assert row["flags"] == "perfect correlation"
    row = correlate([1.0, 2.0, 3.0, 4.0, 9.0], [2.0, 1.0, 6.0, 5.0, 4.0], method="spearman").iloc[0]
    assert "fewer than 10 people" in row["flags"]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: correlate([1, 2, 3], [1, 2, 3]), ModelError, "there are 3 of 3"),
        (lambda: correlate([1, 2, 3, 4], [1, 2, 3]), InputError, "x has 4 values, y has 3"),
        (lambda: correlate([0.1] * 5, [1, 2, 3, 4, 5]), ModelError, "x is constant"),
        (lambda: correlate([1, 2, 3, 4], [1, 2, 3, 5], method="kendall"), InputError, "kendall"),
        (
            lambda: correlate_partial(
                [1, 2, 3, 4, 6.0], [2, 1, 3, 5, 4], covariates=[1, 2, 3, 4, 6.0]
            ),
            ModelError,
            "x is fully explained",
        ),
        (
            lambda: correlate_partial(
                np.arange(8.0), np.arange(8.0) ** 2, covariates=np.outer([1, 0] * 4, [1, 2])
            ),
            ModelError,
            "collinear",
        ),
        (
            lambda: correlate_repeated(
                pd.DataFrame({"s": ["a", "a", "b", "b"], "x": [1, 2, 3, 4], "y": [1, 3, 2, 4]}),
                subject="s",
                x="x",
                y="y",
            ),
            ModelError,
            "leave 1 degrees of freedom",
        ),
        (
            lambda: correlate_repeated(
                pd.DataFrame({"s": list("aaabbb"), "x": [1, 1, 1, 2, 2, 2], "y": range(6)}),
                subject="s",
                x="x",
                y="y",
            ),
            ModelError,
            "'x' never changes within a person",
        ),
    ],
)
def test_refuses(call, error, says):
    with pytest.raises(error, match=says):
        call()
