"""Endpoints on tables whose answer is known by hand, and laws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.errors import InputError
from connectrial.trial.endpoints import change_from_baseline, remission, response

VISITS = ["screening", "pre", "day1", "week2"]


@pytest.fixture
def scores():
    rows = [
        ("01", "screening", 33),
        ("01", "pre", 30),
        ("01", "day1", 20),
        ("01", "week2", 15),  # exactly 50 %
        ("02", "pre", 31.4),
        ("02", "week2", 15.8),  # 49.7 %
        ("03", "pre", 28),
        ("03", "day1", 9),
        ("04", "pre", np.nan),
        ("04", "week2", 4),
        ("05", "pre", 0),
        ("05", "week2", 0),
        ("06", "pre", 30),
        ("06", "week2", np.nan),
        ("08", "pre", 20),
        ("08", "week2", 9.99),
    ]
    table = pd.DataFrame(rows, columns=["subject", "visit", "score"]).assign(scale="MADRS")
    other = pd.DataFrame(
        [("07", "pre", 4.0, "CGI-S"), ("01", "pre", 5.0, "CGI-S"), ("01", "week2", 3.0, "CGI-S")],
        columns=["subject", "visit", "score", "scale"],
    )
    table = pd.concat([table, other], ignore_index=True)
    table["visit"] = pd.Categorical(table["visit"], categories=VISITS, ordered=True)
    return table


def known(met):
    return {subject: None if pd.isna(value) else bool(value) for subject, value in met.items()}


def test_change_by_hand(scores):
    result = change_from_baseline(scores, baseline="pre")
    assert len(result) == len(scores)
    row = result.set_index(["subject", "scale", "visit"]).sort_index()
    assert row.loc[("01", "MADRS", "week2"), ["baseline", "change", "percent_change"]].tolist() == [
        30,
        -15,
        -50,
    ]
    assert row.loc[("01", "CGI-S", "week2"), "change"] == -2
    assert row.loc[("05", "MADRS", "week2"), "change"] == 0
    reasons = {
        ("01", "MADRS", "screening"): "before pre",
        ("01", "MADRS", "pre"): "is the baseline visit",
        ("01", "MADRS", "week2"): "",
        ("04", "MADRS", "week2"): "no score at pre",
        ("05", "MADRS", "week2"): "score at pre is 0, no percent change",
        ("06", "MADRS", "week2"): "no score at this visit",
    }
    for key, reason in reasons.items():
        assert row.loc[key, "reason"] == reason
    # a reason stands exactly where something is missing
    missing = result["change"].isna() | result["percent_change"].isna()
    assert (missing == (result["reason"] != "")).all()


def test_response_by_hand(scores):
    result = response(scores, scale="MADRS", baseline="pre", visit="week2", min_percent_decrease=50)
    got = result.set_index("subject")
    assert list(got.index) == ["01", "02", "03", "04", "05", "06", "08", "07"]
    assert got["response"].dtype == "boolean"
    assert known(got["response"]) == {
        "01": True, "02": False, "03": None, "04": None,
        "05": None, "06": None, "07": None, "08": True,
    }  # fmt: skip
    assert got.loc["03", "reason"] == "no score at week2"
    assert got.loc["06", "reason"] == "no score at week2"
    assert got.loc["04", "reason"] == "no score at pre"
    assert got.loc["05", "reason"] == "score at pre is 0"
    assert got.loc["07", "reason"] == "no score at pre"
    assert (got["response"].isna() == (got["reason"] != "")).all()
    assert got.loc["01", "percent_change"] == -50


@pytest.mark.parametrize("percent", [20.0, 30.0, 50.0, 60.0])
def test_exactly_so_many_percent_is_a_response(percent):
    # whatever the rounding of floats does to the quotient
    base = np.arange(1, 601) / 10
    table = pd.DataFrame(
        {
            "subject": np.tile([f"{i:03d}" for i in range(600)], 2),
            "visit": pd.Categorical(np.repeat(["pre", "post"], 600), ["pre", "post"], ordered=True),
            "scale": "MADRS",
            "score": np.concatenate([base, base * (1 - percent / 100)]),
        }
    )
    rule = {"scale": "MADRS", "baseline": "pre", "visit": "post"}
    assert response(table, **rule, min_percent_decrease=percent)["response"].all()
    assert not response(table, **rule, min_percent_decrease=percent + 1e-6)["response"].any()


def test_someone_without_any_row_is_shown_when_asked_for(scores):
    result = response(
        scores,
        scale="MADRS",
        baseline="pre",
        visit="week2",
        min_percent_decrease=50,
        subjects=["08", "99"],
    )
    assert result["subject"].tolist() == ["08", "99"]
    assert result["reason"].tolist() == ["", "no score at pre"]


def test_remission_by_hand(scores):
    result = remission(scores, scale="MADRS", visit="week2", below=10).set_index("subject")
    assert known(result["remission"]) == {
        "01": False, "02": False, "03": None, "04": True,
        "05": True, "06": None, "07": None, "08": True,
    }  # fmt: skip
    assert result.loc["03", "reason"] == "no score at week2"


def test_the_cut_off_itself(scores):
    scores.loc[scores["score"] == 9.99, "score"] = 10.0
    for rule, expected in (({"below": 10}, False), ({"at_most": 10}, True)):
        result = remission(scores, scale="MADRS", visit="week2", **rule).set_index("subject")
        assert result.loc["08", "remission"] == expected


def test_remission_at_every_visit_with_scores(scores):
    result = remission(scores, scale="CGI-S", at_most=3)
    assert result["visit"].unique().tolist() == ["pre", "week2"]
    assert len(result) == 2 * scores["subject"].nunique()
    assert result["visit"].cat.ordered
    assert result.groupby("visit", observed=True)["remission"].sum().tolist() == [0, 1]


def test_remission_where_nobody_has_a_score(scores):
    scores.loc[scores["scale"] == "CGI-S", "score"] = np.nan
    result = remission(scores, scale="CGI-S", at_most=3)
    assert result["remission"].isna().all()
    assert result["reason"].unique().tolist() == ["no score at pre", "no score at week2"]


def test_row_order_does_not_matter(scores):
    shuffled = scores.sample(frac=1, random_state=2)
    rule = {"scale": "MADRS", "baseline": "pre", "visit": "week2", "min_percent_decrease": 50}
    expected = response(scores, **rule).set_index("subject").sort_index()
    pd.testing.assert_frame_equal(
        response(shuffled, **rule).set_index("subject").sort_index(), expected
    )
    changed = change_from_baseline(shuffled, baseline="pre").sort_index()
    pd.testing.assert_frame_equal(changed, change_from_baseline(scores, baseline="pre"))


def test_the_input_stays_as_it_was(scores):
    before = scores.copy()
    change_from_baseline(scores, baseline="pre")
    remission(scores, scale="MADRS", below=10)
    pd.testing.assert_frame_equal(scores, before)


def call(scores, **changes):
    rule = {"scale": "MADRS", "baseline": "pre", "visit": "week2", "min_percent_decrease": 50}
    return response(scores, **{**rule, **changes})


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda s: call(s.drop(columns="scale")), "no column 'scale'"),
        (lambda s: call(s.assign(visit=s["visit"].astype(str))), "ordered Categorical"),
        (lambda s: call(pd.concat([s, s.head(1)])), "01 has more than one MADRS score at visit"),
        (lambda s: call(s.assign(score=s["score"].astype(str))), "column 'score' is"),
        (lambda s: call(s.replace(4.0, np.inf)), "infinite"),
        (lambda s: call(s, scale="HAMD"), "scale: got 'HAMD'; the table has 'CGI-S', 'MADRS'"),
        (lambda s: call(s, visit="week8"), "visit: got 'week8'"),
        (lambda s: call(s, visit="screening"), "does not come after"),
        (lambda s: call(s, min_percent_decrease=0), "above 0 up to 100"),
        (lambda s: call(s, subjects=["01", "01"]), "named twice"),
        (lambda s: change_from_baseline(s, baseline="base"), "baseline: got 'base'"),
        (lambda s: remission(s, scale="MADRS"), "exactly one of 'below'"),
        (lambda s: remission(s, scale="MADRS", below=10, at_most=9), "exactly one of 'below'"),
        (lambda s: call(s.assign(subject=s["subject"].where(s["subject"] != "04"))), "empty cells"),
    ],
)  # fmt: skip
def test_refuses(scores, broken, says):
    with pytest.raises(InputError, match=says):
        broken(scores)
