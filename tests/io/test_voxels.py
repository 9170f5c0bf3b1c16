"""Voxels of a run, whole and in blocks, and maps written and read back."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from connectrial.errors import InputError
from connectrial.io.voxels import read_map, read_voxel_blocks, read_voxels, write_map

AFFINE = np.array([[-3.0, 0, 0, 12], [0, 3, 0, -9], [0, 0, 3, -6], [0, 0, 0, 1]])


def write_run(path: Path, data: np.ndarray, *, slope: float | None = None) -> Path:
    image = nib.Nifti1Image(data, AFFINE)
    if slope is not None:
        image.header.set_slope_inter(slope, 7.0)
    image.header.set_zooms((3, 3, 3, 2.0))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(path)
    return path


@pytest.fixture
def run(tmp_path):
    """int16, 5 x 4 x 3 voxels, 11 frames; one voxel empty from the start, one in a later frame."""
    data = np.random.default_rng(0).integers(100, 900, (5, 4, 3, 11)).astype(np.int16)
    data[0, 0, 0, :] = 0
    data[2, 1, 1, 6] = 0
    mask = np.zeros((5, 4, 3), dtype=np.uint8)
    mask[:4] = 1
    nib.Nifti1Image(mask, AFFINE).to_filename(tmp_path / "mask.nii.gz")
    return write_run(tmp_path / "run.nii.gz", data), tmp_path / "mask.nii.gz", data


def test_voxels_are_those_of_the_file_and_know_their_place(run):
    """Oracle: nibabel."""
    image, mask, data = run
    found = read_voxels(image, mask)
    assert found.signal.dtype == np.float32
    assert found.signal.shape == (11, 4 * 4 * 3 - 1)
    assert found.n_without_data == 2
    assert found.repetition_time_s == 2.0
    i, j, k = np.unravel_index(found.grid.voxels, found.grid.shape, order="F")
    expected = data[i, j, k].T.astype(np.float32)
    lost = (i == 2) & (j == 1) & (k == 1)
    np.testing.assert_array_equal(found.present, ~lost)
    np.testing.assert_array_equal(found.signal[:, ~lost], expected[:, ~lost])
    assert np.isnan(found.signal[:, lost]).all()
    centres = nib.affines.apply_affine(AFFINE, np.stack([i, j, k], axis=1))
    np.testing.assert_allclose(found.grid.centres_mm(), centres)
    volume = found.grid.volume(found.signal[3])
    np.testing.assert_array_equal(volume[3, 2, 1], data[3, 2, 1, 3])
    assert np.isnan(volume[4, 0, 0])
    near = found.grid.within_mm((3.0, -6.0, -3.0), 3.0)
    assert set(zip(i[near], j[near], k[near], strict=True)) == {
        (3, 1, 1), (2, 1, 1), (3, 0, 1), (3, 2, 1), (3, 1, 0), (3, 1, 2)
    }  # fmt: skip


def test_blocks_are_the_whole_in_pieces_within_the_budget(run):
    image, mask, _ = run
    whole = read_voxels(image, mask)
    blocks = list(read_voxel_blocks(image, mask, max_bytes=11 * 4 * 10))
    assert [block.signal.nbytes <= 440 for block in blocks] == [True] * 5
    np.testing.assert_array_equal(np.hstack([block.signal for block in blocks]), whole.signal)
    np.testing.assert_array_equal(
        np.concatenate([block.grid.voxels for block in blocks]), whole.grid.voxels
    )
    assert sum(block.n_without_data for block in blocks) == whole.n_without_data
    with pytest.raises(InputError, match=r"47 voxels x 11 frames .*read_voxel_blocks"):
        read_voxels(image, mask, max_bytes=1000)


def test_scaled_images_and_no_mask(tmp_path, run):
    _, _, data = run
    image = write_run(tmp_path / "scaled.nii.gz", data, slope=0.25)
    found = read_voxels(image, None)
    expected = 0.25 * data.reshape(-1, 11, order="F")[found.grid.voxels].T + 7.0
    np.testing.assert_allclose(
        found.signal,
        np.asanyarray(nib.load(image).dataobj).reshape(-1, 11, order="F")[found.grid.voxels].T,
        rtol=1e-6,
    )
    np.testing.assert_allclose(found.signal, expected, rtol=1e-6)


def test_damage_and_wrong_masks_are_named(tmp_path, run):
    image, mask, data = run
    content = bytearray(image.read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / "flipped.nii.gz").write_bytes(bytes(content))
    with pytest.raises(InputError, match="flipped"):
        read_voxels(tmp_path / "flipped.nii.gz", mask)
    (tmp_path / "short.nii.gz").write_bytes(
        gzip.compress(gzip.decompress(image.read_bytes())[:-30])
    )
    with pytest.raises(InputError, match="ends in frame 11"):
        read_voxels(tmp_path / "short.nii.gz", mask)
    with pytest.raises(InputError, match=r"mask has shape \(2, 4, 3\)"):
        read_voxels(image, np.ones((2, 4, 3), dtype=bool))
    only_empty = np.zeros(data.shape[:3], dtype=bool)
    only_empty[0, 0, 0] = True
    with pytest.raises(InputError, match="no voxel of the mask has data"):
        read_voxels(image, only_empty)


def test_a_map_is_written_the_same_each_time_and_reads_back(tmp_path):
    values = np.random.default_rng(1).normal(size=(5, 4, 3)).astype(np.float32)
    values[1, 1, 1] = np.nan
    first = write_map(tmp_path / "a.nii.gz", values, AFFINE).read_bytes()
    assert write_map(tmp_path / "b.nii.gz", values, AFFINE).read_bytes() == first
    found, affine = read_map(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(found, values)
    np.testing.assert_allclose(affine, AFFINE)
    loaded = nib.load(tmp_path / "a.nii.gz")  # as anybody's viewer reads it
    assert loaded.get_data_dtype() == np.float32
    np.testing.assert_array_equal(loaded.get_fdata(dtype=np.float32), values)
