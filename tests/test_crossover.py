"""Crossovers: the real ketamine trial against R, and a tiny one with scans by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from connectrial import load_study, plan_study, render_report, run_plan
from connectrial.errors import StudyFileError
from connectrial.report.clinical_panels import waterfall_panel
from connectrial.study_file import load_study as read_study
from some_sections import render_some
from tiny import PARCELS, series_path, write_series

STUDY = Path(__file__).parents[1] / "examples" / "ketamine-crossover" / "study.toml"
SCALES = {
    "MADRS_Total": "MADRS by treatment",
    "HAM17_Total": "HAM-D 17 by treatment",
    "HAMD_Bech": "HAM-D 6 by treatment",
}
MODELS = {
    "main": "",
    "period 1": "period 1 alone, between people",
    "period baseline": "each period's own baseline (a stand-in)",
}


@pytest.fixture(scope="module")
def ketamine(connectrial_data, tmp_path_factory):
    """The real trial, its df as lmerTest has them."""
    folder = tmp_path_factory.mktemp("ketamine")
    study = folder / "study.toml"
    study.write_text(STUDY.read_text().replace('"kenward-roger"', '"satterthwaite"'))
    patch = pytest.MonkeyPatch()
    patch.setenv("CONNECTRIAL_DATA", str(connectrial_data))
    found = run_plan(plan_study(load_study(study)), folder / "out")
    patch.undo()
    return found


def test_the_real_crossover_equals_lmertest(ketamine, reference):
    """lmerTest 3.1-3 and emmeans 1.8.4.1 by crossover_ketamine.R, from the tables themselves."""
    stored = pd.read_csv(reference / "crossover_ketamine.csv", comment="#")
    stored = stored[stored["model"] != "count"]
    stored["analysis"] = stored["scale"].map(SCALES)
    stored["term"] = (
        stored["term"]
        .str.replace("(Intercept)", "Intercept")
        .str.replace(r"(treatment)(ketamine)", r"\1[\2]", regex=True)
        .str.replace(r"(visit)(day \d+)", r"\1[\2]", regex=True)
        .str.replace("period2", "period[2]")
        .str.replace(r"(sequence)(ketamine.*)", r"\1[\2]", regex=True)
    )
    ours = ketamine.estimates.query("df_method == 'satterthwaite'").copy()
    ours["model"] = "main"
    for model, flag in MODELS.items():
        if flag:
            ours.loc[ours["flags"].str.startswith(flag), "model"] = model
    both = stored.merge(ours, on=["analysis", "model", "term"], suffixes=("_r", ""))
    assert len(both) == len(stored) == 39
    assert np.abs((both["estimate"] - both["estimate_r"]) / both["se_r"]).max() < 1e-4
    assert np.abs(both["se"] / both["se_r"] - 1).max() < 1e-4
    assert np.abs(both["df"] - both["df_r"]).max() < 2e-3
    assert (both["n_observations"] == both["n_observations_r"]).all()
    assert (both["n_subjects"] == both["n_subjects_r"]).all()


def test_response_and_remission_by_hand_count(ketamine, reference):
    """Counts of crossover_ketamine.R; McNemar's p from the discordant pairs (4 and 0: 2/2^4)."""
    stored = pd.read_csv(reference / "crossover_ketamine.csv", comment="#")
    counts = stored[stored["model"] == "count"].set_index("term")
    rows = ketamine.estimates.query("kind == 'proportion'").set_index("term")
    for term, count in counts.iterrows():
        endpoint, treatment = str(term).split()
        row = rows.loc[f"{endpoint}, {treatment}"]
        assert row["n_subjects"] == count["n_subjects"]
        assert row["estimate"] == pytest.approx(count["estimate"] / count["n_subjects"], abs=1e-12)
    paired = ketamine["response"].estimates.query("kind == 'risk difference'").iloc[0]
    assert paired["n_subjects"] == 24
    assert paired["p"] == pytest.approx(2 / 2**4, abs=1e-12)


