"""A small trial of CIFTI or surface runs through the whole program, sound and damaged."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cifti_files import (
    brain_models,
    labels_of,
    values_of,
    write_dlabel,
    write_dtseries,
    write_func_gii,
    write_label_gii,
)
from connectrial import load_study, plan_study, run_plan
from connectrial.cli import bids_app, main
from connectrial.run.drafting import draft_study

N_FRAMES = 60
STUDY = """
[study]
name = "Dense"

[data]
kind = "images"
derivatives = "data"

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

[denoising]
strategy = "none"

[[hypothesis]]
name = "Default"
within = "Default"
model = "change"
tests = ["visit"]

[model.change]
fixed = ["visit"]
random = ["1 | subject"]
"""
MOTION = [*(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz")]


def dense_path(data: Path, subject: str, session: str) -> Path:
    stem = f"sub-{subject}_ses-{session}_task-rest_space-fsLR_den-91k_bold.dtseries.nii"
    return data / f"sub-{subject}" / f"ses-{session}" / "func" / stem


def write_confounds(image: Path, *, seed: int, n_frames: int = N_FRAMES) -> None:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(scale=0.02, size=(n_frames, 6)), columns=MOTION)
    table["framewise_displacement"] = table.diff().abs().sum(axis=1).where(table.index > 0)
    start = image.name.split("_space-")[0].split("_hemi-")[0]
    path = image.with_name(f"{start}_desc-confounds_timeseries.tsv")
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


@pytest.fixture
def dense(tmp_path) -> Path:
    """Study of five people, two sessions each; rows of run and atlas in different orders."""
    axis = brain_models(np.random.default_rng(1))
    for number in range(1, 6):
        for session in "ab":
            path = dense_path(tmp_path / "data", f"0{number}", session)
            seed = 10 * number + (session == "b")
            write_dtseries(path, axis, values_of(axis, N_FRAMES, seed=seed))
            write_confounds(path, seed=seed)
    return finish(tmp_path, 5)


def finish(folder: Path, n_subjects: int) -> Path:
    atlas = brain_models(np.random.default_rng(2))
    write_dlabel(folder / "labels.dlabel.nii", atlas, labels_of(atlas))
    rows = ["participant_id\tage", *(f"sub-0{n}\t{30 + n}" for n in range(1, n_subjects + 1))]
    (folder / "data" / "participants.tsv").write_text("\n".join(rows) + "\n")
    study = folder / "study.toml"
    study.write_text(STUDY)
    return study


def run(study: Path, *, more: str = "", **options):
    study.write_text(study.read_text() + more)
    plan = plan_study(load_study(study))
    assert plan.problems == ()
    return run_plan(plan, study.parent / "out", **options)


def expected_r(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    means = [values[labels == label].astype(float).mean(axis=0) for label in range(1, 7)]
    return np.corrcoef(means)


def test_a_trial_of_cifti_runs(dense):
    results = run(dense)
    scans = results.tables["scans"]
    assert scans["analysed"].all()
    assert set(scans["n_frames"]) == {N_FRAMES}
    axis = brain_models(np.random.default_rng(1))
    (path,) = dense.parent.glob("out/sub-03/ses-b/func/*relmat.tsv")
    assert path.name == (
        "sub-03_ses-b_task-rest_space-fsLR_atlas-Test_den-91k_stat-pearsoncorrelation_relmat.tsv"
    )
    r = pd.read_csv(path, sep="\t", index_col=0).to_numpy()
    assert r == pytest.approx(expected_r(values_of(axis, N_FRAMES, seed=31), labels_of(axis)))
    declared = results.estimates.query("declared and analysis == 'Default'")
    assert set(declared["n_observations"]) == {10}
    # Nothing changed: a rerun makes nothing anew. Other labels make everything anew.
    before = path.stat().st_mtime_ns
    run(dense, level="participant")
    assert path.stat().st_mtime_ns == before
    atlas = brain_models(np.random.default_rng(2))
    labels = labels_of(atlas)
    labels[np.flatnonzero(labels == 1)[0]] = 2
    write_dlabel(dense.parent / "labels.dlabel.nii", atlas, labels)
    run(dense, level="participant")
    assert path.stat().st_mtime_ns > before


def test_cifti_runs_are_denoised_and_censored(dense):
    more = "[censoring]\nmax_fd_mm = 4.0\nn_dummy_frames = 2\n"
    dense.write_text(dense.read_text().replace('strategy = "none"', 'strategy = "6P"'))
    results = run(dense, more=more)
    scans = results.tables["scans"]
    assert scans["included"].all()
    assert (scans["kept_frames"] < N_FRAMES).all()
    (sidecar,) = dense.parent.glob("out/sub-01/ses-a/func/*timeseries.json")
    said = json.loads(sidecar.read_text())
    assert (said["Order"], said["ConfoundRank"], len(said["Confounds"])) == ("default", 6, 6)
    # No band: all dimensions of the kept frames but the straight line that detrending takes.
    kept = scans.set_index(["subject", "session"]).loc[("01", "a"), "kept_frames"]
    assert said["Dimensions"] == kept - 2
    assert said["RemainingDegreesOfFreedom"] == kept - 2 - 6


def replace_run(study: Path, subject: str, axis, *, change=None, step: float = 2.0) -> Path:
    path = dense_path(study.parent / "data", subject, "a")
    values = values_of(axis, N_FRAMES, seed=99)
    if change is not None:
        values = change(values)
    return write_dtseries(path, axis, values, step=step)


def test_bad_runs_leave_with_their_reason_and_the_others_go_on(dense):
    """One message for each, in the flow; five of ten runs remain."""
    good = brain_models(np.random.default_rng(1))
    replace_run(dense, "01", brain_models(n_vertices=60))
    path = replace_run(dense, "02", good)
    path.write_bytes(path.read_bytes()[:-5000])
    path = replace_run(dense, "03", good)
    atlas = brain_models(np.random.default_rng(2))
    write_dlabel(path, atlas, labels_of(atlas))
    replace_run(dense, "04", good, change=lambda v: np.full_like(v, np.nan))
    replace_run(dense, "05", good, step=0.0)
    results = run(dense, more='[coverage]\naction = "exclude"\n')
    scans = results.tables["scans"].set_index(["subject", "session"])
    reasons = scans.loc[[(f"0{n}", "a") for n in range(1, 6)], "reason"].tolist()
    assert "has 60 vertices in CORTEX_LEFT, atlas 'Test' 40" in reasons[0]
    assert "5000 bytes are missing" in reasons[1]
    assert "a dense time series (.dtseries.nii) is needed" in reasons[2]
    assert "has data in 50% of its grayordinates" in reasons[3]
    assert reasons[4] == ""
    assert scans.loc[("05", "a"), "included"]
    assert pd.isna(scans.loc[("05", "a"), "kept_minutes"])
    assert scans.xs("b", level="session")["included"].all()
    notes = plan_study(load_study(dense)).warnings
    assert any("repetition time of 1 runs" in note and "sub-05_ses-a" in note for note in notes)


def test_rows_of_nan_lower_coverage(dense):
    axis = brain_models(np.random.default_rng(1))
    labels = labels_of(axis)

    def lose(values):
        values[labels == 6] = np.nan
        values[np.flatnonzero(labels == 1)[:3]] = np.nan
        return values

    replace_run(dense, "01", axis, change=lose)
    run(dense, level="participant")
    (path,) = dense.parent.glob("out/sub-01/ses-a/func/*coverage*.tsv")
    coverage = pd.read_csv(path, sep="\t").iloc[0]
    assert coverage.tolist() == pytest.approx([0.8, 1, 1, 1, 1, 0])
    (path,) = dense.parent.glob("out/sub-01/ses-a/func/*relmat.tsv")
    assert pd.read_csv(path, sep="\t", index_col=0)["AMY-rh"].isna().all()


def problems_of(study: Path, *, old: str = "", new: str = "") -> tuple[str, ...]:
    study.write_text(study.read_text().replace(old, new))
    return plan_study(load_study(study)).problems


def test_an_atlas_that_fits_no_run_is_one_problem(dense):
    axis = brain_models(n_vertices=60)
    write_dlabel(dense.parent / "labels.dlabel.nii", axis, labels_of(axis))
    problems = problems_of(dense)
    assert sum("fits none of the 10 runs" in problem for problem in problems) == 1
    volume = np.arange(27, dtype=np.int16).reshape(3, 3, 3)
    nib.Nifti1Image(volume, np.eye(4)).to_filename(dense.parent / "v.nii.gz")
    problems = problems_of(dense, old="labels.dlabel.nii", new="v.nii.gz")
    assert any("but atlas 'Test' labels a volume" in problem for problem in problems)


def test_only_label_0(dense):
    axis = brain_models()
    write_dlabel(dense.parent / "labels.dlabel.nii", axis, np.zeros(len(axis)))
    assert any("every row is background" in problem for problem in problems_of(dense))


def test_map_name_is_for_label_files(dense):
    axis = brain_models()
    write_dlabel(dense.parent / "labels.dlabel.nii", axis, labels_of(axis), maps=("A", "B"))
    assert any("2 maps: 'A', 'B'" in problem for problem in problems_of(dense))
    image = 'image = "labels.dlabel.nii"'
    assert problems_of(dense, old=image, new=f'{image}\nmap_name = "B"') == ()


def test_a_dense_atlas_and_volumes(tmp_path):
    for session in "ab":
        folder = tmp_path / "data/sub-01" / f"ses-{session}" / "func"
        folder.mkdir(parents=True)
        name = f"sub-01_ses-{session}_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz"
        nib.Nifti1Image(np.ones((4, 4, 4, 9), np.float32), np.eye(4)).to_filename(folder / name)
    problems = plan_study(load_study(finish(tmp_path, 1))).problems
    assert any("is a volume, but atlas 'Test' labels grayordinates" in p for p in problems)


def test_denoised_images_are_not_denoised_again(dense):
    for path in list(dense.parent.rglob("*.dtseries.nii")):
        path.rename(path.with_name(path.name.replace("_bold", "_desc-denoised_bold")))
    assert problems_of(dense) == ()
    problems = problems_of(dense, old='strategy = "none"', new='strategy = "6P"')
    assert any("10 images are denoised already" in problem for problem in problems)


def test_a_first_study_file_of_cifti_runs_with_a_label_file_beside_them(dense):
    """Networks come out of the label file's names; denoised images are not denoised again."""
    data = dense.parent / "data"
    (dense.parent / "labels.dlabel.nii").rename(data / "atlas-Test_den-91k_dseg.dlabel.nii")
    for path in list(data.rglob("*.dtseries.nii")):
        path.rename(path.with_name(path.name.replace("_bold", "_desc-denoised_bold")))
    dense.write_text(draft_study(data).text)
    study = load_study(dense)
    assert str(study.atlas.image).endswith("atlas-Test_den-91k_dseg.dlabel.nii")
    assert study.denoising.strategy == "none"
    assert study.hypothesis[0].within == "Default"
    assert plan_study(study).problems == ()


