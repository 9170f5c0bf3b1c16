"""Clinical studies from file to results: Siegel's counts, every method, malformed tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact, spearmanr, ttest_ind

from connectrial import load_results, load_study, plan_study, render_report, run_plan
from connectrial.errors import StudyFileError
from connectrial.run.describing import answer_table
from connectrial.run.variance_rows import with_variance_intervals
from connectrial.stats.ancova import ancova
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.mmrm import fit_mmrm
from connectrial.stats.reliability import icc
from connectrial.stats.variance_intervals import variance_intervals
from parallel_trial import STUDY, write_parallel
from siegel import write_siegel
from some_sections import render_some
from tiny import PARCELS


@pytest.fixture(scope="module")
def siegel(tmp_path_factory):
    study = write_siegel(tmp_path_factory.mktemp("siegel"))
    plan = plan_study(load_study(study))
    assert plan.problems == ()
    results = run_plan(plan, study.parent / "out")
    assert results is not None
    return plan, results


# Siegel et al. (2021), Results, "Clinical outcomes": responders and remitters of those with a score;
# 11 of 22 with the patient who was admitted counted as a non-responder; 8 of the 11 responders at
# two weeks still responding at eight.
COUNTS = {
    ("response_day1", "per_protocol"): (16, 22),
    ("remission_day1", "per_protocol"): (13, 22),
    ("response", "per_protocol"): (11, 21),
    ("response", "worst_case"): (11, 22),
    ("remission", "per_protocol"): (8, 21),
    ("still_responding", "per_protocol"): (8, 11),
    ("response_week8", "per_protocol"): (11, 21),
    ("remission_week8", "per_protocol"): (7, 21),
}
PERCENT = [73, 59, 52, 50, 38, 73, 52, 33]  # as printed


def test_the_counts_of_siegel_2021(siegel):
    _, results = siegel
    rows = results.estimates.query("kind == 'proportion'").set_index(["analysis", "analysis_set"])
    found = {
        key: (round(r["estimate"] * r["n_subjects"]), r["n_subjects"]) for key, r in rows.iterrows()
    }
    assert found == COUNTS
    shares = [round(100 * rows.loc[key, "estimate"]) for key in COUNTS]
    assert shares == PERCENT


def test_the_scans_of_siegel_2021(siegel):
    _, results = siegel
    scans = results.tables["imaging_flow"].set_index(["visit", "session"])
    made = [("pre", "pre1"), ("pre", "pre2"), ("week2", "post")]
    assert scans.loc[made, "n_scanned"].tolist() == [23, 18, 20]
    rows = results["Default"].estimates
    assert set(rows["n_subjects"]) == {21}
    assert set(rows["n_observations"]) == {40}
    assert set(rows["analysis_set"]) == {"imaging"}


def test_the_flow_of_siegel_2021(siegel):
    """27 consented, 1 failed criteria, 3 withdrew, 23 started, 22 completed, 1 of them lost."""
    plan, results = siegel
    flow = results.tables["flow"].set_index("box")
    assert flow.loc["Assessed for eligibility", "n_subjects"] == 27
    assert flow.loc["Eligible", "n_subjects"] == 23
    assert "1 person: not eligible: meets the criteria" in flow.loc["Eligible", "left_out"]
    assert "3 people: not eligible: consent upheld" in flow.loc["Eligible", "left_out"]
    assert flow.loc["Completed of 23", "n_subjects"] == 21
    assert flow.loc["Completed of 23", "left_out"].split("\n") == [
        "1 person: lost to follow-up (lost)",
        "1 person: excluded by the investigators (stopped)",
    ]
    assert {name: len(people) for name, people in plan.people.sets.items()} == {
        "treated": 23, "per_protocol": 22, "worst_case": 22, "imaging": 21,
    }  # fmt: skip


def test_estimands_are_recorded_saved_and_printed(siegel):
    plan, results = siegel
    known = results["response_day1"].estimand
    assert known["population"] == "People who completed the infusion"
    assert known["intercurrent_events"]["admission to hospital"] == "hypothetical"
    folder = plan.study.path.parent / "out"
    assert dict(load_results(folder)["response_day1"].estimand) == dict(known)
    assert "admission to hospital: hypothetical strategy" in render_some(results, "clinical")


@pytest.fixture(scope="module")
def parallel(tmp_path_factory):
    study = write_parallel(tmp_path_factory.mktemp("parallel"))
    plan = plan_study(load_study(study))
    assert plan.problems == ()
    results = run_plan(plan, study.parent / "out")
    assert results is not None
    return plan, results


def changes(plan):
    """Build change from baseline by hand, of those who take part."""
    people = plan.people.subjects.query("included")
    scores = plan.people.scores.query("scale == 'MADRS'")
    wide = scores.pivot_table(index="subject", columns="visit", values="score", observed=True)
    long = wide.sub(wide["pre"], axis=0).drop(columns="pre").stack().dropna()
    table = long.rename("change").reset_index().assign(visit=lambda t: t["visit"].astype(str))
    table["baseline"] = wide["pre"].reindex(table["subject"]).to_numpy()
    joined = table.merge(people[["subject", "arm", "age"]], on="subject")
    return joined.assign(arm=pd.Categorical(joined["arm"], categories=["placebo", "drug"]))


def test_the_default_mmrm_is_change_on_baseline_arm_and_visit(parallel):
    plan, results = parallel
    fit = fit_mmrm("change ~ baseline + arm * visit + us(visit | subject)", changes(plan))
    weights = np.zeros(len(fit.design.columns))
    for column in ("arm[drug]", "arm[drug]:visit[week4]"):
        weights[list(fit.design.columns).index(column)] = 1.0
    oracle = fit.contrast(weights).iloc[0]
    rows = results["MMRM"].estimates.query("term == 'drug - placebo at week4'")
    row = rows.query("declared").iloc[0]
    for column in ("estimate", "se", "df", "p"):
        assert row[column] == pytest.approx(oracle[column], rel=1e-6), column
    assert row["family"] == "primary"
    assert row["analysis_set"] == "itt"
    assert rows["df_method"].tolist() == ["satterthwaite", "kenward-roger", "residual"]
    assert any("have no change at any visit" in note for note in results["MMRM"].notes)


def test_locf_is_labelled_and_carries_forward(parallel):
    plan, results = parallel
    table = changes(plan)
    last = table.assign(order=table["visit"]).sort_values("order").groupby("subject").last()
    included = plan.people.subjects.query("included").set_index("subject")
    base = plan.people.scores.query("scale == 'MADRS' and visit == 'pre'").set_index("subject")[
        "score"
    ]
    filled = included.assign(
        change=last["change"].reindex(included.index).fillna(0.0),  # nobody seen: baseline carried
        baseline=base.reindex(included.index),
    )
    filled["arm"] = pd.Categorical(filled["arm"], categories=["placebo", "drug"])
    oracle = ancova(filled, outcome="change", baseline="baseline", group="arm", covariates=["age"])
    row = results["LOCF"].estimates.query("kind == 'difference'").iloc[0]
    assert row["estimate"] == pytest.approx(oracle.loc["drug - placebo", "estimate"], rel=1e-10)
    assert row["n_subjects"] == 47
    assert any("carried forward" in note for note in results["LOCF"].notes)


def test_responders_in_every_set(parallel):
    _, results = parallel
    rows = results["response"].estimates
    whole = rows.query("kind == 'proportion' and term == 'response'").set_index("analysis_set")
    assert whole["n_subjects"].to_dict() == {
        "itt": 38,
        "worst": 47,
        "carried": 47,
        "per_protocol": 34,
    }
    yes = (whole["estimate"] * whole["n_subjects"]).round()
    assert yes["itt"] == yes["worst"]  # missing ones did not respond
    assert yes["carried"] >= yes["worst"]
    kinds = set(rows.query("analysis_set == 'itt'")["kind"])
    assert kinds == {"proportion", "risk difference", "risk ratio", "number needed to treat"}
    members = rows.query("family == 'primary'")
    assert members[["analysis_set", "kind"]].to_numpy().tolist() == [["itt", "risk difference"]]
    assert set(rows.query("analysis_set != 'itt'")["role"]) == {"sensitivity"}
    difference = rows.query("kind == 'risk difference'").iloc[0]["estimate"]
    needed = rows.query("kind == 'number needed to treat'").iloc[0]["estimate"]
    assert needed == pytest.approx(1 / difference)


def test_arms_within_a_margin_by_hand(parallel):
    """Welch's one-sided tests (scipy), of the difference shifted by the margin."""
    plan, results = parallel
    last = changes(plan).query("visit == 'week4'")
    drug, placebo = (last.loc[last["arm"] == arm, "change"] for arm in ("drug", "placebo"))
    row = results["Alike"].estimates.iloc[0]
    low = ttest_ind(drug + 8, placebo, equal_var=False, alternative="greater").pvalue
    high = ttest_ind(drug - 8, placebo, equal_var=False, alternative="less").pvalue
    assert row["p"] == pytest.approx(max(low, high), rel=1e-9)
    assert row["estimate"] == pytest.approx(drug.mean() - placebo.mean())
    assert row["ci_level"] == pytest.approx(0.9)
    within = row["ci_low"] > -8 and row["ci_high"] < 8
    assert f"equivalence{'' if within else ' not'} shown at one-sided 0.05" in row["flags"]
    score = plan.people.scores.query("scale == 'MADRS' and visit == 'week4'")
    score = score.set_index("subject")["score"].reindex(last["subject"]).to_numpy()
    drug, placebo = (score[last["arm"] == arm] for arm in ("drug", "placebo"))
    row = results["Not worse"].estimates.iloc[0]
    oracle = ttest_ind(drug - 3, placebo, equal_var=False, alternative="less")
    assert row["p"] == pytest.approx(oracle.pvalue, rel=1e-9)
    assert row["alternative"] == "less"
    assert "margin 3 points, lower being better; non-inferiority shown" in row["flags"]
    sizes = results["Not worse"].estimates.query("kind == 'effect size'").iloc[0]
    assert sizes["unit"] == "hedges_g"
    assert sizes["ci_low"] < sizes["estimate"] < sizes["ci_high"]


