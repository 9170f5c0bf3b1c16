"""What simulation found wanting, said where a model is fitted: one table, one rule.

The figures of `simulated_errors` are those of docs/validation-mixed.md (`bench/validate_mixed.py`
writes both); a test compares them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.stats.design import Design
from connectrial.stats.grammar import ParsedFormula
from connectrial.stats.simulated_errors import (
    ERRORS_WITHOUT_MAIN_EFFECT,
    SIMULATED,
    WORST_ERRORS,
    WORST_F_ERRORS,
    Setting,
)

PEOPLE = (10, 20, 40)
"""Sizes of trial that were simulated; a trial is judged by the next larger one."""

SINGULAR_TRIAL = 20
"""Up to so many people a variance of zero makes Satterthwaite's df liberal."""

_KENWARD_ROGER = ("kenward-roger", "kenward-roger-linear", "kenward-roger-expected")


def kind_of_model(parsed: ParsedFormula) -> str:
    """Name a model as the table of simulations does; empty where rows are independent."""
    if parsed.covariance is not None:
        by_arm = " by arm" if parsed.covariance.arm else ""
        return parsed.covariance.structure + by_arm
    if not parsed.random:
        return ""
    if any(term.effects.strip() != "1" for term in parsed.random):
        return "uncorrelated random slope" if len(parsed.random) > 1 else "random slope"
    if len(parsed.random) == 1:
        return "random intercept"
    groups = sorted((set(term.groups) for term in parsed.random), key=len)
    nested = all(a < b for a, b in pairwise(groups))
    return "nested random intercepts" if nested else "crossed random intercepts"


def validity_notes(parsed: ParsedFormula, frame: pd.DataFrame, *, df: str) -> tuple[str, ...]:
    """Say what simulation found wanting in a df method for a model and a trial of this size.

    Parameters
    ----------
    parsed : ParsedFormula
        The model.
    frame : DataFrame
        The rows used, with the grouping variables (and the arm of ``us(visit | arm / subject)``).
    df : str
        Declared degrees of freedom.

    Returns
    -------
    tuple of str
        Sentences; empty where nothing was found.

    Notes
    -----
    Models that were not simulated with a method are judged by the nearest one that was: a
    covariance with several variances by us, cs by the random intercept, which it is. With one
    covariance for each arm the smallest arm counts, twice.
    """
    return _notes(WORST_ERRORS, parsed, frame, df=df, what="")


def fit_notes(
    parsed: ParsedFormula, design: Design, *, df: str, singular: bool, n_subjects: int
) -> tuple[str, ...]:
    """Collect all that simulation says about one fit: main effects, df, a variance of zero."""
    return (
        *main_effect_notes(design, parsed),
        *validity_notes(parsed, design.frame, df=df),
        *(
            _singular_notes(n_subjects, df=df)
            if singular and kind_of_model(parsed) == "random intercept"
            else ()
        ),
    )


def f_test_notes(parsed: ParsedFormula, frame: pd.DataFrame, *, df: str) -> tuple[str, ...]:
    """Say the same of F tests of several rows, as `validity_notes`."""
    return _notes(WORST_F_ERRORS, parsed, frame, df=df, what="F tests with ")


def main_effect_notes(design: Design, parsed: ParsedFormula) -> tuple[str, ...]:
    """Name variables of people whose interaction is in the model and whose main effect is not.

    Parameters
    ----------
    design : Design
        Fixed part.
    parsed : ParsedFormula
        Whose grouping tells the people apart.

    Returns
    -------
    tuple of str
        One sentence for each variable whose differences between people the model cannot hold.
    """
    subject = _subject(parsed, design.frame)
    if subject is None:
        return ()
    notes = []
    for name in _lacking(design):
        column = design.frame[name]
        factor = isinstance(column.dtype, pd.CategoricalDtype)
        numbers = pd.get_dummies(column).to_numpy(float) if factor else column.to_numpy()[:, None]
        per_person = pd.DataFrame(numbers).groupby(subject, sort=False).nunique()
        if (per_person > 1).to_numpy().any():
            continue  # varies within people
        left = numbers - design.matrix @ np.linalg.lstsq(design.matrix, numbers, rcond=None)[0]
        if np.abs(left).max() <= 1e-8 * max(float(np.abs(numbers).max()), 1e-300):
            continue  # the other columns hold it
        rates = ", ".join(
            f"{_say(error)} with {people} people"
            for people, error in ERRORS_WITHOUT_MAIN_EFFECT.items()
        )
        notes.append(
            f"the model has no main effect of {name}, so a difference at baseline is charged to its "
            f"interaction (simulated errors at .05 where levels differ by one standard deviation: "
            f"{rates}); add {name}, unless it was randomised"
        )
    return tuple(notes)


