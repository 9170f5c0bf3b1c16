"""What simulation found: written by bench/validate_mixed.py, as docs/validation-mixed.md has it."""

from __future__ import annotations

WARNED_ABOVE = 0.07
"""Errors for .05 that were both beyond chance and above this are warned about."""

Setting = tuple[int, bool]  # people, and whether visits are missing

SIMULATED: frozenset[tuple[str, str]] = frozenset(
    [
        ("ad", "kenward-roger"),
        ("ad", "satterthwaite"),
        ("adh", "kenward-roger"),
        ("adh", "satterthwaite"),
        ("ar1", "kenward-roger"),
        ("ar1", "satterthwaite"),
        ("ar1h", "kenward-roger"),
        ("ar1h", "satterthwaite"),
        ("cs", "kenward-roger"),
        ("cs", "satterthwaite"),
        ("csh", "kenward-roger"),
        ("csh", "satterthwaite"),
        ("random intercept", "between-within"),
        ("random intercept", "kenward-roger"),
        ("random intercept", "kenward-roger-expected"),
        ("random intercept", "none"),
        ("random intercept", "residual"),
        ("random intercept", "satterthwaite"),
        ("random slope", "kenward-roger"),
        ("random slope", "kenward-roger-expected"),
        ("random slope", "satterthwaite"),
        ("toep", "kenward-roger"),
        ("toep", "satterthwaite"),
        ("toeph", "kenward-roger"),
        ("toeph", "satterthwaite"),
        ("uncorrelated random slope", "kenward-roger"),
        ("uncorrelated random slope", "satterthwaite"),
        ("us", "between-within"),
        ("us", "kenward-roger"),
        ("us", "residual"),
        ("us", "satterthwaite"),
        ("us by arm", "kenward-roger"),
        ("us by arm", "satterthwaite"),
    ]
)
"""Models and df methods that were tried."""

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

ERRORS_WITHOUT_MAIN_EFFECT: dict[int, float] = {10: 0.188, 20: 0.314, 40: 0.545}
"""By people: error of an interaction without the main effect, one SD between levels at baseline."""
