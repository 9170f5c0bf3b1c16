"""The tidy schema of an estimate, one analysis' result, and a whole run's results.

Schema only: ``io.outputs`` saves and loads it, ``figures`` and ``report`` show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import FloatArray, Grayordinates
from connectrial.errors import InputError

Role = Literal[
    "primary",
    "secondary",
    "negative control",
    "exploratory",
    "sensitivity",
    "quality",
    "descriptive",
    "safety",
]
Kind = Literal[
    "coefficient",
    "contrast",
    "F test",
    "difference",
    "mean",
    "effect size",
    "proportion",
    "risk difference",
    "risk ratio",
    "odds ratio",
    "hazard ratio",
    "probabilistic index",
    "number needed to treat",
    "test",
    "median",
    "correlation",
    "reliability",
    "variance",
    "count",
]
ROLES: tuple[str, ...] = get_args(Role)
KINDS: tuple[str, ...] = get_args(Kind)

#: Columns of ``results.tsv``, in order, each with what it means.
DICTIONARY: dict[str, str] = {
    "analysis": "Name of the analysis in the study file",
    "family": "Family of tests within which p values are adjusted; empty for rows outside any",
    "family_size": "Number of tests in the family, as declared",
    "role": "Why the analysis is there: " + ", ".join(ROLES),
    "kind": "What the row is: " + ", ".join(KINDS),
    "analysis_set": "Who is analysed",
    "outcome": "What is modelled",
    "term": "Model term, contrast or comparison that the row is about",
    "estimate": "Estimate, in the unit of the column 'unit'",
    "unit": "Unit of the estimate",
    "se": "Standard error of the estimate",
    "statistic": "Test statistic",
    "statistic_name": "Which statistic: t, F, z, ...",
    "df_numerator": "Numerator degrees of freedom (F tests)",
    "df": "Degrees of freedom of t, or denominator degrees of freedom of F",
    "df_method": "How the degrees of freedom were found",
    "declared": "True for the row by the df method that the plan declares; only those enter families",
    "alternative": "Alternative hypothesis of the p value",
    "p": "p value, not adjusted",
    "p_adjusted": "p value adjusted within the family",
    "adjustment": "Method of the adjustment, with the number of tests",
    "ci_level": "Level of the confidence interval",
    "ci_low": "Lower end of the confidence interval",
    "ci_high": "Upper end of the confidence interval",
    "n_subjects": "Number of people behind the row",
    "n_observations": "Number of observations behind the row",
    "flags": "What a reader must know of this row, separated by semicolons",
}
COLUMNS: tuple[str, ...] = tuple(DICTIONARY)

_READY = "n/a for ready-made series, which hold no voxels"
#: Measures of a session's quality (``quality.tsv``): what they are, and their unit.
QUALITY_DICTIONARY: dict[str, tuple[str, str]] = {
    "mean_fd_mm": ("Mean framewise displacement, runs weighted by frames", "mm"),
    "median_fd_mm": ("Median framewise displacement over all frames", "mm"),
    "max_fd_mm": ("Largest framewise displacement", "mm"),
    "share_fd_above": ("Share of frames whose displacement exceeds fd_threshold_mm", "0 to 1"),
    "mean_dvars": (f"Mean DVARS over voxels; {_READY}", "unit of the image"),
    "mean_std_dvars": ("Mean standardised DVARS, as the confounds have it", "none"),
    "kept_frames": ("Frames that survive censoring, over runs", "frames"),
    "kept_fraction": ("The same as a share of all frames", "0 to 1"),
    "kept_minutes": ("The same in time; n/a where the repetition time is unknown", "minutes"),
    "remaining_df": (
        "Degrees of freedom left after denoising, over runs; n/a for ready-made series, whose "
        "denoising is not known",
        "none",
    ),
    "median_tsnr": (f"Median temporal signal-to-noise ratio over voxels; {_READY}", "none"),
    "median_signal": ("Median over parcels of their signal's level (mean, else SD)", "of the file"),
    "min_coverage": (f"Least share of a parcel's voxels with data; {_READY}", "0 to 1"),
    "global_signal_sd_before": (
        "SD over kept frames of the mean over parcels before denoising; n/a for ready-made series",
        "percent of the run's mean signal",
    ),
    "global_signal_sd_after": (
        "SD over kept frames of the mean over parcels after denoising",
        "percent of the run's mean signal where series carry one, else of the file",
    ),
    "median_edge_se": (
        "Median over edges of the standard error of Fisher's z, by [connectivity] standard_errors",
        "Fisher z",
    ),
    "n_weak_parcels": ("Parcels with too little coverage or signal", "parcels"),
}
#: Columns of ``region_quality.tsv``.
REGION_DICTIONARY: dict[str, tuple[str, str]] = {
    "region": ("Network of the atlas or set of the study", ""),
    "n_parcels": ("Parcels of the region", "parcels"),
    "n_with_data": ("Those of them with a signal", "parcels"),
    "mean_signal": (
        "Temporal mean, averaged over parcels; n/a where series carry none",
        "of the file",
    ),
    "sd_before": (
        "Temporal SD over kept frames before denoising, averaged over parcels; n/a for ready-made "
        "series",
        "of the file",
    ),
    "sd_after": ("The same after denoising, or of ready-made series as they are", "of the file"),
    "tsnr": (f"Temporal signal-to-noise ratio of voxels, averaged over parcels; {_READY}", "none"),
    "coverage": (f"Share of voxels with data, averaged over parcels; {_READY}", "0 to 1"),
}
#: Columns of ``qcfc.tsv``.
QCFC_DICTIONARY: dict[str, tuple[str, str]] = {
    "visit": ("Visit, over people; 'within people' relates visits of the same person", ""),
    "distance_mm": ("Distance of the two parcels' centres; n/a where they are not known", "mm"),
    "r": ("Correlation over sessions of mean displacement with the edge's Fisher z", "none"),
    "p": ("Two-sided p of r", "none"),
    "p_adjusted": ("The same, Benjamini-Hochberg over the edges of the visit", "none"),
    "df": ("Degrees of freedom of r", "none"),
}
_TEXT = [
    "analysis",
    "family",
    "role",
    "kind",
    "analysis_set",
    "outcome",
    "term",
    "unit",
    "statistic_name",
    "df_method",
    "alternative",
    "adjustment",
    "flags",
]


def tidy(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Lay rows out in the schema, absent cells as missing, and check the vocabulary.

    Parameters
    ----------
    rows : sequence of mapping
        Keys are names of :data:`COLUMNS`.

    Returns
    -------
    pandas.DataFrame
        One row each, columns in the order of :data:`COLUMNS`.

    Raises
    ------
    InputError
        A key, role or kind that the schema does not know.
    """
    for row in rows:
        unknown = set(row) - set(COLUMNS)
        if unknown:
            raise InputError(f"an estimate has columns that the schema does not know: {unknown}")
        if row.get("role") not in ROLES:
            raise InputError(f"role must be one of {ROLES}; got {row.get('role')!r}")
        if row.get("kind") not in KINDS:
            raise InputError(f"kind must be one of {KINDS}; got {row.get('kind')!r}")
    table = pd.DataFrame(list(rows), columns=list(COLUMNS))
    return as_schema(table)


