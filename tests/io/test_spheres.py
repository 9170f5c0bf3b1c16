"""Spheres against a loop over all voxels and against nilearn; and the same pass with labels."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.data import Atlas
from connectrial.errors import InputError
from connectrial.fc.coverage import find_weak_parcels
from connectrial.io.images import extract_time_series, extract_with_quality
from connectrial.io.known_atlases import load_atlas
from connectrial.io.nifti import read_header
from connectrial.io.placing import place_atlas
from connectrial.io.spheres import add_spheres, place_spheres, sphere_atlas

SHAPE = (14, 12, 10)
# Oblique, of unequal voxels, with left and right in radiological order.
AFFINE = np.array(
    [[-2.9, 0.3, 0.1, 20.0], [0.3, 3.1, -0.4, -17.0], [0.0, 0.5, 3.6, -15.0], [0, 0, 0, 1]]
)
N_FRAMES = 9


def spheres(rows, names=None):
    table = pd.DataFrame(rows, columns=["x_mm", "y_mm", "z_mm", "radius_mm"])
    table.index = pd.Index(names or [f"s{n}" for n in range(len(table))], name="parcel")
    return sphere_atlas("spheres", table)


def centres_mm(shape=SHAPE, affine=AFFINE):
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return grid @ affine[:3, :3].T + affine[:3, 3]


def a_run(tmp_path, *, affine=AFFINE, shape=SHAPE, seed=1, dtype=np.int16):
    values = np.random.default_rng(seed).integers(100, 4000, (*shape, N_FRAMES))
    image = nib.Nifti1Image(values.astype(dtype), affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.0
    nib.save(image, tmp_path / "run.nii.gz")
    return tmp_path / "run.nii.gz", values


def by_loop(atlas, values, affine=AFFINE):
    """The oracle: every voxel's distance to every centre."""
    world = centres_mm(values.shape[:3], affine)
    signal = []
    for row in atlas.parcels.itertuples():
        inside = np.linalg.norm(world - [row.x_mm, row.y_mm, row.z_mm], axis=-1) <= row.radius_mm
        signal.append(values[inside].mean(axis=0))
    return np.column_stack(signal)


FEW = [(1.0, 2.0, 3.0, 5.0), (4.0, 2.0, 3.0, 6.5), (-10.0, -5.0, 5.0, 4.0), (9.0, 9.0, 9.0, 3.7)]


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_means_equal_a_loop_over_voxels_on_an_oblique_grid(tmp_path, dtype):
    path, values = a_run(tmp_path, dtype=dtype)
    series = extract_time_series(path, spheres(FEW))
    np.testing.assert_allclose(series.signal, by_loop(spheres(FEW), values), rtol=1e-12)
    assert series.coverage.tolist() == [1, 1, 1, 1]


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(len(FEW))), st.floats(-4, 4), st.floats(1.9, 9))
def test_voxels_are_those_within_the_radius_in_whatever_order_spheres_come(order, shift, radius):
    rows = [(x + shift, y, z - shift, radius) for x, y, z, _ in FEW]
    atlas = spheres([rows[n] for n in order], names=[f"s{n}" for n in order])
    placed = place_spheres(atlas, SHAPE, AFFINE)
    world = centres_mm().reshape(-1, 3, order="A")
    flat = np.arange(np.prod(SHAPE)).reshape(SHAPE, order="F").reshape(-1)
    for row, name in enumerate(atlas.parcels.index):
        away = np.linalg.norm(world - rows[int(name[1:])][:3], axis=1)
        expected = set(flat[away <= radius + 1e-6])  # as the placing has it
        assert set(placed.voxel[placed.parcel == row]) == expected
    assert (np.diff(placed.parcel) >= 0).all()


def test_a_voxel_on_the_surface_counts():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -10.1  # 10.1 is no binary number, so distances carry rounding
    for radius, expected in (
        (2.0, 7),
        (1.999, 1),
        (4.0, 33),
    ):  # lattice points within 1 and 2 steps
        atlas = spheres([(-0.1, -0.1, -0.1, radius)])
        assert len(place_spheres(atlas, (11, 11, 11), affine).voxel) == expected


