"""Voxels cleaned by one matrix, against the same denoising of parcels, step by step."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.data import TimeSeries
from connectrial.errors import InputError
from connectrial.fc.connectivity import correlate_parcels, fisher_z
from connectrial.fc.denoising import build_cleaning, denoise
from connectrial.fc.orders import ORDERS
from connectrial.fc.seed_maps import global_connectivity_map, seed_maps
from connectrial.fc.voxelwise import (
    denoise_voxels,
    join_runs,
    rotate_voxels,
    standardise_voxels,
    unit_columns,
    voxel_operator,
)

N_FRAMES, N_VOXELS, N_PARCELS = 160, 60, 6
LINEAR = [name for name, order in ORDERS.items() if order.linear]
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]


def run(seed: int = 3):
    """Voxels around 1000 with parcels' signals of different gain, confounds, censored frames."""
    rng = np.random.default_rng(seed)
    confounds = pd.DataFrame(np.cumsum(rng.normal(0, 0.05, (N_FRAMES, 6)), axis=0), columns=MOTION)
    parcel = np.arange(N_VOXELS) % N_PARCELS
    signal = np.cumsum(rng.normal(size=(N_FRAMES, N_PARCELS)), axis=0)[:, parcel]
    signal = signal * rng.lognormal(0, 0.5, N_VOXELS) + rng.normal(0, 3, (N_FRAMES, N_VOXELS))
    signal += confounds.to_numpy() @ rng.normal(0, 20, (6, N_VOXELS))
    signal += rng.uniform(800, 1200, N_VOXELS) + np.linspace(0, 9, N_FRAMES)[:, np.newaxis]
    kept = np.ones(N_FRAMES, dtype=bool)
    kept[rng.choice(N_FRAMES, 8, replace=False)] = False
    return signal, confounds, kept, parcel


def means(values: np.ndarray, parcel: np.ndarray) -> np.ndarray:
    return np.stack([values[:, parcel == k].mean(axis=1) for k in range(N_PARCELS)], axis=1)


def operator_of(order: str, confounds: pd.DataFrame, kept: np.ndarray):
    cleaning, _ = build_cleaning(
        kept,
        confounds,
        repetition_time_s=2.0,
        strategy="6P",
        band_hz=(0.009, 0.2),
        order=order,
        min_remaining_df=1,
    )
    return voxel_operator(cleaning, n_frames=len(kept), linear=ORDERS[order].linear)


def cleaned_parcels(order: str, signal, confounds, kept, parcel) -> TimeSeries:
    raw = TimeSeries(
        signal=means(signal, parcel),
        kept=kept,
        parcels=pd.Index([f"p{k}" for k in range(N_PARCELS)]),
        repetition_time_s=2.0,
    )
    return denoise(
        raw, confounds, strategy="6P", band_hz=(0.009, 0.2), order=order, min_remaining_df=1
    )


@pytest.mark.parametrize("order", LINEAR)
def test_the_mean_of_cleaned_voxels_is_the_cleaned_mean(order):
    """Law, 1e-10 of the SD in float64."""
    signal, confounds, kept, parcel = run()
    voxels = denoise_voxels(signal, operator_of(order, confounds, kept))
    parcels = cleaned_parcels(order, signal, confounds, kept, parcel).signal[kept]
    assert voxels.dtype == np.float64
    assert np.abs(means(voxels, parcel) - parcels).max() < 1e-10 * parcels.std()


@pytest.mark.parametrize("order", LINEAR)
def test_single_precision_and_coordinates_keep_every_correlation(order):
    """Law, 1e-5 for r in float32; the coordinates are exact up to that."""
    signal, confounds, kept, parcel = run()
    operator = operator_of(order, confounds, kept)
    expected = correlate_parcels(cleaned_parcels(order, signal, confounds, kept, parcel)).z
    for cleaned in (denoise_voxels, rotate_voxels):
        values = cleaned(signal.astype(np.float32), operator)
        assert values.dtype == np.float32
        unit = unit_columns(means(values, parcel)).values
        r = unit.T.astype(np.float64) @ unit
        np.fill_diagonal(r, 0.0)
        assert np.nanmax(np.abs(r - np.nan_to_num(np.tanh(expected)))) < 1e-5


@pytest.mark.parametrize("order", ["passband", "project"])
def test_projections_leave_fewer_coordinates_and_no_difference(order):
    signal, confounds, kept, _ = run()
    operator = operator_of(order, confounds, kept)
    assert operator.rotation is not None
    assert operator.n_dimensions < operator.n_kept
    if order == "project":  # one orthogonal projection: rank and degrees of freedom are the same
        assert operator.n_dimensions == operator.remaining_df
    frames, coordinates = denoise_voxels(signal, operator), rotate_voxels(signal, operator)
    np.testing.assert_allclose(
        coordinates.T @ coordinates, frames.T @ frames, rtol=0, atol=1e-9 * np.sum(frames**2)
    )


def test_an_order_that_is_not_linear_goes_voxel_by_voxel():
    signal, confounds, kept, _ = run()
    operator = operator_of("washu", confounds, kept)
    assert operator.matrix is None
    alone = TimeSeries(
        signal=signal[:, :2], kept=kept, parcels=pd.Index(["a", "b"]), repetition_time_s=2.0
    )
    expected = denoise(
        alone, confounds, strategy="6P", band_hz=(0.009, 0.2), order="washu", min_remaining_df=1
    ).signal[kept]
    # The first frame is subtracted before, which no step can see.
    np.testing.assert_allclose(denoise_voxels(signal[:, :2], operator), expected, rtol=0, atol=1e-8)


