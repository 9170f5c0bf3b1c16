"""Bring back the mean signal of every parcel of a CIFTI or surface run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, BoolArray, FloatArray, Grayordinates, TimeSeries
from connectrial.errors import InputError
from connectrial.io.cifti import grayordinates_of, read_cifti_header, read_rows
from connectrial.io.grayordinate_spheres import Overlap, find_sphere_rows
from connectrial.io.images import ImageQuality, ParcelSignal, missing_note
from connectrial.io.row_matching import match_rows
from connectrial.io.surfaces import read_surface_header, read_surface_run

Indices = NDArray[np.intp]
Blocks = Iterator[tuple[slice, FloatArray]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Run:
    """A run that is about to be read: its rows, and its numbers a few rows at a time."""

    where: str
    rows: Grayordinates
    n_frames: int
    repetition_time_s: float | None
    note: str | None
    blocks: Blocks


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Membership:
    """Which rows belong to which parcel, as pairs, since spheres may overlap; rows in order."""

    row: Indices
    parcel: Indices
    n_total: Indices


@dataclass(slots=True, kw_only=True)
class _Sums:
    """What is added up over the rows with data."""

    parcel: FloatArray
    n_good: FloatArray
    tsnr: FloatArray
    n_tsnr: FloatArray
    change: FloatArray
    level: FloatArray
    ratios: list[FloatArray]
    n_rows: int = 0


def extract_grayordinates(
    image: Path | tuple[Path, Path],
    atlas: Atlas,
    *,
    min_coverage: float,
    repetition_time_s: float | None = None,
    overlap: Overlap = "allow",
) -> ParcelSignal:
    """Return the mean signal of every parcel of a CIFTI or surface run, with its quality.

    Rows are matched by structure and vertex or voxel, never by position. The mean is over a
    parcel's rows that are finite and not 0 in every frame; rows that the atlas labels and the file
    lacks lower the parcel's coverage. A sphere is the file's voxels whose centres lie within its
    radius; voxels of the grid within the radius that the file lacks lower its coverage.

    Parameters
    ----------
    image : Path or tuple of Path
        ``.dtseries.nii``, or two ``.func.gii``, the left hemisphere first.
    atlas : Atlas
        With labelled grayordinates, spheres, or both.
    min_coverage : float
        Parcels with data in a smaller share of their rows become a column of NaN.
    repetition_time_s : float, optional
        Seconds between frames; by default the header's.
    overlap : {"allow", "nearest", "refuse"}
        What happens to a voxel in two spheres, as in `find_sphere_rows`.

    Returns
    -------
    ParcelSignal
        Quality is over all rows of the file that have data in every frame.

    Raises
    ------
    InputError
        If a file is absent or damaged, or atlas and run have another mesh or no row in common; if
        the atlas labels a volume; if a sphere holds no voxel of the file (as in the cortex, which
        is a surface here).
    """
    run = _open_surfaces(*image) if isinstance(image, tuple) else _open_cifti(image)
    members = _members(run, atlas, overlap=overlap)
    sums = _add_up(run, members, n_parcels=len(atlas.parcels))
    coverage = sums.n_good / np.maximum(members.n_total, 1)
    present = (coverage >= min_coverage) & (sums.n_good > 0)
    if not present.any():
        raise InputError(
            f"{run.where}: no parcel of atlas {atlas.name!r} has data in {min_coverage:.0%} of its "
            "grayordinates; the atlas may belong to another space"
        )
    signal = np.full((run.n_frames, len(present)), np.nan)
    signal[:, present] = (sums.parcel[present] / sums.n_good[present, np.newaxis]).T
    notes = (
        run.note if repetition_time_s is None else None,
        missing_note(atlas.parcels.index[~present], min_coverage, what="grayordinates"),
    )
    return ParcelSignal(
        series=TimeSeries(
            signal=signal,
            kept=np.ones(run.n_frames, dtype=bool),
            parcels=atlas.parcels.index,
            repetition_time_s=repetition_time_s or run.repetition_time_s,
            coverage=coverage,
        ),
        quality=_quality(sums, present, n_file=len(run.rows)),
        notes=tuple(note for note in notes if note is not None),
    )


def _open_cifti(path: Path) -> _Run:
    header = read_cifti_header(path, form="dtseries")
    return _Run(
        where=str(path),
        rows=grayordinates_of(header),
        n_frames=header.n_columns,
        repetition_time_s=header.repetition_time_s,
        note=header.note,
        blocks=read_rows(header),
    )


def _open_surfaces(left: Path, right: Path) -> _Run:
    header = read_surface_header(left)
    rows, values = read_surface_run(left, right)
    stated = header.repetition_time_s
    return _Run(
        where=f"{left} and {right.name}",
        rows=rows,
        n_frames=values.shape[1],
        repetition_time_s=stated,
        note=None if stated is not None else "the surface files state no repetition time",
        blocks=iter([(slice(0, len(values)), values)]),
    )


def _members(run: _Run, atlas: Atlas, *, overlap: Overlap) -> _Membership:
    """Find the rows of every parcel, labelled ones and spheres."""
    if atlas.grayordinates is None and not (len(atlas.parcels) and atlas.is_sphere.all()):
        what = "labels a volume" if atlas.labels is not None else "has names alone"
        raise InputError(
            f"{run.where}: the run lies on grayordinates, but atlas {atlas.name!r} {what}; name a "
            "label file of the same mesh ([atlas] image: one .dlabel.nii, or two .label.gii or "
            ".annot), or read the volumes ([data] space)"
        )
    n_total = np.zeros(len(atlas.parcels), dtype=np.intp)
    row, parcel = [np.zeros(0, dtype=np.intp)], [np.zeros(0, dtype=np.intp)]
    try:
        if atlas.grayordinates is not None and atlas.row_labels is not None:
            found = match_rows(run.rows, atlas.grayordinates)
            place = _place_of_label(atlas)[atlas.row_labels]
            n_total += np.bincount(place[place >= 0], minlength=len(n_total))
            here = (place >= 0) & (found >= 0)
            row.append(found[here])
            parcel.append(place[here])
        if atlas.is_sphere.any():
            near, sphere, n_sphere = find_sphere_rows(run.rows, atlas, overlap=overlap)
            n_total += n_sphere
            row.append(near)
            parcel.append(sphere)
    except InputError as error:
        raise InputError(f"{run.where}: {'; '.join(error.problems)}") from error
    rows, parcels = np.concatenate(row), np.concatenate(parcel)
    order = np.argsort(rows, kind="stable")
    return _Membership(row=rows[order], parcel=parcels[order], n_total=n_total)


def _place_of_label(atlas: Atlas) -> Indices:
    """Return the parcel of each label; -1 for labels that no parcel bears."""
    if "index" not in atlas.parcels:
        raise InputError(f"atlas {atlas.name!r} has no column 'index' with the parcels' labels")
    assert atlas.row_labels is not None  # noqa: S101  the caller has seen to it
    place = np.full(int(atlas.row_labels.max(initial=0)) + 1, -1, dtype=np.intp)
    index = pd.to_numeric(atlas.parcels["index"]).fillna(-1).to_numpy(dtype=np.int64)
    known = (index > 0) & (index < len(place)) & ~atlas.is_sphere
    place[index[known]] = np.flatnonzero(known)
    return place


def _add_up(run: _Run, members: _Membership, *, n_parcels: int) -> _Sums:
    """Read all rows once and add up what is asked of them."""
    from scipy.sparse import csr_array

    sums = _Sums(
        parcel=np.zeros((n_parcels, run.n_frames)),
        n_good=np.zeros(n_parcels),
        tsnr=np.zeros(n_parcels),
        n_tsnr=np.zeros(n_parcels),
        change=np.zeros(run.n_frames),
        level=np.zeros(run.n_frames),
        ratios=[],
    )
    for rows, values in run.blocks:
        good = np.isfinite(values).all(axis=1) & (values != 0).all(axis=1)
        begin, end = np.searchsorted(members.row, (rows.start, rows.stop))
        mine = good[members.row[begin:end] - rows.start]
        row = members.row[begin:end][mine] - rows.start
        parcel = members.parcel[begin:end][mine]
        chosen = csr_array((np.ones(len(row)), (parcel, row)), shape=(n_parcels, len(values)))
        usable = np.where(good[:, np.newaxis], values, 0.0) if not good.all() else values
        sums.parcel += chosen @ usable
        sums.n_good += np.bincount(parcel, minlength=n_parcels)
        ratio = _tsnr(usable)
        known = ~np.isnan(ratio)
        told = known[row]
        sums.tsnr += np.bincount(parcel[told], weights=ratio[row[told]], minlength=n_parcels)
        sums.n_tsnr += np.bincount(parcel[told], minlength=n_parcels)
        sums.ratios.append(ratio[known])
        sums.level += usable.sum(axis=0)
        step = np.diff(usable, axis=1)
        sums.change[1:] += np.einsum("vt,vt->t", step, step)
        sums.n_rows += int(good.sum())
    return sums


def _tsnr(values: FloatArray) -> FloatArray:
    """Return mean over SD of each row; NaN where nothing varies."""
    mean, spread = values.mean(axis=1), values.std(axis=1)
    ratio = np.full(len(values), np.nan)
    np.divide(mean, spread, where=spread > 0, out=ratio)
    return ratio


def _quality(sums: _Sums, present: BoolArray, *, n_file: int) -> ImageQuality:
    tsnr = np.full(len(present), np.nan)
    usable = present & (sums.n_tsnr > 0)
    tsnr[usable] = sums.tsnr[usable] / sums.n_tsnr[usable]
    ratios = np.concatenate(sums.ratios) if sums.ratios else np.zeros(0)
    dvars = np.sqrt(sums.change / max(1, sums.n_rows))
    dvars[0] = np.nan
    return ImageQuality(
        dvars=dvars,
        global_signal=sums.level / max(1, sums.n_rows),
        tsnr=tsnr,
        median_tsnr=float(np.median(ratios)) if len(ratios) else float("nan"),
        n_voxels=sums.n_rows,
        n_voxels_without_data=n_file - sums.n_rows,
    )


def check_form(
    atlas: Atlas, *, n_vertices: Sequence[tuple[str, int]] | None, where: str
) -> str | None:
    """Say why an atlas cannot be read out of a run, as far as headers tell.

    Parameters
    ----------
    atlas : Atlas
        The atlas.
    n_vertices : sequence of (str, int) or None
        Surface structures of the run and the sizes of their meshes; None for a volume.
    where : str
        What the run is called in the message.

    Returns
    -------
    str or None
        None where nothing speaks against it.
    """
    if n_vertices is None:
        if atlas.labels is None and atlas.grayordinates is not None:
            return (
                f"{where} is a volume, but atlas {atlas.name!r} labels grayordinates; name a label "
                "image of a volume ([atlas] image), or read CIFTI or surfaces ([data] space)"
            )
        return None
    if atlas.grayordinates is None:
        if not atlas.is_sphere.all():
            return (
                f"{where} lies on grayordinates, but atlas {atlas.name!r} labels a volume or has "
                "names alone; name a .dlabel.nii or a pair of .label.gii or .annot ([atlas] image), "
                "or read the volumes ([data] space)"
            )
        return None
    for name, count in n_vertices:
        wanted = atlas.grayordinates.n_vertices.get(name)
        if wanted is not None and wanted != count:
            return (
                f"{where} has {count} vertices in {name}, atlas {atlas.name!r} {wanted}; take an "
                "atlas of the same mesh"
            )
    return None
