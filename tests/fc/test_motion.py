"""Motion over a whole sphere, without breathing, and standardised DVARS, against other routes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, signal
from scipy.spatial.transform import Rotation

from connectrial.errors import InputError
from connectrial.fc.motion import filter_motion, measure_fd, rms_displacement
from connectrial.fc.quality import dvars, framewise_displacement, standardised_dvars


def a_head(seed=0, n_frames=300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(n_frames, 6)) * [0.1, 0.2, 0.1, 0.002, 0.002, 0.003]
    return np.cumsum(steps, axis=0)


def test_rms_displacement_is_the_mean_over_the_points_of_a_ball():
    """By numbers instead of the formula: every point of a grid in an 80 mm ball is moved."""
    motion = a_head(1, 6) * 5
    grid = np.stack(np.meshgrid(*[np.linspace(-79, 79, 80)] * 3), axis=-1).reshape(-1, 3)
    ball = grid[np.linalg.norm(grid, axis=1) <= 80]
    rotations = Rotation.from_euler("XYZ", motion[:, 3:])  # about x after y after z
    for center_mm in ((0.0, 0.0, 0.0), (10.0, -30.0, 5.0)):
        fd_mm = rms_displacement(motion, center_mm=center_mm)
        assert np.isnan(fd_mm[0])
        for t in range(1, 6):
            before = ball + center_mm  # where points are in frame t - 1
            still = rotations[t - 1].inv().apply(before - motion[t - 1, :3])
            after = rotations[t].apply(still) + motion[t, :3]
            expected = np.sqrt(np.mean(np.sum((after - before) ** 2, axis=1)))
            assert fd_mm[t] == pytest.approx(expected, rel=2e-3)


def test_rms_displacement_by_hand():
    """A shift counts whole; a turn by a counts R sqrt(2 (2 - 2 cos a) / 5)."""
    motion = np.zeros((3, 6))
    motion[1:, :3] = [0.3, -0.4, 1.2]
    motion[2, 4] = 0.01
    assert rms_displacement(motion)[1] == pytest.approx(1.3, abs=1e-12)
    turned = rms_displacement(motion - [0.3, -0.4, 1.2, 0, 0, 0])[2]
    assert turned == pytest.approx(80 * np.sqrt(2 * (2 - 2 * np.cos(0.01)) / 5), rel=1e-9)
    degrees = motion * [1, 1, 1, 180 / np.pi, 1, 1]
    degrees[:, 4] = np.rad2deg(motion[:, 4])
    same = rms_displacement(degrees, rotation_unit="deg")
    assert same[1:] == pytest.approx(rms_displacement(motion)[1:])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_where_the_scanner_puts_its_origin_does_not_matter(seed):
    """Law: a rigid change of coordinates after all frames leaves every displacement as it was."""
    motion = a_head(seed, 8)
    moved = Rotation.from_euler("XYZ", [0.3, -1.0, 0.2])
    rotations = moved * Rotation.from_euler("XYZ", motion[:, 3:])
    elsewhere = np.hstack([moved.apply(motion[:, :3]), rotations.as_euler("XYZ")])
    np.testing.assert_allclose(
        rms_displacement(elsewhere)[1:], rms_displacement(motion)[1:], rtol=0, atol=1e-9
    )


def test_the_low_pass_takes_breathing_and_leaves_slow_motion():
    """Gain of order 1 both ways at f: 1 / (1 + (tan(pi f TR) / tan(pi fc TR))^2)."""
    seconds = np.arange(1000) * 0.8
    slow, breathing = np.sin(2 * np.pi * 0.02 * seconds), np.sin(2 * np.pi * 0.3 * seconds)
    options = {"repetition_time_s": 0.8, "low_pass_hz": 0.1}
    for wave, hz in ((slow, 0.02), (breathing, 0.3)):
        filtered = filter_motion(np.tile(wave[:, np.newaxis], 6), **options)
        ratio = np.tan(np.pi * hz * 0.8) / np.tan(np.pi * 0.1 * 0.8)
        middle = slice(200, 800)
        gain = filtered[middle, 0].std() / wave[middle].std()
        assert gain == pytest.approx(1 / (1 + ratio**2), abs=2e-3)


def test_the_low_pass_is_scipys_transfer_function_run_both_ways():
    motion = a_head(2)
    b, a = signal.butter(1, 0.1, fs=1.25)
    expected = signal.filtfilt(b, a, motion, axis=0, padtype="constant", padlen=299)
    got = filter_motion(motion, repetition_time_s=0.8, low_pass_hz=0.1)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)


def test_the_notch_takes_its_band_and_nothing_else():
    seconds = np.arange(1000) * 0.8
    options = {"repetition_time_s": 0.8, "notch_hz": (0.25, 0.35)}
    for hz, low, high in ((0.3, 0, 0.01), (0.05, 0.99, 1.01), (0.5, 0.9, 1.01)):
        wave = np.sin(2 * np.pi * hz * seconds)
        filtered = filter_motion(wave[:, np.newaxis], **options)[200:800, 0]
        assert low <= filtered.std() / wave[200:800].std() <= high
    # At the band's own edges half the power goes, each way.
    edge = np.sin(2 * np.pi * 0.25 * seconds)
    left = filter_motion(edge[:, np.newaxis], **options)[200:800, 0]
    assert left.std() / edge[200:800].std() == pytest.approx(0.5, abs=0.06)


def test_measure_fd_is_its_parts():
    motion = a_head(3)
    same = {"rtol": 0, "atol": 1e-12, "equal_nan": True}
    np.testing.assert_allclose(measure_fd(motion), framewise_displacement(motion), **same)
    np.testing.assert_allclose(
        measure_fd(motion, fd_kind="jenkinson"), rms_displacement(motion), **same
    )
    quiet = filter_motion(motion, repetition_time_s=0.8, low_pass_hz=0.1)
    got = measure_fd(motion, low_pass_hz=0.1, repetition_time_s=0.8, radius_mm=40.0)
    np.testing.assert_allclose(got, framewise_displacement(quiet, radius_mm=40.0), **same)
    degrees = np.hstack([motion[:, :3], np.rad2deg(motion[:, 3:])])
    turned = measure_fd(degrees, rotation_unit="deg", low_pass_hz=0.1, repetition_time_s=0.8)
    np.testing.assert_allclose(turned, framewise_displacement(quiet), **same)
    # Power's sum is the larger of the two, by about two (Yan 2013).
    ratio = np.nanmean(measure_fd(motion)) / np.nanmean(rms_displacement(motion))
    assert 1.3 < ratio < 2.5


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: measure_fd(m, fd_kind="fsl"), "power, jenkinson; got 'fsl'"),
        (lambda m: measure_fd(m, low_pass_hz=0.1), "needs the repetition time"),
        (lambda m: measure_fd(m * 1000), "rotation_unit='deg'"),
        (lambda m: filter_motion(m, repetition_time_s=0.8), "exactly one"),
        (
            lambda m: filter_motion(m, repetition_time_s=0.8, low_pass_hz=0.1, notch_hz=(0.2, 0.3)),
            "exactly one",
        ),
        (lambda m: filter_motion(m, repetition_time_s=2.0, notch_hz=(0.2, 0.3)), "0.25 Hz.*folds"),
        (lambda m: filter_motion(m, repetition_time_s=0.8, notch_hz=(0.3, 0.2)), "must rise"),
        (lambda m: filter_motion(m * np.nan, repetition_time_s=0.8, low_pass_hz=0.1), "1800"),
        (lambda m: rms_displacement(m, radius_mm=-1), "radius_mm"),
    ],
)
def test_refuses(call, said):
    with pytest.raises(InputError, match=said):
        call(a_head())


# --- standardised DVARS


def test_standardised_dvars_column_by_column():
    """Nichols' notes step by step: Yule-Walker by solving Toeplitz equations, IQR by sorting."""
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.normal(size=(101, 5)), axis=0) * [1, 5, 0.1, 20, 3] + 900
    expected_change = []
    for column in values.T:
        ordered = np.sort(column)
        robust_sd = (ordered[75] - ordered[25]) / 1.349
        centred = column - column.mean()
        covariance = [np.dot(centred[lag:], centred[: 101 - lag]) / 101 for lag in (0, 1)]
        (a,) = linalg.solve_toeplitz(covariance[:1], covariance[1:])
        expected_change.append(robust_sd * np.sqrt(2 * (1 - a)))
    expected = dvars(values)[1:] / np.mean(expected_change)
    np.testing.assert_allclose(standardised_dvars(values)[1:], expected, rtol=1e-12)
    assert np.isnan(standardised_dvars(values)[0])


def test_standardised_dvars_is_one_for_noise_whatever_its_unit_and_jumps_with_the_signal():
    rng = np.random.default_rng(1)
    noise = signal.lfilter([1], [1, -0.5], rng.normal(size=(2000, 60)), axis=0)
    assert np.nanmedian(standardised_dvars(noise)) == pytest.approx(1.0, abs=0.02)
    scaled = standardised_dvars(noise * 7 + 1000)
    np.testing.assert_allclose(scaled[1:], standardised_dvars(noise)[1:], rtol=1e-9)
    noise[700:] += 5
    assert np.nanargmax(standardised_dvars(noise)) == 700


def test_standardised_dvars_leaves_out_what_has_no_data():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(50, 3)) + 100
    more = np.column_stack([values, np.full(50, np.nan), np.full(50, 3.3)])
    np.testing.assert_array_equal(standardised_dvars(more), standardised_dvars(values))
    assert np.isnan(standardised_dvars(more[:, 3:])).all()
    with pytest.raises(InputError, match="3 frames or more; got 2"):
        standardised_dvars(values[:2])
