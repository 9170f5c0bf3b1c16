"""Maps over CIFTI and surface runs, from rows in any order to group maps."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cifti_files import (
    AFFINE,
    NAMES,
    brain_models,
    labels_of,
    place_key,
    values_of,
    write_dlabel,
    write_dtseries,
    write_func_gii,
    write_label_gii,
)
from connectrial import load_study, plan_study, run_plan
from connectrial.io.outputs import load_results
from connectrial.stats.mixed import fit_mixed
from some_sections import render_some

N_FRAMES = 40
STUDY = """
[study]
name = "Dense maps"

[data]
kind = "images"
derivatives = "data"
repetition_time_s = 2.0

[design]
kind = "pre-post"

[[visit]]
name = "before"
sessions = ["a"]
[[visit]]
name = "after"
sessions = ["b"]

[atlas]
name = "Test"
image = "labels.dlabel.nii"

[sets.seed]
parcels = ["7Networks_LH_Default_PFC_1"]

[denoising]
strategy = "none"

[maps.PFC]
seed = { set = "seed" }
model = "change"
tests = ["visit"]
alpha = 0.9

[maps.amygdala]
seed = { sphere = [-3.0, -2.0, -2.0], radius_mm = 2.3 }

[maps.global]
measure = "gbc"

[model.change]
fixed = ["visit"]
"""
UNTESTED = STUDY.replace('model = "change"\ntests = ["visit"]\nalpha = 0.9\n', "")


def run_path(folder: Path, subject: str, session: str, run_label: str = "") -> Path:
    name = f"sub-{subject}_ses-{session}_task-rest{run_label}_space-fsLR_den-91k_bold.dtseries.nii"
    return folder / "data" / f"sub-{subject}" / f"ses-{session}" / "func" / name


def axis_of(seed: int, **options):
    return brain_models(np.random.default_rng(seed), **options)


def write_trial(folder: Path, *, n_subjects: int = 5, text: str = STUDY) -> Path:
    """Write runs, each person's rows in an order of their own, and the study file."""
    for number in range(1, n_subjects + 1):
        for session in "ab":
            axis = axis_of(number)
            values = values_of(axis, N_FRAMES, seed=10 * number + (session == "b"))
            write_dtseries(run_path(folder, f"0{number}", session), axis, values)
    return finish(folder, n_subjects, text)


def finish(folder: Path, n_subjects: int, text: str) -> Path:
    atlas = axis_of(99)
    write_dlabel(folder / "labels.dlabel.nii", atlas, labels_of(atlas))
    rows = ["participant_id\tage", *(f"sub-0{n}\t{30 + n}" for n in range(1, n_subjects + 1))]
    (folder / "data" / "participants.tsv").write_text("\n".join(rows) + "\n")
    study = folder / "study.toml"
    study.write_text(text)
    return study


def run(study: Path, **options):
    plan = plan_study(load_study(study))
    assert plan.problems == ()
    return run_plan(plan, study.parent / "out", **options)


def dense_map(folder: Path, subject: str, session: str, label: str):
    """Return values in a fixed order of places, and the file's axis."""
    (path,) = folder.glob(f"out/sub-{subject}/ses-{session}/func/*desc-{label}_boldmap.dscalar.nii")
    image = nib.load(path)
    axis = image.header.get_axis(1)
    return np.asarray(image.dataobj)[0][np.argsort(place_key(axis))], axis


def ordered(axis, values: np.ndarray) -> np.ndarray:
    return values[np.argsort(place_key(axis))]


