"""The nouns: a scan, an atlas, the signal of its parcels, and their connectivity.

Each refuses to exist wrong, so nobody behind it checks again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import InputError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
ScanKind = Literal["image", "time series", "matrix"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One run of one session: where its data are and what its name says.

    Attributes
    ----------
    subject : str
        Without the ``sub-`` prefix.
    session, run, task, space, atlas, description : str or None
        BIDS entities without their prefixes; None where the name has none.
    kind : {"image", "time series", "matrix"}
        What the file holds.
    path : Path
        The file.
    confounds : Path or None
        fMRIPrep confounds or XCP-D motion table of the same run.
    mask : Path or None
        Brain mask of the same run (images only).
    repetition_time_s : float or None
        Seconds between frames; None where no sidecar states it.
    n_frames : int or None
        Frames in the file; None for matrices.
    """

    subject: str
    session: str | None
    run: str | None
    kind: ScanKind
    path: Path
    task: str | None = None
    space: str | None = None
    atlas: str | None = None
    description: str | None = None
    confounds: Path | None = None
    mask: Path | None = None
    repetition_time_s: float | None = None
    n_frames: int | None = None

    @property
    def name(self) -> str:
        """Return the run's BIDS name, such as ``sub-01_ses-pre1_run-1``."""
        parts = [f"sub-{self.subject}"]
        if self.session is not None:
            parts.append(f"ses-{self.session}")
        if self.run is not None:
            parts.append(f"run-{self.run}")
        return "_".join(parts)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Atlas:
    """Named parcels, the networks they belong to, and (for images) where they are.

    Attributes
    ----------
    name : str
        As in the ``atlas-`` entity.
    parcels : pandas.DataFrame
        Indexed by parcel name, in file order. Column ``network`` (str or missing) is always there;
        ``index`` holds the label value in the image where there is one.
    labels : array, shape (i, j, k), or None
        Label image; None for atlases that only name the columns of ready-made series.
    affine : array, shape (4, 4), or None
        Voxel to world (mm) of ``labels``.
    """

    name: str
    parcels: pd.DataFrame
    labels: NDArray[np.int32] | None = None
    affine: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.parcels.index.has_duplicates:
            twice = sorted(set(self.parcels.index[self.parcels.index.duplicated()]))
            raise InputError(
                f"atlas {self.name!r} names these parcels more than once: {', '.join(twice[:5])}; "
                "give each parcel a name of its own"
            )
        if "network" not in self.parcels:
            raise InputError(f"atlas {self.name!r} has no column 'network'")
        if (self.labels is None) != (self.affine is None):
            raise InputError(f"atlas {self.name!r}: a label image comes with its affine")

    def network(self, name: str) -> pd.Index:
        """Return the parcels of one network, in atlas order."""
        return self.parcels.index[(self.parcels["network"] == name).to_numpy()]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TimeSeries:
    """The signal of every parcel over one run.

    Attributes
    ----------
    signal : array, shape (n_frames, n_parcels)
        In the units of the file; a parcel without data is a column of NaN.
    kept : array of bool, shape (n_frames,)
        Frames that survive censoring.
    parcels : pandas.Index
        Parcel names, in column order.
    repetition_time_s : float or None
        Seconds between frames; None where it is unknown.
    coverage : array, shape (n_parcels,), or None
        Share of each parcel's voxels that have data (0 to 1); None where no image was read.
    remaining_df : int or None
        Degrees of freedom left to each parcel after denoising; None before it.
    """

    signal: FloatArray
    kept: BoolArray
    parcels: pd.Index
    repetition_time_s: float | None = None
    coverage: FloatArray | None = None
    remaining_df: int | None = None

    def __post_init__(self) -> None:
        if self.signal.ndim != 2 or self.signal.shape[1] != len(self.parcels):
            raise InputError(
                f"signal must be (n_frames, {len(self.parcels)}) to match its parcels; "
                f"got {self.signal.shape}"
            )
        if self.kept.shape != (self.signal.shape[0],):
            raise InputError(
                f"kept must have one entry for each of {self.signal.shape[0]} frames; "
                f"got {self.kept.shape}"
            )
        if self.parcels.has_duplicates:
            raise InputError("two columns of the signal bear one parcel's name")

    @property
    def n_kept(self) -> int:
        """Return the number of kept frames."""
        return int(self.kept.sum())

    @property
    def kept_minutes(self) -> float | None:
        """Return the minutes that the kept frames cover; None where the repetition time is unknown."""
        if self.repetition_time_s is None:
            return None
        return self.n_kept * self.repetition_time_s / 60.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Connectivity:
    """Fisher z of Pearson's r between every pair of parcels of one session.

    Attributes
    ----------
    z : array, shape (n_parcels, n_parcels)
        Symmetric; NaN on the diagonal and for parcels without data.
    parcels : pandas.Index
        Parcel names, in row order.
    n_frames : int or None
        Kept frames that the correlations rest on; None where the matrix came ready-made.
    notes : tuple of str
        What a reader must know of this matrix.
    """

    z: FloatArray
    parcels: pd.Index
    n_frames: int | None = None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        n = len(self.parcels)
        if self.z.shape != (n, n):
            raise InputError(f"z must be ({n}, {n}) to match its {n} parcels; got {self.z.shape}")
        if not np.isnan(np.diagonal(self.z)).all():
            raise InputError("the diagonal of z must be NaN, so that no mean can include it")
        if not np.allclose(self.z, self.z.T, rtol=0, atol=1e-8, equal_nan=True):
            raise InputError("z must be symmetric")
