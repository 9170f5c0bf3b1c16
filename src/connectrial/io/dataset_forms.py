"""What a simulated trial must offer to be written as BIDS derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, BoolArray, FloatArray, TimeSeries

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class ScanToWrite(Protocol):
    """One run, as `connectrial.simulate.SimulatedScan` has it."""

    @property
    def subject(self) -> str: ...  # noqa: D102  what they hold is said in the simulation
    @property
    def session(self) -> str: ...  # noqa: D102
    @property
    def run(self) -> str: ...  # noqa: D102
    @property
    def series(self) -> TimeSeries: ...  # noqa: D102
    @property
    def motion(self) -> pd.DataFrame: ...  # noqa: D102


class ImageToWrite(Protocol):
    """One 4D image, as `connectrial.simulate.SimulatedImage` has it."""

    @property
    def subject(self) -> str: ...  # noqa: D102
    @property
    def session(self) -> str: ...  # noqa: D102
    @property
    def run(self) -> str: ...  # noqa: D102
    @property
    def data(self) -> NDArray[np.int16]: ...  # noqa: D102
    @property
    def mask(self) -> BoolArray: ...  # noqa: D102
    @property
    def affine(self) -> FloatArray: ...  # noqa: D102
    @property
    def confounds(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def repetition_time_s(self) -> float: ...  # noqa: D102


class TrialToWrite(Protocol):
    """A trial, as `connectrial.simulate.SimulatedTrial` has it."""

    @property
    def design(self) -> DataclassInstance: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def participants(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def phenotype(self) -> Mapping[str, pd.DataFrame]: ...  # noqa: D102
    @property
    def scans(self) -> Sequence[ScanToWrite]: ...  # noqa: D102
    @property
    def atlas(self) -> Atlas: ...  # noqa: D102
    @property
    def truth(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def truth_scans(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def special(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def imaged(self) -> Sequence[str]: ...  # noqa: D102
    def images(self) -> Iterable[ImageToWrite]: ...  # noqa: D102
