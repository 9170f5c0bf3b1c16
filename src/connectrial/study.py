"""The study file as typed, frozen objects: the only module that knows pydantic."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from connectrial.errors import StudyFileError
from connectrial.study_base import Fraction, Label, RoleName, Section, WhoName
from connectrial.study_trial import (
    AnalysisSetSection,
    ClinicalSection,
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
    "ClinicalSection",
    "EndpointSection",
    "ScaleSection",
    "Section",
    "Study",
]
DfMethod = Literal[
    "satterthwaite",
    "kenward-roger",
    "kenward-roger-linear",
    "kenward-roger-expected",
    "between-within",
    "residual",
    "none",
]
AdjustMethod = Literal["bonferroni", "holm", "hochberg", "fdr_bh", "fdr_by"]
EdgeMethod = Literal[
    "bonferroni",
    "holm",
    "hochberg",
    "fdr_bh",
    "fdr_by",
    "max",
    "tfnbs",
    "nbs-extent",
    "nbs-intensity",
]
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


class AtlasSection(Section):
    """The parcels."""

    name: str | None = Field(
        None,
        description="Images: an atlas that is built in or fetched (connectrial atlases lists them); "
        "series: the atlas- entity to read, where there are several",
    )
    image: str | tuple[str, str] | None = Field(
        None,
        description="Label image (for kind = 'images'): a volume; for CIFTI a .dlabel.nii; for "
        "surfaces two files, left and right, .label.gii or .annot",
    )
    table: str | None = Field(
        None,
        description="TSV with the parcels' names and networks; without an image, for images, a list of "
        "spheres: x_mm, y_mm, z_mm, radius_mm",
    )
    name_column: str | None = Field(None, description="Column with the parcels' names")
    network_column: str | None = Field(None, description="Column with their networks")
    map_name: str | None = Field(None, description="Map of a .dlabel.nii that has several")
    radius_mm: float | None = Field(
        None,
        gt=0,
        le=50,
        description="Radius of every sphere of the atlas; default: the published one, else 5 (stand-in)",
    )
    overlap: Literal["allow", "nearest", "refuse"] = Field(
        "allow",
        description="A voxel in two spheres: counts in both, in the nearer one, or is an error",
    )
    limbic_image: str | None = Field(
        None,
        description="Gordon333+Seitzman-subcortex: label image with the whole amygdala, hippocampus and "
        "accumbens (FreeSurfer's aseg, Tian's), or a fetched atlas such as TianS2",
    )
    limbic_table: str | None = Field(
        None, description="Names of its labels; default: FreeSurfer's numbers"
    )
    hippocampus_split_y_mm: float = Field(
        -21.0,
        ge=-45,
        le=-5,
        description="Where a hippocampus in one piece is cut into anterior and posterior (stand-in)",
    )
    limbic_radius_mm: float = Field(
        6.0,
        gt=0,
        le=50,
        description="Radius of the eight limbic regions as spheres, without limbic_image (stand-in)",
    )


class SphereItem(Section):
    """A sphere around a coordinate, as a parcel of its own."""

    x_mm: float = Field(ge=-500, le=500, description="World coordinate, left to right")
    y_mm: float = Field(ge=-500, le=500, description="World coordinate, back to front")
    z_mm: float = Field(ge=-500, le=500, description="World coordinate, bottom to top")
    radius_mm: float = Field(gt=0, le=50, description="Radius, mm")


class SetSection(Section):
    """A named set of parcels."""

    parcels: tuple[Label, ...] = Field(
        (), description="Names, with * and ? as wildcards; each must match at least one parcel"
    )
    networks: tuple[Label, ...] = Field((), description="Whole networks of the atlas")
    spheres: tuple[SphereItem, ...] = Field(
        (), description="Coordinates that become parcels of this set (images only)"
    )

    @model_validator(mode="after")
    def _has_members(self) -> SetSection:
        if not self.parcels and not self.networks and not self.spheres:
            raise ValueError("needs 'parcels', 'networks' or 'spheres'")
        return self


class CoverageSection(Section):
    """The rule that finds weak parcels, and what happens to them."""

    min_coverage: Fraction = Field(0.5, description="Least share of a parcel's voxels with data")
    min_signal_fraction: Fraction = Field(
        0.1, description="Least signal, as a share of the scan's own median over parcels"
    )
    action: Literal["flag", "exclude"] = Field(
        "flag", description="flag: show them; exclude: their edges count as missing in that scan"
    )


class MotionSection(Section):
    """How displacement is measured anew from the six realignment parameters.

    Without this section the confounds' own framewise displacement is taken as it stands.
    """

    fd_kind: Literal["power", "jenkinson"] = Field(
        "power", description="Sum of absolute changes, or RMS over a solid sphere"
    )
    radius_mm: float | None = Field(
        None, gt=0, description="Radius of the sphere, mm; default 50 (power) or 80 (jenkinson)"
    )
    rotation_unit: Literal["rad", "deg"] = Field(
        "rad", description="Unit of the columns rot_x, rot_y, rot_z"
    )
    low_pass_hz: float | None = Field(
        None, gt=0, description="Low-pass of the parameters, Hz, which takes breathing out"
    )
    notch_hz: tuple[float, float] | None = Field(
        None, description="Or a notch between two frequencies, Hz: the people's breathing rates"
    )

    @model_validator(mode="after")
    def _one_filter(self) -> MotionSection:
        if self.low_pass_hz is not None and self.notch_hz is not None:
            raise ValueError("low_pass_hz and notch_hz both filter the motion; keep one")
        if self.notch_hz is not None and not 0 < self.notch_hz[0] < self.notch_hz[1]:
            raise ValueError(f"notch_hz needs 0 < low < high; got {list(self.notch_hz)}")
        return self


class QualitySection(Section):
    """What is measured of each scan beside its connectivity, and which scans it rules out."""

    fd_threshold_mm: float | None = Field(
        None,
        gt=0,
        description="Share of frames above this displacement is reported; default [censoring] "
        "max_fd_mm, else 0.5 (stand-in)",
    )
    max_mean_fd_mm: float | None = Field(
        None, gt=0, description="Largest mean framewise displacement of a session, mm"
    )
    min_median_tsnr: float | None = Field(
        None, gt=0, description="Least median temporal SNR over voxels (images only)"
    )
    min_set_coverage: dict[str, Fraction] = Field(
        default_factory=dict,
        description="Network or set -> least mean coverage of its parcels (images only)",
    )
    max_weak_parcels: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="Network or set -> most weak parcels that it may have"
    )
    qc_fc: bool = Field(
        default=True, description="Relate mean displacement to every edge over people"
    )
    carpets: bool = Field(
        default=True, description="Draw every run frame by frame, before and after denoising"
    )
    batch: str | None = Field(
        None,
        min_length=1,
        description="Column with scanner, site or software version, in participants, sessions or "
        "scans tables; tested for confounding with visit and arm",
    )


class CensoringSection(Section):
    """Which frames are left out."""

    max_fd_mm: float | None = Field(None, gt=0, description="Largest framewise displacement, mm")
    max_std_dvars: float | None = Field(None, gt=0, description="Largest standardised DVARS")
    n_before: int = Field(0, ge=0, description="Frames censored before each bad one")
    n_after: int = Field(0, ge=0, description="Frames censored after each bad one")
    min_contiguous_frames: int = Field(1, ge=1, description="Shortest stretch that is kept, frames")
    n_dummy_frames: int = Field(0, ge=0, description="Frames dropped at the start of each run")
    min_kept_minutes: float | None = Field(
        None, gt=0, description="Least minutes kept per session; sessions with less are left out"
    )
    min_kept_fraction: Fraction | None = Field(
        None, description="Least share of frames kept per session; needs no repetition time"
    )


class DenoisingSection(Section):
    """How images are cleaned; ready-made series never are."""

    strategy: Label = Field(
        "36P",
        description="Set of confounds, by name (6P, 12P, 24P, 36P, 24P+aCompCor, ...) or as blocks "
        "joined by +; none for no regression, and without band_hz for series as they are read",
    )
    band_hz: tuple[float, float] | None = Field(None, description="Pass band, Hz")
    order: Literal["default", "passband", "joint", "project", "xcpd", "washu"] = Field(
        "default", description="Order of the steps"
    )
    filter_order: int | None = Field(
        None,
        ge=1,
        le=8,
        description="Order of the Butterworth filter; default that of the order of steps (washu 1, "
        "others 2)",
    )
    min_remaining_df: int = Field(15, ge=1, description="Least degrees of freedom left per session")
    subcortical: Literal["none", "nearby-cortex"] = Field(
        "none",
        description="nearby-cortex (stand-in, no paper fixes it): regress the mean of cortical "
        "parcels nearby out of each subcortical one",
    )
    subcortical_parcels: str | None = Field(
        None, description="Network or set that holds the subcortical parcels"
    )
    nearby_mm: float = Field(
        20.0, gt=0, description="How far cortex may lie from a subcortical parcel's centre, mm"
    )

    @model_validator(mode="after")
    def _band(self) -> DenoisingSection:
        if self.band_hz is not None and not 0 <= self.band_hz[0] < self.band_hz[1]:
            raise ValueError(f"band_hz needs 0 <= low < high; got {list(self.band_hz)}")
        if (self.subcortical == "none") != (self.subcortical_parcels is None):
            raise ValueError(
                "subcortical = 'nearby-cortex' and subcortical_parcels = a network or set go "
                "together; give both or neither"
            )
        return self

    @property
    def leaves_as_read(self) -> bool:
        """Return whether nothing at all is asked for: no regression, no filter, no order."""
        return self.strategy == "none" and self.band_hz is None and self.order == "default"


class ConnectivitySection(Section):
    """How the runs of a session become one matrix."""

    estimator: Literal["pearson", "partial"] = Field(
        "pearson", description="Correlation of two parcels, or with all others held fixed"
    )
    shrinkage: Literal["none", "ledoit-wolf"] = Field(
        "none", description="none: empirical; ledoit-wolf: pulled towards 0, by data and noise"
    )

    runs: Literal["concatenate", "average"] = Field(
        "concatenate",
        description="concatenate: z-scored over kept frames, then joined; average: z averaged",
    )


class ExposureMeasureSection(Section):
    """A number that says how much drug somebody got; models may use it by its name."""

    name: Label = Field(description="Name of the variable")
    what: Literal[
        "peak",
        "time of peak",
        "average",
        "auc",
        "auc to infinity",
        "final",
        "at visit",
        "hours above",
        "average occupancy",
    ] = Field(
        description="at visit: one number for each visit, the others one for each person. average: "
        "over window_h, of measured ones the plain mean of the samples; average occupancy is assumed"
    )
    analyte: Literal["ketamine", "norketamine"] = Field("ketamine", description="Of what")
    window_h: tuple[float, float] | None = Field(
        None,
        description="Hours for average and auc; default: from the first dose to the end of the last "
        "one, of measured ones all samples",
    )
    above_ng_ml: float | None = Field(None, gt=0, description="Level for hours above, ng/ml")
    occupancy: Label = Field(
        "siegel2021",
        description="Assumed relation of concentration and block, for average occupancy; "
        "`connectrial dose --list` names them",
    )
    source: Literal["model", "measured"] = Field(
        "model", description="From the doses through the model, or from [[exposure.measured]]"
    )

    @model_validator(mode="after")
    def _level(self) -> ExposureMeasureSection:
        if (self.what == "hours above") != (self.above_ng_ml is not None):
            raise ValueError("above_ng_ml belongs to what = 'hours above', and is needed there")
        modelled = ("auc to infinity", "hours above", "average occupancy")
        if self.source == "measured" and self.what in modelled:
            raise ValueError(f"{self.what!r} cannot be had from samples; source must be 'model'")
        if self.window_h is not None and not 0 <= self.window_h[0] < self.window_h[1]:
            raise ValueError(f"window_h needs 0 <= start < end; got {list(self.window_h)}")
        return self


class MeasuredSection(Section):
    """A table of measured concentrations, ng/ml, one row per sample."""

    path: Label = Field(description="CSV, TSV or XLSX file")
    subject: Label = Field(description="Column with the person")
    time_h: str | None = Field(None, description="Column with hours from time zero")
    session: str | None = Field(None, description="Column with the session, for what = 'at visit'")
    columns: dict[Literal["ketamine", "norketamine"], tuple[Label, ...]] = Field(
        min_length=1,
        description='Analyte -> columns, added up: {ketamine = ["S-ketamine", "R-ketamine"]}',
    )
    below: Literal["half", "zero", "missing"] = Field(
        description="What a value below quantification (<2, BLQ, or a number under the limit) counts "
        "as: half the limit, 0, or missing. No rule is right: a stand-in"
    )
    limit_ng_ml: float | None = Field(
        None,
        gt=0,
        description="Limit of quantification of each column, where cells do not state it",
    )

    @model_validator(mode="after")
    def _when(self) -> MeasuredSection:
        if self.time_h is None and self.session is None:
            raise ValueError("needs 'time_h' or 'session': when was the sample taken?")
        return self


class ExposureResponseSection(Section):
    """A measure of exposure correlated with a change."""

    name: Label = Field(description="Name of the analysis")
    measure: Label = Field(description="Name of a [[exposure.measure]] that is one per person")
    scale: str | None = Field(None, description="Scale whose change it is")
    hypothesis: str | None = Field(None, description="Hypothesis whose network FC changes")
    baseline: Label = Field(description="Visit that the change starts from")
    visit: Label = Field(description="Visit that it ends at")
    method: Literal["pearson", "spearman"] = Field(
        "pearson", description="The declared correlation; the other stands beside it"
    )
    include_undosed: bool = Field(
        default=False,
        description="Whether people of arms without the drug enter, with exposure 0; then the "
        "correlation also holds the difference between the arms",
    )
    role: RoleName = Field("exploratory", description="Why the analysis is there")

    @model_validator(mode="after")
    def _one_outcome(self) -> ExposureResponseSection:
        if (self.scale is None) == (self.hypothesis is None):
            raise ValueError("needs exactly one of scale, hypothesis")
        return self


class ExposureSection(Section):
    """How much drug people got, from their doses through a model, or from their samples."""

    regimen: str | None = Field(
        None,
        description="A shipped dose plan (`connectrial dose --list`), a TOML file, or a table; with a "
        "column subject each person has a plan of their own",
    )
    model: Label = Field("otto2021", description="Compartment model; `connectrial dose --list`")
    weight: str | None = Field(
        None, description="Column of the participants table with the weight, kg"
    )
    weight_kg: float | None = Field(
        None, ge=2, le=400, description="Weight for people without one, kg: a stand-in"
    )
    arms: tuple[Label, ...] = Field(
        (), description="Arms that get the dose plan; people of other arms count as undosed (0)"
    )
    visit_h: dict[str, float] = Field(
        default_factory=dict,
        description="Visit -> hours from the first dose, for what = 'at visit'; default 24 x its day",
    )
    measure: tuple[ExposureMeasureSection, ...] = Field(
        min_length=1, description="What is derived; each is a variable for models"
    )
    measured: tuple[MeasuredSection, ...] = Field((), description="Measured concentrations")
    response: tuple[ExposureResponseSection, ...] = Field(
        (), description="Correlations with a change"
    )

    @model_validator(mode="after")
    def _has_a_source(self) -> ExposureSection:
        asked = {one.source for one in self.measure}
        if "model" in asked and self.regimen is None:
            raise ValueError("measures with source = 'model' need 'regimen', the dose plan")
        if "measured" in asked and not self.measured:
            raise ValueError("measures with source = 'measured' need [[exposure.measured]]")
        return self


class RestOf(Section):
    """A set against what is left of a network without it."""

    set: Label = Field(description="Set of parcels")
    rest_of: Label = Field(description="Network or set that it is taken out of")


class HypothesisSection(Section):
    """A system named in advance, and how it is tested."""

    name: Label = Field(description="Name of the analysis")
    within: str | None = Field(None, description="Network or set: mean over its edges")
    between: tuple[Label, Label] | RestOf | None = Field(
        None, description="Two networks or sets, or {set = ..., rest_of = ...}"
    )
    connections: tuple[tuple[Label, Label], ...] = Field((), description="List of pairs of parcels")
    model: Label = Field(description="Name of a [model.*]")
    tests: tuple[Label, ...] = Field(min_length=1, description="Terms of the model that are tested")
    role: RoleName = Field("primary", description="Why the analysis is there")
    family: str | None = Field(None, description="Name of a [family.*]")
    who: WhoName | None = Field(None, description="Who enters; default: patients, or everyone")
    analysis_set: str | None = Field(None, description="Name of an [analysis_sets.*]")
    estimand: str | None = Field(None, description="Name of an [estimand.*]")

    @model_validator(mode="after")
    def _one_system(self) -> HypothesisSection:
        if sum([self.within is not None, self.between is not None, bool(self.connections)]) != 1:
            raise ValueError("needs exactly one of within, between, connections")
        return self


class ComparisonSection(Section):
    """Patients against controls at each visit, for systems named in hypotheses."""

    name: Label = Field(description="Name of the analysis")
    hypotheses: tuple[Label, ...] = Field(
        min_length=1, description="Hypotheses whose systems are compared"
    )
    visits: tuple[Label, ...] = Field(min_length=1, description="Visits of the patients")
    equal_variance: bool = Field(default=True, description="Pooled t test; false: Welch's")
    role: RoleName = Field("secondary", description="Why the analysis is there")
    family: str | None = Field(None, description="Name of a [family.*]")


class ExplorationSection(Section):
    """One model for every edge."""

    name: Label = Field(description="Name of the analysis")
    model: Label = Field(description="Name of a [model.*]")
    test: Label = Field(description="Term that is mapped; it must be one column")
    networks: tuple[str, ...] = Field(
        (), description="Only edges inside and between these; default: all"
    )
    method: EdgeMethod = Field(
        "fdr_bh",
        description="Adjustment over all edges; max (largest statistic), tfnbs and nbs-* are by "
        "permutation",
    )
    n_permutations: int = Field(
        5000, ge=1, description="Permutations, for the methods that permute"
    )
    threshold: float | None = Field(
        None,
        gt=0,
        description="Threshold on |t| that makes components, for nbs-extent and nbs-intensity",
    )
    who: WhoName | None = Field(None, description="Who enters; default: patients, or everyone")

    @model_validator(mode="after")
    def _permutes(self) -> ExplorationSection:
        if "n_permutations" in self.model_fields_set and self.method in get_args(AdjustMethod):
            raise ValueError(
                f"n_permutations belongs to max, tfnbs, nbs-extent and nbs-intensity; method is "
                f"{self.method!r}, which permutes nothing; leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _threshold(self) -> ExplorationSection:
        if self.method.startswith("nbs") != (self.threshold is not None):
            raise ValueError(
                f"threshold belongs to nbs-extent and nbs-intensity; method is {self.method!r}"
            )
        return self


class SeedSection(Section):
    """What a map is seeded with: a set, a network, or a sphere."""

    set: str | None = Field(None, description="Set of parcels: the mean of their signals")
    network: str | None = Field(None, description="Network: the mean of its parcels' signals")
    sphere: tuple[float, float, float] | None = Field(
        None, description="Centre in world coordinates, mm: the mean of the voxels around it"
    )
    radius_mm: float | None = Field(None, gt=0, description="Radius of the sphere, mm")

    @model_validator(mode="after")
    def _one_place(self) -> SeedSection:
        if sum(one is not None for one in (self.set, self.network, self.sphere)) != 1:
            raise ValueError("seed needs exactly one of set, network, sphere")
        if (self.sphere is None) != (self.radius_mm is None):
            raise ValueError("seed: sphere and radius_mm come together")
        return self


class MapSection(Section):
    """A map over all voxels of images: of one seed, or of global connectivity."""

    measure: Literal["seed", "gbc"] = Field(
        "seed",
        description="seed: Fisher z with a seed; gbc: mean connectivity with all other voxels",
    )
    seed: SeedSection | None = Field(
        None,
        description="{ set = ... }, { network = ... } or { sphere = [x, y, z], radius_mm = ... }",
    )
    statistic: Literal["mean_z", "mean_r"] = Field(
        "mean_z", description="For gbc: mean Fisher z, or mean correlation (much cheaper)"
    )
    smoothing_fwhm_mm: float | None = Field(
        None,
        gt=0,
        description="Gaussian smoothing of each session's finished map before the group level, "
        "full width at half maximum, mm (6 is the field's habit); default: none",
    )
    model: str | None = Field(
        None, description="Name of a [model.*]; left out, the map is described and not tested"
    )
    tests: tuple[Label, ...] = Field(
        (), description="Terms of the model that are mapped; each must be one column"
    )
    method: Literal[AdjustMethod, "max", "none"] = Field(
        "fdr_bh",
        description="Adjustment over all voxels; max (largest statistic) is by permutation; none "
        "shows clusters by raw p",
    )
    alpha: float = Field(0.05, gt=0, lt=1, description="Level below which voxels form clusters")
    n_permutations: int = Field(5000, ge=1, description="Permutations, for max")
    min_cluster_voxels: int = Field(1, ge=1, description="Smallest cluster that is listed, voxels")
    min_coverage: Fraction = Field(
        0.8, description="Least share of people with data at a voxel (stand-in: no source says)"
    )
    who: WhoName | None = Field(None, description="Who enters; default: patients, or everyone")

    @model_validator(mode="after")
    def _fits_together(self) -> MapSection:
        if (self.measure == "seed") != (self.seed is not None):
            raise ValueError(
                "measure = 'seed' needs seed = { set = ... }, { network = ... } or { sphere = "
                "[x, y, z], radius_mm = ... }; measure = 'gbc' has none"
            )
        if self.measure == "seed" and "statistic" in self.model_fields_set:
            raise ValueError("statistic belongs to measure = 'gbc'; a seed's map is Fisher z")
        if bool(self.tests) != (self.model is not None):
            raise ValueError("model and tests come together; without them nothing is tested")
        untested = {"method", "alpha", "n_permutations", "min_cluster_voxels"}
        useless = sorted(untested & self.model_fields_set) if self.model is None else []
        if useless:
            raise ValueError(f"{useless[0]} needs a model; without one nothing is tested")
        return self


class ModelSection(Section):
    """A mixed model, as terms with explicit coding."""

    fixed: tuple[Label, ...] = Field(
        min_length=1, description="Fixed terms, such as visit, visit:arm"
    )
    random: tuple[Label, ...] = Field(
        ("1 | subject",), description="Random terms, such as 1 | subject or day | subject"
    )
    covariance: str | None = Field(
        None,
        description="Covariance between visits in place of random terms, such as us(visit | subject)",
    )
    coding: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="Variable -> level -> number; default: treatment contrasts",
    )
    df: DfMethod = Field("satterthwaite", description="Declared degrees of freedom")
    reml: bool = Field(default=True, description="Restricted maximum likelihood")

    @model_validator(mode="after")
    def _one_dependence(self) -> ModelSection:
        if self.covariance is not None and "random" in self.model_fields_set and self.random:
            raise ValueError(
                "random and covariance both say how visits of a person hang together; keep one"
            )
        if self.covariance is None and not self.random:
            raise ValueError(
                "random is empty, so nothing says how visits of a person hang together; write "
                'random = ["1 | subject"], or a covariance'
            )
        if not self.reml and self.df.startswith("kenward-roger"):
            raise ValueError(
                f"df = {self.df!r} needs restricted maximum likelihood; leave reml = false out, or take "
                "df = 'satterthwaite'"
            )
        return self

    @property
    def random_terms(self) -> tuple[str, ...]:
        """Return the random terms; none where a covariance between visits takes their place."""
        return () if self.covariance is not None else self.random


class FamilySection(Section):
    """Tests that share one adjustment."""

    method: AdjustMethod = Field("holm", description="Adjustment")
    size: int | None = Field(
        None,
        ge=1,
        description="Number of tests; must equal the member tests (larger with bonferroni)",
    )
    alpha: float = Field(0.05, gt=0, lt=1, description="Level of the verdict")


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
    time_to_event: tuple[TimeToEventSection, ...] = ()
    comparison: tuple[ComparisonSection, ...] = ()
    exploration: tuple[ExplorationSection, ...] = ()
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
    return re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match.group(1)], text)


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