def test_nilearns_masker_gives_the_same_series(tmp_path):
    """Oracle: NiftiSpheresMasker of nilearn 0.14.1; it sums in float32 at best, so 1e-6."""
    from nilearn.maskers import NiftiSpheresMasker

    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = (-20, -18, -15)
    path, _ = a_run(tmp_path, affine=affine, dtype=np.float32)
    centres = [row[:3] for row in FEW]
    masker = NiftiSpheresMasker(centres, radius=5.0, allow_overlap=True, standardize=None)
    theirs = masker.fit_transform(str(path))
    ours = extract_time_series(path, spheres([(*c, 5.0) for c in centres])).signal
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_shared_voxels_count_in_both_or_in_the_nearer_or_are_refused():
    affine = np.eye(4)
    atlas = spheres([(3, 3, 3, 2), (5, 3, 3, 2), (12, 3, 3, 1)], names=["A", "B", "far"])
    both = place_spheres(atlas, (15, 7, 7), affine)
    assert both.n_whole.tolist() == [33, 33, 7]
    assert len(np.unique(both.voxel)) < len(both.voxel)
    nearest = place_spheres(atlas, (15, 7, 7), affine, overlap="nearest")
    assert len(np.unique(nearest.voxel)) == len(nearest.voxel) == len(np.unique(both.voxel))
    between = np.ravel_multi_index((4, 3, 3), (15, 7, 7), order="F")  # as near to A as to B
    assert nearest.parcel[nearest.voxel == between].tolist() == [0]
    at_b = np.ravel_multi_index((5, 3, 3), (15, 7, 7), order="F")  # B's own centre, on A's surface
    assert nearest.parcel[nearest.voxel == at_b].tolist() == [1]
    with pytest.raises(InputError, match="1 pairs of spheres share voxels, 'A' and 'B' first"):
        place_spheres(atlas, (15, 7, 7), affine, overlap="refuse")
    apart = place_spheres(spheres([(3, 3, 3, 1), (9, 3, 3, 1)]), (15, 7, 7), affine)
    refused = place_spheres(
        spheres([(3, 3, 3, 1), (9, 3, 3, 1)]), (15, 7, 7), affine, overlap="refuse"
    )
    assert np.array_equal(apart.voxel, refused.voxel)
    with pytest.raises(InputError, match="'allow', 'nearest' or 'refuse'; got 'both'"):
        place_spheres(atlas, (15, 7, 7), affine, overlap="both")


def test_labels_and_spheres_in_one_pass_are_what_each_is_alone(tmp_path):
    path, values = a_run(tmp_path)
    values[5, 5, 5, 4] = 0  # a voxel that drops out in a later frame goes from all its parcels
    nib.save(nib.Nifti1Image(values.astype(np.int16), AFFINE), path)
    labels = np.zeros(SHAPE, dtype=np.int32)
    labels[2:8, 2:8, 2:8], labels[9:12, :4, :4] = 1, 7
    parcels = pd.DataFrame({"network": "N", "index": [7, 1]}, index=["seven", "one"])
    flat = Atlas(name="labels", parcels=parcels, labels=labels, affine=AFFINE)
    rows = [dict(zip(("x_mm", "y_mm", "z_mm", "radius_mm"), row, strict=True)) for row in FEW]
    mixed = add_spheres(flat, {"seed": rows[:3], "one more": rows[3:]})
    assert list(mixed.parcels.index) == ["seven", "one", "seed_1", "seed_2", "seed_3", "one more"]
    assert mixed.parcels["set"].isna().tolist() == [True, True, False, False, False, False]
    together = extract_with_quality(path, mixed)
    alone = [extract_with_quality(path, flat), extract_with_quality(path, spheres(FEW))]
    for part, where in zip(alone, (slice(0, 2), slice(2, 6)), strict=True):
        np.testing.assert_allclose(together.series.signal[:, where], part.series.signal, rtol=1e-12)
        np.testing.assert_allclose(together.series.coverage[where], part.series.coverage)
        np.testing.assert_allclose(together.quality.tsnr[where], part.quality.tsnr, rtol=1e-12)
    assert (together.series.coverage < 1).any()


def test_a_sphere_cut_by_the_grid_has_the_share_that_is_left(tmp_path):
    path, _ = a_run(tmp_path, affine=np.eye(4))
    series = extract_time_series(
        path, spheres([(0, 5, 5, 2), (6, 5, 5, 2), (-40, 5, 5, 2)]), min_coverage=0.4
    )
    # Lattice points within 2 of a centre: 13 at x = 0, 9 at x = 1 and -1, 1 at x = 2 and -2.
    assert series.coverage[0] == pytest.approx(23 / 33)
    assert series.coverage[1] == 1
    assert series.coverage[2] == 0
    assert np.isnan(series.signal[:, 2]).all()
    weak = find_weak_parcels(series).set_index("parcel")
    assert weak.loc["s2", "reason"] == "0% of its voxels have data, below 50%"


def test_a_sphere_between_voxel_centres_says_so(tmp_path):
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    path, _ = a_run(tmp_path, affine=affine)
    found = extract_with_quality(path, spheres([(10, 10, 10, 1.0), (20, 20, 20, 5.0)]))
    assert np.isnan(found.series.signal[:, 0]).all()
    assert found.series.coverage.tolist() == [0, 1]
    assert any("1 spheres hold the centre of no voxel of 4x4x4 mm" in note for note in found.notes)


