"""What the study file says of doses, concentrations and their measures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from connectrial.study_base import Label, RoleName, Section


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
    column: str | None = Field(
        None,
        description="Measured: one column of [[exposure.measured]] alone, such as an enantiomer or a "
        "further metabolite, in place of the analyte",
    )
    window_h: tuple[float, float] | None = Field(
        None,
        description="Hours for average and auc; default: from the first dose to the end of the last "
        "one, of measured ones all samples",
    )
    above_ng_ml: float | None = Field(None, gt=0, description="Level for hours above, ng/ml")
    occupancy: Label = Field(
        "siegel2021",
        description="Assumed relation of concentration and block, for average occupancy; "
        "`connectrial dose --list` names them; or numbers, 'ic50=500, hill=1.2' (ng/ml), 'ic50_um=0.9'",
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
        if self.column is not None and (
            self.source == "model" or "analyte" in self.model_fields_set
        ):
            raise ValueError(
                "column is one of the measured ones: it needs source = 'measured', and no analyte beside it"
            )
        return self

    @property
    def sampled(self) -> str:
        """Return what the samples call it: an analyte, or a column of its own."""
        return self.column or self.analyte


class MeasuredSection(Section):
    """A table of measured concentrations, ng/ml, one row per sample."""

    path: Label = Field(description="CSV, TSV or XLSX file")
    subject: Label = Field(description="Column with the person")
    time_h: str | None = Field(None, description="Column with hours from time zero")
    session: str | None = Field(None, description="Column with the session, for what = 'at visit'")
    columns: dict[Label, tuple[Label, ...]] = Field(
        min_length=1,
        description='Analyte -> columns, added up: {ketamine = ["S-ketamine", "R-ketamine"]}; any name '
        "beside ketamine and norketamine may stand for a further metabolite",
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
    measure: Label = Field(
        description="Name of a [[exposure.measure]] that is one per person, or of a [variables.*] that is "
        "a number, such as an acute effect of the drug"
    )
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
    treatments: tuple[Label, ...] = Field(
        (),
        description="Crossover: treatments that are the dose plan, whose hours then count from the start "
        "of its period; under the others people count as undosed (0)",
    )
    visit_h: dict[str, float] = Field(
        default_factory=dict,
        description="Visit -> hours from the first dose (in a crossover, of its period), for what = "
        "'at visit'; default 24 x its day",
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
