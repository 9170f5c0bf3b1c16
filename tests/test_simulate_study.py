"""Datasets of any design: the study reads what is made of it, and finds what is true."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from connectrial import load_study, plan_study, run_plan
from connectrial.data import Atlas
from connectrial.errors import InputError, StudyFileError
from connectrial.io.known_atlases import SIEGEL, siegel_parcels
from connectrial.plan.systems import plan_systems
from connectrial.run.simulated_files import first_of_each
from connectrial.run.simulating import simulate_dataset
from connectrial.simulate import read_facts
from connectrial.simulate.atlas import label_by_distance
from parallel_trial import STUDY as PARALLEL
from tiny import STUDY as TINY

EXAMPLES = Path(__file__).parents[1] / "examples"
DEMO = (files("connectrial") / "templates" / "demo-study.toml").read_text(encoding="utf-8")


def make(folder: Path, study: str, truth: str = "", **settings):
    folder.mkdir(exist_ok=True)
    (folder / "study.toml").write_text(study)
    if truth:
        (folder / "truth.toml").write_text(truth)
    return simulate_dataset(folder / "study.toml", folder / "made", **settings)


SHORT = '[fc]\nsource = "assumption"\nn_frames = 150\nn_runs = 1\n'


@pytest.mark.parametrize(
    ("study", "n_people", "n_scans"),
    [
        (DEMO, 40, 80),  # pre-post: 20 patients with three sessions, 20 controls with one
        (TINY, 40, 80),  # parallel
        (TINY.replace('"time series"', '"matrices"'), 40, 80),
        (TINY.replace('"time series"', '"matrices"\nvalues = "z"'), 40, 80),
        (PARALLEL, 40, 0),  # tables alone, items, side effects, volumes
        ((EXAMPLES / "ketamine-crossover" / "study.toml").read_text(), 40, 0),
        ((EXAMPLES / "stages" / "study.toml").read_text(), 40, 80),
    ],
    ids=["pre-post", "parallel", "matrices", "matrices-z", "tables", "crossover", "stages"],
)
def test_a_study_reads_what_is_made_of_it(tmp_path, study, n_people, n_scans):
    """No problem in study or data, everybody takes part, all scans are usable; without effect."""
    made = make(tmp_path, study, SHORT if n_scans else "")
    plan = plan_study(load_study(made.study))
    assert plan.problems == ()
    assert plan.survey.simulated
    assert len(plan.people.subjects) == n_people
    assert plan.people.subjects["included"].all()
    assert len(plan.people.scans[["subject", "session"]].drop_duplicates()) == n_scans
    truth = pd.read_csv(made.folder / "truth.tsv", sep="\t")
    assert (truth.loc[truth["term"].str.startswith(("change", "patients")), "value"] == 0).all()
    asked = json.loads((made.folder / "truth.json").read_text())["asked_for"]
    assert asked
    assert all(one["source"].startswith("assumption") for one in asked)


TRUTH = """
[[cohort]]
name = "placebo"
n = { value = 15, source = "assumption" }
columns = { value = { arm = "placebo" }, source = "the design" }
[[cohort]]
name = "drug"
source = "assumption"
n = 15
columns = { arm = "drug" }
scans = { b = 12 }
[[endpoint]]
name = "response"
n = { value = 9, source = "assumption" }
cohorts = ["drug"]
[[scale]]
name = "MADRS"
source = "assumption"
mean = { before = 30, after = 18 }
sd = 6
[fc]
source = "assumption"
n_frames = 400
n_runs = 1
[[system]]
name = "Default"
source = "assumption"
level = 0.4
change = { drug = -0.2 }
"""


def test_a_run_finds_what_is_true(tmp_path):
    """Counts are exact; the interval of the change under the drug holds the truth (seed fixed)."""
    made = make(tmp_path, TINY, TRUTH)
    plan = plan_study(load_study(made.study))
    asked = ("Default", "Amygdala to Default", "response")
    kept = tuple(one for one in plan.analyses if one.name in asked)
    results = run_plan(replace(plan, analyses=kept), tmp_path / "out")
    assert results is not None
    scans = results.tables["scans"]
    assert scans.loc[scans["session"] == "b", "subject"].nunique() == 27
    endpoints = results.tables["endpoints"].merge(results.tables["subjects"], on="subject")
    assert endpoints.loc[endpoints["arm"] == "drug", "met"].sum() == 9
    row = (
        results["Default"].estimates.query("declared and term == 'visit[after]:arm[drug]'").iloc[0]
    )
    truth = made.simulated.truth.set_index(["name", "term"])["value"]
    assert truth["Default", "change, drug"] == pytest.approx(-0.2)
    assert truth["Default", "level"] == pytest.approx(0.4)
    assert row["ci_low"] < -0.2 < row["ci_high"]
    assert row["p"] < 0.001
    sources = {one.key: one.source for one in made.simulated.facts.itertuples()}
    assert sources["cohort.placebo.columns"] == "the design"


def test_the_same_seed_gives_the_same_files(tmp_path):
    first = make(tmp_path / "a", TINY, SHORT, seed=3)
    again = make(tmp_path / "b", TINY, SHORT, seed=3)
    other = make(tmp_path / "c", TINY, SHORT, seed=4)
    name = "participants.tsv"
    some = sorted(first.folder.rglob("*_timeseries.tsv"))[5].relative_to(first.folder)
    assert (first.folder / some).read_bytes() == (again.folder / some).read_bytes()
    assert (first.folder / name).read_bytes() == (again.folder / name).read_bytes()
    assert (first.folder / some).read_bytes() != (other.folder / some).read_bytes()


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds something else"):
        make(tmp_path, TINY)


def test_images_on_request(tmp_path):
    made = make(
        tmp_path, DEMO, '[fc]\nsource = "assumption"\nn_frames = 30\nn_runs = 1\n', n_images=1
    )
    images = sorted((made.folder / "derivatives" / "fmriprep-like").rglob("*_bold.nii.gz"))
    assert len(images) == 3  # the three sessions of one patient
    study = load_study(made.folder / "images.toml")
    assert study.data.kind == "images"
    survey = plan_study(study).survey
    assert survey.kind == "image"
    assert {scan.subject for scan in survey.scans} == {images[0].name.split("_")[0][4:]}


WRONG = {
    "an unknown key": (
        '[[cohort]]\nname = "x"\nn = 3\nsource = "a"\nscanned = 3',
        "no key 'scanned'",
    ),
    "no source": ('[[cohort]]\nname = "x"\nn = 3', "cohort.x.n has no source"),
    "an unknown section": ("[scales]\na = 1", "there is no [scales]; did you mean 'scale'?"),
    "a wrong kind": (
        '[fc]\nsource = "a"\nwithin = "high"',
        "fc.within must be a number; got 'high'",
    ),
    "an unknown session": (
        '[[cohort]]\nname = "x"\nn = 3\nsource = "a"\nscans = { c = 2 }',
        "[[cohort]] 'x' scans: the study has no 'c'",
    ),
    "more scans than people": (
        '[[cohort]]\nname = "x"\nn = 3\nsource = "a"\nscans = { b = 5 }',
        "scans.b is 5, but the cohort has n = 3",
    ),
    "a change of nobody": (
        '[[system]]\nname = "Default"\nsource = "a"\nchange = { durg = 1 }',
        "[[system]] change: the study has no 'durg'; did you mean 'drug'?",
    ),
    "too many responders": (
        '[[endpoint]]\nname = "response"\nsource = "a"\nn = 99',
        "n is 99, but 40 people have the score that it needs",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_truth_gets_its_message(tmp_path, case):
    truth, says = WRONG[case]
    with pytest.raises(StudyFileError) as caught:
        make(tmp_path, TINY, truth)
    assert says in "\n".join(caught.value.problems)


def test_a_column_correlates_as_asked_for(tmp_path):
    """r = -0.54 in the data, up to rounding of the column to two decimals."""
    truth = """
