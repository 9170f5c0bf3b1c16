"""Formulas as formulaic reads them: variables, and the matrix over the rows of a table."""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.formula_guard import check_factors, check_size


def find_variables(fixed: str) -> list[str]:
    """Variables of a fixed part, in alphabetical order (formulaic returns a set)."""
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    check_size(fixed)
    try:
        formula = Formula(fixed)
        names = {str(name) for name in formula.required_variables}
        factors = {str(factor) for term in formula for factor in term.factors}
    except (FormulaicError, SyntaxError, AttributeError) as error:
        raise ModelError(f"formula {fixed!r}: cannot be read: {error}") from error
    evaluated = {
        str(factor.expr)
        for term in formula
        for factor in term.factors
        if factor.eval_method.value == "python"
    }
    check_factors(fixed, sorted(evaluated))
    return sorted(names.union(*(_transformed(factor) for factor in factors)))


def _transformed(factor: str) -> set[str]:
    """Variables of transformations such as ``poly(t, 2)``, which formulaic forgets to list."""
    from formulaic.transforms import TRANSFORMS

    try:
        calls = [one for one in ast.walk(ast.parse(factor)) if isinstance(one, ast.Call)]
    except SyntaxError:  # names in backticks; formulaic lists those itself
        return set()
    inside = [
        name.id
        for call in calls
        if isinstance(call.func, ast.Name)
        and getattr(TRANSFORMS.get(call.func.id), "__is_stateful_transform__", False)
        for part in (*call.args, *call.keywords)
        for name in ast.walk(part)
        if isinstance(name, ast.Name)
    ]
    return set(inside) - set(TRANSFORMS)


def expand(
    fixed: str, frame: pd.DataFrame
) -> tuple[NDArray[np.float64], tuple[str, ...], dict[str, tuple[str, ...]], Any]:
    """Give the matrix of a fixed part, its columns, their terms and what formulaic learnt."""
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        with np.errstate(all="ignore"):  # log(0) and the like are reported below, by row
            expanded = Formula(fixed).get_model_matrix(
                frame if frame.shape[1] else pd.DataFrame(index=frame.index).assign(_rows=0.0),
                context={},
                na_action="ignore",
            )
    except (FormulaicError, SyntaxError, TypeError, ValueError, NameError) as error:
        raise ModelError(f"formula {fixed!r}: cannot be evaluated: {error}") from error
    matrix = np.asarray(expanded, dtype=np.float64)
    columns = tuple(re.sub(r"\[T\.", "[", str(name)) for name in expanded.columns)
    bad = ~np.isfinite(matrix)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ModelError(
            f"formula {fixed!r}: column {columns[column]!r} is {matrix[row, column]} in complete "
            f"row {row + 1}; transform only values for which the function is defined"
        )
    spec = expanded.model_spec
    if not columns:
        raise ModelError(f"formula {fixed!r}: no column is left; keep the intercept or a term")
    terms = {
        "Intercept" if str(term) == "1" else str(term): tuple(columns[j] for j in indices)
        for term, indices in spec.term_indices.items()
    }
    return matrix, columns, terms, spec
