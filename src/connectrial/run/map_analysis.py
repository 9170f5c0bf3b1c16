"""Sessions' maps to group maps: one model per place, in blocks, and mean maps beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pandas as pd

from connectrial.data import Atlas
from connectrial.errors import ConnectrialError, InputError, MachineError
from connectrial.plan import PlannedAnalysis
from connectrial.plan.map_plans import shown_measure
from connectrial.results import GroupMap, Result, tidy
from connectrial.run.analysing import MIXED, failed
from connectrial.run.map_stack import (
    MissingMapsError,
    describe_maps,
    stack_maps,
)
from connectrial.run.map_tests import TestedMaps
from connectrial.run.session_jobs import SessionJob
from connectrial.study import MapSection

_CITATIONS = {"fdr_bh": ("benjamini1995",), "fdr_by": ("benjamini2001",)}


def analyse_map(
    plan: PlannedAnalysis,
    section: MapSection,
    *,
    jobs: Sequence[SessionJob],
    visits: Mapping[tuple[str, str], str],
    keys: Mapping[tuple[str, str], str],
    atlas: Atlas | None,
    seed: int,
) -> tuple[Result, GroupMap | None]:
    """Describe a map by visit and, where it has a model, test it at every place.

    Parameters
    ----------
    plan : PlannedAnalysis
        The map; its rows are people and visits.
    section : MapSection
        Smoothing, adjustment, clusters.
    jobs : sequence of SessionJob
        The sessions; their maps are on disk.
    visits : mapping
        (subject, session) -> visit, of analysed sessions.
    keys : mapping
        (subject, session) -> hash of what its matrix was made from.
    atlas : Atlas or None
        To name the parcel at a peak.
    seed : int
        Of the permutations.

    Returns
    -------
    Result, GroupMap or None
        None where nothing could be mapped; the result says why.

    Raises
    ------
    InputError
        Sessions have no current map.
    """
    with ExitStack() as stack:
        try:
            maps = stack_maps(plan, section, jobs, visits, keys, stack)
            images, rows = describe_maps(plan, section, maps)
            notes: list[str] = []
            clusters = pd.DataFrame()
            if plan.model is not None:
                tested = TestedMaps(plan, section, maps, atlas=atlas, seed=seed)
                images |= tested.images
                rows += tested.rows
                notes += tested.notes
                clusters = tested.clusters
        except MissingMapsError as error:
            raise InputError(error.problems) from None
        except MachineError:
            raise  # a full disk is no fault of the analysis
        except ConnectrialError as error:
            return failed(plan, error.problems), None
        result = Result(
            name=plan.name,
            title=plan.title,
            role=plan.role,
            what=plan.what,
            outcome=plan.outcome,
            estimates=tidy(rows),
            methods=_methods(plan, section, maps.places.unit),
            citations=_citations(plan, section),
            design=_design(plan),
            notes=(*plan.notes, *maps.notes, *notes),
        )
        drawn = GroupMap(
            affine=maps.places.affine,
            images=images,
            clusters=clusters,
            rows=maps.places.rows,
            is_pair=maps.places.is_pair,
        )
        return result, drawn


def _citations(plan: PlannedAnalysis, section: MapSection) -> tuple[str, ...]:
    measure = ("dipasquale2019",) if section.measure == "react" else ()
    tested = () if plan.model is None else (*MIXED, *_CITATIONS.get(section.method, ()))
    return (*measure, *tested)


def _design(plan: PlannedAnalysis) -> dict[str, Any]:
    if plan.model is None:
        return {}
    return {
        "formula": plan.formula,
        "columns": list(plan.columns),
        "reference_levels": plan.reference_levels,
        "rank": plan.rank,
    }


def _methods(plan: PlannedAnalysis, section: MapSection, unit: str) -> str:
    smooth = (
        f", smoothed after their making by {section.smoothing_fwhm_mm:g} mm FWHM"
        if section.smoothing_fwhm_mm is not None
        else ""
    )
    text = (
        f"Maps of {shown_measure(section)} were made for each session from all {unit}, "
        f"cleaned like the parcels{smooth}, and averaged by visit, with the mean change of each person"
    )
    if plan.model is None:
        return f"{text}; no test was made."
    how = {
        "max": f"adjusted for the largest |t| over {unit} by {section.n_permutations} permutations",
        "none": "not adjusted",
    }.get(section.method, f"adjusted over all {unit} ({section.method})")
    joined = (
        f"clusters are voxels below {section.alpha:g} that share faces"
        if unit == "voxels"
        else f"grayordinates below {section.alpha:g} are counted by structure"
    )
    return (
        f"{text}. The same mixed model was fitted at every {unit[:-1]} with data in at least "
        f"{section.min_coverage:.0%} of people; p values were {how}; {joined}. "
        "This analysis is exploratory."
    )
