"""Small 4D images, with confounds as fMRIPrep names them, whose parcel means are a run's series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from connectrial.data import Atlas, BoolArray, FloatArray
from connectrial.errors import InputError
from connectrial.fc.quality import dvars
from connectrial.simulate.atlas import is_in_brain, voxel_mm
from connectrial.simulate.signals import MOTION, SimulatedScan, draw_band_limited


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SimulatedImage:
    """One run as a small 4D image with fMRIPrep-like confounds.

    Attributes
    ----------
    subject, session, run : str
        BIDS labels without prefixes.
    data : array of int16, shape (i, j, k, n_frames)
        Zero outside the brain.
    mask : array of bool, shape (i, j, k)
        The brain.
    affine : array, shape (4, 4)
        Voxel to world, mm.
    confounds : pandas.DataFrame
        One row per frame, named as fMRIPrep names them; the first derivatives are NaN.
    repetition_time_s : float
        Seconds between frames.
    """

    subject: str
    session: str
    run: str
    data: np.ndarray[tuple[int, ...], np.dtype[np.int16]]
    mask: BoolArray
    affine: FloatArray
    confounds: pd.DataFrame
    repetition_time_s: float


def simulate_image(scan: SimulatedScan, atlas: Atlas) -> SimulatedImage:
    """Make the 4D image whose parcel means, once denoised, are a run's series.

    A voxel is its parcel's signal + white noise + what 36-parameter regression takes away again:
    head motion (24 parameters), the signals of white matter and ventricles, a global swing, slow
    drifts. The first frame is brighter, as before the steady state.

    Parameters
    ----------
    scan : SimulatedScan
        The run, shape (n_frames, n_parcels).
    atlas : Atlas
        The atlas with its label image.

    Returns
    -------
    SimulatedImage
        Intensities in arbitrary units around 1000, with confounds taken from the image itself.

    Raises
    ------
    InputError
        If the atlas has no label image.
    """
    if atlas.labels is None or atlas.affine is None:
        raise InputError(f"atlas {atlas.name!r} has no label image; an image needs one")
    rng = np.random.default_rng(scan.image_seed)
    repetition_time_s = scan.series.repetition_time_s or 0.0
    mm = voxel_mm(atlas.labels.shape, atlas.affine)
    in_brain = is_in_brain(mm)
    mm, label = mm[in_brain], atlas.labels.ravel()[in_brain]
    from_centre = np.linalg.norm((mm - (0.0, -18.0, 10.0)) / (72.0, 90.0, 68.0), axis=1)
    csf = (label == 0) & (np.linalg.norm(mm - (0.0, -20.0, 16.0), axis=1) < 16.0)
    white = (label == 0) & ~csf & (from_centre < 0.6)

    signal = scan.series.signal
    n_frames, n_voxels = len(signal), len(mm)
    level = np.full(n_voxels, 900.0)
    level[label > 0] = signal.mean(axis=0)[label[label > 0] - 1]
    data = level + rng.normal(0, 6.0, (n_frames, n_voxels))
    data[:, label > 0] += (signal - signal.mean(axis=0))[:, label[label > 0] - 1]
    nuisance = _expand(scan.motion[list(MOTION)], skip_first=False)
    motion = nuisance.to_numpy() - nuisance.to_numpy().mean(axis=0)
    motion[:, [str(c).startswith("rot") for c in nuisance]] *= 50.0
    data += motion @ rng.normal(0, 8.0, (motion.shape[1], 3)) @ _field(mm, 3, rng)
    cosines = _cosines(n_frames, repetition_time_s)
    data += cosines.to_numpy() @ rng.normal(0, 6.0, (cosines.shape[1], 3)) @ _field(mm, 3, rng)
    swings = 8.0 * draw_band_limited(n_frames, 3, repetition_time_s=repetition_time_s, rng=rng)
    gains = np.stack(
        [rng.normal(1.0, 0.1, n_voxels), np.where(csf, 1.2, 0.2), np.where(white, 1.0, 0.2)]
    )
    data += swings @ gains
    data[0] += 80.0
    whole = np.rint(data).astype(np.int16)
    image = np.zeros((n_frames, in_brain.size), dtype=np.int16)
    image[:, in_brain] = whole
    tissue = {"csf": csf, "white_matter": white, "global_signal": np.ones(n_voxels, dtype=bool)}
    return SimulatedImage(
        subject=scan.subject,
        session=scan.session,
        run=scan.run,
        data=np.ascontiguousarray(np.moveaxis(image.reshape(n_frames, *atlas.labels.shape), 0, -1)),
        mask=in_brain.reshape(atlas.labels.shape),
        affine=atlas.affine,
        confounds=_confounds(whole.astype(float), tissue, scan.motion, cosines),
        repetition_time_s=repetition_time_s,
    )


def _field(mm: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    """Return n smooth spatial patterns with some roughness, shape (n, n_voxels), SD about 1."""
    return rng.normal(0, 1, (n, 3)) @ (mm.T / 60.0) + rng.normal(0, 0.5, (n, len(mm)))


def _expand(table: pd.DataFrame, *, skip_first: bool = True) -> pd.DataFrame:
    """Add derivatives and squares under fMRIPrep's names; the first derivative is NaN, or 0."""
    columns: dict[str, pd.Series] = {}
    for name in table:
        slope = table[name].diff()
        slope = slope if skip_first else slope.fillna(0.0)
        columns |= {
            f"{name}": table[name],
            f"{name}_derivative1": slope,
            f"{name}_derivative1_power2": slope**2,
            f"{name}_power2": table[name] ** 2,
        }
    return pd.DataFrame(columns)


def _cosines(n_frames: int, repetition_time_s: float) -> pd.DataFrame:
    """Return the discrete cosines slower than 128 s, of unit length, as fMRIPrep has them."""
    n = int(np.floor(2 * n_frames * repetition_time_s / 128.0))
    phase = (np.arange(n_frames) + 0.5)[:, None] * np.arange(1, n + 1) * np.pi / n_frames
    basis = np.sqrt(2.0 / n_frames) * np.cos(phase)
    return pd.DataFrame(basis, columns=[f"cosine{k:02d}" for k in range(n)])


def _confounds(
    data: FloatArray, tissue: dict[str, BoolArray], motion: pd.DataFrame, cosines: pd.DataFrame
) -> pd.DataFrame:
    """Return the confounds of one run; data are (n_frames, n_voxels) within the brain."""
    signals = pd.DataFrame({name: data[:, where].mean(axis=1) for name, where in tissue.items()})
    change = dvars(data)
    unsteady = np.zeros(len(data))
    unsteady[0] = 1.0
    own = {
        "dvars": change,
        "std_dvars": change / np.nanmedian(change),
        "framewise_displacement": motion["framewise_displacement"],
        "non_steady_state_outlier00": unsteady,
    }
    parts = [_expand(signals), pd.DataFrame(own), cosines, _expand(motion[list(MOTION)])]
    return pd.concat(parts, axis=1)
