"""Maps over voxels from images to the group, on a tiny trial whose truth is known."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from connectrial.errors import InputError, StudyFileError
from connectrial.io.outputs import load_results
from connectrial.io.voxels import read_map
from connectrial.run import plan_study, run_plan
from connectrial.stats.mixed import fit_mixed
from connectrial.study_file import load_study
from run_images_tiny import (
    AFFINE,
    MOTION,
    N_FRAMES,
    SHAPE,
    STUDY,
    parcels,
    write_images,
)


def run(study: Path, out: Path, **options):
    return run_plan(plan_study(load_study(study)), out, **options)


def session_map(out: Path, subject: str, session: str, label: str) -> np.ndarray:
    (path,) = (out / f"sub-{subject}" / f"ses-{session}" / "func").glob(f"*{label}_boldmap.nii.gz")
    return read_map(path)[0]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The tiny trial, run once; nothing may change it."""
    folder = tmp_path_factory.mktemp("maps")
    results = run(write_images(folder), folder / "out")
    return folder, results


def cleaned(folder: Path, subject: str, session: str, run_label: str = "") -> np.ndarray:
    """Every voxel of a run after least squares of a line and six parameters, in numpy alone."""
    func = folder / "data" / f"sub-{subject}" / f"ses-{session}" / "func"
    stem = f"sub-{subject}_ses-{session}_task-rest{run_label}"
    image = nib.load(func / f"{stem}_space-MNI_desc-preproc_bold.nii.gz").get_fdata()
    table = pd.read_csv(func / f"{stem}_desc-confounds_timeseries.tsv", sep="\t")
    time = np.arange(N_FRAMES)
    design = np.column_stack([np.ones(N_FRAMES), time, table[MOTION].to_numpy()])
    values = image.reshape(-1, N_FRAMES).T
    beta = np.linalg.lstsq(design, values, rcond=None)[0]
    return values - design @ beta


def test_a_session_s_map_is_z_of_r_with_the_parcel_s_mean(done):
    """Oracle: numpy.linalg.lstsq and corrcoef, voxel by voxel."""
    folder, _ = done
    values = cleaned(folder, "01", "b")
    label = parcels().ravel()
    seed = values[:, label == 1].mean(axis=1)
    found = session_map(folder / "out", "01", "b", "desc-seedA1").ravel()
    inside = label > 0
    r = [np.corrcoef(seed, values[:, v])[0, 1] for v in np.flatnonzero(inside)]
    np.testing.assert_allclose(found[inside], np.arctanh(r), rtol=0, atol=1e-5)
    assert np.isnan(found[~inside]).all()


def test_a_sphere_and_global_connectivity(done):
    """Oracle: numpy, as above; the sphere holds the 7 voxels within 4.5 mm of (2, 0, 2)."""
    folder, _ = done
    values = cleaned(folder, "03", "a")
    inside = parcels().ravel() > 0
    index = np.stack(np.unravel_index(np.arange(inside.size), SHAPE), axis=1)
    mm = nib.affines.apply_affine(AFFINE, index)
    ball = inside & (np.linalg.norm(mm - (2, 0, 2), axis=1) <= 4.5)
    assert ball.sum() == 7
    seed = values[:, ball].mean(axis=1)
    z = [np.arctanh(np.corrcoef(seed, values[:, v])[0, 1]) for v in np.flatnonzero(inside)]
    found = session_map(folder / "out", "03", "a", "desc-seedball").ravel()
    np.testing.assert_allclose(found[inside], z, rtol=0, atol=1e-5)
    r = np.corrcoef(values[:, inside].T)
    np.fill_diagonal(r, np.nan)
    found = session_map(folder / "out", "03", "a", "desc-gbcglobal").ravel()
    np.testing.assert_allclose(found[inside], np.nanmean(np.arctanh(r), axis=1), rtol=0, atol=1e-5)


def test_every_voxel_alone_gives_the_group_map(done):
    """Oracle: fit_mixed on one voxel's values, in a complete voxel and in one that 04 lacks."""
    folder, results = done
    drawn = results.maps["A1"]
    plan = plan_study(load_study(folder / "study.toml"))
    planned = next(one for one in plan.analyses if one.name == "A1")
    sessions = {"before": "a", "after": "b"}
    for voxel, n in (((5, 5, 3), 10), ((7, 5, 3), 9)):
        rows = planned.rows.assign(
            fc_z=[
                float(session_map(folder / "out", str(s), sessions[str(v)], "desc-seedA1")[voxel])
                for s, v in zip(planned.rows["subject"], planned.rows["visit"], strict=True)
            ]
        )
        fit = fit_mixed(planned.formula, rows.dropna()).estimates.loc["visit[after]:arm[drug]"]
        stem = "term-visitafterarmdrug_stat-"
        for name, value in (
            ("estimate", fit["estimate"]),
            ("t", fit["statistic"]),
            ("df", fit["df"]),
            ("p", fit["p"]),
            ("n", n),
        ):
            assert drawn.images[stem + name][voxel] == pytest.approx(value, rel=2e-4), name
    t, z, p = (drawn.images[f"term-visitafterarmdrug_stat-{k}"] for k in "tzp")
    from scipy.stats import norm

    known = np.isfinite(p)
    np.testing.assert_allclose(2 * norm.sf(np.abs(z[known])), p[known], rtol=1e-4)
    assert (np.sign(z[known]) == np.sign(t[known])).all()


