"""What is on disk, as far as a plan needs to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from connectrial.data import Atlas, FloatArray, Scan
from connectrial.scales import Scale


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Survey:
    """Names, headers, confounds and tables of a study's data; no image data.

    Attributes
    ----------
    scans : tuple of Scan
        One per run, frames counted.
    atlas : Atlas or None
        Parcels of the scans; None for a study of tables alone.
    participants : pandas.DataFrame
        Indexed by subject; text, missing as NA.
    scores : pandas.DataFrame
        Long: ``subject``, ``session``, ``variable``, ``number``, ``day``.
    fd_mm : mapping
        Framewise displacement of each run in mm, by :attr:`Scan.name`; shape (n_frames,).
    std_dvars : mapping
        Standardised DVARS of each run, where its confounds have it.
    batches : mapping
        Scanner, site or version of each run, where the study names the column.
    unusable : mapping
        Why a run cannot be used, by :attr:`Scan.name`.
    problems : tuple of str
        What must be put right before anything runs.
    notes : tuple of str
        What was handled, for the reader.
    layouts : tuple of str
        In which layouts the clinical tables came.
    doses : pandas.DataFrame or None
        The dose plan as its file has it; with a column ``subject``, one for each person.
    doses_title, doses_stand_in : str
        What the plan is; what of it no source states.
    samples : tuple of pandas.DataFrame
        Measured concentrations, as text, one table for each ``[[exposure.measured]]``.
    scales : mapping
        Definitions of the scales that have one, by their name in the study file.
    volumes : pandas.DataFrame
        Structural volumes: ``subject``, ``session`` and one column per structure, mm3.
    connections : mapping
        Tables of connections that hypotheses name, by what the study file calls them; text.
    simulated : bool
        True where the dataset says that it is simulated.
    looked : bool
        False where the folders could not be looked into at all; nothing else then says anything.
    partial : bool
        True where only some people or sessions were looked at.
    """

    scans: tuple[Scan, ...] = ()
    atlas: Atlas | None = None
    participants: pd.DataFrame = field(default_factory=pd.DataFrame)
    scores: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(
            columns=["subject", "session", "variable", "number", "day"]
        )
    )
    fd_mm: Mapping[str, FloatArray] = field(default_factory=dict)
    std_dvars: Mapping[str, FloatArray] = field(default_factory=dict)
    batches: Mapping[str, str] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    doses: pd.DataFrame | None = None
    doses_title: str = ""
    doses_stand_in: str = ""
    samples: tuple[pd.DataFrame, ...] = ()
    scales: Mapping[str, Scale] = field(default_factory=dict)
    volumes: pd.DataFrame = field(default_factory=pd.DataFrame)
    connections: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    simulated: bool = False
    looked: bool = True
    partial: bool = False

    @property
    def kind(self) -> str | None:
        """Return what the scans are, "image", "time series" or "matrix"; None without scans."""
        return self.scans[0].kind if self.scans else None
