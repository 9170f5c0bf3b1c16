"""Sections of the study file that compare scales over visits and between arms."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from connectrial.study_base import Label, RoleName, Section, WhoName
from connectrial.study_sets import ContrastSection

ClinicalMethod = Literal[
    "mixed",
    "mmrm",
    "anova",
    "ancova",
    "ordinal",
    "reference-based",
    "equivalence",
    "non-inferiority",
]
ImputationStrategy = Literal["jump to reference", "copy reference", "copy increments", "mar"]
#: Methods that compare arms at one visit.
ARM_METHODS = ("ancova", "ordinal", "reference-based", "equivalence", "non-inferiority")
#: Methods that take the values of arms as they are, and the margin that was fixed before.
MARGIN_METHODS = ("equivalence", "non-inferiority")


class ClinicalSection(Section):
    """A scale compared over visits or between arms."""

    name: Label = Field(description="Name of the analysis")
    scale: Label = Field(description="Scale")
    method: ClinicalMethod | None = Field(
        None,
        description="mixed: the model named; mmrm: change ~ baseline + arm * visit with an "
        "unstructured covariance; anova: repeated measures with paired tests; ancova, ordinal, "
        "reference-based: arms at one visit; equivalence (two one-sided tests), non-inferiority: arms at "
        "one visit against a margin. Default: mixed with a model, else mmrm",
    )
    outcome: Literal["score", "change"] | None = Field(
        None,
        description="The score, or its change from the baseline visit; default: change for mmrm "
        "and ancova, else score",
    )
    baseline: str | None = Field(None, description="Visit of the baseline (for change)")
    visits: tuple[str, ...] = Field((), description="Visits that enter; default: all with scores")
    visit: str | None = Field(
        None, description="Visit that is compared (methods for one visit, mmrm's test)"
    )
    margin: float | None = Field(
        None,
        gt=0,
        description="In the scale's unit, fixed before the data are seen: means differ by less than it "
        "(equivalence); the arm is worse than the first by less than it (non-inferiority)",
    )
    equal_variance: bool = Field(
        default=False,
        description="Pooled t tests; false: Welch's (equivalence, non-inferiority)",
    )
    alpha: float | None = Field(
        None,
        gt=0,
        lt=0.5,
        description="One-sided level against the margin; the interval has level 1 - 2 alpha. Default: "
        "0.05 for equivalence, 0.025 for non-inferiority",
    )
    model: str | None = Field(None, description="Name of a [model.*] (mixed)")
    tests: tuple[Label, ...] = Field(
        (), description="Terms of the model that are tested (mixed); others test by their method"
    )
    contrasts: tuple[ContrastSection, ...] = Field(
        (),
        description="Treatments of a crossover against each other, at visits or over them (mixed)",
    )
    covariates: tuple[str, ...] = Field((), description="Further variables (mmrm, ancova)")
    df: str | None = Field(
        None,
        description="Degrees of freedom: of mixed models for mmrm (default satterthwaite); "
        "residual, greenhouse-geisser (default) or huynh-feldt for anova",
    )
    strategy: ImputationStrategy | None = Field(
        None, description="What follows dropping out (reference-based)"
    )
    n_imputations: int = Field(100, ge=2, description="Imputed data sets (reference-based)")
    n_bootstraps: int = Field(
        200, ge=0, description="Bootstrap samples beside them; 0 for none (reference-based)"
    )
    role: RoleName = Field("secondary", description="Why the analysis is there")
    family: str | None = Field(None, description="Name of a [family.*]")
    who: WhoName | None = Field(None, description="Who enters; default: patients, or everyone")
    analysis_set: str | None = Field(None, description="Name of an [analysis_sets.*]")
    estimand: str | None = Field(None, description="Name of an [estimand.*]")

    @property
    def way(self) -> str:
        """Return the method, the default filled in."""
        return self.method or ("mixed" if self.model is not None else "mmrm")

    @property
    def measure(self) -> str:
        """Return "score" or "change", the default filled in."""
        return self.outcome or ("change" if self.way in ("mmrm", "ancova") else "score")

    @model_validator(mode="after")
    def _fits_method(self) -> ClinicalSection:
        way = self.way
        margins = {"visit", "baseline", "outcome", "margin", "equal_variance", "alpha"}
        allowed = {
            "mixed": {"model", "tests", "contrasts", "visits", "outcome", "baseline"},
            "mmrm": {"visits", "visit", "covariates", "df", "baseline", "outcome"},
            "anova": {"visits", "df", "baseline"},
            "ancova": {"visit", "covariates", "baseline", "outcome"},
            "ordinal": {"visit", "baseline", "outcome"},
            **dict.fromkeys(MARGIN_METHODS, margins),
            "reference-based": {"visits", "visit", "strategy", "n_imputations", "n_bootstraps"}
            | {"baseline"},
        }
        optional = set().union(*allowed.values())
        foreign = sorted((self.model_fields_set & optional) - allowed[way])
        foreign = [name for name in foreign if getattr(self, name) not in (None, ())]
        if foreign:
            raise ValueError(f"{foreign[0]} does not belong to method = {way!r}")
        needed = {"mixed": ("model", "tests"), "mmrm": ("baseline",), "anova": ("baseline",)}
        needed |= {"ancova": ("baseline", "visit"), "ordinal": ("visit",)}
        needed |= {"reference-based": ("baseline", "visit", "strategy")}
        needed |= dict.fromkeys(MARGIN_METHODS, ("visit", "margin"))
        lacking = [name for name in needed[way] if not getattr(self, name)]
        if self.contrasts:
            lacking = [name for name in lacking if name != "tests"]
        if lacking:
            raise ValueError(f"method = {way!r} needs {' and '.join(map(repr, lacking))}")
        return self


class CorrelationSection(Section):
    """A score correlated with network FC, with another score or with a variable."""

    name: Label = Field(description="Name of the analysis")
    scale: Label = Field(description="Scale")
    hypothesis: str | None = Field(None, description="Hypothesis whose network FC goes with it")
    other_scale: str | None = Field(None, description="Or another scale")
    variable: str | None = Field(None, description="Or a [variables.*] that is a number")
    method: Literal["pearson", "spearman", "repeated measures"] = Field(
        "pearson",
        description="pearson and spearman: over people, one declared, the other beside it; repeated "
        "measures: within people over visits, everybody with a level of their own and one slope",
    )
    visit: str | None = Field(None, description="Visit whose values are correlated")
    baseline: str | None = Field(
        None, description="Visit that changes start from: then changes to 'visit' are correlated"
    )
    visits: tuple[Label, ...] = Field(
        (), description="Visits that enter (repeated measures); default: all"
    )
    covariates: tuple[Label, ...] = Field(
        (),
        description="Variables, or arm, whose linear part is taken out of both: a partial correlation",
    )
    role: RoleName = Field("exploratory", description="Why the analysis is there")
    family: str | None = Field(None, description="Name of a [family.*]")
    who: WhoName | None = Field(None, description="Who enters; default: patients, or everyone")
    analysis_set: str | None = Field(None, description="Name of an [analysis_sets.*]")
    estimand: str | None = Field(None, description="Name of an [estimand.*]")

    @property
    def other(self) -> str:
        """Return the name of what the scale is correlated with."""
        return self.hypothesis or self.other_scale or self.variable or ""

    @property
    def term(self) -> str:
        """Return the name of the test."""
        if self.method == "repeated measures":
            return f"{self.other} ~ {self.scale} within people"
        if self.baseline is not None:
            return f"{self.other} ~ {self.scale}, change {self.baseline} to {self.visit}"
        return f"{self.other} ~ {self.scale} at {self.visit}"

    @model_validator(mode="after")
    def _fits_together(self) -> CorrelationSection:
        if sum(one is not None for one in (self.hypothesis, self.other_scale, self.variable)) != 1:
            raise ValueError("needs exactly one of hypothesis, other_scale, variable")
        if self.other_scale == self.scale:
            raise ValueError(f"other_scale: {self.scale!r} would be correlated with itself")
        if self.method == "repeated measures":
            foreign = [k for k in ("visit", "baseline", "covariates") if getattr(self, k)]
            if foreign:
                raise ValueError(
                    f"{foreign[0]} does not belong to method = 'repeated measures', which takes all visits"
                )
            if self.variable is not None:
                raise ValueError(
                    "variable: does not vary within people; take hypothesis or other_scale, or another "
                    "method"
                )
            return self
        if self.visits:
            raise ValueError("visits belongs to method = 'repeated measures'; name 'visit'")
        if self.visit is None:
            raise ValueError(f"method = {self.method!r} needs 'visit'")
        return self
