"""Scores in the four BIDS layouts and in long and wide tables, and all that is wrong in them."""

from __future__ import annotations

import json

import numpy as np
import openpyxl
import pandas as pd
import pytest

from connectrial.errors import InputError
from connectrial.io.clinical import TableMap, check_constant, check_dates, read_scores


def put(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def values(table, variable):
    frame = table.frame[table.frame["variable"] == variable]
    return {
        (r.subject, None if r.session is pd.NA else r.session): r.number for r in frame.itertuples()
    }


WANTED = {("01", "pre"): 30.0, ("01", "post"): 12.0, ("02", "pre"): 28.5}
BIDS = "participant_id\tsession_id\tMADRS\n" + "".join(
    f"sub-{s}\tses-{v}\t{x}\n" for (s, v), x in WANTED.items()
)


def by_phenotype(root):
    put(root, "phenotype/madrs.tsv", BIDS)


def by_root_sessions(root):
    put(root, "sessions.tsv", BIDS)


def by_person(root):
    put(root, "sub-01/sub-01_sessions.tsv", "session_id\tMADRS\nses-pre\t30\nses-post\t12\n")
    put(root, "sub-02/sub-02_sessions.tsv", "session_id\tMADRS\nses-pre\t28.5\n")


def by_participants(root):
    put(root, "participants.tsv", BIDS)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (by_phenotype, "phenotype tables: phenotype/madrs.tsv"),
        (by_root_sessions, "sessions.tsv in the root"),
        (by_person, "sub-*/sub-*_sessions.tsv: 2 files"),
        (by_participants, "participants.tsv: one row per person and session"),
    ],
)
def test_the_four_layouts_say_the_same(tmp_path, layout, words):
    layout(tmp_path)
    table = read_scores(tmp_path)
    assert values(table, "MADRS") == WANTED
    assert table.layouts == (words,)
    assert table.notes == table.problems == ()


def test_all_layouts_at_once(tmp_path):
    """The same value in four places is one value; three of its four rows are told as dropped."""
    for layout in (by_phenotype, by_root_sessions, by_person, by_participants):
        layout(tmp_path)
    table = read_scores(tmp_path)
    assert values(table, "MADRS") == WANTED
    assert len(table.layouts) == 4
    assert len(table.notes) == 4
    assert table.frame["file"].unique().tolist() == ["phenotype/madrs.tsv"]
    assert table.problems == ()


def test_columns_of_the_frame(tmp_path):
    by_phenotype(tmp_path)
    put(tmp_path, "participants.tsv", "participant_id\tarm\n01\tNone\n")
    frame = read_scores(tmp_path).frame
    assert list(frame.columns) == [
        "subject", "session", "day", "date", "variable", "value", "file", "row", "number",
    ]  # fmt: skip
    row = frame.iloc[1]
    assert (row["subject"], row["session"], row["value"], row["row"]) == ("01", "post", "12.0", 3)
    person = frame.iloc[-1]
    assert (person["variable"], person["value"], person["row"]) == ("arm", "None", 2)
    assert person["session"] is pd.NA
    assert np.isnan(person["number"])


LONG = (
    "ID;visit;test;result;when;dayno\n1;Pre 1;MADRS;30,5;05.03.2024;-1\n1;Post;MADRS;n/a;;2\n"
    "2;Pre 1;CGI;4;06.03.2024;-1,5\n"
)


def test_a_long_table(tmp_path):
    put(tmp_path, "visits.csv", LONG)
    one = TableMap(path="visits.csv", subject="ID", session="visit", scale="test", score="result",
                   date="when", day="dayno")  # fmt: skip
    table = read_scores(
        tmp_path, tables=[one], known_subjects=["01", "02"], known_sessions=["pre1", "post"]
    )
    assert table.problems == ()
    assert table.layouts == ("visits.csv: long table by its column map",)
    frame = table.frame
    assert frame["subject"].tolist() == ["01", "01", "02"]
    assert frame["session"].tolist() == ["pre1", "post", "pre1"]
    assert frame["variable"].tolist() == ["MADRS", "MADRS", "CGI"]
    assert frame["date"].fillna("-").tolist() == ["2024-03-05", "-", "2024-03-06"]
    np.testing.assert_array_equal(frame["number"], [30.5, np.nan, 4.0])
    np.testing.assert_array_equal(frame["day"], [-1.0, 2.0, -1.5])
    assert frame["value"].fillna("-").tolist() == ["30.5", "-", "4"]
    assert any("decimal commas" in note for note in table.notes)
    assert any("'Pre 1' is read as ses-pre1" in note for note in table.notes)


