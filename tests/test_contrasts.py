"""Crossovers of three treatments: contrasts, differences of sets, random sets, variants, exposure."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from connectrial import load_study, plan_study, run_plan
from connectrial.data import Atlas
from connectrial.errors import StudyFileError
from connectrial.io.known_atlases import atlas_table
from connectrial.io.tables import read_table
from connectrial.plan.hashes import plan_hash
from connectrial.plan.systems import plan_systems
from connectrial.report.set_sections import variant_rows
from connectrial.run.simulating import simulate_dataset
from connectrial.study_model_checks import family_members
from connectrial.trial.periods import williams_sequences
from some_sections import render_some

STUDY = """
[study]
name = "Three ways"
seed = 4
[data]
kind = "time series"
derivatives = "nowhere"
[design]
kind = "crossover"
treatments = ["placebo", "low", "high"]
order = { columns = ["first", "second", "third"] }
[[visit]]
name = "before"
treatment_sessions = { placebo = ["p0"], low = ["l0"], high = ["h0"] }
day = 0
[[visit]]
name = "hour 1"
treatment_sessions = { placebo = ["p1"], low = ["l1"], high = ["h1"] }
day = 0.0416667
[quality]
carpets = false
[sets]
core = { parcels = ["LH_Default_1", "LH_Default_2", "LH_Default_3", "LH_Default_4"] }
far = { parcels = ["RH_Default_1", "RH_Default_2"] }
[exposure]
regimen = "ketamine-0.5mgkg-40min"
weight_kg = 70
treatments = ["high"]
[[exposure.measure]]
name = "ketamine_ng_ml"
what = "at visit"
[[hypothesis]]
name = "model's edges"
connections = { table = "edges.tsv", set = "model" }
model = "crossed"
contrasts = [
  { treatment = "high", visits = ["hour 1"], since = "before" },
  { treatment = "high", against = "low", visits = ["hour 1"] },
]
family = "drugs"
[[hypothesis]]
name = "others"
connections = { table = "edges.tsv", set = "control" }
model = "crossed"
tests = ["treatment:visit"]
role = "negative control"
[[hypothesis]]
name = "more"
difference = ["model's edges", "others"]
model = "crossed"
contrasts = [{ treatment = "high", visits = ["hour 1"], since = "before" }]
[[hypothesis]]
name = "after"
connections = { table = "edges.tsv", set = "model" }
visits = ["hour 1"]
model = "dosed"
tests = ["ketamine_ng_ml"]
role = "exploratory"
[[edge_set]]
name = "random sets"
hypothesis = "after"
test = "ketamine_ng_ml"
match = ["strength", "networks"]
n_bins = 2
n_permutations = 199
[variants.plain]
description = "instead of GSR"
connectivity = { parcel_mean = "regress" }
[model.crossed]
fixed = ["treatment * visit", "period"]
random = ["1 | subject", "1 | subject:period"]
[model.dosed]
fixed = ["ketamine_ng_ml", "period"]
[family.drugs]
size = 2
"""
EDGES = """roi_a	roi_b	set	source
core	RH_Default_1	model	stand-in: nobody knows
RH_Default_2	RH_Default_1	model	the paper
ContA	ContA	control	stand-in: nobody knows
"""
TRUTH = """
[[cohort]]
name = "people"
source = "assumption"
n = 7
scans = { h1 = 6 }
[fc]
source = "assumption"
n_runs = 1
n_frames = 100
session_sd = 0.02
period_sd = 0.02
[[system]]
name = "model's edges"
source = "assumption"
level = 0.4
change = { "high hour 1" = -0.3 }
"""


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Simulated, planned and run once."""
    folder = tmp_path_factory.mktemp("three")
    (folder / "study.toml").write_text(STUDY)
    (folder / "edges.tsv").write_text(EDGES)
    (folder / "truth.toml").write_text(TRUTH)
    made = simulate_dataset(folder / "study.toml", folder / "made")
    plan = plan_study(load_study(made.study))
    assert plan.problems == ()
    results = run_plan(plan, folder / "out")
    page = render_some(results, "answer", "exposure", "hypotheses", "random_sets", "variants")
    return plan, results, folder, page


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_williams_sequences_are_balanced_for_what_comes_before(n):
    """Williams 1949: each treatment in each period equally often, and after each other one."""
    names = "abcde"[:n]
    rows = williams_sequences(names)
    assert len(rows) == (n if n % 2 == 0 else 2 * n)
    for period in range(n):
        counts = pd.Series([row[period] for row in rows]).value_counts()
        assert set(counts.index) == set(names)
        assert counts.nunique() == 1
    follow = pd.Series([pair for row in rows for pair in pairwise(row)]).value_counts()
    assert len(follow) == n * (n - 1)
    assert follow.nunique() == 1