def expected_seed(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    seed = values[inside].mean(axis=0)
    return np.arctanh([np.corrcoef(seed, row)[0, 1] for row in values])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The trial, run once; nothing may change it."""
    folder = tmp_path_factory.mktemp("dense")
    return folder, run(write_trial(folder))


def test_a_seed_map_is_workbench_s(tmp_path, reference):
    """Oracle: Workbench 1.5.0 -cifti-average-roi-correlation, stored; single precision."""
    path = run_path(tmp_path, "01", "a")
    path.parent.mkdir(parents=True)
    shutil.copy(reference / "workbench_run.dtseries.nii", path)
    study = finish(tmp_path, 1, UNTESTED)
    shutil.copy(reference / "workbench_labels.dlabel.nii", tmp_path / "labels.dlabel.nii")
    run(study, level="participant")
    (made,) = tmp_path.glob("out/**/*desc-seedPFC_boldmap.dscalar.nii")
    assert made.name == (
        "sub-01_ses-a_task-rest_space-fsLR_den-91k_stat-fisherz_desc-seedPFC_boldmap.dscalar.nii"
    )
    image = nib.load(made)
    assert image.nifti_header.get_intent()[0] == "ConnDenseScalar"
    assert image.header.get_axis(1) == nib.load(path).header.get_axis(1)
    assert list(image.header.get_axis(0).name) == ["PFC: Fisher z with set seed"]
    with (reference / "workbench_seed.csv").open() as file:
        z = [float(row["fisher_z"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(np.asarray(image.dataobj)[0], z, rtol=0, atol=2e-6)


def test_session_maps_are_those_of_numpy(done):
    """Oracle: corrcoef of the rows as they are; nothing is taken out of them."""
    folder, _ = done
    axis = axis_of(3)
    values = values_of(axis, N_FRAMES, seed=31).astype(float)
    found, written = dense_map(folder, "03", "b", "seedPFC")
    assert written == axis
    expected = expected_seed(values, labels_of(axis) == 1)
    np.testing.assert_allclose(found, ordered(axis, expected), rtol=0, atol=1e-5)
    mm = axis.voxel @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    ball = (axis.vertex < 0) & (np.linalg.norm(mm - (-3, -2, -2), axis=1) <= 2.3)
    assert ball.sum() == 10
    found, _ = dense_map(folder, "03", "b", "seedamygdala")
    np.testing.assert_allclose(found, ordered(axis, expected_seed(values, ball)), atol=1e-5)
    r = np.corrcoef(values)
    np.fill_diagonal(r, np.nan)
    found, _ = dense_map(folder, "03", "b", "gbcglobal")
    expected = np.nanmean(np.arctanh(r), axis=1)
    np.testing.assert_allclose(found, ordered(axis, expected), atol=1e-5)
    (sidecar,) = folder.glob("out/sub-03/ses-b/func/*desc-seedPFC_boldmap.json")
    said = json.loads(sidecar.read_text())
    assert said["Grayordinates"] == len(axis)
    assert said["RemainingDegreesOfFreedom"] is None
    assert said["Structures"]["AMYGDALA_LEFT"] == 18


def test_group_maps_join_rows_by_place(done):
    """Oracle: fit_mixed on one row; each person's file has an order of its own."""
    folder, results = done
    drawn = results.maps["PFC"]
    plan = plan_study(load_study(folder / "study.toml"))
    planned = next(one for one in plan.analyses if one.name == "PFC")
    first = axis_of(1)
    place = np.argsort(place_key(first))
    sessions = {"before": "a", "after": "b"}
    for at in (0, 70, 100):
        z = [
            float(dense_map(folder, str(s), sessions[str(v)], "seedPFC")[0][at])
            for s, v in zip(planned.rows["subject"], planned.rows["visit"], strict=True)
        ]
        fit = fit_mixed(planned.formula, planned.rows.assign(fc_z=z)).estimates
        row = place[at]
        for name, column in (("estimate", "estimate"), ("t", "statistic"), ("p", "p")):
            value = drawn.images[f"term-visitafter_stat-{name}"][row]
            assert value == pytest.approx(fit.loc["visit[after]", column], rel=2e-4), name
        mean = np.mean(z[::2]) if planned.rows["visit"].iloc[0] == "before" else np.nan
        assert drawn.images["visit-before_stat-mean"][row] == pytest.approx(mean, abs=1e-6)


def test_group_files_peaks_and_rows(done):
    folder, results = done
    maps = folder / "out" / "group" / "maps"
    image = nib.load(maps / "pfc_term-visitafter_stat-t.dscalar.nii")
    assert image.header.get_axis(1) == axis_of(1)
    t = np.asarray(image.dataobj)[0]
    padj = results.maps["PFC"].images["term-visitafter_stat-padj"]
    passing = padj < 0.9
    table = pd.read_csv(maps / "pfc_clusters.tsv", sep="\t", na_values="n/a")
    assert table["n_grayordinates"].sum() == passing.sum() > 0
    rows = results["PFC"].estimates.set_index("term")["estimate"]
    assert rows["visit[after]: adjusted p < .9"] == passing.sum()
    assert rows["visit[after]: grayordinates tested"] == len(t)
    assert not any("clusters" in term for term in rows.index)
    assert any("only a mesh tells" in note for note in results["PFC"].notes)
    axis = axis_of(1)
    for _, one in table.iterrows():
        names = np.array([str(n).removeprefix("CIFTI_STRUCTURE_") for n in axis.name])
        mine = (names == one["structure"]) & passing & (np.sign(t) == one["sign"])
        assert one["n_grayordinates"] == mine.sum()
        peak = np.flatnonzero(mine)[np.argmax(np.abs(t[mine]))]
        assert one["peak_statistic"] == pytest.approx(t[peak])
        label = labels_of(axis)[peak]
        parcel = "" if pd.isna(one["peak_parcel"]) else one["peak_parcel"]
        assert parcel == ("" if label == 0 else NAMES[label - 1])
        if one["structure"].startswith("CORTEX"):
            assert one["peak_vertex"] == axis.vertex[peak]
            assert np.isnan(one["peak_x_mm"])
        else:
            mm = AFFINE[:3, :3] @ axis.voxel[peak] + AFFINE[:3, 3]
            assert one[["peak_x_mm", "peak_y_mm", "peak_z_mm"]].tolist() == mm.tolist()
    page = render_some(results, "maps")
    assert "Maps over grayordinates" in page
    assert "Fisher z by structure" in page
    assert ".dscalar.nii files in group/maps" in page


def test_dense_results_load_with_their_maps(done):
    folder, results = done
    loaded = load_results(folder / "out")
    for name, one in results.maps.items():
        for key, values in one.images.items():
            np.testing.assert_array_equal(loaded.maps[name].images[key], values)
        assert loaded.maps[name].rows.structures == one.rows.structures
    assert list(loaded.maps["PFC"].clusters) == list(results.maps["PFC"].clusters)


def test_dense_maps_are_kept_until_they_are_damaged(tmp_path):
    study = write_trial(tmp_path, n_subjects=3)
    run(study)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/sub-*/**/*dscalar.nii")}
    assert len(files) == 18
    damaged = next(iter(files))
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-4])
    run(study)
    assert damaged.read_bytes() == good
    assert all(path.stat().st_mtime_ns == t for path, t in files.items() if path != damaged)


