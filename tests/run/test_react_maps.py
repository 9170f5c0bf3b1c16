"""REACT from the study file: every session's map against the two regressions in numpy."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from connectrial.errors import StudyFileError
from connectrial.fc.react import StageOne, react, stage_two
from connectrial.io.voxels import read_map
from connectrial.run import plan_study, run_plan
from connectrial.study_file import load_study
from run_images_tiny import AFFINE, MOTION, N_FRAMES, SHAPE, STUDY, parcels, write_images

REACT = """
[maps.first]
measure = "react"
receptors = { alpha = "alpha.nii.gz", beta = "beta.nii.gz" }
receptor = "alpha"
reference = "reference.nii.gz"
model = "change"
tests = ["visit:arm"]

[maps.second]
measure = "react"
receptors = { alpha = "alpha.nii.gz", beta = "beta.nii.gz" }
receptor = "beta"
reference = "reference.nii.gz"

[model.change]"""
ONLY_REACT = STUDY[: STUDY.index("[maps.A1]")] + REACT.lstrip() + STUDY.split("[model.change]")[1]


def write_receptors(folder: Path, affine: np.ndarray = AFFINE) -> dict[str, np.ndarray]:
    """Two densities, in places below 0, and a reference region of one slice."""
    rng = np.random.default_rng(11)
    made = {name: rng.gamma(2.0, 3.0, SHAPE) - 0.5 for name in ("alpha", "beta")}
    made["reference"] = (np.indices(SHAPE)[2] == 1).astype(float)
    for name, values in made.items():
        image = nib.Nifti1Image(values.astype(np.float32), affine)
        image.to_filename(folder / "data" / f"{name}.nii.gz")
    return made


def test_a_session_s_map_is_two_regressions(tmp_path):
    """Oracle: numpy.linalg.lstsq for the denoising and for both stages, over whole arrays."""
    study = write_images(tmp_path, n_subjects=4, study=ONLY_REACT)
    given = write_receptors(tmp_path)
    run_plan(plan_study(load_study(study)), tmp_path / "out")
    func = tmp_path / "data" / "sub-01" / "ses-b" / "func"
    stem = func / "sub-01_ses-b_task-rest"
    image = nib.load(f"{stem}_space-MNI_desc-preproc_bold.nii.gz").get_fdata()
    table = pd.read_csv(f"{stem}_desc-confounds_timeseries.tsv", sep="\t")
    design = np.column_stack([np.ones(N_FRAMES), np.arange(N_FRAMES), table[MOTION].to_numpy()])
    raw = image.reshape(-1, N_FRAMES).T
    clean = raw - design @ np.linalg.lstsq(design, raw, rcond=None)[0]
    brain = parcels().ravel() > 0
    maps = np.stack([given[name].ravel() for name in ("alpha", "beta")]).astype(np.float32)
    outside = given["reference"].ravel() > 0
    used = brain & (maps > 0).all(axis=0) & ~outside
    scaled = maps / np.where(outside, 0, maps).max(axis=1, keepdims=True)
    space = np.column_stack([np.ones(used.sum()), scaled[:, used].T])
    courses = np.linalg.lstsq(space, clean[:, used].T, rcond=None)[0][1:].T
    courses = (courses - courses.mean(axis=0)) / courses.std(axis=0, ddof=1)
    weights = np.linalg.lstsq(courses, clean, rcond=None)[0]
    out = tmp_path / "out" / "sub-01" / "ses-b" / "func"
    for row, name in enumerate(("first", "second")):
        (path,) = out.glob(f"*stat-weight_desc-react{name}_boldmap.nii.gz")
        found = read_map(path)[0].ravel()
        np.testing.assert_allclose(found[brain], weights[row, brain], rtol=0, atol=2e-3)
        assert np.abs(weights[row, brain]).max() > 2
        assert np.isnan(found[~brain]).all()
    said = json.loads(next(out.glob("*desc-reactfirst_boldmap.json")).read_text())
    assert said["Receptors"] == ["alpha", "beta"]
    assert said["PlacesOfStage1"] == used.sum()


def test_blocks_of_places_give_what_whole_arrays_give():
    """The streamed stages against `react`, which holds everything."""
    rng = np.random.default_rng(0)
    maps = rng.gamma(2.0, size=(3, 90))
    signal = rng.normal(size=(40, 90))
    whole = react(signal, maps)
    stage = StageOne(3)
    for part in (slice(0, 20), slice(20, 71), slice(71, 90)):
        stage.add(signal[:, part], maps[:, part])
    courses = stage.time_courses()
    np.testing.assert_allclose(courses, whole.time_courses, rtol=0, atol=1e-10)
    centred = signal - signal.mean(axis=0)
    found = stage_two(centred, courses - courses.mean(axis=0), n_frames=40)
    np.testing.assert_allclose(found, whole.maps, rtol=0, atol=1e-10)


def test_another_grid_is_said_and_the_rest_goes_on(tmp_path):
    study = write_images(tmp_path, n_subjects=4, study=ONLY_REACT)
    write_receptors(tmp_path, affine=np.diag([2.0, 2, 2, 1]))
    results = run_plan(plan_study(load_study(study)), tmp_path / "out")
    said = " ".join(results["first"].notes)
    assert "alpha.nii.gz: the map of alpha lies on a grid of 8x7x6 voxels of 2 x 2 x 2 mm" in said
    assert "resample the map" in said


@pytest.mark.parametrize(
    ("right", "wrong", "fragment"),
    [
        ('receptor = "beta"\n', "", "receptor must say which of ['alpha', 'beta']"),
        ('receptor = "beta"', 'receptor = "gamma"', "'gamma' is not among ['alpha', 'beta']"),
        (
            'receptors = { alpha = "alpha.nii.gz", beta = "beta.nii.gz" }\nreceptor = "beta"\n',
            "",
            "measure = 'react' needs receptors",
        ),
        ('"alpha.nii.gz"', '"alhpa.nii.gz"', "[maps.first] alpha: there is no file"),
    ],
)
def test_wrong_receptors_get_their_message(tmp_path, right, wrong, fragment):
    study = write_images(tmp_path, n_subjects=2, study=ONLY_REACT)
    write_receptors(tmp_path)
    text = study.read_text()
    assert right in text
    study.write_text(text.replace(right, wrong))
    try:
        problems = plan_study(load_study(study)).problems
    except StudyFileError as error:
        problems = tuple(error.problems)
    assert fragment in "\n".join(problems)