def test_voxels_without_data_stay_alone():
    signal, confounds, kept, _ = run()
    operator = operator_of("default", confounds, kept)
    whole = denoise_voxels(signal, operator)
    signal[40, 7] = np.nan
    signal[:, 9] = 1000.0
    holed = denoise_voxels(signal, operator)
    assert np.isnan(holed[:, 7]).all()
    others = np.setdiff1d(np.arange(N_VOXELS), [7, 9])
    np.testing.assert_allclose(holed[:, others], whole[:, others], rtol=0, atol=1e-9)
    unit = unit_columns(holed, size=signal[0])
    assert list(np.flatnonzero(~unit.present)) == [7, 9]


def test_frames_of_another_run_are_refused():
    signal, confounds, kept, _ = run()
    operator = operator_of("default", confounds, kept)
    with pytest.raises(InputError, match=r"voxels must be \(160, n_voxels\)"):
        denoise_voxels(signal[:100], operator)


def test_joined_runs_are_the_z_scored_runs_end_to_end():
    """Oracle: correlate_parcels, which z-scores each run and concatenates."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(5, 5))
    runs = [rng.normal(size=(n, 5)) @ mixing * 3.0 + 7.0 for n in (40, 75)]
    names = pd.Index(list("abcde"))
    whole = correlate_parcels(
        [TimeSeries(signal=one, kept=np.ones(len(one), bool), parcels=names) for one in runs]
    )
    joined = join_runs([standardise_voxels(one) for one in runs])
    assert joined.n_frames == 115
    z = fisher_z(
        np.asarray(joined.values.T @ joined.values, dtype=np.float64).clip(-0.99999, 0.99999)
    )
    np.testing.assert_allclose(z, whole.z, rtol=0, atol=2e-6, equal_nan=True)


# --- maps


def test_a_seed_map_is_fisher_z_of_pearson_r():
    """Oracle: numpy.corrcoef."""
    rng = np.random.default_rng(1)
    voxels = rng.normal(500, 20, (90, 30)) + 10 * rng.normal(size=(90, 1))
    seeds = np.stack([voxels[:, :4].mean(axis=1), voxels[:, 9]], axis=1)
    voxels[:, 20] = 5.0
    voxels[3, 21] = np.nan
    found = seed_maps(voxels, seeds)
    assert found.shape == (2, 30)
    usable = np.setdiff1d(np.arange(30), [20, 21])
    with np.errstate(invalid="ignore"):
        r = np.array([[np.corrcoef(seed, voxels[:, v])[0, 1] for v in usable] for seed in seeds.T])
    expected = np.arctanh(np.where(np.abs(r) < 0.999, r, np.nan))
    np.testing.assert_allclose(found[:, usable], expected, rtol=0, atol=1e-6, equal_nan=True)
    assert np.isnan(found[:, [20, 21]]).all()
    assert np.isnan(found[1, 9])  # a voxel that is the whole seed
    np.testing.assert_allclose(seed_maps(voxels, seeds[:, 0]), found[:1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_voxels", [7, 2048, 4500])
def test_global_connectivity_is_the_mean_over_all_others(n_voxels):
    """Oracle: the whole matrix in float64 (blocks are of 2,048)."""
    rng = np.random.default_rng(2)
    voxels = rng.normal(size=(60, n_voxels)) + 0.7 * rng.normal(size=(60, 1))
    r = np.corrcoef(voxels.T)
    np.fill_diagonal(r, np.nan)
    for statistic, values in (("mean_r", r), ("mean_z", np.arctanh(r))):
        found = global_connectivity_map(voxels, statistic=statistic)
        np.testing.assert_allclose(found, np.nanmean(values, axis=1), rtol=0, atol=2e-6)


def test_global_connectivity_counts_only_voxels_with_data():
    rng = np.random.default_rng(4)
    voxels = rng.normal(size=(60, 12)) + 0.7 * rng.normal(size=(60, 1))
    holed = voxels.copy()
    holed[5, 3] = np.nan
    for statistic in ("mean_r", "mean_z"):
        found = global_connectivity_map(holed, statistic=statistic)
        alone = global_connectivity_map(np.delete(voxels, 3, axis=1), statistic=statistic)
        assert np.isnan(found[3])
        np.testing.assert_allclose(np.delete(found, 3), alone, rtol=0, atol=1e-6)


def test_global_connectivity_in_coordinates_is_the_same():
    signal, confounds, kept, _ = run()
    operator = operator_of("passband", confounds, kept)
    frames = unit_columns(denoise_voxels(signal, operator))
    coordinates = unit_columns(rotate_voxels(signal, operator), n_frames=operator.n_kept)
    for statistic in ("mean_r", "mean_z"):
        np.testing.assert_allclose(
            global_connectivity_map(coordinates, statistic=statistic),
            global_connectivity_map(frames, statistic=statistic),
            rtol=0,
            atol=1e-6,
        )


def test_what_cannot_be_mapped_is_refused():
    rng = np.random.default_rng(5)
    with pytest.raises(InputError, match="statistic must be"):
        global_connectivity_map(rng.normal(size=(9, 3)), statistic="median")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="1 voxels have data"):
        global_connectivity_map(rng.normal(size=(9, 1)))
    with pytest.raises(InputError, match="same run"):
        seed_maps(rng.normal(size=(9, 3)), rng.normal(size=(8, 1)))