def test_the_effect_is_found_where_it_was_put(done):
    """Truth: in arm drug, after, the voxels of B2 (60 of them) follow A1; nowhere else."""
    folder, results = done
    largest = results.maps["A1"].clusters.iloc[0]
    assert largest["peak_parcel"] == "B2"
    assert largest["sign"] == 1
    assert largest["n_voxels"] == (parcels() == 4).sum()
    assert largest["volume_mm3"] == pytest.approx(64 * largest["n_voxels"])
    table = pd.read_csv(folder / "out" / "group" / "maps" / "a1_clusters.tsv", sep="\t")
    assert list(table["n_voxels"]) == list(results.maps["A1"].clusters["n_voxels"])
    rows = results["A1"].estimates.set_index("term")["estimate"]
    assert rows["visit[after]:arm[drug]: voxels tested"] == (parcels() > 0).sum()
    assert rows["visit[after]:arm[drug]: clusters"] == len(table)
    assert set(results["A1"].estimates["role"]) == {"descriptive", "exploratory"}
    assert set(results["ball"].estimates["role"]) == {"descriptive"}


def test_mean_maps_are_means_over_people(done):
    """The change is the mean over those with both visits; person 02 has one."""
    folder, results = done
    images = results.maps["ball"].images
    voxel = (2, 5, 4)
    value = {
        (f"{n:02d}", s): session_map(folder / "out", f"{n:02d}", s, "desc-seedball")[voxel]
        for n in range(1, 11)
        for s in "ab"
        if (n, s) != (2, "b")
    }
    before = np.mean([v for (_, s), v in value.items() if s == "a"])
    change = np.mean([value[n, "b"] - value[n, "a"] for n, s in value if s == "b"])
    assert images["visit-before_stat-mean"][voxel] == pytest.approx(before, abs=1e-6)
    found = images["visit-after_from-before_stat-difference"][voxel]
    assert found == pytest.approx(change, abs=1e-6)


def test_runs_that_nothing_is_asked_of_are_mapped_as_read(tmp_path):
    """Oracle: corrcoef of the voxels in the file, a strong trend included."""
    study = write_images(tmp_path, n_subjects=2, study=STUDY.replace('"6P"', '"none"'))
    func = tmp_path / "data" / "sub-01" / "ses-a" / "func"
    (path,) = func.glob("*_bold.nii.gz")
    image = nib.load(path)
    values = np.asarray(image.dataobj)
    values[values > 0] += np.broadcast_to(2 * np.arange(N_FRAMES), values.shape)[values > 0]
    nib.Nifti1Image(values, image.affine, image.header).to_filename(path)
    text = study.read_text()
    study.write_text(text.replace('model = "change"\ntests = ["visit:arm"]\n', ""))
    run(study, tmp_path / "out", level="participant")
    inside = parcels().ravel() > 0
    signal = values.reshape(-1, N_FRAMES).astype(float)
    seed = signal[parcels().ravel() == 1].mean(axis=0)
    r = [np.corrcoef(seed, one)[0, 1] for one in signal[inside]]
    found = session_map(tmp_path / "out", "01", "a", "desc-seedA1").ravel()[inside]
    np.testing.assert_allclose(found, np.arctanh(r), rtol=0, atol=1e-5)
    assert np.mean(r) > 0.7  # the trend is in it


def test_visits_keep_the_study_s_order_whoever_comes_first(tmp_path):
    study = write_images(tmp_path, n_subjects=4)
    for path in (tmp_path / "data" / "sub-01" / "ses-a" / "func").iterdir():
        path.unlink()
    plan = plan_study(load_study(study))
    assert plan.people.scans["visit"].iloc[0] == "after"
    results = run_plan(plan, tmp_path / "out")
    assert results is not None
    assert list(results.maps["ball"].images) == [
        "visit-before_stat-mean",
        "visit-after_stat-mean",
        "visit-after_from-before_stat-difference",
    ]


