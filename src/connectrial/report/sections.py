"""The sections of the page, in order; one that has no data is not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from connectrial.report import (
    exposure_section,
    fc_sections,
    map_sections,
    quality_sections,
    record_sections,
    set_sections,
    trial_sections,
)
from connectrial.report.blocks import Block, Section
from connectrial.report.checklists import checklists_section
from connectrial.report.live import Live
from connectrial.report.panel import Panel
from connectrial.results import Results

#: In the order of the page.
BUILDERS: tuple[Callable[[Results], Section | None], ...] = (
    trial_sections.answer_section,
    trial_sections.people_section,
    trial_sections.clinical_section,
    exposure_section.exposure_section,
    trial_sections.safety_section,
    quality_sections.quality_section,
    fc_sections.hypotheses_section,
    set_sections.random_sets_section,
    set_sections.variants_section,
    fc_sections.effects_section,
    fc_sections.groups_section,
    fc_sections.reliability_section,
    fc_sections.matrices_section,
    fc_sections.exploratory_section,
    map_sections.maps_section,
    fc_sections.truth_section,
    record_sections.diagnostics_section,
    record_sections.estimates_section,
    record_sections.methods_section,
    record_sections.provenance_section,
)


def build_section(results: Results, place: int) -> Section | None:
    """Build the section of this place in `BUILDERS`; None where it has nothing to show."""
    section = BUILDERS[place](results)
    return section if section is not None and section.blocks else None


def with_checklists(results: Results, sections: Sequence[Section]) -> list[Section]:
    """Put the checklists, which say where in `sections` each item stands, to their place."""
    whole = list(sections)
    checks = checklists_section(results, whole)
    if checks is not None:
        whole.insert(_before_provenance(whole), checks)
    return whole


def _before_provenance(sections: list[Section]) -> int:
    """Return where the checklists stand: after the methods, before the provenance."""
    keys = [section.key for section in sections]
    return keys.index("provenance") if "provenance" in keys else len(keys)


def section_forms(sections: list[Section]) -> list[Live]:
    """Return the interactive forms of all sections in order."""

    def inside(blocks: tuple[Block, ...]) -> list[Live]:
        found: list[Live] = []
        for block in blocks:
            found += [block.live] if block.live is not None else []
            found += [panel.live for panel in block.panels if panel.live is not None]
            found += inside(block.blocks)
        return found

    return [form for section in sections for form in inside(section.blocks)]


def section_panels(sections: list[Section]) -> list[Panel]:
    """Return the panels of all sections in order."""

    def inside(blocks: tuple[Block, ...]) -> list[Panel]:
        found: list[Panel] = []
        for block in blocks:
            found += [*block.panels, *inside(block.blocks)]
        return found

    return [panel for section in sections for panel in inside(section.blocks)]


def with_panels(section: Section, change: Callable[[Panel], Panel]) -> Section:
    """Return a section whose panels are changed one by one, in order."""

    def inside(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        return tuple(
            replace(
                block,
                panels=tuple(change(panel) for panel in block.panels),
                blocks=inside(block.blocks),
            )
            if block.panels or block.blocks
            else block
            for block in blocks
        )

    return replace(section, blocks=inside(section.blocks))
