"""Sections of the study file about people, scales, endpoints and safety."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from connectrial.study_base import Label, RoleName, Section, WhoName

Strategy = Literal[
    "treatment policy", "hypothetical", "composite", "while on treatment", "principal stratum"
]
MissingRule = Literal["observed", "worst case", "locf"]


class RuleSection(Section):
    """A condition on a person: a column of the participants table, or a score at a visit."""

    name: str | None = Field(None, description="Words for tables; default: the condition itself")
    column: str | None = Field(None, description="Column of the participants table")
    scale: str | None = Field(None, description="Scale, in place of a column")
    visit: str | None = Field(None, description="Visit of that score")
    one_of: tuple[str, ...] = Field((), description="Allowed values")
    none_of: tuple[str, ...] = Field((), description="Values that are not allowed")
    at_least: float | None = Field(None, description="Lowest allowed number")
    at_most: float | None = Field(None, description="Highest allowed number")
    above: float | None = Field(None, description="Only numbers above this")
    below: float | None = Field(None, description="Only numbers below this")
    missing: Literal["fail", "pass"] = Field(
        "fail", description="What a missing value means; it is counted in either case"
    )

    @model_validator(mode="after")
    def _whole(self) -> RuleSection:
        if (self.column is None) == (self.scale is None):
            raise ValueError("needs exactly one of 'column' and 'scale'")
        if (self.scale is None) != (self.visit is None):
            raise ValueError("'scale' and 'visit' belong together")
        limits = (self.at_least, self.at_most, self.above, self.below)
        if not self.one_of and not self.none_of and all(one is None for one in limits):
            raise ValueError(
                "needs a condition: one_of, none_of, at_least, at_most, above or below"
            )
        if self.scale is not None and (self.one_of or self.none_of):
            raise ValueError("a score takes at_least, at_most, above, below; one_of is for words")
        return self


class EligibilitySection(RuleSection):
    """A condition for taking part; whoever fails it is left out and counted."""

    who: WhoName = Field("patients", description="Whom it is asked of; patients without [groups]")


class AnalysisSetSection(Section):
    """People by rule, and what becomes of missing outcomes."""

    description: str = Field("", description="In words, for the report")
    rules: tuple[RuleSection, ...] = Field((), description="All must hold; none takes everybody")
    missing: MissingRule = Field(
        "observed",
        description="Missing outcomes: as observed (models: missing at random); worst case: not "
        "met (yes-or-no endpoints); locf: last observation carried forward",
    )


class EstimandSection(Section):
    """What is estimated, in the five attributes of ICH E9(R1)."""

    treatment: str = Field("", description="Treatment condition, and what it is compared with")
    population: Label = Field(description="Whom the question is about")
    variable: Label = Field(description="Outcome of each person")
    intercurrent_events: dict[Label, Strategy] = Field(
        default_factory=dict, description="Event -> strategy"
    )
    summary: Label = Field(description="Population-level summary, such as the difference in means")


class FlowSection(Section):
    """What became of people after they entered, from a column of the participants table."""

    disposition: Label = Field(description="Column of the participants table")
    completed: tuple[Label, ...] = Field(min_length=1, description="Its values for completers")
    lost: tuple[Label, ...] = Field((), description="Its values for loss to follow-up")
    excluded: tuple[Label, ...] = Field((), description="Its values for investigators' exclusions")
    not_treated: tuple[Label, ...] = Field((), description="Its values for never treated")


class TimeToEventSection(Section):
    """Time to the first visit at which a rule on a scale holds."""

    name: Label = Field(description="Name of the analysis")
    scale: Label = Field(description="Scale")
    event: Literal["response", "remission", "relapse"] = Field(
        description="relapse: after a response, the first visit at which it is lost"
    )
    baseline: Label = Field(description="Visit from which time runs")
    min_percent_decrease: float | None = Field(
        None, gt=0, le=100, description="Response: least decrease from baseline, percent"
    )
    below: float | None = Field(None, description="Remission: score below this")
    at_most: float | None = Field(None, description="Remission: score at or below this")
    relapse_percent_decrease: float | None = Field(
        None, gt=0, le=100, description="Relapse: decrease from baseline below this, percent"
    )
    role: RoleName = Field("exploratory", description="Why the analysis is there")
    family: str | None = Field(None, description="Name of a [family.*]")
    analysis_set: str | None = Field(None, description="Name of an [analysis_sets.*]")
    estimand: str | None = Field(None, description="Name of an [estimand.*]")

    @model_validator(mode="after")
    def _rules(self) -> TimeToEventSection:
        needed = "min_percent_decrease" if self.event != "remission" else "below or at_most"
        given = [self.min_percent_decrease, self.below, self.at_most]
        right = (
            [given[0] is None, (given[1] is None) != (given[2] is None)]
            if self.event == "remission"
            else [given[0] is not None, given[1] is None and given[2] is None]
        )
        if not all(right):
            raise ValueError(f"event = {self.event!r} needs {needed}, and no other rule")
        if (self.event == "relapse") != (self.relapse_percent_decrease is not None):
            raise ValueError("relapse_percent_decrease belongs to event = 'relapse', and is needed")
        return self


class SafetySection(Section):
    """Side effects, courses of safety scales, vital signs."""

    events: dict[str, str] = Field(
        default_factory=dict, description="Side effect -> column of the clinical tables"
    )
    severity: dict[str, float] = Field(
        default_factory=dict,
        description="Word -> severity, where the cells hold words; 0 is none",
    )
    present_from: float = Field(1, gt=0, description="Least severity that counts as present")
    visits: tuple[str, ...] = Field((), description="Visits that count; default: all with entries")
    courses: tuple[str, ...] = Field((), description="Scales whose means by visit are shown")
    vital_signs: tuple[str, ...] = Field((), description="Scales whose change is shown")
    baseline: str | None = Field(None, description="Visit that changes of vital signs start from")
    exposure: tuple[str, ...] = Field(
        (), description="Variables, or arm, that any side effect is regressed on (Firth)"
    )
    analysis_set: str | None = Field(None, description="Name of an [analysis_sets.*]")

    @model_validator(mode="after")
    def _together(self) -> SafetySection:
        if self.vital_signs and self.baseline is None:
            raise ValueError("vital_signs needs 'baseline', the visit that changes start from")
        if self.exposure and not self.events:
            raise ValueError("exposure needs 'events': it is what they are regressed on")
        return self


class VolumesSection(Section):
    """Structural volumes as predictors of a clinical change."""

    table: Label = Field(description="Table that asegstats2table writes (TSV or CSV)")
    structures: tuple[Label, ...] = Field(min_length=1, description="Its columns to test")
    intracranial: str = Field(
        "EstimatedTotalIntraCranialVol", description="Its column with intracranial volume"
    )
    session: str | None = Field(None, description="Session, where there are several per person")
    scale: Label = Field(description="Scale whose change is correlated")
    baseline: Label = Field(description="Visit from which the change is taken")
    visit: Label = Field(description="Visit to which it is taken")
    outcome: Literal["change", "percent_change"] = Field(
        "change", description="Change in points, or in percent of baseline"
    )
    method: Literal["pearson", "spearman"] = Field("pearson", description="Correlation")
    role: RoleName = Field("exploratory", description="Why the analysis is there")
    analysis_set: str | None = Field(None, description="Name of an [analysis_sets.*]")


class ScaleSection(Section):
    """A clinical scale."""

    column: str | None = Field(
        None, description="Column or scale name in the tables; default: its own"
    )
    minimum: float | None = Field(None, description="Lowest possible score; lower ones are refused")
    maximum: float | None = Field(
        None, description="Highest possible score; higher ones are refused"
    )
    better: Literal["lower", "higher"] = Field("lower", description="Which way improvement lies")
    unit: str = Field("points", description="Unit of the score")
    definition: Any = Field(
        None,
        description="A scale that comes with the package (such as MADRS), a TOML file, or a table: "
        "items, ranges, codes for not assessed, totals",
        json_schema_extra={"anyOf": [{"type": "string"}, {"type": "object"}, {"type": "null"}]},
    )
    score: str | None = Field(
        None, description="Which of the definition's scores; default: the total"
    )
    items: str | tuple[str, ...] | None = Field(
        None,
        description="Columns of the items, in order, or a pattern such as MADRS_{n}; left out, the "
        "column holds the total",
    )
    max_missing: int | None = Field(
        None, ge=0, description="Most missing items that are prorated; default: the definition's"
    )

    @field_validator("definition", mode="before")
    @classmethod
    def _definition(cls, value: object) -> object:
        if value is None or isinstance(value, str | Mapping):
            return value
        raise ValueError("must be a scale's name, a file that ends in .toml, or a table")

    @model_validator(mode="after")
    def _range(self) -> ScaleSection:
        if self.minimum is not None and self.maximum is not None and self.minimum >= self.maximum:
            raise ValueError(
                f"minimum = {self.minimum:g} is not below maximum = {self.maximum:g}; no score is allowed"
            )
        return self

    @model_validator(mode="after")
    def _needs_definition(self) -> ScaleSection:
        lacking = [
            name
            for name in ("score", "items", "max_missing")
            if getattr(self, name) is not None and self.definition is None
        ]
        if lacking:
            raise ValueError(f"{lacking[0]} needs 'definition', which says what the items are")
        if self.max_missing is not None and self.items is None:
            raise ValueError("max_missing needs 'items'; a total has none")
        if isinstance(self.items, str) and "{n}" not in self.items:
            raise ValueError(f"items must hold {{n}} where the number stands; got {self.items!r}")
        return self


class EndpointSection(Section):
    """A yes-or-no outcome of a person, by a rule on a scale."""

    scale: Label = Field(description="Scale")
    visit: Label = Field(description="Visit at which it is judged")
    baseline: str | None = Field(None, description="Visit of the baseline (for a decrease)")
    min_percent_decrease: float | None = Field(
        None, gt=0, le=100, description="Response: least decrease from baseline, percent"
    )
    below: float | None = Field(None, description="Remission: score below this")
    at_most: float | None = Field(None, description="Remission: score at or below this")
    until: str | None = Field(
        None, description="Sustained: the rule must hold at every visit from 'visit' to this one"
    )
    among: str | None = Field(
        None, description="Only people who met this other endpoint, such as early responders"
    )
    called: tuple[Label, Label] | None = Field(
        None,
        description="What people who meet it and people who do not are called, such as ['improved', "
        "'not improved']; default: responder for a decrease, remitter for a limit, with 'non-'",
    )
    role: RoleName | Literal["descriptive"] = Field(
        "descriptive", description="Why the analysis is there"
    )
    family: str | None = Field(
        None, description="Name of a [family.*] that the risk differences between arms belong to"
    )
    test: Literal["score", "fisher", "boschloo"] | None = Field(
        None,
        description="Test of the risk difference between arms: score (the default, for many people), "
        "or exact for small counts: fisher (with the conditional odds ratio and its exact interval) or "
        "boschloo (less cautious; for arms whose sizes were fixed)",
    )
    analysis_sets: tuple[str, ...] = Field(
        (), description="Names of [analysis_sets.*], each a row; default: all with a score"
    )
    estimand: str | None = Field(None, description="Name of an [estimand.*]")

    @model_validator(mode="after")
    def _one_rule(self) -> EndpointSection:
        if self.called is not None and self.called[0] == self.called[1]:
            raise ValueError(f"called needs two different words; got {self.called[0]!r} twice")
        rules = [self.min_percent_decrease, self.below, self.at_most]
        if sum(rule is not None for rule in rules) != 1:
            raise ValueError("needs exactly one of min_percent_decrease, below, at_most")
        if self.min_percent_decrease is not None and self.baseline is None:
            raise ValueError("min_percent_decrease needs 'baseline'")
        if self.min_percent_decrease is None and self.baseline is not None:
            raise ValueError(
                "baseline belongs to min_percent_decrease; below and at_most judge the score at 'visit' "
                "alone; leave baseline out"
            )
        return self

    @property
    def levels(self) -> tuple[str, str]:
        """Return the names of yes and no, yes first."""
        if self.called is not None:
            return self.called
        if self.min_percent_decrease is not None:
            return ("responder", "non-responder")
        return ("remitter", "non-remitter")

    def plural(self, *, met: bool) -> str:
        """Return what several people are called who meet it, or who do not."""
        return self.levels[0 if met else 1] + ("s" if self.called is None else "")
