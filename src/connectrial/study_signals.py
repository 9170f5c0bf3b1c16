"""What the study file says of parcels and signals: atlas, sets, motion to connectivity."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from connectrial.study_base import Fraction, Label, Section


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
    edge_reliability: bool = Field(
        default=False,
        description="Intraclass correlation of every edge over the sessions of each visit that has several",
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
    parcel_mean: Literal["leave", "regress"] = Field(
        "leave",
        description="Series only: regress takes the mean of all parcels out of each, an approximation "
        "where voxels are not at hand; it is not global signal regression",
    )
    network_strength: bool = Field(
        default=False,
        description="Tabulate each session's mean z within every network and between every two",
    )
    standard_errors: Literal["none", "remaining-df", "xdf"] = Field(
        "none",
        description="Write each edge's standard error beside the matrix: from the degrees of freedom "
        "that denoising left (images), or from each pair's auto- and cross-correlations (xDF)",
    )

    @model_validator(mode="after")
    def _of_plain_z(self) -> ConnectivitySection:
        plain = (self.estimator, self.shrinkage, self.runs) == ("pearson", "none", "concatenate")
        if self.standard_errors != "none" and not plain:
            raise ValueError(
                "standard_errors are those of Pearson's z of joined runs; take estimator = 'pearson', "
                "shrinkage = 'none' and runs = 'concatenate', or leave standard_errors out"
            )
        return self
