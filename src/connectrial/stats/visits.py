"""Rows of a model of repeated visits, sorted into patterns of visits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.design import Design
from connectrial.stats.grammar import CovarianceTerm
from connectrial.stats.patterns import Layout, Pattern, group_codes

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VisitTable:
    """Who was seen when.

    Parameters
    ----------
    subject, visit, group : (n_observations,) int arrays
        Person, visit and group of each row.
    subject_names, visit_names, group_names : tuples of str
        Their names; visits in the order of their levels, one group if there is none.
    unused_visits : tuple of str
        Levels of the visit without a row.
    """

    subject: NDArray[np.intp]
    visit: NDArray[np.intp]
    group: NDArray[np.intp]
    subject_names: tuple[str, ...]
    visit_names: tuple[str, ...]
    group_names: tuple[str, ...]
    unused_visits: tuple[str, ...]


def restrict_visits(table: VisitTable, rows: NDArray[np.intp]) -> VisitTable | None:
    """Keep some rows of a table; None if visits or groups would be lost with the others."""
    if len(np.unique(table.visit[rows])) < len(table.visit_names):
        return None
    if len(np.unique(table.group[rows])) < len(table.group_names):
        return None
    people, subject = np.unique(table.subject[rows], return_inverse=True)
    return VisitTable(
        subject=subject,
        visit=table.visit[rows],
        group=table.group[rows],
        subject_names=tuple(table.subject_names[k] for k in people),
        visit_names=table.visit_names,
        group_names=table.group_names,
        unused_visits=table.unused_visits,
    )


def read_visits(term: CovarianceTerm, design: Design) -> VisitTable:
    """Take persons, visits and groups from the rows that a design uses.

    Parameters
    ----------
    term : CovarianceTerm
        Names of the variables.
    design : Design
        Whose rows are used.

    Returns
    -------
    VisitTable

    Raises
    ------
    ModelError
        If a person has two rows at one visit or is in two groups, or if there are fewer than two
        persons or visits.
    """
    frame = design.frame
    subject, names = group_codes([list(frame[term.subject])])
    visit, visit_names, unused = _levels(frame[term.visit])
    group: NDArray[np.intp] = np.zeros(len(frame), dtype=np.intp)
    group_names: tuple[str, ...] = ("",)
    if term.arm is not None:
        group, group_names, _ = _levels(frame[term.arm])
    rows = pd.DataFrame({"subject": subject, "visit": visit, "group": group})
    twice = rows[rows.duplicated(["subject", "visit"])]
    if len(twice):
        first = twice.iloc[0]
        raise ModelError(
            f"subject {names[first['subject']]!r} has more than one row at visit "
            f"{visit_names[first['visit']]!r} (and {len(twice) - 1} more such rows); "
            "average them, or give each visit a name of its own"
        )
    if rows[["subject", "group"]].drop_duplicates()["subject"].duplicated().any():
        raise ModelError(
            f"variable {term.arm!r}: changes within subjects; groups hold whole people"
        )
    if len(names) < 2:
        raise ModelError(f"subject {term.subject!r}: one level only; at least two are needed")
    if len(visit_names) < 2:
        raise ModelError(
            f"visit {term.visit!r}: one level only, {visit_names[0]!r}; a covariance between "
            "visits needs two; fit a linear model without repeated visits"
        )
    return VisitTable(
        subject=subject,
        visit=visit,
        group=group,
        subject_names=names,
        visit_names=visit_names,
        group_names=group_names,
        unused_visits=unused,
    )


def check_pairs(structure: str, table: VisitTable) -> None:
    """Refuse an unstructured covariance between visits at which nobody was seen twice."""
    if structure != "us":
        return
    for g, name in enumerate(table.group_names):
        rows = table.group == g
        seen = np.zeros((len(table.subject_names), len(table.visit_names)))
        seen[table.subject[rows], table.visit[rows]] = 1
        together = seen.T @ seen
        for a, b in zip(*np.tril_indices(len(table.visit_names)), strict=True):
            if not together[a, b]:
                pair = f"{table.visit_names[b]!r} and {table.visit_names[a]!r}"
                raise ModelError(
                    "us: nobody "
                    + (f"of {name!r} " if name else "")
                    + f"was seen at visits {pair}, so that their covariance is unknown; "
                    "choose another structure, such as 'cs', 'ar1h' or 'toep'"
                )


def component_names(table: VisitTable) -> list[str]:
    """Name the (co)variances between visits: lower triangle by rows, group after group."""
    return [
        (f"{group} " if group else "") + (name if a == b else f"{table.visit_names[b]} x {name}")
        for group in table.group_names
        for a, name in enumerate(table.visit_names)
        for b in range(a + 1)
    ]


def lay_out_visits(
    table: VisitTable, x: Array
) -> tuple[Layout, list[tuple[NDArray[np.intp], NDArray[np.intp]]]]:
    """Sort people by the visits at which they were seen.

    Parameters
    ----------
    table : VisitTable
        Who was seen when.
    x : (n_observations, n_columns) array
        Design.

    Returns
    -------
    layout : Layout
        Without rotation or white part.
    stacks : list of (group, visits)
        (n_patterns,) group and (n_patterns, n_dims) visits of the patterns of each stack.
    """
    order = np.lexsort([table.visit, table.subject])
    ends = np.flatnonzero(np.diff(table.subject[order])) + 1
    members: dict[tuple[int, ...], list[NDArray[np.intp]]] = {}
    for rows in np.split(order, ends):
        key = (int(table.group[rows[0]]), *table.visit[rows].tolist())
        members.setdefault(key, []).append(rows)
    keys = sorted(members, key=lambda key: (len(key), key))
    patterns = []
    for key in keys:
        index = np.stack(members[key])
        basis = np.zeros((0, index.shape[1], index.shape[1]))
        patterns.append(Pattern(index=index, rotation=None, basis=basis, x=x[index]))
    layout = Layout(
        patterns=tuple(patterns), white_x=np.zeros((0, x.shape[1])), n_white=0, n_parameters=0
    )
    stacks = []
    for size in sorted({len(key) for key in keys}):
        same = [key for key in keys if len(key) == size]
        stacks.append((np.array([key[0] for key in same]), np.array([key[1:] for key in same])))
    return layout, stacks


def _levels(column: pd.Series) -> tuple[NDArray[np.intp], tuple[str, ...], tuple[str, ...]]:
    """Codes, names of levels that occur, in their order, and names of those that do not."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("category")
    used = column.cat.remove_unused_categories()
    names = tuple(str(level) for level in used.cat.categories)
    unused = tuple(str(level) for level in column.cat.categories if str(level) not in names)
    return used.cat.codes.to_numpy().astype(np.intp), names, unused
