"""Fisher z of Pearson's r: numpy.corrcoef as oracle, laws, and what is refused."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectrial.data import TimeSeries
from connectrial.errors import InputError
from connectrial.fc.connectivity import connectivity_from_matrix, correlate_parcels, fisher_z

seeds = st.integers(0, 2**32 - 1)


def a_run(seed=0, *, n_frames=40, n_parcels=6, n_censored=8) -> TimeSeries:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n_frames, 1))
    kept = np.ones(n_frames, dtype=bool)
    kept[rng.choice(n_frames, n_censored, replace=False)] = False
    return TimeSeries(
        signal=500 + rng.normal(size=(n_frames, n_parcels)) + shared,
        kept=kept,
        parcels=pd.Index([f"p{number}" for number in range(n_parcels)]),
        repetition_time_s=2.0,
    )


def z_of(signal: np.ndarray) -> np.ndarray:
    """The oracle: numpy's own correlation."""
    r = np.corrcoef(signal, rowvar=False)
    np.fill_diagonal(r, np.nan)
    return np.arctanh(r)


@given(seeds)
def test_one_run_equals_numpy_on_kept_frames(seed):
    run = a_run(seed)
    fc = correlate_parcels(run)
    np.testing.assert_allclose(fc.z, z_of(run.signal[run.kept]), rtol=0, atol=1e-12)
    assert fc.n_frames == 32
    assert fc.notes == ()
    assert np.array_equal(fc.z, fc.z.T, equal_nan=True)  # to the last bit


@given(seeds)
def test_censored_frames_have_no_say(seed):
    run = a_run(seed)
    spoilt = run.signal.copy()
    spoilt[~run.kept] = np.resize([np.nan, np.inf, -1e300], spoilt[~run.kept].shape)
    again = correlate_parcels(dataclasses.replace(run, signal=spoilt))
    assert np.array_equal(again.z, correlate_parcels(run).z, equal_nan=True)


@given(seeds, st.floats(1e-3, 1e3), st.floats(-1e4, 1e4))
def test_gain_baseline_and_parcel_order_do_not_matter(seed, gain, baseline):
    run = a_run(seed)
    before = correlate_parcels(run).z
    scaled = correlate_parcels(dataclasses.replace(run, signal=gain * run.signal + baseline)).z
    np.testing.assert_allclose(scaled, before, rtol=0, atol=1e-6)
    order = np.random.default_rng(seed).permutation(6)
    moved = dataclasses.replace(run, signal=run.signal[:, order], parcels=run.parcels[order])
    after = correlate_parcels(moved).z
    np.testing.assert_allclose(after, before[np.ix_(order, order)], rtol=0, atol=1e-12)


def test_runs_are_z_scored_then_joined():
    first, second = a_run(1, n_frames=30), a_run(2, n_frames=50)
    second = dataclasses.replace(second, signal=second.signal * 40 + 9000)
    joined = [
        (run.signal[run.kept] - run.signal[run.kept].mean(axis=0))
        / run.signal[run.kept].std(axis=0)
        for run in (first, second)
    ]
    fc = correlate_parcels([first, second])
    np.testing.assert_allclose(fc.z, z_of(np.concatenate(joined)), rtol=0, atol=1e-12)
    assert fc.n_frames == 22 + 42


def test_runs_averaged_count_the_same():
    first, second = a_run(1, n_frames=30), a_run(2, n_frames=90)
    fc = correlate_parcels([first, second], runs="average")
    expected = (z_of(first.signal[first.kept]) + z_of(second.signal[second.kept])) / 2
    np.testing.assert_allclose(fc.z, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("filling", [np.nan, 0.0, 0.1, 7.3, 1e6 / 3])
@pytest.mark.parametrize("runs", ["concatenate", "average"])
def test_a_parcel_without_data_or_change_is_nan_and_named(filling, runs):
    first, second = a_run(1), a_run(2, n_frames=45)  # 37 kept: their mean is rounded
    second.signal[:, 2] = filling
    fc = correlate_parcels([first, second], runs=runs)
    assert np.isnan(fc.z[2]).all()
    assert np.isnan(fc.z[:, 2]).all()
    others = np.delete(np.delete(fc.z, 2, axis=0), 2, axis=1)
    assert np.isnan(others).sum() == 5  # the diagonal alone
    assert len(fc.notes) == 1
    assert "p2" in fc.notes[0]


@pytest.mark.parametrize("factor", [1.0, -2.5])
def test_one_series_under_two_names_is_refused(factor):
    run = a_run()
    run.signal[:, 4] = factor * run.signal[:, 1] + 3
    with pytest.raises(InputError, match="'p1' and 'p4'"):
        correlate_parcels(run)


def test_refuses_what_cannot_be_correlated():
    run = a_run()
    few = dataclasses.replace(run, kept=np.arange(40) < 2)
    with pytest.raises(InputError, match="run 2 of 2 keeps 2 of 40"):
        correlate_parcels([run, few])
    other = dataclasses.replace(run, parcels=run.parcels[::-1])
    with pytest.raises(InputError, match="another order"):
        correlate_parcels([run, other])
    renamed = dataclasses.replace(run, parcels=run.parcels.str.replace("p3", "q"))
    with pytest.raises(InputError, match=r"lacks \['p3'\] and adds \['q'\]"):
        correlate_parcels([run, renamed])
    with pytest.raises(InputError, match="no run"):
        correlate_parcels([])
    with pytest.raises(InputError, match="'mean'"):
        correlate_parcels(run, runs="mean")


def test_fisher_z_by_hand():
    assert fisher_z(0.5) == pytest.approx(0.5493061443340549, abs=1e-15)
    np.testing.assert_allclose(
        fisher_z(np.array([0.0, -0.9, np.nan])), [0, -1.4722194895832204, np.nan]
    )
    matrix = fisher_z(np.array([[1.0, 0.5], [0.5, 1.0]]))
    assert np.isnan(np.diag(matrix)).all()
    for bad in (1.2, 1.0, -1.0):
        with pytest.raises(InputError):
            fisher_z(np.array([0.1, bad, 0.2]))


def test_a_ready_made_matrix_of_r_or_z_gives_the_same():
    run = a_run()
    r = np.corrcoef(run.signal[run.kept], rowvar=False)
    from_r = connectivity_from_matrix(r, run.parcels, values="r", n_frames=32)
    np.testing.assert_allclose(from_r.z, correlate_parcels(run).z, rtol=0, atol=1e-12)
    again = connectivity_from_matrix(from_r.z, run.parcels, values="z")
    assert np.array_equal(again.z, from_r.z, equal_nan=True)
    with pytest.raises(InputError, match="values='z'"):
        connectivity_from_matrix(from_r.z * 4, run.parcels, values="r")
    r[0, 1] += 0.01
    with pytest.raises(InputError, match="not symmetric: 'p0' with 'p1'"):
        connectivity_from_matrix(r, run.parcels, values="r")
    with pytest.raises(InputError, match=r"\(6, 6\)"):
        connectivity_from_matrix(r[:5], run.parcels, values="r")
    with pytest.raises(InputError, match="'p0' and 'p1'"):
        connectivity_from_matrix(np.ones((6, 6)), run.parcels, values="r")