def test_the_terminal_says_which_intervals_are_not_of_95_percent(parallel):
    shown = answer_table(parallel[1]).set_index("analysis")["95 % CI"]
    assert shown["Alike"].endswith("(90 %)")
    assert "%" not in shown["Not worse"]


def test_an_exact_test_takes_the_place_of_the_score_test(parallel):
    _, results = parallel
    rows = results["sustained"].estimates
    counts = [
        (round(r["estimate"] * r["n_subjects"]), r["n_subjects"])
        for _, r in rows.query("kind == 'proportion'").iloc[1:].iterrows()
    ]
    (x, n), (y, m) = counts[1], counts[0]
    row = rows.query("kind == 'risk difference'").iloc[0]
    assert row["p"] == pytest.approx(fisher_exact([[x, n - x], [y, m - y]]).pvalue)
    assert row["statistic_name"] == "Fisher's exact test"
    odds = rows.query("kind == 'odds ratio'").iloc[0]
    assert odds["ci_low"] < odds["estimate"] < odds["ci_high"]
    assert rows["p"].notna().sum() == 1


def test_correlations_over_people_and_within_them(parallel):
    """Of residuals (partial), of ranks, and by the sums of squares of a common slope."""
    plan, results = parallel
    last = changes(plan).query("visit == 'week4'").set_index("subject")
    people = plan.people.subjects.set_index("subject").reindex(last.index)
    x = np.column_stack([np.ones(len(last)), people["arm"] == "drug", people["dose"]]).astype(float)
    left = [v - x @ np.linalg.lstsq(x, v, rcond=None)[0] for v in (people["age"], last["change"])]
    rows = results["Mood and age"].estimates
    assert rows["estimate"].iloc[0] == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-10)
    assert rows["df"].iloc[0] == len(last) - 4
    assert rows["unit"].tolist() == ["partial Pearson's r", "partial Spearman's rho"]
    assert rows["declared"].tolist() == [True, False]
    assert rows["term"].iloc[0] == "age ~ MADRS, change pre to week4"
    scores = plan.people.scores.assign(visit=lambda t: t["visit"].astype(str))
    scores = scores.loc[scores["subject"].isin(plan.people.subjects.query("included")["subject"])]
    wide = scores.pivot_table(index=["subject", "visit"], columns="scale", values="score")
    wide = wide[["MADRS", "SBP"]].dropna()
    at = wide.xs("week2", level="visit")
    row = results["Mood and pressure"].estimates.iloc[0]
    assert row["estimate"] == pytest.approx(spearmanr(at["MADRS"], at["SBP"]).statistic, abs=1e-10)
    inner = wide - wide.groupby("subject").transform("mean")
    row = results["Mood and pressure within people"].estimates.iloc[0]
    assert row["estimate"] == pytest.approx(inner.corr().iloc[0, 1], abs=1e-10)
    kept = wide.groupby("subject")["MADRS"].transform("size") > 1
    assert row["df"] == kept.sum() - kept[kept].index.get_level_values(0).nunique() - 1


