"""Results with maps over a coarse grid in MNI space, for tests of the page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from connectrial.results import GroupMap, Result, Results

AFFINE = np.array([[8.0, 0, 0, -72], [0, 8, 0, -108], [0, 0, 8, -64], [0, 0, 0, 1]])
PEAK = (0.0, -55.0, 25.0)  # mm, where the change is


def with_maps(results: Results) -> Results:
    """Add an analysis of maps: a bump at PEAK that shrinks, inside an ellipsoid."""
    shape = (19, 23, 19)
    ijk = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    xyz = ijk @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    inside = ((xyz - [0, -18, 10]) ** 2 / np.array([72.0, 92, 68]) ** 2).sum(axis=-1) < 1
    bump = np.exp(-((xyz - PEAK) ** 2).sum(axis=-1) / (2 * 18.0**2))
    pre = np.where(inside, 0.5 * bump, np.nan).astype(np.float32)
    test = np.where(inside, -5 * bump, np.nan).astype(np.float32)
    images = {
        "visit-pre_stat-mean": pre,
        "visit-post_stat-mean": (0.6 * pre).astype(np.float32),
        "visit-post_from-pre_stat-difference": (-0.4 * pre).astype(np.float32),
        "term-time_stat-t": test,
        "term-time_stat-p": np.where(test < -2, 0.01, 0.5).astype(np.float32),
    }
    one = Result(
        name="seed",
        title="Seed map (Fisher z)",
        role="descriptive",
        what="map",
        outcome="map",
        estimates=results.analyses[0].estimates.iloc[:0],
        methods="Mean Fisher z of a seed with every voxel.",
    )
    drawn = GroupMap(affine=AFFINE, images=images, clusters=pd.DataFrame())
    return replace(results, analyses=(*results.analyses, one), maps={"seed": drawn})
