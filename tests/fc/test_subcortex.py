"""Places of parcels, and nearby cortex taken out of subcortical ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.data import Atlas, TimeSeries
from connectrial.errors import InputError
from connectrial.fc.places import parcel_centroids
from connectrial.fc.subcortex import clean_subcortex

PARCELS = pd.Index(["deep", "near", "also near", "far"])
PLACES = np.array([[0.0, 0, 0], [10, 0, 0], [0, 20, 0], [0, 0, 20.5]])


def series(rng: np.random.Generator) -> TimeSeries:
    signal = 5 + rng.normal(size=(80, 4))
    signal[:, 0] += signal[:, 1] + 0.5 * signal[:, 3]
    kept = rng.random(80) > 0.2
    return TimeSeries(signal=signal, kept=kept, parcels=PARCELS)


def clean(one: TimeSeries, **more):
    settings = {"subcortical": "nearby-cortex", "subcortical_parcels": pd.Index(["deep"])}
    return clean_subcortex(one, **(settings | {"centroids_mm": PLACES} | more))


def test_the_residual_is_that_of_least_squares_on_kept_frames():
    one = series(np.random.default_rng(0))
    cleaned = clean(one)
    kept = one.kept
    regressor = one.signal[kept][:, [1, 2]].mean(axis=1)  # 20 mm away counts, 20.5 mm does not
    design = np.column_stack([np.ones(kept.sum()), regressor])
    beta = np.linalg.lstsq(design, one.signal[kept, 0], rcond=None)[0]
    expected = one.signal[kept, 0] - beta[1] * (regressor - regressor.mean())
    assert np.allclose(cleaned.series.signal[kept, 0], expected, rtol=0, atol=1e-12)
    assert np.corrcoef(cleaned.series.signal[kept, 0], regressor)[0, 1] == pytest.approx(
        0, abs=1e-12
    )
    assert np.array_equal(cleaned.series.signal[:, 1:], one.signal[:, 1:])
    assert cleaned.n_near.to_dict() == {"deep": 2}


def test_censored_frames_have_no_say():
    one = series(np.random.default_rng(1))
    wild = one.signal.copy()
    wild[~one.kept] = 1e6
    other = TimeSeries(signal=wild, kept=one.kept, parcels=PARCELS)
    first, second = clean(one).series.signal, clean(other).series.signal
    assert np.allclose(first[one.kept], second[one.kept], rtol=0, atol=1e-12)


def test_without_cortex_nearby_or_when_not_asked_nothing_changes():
    one = series(np.random.default_rng(2))
    lonely = clean(one, nearby_mm=5.0)
    assert np.array_equal(lonely.series.signal, one.signal)
    assert lonely.n_near.to_dict() == {"deep": 0}
    assert clean(one, subcortical="none").series is one


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"subcortical": "cortex"}, "must be 'none' or 'nearby-cortex'"),
        ({"subcortical_parcels": pd.Index(["who"])}, "'who' is no parcel"),
        ({"centroids_mm": np.full((4, 3), np.nan)}, "the place of 'deep' is not known"),
        ({"centroids_mm": PLACES[:2]}, r"must be \(4, 3\)"),
        ({"nearby_mm": 0.0}, "nearby_mm must be positive"),
    ],
)
def test_wrong_arguments_are_named(more, message):
    with pytest.raises(InputError, match=message):
        clean(series(np.random.default_rng(3)), **more)


def test_centres_are_means_of_voxels_in_world_coordinates():
    labels = np.zeros((4, 4, 4), dtype=np.int32)
    labels[0, 0, 0] = labels[2, 0, 0] = 3
    labels[1, 1, 1] = 5
    affine = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
    parcels = pd.DataFrame({"index": [5, 3, 7], "network": pd.NA}, index=["five", "three", "none"])
    found = parcel_centroids(Atlas(name="x", parcels=parcels, labels=labels, affine=affine))
    assert found[:2].tolist() == [[88, -124, -70], [88, -126, -72]]
    assert np.isnan(found[2]).all()
    stated = parcels.assign(x_mm=[1.0, np.nan, 7], y_mm=2.0, z_mm=3.0)
    found = parcel_centroids(Atlas(name="x", parcels=stated, labels=labels, affine=affine))
    assert found.tolist() == [[1, 2, 3], [88, -126, -72], [7, 2, 3]]
