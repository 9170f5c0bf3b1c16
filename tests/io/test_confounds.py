"""Confounds tables as fMRIPrep writes them, and as they come damaged."""

import json

import numpy as np
import pytest

from connectrial.errors import InputError
from connectrial.fc.quality import framewise_displacement
from connectrial.io.confounds import read_confounds

TABLE = (
    "trans_x\tcsf_derivative1\tframewise_displacement\tstd_dvars\n"
    "0.1\tn/a\tn/a\tn/a\n"
    "1e-05\t2\t0.25\t1.5\n"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sub-01_task-rest_desc-confounds_timeseries.tsv"


def test_numbers_and_sidecar(path):
    path.write_text(TABLE)
    table, metadata = read_confounds(path)
    assert metadata == {}
    assert list(table) == ["trans_x", "csf_derivative1", "framewise_displacement", "std_dvars"]
    assert (table.dtypes == np.float64).all()
    assert table["trans_x"].tolist() == [0.1, 1e-05]
    assert table.iloc[0, 1:].isna().all()
    assert table.iloc[1].tolist() == [1e-05, 2.0, 0.25, 1.5]
    path.with_suffix(".json").write_text(json.dumps({"a_comp_cor_00": {"Mask": "WM"}}))
    assert read_confounds(path)[1]["a_comp_cor_00"]["Mask"] == "WM"


@pytest.mark.parametrize("prepare", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t])
def test_line_ends_and_byte_order_marks_do_not_matter(path, prepare):
    path.write_bytes(prepare(TABLE).encode())
    assert read_confounds(path)[0].shape == (2, 4)
    assert "trans_x" in read_confounds(path)[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a tab-separated table"),
        ("a\tb\n", "no frames"),
        ("a\ta\n1\t2\n", "'a' occurs twice"),
        ("a\tb\n1\t2\n1\tNone\n", "line 3, column 'b': 'None' is no number"),
        ("a\tb\n1\t\n", "line 2, column 'b': '' is no number"),
        ("a\tb\n1\t2\t3\n", "not a tab-separated table"),
        ("rot_x\n0.0\n-2.5\n", "143 degrees"),
    ],
)
def test_refuses(path, text, said):
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_confounds(path)
    assert str(path) in str(caught.value)


def test_absent_file_and_broken_sidecar(path):
    with pytest.raises(InputError, match="no such confounds table"):
        read_confounds(path)
    path.write_text(TABLE)
    for text, said in (("{", "not valid JSON"), ("[1]", "a list")):
        path.with_suffix(".json").write_text(text)
        with pytest.raises(InputError, match=said):
            read_confounds(path)


def test_framewise_displacement_from_a_table_is_the_tables_own(path):
    """A table whose FD column was computed by Power's formula, to 1e-6 as fMRIPrep rounds it."""
    rng = np.random.default_rng(0)
    motion = np.cumsum(rng.normal(size=(20, 6)) * [0.05] * 1, axis=0) * ([1] * 3 + [0.01] * 3)
    moved = np.abs(np.diff(motion, axis=0))
    fd_mm = moved[:, :3].sum(axis=1) + 50 * moved[:, 3:].sum(axis=1)
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    lines = ["\t".join([*names, "framewise_displacement"])]
    for row, fd in zip(motion, ["n/a", *fd_mm], strict=True):
        lines.append("\t".join([*(f"{value:.9f}" for value in row), str(fd)]))
    path.write_text("\n".join(lines) + "\n")
    table, _ = read_confounds(path)
    ours = framewise_displacement(table[names].to_numpy())
    np.testing.assert_allclose(ours, table["framewise_displacement"], rtol=0, atol=1e-6)
