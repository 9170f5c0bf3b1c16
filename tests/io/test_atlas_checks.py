"""Label images that do not fit their table or their scan: each is named for what it is."""

import nibabel as nib
import numpy as np
import pytest

from connectrial.errors import InputError
from connectrial.io.atlas import read_atlas
from connectrial.io.atlas_checks import centroids_mm, sides_of
from connectrial.io.images import extract_with_quality

AFFINE = np.array([[2.0, 0, 0, -40], [0, 2, 0, -40], [0, 0, 2, -40], [0, 0, 0, 1]])
SHAPE = (41, 41, 41)  # x = 0 in the middle
CENTRES = {1: (-30, 10, 0), 2: (-20, -20, 10), 3: (30, 10, 0), 4: (20, -20, 10), 5: (0, 0, -20)}


def image(folder, *, affine=AFFINE, centres=CENTRES, dtype=np.int16, name="labels.nii.gz"):
    labels = np.zeros(SHAPE, dtype=dtype)
    for label, place in centres.items():
        i, j, k = np.rint((np.array(place) + 40) / 2).astype(int)
        labels[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2] = label
    nib.save(nib.Nifti1Image(labels, affine), folder / name)
    return folder / name


def table(folder, names=("LH_Vis_1", "LH_Vis_2", "RH_Vis_1", "RH_Vis_2", "Brainstem"), **columns):
    lines = ["\t".join(["index", "label", *columns])]
    for number, name in enumerate(names):
        lines.append(
            "\t".join([str(number + 1), name, *(str(c[number]) for c in columns.values())])
        )
    (folder / "table.tsv").write_text("\n".join(lines) + "\n")
    return folder / "table.tsv"


def flipped():
    mirror = AFFINE.copy()
    mirror[0] *= -1
    return mirror


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["7Networks_LH_Vis_1", "RH_Default_PFC_1", "x"], ["L", "R", ""]),
        (["L_Default_1", "R_None_162"], ["L", "R"]),
        (["Left-Amygdala", "Right-Amygdala", "Brain-Stem"], ["L", "R", ""]),
        (["aHIP-lh", "aHIP-rh", "HIP-head-m1-rh"], ["L", "R", "R"]),
        (["Hippocampus_L", "Hippocampus_R"], ["L", "R"]),
        (["area_L", "area_M", "Lobule"], ["", "", ""]),  # one _L by chance tells nothing
    ],
)
def test_names_tell_sides(tmp_path, names, expected):
    (tmp_path / "t.txt").write_text("\n".join(names))
    assert sides_of(read_atlas("x", table=tmp_path / "t.txt").parcels) == expected


def test_centroids_are_means_of_voxel_centres(tmp_path):
    atlas = read_atlas("x", image=image(tmp_path))
    found = centroids_mm(atlas.labels, atlas.affine, np.array([5, 1, 9]))
    np.testing.assert_allclose(found[0], CENTRES[5])
    np.testing.assert_allclose(found[1], CENTRES[1])
    assert np.isnan(found[2]).all()


def test_an_image_that_fits_is_silent(tmp_path):
    hemispheres = ["L", "L", "R", "R", "n/a"]
    where = dict(zip("xyz", zip(*CENTRES.values(), strict=True), strict=True))
    for columns in ({}, {"hemisphere": hemispheres}, where):
        atlas = read_atlas("x", image=image(tmp_path), table=table(tmp_path, **columns))
        assert atlas.notes == ()


def test_left_and_right_swapped_by_name_by_column_and_by_centroid(tmp_path):
    swapped = image(tmp_path, affine=flipped())
    said = r"left and right are swapped: 4 of 4 parcels .*'LH_Vis_1' \(L\) lies at x = 30 mm"
    with pytest.raises(InputError, match=said):
        read_atlas("x", image=swapped, table=table(tmp_path))
    plain = ("a", "b", "c", "d", "e")
    by_column = table(tmp_path, plain, hemisphere=["left", "left", "right", "right", ""])
    with pytest.raises(InputError, match="left and right are swapped"):
        read_atlas("x", image=swapped, table=by_column)
    where = dict(zip("xyz", zip(*CENTRES.values(), strict=True), strict=True))
    with pytest.raises(InputError, match="with x mirrored the parcels lie 0 mm from the centroids"):
        read_atlas("x", image=swapped, table=table(tmp_path, plain, **where))
    assert read_atlas("x", image=swapped, table=table(tmp_path, plain)).notes == ()  # nothing tells


def test_a_single_parcel_on_the_other_side_is_noted(tmp_path):
    odd = CENTRES | {4: (-20, -30, 10)}
    notes = read_atlas("x", image=image(tmp_path, centres=odd), table=table(tmp_path)).notes
    assert len(notes) == 1
    assert "1 of 4 parcels lie on the other side" in notes[0]
    assert "RH_Vis_2" in notes[0]


def test_labels_in_another_order_or_space_are_told_by_their_centroids(tmp_path):
    plain = ("a", "b", "c", "d", "e")
    where = dict(zip("xyz", zip(*CENTRES.values(), strict=True), strict=True))
    shuffled = {1: CENTRES[4], 2: CENTRES[3], 3: CENTRES[5], 4: CENTRES[1], 5: CENTRES[2]}
    with pytest.raises(InputError, match=r"lie \d+ mm \(median\) from the centroids"):
        read_atlas(
            "x", image=image(tmp_path, centres=shuffled), table=table(tmp_path, plain, **where)
        )
    one_off = CENTRES | {5: (0, 30, 30)}
    atlas = read_atlas(
        "x", image=image(tmp_path, centres=one_off), table=table(tmp_path, plain, **where)
    )
    assert atlas.notes == ("1 parcels lie more than 40 mm from the centroids in the table: e",)


