"""CSV and TSV as clinics write them: encodings, separators, line ends, missing cells, damage."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.errors import InputError
from connectrial.io.tables import MISSING_CODES, RawTable, read_table, to_numbers

PLAIN = "participant_id\tgroup\tscore\nsub-01\tcontrol\t12\nsub-02\tpatient\t30\n"


def write(folder, content, name="table.tsv"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def cells(table):
    return [[None if c is pd.NA else c for c in row] for row in table.frame.to_numpy().tolist()]


PLAIN_CELLS = [["sub-01", "control", "12"], ["sub-02", "patient", "30"]]


def test_plain_tsv(tmp_path):
    table = read_table(write(tmp_path, PLAIN))
    assert list(table.frame.columns) == ["participant_id", "group", "score"]
    assert cells(table) == PLAIN_CELLS
    assert table.rows.tolist() == [2, 3]
    assert table.notes == ()
    assert all(str(t) == "string" for t in table.frame.dtypes)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"\xef\xbb\xbf" + PLAIN.encode(), "byte-order mark"),
        (PLAIN.encode("utf-16"), "UTF-16 with a byte-order mark"),
        (b"\xfe\xff" + PLAIN.encode("utf-16-be"), "UTF-16 with a byte-order mark"),
        (PLAIN.encode("utf-16-le"), "UTF-16 without a byte-order mark"),
        (PLAIN.encode("utf-16-be"), "UTF-16 without a byte-order mark"),
        (PLAIN.replace("\n", "\r").encode(), "carriage returns"),
        (PLAIN.replace("\t", ",").encode(), "separated by commas, not tabs"),
        (PLAIN.replace("\t", ";").encode(), "separated by semicolons, not tabs"),
        (PLAIN.replace("\n", "\n\t\t\n", 1).encode(), "1 blank rows"),
        (PLAIN.replace("\n", "\n\n", 1).encode(), "1 blank rows"),
    ],
    ids=["utf8-bom", "utf16", "utf16be", "utf16le-bare", "utf16be-bare", "cr", "comma", "semicolon",
         "blank-cells", "blank-line"],
)  # fmt: skip
def test_other_forms_hold_the_same_cells_and_say_so(tmp_path, content, word):
    table = read_table(write(tmp_path, content))
    assert cells(table) == PLAIN_CELLS
    assert len(table.notes) == 1
    assert word in table.notes[0]


def test_windows_line_ends_are_ordinary(tmp_path):
    table = read_table(write(tmp_path, PLAIN.replace("\n", "\r\n")))
    assert cells(table) == PLAIN_CELLS
    assert table.rows.tolist() == [2, 3]
    assert table.notes == ()


def test_tabs_in_a_csv(tmp_path):
    table = read_table(write(tmp_path, PLAIN, "table.csv"))
    assert cells(table) == PLAIN_CELLS
    assert "separated by tabs, not commas" in table.notes[0]


def test_windows_1252_says_that_it_guessed(tmp_path):
    table = read_table(
        write(tmp_path, "subject,site\n01,Zürich\n02,Málaga\n".encode("latin-1"), "t.csv")
    )
    assert table.frame["site"].tolist() == ["Zürich", "Málaga"]
    assert "Windows-1252" in table.notes[0]


def test_rows_count_physical_lines(tmp_path):
    """A quoted cell may hold a line break; messages must still point to the right line."""
    text = 'id,comment,score\n1,"first\nsecond",3\n2,none,x\n'
    table = read_table(write(tmp_path, text, "t.csv"))
    assert table.frame["comment"].tolist() == ["first\nsecond", "none"]
    assert table.rows.tolist() == [2, 4]
    with pytest.raises(InputError, match=r"t\.csv: row 4, column 'score' holds 'x'"):
        to_numbers(table, "score")


def test_only_the_listed_codes_are_missing(tmp_path):
    """A group called None, a site called null or an answer '-' is no missing value."""
    words = ["None", "none", "null", "NULL", "-", "-9", "N.A.", "#N/A", "<NA>", "nil", "."]
    codes = ["n/a", "N/A", "NA", "NaN", "nan", " "]
    text = "id\tgroup\n" + "".join(f"{i}\t{w}\n" for i, w in enumerate(words + codes))
    group = read_table(write(tmp_path, text)).frame["group"]
    assert group.dropna().tolist() == words
    assert group.isna().sum() == len(codes)


def test_blanks_around_cells_go_blanks_inside_stay(tmp_path):
    table = read_table(write(tmp_path, "id , arm\n 1 ,\u00a0high dose \n", "t.csv"))
    assert list(table.frame.columns) == ["id", "arm"]
    assert cells(table) == [["1", "high dose"]]


def test_decimal_commas(tmp_path):
    table = read_table(write(tmp_path, "id;score;note\n1;12,5;a,b\n2;n/a;c\n3;-3;d\n", "t.csv"))
    assert table.decimal == ","
    assert any("decimal commas" in note for note in table.notes)
    np.testing.assert_array_equal(to_numbers(table, "score"), [12.5, np.nan, -3.0])
    assert table.frame["note"].tolist() == ["a,b", "c", "d"]


def test_commas_and_points_together_are_not_guessed(tmp_path):
    """1,234 may be 1.234 or 1234: where both marks stand, the cell is refused."""
    table = read_table(write(tmp_path, "id;a;b\n1;1,234;0.5\n", "t.csv"))
    assert table.decimal == "."
    with pytest.raises(InputError, match="'1,234'"):
        to_numbers(table, "a")


@pytest.mark.parametrize(
    "cell", ["12*", "missing", "<5", "1_000", "inf", "#DIV/0!", "1 2", "twelve"]
)
def test_a_cell_that_is_no_number_is_named(tmp_path, cell):
    table = read_table(write(tmp_path, f"id\tscore\n1\t3\n2\t{cell}\n3\tn/a\n"))
    with pytest.raises(InputError) as caught:
        to_numbers(table, "score")
    (problem,) = caught.value.problems
    assert "table.tsv" in problem
    assert "row 3" in problem
    assert "'score'" in problem
    assert repr(cell) in problem


def test_many_wrong_cells_are_shown_in_part(tmp_path):
    table = read_table(write(tmp_path, "id\tscore\n" + "".join(f"{i}\tx\n" for i in range(40))))
    with pytest.raises(InputError) as caught:
        to_numbers(table, "score")
    assert len(caught.value.problems) == 6
    assert "35 more" in caught.value.problems[-1]


def test_ragged_rows_are_named(tmp_path):
    text = "id,a,b\n1,2,3\n2,3\n3,4,5,6\n4,5,6,\n"
    with pytest.raises(InputError) as caught:
        read_table(write(tmp_path, text, "t.csv"))
    assert len(caught.value.problems) == 2
    assert "row 3 has 2 cells where the header has 3" in caught.value.problems[0]
    assert "row 4 has 4 cells where the header has 3" in caught.value.problems[1]


def test_empty_columns_on_the_right_are_dropped_named_ones_stay(tmp_path):
    table = read_table(write(tmp_path, "id,a,b,,\n1,2,,,\n2,3,,,\n", "t.csv"))
    assert list(table.frame.columns) == ["id", "a", "b"]


def test_a_column_without_name_is_kept_and_told(tmp_path):
    table = read_table(write(tmp_path, ",id,a\n0,1,2\n1,2,3\n", "t.csv"))
    assert list(table.frame.columns) == ["(column 1)", "id", "a"]
    assert "column 1 has no name" in table.notes[0]


def test_a_header_alone_is_a_table_without_rows(tmp_path):
    table = read_table(write(tmp_path, "participant_id\tgroup\n"))
    assert table.frame.shape == (0, 2)
    assert "no rows" in table.notes[0]


def test_quotation_marks_in_a_tsv_may_be_just_that(tmp_path):
    text = 'id\tnote\n1\t"so" he said\n2\t5" tall\n3\tin "the" middle\n'
    table = read_table(write(tmp_path, text))
    assert table.frame["note"].tolist() == ['"so" he said', '5" tall', 'in "the" middle']
    assert "quotation marks" in table.notes[0]
    quoted = read_table(write(tmp_path, 'id\tnote\n1\t"a\tb"\n'))
    assert quoted.frame["note"].tolist() == ["a\tb"]


def test_one_column_needs_no_separator(tmp_path):
    assert cells(read_table(write(tmp_path, "participant_id\nsub-01\n"))) == [["sub-01"]]


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "t.tsv", "the file is empty"),
        (b"\xef\xbb\xbf\r\n", "t.tsv", "holds no cell"),
        (b"\n\n\n", "t.tsv", "the file is empty"),
        (b"\x00\x01\x02\x03" * 50, "t.tsv", "binary file"),
        (bytes(range(256)), "t.csv", "binary file"),
        (b"\x1f\x8b\x08\x00abc", "t.tsv", "binary file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64), "t.xls", "before 2007"),
        (b"PK\x03\x04nonsense", "t.tsv", "zip archive"),
        (b"id\tid\tgroup\n1\t2\t3\n", "t.tsv", "'id'"),
        (b'id,a\n1,"open\n2,3\n', "t.csv", "line 2 is damaged"),
        (b"<!DOCTYPE html>\n<html></html>", "t.csv", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "t.tsv", "Git LFS pointer"),
        (b'{"participant_id": {}}', "t.tsv", "a JSON file"),
        (b"Export of 3 March,,\nid,visit,score\n1,pre,3\n", "t.csv", "names 1 of 3 columns"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, content, name, words):
    path = write(tmp_path, content, name)
    with pytest.raises(InputError) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "absent.tsv")
    with pytest.raises(InputError, match="this is a folder"):
        read_table(tmp_path)


def test_a_sheet_of_a_text_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no workbook"):
        read_table(write(tmp_path, PLAIN), sheet="Sheet1")


def test_a_table_and_its_rows_must_agree(tmp_path):
    with pytest.raises(InputError, match="1 rows but 2 numbers"):
        RawTable(frame=pd.DataFrame({"a": ["1"]}), path=tmp_path, rows=np.array([1, 2]))


CELL = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp", "Cf")),
    min_size=1, max_size=8,
).filter(lambda c: c not in MISSING_CODES)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=6),
    separator=st.sampled_from([",", "\t", ";"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_whatever_a_csv_writer_writes_comes_back(tmp_path_factory, rows, separator, encoding, end):
    """Law: read(write(cells)) == cells for every separator, encoding and line end."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("first", "second", "third"), *rows])
    path = tmp_path_factory.mktemp("law") / "t.csv"
    path.write_bytes(out.getvalue().encode(encoding))
    assert cells(read_table(path)) == [list(row) for row in rows]


def test_real_tables(connectrial_data):
    """Gordon's network 'None' stays a name; 10 of ds005917's MADRS cells are n/a (grep -c)."""
    atlas = read_table(connectrial_data / "atlas" / "atlas-Gordon333_dseg.tsv").frame
    assert (atlas["network"] == "None").sum() == 47
    assert atlas.notna().all(axis=None)
    scores = read_table(connectrial_data / "ds005917" / "phenotype" / "phenotype.tsv")
    madrs = to_numbers(scores, "MADRS_Total")
    assert (len(madrs), int(madrs.isna().sum())) == (236, 10)