def test_a_wide_table_from_excel(tmp_path):
    book = openpyxl.Workbook()
    for row in (["Pat", "Visit", "MADRS total", "CGI"], [1, "pre", 30, None], [1, "post", 12, 2]):
        book.active.append(row)
    book.save(tmp_path / "scores.xlsx")
    one = TableMap(path="scores.xlsx", subject="Pat", session="Visit",
                   scores={"MADRS": "MADRS total", "CGI-I": "CGI"})  # fmt: skip
    table = read_scores(tmp_path, tables=[one])
    assert values(table, "MADRS") == {("1", "pre"): 30.0, ("1", "post"): 12.0}
    assert values(table, "CGI-I")["1", "post"] == 2.0
    assert table.frame["row"].tolist() == [2, 2, 3, 3]
    assert table.layouts == ("scores.xlsx: wide table by its column map",)


def test_adam_names(tmp_path):
    put(tmp_path, "phenotype/adqs.csv", "USUBJID,AVISIT,PARAMCD,AVAL,ADY\n01,pre,MADRS,30,-1\n")
    table = read_scores(tmp_path)
    assert values(table, "MADRS") == {("01", "pre"): 30.0}
    assert table.frame["day"].tolist() == [-1.0]


def test_one_column_name_in_two_files(tmp_path):
    put(tmp_path, "phenotype/madrs.tsv", "participant_id\tsession_id\ttotal\n01\tpre\t30\n")
    put(tmp_path, "phenotype/bprs.tsv", "participant_id\tsession_id\ttotal\n01\tpre\t41\n")
    table = read_scores(tmp_path)
    assert values(table, "madrs.total") == {("01", "pre"): 30.0}
    assert values(table, "bprs.total") == {("01", "pre"): 41.0}
    assert any("'total' is called 'madrs.total'" in note for note in table.notes)
    assert table.problems == ()


def test_codes_for_missing_from_the_data_dictionary(tmp_path):
    put(tmp_path, "phenotype/m.tsv", "participant_id\tsession_id\tM\n01\tpre\t-9\n02\tpre\t9\n")
    put(tmp_path, "phenotype/m.json", json.dumps({"M": {"MissingValues": [-9, "99"]}}))
    table = read_scores(tmp_path)
    assert table.frame["value"].fillna("-").tolist() == ["-", "9"]
    assert any("1 cells of 'M' hold a code for missing" in note for note in table.notes)


def test_duplicated_rows(tmp_path):
    put(tmp_path, "phenotype/m.tsv",
        "participant_id\tsession_id\tM\n01\tpre\t30\n01\tpre\t30.0\n02\tpre\tn/a\n02\tpre\t7\n"
        "03\tpre\t1\n03\tpre\t2\n")  # fmt: skip
    table = read_scores(tmp_path)
    assert values(table, "M") == {("01", "pre"): 30.0, ("02", "pre"): 7.0, ("03", "pre"): 1.0}
    (problem,) = table.problems
    assert "phenotype/m.tsv row 6 and phenotype/m.tsv row 7" in problem
    assert "sub-03 at ses-pre has two values of M, '1' and '2'" in problem
    (note,) = table.notes
    assert "2 rows repeat" in note
    assert "rows 3, 4" in note


def test_several_days_of_one_session_are_several_values(tmp_path):
    put(tmp_path, "t.csv", "id,ses,day,score\n1,inf,0.5,20\n1,inf,1,15\n1,inf,1,14\n")
    one = TableMap(path="t.csv", subject="id", session="ses", day="day", score="score")
    table = read_scores(tmp_path, tables=[one])
    assert table.frame["day"].tolist() == [0.5, 1.0]
    assert "row 3 and t.csv row 4" in table.problems[0]


def test_cells_that_are_no_numbers(tmp_path):
    rows = "01\tpre\t30\tF\n02\tpre\t28*\tM\n03\tpre\t27\tF\n"
    put(tmp_path, "phenotype/m.tsv", f"participant_id\tsession_id\tM\tsex\n{rows}")
    table = read_scores(tmp_path)
    (problem,) = table.problems
    assert "phenotype/m.tsv: row 3, M of sub-02 is '28*'" in problem
    other = read_scores(tmp_path, variables=["sex"])
    assert other.problems == ()
    assert any("'28*'" in note for note in other.notes)


