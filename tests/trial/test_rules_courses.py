"""Rules, courses, baseline tables and side effects on tables whose answer is known by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.errors import InputError
from connectrial.trial.baseline import baseline_table
from connectrial.trial.courses import carry_forward, sustained, time_to_event
from connectrial.trial.rules import Rule, apply_rules
from connectrial.trial.safety import count_events, read_severity, worst_of_person

VISITS = ["pre", "week1", "week2", "week4"]
DAYS = {"pre": 0.0, "week1": 7.0, "week2": 14.0, "week4": 28.0}


@pytest.fixture
def scores():
    rows = {
        "01": [30, 15, 12, 10],  # responds at once, stays
        "02": [30, 20, 15, 28],  # responds at week 2, lost again
        "03": [30, 28, np.nan, 29],
        "04": [30, 14, np.nan, np.nan],  # responds, then gone
        "05": [0, 5, 5, 5],
        "06": [np.nan, 10, 10, 10],
    }
    table = pd.DataFrame(
        [(s, v, x) for s, own in rows.items() for v, x in zip(VISITS, own, strict=True)],
        columns=["subject", "visit", "score"],
    ).assign(scale="MADRS")
    table["visit"] = pd.Categorical(table["visit"], categories=VISITS, ordered=True)
    return table


def test_sustained_response(scores):
    found = sustained(
        scores,
        scale="MADRS",
        baseline="pre",
        visit="week1",
        until="week4",
        min_percent_decrease=50,
    ).set_index("subject")
    assert found["met"].fillna(False).to_dict() == {
        "01": True, "02": False, "03": False, "04": False, "05": False, "06": False,
    }  # fmt: skip
    # One visit that fails settles it; a visit without a score leaves it open.
    assert found["met"].isna().to_dict() == {
        "01": False, "02": False, "03": False, "04": True, "05": True, "06": True,
    }  # fmt: skip
    assert found.loc["04", "reason"] == "no score at week2; no score at week4"


def test_time_to_response(scores):
    found = time_to_event(
        scores, scale="MADRS", event="response", baseline="pre", days=DAYS, min_percent_decrease=50
    ).set_index("subject")
    assert found["time_days"].tolist()[:4] == [7, 14, 28, 7]
    assert found["event"].tolist()[:4] == [True, True, False, True]
    assert found["time_days"].isna().tolist()[4:] == [True, True]
    assert found.loc["05", "reason"] == "no score above 0 at pre"


def test_time_to_relapse_starts_at_the_response(scores):
    found = time_to_event(
        scores,
        scale="MADRS",
        event="relapse",
        baseline="pre",
        days=DAYS,
        min_percent_decrease=50,
        relapse_percent_decrease=25,
    ).set_index("subject")
    assert found.loc["01", ["time_days", "event"]].tolist() == [21, False]
    assert found.loc["02", ["time_days", "event"]].tolist() == [14, True]
    assert found.loc["03", "reason"] == "did not respond"
    assert found.loc["04", "reason"] == "no score after the response"


def test_observed_days_go_before_planned_ones(scores):
    timed = scores.assign(day=scores["visit"].map(DAYS).astype(float))
    timed.loc[(timed["subject"] == "01") & (timed["visit"] == "week1"), "day"] = 9.0
    found = time_to_event(
        timed, scale="MADRS", event="response", baseline="pre", days=DAYS, min_percent_decrease=50
    )
    assert found["time_days"][0] == 9


def test_the_last_observation_is_carried_forward_and_marked(scores):
    found = carry_forward(scores, scale="MADRS", visits=VISITS).set_index(["subject", "visit"])
    assert found.loc[("04", "week4"), ["score", "carried_from"]].tolist() == [14, "week1"]
    assert found.loc[("03", "week2"), "score"] == 28
    assert ("06", "pre") not in found.index  # nothing is carried back
    own = found.loc[found["carried_from"] == "", "score"]
    assert len(own) == scores["score"].notna().sum()


def test_rules_count_in_turn_and_of_all():
    people = pd.DataFrame(
        {
            "subject": list("abcdef"),
            "age": ["30", "70", "17", None, "40", "50"],
            "diagnosis": ["mdd", "mdd", "other", "mdd", "other", "mdd"],
        }
    )
    rules = [
        Rule(name="adults", column="age", at_least=18, at_most=65),
        Rule(name="depression", column="diagnosis", one_of=("mdd",)),
    ]
    found = apply_rules(people, rules)
    assert found.people["passed"].tolist() == [True, False, False, False, False, True]
    assert found.people["reason"].tolist()[1:5] == [
        "adults (has 70)",
        "adults (has 17)",
        "adults (age is missing)",
        "depression (has other)",
    ]
    columns = ["n_before", "n_failed", "n_failed_of_all", "n_missing", "n_after"]
    assert found.counts[columns].to_numpy().tolist() == [[6, 3, 3, 1, 3], [3, 1, 2, 0, 2]]
    lenient = apply_rules(people, [Rule(name="a", column="age", at_least=18, missing="pass")])
    assert lenient.people["passed"].sum() == 5


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (Rule(name="r", column="agee", at_least=1), "no column 'agee'"),
        (Rule(name="r", column="age", at_least=1), "sub-b is 'old', which is no number"),
    ],
)
def test_a_rule_that_cannot_be_applied(rule, says):
    people = pd.DataFrame({"subject": ["a", "b"], "age": ["3", "old"]})
    with pytest.raises(InputError, match=says):
        apply_rules(people, [rule])


def test_standardised_differences_by_hand():
    people = pd.DataFrame(
        {
            "arm": pd.Categorical(["p"] * 4 + ["d"] * 4, categories=["p", "d"]),
            "age": [30.0, 40, 50, 60, 40, 50, 60, np.nan],
            "sex": ["f", "f", "f", "m", "f", "m", "m", "m"],
        }
    )
    table = baseline_table(people, numeric=["age"], factors={"sex": ["f", "m"]}, by="arm")
    age = table.loc[(table["variable"] == "age") & (table["group"] == "d")].iloc[0]
    # means 45 and 50, variances 500/3 and 100
    assert age["smd"] == pytest.approx(5 / np.sqrt((500 / 3 + 100) / 2), rel=1e-12)
    assert age["n_missing"] == 1
    sex = table.loc[(table["variable"] == "sex") & (table["group"] == "d")].iloc[0]
    # Austin (2009): (p1 - p2) / sqrt((p1 q1 + p2 q2) / 2) for two levels
    assert sex["smd"] == pytest.approx(0.5 / np.sqrt((0.75 * 0.25 + 0.25 * 0.75) / 2), rel=1e-12)
    assert sex["percent"] == 25


@pytest.fixture
def entries():
    return pd.DataFrame(
        {
            "subject": ["a", "a", "b", "b", "c"],
            "visit": pd.Categorical(["v1", "v2", "v1", "v2", "v1"], ["v1", "v2"], ordered=True),
            "variable": "head",
            "value": ["mild", "severe", "none", "1", None],
            "file": "ae.tsv",
            "row": [2, 3, 4, 5, 6],
        }
    )


def test_side_effects_count_people_once(entries):
    words = {"none": 0, "mild": 1, "moderate": 2, "severe": 3}
    table = read_severity(entries, events={"headache": "head"}, severity=words)
    assert table["severity"].fillna(-1).tolist() == [1, 3, 0, 1, -1]
    whole = count_events(table, by=[]).set_index("event")
    assert whole.loc["headache", ["n_people", "n_with", "n_severe"]].tolist() == [2, 2, 1]
    by_visit = count_events(table).set_index(["visit", "event"])
    assert by_visit.loc[("v1", "headache"), ["n_people", "n_with"]].tolist() == [2, 1]
    worst = worst_of_person(table).set_index("subject")
    assert worst.loc["a", ["severity", "visit"]].tolist() == [3, "v2"]
    assert "c" not in worst.index


def test_an_unknown_word_in_a_checklist_is_named(entries):
    with pytest.raises(InputError) as caught:
        read_severity(entries, events={"headache": "head"}, severity={})
    assert "ae.tsv: row 2, head of sub-a is 'mild'" in caught.value.problems[0]


def test_a_variable_that_is_the_same_within_groups_has_no_standardised_difference():
    """A dose of 0.1 mg/kg in 24 people: its mean is off by rounding, its SD is 0."""
    people = pd.DataFrame(
        {
            "arm": pd.Categorical(["low"] * 24 + ["high"] * 24, ["low", "high"]),
            "dose": [0.1] * 24 + [0.2] * 24,
        }
    )
    table = baseline_table(people, by="arm", numeric=["dose"], factors={})
    assert table["sd"].tolist() == [0.0, 0.0]
    assert table["smd"].isna().all()