def test_the_waterfall_shows_those_who_can_respond(ketamine):
    """26 scores after placebo and 27 after ketamine, 1 and 6 responses; healthy controls have none."""
    drawn = waterfall_panel(ketamine)
    assert drawn is not None
    assert "of 53 people" in drawn.alt
    assert "7 fell by at least 50 %" in drawn.alt


def test_everybody_of_the_real_crossover_is_accounted_for(ketamine):
    people = ketamine.tables["subjects"]
    assert len(people) == 58
    left = people.loc[~people["included"], ["subject", "reason"]].set_index("subject")["reason"]
    assert left.str.contains("no treatment is stated").sum() == 2  # MOA117, all missing; MOA138
    assert left.str.contains("group 'BP'").sum() == 3
    # Controls are described, never modelled.
    assert (people.query("group == 'HC'")["included"]).all()
    # Patients by sequence and period, counted from the tables themselves: 14 and 17 began, 2 and 4 of
    # them left before period 2.
    flow = ketamine.tables["period_flow"].set_index(["sequence", "period"])
    assert flow["n_sequence"].tolist() == [14, 14, 17, 17]
    assert flow["n_left"].tolist() == [0, 2, 0, 4]
    assert flow["MADRS, day 2"].tolist() == [13, 12, 15, 13]
    assert flow["MADRS, day 10"].tolist() == [13, 11, 15, 13]
    models = [one for one in ketamine.analyses if one.what == "score"]
    assert {one.design["n_subjects"] for one in models} == {31}
    assert any("7 people left before period 2" in text for text in ketamine.plan["warnings"])
    page = render_report(ketamine)
    assert "Patients through the periods" in page
    assert "may carry over into the next" in page
    assert "Freeman 1989" in page
    # Who was seen when: by sequence, and those who take no part apart.
    for words in ("placebo then ketamine (14)", "ketamine then placebo (17)", "left out (5)"):
        assert words in page


def test_a_change_starts_at_the_baseline_of_its_own_period(connectrial_data, tmp_path, monkeypatch):
    """Score and change, given the same baseline, tell the same difference of treatments (algebra)."""
    monkeypatch.setenv("CONNECTRIAL_DATA", str(connectrial_data))
    study = tmp_path / "study.toml"
    change = 'name = "MADRS by treatment"\nscale = "MADRS"\noutcome = "change"'
    text = STUDY.read_text().replace('name = "MADRS by treatment"\nscale = "MADRS"', change)
    study.write_text(text)
    found = []
    for name, file in (("score", STUDY), ("change", study)):
        plan = plan_study(load_study(file))
        alone = [one for one in plan.analyses if one.name == "MADRS by treatment"]
        results = run_plan(replace(plan, analyses=tuple(alone)), tmp_path / name)
        found.append(results["MADRS by treatment"].estimates)
    score, changed = (
        rows[rows["kind"] == "contrast"].set_index(["term", "flags"])["estimate"].filter(like="ket")
        for rows in found
    )
    wanted = [key for key in score.index if key[0].startswith("ketamine - placebo")]
    assert len(wanted) == 9
    for key in wanted:
        assert changed[key] == pytest.approx(score[key], abs=1e-6)


TINY = """
[study]
name = "Tiny crossover"
seed = 1
[data]
kind = "time series"
derivatives = "data"
[design]
kind = "crossover"
treatments = ["placebo", "drug"]
order = { columns = ["first", "second"] }
[[visit]]
name = "hour 1"
treatment_sessions = { placebo = ["p1"], drug = ["d1"] }
[[visit]]
name = "day 1"
treatment_sessions = { placebo = ["p2"], drug = ["d2"] }
[[hypothesis]]
name = "Default"
within = "Default"
model = "crossed"
tests = ["treatment"]
[[exploration]]
name = "Every edge"
model = "crossed"
test = "treatment"
[model.crossed]
fixed = ["treatment", "visit", "period", "sequence"]
random = ["1 | subject", "1 | subject:period"]
"""