# --- surfaces


@pytest.fixture
def surfaces(tmp_path) -> Path:
    """Three people's runs on two small meshes; of person 03 the right hemisphere is lost."""
    rng = np.random.default_rng(4)
    for number in range(1, 4):
        for session in "ab":
            stem = f"sub-0{number}_ses-{session}_task-rest"
            folder = tmp_path / "data" / f"sub-0{number}" / f"ses-{session}" / "func"
            for side in ("Left", "Right"):
                path = folder / f"{stem}_hemi-{side[0]}_space-fsaverage5_bold.func.gii"
                write_func_gii(path, 100 + rng.normal(size=(20, N_FRAMES)), side=side)
    (path,) = tmp_path.rglob("sub-03_ses-a*hemi-R*")
    path.unlink()
    study = finish(tmp_path, 3)
    labels = np.repeat([0, 1, 2, 3], 5)
    for side in ("Left", "Right"):
        names = {0: "???"} | {n: f"7Networks_{side[0]}H_Default_{n}" for n in (1, 2, 3)}
        write_label_gii(tmp_path / f"{side[0]}.label.gii", labels, names, side=side)
    text = study.read_text().replace('"labels.dlabel.nii"', '["L.label.gii", "R.label.gii"]')
    study.write_text(text.replace('kind = "images"', 'kind = "images"\nrepetition_time_s = 2.0'))
    return study


