"""REACT's two stages."""

from __future__ import annotations

import numpy as np
import pytest

from connectrial.errors import InputError
from connectrial.fc.react import react, scale_receptor_maps


def make(seed: int = 0):
    rng = np.random.default_rng(seed)
    maps = scale_receptor_maps(rng.gamma(2.0, size=(2, 80)))
    courses = rng.normal(size=(50, 2))
    return rng, maps, courses


def test_known_time_courses_come_back():
    """Truth: signal = courses x maps + a swing of the whole brain, without noise."""
    rng, maps, courses = make()
    signal = 500 + courses @ maps + rng.normal(size=(50, 1))
    found = react(signal, maps)
    np.testing.assert_allclose(found.time_courses, courses, rtol=0, atol=1e-9)


def test_both_stages_are_least_squares_in_their_masks():
    """Oracle: numpy.linalg.lstsq with intercepts, frame by frame and place by place."""
    rng, maps, courses = make(1)
    signal = courses @ maps * 5 + rng.normal(size=(50, 80))
    maps[1, 3] = np.nan
    signal[4, 6] = np.nan
    one, two = np.arange(80) % 5 != 0, np.arange(80) < 60
    found = react(signal, maps, mask_1=one, mask_2=two)
    used = one & (np.arange(80) != 3) & (np.arange(80) != 6)
    design = np.column_stack([np.ones(used.sum()), maps[:, used].T])
    courses_found = np.linalg.lstsq(design, signal[:, used].T, rcond=None)[0][1:].T
    np.testing.assert_allclose(found.time_courses, courses_found, rtol=0, atol=1e-9)
    scaled = courses_found / courses_found.std(axis=0, ddof=1)
    design = np.column_stack([np.ones(50), scaled])
    for place in (0, 3, 59):
        expected = np.linalg.lstsq(design, signal[:, place], rcond=None)[0][1:]
        np.testing.assert_allclose(found.maps[:, place], expected, rtol=0, atol=1e-9)
    assert np.isnan(found.maps[:, ~(two & (np.arange(80) != 6))]).all()


def test_receptor_maps_are_scaled():
    scaled = scale_receptor_maps([[-2.0, 1.0, 4.0, 9.0]], reference=[False, False, False, True])
    np.testing.assert_array_equal(scaled, [[0.0, 0.25, 1.0, np.nan]])
    with pytest.raises(InputError, match="receptor map 2 holds nothing above 0"):
        scale_receptor_maps([[1.0, 2.0], [-1.0, 0.0]])


def test_what_cannot_be_done_is_refused():
    rng, maps, _ = make(2)
    signal = rng.normal(size=(50, 80))
    with pytest.raises(InputError, match="cannot be told apart"):
        react(signal, np.vstack([maps[0], 2 * maps[0] + 1]))
    with pytest.raises(InputError, match="got"):
        react(signal[:, :70], maps)
    with pytest.raises(InputError, match="3 places have signal and density"):
        react(signal, maps, mask_1=np.arange(80) < 3)
    with pytest.raises(InputError, match="mask_2 must have shape"):
        react(signal, maps, mask_2=np.ones(3, dtype=bool))
