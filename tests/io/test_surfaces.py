"""Surface runs: two GIFTI files with labels of GIFTI or FreeSurfer, joined left and right."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from cifti_files import write_func_gii, write_label_gii
from connectrial.errors import InputError
from connectrial.io.grayordinate_atlas import read_grayordinate_atlas
from connectrial.io.images import extract_with_quality
from connectrial.io.surfaces import read_surface_header

N = 30  # vertices of a hemisphere
LABELS = np.repeat([0, 1, 2], 10)
L_NAMES = {0: "???", 1: "7Networks_LH_Vis_1", 2: "7Networks_LH_Default_PFC_1"}
R_NAMES = {0: "???", 1: "7Networks_RH_Vis_1", 2: "7Networks_RH_Default_PFC_1"}


def a_pair(folder, ending=".label.gii", *, left=L_NAMES, right=R_NAMES, labels=LABELS):
    paths = [folder / f"{side}h.atlas{ending}" for side in "lr"]
    for path, side, names in zip(paths, ("Left", "Right"), (left, right), strict=True):
        if ending == ".annot":
            colours = np.array([[n, n, n, 0, n * 65793] for n in range(1, len(names) + 1)])
            nib.freesurfer.write_annot(path, labels, colours, list(names.values()), fill_ctab=False)
        else:
            write_label_gii(path, labels, names, side=side)
    return paths


@pytest.fixture
def run(tmp_path):
    rng = np.random.default_rng(0)
    values = {side: 100 + rng.normal(size=(N, 12)) for side in ("Left", "Right")}
    paths = tuple(
        write_func_gii(tmp_path / f"sub-01_hemi-{side[0]}_bold.func.gii", values[side], side=side)
        for side in values
    )
    return paths, values


@pytest.mark.parametrize("ending", [".label.gii", ".annot"])
def test_means_over_labelled_vertices_of_both_hemispheres(tmp_path, run, ending):
    paths, values = run
    atlas = read_grayordinate_atlas("Pair", image=a_pair(tmp_path, ending))
    assert list(atlas.parcels.index) == [*list(L_NAMES.values())[1:], *list(R_NAMES.values())[1:]]
    assert list(atlas.parcels["network"]) == ["Vis", "Default"] * 2
    assert list(atlas.parcels["hemisphere"]) == ["L", "L", "R", "R"]
    found = extract_with_quality(paths, atlas)
    for place, (side, label) in enumerate([(s, k) for s in values for k in (1, 2)]):
        mine = values[side][label == LABELS].astype(np.float32).astype(float)
        assert found.series.signal[:, place] == pytest.approx(mine.mean(axis=0), rel=1e-12)
    assert found.series.coverage == pytest.approx(np.ones(4))
    assert found.quality.n_voxels == 2 * N
    assert any("repetition time" in note for note in found.notes)


def test_names_that_both_hemispheres_bear_get_their_side(tmp_path):
    """FreeSurfer's own parcellations call the parcels of both hemispheres alike."""
    names = {0: "unknown", 1: "bankssts", 2: "cuneus"}
    atlas = read_grayordinate_atlas(
        "aparc", image=a_pair(tmp_path, ".annot", left=names, right=names)
    )
    assert list(atlas.parcels.index) == ["lh_bankssts", "lh_cuneus", "rh_bankssts", "rh_cuneus"]
    assert atlas.parcels["index"].is_unique
    assert np.unique(atlas.row_labels).tolist() == [0, *atlas.parcels["index"]]


def test_an_annotation_whose_first_label_is_a_parcel_loses_none(tmp_path):
    names = {0: "A", 1: "B", 2: "C"}
    other = {0: "D", 1: "E", 2: "F"}
    pair = a_pair(tmp_path, ".annot", left=names, right=other)
    atlas = read_grayordinate_atlas("All", image=pair)
    assert list(atlas.parcels.index) == list("ABCDEF")
    assert (atlas.row_labels > 0).all()


