"""Who was given what in which period of a crossover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from connectrial.errors import InputError

#: Joins the treatments of a sequence, first period first.
JOIN = " then "


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Periods:
    """The order in which each person was given the treatments.

    Attributes
    ----------
    sequence : pandas.Series
        By subject: treatments joined in order of period; missing where no period is stated, or
        where several orders would fit.
    period : pandas.DataFrame
        One row per subject, one column per treatment: the period (1, 2, ...) in which it was given;
        NaN where it was not.
    sequences : tuple of str
        Sequences that occur, that which begins with the reference treatment first.
    reasons : dict
        Why a person has no period at all, by subject.
    notes : tuple of str
        Sequences that were completed although only their beginning is stated.
    """

    sequence: pd.Series
    period: pd.DataFrame
    sequences: tuple[str, ...]
    reasons: dict[str, str]
    notes: tuple[str, ...]


def assign_periods(
    given: pd.DataFrame, *, treatments: Sequence[str], codes: Mapping[str, str] | None = None
) -> Periods:
    """Read off each person's sequence and the period of each treatment.

    A person who left after all but the last period was randomised to a whole sequence, and the
    treatment that is left over completes it; the sequence then counts as known, the treatment that
    was never given has no period.

    Parameters
    ----------
    given : DataFrame, shape (n_subjects, n_periods)
        Indexed by subject; one column per period, in order, with the code of what was given; missing
        where there was no such period.
    treatments : sequence of str
        All treatments; the first is the reference.
    codes : mapping, optional
        From cells to treatments; left out, cells are treatments.

    Returns
    -------
    Periods

    Raises
    ------
    InputError
        Naming every cell that is no known code, every person who was given one treatment twice,
        and every person with an empty period before a stated one.
    """
    known = dict(codes) if codes else {name: name for name in treatments}
    problems: list[str] = []
    sequence: dict[str, str | None] = {}
    period = pd.DataFrame(np.nan, index=given.index, columns=list(treatments))
    reasons: dict[str, str] = {}
    completed = []
    columns = " and ".join(map(str, given.columns))
    for subject, cells in given.iterrows():
        who = str(subject)
        order = _order(who, cells, known, problems)
        sequence[who] = None
        if order is None:
            continue
        if not order:
            reasons[who] = f"no treatment is stated ({columns})"
            continue
        for number, treatment in enumerate(order, start=1):
            period.loc[subject, treatment] = number
        rest = [name for name in treatments if name not in order]
        if len(rest) == 1:
            completed.append(who)
        if len(rest) <= 1:
            sequence[who] = JOIN.join([*order, *rest])
    if problems:
        raise InputError(problems)
    return Periods(
        sequence=pd.Series(sequence, dtype="object").reindex(given.index.astype(str)),
        period=period,
        sequences=_in_order(set(filter(None, sequence.values())), treatments),
        reasons=reasons,
        notes=_completed(completed, len(treatments)),
    )


def williams_sequences(treatments: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the sequences of a Williams design: each treatment follows each other equally often.

    Parameters
    ----------
    treatments : sequence of str
        Two or more.

    Returns
    -------
    list of tuple of str
        As many sequences as treatments where their number is even, else twice as many; every
        treatment stands in every period equally often.

    References
    ----------
    Williams 1949, Australian Journal of Scientific Research A 2, 149-168.
    """
    n = len(treatments)
    first = [0]
    for step in range(1, n):
        first.append((first[-1] + (step if step % 2 else -step)) % n)
    rows = [[(place + shift) % n for place in first] for shift in range(n)]
    if n % 2:
        rows += [row[::-1] for row in rows]
    return [tuple(treatments[place] for place in row) for row in rows]


def repeat_common(rows: pd.DataFrame, *, treatments: Sequence[str]) -> pd.DataFrame:
    """Repeat what all periods have in common under each treatment, so that each has a whole course.

    Parameters
    ----------
    rows : DataFrame
        ``subject``, ``treatment`` (missing where a visit is common to all periods), and more.
    treatments : sequence of str
        In order.

    Returns
    -------
    DataFrame
        Common rows of each person once for every treatment of which the person has a row, then the
        others.
    """
    common = rows["treatment"].isna()
    own = rows.loc[~common]
    parts = []
    for treatment in treatments:
        given = set(own.loc[own["treatment"] == treatment, "subject"])
        shared = rows.loc[common & rows["subject"].isin(given)]
        parts.append(shared.assign(treatment=treatment))
    return pd.concat([*parts, own], ignore_index=True)


def _order(
    subject: str, cells: pd.Series, codes: Mapping[str, str], problems: list[str]
) -> list[str] | None:
    order: list[str] = []
    empty: str | None = None
    for column, cell in cells.items():
        if pd.isna(cell):
            empty = empty or str(column)
            continue
        treatment = codes.get(str(cell))
        if treatment is None:
            allowed = ", ".join(map(repr, codes))
            problems.append(
                f"sub-{subject}, column {column!r}: {str(cell)!r} is no treatment; allowed are {allowed} "
                "(and n/a where the person had no such period)"
            )
            return None
        if empty is not None:
            problems.append(
                f"sub-{subject}: column {column!r} names a treatment though {empty!r}, the period "
                "before, is empty; fill it in or exclude the person"
            )
            return None
        if treatment in order:
            problems.append(
                f"sub-{subject}: was given {treatment!r} in two periods; correct the table or exclude "
                "the person"
            )
            return None
        order.append(treatment)
    return order


def _in_order(found: set[str], treatments: Sequence[str]) -> tuple[str, ...]:
    place = {name: number for number, name in enumerate(treatments)}
    return tuple(sorted(found, key=lambda sequence: [place[name] for name in sequence.split(JOIN)]))


def _completed(subjects: Sequence[str], n_treatments: int) -> tuple[str, ...]:
    if not subjects:
        return ()
    few = f"{len(subjects)} people" if len(subjects) > 1 else "1 person"
    named = ", ".join(f"sub-{subject}" for subject in subjects)
    return (
        f"{few} left before period {n_treatments} ({named}); their sequence counts as "
        "the one that they began",
    )
