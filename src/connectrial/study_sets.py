"""What the study file says of sets of connections, of contrasts and of variants of processing."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from connectrial.study_base import Label, RoleName, Section
from connectrial.study_signals import ConnectivitySection, DenoisingSection
from connectrial.wording import contrast_term


class ConnectionTable(Section):
    """A list of connections in a table of its own, so that it can be edited and told apart."""

    table: Label = Field(
        description="CSV, TSV or XLSX file, in the dataset or beside the study file"
    )
    set: str | None = Field(None, description="Only its rows of this set; default: all rows")
    columns: tuple[Label, Label] = Field(
        ("roi_a", "roi_b"),
        description="Columns with the two ends: parcels, or sets and networks of parcels",
    )
    set_column: Label = Field("set", description="Column with the set")
    source_column: Label = Field(
        "source",
        description="Column that says where a row is from; one that begins with 'stand-in' is "
        "labelled so in every output",
    )


class ContrastSection(Section):
    """One treatment of a crossover against another, at a visit or over several."""

    treatment: Label = Field(description="Treatment")
    against: str | None = Field(
        None, description="Treatment that it is compared with; default: the reference"
    )
    visits: tuple[Label, ...] = Field(
        (), description="Visits that it is the mean over; default: all of the model"
    )
    since: str | None = Field(
        None,
        description="Visit before, whose difference is taken off: treatments then are compared in change",
    )
    family: str | None = Field(None, description="Name of a [family.*]; default: the analysis'")

    def stated(self, reference: str) -> ContrastSection:
        """Return the contrast with the reference written out where it names no other treatment."""
        return self.model_copy(update={"against": self.against or reference})

    def term(self, reference: str = "") -> str:
        """Return what the contrast is called in tables."""
        against = self.against or reference
        return contrast_term(self.treatment, against, visits=self.visits, since=self.since)


class EdgeSetSection(Section):
    """A hypothesis' connections against random sets of connections that are matched to them."""

    name: Label = Field(description="Name of the analysis")
    hypothesis: Label = Field(
        description="Hypothesis with a list of connections, a network or two; its model is fitted "
        "to each of them"
    )
    test: Label = Field(description="Term or column of its model that is one column of the design")
    others: str | None = Field(
        None,
        description="Hypothesis whose connections are drawn from; default: all others of the atlas",
    )
    match: tuple[Literal["distance", "strength", "networks", "reliability"], ...] = Field(
        ("distance", "strength"),
        description="What random sets are alike in: length (mm), mean Fisher z over all sessions "
        "(or those of `strength_of`), pair of networks, reliability over sessions (stand-in: no "
        "source says)",
    )
    strength_of: str | None = Field(
        None, description="Treatment or visit whose sessions give the strength; default: all"
    )
    n_bins: int = Field(
        4, ge=1, le=20, description="Bins of each number, at its quantiles (stand-in)"
    )
    statistic: Literal["mean", "mean absolute t"] = Field(
        "mean",
        description="mean: of the connections' estimates, so that they must move one way; mean "
        "absolute t: whichever way each moves",
    )
    n_permutations: int = Field(5000, ge=1, description="Random sets")
    role: RoleName = Field("sensitivity", description="Why the analysis is there")
    family: str | None = Field(None, description="Name of a [family.*]")


class VariantSection(Section):
    """The same scans processed in another way: every hypothesis again, as sensitivity.

    What a variant does not say stays as the study has it.
    """

    description: str = Field("", description="What is other about it, in a few words")
    derivatives: str | None = Field(
        None, description="Another folder with scans, such as ready-made series without GSR"
    )
    data_description: str | None = Field(
        None, description="Another desc- entity of the files; 'none' for files without"
    )
    denoising: DenoisingSection | None = Field(
        None, description="Another way to clean images, as a whole [denoising] section"
    )
    connectivity: ConnectivitySection | None = Field(
        None, description="Another way from series to matrices, as a whole [connectivity] section"
    )

    @model_validator(mode="after")
    def _says_something(self) -> VariantSection:
        if not self.model_fields_set - {"description"}:
            raise ValueError(
                "says nothing that is other; give denoising, connectivity, derivatives or "
                "data_description"
            )
        return self
