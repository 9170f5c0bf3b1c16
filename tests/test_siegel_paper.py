"""Numbers that Siegel et al. (2021) print, recomputed from what else they print."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

EXAMPLE = Path(__file__).parents[1] / "examples" / "siegel2021"
PAGE = (Path(__file__).parents[1] / "docs" / "siegel2021.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("t", "p", "half_digit_t"),
    [
        (3.2, 0.003, 0.05),
        (2.0, 0.051, 0.05),
        (3.5, 0.001, 0.05),
        (2.3, 0.028, 0.05),
        (0.61, 0.54, 0.005),
    ],
)
def test_printed_t_and_df_37_give_the_printed_p(t, p, half_digit_t):
    """Some T within the rounding of the printed one gives the printed p (three or two digits)."""
    low, high = (2 * stats.t.sf(x, 37) for x in (t + half_digit_t, t - half_digit_t))
    half_digit_p = 0.0005 if p < 0.1 else 0.005
    assert low - half_digit_p <= p <= high + half_digit_p


@pytest.mark.parametrize(
    ("text", "t", "df"),
    [("p = .0028", 3.2, 37), ("p = .053", 2.0, 37), ("p = .0012", 3.5, 37), ("p = .027", 2.3, 37),
     ("p = .546", 0.61, 37), ("p = .0047", 3.2, 19), ("p = .0024", 3.5, 19), ("p = .033", 2.3, 19)],
)  # fmt: skip
def test_the_page_has_the_recomputed_p(text, t, df):
    digits = len(text.split(".")[1])
    assert f"p = {2 * stats.t.sf(t, df):.{digits}f}".replace("0.", ".") == text
    assert text in PAGE


@pytest.mark.parametrize(
    ("r", "n", "printed", "text"), [(-0.54, 22, 0.009, ".0095"), (0.52, 19, 0.023, ".0225")]
)
def test_printed_r_and_n_give_the_printed_p(r, n, printed, text):
    """p of Pearson's r; with r within its rounding it is the printed p."""

    def p_of(value: float) -> float:
        t = abs(value) * np.sqrt((n - 2) / (1 - value**2))
        return float(2 * stats.t.sf(t, n - 2))

    size = abs(r)
    assert p_of(size + 0.005) - 0.0005 <= printed <= p_of(size - 0.005) + 0.0005
    assert f"{p_of(r):.4f}".lstrip("0") == text
    assert f"p = {text}" in PAGE
    if n == 19:  # 21 people would have given another one
        t = 0.525 * np.sqrt(19 / (1 - 0.515**2))
        assert not 0.0225 <= 2 * stats.t.sf(t, 19) <= 0.0235


@pytest.mark.parametrize(
    ("met", "of", "printed"),
    [(16, 22, 73), (13, 22, 59), (11, 21, 52), (8, 21, 38), (7, 21, 33), (8, 11, 73), (11, 22, 50),
     (15, 21, 71), (13, 21, 62), (3, 21, 14), (1, 21, 5), (7, 23, 30), (15, 23, 65), (1, 23, 4)],
)  # fmt: skip
def test_printed_counts_give_the_printed_percentages(met, of, printed):
    assert round(100 * met / of) == printed


def test_the_sexes_of_table_1():
    assert round(100 * 13 / 23, 2) == 56.52
    assert round(100 * 10 / 23, 2) == 43.48


def test_the_printed_d_matches_no_formula():
    """Means 29, 9, 13, 15; SDs 4 and 8; d printed as 1.7, 1.6, 1.5: all three by none of these.

    For paired scores with correlation rho the SD of change is sqrt(16 + 64 - 64 rho): d_z is least at
    the lowest rho. No rho of 0 or more gives any of the printed ones.
    """
    fall = np.array([20.0, 16.0, 14.0])
    printed = np.array([1.7, 1.6, 1.5])
    pooled = fall / np.sqrt((4**2 + 8**2) / 2)
    formulas = {
        "pooled": pooled,
        "average SD": fall / 6.0,
        "Glass, baseline": fall / 4.0,
        "Glass, after": fall / 8.0,
        "paired, rho 0": fall / np.sqrt(4**2 + 8**2),
        "paired, rho 0.5": fall / np.sqrt(4**2 + 8**2 - 4 * 8),
    }
    for name, d in formulas.items():
        assert not np.allclose(d.round(1), printed), name
    assert pooled.round(1).tolist() == [3.2, 2.5, 2.2]
    assert formulas["Glass, baseline"].round(1).tolist() == [5.0, 4.0, 3.5]
    assert formulas["paired, rho 0"].round(1).tolist() == [2.2, 1.8, 1.6]


def test_the_family_of_eight():
    """0.05 / 8; of the six printed p values those of time are below it."""
    limit = 0.05 / 8
    assert limit == 0.00625
    assert all(p < limit for p in (0.003, 0.001, 0.003))
    assert all(p > limit for p in (0.051, 0.028, 0.54))


@pytest.mark.parametrize(
    ("name", "t", "interaction"),
    [("Default", -3.2, 2.0), ("sgACC-Default", -3.5, 2.3), ("Limbic", -3.2, 0.61)],
)
def test_true_changes_are_the_printed_t_times_the_standard_errors(name, t, interaction):
    """truth.toml: changes of responders, and how much others differ, to the third digit."""
    raw = tomllib.loads((EXAMPLE / "truth.toml").read_text(encoding="utf-8"))
    (change,) = (one["change"]["value"] for one in raw["system"] if one["name"] == name)
    assert change["responder"] == pytest.approx(t * 0.0153, abs=6e-4)
    differs = change["non-responder"] - change["responder"]
    assert differs == pytest.approx(interaction * 0.0214, abs=6e-4)
