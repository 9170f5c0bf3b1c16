"""Stream a 4-D image once and bring back the mean signal of every parcel.

A run is never whole in memory: one frame buffer is filled again and again, and the file is read to
its very end, because only there a gzip stream tells whether it is intact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, BoolArray, FloatArray, TimeSeries
from connectrial.errors import InputError
from connectrial.io.cifti import is_cifti
from connectrial.io.nifti import ImageHeader, read_frames, read_header, read_volume
from connectrial.io.placing import (
    Placement,
    grid_text,
    judge_overlap,
    place_atlas,
    same_grid,
    sizes_mm,
    some,
)
from connectrial.io.spheres import Overlap

Indices = NDArray[np.intp]

# A stretch of voxels, where in it parcels begin, and which parcels these are.
_Chunk = tuple[slice, Indices, Indices]

_BLOCK_VALUES = 1 << 21  # 4 MB of int16
_CHUNK_VOXELS = 1 << 13


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ImageQuality:
    """What the same pass over the voxels tells about a scan.

    Voxels are those of the mask (without a mask, of the parcels) that have data in every frame.

    Attributes
    ----------
    dvars : array, shape (n_frames,)
        Root mean square over voxels of the change since the frame before, in the image's unit; NaN
        for the first frame.
    global_signal : array, shape (n_frames,)
        Mean over voxels, in the image's unit.
    tsnr : array, shape (n_parcels,)
        Mean over a parcel's voxels of temporal mean over SD; NaN without data. Says something only
        of images that were not denoised.
    median_tsnr : float
        Median over all voxels.
    n_voxels : int
        Voxels with data in every frame.
    n_voxels_without_data : int
        Voxels left out because they are 0 or not finite in at least one frame.
    """

    dvars: FloatArray
    global_signal: FloatArray
    tsnr: FloatArray
    median_tsnr: float
    n_voxels: int
    n_voxels_without_data: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ParcelSignal:
    """The parcels' signal of one image, its quality, and what a reader must know.

    Attributes
    ----------
    series : TimeSeries
        All frames kept.
    quality : ImageQuality
        Of the voxels.
    notes : tuple of str
        Such as that the atlas was resampled, or which parcels lack data.
    """

    series: TimeSeries
    quality: ImageQuality
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Pass:
    """Sums of one pass, in raw units; `lost` marks voxels that fail in a later frame.

    `member` holds, parcel by parcel (`member_of`), positions in `voxels`: a voxel of two spheres
    stands there twice.
    """

    parcel_sums: FloatArray
    dvars: FloatArray
    global_signal: FloatArray
    mean: FloatArray
    spread: FloatArray
    voxels: Indices
    lost: BoolArray
    member: Indices
    member_of: Indices


def extract_time_series(
    image: Path | tuple[Path, Path],
    atlas: Atlas,
    *,
    mask: Path | None = None,
    min_coverage: float = 0.5,
    repetition_time_s: float | None = None,
    overlap: Overlap = "allow",
) -> TimeSeries:
    """Return the mean signal of every parcel of a 4-D image.

    Parameters and errors are those of `extract_with_quality`, which also tells how good the scan is
    and what was done to get there.

    Parameters
    ----------
    image, atlas, mask, min_coverage, repetition_time_s, overlap
        As in `extract_with_quality`.

    Returns
    -------
    TimeSeries
        Signal of shape (n_frames, n_parcels), in the image's unit.
    """
    return extract_with_quality(
        image,
        atlas,
        mask=mask,
        min_coverage=min_coverage,
        repetition_time_s=repetition_time_s,
        overlap=overlap,
    ).series


def extract_with_quality(
    image: Path | tuple[Path, Path],
    atlas: Atlas,
    *,
    mask: Path | None = None,
    min_coverage: float = 0.5,
    repetition_time_s: float | None = None,
    overlap: Overlap = "allow",
) -> ParcelSignal:
    """Return the mean signal of every parcel of a 4-D image, with its quality, in one pass.

    The mean is over voxels that lie in the parcel and the mask and are finite and not 0 in every
    frame: a voxel at the edge of the field of view that drops out for a few frames would else put
    steps into its parcel's signal. (If there are such voxels, the file is read a second time
    without them.)

    Parameters
    ----------
    image : Path or tuple of Path
        4-D NIfTI, gzipped or not, of either byte order; or a run on grayordinates, for which
        "voxel" means one of them: CIFTI (``.dtseries.nii``), or a pair of surface files
        (``.func.gii``), the left hemisphere first.
    atlas : Atlas
        With a label image, spheres, or both. If the label image's grid is another than the image's,
        labels are resampled to the image by nearest neighbour in world coordinates, and a note says
        so; whether both are in the same space no header can tell, but with a mask an atlas that
        lies mostly outside the brain is refused. For runs on grayordinates with labels of
        grayordinates, which are matched by structure and vertex or voxel, or with spheres.
    mask : Path, optional
        Brain mask on the image's grid; voxels above 0 count. Not for runs on grayordinates.
    min_coverage : float
        Parcels with data in a smaller share of their voxels become a column of NaN.
    repetition_time_s : float, optional
        Seconds between frames, as a sidecar states it; by default the header's, or unknown if the
        header holds 0 or a time that no scanner has.
    overlap : {"allow", "nearest", "refuse"}
        What happens to a voxel that lies in two spheres, as in `place_spheres`.

    Returns
    -------
    ParcelSignal

    Raises
    ------
    InputError
        If a file is absent, damaged, shorter or longer than its header says, not 4-D, or not NIfTI;
        if the mask lies on another grid; if atlas and image share no voxel with data, or the atlas
        lies mostly outside the mask; or if spheres overlap and must not.
    """
    if not 0 <= min_coverage <= 1:
        raise InputError(f"min_coverage must lie between 0 and 1; got {min_coverage}")
    if isinstance(image, tuple) or is_cifti(image):
        # Imported here, because it takes the nouns that this module defines.
        from connectrial.io.grayordinate_images import extract_grayordinates

        if mask is not None:
            raise InputError(f"{mask}: a run on grayordinates takes no mask; leave it out")
        return extract_grayordinates(
            image,
            atlas,
            min_coverage=min_coverage,
            repetition_time_s=repetition_time_s,
            overlap=overlap,
        )
    if atlas.labels is None and atlas.grayordinates is not None:
        raise InputError(
            f"{image}: the run is a volume, but atlas {atlas.name!r} labels grayordinates; name a "
            "label image of a volume, or read the CIFTI or surface run"
        )
    header = read_header(image, n_dimensions=4)
    placed = place_atlas(atlas, header, overlap=overlap)
    in_brain = None if mask is None else read_mask(mask, header)
    doubt = (
        None if in_brain is None else judge_overlap(placed, in_brain, atlas=atlas, header=header)
    )
    voxels = placed.voxels if in_brain is None else np.flatnonzero(in_brain)
    n_parcels = len(atlas.parcels)

    sums = _stream(header, placed, voxels, n_parcels=n_parcels)
    if sums.lost.any():
        sums = _stream(header, placed, sums.voxels[~sums.lost], n_parcels=n_parcels)
    n_good = np.bincount(sums.member_of, minlength=n_parcels)
    coverage = placed.inside * n_good / np.maximum(placed.n_total, 1)
    present = (coverage >= min_coverage) & (n_good > 0)
    if not present.any():
        raise InputError(
            f"{image}: no parcel of atlas {atlas.name!r} has data in {min_coverage:.0%} of its "
            "voxels; the atlas may belong to another space, or the mask to another scan"
        )
    signal = np.full((header.n_frames, n_parcels), np.nan)
    signal[:, present] = (
        header.slope * (sums.parcel_sums[:, present] / n_good[present]) + header.intercept
    )
    return ParcelSignal(
        series=TimeSeries(
            signal=signal,
            kept=np.ones(header.n_frames, dtype=bool),
            parcels=atlas.parcels.index,
            repetition_time_s=repetition_time_s or header.repetition_time_s,
            coverage=coverage,
        ),
        quality=_quality(sums, header, present, n_without_data=len(voxels)),
        notes=tuple(
            note
            for note in (
                *placed.notes,
                doubt,
                header.note if repetition_time_s is None else None,
                missing_note(atlas.parcels.index[~present], min_coverage),
            )
            if note is not None
        ),
    )


def _quality(
    sums: _Pass, header: ImageHeader, present: BoolArray, *, n_without_data: int
) -> ImageQuality:
    mean = header.slope * sums.mean + header.intercept
    spread = abs(header.slope) * sums.spread
    ratio = np.divide(mean, spread, where=spread > 0, out=np.full(len(mean), np.nan))
    counted = ~np.isnan(ratio[sums.member])
    of, values = sums.member_of[counted], ratio[sums.member[counted]]
    n_parcels = len(present)
    n_counted = np.bincount(of, minlength=n_parcels)
    total = np.bincount(of, weights=values, minlength=n_parcels)
    tsnr = np.full(n_parcels, np.nan)
    usable = present & (n_counted > 0)
    tsnr[usable] = total[usable] / n_counted[usable]
    known = ratio[~np.isnan(ratio)]
    return ImageQuality(
        dvars=abs(header.slope) * sums.dvars,
        global_signal=header.slope * sums.global_signal + header.intercept,
        tsnr=tsnr,
        median_tsnr=float(np.median(known)) if len(known) else float("nan"),
        n_voxels=len(sums.voxels),
        n_voxels_without_data=n_without_data - len(sums.voxels),
    )


def _stream(header: ImageHeader, placed: Placement, voxels: Indices, *, n_parcels: int) -> _Pass:
    """Read every frame once and sum what is asked of it, in raw units and float64."""
    n_frames = header.n_frames
    frames = read_frames(header)
    start = next(frames)[voxels]
    has_data = ~_without_data(start, header)
    # Parcel by parcel, with the voxels of none at the end: then a parcel's sum is over neighbours.
    row_of = placed.rows[voxels]
    order = np.argsort(np.where(row_of < 0, n_parcels, row_of).astype(np.int32), kind="stable")
    order = order[has_data[order]]
    voxels, row_of, first = voxels[order], row_of[order], start[order].astype(np.float64)
    labelled = row_of[row_of >= 0]
    begins = np.flatnonzero(np.diff(labelled, prepend=-1) > 0)
    in_sphere, sphere = _sphere_members(placed, voxels)
    starts = np.flatnonzero(np.diff(sphere, prepend=-1) > 0)

    n_voxels = len(voxels)
    parcel_sums = np.zeros((n_frames, n_parcels))
    change, level = np.empty(n_frames), np.empty(n_frames)
    total, squares = np.zeros(n_voxels), np.zeros(n_voxels)
    lost = np.zeros(n_voxels, dtype=bool)
    # Row 0 of the block is the frame before it. Frames are summed a block at a time, because the
    # running sums of all voxels are too large to be fetched from memory for every frame; as they
    # are stored, because that is a quarter of what float64 would take.
    size = min(n_frames, max(1, _BLOCK_VALUES // max(1, n_voxels)))
    block = np.empty((size + 1, n_voxels), dtype=header.dtype)
    block[0] = block[1] = start[order]
    n_filled = 1
    chunks = _cut(begins, labelled, n_voxels)
    for number in range(1, n_frames + 1):
        frame: NDArray[Any] | None = next(frames, None)
        if n_filled == size or frame is None:
            done = slice(number - n_filled, number)
            frames_here = block[: n_filled + 1]
            change[done], level[done] = _add_block(
                frames_here, chunks, first, total, squares, parcel_sums[done]
            )
            if len(starts):
                inside = frames_here[1:].take(in_sphere, axis=1).astype(np.float64)
                parcel_sums[done, sphere[starts]] = np.add.reduceat(inside, starts, axis=1)
            block[0], n_filled = block[n_filled], 0
        if frame is not None:
            n_filled += 1
            stored = block[n_filled]
            frame.take(voxels, out=stored, mode="clip")  # none is outside; "raise" copies twice
            gone = _without_data(stored, header)
            if gone.any():
                lost |= gone
                stored[gone] = 0  # a NaN would spread; the second pass goes without
    change[0] = np.nan
    mean = total / n_frames
    return _Pass(
        parcel_sums=parcel_sums,
        dvars=np.sqrt(change / max(1, n_voxels)),
        global_signal=level / max(1, n_voxels),
        mean=first + mean,
        spread=np.sqrt(np.maximum(squares / n_frames - mean**2, 0.0)),
        voxels=voxels,
        lost=lost,
        member=np.concatenate([np.arange(len(labelled)), in_sphere]),
        member_of=np.concatenate([labelled, sphere]),
    )


def _sphere_members(placed: Placement, voxels: Indices) -> tuple[Indices, Indices]:
    """Return, sphere by sphere, positions in `voxels`, and the sphere that each belongs to."""
    if placed.spheres is None:
        none = np.zeros(0, dtype=np.intp)
        return none, none
    position = np.full(len(placed.rows), -1, dtype=np.intp)
    position[voxels] = np.arange(len(voxels))
    found = position[placed.spheres.voxel]
    return found[found >= 0], placed.spheres.parcel[found >= 0]


def _cut(begins: Indices, labelled: Indices, n_voxels: int) -> list[_Chunk]:
    """Cut the voxels into chunks that fit into the processor's cache, whole parcels in each."""
    ends = np.append(begins, len(labelled))
    chunks = []
    first = 0
    while first < len(begins):
        last = int(np.searchsorted(ends, ends[first] + _CHUNK_VOXELS, side="right")) - 1
        last = max(last, first + 1)
        own = begins[first:last]
        chunks.append((slice(int(own[0]), int(ends[last])), own - own[0], labelled[own]))
        first = last
    none = np.zeros(0, dtype=np.intp)
    for start in range(len(labelled), n_voxels, _CHUNK_VOXELS):
        chunks.append((slice(start, min(start + _CHUNK_VOXELS, n_voxels)), none, none))
    return chunks


