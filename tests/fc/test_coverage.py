"""Weak parcels: by coverage, by baseline, by SD, or said to be unknowable; and on a real trial."""

import numpy as np
import pandas as pd
import pytest

from connectrial.data import TimeSeries
from connectrial.errors import InputError
from connectrial.fc.coverage import find_weak_parcels, measure_signal_level


def a_scan(*, baseline=300.0, n_parcels=20) -> np.ndarray:
    return baseline + np.random.default_rng(5).normal(size=(60, n_parcels))


def test_a_parcel_far_below_the_scans_median_is_weak():
    signal = a_scan()
    signal[:, 3] -= 280.0  # 20 of 300
    signal[:, 8] -= 240.0  # 60 of 300: above a tenth
    table = find_weak_parcels(signal)
    assert table["parcel"].tolist() == [3]
    row = table.iloc[0]
    assert row["measure"] == "temporal mean"
    assert row["value"] == pytest.approx(20, abs=0.5)
    assert row["scan_median"] == pytest.approx(300, abs=0.5)
    assert row["ratio"] == pytest.approx(20 / 300, abs=0.002)
    assert find_weak_parcels(signal, min_signal_fraction=0.25)["parcel"].tolist() == [3, 8]
    means_alone = find_weak_parcels(signal.mean(axis=0))
    pd.testing.assert_frame_equal(means_alone, table)


@pytest.mark.parametrize(("baseline", "measure"), [(1.5, "temporal mean"), (0.5, "temporal SD")])
def test_a_baseline_is_there_if_it_exceeds_the_sd(baseline, measure):
    signal = (baseline + a_scan(baseline=0.0)) * np.linspace(1, 2, 20)
    assert measure_signal_level(signal).measure == measure


def test_without_a_baseline_the_sd_judges():
    signal = a_scan(baseline=0.0)
    signal *= np.linspace(1, 2, 20)
    signal[:, 4] *= 0.05
    table = find_weak_parcels(pd.DataFrame(signal, columns=[f"p{i}" for i in range(20)]))
    assert table["parcel"].tolist() == ["p4"]
    assert table["measure"].tolist() == ["temporal SD"]
    assert table.attrs["measure"] == "temporal SD"


@pytest.mark.parametrize("over", ["all frames", "kept frames"])
def test_z_scored_series_cannot_be_judged_and_say_so(over):
    signal = a_scan(baseline=0.0) * np.linspace(1, 2, 20)
    kept = np.arange(60) % 5 != 0
    used = signal if over == "all frames" else signal[kept]
    signal = (signal - used.mean(axis=0)) / used.std(axis=0)
    series = TimeSeries(signal=signal, kept=kept, parcels=pd.RangeIndex(20))
    table = find_weak_parcels(series)
    assert table.empty
    assert table.attrs["measure"] == "not assessable"
    assert "z-scored" in table.attrs["note"]


def test_coverage_and_emptiness_are_reasons_of_their_own():
    signal = a_scan(n_parcels=4)
    signal[:, 1] = signal[:, 2] = np.nan
    series = TimeSeries(
        signal=signal,
        kept=np.ones(60, dtype=bool),
        parcels=pd.Index(list("abcd")),
        coverage=np.array([1.0, 0.2, 0.9, 0.49]),
    )
    table = find_weak_parcels(series)
    assert list(zip(table["parcel"], table["measure"], strict=True)) == [
        ("b", "coverage"),
        ("c", "data"),
        ("d", "coverage"),
    ]
    assert table["reason"].iloc[0] == "20% of its voxels have data, below 50%"
    assert find_weak_parcels(series, min_coverage=0.4)["parcel"].tolist() == ["b", "c"]


def test_censored_frames_have_no_say():
    signal = a_scan()
    kept = np.arange(60) < 40
    signal[~kept] = np.nan
    series = TimeSeries(signal=signal, kept=kept, parcels=pd.RangeIndex(20))
    assert find_weak_parcels(series).empty


def test_refuses():
    with pytest.raises(InputError, match="min_signal_fraction"):
        find_weak_parcels(a_scan(), min_signal_fraction=1.5)
    with pytest.raises(InputError, match="coverage has 3 entries"):
        find_weak_parcels(a_scan(), coverage=np.ones(3))
    with pytest.raises(InputError, match="parcels has 2 entries"):
        find_weak_parcels(a_scan(), parcels=pd.Index(["a", "b"]))
    with pytest.raises(InputError, match="too few"):
        measure_signal_level(np.ones((1, 4)))


def test_the_real_trial_shows_its_known_oddities(connectrial_data):
    """STAGES: sub-001's field of view misses the frontal pole; the pallidum is weak in everyone."""
    weak = {}
    for path in sorted((connectrial_data / "stages").glob("sub-*/ses-*/func/*_timeseries.tsv")):
        table = pd.read_csv(path, sep="\t", nrows=60)
        weak[path.name[:13]] = find_weak_parcels(table)
    assert len(weak) == 92
    counts = pd.Series({scan: len(table) for scan, table in weak.items()})
    assert counts["sub-001_ses-1"] > 50
    assert counts["sub-001_ses-2"] > 50
    assert counts.drop(["sub-001_ses-1", "sub-001_ses-2"]).max() <= 8
    everywhere = pd.concat(weak.values())["parcel"].value_counts()
    assert set(everywhere.index[:4]) == {"pGP-rh", "pGP-lh", "aGP-rh", "aGP-lh"}
    assert everywhere.iloc[:4].min() > 75
    assert everywhere.iloc[4] < 10