def test_columns_called_x_that_hold_no_numbers_are_no_centroids(tmp_path):
    atlas = read_atlas(
        "x", image=image(tmp_path), table=table(tmp_path, x="abcde", y="abcde", z="abcde")
    )
    assert atlas.notes == ()


def test_labels_and_rows_that_lack_one_another(tmp_path):
    few = {label: CENTRES[label] for label in (1, 2, 3)}
    with pytest.raises(
        InputError, match=r"2 rows have no voxel in .*: 4, 5; the image lost labels"
    ):
        read_atlas("x", image=image(tmp_path, centres=few), table=table(tmp_path))
    with pytest.raises(InputError, match=r"1 labels have no row in .*: 77"):
        read_atlas(
            "x", image=image(tmp_path, centres=CENTRES | {77: (0, 30, 0)}), table=table(tmp_path)
        )
    with pytest.raises(InputError, match=r"the label image is empty \(all 0\)"):
        read_atlas("x", image=image(tmp_path, centres={}), table=table(tmp_path))


def test_labels_above_127_in_eight_bits(tmp_path):
    places = {1: CENTRES[1], 127: CENTRES[2], 128: CENTRES[3], 200: CENTRES[4]}
    (tmp_path / "t.tsv").write_text("index\tlabel\n1\tA\n127\tB\n128\tC\n200\tD\n")
    whole = image(tmp_path, centres=places)
    assert len(read_atlas("x", image=whole, table=tmp_path / "t.tsv").parcels) == 4
    loaded = nib.load(whole)
    wrapped = np.asarray(loaded.dataobj).astype(np.int8)  # 128 becomes -128
    nib.save(nib.Nifti1Image(wrapped, AFFINE), tmp_path / "wrapped.nii.gz")
    with pytest.raises(InputError, match=r"negative labels down to -128; .* 8-bit integers"):
        read_atlas("x", image=tmp_path / "wrapped.nii.gz", table=tmp_path / "t.tsv")
    clipped = np.where(wrapped < 0, 0, wrapped)
    nib.save(nib.Nifti1Image(clipped, AFFINE), tmp_path / "clipped.nii.gz")
    with pytest.raises(InputError, match=r"128, 200; .*all of them are above 127, so .* 8 bits"):
        read_atlas("x", image=tmp_path / "clipped.nii.gz", table=tmp_path / "t.tsv")


def test_probabilities_are_no_labels(tmp_path):
    maps = np.random.default_rng(0).random((5, 5, 5, 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(maps, AFFINE), tmp_path / "maps.nii.gz")
    with pytest.raises(InputError, match="probability map for each parcel: make a label image"):
        read_atlas("x", image=tmp_path / "maps.nii.gz")
    nib.save(nib.Nifti1Image(maps[..., 0], AFFINE), tmp_path / "map.nii.gz")
    with pytest.raises(InputError, match="whole numbers only; this one holds others"):
        read_atlas("x", image=tmp_path / "map.nii.gz")


def test_floating_point_labels_are_fine_if_whole(tmp_path):
    atlas = read_atlas("x", image=image(tmp_path, dtype=np.float64), table=table(tmp_path))
    assert atlas.labels.dtype == np.int32
    assert len(atlas.parcels) == 5


def test_names_that_repeat_and_a_parcel_numbered_zero(tmp_path):
    with pytest.raises(InputError, match="names these parcels more than once: a"):
        read_atlas("x", image=image(tmp_path), table=table(tmp_path, ("a", "a", "b", "c", "d")))
    (tmp_path / "t.tsv").write_text("index\tlabel\n0\tA\n1\tB\n")
    with pytest.raises(InputError, match="'A' has index 0, which is the background"):
        read_atlas("x", image=image(tmp_path), table=tmp_path / "t.tsv")


def test_an_atlas_of_another_origin_misses_the_scans_brain(tmp_path):
    grid = np.diag([4.0, 4.0, 4.0, 1.0])
    grid[:3, 3] = -40
    values = np.random.default_rng(1).integers(100, 900, (21, 21, 21, 8)).astype(np.int16)
    run = nib.Nifti1Image(values, grid)
    run.header.set_xyzt_units("mm", "sec")
    run.header["pixdim"][4] = 2.0
    nib.save(run, tmp_path / "run.nii.gz")
    world = np.stack(np.meshgrid(*[np.arange(21) * 4 - 40] * 3, indexing="ij"))
    brain = (np.linalg.norm(world, axis=0) < 38).astype(np.uint8)
    nib.save(nib.Nifti1Image(brain, grid), tmp_path / "mask.nii.gz")
    atlas = read_atlas("x", image=image(tmp_path), table=table(tmp_path))
    fits = extract_with_quality(tmp_path / "run.nii.gz", atlas, mask=tmp_path / "mask.nii.gz")
    assert any("resampled by nearest neighbour from 41x41x41 at 2x2x2 mm" in n for n in fits.notes)
    elsewhere = AFFINE.copy()
    elsewhere[:3, 3] = (2, 2, 2)  # its first voxel where its middle belongs
    moved = read_atlas("x", image=image(tmp_path, affine=elsewhere, name="moved.nii.gz"))
    with pytest.raises(InputError, match="of the voxels of atlas 'x' lie in the scan's brain mask"):
        extract_with_quality(tmp_path / "run.nii.gz", moved, mask=tmp_path / "mask.nii.gz")
