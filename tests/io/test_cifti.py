"""CIFTI runs and label files: rows by place, means as Workbench has them, damage by one message."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel import cifti2

from cifti_files import (
    AFFINE,
    NAMES,
    brain_models,
    labels_of,
    parcels_axis,
    values_of,
    write_dlabel,
    write_dtseries,
)
from connectrial.data import Atlas, Grayordinates, Scan
from connectrial.errors import InputError
from connectrial.fc.connectivity import correlate_parcels
from connectrial.io.cifti import read_cifti_header, read_grayordinates
from connectrial.io.grayordinate_atlas import read_grayordinate_atlas
from connectrial.io.grayordinate_spheres import find_sphere_rows
from connectrial.io.images import extract_time_series, extract_with_quality
from connectrial.io.row_matching import match_rows
from connectrial.io.series import read_matrix, read_time_series, survey_series

RUN, LABELS = "run.dtseries.nii", "labels.dlabel.nii"


def atlas_of(path, **options) -> Atlas:
    return read_grayordinate_atlas("Test", image=[path], **options)


@pytest.fixture
def run(tmp_path):
    axis = brain_models()
    return write_dtseries(tmp_path / RUN, axis, values_of(axis, 20))


@pytest.fixture
def atlas(tmp_path):
    axis = brain_models(np.random.default_rng(5))
    return atlas_of(write_dlabel(tmp_path / LABELS, axis, labels_of(axis)))


# --- against Workbench 1.5.0


def test_means_and_correlations_of_shuffled_files_are_workbenchs(reference):
    """Stored by tests/reference/workbench.py; Workbench computes and stores in single precision."""
    atlas = atlas_of(reference / "workbench_labels.dlabel.nii")
    found = extract_with_quality(reference / "workbench_run.dtseries.nii", atlas).series
    means = pd.read_csv(reference / "workbench_means.csv", index_col=0)
    assert list(found.parcels) == list(means.index)
    assert pytest.approx(means.to_numpy(), abs=1e-4) == found.signal.T
    z = pd.read_csv(reference / "workbench_z.csv", index_col=0).to_numpy()
    upper = np.triu_indices(len(z), k=1)
    assert correlate_parcels([found]).z[upper] == pytest.approx(z[upper], abs=2e-5)
    # The run lacks vertices 3 (labelled) and 21 of both hemispheres; Workbench by default refuses it.
    labels = read_cifti_header(reference / "workbench_labels.dlabel.nii")
    assert (labels.n_rows, found.signal.shape[0]) == (108, 24)
    assert found.coverage == pytest.approx([14 / 15, 1, 14 / 15, 1, 1, 1])


def test_means_of_a_real_run_are_workbenchs(connectrial_data, reference):
    """31,848 rows of the two files stand in another order; 618 rows are 0, which Workbench counts."""
    folder = connectrial_data / "cifti"
    path = next(folder.glob("*.dtseries.nii"))
    atlas = atlas_of(next(folder.glob("*Tian*.dlabel.nii")))
    rows = match_rows(read_grayordinates(path), atlas.grayordinates)
    assert (rows >= 0).all()
    assert int((rows != np.arange(len(rows))).sum()) == 31_848
    found = extract_with_quality(path, atlas)
    assert found.quality.n_voxels_without_data == 618
    stored = pd.read_csv(reference / "workbench_public.csv").set_index("parcel")
    whole = pd.Series(found.series.coverage, index=found.series.parcels) == 1.0
    signal = pd.DataFrame(found.series.signal, columns=found.series.parcels)
    z = pd.DataFrame(
        correlate_parcels([found.series]).z, index=signal.columns, columns=signal.columns
    )
    compared = 0
    for name, row in stored.iterrows():
        if not (whole[name] and whole[row["other"]]):
            continue
        compared += 1
        assert signal[name].iloc[0] == pytest.approx(row["frame0"], rel=1e-6)
        assert signal[name].mean() == pytest.approx(row["mean"], rel=1e-6)
        assert z.loc[name, row["other"]] == pytest.approx(row["fisher_z"], abs=1e-3)
    assert compared >= 25


# --- rows by place


@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    series, atlas = (as_rows(brain_models(rng)) for _ in range(2))
    found = match_rows(series, atlas)
    assert sorted(found) == list(range(len(series)))
    for name in ("vertex", "voxel"):
        assert (getattr(series, name)[found] == getattr(atlas, name)).all()
    names = np.array(series.structures)[series.structure[found]]
    assert (names == np.array(atlas.structures)[atlas.structure]).all()


def as_rows(axis: cifti2.BrainModelAxis) -> Grayordinates:
    structures = tuple(dict.fromkeys(str(name) for name in axis.name))
    voxel = np.where(axis.voxel < 0, -1, axis.voxel).astype(np.int32)
    return Grayordinates(
        structures=tuple(name.removeprefix("CIFTI_STRUCTURE_") for name in structures),
        structure=np.array([structures.index(str(name)) for name in axis.name], dtype=np.int16),
        vertex=axis.vertex.astype(np.int32),
        voxel=voxel,
        n_vertices={name.removeprefix("CIFTI_STRUCTURE_"): n for name, n in axis.nvertices.items()},
        affine=np.asarray(axis.affine, dtype=float),
    )


def test_rows_are_read_as_nibabel_reads_them(tmp_path):
    axis = brain_models(np.random.default_rng(2))
    read = read_grayordinates(write_dtseries(tmp_path / RUN, axis, values_of(axis, 3)))
    expected = as_rows(axis)
    assert read.structures == expected.structures
    for name in ("structure", "vertex", "voxel", "affine"):
        assert (getattr(read, name) == getattr(expected, name)).all()
    assert read.n_vertices == expected.n_vertices


def test_voxels_match_by_world_where_grids_differ():
    """A grid that runs from left to right and begins elsewhere has the same centres."""
    atlas = as_rows(brain_models())
    flip = AFFINE.copy()
    flip[0, 0], flip[0, 3] = 2.0, 8 - 2 * 9  # i -> 9 - i
    moved = atlas.voxel.copy()
    is_voxel = atlas.vertex < 0
    moved[is_voxel, 0] = 9 - moved[is_voxel, 0]
    other = replace(atlas, voxel=moved, affine=flip)
    assert (match_rows(other, atlas) == np.arange(len(atlas))).all()
    shifted = flip.copy()
    shifted[0, 3] += 0.7
    found = match_rows(replace(other, affine=shifted), atlas)
    assert ((found < 0) == is_voxel).all()


def test_a_structure_of_another_name_is_another_place():
    series = as_rows(brain_models())
    names = tuple(name.replace("AMYGDALA", "HIPPOCAMPUS") for name in series.structures)
    found = match_rows(series, replace(series, structures=names))
    assert ((found < 0) == (series.vertex < 0)).all()


def test_another_mesh_is_refused():
    series, atlas = as_rows(brain_models()), as_rows(brain_models(n_vertices=42))
    with pytest.raises(InputError, match="has 42 vertices in the atlas but 40 in the data"):
        match_rows(series, atlas)


# --- extraction


def test_means_are_over_rows_with_data_and_coverage_counts_the_others(tmp_path, atlas):
    axis = brain_models()
    values = values_of(axis, 20)
    labels = labels_of(axis)
    first, second = np.flatnonzero(labels == 1)[:2]
    values[first] = np.nan
    values[second, 7] = 0.0
    values[labels == 6] = 0.0
    found = extract_with_quality(write_dtseries(tmp_path / RUN, axis, values), atlas)
    good = (values != 0).all(axis=1) & np.isfinite(values).all(axis=1)
    for place in range(5):
        mine = values[(labels == place + 1) & good].astype(float)
        assert found.series.signal[:, place] == pytest.approx(mine.mean(axis=0), rel=1e-12)
        assert found.quality.tsnr[place] == pytest.approx((mine.mean(1) / mine.std(1)).mean())
    n_first = (labels == 1).sum()
    assert found.series.coverage == pytest.approx([(n_first - 2) / n_first, 1, 1, 1, 1, 0])
    assert np.isnan(found.series.signal[:, 5]).all()
    assert "1 parcels have data in less than 50% of their grayordinates: AMY-rh" in found.notes[0]
    data = values[good].astype(float)
    assert found.quality.global_signal == pytest.approx(data.mean(axis=0))
    assert found.quality.dvars[1:] == pytest.approx(np.sqrt((np.diff(data) ** 2).mean(axis=0)))
    assert found.quality.median_tsnr == pytest.approx(np.median(data.mean(1) / data.std(1)))
    assert (found.quality.n_voxels, found.quality.n_voxels_without_data) == (
        good.sum(),
        (~good).sum(),
    )


def test_reading_in_small_blocks_changes_nothing(run, atlas, monkeypatch):
    whole = extract_with_quality(run, atlas)
    monkeypatch.setattr("connectrial.io.cifti._BLOCK_VALUES", 60)
    parts = extract_with_quality(run, atlas)
    assert parts.series.signal == pytest.approx(whole.series.signal, rel=1e-13)
    assert parts.quality.dvars[1:] == pytest.approx(whole.quality.dvars[1:], rel=1e-12)
    assert parts.quality.tsnr == pytest.approx(whole.quality.tsnr)


def test_the_repetition_time_comes_from_the_header_unless_a_sidecar_knows_better(tmp_path, atlas):
    axis = brain_models()
    for step, expected in ((0.72, 0.72), (0.0, None), (2000.0, None)):
        path = write_dtseries(tmp_path / RUN, axis, values_of(axis, 5), step=step)
        found = extract_with_quality(path, atlas)
        assert found.series.repetition_time_s == expected
        assert any("repetition time" in note for note in found.notes) == (expected is None)
        assert extract_time_series(path, atlas, repetition_time_s=2.5).repetition_time_s == 2.5


def sphere_atlas(*rows, base=None):
    columns = ["x_mm", "y_mm", "z_mm", "radius_mm"]
    table = pd.DataFrame([row[1:] for row in rows], columns=columns, index=[r[0] for r in rows])
    table = table.assign(network=pd.Series(pd.NA, index=table.index, dtype="str"))
    if base is None:
        return Atlas(name="Spheres", parcels=table)
    return replace(base, parcels=pd.concat([base.parcels, table]))


def test_spheres_are_taken_from_voxels_by_their_centres(run, atlas):
    """Left amygdala: i 5-6, j 2-4, k 3-5, so x -2 and -4, y -4 to 0, z -4 to 0."""
    found = extract_with_quality(run, sphere_atlas(("Amy", -2, -2, -2, 2.0), base=atlas)).series
    axis = brain_models()
    values = values_of(axis, 20)
    world = axis.voxel @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    near = (axis.vertex < 0) & (np.linalg.norm(world - [-2, -2, -2], axis=1) <= 2.0)
    assert near.sum() == 6
    assert found.signal[:, 6] == pytest.approx(values[near].astype(float).mean(axis=0))
    # Seven voxels of the grid lie within 2 mm; the one at x = 0 is not part of the file.
    assert found.coverage[6] == pytest.approx(6 / 7)
    assert found.signal[:, :6] == pytest.approx(extract_time_series(run, atlas).signal)


def test_a_voxel_in_two_spheres(run):
    """Centres 2 mm apart: each voxel between them belongs to both, to the nearer, or to none."""
    atlas = sphere_atlas(("A", -2, -2, -2, 2.1), ("B", -4, -2, -2, 2.1))
    rows = read_grayordinates(run)
    row, parcel, n_total = find_sphere_rows(rows, atlas)
    assert n_total.tolist() == [7, 7]
    shared = set(row[parcel == 0]) & set(row[parcel == 1])
    world = rows.voxel[sorted(shared)] @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    assert sorted(world.tolist()) == [[-4.0, -2.0, -2.0], [-2.0, -2.0, -2.0]]
    row, parcel, n_total = find_sphere_rows(rows, atlas, overlap="nearest")
    assert n_total.tolist() == [6, 6]
    assert not set(row[parcel == 0]) & set(row[parcel == 1])
    with pytest.raises(InputError, match="the spheres A and B share voxels"):
        find_sphere_rows(rows, atlas, overlap="refuse")


def test_labels_of_a_volume_with_spheres_are_refused(run):
    """Half an atlas that cannot be read would else come out as parcels without data."""
    atlas = sphere_atlas(("Amy", -2, -2, -2, 2.0))
    both = pd.concat([atlas.parcels, atlas.parcels.assign(radius_mm=np.nan).set_axis(["V1"])])
    mixed = replace(atlas, parcels=both, labels=np.ones((2, 2, 2), np.int32), affine=np.eye(4))
    with pytest.raises(InputError, match="labels a volume"):
        extract_time_series(run, mixed)


def test_spheres_in_the_cortex_are_refused(run):
    atlas = sphere_atlas(("Amy", -2, -2, -2, 2.0), ("DLPFC", -40, 40, 30, 5.0))
    with pytest.raises(InputError, match=r"1 of 2 spheres hold no voxel .*\(DLPFC\).*\.dlabel"):
        extract_time_series(run, atlas)


# --- atlases


def test_names_tell_networks(atlas):
    assert list(atlas.parcels.index) == list(NAMES)
    assert list(atlas.parcels["network"][:4]) == ["Default", "Vis", "Default", "Vis"]
    assert list(atlas.parcels["hemisphere"]) == ["L", "L", "R", "R", "L", "R"]
    assert list(atlas.parcels["index"]) == [1, 2, 3, 4, 5, 6]


def test_gordons_names_tell_networks(tmp_path):
    axis = brain_models()
    names = ("1_L_Default", "2_L_SMhand", "3_R_None", "4_R_Visual", "Left", "Right")
    parcels = atlas_of(write_dlabel(tmp_path / LABELS, axis, labels_of(axis), names=names)).parcels
    assert list(parcels["network"][:4]) == ["Default", "SMhand", "None", "Visual"]
    assert list(parcels["hemisphere"][:4]) == ["L", "L", "R", "R"]
    assert parcels["network"][4:].isna().all()


@pytest.mark.parametrize("by", ["index", "name"])
def test_a_table_names_parcels_and_networks(tmp_path, by):
    axis = brain_models()
    path = write_dlabel(tmp_path / LABELS, axis, labels_of(axis))
    rows = pd.DataFrame({"index": range(6, 0, -1), "label": NAMES[::-1], "network": list("fedcba")})
    table = tmp_path / "table.tsv"
    rows.drop(columns=["index"] if by == "name" else []).to_csv(table, sep="\t", index=False)
    atlas = atlas_of(path, table=table)
    assert list(atlas.parcels.index) == list(NAMES[::-1])
    assert list(atlas.parcels["index"]) == [6, 5, 4, 3, 2, 1]
    rows.iloc[1:].to_csv(table, sep="\t", index=False)
    with pytest.raises(InputError, match=r"1 labels have no row .*: 6 \(AMY-rh\)"):
        atlas_of(path, table=table)
    pd.concat([rows, rows.iloc[:1].assign(index=9, label="Extra")]).to_csv(
        table, sep="\t", index=False
    )
    with pytest.raises(InputError, match=r"1 rows have no label .*: Extra"):
        atlas_of(path, table=table)


def test_one_of_several_maps_is_chosen_by_name(tmp_path):
    axis = brain_models()
    path = write_dlabel(
        tmp_path / LABELS, axis, labels_of(axis), maps=("Schaefer100", "Schaefer200")
    )
    with pytest.raises(InputError, match="2 maps: 'Schaefer100', 'Schaefer200'"):
        atlas_of(path)
    with pytest.raises(InputError, match="did you mean 'Schaefer100'"):
        atlas_of(path, map_name="Schaefer10")
    assert len(atlas_of(path, map_name="Schaefer200").parcels) == 6


def test_label_files_without_parcels_or_names(tmp_path):
    axis = brain_models()
    empty = write_dlabel(tmp_path / LABELS, axis, np.zeros(len(axis)))
    with pytest.raises(InputError, match="every row is background"):
        atlas_of(empty)
    nameless = write_dlabel(tmp_path / LABELS, axis, np.where(labels_of(axis) == 6, 77, 1))
    with pytest.raises(InputError, match="no name for 1 labels that occur: 77"):
        atlas_of(nameless)


# --- what does not go together


def test_a_volume_atlas_and_a_cifti_run(run):
    atlas = Atlas(
        name="Vol",
        parcels=pd.DataFrame({"index": [1], "network": [pd.NA]}, index=["a"]),
        labels=np.ones((2, 2, 2), dtype=np.int32),
        affine=np.eye(4),
    )
    with pytest.raises(InputError, match=r"atlas 'Vol' labels a volume; name a label file"):
        extract_time_series(run, atlas)


def test_an_atlas_of_grayordinates_and_a_volume(tmp_path, atlas):
    path = tmp_path / "run.nii.gz"
    nib.Nifti1Image(np.ones((3, 3, 3, 4), dtype=np.float32), np.eye(4)).to_filename(path)
    with pytest.raises(InputError, match="labels grayordinates"):
        extract_time_series(path, atlas)


def test_an_atlas_of_another_mesh(tmp_path, run):
    axis = brain_models(n_vertices=44)
    atlas = atlas_of(write_dlabel(tmp_path / LABELS, axis, labels_of(axis)))
    with pytest.raises(InputError, match=r"run\.dtseries\.nii: the mesh of CORTEX_LEFT has 44"):
        extract_time_series(run, atlas)


def test_a_mask_is_not_for_grayordinates(tmp_path, run, atlas):
    with pytest.raises(InputError, match="takes no mask"):
        extract_time_series(run, atlas, mask=tmp_path / "mask.nii.gz")


# --- damage


def damaged(path, change):
    content = bytearray(path.read_bytes())
    path.write_bytes(bytes(change(content)))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:-100], "100 bytes are missing"),
        (lambda b: b + b"\0" * 64, "64 bytes follow"),
        (lambda b: b[:3000], "bytes are missing|damaged"),
        (lambda b: b[:300], "does not begin as NIfTI-2"),
        (lambda b: b"", "does not begin as NIfTI-2"),
        (lambda b: b.replace(b"</CIFTI>", b"</CIFTJ>"), "CIFTI header is damaged"),
        (lambda b: b.replace(b'IndexCount="36"', b'IndexCount="35"'), "contradict one another"),
        (lambda b: b.replace(b'IndexCount="36"', b'IndexCount="x6"'), "IndexCount is 'x6'"),
        (lambda b: b.replace(b'Version="2.0"', b'Version="1.0"'), "CIFTI version '1.0'"),
        (lambda b: __import__("gzip").compress(bytes(b)), "unpack it with gunzip"),
    ],
)
def test_damage_has_one_message(run, atlas, change, message):
    before = run.read_bytes()
    with pytest.raises(InputError, match=message) as caught:
        extract_time_series(damaged(run, change), atlas)
    assert run.read_bytes() != before
    assert len(caught.value.problems) == 1
    assert str(run) in str(caught.value)


def test_a_flipped_byte_in_the_header_is_never_a_traceback(run, atlas):
    """Any byte of the header may be wrong: the file is read, or refused by an InputError."""
    whole = run.read_bytes()
    rng = np.random.default_rng(0)
    end = int(np.frombuffer(whole[168:176], dtype=np.int64)[0])
    outcomes = {"read": 0, "refused": 0}
    for place in rng.integers(4, end, size=120):
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        run.write_bytes(content)
        try:
            extract_time_series(run, atlas)
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 0


def test_a_cifti_file_of_another_form(tmp_path, run, atlas):
    axis = brain_models()
    labels = write_dlabel(tmp_path / LABELS, axis, labels_of(axis))
    with pytest.raises(InputError, match=r"a dense time series .* is needed; this .* has labels"):
        extract_time_series(labels, atlas)
    with pytest.raises(InputError, match="a dense label file"):
        read_grayordinate_atlas("A", image=[run.rename(tmp_path / "b.dlabel.nii")])


# --- ready-made


def ready_made(path, header, values):
    nib.Cifti2Image(np.asarray(values, dtype=np.float32), header=header).to_filename(path)
    kind = "matrix" if path.name.endswith(".pconn.nii") else "time series"
    return Scan(subject="01", session=None, run=None, kind=kind, path=path)


def test_parcellated_series_come_by_name(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(12, 6))
    values[:, 4] = 0.0
    header = (cifti2.SeriesAxis(0, 0.8, 12), parcels_axis())
    scan = ready_made(tmp_path / "a.ptseries.nii", header, values)
    survey = survey_series(scan)
    assert (survey.parcels, survey.n_frames, survey.repetition_time_s) == (NAMES, 12, 0.8)
    series = read_time_series(scan, parcels=NAMES)
    expected = values.astype(np.float32).astype(float)
    expected[:, 4] = np.nan
    assert np.array_equal(series.signal, expected, equal_nan=True)
    assert series.repetition_time_s == 0.8
    with pytest.raises(InputError, match="same parcels stand in another order"):
        read_time_series(scan, parcels=NAMES[::-1])


def test_parcellated_matrices_come_by_name(tmp_path):
    r = np.corrcoef(np.random.default_rng(0).normal(size=(6, 30)))
    axis = parcels_axis()
    scan = ready_made(tmp_path / "a.pconn.nii", (axis, axis), r)
    read = read_matrix(scan, parcels=NAMES)
    upper = np.triu_indices(6, k=1)
    assert read.z[upper] == pytest.approx(np.arctanh(r[upper]), abs=1e-6)
    other = ready_made(tmp_path / "b.pconn.nii", (axis, parcels_axis(NAMES[::-1])), r)
    with pytest.raises(InputError, match="rows and columns name different parcels"):
        read_matrix(other)
