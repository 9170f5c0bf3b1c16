"""The confounds of one run, as the study's denoising needs them."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd

from connectrial.data import Scan
from connectrial.errors import InputError
from connectrial.io.confounds import read_confounds


def confounds_of(
    scan: Scan, strategy: str, *, rotation_unit: Literal["rad", "deg"] = "rad"
) -> tuple[pd.DataFrame | None, dict[str, Any]]:
    """Read a run's confounds and their sidecar; nothing where nothing is regressed.

    Raises
    ------
    InputError
        The strategy needs confounds and the run has none, or they cannot be read.
    """
    if strategy == "none":
        return None, {}
    if scan.confounds is None:
        raise InputError(
            f"{scan.path.name}: no confounds table beside it, so it cannot be denoised by "
            f"{strategy}; add *_desc-confounds_timeseries.tsv, or set [denoising] "
            "strategy = 'none'"
        )
    return read_confounds(scan.confounds, rotation_unit=rotation_unit)
