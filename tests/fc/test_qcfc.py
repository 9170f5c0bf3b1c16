"""QC-FC edge by edge against scipy and statsmodels' formulas, and what it finds in simulations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import pdist

from connectrial.errors import InputError
from connectrial.fc.qcfc import compare_qc_fc, edge_distances, qc_fc


def sessions(seed=0, *, n_sessions=40, n_parcels=12, artefact=0.0):
    """Edges that motion raises the more the shorter they are."""
    rng = np.random.default_rng(seed)
    distance_mm = edge_distances(rng.uniform(-70, 70, (n_parcels, 3)))
    fd_mm = rng.gamma(4, 0.05, n_sessions)
    effect = artefact * np.exp(-distance_mm / 50)
    fc_z = rng.normal(0.3, 0.2, (n_sessions, len(distance_mm))) + np.outer(fd_mm, effect)
    return fc_z, fd_mm, distance_mm


def test_it_is_scipys_correlation_of_every_edge():
    fc_z, fd_mm, distance_mm = sessions(1, artefact=4.0)
    fc_z[[3, 7], 5] = np.nan
    fc_z[:, 8] = 0.25  # does not vary
    fc_z[3:, 9] = np.nan  # three sessions: one df
    fc_z[2:, 10] = np.nan  # two: none
    result = qc_fc(fc_z, fd_mm, distance_mm=distance_mm)
    for edge in range(fc_z.shape[1]):
        rows = ~np.isnan(fc_z[:, edge])
        if edge in (8, 10):
            assert np.isnan([result.r[edge], result.p[edge], result.p_adjusted[edge]]).all()
            continue
        expected = stats.pearsonr(fd_mm[rows], fc_z[rows, edge])
        assert result.r[edge] == pytest.approx(expected.statistic, abs=1e-12)
        assert result.p[edge] == pytest.approx(expected.pvalue, rel=1e-8)
        assert result.df[edge] == rows.sum() - 2
    known = ~np.isnan(result.r)
    # Benjamini and Hochberg's rule, step by step: the largest k with p(k) <= k / m alpha.
    ordered = np.sort(result.p[known])
    below = np.flatnonzero(ordered <= 0.05 * np.arange(1, known.sum() + 1) / known.sum())
    n_found = below[-1] + 1 if len(below) else 0
    assert 0 < n_found < known.sum()
    assert result.share_significant == pytest.approx(n_found / known.sum())
    assert result.median_abs_r == pytest.approx(np.median(np.abs(result.r[known])))
    slope, _ = np.polyfit(distance_mm[known], result.r[known], 1)
    assert result.distance_slope_per_mm == pytest.approx(slope, rel=1e-9)
    ranks = [stats.rankdata(x[known]) for x in (distance_mm, result.r)]
    assert result.distance_rho == pytest.approx(np.corrcoef(ranks)[0, 1])


def test_within_subjects_it_is_regression_with_a_column_per_subject():
    """Partial correlation given subjects, from the t of motion in the full design."""
    rng = np.random.default_rng(2)
    fc_z, fd_mm, _ = sessions(2)
    who = np.repeat(np.arange(16), [3] * 12 + [1] * 4)
    fc_z += rng.normal(0, 1, 16)[who][:, np.newaxis]  # traits that go with nothing
    result = qc_fc(fc_z, fd_mm, subjects=[f"s{n}" for n in who])
    design = np.column_stack([fd_mm, who[:, np.newaxis] == np.arange(16)]).astype(float)
    inverse = np.linalg.inv(design.T @ design)
    for edge in range(0, 66, 11):
        beta = inverse @ design.T @ fc_z[:, edge]
        left = fc_z[:, edge] - design @ beta
        df = 40 - 17
        t = beta[0] / np.sqrt(left @ left / df * inverse[0, 0])
        assert result.df[edge] == df
        assert result.r[edge] == pytest.approx(t / np.sqrt(t**2 + df), abs=1e-10)
        assert result.p[edge] == pytest.approx(2 * stats.t.sf(abs(t), df), rel=1e-7)


def test_without_any_relation_little_is_found_and_the_median_is_as_expected():
    """300 null data sets of 40 sessions: an FDR share under .05 of sets, median |r| within 2 %."""
    medians, found = [], 0
    for seed in range(300):
        fc_z, fd_mm, _ = sessions(seed)
        result = qc_fc(fc_z, fd_mm)
        medians.append(result.median_abs_r)
        found += result.share_significant > 0
    assert np.mean(medians) == pytest.approx(result.expected_median_abs_r, rel=0.02)
    assert found / 300 < 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 300)
    # The exact null: r^2 of df + 2 sessions is beta(1/2, df / 2).
    assert result.expected_median_abs_r == pytest.approx(np.sqrt(stats.beta.median(0.5, 19)))


def test_before_and_after_shows_what_was_removed():
    fc_z, fd_mm, distance_mm = sessions(3, artefact=3.0)
    clean, _, _ = sessions(3, artefact=0.0)
    before = qc_fc(fc_z, fd_mm, distance_mm=distance_mm)
    after = qc_fc(clean, fd_mm, distance_mm=distance_mm)
    table = compare_qc_fc(before, after)
    assert table.loc["share_significant", "before"] > 0.2 > table.loc["share_significant", "after"]
    assert table.loc["distance_rho", "before"] < -0.4
    assert table.loc["median_abs_r", "difference"] < -0.1
    assert table.loc["n_edges"].tolist() == [66.0, 66.0, 0.0]
    with pytest.raises(InputError, match="66 edges and after 10"):
        compare_qc_fc(before, qc_fc(clean[:, :10], fd_mm))
    with pytest.raises(InputError, match="different levels"):
        compare_qc_fc(before, qc_fc(clean, fd_mm, alpha=0.01))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_sessions_and_units_of_motion_do_not_matter(seed):
    fc_z, fd_mm, distance_mm = sessions(seed, artefact=1.0)
    fc_z[np.random.default_rng(seed).random(fc_z.shape) < 0.02] = np.nan
    turned = np.random.default_rng(seed).permutation(40)
    first = qc_fc(fc_z, fd_mm, distance_mm=distance_mm)
    second = qc_fc(fc_z[turned], fd_mm[turned] * 1000, distance_mm=distance_mm)
    np.testing.assert_allclose(first.r, second.r, rtol=0, atol=1e-10)
    np.testing.assert_allclose(first.summary, second.summary, rtol=1e-7)
    known = ~np.isnan(first.p)
    assert (first.p_adjusted[known] >= first.p[known]).all()
    assert (qc_fc(fc_z, fd_mm, adjustment="fdr_by").p_adjusted >= first.p_adjusted)[known].all()


def test_distances_are_those_of_scipy():
    centroids = np.random.default_rng(0).normal(size=(9, 3)) * 40
    np.testing.assert_allclose(edge_distances(centroids), pdist(centroids))
    assert edge_distances(centroids, edges=np.array([[3, 1]])) == pytest.approx(
        [np.linalg.norm(centroids[3] - centroids[1])]
    )


FC_Z, FD_MM, DISTANCE_MM = sessions()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: qc_fc(FC_Z[:3], FD_MM[:3]), "4 sessions or more; got 3"),
        (lambda: qc_fc(FC_Z, FD_MM[:5]), r"\(40, 66\) and \(5,\)"),
        (lambda: qc_fc(FC_Z, np.where(np.arange(40) == 6, np.nan, FD_MM)), "session 6 .* is nan"),
        (lambda: qc_fc(FC_Z, -FD_MM), "session 0"),
        (lambda: qc_fc(np.where(FC_Z > 0.5, np.inf, FC_Z), FD_MM), "infinite in session"),
        (lambda: qc_fc(FC_Z, np.full(40, 0.2)), "same in all sessions; nothing"),
        (
            lambda: qc_fc(FC_Z, np.repeat(FD_MM[:20], 2), subjects=np.repeat(np.arange(20), 2)),
            "within every subject",
        ),
        (lambda: qc_fc(FC_Z, FD_MM, subjects=["a"]), "one for each of 40 sessions"),
        (lambda: qc_fc(FC_Z, FD_MM, distance_mm=DISTANCE_MM[1:]), "each of 66 edges"),
        (lambda: qc_fc(FC_Z, FD_MM, adjustment="holm"), "'fdr_bh' or 'fdr_by'; got 'holm'"),
        (lambda: qc_fc(FC_Z, FD_MM, alpha=5), "between 0 and 1"),
        (lambda: edge_distances(np.zeros((4, 2))), r"got \(4, 2\)"),
    ],
)
def test_refuses(call, said):
    with pytest.raises(InputError, match=said):
        call()
