"""Seed maps of a simulated image, against the FC of its parcels."""

from __future__ import annotations

import numpy as np
import pytest

from connectrial.data import TimeSeries
from connectrial.fc.connectivity import correlate_parcels
from connectrial.fc.denoising import build_cleaning, denoise
from connectrial.fc.seed_maps import seed_maps
from connectrial.fc.voxelwise import denoise_voxels, voxel_operator
from connectrial.simulate import simulate_trial


@pytest.fixture(scope="module")
def image_and_atlas():
    trial = simulate_trial(seed=11)
    return next(iter(trial.images())), trial.atlas


def test_a_seed_map_averages_to_the_parcels_fc(image_and_atlas):
    """Law: r of the seed with a parcel is the mean over its voxels of r x SD, over the mean's SD.

    Where a parcel's voxels are alike but for noise, the mean of the map is that r, shrunk by the
    share of the parcel's signal in a voxel and by nothing else.
    """
    image, atlas = image_and_atlas
    n_frames = image.data.shape[-1]
    kept = np.ones(n_frames, dtype=bool)
    kept[0] = False  # before the steady state
    label = atlas.labels[image.mask]
    voxels = image.data[image.mask].T.astype(np.float32)
    names = atlas.parcels.index
    parcels = np.stack(
        [voxels[:, label == k + 1].mean(axis=1, dtype=np.float64) for k in range(len(names))],
        axis=1,
    )
    confounds = image.confounds.fillna(0.0)
    raw = TimeSeries(
        signal=parcels, kept=kept, parcels=names, repetition_time_s=image.repetition_time_s
    )
    z = correlate_parcels(denoise(raw, confounds, strategy="36P", band_hz=None)).z
    cleaning, _ = build_cleaning(
        kept, confounds, repetition_time_s=image.repetition_time_s, strategy="36P", band_hz=None
    )
    cleaned = denoise_voxels(voxels, voxel_operator(cleaning, n_frames=n_frames))
    seed = int(np.flatnonzero(names == "LH_Default_1")[0])
    found = np.tanh(seed_maps(cleaned, cleaned[:, label == seed + 1].mean(axis=1))[0])
    sd = cleaned.std(axis=0)
    others = [k for k in range(len(names)) if k != seed]
    weighted, plain, share = [], [], []
    for k in others:
        mine = label == k + 1
        whole = cleaned[:, mine].mean(axis=1).std()
        weighted.append(np.mean(found[mine] * sd[mine]) / whole)
        plain.append(found[mine].mean())
        share.append(whole / sd[mine].mean())
    expected = np.tanh(z[seed, others])
    np.testing.assert_allclose(weighted, expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(plain, expected * np.array(share), rtol=0, atol=0.02)
    assert np.corrcoef(plain, expected)[0, 1] > 0.98
