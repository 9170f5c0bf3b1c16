"""Exposure in a study: variables, correlations, messages, and the section of the report."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from connectrial import load_results, load_study, plan_study, run_plan
from connectrial.errors import StudyFileError
from connectrial.report.methods import known_references
from connectrial.run.exposing import _caution, _mean_row
from connectrial.trial.exposure import exposure_summary
from connectrial.trial.pharmacokinetics import simulate_concentration
from some_sections import render_some
from tiny import STUDY, write_tiny

N = 20
EXPOSURE = """
[exposure]
regimen = "doses.tsv"
weight = "weight"
arms = ["drug"]
visit_h = { after = 97 }

[[exposure.measure]]
name = "average_ketamine"
what = "average"

[[exposure.measure]]
name = "block"
what = "average occupancy"

[[exposure.measure]]
name = "level"
what = "at visit"

[[exposure.measure]]
name = "measured_mean"
what = "average"
source = "measured"

[[exposure.measure]]
name = "measured_level"
what = "at visit"
source = "measured"

[[exposure.measured]]
path = "levels.tsv"
subject = "id"
time_h = "hour"
session = "ses"
columns = { ketamine = ["S", "R"] }
below = "half"

[[exposure.response]]
name = "Dose and mood"
measure = "average_ketamine"
scale = "MADRS"
baseline = "before"
visit = "after"

[[exposure.response]]
name = "Level and Default"
measure = "measured_mean"
hypothesis = "Default"
baseline = "before"
visit = "after"
method = "spearman"

[[hypothesis]]
name = "Visual by dose"
within = "Vis"
model = "dose"
tests = ["visit:average_ketamine"]
role = "secondary"

[[clinical]]
name = "MADRS by dose"
scale = "MADRS"
model = "dose"
tests = ["visit:average_ketamine"]

[[clinical]]
name = "MADRS by level"
scale = "MADRS"
model = "level"
tests = ["level"]

[model.dose]
fixed = ["visit * average_ketamine"]