def test_change_of_connectivity_with_change_of_mood(siegel):
    plan, results = siegel
    fc = results.tables["visit_fc"].assign(visit=lambda t: t["visit"].astype(str))
    wide = fc.pivot_table(index="subject", columns="visit", values="fc_z")
    scores = plan.people.scores.assign(visit=lambda t: t["visit"].astype(str))
    mood = scores.pivot_table(index="subject", columns="visit", values="score")
    both = pd.concat([wide["week2"] - wide["pre"], mood["week2"] - mood["pre"]], axis=1).dropna()
    row = results["FC and mood"].estimates.iloc[0]
    assert row["n_subjects"] == len(both) == 19
    assert row["estimate"] == pytest.approx(np.corrcoef(both.to_numpy().T)[0, 1], abs=1e-10)
    points = results.tables["associations"].query("analysis == 'FC and mood'").dropna()
    assert len(points) == 19


def test_variances_have_the_intervals_that_the_model_asks_for(siegel):
    plan, results = siegel
    planned = next(one for one in plan.analyses if one.name == "Default")
    fc = results.tables["visit_fc"].assign(visit=lambda t: t["visit"].astype(str))
    data = planned.rows.assign(visit=lambda t: t["visit"].astype(str))
    data = data.merge(fc[["subject", "visit", "fc_z"]], on=["subject", "visit"])
    data["visit"] = pd.Categorical(data["visit"], categories=["pre", "week2"])
    fit = fit_mixed("fc_z ~ visit + (1 | subject)", data, df="residual")
    oracle = variance_intervals(fit)
    rows = results["Default"].estimates.set_index("term")
    for component, one in oracle.iterrows():
        term = str(component) if component.startswith("ICC") else f"variance of {component}"
        row = rows.loc[term]
        assert row["ci_high"] == pytest.approx(one["ci_high"], rel=1e-4), term
        assert row["ci_low"] == pytest.approx(one["ci_low"], rel=1e-4, abs=1e-9), term
        assert "profile likelihood" in row["flags"]
    assert rows.loc["ICC subject", "kind"] == "reliability"
    asked = planned.model.model_copy(update={"variance_intervals": "bootstrap"})
    base = [{"term": "variance of Residual", "kind": "variance", "flags": "", "unit": ""}]
    drawn, notes = with_variance_intervals(replace(planned, model=asked), fit, base, seed=1)
    assert not notes
    assert drawn[0]["ci_low"] < fit.variance.loc["Residual", "estimate"] < drawn[0]["ci_high"]
    assert "parametric bootstrap, 999 samples" in drawn[0]["flags"]
    assert drawn[1]["term"] == "ICC subject"


