"""Maps over parcels: their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.data import Connectivity
from connectrial.errors import InputError
from connectrial.fc.graphs import global_connectivity
from connectrial.fc.profiles import parcel_profile


def matrix(n: int, seed: int) -> np.ndarray:
    half = np.triu(np.random.default_rng(seed).normal(0.2, 0.1, (n, n)), k=1)
    z = half + half.T
    np.fill_diagonal(z, np.nan)
    return z


@settings(deadline=None, max_examples=30)
@given(n=st.integers(3, 9), k=st.integers(1, 3), seed=st.integers(0, 2**16))
def test_the_mean_over_a_network_is_its_fc_with_the_seed(n, k, seed):
    """Law: averaged over what is not the seed, a map is the mean over the edges between both."""
    z = matrix(n, seed)
    inside = np.arange(n) < min(k, n - 1)
    profile = parcel_profile(z, inside)
    assert profile[~inside].mean() == pytest.approx(z[np.ix_(~inside, inside)].mean(), abs=1e-12)
    within = z[np.ix_(inside, inside)]
    if inside.sum() > 1:
        assert profile[inside].mean() == pytest.approx(np.nanmean(within), abs=1e-12)
    else:
        assert np.isnan(profile[inside]).all()  # a parcel has no edge with itself


@pytest.mark.parametrize(("statistic", "mean_of"), [("mean_z", "z"), ("mean_r", "r")])
def test_with_everything_as_seed_it_is_global_connectivity(statistic, mean_of):
    z = matrix(7, 3)
    z[2, 5] = z[5, 2] = np.nan
    names = [f"p{i}" for i in range(7)]
    whole = global_connectivity(Connectivity(z=z, parcels=names), mean_of=mean_of)
    profile = parcel_profile(z, np.ones(7, dtype=bool), statistic=statistic)
    np.testing.assert_allclose(profile, whole.to_numpy(), atol=1e-14)


def test_an_empty_seed_is_refused():
    with pytest.raises(InputError, match="the seed has no parcel"):
        parcel_profile(matrix(4, 0), np.zeros(4, dtype=bool))
    with pytest.raises(InputError, match="the seed has 3 parcels, the matrix 4"):
        parcel_profile(matrix(4, 0), np.ones(3, dtype=bool))
