"""Models of many edges: each is the one that `fit_mixed` gives (itself tested against lmerTest)."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from connectrial.errors import ModelError
from connectrial.stats.edgewise import fit_edges
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.small_matrices import invert_stack, invert_symmetric

FORMULA = "fc_z ~ visit * arm + age + (1 | subject)"


def trial(n_subjects=14, n_edges=40, seed=0):
    """Ragged visits; between-person variance from none to large, so that some fits are singular."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(n_subjects), 3)
    kept = np.sort(rng.permutation(len(subject))[: int(0.87 * len(subject))])
    data = pd.DataFrame(
        {
            "subject": [f"s{i:03d}" for i in subject],
            "visit": pd.Categorical(
                np.tile(["pre", "post", "late"], n_subjects), ["pre", "post", "late"]
            ),
            "arm": np.where(subject % 2, "drug", "placebo"),
            "age": rng.normal(40, 10, n_subjects)[subject],
        }
    ).iloc[kept]
    people = rng.normal(size=(n_subjects, n_edges)) * rng.uniform(0, 1.3, n_edges)
    values = 0.4 + people[subject[kept]] + rng.normal(size=(len(kept), n_edges))
    order = rng.permutation(len(kept))
    return data.iloc[order], values[order]


def check_edge(fits, edge, single):
    for array, name in (
        (fits.estimate, "estimate"),
        (fits.se, "se"),
        (fits.df, "df"),
        (fits.statistic, "statistic"),
        (fits.p, "p"),
    ):
        np.testing.assert_allclose(array[:, edge], single.estimates[name], rtol=1e-7, err_msg=name)
    assert fits.deviance[edge] == pytest.approx(single.deviance, abs=1e-8)
    assert fits.singular[edge] == single.singular
    np.testing.assert_allclose(fits.variance[:, edge], single.variance["estimate"], rtol=1e-6)
    assert fits.n_observations[edge] == single.n_observations
    assert fits.n_subjects[edge] == single.n_subjects


@pytest.mark.parametrize("df", ["satterthwaite", "residual", "none"])
def test_every_edge_is_the_single_fit(df):
    data, values = trial()
    fits = fit_edges(values, FORMULA, data, df=df)
    assert fits.terms[:2] == ("Intercept", "visit[post]")
    assert 3 <= fits.singular.sum() <= 20
    for edge in range(12):
        check_edge(fits, edge, fit_mixed(FORMULA, data.assign(fc_z=values[:, edge]), df=df))


def test_edges_with_missing_values_use_the_rows_they_have():
    data, values = trial(n_edges=8)
    values[2, 1] = values[5, 1] = np.nan
    values[7, 3:6] = np.nan
    fits = fit_edges(values, FORMULA, data)
    for edge in (0, 1, 4):
        check_edge(fits, edge, fit_mixed(FORMULA, data.assign(fc_z=values[:, edge])))
    assert list(fits.n_observations) == [36, 34, 36, 35, 35, 35, 36, 36]


def test_an_edge_alone_equals_the_edge_among_many():
    data, values = trial(n_edges=9000)
    many = fit_edges(values, FORMULA, data)
    for edge in (0, 4500, 8999):
        alone = fit_edges(values[:, [edge]], FORMULA, data)
        np.testing.assert_allclose(alone.estimate[:, 0], many.estimate[:, edge], rtol=1e-9)
        np.testing.assert_allclose(alone.df[:, 0], many.df[:, edge], rtol=1e-7)


def test_rows_left_out_for_a_covariate_are_left_out_everywhere():
    data, values = trial(n_edges=3)
    data.iloc[4, data.columns.get_loc("age")] = np.nan
    fits = fit_edges(values, FORMULA, data)
    check_edge(fits, 2, fit_mixed(FORMULA, data.assign(fc_z=values[:, 2])))
    assert fits.design.dropped == {"age": 1}