def write_crossover(folder: Path) -> Path:
    """Ten people, two treatments, two visits each; person 04 left after the first period."""
    rng = np.random.default_rng(3)
    data = folder / "data"
    rows = ["participant_id\tfirst\tsecond"]
    for number in range(1, 11):
        subject = f"{number:02d}"
        order = ("placebo", "drug") if number % 2 else ("drug", "placebo")
        given = order[:1] if subject == "04" else order
        rows.append(f"sub-{subject}\t{given[0]}\t{given[1] if len(given) > 1 else 'n/a'}")
        person = rng.normal(size=(len(PARCELS), 3)) * 0.3
        for treatment in given:
            for visit in "12":
                common = rng.normal(size=(60, 3))
                strength = 0.2 if treatment == "drug" else 0.8
                signal = 500 + common @ (person.T + strength)
                signal += rng.normal(size=signal.shape)
                write_series(series_path(data, subject, f"{treatment[0]}{visit}"), signal)
    (data / "participants.tsv").write_text("\n".join(rows) + "\n")
    (data / "dataset_description.json").write_text('{"Name": "tiny", "BIDSVersion": "1.10.0"}')
    study = folder / "study.toml"
    study.write_text(TINY)
    return study


def test_scans_of_a_crossover(tmp_path):
    results = run_plan(plan_study(read_study(write_crossover(tmp_path))), tmp_path / "out")
    fc = results.tables["visit_fc"]
    assert list(fc["visit"].cat.categories) == ["hour 1", "day 1"]
    assert len(fc) == 10 * 2 * 2 - 2
    # Each value stands at the treatment and period of its session.
    sessions = results.tables["network_fc"].assign(letter=lambda t: t["session"].str[0])
    assert set(zip(sessions["letter"], sessions["visit"].str.split().str[0], strict=True)) == {
        ("d", "drug"),
        ("p", "placebo"),
    }
    first = fc.query("subject == '01' and treatment == 'placebo'")["period"]
    assert set(first) == {"1"}
    rows = results["Default"].estimates
    effect = rows.query("term == 'treatment[drug]' and declared").iloc[0]
    means = fc.groupby(["subject", "treatment"])["fc_z"].mean().unstack()
    difference = (means["drug"] - means["placebo"]).dropna()
    assert effect["estimate"] == pytest.approx(difference.mean(), abs=0.05)
    assert effect["estimate"] < -0.2
    assert (effect["n_subjects"], effect["n_observations"]) == (10, 38)
    alone = rows.query("role == 'sensitivity' and flags.str.startswith('period 1 alone')")
    # The model has no interaction: the same difference at both visits is one row.
    assert set(alone["term"]) == {"drug - placebo", "treatment[drug]"}
    assert list(rows.query("kind == 'contrast' and declared")["term"]) == [
        "day 1 - hour 1",
        "drug - placebo",
    ]
    assert (alone["n_observations"] == 20).all()
    tested = results["Quality of the scans"].estimates.query("outcome == 'median_signal'")
    assert tested["term"].tolist() == [
        "visit[day 1]",
        "treatment[drug]",
        "visit[day 1]:treatment[drug]",
    ]
    edges = results.edges["Every edge"]
    assert len(edges) == len(PARCELS) * (len(PARCELS) - 1) // 2
    assert "placebo hour 1" in render_some(results, "matrices")