def test_every_edge_has_its_reliability(siegel):
    """Of the 18 people with both sessions before: `icc` of each edge from the written matrices."""
    plan, results = siegel
    table = results.tables["edge_reliability"]
    assert len(table) == len(PARCELS) * (len(PARCELS) - 1) // 2
    edge = table.iloc[5]
    rows = []
    for number in range(1, 19):
        for session in ("pre1", "pre2"):
            func = plan.study.path.parent / "out" / f"sub-{number:02d}" / f"ses-{session}" / "func"
            (path,) = func.glob("*stat-pearsoncorrelation*relmat.tsv")
            r = pd.read_csv(path, sep="\t", index_col=0).loc[edge["parcel_a"], edge["parcel_b"]]
            rows.append((number, session, np.arctanh(r)))
    sessions = pd.DataFrame(rows, columns=["subject", "session", "z"])
    oracle = icc(sessions, targets="subject", raters="session", scores="z")
    assert edge["icc_2_1"] == pytest.approx(oracle.loc["ICC(2,1)", "estimate"], rel=1e-4)
    assert edge["icc_3_1"] == pytest.approx(oracle.loc["ICC(3,1)", "estimate"], rel=1e-4)
    row = results["Edge reliability"].estimates.iloc[0]
    assert row["estimate"] == pytest.approx(table["icc_2_1"].median())
    assert row["n_subjects"] == 18


