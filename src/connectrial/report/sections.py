"""The sections of the page, in order; one that has no data is not there."""

from __future__ import annotations

from collections.abc import Callable

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
from connectrial.report.live_people import number_people, offer_people
from connectrial.report.panel import Panel
from connectrial.results import Results


def build_sections(results: Results) -> list[Section]:
    """Build every section that has something to show."""
    builders: tuple[Callable[[Results], Section | None], ...] = (
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
    built = [builder(results) for builder in builders]
    sections = [section for section in built if section is not None and section.blocks]
    checks = checklists_section(results, sections)
    if checks is not None:
        sections.insert(_before_provenance(sections), checks)
    return offer_people(sections, number_people(results, section_panels(sections)))


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
