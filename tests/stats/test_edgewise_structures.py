"""Edges with slopes or a covariance between visits: each is the fit of that edge alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.errors import ModelError
from connectrial.stats.edgewise import fit_edges
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.mmrm import fit_mmrm
from connectrial.stats.solution import DF_METHODS

RANDOM = {
    "slope": "y ~ week * arm + (week | subject)",
    "split": "y ~ week * arm + (week || subject)",
    "nested": "y ~ week + arm + (1 | site / subject)",
    "crossed": "y ~ week * arm + (1 | subject) + (1 | rater)",
    "intercept": "y ~ week * arm + (1 | subject)",
}


def trial(n_edges, seed=3, n_subjects=20):
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(n_subjects), 4)
    week = np.tile([0.0, 1, 2, 4], n_subjects)
    kept = np.sort(rng.permutation(len(subject))[: int(0.9 * len(subject))])
    data = pd.DataFrame(
        {
            "subject": [f"s{i:03d}" for i in subject],
            "week": week,
            "visit": pd.Categorical(np.tile(["a", "b", "c", "d"], n_subjects)),
            "arm": np.where(subject % 2, "drug", "placebo"),
            "site": np.where(subject % 4 < 2, "x", np.where(subject % 8 < 4, "y", "z")),
            "rater": rng.choice(["r1", "r2", "r3", "r4"], len(subject)),
        }
    ).iloc[kept]
    size = rng.uniform(0, 1, (2, n_edges))
    level, slope = rng.normal(size=(2, n_subjects, n_edges)) * size[:, None]
    values = level[subject] + 0.5 * slope[subject] * week[:, None]
    return data, (values + rng.normal(size=values.shape))[kept]


def check(fits, edge, single, rtol=2e-6):
    table = single.estimates
    for array, name in ((fits.se, "se"), (fits.df, "df"), (fits.p, "p")):
        np.testing.assert_allclose(array[:, edge], table[name], rtol=rtol, err_msg=name)
    shift = np.abs(fits.estimate[:, edge] - table["estimate"]) / table["se"]
    assert (shift < 1e-6).all()
    assert fits.deviance[edge] == pytest.approx(single.deviance, abs=1e-8)
    assert fits.singular[edge] == single.singular
    assert list(fits.components) == list(single.variance.index)
    np.testing.assert_allclose(
        fits.variance[:, edge], single.variance["estimate"], rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("case", RANDOM)
def test_random_effects_at_every_edge(case):
    data, values = trial(60)
    fits = fit_edges(values, RANDOM[case], data)
    assert not any("not estimable" in flag for flag in fits.flags)
    for edge in range(0, 60, 9):
        check(fits, edge, fit_mixed(RANDOM[case], data.assign(y=values[:, edge])))


@pytest.mark.parametrize(
    "structure", ["us", "cs", "csh", "ar1", "ar1h", "toep", "toeph", "ad", "adh"]
)
def test_covariances_between_visits_at_every_edge(structure):
    formula = f"y ~ arm * visit + {structure}(visit | subject)"
    data, values = trial(55)
    fits = fit_edges(values, formula, data)
    for edge in (0, 20, 54):
        if not fits.flags[edge]:
            check(fits, edge, fit_mmrm(formula, data.assign(y=values[:, edge])))
    assert sum(flag != "" for flag in fits.flags) <= 4


@pytest.mark.parametrize("df", DF_METHODS)
@pytest.mark.parametrize("formula", [RANDOM["intercept"], "y ~ arm + visit + csh(visit | subject)"])
def test_every_method_of_degrees_of_freedom(df, formula):
    data, values = trial(6)
    fits = fit_edges(values, formula, data, df=df)
    fit = fit_mmrm if "csh" in formula else fit_mixed
    for edge in (0, 5):
        check(fits, edge, fit(formula, data.assign(y=values[:, edge]), df=df))


def test_missing_values_by_edge():
    data, values = trial(5)
    values[:3, 1] = np.nan
    values[(data["visit"] == "d").to_numpy(), 2] = np.nan
    values[8:, 3] = np.nan
    formula = "y ~ arm + visit + us(visit | subject)"
    fits = fit_edges(values, formula, data)
    for edge in (0, 1, 4):
        check(fits, edge, fit_mmrm(formula, data.assign(y=values[:, edge])))
    assert "not estimable" in fits.flags[2]
    assert "not estimable" in fits.flags[3]
    assert np.isnan(fits.p[:, [2, 3]]).all()
    slopes = fit_edges(values, RANDOM["slope"], data)
    for edge in (1, 2):
        check(slopes, edge, fit_mixed(RANDOM["slope"], data.assign(y=values[:, edge])))


def test_without_random_terms_rows_are_independent():
    """Ordinary least squares: numpy's lstsq, residual degrees of freedom whatever the method."""
    data, values = trial(4)
    first = (data["visit"] == "a").to_numpy()
    data, values = data[first], values[first]
    fits = fit_edges(values, "y ~ arm", data)
    x = np.column_stack([np.ones(len(data)), data["arm"] == "placebo"])
    beta, rss, *_ = np.linalg.lstsq(x, values, rcond=None)
    np.testing.assert_allclose(fits.estimate, beta, atol=1e-12)
    np.testing.assert_allclose(fits.df, len(data) - 2)
    se = np.sqrt(np.diag(np.linalg.inv(x.T @ x))[:, None] * rss / (len(data) - 2))
    np.testing.assert_allclose(fits.se, se)


def test_constant_edges_are_flagged():
    data, values = trial(3)
    values[:, 1] = 7.0
    fits = fit_edges(values, RANDOM["slope"], data)
    assert "constant" in fits.flags[1]
    assert np.isnan(fits.p[:, 1]).all()
    assert np.isfinite(fits.p[:, [0, 2]]).all()


def test_random_terms_and_covariance_exclude_each_other():
    data, values = trial(2)
    with pytest.raises(ModelError, match="keep one"):
        fit_edges(values, "y ~ arm + (1 | subject) + us(visit | subject)", data)
