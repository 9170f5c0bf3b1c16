"""Denoising against the same steps written out with numpy.interp, scipy.signal and scipy.linalg."""

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
from connectrial.fc.denoising import denoise, passband_dimensions
from connectrial.fc.strategies import STRATEGIES

BAND_HZ = (0.009, 0.08)
few_examples = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def a_run(seed=0, *, n_frames=300, n_parcels=7, n_censored=30) -> tuple[TimeSeries, pd.DataFrame]:
    """Parcels that carry confounds, a baseline and a drift; confounds of very unlike size."""
    rng = np.random.default_rng(seed)
    names = STRATEGIES["36P"].columns
    scale = np.array([1e-6 if "power2" in name else 50.0 for name in names])
    confounds = np.cumsum(rng.normal(size=(n_frames, 36)), axis=0) * scale
    weights = rng.normal(size=(36, n_parcels)) / scale[:, np.newaxis]
    drift = np.linspace(0, 40, n_frames)[:, np.newaxis]
    values = 800 + drift + confounds @ weights + rng.normal(size=(n_frames, n_parcels)) * 3
    kept = np.ones(n_frames, dtype=bool)
    kept[rng.choice(n_frames, n_censored, replace=False)] = False
    series = TimeSeries(
        signal=values,
        kept=kept,
        parcels=pd.Index([f"p{number}" for number in range(n_parcels)]),
        repetition_time_s=2.0,
    )
    return series, pd.DataFrame(confounds, columns=names)


def written_out(series: TimeSeries, confounds: pd.DataFrame | None, band_hz) -> np.ndarray:
    """The oracle: column by column, every step by somebody else's function."""
    frames = np.arange(len(series.kept))

    def prepare(column):
        filled = np.interp(frames, frames[series.kept], column[series.kept])
        straight = signal.detrend(filled, type="linear")
        if band_hz is not None:
            sos = signal.butter(
                2, band_hz, btype="bandpass", fs=1 / series.repetition_time_s, output="sos"
            )
            straight = signal.sosfiltfilt(
                sos, straight, padtype="constant", padlen=len(straight) - 1
            )
        return straight[series.kept]

    data = np.column_stack([prepare(column) for column in series.signal.T])
    design = np.ones((len(data), 1))
    if confounds is not None:
        nuisance = np.column_stack([prepare(column) for column in confounds.to_numpy().T])
        design = np.hstack([design, nuisance / nuisance.std(axis=0)])
    beta, *_ = linalg.lstsq(design, data, lapack_driver="gelsy")
    return data - design @ beta


@pytest.mark.parametrize("band_hz", [BAND_HZ, None])
def test_the_default_order_equals_the_steps_written_out(band_hz):
    series, confounds = a_run()
    cleaned = denoise(series, confounds, band_hz=band_hz)
    expected = written_out(series, confounds, band_hz)
    tolerance = 1e-9 * expected.std()
    np.testing.assert_allclose(cleaned.signal[series.kept], expected, rtol=0, atol=tolerance)
    assert np.isnan(cleaned.signal[~series.kept]).all()
    assert cleaned.kept is series.kept


def test_strategy_none_still_filters():
    series, _ = a_run()
    cleaned = denoise(series, None, strategy="none", band_hz=BAND_HZ)
    expected = written_out(series, None, BAND_HZ)
    np.testing.assert_allclose(cleaned.signal[series.kept], expected, rtol=0, atol=1e-9)


