"""Edges that pass, on the brain in three projections and on a circle of networks: SVG of our own."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.figures.matrices import Blocks
from connectrial.figures.numbers import format_number
from connectrial.figures.svg import text_element

Points = NDArray[np.float64]

#: Name, axis across, axis upwards, what stands on the left and on the right.
PROJECTIONS = (
    ("from above", 0, 1, "L", "R"),
    ("from behind", 0, 2, "L", "R"),
    ("from the right", 1, 2, "back", "front"),
)
_MARGIN = 14.0


def draw_connectome(edges: pd.DataFrame, centres: pd.DataFrame, *, alt: str) -> str:
    """Draw edges between the centres of their parcels, from above, behind and the right.

    Parameters
    ----------
    edges : pandas.DataFrame
        Columns ``parcel_a``, ``parcel_b``, ``statistic``; only what is to be drawn.
    centres : pandas.DataFrame
        Indexed by parcel: ``x_mm``, ``y_mm``, ``z_mm``. Parcels without a place are left out.
    alt : str
        For those who cannot see it.

    Returns
    -------
    str
        An ``svg`` element that follows the page's theme.
    """
    known = centres.dropna()
    places = known[["x_mm", "y_mm", "z_mm"]].to_numpy(dtype=np.float64)
    row = {str(name): i for i, name in enumerate(known.index)}
    drawn = [
        (row[a], row[b], float(t), f"{a} and {b}: t = {format_number(t)}")
        for a, b, t in _triples(edges)
        if a in row and b in row
    ]
    low, high = places.min(axis=0) - _MARGIN, places.max(axis=0) + _MARGIN
    parts = []
    left = 0.0
    tall = max(float(high[v] - low[v]) for _, _, v, _, _ in PROJECTIONS) + 22
    for name, u, v, first, second in PROJECTIONS:
        flat = np.column_stack([places[:, u] - low[u] + left, high[v] - places[:, v] + 20])
        width = float(high[u] - low[u])
        parts.append(text_element(left + width / 2, 12, name, css="strong", anchor="middle"))
        parts.append(_outline(flat))
        parts += [_line(flat[a], flat[b], t, words) for a, b, t, words in drawn]
        ends = {i for a, b, _, _ in drawn for i in (a, b)}
        parts += [_dot(flat[i], str(known.index[i]), held=i in ends) for i in range(len(flat))]
        parts.append(text_element(left + 4, tall - 4, first, css="plain"))
        parts.append(text_element(left + width - 4, tall - 4, second, css="plain", anchor="end"))
        left += width + 10
    return _svg(parts, width=left - 10, height=tall, alt=alt)


def draw_chords(edges: pd.DataFrame, blocks: Blocks, *, alt: str) -> str:
    """Draw edges as chords of a circle on which each network is an arc.

    Parameters
    ----------
    edges : pandas.DataFrame
        As :func:`draw_connectome`.
    blocks : Blocks
        Parcels in order of their networks; see ``figures.matrices.order_by_network``.
    alt : str
        For those who cannot see it.
    """
    gap = 2.0  # degrees between networks
    spans = [span for span in blocks.spans if span[2] > span[1]]
    step = (360.0 - gap * len(spans)) / max(1, len(blocks.order))
    angle: dict[str, float] = {}
    arcs, labels = [], []
    at = 0.0
    for name, start, stop in spans:
        for i in range(start, stop):
            angle[blocks.order[i]] = at + (i - start + 0.5) * step
        end = at + (stop - start) * step
        arcs.append(_arc(at, end, name))
        labels.append(_label((at + end) / 2, name))
        at = end + gap
    chords = [
        _chord(angle[a], angle[b], t, f"{a} and {b}: t = {format_number(t)}")
        for a, b, t in _triples(edges)
        if a in angle and b in angle
    ]
    return _svg([*chords, *arcs, *labels], width=460, height=360, alt=alt)


def _triples(edges: pd.DataFrame) -> list[tuple[str, str, float]]:
    ordered = edges.assign(size=edges["statistic"].abs()).sort_values("size", kind="stable")
    return list(
        zip(
            ordered["parcel_a"].astype(str),
            ordered["parcel_b"].astype(str),
            ordered["statistic"].astype(float),
            strict=True,
        )
    )


def _svg(parts: Sequence[str], *, width: float, height: float, alt: str) -> str:
    return (
        f'<svg role="img" aria-label={quoteattr(alt)} focusable="false" class="flow edges" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" style="max-width: {1.7 * width:.0f}px">'
        + "".join(parts)
        + "</svg>"
    )


def _line(a: Points, b: Points, t: float, words: str) -> str:
    return (
        f'<line x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}" '
        f'class="edge {_sign(t)}"><title>{escape(words)}</title></line>'
    )


def _dot(place: Points, name: str, *, held: bool) -> str:
    size, css = (2.2, "parcel held") if held else (0.9, "parcel")
    return (
        f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="{size}" class="{css}">'
        f"<title>{escape(name)}</title></circle>"
    )


def _outline(points: Points) -> str:
    """Draw the hull of all parcels, a little wider: a hint of the brain, no anatomy."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        hull = points[ConvexHull(points).vertices]
    except (QhullError, ValueError):  # fewer than three parcels, or all on one line
        return ""
    middle = hull.mean(axis=0)
    away = hull - middle
    wider = middle + away * (1 + 7.0 / np.linalg.norm(away, axis=1, keepdims=True).clip(1e-9))
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in wider)
    return f'<polygon points="{corners}" class="hull"/>'


def _on_circle(degrees: float, radius: float) -> tuple[float, float]:
    turn = np.deg2rad(degrees - 90.0)
    return 230 + radius * float(np.cos(turn)), 180 + radius * float(np.sin(turn))


def _arc(start: float, end: float, name: str) -> str:
    (x1, y1), (x2, y2) = _on_circle(start, 134), _on_circle(end, 134)
    large = int(end - start > 180)
    return (
        f'<path d="M {x1:.1f} {y1:.1f} A 134 134 0 {large} 1 {x2:.1f} {y2:.1f}" class="arc">'
        f"<title>{escape(name or 'no network')}</title></path>"
    )


def _label(degrees: float, name: str) -> str:
    x, y = _on_circle(degrees, 146)
    anchor = "start" if x > 240 else "end" if x < 220 else "middle"
    short = name if len(name) <= 14 else name[:13] + "\N{HORIZONTAL ELLIPSIS}"
    return text_element(round(x, 1), round(y + 3, 1), short, css="small", anchor=anchor)


def _chord(a: float, b: float, t: float, words: str) -> str:
    (x1, y1), (x2, y2) = _on_circle(a, 128), _on_circle(b, 128)
    apart = abs((a - b + 180) % 360 - 180)
    cx, cy = _on_circle((a + b) / 2 + (180 if abs(a - b) > 180 else 0), 128 * (1 - apart / 180))
    return (
        f'<path d="M {x1:.1f} {y1:.1f} Q {cx:.1f} {cy:.1f} {x2:.1f} {y2:.1f}" '
        f'class="edge {_sign(t)}"><title>{escape(words)}</title></path>'
    )


def _sign(t: float) -> str:
    return "above" if t > 0 else "below"