def test_people_without_scans_are_told(tmp_path):
    by_phenotype(tmp_path)
    table = read_scores(tmp_path, known_subjects=["01"])
    assert table.notes == ("phenotype/madrs.tsv: 1 subjects have no scan: sub-02",)
    assert values(table, "MADRS") == WANTED


def test_labels_in_tables_match_participants_where_no_scan_is_known(tmp_path):
    put(tmp_path, "participants.tsv", "participant_id\tarm\nsub-01\ta\n")
    put(tmp_path, "phenotype/m.tsv", "participant_id\tsession_id\tM\n1\tpre\t30\n")
    table = read_scores(tmp_path)
    assert values(table, "M") == {("01", "pre"): 30.0}
    assert not any("no scan" in note for note in table.notes)


def test_sessions_without_scans_are_told(tmp_path):
    by_phenotype(tmp_path)
    table = read_scores(tmp_path, known_sessions=["pre"])
    assert table.notes == ("phenotype/madrs.tsv: sessions without scans: post",)


def test_rows_without_person_or_session(tmp_path):
    rows = "01\tn/a\t30\n02\tn/a\tn/a\nn/a\tpre\t3\n04\tpre\t1\n"
    put(tmp_path, "phenotype/m.tsv", f"participant_id\tsession_id\tM\n{rows}")
    table = read_scores(tmp_path)
    assert values(table, "M") == {("04", "pre"): 1.0}
    assert any("rows 4 name no subject" in p for p in table.problems)
    assert any("rows 2 hold values but no session" in p for p in table.problems)
    assert any("row 3 holds neither a session nor a value" in n for n in table.notes)


@pytest.mark.parametrize(
    ("cells", "dates", "problem"),
    [
        (["2024-03-05", "2024-12-31T10:00:00"], ["2024-03-05", "2024-12-31"], None),
        (["05.03.2024", "31.12.2024"], ["2024-03-05", "2024-12-31"], None),
        (["05/03/2024", "31/12/2024"], ["2024-03-05", "2024-12-31"], None),
        (["03/05/2024", "12/31/2024"], ["2024-03-05", "2024-12-31"], None),
        (["05/03/2024", "06/03/2024"], ["-", "-"], "no clear date"),
        (["31/12/2024", "12/31/2024"], ["-", "-"], "no clear date"),
        (["2024-02-30", "2024-03-01"], ["-", "2024-03-01"], "'2024-02-30'"),
        (["05.03.24", "soon"], ["-", "-"], "'05.03.24'"),
        (["1877-06-15T12:00:00", "n/a"], ["1877-06-15", "-"], None),
    ],
)
def test_dates(tmp_path, cells, dates, problem):
    """BIDS shifts dates before 1925; 05/03 alone may be March or May."""
    rows = "".join(f"01\ts{i}\t{c}\t1\n" for i, c in enumerate(cells))
    put(tmp_path, "sessions.tsv", f"participant_id\tsession_id\tacq_time\tM\n{rows}")
    table = read_scores(tmp_path)
    found = table.frame[table.frame["variable"] == "M"]["date"].fillna("-").tolist()
    assert found == dates
    if problem is None:
        assert table.problems == ()
    else:
        assert problem in " ".join(table.problems)


def test_visits_out_of_order(tmp_path):
    put(tmp_path, "sessions.tsv",
        "participant_id\tsession_id\tacq_time\n"
        "01\tpre1\t2024-03-01\n01\tpre2\t2024-03-02\n01\tpost\t2024-03-10\n"
        "02\tpre1\t2024-04-02\n02\tpre2\t2024-04-01\n02\tpost\t2024-04-10\n"
        "03\tpre1\t2024-05-09\n03\tpost\t2024-05-01\n03\textra\t2020-01-01\n"
        "04\tpre1\t2024-05-09\n04\tpost\t2024-05-09\n"
        "05\tpre1\t2024-06-09\n05\tpre2\t2024-06-01\n05\tpost\t2024-06-05\n")  # fmt: skip
    frame = read_scores(tmp_path).frame
    first, second, third, fourth = check_dates(frame, ["pre1", "pre2", "post"])
    assert "row 5 and sessions.tsv row 6" in first
    assert "sub-02 has ses-pre2 (date 2024-04-01) before ses-pre1 (date 2024-04-02)" in first
    assert "sub-03 has ses-post (date 2024-05-01) before ses-pre1 (date 2024-05-09)" in second
    assert "sub-05 has ses-pre2 (date 2024-06-01) before ses-pre1" in third
    assert "sub-05 has ses-post (date 2024-06-05) before ses-pre1" in fourth
    assert check_dates(frame, ["extra", "post", "pre1"])[0].count("sub-01") == 1


