"""Designs of the field as study files: each is simulated, planned as meant, and finds its truth."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from connectrial import load_study, plan_study, run_plan
from connectrial.errors import StudyFileError
from connectrial.report.time_axis import time_axis_panel
from connectrial.run import group
from connectrial.run.simulating import simulate_dataset
from connectrial.trial.pharmacokinetics import simulate_concentration

EXAMPLES = Path(__file__).parents[1] / "examples"


def planned(folder: Path, example: str, *, smaller: dict[str, str] | None = None):
    """Simulate an example and plan it; a test may ask for fewer people or frames in the truth file."""
    source = EXAMPLES / example
    if smaller:
        truth = (source / "truth.toml").read_text(encoding="utf-8")
        for was, now in smaller.items():
            assert truth.count(f"{was}\n") == 1
            truth = truth.replace(was, now)
        source = folder / "smaller"
        source.mkdir()
        shutil.copy(EXAMPLES / example / "study.toml", source)
        (source / "truth.toml").write_text(truth, encoding="utf-8")
    made = simulate_dataset(source / "study.toml", folder / "made")
    return made, plan_study(load_study(made.study))


def run_some(plan, out: Path, keep):
    """Run the analyses that a test asks about; that all are planned is asked elsewhere."""
    return run_plan(replace(plan, analyses=tuple(a for a in plan.analyses if keep(a))), out)


def columns(plan, name: str) -> list[str]:
    (one,) = (a for a in plan.analyses if a.name == name)
    return list(one.columns)


@pytest.fixture(scope="module")
def krystal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("krystal")
    made, plan = planned(folder, "krystal2019")
    assert plan.problems == ()
    asked = ("MADRS change", "High by concentration", "exposure")
    with pytest.MonkeyPatch.context() as patch:
        # 120 fits, each without one person, which nothing here asks about.
        patch.setattr(group, "diagnose_primary", lambda _analyses, results, _fc: (results, {}))
        return made, plan, run_some(plan, folder / "out", lambda a: a.name in asked)


def test_doses_follow_the_arm(krystal):
    """Placebo has no dose; the other arms have the amounts that the truth file names."""
    made, _, _ = krystal
    doses = pd.read_csv(made.folder / "doses.tsv", sep="\t", dtype={"subject": str})
    arm = made.simulated.recruited.people.set_index("subject")["arm"]
    given = doses.groupby(doses["subject"].map(arm))["amount_mg_kg"].agg(set)
    assert given.to_dict() == {f"{d} mg/kg": {d} for d in (0.1, 0.2, 0.5, 1.0)}


def test_time_course_and_doses_of_the_review_come_out(krystal):
    """Truth of krystal2019/truth.toml: 0.5 and 1.0 mg/kg work, 0.2 does not, at day 14 it is over."""
    _, plan, results = krystal
    rows = results.estimates
    own = rows[(rows["analysis"] == "MADRS change") & rows["declared"]].set_index("term")
    day1 = own.loc[[f"{d} mg/kg - placebo at day 1" for d in (0.1, 0.2, 0.5, 1.0)]]
    # The truth's means, as changes against placebo's: -4, -1, -12.5, -12.5.
    off = (day1["estimate"].to_numpy() - np.array([-4.0, -1.0, -12.5, -12.5])) / day1["se"]
    assert off.abs().max() < 3.0
    assert list(day1["family_size"]) == [4] * 4
    assert (day1["p_adjusted"].to_numpy()[2:] < 0.001).all()
    assert day1["p_adjusted"].to_numpy()[1] > 0.05
    acute = rows[(rows["analysis"] == "High by concentration") & rows["declared"]]
    assert (acute.set_index("term").loc["ketamine_now", "estimate"]) > 0.15
    slopes = acute.set_index("term")["unit"]  # a slope is no difference of means
    assert (slopes["ketamine_now"], slopes["Intercept"]) == ("mm per ng/ml", "mm")
    assert "ILLUSTRATES A HYPOTHESIS" in plan.study.study.description


def test_concentrations_are_the_models_and_reach_into_their_fading(krystal):
    """At the end of the infusion, and eight hours on, each curve is simulate_concentration's."""
    _, plan, results = krystal
    curves = results.tables["concentrations"]
    subject = curves["subject"].iloc[0]
    own = curves[curves["subject"] == subject].set_index("time_h")["ketamine_ng_ml"]
    alone = simulate_concentration(
        plan.people.exposure.doses[subject],
        model="otto2021",
        weight_kg=plan.people.exposure.weight_kg[subject],
        times_h=list(own.index),
    )["ketamine_ng_ml"]
    assert own.to_numpy() == pytest.approx(alone.to_numpy(), rel=1e-9, abs=1e-9)
    assert own.idxmax() == pytest.approx(2 / 3, abs=1e-6)
    assert own.index.max() > 8