def test_a_trial_of_surface_runs(surfaces):
    results = run(surfaces)
    scans = results.tables["scans"].set_index(["subject", "session"])
    lost = scans.loc[("03", "a")]
    assert (
        "only the left hemisphere is there; the file of the right one is missing" in lost["reason"]
    )
    assert scans["included"].sum() == 5
    (path,) = surfaces.parent.glob("out/sub-01/ses-a/func/*relmat.tsv")
    assert "_hemi-" not in path.name
    assert "space-fsaverage5" in path.name
    r = pd.read_csv(path, sep="\t", index_col=0)
    assert r.shape == (6, 6)
    assert json.loads(path.with_suffix(".json").read_text())["Sources"] == [
        f"bids:preprocessed:sub-01_ses-a_task-rest_hemi-{h}_space-fsaverage5_bold.func.gii"
        for h in "LR"
    ]


def test_label_files_of_hemispheres_in_the_wrong_order(surfaces):
    problems = problems_of(
        surfaces, old='["L.label.gii", "R.label.gii"]', new='["R.label.gii", "L.label.gii"]'
    )
    assert any("this is the right hemisphere where the left is needed" in p for p in problems)


# --- HCP


def test_a_trial_of_hcp_runs(tmp_path):
    axis = brain_models(np.random.default_rng(1))
    for number in range(1, 4):
        for session in "ab":
            run_name = "rfMRI_REST1_AP"
            place = tmp_path / f"data/sub-0{number}_ses-{session}/MNINonLinear/Results/{run_name}"
            path = place / f"{run_name}_Atlas_MSMAll_hp2000_clean.dtseries.nii"
            values = values_of(axis, N_FRAMES, seed=10 * number + (session == "b"))
            write_dtseries(path, axis, values, step=0.8)
            rng = np.random.default_rng(number)
            motion = rng.normal(scale=0.05, size=(N_FRAMES, 12))
            np.savetxt(place / "Movement_Regressors.txt", motion, fmt="%.6f")
    study = finish(tmp_path, 3)
    results = run(study, more="[censoring]\nmax_fd_mm = 0.35\n")
    scans = results.tables["scans"]
    assert scans["included"].all()
    assert scans["mean_fd_mm"].between(0.1, 0.35).all()
    assert (scans["kept_frames"] < N_FRAMES).any()
    assert len(list(tmp_path.glob("out/sub-02/ses-b/func/sub-02_ses-b_task-rest_*relmat.tsv"))) == 1


