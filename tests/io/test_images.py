"""Parcel extraction against nibabel's whole array and a loop over labels; and files gone wrong."""

import gzip
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import affine_transform

from connectrial.data import Atlas
from connectrial.errors import InputError
from connectrial.io.atlas import read_atlas
from connectrial.io.images import extract_time_series, extract_with_quality

SHAPE = (6, 5, 4)
AFFINE = np.array([[2.0, 0, 0, -5], [0, 2, 0, -4], [0, 0, 2, -3], [0, 0, 0, 1]])
N_FRAMES = 12
NAMES = ["left", "middle", "right"]


def labels() -> np.ndarray:
    """Three slabs along x, numbered out of order and with gaps."""
    values = np.zeros(SHAPE, dtype=np.int32)
    values[0:2], values[2:4], values[4:6] = 7, 2, 300
    values[:, :, 0] = 0
    return values


def an_atlas(values=None, affine=AFFINE, index=(7, 2, 300)) -> Atlas:
    parcels = pd.DataFrame({"network": "Net", "index": list(index)}, index=pd.Index(NAMES))
    return Atlas(
        name="x", parcels=parcels, labels=labels() if values is None else values, affine=affine
    )


def a_run(seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(200, 3000, SHAPE)[..., np.newaxis] + rng.integers(0, 90, (*SHAPE, N_FRAMES))


def save(
    path, values, *, affine=AFFINE, seconds=2.2, unit="sec", image=nib.Nifti1Image, slope=None
):
    made = image(values, affine)
    made.header.set_xyzt_units("mm", unit)
    made.header["pixdim"][4] = seconds
    if slope is not None:
        made.header.set_slope_inter(*slope)
    nib.save(made, path)
    return path


def by_loop(path, parcels_of=labels) -> np.ndarray:
    """The oracle: nibabel's scaled array, one mean per label in the atlas' order."""
    values = nib.load(path).get_fdata()
    return np.column_stack([values[parcels_of() == label].mean(axis=0) for label in (7, 2, 300)])


@pytest.mark.parametrize("name", ["run.nii.gz", "run.nii"])
@pytest.mark.parametrize(
    "dtype", ["<i2", ">i2", "u2", "u1", "i1", "<i4", "<f4", ">f4", "<f8", ">f8"]
)
def test_means_equal_a_loop_over_labels_whatever_the_type(tmp_path, dtype, name):
    values = a_run() if np.dtype(dtype).itemsize > 1 else a_run() % 100 + 1
    # nibabel keeps the byte order of the header, so the header is made in it.
    header = nib.Nifti1Header(
        endianness=np.dtype(dtype).byteorder.replace("|", "<").replace("=", "<")
    )
    header.set_data_dtype(np.dtype(dtype))
    header.set_xyzt_units("mm", "sec")
    path = tmp_path / name
    image = nib.Nifti1Image(values.astype(np.dtype(dtype).newbyteorder("=")), AFFINE, header)
    image.header["pixdim"][4] = 2.2
    nib.save(image, path)
    assert nib.load(path).get_data_dtype().newbyteorder("=") == np.dtype(dtype).newbyteorder("=")
    series = extract_time_series(path, an_atlas())
    np.testing.assert_allclose(series.signal, by_loop(path), rtol=1e-12)
    assert list(series.parcels) == NAMES
    assert series.repetition_time_s == 2.2
    assert series.kept.all()
    assert series.coverage.tolist() == [1.0, 1.0, 1.0]


def test_big_endian_really_is(tmp_path):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    path = tmp_path / "run.nii"
    nib.save(nib.Nifti1Image(a_run().astype(np.int16), AFFINE, header), path)
    assert path.read_bytes()[:4] == (348).to_bytes(4, "big")
    np.testing.assert_allclose(extract_time_series(path, an_atlas()).signal, by_loop(path))


@pytest.mark.parametrize("slope", [(0.25, 0.0), (-2.0, 9000.0), (0.1, -15.0)])
def test_scaling_comes_after_the_sums_and_finds_its_own_zero(tmp_path, slope):
    values = a_run().astype(np.int16)
    path = save(tmp_path / "run.nii.gz", values, slope=slope)
    assert nib.load(path).dataobj.slope == pytest.approx(slope[0])
    signal = extract_time_series(path, an_atlas()).signal
    np.testing.assert_allclose(signal, by_loop(path), rtol=1e-9)
    quality = extract_with_quality(path, an_atlas()).quality
    voxels = nib.load(path).get_fdata()[labels() > 0]
    np.testing.assert_allclose(quality.global_signal, voxels.mean(axis=0), rtol=1e-9)
    expected = np.sqrt(np.mean(np.diff(voxels, axis=1) ** 2, axis=0))
    np.testing.assert_allclose(quality.dvars[1:], expected, rtol=1e-9)
    ratio = voxels.mean(axis=1) / voxels.std(axis=1)
    assert quality.median_tsnr == pytest.approx(np.median(ratio), rel=1e-9)


def test_a_voxel_that_scaling_turns_to_zero_carries_no_data(tmp_path):
    values = a_run().astype(np.int16)
    values[0, 0, 1] = 150  # 0.1 * 150 - 15 = 0
    path = save(tmp_path / "run.nii.gz", values, slope=(0.5, -75.0))
    series = extract_time_series(path, an_atlas())
    assert series.coverage[0] == pytest.approx(29 / 30)


def test_no_voxel_is_empty_where_zero_lies_between_two_stored_numbers(tmp_path):
    values = a_run().astype(np.int16)
    values[0, 0, 1] = 150  # 0.5 * 150 - 75.25 = -0.25
    path = save(tmp_path / "run.nii.gz", values, slope=(0.5, -75.25))
    assert extract_time_series(path, an_atlas()).coverage[0] == 1


def test_second_version_of_the_format_and_nifti_2(tmp_path):
    path = save(tmp_path / "run.nii.gz", a_run().astype(np.int16), image=nib.Nifti2Image)
    np.testing.assert_allclose(extract_time_series(path, an_atlas()).signal, by_loop(path))


def test_zlib_reads_the_same_where_isal_is_missing(tmp_path, monkeypatch):
    path = save(tmp_path / "run.nii.gz", a_run().astype(np.int16))
    fast = extract_time_series(path, an_atlas()).signal
    for module in ("isal", "isal.igzip"):
        monkeypatch.setitem(sys.modules, module, None)
    assert np.array_equal(extract_time_series(path, an_atlas()).signal, fast)
    damage(path, at=-6)
    with pytest.raises(InputError, match="damaged"):
        extract_time_series(path, an_atlas())


def test_several_gzip_members_are_one_file(tmp_path):
    """pigz and bgzip write members; a reader that stops after the first loses frames."""
    path = save(tmp_path / "run.nii", a_run().astype(np.int16))
    content = path.read_bytes()
    parts = [content[:1000], content[1000:1500], content[1500:]]
    packed = tmp_path / "run.nii.gz"
    packed.write_bytes(b"".join(gzip.compress(part) for part in parts))
    np.testing.assert_allclose(extract_time_series(packed, an_atlas()).signal, by_loop(path))


# --- voxels without data ---------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("frames", [slice(None), slice(0, 1), slice(5, 6), slice(11, None)])
def test_a_voxel_without_data_in_any_frame_is_left_out_of_all(tmp_path, bad, frames):
    values = a_run().astype(np.float32)
    values[0, 1:3, 2, frames] = bad
    path = save(tmp_path / "run.nii.gz", values)
    result = extract_with_quality(path, an_atlas())
    usable = labels().copy()
    usable[0, 1:3, 2] = 0
    np.testing.assert_allclose(
        result.series.signal, by_loop(path, parcels_of=lambda: usable), rtol=1e-12
    )
    assert result.series.coverage.tolist() == [28 / 30, 1.0, 1.0]
    assert result.quality.n_voxels == 88
    assert result.quality.n_voxels_without_data == 2


def test_voxels_that_drop_out_in_different_frames_are_all_left_out(tmp_path):
    values = a_run().astype(np.float32)
    values[0, 1, 2, 4], values[0, 2, 2, 9], values[0, 3, 2, 0] = 0, np.nan, 0
    path = save(tmp_path / "run.nii.gz", values)
    usable = labels().copy()
    usable[0, 1:4, 2] = 0
    signal = extract_time_series(path, an_atlas()).signal
    np.testing.assert_allclose(signal, by_loop(path, parcels_of=lambda: usable), rtol=1e-12)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_parcel_without_any_voxel_keeps_its_column(tmp_path, column):
    """Parcels never shift: the others stay where they are, even if nothing need be covered."""
    path = save(tmp_path / "run.nii.gz", a_run().astype(np.int16))
    expected = by_loop(path)
    inside = (labels() != (7, 2, 300)[column]).astype(np.uint8)
    mask = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(inside, AFFINE), mask)
    series = extract_time_series(path, an_atlas(), mask=mask, min_coverage=0.0)
    expected[:, column] = np.nan
    np.testing.assert_allclose(series.signal, expected, rtol=1e-12)
    assert series.coverage[column] == 0