def test_confounds_are_gone_and_the_signal_stays():
    """A known in-band signal comes back from under confounds a hundred times its size."""
    series, confounds = a_run(3, n_frames=600, n_censored=0)
    seconds = np.arange(600) * 2.0
    truth = np.sin(2 * np.pi * 0.03 * seconds)
    weights = np.random.default_rng(1).normal(size=36) / confounds.std().to_numpy()
    dirty = 1000 + truth + 100 * (confounds.to_numpy() @ weights)
    noisy = dataclasses.replace(series, signal=dirty[:, np.newaxis], parcels=pd.Index(["p"]))
    cleaned = denoise(noisy, confounds, band_hz=BAND_HZ).signal[:, 0]
    # 36 of 172 dimensions go, and with them that share of the truth: sqrt(1 - 36 / 172) = .89.
    assert np.corrcoef(cleaned, truth)[0, 1] > 0.85
    assert abs(np.corrcoef(dirty, truth)[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("hz", "low", "high"), [(0.03, 0.97, 1.03), (0.002, 0, 0.01), (0.2, 0, 0.01)]
)
def test_what_the_filter_lets_through(hz, low, high):
    wave = np.sin(2 * np.pi * hz * 2.0 * np.arange(600))
    series = TimeSeries(
        signal=np.column_stack([wave, wave[::-1]]),
        kept=np.ones(600, dtype=bool),
        parcels=pd.Index(["a", "b"]),
        repetition_time_s=2.0,
    )
    cleaned = denoise(series, None, strategy="none", band_hz=BAND_HZ).signal[:, 0]
    middle = slice(150, 450)
    assert low <= cleaned[middle].std() / wave[middle].std() <= high


@few_examples
@given(seeds)
def test_fc_ignores_what_stands_in_censored_frames(seed):
    series, confounds = a_run(seed)
    before = correlate_parcels(denoise(series, confounds, band_hz=BAND_HZ))
    rng = np.random.default_rng(seed)
    spoilt_signal, spoilt_confounds = series.signal.copy(), confounds.copy()
    spoilt_signal[~series.kept] = rng.choice([1e9, np.nan, -np.inf], (30, 7))
    spoilt_confounds.iloc[~series.kept] = rng.choice([1e9, np.nan], (30, 36))
    spoilt = dataclasses.replace(series, signal=spoilt_signal)
    after = correlate_parcels(denoise(spoilt, spoilt_confounds, band_hz=BAND_HZ))
    assert np.array_equal(after.z, before.z, equal_nan=True)


@few_examples
@given(seeds, st.sampled_from(["none", "6P", "36P"]), st.sampled_from([BAND_HZ, None, (0.0, 0.1)]))
def test_averaging_voxels_before_or_after_is_the_same(seed, strategy, band_hz):
    """Law, to 1e-10 of the signal's SD: parcellate then denoise, denoise then parcellate."""
    voxels, confounds = a_run(seed, n_parcels=12)
    parcellate = np.kron(np.eye(3), np.full((4, 1), 0.25))
    options = {"strategy": strategy, "band_hz": band_hz}
    parcels = dataclasses.replace(
        voxels, signal=voxels.signal @ parcellate, parcels=pd.Index(list("abc"))
    )
    first = denoise(parcels, confounds, **options).signal[voxels.kept]
    last = denoise(voxels, confounds, **options).signal[voxels.kept] @ parcellate
    np.testing.assert_allclose(first, last, rtol=0, atol=1e-10 * voxels.signal.std())
    np.testing.assert_allclose(
        np.corrcoef(first, rowvar=False), np.corrcoef(last, rowvar=False), rtol=0, atol=1e-10
    )


@few_examples
@given(seeds)
def test_units_and_repetition_of_confounds_do_not_matter(seed):
    """The rank is found, so a column given twice, or in other units, changes nothing."""
    series, confounds = a_run(seed)
    before = denoise(series, confounds, band_hz=BAND_HZ)
    changed = (confounds + confounds.std()) * np.random.default_rng(seed).choice([1e-7, 1e6], 36)
    changed["rot_x"] = 2 * changed["trans_x"] - 7
    without = confounds.drop(columns="rot_x").assign(rot_x=0.25)
    after = denoise(series, changed, band_hz=BAND_HZ)
    same = denoise(series, without, band_hz=BAND_HZ)
    assert after.remaining_df == same.remaining_df == before.remaining_df + 1
    np.testing.assert_allclose(
        after.signal[series.kept], same.signal[series.kept], rtol=0, atol=1e-7
    )


def test_constants_and_straight_lines_cost_no_df_and_stay_nothing():
    series, confounds = a_run(n_censored=0)
    line = np.linspace(1e4, 2e4, 300)
    series.signal[:, 2] = 0.1
    series.signal[:, 3] = line
    flat = confounds.assign(trans_x=1 / 3, trans_y=line)
    cleaned = denoise(series, flat, band_hz=BAND_HZ)
    assert cleaned.remaining_df == 86 - 34
    assert (cleaned.signal[:, 2] == 0).all()
    assert (cleaned.signal[:, 3] == 0).all()
    assert "p2, p3" in correlate_parcels(cleaned).notes[0]


def test_a_parcel_that_is_a_confound_is_nothing_afterwards():
    series, confounds = a_run()
    series.signal[:, 0] = confounds["csf"]
    assert "p0" in correlate_parcels(denoise(series, confounds, band_hz=BAND_HZ)).notes[0]


@pytest.mark.parametrize(
    ("n_frames", "repetition_time_s", "expected"),
    [(300, 2.0, 86), (450, 0.8, 50), (1200, 0.72, 124), (164, 2.2, 50)],
)
def test_passband_dimensions_count_the_waves_of_the_discrete_fourier_transform(
    n_frames, repetition_time_s, expected
):
    """numpy.fft's own frequencies: two dimensions each, one at the Nyquist frequency."""
    kept = np.ones(n_frames, dtype=bool)
    hz = np.fft.rfftfreq(n_frames, repetition_time_s)
    assert 2 * ((hz >= 0.009) & (hz <= 0.08)).sum() == expected
    options = {"repetition_time_s": repetition_time_s}
    assert passband_dimensions(kept, band_hz=BAND_HZ, **options) == expected
    # All waves above the constant are n - 1, less the straight line that is taken out.
    assert passband_dimensions(kept, band_hz=(0.0, np.inf), **options) == n_frames - 2
    assert passband_dimensions(kept, repetition_time_s=None, band_hz=None) == n_frames - 2


def test_censoring_takes_its_share_of_the_dimensions():
    """The trace of the pass-band projector over kept frames, computed from its own basis."""
    kept = np.random.default_rng(2).random(300) > 0.3
    time = np.arange(300)[:, np.newaxis] * 2 * np.pi / 300
    waves = np.arange(6, 49)  # 600 s: 6 / 600 to 48 / 600 Hz
    basis = np.hstack([np.sin(time * waves), np.cos(time * waves)]) / np.sqrt(150)
    trace = np.trace(basis[kept] @ basis[kept].T)
    options = {"repetition_time_s": 2.0, "band_hz": BAND_HZ}
    assert passband_dimensions(kept, **options) == int(np.floor(trace + 1e-9))


def test_remaining_df_are_dimensions_minus_rank_and_too_few_are_refused():
    series, confounds = a_run(n_censored=0)
    assert denoise(series, confounds, band_hz=BAND_HZ).remaining_df == 86 - 36
    assert denoise(series, confounds, band_hz=None).remaining_df == 298 - 36
    short = dataclasses.replace(series, kept=np.arange(300) < 175)
    with pytest.raises(InputError, match=r"50 in the pass-band of 175.* 36 .*leaves 14.*is 15"):
        denoise(short, confounds, band_hz=BAND_HZ)
    assert denoise(short, confounds, band_hz=BAND_HZ, min_remaining_df=14).remaining_df == 14


def test_only_the_first_frame_of_a_derivative_may_be_missing():
    series, confounds = a_run(n_censored=0)
    series = dataclasses.replace(series, kept=np.arange(300) != 7)
    derivatives = [name for name in confounds if "derivative1" in name]
    first = confounds.copy()
    first.loc[0, derivatives] = np.nan
    filled = first.copy()
    filled.loc[0, derivatives] = filled.loc[1, derivatives]
    expected = denoise(series, filled, band_hz=BAND_HZ).signal
    assert np.array_equal(denoise(series, first, band_hz=BAND_HZ).signal, expected, equal_nan=True)
    confounds.loc[7, "csf"] = np.nan  # censored: nobody asks
    denoise(series, confounds, band_hz=BAND_HZ)
    confounds.loc[9, "csf"] = np.nan
    with pytest.raises(InputError, match="'csf' has no number in frame 9"):
        denoise(series, confounds, band_hz=BAND_HZ)


def test_a_parcel_without_data_stays_without():
    series, confounds = a_run()
    expected = denoise(series, confounds, band_hz=BAND_HZ).signal
    series.signal[np.flatnonzero(series.kept)[4], 1] = np.nan
    cleaned = denoise(series, confounds, band_hz=BAND_HZ).signal
    assert np.isnan(cleaned[:, 1]).all()
    others = [0, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(cleaned[:, others], expected[:, others], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"confounds": None}, "denoised before are not denoised again"),
        ({"order": "wash"}, "did you mean 'washu'"),
        ({"repetition_time_s": None}, "repetition time, which is unknown"),
        ({"band_hz": (0.08, 0.009)}, "low < high"),
        ({"band_hz": (0.01, 0.3)}, r"beyond 0.25 Hz"),
        ({"n_rows": 299}, "299 rows and the signal 300"),
        ({"n_kept": 0}, "too few|only 0"),
        (
            {"n_kept": 2, "band_hz": None, "strategy": "none", "min_remaining_df": 0},
            "only 2 of 300",
        ),
    ],
)
def test_refuses(change, said):
    series, confounds = a_run()
    confounds = change.pop("confounds", confounds)
    if "n_rows" in change:
        confounds = confounds.iloc[: change.pop("n_rows")]
    if "repetition_time_s" in change:
        series = dataclasses.replace(series, repetition_time_s=change.pop("repetition_time_s"))
    if "n_kept" in change:
        series = dataclasses.replace(series, kept=np.arange(300) < change.pop("n_kept"))
    with pytest.raises(InputError, match=said):
        denoise(series, confounds, **{"band_hz": BAND_HZ, **change})
