"""What measures of scan quality are called: on an axis, in a table, and in a list of many."""

from __future__ import annotations

import re
from collections.abc import Iterable

from connectrial.figures.numbers import name_words

#: Column of the quality table -> what the axis says; drawn in this order.
MEASURES = {
    "mean_fd_mm": "mean framewise displacement (mm)",
    "share_fd_above": "frames above the limit of displacement (share)",
    "kept_minutes": "kept data (minutes)",
    "kept_fraction": "kept frames (share)",
    "mean_dvars": "mean DVARS",
    "mean_std_dvars": "mean standardised DVARS",
    "median_tsnr": "median temporal SNR",
    "remaining_df": "temporal degrees of freedom left",
    "global_signal_sd_before": "SD of global signal before denoising (%)",
    "global_signal_sd_after": "SD of global signal after denoising",
    "median_edge_se": "median standard error of an edge (Fisher z)",
    "n_weak_parcels": "weak parcels",
}
#: The same and those that no figure of the page shows.
EVERY_MEASURE = MEASURES | {
    "max_fd_mm": "largest framewise displacement (mm)",
    "median_fd_mm": "median framewise displacement (mm)",
    "kept_frames": "kept frames",
    "median_signal": "median signal level of the parcels",
    "min_coverage": "least coverage of a parcel (share)",
}
_OF_REGIONS = {
    "sd_before": "SD before denoising",
    "sd_after": "SD after denoising",
    "tsnr": "temporal SNR",
}
#: Where several measures are of one thing, or a name is too long for a list.
_BRIEFLY = {
    **dict.fromkeys(("mean_fd_mm", "median_fd_mm", "max_fd_mm", "share_fd_above"), "displacement"),
    **dict.fromkeys(("mean_dvars", "mean_std_dvars"), "DVARS"),
    **dict.fromkeys(("kept_fraction", "kept_minutes"), "kept frames"),
    **dict.fromkeys(("median_tsnr", "tsnr"), "temporal SNR"),
    "remaining_df": "degrees of freedom left by denoising",
    "median_signal": "level of the signal",
    "min_coverage": "coverage of parcels",
    "global_signal_sd_before": "global signal before denoising",
    "global_signal_sd_after": "global signal after denoising",
    "sd_before": "regions' SD before denoising",
    "sd_after": "regions' SD after denoising",
    "mean_signal": "regions' signal",
}
_NAMES = EVERY_MEASURE | _OF_REGIONS
_NAME = re.compile(r"\b(?:[a-z]+(?:_[a-z]+)+|tsnr)\b")


def measure_words(text: str) -> str:
    """Write names of measures inside a text for people.

    Parameters
    ----------
    text : str
        Such as ``sd_after in limbic``, which becomes ``SD after denoising in limbic``.
    """
    return name_words(_NAME.sub(lambda one: _NAMES.get(one[0], one[0]), text))


def listed_measures(measures: Iterable[str]) -> str:
    """List measures briefly, what several are of once, whichever regions they are of."""
    known = (one.partition(" in ")[0] for one in measures)
    return ", ".join(dict.fromkeys(_BRIEFLY.get(one) or measure_words(one) for one in known))
