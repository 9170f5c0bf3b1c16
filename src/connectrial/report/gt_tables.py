"""Tables of the page, laid out by great_tables.

great_tables lays out, aligns and escapes; what it has no word for (a class of a row, the number by
which a cell sorts, a caption) is written into its fragment afterwards. Its own style element stands
beside every table, which the page's policy would have to allow one by one: the page's one style
sheet dresses its classes instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup, escape

from connectrial.report.cells import Cell, Table

if TYPE_CHECKING:
    from great_tables import GT

_TABLE = re.compile(r"<table class=\"gt_table\"[^>]*>(.*)</table>", re.DOTALL)
_CELL = re.compile(r'<td headers="[^"]*" class="gt_row [a-z_]+">')
_ROW = re.compile(r"<tr>")
_BLANKS = re.compile(r">\n\s*<")
_HEAD = re.compile(r'<th class="gt_col_heading[^"]*"[^>]*>')


def great_table(table: Table, *, inside: Callable[[Cell], str]) -> GT:
    """Return a table as great_tables has it.

    Parameters
    ----------
    table : Table
        At least one column.
    inside : callable
        Turns a cell that is more than text into markup, escaped. Columns of plain text go to
        great_tables as they are, which escapes them.
    """
    from great_tables import GT, html

    names = [f"c{i}" for i in range(len(table.heads))]
    columns = {name: [cells[i] for _, cells in table.rows] for i, name in enumerate(names)}
    marked = [name for name, own in columns.items() if not all(map(_is_plain, own))]
    frame = pd.DataFrame(
        {
            name: [str(inside(cell)) if name in marked else cell.text for cell in own]
            for name, own in columns.items()
        },
        dtype=object,
    )
    heads: dict[str, Any] = {
        name: html(str(_head(head, css, sortable=table.sortable)))
        for name, (head, css) in zip(names, table.heads, strict=True)
    }
    made = GT(frame, auto_align=False).cols_label(cases=heads)
    numbers = [name for name, (_, css) in zip(names, table.heads, strict=True) if "num" in css]
    made = made.cols_align(align="left", columns=names)
    made = made.cols_align(align="right", columns=numbers) if numbers else made
    return made.fmt_passthrough(columns=marked, escape=False) if marked else made


def table_html(table: Table, *, inside: Callable[[Cell], str]) -> Markup:
    """Return a table as a ``table`` element.

    Parameters
    ----------
    table : Table
        What it holds.
    inside : callable
        See :func:`great_table`.

    Returns
    -------
    markupsafe.Markup
        Escaped; every cell and row bears its classes, and ``data-sort`` where it sorts by a number.
    """
    found = _TABLE.search(great_table(table, inside=inside).as_raw_html())
    assert found is not None  # noqa: S101 - great_tables' fragment is one table
    head, body = found[1].split("<tbody", 1)
    cells = iter([cell for _, own in table.rows for cell in own])
    labels = [head for head, _ in table.heads]
    place, row = count(), iter([css for css, _ in table.rows])
    body = _CELL.sub(
        lambda _: _opening(next(cells), labels[next(place) % len(labels)] if table.cards else ""),
        body,
    )
    body = _ROW.sub(lambda _: f'<tr class="{escape(css)}">' if (css := next(row)) else "<tr>", body)
    if next(cells, None) is not None or next(row, None) is not None:
        raise AssertionError("great_tables laid a table out in a way this page does not know")
    classes = iter([css for _, css in table.heads])
    head = _HEAD.sub(lambda _: f'<th scope="col" class="{escape(next(classes))}">', head)
    inner = _BLANKS.sub("><", f"{head}<tbody{body}")
    css = "sortable" if table.sortable else "cards" if table.cards else table.css
    css = " ".join(["gt_table", *css.split(), *_breadth(len(table.heads))])
    return Markup(  # noqa: S704 - text is escaped by great_tables, by `inside` and above
        f'<table class="{escape(css)}"><caption>{escape(table.caption)}</caption>{inner}</table>'
    )


def _breadth(columns: int) -> list[str]:
    """Name a table whose columns need smaller type on paper."""
    return ["many"] * (columns > 9) + ["most"] * (columns > 12)


def _is_plain(cell: Cell) -> bool:
    return not (cell.sub or cell.badge or cell.links or cell.glyph)


def _head(text: str, css: str, *, sortable: bool) -> Markup:
    if css == "glyph":
        return Markup('<span class="hidden">interval drawn</span>')
    if sortable and text:
        return Markup('<button type="button">{}</button>').format(text)
    return escape(text)


def _opening(cell: Cell, label: str) -> str:
    sort = cell.sort
    known = sort is not None and sort == sort
    return (
        "<td"
        + (f' class="{escape(cell.css)}"' if cell.css else "")
        + (f' data-label="{escape(label)}"' if label else "")
        + (f' data-sort="{escape(str(sort))}"' if known else "")
        + ">"
    )
