"""Runs that are no plain volumes, under the names of their makers; filters by entity."""

from __future__ import annotations

import json

import numpy as np
import pytest

from connectrial.errors import InputError
from connectrial.fc.quality import framewise_displacement
from connectrial.io.bids import index_scans, read_motion
from connectrial.io.bids_filters import read_filter_file
from connectrial.io.confounds import read_confounds


def touch(root, *names, content="x"):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def func(root, *names, subject="01", session="pre"):
    start = f"sub-{subject}/ses-{session}/func/sub-{subject}_ses-{session}"
    return touch(root, *(f"{start}_{name}" for name in names))


# Names of fMRIPrep 20.2, 21.0, 23.2 and 25.1 (docs/outputs.rst, io_spec.json).
CONFOUNDS = "task-rest_run-1_desc-confounds_timeseries.tsv"
FMRIPREP = {
    "20.2": (
        "task-rest_run-1_space-fsaverage5_hemi-L_bold.func.gii",
        "task-rest_run-1_space-fsaverage5_hemi-R_bold.func.gii",
    ),
    "21 to 25": (
        "task-rest_run-1_hemi-L_space-fsaverage5_bold.func.gii",
        "task-rest_run-1_hemi-R_space-fsaverage5_bold.func.gii",
    ),
}


@pytest.mark.parametrize("version", FMRIPREP)
def test_hemispheres_are_one_run(tmp_path, version):
    func(tmp_path, *FMRIPREP[version], CONFOUNDS)
    index = index_scans(tmp_path)
    assert index.problems == ()
    (scan,) = index.scans
    assert (scan.kind, scan.space, scan.run, scan.mask) == ("image", "fsaverage5", "1", None)
    assert [scan.path.name, scan.right.name] == [f"sub-01_ses-pre_{n}" for n in FMRIPREP[version]]
    assert scan.confounds.name == f"sub-01_ses-pre_{CONFOUNDS}"
    assert not scan.denoised


def test_a_hemisphere_alone_is_still_a_run(tmp_path):
    func(tmp_path, FMRIPREP["20.2"][1])
    (scan,) = index_scans(tmp_path).scans
    assert "hemi-R" in scan.path.name
    assert scan.right is None


def test_a_dense_run_takes_confounds_and_time_from_its_neighbours(tmp_path):
    base = "task-rest_run-1_space-fsLR_den-91k_bold"
    func(tmp_path, f"{base}.dtseries.nii", CONFOUNDS)
    func(tmp_path, f"{base}.json")
    for path in tmp_path.rglob("*.json"):
        path.write_text('{"RepetitionTime": 1.5}')
    index = index_scans(tmp_path)
    assert (index.problems, index.notes) == ((), ())
    (scan,) = index.scans
    assert (scan.space, scan.description, scan.repetition_time_s) == ("fsLR", "preproc", 1.5)
    assert scan.confounds.name == f"sub-01_ses-pre_{CONFOUNDS}"


ALL_SPACES = (
    "task-rest_run-1_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz",
    "task-rest_run-1_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz",
    "task-rest_run-1_space-fsLR_den-91k_bold.dtseries.nii",
    *FMRIPREP["21 to 25"],
    "task-rest_run-1_hemi-L_space-fsnative_bold.func.gii",
    "task-rest_run-1_hemi-R_space-fsnative_bold.func.gii",
)


def test_several_spaces_are_put_to_the_user(tmp_path):
    func(tmp_path, *ALL_SPACES)
    index = index_scans(tmp_path)
    (problem,) = index.problems
    for space in ("MNI152NLin6Asym", "MNI152NLin2009cAsym", "fsLR", "fsaverage5"):
        assert f"{space!r} (1 files)" in problem
        (scan,) = index_scans(tmp_path, space=space).scans
        assert scan.space == space
    assert "[data] space = " in problem
    assert any("2 surface files in space fsnative" in note for note in index.notes)


def test_own_meshes_are_refused_by_name(tmp_path):
    func(tmp_path, *ALL_SPACES)
    problems = index_scans(tmp_path, space="fsnative").problems
    assert "each person's own mesh" in problems[0]


def test_two_densities_of_one_space(tmp_path):
    func(tmp_path, *(f"task-rest_space-fsLR_den-{d}_bold.dtseries.nii" for d in ("91k", "170k")))
    assert set(index_scans(tmp_path).ambiguous["space"]) == {"fsLR:den-91k", "fsLR:den-170k"}
    (scan,) = index_scans(tmp_path, space="fsLR:den-91k").scans
    assert "91k" in scan.path.name


def test_surfaces_beside_cifti_of_one_density(tmp_path):
    func(tmp_path, "task-rest_space-fsLR_den-91k_bold.dtseries.nii",
         *(f"task-rest_hemi-{h}_space-fsLR_den-91k_bold.func.gii" for h in "LR"))  # fmt: skip
    assert set(index_scans(tmp_path).ambiguous["space"]) == {"fsLR:cifti", "fsLR:surface"}
    (scan,) = index_scans(tmp_path, space="fsLR:surface").scans
    assert scan.right is not None