[[cohort]]
name = "all"
n = { value = 60, source = "assumption" }
[[scale]]
name = "MADRS"
source = "assumption"
mean = { baseline = 30, week2 = 20 }
sd = 6
[[correlation]]
column = "level"
scale = "MADRS"
baseline = "baseline"
visit = "week2"
source = "assumption"
r = -0.54
"""
    study = PARALLEL.split("[[eligibility]]")[0].replace("[variables.dose]\n", "")
    study = (
        study.replace('"pre"', '"baseline"').replace('"week1"', '"day 1"')
        + '[scales.MADRS]\ndefinition = "MADRS"\n'
    )
    made = make(tmp_path, study, truth).simulated
    wide = made.scores.pivot_table(index="subject", columns="place", values="score")
    level = made.recruited.people.set_index("subject")["level"]
    r = np.corrcoef(level.reindex(wide.index), wide["week2"] - wide["baseline"])[0, 1]
    assert r == pytest.approx(-0.54, abs=1e-3)


# --------------------------------------------------------------------------------------------
# Siegel 2021


@pytest.fixture(scope="module")
def siegel(tmp_path_factory):
    """The example with few parcels in place of 394: people, scores and models are the same."""
    folder = tmp_path_factory.mktemp("siegel2021")
    shutil.copy(EXAMPLES / "siegel2021" / "study.toml", folder)
    truth = (EXAMPLES / "siegel2021" / "truth.toml").read_text()
    start, end = truth.index("[atlas]"), truth.index("[[cohort]]")
    truth = truth[:start] + truth[end:]
    # One short run in place of two: what is asked of people, scans and models is the same.
    for long, short in (
        ("n_runs = { value = 2,", "n_runs = { value = 1,"),
        ("{ value = 164,", "{ value = 130,"),
    ):
        assert truth.count(long) == 1
        truth = truth.replace(long, short)
    (folder / "truth.toml").write_text(truth)
    made = simulate_dataset(folder / "study.toml", folder / "made")
    plan = plan_study(load_study(made.study))
    assert plan.problems == ()
    # What no test here asks about is planned and not run.
    unasked = {"groups", "reliability", "edges", "score"}
    asked = tuple(one for one in plan.analyses if one.what not in unasked)
    results = run_plan(replace(plan, analyses=asked), folder / "out")
    assert results is not None
    return made, plan, results


def test_the_flow_and_scans_of_siegel_2021(siegel):
    """Results and Methods: 27 consented, 23 started, 22 finished; scans 23, 18, 20; controls 27, 7."""
    _, plan, results = siegel
    scans = results.tables["imaging_flow"].set_index(["visit", "session"])
    made = [("pre", "pre1"), ("pre", "pre2"), ("week 2", "post")]
    assert scans.loc[made, "n_scanned"].tolist() == [23, 18, 20]
    flow = results.tables["flow"].set_index("box")
    boxes = ["Assessed for eligibility", "Eligible", "Completed of 23", "With 27 controls"]
    assert flow.loc[boxes, "n_subjects"].tolist() == [27, 23, 21, 50]
    assert flow.loc["Completed of 23", "left_out"].split("\n") == [
        "1 person: lost to follow-up (lost after day 6)",
        "1 person: excluded by the investigators (stopped the infusion)",
    ]
    people = plan.people.subjects
    patients = people.loc[people["group"] == "TRD"]
    assert len(patients) == 27
    assert patients["included"].sum() == 23
    sets = {name: len(one) for name, one in plan.people.sets.items()}
    table = results.tables["scans"]
    controls = set(people.loc[people["group"] == "control", "subject"])
    own = table.loc[table["subject"].isin(controls), ["subject", "session"]].drop_duplicates()
    assert (own["session"].value_counts()[["c1", "c2"]] == [27, 7]).all()
    assert {"imaging": 21, "per_protocol": 22}.items() <= sets.items() or set(sets) >= {"imaging"}
    usable = table.loc[table["included"] & ~table["subject"].isin(controls)]
    pre = set(usable.loc[usable["visit"] == "pre", "subject"])
    post = set(usable.loc[usable["visit"] == "week 2", "subject"])
    assert len(pre & post) == 19


@pytest.mark.parametrize("name", ["Default", "sgACC-Default", "Limbic", "Visual"])
def test_the_model_of_siegel_2021(siegel, name):
    """Statistical approach: 21 subjects with 40 observations; printed DF = 37 (40 - 3)."""
    _, _, results = siegel
    rows = results[name].estimates
    declared = rows.query("declared and term in ['time', 'time:response']")
    assert declared["df"].tolist() == [37, 37]
    assert set(declared["df_method"]) == {"residual"}
    assert set(declared["n_subjects"]) == {21}
    assert set(declared["n_observations"]) == {40}
    assert {"satterthwaite", "kenward-roger"} <= set(rows["df_method"])
    assert 36 in set(
        rows.query("df_method == 'residual'")["df"]
    )  # with the main effect of response


def test_the_counts_of_siegel_2021(siegel):
    """Results: 16/22, 13/22, 11/21, 8/21, 11/21, 8/11, 33 % of 21; CGI-I 16/22, 15/21, 13/21."""
    _, _, results = siegel
    rows = results.estimates.query("kind == 'proportion' and role != 'safety'")
    found = {
        (r.analysis, r.analysis_set): (round(r.estimate * r.n_subjects), r.n_subjects)
        for r in rows.itertuples()
    }
    expected = {
        ("response_day1", "per_protocol"): (16, 22),
        ("remission_day1", "per_protocol"): (13, 22),
        ("response", "per_protocol"): (11, 21),
        ("response", "worst_case"): (11, 22),
        ("response_week8", "worst_case"): (11, 22),
        ("response_week8", "per_protocol"): (11, 21),
        ("remission", "per_protocol"): (8, 21),
        ("remission_week8", "per_protocol"): (7, 21),
        ("still_responding", "per_protocol"): (8, 11),
        ("improved_day1", "per_protocol"): (16, 22),
        ("improved_week2", "per_protocol"): (15, 21),
        ("improved_week8", "per_protocol"): (13, 21),
    }
    assert {key: found.get(key) for key in expected} == expected


def test_table_1_of_siegel_2021(siegel):
    """Table 1: of the 23 who began 13 and 10, 7, 15 and 1, 23, 22 and 1; controls were not ill."""
    _, _, results = siegel
    table = results.tables["baseline"].query("group == 'TRD' and level != ''")
    counts = table.set_index(["variable", "level"])["count"]
    assert counts["sex"].tolist() == [13, 10]
    assert counts["race"].tolist() == [23, 0]
    assert counts["ethnicity"].tolist() == [0, 22, 1]
    assert counts["illness"].tolist() == [7, 15, 1]
    controls = results.tables["baseline"].query("group == 'control' and variable == 'illness'")
    assert set(controls["n"]) == {0}


def test_volumes_are_those_of_19_people_and_nobody_enrolled_was_below_22(siegel):
    """p = .023 of r = 0.52 is that of 19 people; MADRS of 22 or more were enrolled."""
    made, _, results = siegel
    rows = results.estimates.query("kind == 'correlation' and term == 'Right-Hippocampus'")
    assert set(rows["n_subjects"]) == {19}
    assert rows["estimate"].iloc[0] == pytest.approx(0.52, abs=5e-3)
    assert round(rows["p"].iloc[0], 3) in (0.022, 0.023, 0.024)  # volumes are rounded
    scores = made.simulated.scores.query("scale == 'MADRS' and place == 'pre'")
    assert scores["score"].min() >= 22


def test_side_effects_at_the_end_are_as_printed(siegel):
    """Results: fatigue, inattention, sedation 14 %, the other three 5 % at discharge."""
    _, _, results = siegel
    table = results.tables["adverse_events"].query("visit == 'infusion day 5'").set_index("event")
    often, seldom = ["fatigue", "inattention", "sedation"], ["restlessness", "palpitations"]
    assert table.loc[often, "percent"].round().tolist() == [14, 14, 14]
    assert table.loc[[*seldom, "lightheadedness"], "percent"].round().tolist() == [5, 5, 5]


def test_bprs_against_change_of_siegel_2021(siegel):
    """Printed: r = -0.54, p = .009 at day 1 (22 people: p = .0095)."""
    _, _, results = siegel
    row = results["BPRS positive and MADRS, day 1"].estimates.query("declared").iloc[0]
    assert row["estimate"] == pytest.approx(-0.54, abs=2e-3)
    assert (row["n_subjects"], row["df"]) == (22, 20)
    assert row["p"] == pytest.approx(0.0095, abs=5e-4)
    assert results["BPRS positive and MADRS, week 8"].estimates.query("declared")["p"].notna().all()
    # The score is a variable of people, which has no unit; its change has that of the scale.
    points = results.tables["associations"].query("analysis == 'BPRS positive and MADRS, day 1'")
    assert set(points["x_name"]) == {"bprs infusion"}
    assert len(points.dropna()) == 22


def test_enantiomers_add_up_to_what_is_correlated(siegel):
    """Methods: total ketamine, S and R, and norketamine likewise, each against the change."""
    _, _, results = siegel
    table = results.tables["exposure"]
    for name in ("ketamine", "norketamine"):
        parts = table[f"mean_s_{name}"] + table[f"mean_r_{name}"]
        np.testing.assert_allclose(parts, table[f"mean_{name}"], rtol=1e-9)
        one = results[f"S-{name} and MADRS"].estimates.query("declared").iloc[0]
        assert one["n_subjects"] == 21


def test_seed_maps_of_siegel_2021_are_described_alone(siegel):
    """Figures 2d and 3e: before, after and the difference of 19 people; no statistical test."""
    _, _, results = siegel
    table = results.tables["profiles"]
    assert set(table["map"]) == {"sgACC", "limbic"}
    n = table.groupby(["map", "what", "visit"], observed=True)["n_subjects"].max()
    assert n["sgACC", "change", "week 2"] == 19
    assert n["sgACC", "mean"].to_dict() == {"pre": 23, "week 2": 19}
    assert results["sgACC"].estimates["p"].isna().all()


def test_the_family_of_siegel_2021(siegel):
    """Eight primary outcomes, Bonferroni: 0.05 / 8 = 0.00625."""
    _, _, results = siegel
    family = results.estimates.query("family == 'primary' and declared")
    imaging = family.query("term in ['time', 'time:response']")
    assert len(imaging) == 6
    assert set(imaging["family_size"]) == {8}
    assert imaging["p_adjusted"].tolist() == pytest.approx(np.minimum(1, 8 * imaging["p"]).tolist())


def test_the_systems_of_siegel_2021():
    """41 parcels of Default, 39 of Visual, 10 limbic (Gordon 2016; Siegel 2021, Methods)."""
    study = load_study(EXAMPLES / "siegel2021" / "study.toml")
    systems, _, problems = plan_systems(study, Atlas(name=SIEGEL, parcels=siegel_parcels()))
    assert problems == []
    n_edges = {name: len(one.edges) for name, one in systems.items()}
    assert n_edges == {"Default": 820, "sgACC-Default": 78, "Limbic": 45, "Visual": 741}


def test_every_parcel_of_siegel_2021_has_a_voxel_in_small_images():
    """Voxels of 6 mm are coarse beside limbic spheres; none of 394 parcels may be crowded out."""
    atlas = label_by_distance(Atlas(name=SIEGEL, parcels=siegel_parcels()))
    assert set(np.unique(atlas.labels)) == set(range(395))


def test_every_value_of_the_example_has_its_source():
    import tomllib

    raw = tomllib.loads((EXAMPLES / "siegel2021" / "truth.toml").read_text())
    stated = read_facts(raw).stated
    assert len(stated) > 90
    assert all(one.source.startswith(("paper", "assumption")) for one in stated)


def test_people_with_images_are_of_every_arm_and_group():
    """Eight of 21 patients and 27 controls are four of each: both are compared."""
    people = pd.DataFrame(
        {
            "subject": [f"{i:02d}" for i in range(9)],
            "arm": ["a", "a", "a", "b", "b", np.nan, np.nan, np.nan, np.nan],
            "is_control": [False] * 5 + [True] * 4,
        }
    )
    scanned = people["subject"].drop(index=0)  # the first person was never scanned
    assert first_of_each(people, scanned, 6) == {"01", "03", "05", "02", "04", "06"}
    assert first_of_each(people, scanned, 1) == {"01"}
