"""Where the parcels of an atlas lie on the grid of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, BoolArray, FloatArray
from connectrial.errors import InputError
from connectrial.io.nifti import ImageHeader
from connectrial.io.spheres import Overlap, SphereVoxels, place_spheres

Indices = NDArray[np.intp]

GRID_TOLERANCE_MM = 1e-3
# Shares of an atlas' voxels that lie in the brain mask. The real cut-off field of view in the tests
# keeps nine tenths; an atlas of another origin, or shifted by half a brain, keeps less than half.
_ELSEWHERE, _DOUBTFUL = 0.25, 0.6


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Placement:
    """The parcels of an atlas on a grid.

    Attributes
    ----------
    rows : array of int, shape (n_voxels,)
        Row of the parcel whose label each voxel bears, first axis fastest; -1 outside.
    spheres : SphereVoxels or None
        Voxels of the spheres, which may overlap; None without spheres.
    n_total : array of int, shape (n_parcels,)
        Voxels of each parcel on the grid.
    inside : array, shape (n_parcels,)
        Share of each parcel that the grid's box holds.
    notes : tuple of str
        That labels were resampled, and which were lost.
    """

    rows: Indices
    spheres: SphereVoxels | None
    n_total: Indices
    inside: FloatArray
    notes: tuple[str, ...]

    @property
    def voxels(self) -> Indices:
        """Return the voxels of any parcel, ascending."""
        labelled = np.flatnonzero(self.rows >= 0)
        if self.spheres is None:
            return labelled
        return np.union1d(labelled, self.spheres.voxel)


def place_atlas(atlas: Atlas, header: ImageHeader, *, overlap: Overlap = "allow") -> Placement:
    """Find the voxels of each parcel, label or sphere, on the grid of an image.

    Parameters
    ----------
    atlas : Atlas
        With a label image, with spheres, or both. If the label image has another grid, it is
        resampled by nearest neighbour in world coordinates, and a note says so.
    header : ImageHeader
        Of the image.
    overlap : {"allow", "nearest", "refuse"}
        Of spheres, as in `place_spheres`.

    Returns
    -------
    Placement

    Raises
    ------
    InputError
        If the atlas has neither labels nor spheres, or shares no place with the image.
    """
    is_sphere = atlas.is_sphere
    if atlas.labels is None and not is_sphere.any():
        raise InputError(
            f"atlas {atlas.name!r} has names but no label image and no spheres; "
            "a label image or spheres are needed to read parcels out of a volume"
        )
    n_parcels = len(atlas.parcels)
    rows, inside = np.full(int(np.prod(header.shape)), -1), np.ones(n_parcels)
    notes: tuple[str, ...] = ()
    if atlas.labels is not None:
        rows, inside, notes = _rows_on_grid(atlas, header)
    n_total = np.bincount(rows[rows >= 0], minlength=n_parcels)
    if not is_sphere.any():
        return Placement(rows=rows, spheres=None, n_total=n_total, inside=inside, notes=notes)
    spheres = place_spheres(atlas, header.shape, header.affine, overlap=overlap)
    n_inside = np.bincount(spheres.parcel, minlength=n_parcels)
    if atlas.labels is None and not n_inside.any():
        raise _elsewhere(header, atlas)
    inside = np.where(is_sphere, n_inside / np.maximum(spheres.n_whole, 1), inside)
    n_total = np.where(is_sphere, n_inside, n_total)
    too_small = atlas.parcels.index[is_sphere & (spheres.n_whole == 0)]
    if len(too_small):
        notes += (
            f"{len(too_small)} spheres hold the centre of no voxel of {sizes_mm(header.affine)} mm, "
            f"so they have no data: {some(too_small)}; a larger radius_mm would reach one",
        )
    return Placement(rows=rows, spheres=spheres, n_total=n_total, inside=inside, notes=notes)


def judge_overlap(
    placement: Placement, in_brain: BoolArray, *, atlas: Atlas, header: ImageHeader
) -> str | None:
    """Compare where an atlas lies with where the scan's brain lies.

    Parameters
    ----------
    placement : Placement
        The parcels on the scan's grid.
    in_brain : array of bool, shape (n_voxels,)
        The scan's mask, first axis fastest.
    atlas, header : Atlas, ImageHeader
        For the message.

    Returns
    -------
    str or None
        A note where the share of the parcels' voxels in the mask leaves a doubt.

    Raises
    ------
    InputError
        If it is so small that both cannot be in one space.
    """
    voxels = placement.voxels
    share = float(in_brain[voxels].mean()) if len(voxels) else 0.0
    text = (
        f"{share:.0%} of the voxels of atlas {atlas.name!r} lie in the scan's brain mask"
        if share >= 0.01
        else f"almost none of the voxels of atlas {atlas.name!r} lie in the scan's brain mask"
    )
    if share < _ELSEWHERE:
        raise InputError(
            f"{header.path}: only {text}; one of them has a wrong affine or belongs to another space "
            "(the scan's own brain instead of a template?), or the mask is another scan's"
        )
    if share < _DOUBTFUL:
        return f"{text}; a field of view this small is unusual, so see that both are in one space"
    return None


def resample_labels(
    labels: NDArray[np.int32], to_labels: FloatArray, shape: tuple[int, int, int]
) -> NDArray[np.int32]:
    """Look every voxel of a grid up in a label image, slice by slice to save memory.

    Parameters
    ----------
    labels : array of int, shape (i, j, k)
        The label image.
    to_labels : array, shape (4, 4)
        From voxels of the wanted grid to voxels of the label image.
    shape : tuple of int, length 3
        The wanted grid.

    Returns
    -------
    array of int, shape `shape`
        Label of the nearest voxel; 0 beyond the label image.
    """
    i, j = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    resampled = np.zeros(shape, dtype=np.int32)
    for k in range(shape[2]):
        here = np.stack([i.ravel(), j.ravel(), np.full(i.size, k)])
        position, within = _nearest(to_labels, here, labels.shape)
        taken = np.zeros(i.size, dtype=np.int32)
        taken[within] = labels[tuple(position[:, within])]
        resampled[:, :, k] = taken.reshape(i.shape)
    return resampled


def same_grid(
    shape: tuple[int, ...], affine: FloatArray, other_shape: tuple[int, ...], other: FloatArray
) -> bool:
    """Tell whether two grids have the same voxels in the same places."""
    return shape == other_shape and bool(np.allclose(affine, other, rtol=0, atol=GRID_TOLERANCE_MM))


def some(names: pd.Index, most: int = 5) -> str:
    """List the first few names, and how many more there are."""
    shown = ", ".join(str(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def grid_text(shape: tuple[int, ...]) -> str:
    """Write a grid's size, such as 91x109x91."""
    return "x".join(str(size) for size in shape)


