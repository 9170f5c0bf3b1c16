"""What a formula may say: formulaic evaluates its factors as Python, and a study file is only text.

Without this check a formula could load a file, import a module, or ask for 10^9 columns.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from connectrial.errors import ModelError, did_you_mean

FUNCTIONS = frozenset(
    {"log", "log2", "log10", "exp", "exp2", "exp10", "I", "Q", "C", "center", "scale"}
    | {"standardize", "lag", "poly", "bs", "cs", "cr", "cc"}
    | {"Treatment", "Sum", "Helmert", "Diff", "Poly"}
)
"""What formulas may call by its name."""

NUMPY_FUNCTIONS = frozenset(
    {"log", "log1p", "log2", "log10", "exp", "expm1", "sqrt", "cbrt", "square", "abs", "absolute"}
    | {"sign", "sin", "cos", "tan", "tanh", "arctanh", "minimum", "maximum", "clip", "floor"}
    | {"ceil", "round"}
)
"""What formulas may call as ``np.NAME``."""

_CONTRASTS = frozenset({"treatment", "sum", "helmert", "diff", "poly", "sas"})
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.Mod)
_LONGEST, _DEEPEST, _MOST_CROSSED, _HIGHEST_POWER, _LARGEST_COUNT = 2000, 30, 8, 6, 100
_QUOTED = re.compile(r"`[^`]*`")


def check_size(formula: str) -> None:
    """Refuse a formula whose expansion alone would take for ever.

    Parameters
    ----------
    formula : str
        Fixed part, or the effects of a random term.

    Raises
    ------
    ModelError
        It is too long, too deeply nested, or crosses so many variables that the columns cannot be
        counted.
    """
    shown = formula if len(formula) <= 80 else formula[:77] + "..."
    if len(formula) > _LONGEST:
        raise ModelError(f"formula {shown!r}: has {len(formula)} characters; at most {_LONGEST}")
    plain = _QUOTED.sub("q", formula)
    depth, deepest, crossed, most = 0, 0, 0, 0
    for sign in plain.replace("**", "^"):
        depth += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, depth)
        crossed = 0 if sign == "+" and depth == 0 else crossed + (sign in "*/")
        most = max(most, crossed)
    powers = [int(power[:9]) for power in re.findall(r"\)\s*(?:\*\*|\^)\s*(\d+)", plain)]
    if deepest > _DEEPEST or most > _MOST_CROSSED or max(powers, default=0) > _HIGHEST_POWER:
        raise ModelError(
            f"formula {shown!r}: is nested {deepest} deep, crosses {most + 1} variables and has a power "
            f"of {max(powers, default=1)}; allowed are {_DEEPEST}, {_MOST_CROSSED + 1} and "
            f"{_HIGHEST_POWER}"
        )


def check_factors(formula: str, factors: Iterable[str]) -> None:
    """Refuse factors that are no arithmetic of columns.

    Parameters
    ----------
    formula : str
        For messages.
    factors : iterable of str
        Factors that would be evaluated, as formulaic found them.

    Raises
    ------
    ModelError
        A factor calls, or reaches into, what no model needs.
    """
    for factor in factors:
        try:
            tree = ast.parse(_QUOTED.sub("q", factor), mode="eval")
            reason = _reason_against(tree.body) or _against_counts(tree.body)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = f"cannot be read ({error})"
        if reason is not None:
            raise ModelError(f"formula {formula!r}: {factor!r} {reason}")


def _reason_against(node: ast.expr) -> str | None:
    parts: list[ast.expr]
    match node:
        case ast.Name():
            return "names what begins with two underscores" if node.id.startswith("__") else None
        case ast.Constant():
            return _against_constant(node.value)
        case ast.Call():
            parts = [*node.args, *(keyword.value for keyword in node.keywords)]
            if (reason := _against_function(node.func)) is not None:
                return reason
        case ast.BinOp(op=op) if isinstance(op, _OPERATORS):
            parts = [node.left, node.right]
            if (reason := _against_arithmetic(node)) is not None:
                return reason
        case ast.UnaryOp():
            parts = [node.operand]
        case ast.Compare():
            parts = [node.left, *node.comparators]
        case ast.List() | ast.Tuple():
            parts = node.elts
        case _:
            return (
                f"holds {type(node).__name__.lower()}; a factor is a column, arithmetic of columns, or "
                f"one of {', '.join(sorted(FUNCTIONS))}"
            )
    return next((reason for part in parts if (reason := _reason_against(part)) is not None), None)


def _against_constant(value: object) -> str | None:
    if isinstance(value, bool | str | float) or value is None:
        return None
    if isinstance(value, int) and abs(value) <= 10**15:
        return None
    return f"holds {str(value)[:20]}, which is no number that a model needs"


def _against_function(function: ast.expr) -> str | None:
    match function:
        case ast.Name(id=name):
            if name in FUNCTIONS:
                return None
            return f"calls {name!r}, which formulas may not{did_you_mean(name, sorted(FUNCTIONS))}"
        case ast.Attribute(value=ast.Name(id="np"), attr=name):
            if name in NUMPY_FUNCTIONS:
                return None
            return (
                f"calls 'np.{name}', which formulas may not"
                f"{did_you_mean(name, sorted(NUMPY_FUNCTIONS))}"
            )
        case ast.Attribute(value=ast.Name(id="contr"), attr=name) if name in _CONTRASTS:
            return None
        case _:
            return "calls what formulas may not call"


def _against_arithmetic(node: ast.BinOp) -> str | None:
    sides = (node.left, node.right)
    if any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in sides):
        return "computes with text"
    if isinstance(node.op, ast.Pow):
        has_column = any(isinstance(part, ast.Name) for part in ast.walk(node.left))
        power = node.right.operand if isinstance(node.right, ast.UnaryOp) else node.right
        small = isinstance(power, ast.Constant) and isinstance(power.value, int | float)
        if not has_column or not small or abs(power.value) > _LARGEST_COUNT:  # type: ignore[attr-defined]  # it is a number: looked at above
            return f"raises to a power; only columns may be, to a number up to {_LARGEST_COUNT}"
    return None


def _against_counts(tree: ast.expr) -> str | None:
    """Find degrees, and degrees of freedom of splines, that ask for columns without end."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        if call.func.id not in ("poly", "bs", "cs", "cr", "cc"):
            continue
        for part in (*call.args[1:], *(keyword.value for keyword in call.keywords)):
            value = part.value if isinstance(part, ast.Constant) else 0
            if isinstance(value, int) and value > _LARGEST_COUNT:
                return f"asks for {value} columns; at most {_LARGEST_COUNT} make sense"
    return None