def test_a_single_visit_leaves_least_squares_for_period_1(tmp_path):
    study = write_crossover(tmp_path)
    text = study.read_text().replace(
        '[[visit]]\nname = "day 1"\ntreatment_sessions = { placebo = ["p2"], drug = ["d2"] }\n', ""
    )
    text = text.replace('"treatment", "visit", "period"', '"treatment", "period"')
    study.write_text(text.replace('["1 | subject", "1 | subject:period"]', '["1 | subject"]'))
    results = run_plan(plan_study(read_study(study)), tmp_path / "out")
    alone = results["Default"].estimates.query("role == 'sensitivity'").iloc[0]
    fc = results.tables["visit_fc"].query("period == '1'")
    drug = fc.query("treatment == 'drug'")["fc_z"]
    placebo = fc.query("treatment == 'placebo'")["fc_z"]
    assert alone["estimate"] == pytest.approx(drug.mean() - placebo.mean(), abs=1e-10)
    assert alone["df"] == 8  # ten people, two means
    scipy = ttest_ind(drug, placebo)
    assert alone["p"] == pytest.approx(scipy.pvalue, rel=1e-9)
    low, high = scipy.confidence_interval(0.95)
    assert (alone["ci_low"], alone["ci_high"]) == pytest.approx((low, high), rel=1e-9)
    # Means of the one visit by treatment, whose difference is the effect.
    means = results["Default"].means.set_index("by")
    assert set(zip(means["visit"], means["by_factor"], strict=True)) == {("hour 1", "treatment")}
    effect = results["Default"].estimates.query("term == 'treatment[drug]' and declared")
    difference = means.loc["drug", "estimate"] - means.loc["placebo", "estimate"]
    assert difference == pytest.approx(effect["estimate"].iloc[0], rel=1e-9)
    assert list(results.plan["systems"]["Default"]) == [p for p in PARCELS if "Default" in p]


WRONG = {
    "no order": (
        'order = { columns = ["first", "second"] }',
        "",
        "needs treatments = [reference, ...] and order",
    ),
    "unknown treatment of a visit": (
        'drug = ["d1"]',
        'durg = ["d1"]',
        "there is no treatment 'durg'; did you mean 'drug'?",
    ),
    "a code of no treatment": (
        'columns = ["first", "second"]',
        'columns = ["first", "second"], codes = { x = "ketamine" }',
        "'ketamine' is not among treatments",
    ),
    "arms": (
        "[[hypothesis]]",
        '[arms]\ncolumn = "first"\nlevels = ["placebo", "drug"]\n[[hypothesis]]',
        "people of a crossover are not randomised to arms",
    ),
    "treatments without a crossover": (
        'kind = "crossover"',
        'kind = "pre-post"',
        "treatments belongs to kind = 'crossover'",
    ),
    "both kinds of sessions": (
        'name = "hour 1"',
        'name = "hour 1"\nsessions = ["p1"]',
        "sessions and treatment_sessions both say",
    ),
    "period_baseline of no visit": (
        'treatments = ["placebo", "drug"]',
        'treatments = ["placebo", "drug"]\nperiod_baseline = "day 7"',
        "period_baseline: 'day 7' is no visit of each treatment",
    ),
    "permutation": (
        'test = "treatment"',
        'test = "treatment"\nmethod = "max"',
        "would exchange observations across the periods of a crossover",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_crossover_gets_its_message(tmp_path, case):
    right, wrong, fragment = WRONG[case]
    assert TINY.count(right) >= 1
    path = tmp_path / "study.toml"
    path.write_text(TINY.replace(right, wrong, 1))
    with pytest.raises(StudyFileError) as caught:
        read_study(path)
    assert fragment in "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("right", "wrong", "fragment"),
    [
        ("sub-01\tplacebo", "sub-01\tplacbo", "'placbo' is no treatment; allowed are"),
        ("sub-02\tdrug\tplacebo", "sub-02\tdrug\tdrug", "was given 'drug' in two periods"),
        ("sub-02\tdrug\tplacebo", "sub-02\tn/a\tplacebo", "the period before, is empty"),
        ("\tsecond", "\tzweite", "the participants table has no column 'second'"),
    ],
)
def test_a_wrong_order_table_gets_its_message(tmp_path, right, wrong, fragment):
    study = write_crossover(tmp_path)
    table = tmp_path / "data" / "participants.tsv"
    assert right in table.read_text()
    table.write_text(table.read_text().replace(right, wrong, 1))
    assert fragment in "\n".join(plan_study(read_study(study)).problems)
