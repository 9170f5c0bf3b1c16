"""Partial and shrunk correlation, seeds, global connectivity and standard errors by other routes."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, signal

from connectrial.data import TimeSeries
from connectrial.errors import InputError
from connectrial.fc.connectivity import correlate_parcels
from connectrial.fc.estimators import estimate_connectivity, mean_seed_z, seed_connectivity
from connectrial.fc.uncertainty import standard_errors, z_standard_error

seeds = st.integers(0, 2**32 - 1)


def a_run(seed=0, *, n_frames=200, n_parcels=8, kept=None, remaining_df=None) -> TimeSeries:
    rng = np.random.default_rng(seed)
    mixing = np.eye(n_parcels) + 0.4 * rng.normal(size=(n_parcels, n_parcels))
    return TimeSeries(
        signal=rng.normal(size=(n_frames, n_parcels)) @ mixing + 100,
        kept=np.ones(n_frames, dtype=bool) if kept is None else kept,
        parcels=pd.Index([f"p{number}" for number in range(n_parcels)]),
        remaining_df=remaining_df,
    )


def test_partial_correlation_is_that_of_residuals():
    """The definition: correlate what regression on all other parcels leaves of two."""
    run = a_run(1)
    estimate = estimate_connectivity(run, estimator="partial")
    for a in range(8):
        for b in range(a):
            others = np.delete(run.signal, [a, b], axis=1)
            design = np.column_stack([np.ones(200), others])
            pair = run.signal[:, [a, b]]
            left = pair - design @ linalg.lstsq(design, pair)[0]
            expected = np.arctanh(np.corrcoef(left, rowvar=False)[0, 1])
            assert estimate.connectivity.z[a, b] == pytest.approx(expected, abs=1e-10)
    assert estimate.estimator == "partial correlation, empirical"
    assert estimate.connectivity.notes[-1] == "estimator: partial correlation, empirical"
    assert estimate.df == 199 - 6


def test_shrinkage_is_ledoit_and_wolfs_frame_by_frame():
    """Their lemma 3.2 to 3.4 with one outer product per frame; of two runs, on both together."""
    first, second = a_run(2, n_frames=30), a_run(3, n_frames=45)
    standard = np.vstack(
        [(run.signal - run.signal.mean(axis=0)) / run.signal.std(axis=0) for run in (first, second)]
    )
    sample = sum(np.outer(x, x) for x in standard) / 75
    mean_variance = np.trace(sample) / 8
    squared_distance = linalg.norm(sample - mean_variance * np.eye(8)) ** 2 / 8
    error = sum(linalg.norm(np.outer(x, x) - sample) ** 2 / 8 for x in standard) / 75**2
    amount = min(error, squared_distance) / squared_distance
    shrunk = amount * mean_variance * np.eye(8) + (1 - amount) * sample
    assert 0.02 < amount < 0.9
    estimate = estimate_connectivity([first, second], shrinkage="ledoit-wolf")
    assert estimate.shrinkage == pytest.approx(amount, abs=1e-12)
    upper = np.triu_indices(8, 1)
    np.testing.assert_allclose(
        np.tanh(estimate.connectivity.z[upper]), shrunk[upper], rtol=0, atol=1e-12
    )
    precision = np.linalg.inv(shrunk)
    partial = estimate_connectivity(
        [first, second], estimator="partial", shrinkage="ledoit-wolf"
    ).connectivity
    expected = -precision / np.sqrt(np.outer(np.diag(precision), np.diag(precision)))
    np.testing.assert_allclose(np.tanh(partial.z[upper]), expected[upper], rtol=0, atol=1e-12)
    assert "Ledoit-Wolf shrinkage by" in partial.notes[-1]


def test_the_default_is_plain_pearson_and_says_so():
    run = a_run(4)
    estimate = estimate_connectivity(run)
    plain = correlate_parcels(run)
    np.testing.assert_array_equal(estimate.connectivity.z, plain.z)
    assert (estimate.estimator, estimate.shrinkage) == ("Pearson correlation, empirical", 0.0)


def test_averaged_runs_are_the_mean_of_single_ones_and_lost_parcels_stay_lost():
    first, second = a_run(5), a_run(6)
    second.signal[:, 3] = np.nan
    options = {"estimator": "partial", "shrinkage": "ledoit-wolf"}
    both = estimate_connectivity([first, second], runs="average", **options)
    first.signal[:, 3] = np.nan
    single = [estimate_connectivity(run, **options) for run in (first, second)]
    np.testing.assert_allclose(
        both.connectivity.z, np.mean([one.connectivity.z for one in single], axis=0), atol=1e-12
    )
    assert both.df == sum(one.df for one in single) == 2 * (199 - 5)
    assert np.isnan(both.connectivity.z[3]).all()


@pytest.mark.parametrize(
    ("run", "options", "said"),
    [
        (a_run(n_frames=8), {"estimator": "partial"}, "8 parcels needs as many.* and 7 are left"),
        (a_run(remaining_df=7), {"estimator": "partial"}, "and 7 are left.*ledoit-wolf"),
        (a_run(), {"estimator": "tangent"}, "pearson, partial; got 'tangent'"),
        (a_run(), {"shrinkage": "oas"}, "none, ledoit-wolf; got 'oas'"),
        (a_run(), {"runs": "mean"}, "concatenate, average"),
    ],
)
def test_refuses(run, options, said):
    with pytest.raises(InputError, match=said):
        estimate_connectivity(run, **options)
    if "partial" in options.values():
        estimate_connectivity(run, shrinkage="ledoit-wolf", **options)


def test_partial_of_each_run_needs_each_run_to_be_long_enough():
    runs = [a_run(1, remaining_df=6), a_run(2, remaining_df=6)]
    estimate_connectivity(runs, estimator="partial")
    with pytest.raises(InputError, match=r"6 are left .*in a single run"):
        estimate_connectivity(runs, estimator="partial", runs="average")


# --- seeds


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_a_seed_of_one_parcel_is_its_row(seed):
    kept = np.random.default_rng(seed).random(200) > 0.3
    runs = [a_run(seed, kept=kept), a_run(seed + 1)]
    for joined in ("concatenate", "average"):
        matrix = correlate_parcels(runs, runs=joined)
        row = seed_connectivity(runs, ["p2"], runs=joined)
        np.testing.assert_allclose(row.to_numpy(), matrix.z[2], rtol=0, atol=1e-10)
        np.testing.assert_array_equal(mean_seed_z(matrix, ["p2"]).to_numpy(), matrix.z[2])


def test_a_seed_of_several_parcels_is_their_mean_signal():
    run = a_run(7)
    run.signal[:, 4] = np.nan
    z = seed_connectivity(run, ["p1", "p4", "p5"])
    mean = run.signal[:, [1, 5]].mean(axis=1)
    assert z["p0"] == pytest.approx(np.arctanh(np.corrcoef(mean, run.signal[:, 0])[0, 1]))
    assert z[["p1", "p4", "p5"]].isna().all()
    assert z.attrs["missing_seed"] == ["p4"]
    mean_z = mean_seed_z(correlate_parcels(run), ["p1", "p4", "p5"])
    matrix = correlate_parcels(run).z
    assert mean_z["p0"] == pytest.approx((matrix[0, 1] + matrix[0, 5]) / 2)
    assert np.isnan(mean_z["p1"])
    with pytest.raises(InputError, match="names 'p9'"):
        seed_connectivity(run, ["p1", "p9"])
    with pytest.raises(InputError, match="no parcel"):
        mean_seed_z(correlate_parcels(run), [])
    with pytest.raises(InputError, match="none of the seed's 1 parcels has data"):
        seed_connectivity(run, ["p4"])


# --- standard errors


def test_the_standard_error_of_independent_frames_is_fishers():
    assert z_standard_error(102 - 1) == pytest.approx(1 / np.sqrt(102 - 3))
    assert np.isnan(z_standard_error(2))
    run = a_run(remaining_df=30)
    errors = standard_errors([run, dataclasses.replace(run, remaining_df=21)])
    assert errors.se[0, 1] == pytest.approx(1 / 7)
    assert np.isnan(np.diag(errors.se)).all()
    assert errors.method == "51 degrees of freedom left after denoising"
    with pytest.raises(InputError, match=r"not denoised here.*xdf"):
        standard_errors(a_run())
    with pytest.raises(InputError, match="'remaining-df' or 'xdf'"):
        standard_errors(a_run(), method="bartlett")


def written_xdf(run: TimeSeries, a: int, b: int) -> float:
    """Traces of Toeplitz matrices over kept frames: Theorem 1 of Afyouni 2019, not its sums."""
    kept, n = np.flatnonzero(run.kept), run.n_kept
    values = (run.signal - run.signal[run.kept].mean(axis=0)) / run.signal[run.kept].std(axis=0)
    values[~run.kept] = 0
    mask = run.kept.astype(float)

    def lagged(x, y, lag):  # x first, y `lag` later
        n_pairs = mask[: len(mask) - lag] @ mask[lag:]
        return x[: len(x) - lag] @ y[lag:] / n_pairs if n_pairs else 0.0

    def memory(x):
        for lag in range(1, len(x)):
            if abs(lagged(x, x, lag)) <= 1.959963984540054 / np.sqrt(n):
                return lag - 1
        return len(x)

    x, y = values[:, a], values[:, b]
    m = [memory(x), memory(y)]
    size = len(mask)
    cov = {}
    for name, (u, v, longest) in {
        "xx": (x, x, m[0]),
        "yy": (y, y, m[1]),
        "xy": (x, y, max(m)),
    }.items():
        row = [lagged(u, v, lag) if lag <= longest else 0.0 for lag in range(size)]
        column = [lagged(v, u, lag) if lag <= longest else 0.0 for lag in range(size)]
        cov[name] = linalg.toeplitz(column, row)[np.ix_(kept, kept)]
    xx, yy, xy = cov["xx"], cov["yy"], cov["xy"]
    r = xy[0, 0]
    variance = (
        r**2 / 2 * (np.trace(xx @ xx) + np.trace(yy @ yy))
        + r**2 * np.trace(xy @ xy.T)
        - 2 * r * (np.trace(xx @ xy) + np.trace(yy @ xy))
        + np.trace(xx @ yy)
        + np.trace(xy @ xy)
    ) / n**2
    return max(variance / (1 - r**2) ** 2, 1 / n)


def test_xdf_equals_the_traces_of_covariance_matrices():
    rng = np.random.default_rng(0)
    kept = rng.random(150) > 0.2
    run = a_run(8, n_frames=150, n_parcels=4, kept=kept)
    smooth = signal.lfilter([1.0], [1, -0.7], run.signal - 100, axis=0)
    run = dataclasses.replace(run, signal=smooth)
    run.signal[~kept] = 1e6  # never looked at
    errors = standard_errors(run, method="xdf")
    for a, b in [(0, 1), (0, 2), (1, 3), (3, 2)]:
        assert errors.se[a, b] == pytest.approx(np.sqrt(written_xdf(run, a, b)), rel=1e-9)
    assert errors.se[0, 1] > 1.3 / np.sqrt(kept.sum())
    np.testing.assert_array_equal(errors.se, errors.se.T)


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_xdf_is_the_spread_of_z_over_many_scans(memory):
    """400 simulated pairs, autoregressive, r = .4, a fifth of the frames censored; within 12 %."""
    rng = np.random.default_rng(3)
    kept = rng.random(300) > 0.2
    noise = rng.normal(size=(400, 350, 2)) @ np.linalg.cholesky([[1, 0.4], [0.4, 1]]).T
    scans = signal.lfilter([1.0], [1, -memory], noise, axis=1)[:, 50:]
    z, se = [], []
    for scan in scans:
        run = TimeSeries(signal=scan, kept=kept, parcels=pd.Index(["a", "b"]))
        z.append(correlate_parcels(run).z[0, 1])
        se.append(standard_errors(run, method="xdf").se[0, 1])
    assert np.sqrt(np.mean(np.square(se))) == pytest.approx(np.std(z), rel=0.12)
    naive = 1 / np.sqrt(kept.sum() - 3)
    assert (np.std(z) > 1.5 * naive) == (memory > 0)


def test_xdf_never_bridges_runs():
    """A run given twice: the same lags, twice the frames."""
    run = a_run(9, n_parcels=3)
    smooth = dataclasses.replace(
        run, signal=signal.lfilter([1.0], [1, -0.9], run.signal - 100, axis=0)
    )
    once = standard_errors(smooth, method="xdf").se
    twice = standard_errors([smooth, smooth], method="xdf").se
    upper = np.triu_indices(3, 1)
    # The limit of noise sinks too, so memories may lengthen a little.
    assert (twice[upper] / once[upper]) == pytest.approx(np.full(3, np.sqrt(0.5)), rel=0.15)
