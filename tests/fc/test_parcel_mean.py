"""The mean of all parcels taken out of each, against least squares by numpy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.data import TimeSeries
from connectrial.errors import InputError
from connectrial.fc.parcel_mean import regress_parcel_mean


def series(signal, kept=None):
    return TimeSeries(
        signal=signal,
        kept=np.ones(len(signal), dtype=bool) if kept is None else kept,
        parcels=pd.Index([f"p{i}" for i in range(signal.shape[1])]),
        remaining_df=40,
    )


def test_residuals_are_those_of_least_squares_on_kept_frames():
    """numpy's lstsq of intercept and mean, on kept frames, to 1e-10."""
    rng = np.random.default_rng(8)
    signal = 500 + rng.normal(size=(60, 5)) + rng.normal(size=(60, 1))
    signal[:, 3] = np.nan
    kept = rng.random(60) > 0.2
    cleaned = regress_parcel_mean(series(signal, kept))
    known = [0, 1, 2, 4]
    mean = signal[:, known].mean(axis=1)
    design = np.column_stack([np.ones(60), mean])
    slopes = np.linalg.lstsq(design[kept], signal[kept][:, known], rcond=None)[0]
    residual = signal[:, known] - design @ slopes
    ours = cleaned.signal[:, known] - signal[kept][:, known].mean(axis=0)
    assert np.abs(ours - residual)[kept].max() < 1e-10
    assert np.isnan(cleaned.signal[:, 3]).all()
    # what is left has no mean over parcels, and each parcel keeps its own level
    left = cleaned.signal[kept][:, known]
    assert np.abs((left - left.mean(axis=0)).mean(axis=1)).max() < 1e-10
    assert left.mean(axis=0) == pytest.approx(signal[kept][:, known].mean(axis=0))
    assert cleaned.remaining_df == 39


def test_a_mean_that_does_not_vary_is_refused():
    swing = np.tile([1.0, -1.0], 10)
    with pytest.raises(InputError, match="does not vary"):
        regress_parcel_mean(series(np.column_stack([swing, -swing])))
    with pytest.raises(InputError, match="no parcel has data"):
        regress_parcel_mean(series(np.full((20, 2), np.nan)))
