"""What the study file says is tested: hypotheses, comparisons, maps, models, families."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from connectrial.study_base import Fraction, Label, RoleName, Section, WhoName
from connectrial.study_sets import ConnectionTable, ContrastSection

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
    "networks",
]


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
    connections: tuple[tuple[Label, Label], ...] | ConnectionTable = Field(
        (), description="List of pairs of parcels, or {table = ..., set = ...}"
    )
    difference: tuple[Label, Label] | None = Field(
        None,
        description="Two other hypotheses: the first one's mean minus the second one's, session by "
        "session, so that a test asks whether the first moved more",
    )
    gbc: str | None = Field(
        None,
        description="Network or set: global brain connectivity, each parcel's mean Fisher z with all "
        "others, averaged over the set",
    )
    participation: str | None = Field(
        None,
        description="Network or set: participation coefficient over the atlas' networks (positive "
        "edges), averaged over the set",
    )
    model: Label = Field(description="Name of a [model.*]")
    tests: tuple[Label, ...] = Field((), description="Terms of the model that are tested")
    contrasts: tuple[ContrastSection, ...] = Field(
        (), description="Treatments of a crossover against each other, at visits or over them"
    )
    visits: tuple[Label, ...] = Field((), description="Visits that enter; default: all with scans")
    role: RoleName = Field("primary", description="Why the analysis is there")
    family: str | None = Field(None, description="Name of a [family.*]")
    who: WhoName | None = Field(None, description="Who enters; default: patients, or everyone")
    analysis_set: str | None = Field(None, description="Name of an [analysis_sets.*]")
    estimand: str | None = Field(None, description="Name of an [estimand.*]")

    @model_validator(mode="after")
    def _one_system(self) -> HypothesisSection:
        listed = self.connections or None
        given = (self.within, self.between, listed, self.difference, self.gbc, self.participation)
        if sum(one is not None for one in given) != 1:
            raise ValueError(
                "needs exactly one of within, between, connections, difference, gbc, participation"
            )
        if not self.tests and not self.contrasts:
            raise ValueError("needs 'tests' or 'contrasts'")
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
    test: Label = Field(
        description="Term that is mapped; where it has several columns, the one that is meant, such "
        "as treatment[high] (not with methods that permute)"
    )
    networks: tuple[str, ...] = Field(
        (), description="Only edges inside and between these; default: all"
    )
    method: EdgeMethod = Field(
        "fdr_bh",
        description="Adjustment over all edges; max (largest statistic), tfnbs and nbs-* are by "
        "permutation, and so is networks: the mean statistic of every block of edges within a network "
        "or between two, p over all blocks",
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
                f"n_permutations belongs to max, tfnbs, nbs-extent, nbs-intensity and networks; method is "
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
    """A map over all voxels of images: of one seed, global connectivity, or a receptor's (REACT)."""

    measure: Literal["seed", "gbc", "react"] = Field(
        "seed",
        description="seed: Fisher z with a seed; gbc: mean connectivity with all other voxels; react: "
        "signal that follows a map of receptor density",
    )
    seed: SeedSection | None = Field(
        None,
        description="{ set = ... }, { network = ... } or { sphere = [x, y, z], radius_mm = ... }",
    )
    statistic: Literal["mean_z", "mean_r"] = Field(
        "mean_z", description="For gbc: mean Fisher z, or mean correlation (much cheaper)"
    )
    receptors: dict[str, Label] = Field(
        default_factory=dict,
        description="For react: name -> map of its density, on the grid of the runs (.nii.gz, "
        ".dscalar.nii, or the left of two .shape.gii); all of them enter one regression",
    )
    receptor: str | None = Field(
        None, description="For react: which of several receptors this map shows"
    )
    reference: str | None = Field(
        None, description="For react: mask of the tracers' reference region, left out of stage 1"
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
        (),
        description="Terms of the model that are mapped, each of their columns on its own (with "
        "method = 'max', each must be one column)",
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
                "[x, y, z], radius_mm = ... }; other measures have none"
            )
        if self.measure != "gbc" and "statistic" in self.model_fields_set:
            raise ValueError("statistic belongs to measure = 'gbc'; a seed's map is Fisher z")
        if (self.measure == "react") != bool(self.receptors):
            raise ValueError(
                "measure = 'react' needs receptors = { NAME = 'density.nii.gz' }; other measures "
                "have none"
            )
        if self.measure != "react" and (self.receptor or self.reference):
            raise ValueError("receptor and reference belong to measure = 'react'")
        if len(self.receptors) > 1 and self.receptor is None:
            raise ValueError(
                f"receptor must say which of {list(self.receptors)} this map shows; all of them enter"
            )
        if self.receptor is not None and self.receptor not in self.receptors:
            raise ValueError(f"receptor: {self.receptor!r} is not among {list(self.receptors)}")
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
    variance_intervals: Literal["profile", "bootstrap"] | None = Field(
        None,
        description="Intervals of variance components and of the intraclass correlation, in hypotheses and "
        "[[clinical]] with random terms: profile of the likelihood, or parametric bootstrap (999 samples)",
    )

    @model_validator(mode="after")
    def _one_dependence(self) -> ModelSection:
        if self.covariance is not None and "random" in self.model_fields_set and self.random:
            raise ValueError(
                "random and covariance both say how visits of a person hang together; keep one"
            )
        if self.covariance is not None and self.variance_intervals is not None:
            raise ValueError(
                "variance_intervals belongs to random terms; a covariance between visits has none"
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
