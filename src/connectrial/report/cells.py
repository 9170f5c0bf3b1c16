"""Tables as a page shows them: text, what it sorts by, and a class; all text is escaped later."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from connectrial.figures.measures import measure_words
from connectrial.figures.numbers import (
    as_float,
    df_name,
    format_count,
    format_df,
    format_interval,
    format_number,
    format_p,
    nnt_words,
    term_words,
)
from connectrial.report.explained import share_explained, share_words

ADJUSTMENTS = {
    "bonferroni": "Bonferroni",
    "holm": "Holm",
    "hochberg": "Hochberg",
    "fdr_bh": "Benjamini-Hochberg FDR",
    "fdr_by": "Benjamini-Yekutieli FDR",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: text, smaller lines, the value it sorts by, CSS classes, a badge, links.

    Links are pairs of words and an address relative to the page.
    """

    text: str = ""
    sub: tuple[str, ...] = ()
    sort: float | str | None = None
    css: str = ""
    badge: str = ""
    links: tuple[tuple[str, str], ...] = ()
    glyph: tuple[float, float, float] | None = None  # low, middle, high in percent of the width


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of a page.

    Attributes
    ----------
    heads : tuple of (str, str)
        Head and class of each column.
    rows : tuple of (str, tuple of Cell)
        Class and cells of each row.
    caption : str
        What it is.
    sortable, filterable : bool
        Whether a reader may sort and filter it.
    cards : bool
        Whether rows become cards on a narrow screen.
    choices : tuple of str
        Roles that a filter offers.
    css : str
        Class of a table that is neither sortable nor cards.
    """

    heads: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    caption: str
    sortable: bool = False
    filterable: bool = False
    cards: bool = False
    choices: tuple[str, ...] = field(default=())
    css: str = ""


def adjustment_words(text: object) -> str:
    """Write an adjustment's name out: ``bonferroni (8 tests)`` -> ``Bonferroni (8 tests)``."""
    words = str(text or "")
    for key, name in ADJUSTMENTS.items():
        words = re.sub(rf"\b{key}\b", name, words)
    return re.sub(r"\b1 tests\b", "1 test", words)


def df_words(row: Mapping[Hashable, Any]) -> str:
    """Print degrees of freedom; only an F has those of its numerator."""
    of_f = row.get("statistic_name") == "F"
    return format_df(row["df"], numerator=row["df_numerator"] if of_f else None)


def statistic_words(row: Mapping[Hashable, Any]) -> str:
    """Print a test statistic with its degrees of freedom: ``t(37.0) = −2.17``."""
    name = str(row.get("statistic_name") or "statistic")
    name = _STATISTICS.get(name, name)
    df = df_words(row)
    inside = "" if df == "–" else f"({df})"
    return f"{name}{inside} = {format_number(row['statistic'])}"


def estimate_words(row: Mapping[Hashable, Any]) -> str:
    """Print an estimate: counts as whole numbers, numbers needed to treat as benefit or harm."""
    estimate = as_float(row["estimate"])
    if row["kind"] == "number needed to treat":
        return nnt_words(estimate, row["ci_low"], row["ci_high"])[0]
    if str(row["unit"]) in _COUNTED and estimate.is_integer():
        return format_count(estimate)
    return format_number(estimate)


NO_BREAK = "\u00a0"
_COUNTED = ("people", "sessions", "scans")
#: Names of statistics that would push a table's other columns out of sight.
_STATISTICS = {"chi-square": "χ²", "penalised likelihood-ratio chi-square": "penalised LR χ²"}


def interval_words(row: Mapping[Hashable, Any]) -> str:
    """Print an interval with its level: ``95% CI [−0.12, −0.01]``."""
    interval = format_interval(row["ci_low"], row["ci_high"])
    level = as_float(row["ci_level"])
    return "" if not interval else f"{100 * level:g}% CI {interval}" if level == level else interval


def result_sentence(row: Mapping[Hashable, Any], *, title: str) -> str:
    """Write one test as a sentence for a results section."""
    parts = []
    share, of, whence = share_words(row)
    if share:
        parts.append(f"{of} = {share}{f' ({whence})' if whence else ''}")
    elif as_float(row["estimate"]) == as_float(row["estimate"]):
        unit = f" {row['unit']}" if row["unit"] else ""
        parts.append(f"{format_number(row['estimate'])}{unit}")
    parts += [interval_words(row), statistic_words(row), f"p {_equals(row['p'])}"]
    if df_name(row["df_method"]):
        parts.append(f"{df_name(row['df_method'])} degrees of freedom")
    if as_float(row["p_adjusted"]) == as_float(row["p_adjusted"]):
        how = adjustment_words(row["adjustment"]) or "adjusted"
        parts.append(f"adjusted p {_equals(row['p_adjusted'])} ({how}, family {row['family']})")
    people, rows = format_count(row["n_subjects"]), format_count(row["n_observations"])
    parts.append(f"{people} people, {rows} observations")
    return (
        f"{title}, {term_words(row['term'], row['kind'])}: "
        + ", ".join(part for part in parts if part)
        + "."
    )


