"""Results -> sections that are drawn, in one process or in several.

To build and draw the sections is nearly all that a page costs, and no section needs another: they
are shared out, the dear ones first.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Any

from connectrial.errors import MachineError
from connectrial.figures.svg import draw_svg, figure_svg
from connectrial.report.blocks import Section
from connectrial.report.figure_files import Shelf, panel_texts
from connectrial.report.live_people import (
    mark_numbers,
    number_people,
    offer_people,
    with_people,
)
from connectrial.report.panel import Drawing, Panel, slug
from connectrial.report.sections import BUILDERS, build_section, with_checklists, with_panels
from connectrial.report.tsv import tsv_link
from connectrial.results import Results

if TYPE_CHECKING:
    from concurrent.futures import Executor

#: Sections that cost most, the dearest first; by name, since a page need not have them all.
_DEAR = (
    "hypotheses_section",
    "clinical_section",
    "quality_section",
    "exposure_section",
    "maps_section",
    "effects_section",
    "matrices_section",
)
#: Objects after which Python looks for garbage; figures hold few loops and millions of objects.
_MANY_OBJECTS = 200_000


def drawn_sections(
    results: Results, *, shelf: Shelf | None = None, pools: Sequence[Executor] = ()
) -> list[Section]:
    """Build every section that has something to show, and draw its figures.

    Parameters
    ----------
    results : Results
        What was found, as the page shows it.
    shelf : Shelf, optional
        Where figures and their data are saved; without, nothing is written.
    pools : sequence of concurrent.futures.Executor
        Of :func:`~connectrial.report.processes.drawing_processes`, which work beside this process.

    Returns
    -------
    list of Section
        In the order of the page; no panel has a figure any more, every one its drawing.

    Raises
    ------
    MachineError
        A process was killed.
    """
    numbers = number_people(results)
    with patient_collector():
        built = _build(results, numbers, shelf, pools)
        sections = [section for section in built if section is not None]
        return offer_people(with_checklists(results, sections))


def _build(
    results: Results, numbers: Mapping[str, int], shelf: Shelf | None, pools: Sequence[Executor]
) -> list[Section | None]:
    places = range(len(BUILDERS))
    if not pools:
        return [_drawn_section(results, numbers, shelf, place) for place in places]
    built: list[Section | None] = [None for _ in places]
    names = [builder.__name__ for builder in BUILDERS]
    waiting = deque(sorted(places, key=lambda i: (*_dearness(names[i]), i)))
    failed: list[Exception] = []
    feeders = [
        Thread(target=_feed, args=(pool, waiting, built, failed), daemon=True) for pool in pools
    ]
    for pool, feeder in zip(pools, feeders, strict=True):
        pool.submit(_hold, (results, numbers, shelf))
        feeder.start()
    try:
        while not failed and (place := _next(waiting)) is not None:
            built[place] = _drawn_section(results, numbers, shelf, place)
        for feeder in feeders:
            feeder.join()
    finally:
        waiting.clear()
    if failed:
        raise failed[0]
    return built


def _feed(
    pool: Executor,
    waiting: deque[int],
    built: list[Section | None],
    failed: list[Exception],
) -> None:
    """Give one process of a pool a section after the other, until none is left."""
    from joblib.externals.loky.process_executor import BrokenProcessPool

    try:
        while not failed and (place := _next(waiting)) is not None:
            built[place] = pool.submit(_held_section, place).result()
    except BrokenProcessPool:
        failed.append(
            MachineError(
                "a process that drew figures was killed, most often by the system because memory ran "
                "out; the results are kept: make the report by connectrial report OUT --n-jobs 1"
            )
        )
    except Exception as error:  # raised again by the caller, in its own thread
        failed.append(error)


def _next(waiting: deque[int]) -> int | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None


def _dearness(name: str) -> tuple[int, int]:
    return (0, _DEAR.index(name)) if name in _DEAR else (1, 0)


#: What a process of the pool works on, given to it once.
_HELD: list[Any] = []


def _hold(given: tuple[Results, Mapping[str, int], Shelf | None]) -> None:
    _HELD[:] = given


def _held_section(place: int) -> Section | None:
    results, numbers, shelf = _HELD
    with patient_collector():
        return _drawn_section(results, numbers, shelf, place)


def _drawn_section(
    results: Results, numbers: Mapping[str, int], shelf: Shelf | None, place: int
) -> Section | None:
    section = build_section(results, place)
    if section is None:
        return None
    return with_panels(section, lambda panel: _drawn(panel, numbers, shelf))


def _drawn(panel: Panel, numbers: Mapping[str, int], shelf: Shelf | None) -> Panel:
    """Draw a panel's figure for the page, and save it."""
    inline, svg, people = panel.svg, "", frozenset[int]()
    if panel.figure is not None:
        people = mark_numbers(panel.figure, numbers)
        name = slug(panel.name)
        svg = draw_svg(panel.figure, salt=name)
        inline = with_people(figure_svg(panel.figure, name=name, alt=panel.alt, drawn=svg))
    # Saved after it was drawn: to draw a figure for the page is what lays it out.
    texts = panel_texts(panel)
    written = shelf.save(panel, svg, texts) if shelf is not None else ()
    links = tuple((words, tsv_link(text)) for words, text in texts)
    drawing = Drawing(inline=inline, people=people, links=links, written=written)
    return replace(panel, figure=None, drawing=drawing)


@contextmanager
def patient_collector() -> Iterator[None]:
    """Let Python look for garbage less often, which else takes a sixth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], _MANY_OBJECTS) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
