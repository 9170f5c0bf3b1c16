"""Tables of the page, laid out by great_tables.

great_tables lays out, aligns and escapes; what it has no word for (a class of a row, the number by
which a cell sorts, a caption) is written into its fragment afterwards. Its own style element stands
beside every table, which the page's policy would have to allow one by one: the page's one style
sheet dresses its classes instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup, escape

from connectrial.report.cells import Cell, Table

if TYPE_CHECKING:
    from great_tables import GT

_TABLE = re.compile(r"<table class=\"gt_table\"[^>]*>(.*)</table>", re.DOTALL)
_INSIDE = "here"
_CELL = re.compile(rf'<td headers="[^"]*" class="gt_row [a-z_]+">{_INSIDE}</td>')
_ROWS = re.compile(r"<tr>.*</tr>", re.DOTALL)
_BLANKS = re.compile(r">\n\s*<")
_HEAD = re.compile(r'<th class="gt_col_heading[^"]*"[^>]*>')


def great_table(table: Table) -> GT:
    """Return a table as great_tables has it, with one row for all.

    To lay out a cell takes great_tables a tenth of a millisecond and more, and a page has tens of
    thousands: it lays out the head and one row, which the others repeat.

    Parameters
    ----------
    table : Table
        At least one column.
    """
    from great_tables import GT, html

    names = [f"c{i}" for i in range(len(table.heads))]
    heads: dict[str, Any] = {
        name: html(str(_head(head, css, sortable=table.sortable)))
        for name, (head, css) in zip(names, table.heads, strict=True)
    }
    made = GT(pd.DataFrame([dict.fromkeys(names, _INSIDE)]), auto_align=False).cols_label(
        cases=heads
    )
    numbers = [name for name, (_, css) in zip(names, table.heads, strict=True) if "num" in css]
    made = made.cols_align(align="left", columns=names)
    return made.cols_align(align="right", columns=numbers) if numbers else made


def table_html(table: Table, *, inside: Callable[[Cell], str]) -> Markup:
    """Return a table as a ``table`` element.

    Parameters
    ----------
    table : Table
        What it holds.
    inside : callable
        Turns a cell that is more than text into markup, escaped.

    Returns
    -------
    markupsafe.Markup
        Escaped; every cell and row bears its classes, and ``data-sort`` where it sorts by a number.
    """
    head, body = _laid_out(tuple(table.heads), table.sortable)
    classes = iter([css for _, css in table.heads])
    head = _HEAD.sub(lambda _: f'<th scope="col" class="{escape(next(classes))}">', head)
    rows = _ROWS.search(body)
    if rows is None or len(_CELL.findall(rows[0])) != len(table.heads) or next(classes, None):
        raise AssertionError("great_tables laid a table out in a way this page does not know")
    labels = [label if table.cards else "" for label, _ in table.heads]
    laid = "".join(
        (f'<tr class="{escape(css)}">' if css else "<tr>")
        + "".join(
            _opening(cell, label) + _filling(cell, inside) + "</td>"
            for cell, label in zip(cells, labels, strict=True)
        )
        + "</tr>"
        for css, cells in table.rows
    )
    body = body[: rows.start()] + laid + body[rows.end() :]
    css = "sortable" if table.sortable else "cards" if table.cards else table.css
    css = " ".join(["gt_table", *css.split(), *_breadth(len(table.heads))])
    return Markup(  # noqa: S704 - text is escaped by great_tables, by `inside` and above
        f'<table class="{escape(css)}"><caption><span>{escape(table.caption)}</span></caption>'
        f"{head}<tbody{body}</table>"
    )


@lru_cache(maxsize=256)
def _laid_out(heads: tuple[tuple[str, str], ...], sortable: bool) -> tuple[str, str]:  # noqa: FBT001
    """Return head and body as great_tables lays them out; many tables of a page have the same."""
    layout = Table(heads=heads, rows=(), caption="", sortable=sortable)
    found = _TABLE.search(great_table(layout).as_raw_html())
    assert found is not None  # noqa: S101 - great_tables' fragment is one table
    head, body = _BLANKS.sub("><", found[1]).split("<tbody", 1)
    return head, body


def _filling(cell: Cell, inside: Callable[[Cell], str]) -> str:
    return str(escape(cell.text)) if _is_plain(cell) else str(inside(cell))


def _breadth(columns: int) -> list[str]:
    """Name a table whose columns need smaller type on paper."""
    return ["many"] * (columns > 8) + ["most"] * (columns > 12)


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
