"""The study file as typed, frozen objects: the only modules that know pydantic."""

from __future__ import annotations

import os
import re
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, PrivateAttr, ValidationError

from connectrial.errors import StudyFileError
from connectrial.study_analyses import (
    AdjustMethod,
    ComparisonSection,
    DfMethod,
    EdgeMethod,
    ExplorationSection,
    FamilySection,
    HypothesisSection,
    MapSection,
    ModelSection,
    RestOf,
    SeedSection,
)
from connectrial.study_base import Section
from connectrial.study_clinical import ClinicalSection, CorrelationSection
from connectrial.study_design import (
    ArmsSection,
    ClinicalTableMap,
    DataSection,
    DesignSection,
    ExcludeSection,
    FiltersSection,
    GroupsSection,
    MatchingSection,
    OrderSection,
    Place,
    StudySection,
    VariableSection,
    VisitSection,
    Wanted,
)
from connectrial.study_exposure import (
    ExposureMeasureSection,
    ExposureResponseSection,
    ExposureSection,
    MeasuredSection,
)
from connectrial.study_sets import (
    ConnectionTable,
    ContrastSection,
    EdgeSetSection,
    VariantSection,
)
from connectrial.study_signals import (
    AtlasSection,
    CensoringSection,
    ConnectivitySection,
    CoverageSection,
    DenoisingSection,
    MotionSection,
    QualitySection,
    SetSection,
    SphereItem,
)
from connectrial.study_trial import (
    AnalysisSetSection,
    EligibilitySection,
    EndpointSection,
    EstimandSection,
    FlowSection,
    SafetySection,
    ScaleSection,
    TimeToEventSection,
    VolumesSection,
)

__all__ = [
    "AdjustMethod",
    "ArmsSection",
    "AtlasSection",
    "CensoringSection",
    "ClinicalSection",
    "ClinicalTableMap",
    "ComparisonSection",
    "ConnectionTable",
    "ConnectivitySection",
    "ContrastSection",
    "CorrelationSection",
    "CoverageSection",
    "DataSection",
    "DenoisingSection",
    "DesignSection",
    "DfMethod",
    "EdgeMethod",
    "EdgeSetSection",
    "EndpointSection",
    "ExcludeSection",
    "ExplorationSection",
    "ExposureMeasureSection",
    "ExposureResponseSection",
    "ExposureSection",
    "FamilySection",
    "FiltersSection",
    "GroupsSection",
    "HypothesisSection",
    "MapSection",
    "MatchingSection",
    "MeasuredSection",
    "ModelSection",
    "MotionSection",
    "OrderSection",
    "Place",
    "QualitySection",
    "RestOf",
    "ScaleSection",
    "Section",
    "SeedSection",
    "SetSection",
    "SphereItem",
    "Study",
    "StudySection",
    "VariableSection",
    "VariantSection",
    "VisitSection",
    "Wanted",
]


class Study(Section):
    """A whole study file."""

    study: StudySection
    data: DataSection
    design: DesignSection
    visit: tuple[VisitSection, ...] = Field(min_length=1, description="Visits in order")
    groups: GroupsSection | None = None
    matching: MatchingSection | None = None
    arms: ArmsSection | None = None
    variables: dict[str, VariableSection] = Field(default_factory=dict)
    exclude: tuple[ExcludeSection, ...] = ()
    atlas: AtlasSection = AtlasSection()
    sets: dict[str, SetSection] = Field(default_factory=dict)
    coverage: CoverageSection = CoverageSection()
    motion: MotionSection | None = None
    censoring: CensoringSection = CensoringSection()
    denoising: DenoisingSection = DenoisingSection()
    connectivity: ConnectivitySection = ConnectivitySection()
    quality: QualitySection = QualitySection()
    eligibility: tuple[EligibilitySection, ...] = ()
    analysis_sets: dict[str, AnalysisSetSection] = Field(default_factory=dict)
    estimand: dict[str, EstimandSection] = Field(default_factory=dict)
    flow: FlowSection | None = None
    scales: dict[str, ScaleSection] = Field(default_factory=dict)
    endpoints: dict[str, EndpointSection] = Field(default_factory=dict)
    exposure: ExposureSection | None = None
    hypothesis: tuple[HypothesisSection, ...] = ()
    clinical: tuple[ClinicalSection, ...] = ()
    correlation: tuple[CorrelationSection, ...] = ()
    time_to_event: tuple[TimeToEventSection, ...] = ()
    comparison: tuple[ComparisonSection, ...] = ()
    exploration: tuple[ExplorationSection, ...] = ()
    edge_set: tuple[EdgeSetSection, ...] = ()
    variants: dict[str, VariantSection] = Field(default_factory=dict)
    maps: dict[str, MapSection] = Field(default_factory=dict)
    volumes: VolumesSection | None = None
    safety: SafetySection | None = None
    model: dict[str, ModelSection] = Field(default_factory=dict)
    family: dict[str, FamilySection] = Field(default_factory=dict)

    _folder: Path = PrivateAttr(default=Path())
    _path: Path | None = PrivateAttr(default=None)

    @property
    def path(self) -> Path | None:
        """Return the file that the study was read from."""
        return self._path

    @property
    def visits(self) -> tuple[str, ...]:
        """Return the names of the visits, in order."""
        return tuple(visit.name for visit in self.visit)

    @property
    def rotation_unit(self) -> Literal["rad", "deg"]:
        """Return the unit of the rotations in confounds."""
        return "rad" if self.motion is None else self.motion.rotation_unit

    @property
    def is_crossover(self) -> bool:
        """Return whether each person is given the treatments one after the other."""
        return self.design.kind == "crossover"

    @property
    def places(self) -> tuple[Place, ...]:
        """Return where scans and scores can stand, in order.

        Outside crossovers these are the visits. In a crossover neighbouring visits that each
        treatment has come treatment by treatment.
        """
        found: list[Place] = []
        for by_treatment, run in groupby(self.visit, key=lambda visit: visit.by_treatment):
            visits = list(run)
            treatments = self.design.treatments if by_treatment else (None,)
            places = (_place(one, treatment) for treatment in treatments for one in visits)
            found += [place for place in places if place is not None]
        return tuple(found)

    @property
    def derivatives(self) -> Path | None:
        """Return the folder with the scans; None for a study of tables alone."""
        text = self.data.derivatives
        return None if text is None else self._resolve(text, "derivatives")

    @property
    def dataset(self) -> Path:
        """Return the folder with the participants and the clinical tables."""
        if self.data.dataset is not None:
            return self._resolve(self.data.dataset, "dataset")
        folder = self.derivatives
        assert folder is not None  # noqa: S101 - the data section has one of the two
        return folder

    def located(self, text: str, *, key: str) -> Path:
        """Return a path of the study file: relative ones start at the dataset, then at the file."""
        path = Path(expand(text, key=key))
        if path.is_absolute():
            return path
        inside = self.dataset / path
        beside = self._folder / path
        return inside if inside.exists() or not beside.exists() else beside

    def _resolve(self, text: str, key: str) -> Path:
        path = Path(expand(text, key=f"data.{key}"))
        return path if path.is_absolute() else self._folder / path

    def as_plain(self) -> dict[str, Any]:
        """Return the study, defaults filled in, as plain data (paths as they were written)."""
        return self.model_dump(mode="json")