[model.level]
fixed = ["level"]
"""


def rate(number: int) -> float:
    return 0.1 + 0.04 * number


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exposure")
    study = write_tiny(folder, n_subjects=N)
    study.write_text(STUDY.replace("[[exploration]]", "[[unused]]").split("[[unused]]")[0] + "\n"
                     + STUDY[STUDY.index("[model.change]"):] + EXPOSURE)  # fmt: skip
    people = folder / "data" / "participants.tsv"
    head, *rows = people.read_text().splitlines()
    rows = [f"{row}\t{'n/a' if i == 8 else 60 + i}" for i, row in enumerate(rows)]
    people.write_text("\n".join([f"{head}\tweight", *rows]) + "\n")
    # Person 07 has no doses; person 09 no weight.
    doses = [f"{n:02d}\t0\t96\t{rate(n):.2f}" for n in range(1, N + 1) if n != 7]
    head = "subject\tstart_h\tduration_h\trate_mg_kg_h"
    (folder / "data" / "doses.tsv").write_text("\n".join([head, *doses]) + "\n")
    levels = ["id\thour\tses\tS\tR"]
    for n in range(1, N + 1):
        levels += [f"{n}\t24\tx\t{100 + 7 * n}\t{90 + (n * 5) % 11}", f"{n}\t120\tses-b\t<2\t3.5"]
    (folder / "data" / "levels.tsv").write_text("\n".join(levels) + "\n")
    return study


@pytest.fixture(scope="module")
def results(trial: Path):
    return run_plan(plan_study(load_study(trial)), trial.parent / "out")


def test_exposures_are_those_of_the_functions(results):
    """Person 03 (62 kg, 0.22 mg/kg/h for 96 h) by the public functions; placebo people have 0."""
    people = results.tables["exposure"].set_index("subject")
    doses = pd.DataFrame({"start_h": [0.0], "duration_h": [96.0], "rate_mg_kg_h": [0.22]})
    summary = exposure_summary(doses, model="otto2021", weight_kg=62).set_index(
        ["analyte", "measure"]
    )
    own = summary["value"]["ketamine"]
    assert people.loc["03", "average_ketamine"] == pytest.approx(own["average"])
    assert people.loc["03", "block"] == pytest.approx(own["average occupancy"])
    assert people.loc["02", "average_ketamine"] == 0.0
    assert people.loc[["05", "07", "09"], "average_ketamine"].isna().all()
    assert people.loc["05", "reason"] == "arm is not stated"
    assert people.loc["07", "reason"] == "not in the table of doses"
    assert people.loc["09", "reason"] == "no weight"
    # (107 + 95 and half of 2 + 3.5) by two samples
    assert people.loc["01", "measured_mean"] == pytest.approx((107 + 95 + 1 + 3.5) / 2)
    curve = results.tables["concentrations"]
    mine = curve.loc[curve["subject"] == "03"]
    expected = simulate_concentration(doses, model="otto2021", weight_kg=62, times_h=mine["time_h"])
    np.testing.assert_allclose(mine["ketamine_ng_ml"], expected["ketamine_ng_ml"])


def test_a_level_at_a_visit_is_a_covariate_of_that_visit(trial):
    plan = plan_study(load_study(trial))
    (one,) = [analysis for analysis in plan.analyses if analysis.name == "MADRS by level"]
    rows = one.rows.set_index(["subject", "visit"])["level"]
    doses = pd.DataFrame({"start_h": [0.0], "duration_h": [96.0], "rate_mg_kg_h": [rate(11)]})
    at = simulate_concentration(doses, model="otto2021", weight_kg=70, times_h=[0, 97])
    assert rows["11"].tolist() == pytest.approx(at["ketamine_ng_ml"].tolist())
    assert rows["02"].tolist() == [0.0, 0.0]
    measured = plan.people.exposure.visit.set_index(["subject", "visit"])["measured_level"]
    assert measured["01", "after"] == pytest.approx(1 + 3.5)
    assert np.isnan(measured["01", "before"])
    assert any("sessions x belong to no visit" in note for note in plan.warnings)


def test_correlations_are_scipys(results):
    """scipy 1.17 pearsonr and spearmanr on the dosed with a change (the undosed left out)."""
    people = results.tables["exposure"].set_index("subject")
    dosed = people.loc[people["average_ketamine"] > 0, "average_ketamine"]
    scores = results.tables["scores"]
    change = scores.loc[scores["visit"] == "after"].set_index("subject")["change"]
    rows = results["Dose and mood"].estimates
    expected = stats.pearsonr(dosed, change.loc[dosed.index])
    declared = rows.loc[rows["declared"]].iloc[0]
    assert declared["estimate"] == pytest.approx(expected.statistic)
    assert declared["p"] == pytest.approx(expected.pvalue)
    assert declared["unit"] == "Pearson's r"
    assert declared["n_subjects"] == len(dosed) == 7
    assert declared["ci_low"] < declared["estimate"] < declared["ci_high"]


def test_the_undosed_enter_only_when_asked(trial):
    study = trial.with_name("more.toml")
    study.write_text(trial.read_text().replace(
        'method = "spearman"', 'method = "spearman"\ninclude_undosed = true'
    ))  # fmt: skip
    plan = plan_study(load_study(study))
    counts = {one.name: one.n_subjects for one in plan.analyses}
    # 19 people have an arm and samples, 03 has no second scan; the 7 dosed with a weight.
    assert counts["Level and Default"] == 18
    assert counts["Dose and mood"] == 7


def test_a_dose_term_is_tested_like_any_other(results):
    visual = results["Visual by dose"].estimates
    assert visual.loc[visual["declared"], "term"].iloc[0] == "visit[after]:average_ketamine"
    assert visual["n_observations"].iloc[0] == 2 * 17 - 1  # person 03 has no second scan
    rows = results["MADRS by dose"].estimates
    test = rows.loc[rows["declared"] & (rows["term"] == "visit[after]:average_ketamine")]
    assert len(test) == 1
    assert test["n_subjects"].iloc[0] == 17


def test_the_report_shows_exposure_with_its_source(results, trial):
    page = render_some(results, "exposure")
    assert 'id="exposure"' in page
    assert "Concentrations over time, by the model" in page
    assert "a model of S-ketamine is used for racemic" in page
    text = (trial.parent / "out" / "group" / "results.tsv").read_text()
    assert "average_ketamine ~ change before to after" in text
    assert {"otto2021", "fanta2015"} <= set(results["exposure"].citations)
    assert {"otto2021", "fanta2015"} <= set(known_references())
    again = load_results(trial.parent / "out")
    pd.testing.assert_frame_equal(
        again.tables["concentrations"], results.tables["concentrations"], check_dtype=False
    )


def test_what_was_handled_is_noted(trial):
    notes = "\n".join(plan_study(load_study(trial)).warnings)
    assert "column 'S': 20 of 40 values below quantification count as half the limit" in notes
    assert "1 person has no exposure from doses.tsv: no weight" in notes
    # As sub-X, by which a page with codes knows whom it must not name.
    assert re.search(r"no weight .*: sub-\w+", notes)
    assert "a model of S-ketamine is used for racemic (total) ketamine" in notes


WRONG_STUDY = [
    (
        'arms = ["drug"]',
        'arms = ["drugs"]',
        "[exposure] arms: 'drugs' is not declared; did you mean",
    ),
    ('arms = ["drug"]', "", "[exposure] arms: say which arms get the dose plan"),
    ('measure = "average_ketamine"', 'measure = "level"', "measure (one per person) 'level'"),
    ('name = "block"', 'name = "arm"', "[[exposure.measure]] 'arm': must be a word of its own"),
    ("visit_h = { after = 97 }", "visit_h = { later = 97 }", "visit 'later' is not declared"),
    ('name = "MADRS by dose"', 'name = "exposure"', "the analysis 'exposure' is declared twice"),
    ('what = "average occupancy"', 'what = "hours above"', "above_ng_ml belongs to what"),
    ('below = "half"', "", "below"),
    ('regimen = "doses.tsv"', "", "need 'regimen', the dose plan"),
    ('time_h = "hour"\nsession = "ses"', "", "needs 'time_h' or 'session'"),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG_STUDY)
def test_messages_about_the_study_file(trial, old, new, said):
    study = trial.with_name("wrong.toml")
    assert old in trial.read_text()
    study.write_text(trial.read_text().replace(old, new, 1))
    with pytest.raises(StudyFileError) as caught:
        load_study(study)
    assert any(said in text for text in caught.value.problems), caught.value.problems


WRONG_DATA = [
    (
        'model = "dose"',
        'model = "dose"',
        "doses.tsv",
        "0.14",
        "-1",
        "sub-01: dose 1 rate_mg_kg_h: is -1",
    ),
    ("", "", "doses.tsv", "02\t0", "77\t0", "has doses of '77', who is nobody of the study"),
    ("", "", "levels.tsv", "\t107\t", "\tlow\t", "column 'S' row 1: 'low' is no concentration"),
    ("", "", "levels.tsv", "id\t", "who\t", "has no column 'id'"),
    ("", "", "participants.tsv", "\t60", "\t600", "sub-01 has '600' in column 'weight'"),
    ('weight = "weight"', 'weight = "kg"', "doses.tsv", "", "", "has no column 'kg'"),
    (
        'regimen = "doses.tsv"',
        'regimen = "siegl"',
        "doses.tsv",
        "",
        "",
        "no such file or dose plan",
    ),
    ("visit_h =", 'model = "oto2021"\nvisit_h =', "doses.tsv", "", "", "did you mean 'otto2021'"),
    (
        '"average occupancy"',
        '"average occupancy"\noccupancy = "x"',
        "doses.tsv",
        "",
        "",
        "occupancy: there",
    ),
    ("visit_h = { after = 97 }", "", "levels.tsv", "", "", None),
]


@pytest.mark.parametrize(("old", "new", "table", "cell", "wrong", "said"), WRONG_DATA)
def test_messages_about_the_data(trial, tmp_path, old, new, table, cell, wrong, said):
    folder = tmp_path / "data"
    folder.symlink_to(trial.parent / "data")
    study = tmp_path / "study.toml"
    text = trial.read_text().replace(old, new, 1)
    if cell:
        source = (trial.parent / "data" / table).read_text()
        assert cell in source
        (tmp_path / table).write_text(source.replace(cell, wrong, 1))
        text = text.replace(f'"{table}"', f'"{tmp_path / table}"')
        if table == "participants.tsv":
            text = text.replace("[data]", f'[data]\nparticipants = "{tmp_path / table}"')
    study.write_text(text)
    problems = plan_study(load_study(study)).problems
    if said is None:
        # The visits have days of their own; a month later nothing is left.
        assert not any("exposure" in one for one in problems), problems
    else:
        assert any(said in one for one in problems), problems


def test_a_crossover_refuses_what_has_no_single_answer_there(tmp_path):
    """A visit comes once under each treatment: no one level, no one change."""
    study = tmp_path / "study.toml"
    study.write_text("""
