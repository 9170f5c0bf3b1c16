"""The grammar of model formulas: a fixed part, random effects, a residual covariance.

The fixed part is left as text (formulaic reads it); random effects follow lme4 (Bates et al. 2015,
doi 10.18637/jss.v067.i01) and residual covariances follow R's mmrm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from connectrial.errors import ModelError

STRUCTURES = ("us", "cs", "csh", "ar1", "ar1h", "toep", "toeph", "ad", "adh")
"""Residual covariance structures of `fit_mmrm`, under the names that R's mmrm gives them."""

_COVARIANCE = re.compile(rf"^({'|'.join(STRUCTURES)})\s*\((.*)\)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RandomTerm:
    """One block of random effects that share an unstructured covariance.

    Parameters
    ----------
    effects : str
        What varies, as a formula of its own: ``"1"``, ``"1 + time"``, ``"0 + time"``.
    groups : tuple of str
        Grouping variables; more than one means their combinations (``a:b``).
    split : bool
        It came from ``||``, which takes numeric effects only.
    """

    effects: str
    groups: tuple[str, ...]
    split: bool = False

    @property
    def group(self) -> str:
        """The grouping as R writes it, ``"a:b"`` for combinations."""
        return ":".join(self.groups)


@dataclass(frozen=True, slots=True)
class CovarianceTerm:
    """A residual covariance over visits within subjects, one for all or one per arm.

    Parameters
    ----------
    structure : str
        One of `STRUCTURES`.
    visit, subject : str
        Variables that hold the visit and the person.
    arm : str or None
        Variable whose every level has a covariance of its own.
    """

    structure: str
    visit: str
    subject: str
    arm: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedFormula:
    """A model formula in its parts.

    Parameters
    ----------
    outcome : str or None
        Left side, None where there is none.
    fixed : str
        Fixed part; ``"1"`` where only random terms were given.
    random : tuple of RandomTerm
        Random effects.
    covariance : CovarianceTerm or None
        Residual covariance.
    """

    outcome: str | None
    fixed: str
    random: tuple[RandomTerm, ...]
    covariance: CovarianceTerm | None


def parse_formula(formula: str) -> ParsedFormula:
    """Split a model formula into outcome, fixed part, random terms and residual covariance.

    Parameters
    ----------
    formula : str
        Such as ``"fc_z ~ time * arm + (1 | subject)"`` or
        ``"y ~ arm * visit + us(visit | subject)"``.

    Returns
    -------
    ParsedFormula

    Raises
    ------
    ModelError
        If the formula is no text, has more than one ``~``, unbalanced brackets or a random term
        that cannot be read.
    """
    if not isinstance(formula, str) or not formula.strip():
        raise ModelError(f"formula: got {formula!r}; write one such as 'y ~ time + (1 | subject)'")
    sides = formula.split("~")
    if len(sides) > 2:
        raise ModelError(f"formula {formula!r}: more than one '~'; write 'outcome ~ terms'")
    outcome = sides[0].strip().strip("`").strip() or None if len(sides) == 2 else None
    fixed: list[str] = []
    random: list[RandomTerm] = []
    covariances: list[CovarianceTerm] = []
    for sign, term in _signed_terms(sides[-1], formula):
        inner = _within_brackets(term)
        if inner is not None and _split_bar(inner) is not None:
            _refuse_minus(sign, term, formula)
            random.extend(_read_random(inner, formula))
        elif match := _COVARIANCE.match(term):
            _refuse_minus(sign, term, formula)
            covariances.append(_read_covariance(match[1], match[2], formula))
        elif "|" in re.sub(r"`[^`]*`", "", term):
            raise ModelError(
                f"formula {formula!r}: {term!r} cannot be read; random terms stand in brackets, "
                f"'(1 | subject)', residual covariances are one of {', '.join(STRUCTURES)}, "
                "as in 'us(visit | subject)'"
            )
        else:
            fixed.append(f"{sign} {term}" if fixed or sign == "-" else term)
    if len(covariances) > 1:
        raise ModelError(f"formula {formula!r}: more than one residual covariance; keep one")
    return ParsedFormula(
        outcome, " ".join(fixed) or "1", tuple(random), covariances[0] if covariances else None
    )


def split_terms(text: str) -> list[str]:
    """Split at ``+`` and ``-`` outside brackets and backticks; signs are left out."""
    return [term for _, term in _signed_terms(text, text)]


def _signed_terms(text: str, formula: str) -> Iterator[tuple[str, str]]:
    depth, quoted, sign, start = 0, False, "+", 0
    for position, letter in enumerate(text):
        if letter == "`":
            quoted = not quoted
        elif quoted:
            continue
        elif letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
            if depth < 0:
                break
        elif letter in "+-" and depth == 0:
            if text[start:position].strip():
                yield sign, text[start:position].strip()
            sign, start = letter, position + 1
    if depth != 0 or quoted:
        raise ModelError(f"formula {formula!r}: brackets or backticks do not match up")
    if text[start:].strip():
        yield sign, text[start:].strip()


def _within_brackets(term: str) -> str | None:
    """Text within one pair of brackets that spans the whole term, else None."""
    if not (term.startswith("(") and term.endswith(")")):
        return None
    depth = 0
    for position, letter in enumerate(term):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return term[1:-1] if position == len(term) - 1 else None
    return None


def _split_bar(text: str) -> tuple[str, str, bool] | None:
    """(effects, groups, correlated) at the bar outside brackets, None without one."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "|" and depth == 0:
            double = text[position + 1 : position + 2] == "|"
            return text[:position].strip(), text[position + 1 + double :].strip(), not double
    return None


def _refuse_minus(sign: str, term: str, formula: str) -> None:
    if sign == "-":
        raise ModelError(f"formula {formula!r}: '- {term}' takes a random term away; leave it out")


def _read_random(inner: str, formula: str) -> list[RandomTerm]:
    split = _split_bar(inner)
    if split is None or not split[0] or not split[1] or "|" in split[1]:
        raise ModelError(
            f"formula {formula!r}: '({inner})' cannot be read; write '(effects | group)', "
            "such as '(1 | subject)' or '(1 + time | subject)'"
        )
    effects, grouping, correlated = split
    blocks = [effects] if correlated else _uncorrelated(effects)
    return [
        RandomTerm(block, groups, not correlated)
        for groups in _read_groups(grouping, formula)
        for block in blocks
    ]


def _uncorrelated(effects: str) -> list[str]:
    """``x || g`` as lme4 has it: one block for the intercept, one for each other term."""
    terms = split_terms(effects)
    blocks = [] if "0" in terms or "- 1" in effects or "-1" in effects else ["1"]
    return blocks + [f"0 + {term}" for term in terms if term not in {"0", "1"}]


def _read_groups(grouping: str, formula: str) -> list[tuple[str, ...]]:
    """``a/b`` is a, then a:b; ``a + b`` is not allowed, as in lme4."""
    parts = [part.strip() for part in grouping.split("/")]
    nested: list[tuple[str, ...]] = []
    so_far: tuple[str, ...] = ()
    for part in parts:
        names = tuple(name.strip().strip("`") for name in part.split(":"))
        if not all(names) or any(re.search(r"[+*()|]", name) for name in names):
            raise ModelError(
                f"formula {formula!r}: grouping {grouping!r} cannot be read; "
                "write a variable, 'a:b' or 'a/b'"
            )
        so_far = (*so_far, *names)
        nested.append(so_far)
    return nested


def _read_covariance(structure: str, inner: str, formula: str) -> CovarianceTerm:
    split = _split_bar(inner)
    wanted = f"write '{structure}(visit | subject)' or '{structure}(visit | arm / subject)'"
    if split is None or not split[2]:
        raise ModelError(f"formula {formula!r}: '{structure}({inner})' cannot be read; {wanted}")
    visit = split[0].strip("` ")
    groups = [part.strip().strip("`") for part in split[1].split("/")]
    if not visit or len(groups) > 2 or not all(groups):
        raise ModelError(f"formula {formula!r}: '{structure}({inner})' cannot be read; {wanted}")
    return CovarianceTerm(structure, visit, groups[-1], groups[0] if len(groups) == 2 else None)
