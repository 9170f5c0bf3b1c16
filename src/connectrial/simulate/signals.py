"""Signals whose population correlation is exactly the planned one, and how heads move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from connectrial.data import Atlas, FloatArray, TimeSeries
from connectrial.fc.quality import framewise_displacement
from connectrial.simulate.atlas import weak_parcels
from connectrial.simulate.design import TrialDesign

ARTEFACT_FD_MM = 0.5  # frames that move more carry an artefact; all other frames are clean
BAND_HZ = (0.009, 0.08)  # where the simulated signal has its power
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SimulatedScan:
    """One run: the signal of every parcel and how the head moved.

    Attributes
    ----------
    subject, session, run : str
        BIDS labels without prefixes.
    visit : str
        ``pre`` or ``post`` (patients), ``control``.
    series : TimeSeries
        Shape (n_frames, n_parcels), arbitrary units around a mean of 1000; every frame kept.
    motion : pandas.DataFrame
        ``trans_x`` to ``trans_z`` in mm, ``rot_x`` to ``rot_z`` in radians, and
        ``framewise_displacement`` in mm (radius 50 mm, first value NaN).
    image_seed : int
        Seeds the noise of this run's image, where there is one.
    """

    subject: str
    session: str
    run: str
    visit: str
    series: TimeSeries
    motion: pd.DataFrame
    image_seed: int


def draw_scans(
    sessions: pd.DataFrame,
    z: FloatArray,
    *,
    atlas: Atlas,
    design: TrialDesign,
    special: dict[str, str],
    rng: np.random.Generator,
) -> tuple[SimulatedScan, ...]:
    """Return every run's signals and motion."""
    quietness = {
        subject: design.mean_fd_mm * rng.lognormal(0, 0.25)
        for subject in sessions["subject"].unique()
    }
    weak = weak_parcels(atlas)
    scans = []
    columns = (sessions[c] for c in ("subject", "session", "visit", "scan"))
    for i, (subject, session, visit, scan) in enumerate(zip(*columns, strict=True)):
        r = np.tanh(z[i])
        np.fill_diagonal(r, 1.0)
        lower = np.linalg.cholesky(r)
        moved = scan == special.get("high motion")
        for run in range(1, design.n_runs + 1):
            motion = draw_motion(
                design.n_frames,
                mean_fd_mm=0.6 if moved else quietness[subject],
                n_jerks=int(rng.poisson(design.n_frames / 60)),
                rng=rng,
            )
            signal = draw_band_limited(
                design.n_frames, len(r), repetition_time_s=design.repetition_time_s, rng=rng
            )
            signal = signal @ lower.T + motion_artefact(motion, len(r), rng)
            mean, sd = rng.uniform(850, 1150, len(r)), rng.uniform(8, 12, len(r))
            if scan == special.get("weak parcels"):
                mean[weak], sd[weak] = rng.uniform(2, 8, weak.sum()), 0.2
            scans.append(
                SimulatedScan(
                    subject=subject,
                    session=session,
                    run=str(run),
                    visit=visit,
                    series=TimeSeries(
                        signal=mean + sd * signal,
                        kept=np.ones(design.n_frames, dtype=bool),
                        parcels=atlas.parcels.index,
                        repetition_time_s=design.repetition_time_s,
                    ),
                    motion=motion,
                    image_seed=int(rng.integers(2**31)),
                )
            )
    return tuple(scans)


def draw_band_limited(
    n_frames: int, n_series: int, *, repetition_time_s: float, rng: np.random.Generator
) -> FloatArray:
    """Draw independent Gaussian series of one spectrum, population mean 0 and variance 1.

    The power is that of white noise through a Butterworth band-pass (order 2, ``BAND_HZ``). A
    matrix product over the series keeps the spectrum, so it sets their correlation exactly.

    Parameters
    ----------
    n_frames, n_series : int
        Shape of the result.
    repetition_time_s : float
        Seconds between frames.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    array, shape (n_frames, n_series)
        Dimensionless.
    """
    n = 2 * n_frames  # twice as long as needed: the transform joins the ends, the cut undoes that
    frequency = np.fft.rfftfreq(n, repetition_time_s)
    low, high = (frequency / BAND_HZ[0]) ** 4, (frequency / BAND_HZ[1]) ** 4
    power = low / (1 + low) / (1 + high)
    both_sides = np.full(len(frequency), 2.0)
    both_sides[0] = 1.0
    if n % 2 == 0:
        both_sides[-1] = 1.0
    power /= (both_sides * power).sum() / n
    spectrum = np.fft.rfft(rng.standard_normal((n, n_series)), axis=0) * np.sqrt(power)[:, None]
    return np.fft.irfft(spectrum, n=n, axis=0)[:n_frames]


def draw_motion(
    n_frames: int, *, mean_fd_mm: float, n_jerks: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Return six motion parameters and their framewise displacement: jitter, drift and jerks."""
    path = rng.normal(0, 1, (n_frames, 6)) + np.cumsum(rng.normal(0, 0.3, (n_frames, 6)), axis=0)
    path *= mean_fd_mm / np.abs(np.diff(path, axis=0)).sum(axis=1).mean()
    for start in rng.integers(5, max(6, n_frames - 5), n_jerks):
        direction = rng.dirichlet(np.ones(6)) * rng.choice([-1, 1], 6)
        path[start : start + rng.integers(1, 3)] += rng.uniform(0.8, 1.8) * direction
    path -= path[0]
    path[:, 3:] /= 50.0  # mm on a sphere of 50 mm are radians
    fd = framewise_displacement(path)
    return pd.DataFrame(path, columns=list(MOTION)).assign(framewise_displacement=fd)


def motion_artefact(motion: pd.DataFrame, n_parcels: int, rng: np.random.Generator) -> FloatArray:
    """Return what motion adds, in SDs of the signal: nothing below ``ARTEFACT_FD_MM``."""
    fd = motion["framewise_displacement"].fillna(0.0).to_numpy()
    size = np.where(fd > ARTEFACT_FD_MM, 1.5 * fd * rng.choice([-1.0, 1.0], len(fd)), 0.0)
    return np.outer(size, rng.uniform(0.5, 1.5, n_parcels))
