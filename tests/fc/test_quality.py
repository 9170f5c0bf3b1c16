"""Framewise displacement, DVARS and tSNR against their published formulas, written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from connectrial.errors import InputError
from connectrial.fc.quality import dvars, framewise_displacement, tsnr

finite = st.floats(-3, 3, allow_nan=False)


def test_fd_is_power_2012_by_hand():
    motion = np.zeros((4, 6))
    motion[1] = [0.1, -0.2, 0.3, 0.001, -0.002, 0.004]  # FD = 0.6 + 50 * 0.007
    motion[2] = motion[1]
    motion[3] = [0.1, -0.2, 0.3, 0.001, 0.002, 0.004]  # FD = 50 * 0.004
    fd_mm = framewise_displacement(motion)
    assert np.isnan(fd_mm[0])
    assert fd_mm[1:] == pytest.approx([0.95, 0.0, 0.2], abs=1e-12)
    assert framewise_displacement(motion, radius_mm=80.0)[3] == pytest.approx(0.32, abs=1e-12)


@given(arrays(np.float64, (7, 6), elements=finite))
def test_fd_equals_the_sum_written_out_and_takes_degrees(motion):
    expected = [
        sum(abs(motion[t, i] - motion[t - 1, i]) for i in range(3))
        + 50 * sum(abs(motion[t, i] - motion[t - 1, i]) for i in range(3, 6))
        for t in range(1, 7)
    ]
    fd_mm = framewise_displacement(motion)
    assert fd_mm[1:] == pytest.approx(expected, abs=1e-9)
    degrees = motion.copy()
    degrees[:, 3:] = np.rad2deg(degrees[:, 3:])
    in_degrees = framewise_displacement(degrees, rotation_unit="deg")
    assert in_degrees[1:] == pytest.approx(fd_mm[1:], abs=1e-9)


@pytest.mark.parametrize(
    ("motion", "options", "said"),
    [
        (np.zeros((5, 5)), {}, r"\(n_frames, 6\).*\(5, 5\)"),
        (np.full((5, 6), np.nan), {}, "frame 0, column 0"),
        (np.full((5, 6), 7.0), {}, "rotation_unit='deg'"),
        (np.zeros((5, 6)), {"radius_mm": 0}, "radius_mm"),
        (np.zeros((5, 6)), {"rotation_unit": "degrees"}, "'degrees'"),
    ],
)
def test_fd_refuses(motion, options, said):
    with pytest.raises(InputError, match=said):
        framewise_displacement(motion, **options)


def test_dvars_is_the_rms_of_the_backward_difference_and_skips_empty_columns():
    signal = np.array([[1.0, 10.0, np.nan], [4.0, 14.0, np.nan], [4.0, 14.0, np.nan]])
    change = dvars(signal)
    assert np.isnan(change[0])
    assert change[1:] == pytest.approx([np.sqrt((9 + 16) / 2), 0.0])
    assert np.isnan(dvars(np.full((3, 2), np.nan))).all()


def test_tsnr_is_mean_over_sd_with_n_in_the_denominator():
    signal = np.column_stack([[9.0, 11.0, 9.0, 11.0], np.full(4, 7.1), np.full(4, np.nan)])
    ratio = tsnr(signal)
    assert ratio[0] == pytest.approx(10.0)
    assert np.isnan(ratio[1:]).all()  # constant, and without data
    kept = np.array([True, False, True, False])
    assert np.isnan(tsnr(signal, kept=kept)[0])  # 9, 9
    with pytest.raises(InputError, match="4 entries"):
        tsnr(signal, kept=kept[:2])
