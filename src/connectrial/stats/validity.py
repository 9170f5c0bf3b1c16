"""What simulation found wanting, said where a model is fitted: one table, one rule.

The figures are those of docs/validation-mixed.md (`bench/validate_mixed.py`); a test compares them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.stats.design import Design
from connectrial.stats.grammar import ParsedFormula

WARNED_ABOVE = 0.07
"""Warn where a simulated error for .05 was both beyond chance and above this."""

PEOPLE = (10, 20, 40)
"""Sizes of trial that were simulated; a trial is judged by the next larger one."""

SINGULAR_TRIAL = 20
"""Up to so many people a variance of zero makes Satterthwaite's df liberal."""

Setting = tuple[int, bool]  # people, and whether visits are missing

WORST_ERRORS: dict[tuple[str, str], dict[Setting, float]] = {
    ("random intercept", "residual"): {
        (10, False): 0.077,
        (10, True): 0.102,
        (20, False): 0.075,
        (20, True): 0.074,
    },
    ("random intercept", "satterthwaite"): {(10, True): 0.077},
    ("random intercept", "none"): {
        (10, False): 0.098,
        (10, True): 0.132,
        (20, False): 0.083,
        (20, True): 0.085,
    },
    ("us", "satterthwaite"): {(10, True): 0.079},
    ("us", "residual"): {
        (10, False): 0.083,
        (10, True): 0.128,
        (20, True): 0.080,
        (40, True): 0.075,
    },
    ("us", "between-within"): {(10, True): 0.119},
    ("us by arm", "satterthwaite"): {(10, True): 0.100},
    ("us by arm", "kenward-roger"): {(10, True): 0.093},
    ("toep", "satterthwaite"): {(10, True): 0.083},
    ("toeph", "satterthwaite"): {(10, True): 0.092},
    ("ar1", "satterthwaite"): {(10, False): 0.078, (10, True): 0.076},
}
"""Largest error of three tests over ICC 0, .3, .7 and 2, 3 visits, by model and df method."""

WORST_F_ERRORS: dict[tuple[str, str], dict[Setting, float]] = {
    ("us", "satterthwaite"): {(10, True): 0.118},
}
"""The same for F tests of two rows."""

ERRORS_WITHOUT_MAIN_EFFECT = {10: 0.188, 20: 0.314, 40: 0.545}
"""By people: error of an interaction without the main effect, one SD between levels at baseline."""

_KENWARD_ROGER = ("kenward-roger", "kenward-roger-linear", "kenward-roger-expected")


def kind_of_model(parsed: ParsedFormula) -> str:
    """Name a model as the table of simulations does; empty where rows are independent."""
    if parsed.covariance is not None:
        by_arm = " by arm" if parsed.covariance.arm else ""
        return parsed.covariance.structure + by_arm
    if not parsed.random:
        return ""
    varying = any(term.effects.strip() != "1" for term in parsed.random)
    return "random slope" if varying else "random intercept"


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
    key = _nearest(model, df, table)
    size, incomplete = _size(parsed, frame, subject)
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


def _nearest(
    model: str, df: str, table: dict[tuple[str, str], dict[Setting, float]]
) -> tuple[str, str]:
    df = "kenward-roger" if df in _KENWARD_ROGER else df
    if (model, df) in table or df in ("satterthwaite", "kenward-roger"):
        by_arm = model.endswith(" by arm") and (model, df) not in table
        return ("us by arm" if by_arm else model), df
    if model in ("random slope", "cs"):
        return "random intercept", df
    if model not in ("random intercept", ""):
        return "us", "residual" if df == "none" else df
    return model, df


def _subject(parsed: ParsedFormula, frame: pd.DataFrame) -> pd.Series | None:
    """Person (or coarsest group) of each row, as a number."""
    groupings = (
        [(parsed.covariance.subject,)]
        if parsed.covariance is not None
        else [term.groups for term in parsed.random]
    )
    codes = [
        frame.groupby(list(names), sort=False, observed=True).ngroup()
        for names in groupings
        if all(name in frame for name in names)
    ]
    return min(codes, key=lambda code: int(code.max())) if codes and len(frame) else None


def _size(parsed: ParsedFormula, frame: pd.DataFrame, subject: pd.Series) -> tuple[int, bool]:
    """Find the simulated size to judge a trial by (0: larger than all), and whether it is holed."""
    n_people = subject.nunique()
    arm = parsed.covariance.arm if parsed.covariance is not None else None
    if arm is not None and arm in frame:
        people = frame.assign(_person=subject).groupby(arm, observed=True)["_person"].nunique()
        n_people = min(n_people, 2 * int(people.min()))
    visits = subject.value_counts()
    size = next((one for one in PEOPLE if n_people <= one), 0)
    return size, bool(visits.min() < visits.max())


def _name(model: str) -> str:
    return f"a {model}" if model.startswith("random") else f"an MMRM with {model}"


def _say(error: float) -> str:
    return f"{error:.2f}".lstrip("0")