def test_a_parcel_below_the_threshold_is_nan_and_named(tmp_path):
    values = a_run().astype(np.int16)
    values[4:6, :, 1:3] = 0  # 20 of 30 voxels
    path = save(tmp_path / "run.nii.gz", values)
    result = extract_with_quality(path, an_atlas())
    assert result.series.coverage.tolist() == [1.0, 1.0, 1 / 3]
    assert np.isnan(result.series.signal[:, 2]).all()
    assert np.isnan(result.quality.tsnr[2])
    assert any("1 parcels" in note and "right" in note for note in result.notes)
    enough = extract_time_series(path, an_atlas(), min_coverage=0.3)
    assert np.isfinite(enough.signal).all()
    assert list(enough.parcels) == NAMES


def test_the_mask_decides_which_voxels_count(tmp_path):
    path = save(tmp_path / "run.nii.gz", a_run().astype(np.int16))
    inside = np.ones(SHAPE, dtype=np.uint8)
    inside[0] = 0
    mask = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(inside, AFFINE), mask)
    result = extract_with_quality(path, an_atlas(), mask=mask)
    np.testing.assert_allclose(
        result.series.signal, by_loop(path, parcels_of=lambda: labels() * inside)
    )
    assert result.series.coverage.tolist() == [0.5, 1.0, 1.0]
    assert result.quality.n_voxels == inside.sum()  # the whole mask, not the parcels alone