def test_one_axis_of_time_has_concentration_and_every_scale(krystal):
    """Rows: concentration, then acute scales, then the slow one; each arm drawn at the study's hours."""
    _, plan, results = krystal
    panel = time_axis_panel(results)
    axes = panel.figure.axes
    labels = [ax.get_ylabel().split("\n")[0] for ax in axes]
    assert labels == ["ketamine", "VAS high", "BPRS positive", "MADRS"]
    assert axes[-1].get_xscale() == "symlog"
    madrs = panel.data[panel.data["scale"] == "MADRS"]
    assert set(madrs["time_h"]) == {0, 4, 24, 72, 168, 336}
    assert set(madrs["level"]) == set(plan.study.arms.levels)
    means = results.tables["score_means"]
    one = means[
        (means["scale"] == "MADRS") & (means["visit"] == "day 1") & (means["by"] == "0.5 mg/kg")
    ]
    drawn = madrs[(madrs["time_h"] == 24) & (madrs["level"] == "0.5 mg/kg")]
    assert drawn["estimate"].iloc[0] == one["estimate"].iloc[0]


def test_tapered_infusions_are_planned_over_weeks(tmp_path):
    made, plan = planned(tmp_path, "krystal2019/repeated")
    assert plan.problems == ()
    doses = next(iter(plan.people.exposure.doses.values()))
    gaps = np.diff(doses["start_h"].to_numpy()) / 24
    assert (gaps[:4].max(), gaps[-1]) == (4.0, 28.0)  # twice a week at first, monthly at last
    scored = made.simulated.recruited.scored["place"].value_counts()
    assert scored["week 16"] < scored["before"]


def test_three_arms_at_two_sites(tmp_path):
    """Two doses are an F test of two columns; the site has its own columns in every model."""
    _, plan = planned(tmp_path, "three-arms", smaller={"n_frames = 180": "n_frames = 30"})
    assert plan.problems == ()
    found = columns(plan, "vmPFC-Default")
    assert [c for c in found if "arm" in c and "visit" in c] == [
        "visit[day 1]:arm[low dose]", "visit[day 1]:arm[high dose]",
    ]  # fmt: skip
    assert "visit[day 1]:site[south]" in found
    assert len([c for c in columns(plan, "Default by site") if c.count(":") == 2]) == 2
    assert len(plan.people.subjects) == 60


def test_repeated_infusions_keep_people_with_missing_scans(tmp_path):
    """28 patients scanned 28, 25 and 23 times; 28 of 34 controls are matched."""
    _, plan = planned(tmp_path, "repeated-infusions", smaller={"n_frames = 180": "n_frames = 30"})
    assert plan.problems == ()
    (one,) = (a for a in plan.analyses if a.name == "Default")
    assert len(one.rows) == 28 + 25 + 23
    assert one.rows["subject"].nunique() == 28
    assert list(one.columns) == ["Intercept", "visit[after 1]", "visit[after 6]"]


def test_matrices_alone_come_to_their_truth(tmp_path):
    """Mean change of responders is that of truth.tsv within four standard errors."""
    made, plan = planned(
        tmp_path,
        "prepost-matrices",
        smaller={
            "n = 20": "n = 6",
            "scans = { 1 = 20, 2 = 17 }": "scans = { 1 = 6, 2 = 5 }",
            "n = 10": "n = 3",
        },
    )
    assert plan.problems == ()
    results = run_some(plan, tmp_path / "out", lambda a: a.what == "network FC")
    truth = pd.read_csv(made.folder / "truth.tsv", sep="\t").set_index(["name", "term"])["value"]
    rows = results.estimates
    for name in ("Limbic", "Default", "Visual"):
        own = rows[(rows["analysis"] == name) & rows["declared"] & (rows["term"] == "visit")].iloc[
            0
        ]
        expected = truth[name, "change, responder"]
        assert abs(own["estimate"] - expected) < 4 * own["se"] + 0.01, name
    assert "quality" not in results.tables or results.tables["quality"]["mean_fd_mm"].isna().all()


def test_an_amount_for_a_cohort_that_is_not_there_is_refused(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    for name in ("study.toml", "truth.toml"):
        text = (EXAMPLES / "krystal2019" / name).read_text(encoding="utf-8")
        (folder / name).write_text(
            text.replace('"0.1 mg/kg" = 0.1, "0.2', '"0.1mg/kg" = 0.1, "0.2')
        )
    with pytest.raises(StudyFileError, match=r"amounts_mg_kg: the study has no '0.1mg/kg'"):
        simulate_dataset(folder / "study.toml", folder / "made")
