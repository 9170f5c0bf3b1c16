"""The index of a derivatives folder: whose names are read, and what it refuses to decide."""

from __future__ import annotations

import time

import pytest

from connectrial.errors import InputError
from connectrial.io.bids import index_scans

SERIES = "A\tB\n1\t2\n3\t5\n2\t2\n"


def touch(root, *names, content=SERIES):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def tree(root, names, *, subjects=("01", "02"), sessions=("pre", "post"), content=SERIES):
    for subject in subjects:
        for session in sessions:
            for name in names:
                start = f"sub-{subject}_ses-{session}"
                touch(root, f"sub-{subject}/ses-{session}/func/{start}_{name}", content=content)
    return root


# Names as their makers write them: XCP-D tags 26.1, 0.9, 0.6 (docs/outputs.rst), giga_connectome
# 0.6 (docs/source/outputs.md, utils.output_filename), HALFpipe 1.3 (result/bids).
MAKERS = {
    "xcp-d 26": (
        "task-rest_run-1_space-MNI152NLin6Asym_atlas-Gordon_stat-mean_timeseries.tsv",
        "task-rest_run-1_space-MNI152NLin6Asym_atlas-Gordon_stat-pearsoncorrelation_relmat.tsv",
        None,
    ),
    "xcp-d 26 cifti": (
        "task-rest_run-1_space-fsLR_atlas-Gordon_den-91k_stat-mean_timeseries.tsv",
        "task-rest_run-1_space-fsLR_atlas-Gordon_den-91k_stat-pearsoncorrelation_relmat.tsv",
        None,
    ),
    "xcp-d 0.9": (
        "task-rest_run-1_space-MNI152NLin6Asym_seg-Gordon_stat-mean_timeseries.tsv",
        "task-rest_run-1_space-MNI152NLin6Asym_seg-Gordon_stat-pearsoncorrelation_relmat.tsv",
        None,
    ),
    "xcp-d 0.6": (
        "task-rest_run-1_space-MNI152NLin6Asym_atlas-Gordon_timeseries.tsv",
        "task-rest_run-1_space-MNI152NLin6Asym_atlas-Gordon_measure-pearsoncorrelation_conmat.tsv",
        None,
    ),
    "giga_connectome": (
        "task-rest_run-1_seg-Gordon_desc-denoiseSimple_timeseries.tsv",
        "task-rest_run-1_seg-Gordon_meas-PearsonCorrelation_desc-denoiseSimple_relmat.tsv",
        "denoiseSimple",
    ),
    "halfpipe tsv": (
        "task-rest_run-1_feature-corr1_atlas-Gordon_timeseries.tsv",
        "task-rest_run-1_feature-corr1_atlas-Gordon_desc-correlation_matrix.tsv",
        "corr1",
    ),
    "halfpipe txt": (
        "task-rest_run-1_feature-corr1_atlas-Gordon_timeseries.txt",
        "task-rest_run-1_feature-corr1_atlas-Gordon_desc-correlation_matrix.txt",
        "corr1",
    ),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_makers(tmp_path, maker):
    series, matrix, description = MAKERS[maker]
    others = [
        "task-rest_run-1_atlas-Gordon_stat-coverage_bold.tsv",
        "task-rest_run-1_atlas-Gordon_stat-alff_bold.tsv",
        "task-rest_run-1_atlas-Gordon_stat-std_timeseries.tsv",
        "task-rest_run-1_atlas-Gordon_stat-spearmancorrelation_relmat.tsv",
        "task-rest_run-1_feature-corr1_atlas-Gordon_desc-covariance_matrix.txt",
        "task-rest_run-1_desc-confounds_timeseries.tsv",
        "task-rest_run-1_space-MNI152NLin6Asym_desc-denoised_bold.nii.gz",
    ]
    root = tree(tmp_path, [series, matrix, *others])
    for kind, name, expected in (
        ("time series", series, "time series"),
        ("matrices", matrix, "matrix"),
    ):
        index = index_scans(root, kind=kind)
        assert index.problems == ()
        assert index.kind == expected
        found = [(s.subject, s.session, s.run, s.task, s.atlas, s.description) for s in index.scans]
        assert found == [
            (subject, session, "1", "rest", "Gordon", description)
            for subject in ("01", "02")
            for session in ("post", "pre")
        ]
        assert all(s.path.name.endswith(name) and s.kind == expected for s in index.scans)
    auto = index_scans(root)
    assert auto.kind == "time series"
    assert any("[data] kind = 'matrices'" in note for note in auto.notes)
    assert auto.found == {"time series": 4, "matrices": 4, "images": 4}


def test_halfpipe_folders(tmp_path):
    """HALFpipe puts features in a folder of the task below func."""
    name = "sub-01_task-rest_feature-corr1_atlas-Gordon_timeseries.tsv"
    touch(tmp_path, f"sub-01/func/task-rest/{name}")
    (scan,) = index_scans(tmp_path).scans
    assert (scan.subject, scan.session, scan.atlas) == ("01", None, "Gordon")


def test_fmriprep(tmp_path):
    base = "task-rest_run-1_space-MNI152NLin6Asym_res-2"
    tree(
        tmp_path,
        [
            f"{base}_desc-preproc_bold.nii.gz",
            f"{base}_desc-brain_mask.nii.gz",
            f"{base}_boldref.nii.gz",
            "task-rest_run-1_space-T1w_desc-brain_mask.nii.gz",
            "task-rest_run-1_desc-confounds_timeseries.tsv",
            "task-rest_run-2_desc-confounds_timeseries.tsv",
            "task-rest_run-1_desc-brain_mask.nii.gz",
        ],
    )
    index = index_scans(tmp_path)
    assert index.problems == ()
    scan = index.scans[0]
    folder = tmp_path / "sub-01/ses-post/func"
    start = "sub-01_ses-post_task-rest_run-1"
    assert scan.kind == "image"
    assert scan.confounds == folder / f"{start}_desc-confounds_timeseries.tsv"
    assert scan.mask == folder / f"{start}_space-MNI152NLin6Asym_res-2_desc-brain_mask.nii.gz"
    assert scan.space == "MNI152NLin6Asym"


def test_confounds_of_ready_made_series(tmp_path):
    """XCP-D's motion before its outliers; the unfiltered motion before the filtered."""
    series = "task-rest_run-1_space-a_atlas-Gordon_stat-mean_timeseries.tsv"
    tree(tmp_path, [series, "task-rest_run-1_outliers.tsv"])
    assert all(s.confounds.name.endswith("_outliers.tsv") for s in index_scans(tmp_path).scans)
    tree(tmp_path, ["task-rest_run-1_desc-filtered_motion.tsv"])
    assert all(
        s.confounds.name.endswith("filtered_motion.tsv") for s in index_scans(tmp_path).scans
    )
    tree(tmp_path, ["task-rest_run-1_motion.tsv", "task-rest_run-2_motion.tsv"])
    assert all(s.confounds.name.endswith("run-1_motion.tsv") for s in index_scans(tmp_path).scans)


def test_scaled_confounds_of_halfpipe_are_not_motion(tmp_path):
    tree(
        tmp_path,
        [
            "task-rest_feature-corr1_atlas-x_timeseries.tsv",
            "task-rest_setting-s1_desc-confounds_regressors.tsv",
        ],
    )
    index = index_scans(tmp_path)
    assert [s.confounds for s in index.scans] == [None] * 4
    assert any("no scan has a confounds or motion table" in note for note in index.notes)


@pytest.mark.parametrize(
    ("names", "option", "labels"),
    [
        (["task-rest_atlas-A_timeseries.tsv", "task-rest_atlas-B_timeseries.tsv"], "atlas",
         ["A", "B"]),
        (["task-rest_atlas-A_timeseries.tsv", "task-nback_atlas-A_timeseries.tsv"], "task",
         ["nback", "rest"]),
        (["task-r_space-T1w_atlas-A_timeseries.tsv", "task-r_space-MNI_atlas-A_timeseries.tsv"],
         "space", ["MNI", "T1w"]),
        (["task-r_space-MNI_res-1_desc-preproc_bold.nii.gz",
          "task-r_space-MNI_res-2_desc-preproc_bold.nii.gz"], "space", ["MNI:res-1", "MNI:res-2"]),
        (["task-r_seg-A_desc-denoiseSimple_timeseries.tsv",
          "task-r_seg-A_desc-denoiseScrubbing5_timeseries.tsv"], "description",
         ["denoiseScrubbing5", "denoiseSimple"]),
        (["task-r_atlas-A_stat-pearsoncorrelation_relmat.tsv",
          "task-r_atlas-A_stat-pearsoncorrelation_desc-300volumes_relmat.tsv"], "description",
         ["300volumes", "none"]),
    ],
)  # fmt: skip
def test_several_choices_are_put_to_the_user(tmp_path, names, option, labels):
    tree(tmp_path, names)
    index = index_scans(tmp_path)
    assert index.ambiguous == {option: dict.fromkeys(labels, 4)}
    (problem,) = index.problems
    assert ("[atlas] name = " if option == "atlas" else f"[data] {option} = ") in problem
    assert all(repr(label) in problem for label in labels)
    for label in labels:
        chosen = index_scans(tmp_path, **{option: label})
        assert chosen.problems == ()
        assert len(chosen.scans) == 4
        assert chosen.choices[option] == dict.fromkeys(labels, 4)
    wrong = index_scans(tmp_path, **{option: f"{labels[0]}x"})
    assert wrong.scans == ()
    assert f"did you mean {labels[0]!r}" in wrong.problems[0] or len(labels[0]) == 1


def test_a_space_without_resolution_takes_all_of_it(tmp_path):
    tree(tmp_path, ["task-r_space-MNI_res-2_desc-preproc_bold.nii.gz"])
    assert len(index_scans(tmp_path, space="MNI").scans) == 4


def test_repeated_runs_are_all_kept_in_order(tmp_path):
    tree(tmp_path, [f"task-rest_run-{i}_atlas-A_timeseries.tsv" for i in (10, 2, 1)])
    index = index_scans(tmp_path)
    assert [s.run for s in index.scans[:3]] == ["1", "2", "10"]
    assert len(index.scans) == 12
    assert index.problems == ()


def test_two_files_for_one_run_are_both_named(tmp_path):
    tree(
        tmp_path,
        ["task-rest_dir-AP_atlas-A_timeseries.tsv", "task-rest_dir-PA_atlas-A_timeseries.tsv"],
        subjects=("01",),
        sessions=("pre",),
    )
    (problem,) = index_scans(tmp_path).problems
    assert "dir-AP_atlas-A" in problem
    assert "dir-PA_atlas-A" in problem
    assert "they differ in dir" in problem


def test_joined_runs_are_not_counted_twice(tmp_path):
    """XCP-D's --combine-runs writes a file without run; its frames are those of the runs."""
    tree(tmp_path, ["task-r_run-1_atlas-A_timeseries.tsv", "task-r_run-2_atlas-A_timeseries.tsv"])
    tree(tmp_path, ["task-r_atlas-A_timeseries.tsv"], content=SERIES + SERIES[4:])
    index = index_scans(tmp_path)
    assert [s.run for s in index.scans] == ["1", "2"] * 4
    assert any("4 files hold the joined runs" in note for note in index.notes)
    assert index.problems == ()


def test_a_file_without_run_that_is_no_sum_is_a_problem(tmp_path):
    tree(tmp_path, ["task-r_run-2_atlas-A_timeseries.tsv"], subjects=("01",), sessions=("pre",))
    tree(tmp_path, ["task-r_atlas-A_timeseries.tsv"], subjects=("01",), sessions=("pre",),
         content=SERIES + "1\t2\n")  # fmt: skip
    index = index_scans(tmp_path)
    assert len(index.scans) == 2
    assert "without a run beside 1 with one" in index.problems[0]


def test_joined_matrices_are_known_by_their_maker(tmp_path):
    names = ["task-r_run-1_atlas-A_relmat.tsv", "task-r_run-2_atlas-A_relmat.tsv",
             "task-r_atlas-A_relmat.tsv"]  # fmt: skip
    tree(tmp_path, names, subjects=("01",), sessions=("pre",))
    assert "without a run" in index_scans(tmp_path).problems[0]
    touch(tmp_path, "dataset_description.json", content='{"GeneratedBy": [{"Name": "xcp_d"}]}')
    assert [s.run for s in index_scans(tmp_path).scans] == ["1", "2"]


def test_series_of_other_tools_are_no_parcels(tmp_path):
    tree(tmp_path, ["task-r_desc-aroma_timeseries.tsv", "task-r_desc-confounds_timeseries.tsv",
                    "task-r_timeseries.tsv", "task-r_atlas-A_timeseries.tsv"])  # fmt: skip
    index = index_scans(tmp_path)
    assert {s.atlas for s in index.scans} == {"A"}
    assert any("4 time series without an atlas" in note for note in index.notes)


def test_odd_session_labels(tmp_path):
    for label in ("Pre 1", "post_2"):
        touch(tmp_path, f"sub-01/ses-{label}/func/sub-01_ses-{label}_task-r_atlas-A_timeseries.tsv")
    index = index_scans(tmp_path)
    assert [s.session for s in index.scans] == ["Pre 1", "post_2"]
    assert index.sessions == ("Pre 1", "post_2")
    assert index.problems == ()
    assert any("'Pre 1', 'post_2'" in note for note in index.notes)
    assert len(index_scans(tmp_path, sessions=["pre1"]).scans) == 1


def test_labels_that_fall_together_are_a_problem(tmp_path):
    for label in ("pre_1", "pre1"):
        touch(tmp_path, f"sub-01/ses-{label}/func/sub-01_ses-{label}_task-r_atlas-A_timeseries.tsv")
    assert "all become 'pre1'" in index_scans(tmp_path).problems[0]


def test_subjects_and_sessions_asked_for(tmp_path):
    tree(tmp_path, ["task-r_atlas-A_timeseries.tsv"])
    index = index_scans(tmp_path, subjects=["sub-1"], sessions=["ses-pre"])
    assert [(s.subject, s.session) for s in index.scans] == [("01", "pre")]
    assert index.subjects == ("01", "02")
    assert index.problems == ()
    assert "there is no sub-9" in index_scans(tmp_path, subjects=["9"]).problems[0]


def test_a_name_that_contradicts_its_folder(tmp_path):
    touch(tmp_path, "sub-01/ses-pre/func/sub-02_ses-pre_task-r_atlas-A_timeseries.tsv")
    touch(tmp_path, "sub-01/ses-pre/func/sub-01_ses-post_task-r_run-2_atlas-A_timeseries.tsv")
    problems = index_scans(tmp_path).problems
    assert any("sub-02 but the folder sub-01" in p for p in problems)
    assert any("ses-post but the folder ses-pre" in p for p in problems)


def test_people_without_scans_are_still_there(tmp_path):
    tree(tmp_path, ["task-r_atlas-A_timeseries.tsv"], subjects=("01",))
    (tmp_path / "sub-02" / "anat").mkdir(parents=True)
    assert index_scans(tmp_path).subjects == ("01", "02")


def test_links(tmp_path):
    """A loop of links ends; a link to content that was never fetched is a problem if it matters."""
    tree(tmp_path, ["task-r_atlas-A_timeseries.tsv"], subjects=("01",), sessions=("pre",))
    func = tmp_path / "sub-01/ses-pre/func"
    (func / "task-loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "sub-01/ses-loop").symlink_to(tmp_path / "sub-01", target_is_directory=True)
    (func / "sub-01_ses-pre_task-r_desc-preproc_bold.nii.gz").symlink_to("../annex/gone")
    index = index_scans(tmp_path)
    assert len(index.scans) == 1
    assert index.problems == ()
    (func / "sub-01_ses-pre_task-r_run-2_atlas-A_timeseries.tsv").symlink_to("../annex/gone")
    (problem,) = index_scans(tmp_path).problems
    assert "datalad get" in problem
    assert "run-2" in problem


def test_empty_files(tmp_path):
    tree(tmp_path, ["task-r_atlas-A_timeseries.tsv"], subjects=("01",))
    tree(tmp_path, ["task-r_atlas-A_timeseries.tsv"], subjects=("02",), content="")
    index = index_scans(tmp_path)
    assert len(index.scans) == 2
    assert sum("the file is empty" in p for p in index.problems) == 2


def test_nothing_to_read(tmp_path):
    assert "no folder here is called sub-" in index_scans(tmp_path).problems[0]
    touch(tmp_path, "derivatives/xcp_d/sub-01/func/sub-01_task-r_atlas-A_timeseries.tsv")
    (problem,) = index_scans(tmp_path).problems
    assert f"did you mean {tmp_path / 'derivatives' / 'xcp_d'}?" in problem
    touch(tmp_path, "sub-01/func/sub-01_task-rest_bold.nii.gz")
    index = index_scans(tmp_path)
    assert index.kind is None
    assert "1 raw images" in index.problems[0]
    assert "no matrices below" in index_scans(tmp_path, kind="matrices").problems[0]


def test_a_wrong_folder_or_kind_raises(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        index_scans(tmp_path / "absent")
    touch(tmp_path, "file")
    with pytest.raises(InputError, match="this is a file"):
        index_scans(tmp_path / "file")
    with pytest.raises(InputError, match="'time series', 'matrices', 'images'"):
        index_scans(tmp_path, kind="timeseries")


def test_stages(connectrial_data):
    """92 scans of 55 people: 55 at ses-1, 37 at ses-2 (data/README.md)."""
    start = time.process_time()
    index = index_scans(connectrial_data / "stages")
    seconds = time.process_time() - start
    assert index.problems == ()
    assert index.ambiguous == {}
    assert (len(index.subjects), len(index.scans)) == (55, 92)
    assert [sum(s.session == x for s in index.scans) for x in ("1", "2")] == [55, 37]
    assert any("no scan has a stated repetition time" in note for note in index.notes)
    assert seconds < 1.0