def test_people_with_other_rows_are_named(tmp_path):
    study = write_trial(tmp_path, n_subjects=3)
    odd = axis_of(2, without=(3,))
    write_dtseries(run_path(tmp_path, "02", "b"), odd, values_of(odd, N_FRAMES, seed=5))
    results = run(study)
    assert results.maps == {}
    (note,) = (n for n in results["amygdala"].notes if n.startswith("not done"))
    assert "1 of 6 maps have other grayordinates than the rest (108)" in note
    assert "sub-02_ses-b" in note
    assert "(106)" in note


def write_two_runs(folder: Path, second, text: str = UNTESTED) -> Path:
    for label, axis, seed in (("_run-1", axis_of(1), 5), ("_run-2", second, 6)):
        values = values_of(axis, N_FRAMES, seed=seed)
        write_dtseries(run_path(folder, "01", "a", label), axis, values)
    return finish(folder, 1, text)


@pytest.mark.parametrize("runs", ["concatenate", "average"])
def test_runs_in_different_orders_are_joined_by_place(tmp_path, runs):
    """Oracle: numpy; z-scored frames end to end, or z averaged."""
    text = UNTESTED + f'\n[connectivity]\nruns = "{runs}"\n'
    run(write_two_runs(tmp_path, axis_of(2), text), level="participant")
    series, seeds = [], []
    for axis, seed in ((axis_of(1), 5), (axis_of(2), 6)):
        values = values_of(axis, N_FRAMES, seed=seed).astype(float)
        mean = values[labels_of(axis) == 1].mean(axis=0)
        values = ordered(axis, values)
        values -= values.mean(axis=1, keepdims=True)
        series.append(values / values.std(axis=1, keepdims=True))
        seeds.append((mean - mean.mean()) / mean.std())
    r = [z @ seed / N_FRAMES for z, seed in zip(series, seeds, strict=True)]
    joined = np.hstack(series)
    each = [z @ z.T / N_FRAMES for z in series]
    if runs == "average":
        seed_z = np.arctanh(r).mean(axis=0)
        every = [np.arctanh(one - np.eye(len(one)) * one) for one in each]
        all_z = np.mean(every, axis=0)
    else:
        seed_z = np.arctanh(np.mean(r, axis=0))
        whole = joined @ joined.T / joined.shape[1]
        all_z = np.arctanh(whole - np.eye(len(whole)) * whole)
    found, written = dense_map(tmp_path, "01", "a", "seedPFC")
    assert written == axis_of(1)
    np.testing.assert_allclose(found, seed_z, rtol=0, atol=1e-5)
    found, _ = dense_map(tmp_path, "01", "a", "gbcglobal")
    np.testing.assert_allclose(found, all_z.sum(axis=1) / (len(all_z) - 1), rtol=0, atol=1e-5)