def test_quality_of_the_same_pass_equals_the_formulas(tmp_path):
    """About a large baseline, where sums about zero would lose the digits."""
    values = a_run() + 10_000_000
    path = save(tmp_path / "run.nii.gz", values.astype(np.float64))
    quality = extract_with_quality(path, an_atlas()).quality
    voxels = values[labels() > 0].astype(np.float64)
    ratio = voxels.mean(axis=1) / voxels.std(axis=1)
    assert quality.median_tsnr == pytest.approx(np.median(ratio), rel=1e-9)
    of_parcel = labels()[labels() > 0]
    expected = [ratio[of_parcel == label].mean() for label in (7, 2, 300)]
    np.testing.assert_allclose(quality.tsnr, expected, rtol=1e-9)


@pytest.mark.parametrize("block_values", [1, 90 * 5, 90 * 11, 90 * 12])
def test_the_size_of_blocks_changes_nothing(tmp_path, monkeypatch, block_values):
    values = a_run().astype(np.float32)
    values[3, 2, 2, 7] = np.nan
    path = save(tmp_path / "run.nii.gz", values)
    whole = extract_with_quality(path, an_atlas())
    monkeypatch.setattr("connectrial.io.image_pass._BLOCK_VALUES", block_values)
    monkeypatch.setattr("connectrial.io.image_pass._CHUNK_VOXELS", 7)
    parts = extract_with_quality(path, an_atlas())
    assert np.array_equal(parts.series.signal, whole.series.signal)
    for name in ("dvars", "global_signal", "tsnr", "median_tsnr"):
        np.testing.assert_allclose(
            getattr(parts.quality, name), getattr(whole.quality, name), rtol=1e-12
        )


def test_one_frame_is_a_run_too(tmp_path):
    path = save(tmp_path / "run.nii.gz", a_run()[..., :1].astype(np.int16))
    result = extract_with_quality(path, an_atlas())
    np.testing.assert_allclose(result.series.signal, by_loop(path))
    assert np.isnan(result.quality.dvars).all()
    assert np.isnan(result.quality.tsnr).all()


# --- grids -----------------------------------------------------------------------------------


def test_a_left_right_flipped_file_gives_the_same_parcels(tmp_path):
    """The same brain stored right to left: the affine says so, the array order does not matter."""
    values = a_run().astype(np.int16)
    path = save(tmp_path / "run.nii.gz", values)
    turned = AFFINE.copy()
    turned[0, 0] = -2
    turned[0, 3] = AFFINE[0, 3] + 2 * (SHAPE[0] - 1)
    flipped = save(tmp_path / "flipped.nii.gz", values[::-1], affine=turned)
    result = extract_with_quality(flipped, an_atlas())
    np.testing.assert_allclose(result.series.signal, by_loop(path))
    assert "resampled" in result.notes[0]
    assert extract_with_quality(path, an_atlas()).notes == ()


