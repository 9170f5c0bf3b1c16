"""Scores of items by hand, every shipped scale's published range, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.errors import InputError
from connectrial.io.scale_files import read_scale, shipped_scales
from connectrial.scales import scale_from_plain
from connectrial.trial.scoring import score_scale

# Published ranges: Montgomery & Asberg (1979); Hamilton (1960); Guy (1976); Overall & Gorham (1962),
# items 1 to 7; Rush et al. (2003); Kay et al. (1987); Bremner et al. (1998), 23 items from 0 to 4.
RANGES = {
    ("MADRS", "total"): (0, 60),
    ("HAMD17", "total"): (0, 52),
    ("HAMD17", "HAMD6"): (0, 22),
    ("HAMD6", "total"): (0, 22),
    ("CGI-S", "total"): (1, 7),
    ("CGI-I", "total"): (1, 7),
    ("BPRS", "total"): (18, 126),
    ("BPRS", "positive"): (4, 28),
    ("QIDS-SR16", "total"): (0, 27),
    ("CADSS", "total"): (0, 92),
    ("CADSS", "CADSS-6"): (0, 24),
    ("VAS", "total"): (0, 100),
    ("PANSS", "total"): (30, 210),
    ("PANSS", "positive"): (7, 49),
    ("PANSS", "negative"): (7, 49),
    ("PANSS", "general"): (16, 112),
}


def items(scale, rows):
    columns = [f"{scale.name}_{n}" for n in range(1, len(scale.items) + 1)]
    return pd.DataFrame(rows, columns=columns, dtype=float)


def test_every_shipped_score_has_its_published_range():
    found = {
        (name, rule.name): (scale.range_of(rule.name).minimum, scale.range_of(rule.name).maximum)
        for name in shipped_scales()
        for scale in [read_scale(name)]
        for rule in scale.scores
    }
    assert found == RANGES


@pytest.mark.parametrize("name", shipped_scales())
def test_lowest_and_highest_answers_give_the_range(name):
    scale = read_scale(name)
    table = items(scale, [[i.minimum for i in scale.items], [i.maximum for i in scale.items]])
    scored = score_scale(table, scale).set_index("score_name")
    for rule in scale.scores:
        assert scored.loc[rule.name, "score"].tolist() == list(RANGES[name, rule.name])
    assert not scored["prorated"].any()
    assert (scored["reason"] == "").all()


def test_one_missing_madrs_item_is_prorated_and_logged_two_are_not():
    scale = read_scale("MADRS")
    rows = np.tile(np.arange(10) % 4.0, (3, 1))
    rows[1, 3] = np.nan  # was 3 of a sum of 13
    rows[2, :2] = np.nan
    scored = score_scale(items(scale, rows), scale)
    assert scored["score"].tolist()[:2] == [13.0, pytest.approx(10 * 10 / 9)]
    assert np.isnan(scored["score"][2])
    assert scored["prorated"].tolist() == [False, True, False]
    assert scored["reason"][1] == "prorated from 9 of 10 items: reduced sleep missing"
    assert scored["reason"][2] == ("no score: apparent sadness missing; reported sadness missing")
    assert "stand-in" in scale.rule("total").missing_source
    strict = score_scale(items(scale, rows), scale, max_missing=0)
    assert strict["score"].isna().tolist() == [False, True, True]


def test_a_code_for_not_assessed_is_missing_never_a_number():
    scale = read_scale("BPRS")
    rows = np.full((1, 18), 2.0)
    rows[0, 3] = 0
    scored = score_scale(items(scale, rows), scale).set_index("score_name")
    assert scored["score"].isna().all()
    assert "conceptual disorganization not assessed" in scored.loc["positive", "reason"]


def test_qids_takes_the_highest_of_sleep_appetite_weight_and_restlessness():
    scale = read_scale("QIDS-SR16")
    answers = [1, 3, 0, 2, 1, np.nan, 2, 1, np.nan, 0, 1, 2, 3, 1, 2, 0]
    # 3 (sleep) + 1 + 2 (appetite, weight) + 0 + 1 + 2 + 3 + 1 + 2 (slowed or restless)
    scored = score_scale(items(scale, [answers]), scale)
    assert scored["score"].tolist() == [15.0]
    assert scored["reason"].tolist() == [""]
    answers[0] = np.nan  # an unanswered sleep item could have been the highest
    assert score_scale(items(scale, [answers]), scale)["score"].isna().all()


def test_severity_bands_begin_where_the_source_says():
    scale = read_scale("MADRS")
    shown = [scale.band(score) for score in (0, 6, 7, 19, 20, 34, 35, 60)]
    assert shown == [*("none", "none", "mild", "mild", "moderate", "moderate", "severe", "severe")]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=10, max_size=10), st.integers(0, 9))
def test_a_total_is_the_sum_and_prorating_stays_in_range(answers, gone):
    scale = read_scale("MADRS")
    rows = np.array([answers, answers], dtype=float)
    rows[1, gone] = np.nan
    scored = score_scale(items(scale, rows), scale)["score"]
    assert scored[0] == sum(answers)
    assert scored[1] == pytest.approx((sum(answers) - answers[gone]) * 10 / 9)
    assert 0 <= scored[1] <= 60


def test_a_scale_of_ones_own(tmp_path):
    file = tmp_path / "mood.toml"
    file.write_text(
        'name = "MOOD"\n[items]\nnames = ["low", "flat", "slow"]\nminimum = 0\nmaximum = [4, 4, 2]\n'
        'not_assessed = [9]\n[[scores]]\nname = "total"\n[[scores]]\nname = "mean"\nmethod = "mean"\n'
        "max_missing = 1\n"
    )
    scale = read_scale(file)
    scored = score_scale(items(scale, [[4, 9, 2]]), scale).set_index("score_name")
    assert np.isnan(scored.loc["total", "score"])
    assert scored.loc["mean", "score"] == 3


def mood(**changes):
    raw = {
        "name": "MOOD",
        "items": {"names": ["low", "flat"], "minimum": 0, "maximum": 4},
        "scores": [{"name": "total"}],
    }
    for key, value in changes.items():
        section, _, inner = key.partition("__")
        if inner:
            raw[section][inner] = value
        else:
            raw[section] = value
    return raw


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"itmes": {}}, "a scale has no key 'itmes'; did you mean 'items'?"),
        ({"items": 3}, "items must be a table"),
        ({"items__maximum": [4]}, "maximum must be a number, or a list of 2 numbers; got [4]"),
        ({"items__maximum": 0}, "item 'low' has a minimum at or above its maximum"),
        ({"items__names": ["low", "low"]}, "two items have the same name"),
        ({"items__not_assessed": "x"}, "not_assessed must be a list of numbers"),
        (
            {"scores": [{"name": "total", "items": [1, 3]}]},
            "there is no item 3; the items are 1 to 2",
        ),
        ({"scores": [{"name": "total", "method": "median"}]}, "method must be 'sum' or 'mean'"),
        ({"scores": [{"name": "total", "max_missing": 2}]}, "max_missing must be a whole number"),
        ({"better": "up"}, "better must be 'lower' or 'higher'; got 'up'"),
    ],
)
def test_a_wrong_definition_gets_its_message(changes, says):
    with pytest.raises(InputError) as caught:
        scale_from_plain(mood(**changes), where="mood.toml")
    assert any(says in problem and "mood.toml" in problem for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda t: t.assign(MADRS_3=[7.0, 2.0], file="m.tsv", row=[2, 3]),
            "m.tsv: row 2, column 'MADRS_3' is 7; allowed are whole numbers from 0 to 6",
        ),
        (lambda t: t.assign(MADRS_3=2.5), "column 'MADRS_3' is 2.5"),
        (lambda t: t.assign(MADRS_3="two"), "give numbers, NaN for missing"),
        (lambda t: t.drop(columns="MADRS_3"), "there is no column 'MADRS_3'"),
    ],
)
def test_values_that_no_item_can_have_are_refused_with_row_and_column(spoil, says):
    scale = read_scale("MADRS")
    with pytest.raises(InputError) as caught:
        score_scale(spoil(items(scale, np.full((2, 10), 3.0))), scale)
    assert says in "\n".join(caught.value.problems)


def test_an_unknown_scale_is_named():
    with pytest.raises(InputError, match="there is no scale 'MADSR'; did you mean 'MADRS'"):
        read_scale("MADSR")
