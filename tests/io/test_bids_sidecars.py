"""Repetition times by inheritance, motion tables, dataset descriptions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from connectrial.errors import InputError
from connectrial.io.bids import index_scans, read_dataset_description, read_motion

START = "sub-01_ses-pre_task-rest_run-1"
FUNC = "sub-01/ses-pre/func"


def put(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def time_of(root):
    (scan,) = index_scans(root).scans
    return scan.repetition_time_s


@pytest.fixture
def series(tmp_path):
    put(tmp_path, f"{FUNC}/{START}_space-MNI_atlas-A_stat-mean_timeseries.tsv", "A\tB\n1\t2\n")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        f"{FUNC}/{START}_space-MNI_atlas-A_stat-mean_timeseries.json",
        f"{FUNC}/{START}_space-MNI_desc-denoised_bold.json",
        f"{FUNC}/{START}_bold.json",
        "sub-01/ses-pre/sub-01_ses-pre_task-rest_bold.json",
        "sub-01/sub-01_task-rest_bold.json",
        "task-rest_bold.json",
        "task-rest_timeseries.json",
        "bold.json",
    ],
)
def test_repetition_time_from_every_level(series, name):
    assert time_of(series) is None
    put(series, name, {"RepetitionTime": 2.2})
    assert time_of(series) == 2.2


@pytest.mark.parametrize(
    "name",
    [
        "task-nback_bold.json",
        f"{FUNC}/sub-01_ses-pre_task-rest_run-2_bold.json",
        f"{FUNC}/{START}_space-MNI_atlas-B_stat-mean_timeseries.json",
        "task-rest_T1w.json",
    ],
)
def test_sidecars_of_others_are_passed_over(series, name):
    put(series, name, {"RepetitionTime": 2.2})
    assert time_of(series) is None


def test_the_nearest_sidecar_wins_and_gaps_are_filled_from_above(series):
    put(series, "task-rest_bold.json", {"RepetitionTime": 3.0})
    put(series, f"{FUNC}/{START}_bold.json", {"RepetitionTime": 2.0})
    own = f"{FUNC}/{START}_space-MNI_atlas-A_stat-mean_timeseries.json"
    put(series, own, {"SamplingFrequency": "TR"})  # as XCP-D writes it
    assert time_of(series) == 2.0
    put(series, own, {"RepetitionTime": 1.0})
    assert time_of(series) == 1.0


def test_giga_connectome_states_a_frequency(tmp_path):
    """giga_connectome 0.6: one sidecar for all atlases, SamplingFrequency = 1 / RepetitionTime."""
    start = "sub-1_ses-a_task-r_run-01"
    put(
        tmp_path,
        f"sub-1/ses-a/func/{start}_seg-X_desc-denoiseSimple_timeseries.tsv",
        "0\t1\n1\t2\n",
    )
    put(tmp_path, f"sub-1/ses-a/func/{start}_desc-denoiseSimple_timeseries.json",
        {"SamplingFrequency": 0.5})  # fmt: skip
    assert time_of(tmp_path) == 2.0


@pytest.mark.parametrize("value", [2200, 0, -1, "2.2", None, True, [2.0]])
def test_what_is_no_repetition_time_is_a_problem(series, value):
    put(series, "task-rest_bold.json", {"RepetitionTime": value})
    index = index_scans(series)
    assert index.scans[0].repetition_time_s is None
    if value is not None:
        assert f"RepetitionTime is {value!r}" in index.problems[0]


def test_a_damaged_sidecar_is_a_problem_of_the_index(series):
    put(series, "task-rest_bold.json", "{")
    assert "not valid JSON" in index_scans(series).problems[0]
    put(series, "task-rest_bold.json", "[]")
    assert "must be an object" in index_scans(series).problems[0]


def test_fmriprep_confounds(tmp_path):
    path = put(
        tmp_path,
        "sub-01_desc-confounds_timeseries.tsv",
        "framewise_displacement\ttrans_x\tcosine00\nn/a\t0.0\t0.5\n0.123456789012345678\t-1e-3\t0.25\n",
    )
    motion = read_motion(path)
    assert list(motion.columns) == ["framewise_displacement", "trans_x", "cosine00"]
    np.testing.assert_array_equal(
        motion.to_numpy(), [[np.nan, 0.0, 0.5], [0.12345678901234568, -1e-3, 0.25]]
    )


def test_names_of_fmriprep_1_0(tmp_path):
    path = put(tmp_path, "sub-01_bold_confounds.tsv", "FramewiseDisplacement\tX\tRotZ\nn/a\t1\t2\n")
    assert list(read_motion(path).columns) == ["framewise_displacement", "trans_x", "rot_z"]


def test_xcp_d_flags_are_not_millimetres(tmp_path):
    """XCP-D 26 docs/outputs.rst: outliers.tsv has a column framewise_displacement too."""
    motion = put(tmp_path, "sub-01_motion.tsv", "rot_x\tframewise_displacement\n0\t0\n1e-3\t0.7\n")
    flags = put(tmp_path, "sub-01_outliers.tsv", "framewise_displacement\n0\n1\n")
    table = read_motion(motion)
    assert table["framewise_displacement"].tolist() == [0.0, 0.7]
    assert table["motion_outlier"].tolist() == [0.0, 1.0]
    assert list(read_motion(flags).columns) == ["motion_outlier"]
    flags.write_text("framewise_displacement\n0\n")
    with pytest.raises(InputError, match=r"1 frames where sub-01_motion\.tsv has 2"):
        read_motion(motion)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("framewise_displacement\n0.1\nx\n", "row 3, column 'framewise_displacement' holds 'x'"),
        ("0.5\t0.5\n0.25\t0.5\n", "must name the columns"),
        ("framewise_displacement\n", "no rows"),
        ("", "empty"),
    ],
)
def test_damaged_motion_tables(tmp_path, content, words):
    with pytest.raises(InputError, match=words):
        read_motion(put(tmp_path, "sub-01_motion.tsv", content))


def test_dataset_description(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_dataset_description(tmp_path)
    path = put(tmp_path, "dataset_description.json", {"Name": "Trial"})
    assert read_dataset_description(tmp_path) == read_dataset_description(path) == {"Name": "Trial"}
