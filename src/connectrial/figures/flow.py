"""The flow of people and scans, from who was there to who is analysed, as inline SVG."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import quoteattr

import pandas as pd

from connectrial.figures.numbers import as_float, format_count
from connectrial.figures.svg import text_element

_LINE = 17.0
_PAD = 12.0
_GAP = 34.0
_BOX = 300.0
_SIDE = 360.0
_BETWEEN = 24.0
_MOST_BESIDE = 4
_CHAR = 7.0  # width of a letter of 14 px in the widest usual sans-serif


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    x: float
    y: float
    width: float
    lines: tuple[str, ...]
    css: str
    bold: int = 1

    @property
    def height(self) -> float:
        return len(self.lines) * _LINE + 2 * _PAD - 4

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def draw_flow(flow: pd.DataFrame) -> str:
    """Draw who came, who left and why, and who is analysed.

    Parameters
    ----------
    flow : pandas.DataFrame
        Columns ``step`` (rows of the same step stand side by side), ``box`` (label),
        ``n_subjects``, ``n_scans`` (may be missing), ``left_out`` (who left on the way to this box
        and why, one reason a line); ``more`` (further lines of the box) and
        ``labelled`` (whether the reasons name their box already) may be missing.

    Returns
    -------
    str
        An ``svg`` element whose classes (``box``, ``out``, ``arrow``) the page colours.
    """
    flow = flow.sort_values("step", kind="stable")
    rows = [frame for _, frame in flow.groupby("step", sort=True)]
    widest = max(_columns(len(row)) for row in rows)
    main_width = max(_BOX, widest * (_BOX * 0.62) + (widest - 1) * _BETWEEN)
    boxes: list[list[_Box]] = []
    sides: list[_Box] = []
    parts: list[str] = []
    y = 8.0
    for row in rows:
        lines = _left_out(row, labelled=len(row) > 1)
        if lines and boxes:
            side = _Box(
                x=main_width + 40, y=y - _GAP + 12, width=_SIDE, lines=lines, css="out", bold=0
            )
            sides.append(side)
            y = side.y + side.height + 16
        placed = _place(row, y=y, width=main_width)
        boxes.append(placed)
        y = max(box.y + box.height for box in placed) + _GAP
    for above, below in pairwise(boxes):
        parts += _arrows(above, below)
    parts += [_branch(side, main_width / 2) for side in sides]
    parts += [_draw(box) for row in boxes for box in row]
    parts += [_draw(side) for side in sides]
    width = main_width + (40 + _SIDE if sides else 0) + 4
    alt = describe_flow(flow)
    return (
        # Two boxes alone would else be blown up to the page's width.
        f'<svg class="flow" style="max-width:{width:g}px" '
        f'viewBox="-2 0 {width:g} {y - _GAP + 10:g}" role="img" '
        f"aria-label={quoteattr(alt)}>"
        '<defs><marker id="flow-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" class="head"/></marker></defs>'
        + "".join(parts)
        + "</svg>"
    )


def describe_flow(flow: pd.DataFrame) -> str:
    """Say in words what the drawing shows."""
    pieces = []
    for row in flow.to_dict("records"):
        left = "; ".join(split_reasons(row.get("left_out")))
        more = "".join(f", {line}" for line in _more(row))
        pieces.append(
            f"{row['box']}: {_counts(row)}{more}"
            + (f" (left out on the way: {left})" if left else "")
        )
    return "Flow of people and scans. " + ". ".join(pieces) + "."


def split_reasons(text: object) -> list[str]:
    """Split a cell of reasons into its lines."""
    if isinstance(text, (list, tuple)):
        return [str(line).strip() for line in text if str(line).strip()]
    if not isinstance(text, str):
        return []
    return [line.strip() for line in re.split(r"\n|;\s+", text) if line.strip()]


def _more(row: Mapping[Hashable, object]) -> list[str]:
    return split_reasons(row.get("more"))


def _columns(n: int) -> int:
    """Return how many of n boxes stand side by side: words in more than four cannot be read."""
    return -(-n // -(-n // _MOST_BESIDE))


def _counts(row: Mapping[Hashable, object]) -> str:
    people, scans = as_float(row.get("n_subjects")), as_float(row.get("n_scans"))
    words = []
    if people == people:
        words.append(f"{format_count(people)} {'person' if people == 1 else 'people'}")
    if scans == scans:
        words.append(f"{format_count(scans)} {'scan' if scans == 1 else 'scans'}")
    return ", ".join(words)


def _left_out(row: pd.DataFrame, *, labelled: bool) -> tuple[str, ...]:
    lines: list[str] = []
    for record in row.to_dict("records"):
        reasons = split_reasons(record.get("left_out"))
        if labelled and reasons and record.get("labelled") is not True:
            reasons = [f"{record['box']}: {reason}" for reason in reasons]
        for reason in reasons:
            lines += textwrap.wrap(reason, int((_SIDE - 2 * _PAD) / _CHAR), subsequent_indent="  ")
    return tuple(lines)


def _place(row: pd.DataFrame, *, y: float, width: float) -> list[_Box]:
    """Set the boxes of one step side by side, centred over the main column."""
    n = _columns(len(row))
    each = min(_BOX, (width - (n - 1) * _BETWEEN) / n)
    start = (width - n * each - (n - 1) * _BETWEEN) / 2
    boxes: list[_Box] = []
    for number, record in enumerate(row.to_dict("records")):
        i = number % n
        if number and i == 0:
            y = max(box.y + box.height for box in boxes) + _GAP
        label = textwrap.wrap(str(record["box"]), max(10, int((each - 2 * _PAD) / (_CHAR + 0.6))))
        lines = (*(label or [""]), _counts(record), *_more(record))
        boxes.append(
            _Box(
                x=start + i * (each + _BETWEEN),
                y=y,
                width=each,
                lines=lines,
                css="box",
                bold=len(label),
            )
        )
    return boxes


def _arrows(above: Sequence[_Box], below: Sequence[_Box]) -> list[str]:
    bottom = max(box.y + box.height for box in above if box.y == above[-1].y)
    top = min(box.y for box in below)
    if len(above) == len(below):
        pairs = list(zip(above, below, strict=True))
    else:
        pairs = [(a, b) for a in above for b in below]
    turn = top - 14
    paths = []
    for a, b in pairs:
        start = a.y + a.height
        if b.y > top:  # of a further line of boxes: down the gap beside the ones above
            gap = b.x + b.width + _BETWEEN / 2
            path = f"M{a.middle:g} {start:g}V{max(turn, bottom + 2):g}H{gap:g}V{b.y - 14:g}"
            path += f"H{b.middle:g}V{b.y - 1:g}"
        elif a.middle == b.middle:
            path = f"M{a.middle:g} {start:g}V{top - 1:g}"
        else:
            path = f"M{a.middle:g} {start:g}V{max(turn, bottom + 2):g}H{b.middle:g}V{top - 1:g}"
        paths.append(f'<path d="{path}" class="arrow" marker-end="url(#flow-head)"/>')
    return paths


def _branch(side: _Box, x: float) -> str:
    y = side.y + side.height / 2
    return f'<path d="M{x:g} {y:g}H{side.x - 1:g}" class="arrow" marker-end="url(#flow-head)"/>'


def _draw(box: _Box) -> str:
    centred = box.css == "box"
    x = box.middle if centred else box.x + _PAD
    anchor = "middle" if centred else "start"
    lines = [
        text_element(
            x,
            box.y + _PAD + 10 + i * _LINE,
            line,
            css="strong" if i < box.bold else "plain",
            anchor=anchor,
        )
        for i, line in enumerate(box.lines)
    ]
    return (
        f'<g><rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" '
        f'rx="4" class="{box.css}"/>{"".join(lines)}</g>'
    )
