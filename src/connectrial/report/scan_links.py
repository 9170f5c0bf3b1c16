"""Links from the report to the pages of people and to the page of all scans."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from connectrial.report.blocks import Block, table_block
from connectrial.report.cells import Cell, Table
from connectrial.report.scan_views import SCANS_PAGE
from connectrial.report.source import table
from connectrial.results import Results

_STATES = {"analysed": "", "analysed in part": " (in part)"}


def with_pages(results: Results, pages: pd.DataFrame) -> Results:
    """Tell the sections of the report which pages there are."""
    if pages.empty:
        return results
    return replace(results, tables={**results.tables, "pages": pages})


def page_links(results: Results) -> dict[tuple[str, str], str]:
    """Return (subject, session) -> address of the scan's part of its page; empty without pages."""
    pages = table(results, "pages")
    if pages is None:
        return {}
    return {
        (str(row["subject"]), str(row["session"])): f"{row['page']}#{row['anchor']}"
        for row in pages.to_dict("records")
    }


def people_links(results: Results) -> list[Block]:
    """List everybody who has a page, with a link for each scan, by visit."""
    pages = table(results, "pages")
    if pages is None:
        return []
    visits = list(dict.fromkeys(pages["visit"]))
    known = [str(one) for one in results.plan.get("places") or results.plan.get("visits") or ()]
    visits = sorted(visits, key=lambda one: known.index(one) if one in known else len(known))
    heads = [("person", ""), *((visit or "no visit", "") for visit in visits)]
    body = []
    for person, own in pages.groupby("subject", sort=False):
        cells = [Cell(links=((str(person), str(own["page"].iloc[0])),))]
        for visit in visits:
            here = own[own["visit"] == visit].to_dict("records")
            links = tuple(
                (
                    (f"ses-{row['session']}" if row["session"] else "scan")
                    + _STATES.get(str(row["fate"]), f" ({row['fate']})"),
                    f"{row['page']}#{row['anchor']}",
                )
                for row in here
            )
            cells.append(Cell(links=links, text="" if links else "–"))
        body.append(("", tuple(cells)))
    shown = Table(heads=tuple(heads), rows=tuple(body), caption="Pages beside this one")
    lead = Block(
        kind="links",
        text=(
            "Every scan can be looked at and rated on one page; ratings leave as an exclusion list.",
        ),
        name=SCANS_PAGE,
        title="All scans",
    )
    inner = (lead, table_block(shown))
    return [Block(kind="details", title=f"A page for each of {len(body)} people", blocks=inner)]
