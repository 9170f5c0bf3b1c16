"""Which rows may take one another's place under the null hypothesis, and in how many ways."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import factorial, prod
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import InputError, ModelError
from connectrial.stats.design import Design

Scheme = Literal["within", "whole", "signs"]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Exchange:
    """The rearrangements that the null hypothesis allows.

    Attributes
    ----------
    scheme : {"within", "whole", "signs"}
        Rows change places within a person; people change places with all their rows, among those
        with the same visits; or a person's rows change sign together.
    sets : tuple of int arrays, shape (n_members, n_rows)
        Members of a set change places with one another, each member a list of rows in visit order:
        single rows of one person ("within"), whole people ("whole"). For "signs" every member is a
        set of its own.
    n_rows : int
    n_still : int
        People whom no exchange touches: with one row ("within"), or with visits like nobody's
        ("whole").
    n_possible : int
        Rearrangements that differ in the design, the one at hand included.
    alike : tuple of sequences
        For each set one label per member; members with the same label have the same design, so that
        their exchange changes nothing.
    """

    scheme: Scheme
    sets: tuple[Index, ...]
    n_rows: int
    n_still: int
    n_possible: int
    alike: tuple[tuple[Hashable, ...], ...]

    def draw(self, rng: np.random.Generator, n_draws: int) -> tuple[Index, NDArray[np.int8] | None]:
        """Draw rearrangements at random, with replacement.

        Parameters
        ----------
        rng : Generator
        n_draws : int

        Returns
        -------
        rows : int array, shape (n_draws, n_rows)
            Row that comes to stand at each place.
        signs : int8 array, shape (n_draws, n_rows), or None
            +1 or -1, where the scheme flips signs.
        """
        rows = np.tile(np.arange(self.n_rows), (n_draws, 1))
        if self.scheme == "signs":
            signs = np.ones((n_draws, self.n_rows), dtype=np.int8)
            for members in self.sets:
                flip = 1 - 2 * rng.integers(0, 2, size=(n_draws, 1), dtype=np.int8)
                signs[:, members[0]] = flip
            return rows, signs
        for members in self.sets:
            order = np.argsort(rng.random((n_draws, len(members))), axis=1)
            rows[:, members.ravel()] = members[order].reshape(n_draws, -1)
        return rows, None

    def enumerate_all(self) -> tuple[Index, NDArray[np.int8] | None]:
        """List every rearrangement that differs in the design, the one at hand first.

        Returns
        -------
        rows, signs
            As `draw`, with `n_possible` rows.
        """
        if self.scheme == "signs":
            flips = np.array(list(product((1, -1), repeat=len(self.sets))), dtype=np.int8)
            signs = np.ones((len(flips), self.n_rows), dtype=np.int8)
            for k, members in enumerate(self.sets):
                signs[:, members[0]] = flips[:, [k]]
            return np.tile(np.arange(self.n_rows), (len(flips), 1)), signs
        choices = [list(_distinct_orders(labels)) for labels in self.alike]
        rows = np.tile(np.arange(self.n_rows), (self.n_possible, 1))
        for which, orders in enumerate(product(*choices)):
            for members, order in zip(self.sets, orders, strict=True):
                rows[which, members.ravel()] = members[list(order)].ravel()
        return rows, None


def find_exchange(
    design: Design,
    data: pd.DataFrame,
    *,
    term: str,
    blocks: str | None,
    visit: str | None = None,
    scheme: Scheme | None = None,
    parts: str | None = None,
) -> Exchange:
    """Work out from the design what may be exchanged under the null hypothesis of one term.

    Parameters
    ----------
    design : Design
        The whole model.
    data : DataFrame
        The table that the design was made of.
    term : str
        The term that is tested.
    blocks : str or None
        Column with the person; None if every row is a person of its own.
    visit : str, optional
        Column with the occasion, by which rows of different people are matched; default all factors
        and coded variables of the formula that vary within people.
    scheme : {"within", "whole", "signs"}, optional
        Default "signs" for the intercept; "whole" if the term holds a variable that is constant in
        every person (an arm, and its interaction with time); else "within".
    parts : str, optional
        For "within": column with the parts of a person that change places as a whole, such as the
        period of a crossover; rows within a part keep their order. Parts with different visits stay.

    Returns
    -------
    Exchange

    Raises
    ------
    InputError
        If a column is absent or empty, or two rows of a person have the same visit.
    ModelError
        If no exchange changes the design.
    """
    person, part, occasion = _who_and_when(design, data, blocks=blocks, parts=parts, visit=visit)
    columns = [design.columns.index(name) for name in design.columns_of(term)]
    if scheme is None:
        scheme = _scheme_of(design, term, person)
    if parts is not None and scheme != "within":
        raise InputError(
            f"parts: {term!r} is tested by exchange of {scheme!r} people; parts change places within"
        )
    members = _rows_of(person, occasion)
    x = np.round(design.matrix, 12)
    sets: list[Index]
    if scheme == "signs":
        sets = [rows[None, :] for rows in members]
        n_possible = 2 ** len(sets) if np.any(x[:, columns]) else 1
        alike: list[tuple[Hashable, ...]] = [(0,) for _ in sets]
    else:
        if scheme == "whole":
            _need_visits(members, occasion, blocks=blocks, visit=visit)
            sets = _same_visits(members, occasion)
        elif parts is None:
            sets = [rows[:, None] for rows in members if len(rows) > 1]
        else:
            pieces = _rows_of(part, occasion)
            owner = [person[rows[0]] for rows in pieces]
            sets = []
            for code in range(len(members)):
                own = [p for p, o in zip(pieces, owner, strict=True) if o == code]
                sets += _same_visits(own, occasion)
        alike = [tuple(x[rows].tobytes() for rows in group) for group in sets]
        n_possible = prod(_n_orders(labels) for labels in alike)
    if n_possible < 2:
        raise ModelError(
            f"permutation of {term!r}: no exchange ({scheme}) of {len(members)} people changes "
            "the design; it needs people with the same visits, or several rows in a person"
        )
    return Exchange(
        scheme=scheme,
        sets=tuple(sets),
        n_rows=len(person),
        n_still=len(members) - np.unique(person[np.concatenate([s.ravel() for s in sets])]).size,
        n_possible=n_possible,
        alike=tuple(alike),
    )


def _who_and_when(
    design: Design, data: pd.DataFrame, *, blocks: str | None, parts: str | None, visit: str | None
) -> tuple[Index, Index, Index]:
    """Codes of the person, the part of a person and the occasion of each row that is used."""
    n = len(design.rows)
    if blocks is None:
        return np.arange(n), np.arange(n), np.zeros(n, dtype=np.intp)
    used = data.iloc[design.rows]
    for name, key in ((blocks, "blocks"), (parts, "parts"), (visit, "visit")):
        if name is None:
            continue
        if name not in data.columns:
            known = ", ".join(map(repr, data.columns))
            raise InputError(f"{key}: the table has no column {name!r}; it has {known}")
        if used[name].isna().any():
            raise InputError(f"{key}: column {name!r} has {used[name].isna().sum()} empty cells")
    person = np.asarray(pd.factorize(used[blocks])[0], dtype=np.intp)
    part = person
    if parts is not None:
        part = np.asarray(used.groupby([blocks, parts], observed=True).ngroup(), dtype=np.intp)
    if visit is not None:
        names = [visit]
    else:
        names = [
            name
            for name in (*design.levels, *design.coding)
            if name != blocks and not _constant_within(used[name], part)
        ]
    if not names:
        return person, part, np.zeros(n, dtype=np.intp)
    occasion = used.groupby(names, observed=True, sort=True).ngroup().to_numpy()
    doubled = pd.DataFrame({"part": part, "occasion": occasion}).duplicated().to_numpy()
    if doubled.any():
        row = used.iloc[int(np.flatnonzero(doubled)[0])]
        raise InputError(
            f"blocks: {blocks} {row[blocks]!r} has two rows at "
            f"{', '.join(f'{name} {row[name]!r}' for name in names)}; name the column that tells "
            "a person's rows apart with visit="
        )
    return person, part, np.asarray(occasion, dtype=np.intp)


def _rows_of(codes: Index, occasion: Index) -> list[Index]:
    """Rows of each code, in the order of their occasions."""
    groups = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    return [rows[np.argsort(occasion[rows], kind="stable")] for rows in groups]


def _scheme_of(design: Design, term: str, person: Index) -> Scheme:
    name = design.term_name(term)
    if name == "Intercept":
        return "signs"
    variables = [
        column
        for column in design.frame
        if re.search(rf"(?<!\w){re.escape(str(column))}(?!\w)", name)
    ]
    between = [v for v in variables if _constant_within(design.frame[v], person)]
    return "whole" if between else "within"


def _constant_within(column: pd.Series, person: Index) -> bool:
    codes = pd.factorize(column)[0]
    return bool(pd.Series(codes).groupby(person).nunique().max() == 1)


def _same_visits(members: list[Index], occasion: Index) -> list[Index]:
    """Group members that have the same visits; members like nobody else are in no group."""
    patterns: dict[bytes, list[Index]] = {}
    for rows in members:
        patterns.setdefault(occasion[rows].tobytes(), []).append(rows)
    return [np.array(group) for group in patterns.values() if len(group) > 1]


def _need_visits(
    members: list[Index], occasion: Index, *, blocks: str | None, visit: str | None
) -> None:
    if blocks is not None and visit is None and max(map(len, members)) > 1 and not occasion.any():
        raise InputError(
            f"blocks: people in {blocks!r} have several rows, but nothing in the formula tells the "
            "visits apart; name their column with visit="
        )


def _n_orders(labels: Sequence[Hashable]) -> int:
    counts = pd.Series(list(labels)).value_counts()
    return factorial(len(labels)) // prod(factorial(int(c)) for c in counts)


def _distinct_orders(labels: Sequence[Hashable]) -> Iterator[tuple[int, ...]]:
    """Orders of positions that give different sequences of labels, the present one first."""

    def extend(left: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if not left:
            yield ()
            return
        tried = set()
        for position in left:
            if labels[position] not in tried:
                tried.add(labels[position])
                rest = tuple(p for p in left if p != position)
                for tail in extend(rest):
                    yield (position, *tail)

    yield from extend(tuple(range(len(labels))))
