"""Smoothing of maps and their clusters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from connectrial.data import Grayordinates
from connectrial.errors import InputError
from connectrial.fc.clusters import find_clusters, find_peaks
from connectrial.fc.smoothing import smooth_map

AFFINE = np.diag([-2.0, 2.0, 4.0, 1.0])


def test_smoothing_leaves_a_constant_and_its_edges_alone():
    values = np.full((12, 10, 8), 0.3, dtype=np.float32)
    values[:3] = np.nan
    found = smooth_map(values, affine=AFFINE, fwhm_mm=6.0)
    np.testing.assert_allclose(found[3:], 0.3, rtol=1e-6)
    assert np.isnan(found[:3]).all()


def test_a_point_becomes_a_gaussian_of_that_width():
    """Oracle: scipy.ndimage with sigma = FWHM / 2.3548; at half the width the height is half."""
    values = np.zeros((41, 41, 21))
    values[20, 20, 10] = 1.0
    found = smooth_map(values, affine=AFFINE, fwhm_mm=8.0)
    sigma = 8.0 / 2.354820045 / np.array([2.0, 2.0, 4.0])
    np.testing.assert_allclose(found, ndimage.gaussian_filter(values, sigma), atol=1e-7)
    assert found[22, 20, 10] / found[20, 20, 10] == pytest.approx(0.5, rel=1e-5)
    assert found[20, 20, 11] / found[20, 20, 10] == pytest.approx(0.5, rel=1e-5)
    with pytest.raises(InputError, match="above 0"):
        smooth_map(values, affine=AFFINE, fwhm_mm=0.0)


def test_clusters_share_faces_and_a_sign():
    t = np.zeros((6, 6, 6), dtype=np.float32)
    t[0, 0, 0:3] = (3.0, 5.0, 4.0)
    t[1, 1, 0] = 3.5  # touches by an edge alone
    t[0, 0, 3] = -6.0  # touches by a face, other sign
    t[4, 4, 4] = np.nan
    found = find_clusters(t, np.abs(t) > 2, affine=AFFINE)
    assert list(found["n_voxels"]) == [3, 1, 1]
    assert list(found["sign"]) == [1, -1, 1]
    assert list(found["peak_statistic"]) == [5.0, -6.0, 3.5]
    assert list(found["volume_mm3"]) == [48.0, 16.0, 16.0]
    assert tuple(found.loc[0, ["peak_x_mm", "peak_y_mm", "peak_z_mm"]]) == (0.0, 0.0, 4.0)
    assert tuple(found.loc[2, ["peak_i", "peak_j", "peak_k"]]) == (1, 1, 0)
    assert len(find_clusters(t, np.abs(t) > 2, affine=AFFINE, min_voxels=2)) == 1
    none = find_clusters(t, np.abs(t) > 9, affine=AFFINE)
    assert len(none) == 0
    assert list(none.columns) == list(found.columns)
    with pytest.raises(InputError, match="one shape"):
        find_clusters(t, np.ones((2, 2, 2), dtype=bool), affine=AFFINE)


def rows_of_two_structures() -> Grayordinates:
    """Three vertices, and two voxels of 2 mm."""
    return Grayordinates(
        structures=("CORTEX_LEFT", "THALAMUS_LEFT"),
        structure=np.array([0, 0, 0, 1, 1], dtype=np.int16),
        vertex=np.array([4, 7, 9, -1, -1], dtype=np.int32),
        voxel=np.array([[-1] * 3] * 3 + [[1, 2, 3], [4, 5, 6]], dtype=np.int32),
        affine=np.diag([2.0, 2.0, 2.0, 1.0]),
    )


def test_peaks_are_by_structure_and_sign():
    statistic = np.array([3.0, -5.0, 4.0, np.nan, 2.5])
    passing = np.array([True, True, True, True, True])
    found = find_peaks(statistic, passing, rows=rows_of_two_structures())
    assert found["structure"].tolist() == ["CORTEX_LEFT", "CORTEX_LEFT", "THALAMUS_LEFT"]
    assert found["sign"].tolist() == [1, -1, 1]
    assert found["n_grayordinates"].tolist() == [2, 1, 1]
    assert found["peak_statistic"].tolist() == [4.0, -5.0, 2.5]
    assert found["peak_vertex"].isna().tolist() == [False, False, True]
    assert found["peak_vertex"].tolist()[:2] == [9, 7]
    place = found.loc[2, ["peak_x_mm", "peak_y_mm", "peak_z_mm"]].tolist()
    assert place == [8.0, 10.0, 12.0]
    assert found["peak_row"].tolist() == [2, 1, 4]


def test_no_peak_is_an_empty_table_and_lengths_must_agree():
    rows = rows_of_two_structures()
    found = find_peaks(np.ones(5), np.zeros(5, dtype=bool), rows=rows)
    assert len(found) == 0
    assert "peak_vertex" in found
    with pytest.raises(InputError, match="got 4, 4 and 5"):
        find_peaks(np.ones(4), np.ones(4, dtype=bool), rows=rows)