# --- filters from the command line


def command(capsys, monkeypatch, *words: str, app=main) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["connectrial", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        app()
    said = capsys.readouterr()
    return int(stopped.value.code or 0), said.out + said.err


@pytest.fixture
def query(tmp_path) -> Path:
    path = tmp_path / "filter.json"
    path.write_text('{"bold": {"session": ["a", "b"], "task": "rest", "subject": ["01", "02"]}}')
    return path


def test_a_filter_file_narrows_every_command(dense, query, tmp_path, capsys, monkeypatch):
    option = ("--bids-filter-file", query)
    code, said = command(capsys, monkeypatch, "check", dense, *option)
    assert code == 0
    assert "sub-02_ses-b" in said
    assert "sub-03_ses-a" not in said
    drafted = tmp_path / "drafted.toml"
    code, _ = command(capsys, monkeypatch, "init", tmp_path / "data", "-o", drafted, *option)
    assert code == 0
    assert 'filters = { session = ["a", "b"], task = "rest", subject = ["01", "02"] }' in (
        drafted.read_text()
    )
    out = tmp_path / "filtered"
    words = ("run", dense, out, "--level", "participant", *option)
    assert command(capsys, monkeypatch, *words)[0] == 0
    assert sorted(path.name for path in out.glob("sub-*")) == ["sub-01", "sub-02"]
    plan = json.loads((out / "plan.json").read_text())
    assert "filters" in json.dumps(plan)
    out = tmp_path / "app"
    words = (tmp_path / "data", out, "participant", "--study", dense, "--bids_filter_file", query)
    assert command(capsys, monkeypatch, *words, app=bids_app)[0] == 0
    assert sorted(path.name for path in out.glob("sub-*")) == ["sub-01", "sub-02"]


def test_filters_of_the_study_file(dense, query, capsys, monkeypatch):
    text = dense.read_text()
    dense.write_text(
        text.replace('kind = "images"', 'kind = "images"\nfilters = { session = "a" }')
    )
    plan = plan_study(load_study(dense))
    assert {scan.session for scan in plan.survey.scans} == {"a"}
    code, said = command(capsys, monkeypatch, "check", dense, "--bids-filter-file", query)
    assert code == 2
    assert "[data] filters: session is 'a' in the study file but ['a', 'b']" in said
    dense.write_text(text.replace('kind = "images"', 'kind = "images"\nfilters = { sesion = "a" }'))
    code, said = command(capsys, monkeypatch, "check", dense)
    assert code == 2
    assert "did you mean 'session'" in said


def test_a_wrong_filter_file_is_exit_2(dense, query, capsys, monkeypatch):
    query.write_text('{"bold": {"sesion": "a"}}')
    code, said = command(capsys, monkeypatch, "check", dense, "--bids-filter-file", query)
    assert code == 2
    assert "there is no entity 'sesion' to filter by; did you mean 'session'?" in said