def _place(visit: VisitSection, treatment: str | None) -> Place | None:
    if treatment is None:
        name, sessions, scored = visit.name, visit.sessions, visit.phenotype_sessions
    else:
        name = f"{treatment} {visit.name}"
        sessions = visit.treatment_sessions.get(treatment, ())
        scored = visit.treatment_phenotype_sessions.get(treatment, ())
        if not sessions and not scored:
            return None
    return Place(
        name=name,
        visit=visit.name,
        treatment=treatment,
        sessions=sessions,
        phenotype_sessions=scored or sessions,
        day=visit.day,
    )


_LONGEST_NAME = 255  # bytes; what file systems allow


def expand(text: str, *, key: str) -> str:
    """Put environment variables into a path.

    Parameters
    ----------
    text : str
        May hold ``${NAME}``.
    key : str
        Dotted key of the study file, for the message.

    Raises
    ------
    StudyFileError
        A variable is not set.
    """
    missing = [name for name in re.findall(r"\$\{(\w+)\}", text) if not os.environ.get(name)]
    if missing:
        names = " and ".join(sorted(set(missing)))
        raise StudyFileError(
            f"[data] {key.removeprefix('data.')} = {text!r}: the environment variable {names} is not set; "
            f"set it (export {missing[0]}=/path/to/data) or write the path out"
        )
    path = re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match.group(1)], text)
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in Path(path).parts):
        raise StudyFileError(
            f"[data] {key.removeprefix('data.')} = '{text[:40]}...': a name in it is longer than "
            f"{_LONGEST_NAME} bytes, so there is no such file; shorten it"
        )
    return path


def validate(raw: dict[str, Any]) -> tuple[Study | None, list[dict[str, Any]]]:
    """Check plain data against the schema.

    Parameters
    ----------
    raw : dict
        A study file's content.

    Returns
    -------
    study : Study or None
        None where something is wrong.
    errors : list of dict
        ``loc`` (tuple of keys and positions), ``type``, ``msg``, ``input`` for each.
    """
    try:
        return Study.model_validate(raw), []
    except ValidationError as error:
        return None, [dict(item) for item in error.errors(include_url=False)]


def locate(study: Study, *, folder: Path, path: Path | None) -> Study:
    """Tell a study where its file is, so that relative paths can be followed."""
    # Absolute, so that nobody down the line joins a relative path to a folder a second time.
    study._folder = folder.absolute()
    study._path = path
    return study


def keys_at(loc: tuple[str | int, ...]) -> tuple[str, ...]:
    """Return the keys that are allowed beside a place in the study file.

    Parameters
    ----------
    loc : tuple
        Keys and positions, the last being the key in question.

    Returns
    -------
    tuple of str
        Empty where any name is allowed.
    """
    model: Any = Study
    for step in loc[:-1]:
        if isinstance(step, int) or model is None:
            continue
        field = model.model_fields.get(step) if _is_section(model) else None
        if field is None and _is_section(model):
            return ()
        if field is not None:
            model = _section_inside(field.annotation)
    return tuple(model.model_fields) if _is_section(model) else ()


def _is_section(model: Any) -> bool:  # noqa: ANN401 - an annotation can be anything
    return isinstance(model, type) and issubclass(model, Section)


def _section_inside(annotation: Any) -> Any:  # noqa: ANN401
    """Find the section in an annotation such as ``tuple[VisitSection, ...]``."""
    if _is_section(annotation):
        return annotation
    for inner in get_args(annotation):
        found = _section_inside(inner)
        if found is not None:
            return found
    return None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the study file."""
    schema = Study.model_json_schema(mode="validation")
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Another study file whose tables this one overrides",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "connectrial study file",
        **{key: value for key, value in schema.items() if key != "title"},
    }
