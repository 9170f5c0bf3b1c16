"""The numbers of every scan beside the limits of the study and among all scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from connectrial.figures.measures import EVERY_MEASURE
from connectrial.figures.numbers import as_float, format_count, format_number
from connectrial.report.source import table
from connectrial.results import Results

_ORDER = (
    *("mean_fd_mm", "max_fd_mm", "share_fd_above", "mean_dvars", "mean_std_dvars"),
    *("kept_frames", "kept_fraction", "kept_minutes", "remaining_df", "median_tsnr"),
    *("median_signal", "min_coverage", "n_weak_parcels"),
    *("global_signal_sd_before", "global_signal_sd_after"),
)
_WHOLE = ("kept_frames", "remaining_df", "n_weak_parcels")
_FEWEST = 4  # scans that a place among all needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A number of a scan: words, value, limit, whether beyond it, and its place among all scans."""

    words: str
    value: str
    limit: str = ""
    is_beyond: bool = False
    #: Least, quarter, three quarters, largest of all scans and this one, in percent of the width.
    place: tuple[float, float, float, float, float] | None = None
    sort: float | None = None


def is_known(value: object) -> bool:
    """Return whether a cell holds something."""
    return value is not None and value == value and str(value) not in ("", "nan", "<NA>")


class Numbers:
    """The numbers of all scans, with the study's limits."""

    def __init__(self, results: Results) -> None:
        quality = table(results, "quality")
        self.quality = pd.DataFrame() if quality is None else quality
        self.rows: dict[tuple[str, str], dict[Any, Any]] = {}
        if len(self.quality):
            sessions = self.quality["session"].fillna("").astype(str)
            self.quality = self.quality.assign(session=sessions)
            self.rows = {
                (str(r["subject"]), r["session"]): r for r in self.quality.to_dict("records")
            }
        self.limits = _limits(results.study)
        self.most_weak = (results.study.get("quality") or {}).get("max_weak_parcels") or {}
        self.regions = _regions(results)
        self.spreads = {name: self._spread(name) for name in _ORDER if name in self.quality}

    def _spread(self, name: str) -> tuple[float, float, float, float] | None:
        values = pd.to_numeric(self.quality[name], errors="coerce").dropna().to_numpy(dtype=float)
        if len(values) < _FEWEST or values.min() == values.max():
            return None
        low, q1, q3, high = np.percentile(values, [0, 25, 75, 100])
        return float(low), float(q1), float(q3), float(high)

    def of(self, subject: str, session: str) -> list[Measure]:
        """Return what is known of a session, in order."""
        row = self.rows.get((subject, session), {})
        found = []
        for name in _ORDER:
            # A measure that nobody has is not there; one that this scan lacks is shown as missing.
            if name not in self.quality or self.quality[name].isna().all():
                continue
            value = as_float(row.get(name))
            least, limit = self.limits.get(name, (False, None))
            beyond = limit is not None and (value < limit if least else value > limit)
            words = "" if limit is None else f"at {'least' if least else 'most'} {limit:g}"
            if name == "n_weak_parcels" and self.most_weak:
                words = "; ".join(f"at most {n} in {one}" for one, n in self.most_weak.items())
            found.append(
                Measure(
                    words=EVERY_MEASURE.get(name, name),
                    value=format_count(value) if name in _WHOLE else format_number(value),
                    limit=words,
                    is_beyond=bool(beyond),
                    place=_place(self.spreads.get(name), value),
                    sort=value if value == value else None,
                )
            )
        return found + self.regions.get((subject, session), [])


def _limits(study: Mapping[str, Any]) -> dict[str, tuple[bool, float | None]]:
    """Return measure -> (whether the limit is the least, the limit)."""
    censoring, quality = study.get("censoring") or {}, study.get("quality") or {}
    limits = {
        "mean_fd_mm": (False, quality.get("max_mean_fd_mm")),
        "kept_minutes": (True, censoring.get("min_kept_minutes")),
        "kept_fraction": (True, censoring.get("min_kept_fraction")),
        "median_tsnr": (True, quality.get("min_median_tsnr")),
    }
    # Ready-made series are not denoised here, so that nothing is asked of their degrees of freedom.
    limits["remaining_df"] = (True, (study.get("denoising") or {}).get("min_remaining_df"))
    limits["min_coverage"] = (True, (study.get("coverage") or {}).get("min_coverage"))
    return limits


def _regions(results: Results) -> dict[tuple[str, str], list[Measure]]:
    """Return the coverage of the networks and sets that have a limit."""
    least = (results.study.get("quality") or {}).get("min_set_coverage") or {}
    listed = table(results, "region_quality")
    found: dict[tuple[str, str], list[Measure]] = {}
    if listed is None or not least:
        return found
    for row in listed[listed["region"].isin(list(least))].to_dict("records"):
        value, limit = as_float(row["coverage"]), float(least[str(row["region"])])
        session = str(row["session"]) if is_known(row["session"]) else ""
        found.setdefault((str(row["subject"]), session), []).append(
            Measure(
                words=f"coverage of {row['region']} (share)",
                value=format_number(value),
                limit=f"at least {limit:g}",
                is_beyond=value < limit,
                sort=value if value == value else None,
            )
        )
    return found


def _place(
    spread: tuple[float, float, float, float] | None, value: float
) -> tuple[float, float, float, float, float] | None:
    if spread is None or value != value:
        return None
    low, high = spread[0], spread[3]
    at = [round(100 * (one - low) / (high - low), 1) for one in (*spread, value)]
    return at[0], at[1], at[2], at[3], min(100.0, max(0.0, at[4]))