def _add_block(
    block: NDArray[Any],
    chunks: Sequence[_Chunk],
    first: FloatArray,
    total: FloatArray,
    squares: FloatArray,
    parcel_sums: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Add frames to the sums in place; return each frame's squared change and its sum.

    Row 0 of `block` is the frame before. Moments are about the first frame: about 0 they would
    lose digits to the baseline.
    """
    change, level = np.zeros(len(block) - 1), np.zeros(len(block) - 1)
    longest = max((part.stop - part.start for part, _, _ in chunks), default=0)
    room = np.empty((2, len(block), longest))  # the same memory for all chunks stays in the cache
    for part, begins, parcels in chunks:
        values, step = room[:, :, : part.stop - part.start]
        values[...] = block[:, part]
        if len(begins):
            sums = np.add.reduceat(values[1:], begins, axis=1)
            parcel_sums[:, parcels] = sums
            level += sums.sum(axis=1)
        else:
            level += values[1:].sum(axis=1)
        values -= first[part]
        moved = values[1:]
        total[part] += moved.sum(axis=0)
        squares[part] += np.einsum("tv,tv->v", moved, moved)
        step = np.subtract(moved, values[:-1], out=step[1:])
        change += (step[:, np.newaxis] @ step[..., np.newaxis]).ravel()
    return change, level


def _without_data(stored: NDArray[Any], header: ImageHeader) -> BoolArray:
    """Mark values that are not finite, or that scaling (which comes later) turns into 0."""
    empty = -header.intercept / header.slope
    if header.dtype.kind == "f":
        return np.asarray((stored == empty) | ~np.isfinite(stored))
    # Compared as integers: a float on one side would convert the whole array first.
    limits = np.iinfo(header.dtype)
    if empty != int(empty) or not limits.min <= empty <= limits.max:
        return np.zeros(len(stored), dtype=bool)
    return np.asarray(stored == int(empty))


def read_mask(path: Path, header: ImageHeader) -> BoolArray:
    """Return which voxels of a run's grid a mask holds, first axis fastest; refuse another grid."""
    values, affine = read_volume(path)
    if not same_grid(values.shape, affine, header.shape, header.affine):
        raise InputError(
            f"{path}: the mask's grid ({grid_text(values.shape)} at {sizes_mm(affine)} mm) is not "
            f"that of {header.path.name} ({grid_text(header.shape)} at {sizes_mm(header.affine)} mm), "
            "or lies elsewhere; take the mask of the same run and space"
        )
    in_brain = (values > 0).ravel(order="F")
    if not in_brain.any():
        raise InputError(f"{path}: the mask is empty")
    return in_brain


def missing_note(missing: pd.Index, min_coverage: float, *, what: str = "voxels") -> str | None:
    """Say which parcels lack data; None where none does.

    Parameters
    ----------
    missing : pandas.Index
        Their names.
    min_coverage : float
        Share of a parcel's voxels that was asked for, 0 to 1.
    what : str
        What parcels consist of.

    Returns
    -------
    str or None
    """
    if len(missing) == 0:
        return None
    return (
        f"{len(missing)} parcels have data in less than {min_coverage:.0%} of their {what}: "
        f"{some(missing)}"
    )
