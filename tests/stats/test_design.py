"""Designs: R's columns, names, rank, and every row and level accounted for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.errors import ModelError
from connectrial.stats.design import build_design
from connectrial.stats.grammar import parse_formula


def table():
    return pd.DataFrame(
        {
            "subject": list("aabbccdd"),
            "time": pd.Categorical(["pre", "post"] * 4, ["pre", "post"]),
            "response": ["R", "R", "N", "N"] * 2,
            "age": [30.0, 30, 41, 41, 52, 52, np.nan, 47],
            "dose mg": [0.0, 1, 2, 3, 4, 5, 6, 7],
        }
    )


def test_factors_have_treatment_contrasts_in_their_own_order():
    design = build_design("y ~ time * response", table().assign(y=1.0))
    assert design.columns == ("Intercept", "time[post]", "response[R]", "time[post]:response[R]")
    assert design.reference_levels == {"time": "pre", "response": "N"}
    post, responder = design.matrix[:, 1], design.matrix[:, 2]
    np.testing.assert_array_equal(post, [0, 1] * 4)
    np.testing.assert_array_equal(responder, [1, 1, 0, 0] * 2)
    np.testing.assert_array_equal(design.matrix[:, 3], post * responder)


def test_an_interaction_without_its_main_effect_is_coded_as_r_codes_it():
    design = build_design(["time", "time:response"], table())
    assert design.columns == (
        "Intercept",
        "time[post]",
        "time[pre]:response[R]",
        "time[post]:response[R]",
    )
    assert design.rank == 4


def test_coding_makes_the_same_words_three_columns():
    design = build_design(
        ["time", "time:response"],
        table(),
        coding={"time": {"pre": 0, "post": 1}, "response": {"R": 0, "N": 1}},
    )
    assert design.columns == ("Intercept", "time", "time:response")
    np.testing.assert_array_equal(design.matrix[:, 2], [0, 0, 0, 1, 0, 0, 0, 1])


def test_an_ordered_categorical_is_never_polynomial():
    data = table().assign(time=lambda t: t["time"].cat.as_ordered())
    assert build_design("time", data).columns == ("Intercept", "time[post]")


def test_text_is_sorted_as_in_the_c_locale():
    data = pd.DataFrame({"x": ["b", "B", "a", "Z", "_"]})
    assert build_design("x", data).levels["x"] == ("B", "Z", "_", "a", "b")


def test_terms_are_found_in_any_order():
    design = build_design("y ~ time * response", table().assign(y=1.0))
    assert design.columns_of("response:time") == ("time[post]:response[R]",)
    with pytest.raises(ModelError, match="time:response"):
        design.columns_of("response:age")


def test_rows_left_out_are_counted():
    design = build_design("y ~ age + (1 | subject)", table().assign(y=[1, np.nan] + [1.0] * 6))
    assert design.dropped == {"age": 1, "y": 1}
    assert list(design.rows) == [0, 2, 3, 4, 5, 7]
    assert design.n_rows == 8


def test_names_with_blanks_stand_in_backticks():
    design = build_design("`dose mg` + time", table())
    assert design.columns == ("Intercept", "dose mg", "time[post]")
    assert design.columns_of("`dose mg`") == ("dose mg",)


def test_dependent_columns_are_named():
    data = table().assign(older=lambda t: t["age"] + 10)
    design = build_design("age + older", data)
    assert design.rank == 2
    assert list(design.estimable) == [True, True, False]
    assert "Intercept, age" in design.notes["older"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"time": "pre"}, "only one level"),
        ({"time": pd.Categorical(["post"] * 8, ["pre", "post"])}, "reference level 'pre'"),
        ({"time": pd.to_datetime(["2020-01-01"] * 8)}, "dates"),
        ({"time": ["pre", 1] * 4}, "mixes"),
    ],
)
def test_factors_without_contrast_are_refused(change, said):
    with pytest.raises(ModelError, match=said):
        build_design("time", table().assign(**change))


def test_a_coding_must_know_every_level():
    with pytest.raises(ModelError, match=r"'post'.*lacks"):
        build_design("time", table(), coding={"time": {"pre": 0, "week2": 1}})
    with pytest.raises(ModelError, match="did you mean 'time'"):
        build_design("time", table(), coding={"tiem": {"pre": 0, "post": 1}})


def test_a_transformation_outside_its_domain_is_refused():
    with pytest.raises(ModelError, match="log"):
        build_design("log(`dose mg`)", table())


def test_the_grammar_of_random_terms():
    parsed = parse_formula("y ~ a*b + (1 + time | site/subject) + (dose || rater)")
    assert parsed.outcome == "y"
    assert parsed.fixed == "a*b"
    assert [(term.effects, term.group) for term in parsed.random] == [
        ("1 + time", "site"),
        ("1 + time", "site:subject"),
        ("1", "rater"),
        ("0 + dose", "rater"),
    ]
    parsed = parse_formula("y ~ 0 + x - z + us(visit | arm / subject)")
    assert parsed.fixed == "0 + x - z"
    assert parsed.covariance.structure == "us"
    assert (parsed.covariance.visit, parsed.covariance.arm, parsed.covariance.subject) == (
        "visit",
        "arm",
        "subject",
    )


@pytest.mark.parametrize(
    "formula",
    ["", "a ~ b ~ c", "y ~ (1 | )", "y ~ x + us(visit)", "y ~ x - (1 | s)", "y ~ (1 | a + b)"],
)
def test_formulas_that_cannot_be_read(formula):
    with pytest.raises(ModelError):
        parse_formula(formula)