def test_a_finer_atlas_is_resampled_to_the_image(tmp_path):
    path = save(tmp_path / "run.nii.gz", a_run().astype(np.int16))
    fine = np.kron(labels(), np.ones((2, 2, 2), dtype=np.int32))
    affine = AFFINE.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] -= 0.5  # centres of the small voxels, 0.5 mm to each side of the large one's
    result = extract_with_quality(path, an_atlas(fine, affine))
    np.testing.assert_allclose(result.series.signal, by_loop(path))
    assert result.series.coverage.tolist() == [1.0, 1.0, 1.0]
    assert result.notes == (
        "atlas x resampled by nearest neighbour from 12x10x8 at 1x1x1 mm to the image's 6x5x4 at "
        "2x2x2 mm",
    )


def test_what_the_box_of_the_image_cuts_off_counts_as_not_covered(tmp_path):
    values = a_run().astype(np.int16)[1:]  # half of the first parcel is outside the grid
    affine = AFFINE.copy()
    affine[0, 3] += 2
    path = save(tmp_path / "run.nii.gz", values, affine=affine)
    series = extract_time_series(path, an_atlas(), min_coverage=0.6)
    assert series.coverage.tolist() == [0.5, 1.0, 1.0]
    assert np.isnan(series.signal[:, 0]).all()
    assert np.isfinite(series.signal[:, 1:]).all()


def test_a_rotated_image_finds_its_parcels(tmp_path):
    """The grid turned a quarter about z: axes swapped on disk, the world the same."""
    values = a_run().astype(np.int16)
    turned = AFFINE @ np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    path = save(tmp_path / "run.nii.gz", values)
    swapped = save(tmp_path / "swapped.nii.gz", values.swapaxes(0, 1), affine=turned)
    np.testing.assert_allclose(extract_time_series(swapped, an_atlas()).signal, by_loop(path))


def test_grids_that_do_not_belong_together(tmp_path):
    path = save(tmp_path / "run.nii.gz", a_run().astype(np.int16))
    far = AFFINE.copy()
    far[0, 3] = 500
    with pytest.raises(InputError, match="share no place"):
        extract_time_series(path, an_atlas(labels(), far))
    mask = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.uint8), far), mask)
    with pytest.raises(InputError, match="mask's grid"):
        extract_time_series(path, an_atlas(), mask=mask)
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE), mask)
    with pytest.raises(InputError, match="mask is empty"):
        extract_time_series(path, an_atlas(), mask=mask)
    with pytest.raises(InputError, match="no such image"):
        extract_time_series(path, an_atlas(), mask=tmp_path / "absent.nii.gz")


def test_an_atlas_needs_an_image(tmp_path):
    path = save(tmp_path / "run.nii.gz", a_run().astype(np.int16))
    names = Atlas(name="x", parcels=an_atlas().parcels)
    with pytest.raises(InputError, match="no label image"):
        extract_time_series(path, names)
    with pytest.raises(InputError, match="min_coverage"):
        extract_time_series(path, an_atlas(), min_coverage=50)
    empty = save(tmp_path / "empty.nii.gz", np.zeros((*SHAPE, 3), np.int16))
    with pytest.raises(InputError, match="no parcel of atlas 'x' has data"):
        extract_time_series(empty, an_atlas())


# --- the repetition time -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "unit", "expected"),
    [
        (2.2, "sec", 2.2),
        (0.72, "sec", 0.72),
        (2200, "msec", 2.2),
        (2.2e6, "usec", 2.2),
        (2.0, "unknown", 2.0),
        (0, "sec", None),
        (2000, "sec", None),
        (2000, "unknown", None),
        (2.0, "hz", None),
    ],
)
def test_repetition_time_by_its_unit(tmp_path, seconds, unit, expected):
    path = save(tmp_path / "run.nii.gz", a_run().astype(np.int16), seconds=seconds, unit=unit)
    result = extract_with_quality(path, an_atlas())
    assert result.series.repetition_time_s == expected
    assert ("repetition time" in " ".join(result.notes)) == (expected is None)
    stated = extract_with_quality(path, an_atlas(), repetition_time_s=1.5)
    assert stated.series.repetition_time_s == 1.5
    assert stated.notes == ()


# --- files gone wrong --------------------------------------------------------------------------


