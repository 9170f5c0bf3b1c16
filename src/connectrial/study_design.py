"""What the study file says of the trial itself: data, design, visits, people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from connectrial.study_base import Label, Section

Wanted = str | int | tuple[str | int, ...] | None  # a label, or several of which one must fit


class StudySection(Section):
    """What the study is."""

    name: Label = Field(description="Name of the study, as it heads the report")
    registration: str | None = Field(None, description="Registry number, such as NCT01179009")
    description: str = Field("", description="What the study asks, in a few sentences")
    seed: int = Field(0, ge=0, description="Seed of everything random")
    stand_ins: tuple[str, ...] = Field(
        (),
        description="Dotted keys whose values no source states; the report names them wherever "
        "they matter",
    )
    simulated: bool = Field(
        default=False, description="True where the data are simulated; every output then says so"
    )


class ClinicalTableMap(Section):
    """A table that is not laid out as BIDS, and which of its columns hold what."""

    path: Label = Field(description="CSV, TSV or XLSX file")
    subject: Label = Field(description="Column with the person")
    session: str | None = Field(None, description="Column with the visit or session")
    scale: str | None = Field(None, description="Column that names the scale (long tables)")
    score: str | None = Field(None, description="Column with the score (long tables)")
    scores: dict[str, str] = Field(
        default_factory=dict, description="Scale -> column with its score (wide tables)"
    )
    day: str | None = Field(None, description="Column with days from the first dose")
    date: str | None = Field(None, description="Column with the date of the visit")
    sheet: str | None = Field(None, description="Sheet of a workbook; default the first")

    @model_validator(mode="after")
    def _has_scores(self) -> ClinicalTableMap:
        if bool(self.score) == bool(self.scores):
            raise ValueError(
                "needs either 'score' (with 'scale', a long table) or 'scores' (a wide table)"
            )
        return self


class FiltersSection(Section):
    """Which files are read, by the entities of their names.

    A label or several; ``none`` stands for files without the entity, ``*`` for any label.
    """

    subject: Wanted = Field(None, description="Without sub-")
    session: Wanted = Field(None, description="Without ses-")
    task: Wanted = Field(None, description="task-")
    acquisition: Wanted = Field(None, description="acq-")
    ceagent: Wanted = Field(None, description="ce-")
    direction: Wanted = Field(None, description="dir-")
    reconstruction: Wanted = Field(None, description="rec-")
    run: Wanted = Field(None, description="run-; 1 and 01 are one run")
    echo: Wanted = Field(None, description="echo-")
    part: Wanted = Field(None, description="part-")
    space: Wanted = Field(None, description="space-")
    cohort: Wanted = Field(None, description="cohort-")
    resolution: Wanted = Field(None, description="res-")
    density: Wanted = Field(None, description="den-")
    hemi: Wanted = Field(None, description="hemi-")
    atlas: Wanted = Field(None, description="atlas-")
    description: Wanted = Field(None, description="desc-")
    datatype: Wanted = Field(None, description="Only 'func', what is read anyway")
    suffix: Wanted = Field(None, description="Only 'bold', what is read anyway")
    extension: Wanted = Field(None, description="Such as '.dtseries.nii'")

    def by_entity(self) -> dict[str, Any]:
        """Return the labels of the entities that are filtered by."""
        return self.model_dump(exclude_none=True)


class DataSection(Section):
    """Where the data are. ``${NAME}`` in a path is taken from the environment."""

    kind: Literal["images", "time series", "matrices", "auto"] = Field(
        "auto", description="What the derivatives hold"
    )
    derivatives: str | None = Field(
        None,
        description="Folder with sub-*/[ses-*/]func; relative to the study file. Left out, the "
        "study has clinical tables alone",
    )
    dataset: str | None = Field(
        None, description="Folder with participants.tsv and phenotype/; default: derivatives"
    )
    participants: str = Field("participants.tsv", description="Table with one row per person")
    phenotype: tuple[str, ...] = Field(
        ("phenotype",), description="Folders or files with scores, relative to the dataset"
    )
    table: tuple[ClinicalTableMap, ...] = Field((), description="Further clinical tables")
    task: str | None = Field(None, description="task- entity to read, where there are several")
    space: str | None = Field(None, description="space- entity to read, where there are several")
    description: str | None = Field(
        None, description="desc- entity to read, where there are several; 'none' for files without"
    )
    filters: FiltersSection | None = Field(
        None,
        description="Labels, by entity, of the files to read, as in a BIDS filter file: { session = "
        "['pre', 'post'] }; 'none' for files without the entity, '*' for any label",
    )
    values: Literal["r", "z"] = Field("r", description="What ready-made matrices hold")
    repetition_time_s: float | None = Field(
        None, gt=0, description="Seconds between frames, where no sidecar states it"
    )

    @model_validator(mode="after")
    def _somewhere(self) -> DataSection:
        if self.derivatives is None and self.dataset is None:
            raise ValueError("needs 'derivatives' (scans) or 'dataset' (tables alone)")
        return self


class OrderSection(Section):
    """Which treatment each person was given in which period of a crossover."""

    columns: tuple[Label, ...] = Field(
        min_length=2, description="Columns of the participants table, one per period, in order"
    )
    codes: dict[str, Label] = Field(
        default_factory=dict,
        description="Cell -> treatment; left out, the cells are the treatments' own names",
    )


class DesignSection(Section):
    """What kind of trial it is."""

    kind: Literal["pre-post", "parallel", "crossover"] = Field(
        description="pre-post: everybody is treated; parallel: arms are compared; crossover: each "
        "person is given the treatments one after the other"
    )
    treatments: tuple[Label, ...] = Field(
        (), description="Treatments of a crossover; the first is the reference"
    )
    order: OrderSection | None = Field(
        None, description="Where a crossover's order of treatments is stated"
    )
    period_baseline: str | None = Field(
        None,
        description="Visit of the period before that stands for a later period's own baseline, in "
        "sensitivity analyses of a crossover",
    )

    @model_validator(mode="after")
    def _of_crossovers(self) -> DesignSection:
        keys = ("treatments", "order", "period_baseline")
        if self.kind != "crossover":
            alien = [key for key in keys if getattr(self, key)]
            if alien:
                raise ValueError(f"{alien[0]} belongs to kind = 'crossover'; kind is {self.kind!r}")
            return self
        if len(self.treatments) < 2 or self.order is None:
            raise ValueError(
                "kind = 'crossover' needs treatments = [reference, ...] and order = {columns = "
                "[...], codes = {...}}"
            )
        if len(set(self.treatments)) < len(self.treatments):
            raise ValueError("treatments: one of them is named twice")
        foreign = sorted(set(self.order.codes.values()) - set(self.treatments))
        if foreign:
            raise ValueError(
                f"order.codes: {foreign[0]!r} is not among treatments = {list(self.treatments)}"
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a scan or a score can stand: a visit, in a crossover under one treatment.

    Attributes
    ----------
    name : str
        The visit's name, with the treatment before it where it has one.
    visit : str
        The visit.
    treatment : str or None
        None outside crossovers, and for visits that all periods have in common.
    sessions, phenotype_sessions : tuple of str
        Sessions of scans and of scores.
    day : float or None
        Days from the first dose (in a crossover: of the period).
    """

    name: str
    visit: str
    treatment: str | None
    sessions: tuple[str, ...]
    phenotype_sessions: tuple[str, ...]
    day: float | None


