"""Tables as TSV: in files, and as downloads inside a page."""

from __future__ import annotations

import base64
import csv
import gzip
import io
from typing import Any

import numpy as np
import pandas as pd

from connectrial.figures.numbers import as_float


def tsv_link(text: str) -> str:
    """Return TSV as a ``data:`` address that a browser saves, gzipped where large."""
    raw = text.encode()
    if len(raw) < 60_000:
        return "data:text/tab-separated-values;base64," + base64.b64encode(raw).decode()
    # No time stamp inside, so that the same results give the same page.
    packed = gzip.compress(raw, compresslevel=6, mtime=0)
    return "data:application/gzip;base64," + base64.b64encode(packed).decode()


def tsv_text(rows: pd.DataFrame, *, index: bool = False) -> str:
    """Return a table as TSV that a spreadsheet opens without computing anything.

    Text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    if index and isinstance(rows.index, pd.MultiIndex):
        rows, index = rows.reset_index(), False
    heads = [_no_formula(name) for name in rows.columns]
    columns = [_written(rows.iloc[:, i]) for i in range(rows.shape[1])]
    if index:
        name = rows.index.name
        heads.insert(0, "" if name is None else _no_formula(name))
        columns.insert(0, _written(rows.index.to_series()))
    text = io.StringIO()
    # pandas writes the same, in three times the time for the small tables that most are.
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(zip(*columns, strict=True) if columns else [[]] * len(rows))
    return text.getvalue()


def _written(cells: pd.Series) -> list[Any]:
    """Return the cells of a column as they are written."""
    if isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "iub":
        return cells.tolist()
    if isinstance(cells.dtype, np.dtype) and cells.dtype.kind == "f":
        return ["n/a" if one != one else f"{one:.6g}" for one in cells.tolist()]
    if isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "mM":
        cells = cells.astype(str).where(cells.notna())
    gone = cells.isna().to_numpy()
    return [
        "n/a" if lost else _no_formula(one)
        for one, lost in zip(cells.astype(object).tolist(), gone, strict=True)
    ]


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _no_formula(cell: Any) -> Any:  # noqa: ANN401 - a cell of any table
    if not isinstance(cell, str) or cell[:1] not in _FORMULA:
        return cell
    number = as_float(cell)
    return cell if number == number else f"'{cell}"
