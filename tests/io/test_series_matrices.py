"""Ready-made matrices with and without names, r and z, and the matrix that we write."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.data import Scan
from connectrial.errors import InputError
from connectrial.io.series import read_matrix, write_matrix

NAMES = ["LH_Vis_1", "nan", "aHIP-rh", "None"]
R = np.array(
    [
        [1.0, 0.5, -0.25, 0.125],
        [0.5, 1.0, 0.75, -0.5],
        [-0.25, 0.75, 1.0, 0.0],
        [0.125, -0.5, 0.0, 1.0],
    ]
)
OFF = ~np.eye(4, dtype=bool)


def scan(path):
    return Scan(subject="01", session=None, run=None, kind="matrix", path=path)


def write(folder, content):
    path = folder / "sub-01_relmat.tsv"
    path.write_text(content)
    return scan(path)


def frame(r=R, names=NAMES):
    return pd.DataFrame(r, index=names, columns=names)


def expected(r=R):
    z = np.full_like(r, np.nan)
    off = ~np.eye(len(r), dtype=bool)
    z[off] = np.arctanh(r[off])
    return z


FORMS = {
    "xcp-d": lambda r, n: frame(r, n).to_csv(sep="\t", index_label="Node", na_rep="n/a"),
    "unnamed-corner": lambda r, n: frame(r, n).to_csv(sep="\t", na_rep="n/a"),
    "no-first-column": lambda r, n: frame(r, n).to_csv(sep="\t", index=False, na_rep="n/a"),
    "commas": lambda r, n: frame(r, n).to_csv(index_label="Node", na_rep="n/a"),
    "r-style": lambda r, n: frame(r, n).to_csv(sep="\t", na_rep="NA").replace("\t", "", 1),
}


@pytest.mark.parametrize("form", FORMS)
def test_named_forms(tmp_path, form):
    one = write(tmp_path, FORMS[form](R, NAMES))
    connectivity = read_matrix(one, parcels=NAMES)
    np.testing.assert_array_equal(connectivity.z, expected())
    assert list(connectivity.parcels) == NAMES
    assert connectivity.notes == ()


@pytest.mark.parametrize(
    "content",
    [
        "\n".join("\t".join(f"{v:.10f}" for v in row) for row in R),  # HALFpipe
        pd.DataFrame(R).to_csv(sep="\t", index=False),  # giga_connectome
        pd.DataFrame(R).to_csv(sep="\t"),
    ],
    ids=["halfpipe", "giga_connectome", "numbered"],
)
def test_forms_without_names_take_the_atlas(tmp_path, content):
    connectivity = read_matrix(write(tmp_path, content), parcels=NAMES)
    np.testing.assert_array_equal(connectivity.z, expected())
    assert list(connectivity.parcels) == NAMES


def test_without_any_names_the_option_is_named(tmp_path):
    one = write(tmp_path, "\n".join("\t".join(f"{v:.10f}" for v in row) for row in R))
    with pytest.raises(InputError, match=r"names no parcels.*\[atlas\]"):
        read_matrix(one)


@pytest.mark.parametrize("form", ["xcp-d", "no-first-column"])
def test_parcels_without_data_stay_nan(tmp_path, form):
    r = R.copy()
    r[2, :] = r[:, 2] = np.nan
    z = read_matrix(write(tmp_path, FORMS[form](r, NAMES))).z
    assert np.isnan(z[2]).all()
    kept = [0, 1, 3]
    np.testing.assert_array_equal(z[np.ix_(kept, kept)], expected()[np.ix_(kept, kept)])


def test_rows_of_zeros_are_parcels_without_data(tmp_path):
    """nilearn writes 0 for the correlations of a constant signal."""
    r = R.copy()
    r[2, :] = r[:, 2] = 0.0
    r[2, 2] = 1.0
    connectivity = read_matrix(write(tmp_path, FORMS["xcp-d"](r, NAMES)))
    assert np.isnan(connectivity.z[2]).all()
    assert connectivity.z[0, 1] == np.arctanh(0.5)
    assert "aHIP-rh" in connectivity.notes[0]


def test_one_signal_twice_is_left_out_and_told(tmp_path):
    r = R.copy()
    r[0, 1] = r[1, 0] = 1.0
    connectivity = read_matrix(write(tmp_path, FORMS["xcp-d"](r, NAMES)))
    assert np.isnan(connectivity.z[0, 1])
    assert np.isfinite(connectivity.z[OFF]).sum() == 10
    assert "LH_Vis_1 with nan" in connectivity.notes[0]


@pytest.mark.parametrize("diagonal", [np.inf, np.nan, 0.0, 18.7])
def test_fisher_z_is_kept_as_it_is(tmp_path, diagonal):
    z = R * 3
    np.fill_diagonal(z, diagonal)
    connectivity = read_matrix(write(tmp_path, FORMS["xcp-d"](z, NAMES)), values="z")
    np.testing.assert_array_equal(connectivity.z[OFF], z[OFF])
    assert np.isnan(np.diagonal(connectivity.z)).all()
    assert connectivity.notes == ()


def test_r_read_as_z_is_told(tmp_path):
    connectivity = read_matrix(write(tmp_path, FORMS["xcp-d"](R, NAMES)), values="z")
    assert "values = 'r'" in connectivity.notes[0]


def changed(i, j, value, *, both=True):
    r = R.copy()
    r[i, j] = value
    if both:
        r[j, i] = value
    return FORMS["xcp-d"](r, NAMES)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (changed(0, 3, 0.9, both=False), ["not symmetric", "LH_Vis_1 with None is 0.9", "0.125"]),
        (FORMS["xcp-d"](np.triu(R), NAMES), ["not symmetric", "both triangles"]),
        (FORMS["xcp-d"](np.where(np.tri(4, k=-1), np.nan, R), NAMES), ["not symmetric"]),
        (changed(1, 2, 1.2), ["1 values lie beyond [-1, 1]", "nan with aHIP-rh", "values = 'z'"]),
        (changed(1, 1, 0.83), ["0.83 on the diagonal at nan", "covariance"]),
        (changed(1, 2, np.inf), ["infinite"]),
        (FORMS["xcp-d"](R, NAMES).replace("0.75", "0.7.5"), ["row 3", "'aHIP-rh'", "'0.7.5'"]),
        (FORMS["xcp-d"](R, NAMES).replace("\nNone", "\nX"), ["row 5 is named 'X'", "'None'"]),
        ("A\tB\tC\n1\t0.5\t0.5\n0.5\t1\t0.5\n", ["must be square", "2 rows and 3 columns"]),
        ("Node\tA\tB\nA\t1\t0.5\n", ["must be square", "1 rows and 2 columns"]),
        ("Node\tA\tB\nA\t1\t0.5\nB\t0.5\t1\t9\n", ["row 3 has 4 cells", "3"]),
        (FORMS["xcp-d"](R, ["A", "B", "A", "C"]), ["more than once", "'A'"]),
    ],
)  # fmt: skip
def test_what_is_no_matrix_of_correlations_is_refused(tmp_path, content, words):
    one = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_matrix(one)
    assert str(one.path) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_rounding_of_printed_digits_is_forgiven(tmp_path):
    r = R.copy()
    r[0, 1] += 4e-7
    z = read_matrix(write(tmp_path, FORMS["xcp-d"](r, NAMES))).z
    assert z[0, 1] == z[1, 0] == pytest.approx(np.arctanh(0.5), abs=1e-6)


def test_other_parcels_are_refused(tmp_path):
    one = write(tmp_path, FORMS["xcp-d"](R, NAMES))
    with pytest.raises(InputError, match="parcel 1 is 'LH_Vis_1' where the atlas has 'RH_Vis_1'"):
        read_matrix(one, parcels=["RH_Vis_1", *NAMES[1:]])


def test_what_we_write(tmp_path):
    r = np.array([[1.0, -0.0, np.nan], [-0.0, 1.0, 1 / 3], [np.nan, 1 / 3, 1.0]])
    path = tmp_path / "m.tsv"
    write_matrix(path, r, parcels=["A", "nan", "C 1"])
    assert path.read_text() == (
        "Node\tA\tnan\tC 1\nA\t1\t0\tn/a\nnan\t0\t1\t0.333333333\nC 1\tn/a\t0.333333333\t1\n"
    )
    with pytest.raises(InputError, match=r"must be \(2, 2\); got \(3, 3\)"):
        write_matrix(path, r, parcels=["A", "B"])
    with pytest.raises(InputError, match="infinite"):
        write_matrix(path, np.full((1, 1), np.inf), parcels=["A"])


@settings(max_examples=25, deadline=None)
@given(n=st.integers(3, 30), seed=st.integers(0, 2**32 - 1))
def test_written_matrices_come_back(tmp_path_factory, n, seed):
    """Law: read(write(r)) = artanh(r) within what nine digits hold; twice written, equal bytes."""
    r = np.corrcoef(np.random.default_rng(seed).standard_normal((n, 2 * n)))
    folder = tmp_path_factory.mktemp("matrix")
    names = [f"p{i}" for i in range(n)]
    write_matrix(folder / "a.tsv", r, parcels=names)
    write_matrix(folder / "b.tsv", r, parcels=names)
    assert (folder / "a.tsv").read_bytes() == (folder / "b.tsv").read_bytes()
    z = read_matrix(scan(folder / "a.tsv"), parcels=names).z
    off = ~np.eye(n, dtype=bool)
    np.testing.assert_allclose(np.tanh(z[off]), r[off], rtol=5e-9, atol=0)


def test_332_parcels_are_fast(tmp_path):
    """Asked for: read in 25 ms, written in 150 ms; CPU time, a crowded machine is given four times that."""
    r = np.corrcoef(np.random.default_rng(0).standard_normal((332, 400)))
    path, names = tmp_path / "m.tsv", [f"parcel {i}" for i in range(332)]
    written, read = [], []
    for _ in range(4):
        start = time.process_time()
        write_matrix(path, r, parcels=names)
        middle = time.process_time()
        read_matrix(scan(path), parcels=names)
        written.append(middle - start)
        read.append(time.process_time() - middle)
    assert min(written) < 0.6
    assert min(read) < 0.1