# XCP-D 26 and 0.6.
@pytest.mark.parametrize(
    "name",
    [
        "task-rest_run-1_space-fsLR_den-91k_desc-denoised_bold.dtseries.nii",
        "task-rest_run-1_space-fsLR_den-91k_desc-denoisedSmoothed_bold.dtseries.nii",
        "task-rest_run-1_space-MNI152NLin6Asym_res-2_desc-denoised_bold.nii.gz",
        "task-rest_run-1_space-MNI152NLin6Asym_desc-residual_smooth_bold.nii.gz",
    ],
)
def test_denoised_images_are_known_as_such(tmp_path, name):
    func(tmp_path, name, "task-rest_run-1_motion.tsv")
    (scan,) = index_scans(tmp_path).scans
    assert scan.denoised
    assert scan.confounds.name.endswith("_motion.tsv")


@pytest.mark.parametrize(
    ("series", "matrix"),
    [
        ("space-fsLR_atlas-Gordon_den-91k_stat-mean_timeseries.ptseries.nii",
         "space-fsLR_atlas-Gordon_den-91k_stat-pearsoncorrelation_boldmap.pconn.nii"),
        ("space-fsLR_seg-Gordon_den-91k_stat-mean_timeseries.ptseries.nii",
         "space-fsLR_seg-Gordon_den-91k_stat-pearsoncorrelation_boldmap.pconn.nii"),
        ("space-fsLR_atlas-Gordon_den-91k_timeseries.ptseries.nii",
         "space-fsLR_atlas-Gordon_den-91k_measure-pearsoncorrelation_conmat.pconn.nii"),
    ],
)  # fmt: skip
def test_parcellated_cifti(tmp_path, series, matrix):
    func(tmp_path, f"task-rest_{series}", f"task-rest_{matrix}")
    for kind, name in (("time series", series), ("matrices", matrix)):
        (scan,) = index_scans(tmp_path, kind=kind).scans
        assert scan.path.name.endswith(name)
        assert scan.atlas == "Gordon"
    text = [series.replace(".ptseries.nii", ".tsv")]
    text.append(matrix.split("_boldmap")[0].split("_conmat")[0] + "_relmat.tsv")
    func(tmp_path, *(f"task-rest_{name}" for name in text))
    for kind in ("time series", "matrices"):
        index = index_scans(tmp_path, kind=kind)
        assert index.problems == ()
        assert [scan.path.suffix for scan in index.scans] == [".tsv"]
        assert sum("stand beside them as text" in note for note in index.notes) == 2


# --- the HCP pipelines


def hcp_run(root, person, run, *variants, frames=4, rotation_deg=1.0):
    folder = root / person / "MNINonLinear" / "Results" / run
    touch(folder, *(f"{run}_Atlas{variant}.dtseries.nii" for variant in variants))
    rng = np.random.default_rng(3)
    motion = np.zeros((frames, 12))
    motion[:, :3] = rng.normal(size=(frames, 3)) * 0.1
    motion[:, 3:6] = rng.normal(size=(frames, 3)) * rotation_deg
    motion[1:, 6:] = np.diff(motion[:, :6], axis=0)
    rows = ["  ".join(f"{x: .6f}" for x in row) for row in motion]
    (folder / "Movement_Regressors.txt").write_text("\n".join(rows) + "\n")
    return folder, motion


CLEAN = "_MSMAll_hp2000_clean"


def test_hcp_folders(tmp_path):
    for run in ("rfMRI_REST1_LR", "rfMRI_REST1_RL"):
        folder, _ = hcp_run(tmp_path, "100307", run, CLEAN)
        touch(folder, f"{run}_Atlas_MSMAll_hp2000_clean_vn.dscalar.nii", f"{run}.nii.gz")
    index = index_scans(tmp_path)
    assert index.problems == ()
    assert index.subjects == ("100307",)
    found = [(s.subject, s.session, s.task, s.run, s.space, s.description) for s in index.scans]
    assert found == [
        ("100307", None, "rest", n, "fsLR", CLEAN.replace("_", "")) for n in ("1LR", "1RL")
    ]
    assert all(s.denoised and s.kind == "image" for s in index.scans)
    assert {s.confounds.name for s in index.scans} == {"Movement_Regressors.txt"}
    assert index.scans[0].confounds.parent == index.scans[0].path.parent


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        ("HCA6002236_V1_MR", ("HCA6002236", "V1")),
        ("sub-01_ses-pre", ("01", "pre")),
        ("sub-01/ses-pre", ("01", "pre")),
        ("sub-01", ("01", None)),
    ],
)
def test_hcp_people_and_sessions(tmp_path, person, expected):
    hcp_run(tmp_path, person, "rfMRI_REST_AP", "_MSMAll")
    index = index_scans(tmp_path)
    (scan,) = index.scans
    assert (scan.subject, scan.session) == expected
    assert index.subjects == expected[:1]
    assert index.notes == () or "odd characters" not in index.notes[0]
    assert (scan.run, scan.description, scan.denoised) == ("AP", "MSMAll", False)
    assert index.problems == ()