def test_results_load_with_their_maps(done):
    folder, results = done
    loaded = load_results(folder / "out")
    assert list(loaded.maps) == ["A1", "ball", "global"]
    for name, one in results.maps.items():
        for key, values in one.images.items():
            np.testing.assert_array_equal(loaded.maps[name].images[key], values)
        np.testing.assert_allclose(loaded.maps[name].affine, one.affine)
    pd.testing.assert_frame_equal(
        loaded.maps["A1"].clusters, results.maps["A1"].clusters, check_dtype=False
    )


def test_maps_are_kept_until_something_changes(tmp_path):
    study = write_images(tmp_path, n_subjects=4)
    out = tmp_path / "out"
    run(study, out)

    def times(label: str) -> set[int]:
        return {path.stat().st_mtime_ns for path in out.rglob(f"*{label}_boldmap.nii.gz")}

    ball, whole = times("seedball"), times("gbcglobal")
    study.write_text(STUDY.replace("radius_mm = 4.5", "radius_mm = 6"))
    run(study, out)
    assert times("gbcglobal") == whole
    assert not times("seedball") & ball
    damaged = next(out.rglob("*seedball_boldmap.nii.gz"))
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-40])
    shutil.rmtree(out / "group")  # results that stand are kept, whatever became of a map since
    with pytest.raises(InputError, match=r"1 sessions have no map 'ball' .*--level participant"):
        run(study, out, level="group")
    run(study, out)
    assert damaged.read_bytes() == good


def test_runs_are_joined_as_their_z_scored_frames(tmp_path):
    """Oracle: numpy; two runs, each z-scored, end to end."""
    study = write_images(tmp_path, n_subjects=2, n_runs=2)
    run(study, tmp_path / "out", level="participant")
    inside = parcels().ravel() > 0
    standard, seeds = [], []
    for number in (1, 2):
        values = cleaned(tmp_path, "01", "a", f"_run-{number}")
        seed = values[:, parcels().ravel() == 1].mean(axis=1)
        standard.append(values[:, inside] / values[:, inside].std(axis=0))
        seeds.append(seed / seed.std())
    values, seed = np.vstack(standard), np.concatenate(seeds)
    expected = np.arctanh(seed @ values / len(seed))
    found = session_map(tmp_path / "out", "01", "a", "desc-seedA1").ravel()[inside]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    r = values.T @ values / len(seed)
    np.fill_diagonal(r, np.nan)
    found = session_map(tmp_path / "out", "01", "a", "desc-gbcglobal").ravel()[inside]
    np.testing.assert_allclose(found, np.nanmean(np.arctanh(r), axis=1), rtol=0, atol=1e-5)


def test_blocks_within_a_small_budget_give_the_same_maps(done, tmp_path, monkeypatch):
    from connectrial.io import map_sources, voxels

    folder, _ = done
    budget = 4 * N_FRAMES * 50
    monkeypatch.setattr(
        map_sources,
        "read_voxel_blocks",
        lambda image, mask: voxels.read_voxel_blocks(image, mask, max_bytes=budget),
    )
    study = tmp_path / "study.toml"
    text = (folder / "study.toml").read_text().replace('"data"', f'"{folder / "data"}"')
    study.write_text(text)
    plan = plan_study(load_study(study), subjects=["05"])
    run_plan(plan, tmp_path / "out", level="participant")
    for label in ("desc-seedA1", "desc-seedball", "desc-gbcglobal"):
        np.testing.assert_allclose(
            session_map(tmp_path / "out", "05", "a", label),
            session_map(folder / "out", "05", "a", label),
            rtol=0,
            atol=1e-6,
        )


def test_people_on_another_grid_are_named(tmp_path):
    study = write_images(tmp_path, n_subjects=4)
    func = tmp_path / "data" / "sub-03" / "ses-b" / "func"
    for path in func.glob("*.nii.gz"):
        image = nib.load(path)
        moved = image.affine.copy()
        moved[0, 3] += 2.0
        nib.Nifti1Image(np.asarray(image.dataobj), moved, image.header).to_filename(path)
    results = run(study, tmp_path / "out")
    assert results.maps == {}
    (note,) = (n for n in results["ball"].notes if n.startswith("not done"))
    assert "1 of 7 maps lie on another grid" in note
    assert "sub-03_ses-b" in note


def test_a_seed_outside_somebody_s_brain_is_said_and_the_rest_goes_on(tmp_path):
    text = STUDY.replace(
        "sphere = [2, 0, 2], radius_mm = 4.5", "sphere = [-14, 4, 2], radius_mm = 2"
    )
    results = run(write_images(tmp_path, n_subjects=4, study=text), tmp_path / "out")
    notes = [n for n in results["ball"].notes if "has no map" in n]
    assert len(notes) == 2
    assert all("sub-04" in n and "no voxel of the mask lies in a sphere" in n for n in notes)
    row = results["ball"].estimates.set_index("term").loc["mean map at before: voxels"]
    assert row["n_subjects"] == 3
    assert (
        results["global"]
        .estimates.set_index("term")
        .loc["mean map at before: voxels", "n_subjects"]
        == 4
    )


