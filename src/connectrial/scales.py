"""What a clinical scale is: items with their ranges, the scores made of them, bands, conventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from connectrial.errors import InputError, did_you_mean

_LARGEST = 1e15  # of any score; and infinite ones are none
_KEYS = {
    "": (
        *("name", "title", "better", "unit", "source", "ordinal"),
        *("items", "scores", "bands", "conventions"),
    ),
    "items": ("names", "minimum", "maximum", "whole", "not_assessed", "alternatives"),
    "scores": ("name", "items", "method", "max_missing", "missing_source"),
    "bands": ("score", "source", "levels"),
    "conventions": ("name", "min_percent_decrease", "below", "at_most", "source"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item, or a total that was entered as such.

    Attributes
    ----------
    name : str
        Its short name.
    minimum, maximum : float
        Lowest and highest possible value, in points.
    whole : bool
        Whether only whole numbers are possible.
    not_assessed : tuple of float
        Codes that stand for a missing value.
    """

    name: str
    minimum: float
    maximum: float
    whole: bool = True
    not_assessed: tuple[float, ...] = ()

    def is_code(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which values are codes for "not assessed"."""
        return np.isin(values, self.not_assessed)

    def is_wrong(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which values the item cannot have; missing ones and codes are not wrong."""
        wrong = (values < self.minimum) | (values > self.maximum)
        if self.whole:
            wrong |= np.isfinite(values) & (values != np.round(values))
        return np.asarray(wrong & ~self.is_code(values), dtype=bool)

    @property
    def allowed(self) -> str:
        """Say what is allowed."""
        kind = "whole numbers" if self.whole else "numbers"
        codes = " or ".join(f"{code:g}" for code in self.not_assessed)
        return f"{kind} from {self.minimum:g} to {self.maximum:g}" + (
            f", and {codes} for not assessed" if codes else ""
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRule:
    """How a total or a subscale is made of items.

    Attributes
    ----------
    name : str
        ``"total"`` or the subscale's name.
    parts : tuple of tuple of int
        Items (from 0) of each part; a part of several items counts as the highest of them.
    method : {"sum", "mean"}
        How the parts are put together.
    max_missing : int
        With so many parts missing at most, a sum is prorated (sum x parts / answered parts); with
        more it is missing.
    missing_source : str
        Where that rule comes from; "stand-in" where no source states one.
    """

    name: str
    parts: tuple[tuple[int, ...], ...]
    method: Literal["sum", "mean"] = "sum"
    max_missing: int = 0
    missing_source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """A response or remission rule from the literature: its operator, value and source."""

    name: str
    source: str
    min_percent_decrease: float | None = None
    below: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A clinical scale.

    Attributes
    ----------
    name, title, unit, source : str
        What it is called, in full; unit of its scores; who published it.
    better : {"lower", "higher"}
        Which way improvement lies.
    ordinal : bool
        True where a score is a rank and no sum, as in the CGI.
    items : tuple of Item
        In order.
    scores : tuple of ScoreRule
        The total first.
    alternatives : tuple of tuple of int
        Items (from 0) of which one is answered and the others are left blank.
    bands : tuple of (float, str)
        Lowest score of each severity band and its name, ascending.
    bands_score, bands_source : str
        Score that the bands belong to, and who proposed them.
    conventions : tuple of Convention
        Response and remission rules in use; none of them is applied unless a study says so.
    """

    name: str
    title: str
    unit: str
    source: str
    better: Literal["lower", "higher"]
    items: tuple[Item, ...]
    scores: tuple[ScoreRule, ...]
    ordinal: bool = False
    alternatives: tuple[tuple[int, ...], ...] = ()
    bands: tuple[tuple[float, str], ...] = ()
    bands_score: str = "total"
    bands_source: str = ""
    conventions: tuple[Convention, ...] = ()

    def rule(self, score: str) -> ScoreRule:
        """Return the rule of a score.

        Raises
        ------
        InputError
            The scale has no such score.
        """
        names = [one.name for one in self.scores]
        if score not in names:
            raise InputError(
                f"scale {self.name}: there is no score {score!r}{did_you_mean(score, names)}"
            )
        return self.scores[names.index(score)]

    def range_of(self, score: str) -> Item:
        """Return the range of a score, as an item that may be entered in place of the items."""
        rule = self.rule(score)
        low = [max(self.items[i].minimum for i in part) for part in rule.parts]
        high = [max(self.items[i].maximum for i in part) for part in rule.parts]
        single = len(self.items) == 1
        join = np.sum if rule.method == "sum" else np.mean
        return Item(
            name=score,
            minimum=float(join(low)),
            maximum=float(join(high)),
            whole=self.items[0].whole if single else False,
            not_assessed=self.items[0].not_assessed if single else (),
        )

    def band(self, score: float) -> str:
        """Return the severity band of a score; empty where there is none."""
        below = [name for low, name in self.bands if score >= low]
        return below[-1] if below else ""


def scale_from_plain(raw: Mapping[str, Any], *, where: str) -> Scale:
    """Read a scale's definition given as plain data.

    Parameters
    ----------
    raw : mapping
        What a definition file holds: ``name``, ``[items]``, ``[[scores]]``, and optionally
        ``[[bands]]`` and ``[[conventions]]``.
    where : str
        What to call it in messages, such as the file.

    Returns
    -------
    Scale

    Raises
    ------
    InputError
        With one sentence for each problem: unknown keys, wrong types, items that do not exist.
    """
    problems = _unknown_keys(raw, where)
    for key, kind in (("name", str), ("items", Mapping)):
        if not isinstance(raw.get(key), kind):
            problems.append(f"{where}: the key {key!r} is missing, or is not what it should be")
    problems += _misshapen(raw, where)
    if problems:
        raise InputError(problems)
    items = _items(raw["items"], where, problems)
    if problems:
        raise InputError(problems)
    listed = raw.get("scores") or [{"name": "total"}]
    scores = tuple(_rule(one, len(items), where, problems) for one in listed)
    better, names = raw.get("better", "lower"), [one.name for one in scores]
    if better not in ("lower", "higher"):
        problems.append(f"{where}: better must be 'lower' or 'higher'; got {better!r}")
    if len(set(names)) < len(names):
        problems.append(f"{where}: two scores have the same name; the names are {names}")
    bands = raw.get("bands") or []
    if len(bands) > 1:
        problems.append(
            f"{where}: give one [[bands]]; several sets of bands contradict one another"
        )
    band = bands[0] if bands else {}
    levels = sorted((float(low), str(name)) for name, low in band.get("levels", {}).items())
    conventions = tuple(
        Convention(
            name=str(one.get("name", "")),
            source=str(one.get("source", "")),
            min_percent_decrease=one.get("min_percent_decrease"),
            below=one.get("below"),
            at_most=one.get("at_most"),
        )
        for one in raw.get("conventions", ())
    )
    pairs = raw["items"].get("alternatives", ())
    alternatives = tuple(_positions(pair, len(items), where, problems) for pair in pairs)
    if problems:
        raise InputError(problems)
    return Scale(
        name=raw["name"],
        title=str(raw.get("title", raw["name"])),
        unit=str(raw.get("unit", "points")),
        source=str(raw.get("source", "")),
        better=better,
        ordinal=bool(raw.get("ordinal", False)),
        items=items,
        scores=scores,
        alternatives=alternatives,
        bands=tuple(levels),
        bands_score=str(band.get("score", "total")),
        bands_source=str(band.get("source", "")),
        conventions=conventions,
    )


def _misshapen(raw: Mapping[str, Any], where: str) -> list[str]:
    """Say what is no list of tables, no list or no finite number where one must be."""
    problems = []
    for key in ("scores", "bands", "conventions"):
        listed = raw.get(key, [])
        if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
            problems.append(f"{where}: {key} must be a list of tables, such as [[{key}]]")
            continue
        for one in listed:
            if not isinstance(one.get("items", []), list):
                problems.append(f"{where}: items of a score must be a list; got {one['items']!r}")
            levels = one.get("levels", {})
            if not isinstance(levels, Mapping) or not all(map(_is_finite, levels.values())):
                problems.append(
                    f"{where}: levels of bands must be a table of names and lowest scores"
                )
            problems += [
                f"{where}: {limit} must be a number; got {one[limit]!r}"
                for limit in ("min_percent_decrease", "below", "at_most")
                if limit in one and not _is_finite(one[limit])
            ]
    items = raw.get("items")
    pairs = items.get("alternatives", []) if isinstance(items, Mapping) else []
    if not isinstance(pairs, list) or not all(isinstance(pair, list) for pair in pairs):
        problems.append(f"{where}: items alternatives must be a list of lists; got {pairs!r}")
    return problems


def _is_finite(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < _LARGEST  # false for NaN, too


def _unknown_keys(raw: Mapping[str, Any], where: str) -> list[str]:
    problems = []
    for section, allowed in _KEYS.items():
        parts = raw if section == "" else raw.get(section, {})
        for part in parts if isinstance(parts, list) else [parts]:
            if not isinstance(part, Mapping):
                problems.append(f"{where}: {section} must be a table, such as [{section}]")
                continue
            problems += [
                f"{where}: {section or 'a scale'} has no key {key!r}{did_you_mean(key, allowed)}"
                for key in part
                if key not in allowed
            ]
    return problems


def _items(raw: Mapping[str, Any], where: str, problems: list[str]) -> tuple[Item, ...]:
    names = raw.get("names")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        problems.append(f"{where}: items needs names = [...], the items' short names in order")
        return ()
    if len(set(names)) < len(names):
        problems.append(f"{where}: two items have the same name")
    limits: dict[str, list[float]] = {}
    for key in ("minimum", "maximum"):
        value = raw.get(key)
        several = list(value) if isinstance(value, list) else [value] * len(names)
        numbers = all(map(_is_finite, several))
        if not numbers or len(several) != len(names):
            problems.append(
                f"{where}: items {key} must be a number, or a list of {len(names)} numbers; "
                f"got {value!r}"
            )
        else:
            limits[key] = [float(str(v)) for v in several]
    if len(limits) < 2:
        return ()
    codes = raw.get("not_assessed", [])
    if not isinstance(codes, list) or not all(map(_is_finite, codes)):
        problems.append(f"{where}: items not_assessed must be a list of numbers; got {codes!r}")
        return ()
    wrong = [n for n, a, b in zip(names, *limits.values(), strict=True) if a >= b]
    problems += [f"{where}: item {name!r} has a minimum at or above its maximum" for name in wrong]
    return tuple(
        Item(
            name=name,
            minimum=low,
            maximum=high,
            whole=bool(raw.get("whole", True)),
            not_assessed=tuple(float(code) for code in codes),
        )
        for name, low, high in zip(names, limits["minimum"], limits["maximum"], strict=True)
    )


def _rule(raw: Mapping[str, Any], n_items: int, where: str, problems: list[str]) -> ScoreRule:
    listed = raw.get("items", list(range(1, n_items + 1)))
    parts = tuple(
        _positions(one if isinstance(one, list) else [one], n_items, where, problems)
        for one in listed
    )
    method, limit = raw.get("method", "sum"), raw.get("max_missing", 0)
    if method not in ("sum", "mean"):
        problems.append(f"{where}: method must be 'sum' or 'mean'; got {method!r}")
    if not isinstance(limit, int) or not 0 <= limit < max(len(parts), 1):
        problems.append(
            f"{where}: max_missing must be a whole number from 0 to {len(parts) - 1}; got {limit!r}"
        )
    return ScoreRule(
        name=str(raw.get("name", "total")),
        parts=parts,
        method=method,
        max_missing=limit,
        missing_source=str(raw.get("missing_source", "")),
    )


def _positions(
    numbers: Sequence[Any], n_items: int, where: str, problems: list[str]
) -> tuple[int, ...]:
    wrong = [n for n in numbers if not isinstance(n, int) or not 1 <= n <= n_items]
    problems += [f"{where}: there is no item {n!r}; the items are 1 to {n_items}" for n in wrong]
    return tuple(n - 1 for n in numbers if n not in wrong)
