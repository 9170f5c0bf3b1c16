"""Stream a 4-D image once and bring back the mean signal of every parcel.

A run is never whole in memory: one frame buffer is filled again and again, and the file is read to
its very end, because only there a gzip stream tells whether it is intact.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, BoolArray, FloatArray, TimeSeries
from connectrial.errors import InputError
from connectrial.io.cifti import is_cifti
from connectrial.io.image_pass import FramePass, stream_frames
from connectrial.io.nifti import ImageHeader, read_header, read_volume
from connectrial.io.placing import (
    grid_text,
    judge_overlap,
    place_atlas,
    same_grid,
    sizes_mm,
    some,
)
from connectrial.io.spheres import Overlap

Indices = NDArray[np.intp]


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

    sums = stream_frames(header, placed, voxels, n_parcels=n_parcels)
    if sums.lost.any():
        sums = stream_frames(header, placed, sums.voxels[~sums.lost], n_parcels=n_parcels)
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
    sums: FramePass, header: ImageHeader, present: BoolArray, *, n_without_data: int
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
