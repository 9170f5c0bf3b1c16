"""A simulated trial on disk: BIDS names, the same bytes, said to be simulated, readable."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from connectrial.errors import InputError
from connectrial.io.atlas import read_atlas
from connectrial.io.bids import index_scans
from connectrial.io.dataset import DatasetPaths, write_dataset
from connectrial.simulate import SimulatedTrial, TrialDesign, simulate_image, simulate_trial

DESIGN = TrialDesign(
    n_patients=4,
    n_controls=2,
    n_second_baselines=3,
    n_posts=3,
    n_repeat_controls=1,
    n_dropouts=1,
    n_responders=2,
    n_runs=2,
    n_frames=40,
    n_imaged=1,
)


@pytest.fixture(scope="module")
def trial() -> SimulatedTrial:
    return simulate_trial(DESIGN, seed=4)


@pytest.fixture(scope="module")
def written(trial, tmp_path_factory) -> DatasetPaths:
    return write_dataset(trial, tmp_path_factory.mktemp("simulated"))


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_same_trial_gives_the_same_bytes(written, tmp_path):
    again = write_dataset(simulate_trial(DESIGN, seed=4), tmp_path / "again")
    first, second = digests(written.root), digests(again.root)
    assert first == second
    assert len(first) == written.n_files == again.n_files


def test_every_run_has_its_four_files(trial, written):
    for scan in trial.scans:
        run = f"sub-{scan.subject}_ses-{scan.session}_task-rest_run-{scan.run}"
        func = written.root / f"sub-{scan.subject}" / f"ses-{scan.session}" / "func"
        series = f"{run}_space-MNI152NLin6Asym_atlas-Demo72_stat-mean_timeseries"
        assert {p.name for p in func.glob(f"{run}_*")} == {
            f"{series}.tsv", f"{series}.json", f"{run}_motion.tsv", f"{run}_motion.json",
        }  # fmt: skip
        table = pd.read_csv(func / f"{series}.tsv", sep="\t")
        assert list(table) == list(trial.atlas.parcels.index)
        assert table.to_numpy() == pytest.approx(scan.series.signal, rel=5e-7)
        motion = pd.read_csv(func / f"{run}_motion.tsv", sep="\t", na_values="n/a")
        assert list(motion) == list(scan.motion)
        assert motion.to_numpy() == pytest.approx(scan.motion.to_numpy(), rel=5e-7, nan_ok=True)
        sidecar = json.loads((func / f"{series}.json").read_text())
        assert sidecar["RepetitionTime"] == 2.0
        assert sidecar["Simulated"] is True


def test_tables_say_what_the_trial_says(trial, written):
    people = pd.read_csv(written.participants, sep="\t", dtype={"participant_id": str})
    assert list(people["participant_id"]) == list("sub-" + trial.participants["subject"])
    assert set(people["group"]) == {"patient", "control"}
    dictionary = json.loads(written.participants.with_suffix(".json").read_text())
    assert set(dictionary) == set(people)
    madrs = pd.read_csv(written.phenotype / "madrs.tsv", sep="\t", keep_default_na=False)
    assert list(madrs) == ["participant_id", "session_id", "day", "MADRS"]
    assert (madrs["MADRS"] == "n/a").sum() == 1
    assert set(madrs["session_id"]) == {
        "ses-baseline", "ses-day1", "ses-week2", "ses-week4", "ses-week6", "ses-week8",
    }  # fmt: skip
    truth = pd.read_csv(written.truth, sep="\t")
    assert truth["value"].to_numpy() == pytest.approx(trial.truth["value"].to_numpy(), rel=5e-7)
    scans = pd.read_csv(written.truth_scans, sep="\t")
    assert scans["fc_z"].to_numpy() == pytest.approx(trial.truth_scans["fc_z"], rel=5e-7, abs=1e-12)


def test_everything_says_that_it_is_simulated(written):
    for folder in (written.root, written.images):
        description = json.loads((folder / "dataset_description.json").read_text())
        assert description["Simulated"] is True
        assert description["DatasetType"] == "derivative"
        assert description["GeneratedBy"][0]["Name"] == "connectrial simulate"
    for sidecar in written.root.rglob("sub-*.json"):
        assert json.loads(sidecar.read_text())["Simulated"] is True, sidecar.name
    readme = (written.root / "README").read_text()
    assert "SIMULATED" in readme
    assert "high motion: sub-" in readme


def test_our_own_readers_read_it(trial, written):
    index = index_scans(written.root)
    assert (index.kind, len(index.scans)) == ("time series", len(trial.scans))
    assert index.problems == ()
    assert {s.repetition_time_s for s in index.scans} == {2.0}
    assert all(s.confounds is not None for s in index.scans)
    images = index_scans(written.images)
    assert images.kind == "image"
    assert len(images.scans) == sum(s.subject in trial.imaged for s in trial.scans)
    assert images.problems == ()
    assert all(s.mask is not None and s.confounds is not None for s in images.scans)
    atlas = read_atlas("Demo72", image=written.atlas_image, table=written.atlas_table)
    assert list(atlas.parcels.index) == list(trial.atlas.parcels.index)
    assert list(atlas.parcels["network"]) == list(trial.atlas.parcels["network"])
    assert np.array_equal(atlas.labels, trial.atlas.labels)
    assert np.array_equal(atlas.affine, trial.atlas.affine)


def test_images_hold_what_was_simulated(trial, written):
    scan = next(s for s in trial.scans if s.subject in trial.imaged)
    image = simulate_image(scan, trial.atlas)
    func = written.images / f"sub-{scan.subject}" / f"ses-{scan.session}" / "func"
    run = f"sub-{scan.subject}_ses-{scan.session}_task-rest_run-{scan.run}"
    bold = nib.load(func / f"{run}_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz")
    assert bold.get_data_dtype() == np.int16
    assert np.array_equal(np.asanyarray(bold.dataobj), image.data)
    assert np.array_equal(bold.affine, image.affine)
    assert bold.header.get_zooms() == (6.0, 6.0, 6.0, 2.0)
    assert bold.header.get_xyzt_units() == ("mm", "sec")
    mask = nib.load(func / f"{run}_space-MNI152NLin6Asym_desc-brain_mask.nii.gz")
    assert np.array_equal(np.asanyarray(mask.dataobj) > 0, image.mask)
    path = func / f"{run}_desc-confounds_timeseries.tsv"
    assert path.read_text().splitlines()[1].split("\t").count("n/a") > 0
    confounds = pd.read_csv(path, sep="\t", na_values="n/a")
    assert list(confounds) == list(image.confounds)
    assert confounds.to_numpy() == pytest.approx(
        image.confounds.to_numpy(), rel=5e-7, abs=1e-12, nan_ok=True
    )


def test_a_killed_run_is_completed_and_another_trial_refused(trial, tmp_path):
    whole = write_dataset(trial, tmp_path / "data")
    before = digests(whole.root)
    whole.truth.unlink()
    write_dataset(trial, whole.root)
    assert digests(whole.root) == before
    with pytest.raises(InputError, match="something else than this simulated trial"):
        write_dataset(simulate_trial(DESIGN, seed=5), whole.root)
    assert digests(whole.root) == before


def test_a_folder_in_use_is_refused(trial, tmp_path):
    (tmp_path / "thesis.doc").write_text("precious")
    with pytest.raises(InputError, match="is not empty"):
        write_dataset(trial, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.doc"]
    with pytest.raises(InputError, match="is a file"):
        write_dataset(trial, tmp_path / "thesis.doc")
