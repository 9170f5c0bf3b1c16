"""Ordinal comparison and times to events against scipy and statsmodels; imputation against laws."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from connectrial.errors import InputError, ModelError
from connectrial.stats import imputation
from connectrial.stats.imputation import (
    STRATEGIES,
    conditional_normal,
    impute_reference_based,
    joint_distribution,
)
from connectrial.stats.ordinal import probabilistic_index
from connectrial.stats.rubin import pool_rubin
from connectrial.stats.survival import cox, kaplan_meier, log_rank, median_time


@pytest.mark.parametrize("seed", range(3))
def test_brunner_munzel_as_scipy_has_it(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(1, 8, 17).astype(float), rng.integers(2, 8, 12).astype(float)
    row = probabilistic_index(a, b).iloc[0]
    oracle = stats.brunnermunzel(a, b)  # scipy 1.17; its statistic has the other sign
    assert row["statistic"] == pytest.approx(-oracle.statistic, rel=1e-10)
    assert row["p"] == pytest.approx(oracle.pvalue, rel=1e-10)
    # The index is the Mann-Whitney U over the number of pairs.
    assert row["estimate"] == pytest.approx(stats.mannwhitneyu(a, b).statistic / (17 * 12))
    assert 0 < row["ci_low"] < row["estimate"] < row["ci_high"] < 1
    turned = probabilistic_index(b, a).iloc[0]
    assert turned["estimate"] == pytest.approx(1 - row["estimate"])
    assert turned["ci_low"] == pytest.approx(1 - row["ci_high"])
    # Only the order counts.
    assert probabilistic_index(np.exp(a), np.exp(b)).iloc[0]["p"] == pytest.approx(row["p"])


def test_groups_that_do_not_overlap():
    row = probabilistic_index([1, 2, 3], [4, 5, 6, 7]).iloc[0]
    assert row["estimate"] == 0
    assert row["p"] == pytest.approx(2 / 35)  # 7 choose 3 orders, two of them as extreme
    assert "do not overlap" in row["flags"]
    with pytest.raises(ModelError, match="two people on each side"):
        probabilistic_index([1], [2, 3])


@pytest.fixture
def times():
    rng = np.random.default_rng(4)
    t = np.round(rng.exponential(12, 40)) + 1
    return pd.DataFrame(
        {
            "t": t,
            "e": rng.random(40) < 0.7,
            "g": pd.Categorical(np.where(np.arange(40) % 2, "b", "a"), categories=["a", "b"]),
        }
    )


def test_kaplan_meier_and_log_rank_as_scipy_has_them(times):
    censored = stats.CensoredData.right_censored(times["t"], ~times["e"])
    oracle = stats.ecdf(censored).sf
    curve = kaplan_meier(times["t"], times["e"]).set_index("time")
    place = np.isin(oracle.quantiles, curve.index)
    assert curve["survival"].to_numpy() == pytest.approx(oracle.probabilities[place], abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # undefined where the curve is 1 or 0
        interval = oracle.confidence_interval(method="log-log")
    low = np.asarray(interval.low.probabilities)[place]
    inner = curve["ci_low"].notna().to_numpy()
    assert inner.sum() > 5
    assert curve["ci_low"].to_numpy()[inner] == pytest.approx(low[inner], abs=1e-10)
    a, b = (times.loc[times["g"] == one] for one in "ab")
    pair = [stats.CensoredData.right_censored(one["t"], ~one["e"]) for one in (a, b)]
    row = log_rank(times["t"], times["e"], group=times["g"]).iloc[0]
    assert row["p"] == pytest.approx(stats.logrank(*pair).pvalue, rel=1e-9)
    median, low, high = median_time(curve.reset_index())
    assert low <= median <= high


def test_cox_by_its_partial_likelihood():
    """Without ties the estimate maximises the partial likelihood, written out here."""
    rng = np.random.default_rng(9)
    n = 30
    x = (np.arange(n) % 2).astype(float)
    t = rng.exponential(np.exp(-0.7 * x)) * 10
    e = rng.random(n) < 0.8
    table = pd.DataFrame({"t": t, "e": e, "g": pd.Categorical(np.where(x, "b", "a"))})
    row = cox(table, time="t", event="e", group="g").iloc[0]

    def slope(beta):
        weights = np.exp(beta * x)
        return sum(
            x[i] - (weights * x)[t >= t[i]].sum() / weights[t >= t[i]].sum()
            for i in np.flatnonzero(e)
        )

    assert slope(np.log(row["estimate"])) == pytest.approx(0, abs=1e-6)
    assert row.name == "b - a"


def test_what_cannot_be_compared(times):
    never = times.assign(e=times["e"] & (times["g"] == "a"))
    with pytest.raises(ModelError, match="events in every group; there are none in b"):
        cox(never, time="t", event="e", group="g")
    with pytest.raises(ModelError, match="two groups and an event"):
        log_rank(times["t"], np.zeros(40, bool), group=times["g"])
    with pytest.raises(InputError, match="a time of 0 or more"):
        kaplan_meier([-1.0, 2.0], [True, False])
    assert kaplan_meier([1.0, 2.0], [False, False]).empty


# --- reference-based imputation


def spd(rng, n):
    root = rng.normal(size=(n, n))
    return root @ root.T + n * np.eye(n)


@pytest.mark.parametrize("t", [1, 2, 3])
def test_conditional_means_in_closed_form(t):
    """Carpenter, Roger & Kenward (2013): E(after | before), written out for each strategy."""
    rng = np.random.default_rng(t)
    own_mean, own = rng.normal(size=4), spd(rng, 4)
    ref_mean, ref = rng.normal(size=4), spd(rng, 4)
    before = np.arange(4) < t
    values = np.where(before, rng.normal(size=4), np.nan)
    regression = ref[t:, :t] @ np.linalg.inv(ref[:t, :t])
    seen = values[:t]
    expected = {
        "jump to reference": ref_mean[t:] + regression @ (seen - own_mean[:t]),
        "copy reference": ref_mean[t:] + regression @ (seen - ref_mean[:t]),
        "copy increments": own_mean[t - 1]
        + ref_mean[t:]
        - ref_mean[t - 1]
        + regression @ (seen - own_mean[:t]),
        "mar": own_mean[t:] + own[t:, :t] @ np.linalg.inv(own[:t, :t]) @ (seen - own_mean[:t]),
    }
    assert set(expected) == set(STRATEGIES)
    for strategy, want in expected.items():
        mean, sigma = joint_distribution(
            own_mean, own, ref_mean, ref, n_before=t, strategy=strategy
        )
        got, left = conditional_normal(mean, sigma, before, values)
        assert got == pytest.approx(want, rel=1e-10, abs=1e-12), strategy
        assert np.linalg.eigvalsh(left).min() > 0
        # What is left after regression is the reference's own residual covariance.
        base = own if strategy == "mar" else ref
        residual = base[t:, t:] - base[t:, :t] @ np.linalg.inv(base[:t, :t]) @ base[:t, t:]
        assert left == pytest.approx(residual, rel=1e-9, abs=1e-10)


def test_equal_arms_make_all_strategies_equal():
    rng = np.random.default_rng(0)
    mean, sigma = rng.normal(size=3), spd(rng, 3)
    for strategy in STRATEGIES:
        got_mean, got = joint_distribution(mean, sigma, mean, sigma, n_before=2, strategy=strategy)
        assert got_mean == pytest.approx(mean)
        assert got == pytest.approx(sigma)


def test_rubin_and_barnard_rubin_by_hand():
    """m = 2: Q = 1, 3; U = 1, 1: T = 1 + 1.5 * 2 = 4; gamma = .75; Barnard & Rubin (1999)."""
    pooled = pool_rubin(np.array([1.0, 3.0]), np.array([1.0, 1.0]), df_complete=20)
    assert (pooled.estimate, pooled.se, pooled.fraction_missing) == (2.0, 2.0, 0.75)
    old, observed = 1 / 0.75**2, 21 / 23 * 20 * 0.25
    assert pooled.df == pytest.approx(old * observed / (old + observed))


@pytest.fixture(scope="module")
def trial():
    rng = np.random.default_rng(3)
    n = 40
    arm = np.repeat(["placebo", "drug"], n)
    base = rng.normal(30, 4, 2 * n)
    y = base[:, None] + np.cumsum(rng.normal(-2, 2.5, (2 * n, 3)), axis=1)
    y -= (arm == "drug")[:, None] * np.array([2.0, 4.0, 6.0])
    for i in range(2 * n):
        if i % 5 == 0:
            y[i, rng.integers(0, 3) :] = np.nan
        elif i % 11 == 0:
            y[i, 0] = np.nan  # a gap, not a dropout
    return y, base, arm


@pytest.fixture(autouse=True)
def short_chains(monkeypatch):
    """Draws of a well observed arm forget where they began within a few steps."""
    monkeypatch.setattr(imputation, "_BURN_IN", 30)
    monkeypatch.setattr(imputation, "_BETWEEN", 6)


def imputed(
    trial, strategy, *, seed=1, n_imputations=20, n_bootstraps=0, design="parallel", arms=None
):
    y, base, arm = trial
    return impute_reference_based(
        y,
        baseline=base,
        arm=arm,
        arms=arms or ["placebo", "drug"],
        design=design,
        strategy=strategy,
        n_imputations=n_imputations,
        n_bootstraps=n_bootstraps,
        rng=np.random.default_rng(seed),
    )


def test_reference_based_estimates_lie_nearer_to_no_effect(trial):
    found = {one: imputed(trial, one).iloc[0] for one in STRATEGIES}
    mar = found.pop("mar")
    assert all(abs(row["estimate"]) < abs(mar["estimate"]) for row in found.values())
    # Information anchoring (Cro et al. 2019): the error stays about that under MAR.
    for row in found.values():
        assert 0.8 < row["se"] / mar["se"] < 1.25
    assert mar["n_imputed"] == int(np.isnan(trial[0][:, -1]).sum())


def test_bayesian_and_conditional_mean_imputation_agree(trial):
    rows = imputed(trial, "jump to reference", n_imputations=50, n_bootstraps=60)
    rubin, boot = rows.iloc[0], rows.iloc[1]
    assert rows["df_method"].tolist() == ["barnard-rubin", "bootstrap"]
    assert rubin["estimate"] == pytest.approx(boot["estimate"], abs=0.25 * rubin["se"])
    assert boot["se"] < rubin["se"]


def test_the_same_seed_gives_the_same_numbers(trial):
    first, again = (imputed(trial, "copy reference", n_imputations=2) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    other = imputed(trial, "copy reference", n_imputations=2, seed=2)
    assert other["estimate"].iloc[0] != first["estimate"].iloc[0]


def test_complete_data_need_no_imputation(trial):
    y, base, arm = trial
    whole = np.isfinite(y).all(axis=1)
    row = imputed((y[whole], base[whole], arm[whole]), "jump to reference", n_imputations=3).iloc[0]
    x = np.column_stack([np.ones(whole.sum()), base[whole], arm[whole] == "drug"]).astype(float)
    beta, rss, *_ = np.linalg.lstsq(x, y[whole, -1], rcond=None)
    se = np.sqrt(rss[0] / (whole.sum() - 3) * np.linalg.inv(x.T @ x)[2, 2])
    assert row["estimate"] == pytest.approx(beta[2], rel=1e-10)
    assert row["se"] == pytest.approx(se, rel=1e-10)
    assert row["fraction_missing"] == pytest.approx(0, abs=1e-20)


def test_an_arm_too_small_for_its_covariance(trial):
    y, base, arm = trial
    few = np.r_[0:40, 40:44]
    with pytest.raises(ModelError, match="arm 'drug' has 4 people"):
        imputed((y[few], base[few], arm[few]), "mar")


@pytest.mark.parametrize("design", ["crossover", "pre-post"])
def test_reference_based_imputation_is_for_parallel_arms_only(trial, design):
    with pytest.raises(ModelError, match=f"defined for parallel arms; the design is '{design}'"):
        imputed(trial, "jump to reference", design=design)


def test_reference_based_imputation_needs_a_second_arm(trial):
    y, base, arm = trial
    own = arm == "placebo"
    with pytest.raises(ModelError, match="needs a reference arm and another"):
        imputed((y[own], base[own], arm[own]), "jump to reference", arms=["placebo"])