def _equals(p: object) -> str:
    text = format_p(p, sign=True)
    return text if text[0] in "<>=" else f"= {text}"


def estimates_table(
    rows: pd.DataFrame, *, caption: str, full: Sequence[str] | None = None
) -> Table:
    """Lay rows of the schema out for reading.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of the schema.
    caption : str
        What the table is.
    full : sequence of str, optional
        Given, the table names analysis, role and kind too and can be sorted and filtered; the
        items are the roles that its menu offers.
    """
    wide = full is not None
    heads = [("term", "")] if not wide else [("analysis", ""), ("role", ""), ("term", "")]
    heads += [
        ("estimate", "num"),
        ("interval", "num"),
        ("SE", "num"),
        ("statistic", "num"),
        ("df", "num"),
        *([] if wide else [("df method", "")]),
        ("p", "num"),
        ("adjusted p", "num"),
        ("people", "num"),
        ("obs.", "num"),
    ]
    several = not wide and rows["outcome"].nunique() > 1
    in_sets, body = rows["analysis_set"].nunique() > 1, []
    for row in rows.to_dict("records"):
        cells = [_term(row, several=several, in_sets=in_sets)]
        if wide:
            outcome = _different(measure_words(str(row["outcome"])), row["analysis"])
            first = Cell(text=str(row["analysis"]), sub=outcome)
            cells = [first, Cell(text=str(row["role"])), *cells]
        cells += _number_cells(row, apart=not wide)
        body.append(("declared" if row["declared"] else "alternative", tuple(cells)))
    empty = ("", "–")
    kept = [
        i for i in range(len(heads)) if wide or any(cells[i].text not in empty for _, cells in body)
    ]
    return Table(
        heads=tuple(heads[i] for i in kept),
        rows=tuple((css, tuple(cells[i] for i in kept)) for css, cells in body),
        caption=caption,
        sortable=wide,
        filterable=wide and len(body) > 12,
        choices=tuple(full or ()),
    )


def _different(text: object, other: object) -> tuple[str, ...]:
    return (str(text),) if text and str(text) != str(other) else ()


def _number_cells(row: Mapping[Hashable, Any], *, apart: bool) -> list[Cell]:
    """Lay out the numbers of a row; the df method in a column of its own, or below the df."""
    statistic = as_float(row["statistic"])
    name = _STATISTICS.get(str(row["statistic_name"]), str(row["statistic_name"] or ""))
    adjusted = as_float(row["p_adjusted"])
    how, level = adjustment_words(row["adjustment"]), as_float(row["ci_level"])
    share, of, whence = share_words(row)
    unit = of or (str(row["unit"] or "") if row["kind"] != "F test" else "")
    return [
        Cell(
            text=share or estimate_words(row),
            sub=tuple(filter(None, (unit, whence))),
            sort=share_explained(row) if share else as_float(row["estimate"]),
            css="num",
        ),
        Cell(
            text=_interval(row),
            sub=(f"{100 * level:g}%",) if level == level and level != 0.95 else (),
            sort=as_float(row["ci_low"]),
            css="num",
        ),
        _number(row["se"]),
        Cell(
            # A long name may stand above its number, or the table grows wider than a screen.
            text=f"{name}{' ' if len(name) > 2 else NO_BREAK}={NO_BREAK}{format_number(statistic)}"
            if statistic == statistic
            else "–",
            sort=statistic,
            css="num",
        ),
        Cell(
            text=df_words(row),
            sub=() if apart else (*filter(None, [df_name(row["df_method"])]), *_standing(row)),
            sort=as_float(row["df"]),
            css="num",
        ),
        *([Cell(text=df_name(row["df_method"]), sub=_standing(row))] if apart else []),
        Cell(text=format_p(row["p"]), sort=as_float(row["p"]), css="num"),
        Cell(
            text=format_p(adjusted),
            sub=(how, f"family {row['family']}") if adjusted == adjusted else (),
            sort=adjusted,
            css="num whole",
        ),
        Cell(text=format_count(row["n_subjects"]), sort=as_float(row["n_subjects"]), css="num"),
        Cell(
            text=format_count(row["n_observations"]),
            sort=as_float(row["n_observations"]),
            css="num",
        ),
    ]