def test_the_family_counts_clinical_tests(parallel):
    _, results = parallel
    tests = results.estimates.query("family == 'primary'")
    assert sorted(tests["analysis"]) == ["MMRM", "response"]
    assert set(tests["family_size"]) == {2}


def test_safety_counts_people_by_arm_and_visit(parallel):
    plan, results = parallel
    raw = pd.read_csv(plan.study.dataset / "phenotype" / "visits.tsv", sep="\t")
    arm = plan.people.subjects.query("included").set_index("subject")["arm"]
    raw["arm"] = raw["participant_id"].str.removeprefix("sub-").map(arm)
    bad = raw["headache"].isin(["moderate", "severe"])
    expected = raw.loc[bad].groupby(["arm", "session_id"])["participant_id"].nunique()
    table = results.tables["adverse_events"].query("event == 'headache'")
    assert list(table["arm"].unique()) == ["placebo", "drug"]
    for row in table.itertuples():
        session = {"pre": "ses-v0", "week1": "ses-v1", "week2": "ses-v2", "week4": "ses-v3"}
        assert row.n_with == expected.get((row.arm, session[str(row.visit)]), 0)
        assert row.ci_low <= row.percent <= row.ci_high
    fitted = results["Side effects"].estimates.query("kind == 'odds ratio'")
    assert fitted["term"].tolist() == ["any side effect on arm[drug]", "any side effect on dose"]
    assert set(results["Side effects"].estimates["role"]) == {"safety"}


def test_severity_is_counted_by_arm(parallel):
    """Bands of the MADRS (Snaith et al. 1986): 0 to 6, 7 to 19, 20 to 34, above."""
    plan, results = parallel
    subjects = plan.people.subjects.query("included").set_index("subject")
    scores = plan.people.scores.query("scale == 'MADRS' and visit == 'week4'")
    scores = scores.set_index("subject")["score"].reindex(subjects.index).dropna()
    found = results.tables["severity"].query("scale == 'MADRS' and visit == 'week4'")
    assert list(dict.fromkeys(found["arm"])) == ["placebo", "drug"]
    for arm, rows in found.groupby("arm"):
        own = scores[subjects.loc[scores.index, "arm"] == arm]
        counts = np.histogram(own, bins=[0, 7, 20, 35, 61])[0]
        assert rows["n_subjects"].tolist() == counts.tolist()
        assert rows["percent"].sum() == pytest.approx(100)


def test_volumes_are_shares_of_intracranial_volume(parallel):
    plan, results = parallel
    volumes = pd.read_csv(plan.study.dataset / "aseg.tsv", sep="\t").set_index("Measure:volume")
    volumes.index = volumes.index.str.removeprefix("sub-")
    change = changes(plan).query("visit == 'week4'").set_index("subject")["change"]
    share = volumes["Right-Hippocampus"] / volumes["EstimatedTotalIntraCranialVol"]
    row = results["Structural volumes"].estimates.set_index("term").loc["Right-Hippocampus"]
    r = np.corrcoef(share.reindex(change.index), change)[0, 1]
    assert row["estimate"] == pytest.approx(r, abs=1e-10)
    assert row["n_subjects"] == len(change)
    assert "not adjusted" in row["flags"]


