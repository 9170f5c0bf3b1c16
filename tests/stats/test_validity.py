"""What simulation found wanting is one table, that of docs/validation-mixed.md, and is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from connectrial.stats.edgewise import fit_edges
from connectrial.stats.grammar import parse_formula
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.mmrm import fit_mmrm
from connectrial.stats.simulated_errors import (
    ERRORS_WITHOUT_MAIN_EFFECT,
    SIMULATED,
    WARNED_ABOVE,
    WORST_ERRORS,
    WORST_F_ERRORS,
)
from connectrial.stats.validity import PEOPLE, kind_of_model, validity_notes

#: how the page calls a model that the rule calls otherwise
KINDS = {
    "random slope of time": "random slope",
    "nested groupings": "nested random intercepts",
    "crossed groupings": "crossed random intercepts",
}
PAGE = Path(__file__).parents[2] / "docs" / "validation-mixed.md"


def section(title):
    """Rows of the first table under a heading of the page."""
    text = PAGE.read_text(encoding="utf-8").split(f"## {title}\n")[1]
    table = [line for line in text.split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def kind(model):
    return KINDS.get(model, model.removeprefix("MMRM, "))


def is_warned(error, verdict):
    return ("liberal" in verdict or "invalid" in verdict) and error > WARNED_ABOVE


def test_the_rule_is_the_table_of_the_page():
    expected, tried = {}, set()
    for model, df, *cells in section("In short"):
        if model.startswith("rows taken"):
            continue
        tried.add((kind(model), df))
        settings = [(people, missing) for people in PEOPLE for missing in (False, True)]
        found = {}
        for setting, cell in zip(settings, cells, strict=True):
            span, _, verdict = cell.partition(" ")
            if cell != "not tried" and is_warned(float(span.split("–")[-1]), verdict):
                found[setting] = float(span.split("–")[-1])
        if found:
            expected[kind(model), df] = found
    assert expected == WORST_ERRORS
    assert tried == SIMULATED


def test_the_rule_for_f_tests_is_the_table_of_the_page():
    expected = {}
    for model, df, people, missing, _, error, verdict in section("F tests of several rows"):
        if is_warned(float(error), verdict):
            key = (kind(model), df)
            expected.setdefault(key, {})[int(people), missing != "0%"] = float(error)
    assert expected == WORST_F_ERRORS


def test_the_rates_without_a_main_effect_are_those_of_the_page():
    worst = {
        people: max(
            float(rate)
            for row in section("Three columns or four")
            if row[0] == str(people) and row[2] == "1.0"
            for rate in row[3:5]
        )
        for people in PEOPLE
    }
    assert worst == ERRORS_WITHOUT_MAIN_EFFECT


def trial(n_subjects, *, holes=0, seed=1):
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(n_subjects), 3)
    level = rng.normal(size=n_subjects)[person]
    table = pd.DataFrame(
        {
            "subject": person,
            "visit": np.tile(["a", "b", "c"], n_subjects),
            "t": np.tile([0.0, 1.0, 1.0], n_subjects),
            "arm": np.where(person % 2, "drug", "placebo"),
            "responder": (person % 2).astype(float),
            "y": level + rng.normal(size=len(person)),
        }
    )
    return table.drop(index=table.index[4 :: max(len(table) // max(holes, 1), 1)][:holes])


def found(model, df, people, missing, said):
    """What is said if simulation found it, which a new study may change."""
    return said if (people, missing) in WORST_ERRORS.get((model, df), {}) else None


INTERCEPT = "y ~ visit * arm + (1 | subject)"
US = "y ~ visit * arm + us(visit | subject)"


@pytest.mark.parametrize(
    ("formula", "df", "n_subjects", "holes", "said"),
    [
        (INTERCEPT, "residual", 10, 0, "random intercept with 10 people or fewer: simulated"),
        (INTERCEPT, "residual", 18, 2, "random intercept with 20 people or fewer and missing"),
        (INTERCEPT, "residual", 30, 0, None),
        (INTERCEPT, "satterthwaite", 10, 2, "reached .08"),
        (INTERCEPT, "satterthwaite", 10, 0, None),
        (INTERCEPT, "kenward-roger", 10, 2, None),
        (INTERCEPT, "none", 12, 0, "the normal distribution (df = none) is too liberal"),
        (US, "residual", 36, 3, found("us", "residual", 40, True, "40 people or fewer and")),
        (US, "residual", 36, 0, found("us", "residual", 40, False, "40 people or fewer: ")),
        (US, "satterthwaite", 10, 1, "MMRM with us"),
        (US, "residual", 10, 1, "MMRM with us with 10 people or fewer and missing visits"),
        (
            "y ~ visit * arm + ar1(visit | arm / subject)",
            "residual",
            10,
            1,
            "as simulated with an MMRM",
        ),
        (
            "y ~ visit * arm + toep(visit | subject)",
            "satterthwaite",
            9,
            1,
            found("toep", "satterthwaite", 10, True, "MMRM with toep"),
        ),
        (
            "y ~ visit * arm + ar1(visit | subject)",
            "satterthwaite",
            10,
            0,
            found("ar1", "satterthwaite", 10, False, "MMRM with ar1"),
        ),
        ("y ~ t * arm + (t | subject)", "satterthwaite", 10, 2, None),
        ("y ~ visit * arm + cs(visit | arm / subject)", "kenward-roger", 10, 2, None),
        (
            "y ~ visit * arm + cs(visit | arm / subject)",
            "kenward-roger-expected",
            10,
            2,
            "fewer parameters",
        ),
    ],
)
def test_what_simulation_found_is_said_with_the_fit(formula, df, n_subjects, holes, said):
    data = trial(n_subjects, holes=holes)
    fit = (fit_mixed if "(1" in formula or "(t" in formula else fit_mmrm)(formula, data, df=df)
    liberal = [note for note in fit.notes if "too liberal" in note]
    edges = fit_edges(data[["y", "y"]].to_numpy(), formula, data, df=df)
    assert [note for note in edges.notes if "too liberal" in note] == liberal
    if said is None:
        assert liberal == []
        return
    assert len(liberal) == 1
    assert said in liberal[0]
    assert liberal[0] in str(fit)
    assert liberal[0] in str(edges)


def test_another_df_method_has_its_own_note():
    fit = fit_mixed(INTERCEPT, trial(10, holes=2))
    assert "satterthwaite df are too liberal" in fit.notes[0]
    other = fit.with_df("residual")
    assert len(other.notes) == 1
    assert "residual df are too liberal" in other.notes[0]
    assert fit.with_df("kenward-roger").notes == ()


def test_the_smallest_arm_counts_where_arms_have_covariances_of_their_own():
    """24 people, 5 of them in one arm, with holes: judged as ten people."""
    data = trial(24, holes=2)
    small = data[(data["arm"] == "placebo") | (data["subject"] < 10)]
    formula = "y ~ visit * arm + cs(visit | arm / subject)"
    assert "10 people or fewer and missing" in fit_mmrm(formula, small).notes[0]
    assert fit_mmrm(formula, data).notes == ()


def test_edges_that_miss_rows_are_judged_by_them():
    data = trial(10)
    values = np.random.default_rng(3).normal(size=(len(data), 3))
    assert fit_edges(values, INTERCEPT, data).notes == ()
    values[[4, 9], 1] = np.nan
    (note,) = fit_edges(values, INTERCEPT, data).notes
    assert note.startswith("at edges with missing values: satterthwaite df are too liberal")


def test_f_tests_of_several_rows_are_flagged():
    data = trial(10, holes=2)
    flags = fit_mmrm("y ~ visit * arm + us(visit | subject)", data).f_tests()["flags"]
    assert "F tests with satterthwaite df are too liberal" in flags["visit:arm"]
    assert flags["arm"] == ""  # one column: a t test


def test_an_interaction_without_its_main_effect_is_named():
    data = trial(20)
    three = fit_mixed("y ~ t + t:responder + (1 | subject)", data)
    (note,) = three.notes
    assert "no main effect of responder" in note
    assert ".31 with 20 people" in note
    assert fit_edges(data[["y"]].to_numpy(), "y ~ t + t:responder + (1 | subject)", data).notes == (
        note,
    )
    assert fit_mixed("y ~ t * responder + (1 | subject)", data).notes == ()
    # as factors the same words have four columns, which hold the difference
    assert fit_mixed("y ~ visit + visit:arm + (1 | subject)", data).notes == ()
    # a variable that changes within people is no difference between them
    within = data.assign(dose=data["t"] * data["responder"] + (data["visit"] == "b"))
    assert fit_mixed("y ~ t + t:dose + (1 | subject)", within).notes == ()


def test_a_variance_of_zero_is_said_in_a_small_trial():
    data = trial(10)
    data["y"] = np.random.default_rng(8).normal(size=len(data))
    data["y"] -= data.groupby("subject")["y"].transform("mean")  # no variance between people
    fit = fit_mixed("y ~ visit + (1 | subject)", data)
    assert fit.singular
    assert "singular fit" in fit.notes[0]
    assert fit.with_df("kenward-roger-expected").notes == ()


@pytest.mark.parametrize(
    ("formula", "kind_of"),
    [
        ("y ~ t + (1 | site / subject)", "nested random intercepts"),
        ("y ~ t + (1 | subject) + (1 | rater)", "crossed random intercepts"),
        ("y ~ t + (t | subject)", "random slope"),
        ("y ~ t + (t || subject)", "uncorrelated random slope"),
        ("y ~ t + us(visit | arm / subject)", "us by arm"),
    ],
)
def test_models_have_the_names_of_the_table(formula, kind_of):
    assert kind_of_model(parse_formula(formula)) == kind_of


def test_people_are_counted_by_the_finest_grouping():
    """Two sites of 10 people each are a trial of 20 people, not of 2; two of 5 one of 10."""
    data = trial(20).assign(site=lambda t: t["subject"] % 4 // 2)
    parsed = parse_formula("y ~ visit * arm + (1 | site / subject)")
    assert validity_notes(parsed, data, df="none") == ()
    small = data[data["subject"] < 10]
    assert "with 10 people or fewer" in validity_notes(parsed, small, df="none")[0]