def test_hcp_variants_are_put_to_the_user(tmp_path):
    hcp_run(tmp_path, "100307", "rfMRI_REST1_LR", CLEAN, "_hp2000_clean", "")
    index = index_scans(tmp_path)
    assert set(index.ambiguous["description"]) == {"MSMAllhp2000clean", "hp2000clean", "preproc"}
    (scan,) = index_scans(tmp_path, description="preproc").scans
    assert scan.path.name == "rfMRI_REST1_LR_Atlas.dtseries.nii"


def test_hcp_motion_is_in_degrees(tmp_path):
    """FD from the file's degrees equals FD from the radians under fMRIPrep's names."""
    folder, motion = hcp_run(tmp_path, "100307", "rfMRI_REST1_LR", CLEAN, frames=9)
    path = folder / "Movement_Regressors.txt"
    table = read_motion(path)
    names = [*(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz")]
    stored = np.round(motion[:, :6], 6)
    expected = framewise_displacement(stored, rotation_unit="deg")
    assert framewise_displacement(table[names].to_numpy())[1:] == pytest.approx(expected[1:])
    confounds, metadata = read_confounds(path)
    assert metadata == {}
    assert len(confounds.columns) == 24
    expected = np.deg2rad(stored[:, 3]) ** 2
    assert confounds["rot_x_power2"].to_numpy() == pytest.approx(expected)
    path.write_text("1 2 3\n4 5 6\n")
    with pytest.raises(InputError, match="12 columns of numbers without a header"):
        read_motion(path)


# --- filters


FILES = (
    "task-rest_acq-mb_run-01_space-fsLR_den-91k_bold.dtseries.nii",
    "task-rest_run-02_space-fsLR_den-91k_bold.dtseries.nii",
    "task-film_run-01_space-fsLR_den-91k_bold.dtseries.nii",
)


@pytest.fixture
def dataset(tmp_path):
    for session in ("pre", "mid", "post"):
        func(tmp_path, *FILES, session=session)
    return tmp_path


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"task": "rest"}, 6),
        ({"task": "rest", "session": ["pre", "ses-post"]}, 4),
        ({"task": "rest", "acquisition": "none"}, 3),
        ({"task": "rest", "acq": "*"}, 3),
        ({"task": "rest", "run": 1}, 3),
        ({"task": ["film"], "suffix": "bold", "datatype": "func"}, 3),
        ({"task": "film", "extension": ".dtseries.nii", "subject": "01"}, 3),
    ],
)
def test_filters_keep_what_fits(dataset, filters, count):
    index = index_scans(dataset, filters=filters)
    assert len(index.scans) == count
    assert index.problems == ()
    assert any(f"{9 - count} of 9 files do not pass the filters" in note for note in index.notes)


def test_a_filter_that_nothing_passes_names_what_is_there(dataset):
    index = index_scans(dataset, filters={"task": "resting"})
    assert index.scans == ()
    assert (
        "no file passes the filter task = 'resting'; there are 'film', 'rest'" in index.problems[0]
    )


def test_a_filter_file(tmp_path):
    path = tmp_path / "filter.json"
    query = {"task": "rest", "acquisition": None, "session": ["pre"], "echo": "Query.OPTIONAL"}
    path.write_text(json.dumps({"bold": query, "t1w": {"session": "pre"}}))
    filters, notes = read_filter_file(path)
    assert filters == {"task": "rest", "acquisition": "none", "session": ["pre"]}
    assert "t1w" in notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"bolt": {}}', "no query 'bolt'; did you mean 'bold'"),
        ('{"task": {}}', 'write {"bold": {"task": ...}}'),
        ('{"bold": {"sesion": "pre"}}', "no entity 'sesion' to filter by; did you mean 'session'"),
        ('{"bold": {"task": {"a": 1}}}', "task must be a label or a list of labels"),
        ('{"bold": {"task": []}}', "task must be a label or a list of labels"),
        ('{"bold": {"suffix": "sbref"}}', "suffix can only be 'bold'"),
        ('{"bold": "rest"}', "an object of queries"),
        ("[1]", "must be an object"),
        ("{", "not valid JSON"),
    ],
)
def test_wrong_filter_files(tmp_path, content, message):
    path = tmp_path / "filter.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_filter_file(path)
    (problem,) = caught.value.problems
    assert message in problem
    assert str(path) in problem


def test_a_missing_filter_file(tmp_path):
    with pytest.raises(InputError, match="there is no such filter file"):
        read_filter_file(tmp_path / "none.json")
