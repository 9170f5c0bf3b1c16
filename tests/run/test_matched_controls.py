"""Patients and controls from a pool to the page: matching, comparison, mixed model beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial import fit_mixed, load_study, plan_study, run_plan
from connectrial.errors import StudyFileError
from some_sections import render_some
from tiny import PARCELS, series_path, write_series

STUDY = """
[study]
name = "Matched"
[data]
kind = "time series"
derivatives = "data"
[design]
kind = "pre-post"
[[visit]]
name = "pre"
sessions = ["pre1", "pre2"]
[[visit]]
name = "post"
sessions = ["post"]
[groups]
column = "group"
patients = "TRD"
controls = "HC"
[variables.age]
[variables.sex]
levels = ["F", "M"]
[matching]
on = ["age", "kept_frames"]
exact = ["sex"]
caliper = { age = 6 }
[[hypothesis]]
name = "Default"
within = "Default"
model = "time"
tests = ["visit"]
[[comparison]]
name = "Patients and controls"
hypotheses = ["Default"]
visits = ["pre", "post"]
[model.time]
fixed = ["visit"]
"""


@pytest.fixture
def matched(tmp_path):
    rng = np.random.default_rng(5)
    data = tmp_path / "data"
    rows = ["participant_id\tgroup\tage\tsex"]
    for number in range(1, 19):
        subject = f"{number:02d}"
        patient = number <= 6
        # The last control is beyond every caliper.
        age = 90 if number == 18 else int(rng.integers(30, 45))
        rows.append(f"sub-{subject}\t{'TRD' if patient else 'HC'}\t{age}\t{'FM'[number % 2]}")
        person = rng.normal(size=(len(PARCELS), 2)) * 0.3
        sessions = ("pre1", "pre2", "post") if patient else (("1", "2") if number < 9 else ("1",))
        for session in sessions:
            strength = 0.9 if patient and session != "post" else 0.5
            signal = 500 + rng.normal(size=(50, 2)) @ (person.T + strength)
            signal += rng.normal(size=signal.shape)
            write_series(series_path(data, subject, session), signal)
    (data / "participants.tsv").write_text("\n".join(rows) + "\n")
    (data / "dataset_description.json").write_text('{"Name": "tiny", "BIDSVersion": "1.10.0"}')
    study = tmp_path / "study.toml"
    study.write_text(STUDY)
    return study


def test_chosen_controls_are_compared_and_the_others_have_a_reason(matched, tmp_path):
    plan = plan_study(load_study(matched))
    assert plan.problems == ()
    results = run_plan(plan, tmp_path / "out")
    people = results.tables["subjects"].set_index("subject")
    pairs = results.tables["matched"]
    chosen = people.loc[people["included"] & (people["group"] == "HC")]
    assert set(chosen.index) == set(pairs["control"])
    assert len(pairs) == 6
    out = people.loc[~people["included"]]
    assert out["reason"].str.startswith("not a matched control: ").all()
    assert out.loc["18", "reason"].endswith("no patient within the limits")
    assert "not a matched control" in "\n".join(results.tables["flow"]["left_out"])
    balance = results.tables["balance"].set_index(["variable", "level"])
    assert balance.loc[("sex", "F"), "smd_after"] == pytest.approx(0, abs=1e-12)
    page = render_some(results, "groups")
    assert "Patients and matched controls: balance" in page


def test_comparison_uses_chosen_controls_only_with_a_mixed_model_beside_it(matched, tmp_path):
    results = run_plan(plan_study(load_study(matched)), tmp_path / "out")
    rows = results["Patients and controls"].estimates
    controls = set(results.tables["matched"]["control"])
    fc = results.tables["visit_fc"]
    pre = fc.query("visit == 'pre'")["fc_z"]
    own = fc[(fc["visit"] == "controls") & fc["subject"].isin(controls)]["fc_z"]
    declared = rows.query("declared and kind == 'difference'").set_index("term")
    first = declared.loc["patients at pre - controls"]
    assert first["estimate"] == pytest.approx(pre.mean() - own.mean(), abs=1e-10)
    assert first["n_subjects"] == 12
    # The mixed model, laid out by hand: a column for each condition.
    sessions = results.tables["network_fc"]
    sessions = sessions[(sessions["visit"] != "controls") | sessions["subject"].isin(controls)]
    data = sessions.assign(
        at_pre=(sessions["visit"] == "pre") * 1.0, at_post=(sessions["visit"] == "post") * 1.0
    )
    fit = fit_mixed("fc_z ~ at_pre + at_post + (1 | subject)", data)
    beside = rows.query("role == 'sensitivity'").set_index("term")
    for visit in ("pre", "post"):
        row = beside.loc[f"patients at {visit} - controls"]
        assert row["estimate"] == pytest.approx(fit.estimates.loc[f"at_{visit}", "estimate"])
        assert row["df"] == pytest.approx(fit.estimates.loc[f"at_{visit}", "df"], rel=1e-6)
    change = beside.loc["change of the difference: post - pre", "estimate"]
    assert change == pytest.approx(
        fit.estimates.loc["at_post", "estimate"] - fit.estimates.loc["at_pre", "estimate"]
    )


@pytest.mark.parametrize(
    ("right", "wrong", "fragment"),
    [
        ('on = ["age", "kept_frames"]', 'on = ["aeg"]', "there is no variable 'aeg'; did you mean"),
        ('on = ["age", "kept_frames"]', 'on = ["sex"]', "'sex' is a factor; put it under exact"),
        ('controls = "HC"\n', "", "[matching]: needs controls"),
        ("caliper = { age = 6 }", "caliper = { age = 0 }", "greater than 0"),
        ('on = ["age", "kept_frames"]\nexact = ["sex"]\n', "", "needs 'on' (numbers) or 'exact'"),
    ],
)
def test_wrong_matching_gets_its_message(tmp_path, right, wrong, fragment):
    assert right in STUDY
    path = tmp_path / "study.toml"
    path.write_text(STUDY.replace(right, wrong, 1))
    with pytest.raises(StudyFileError) as caught:
        load_study(path)
    assert fragment in "\n".join(caught.value.problems)


def test_matching_on_what_nobody_has_is_a_problem_before_anything_runs(matched):
    text = matched.read_text().replace('"kept_frames"', '"mean_fd_mm"')
    matched.write_text(text)
    plan = plan_study(load_study(matched))
    warnings = "\n".join(plan.warnings)
    assert "6 patients have no matched control and stay in" in warnings
    assert isinstance(plan.people.subjects, pd.DataFrame)
    assert (
        plan.people.subjects.query("group == 'HC'")["reason"].str.contains("no mean_fd_mm")
    ).all()