def damage(path, *, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_anywhere_in_the_compressed_data_is_noticed(tmp_path, seed):
    path = save(tmp_path / "run.nii.gz", a_run().astype(np.int16))
    size = path.stat().st_size
    damage(path, at=int(np.random.default_rng(seed).integers(size // 10, size)))
    with pytest.raises(InputError) as caught:
        extract_time_series(path, an_atlas())
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("share", [0.2, 0.7, 0.999])
@pytest.mark.parametrize("name", ["run.nii.gz", "run.nii"])
def test_a_truncated_file_is_noticed(tmp_path, share, name):
    path = save(tmp_path / name, a_run().astype(np.int16))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"damaged|ends in frame|no NIfTI"):
        extract_time_series(path, an_atlas())


@pytest.mark.parametrize(
    ("n_frames", "said"), [(20, "ends in frame 13 of the 20"), (5, "bytes follow the 5 frames")]
)
@pytest.mark.parametrize("packed", [True, False])
def test_a_header_that_lies_about_its_length(tmp_path, n_frames, said, packed):
    path = save(tmp_path / "run.nii", a_run().astype(np.int16))
    content = bytearray(path.read_bytes())
    content[48:50] = n_frames.to_bytes(2, "little")  # dim[4]
    if packed:
        path = tmp_path / "run.nii.gz"
        content = gzip.compress(bytes(content))
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=said):
        extract_time_series(path, an_atlas())


def test_other_files_are_called_by_their_name(tmp_path):
    volume = save(tmp_path / "bold.nii.gz", a_run()[..., 0].astype(np.int16))
    with pytest.raises(InputError, match=r"4-D image .*\(6, 5, 4\)"):
        extract_time_series(volume, an_atlas())
    with pytest.raises(InputError, match="no such image"):
        extract_time_series(tmp_path / "absent.nii.gz", an_atlas())
    text = tmp_path / "text.nii.gz"
    text.write_text("this is no image")
    with pytest.raises(InputError, match="no NIfTI image"):
        extract_time_series(text, an_atlas())
    pair = tmp_path / "run.img"
    nib.save(nib.Nifti1Pair(a_run().astype(np.int16), AFFINE), pair)
    with pytest.raises(InputError, match="part of a pair"):
        extract_time_series(pair, an_atlas())
    colours = np.zeros((*SHAPE, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb = save(tmp_path / "rgb.nii.gz", colours)
    with pytest.raises(InputError, match="plain numbers"):
        extract_time_series(rgb, an_atlas())


# --- the real run --------------------------------------------------------------------------------


def test_the_real_run_equals_nibabel_and_shows_its_cut_cerebellum(connectrial_data):
    """ds000205, 82 frames at 4 mm: Gordon 333 resampled, two parcels outside the field of view."""
    folder = connectrial_data / "bold4d"
    image = next(folder.glob("*_bold.nii.gz"))
    mask = next(folder.glob("*_mask.nii.gz"))
    gordon = read_atlas(
        "Gordon333",
        image=connectrial_data / "atlas" / "gordon333MNI.nii.gz",
        table=connectrial_data / "atlas" / "atlas-Gordon333_dseg.tsv",
    )
    result = extract_with_quality(image, gordon, mask=mask)
    series = result.series
    assert series.signal.shape == (82, 333)
    assert series.repetition_time_s == 2.2
    assert np.isnan(series.signal).all(axis=0).sum() == 2
    assert any("2 parcels" in note for note in result.notes)
    # The oracle resamples with scipy and averages with nibabel's array.
    loaded = nib.load(image)
    to_atlas = np.linalg.inv(gordon.affine) @ loaded.affine
    on_grid = affine_transform(
        gordon.labels, to_atlas[:3, :3], to_atlas[:3, 3], loaded.shape[:3], order=0
    )
    values = loaded.get_fdata()
    usable = (values != 0).all(axis=-1) & (nib.load(mask).get_fdata() > 0)
    present = np.flatnonzero(~np.isnan(series.signal[0]))
    expected = [values[usable & (on_grid == column + 1)].mean(axis=0) for column in present]
    np.testing.assert_allclose(series.signal[:, present], np.column_stack(expected), rtol=1e-10)


def test_a_real_cifti_file_needs_an_atlas_of_grayordinates(connectrial_data):
    path = next((connectrial_data / "cifti").glob("*.dtseries.nii"))
    with pytest.raises(InputError, match="labels a volume"):
        extract_time_series(path, an_atlas())