[study]
name = "Crossover"
[data]
dataset = "."
[design]
kind = "crossover"
treatments = ["placebo", "ketamine"]
order = { columns = ["i1", "i2"], codes = { d = "ketamine", p = "placebo" } }
[[visit]]
name = "day 1"
treatment_sessions = { ketamine = ["d1"], placebo = ["p1"] }
[[visit]]
name = "day 2"
treatment_sessions = { ketamine = ["d2"], placebo = ["p2"] }
[scales.MADRS]
[exposure]
regimen = "ketamine-0.5mgkg-40min"
weight = "kg"
[[exposure.measure]]
name = "mean"
what = "average"
[[exposure.measure]]
name = "level"
what = "at visit"
[[exposure.response]]
name = "Mood"
measure = "mean"
scale = "MADRS"
baseline = "day 1"
visit = "day 2"
""")
    with pytest.raises(StudyFileError) as caught:
        load_study(study)
    found = "\n".join(caught.value.problems)
    assert "'level': 'at visit' in a crossover needs [exposure] treatments" in found
    assert "'Mood': is not part of crossovers in this version" in found
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(("kind", "randomised"), [("parallel", True), ("pre-post", False)])
def test_only_a_parallel_trial_randomises_the_dose_with_the_arm(kind, randomised):
    """Two cohorts of an open-label study are no arms that chance made."""
    study = SimpleNamespace(
        design=SimpleNamespace(kind=kind),
        arms=SimpleNamespace(levels=("low", "high")),
        exposure=SimpleNamespace(arms=()),
    )
    said = _caution(SimpleNamespace(study=study))
    assert ("the dose was randomised with the arm" in said) is randomised


def test_one_person_of_an_arm_has_no_spread():
    one = SimpleNamespace(name="e", role="descriptive", analysis_set="", outcome="exposure")
    (row,) = _mean_row(one, "peak, high", pd.Series([7.0]), "ng/ml", 1)
    assert (row["estimate"], row["flags"]) == (7.0, "one person")
