"""Hypotheses about a design: marginal means over a reference grid, terms by type I, II and III."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.design import Design

Array = NDArray[np.float64]

_SAME_SPACE = 1e-8


def mean_rows(
    design: Design, names: Sequence[str], *, at: Mapping[str, float]
) -> tuple[list[tuple[str, ...]], Array, str]:
    """Contrasts that give marginal means, each cell of the grid weighing the same.

    Parameters
    ----------
    design : Design
        Fixed part.
    names : sequence of str
        Factors or coded variables whose combinations are wanted.
    at : mapping
        Values at which numeric variables are held instead of their mean.

    Returns
    -------
    levels : list of tuple of str
        Levels of `names`, one tuple per mean.
    rows : (n_means, n_columns) array
        Contrasts.
    grid : str
        What was averaged over and what was held where.

    Raises
    ------
    ModelError
        If a variable is not in the model, or not of the kind that is needed.
    """
    choices = {
        name: dict(zip(levels, levels, strict=True)) for name, levels in design.levels.items()
    }
    coded = {name: levels for name, levels in design.coding.items() if name not in at}
    discrete: dict[str, Mapping[str, str | float]] = {**choices, **coded}
    _check(design, names, discrete, at)
    held = {
        name: float(at.get(name, mean))
        for name, mean in design.numeric.items()
        if name not in discrete
    }
    others = [name for name in discrete if name not in names]
    cells = list(product(*(discrete[name] for name in (*names, *others))))
    grid = pd.DataFrame(cells, columns=[*names, *others])
    for name in discrete:
        grid[name] = [discrete[name][level] for level in grid[name]]
    for name, value in held.items():
        grid[name] = value
    if grid.empty:
        grid = pd.DataFrame({"_rows": [0.0]})
    rows = design.rows_at(grid)
    wanted = list(product(*(discrete[name] for name in names)))
    averaged = rows.reshape(len(wanted), -1, rows.shape[1]).mean(axis=1)
    return wanted, averaged, _describe(discrete, others, held, at)


def term_hypotheses(design: Design, kind: str) -> dict[str, Array]:
    """Rows of the hypothesis that a term has no effect, for every term but the intercept.

    Parameters
    ----------
    design : Design
        Fixed part.
    kind : str
        ``"I"``, ``"II"`` or ``"III"``.

    Returns
    -------
    dict
        (n_rows, n_columns) array of each term.

    Raises
    ------
    ModelError
        If there is no such type, or type III is asked where columns cannot be estimated.
    """
    makers = {"I": _sequential, "II": _marginal, "III": _averaged}
    if kind not in makers:
        raise ModelError(f"f_tests: type is {kind!r}; allowed are 'I', 'II', 'III'")
    return makers[kind](design)


def _check(
    design: Design,
    names: Sequence[str],
    discrete: Mapping[str, object],
    at: Mapping[str, float],
) -> None:
    problems = [
        f"marginal_means: {name!r} is "
        + (
            "numeric; code it, or hold it with at="
            if name in design.numeric
            else "not in the model"
        )
        + f"; factors and coded variables are {', '.join(discrete) or 'none'}"
        for name in names
        if name not in discrete
    ]
    problems += [
        f"marginal_means: at: {name!r} is no numeric variable of the model; those are "
        + (", ".join(design.numeric) or "none")
        for name in at
        if name not in design.numeric
    ]
    if problems:
        raise ModelError(problems)


def _describe(
    discrete: Mapping[str, Mapping[str, str | float]],
    others: Sequence[str],
    held: Mapping[str, float],
    at: Mapping[str, float],
) -> str:
    said = [f"averaged over {name} ({', '.join(discrete[name])}), equal weights" for name in others]
    said += [
        f"{name} = {value:.6g}" + ("" if name in at else " (mean)") for name, value in held.items()
    ]
    return "; ".join(said)


def _positions(design: Design, term: str) -> list[int]:
    return [design.columns.index(name) for name in design.terms[term]]


def _tested(design: Design) -> list[str]:
    return [term for term in design.terms if term != "Intercept"]


def _triangular_rows(design: Design, order: Sequence[int], wanted: Sequence[int]) -> Array:
    """Rows of X's triangular factor, of unit diagonal: columns adjusted for those before them.

    Satterthwaite's degrees of freedom of several rows depend slightly on the rows that span the
    hypothesis; these are the ones that R's lmerTest takes.
    """
    kept = [j for j in order if design.estimable[j]]
    triangle = np.asarray(np.linalg.qr(design.matrix[:, kept], mode="r"), dtype=np.float64)
    rows = np.zeros((len(wanted), len(design.columns)))
    for i, j in enumerate(wanted):
        if j in kept:
            place = kept.index(j)
            rows[i, kept] = triangle[place] / triangle[place, place]
        else:
            rows[i, j] = 1.0  # so that it is counted as missing
    return rows


def _sequential(design: Design) -> dict[str, Array]:
    """Type I: each term adjusted for those before it."""
    order = range(len(design.columns))
    return {
        term: _triangular_rows(design, order, _positions(design, term)) for term in _tested(design)
    }


def _marginal(design: Design) -> dict[str, Array]:
    """Type II as SAS defines it: adjusted for all terms that do not contain the one tested."""
    found = {}
    for term in _tested(design):
        containing = [other for other in design.terms if _contains(design, other, term)]
        own = _positions(design, term)
        above = [j for other in containing for j in _positions(design, other)]
        if not above:
            found[term] = np.eye(len(design.columns))[own]
            continue
        before = [j for j in range(len(design.columns)) if j not in {*own, *above}]
        found[term] = _triangular_rows(design, [*before, *own, *above], own)
    return found


def _contains(design: Design, outer: str, inner: str) -> bool:
    """Whether a term holds all factors of another, and the same numeric variables."""
    if outer in {inner, "Intercept"}:
        return False
    outside, inside = set(outer.split(":")), set(inner.split(":"))
    return inside < outside and (outside - inside) <= set(design.levels)


def _averaged(design: Design) -> dict[str, Array]:
    """Type III: the term's coefficients under sum-to-zero coding, in terms of the design's own."""
    from formulaic import Formula

    if not design.estimable.all():
        lost = [c for c, ok in zip(design.columns, design.estimable, strict=True) if not ok]
        raise ModelError(
            f"f_tests: type III is not defined, because {', '.join(lost)} cannot be estimated; "
            "ask for type 'II', or take the empty cells out of the model"
        )
    terms = []
    for term in Formula(design.formula):
        parts = [str(factor.expr) for factor in term.factors]
        terms.append(
            ":".join(
                f"C(`{part}`, contr.sum)"
                if part in design.levels
                else (f"`{part}`" if part in design.numeric else part)
                for part in parts
            )
        )
    text = " + ".join(["1" if "1" in terms else "0", *[term for term in terms if term != "1"]])
    expanded = Formula(text).get_model_matrix(design.frame, context={}, na_action="ignore")
    summed = np.asarray(expanded, dtype=np.float64)
    change, *_ = np.linalg.lstsq(summed, design.matrix, rcond=None)
    if np.abs(summed @ change - design.matrix).max() > _SAME_SPACE * np.abs(design.matrix).max():
        raise ModelError("f_tests: type III is not defined for this formula; ask for type 'II'")
    found = {}
    for written, indices in zip(terms, expanded.model_spec.term_indices.values(), strict=True):
        if written == "1":
            continue
        name = list(design.terms)[terms.index(written)]
        rows = change[np.array(indices)]
        found[name] = np.linalg.solve(rows[:, _positions(design, name)], rows)
    return found