def test_medial_wall_is_background(tmp_path):
    names = {0: "Background+FreeSurfer_Defined_Medial_Wall", 1: "L1", 2: "Medial_Wall"}
    atlas = read_grayordinate_atlas(
        "M", image=a_pair(tmp_path, ".annot", left=names, right=names | {1: "R1"})
    )
    assert list(atlas.parcels.index) == ["L1", "R1"]


def test_vertices_without_data_lower_coverage(tmp_path, run):
    """fMRIPrep writes NaN into the medial wall if asked, and 0 otherwise."""
    paths, values = run
    changed = values["Left"].copy()
    changed[10:14] = np.nan
    changed[25:30] = 0.0
    write_func_gii(paths[0], changed, side="Left")
    found = extract_with_quality(paths, read_grayordinate_atlas("P", image=a_pair(tmp_path)))
    assert found.series.coverage == pytest.approx([0.6, 0.5, 1, 1])


def test_the_header_is_read_from_the_first_bytes(run):
    paths, _ = run
    header = read_surface_header(paths[0])
    assert (header.n_frames, header.n_vertices, header.repetition_time_s) == (12, N, None)


def test_one_array_of_all_frames_is_a_run_too(tmp_path, run):
    paths, values = run
    atlas = read_grayordinate_atlas("P", image=a_pair(tmp_path))
    before = extract_with_quality(paths, atlas).series.signal
    for path, side in zip(paths, values, strict=True):
        array = nib.gifti.GiftiDataArray(
            values[side].astype(np.float32),
            intent="NIFTI_INTENT_TIME_SERIES",
            datatype="NIFTI_TYPE_FLOAT32",
        )
        nib.GiftiImage(darrays=[array]).to_filename(path)
        assert read_surface_header(path).n_frames == 12
    assert extract_with_quality(paths, atlas).series.signal == pytest.approx(before)


# --- what does not go together


def test_hemispheres_in_the_wrong_order(tmp_path, run):
    paths, _ = run
    pair = a_pair(tmp_path)
    with pytest.raises(InputError, match="this is the right hemisphere where the left is needed"):
        read_grayordinate_atlas("P", image=pair[::-1])
    with pytest.raises(InputError, match="right hemisphere where the left is needed"):
        extract_with_quality(paths[::-1], read_grayordinate_atlas("P", image=pair))
    annotations = a_pair(tmp_path, ".annot")
    with pytest.raises(InputError, match=r"rh\.atlas\.annot: this is the right hemisphere"):
        read_grayordinate_atlas("P", image=annotations[::-1])


def test_one_label_file_alone_or_three(tmp_path):
    pair = a_pair(tmp_path)
    for images in (pair[:1], [*pair, pair[0]]):
        with pytest.raises(InputError, match=r"one \.dlabel\.nii, or two files"):
            read_grayordinate_atlas("P", image=images)


def test_hemispheres_of_different_length(tmp_path, run):
    paths, values = run
    write_func_gii(paths[1], values["Right"][:, :9], side="Right")
    with pytest.raises(InputError, match="9 frames where the left hemisphere has 12"):
        extract_with_quality(paths, read_grayordinate_atlas("P", image=a_pair(tmp_path)))


def test_another_mesh(tmp_path, run):
    paths, values = run
    atlas = read_grayordinate_atlas("P", image=a_pair(tmp_path))
    write_func_gii(paths[0], values["Left"][:25], side="Left")
    with pytest.raises(InputError, match="CORTEX_LEFT has 30 vertices in the atlas but 25"):
        extract_with_quality(paths, atlas)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_truncated_files_have_one_message(tmp_path, run, part):
    paths, _ = run
    atlas = read_grayordinate_atlas("P", image=a_pair(tmp_path))
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[: int(part * len(content))])
    with pytest.raises(InputError, match=r"hemi-R_bold\.func\.gii") as caught:
        extract_with_quality(paths, atlas)
    assert len(caught.value.problems) == 1


def test_a_truncated_annotation_has_one_message(tmp_path):
    pair = a_pair(tmp_path, ".annot")
    pair[0].write_bytes(pair[0].read_bytes()[:40])
    with pytest.raises(InputError, match="no FreeSurfer annotation that can be read"):
        read_grayordinate_atlas("P", image=pair)
