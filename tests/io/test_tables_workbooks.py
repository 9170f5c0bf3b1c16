"""Excel workbooks, written with openpyxl 3.1 as a clinic's spreadsheet would hold them."""

from __future__ import annotations

import datetime

import numpy as np
import openpyxl
import pytest

from connectrial.errors import InputError
from connectrial.io.tables import read_table, to_numbers


def workbook(folder, rows, *, sheets=("Data",), name="t.xlsx"):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title in sheets:
        sheet = book.create_sheet(title)
        for row in rows if title == "Data" else []:
            sheet.append(row)
    path = folder / name
    book.save(path)
    return path


ROWS = [
    ["ID", "visit date", "time", "score", "flag", "site"],
    [1, datetime.date(2024, 3, 5), datetime.datetime(2024, 3, 5, 14, 30), 24.0, True, "None"],
    [2, datetime.datetime(2024, 12, 31), None, 12.25, False, "n/a"],
]


def test_cells_become_what_a_reader_sees(tmp_path):
    table = read_table(workbook(tmp_path, ROWS))
    first, second = table.frame.fillna("missing").to_numpy().tolist()
    assert first == ["1", "2024-03-05", "2024-03-05T14:30:00", "24", "TRUE", "None"]
    assert second == ["2", "2024-12-31", "missing", "12.25", "FALSE", "missing"]
    assert table.rows.tolist() == [2, 3]
    assert table.notes == ("t.xlsx: 3 Excel dates are read as ISO dates",)
    np.testing.assert_array_equal(to_numbers(table, "score"), [24.0, 12.25])


def test_a_workbook_with_the_name_of_a_text_file_is_read_by_its_content(tmp_path):
    table = read_table(workbook(tmp_path, ROWS, name="t.tsv"))
    assert table.frame["ID"].tolist() == ["1", "2"]


def test_blank_rows_above_and_between_keep_row_numbers(tmp_path):
    table = read_table(workbook(tmp_path, [[], ["ID", "score"], [1, 2], [None, None], [3, "x"]]))
    assert table.rows.tolist() == [3, 5]
    with pytest.raises(InputError, match="row 5, column 'score' holds 'x'"):
        to_numbers(table, "score")


def test_the_only_filled_sheet_is_taken_and_told(tmp_path):
    table = read_table(workbook(tmp_path, ROWS, sheets=("Empty", "Data")))
    assert len(table.frame) == 2
    assert any("'Data' is read" in note for note in table.notes)


def test_several_sheets_must_be_chosen(tmp_path):
    path = workbook(tmp_path, ROWS, sheets=("Data",))
    book = openpyxl.load_workbook(path)
    book.create_sheet("Other").append(["ID"])
    book.save(path)
    with pytest.raises(InputError, match="'Data', 'Other'"):
        read_table(path)
    assert len(read_table(path, sheet="Data").frame) == 2
    with pytest.raises(InputError, match="no sheet 'data'"):
        read_table(path, sheet="data")


def test_merged_cells_are_refused(tmp_path):
    path = workbook(tmp_path, ROWS)
    book = openpyxl.load_workbook(path)
    book["Data"].merge_cells("A2:A3")
    book.save(path)
    with pytest.raises(InputError, match=r"merged cells \(A2:A3\)"):
        read_table(path)


def test_a_formula_without_a_stored_value_is_no_missing_value(tmp_path):
    """openpyxl stores no results, so every formula that it writes is such a one."""
    path = workbook(tmp_path, [["ID", "sum"], [1, "=1+1"]])
    with pytest.raises(InputError, match="cell B2 holds a formula without a stored value"):
        read_table(path)


def test_an_empty_workbook(tmp_path):
    with pytest.raises(InputError, match="no sheet of this workbook holds a cell"):
        read_table(workbook(tmp_path, []))


def test_ragged_rows_in_a_sheet_are_complete(tmp_path):
    table = read_table(workbook(tmp_path, [["ID", "a", "b"], [1, 2], [2, 3, 4]]))
    assert table.frame["b"].isna().tolist() == [True, False]