def _singular_notes(n_subjects: int, *, df: str) -> tuple[str, ...]:
    """Say what a variance of zero does to the degrees of freedom in a small trial."""
    if n_subjects > SINGULAR_TRIAL or df not in ("satterthwaite", *_KENWARD_ROGER[:2]):
        return ()
    return (
        "the variance between people was estimated as zero (singular fit); in trials of this size "
        "the df are then somewhat liberal (simulated errors at .05 up to .08)",
    )


def _lacking(design: Design) -> list[str]:
    """Variables of interactions that have no term of their own."""
    inside = {
        part: None for term in design.terms if ":" in term for part in term.split(":")
    }  # in order
    return [
        name
        for name in inside
        if name not in design.terms and (name in design.numeric or name in design.levels)
    ]


def _notes(
    table: dict[tuple[str, str], dict[Setting, float]],
    parsed: ParsedFormula,
    frame: pd.DataFrame,
    *,
    df: str,
    what: str,
) -> tuple[str, ...]:
    subject = _subject(parsed, frame)
    model = kind_of_model(parsed)
    if subject is None:
        return ()
    key = _nearest(model, df)
    size, incomplete = _size(parsed, frame)
    found = table.get(key, {}).get((size, incomplete))
    if found is None:
        return ()
    subject_of = "the normal distribution (df = none) is" if df == "none" else f"{df} df are"
    judged = "" if key[0] == model else f" (as simulated with {_name(key[0])})"
    better = table.get((key[0], "kenward-roger"), {}).get((size, incomplete))
    advice = "a covariance with fewer parameters, such as cs, is safer"
    if better is None and df not in _KENWARD_ROGER:
        advice = "Kenward-Roger keeps to .05 more closely"
    return (
        f"{what}{subject_of} too liberal for {_name(model)} with {size} people or fewer"
        + (" and missing visits" if incomplete else "")
        + f"{judged}: simulated errors at .05 reached {_say(found)}; {advice}",
    )


def _nearest(model: str, df: str) -> tuple[str, str]:
    """Give the model and method themselves if they were simulated, else what stands next to them."""
    is_random = "random" in model
    models = [
        model,
        *(["us by arm"] if model.endswith(" by arm") else []),
        "random intercept" if is_random or model == "cs" else "us",
    ]
    methods = [
        df,
        *(["kenward-roger"] if df in _KENWARD_ROGER else []),
        *(["residual"] if df == "none" else []),
    ]
    tried = [(m, d) for m in models for d in methods if (m, d) in SIMULATED]
    return tried[0] if tried else (model, df)


def _subject(parsed: ParsedFormula, frame: pd.DataFrame) -> NDArray[np.intp] | None:
    """Coarsest group of each row, as a number."""
    codes = _groups(parsed, frame)
    return min(codes, key=lambda code: int(code.max())) if codes else None


def _groups(parsed: ParsedFormula, frame: pd.DataFrame) -> list[NDArray[np.intp]]:
    groupings = (
        [(parsed.covariance.subject,)]
        if parsed.covariance is not None
        else [term.groups for term in parsed.random]
    )
    if not len(frame):
        return []
    return [
        _numbered([frame[name] for name in names])
        for names in groupings
        if all(name in frame for name in names)
    ]


def _numbered(columns: list[pd.Series]) -> NDArray[np.intp]:
    """Give each combination of values a number: groupby's, in a tenth of its time."""
    found = np.zeros(len(columns[0]), dtype=np.intp)
    for column in columns:
        codes, values = pd.factorize(column, use_na_sentinel=False)
        found = pd.factorize(found * len(values) + codes)[0]
    return found


def _size(parsed: ParsedFormula, frame: pd.DataFrame) -> tuple[int, bool]:
    """Find the simulated size to judge a trial by (0: larger than all), and whether it is holed."""
    person = max(_groups(parsed, frame), key=lambda code: int(code.max()))  # the finest grouping
    rows_each = np.bincount(person)
    n_people = len(rows_each)
    arm = parsed.covariance.arm if parsed.covariance is not None else None
    if arm is not None and arm in frame:
        people = frame.assign(_person=person).groupby(arm, observed=True)["_person"].nunique()
        n_people = min(n_people, 2 * int(people.min()))
    size = next((one for one in PEOPLE if n_people <= one), 0)
    return size, bool(rows_each.min() < rows_each.max())


def _name(model: str) -> str:
    if model.endswith("random intercepts"):
        return model
    if "random" in model:
        return f"{'an' if model.startswith('un') else 'a'} {model}"
    return f"an MMRM with {model}"


def _say(error: float) -> str:
    return f"{error:.2f}".lstrip("0")