class VisitSection(Section):
    """One visit of the protocol, in order, and the sessions on disk that belong to it."""

    name: Label = Field(description="Name of the visit in models and figures")
    sessions: tuple[str, ...] = Field(
        (),
        description="Scan sessions (ses- labels); several are averaged and also give reliability",
    )
    phenotype_sessions: tuple[str, ...] = Field(
        (), description="Session labels of this visit in the clinical tables; default: sessions"
    )
    treatment_sessions: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Crossover: treatment -> sessions of this visit in that treatment's period",
    )
    treatment_phenotype_sessions: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="The same in the clinical tables; default: treatment_sessions",
    )
    day: float | None = Field(
        None, description="Days from the first dose; in a crossover, from the period's"
    )

    @property
    def by_treatment(self) -> bool:
        """Return whether each treatment has this visit."""
        return bool(self.treatment_sessions or self.treatment_phenotype_sessions)

    @model_validator(mode="after")
    def _one_way(self) -> VisitSection:
        if self.by_treatment and (self.sessions or self.phenotype_sessions):
            raise ValueError(
                "sessions and treatment_sessions both say where its data are; a visit is either "
                "common to all periods or one of each treatment"
            )
        return self


class GroupsSection(Section):
    """Patients and controls."""

    column: Label = Field(description="Column of the participants table")
    patients: Label = Field(description="Its value for patients")
    controls: str | None = Field(None, description="Its value for controls")
    control_sessions: tuple[str, ...] = Field(
        (), description="Sessions of controls, averaged; default: all they have"
    )


class MatchingSection(Section):
    """Which controls are compared with the patients: the nearest, by optimal matching."""

    on: tuple[Label, ...] = Field(
        (),
        description="Numbers that the distance is made of: [variables.*], or mean_fd_mm, kept_frames, "
        "kept_minutes (means over a person's analysed scans)",
    )
    exact: tuple[Label, ...] = Field(
        (), description="Variables in which patient and control must be the same"
    )
    caliper: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="Variable -> largest difference allowed, in its unit"
    )
    ratio: int = Field(1, ge=1, description="Controls per patient")

    @model_validator(mode="after")
    def _something(self) -> MatchingSection:
        if not self.on and not self.exact:
            raise ValueError("needs 'on' (numbers) or 'exact' (factors)")
        return self


class ArmsSection(Section):
    """What people were randomised to."""

    column: Label = Field(description="Column of the participants table")
    levels: tuple[Label, ...] = Field(
        min_length=2, description="Its values in order; the first is the reference"
    )


class VariableSection(Section):
    """A column of the participants table that models may use."""

    column: str | None = Field(None, description="Column; default: the variable's own name")
    levels: tuple[Label, ...] = Field(
        (), description="Levels in order, first = reference; left out, the variable is a number"
    )


class ExcludeSection(Section):
    """Somebody or some session that is left out by decision."""

    subject: Label = Field(description="Person, with or without sub-")
    session: str | None = Field(None, description="Only this session; default: the whole person")
    reason: Label = Field(description="Why; it appears in the flow")