def test_days_out_of_order(tmp_path):
    put(tmp_path, "t.csv", "id,ses,day,score\n1,pre,-1,9\n1,post,14,5\n2,pre,3,9\n2,post,2,9\n")
    one = TableMap(path="t.csv", subject="id", session="ses", day="day", score="score")
    (problem,) = check_dates(read_scores(tmp_path, tables=[one]).frame, ["pre", "post"])
    assert "sub-2 has ses-post (day 2.0) before ses-pre (day 3.0)" in problem


def test_an_arm_that_changes(tmp_path):
    put(tmp_path, "participants.tsv", "participant_id\tarm\n01\tketamine\n02\tplacebo\n")
    put(
        tmp_path,
        "sessions.tsv",
        "participant_id\tsession_id\tarm\n01\tpre\tketamine\n02\tpre\tketamine\n",
    )
    frame = read_scores(tmp_path).frame
    (problem,) = check_constant(frame, ["arm"])
    assert "sessions.tsv row 3 and participants.tsv row 3" in problem
    assert "sub-02 changes from 'ketamine' to 'placebo'" in problem
    assert check_constant(frame, ["site"]) == ()


def test_a_map_with_a_wrong_column(tmp_path):
    put(tmp_path, "t.csv", "id,Visit,score\n1,pre,3\n")
    one = TableMap(path="t.csv", subject="id", session="visit", score="score")
    table = read_scores(tmp_path, tables=[one])
    assert "no column 'visit'" in table.problems[0]
    assert "did you mean 'Visit'?" in table.problems[0]
    assert len(table.frame) == 0


def test_maps_that_make_no_sense(tmp_path):
    with pytest.raises(InputError, match="'score' must name"):
        TableMap(path=tmp_path, subject="id", scale="test")
    with pytest.raises(InputError, match="give one"):
        TableMap(path=tmp_path, subject="id", score="a", scores={"b": "b"})


def test_a_phenotype_table_without_people(tmp_path):
    put(tmp_path, "phenotype/m.tsv", "name\tM\nx\t3\n")
    table = read_scores(tmp_path)
    assert "no subject column" in table.problems[0]
    assert len(table.frame) == 0


def test_a_named_file_that_is_not_there_raises(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_scores(tmp_path, phenotype=["absent.tsv"])
    assert len(read_scores(tmp_path).frame) == 0
    assert read_scores(tmp_path).layouts == ()


def test_phenotype_can_be_elsewhere_or_nowhere(tmp_path):
    by_phenotype(tmp_path / "a")
    assert values(read_scores(tmp_path, phenotype=["a/phenotype"]), "MADRS") == WANTED
    assert values(read_scores(tmp_path, phenotype=[tmp_path / "a/phenotype/madrs.tsv"]), "MADRS")
    assert read_scores(tmp_path / "a", phenotype=[]).layouts == ()


def test_the_ketamine_trial(connectrial_data):
    """ds005917: awk counts of MADRS by session; one row of nothing is left out and told."""
    table = read_scores(connectrial_data / "ds005917")
    assert table.problems == ()
    assert len(table.notes) == 1
    assert "row 227 holds" in table.notes[0]
    madrs = table.frame[(table.frame["variable"] == "MADRS_Total") & table.frame["number"].notna()]
    assert madrs["session"].value_counts().to_dict() == {
        "b0": 56, "d2": 46, "p2": 45, "p10": 41, "d10": 38,
    }  # fmt: skip
    assert not table.frame.duplicated(["subject", "session", "day", "variable"]).any()


def test_stages(connectrial_data):
    """90, 90 and 98 rows in the three phenotype files (wc -l less a header), and 55 arms."""
    table = read_scores(connectrial_data / "stages")
    assert table.problems == table.notes == ()
    assert set(table.frame["session"].dropna()) == {"month6", "month12"}
    counts = table.frame["variable"].value_counts().to_dict()
    assert counts == {"bprs_change_z": 90, "bprs_pos_change_z": 90, "sofas_change_z": 98, "arm": 55}
