"""participants.tsv: by person, by person and session, with duplicates and contradictions."""

from __future__ import annotations

import pandas as pd
import pytest

from connectrial.errors import InputError
from connectrial.io.clinical import read_participants


def write(folder, content, name="participants.tsv"):
    path = folder / name
    path.write_text(content)
    return path


def test_one_row_per_person(tmp_path):
    path = write(tmp_path, "participant_id\tage\tarm\nsub-02\t31\tNone\nsub-01\tn/a\tketamine\n")
    table = read_participants(path)
    assert table.frame.index.tolist() == ["02", "01"]
    assert table.frame["arm"].tolist() == ["None", "ketamine"]
    assert table.frame.loc["01", "age"] is pd.NA
    assert table.rows == {"02": 2, "01": 3}
    assert table.notes == ()
    assert table.problems == ()


def test_labels_are_those_on_disk(tmp_path):
    path = write(tmp_path, "Subject,arm\n1,a\n2,b\nTRD-003,c\n9,d\n", "p.csv")
    table = read_participants(path, known_subjects=["01", "02", "TRD003"])
    assert table.frame.index.tolist() == ["01", "02", "TRD003", "9"]
    assert any("'1' is read as sub-01" in note for note in table.notes)
    assert any("1 subjects have no scan: sub-9" in note for note in table.notes)


def test_identical_rows_are_one(tmp_path):
    path = write(tmp_path, "participant_id\tarm\n01\ta\n02\tb\n01\ta\n")
    table = read_participants(path)
    assert table.frame["arm"].to_dict() == {"01": "a", "02": "b"}
    assert any("rows 2, 4" in note for note in table.notes)
    assert table.problems == ()


def test_a_gap_is_filled_by_the_other_row(tmp_path):
    path = write(tmp_path, "participant_id\tarm\tage\n01\tn/a\t30\n01\ta\tn/a\n")
    table = read_participants(path)
    assert table.frame.loc["01"].to_dict() == {"arm": "a", "age": "30"}
    assert table.problems == ()


def test_contradicting_rows_are_both_named(tmp_path):
    path = write(
        tmp_path, "participant_id\tarm\tage\n01\tketamine\t30\n02\tb\t9\nsub-01\tplacebo\t31\n"
    )
    (problem,) = read_participants(path).problems
    assert "rows 2 and 4 are both sub-01" in problem
    assert "'ketamine' and 'placebo' for 'arm'" in problem
    assert "'age'" in problem


LONG = (
    "participant_id\tsession_id\tarm\tweight\n01\tpre\ta\t70\n01\tpost\ta\t72\n"
    "02\tpre\ta\t60\n02\tpost\tb\t60\n"
)


def test_by_session_what_changes_is_not_of_the_person(tmp_path):
    table = read_participants(write(tmp_path, LONG.replace("b\t60", "a\t60")))
    assert list(table.frame.columns) == ["arm"]
    assert table.frame["arm"].tolist() == ["a", "a"]
    assert any("'weight' changes between the sessions of 1 people" in note for note in table.notes)
    assert table.problems == ()


def test_an_arm_that_changes_within_a_person(tmp_path):
    table = read_participants(write(tmp_path, LONG), person_level=["arm"])
    (problem,) = table.problems
    assert "rows 4 and 5 are both sub-02" in problem
    assert "'a' and 'b' for 'arm'" in problem
    assert list(table.frame.columns) == ["arm"]
    assert list(read_participants(tmp_path / "participants.tsv").frame.columns) == []


def test_a_row_without_a_person(tmp_path):
    table = read_participants(write(tmp_path, "participant_id\tarm\n01\ta\nn/a\tb\n"))
    assert table.frame.index.tolist() == ["01"]
    assert "rows 3 name no subject" in table.problems[0]


def test_a_label_that_could_be_two_people(tmp_path):
    path = write(tmp_path, "participant_id\tarm\n001\ta\n")
    (problem,) = read_participants(path, known_subjects=["1", "01"]).problems
    assert "sub-01, sub-1" in problem or "sub-1, sub-01" in problem


def test_no_subject_column(tmp_path):
    with pytest.raises(InputError, match=r"no subject column.*'name', 'arm'"):
        read_participants(write(tmp_path, "name\tarm\nx\ta\n"))


def test_real_trials(connectrial_data):
    """Counts as in data/README.md: 35, 14 and 6 arms; 33 MDD, 3 BP, 22 HC."""
    stages = read_participants(connectrial_data / "stages" / "participants.tsv")
    assert stages.frame["arm"].value_counts(dropna=False).tolist() == [35, 14, 6]
    crossover = read_participants(connectrial_data / "ds005917" / "participants.tsv")
    assert crossover.frame["group"].value_counts().to_dict() == {"MDD": 33, "HC": 22, "BP": 3}
    assert stages.problems == crossover.problems == ()