def as_schema(table: pd.DataFrame) -> pd.DataFrame:
    """Give every column of an estimates table the schema's type."""
    typed = {}
    for column in COLUMNS:
        if column in _TEXT:
            typed[column] = table[column].astype("object").where(table[column].notna(), "")
        elif column == "declared":
            typed[column] = table[column].map(lambda cell: str(cell) in ("True", "true", "1"))
        elif column in ("family_size", "n_subjects", "n_observations"):
            typed[column] = pd.to_numeric(table[column]).astype("Int64")
        else:
            # Text as Python reads it, to the last digit; pandas before 3.1 is off by one in some.
            typed[column] = table[column].astype("object").astype("float64")
    return pd.DataFrame(typed, columns=list(COLUMNS))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Result:
    """What one analysis found, and all that is needed to understand it.

    Attributes
    ----------
    name : str
        As in the study file.
    title : str
        For people: ``Default, within``.
    role : str
        One of :data:`ROLES`.
    what : str
        Kind of analysis: ``"network FC"``, ``"score"``, ``"response"``, ``"groups"``,
        ``"reliability"``, ``"edges"``, ``"arms"``, ``"correlation"``, ``"time to event"``,
        ``"volumes"``, ``"safety"``, ``"map"``, ``"profile"`` (a map over parcels).
    outcome : str
        Key of the outcome in the tables ``visit_fc`` or ``scores``.
    estimates : pandas.DataFrame
        Rows of the schema.
    means : pandas.DataFrame or None
        Model-based (or observed) means by visit: columns ``visit``, ``by`` (level of the factor
        ``by_factor``, empty where there is none), ``by_factor``, ``estimate``, ``se``, ``df``,
        ``ci_low``, ``ci_high``, ``n_subjects``, ``source`` ("model" or "observed").
    methods : str
        One or two sentences for a methods section, true of what was run.
    citations : tuple of str
        Keys of the references that the methods sentence needs.
    design : mapping
        ``formula``, ``columns``, ``reference_levels``, ``coding``, ``rank``, ``aliased``,
        ``covariance`` as plain data; empty where there is no model.
    notes : tuple of str
        Warnings and cautions, each a sentence.
    estimand : mapping
        ``name``, ``treatment``, ``population``, ``variable``, ``intercurrent_events``, ``summary``;
        empty where the study file names none.
    """

    name: str
    title: str
    role: str
    what: str
    outcome: str
    estimates: pd.DataFrame
    means: pd.DataFrame | None = None
    methods: str = ""
    citations: tuple[str, ...] = ()
    design: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    estimand: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class GroupMap:
    """The group's maps of one analysis over voxels.

    Attributes
    ----------
    affine : array, shape (4, 4), or None
        Voxel to world, mm; None for surfaces alone.
    images : mapping of str to float32 array, shape (i, j, k), or (n_rows,) on grayordinates
        By name, NaN where there is no value: ``visit-VISIT_stat-mean``,
        ``visit-VISIT_from-FIRST_stat-difference``, ``term-TERM_stat-NAME`` with estimate, t, z, p,
        padj, df, n.
    clusters : pandas.DataFrame
        One row per cluster: ``term``, ``cluster``, ``sign``, ``n_voxels``, ``volume_mm3`` and the
        peak; without columns where nothing was tested. On grayordinates, which form no clusters
        without a mesh, one row per structure and sign: ``n_grayordinates`` and the peak.
    rows : Grayordinates, or None
        Where the values lie; None for a volume.
    is_pair : bool
        Whether `rows` are two hemispheres, each with a file of its own.
    """

    affine: FloatArray | None
    images: Mapping[str, NDArray[np.float32]]
    clusters: pd.DataFrame
    rows: Grayordinates | None = None
    is_pair: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Results:
    """Everything that a run found.

    Attributes
    ----------
    study : mapping
        The resolved study file as plain data.
    plan : mapping
        ``hash``, ``survey_hash``, ``seed``, ``version``, ``simulated`` (bool), ``stand_ins`` (list
        of str), ``visits`` (ordered names), ``factors`` (name -> ordered levels), ``warnings``.
    analyses : tuple of Result
        In the order of the study file.
    tables : mapping of str to pandas.DataFrame
        ``subjects``, ``scans``, ``flow``, ``availability``, ``network_fc``, ``visit_fc``,
        ``scores``, ``endpoints``, ``quality``, ``region_quality``, ``qcfc``, ``batches``,
        ``weak_parcels``, ``truth``, and those that ``io.outputs`` names; absent where the study
        has none.
    edges : mapping of str to pandas.DataFrame
        Edge tables of exploratory analyses: ``parcel_a parcel_b network_a network_b estimate se df
        statistic p p_adjusted n_subjects flags``.
    matrices : mapping of str to pandas.DataFrame
        Group-mean FC (Fisher z) by visit, square, parcels as index and columns.
    maps : mapping of str to GroupMap
        Maps over voxels, by analysis.
    software : mapping of str to str
        Versions of what computed the numbers.
    made_from : mapping of str to str
        Hash of what each analysis over all edges or places was made from.
    """

    study: Mapping[str, Any]
    plan: Mapping[str, Any]
    analyses: tuple[Result, ...]
    tables: Mapping[str, pd.DataFrame]
    edges: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    matrices: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    maps: Mapping[str, GroupMap] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)
    made_from: Mapping[str, str] = field(default_factory=dict)

    @property
    def estimates(self) -> pd.DataFrame:
        """Return the rows of all analyses in one table of the schema."""
        tables = [result.estimates for result in self.analyses if len(result.estimates)]
        if not tables:
            return tidy([])
        return as_schema(pd.concat([table.astype("object") for table in tables], ignore_index=True))

    def __getitem__(self, name: str) -> Result:
        """Return one analysis by its name in the study file."""
        for result in self.analyses:
            if result.name == name:
                return result
        known = ", ".join(result.name for result in self.analyses)
        raise KeyError(f"no analysis {name!r}; there are: {known}")
