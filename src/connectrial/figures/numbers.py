"""Numbers as a paper prints them: one rule each for p values, estimates, degrees of freedom."""

from __future__ import annotations

import math
import re
from typing import Any

MINUS = "\u2212"
ABSENT = "\u2013"


_DF_NAMES = {
    "none": "",
    "satterthwaite": "Satterthwaite",
    "welch-satterthwaite": "Welch-Satterthwaite",
    "kenward-roger": "Kenward-Roger",
    "greenhouse-geisser": "Greenhouse-Geisser",
    "huynh-feldt": "Huynh-Feldt",
    "kenward-roger-linear": "Kenward-Roger, linear",
    "kenward-roger-expected": "Kenward-Roger, expected information",
}


def df_name(method: object) -> str:
    """Return the name of a df method as a sentence has it; empty where there is none."""
    return _DF_NAMES.get(str(method), str(method or ""))


_UNITS = {
    "mg_kg_h": "mg/kg/h",
    "ng_ml": "ng/ml",
    "mg_kg": "mg/kg",
    "mm": "mm",
    "ml": "ml",
    "hz": "Hz",
    "minutes": "minutes",
}
_NAME = re.compile(r"(?<![/.])\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b(?!\.\w|/)")


def name_words(text: object) -> str:
    """Write names of columns inside a text for people: ``max_dose_mg_kg_h`` -> ``max dose (mg/kg/h)``.

    Names of files and whatever has a capital stay as they are.
    """
    return _NAME.sub(lambda found: _one_name(found[0]), str(text))


def _one_name(name: str) -> str:
    for ending, unit in _UNITS.items():
        if name.endswith(f"_{ending}"):
            return f"{name.removesuffix(f'_{ending}').replace('_', ' ')} ({unit})"
    return name.replace("_", " ")


def term_words(term: object, kind: object = "coefficient") -> str:
    """Write a model term for people: ``visit[post]:arm[drug]`` -> ``visit post × arm drug``."""
    text = str(term).replace(" - ", f" {MINUS} ")
    if str(kind) not in ("coefficient", "F test"):
        return name_words(text.replace(" ~ ", " with "))
    # In a formula nothing follows the colon but the next factor; in words a blank does.
    words = re.sub(r":(?! )", " \u00d7 ", re.sub(r"\[([^\]]*)\]", r" \1", text))
    return name_words(words)


def first_note(flags: object) -> str:
    """Return what the flags of a row say first of it; the mark of stand-ins, which all share, is skipped."""
    notes = [one for one in str(flags).split("; ") if one and not one.startswith("stand-in")]
    return notes[0] if notes else ""


def as_float(value: Any) -> float:  # noqa: ANN401 - a cell of any table
    """Return a cell as a float; whatever is no number is NaN."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def format_number(value: Any, *, digits: int = 3) -> str:  # noqa: ANN401
    """Print a number to `digits` significant digits, without an exponent where one can read it.

    Parameters
    ----------
    value : number
        NaN, None and text become a dash.
    digits : int
        Significant digits.
    """
    number = as_float(value)
    if math.isnan(number):
        return ABSENT
    if math.isinf(number):
        return "\u221e" if number > 0 else MINUS + "\u221e"
    if number == 0:
        return "0"
    if 1000 <= abs(number) < 1e7:
        return f"{number:.0f}".replace("-", MINUS)  # whole digits before a point are never zeroed
    rounded = float(f"{number:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    if exponent < -4 or exponent > 6:
        text = f"{rounded:.{digits - 1}e}"
    else:
        text = f"{rounded:.{max(0, digits - 1 - exponent)}f}"
    return text.replace("-", MINUS)


def format_p(value: Any, *, sign: bool = False) -> str:  # noqa: ANN401
    """Print a p value: two significant digits, three near .05, never zero.

    Parameters
    ----------
    value : number
        NaN becomes a dash.
    sign : bool
        Put ``=`` before a plain number, as running text wants it.
    """
    number = as_float(value)
    if math.isnan(number):
        return ABSENT
    if number < 0.001:
        return "< .001"
    if number > 0.995:
        text = "1.00" if number >= 1.0 else "> .99"
        return text if text.startswith(">") or not sign else f"= {text}"
    # Two digits hide on which side of .05 a value lies; three do not.
    digits = 3 if 0.045 <= number < 0.055 else 2
    places = digits - 1 - math.floor(math.log10(float(f"{number:.{digits - 1}e}")))
    text = f"{number:.{max(2, places)}f}".removeprefix("0")
    return f"= {text}" if sign else text


def format_df(value: Any, *, numerator: Any = None) -> str:  # noqa: ANN401
    """Print degrees of freedom to one decimal, with the numerator's where one is given."""
    number = as_float(value)
    if math.isnan(number):
        return ABSENT
    text = "\u221e" if math.isinf(number) else f"{number:.1f}"
    first = as_float(numerator)
    return text if math.isnan(first) else f"{first:.0f}, {text}"


def format_interval(low: Any, high: Any) -> str:  # noqa: ANN401
    """Print an interval in brackets, both ends to the same decimal; empty where it has no ends.

    The end that lies further from zero has three significant digits.
    """
    ends = [as_float(low), as_float(high)]
    if all(math.isnan(end) for end in ends):
        return ""
    finite = [abs(end) for end in ends if math.isfinite(end)]
    most = max(finite, default=0.0)
    if not 1e-4 <= most < 1e6:
        return f"[{format_number(low)}, {format_number(high)}]"
    places = max(0, 2 - math.floor(math.log10(float(f"{most:.2e}"))))
    texts = [
        f"{end:.{places}f}".replace("-", MINUS) if math.isfinite(end) else format_number(end)
        for end in ends
    ]
    return f"[{texts[0]}, {texts[1]}]"


def nnt_words(estimate: Any, low: Any, high: Any) -> tuple[str, str]:  # noqa: ANN401
    """Print a number needed to treat and its limits as Altman (BMJ 1998;317:1309) has them.

    Parameters
    ----------
    estimate, low, high : number
        Reciprocals of a risk difference and of its limits: above zero one more person has the event
        (NNTB), below zero one fewer (NNTH). Limits of unlike sign reach through infinity.

    Returns
    -------
    tuple of (str, str)
        ``"NNTB 12.3"`` and ``"NNTH 7.2 to ∞ to NNTB 4.1"``; dashes where unknown.
    """
    ends = [as_float(low), as_float(high)]
    if any(math.isnan(end) for end in ends):
        return _needed(estimate), ""
    first, last = _needed(ends[0]), _needed(ends[1])
    through = ends[0] < 0 < ends[1] and all(math.isfinite(end) for end in ends)
    return _needed(estimate), f"{first} to ∞ to {last}" if through else f"{first} to {last}"


def _needed(value: Any) -> str:  # noqa: ANN401
    number = as_float(value)
    if math.isnan(number):
        return ABSENT
    if math.isinf(number):
        return "\u221e"
    return f"{'NNTB' if number > 0 else 'NNTH'} {abs(number):.1f}"


def format_count(value: Any) -> str:  # noqa: ANN401
    """Print a whole number with thin spaces between thousands; a dash where there is none."""
    number = as_float(value)
    return ABSENT if math.isnan(number) else f"{number:,.0f}".replace(",", "\u2009")
