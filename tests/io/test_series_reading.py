"""Ready-made parcel series: what XCP-D, giga_connectome and HALFpipe write, and what goes wrong."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from connectrial.data import Scan
from connectrial.errors import InputError
from connectrial.io.number_text import read_columns
from connectrial.io.series import read_time_series, survey_series

NAMES = ["LH_Vis_1", "LH_Vis_2", "aHIP-rh", "None"]
SIGNAL = np.array([[1.5, -2.0, 3e-5, 4], [5, 6.25, -7, 8], [9, 10, 11, 12.125]])


def scan(path, **more):
    return Scan(subject="01", session="pre", run=None, kind="time series", path=path, **more)


def write(folder, content, name="sub-01_timeseries.tsv"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return scan(path)


def text(*, header=NAMES, signal=SIGNAL, separator="\t", end="\n", index=None):
    rows = [] if header is None else [list(header)]
    rows += [[repr(float(v)) for v in row] for row in signal]
    if index is not None:
        column = ([] if header is None else [index]) + [str(i) for i in range(len(signal))]
        rows = [[c, *row] for c, row in zip(column, rows, strict=True)]
    return end.join(separator.join(row) for row in rows) + end


@pytest.mark.parametrize(
    "content",
    [
        text(),
        text().rstrip("\n"),
        text(end="\r\n"),
        text(end="\r"),
        text(separator=","),
        text(separator=";"),
        text(separator="  "),
        text().encode("utf-8-sig"),
        text().encode("utf-16"),
        text().replace("LH_Vis_1", '"LH_Vis_1"'),
        text().replace("\n", "\t\n"),
        text(index=""),
        text(index="Unnamed: 0"),
        text(index="frame"),
    ],
    ids=["xcp-d", "no-last-newline", "crlf", "cr", "commas", "semicolons", "blanks", "bom", "utf16",
         "quoted", "last-tab", "index", "pandas-index", "frame-index"],
)  # fmt: skip
def test_every_form_gives_the_same_series(tmp_path, content):
    one = write(tmp_path, content)
    series = read_time_series(one, parcels=NAMES)
    np.testing.assert_array_equal(series.signal, SIGNAL)
    assert list(series.parcels) == NAMES
    assert series.kept.all()
    assert series.signal.flags.c_contiguous
    header = survey_series(one)
    assert (header.parcels, header.n_columns, header.n_frames) == (tuple(NAMES), 4, 3)


def test_an_index_column_is_left_out_with_the_reason(tmp_path):
    (note,) = survey_series(write(tmp_path, text(index="frame"))).notes
    assert "'frame'" in note
    assert "left out" in note
    assert survey_series(write(tmp_path, text())).notes == ()


def test_a_parcel_called_time_that_counts_nothing_is_a_parcel(tmp_path):
    one = write(tmp_path, text(header=["time", *NAMES[1:]]))
    assert list(read_time_series(one).parcels) == ["time", *NAMES[1:]]
    assert survey_series(one).parcels == ("time", *NAMES[1:])


def test_halfpipe_has_no_names(tmp_path):
    """HALFpipe 1.3: numpy.savetxt with fmt='%.10f' and tabs, nan for parcels without coverage."""
    path = tmp_path / "sub-01_task-rest_feature-corr_atlas-x_timeseries.tsv"
    signal = SIGNAL.copy()
    signal[:, 2] = np.nan
    np.savetxt(path, signal, fmt="%.10f", delimiter="\t")
    series = read_time_series(scan(path), parcels=NAMES)
    np.testing.assert_array_equal(series.signal, signal)
    assert survey_series(scan(path)).parcels is None
    with pytest.raises(InputError, match=r"names no parcels.*\[atlas\].*4 parcels"):
        read_time_series(scan(path))
    with pytest.raises(InputError, match="4 parcels where the atlas has 3"):
        read_time_series(scan(path), parcels=NAMES[:3])


def test_giga_connectome_numbers_its_columns(tmp_path):
    """giga_connectome 0.6: DataFrame(array).to_csv(index=False), so the header is 0, 1, 2, ..."""
    one = write(tmp_path, text(header=["0", "1", "2", "3"]))
    assert list(read_time_series(one).parcels) == ["0", "1", "2", "3"]
    assert list(read_time_series(one, parcels=NAMES).parcels) == NAMES
    np.testing.assert_array_equal(read_time_series(one, parcels=NAMES).signal, SIGNAL)
    header = survey_series(one)
    assert (header.parcels, header.n_columns, header.n_frames) == (None, 4, 3)
    assert "numbered" in header.notes[0]


def test_missing_parcels_are_columns_of_nan(tmp_path):
    content = "A\tB\tC\n1.5\tn/a\t2\n3\tn/a\t4\n"
    series = read_time_series(write(tmp_path, content))
    assert np.isnan(series.signal).tolist() == [[False, True, False]] * 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("A\tB\n1\t2\n3\tx7\n", ["row 3", "'B'", "'x7'"]),
        ("1.5\t2.5\n3.5\tx7\n", ["row 2", "column 2", "'x7'"]),
        ("1.5\t2.5\tx7\n3.5\t1.0\t2.0\n", ["row 1", "column 3", "'x7'"]),
        ("A\tB\n1\t2\n3\n", ["row 3 has 1 cells", "2"]),
        ("A\tB\n1\n3\t4\n", ["row 2 has 1 cells", "2"]),
        ("A\tB\n1\t2\n3\t4\t5\n", ["row 3 has 3 cells", "2"]),
        ("A\tB\tC\n1\tn/a\t3\n1\t2\n", ["row 3 has 2 cells"]),
        ("A\tB\n1\t2\n\n3\t4\n", ["row 3 has 0 cells"]),
        ("A\tB\n1\tinf\n", ["row 2", "infinite"]),
        ("A;B\n1,5;2,5\n", ["row 2", "'1,5'", "decimal point"]),
        ("A\tB\n", ["no rows of numbers"]),
        ("", ["the file is empty"]),
        (b"\x00\x01" * 9, ["binary"]),
        (b"\xff\xfeA\x00\x00\xd8", ["damaged UTF-16"]),
        ("A\tA\n1\t2\n", ["more than once", "'A'"]),
        ("A\t\tB\n1\t2\t3\n", ["column 2 has no name"]),
    ],
)
def test_damage_is_named_with_its_place(tmp_path, content, words):
    one = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_time_series(one)
    assert str(one.path) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_time_series(scan(tmp_path / "absent.tsv"))
    with pytest.raises(InputError, match="a folder"):
        survey_series(scan(tmp_path))


def test_other_parcels_are_refused_at_the_first_difference(tmp_path):
    one = write(tmp_path, text())
    with pytest.raises(
        InputError, match=r"parcel 2 is 'LH_Vis_2' where the atlas has 'aHIP-rh'.*another order"
    ):
        read_time_series(one, parcels=["LH_Vis_1", "aHIP-rh", "LH_Vis_2", "None"])
    with pytest.raises(
        InputError, match=r"parcel 4 is 'None' where the atlas has 'Other'.*made with"
    ):
        read_time_series(one, parcels=[*NAMES[:3], "Other"])
    with pytest.raises(InputError, match="4 parcels where the atlas has 5"):
        read_time_series(one, parcels=[*NAMES, "Other"])


def test_repetition_time_comes_with_the_scan(tmp_path):
    write(tmp_path, text())
    path = tmp_path / "sub-01_timeseries.tsv"
    assert read_time_series(scan(path)).kept_minutes is None
    assert read_time_series(scan(path, repetition_time_s=2.0)).kept_minutes == pytest.approx(0.1)


@settings(max_examples=40, deadline=None)
@given(
    values=hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=6),
        elements=st.floats(allow_infinity=False, allow_nan=False, width=64),
    )
)
def test_numbers_come_back_to_the_last_bit(tmp_path_factory, values):
    """Law: reading the shortest text of a float64 (Python's repr) gives the same bits."""
    names = [f"p{i}" for i in range(values.shape[1])]
    one = write(tmp_path_factory.mktemp("exact"), text(header=names, signal=values))
    np.testing.assert_array_equal(read_time_series(one).signal, values)


def test_a_real_scan_agrees_with_numpy_and_is_fast(connectrial_data):
    """numpy.loadtxt on one STAGES series (234 x 332), every bit; 25 ms asked for, 100 of CPU allowed."""
    path = sorted((connectrial_data / "stages").glob("sub-*/ses-*/func/*_timeseries.tsv"))[0]
    expected = np.loadtxt(path, skiprows=1, delimiter="\t")
    seconds = []
    for _ in range(5):
        start = time.process_time()
        series = read_time_series(scan(path))
        seconds.append(time.process_time() - start)
    np.testing.assert_array_equal(series.signal, expected)
    assert series.signal.shape == (234, 332)
    assert min(seconds) < 0.1


def test_read_columns_without_header(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("1.5 2.5\n3.5 4.5\n")
    names, values = read_columns(path)
    assert names is None
    np.testing.assert_array_equal(values, [[1.5, 2.5], [3.5, 4.5]])
