"""The nouns: a scan, an atlas, the signal of its parcels, and their connectivity.

Each refuses to exist wrong, so nobody behind it checks again.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    right : Path or None
        File of the right hemisphere, where `path` is the left one's (surface runs only).
    denoised : bool
        Whether the image was denoised by the tool that made it.
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
    right: Path | None = None
    denoised: bool = False

    @property
    def on_grayordinates(self) -> bool:
        """Return whether the run lies on vertices and voxels that it names, not on a grid."""
        return self.right is not None or self.path.name.endswith(".dtseries.nii")

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
class Grayordinates:
    """Where each row of a CIFTI or surface file lies: a vertex or a voxel of a named structure.

    Two files may hold the same grayordinates in different orders, so rows are always matched by
    structure and vertex or voxel, never by position.

    Attributes
    ----------
    structures : tuple of str
        CIFTI names without prefix, such as ``CORTEX_LEFT`` or ``THALAMUS_RIGHT``.
    structure : array of int, shape (n_rows,)
        Position in `structures`.
    vertex : array of int, shape (n_rows,)
        Vertex of the structure's surface; -1 where the row is a voxel.
    voxel : array of int, shape (n_rows, 3)
        Voxel of the volume; -1 where the row is a vertex.
    n_vertices : mapping of str to int
        Vertices of each surface structure's mesh, those without data included.
    affine : array, shape (4, 4), or None
        Voxel to world (mm); None without voxels.
    volume_shape : tuple of int, or None
        Voxels of the volume along its three axes, where the file says so.
    """

    structures: tuple[str, ...]
    structure: NDArray[np.int16]
    vertex: NDArray[np.int32]
    voxel: NDArray[np.int32]
    n_vertices: Mapping[str, int] = field(default_factory=dict)
    affine: FloatArray | None = None
    volume_shape: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        n = len(self.structure)
        if self.vertex.shape != (n,) or self.voxel.shape != (n, 3):
            raise InputError(
                f"grayordinates: {n} rows need vertex ({n},) and voxel ({n}, 3); "
                f"got {self.vertex.shape} and {self.voxel.shape}"
            )
        is_voxel = self.vertex < 0
        if (is_voxel != (self.voxel >= 0).all(axis=1)).any():
            raise InputError("grayordinates: each row is either a vertex or a voxel")
        if is_voxel.any() and self.affine is None:
            raise InputError("grayordinates: voxels come with their affine")

    def __len__(self) -> int:
        return len(self.structure)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Atlas:
    """Named parcels, the networks they belong to, and (for images) where they are.

    A parcel is a label of the volume, a label of the grayordinates, or (with a finite
    ``radius_mm``) a sphere.

    Attributes
    ----------
    name : str
        As in the ``atlas-`` entity.
    parcels : pandas.DataFrame
        Indexed by parcel name, in file order. Column ``network`` (str or missing) is always there;
        ``index`` holds the label value in the image where there is one. Spheres have ``x_mm``,
        ``y_mm``, ``z_mm`` (world) and ``radius_mm``; spheres may overlap.
    labels : array, shape (i, j, k), or None
        Label image; None for atlases that only name the columns of ready-made series.
    affine : array, shape (4, 4), or None
        Voxel to world (mm) of ``labels``.
    grayordinates : Grayordinates or None
        Rows of ``row_labels``; None for atlases that have no surface or CIFTI form.
    row_labels : array of int, shape (n_rows,), or None
        Label of each grayordinate; 0 is background.
    notes : tuple of str
        What a reader must know of this atlas, stand-ins above all.
    """

    name: str
    parcels: pd.DataFrame
    labels: NDArray[np.int32] | None = None
    affine: FloatArray | None = None
    grayordinates: Grayordinates | None = None
    row_labels: NDArray[np.int32] | None = None
    notes: tuple[str, ...] = ()

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
        if (self.row_labels is None) != (self.grayordinates is None) or (
            self.row_labels is not None
            and self.grayordinates is not None
            and len(self.row_labels) != len(self.grayordinates)
        ):
            raise InputError(f"atlas {self.name!r}: each grayordinate comes with one label")

    @property
    def is_sphere(self) -> BoolArray:
        """Return which parcels are spheres, shape (n_parcels,)."""
        if "radius_mm" not in self.parcels:
            return np.zeros(len(self.parcels), dtype=bool)
        return np.asarray(np.isfinite(self.parcels["radius_mm"].to_numpy(dtype=float)))

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
