"""Bad input through every fitting function: a clear ModelError or a flag, never a number alone.

Laws: a message names the variable and what is wrong with it; what is estimated nonetheless is
flagged; an edge that cannot be fitted is NaN and says why, and its neighbours are fitted.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.errors import InputError, ModelError
from connectrial.stats.ancova import ancova
from connectrial.stats.edgewise import fit_edges
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.mmrm import fit_mmrm
from connectrial.stats.permutation import permute_edges

N = 12
COVARIANCES = ("(1 | subject)", "us(visit | subject)")


def trial(**changes):
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(N), 3)
    table = pd.DataFrame(
        {
            "subject": [f"s{k:02d}" for k in person],
            "visit": np.tile(["a", "b", "c"], N),
            "arm": np.where(person % 2, "drug", "placebo"),
            "age": rng.normal(40, 8, N)[person],
            "y": rng.normal(size=N)[person] + rng.normal(size=3 * N),
        }
    )
    return table.assign(**changes)


def one_drug(table):
    return table.assign(arm=np.where(table["subject"] == "s01", "drug", "placebo"))


def holed(table, column, value):
    return table.assign(**{column: table[column].where(table.index != 5, value)})


def levels(table, names):
    return table.assign(arm=pd.Categorical(table["arm"], names))


FIXED = "visit * arm"
#: what goes wrong -> (table, fixed part, what the message says)
REFUSED = {
    "one visit": (lambda t: t[t["visit"] == "a"], FIXED, "'visit': only one level, 'a'"),
    "one visit, not in the model": (
        lambda t: t[t["visit"] == "a"],
        "arm",
        "one level only, 'a'|cannot be told from the residual",
    ),
    "one person": (lambda t: t[t["subject"] == "s01"], "visit", "one level only"),
    "no rows": (lambda t: t.iloc[:0], FIXED, "the data have no rows"),
    "empty reference": (
        lambda t: levels(t, ["sham", "placebo", "drug"]),
        FIXED,
        "no row at its reference level 'sham'",
    ),
    "infinite covariate": (
        lambda t: holed(t, "age", -np.inf),
        f"{FIXED} + age",
        r"column 'age': infinite in 1 rows, first in row 6",
    ),
    "a covariate that nobody has": (
        lambda t: t.assign(age=np.nan),
        f"{FIXED} + age",
        "no row is complete; missing values: age 36",
    ),
}
#: the same where the outcome is a column of the table; edges are flagged instead
REFUSED_OUTCOME = {
    "constant": (lambda t: t.assign(y=3.0), "outcome 'y': is constant", "constant"),
    "infinite": (lambda t: holed(t, "y", np.inf), "column 'y': infinite", "infinite value"),
    "missing": (lambda t: t.assign(y=np.nan), "no row is complete; missing values: y", "0 rows"),
    "constant within people": (
        lambda t: t.assign(y=t.groupby("subject")["y"].transform("mean")),
        "no optimum was found",
        "no residual variance within subjects|no optimum was found",
    ),
}
#: what is estimated and flagged -> (table, fixed part, column, what the flag says)
FLAGGED = {
    "collinear": (
        lambda t: t.assign(twice=2.0 * (t["arm"] == "placebo")),
        f"{FIXED} + twice",
        "twice",
        "not estimable: determined by arm[placebo]",
    ),
    "an arm with a single person": (one_drug, FIXED, "arm[placebo]", "'drug' is a single subject"),
    "a level without rows": (
        lambda t: levels(t, ["placebo", "sham", "drug"]),
        FIXED,
        "arm[sham]",
        "no observations at arm 'sham'",
    ),
    "a covariate missing": (
        lambda t: holed(t, "age", np.nan),
        f"{FIXED} + age",
        "age",
        "1 row left out: age is missing",
    ),
    "a person missing": (
        lambda t: holed(t, "subject", None),
        FIXED,
        "arm[placebo]",
        "1 row left out: subject is missing",
    ),
}


def single(formula, table):
    return (fit_mmrm if "us(" in formula else fit_mixed)(formula, table)


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("case", REFUSED)
def test_what_no_model_can_be_fitted_to_is_refused(case, covariance):
    change, fixed, said = REFUSED[case]
    table, formula = change(trial()), f"y ~ {fixed} + {covariance}"
    with pytest.raises(ModelError, match=said):
        single(formula, table)
    with pytest.raises(ModelError, match=said):
        fit_edges(np.ones((len(table), 2)), formula, table)


@pytest.mark.parametrize("case", [name for name in REFUSED if "not in the model" not in name])
def test_nothing_is_permuted_then(case):
    change, fixed, _ = REFUSED[case]
    table = change(trial())
    values = np.random.default_rng(2).normal(size=(len(table), 3))
    with pytest.raises(ModelError):
        permute_edges(
            values,
            f"y ~ {fixed}",
            table,
            term="visit",
            n_permutations=20,
            blocks="subject",
            visit="visit",
            rng=1,
        )


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("case", REFUSED_OUTCOME)
def test_an_outcome_that_cannot_be_fitted(case, covariance):
    change, said, flag = REFUSED_OUTCOME[case]
    table, formula = change(trial()), f"y ~ {FIXED} + {covariance}"
    with pytest.raises(ModelError, match=said):
        single(formula, table)
    good = trial()["y"].to_numpy()
    fits = fit_edges(np.column_stack([table["y"], good]), formula, trial())
    assert pd.Series(fits.flags).str.contains(flag).tolist() == [True, False]
    for numbers in (fits.estimate, fits.se, fits.df, fits.statistic, fits.p):
        assert np.isnan(numbers[:, 0]).all()
        assert np.isfinite(numbers[:, 1]).all()
    assert f"1 edge: {fits.flags[0]}" in str(fits)


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("case", FLAGGED)
def test_what_is_estimated_nonetheless_is_flagged(case, covariance):
    change, fixed, column, said = FLAGGED[case]
    table, formula = change(trial()), f"y ~ {fixed} + {covariance}"
    fit = single(formula, table)
    assert said in fit.estimates.loc[column, "flags"]
    assert said in str(fit)
    if "not estimable" in fit.estimates.loc[column, "flags"]:
        assert np.isnan(fit.estimates.loc[column, "estimate"])
    fits = fit_edges(table[["y"]].to_numpy(), formula, table)
    assert said in "; ".join(fits.column_flags.get(key, "") for key in (column, ""))
    assert said in str(fits)


def test_a_permutation_over_an_arm_with_a_single_person_is_flagged():
    values = np.random.default_rng(2).normal(size=(3 * N, 3))
    call = {"n_permutations": 20, "blocks": "subject", "visit": "visit", "rng": 1}
    found = permute_edges(values, "y ~ visit * arm", one_drug(trial()), term="arm", **call)
    assert "arm 'drug' is a single subject" in found.flags
    found = permute_edges(values, "y ~ visit * arm", trial(), term="arm", **call)
    assert not any("single" in flag for flag in found.flags)


def test_words_in_place_of_numbers_are_refused():
    table = trial(score="high")
    with pytest.raises(InputError, match="column 'score'"):
        ancova(table[table["visit"] == "a"], outcome="score", baseline="age", group="arm")
    with pytest.raises(InputError, match="give numbers"):
        permute_edges(
            table[["score"]].to_numpy(), "y ~ visit", table, term="visit", n_permutations=9,
            blocks="subject", rng=1,
        )  # fmt: skip
