"""Reporting checklists, filled in with where each item stands on the page."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from connectrial.report.blocks import Block, Check, Section, table_block
from connectrial.report.cells import Cell, Table
from connectrial.results import Results

NOT_STATED = "not stated"


@cache
def checklists() -> tuple[dict[str, Any], ...]:
    """Return the checklists that come with the package, as plain data."""
    text = (files("connectrial") / "templates" / "checklists.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["checklist"])


def checklists_section(results: Results, sections: Sequence[Section]) -> Section | None:
    """Say where each item of each checklist that fits the design stands.

    Parameters
    ----------
    results : Results
        What was found.
    sections : sequence of Section
        Those of the page; an item can stand only in a section that is there.

    Returns
    -------
    Section or None
        None where nobody knows the study (results without a study file).
    """
    if not results.study:
        return None
    kind = str((results.study.get("design") or {}).get("kind") or "")
    titles = {section.key: section.title for section in sections}
    blocks = []
    for one in checklists():
        if one.get("designs") and kind not in one["designs"]:
            continue
        if not all(_has(results, what) for what in one.get("needs", ())):
            continue
        checks = tuple(_check(item, results, titles, kind=kind) for item in one["item"])
        answered = sum(bool(check.section) for check in checks)
        asked = sum(check.status != _no_matter(kind) for check in checks)
        blocks.append(
            Block(
                kind="details",
                title=f"{one['name']}{_meant(one, kind)}: {answered} of {asked} items stand on this page",
                blocks=(
                    Block(kind="text", text=(f"Items in our own words, after {one['source']}.",)),
                    table_block(_table(str(one["name"]), checks)),
                ),
                printed=True,
            )
        )
    return Section(
        key="checklists",
        title="Reporting checklists",
        intro="Where each item of a guideline stands, as far as the study file and the data say. "
        "“Not stated” means that the authors have to say it; the guideline itself has the full wording.",
        blocks=tuple(blocks),
    )


def _meant(one: Mapping[str, Any], kind: str) -> str:
    """Say which designs a guideline was written for, where this is none of them."""
    meant = one.get("written_for")
    return (
        f" (written for {meant['words']} trials)" if meant and kind not in meant["designs"] else ""
    )


def _table(name: str, checks: Sequence[Check]) -> Table:
    rows = []
    for check in checks:
        words, link = (
            ("", ((check.status, f"#{check.section}"),)) if check.section else (check.status, ())
        )
        where = Cell(text=words, links=link, sub=(check.note,) if check.note else ())
        rows.append(("", (Cell(text=check.number), Cell(text=check.text), where)))
    return Table(
        heads=(("item", ""), ("what it asks", ""), ("where", "")),
        rows=tuple(rows),
        caption=name,
        css="checks",
    )


def _check(
    item: Mapping[str, Any], results: Results, titles: Mapping[str, str], *, kind: str
) -> Check:
    number, text = str(item["number"]), str(item["text"])
    if item.get("only") and kind and kind not in item["only"]:
        return Check(number=number, text=text, status=_no_matter(kind))
    for place in item.get("where", ()):
        if place["section"] in titles and all(_has(results, what) for what in place["has"]):
            return Check(
                number=number,
                text=text,
                status=titles[place["section"]],
                section=str(place["section"]),
                note=str(item.get("note", "")),
            )
    by_hand = item.get("by_hand")
    return Check(
        number=number,
        text=text,
        status=NOT_STATED,
        note=f"for the authors: {by_hand}" if by_hand else "nothing in the study file or the data",
    )


def _no_matter(kind: str) -> str:
    return f"does not apply ({kind})"


def _has(results: Results, what: str) -> bool:
    """Tell whether the results hold what an item needs; an unknown word is our own mistake."""
    kind, _, name = what.partition(" ")
    if kind in ("study", "plan"):
        value: Any = results.study if kind == "study" else results.plan
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value not in (None, "", [], {}, ())
    if kind == "table":
        return len(results.tables.get(name, ())) > 0
    if kind == "column":
        table, _, column = name.partition(".")
        known = results.tables.get(table)
        return known is not None and column in known and bool(known[column].notna().any())
    if kind == "role":
        return bool((results.estimates["role"] == name).any())
    if kind == "analysis":
        return any(result.what == name for result in results.analyses)
    if kind == "tests":
        return bool(results.estimates["p"].notna().any())
    if kind == "families":
        return bool((results.estimates["family"] != "").any())
    if kind in ("edges", "maps", "matrices", "software"):
        return bool(getattr(results, kind))
    raise ValueError(f"checklists.toml: unknown condition {what!r}")
