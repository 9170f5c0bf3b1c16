"""Pieces of a section, and the blocks that every analysis gets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from connectrial.figures.numbers import df_name
from connectrial.report.cells import (
    Table,
    adjustment_words,
    estimates_table,
    plain_table,
    result_sentence,
)
from connectrial.report.citing import cited
from connectrial.report.live import Live
from connectrial.report.panel import Panel
from connectrial.report.source import same_estimate, tested_rows
from connectrial.results import Result, Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """An item of a reporting checklist: where it stands (`section` is its id), or that it does not."""

    number: str
    text: str
    status: str
    section: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Block:
    """A piece of a section; `kind` says how the page shows it.

    ``figure`` (panel), ``grid`` (panels side by side), ``table``, ``text``, ``notes`` (list),
    ``copy`` (text with a copy button), ``code``, ``heading``, ``download``, ``details`` (blocks
    under a summary; `opened` on the screen, `printed` on paper), ``live`` (an interactive form),
    ``links`` (a line, and a link to the page `name` called `title`).
    """

    kind: str
    title: str = ""
    text: tuple[str, ...] = ()
    panels: tuple[Panel, ...] = ()
    table: Table | None = None
    data: pd.DataFrame | None = None
    name: str = ""
    blocks: tuple[Block, ...] = ()
    opened: bool = False
    printed: bool = False
    live: Live | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Section:
    """A section: its id, title, one line on what it is, and its blocks."""

    key: str
    title: str
    intro: str = ""
    label: str = ""
    blocks: tuple[Block, ...] = ()


def figure_block(panel: Panel | None) -> tuple[Block, ...]:
    """Return a figure's block; nothing where there is no figure."""
    return () if panel is None else (Block(kind="figure", panels=(in_words(panel),)),)


def in_words(panel: Panel) -> Panel:
    """Return a figure whose methods read as in the methods paragraph."""
    return replace(panel, methods=cited(adjustment_words(panel.methods)))


def heading_block(result: Result) -> tuple[Block, ...]:
    """Return the heading of an analysis."""
    return (Block(kind="heading", title=result.title, name=result.role),)


def live_block(live: Live | None) -> tuple[Block, ...]:
    """Return an interactive form's block; nothing where there is none."""
    return () if live is None else (Block(kind="live", live=live),)


def table_block(shown: Table | None, *, data: pd.DataFrame | None = None, name: str = "") -> Block:
    """Return a table, with the data that its link gives."""
    return Block(kind="table", table=shown, data=data, name=name)


def analysis_blocks(results: Results, result: Result, *, panel: Panel | None = None) -> list[Block]:
    """Put figure and tests below the heading; other rows, model and notes one click away."""
    blocks = [*heading_block(result), *figure_block(panel)]
    every = result.estimates.reset_index(drop=True)
    tests = tested_rows(results, result)
    shown = pd.concat(same_estimate(tests)) if len(tests) else every
    blocks.append(
        table_block(
            estimates_table(shown, caption="Tests" if len(tests) else "Estimates"),
            data=result.estimates,
            name=result.name,
        )
    )
    declared = tests[tests["declared"]].to_dict("records") if len(tests) else []
    inner: list[Block] = []
    if declared:
        sentences = tuple(result_sentence(row, title=result.title) for row in declared)
        inner.append(Block(kind="copy", title="As sentences", text=sentences))
    rest = every.drop(index=shown.index)
    if len(rest):
        inner.append(table_block(estimates_table(rest, caption="Other rows of this analysis")))
    inner += model_blocks(result)
    blocks += _estimand(result)
    notes = (*coding_note(result), *notes_of(result))
    if notes:
        blocks.append(Block(kind="notes", text=notes))
    if inner:
        blocks.append(
            Block(kind="details", title="Sentences, other rows and the model", blocks=tuple(inner))
        )
    return blocks


def _estimand(result: Result) -> list[Block]:
    """Print what is estimated beside the estimate."""
    known = dict(result.estimand)
    if not known:
        return []
    events = known.pop("intercurrent_events", {}) or {}
    name = known.pop("name", "")
    words = [f"{key}: {value}" for key, value in known.items() if value]
    words += [f"{event}: {strategy} strategy" for event, strategy in events.items()]
    return [Block(kind="notes", title=f"Estimand {name}", text=tuple(words))]


def notes_of(result: Result) -> tuple[str, ...]:
    """Return an analysis' notes in words for people."""
    return tuple(adjustment_words(note) for note in result.notes)


def coding_note(result: Result) -> tuple[str, ...]:
    """Say which level is which number: without it the sign of an estimate means nothing."""
    coding = result.design.get("coding") or {}
    pairs = [
        f"{name}: " + ", ".join(f"{level} = {number:g}" for level, number in levels.items())
        for name, levels in coding.items()
    ]
    return (f"Coded as numbers: {'; '.join(pairs)}.",) if pairs else ()


def model_blocks(result: Result) -> list[Block]:
    """Show how the design was built: formula, columns, coding, rank."""
    words = {
        "formula": "formula",
        "columns": "columns",
        "reference_levels": "reference levels",
        "coding": "coding",
        "rank": "rank",
        "aliased": "cannot be estimated",
        "covariance": "covariance",
    }
    rows = []
    for key, value in result.design.items():
        if key in ("summary", "n_observations", "n_subjects") or value in (None, "", [], {}, ()):
            continue
        rows.append(
            {
                "what": words.get(key, str(key).replace("_", " ")),
                "value": df_name(value) if key == "df_method" else _flat(value),
            }
        )
    blocks = [table_block(plain_table(pd.DataFrame(rows), caption="The model"))] if rows else []
    if result.design.get("summary"):
        blocks.append(Block(kind="code", title="The fit", text=(str(result.design["summary"]),)))
    return blocks


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_flat(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_flat(inner) for inner in value)
    return str(value)