def test_runs_of_a_session_with_other_rows_have_no_map(tmp_path):
    study = write_two_runs(tmp_path, axis_of(2, without=(3,)))
    results = run(study)
    assert any(
        "run-2" in note and "106 grayordinates are not the 108" in note
        for note in results["global"].notes
    )
    assert results.maps == {}


def test_dense_maps_are_denoised_as_parcels_are(tmp_path):
    """Oracle: numpy.linalg.lstsq of a line and six parameters over kept frames."""
    study = write_trial(tmp_path, n_subjects=1, text=STUDY.replace('"none"', '"6P"'))
    rng = np.random.default_rng(3)
    columns = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    motion = np.cumsum(rng.normal(0, 0.02, (N_FRAMES, 6)), axis=0)
    for session in "ab":
        path = run_path(tmp_path, "01", session)
        name = path.name.split("_space-")[0] + "_desc-confounds_timeseries.tsv"
        table = pd.DataFrame(motion, columns=columns).assign(framewise_displacement=0.1)
        table.to_csv(path.with_name(name), sep="\t", index=False)
    run(study, level="participant")
    axis = axis_of(1)
    values = values_of(axis, N_FRAMES, seed=10).astype(float)
    design = np.column_stack([np.ones(N_FRAMES), np.arange(N_FRAMES), motion])
    clean = values.T - design @ np.linalg.lstsq(design, values.T, rcond=None)[0]
    found, _ = dense_map(tmp_path, "01", "a", "seedPFC")
    expected = expected_seed(clean.T, labels_of(axis) == 1)
    np.testing.assert_allclose(found, ordered(axis, expected), rtol=0, atol=1e-5)


def test_rows_without_data_have_no_value(tmp_path):
    study = write_trial(tmp_path, n_subjects=1)
    axis = axis_of(1)
    values = values_of(axis, N_FRAMES, seed=10)
    values[4, 7] = 0
    values[50] = np.nan
    write_dtseries(run_path(tmp_path, "01", "a"), axis, values)
    run(study, level="participant")
    for label in ("seedPFC", "gbcglobal"):
        (path,) = tmp_path.glob(f"out/sub-01/ses-a/func/*desc-{label}_boldmap.dscalar.nii")
        found = np.asarray(nib.load(path).dataobj)[0]
        assert np.flatnonzero(np.isnan(found)).tolist() == [4, 50]
        said = json.loads(path.with_name(path.name.replace(".dscalar.nii", ".json")).read_text())
        assert said["GrayordinatesWithoutData"] == 2