def test_edges_that_cannot_be_fitted_are_flagged_not_numbers():
    data, values = trial(n_edges=8)
    values[:, 0] = 3.0
    values[4, 1] = np.inf
    values[:, 2] = np.nan
    values[3:, 3] = np.nan
    values[(data["visit"] == "late").to_numpy(), 4] = np.nan
    values[:, 5] = data["subject"].str[1:].astype(float)
    values[:, 6] = 1e8 + 1e-9 * values[:, 6]
    fits = fit_edges(values, FORMULA, data)
    said = ["constant", "infinite", "0 rows", "3 rows", "without data at this edge: visit[late]"]
    for edge, word in enumerate(said):
        assert word in fits.flags[edge]
    assert "no residual variance" in fits.flags[5]
    assert "constant" in fits.flags[6]
    assert np.isnan(fits.p[:, [0, 1, 2, 3, 5, 6]]).all()
    assert np.isnan(fits.p[fits.terms.index("visit[late]"), 4])
    assert np.isfinite(fits.p[fits.terms.index("visit[post]"), 4])
    assert fits.flags[7] in {"", "singular"}


def test_an_outcome_far_from_zero_keeps_its_digits():
    data, values = trial(n_edges=3)
    near = fit_edges(values, FORMULA, data)
    far = fit_edges(values + 1e6, FORMULA, data)
    np.testing.assert_allclose(far.se, near.se, rtol=1e-8)
    np.testing.assert_allclose(far.estimate[1:], near.estimate[1:], atol=1e-8)


def test_scaling_the_outcome_scales_estimates_only():
    data, values = trial(n_edges=20)
    one, thousand = fit_edges(values, FORMULA, data), fit_edges(1e3 * values, FORMULA, data)
    np.testing.assert_allclose(thousand.estimate, 1e3 * one.estimate, rtol=1e-9)
    np.testing.assert_allclose(thousand.df, one.df, rtol=1e-7)
    np.testing.assert_allclose(thousand.p, one.p, rtol=1e-6)


def test_terms_are_found_in_any_order():
    data, values = trial(n_edges=4)
    fits = fit_edges(values, "~ age * arm + (1 | subject)", data)
    np.testing.assert_array_equal(
        fits.p_of("arm:age"), fits.p[fits.terms.index("age:arm[placebo]")]
    )
    low, high = fits.interval_of("age")
    np.testing.assert_allclose((low + high) / 2, fits.estimate[fits.terms.index("age")])


def test_memory_is_flat_in_the_number_of_edges():
    data, _ = trial()
    rng = np.random.default_rng(1)
    peaks = []
    for n_edges in (8000, 32000):
        values = rng.normal(size=(len(data), n_edges))
        results = 8 * n_edges * (4 * 7 + 8)
        tracemalloc.start()
        fit_edges(values, FORMULA, data)
        peaks.append(tracemalloc.get_traced_memory()[1] - results)
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 2**22


def test_values_must_match_the_table():
    data, values = trial(n_edges=2)
    with pytest.raises(ModelError, match="rows"):
        fit_edges(values[:-1], FORMULA, data)
    with pytest.raises(ModelError, match="n_observations, n_edges"):
        fit_edges(values[:, 0], FORMULA, data)


def test_stacked_inverse():
    rng = np.random.default_rng(2)
    roots = rng.normal(size=(50, 6, 9))
    matrices = np.einsum("eik,ejk->eij", roots, roots)
    found, logs = invert_stack(matrices.transpose(1, 2, 0))
    np.testing.assert_allclose(logs, np.linalg.slogdet(matrices)[1], rtol=1e-9)
    for one in (matrices, matrices[:3]):  # over the stack, and by LAPACK
        inverse, logs = invert_symmetric(one)
        np.testing.assert_allclose(inverse, np.linalg.inv(one), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(logs, np.linalg.slogdet(one)[1], rtol=1e-9)
    np.testing.assert_allclose(
        found.transpose(2, 0, 1), np.linalg.inv(matrices), rtol=1e-9, atol=1e-12
    )


def test_what_holds_for_every_edge_is_said_once():
    data, values = trial(n_edges=2)
    lone = np.where(data["subject"] == "s003", "lone", "many")
    fits = fit_edges(
        values,
        "y ~ visit + arm + twice + (1 | subject)",
        data.assign(arm=lone, twice=lone == "lone"),
    )
    assert "single subject" in fits.column_flags["arm[many]"]
    assert "determined by" in fits.column_flags["twice[True]"]
    assert "visit[post]" not in fits.column_flags
    assert np.isnan(fits.estimate[fits.terms.index("twice[True]")]).all()
    assert repr(fits).startswith("EdgeFits(")
