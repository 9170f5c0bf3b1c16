"""Drawings of a scan as a page holds them: traces, carpets, the matrix, what each parcel has."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from markupsafe import Markup

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import InputError
from connectrial.figures.carpet import by_network
from connectrial.figures.numbers import format_number
from connectrial.figures.rasters import (
    COLOURS,
    GREYS,
    Levels,
    carpet_png,
    matrix_levels,
    matrix_png,
    png_levels,
    shrink,
)
from connectrial.io.outputs import read_tsv
from connectrial.report.scan_views import RunFiles, ScanView, StudyView

T = TypeVar("T")
#: Measures of a parcel, the first that is known of each pair: column, words, whether a share.
_PARCEL_MEASURES = (
    ("coverage", "coverage", True),
    ("tsnr", "temporal SNR", False),
    ("mean_signal", "mean signal", False),
    ("sd_after", "SD that FC rests on", False),
)
_LABELLED = 0.05  # share of the height below which a network has no room for its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many dots a picture may have: parcels, frames, and parcels of a matrix."""

    rows: int
    frames: int
    matrix: int


#: A page of one person.
WHOLE = Budget(rows=420, frames=1200, matrix=420)


def shared_budget(n_scans: int, *, megabytes: float = 12.0) -> Budget:
    """Return the budget of each scan on a page that shall hold all of them.

    Parameters
    ----------
    n_scans : int
        Scans on the page.
    megabytes : float
        What the pictures may take together, as text in the page.
    """
    # A grey takes about 0.45 bytes as PNG, a colour 0.6, and base64 adds a third.
    dots = 1e6 * megabytes / max(1, n_scans) / 0.65
    scale = min(1.0, (dots / (2 * 166 * 400 + 120 * 120)) ** 0.5)
    return Budget(
        rows=max(40, round(166 * scale)),
        frames=max(100, round(400 * scale)),
        matrix=max(40, round(120 * scale)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A row of drawings that share their time or parcels: words, smaller words, a drawing."""

    words: str
    about: str = ""
    svg: Markup = Markup()  # noqa: RUF009 - immutable
    image: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPictures:
    """A run frame by frame."""

    title: str
    about: str
    alt: str
    strips: tuple[Strip, ...]
    carpets: tuple[Strip, ...]
    ends: tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A network along an axis: name ("" where there is no room), start and size in percent."""

    name: str
    start: float
    size: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanPictures:
    """All drawings of a session; what could not be read is said in `lacks`."""

    runs: tuple[RunPictures, ...] = ()
    matrix: str = ""
    parcels: tuple[Strip, ...] = ()
    spans: tuple[Span, ...] = ()
    lacks: tuple[str, ...] = ()


def draw_scan(
    scan: ScanView, study: StudyView, folder: Path, *, budgets: Sequence[Budget]
) -> list[ScanPictures]:
    """Draw a session from the files that the participant level made.

    Parameters
    ----------
    scan : ScanView
        The session, with its files.
    study : StudyView
        What all scans share.
    folder : Path
        The run's folder.
    budgets : sequence of Budget
        Sizes in which the pictures are wanted.

    Returns
    -------
    list of ScanPictures
        One for each budget. A file that is lost or damaged is named in ``lacks``, and the rest is
        drawn.
    """
    lacks: list[str] = []
    matrix = None
    if scan.matrix:
        draw = partial(_matrix, folder / scan.matrix, study)
        matrix = _attempt(draw, None, lacks, what="connectivity")
    parcels: tuple[Strip, ...] = ()
    if scan.parcels:
        weak = {name for name, _ in scan.weak}
        bars = partial(_parcels, folder / scan.parcels, study, weak)
        parcels = _attempt(bars, (), lacks, what="parcels")
    found = []
    for budget in budgets:
        runs = [
            _attempt(partial(_run, run, study, folder, budget), None, lacks, what="frames")
            for run in scan.runs
            if run.frames
        ]
        found.append(
            ScanPictures(
                runs=tuple(run for run in runs if run is not None),
                matrix="" if matrix is None else _small_matrix(matrix, budget),
                parcels=parcels,
                spans=_spans(study),
                lacks=tuple(dict.fromkeys(lacks)),
            )
        )
    return found


def _attempt(draw: Callable[[], T], otherwise: T, lacks: list[str], *, what: str) -> T:
    try:
        return draw()
    except (InputError, OSError, ValueError, KeyError, IndexError):
        lacks.append(f"The file of {what} is lost or damaged; run the study again.")
        return otherwise


def _run(run: RunFiles, study: StudyView, folder: Path, budget: Budget) -> RunPictures:
    table = read_tsv(folder / run.frames)
    kept = table["kept"].to_numpy(dtype=float) > 0
    strips = []
    for column, words, limit in (("fd_mm", "FD (mm)", study.max_fd_mm), ("dvars", "DVARS", None)):
        values = table[column].to_numpy(dtype=np.float64)
        if np.isfinite(values).any():
            top = _top(values, limit)
            largest = float(np.nanmax(values))
            about = f"0 to {format_number(top)}"
            about += f", largest {format_number(largest)}" if largest > top else ""
            svg = trace_svg(values, kept, top=top, limit=limit)
            strips.append(Strip(words=words, about=about, svg=svg))
    carpets = []
    after = "after denoising" if run.carpet_before else "as delivered"
    for path, words in ((run.carpet_before, "before denoising"), (run.carpet_after, after)):
        if path:
            levels = png_levels((folder / path).read_bytes())
            small = shrink(levels, rows=budget.rows, columns=budget.frames, blank=GREYS)
            carpets.append(Strip(words=words, image=data_uri(carpet_png(small))))
    n_out = int((~kept).sum())
    unit = 1.0 if run.seconds is None else run.seconds / 60
    end = len(kept) * unit
    word = "frames" if run.seconds is None else "min"
    title = f"run {run.run}" if run.run else "frame by frame"
    about = f"{n_out} of {len(kept)} frames censored"
    return RunPictures(
        title=title,
        about=about,
        alt=f"{title}: {about}; " + "; ".join(f"{one.words} {one.about}" for one in strips),
        strips=(*strips, Strip(words="kept", svg=_kept_svg(kept))),
        carpets=tuple(carpets),
        ends=("0", format_number(end / 2), f"{format_number(end)} {word}"),
    )


def _top(values: FloatArray, limit: float | None) -> float:
    """Return where a trace's axis ends: a single spike does not flatten all the rest."""
    known = values[np.isfinite(values)]
    robust = 1.15 * float(np.percentile(known, 99))
    top = max(min(robust, float(known.max()) * 1.05), 1.5 * limit if limit else 0.0)
    return top if top > 0 else 1.0


def trace_svg(
    values: FloatArray, kept: BoolArray, *, top: float, limit: float | None = None
) -> Markup:
    """Draw a trace over frames, 0 to `top`; censored frames shaded, values above cut off.

    Parameters
    ----------
    values : array, shape (n_frames,)
        NaN leaves a gap.
    kept : array of bool, shape (n_frames,)
        Frames that are kept.
    top : float
        Upper end of the axis.
    limit : float, optional
        Drawn as a line.
    """
    n = len(values)
    parts = [f'<svg viewBox="0 0 {n} 100" preserveAspectRatio="none" aria-hidden="true">']
    parts += _shades(kept)
    if limit is not None and limit <= top:
        y = 100 - 100 * limit / top
        parts.append(f'<path class="limit" d="M0 {y:.1f}H{n}"/>')
    line, pen = [], "M"
    for frame, value in enumerate(values):
        if not np.isfinite(value):
            pen = "M"
            continue
        line.append(f"{pen}{frame + 0.5:g} {100 - 100 * min(float(value), top) / top:.1f}")
        pen = "L"
    parts.append(f'<path class="line" d="{"".join(line)}"/></svg>')
    return Markup("".join(parts))  # noqa: S704 - numbers alone


def _kept_svg(kept: BoolArray) -> Markup:
    shades = "".join(_shades(kept))
    return Markup(  # noqa: S704 - numbers alone
        f'<svg viewBox="0 0 {len(kept)} 100" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="kept" d="M0 0H{len(kept)}V100H0Z"/>{shades}</svg>'
    )


def _shades(kept: BoolArray) -> list[str]:
    steps = np.diff(np.concatenate([[0], (~kept).astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return [
        f'<path class="censored" d="M{start} 0H{stop}V100H{start}Z"/>'
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
    ]


def _matrix(path: Path, study: StudyView) -> Levels:
    table = read_tsv(path)
    r = table.drop(columns=table.columns[0]).to_numpy(dtype=np.float64)
    networks = study.networks if len(study.networks) == len(r) else ("",) * len(r)
    return matrix_levels(r, networks, limit=study.matrix_limit)


def _small_matrix(levels: Levels, budget: Budget) -> str:
    small = shrink(levels, rows=budget.matrix, columns=budget.matrix, blank=COLOURS)
    return data_uri(matrix_png(small))


def _parcels(path: Path, study: StudyView, weak: set[str]) -> tuple[Strip, ...]:
    table = read_tsv(path, text={"parcel"})
    order = by_network(study.networks)[0]
    # Names on the page come from the results; the file is in the same order.
    runs = [one for _, one in table.groupby(table["run"].fillna("").astype(str), sort=False)]
    if any(len(one) != len(study.parcels) for one in runs):
        raise ValueError("parcels")
    is_weak = np.array([name in weak for name in study.parcels])[order]
    strips = []
    for column, words, is_share in _PARCEL_MEASURES:
        per_run = np.vstack([pd.to_numeric(one[column]).to_numpy(dtype=float) for one in runs])
        if not np.isfinite(per_run).any():
            continue
        known = np.isfinite(per_run)
        total = np.where(known, per_run, 0).sum(axis=0)
        empty = np.full(len(total), np.nan)
        values = np.divide(total, known.sum(axis=0), out=empty, where=known.any(axis=0))[order]
        limit = study.min_coverage if is_share else None
        top = 1.0 if is_share else _top(np.abs(values), None)
        about = f"0 to {format_number(top)}" + (f", limit {limit:g}" if limit else "")
        svg = parcel_svg(values, is_weak, top=top, limit=limit)
        strips.append(Strip(words=words, about=about, svg=svg))
    return tuple(strips)


def parcel_svg(
    values: FloatArray, weak: BoolArray, *, top: float, limit: float | None = None
) -> Markup:
    """Draw a bar for every parcel, weak ones in another colour.

    Parameters
    ----------
    values : array, shape (n_parcels,)
        NaN is drawn as no bar; of a negative number the size is drawn.
    weak : array of bool, shape (n_parcels,)
        Parcels to mark.
    top : float
        Upper end of the axis.
    limit : float, optional
        Drawn as a line.
    """
    n = len(values)
    bars = {"bar": "", "bar weak": ""}
    for place, (value, is_weak) in enumerate(zip(values, weak, strict=True)):
        size = 100 * min(abs(float(value)), top) / top if np.isfinite(value) else 0.0
        name = "bar weak" if is_weak else "bar"
        # A weak parcel is marked through the whole height where its own bar cannot be seen.
        size = max(size, 12.0) if is_weak else size
        bars[name] += f"M{place + 0.06:g} 100v{-size:.1f}h.88V100z"
    parts = [f'<svg viewBox="0 0 {n} 100" preserveAspectRatio="none" aria-hidden="true">']
    parts += [f'<path class="{name}" d="{path}"/>' for name, path in bars.items() if path]
    if limit is not None:
        parts.append(f'<path class="limit" d="M0 {100 - 100 * limit / top:.1f}H{n}"/>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - numbers alone


def _spans(study: StudyView) -> tuple[Span, ...]:
    if not study.networks:
        return ()
    _, bounds, names = by_network(study.networks)
    total = bounds[-1]
    return tuple(
        Span(
            name=(name or "none") if (high - low) / total >= _LABELLED else "",
            start=round(100 * low / total, 3),
            size=round(100 * (high - low) / total, 3),
        )
        for low, high, name in zip(bounds, bounds[1:], names, strict=False)
    )


def data_uri(png: bytes) -> str:
    """Return a picture as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