def sizes_mm(affine: FloatArray) -> str:
    """Write a grid's voxel size in mm, such as 2x2x2."""
    return "x".join(f"{size:.3g}" for size in np.linalg.norm(affine[:3, :3], axis=0))


def _rows_on_grid(atlas: Atlas, header: ImageHeader) -> tuple[Indices, FloatArray, tuple[str, ...]]:
    """Return each voxel's parcel row (-1 outside), and the share of each parcel inside the grid."""
    assert atlas.labels is not None  # noqa: S101  place_atlas asks only then
    assert atlas.affine is not None  # noqa: S101  comes with the labels
    if "index" not in atlas.parcels:
        raise InputError(f"atlas {atlas.name!r} has no column 'index' with the parcels' labels")
    row_of_label = np.full(int(atlas.labels.max()) + 1, -1, dtype=np.intp)
    index = atlas.parcels["index"].to_numpy(dtype=np.int64)
    known = (index > 0) & (index < len(row_of_label)) & ~atlas.is_sphere
    row_of_label[index[known]] = np.flatnonzero(known)
    if same_grid(atlas.labels.shape, atlas.affine, header.shape, header.affine):
        return row_of_label[atlas.labels.ravel(order="F")], np.ones(len(index)), ()

    to_atlas = np.asarray(np.linalg.inv(atlas.affine) @ header.affine, dtype=np.float64)
    labels = resample_labels(atlas.labels, to_atlas, header.shape)
    if not labels.any():
        raise _elsewhere(header, atlas)
    # What the image's box cuts off would else be missing from the count of a parcel's voxels.
    placed = np.stack(np.nonzero(atlas.labels))
    to_image = np.asarray(np.linalg.inv(to_atlas), dtype=np.float64)
    _, within = _nearest(to_image, placed, header.shape)
    rows = row_of_label[atlas.labels[tuple(placed)]]
    n_whole = np.bincount(rows[rows >= 0], minlength=len(index))
    n_within = np.bincount(rows[(rows >= 0) & within], minlength=len(index))
    on_grid = row_of_label[labels.ravel(order="F")]
    lost = (n_within > 0) & (np.bincount(on_grid[on_grid >= 0], minlength=len(index)) == 0)
    notes = [
        f"atlas {atlas.name} resampled by nearest neighbour from {grid_text(atlas.labels.shape)} at "
        f"{sizes_mm(atlas.affine)} mm to the image's {grid_text(header.shape)} at "
        f"{sizes_mm(header.affine)} mm"
    ]
    if lost.any():
        notes.append(
            f"{int(lost.sum())} parcels of atlas {atlas.name} are too small for the image's grid and "
            f"have no voxel left after resampling: {some(atlas.parcels.index[lost])}"
        )
    return on_grid, n_within / np.maximum(n_whole, 1), tuple(notes)


def _elsewhere(header: ImageHeader, atlas: Atlas) -> InputError:
    return InputError(
        f"{header.path}: atlas {atlas.name!r} and the image share no place in world "
        "coordinates; one of them has a wrong affine or belongs to another space"
    )


def _nearest(
    matrix: FloatArray, positions: NDArray[Any], shape: tuple[int, ...]
) -> tuple[Indices, BoolArray]:
    moved = matrix[:3, :3] @ positions + matrix[:3, 3:]
    # Halfway between two voxels rounding would decide, on one machine so and on another so.
    nearest = np.floor(moved + 0.5 - 1e-6).astype(np.intp)
    limits = np.array(shape)[:, np.newaxis]
    return nearest, ((nearest >= 0) & (nearest < limits)).all(axis=0)