def test_what_was_missing_in_items_is_logged(parallel):
    plan, results = parallel
    log = results.tables["score_log"].set_index("subject")
    assert log["prorated"].to_dict() == {"03": True, "04": False}
    assert any("1 scores are prorated" in note and "stand-in" in note for note in plan.warnings)
    scores = plan.people.scores.set_index(["scale", "subject", "visit"])["score"]
    assert np.isnan(scores["MADRS", "04", "week1"])


def test_the_report_shows_safety_and_people(parallel):
    _, results = parallel
    page = render_report(results)
    for words in ("Side effects", "Eligibility and analysis sets", "SMD", "treatment_policy"):
        assert words in page


# --- twelve malformed tables, each with its message


def spoil(study, file, old, new, *, count=1):
    path = study.parent / "data" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def cell(study, file, row, column, value):
    """Put a value into a row (as counted in the file) and column."""
    path = study.parent / "data" / file
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    lines[row - 1][lines[0].index(column)] = value
    path.write_text("\n".join("\t".join(line) for line in lines) + "\n")


MALFORMED = {
    "an item above its range": (
        lambda s: cell(s, "phenotype/madrs.tsv", 2, "MADRS_3", "7"),
        "phenotype/madrs.tsv: row 2, sub-01 ses-v0, column 'MADRS_3' is 7; allowed are whole numbers "
        "from 0 to 6",
    ),
    "half a point": (
        lambda s: cell(s, "phenotype/madrs.tsv", 5, "MADRS_1", "2.5"),
        "row 5, sub-01 ses-v3, column 'MADRS_1' is 2.5",
    ),
    "a negative item": (
        lambda s: cell(s, "phenotype/madrs.tsv", 9, "MADRS_10", "-1"),
        "row 9, sub-02 ses-v3, column 'MADRS_10' is -1",
    ),
    "a word for a number": (
        lambda s: cell(s, "phenotype/madrs.tsv", 2, "MADRS_2", "three"),
        "row 2, MADRS_2 of sub-01 is 'three', which is no number",
    ),
    "an item column that is gone": (
        lambda s: spoil(s, "phenotype/madrs.tsv", "MADRS_7", "MADRS7"),
        "[scales.MADRS] items: no column is called 'MADRS_7'; did you mean",
    ),
    "an impossible impression": (
        lambda s: cell(s, "phenotype/visits.tsv", 3, "CGI-I", "8"),
        "[scales.CGI-I]: phenotype/visits.tsv: row 3, sub-01 ses-v1, column 'CGI-I' is 8; allowed are "
        "whole numbers from 1 to 7, and 0 for not assessed",
    ),
    "a subscale below its floor": (
        lambda s: cell(s, "phenotype/visits.tsv", 2, "BPRS_positive", "3"),
        "column 'BPRS_positive' is 3; allowed are numbers from 4 to 28",
    ),
    "two values for one visit": (
        lambda s: cell(s, "phenotype/visits.tsv", 3, "session_id", "ses-v0"),
        "sub-01 at ses-v0 has two values of",
    ),
    "an unknown word in the checklist": (
        lambda s: cell(s, "phenotype/visits.tsv", 3, "headache", "awful"),
        "[safety]: phenotype/visits.tsv: row 3, headache of sub-01 is 'awful'; allowed are numbers",
    ),
    "an age that is none": (
        lambda s: cell(s, "participants.tsv", 3, "age", "forty"),
        "column 'age' of sub-02 is 'forty', which is no number",
    ),
    "an arm that nobody declared": (
        lambda s: cell(s, "participants.tsv", 3, "arm", "durg"),
        "[arms] levels: the column 'arm' also holds 'durg'; did you mean 'drug'?",
    ),
    "a volume that is none": (
        lambda s: cell(s, "aseg.tsv", 4, "Left-Hippocampus", "large"),
        "row 4, column 'Left-Hippocampus' holds 'large', which is no volume",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_table_gets_its_message(tmp_path, case):
    change, says = MALFORMED[case]
    study = write_parallel(tmp_path)
    change(study)
    problems = "\n".join(plan_study(load_study(study)).problems)
    assert says in problems
    assert "Traceback" not in problems


WRONG = {
    "unknown set": (
        ('analysis_set = "itt"', 'analysis_set = "ittt"'),
        "[[clinical]] 'MMRM': analysis set 'ittt' is not declared; did you mean 'itt'?",
    ),
    "unknown estimand": (
        ('estimand = "treatment_policy"', 'estimand = "policy"'),
        "[[clinical]] 'MMRM': estimand 'policy' is not declared",
    ),
    "a rule without a condition": (
        ("at_least = 18\nat_most = 65", ""),
        "needs a condition: one_of, none_of, at_least, at_most, above or below",
    ),
    "an unknown strategy": (
        ('"dropping out" = "hypothetical"', '"dropping out" = "ignore"'),
        "input should be 'treatment policy', 'hypothetical'",
    ),
    "no margin": (
        ("margin = 3\n", ""),
        "method = 'non-inferiority' needs 'margin'",
    ),
    "an exact test that does not exist": (
        ('test = "fisher"', 'test = "fischer"'),
        "input should be 'score', 'fisher' or 'boschloo'",
    ),
    "nothing to correlate with": (
        ('variable = "age"\n', ""),
        "needs exactly one of hypothesis, other_scale, variable",
    ),
    "a factor is no number": (
        ('variable = "age"', 'variable = "sex"'),
        "[[correlation]] 'Mood and age' variable: number 'sex' is not declared",
    ),
    "covariates within people": (
        ('method = "repeated measures"', 'method = "repeated measures"\ncovariates = ["age"]'),
        "covariates does not belong to method = 'repeated measures'",
    ),
    "a key of another method": (
        ('method = "ordinal"', 'method = "ordinal"\nstrategy = "mar"'),
        "strategy does not belong to method = 'ordinal'",
    ),
    "reference-based without parallel arms": (
        ('kind = "parallel"', 'kind = "pre-post"'),
        "reference-based imputation is defined for parallel arms; the design is 'pre-post'",
    ),
    "a crossover does not compare people": (
        (
            'kind = "parallel"',
            'kind = "crossover"\ntreatments = ["placebo", "drug"]\norder = { columns = ["a", "b"] }',
        ),
        "[[clinical]] 'LOCF': method = 'ancova' does not know treatments within people",
    ),
    "worst case of a score": (
        ('analysis_set = "carried"', 'analysis_set = "worst"'),
        "has missing = 'worst case', which scores do not have",
    ),
    "reliability of edges that are measured once": (
        ("[family.primary]", "[quality]\nedge_reliability = true\n[family.primary]"),
        "[quality] edge_reliability: no visit has several sessions",
    ),
    "items without a definition": (
        ('definition = "MADRS"\n', ""),
        "[scales.MADRS]: items needs 'definition'",
    ),
    "vital signs without a baseline": (
        ('vital_signs = ["SBP"]\nbaseline = "pre"', 'vital_signs = ["SBP"]'),
        "[safety]: vital_signs needs 'baseline'",
    ),
    "until before visit": (
        ('visit = "week2"\nuntil = "week4"', 'visit = "week4"\nuntil = "week2"'),
        "[endpoints.sustained] until: 'week2' must come after 'week4'",
    ),
    "relapse without its rule": (
        ("relapse_percent_decrease = 25\n", ""),
        "[[time_to_event]] 'Relapse': relapse_percent_decrease belongs to event = 'relapse'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_study_file_gets_its_message(tmp_path, case):
    (right, wrong), says = WRONG[case]
    assert right in STUDY
    study = tmp_path / "study.toml"
    study.write_text(STUDY.replace(right, wrong, 1))
    with pytest.raises(StudyFileError) as caught:
        load_study(study)
    assert says in "\n".join(caught.value.problems)
