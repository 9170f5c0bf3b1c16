"""The STAGES example on real data, against lmerTest on the same network values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from connectrial import load_study, plan_study, run_plan
from some_sections import render_some

STUDY = Path(__file__).parents[1] / "examples" / "stages" / "study.toml"


@pytest.fixture(scope="module")
def results(connectrial_data, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("CONNECTRIAL_DATA", str(connectrial_data))
    found = run_plan(plan_study(load_study(STUDY)), tmp_path_factory.mktemp("stages") / "out")
    patch.undo()
    return found


def test_network_rows_equal_lmertest(results, reference):
    """lmerTest 3.1-3 by stages_network.R: estimate and SE to 1e-6 of an SE, df to 1e-3."""
    stored = pd.read_csv(reference / "stages_network.csv", comment="#")
    ours = results.estimates.query("declared and kind == 'coefficient'")
    both = stored.merge(
        ours, left_on=["outcome", "term"], right_on=["analysis", "term"], suffixes=("_r", "")
    )
    assert len(both) == len(stored) == 24
    assert {"Default", "Visual"} <= set(both["analysis"])
    assert np.abs((both["estimate"] - both["estimate_r"]) / both["se_r"]).max() < 1e-6
    assert np.abs(both["se"] / both["se_r"] - 1).max() < 1e-6
    assert np.abs(both["df"] - both["df_r"]).max() < 1e-3
    assert np.abs(both["p"] - both["p_r"]).max() < 1e-6
    assert (both["n_observations"] == 86).all()
    assert (both["n_subjects"] == 49).all()
    deviance = {name: results[name].design["deviance"] for name in stored["outcome"].unique()}
    expected = stored.drop_duplicates("outcome").set_index("outcome")["deviance"]
    assert deviance == pytest.approx(expected.to_dict(), abs=1e-6)
    singular = stored.drop_duplicates("outcome").set_index("outcome")["singular"]
    assert {name: results[name].design["singular"] for name in singular.index} == singular.to_dict()


def test_nobody_is_dropped_in_silence(results):
    subjects = results.tables["subjects"]
    assert len(subjects) == 55
    assert (subjects["reason"] == "arm is not stated").sum() == 6
    assert len(results.tables["scans"]) == 92
    assert results.tables["scans"]["included"].all()
    missing = results.tables["availability"].query("what == 'scan' and state == 'missing'")
    assert len(missing) == 18
    assert set(missing["visit"]) == {"month3"}
    weak = results.tables["weak_parcels"]
    first = weak.query("subject == '001'").groupby("session").size()
    assert first.min() > 50  # the field of view misses the frontal pole
    pallidum = weak[weak["parcel"].isin([f"{p}GP-{s}h" for p in "ap" for s in "lr"])]
    assert pallidum["subject"].nunique() > 50
    assert (results.tables["network_fc"]["n_missing"] == 0).all()  # flagged, still used


def test_network_sizes(results):
    table = results.tables["network_fc"].drop_duplicates("outcome").set_index("outcome")["n_edges"]
    assert table["Default"] == 68 * 67 // 2
    assert table["Visual"] == 47 * 46 // 2
    assert (
        table["Subcortical limbic"] == 20 * 19 // 2
    )  # 4 hippocampus, 4 amygdala, 4 accumbens, 8 thalamus
    assert table["Subcortical limbic to Default"] == 20 * 68


def test_the_page_says_who_has_no_second_scan(results):
    page = render_some(results, "answer", "people")
    assert "18 of 55 people have no usable scan at month3 (18: no scan on disk)" in page
    assert "6 people: arm is not stated" in page