@pytest.mark.parametrize(
    ("setting", "key"),
    [("smoothing_fwhm_mm = 6", "smoothing_fwhm_mm"), ("min_cluster_voxels = 5", "min_cluster")],
)
def test_what_needs_a_mesh_is_refused_before_anything_runs(tmp_path, setting, key):
    text = STUDY.replace("alpha = 0.9", f"alpha = 0.9\n{setting}")
    problems = plan_study(load_study(write_trial(tmp_path, n_subjects=1, text=text))).problems
    assert any(p.startswith(f"PFC: {key}") and "only a mesh tells" in p for p in problems)


def test_a_sphere_in_the_cortex_has_no_map_and_says_why(tmp_path):
    text = STUDY.replace("[-3.0, -2.0, -2.0]", "[-60.0, 10.0, 40.0]")
    results = run(write_trial(tmp_path, n_subjects=2, text=text))
    notes = [n for n in results["amygdala"].notes if "has no map" in n]
    assert len(notes) == 4
    assert all("whose cortex is a surface" in n for n in notes)
    assert "global" in results.maps


def test_surface_runs_have_pairs_of_maps(tmp_path):
    """Oracle: numpy; the map of each hemisphere is a file of its own."""
    rng = np.random.default_rng(4)
    signal = {}
    for number in (1, 2, 3):
        for session in "ab":
            stem = f"sub-0{number}_ses-{session}_task-rest"
            folder = tmp_path / "data" / f"sub-0{number}" / f"ses-{session}" / "func"
            for side in ("Left", "Right"):
                values = (100 + rng.normal(size=(20, N_FRAMES))).astype(np.float32)
                values[3] = 0.0
                signal[number, session, side] = values.astype(float)
                path = folder / f"{stem}_hemi-{side[0]}_space-fsaverage5_bold.func.gii"
                write_func_gii(path, values, side=side)
    text = STUDY.replace('"labels.dlabel.nii"', '["L.label.gii", "R.label.gii"]')
    text = text.replace("7Networks_LH_Default_PFC_1", "7Networks_LH_Default_1")
    study = finish(tmp_path, 3, text)
    labels = np.repeat([0, 1, 2, 3], 5)
    for side in ("Left", "Right"):
        names = {0: "???"} | {n: f"7Networks_{side[0]}H_Default_{n}" for n in (1, 2, 3)}
        write_label_gii(tmp_path / f"{side[0]}.label.gii", labels, names, side=side)
    results = run(study)
    values = np.vstack([signal[2, "b", side] for side in ("Left", "Right")])
    seed = values[:20][labels == 1].mean(axis=0)
    usable = values.std(axis=1) > 0
    expected = np.full(40, np.nan)
    expected[usable] = np.arctanh([np.corrcoef(seed, row)[0, 1] for row in values[usable]])
    for number, hemisphere in enumerate("LR"):
        (path,) = tmp_path.glob(
            f"out/sub-02/ses-b/func/*_hemi-{hemisphere}_*desc-seedPFC_boldmap.shape.gii"
        )
        image = nib.load(path)
        side = image.meta["AnatomicalStructurePrimary"]
        assert side == ("CortexLeft", "CortexRight")[number]
        found = image.darrays[0].data
        np.testing.assert_allclose(found, expected[20 * number :][:20], rtol=0, atol=1e-5)
    drawn = results.maps["PFC"]
    path = tmp_path / "out/group/maps/pfc_hemi-R_visit-after_stat-mean.shape.gii"
    right = nib.load(path).darrays[0].data
    np.testing.assert_array_equal(right, drawn.images["visit-after_stat-mean"][20:])
    loaded = load_results(tmp_path / "out").maps["PFC"]
    np.testing.assert_array_equal(
        loaded.images["visit-after_stat-mean"], drawn.images["visit-after_stat-mean"]
    )
    assert any("surfaces alone" in note for note in results["amygdala"].notes)
    damaged = path_of_right = next(tmp_path.glob("out/sub-02/ses-b/func/*_hemi-R_*seedPFC*.gii"))
    good = damaged.read_bytes()
    path_of_right.unlink()
    run(study, level="participant")
    assert damaged.read_bytes() == good