def test_three_periods_and_six_sequences(three):
    plan, *_ = three
    one = next(a for a in plan.analyses if a.name == "model's edges")
    assert set(one.columns) == {
        "Intercept", "treatment[low]", "treatment[high]", "visit[hour 1]", "period[2]", "period[3]",
        "treatment[low]:visit[hour 1]", "treatment[high]:visit[hour 1]",
    }  # fmt: skip
    assert (one.rank, one.n_subjects, one.n_observations) == (8, 7, 41)
    assert plan.people.periods is not None
    assert len(plan.people.periods.sequences) == 6


def test_a_table_names_edges_by_parcels_and_sets_and_says_that_they_are_stand_ins(three):
    plan, results, _, page = three
    # four parcels of the left side with one of the right, and a pair; every pair inside ContA
    assert len(plan.systems["model's edges"].edges) == 5
    assert len(plan.systems["others"].edges) == 28
    for name, expected in (("model's edges", True), ("more", True), ("random sets", True)):
        rows = results[name].estimates
        assert rows["flags"].str.startswith("stand-in connections").all() == expected
    assert any("1 of 2 rows of edges.tsv (set model)" in note for note in results["after"].notes)
    assert "stand-in connections" in page


def test_the_plans_hash_covers_the_tables_of_connections(three):
    plan, *_ = three
    other = {"edges.tsv": plan.survey.connections["edges.tsv"].iloc[1:]}
    assert plan_hash(plan.study, plan.survey.connections) == plan.hash
    assert plan_hash(plan.study, other) != plan.hash
    without = plan.study.model_copy(update={"variants": {}})
    assert plan_hash(without, plan.survey.connections) != plan.hash


def test_contrasts_are_the_models_own_arithmetic(three):
    """A contrast is that sum of coefficients, to rounding; only declared ones enter the family."""
    _, results, *_ = three
    rows = results["model's edges"].estimates
    main = rows[rows["declared"]].set_index("term")
    estimate = main["estimate"]
    change = main.loc["high - placebo at hour 1, change from before"]
    assert change["estimate"] == pytest.approx(estimate["treatment[high]:visit[hour 1]"], abs=1e-12)
    assert change["df"] == pytest.approx(main.loc["treatment[high]:visit[hour 1]", "df"])
    drug = main.loc["high - low at hour 1", "estimate"]
    by_hand = (
        estimate["treatment[high]"] - estimate["treatment[low]"]
        + estimate["treatment[high]:visit[hour 1]"] - estimate["treatment[low]:visit[hour 1]"]
    )  # fmt: skip
    assert drug == pytest.approx(by_hand, abs=1e-12)
    family = rows[rows["family"] == "drugs"]
    assert list(family["term"]) == [
        "high - placebo at hour 1, change from before",
        "high - low at hour 1",
    ]
    assert (family["family_size"] == 2).all()
    # the truth is -0.3; period 1 alone stands beside, between people
    assert change["ci_low"] < -0.3 < change["ci_high"]
    alone = rows[rows["flags"].str.contains("period 1 alone") & (rows["kind"] == "contrast")]
    assert {"high - low at hour 1", "low - placebo at hour 1"} <= set(alone["term"])