def test_smoothing_permutation_and_raw_p(tmp_path):
    text = STUDY.replace(
        'tests = ["visit:arm"]',
        'tests = ["visit:arm"]\nsmoothing_fwhm_mm = 6\nmethod = "max"\nn_permutations = 50',
    )
    study = write_images(tmp_path, n_subjects=7, study=text)
    results = run(study, tmp_path / "out")
    adjusted = results.maps["A1"].images["term-visitafterarmdrug_stat-padj"]
    known = adjusted[np.isfinite(adjusted)]
    rows = results["A1"].estimates.set_index("term")
    how = rows.loc["visit[after]:arm[drug]: adjusted p < .05", "adjustment"]
    m = int(re.search(r"(\d+) permutations", how)[1])
    np.testing.assert_allclose(known * (m + 1), np.rint(known * (m + 1)), atol=1e-3)
    assert known.min() == pytest.approx(1 / (m + 1))  # (b + 1) / (m + 1), b = 0 in B2
    assert any("30 voxels" in n and "no permutation p" in n for n in results["A1"].notes)
    study.write_text(text.replace('method = "max"\nn_permutations = 50', 'method = "none"'))
    raw = run(study, tmp_path / "out")
    images = raw.maps["A1"].images
    assert "term-visitafterarmdrug_stat-padj" not in images
    assert not list((tmp_path / "out" / "group" / "maps").glob("*stat-padj*"))
    passing = images["term-visitafterarmdrug_stat-p"] < 0.05
    assert raw.maps["A1"].clusters["n_voxels"].sum() == passing.sum()


def test_voxels_that_few_people_have_are_left_out_and_counted(tmp_path):
    text = STUDY.replace('tests = ["visit:arm"]', 'tests = ["visit:arm"]\nmin_coverage = 1.0')
    results = run(write_images(tmp_path, n_subjects=6, study=text), tmp_path / "out")
    lacking = int((parcels()[7] > 0).sum())
    (note,) = (n for n in results["A1"].notes if "left out: fewer than" in n)
    assert note.startswith(f"{lacking} voxels")
    assert np.isnan(results.maps["A1"].images["term-visitafterarmdrug_stat-t"][7]).all()
    report = json.loads((tmp_path / "out" / "group" / "results.json").read_text())
    assert "A1" in report["Maps"]


WRONG = {
    "no seed": (
        'seed = { set = "seed" }\n',
        "",
        "[maps.A1]: measure = 'seed' needs seed = ",
    ),
    "two places": (
        'seed = { set = "seed" }',
        'seed = { set = "seed", network = "A" }',
        "seed needs exactly one of set, network, sphere",
    ),
    "a sphere without radius": (
        ", radius_mm = 4.5",
        "",
        "sphere and radius_mm come together",
    ),
    "a statistic of a seed": (
        'seed = { set = "seed" }',
        'seed = { set = "seed" }\nstatistic = "mean_r"',
        "statistic belongs to measure = 'gbc'",
    ),
    "tests without model": (
        'measure = "gbc"',
        'measure = "gbc"\ntests = ["visit"]',
        "model and tests come together",
    ),
    "a method without model": (
        'measure = "gbc"',
        'measure = "gbc"\nmethod = "holm"',
        "method needs a model",
    ),
    "a test that is no term": (
        'tests = ["visit:arm"]',
        'tests = ["visit:age"]',
        "[maps.A1] tests: model 'change' has no term 'visit:age'",
    ),
    "unknown model": (
        'model = "change"',
        'model = "chnage"',
        "[maps.A1]: model 'chnage' is not declared; did you mean 'change'?",
    ),
    "two names for one file": (
        "[maps.global]",
        '[maps."b-all"]',
        "[maps.b-all]: its files would bear the same name as those of [maps.ball]",
    ),
    "no images": (
        'kind = "images"',
        'kind = "time series"',
        "[maps.A1] model: maps over parcels are described, not tested",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_gets_its_message(tmp_path, case):
    right, wrong, message = WRONG[case]
    assert right in STUDY
    (tmp_path / "study.toml").write_text(STUDY.replace(right, wrong, 1))
    with pytest.raises(StudyFileError) as caught:
        load_study(tmp_path / "study.toml")
    assert message in "\n".join(caught.value.problems)


def test_an_unknown_network_is_found_with_the_atlas(tmp_path):
    text = STUDY.replace('seed = { set = "seed" }', 'seed = { network = "C" }')
    plan = plan_study(load_study(write_images(tmp_path, n_subjects=4, study=text)))
    assert any("[maps.A1] seed: there is no 'C'" in problem for problem in plan.problems)