def test_an_atlas_beside_the_brain_is_refused_and_a_doubtful_one_noted(tmp_path):
    path, _ = a_run(tmp_path, affine=np.eye(4))
    mask = tmp_path / "mask.nii.gz"
    inside = np.zeros(SHAPE, dtype=np.uint8)
    inside[:6] = 1
    nib.save(nib.Nifti1Image(inside, np.eye(4)), mask)
    with pytest.raises(InputError, match=r"almost none of the voxels .* another space"):
        extract_with_quality(path, spheres([(9, 5, 5, 2), (10, 6, 5, 2)]), mask=mask)
    doubtful = extract_with_quality(path, spheres([(5, 5, 5, 2), (9, 5, 5, 2)]), mask=mask)
    assert any("in the scan's brain mask; a field of view this small" in n for n in doubtful.notes)
    assert not extract_with_quality(path, spheres([(3, 5, 5, 2)]), mask=mask).notes
    with pytest.raises(InputError, match="share no place in world"):
        extract_with_quality(path, spheres([(300, 5, 5, 2)]))


def test_parcels_lost_by_resampling_are_named_and_keep_their_column(tmp_path):
    coarse = np.diag([6.0, 6.0, 6.0, 1.0])
    path, _ = a_run(tmp_path, affine=coarse)
    fine = np.zeros((40, 36, 30), dtype=np.int32)
    fine[2:20, 2:20, 2:20] = 1
    fine[22, 22, 22] = 2  # one voxel of 2 mm, away from every centre of 6 mm
    parcels = pd.DataFrame({"network": "N", "index": [1, 2]}, index=["large", "tiny"])
    atlas = Atlas(name="x", parcels=parcels, labels=fine, affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    found = extract_with_quality(path, atlas)
    assert list(found.series.parcels) == ["large", "tiny"]
    assert np.isnan(found.series.signal[:, 1]).all()
    assert found.series.coverage[1] == 0
    lost = [note for note in found.notes if "no voxel left after resampling" in note]
    assert lost
    assert "1 parcels" in lost[0]
    assert "tiny" in lost[0]


def test_wrong_spheres_are_refused():
    with pytest.raises(InputError, match="need the columns radius_mm"):
        sphere_atlas("x", pd.DataFrame({"x_mm": [1.0], "y_mm": [1.0], "z_mm": [1.0]}))
    for row in [(0, 0, 0, 0), (0, 0, 0, -2), (0, np.nan, 0, 5), (0, 0, 0, 80), (9000, 0, 0, 5)]:
        with pytest.raises(InputError, match="sphere 's0' is at"):
            spheres([row])
    named = spheres([(0, 0, 0, 5)], names=["sgACC"])
    with pytest.raises(InputError, match=r"\[sets.sgACC\] spheres: .* called 'sgACC' already"):
        add_spheres(named, {"sgACC": [{"x_mm": 0, "y_mm": 21, "z_mm": -10, "radius_mm": 5}]})


def test_six_seitzman_spheres_are_empty_where_the_field_of_view_cuts_the_cerebellum(
    connectrial_data,
):
    folder = connectrial_data / "bold4d"
    image, mask = (next(folder.glob(f"*{end}.nii.gz")) for end in ("bold", "mask"))
    atlas = load_atlas("Seitzman300")
    series = extract_time_series(image, atlas, mask=mask)
    assert int((series.coverage == 0).sum()) == 6
    assert set(atlas.parcels["structure"][series.coverage == 0]) == {"cerebellum"}
    assert list(series.parcels) == list(atlas.parcels.index)
    weak = find_weak_parcels(series)
    empty = atlas.parcels.index[series.coverage == 0]
    assert set(empty) <= set(weak["parcel"])
    placed = place_atlas(atlas, read_header(image, n_dimensions=4))
    data = np.asarray(nib.load(image).dataobj, dtype=float).reshape(-1, 82, order="F")
    kept = np.asarray(nib.load(mask).dataobj).ravel(order="F") > 0
    own = placed.spheres.voxel[placed.spheres.parcel == 100]
    own = own[kept[own]]
    np.testing.assert_allclose(series.signal[:, 100], data[own].mean(axis=0), rtol=1e-9)


def test_the_position_of_an_atlas_makes_no_difference_to_other_parcels(tmp_path):
    path, _ = a_run(tmp_path)
    one = extract_time_series(path, spheres(FEW)).signal
    turned = spheres(FEW)
    turned = replace(turned, parcels=turned.parcels.iloc[::-1])
    np.testing.assert_array_equal(extract_time_series(path, turned).signal, one[:, ::-1])