def test_a_difference_is_each_sessions_own(three):
    _, results, *_ = three
    wide = results.tables["network_fc"].pivot_table(
        index=["subject", "session"], columns="outcome", values="fc_z"
    )
    gap = wide["more"] - (wide["model's edges"] - wide["others"])
    assert np.abs(gap).max() < 1e-12
    rows = results["more"].estimates.query("declared").set_index("term")
    # One person lacks a scan, and stays: 7 people, 41 observations.
    row = rows.loc["high - placebo at hour 1, change from before"]
    assert (row["n_subjects"], row["n_observations"]) == (7, 41)
    assert row["p"] < 0.001


def test_random_sets_find_the_planted_effect(three):
    _, results, _, page = three
    row = results["random sets"].estimates.query("kind == 'difference'").iloc[0]
    assert row["estimate"] < -0.001  # per ng/ml: -0.3 over some 100 ng/ml
    assert row["p"] == pytest.approx(1 / 200)
    assert len(results.tables["random_sets"]) == 199
    assert "The set among random sets" in page


def test_concentration_stands_at_the_scans_of_the_drug_alone(three):
    """0.5 mg/kg over 40 min, one hour after its start, 70 kg: otto2021; none before or elsewhere."""
    from connectrial.trial.pharmacokinetics import simulate_concentration

    plan, results, *_ = three
    rows = next(a for a in plan.analyses if a.name == "after").rows
    regimen = pd.DataFrame({"start_h": [0.0], "duration_h": [2 / 3], "amount_mg_kg": [0.5]})
    expected = simulate_concentration(
        regimen, model="otto2021", weight_kg=70.0, times_h=[24 * 0.0416667]
    )["ketamine_ng_ml"].iloc[0]
    assert 90 < expected < 140
    high = rows["treatment"] == "high"
    assert rows.loc[high, "ketamine_ng_ml"].to_numpy() == pytest.approx(expected)
    assert (rows.loc[~high, "ketamine_ng_ml"] == 0).all()
    assert high.sum() == 6
    described = results["exposure"].estimates["term"]
    assert list(described) == ["ketamine_ng_ml at high before", "ketamine_ng_ml at high hour 1"]


def test_variants_repeat_every_hypothesis_as_sensitivity(three):
    plan, results, folder, page = three
    names = [one.name for one in results.analyses if one.what == "variant"]
    assert names == ["model's edges [plain]", "others [plain]", "more [plain]", "after [plain]"]
    rows = results["model's edges [plain]"].estimates
    assert set(rows["role"]) == {"sensitivity"}
    assert (rows["family"] == "").all()
    assert rows["flags"].str.contains("variant plain: instead of GSR").all()
    shown = variant_rows(results)
    both = shown.groupby("label", sort=False)["variant"].agg(list)
    assert all(one == ["as declared", "plain"] for one in both)
    # Taking the mean of all parcels out lowers FC: a mean over all edges cannot stay positive.
    own = results.tables["visit_fc"].groupby("outcome")["fc_z"].mean()
    out = results.tables["variant_fc"].groupby("outcome")["fc_z"].mean()
    assert (out[["model's edges", "others"]] < own[["model's edges", "others"]] - 0.05).all()
    assert list(plan.variants) == ["plain"]
    assert (folder / "out" / "variants" / "plain" / "dataset_description.json").is_file()
    assert "Variants of processing, side by side" in page
    assert "mean of all parcels regressed out, which is not GSR of voxels" in page