def _interval(row: Mapping[Hashable, Any]) -> str:
    """Print an interval; the ends of a ratio, which may lie powers of ten apart, each by itself."""
    low, high = row["ci_low"], row["ci_high"]
    if row["kind"] == "number needed to treat":
        return nnt_words(row["estimate"], low, high)[1]
    apart = str(row["unit"]).endswith("ratio") and as_float(low) == as_float(low)
    return f"[{format_number(low)}, {format_number(high)}]" if apart else format_interval(low, high)


def _term(row: Mapping[Hashable, Any], *, several: bool, in_sets: bool) -> Cell:
    words = term_words(row["term"], row["kind"])
    # Who is left out is said once, in the notes below the table.
    flags = [f for f in str(row["flags"]).split("; ") if f and "left out" not in f]
    return Cell(
        text=f"{row['outcome']}: {words}" if several else words,
        sub=(
            str(row["kind"]),
            *((str(row["analysis_set"]),) if in_sets and row["analysis_set"] else ()),
            *flags,
        ),
    )


def _standing(row: Mapping[Hashable, Any]) -> tuple[str, ...]:
    if row["role"] == "sensitivity":
        return ("sensitivity",)
    if not df_name(row["df_method"]):
        return ()
    return ("declared",) if row["declared"] else ("beside it",)


def plain_table(
    rows: pd.DataFrame,
    *,
    caption: str,
    heads: Mapping[str, str] | None = None,
    sortable: bool = False,
) -> Table:
    """Lay any table out: numbers to three digits on the right, truth values as yes and no.

    Parameters
    ----------
    rows : pandas.DataFrame
        Table.
    caption : str
        What it is.
    heads : mapping of str to str, optional
        Column -> head; only these columns, in this order. Default all.
    sortable : bool
        Whether a reader may sort it.
    """
    named = dict(heads) if heads is not None else {str(c): str(c) for c in rows.columns}
    columns = {column: head for column, head in named.items() if column in rows.columns}
    numeric = {
        column: pd.api.types.is_numeric_dtype(rows[column])
        and not pd.api.types.is_bool_dtype(rows[column])
        for column in columns
    }
    # A mean of 3 stands among means of 3.12 as 3.00.
    whole = {
        column: all(map(_is_whole, rows[column].dropna())) for column in columns if numeric[column]
    }
    body = tuple(
        (
            "",
            tuple(
                _any_cell(row[column], numeric=numeric[column], whole=whole.get(column, False))
                for column in columns
            ),
        )
        for row in rows[list(columns)].to_dict("records")
    )
    return Table(
        heads=tuple((head, "num" if numeric[column] else "") for column, head in columns.items()),
        rows=body,
        caption=caption,
        sortable=sortable,
    )


def edges_table(edges: pd.DataFrame, *, caption: str) -> Table:
    """Lay edges out, each parcel with its network."""
    words = ["estimate", "SE", "t", "df", "p", "adjusted p", "people"]
    heads = [("edge from", ""), ("to", ""), *((word, "num") for word in words)]
    rows = []
    for edge in edges.to_dict("records"):
        cells = [
            Cell(text=str(edge[f"parcel_{side}"]), sub=_network(edge.get(f"network_{side}")))
            for side in "ab"
        ]
        cells += [_number(edge[name]) for name in ("estimate", "se", "statistic")]
        cells.append(Cell(text=format_df(edge["df"]), sort=as_float(edge["df"]), css="num"))
        cells += [
            Cell(text=format_p(edge[name]), sort=as_float(edge[name]), css="num")
            for name in ("p", "p_adjusted")
        ]
        n = edge.get("n_subjects")
        cells.append(Cell(text=format_count(n), sort=as_float(n), css="num"))
        rows.append(("", tuple(cells)))
    return Table(heads=tuple(heads), rows=tuple(rows), caption=caption, sortable=True)


def _network(name: object) -> tuple[str, ...]:
    return (str(name),) if isinstance(name, str) and name else ()


def _is_whole(value: object) -> bool:
    number = as_float(value)
    return number.is_integer() and abs(number) < 1e7


def _number(value: object) -> Cell:
    return Cell(text=format_number(value), sort=as_float(value), css="num")


def _any_cell(value: Any, *, numeric: bool, whole: bool) -> Cell:  # noqa: ANN401 - a cell of any table
    if value is None or (not isinstance(value, (list, tuple)) and pd.isna(value)):
        return Cell(text="–", css="num" if numeric else "")
    if isinstance(value, bool) or str(value) in ("True", "False"):
        return Cell(text="yes" if str(value) == "True" else "no")
    if numeric:
        return Cell(
            text=format_count(value) if whole else format_number(value),
            sort=as_float(value),
            css="num",
        )
    return Cell(text=str(value))
