"""One pass through the frames of a run: sums of parcels, moments of voxels, change of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectrial.data import BoolArray, FloatArray
from connectrial.io.nifti import ImageHeader, read_frames
from connectrial.io.placing import Placement

Indices = NDArray[np.intp]

# A stretch of voxels, where in it parcels begin, and which parcels these are.
_Chunk = tuple[slice, Indices, Indices]

_BLOCK_VALUES = 1 << 21  # 4 MB of int16
_CHUNK_VOXELS = 1 << 13


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FramePass:
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


def stream_frames(
    header: ImageHeader, placed: Placement, voxels: Indices, *, n_parcels: int
) -> FramePass:
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
    return FramePass(
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