WRONG = {
    "a contrast of an unknown treatment": (
        '{ treatment = "high", against = "low"',
        '{ treatment = "high", against = "lo"',
        "treatment 'lo' is not declared; did you mean 'low'?",
    ),
    "a contrast with itself": (
        'against = "low"',
        'against = "high"',
        "compares 'high' with itself",
    ),
    "an unknown visit": (
        'visits = ["hour 1"], since = "before" },',
        'visits = ["hour 2"] },',
        "'hour 2' is not declared",
    ),
    "neither tests nor contrasts": (
        'tests = ["treatment:visit"]\n',
        "",
        "needs 'tests' or 'contrasts'",
    ),
    "a difference of nothing": (
        '["model\'s edges", "others"]',
        '["model\'s edges", "other"]',
        "'other' is not declared; did you mean 'others'?",
    ),
    "a family of another size": ("size = 2", "size = 3", "is 3, but 2 tests are declared"),
    "random sets without their hypothesis": (
        'hypothesis = "after"',
        'hypothesis = "nobody"',
        "hypothesis with a system 'nobody' is not declared",
    ),
    "an unknown test of random sets": (
        'test = "ketamine_ng_ml"',
        'test = "visit"',
        "has no term 'visit'",
    ),
    "a variant that says nothing": (
        'connectivity = { parcel_mean = "regress" }',
        "",
        "says nothing that is other",
    ),
    "denoising of ready-made series": (
        'connectivity = { parcel_mean = "regress" }',
        'denoising = { strategy = "24P" }',
        "never denoised again",
    ),
    "exposure of an unknown treatment": (
        'treatments = ["high"]',
        'treatments = ["higher"]',
        "'higher' is not declared; did you mean 'high'?",
    ),
    "exposure at visits of nobody": ('treatments = ["high"]\n', "", "needs [exposure] treatments"),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_contradicts_itself_is_refused(tmp_path, change):
    before, after, message = change
    assert before in STUDY
    study = tmp_path / "study.toml"
    study.write_text(STUDY.replace(before, after))
    with pytest.raises(StudyFileError) as caught:
        load_study(study)
    assert message in str(caught.value)
    assert len(caught.value.problems) == 1


TABLES = {
    "an end that nobody knows": (
        "RH_Default_2\t",
        "RH_Defalut_2\t",
        "edges.tsv row 3, column 'roi_a': 'RH_Defalut_2' is no parcel, set or network; did you mean",
    ),
    "a column of another name": ("roi_b", "roi_2", "edges.tsv: has no column 'roi_b'"),
    "no row of the set": ("\tcontrol\t", "\tcontrols\t", "no row has 'control' in column 'set'"),
}


@pytest.mark.parametrize("change", TABLES.values(), ids=TABLES)
def test_what_is_wrong_in_a_table_of_connections_is_said(three, tmp_path, change):
    before, after, message = change
    folder = three[2]
    (tmp_path / "edges.tsv").write_text(EDGES.replace(before, after))
    study = tmp_path / "study.toml"
    made = (folder / "made").as_posix()
    study.write_text(
        STUDY.replace('"nowhere"', f'"{made}"').replace('"edges.tsv"', f'"{tmp_path}/edges.tsv"')
    )
    problems = plan_study(load_study(study)).problems
    assert any(message in one for one in problems)


def test_the_examples_name_what_they_say():
    """72 and 164 edges of Seitzman's 300; families of two and of six; every connection a stand-in."""
    examples = Path(__file__).parents[1] / "examples"
    study = load_study(examples / "recourt2025" / "study.toml")
    table = read_table(examples / "recourt2025" / "connections.tsv").frame
    assert table["source"].str.startswith("stand-in").all()
    found = atlas_table("Seitzman300")
    assert found is not None
    atlas = Atlas(name="Seitzman300", parcels=found)
    systems, _, problems = plan_systems(study, atlas, {"connections.tsv": table})
    assert problems == []
    counts = {name: len(one.edges) for name, one in systems.items()}
    assert (counts["CLIPST (stand-in)"], counts["non-CLIPST (stand-in)"]) == (72, 164)
    sizes = {name: len(family_members(study, name)) for name in study.family}
    assert sizes == {"acute": 2, "delayed": 2, "clinical": 2}
    threeway = load_study(examples / "threeway-gbc" / "study.toml")
    assert len(family_members(threeway, "gbc")) == 6
