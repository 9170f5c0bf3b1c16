"""What can be wrong with a label image and its table, each with a message that says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import FloatArray
from connectrial.errors import InputError

_HEMISPHERE_COLUMNS = ("hemisphere", "hemi", "side")
_CENTROID_COLUMNS = (
    ("x_mm", "y_mm", "z_mm"),
    ("x", "y", "z"),
    ("R", "A", "S"),
    ("x_mni", "y_mni", "z_mni"),
)
# Schaefer (7Networks_LH_Vis_1), Gordon (L_Default_1), FreeSurfer (Left-Amygdala), Tian (HIP-lh),
# Harvard-Oxford and AAL (Hippocampus_L).
_SIDE = re.compile(
    r"^(?:(?:7|17)Networks_)?(?P<start>L|R|LH|RH|lh|rh|Left|Right|left|right)[-_ .]"
    r"|[-_ .](?P<end>L|R|LH|RH|lh|rh|Left|Right|left|right)$"
)
_NEAR_MIDLINE_MM = 4.0
_FAR_MM = 20.0  # surface and volume centroids of one parcel differ by up to 10 mm in Gordon's atlas
_SHOWN = 8


def sides_of(parcels: pd.DataFrame) -> list[str]:
    """Return the hemisphere of each parcel as its table or its name tells it.

    Parameters
    ----------
    parcels : pandas.DataFrame
        Indexed by name; a column ``hemisphere``, ``hemi`` or ``side`` counts before names.

    Returns
    -------
    list of str
        ``L``, ``R``, or nothing where neither tells.
    """
    column = next((one for one in _HEMISPHERE_COLUMNS if one in parcels), None)
    if column is not None:
        texts = parcels[column].astype("object").fillna("").astype(str).str.strip().str.upper()
        return [
            text[0] if text in ("L", "R", "LH", "RH", "LEFT", "RIGHT") else "" for text in texts
        ]
    sides = []
    for name in parcels.index:
        found = _SIDE.search(str(name))
        sides.append((found["start"] or found["end"])[0].upper() if found else "")
    # A name may end in _L by chance; names that tell sides tell both.
    return sides if {"L", "R"} <= set(sides) else [""] * len(sides)


def centroids_mm(
    labels: NDArray[np.int32], affine: FloatArray, index: NDArray[np.int64]
) -> FloatArray:
    """Return the mean place of each label's voxels.

    Parameters
    ----------
    labels : array of int, shape (i, j, k)
        The label image.
    affine : array, shape (4, 4)
        Voxel to world, mm.
    index : array of int, shape (n_parcels,)
        Labels that are wanted.

    Returns
    -------
    array, shape (n_parcels, 3)
        World, mm; NaN for labels without a voxel.
    """
    place = np.stack(np.nonzero(labels))
    found = labels[tuple(place)]
    world = affine[:3, :3] @ place + affine[:3, 3:]
    size = max(int(labels.max()), int(index.max(initial=0))) + 1
    count = np.bincount(found, minlength=size)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(found, weights=axis, minlength=size) / count for axis in world]
    return np.stack(means, axis=1)[np.clip(index, 0, size - 1)]


def check_places(
    parcels: pd.DataFrame,
    labels: NDArray[np.int32],
    affine: FloatArray,
    *,
    image: Path,
    table: Path | str | None,
) -> tuple[str, ...]:
    """Compare where labels lie with the sides and centroids that the table states.

    Parameters
    ----------
    parcels : pandas.DataFrame
        With ``index``, and what the table tells of hemispheres and centroids (columns x, y, z; or
        with ``_mm`` or ``_mni``; or R, A, S; in mm).
    labels : array of int, shape (i, j, k)
        The label image.
    affine : array, shape (4, 4)
        Voxel to world, mm.
    image : Path
        For messages.
    table : Path, str or None
        Likewise: where the parcels come from.

    Returns
    -------
    tuple of str
        Notes on single parcels that lie elsewhere than the table says.

    Raises
    ------
    InputError
        If left and right are swapped, or most parcels lie elsewhere.
    """
    places = centroids_mm(labels, affine, parcels["index"].to_numpy(dtype=np.int64))
    notes = _check_sides(parcels, places, image=image, table=table)
    return notes + _check_centroids(parcels, places, image=image, table=table)


def check_labels_match(
    parcels: pd.DataFrame, in_image: NDArray[np.int32], *, image: Path, table: Path | str | None
) -> None:
    """Refuse an image and a table whose labels do not match one to one.

    Parameters
    ----------
    parcels : pandas.DataFrame
        With the table's ``index``.
    in_image : array of int, shape (n_labels,)
        Labels of the image without 0.
    image : Path
        For messages.
    table : Path, str or None
        Likewise: where the parcels come from.

    Raises
    ------
    InputError
        With the labels that have no row, and the rows that have no voxel.
    """
    if "index" not in parcels:
        raise InputError(
            f"{table}: with a label image the table needs a column 'index' with each parcel's "
            f"label; it has {', '.join(parcels.columns)}"
        )
    index = parcels["index"].to_numpy(dtype=np.int64)
    nameless = np.setdiff1d(in_image, index)
    absent = np.setdiff1d(index, in_image)
    problems = []
    if len(nameless):
        problems.append(
            f"{image}: {len(nameless)} labels have no row in {table}: {_some(nameless)}; "
            "image and table belong to different atlases, or the table is incomplete"
        )
    if len(absent):
        why = "a coarser grid, or 8 bits for more than 127 labels"
        if (absent > 127).all() and len(in_image) and in_image.max() <= 127:
            why = "all of them are above 127, so the image was saved with 8 bits: save it with 16"
        problems.append(
            f"{table}: {len(absent)} rows have no voxel in {image}: {_some(absent)}; "
            f"the image lost labels ({why}), or it belongs to another atlas"
        )
    if problems:
        raise InputError(problems)


def _check_sides(
    parcels: pd.DataFrame, places: FloatArray, *, image: Path, table: Path | str | None
) -> tuple[str, ...]:
    sides = np.array(sides_of(parcels))
    x = places[:, 0]
    lateral = (sides != "") & (np.abs(np.nan_to_num(x)) > _NEAR_MIDLINE_MM)
    wrong = lateral & ((sides == "L") == (x > 0))
    if not wrong.any():
        return ()
    first = int(np.flatnonzero(wrong)[0])
    example = f"{parcels.index[first]!r} ({sides[first]}) lies at x = {x[first]:.0f} mm"
    if wrong.sum() > lateral.sum() / 2:
        raise InputError(
            f"{image}: left and right are swapped: {int(wrong.sum())} of {int(lateral.sum())} parcels lie "
            f"on the other side than {table or 'their names'} says; {example}, and x > 0 is right. The "
            "image was flipped or its affine lost a sign; take the original, or mend the affine"
        )
    names = ", ".join(map(str, parcels.index[wrong][:_SHOWN]))
    return (
        f"{int(wrong.sum())} of {int(lateral.sum())} parcels lie on the other side than their name or "
        f"table says: {names}; {example}",
    )


def _check_centroids(
    parcels: pd.DataFrame, places: FloatArray, *, image: Path, table: Path | str | None
) -> tuple[str, ...]:
    columns = next((c for c in _CENTROID_COLUMNS if set(c) <= set(parcels.columns)), None)
    if columns is None:
        return ()
    try:
        stated = parcels[list(columns)].to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        return ()  # columns of these names that hold no numbers are no centroids
    away = np.linalg.norm(places - stated, axis=1)
    known = np.isfinite(away)
    if not known.any():
        return ()
    middle = float(np.median(away[known]))
    if middle > _FAR_MM:
        mirrored = np.linalg.norm(places * [-1, 1, 1] - stated, axis=1)[known]
        if np.median(mirrored) < middle / 2:
            raise InputError(
                f"{image}: left and right are swapped: with x mirrored the parcels lie "
                f"{np.median(mirrored):.0f} mm from the centroids in {table}, as they are {middle:.0f} mm; "
                "take the original image, or mend its affine"
            )
        raise InputError(
            f"{image}: its parcels lie {middle:.0f} mm (median) from the centroids in {table}; image and "
            "table number parcels differently, or the image is in another space"
        )
    far = known & (away > 2 * _FAR_MM)
    if not far.any():
        return ()
    names = ", ".join(map(str, parcels.index[far][:_SHOWN]))
    return (
        f"{int(far.sum())} parcels lie more than {2 * _FAR_MM:.0f} mm from the centroids in the table: "
        f"{names}",
    )


def _some(labels: NDArray[np.integer]) -> str:
    shown = ", ".join(str(int(label)) for label in labels[:_SHOWN])
    return f"{shown}, ..." if len(labels) > _SHOWN else shown
