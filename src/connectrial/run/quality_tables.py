"""The quality of every session as tables, and the sessions that it rules out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from connectrial.data import FloatArray
from connectrial.io.outputs import read_tsv
from connectrial.plan import Plan
from connectrial.run.session_jobs import SessionJob, SessionOutcome

#: Displacement above which frames are counted where the study states no limit.
STAND_IN_FD_MM = 0.5
_SIGNAL = ("median_signal", "median_tsnr", "mean_dvars", "min_coverage")
_AMPLITUDE = ("global_signal_sd_before", "global_signal_sd_after")


def fd_threshold_mm(plan: Plan) -> float:
    """Return the displacement above which frames are counted, in mm."""
    stated = plan.study.quality.fd_threshold_mm or plan.study.censoring.max_fd_mm
    return STAND_IN_FD_MM if stated is None else stated


def quality_table(
    plan: Plan,
    scans: pd.DataFrame,
    outcomes: Sequence[SessionOutcome],
) -> pd.DataFrame:
    """Return one row per session: motion and what is kept over its runs, signal and df.

    Parameters
    ----------
    plan : Plan
        With the survey's displacement.
    scans : DataFrame
        One row per run, as it stands after reading.
    outcomes : sequence of SessionOutcome
        What became of the sessions.

    Returns
    -------
    DataFrame
        The measures of ``results.QUALITY_DICTIONARY``; missing where they are not known.
    """
    if scans.empty:
        return pd.DataFrame()
    sidecars = {(one.subject, one.session): one.sidecar for one in outcomes if one.sidecar}
    limit = fd_threshold_mm(plan)
    rows = []
    for key, runs in scans.groupby(["subject", "session"], sort=False):
        subject, session = map(str, key)
        known = sidecars.get((subject, session))
        facts = pd.DataFrame((known or {}).get("Quality", []))
        rows.append(
            {
                "subject": subject,
                "session": session,
                "visit": runs["visit"].iloc[0],
                "n_runs": len(runs),
                **_motion(plan, runs, limit),
                "kept_frames": _total(runs["kept_frames"]),
                "kept_fraction": _total(runs["kept_frames"]) / _total(runs["n_frames"]),
                "kept_minutes": _total(runs["kept_minutes"]),
                "remaining_df": _from(facts, "remaining_df", np.sum),
                **{name: _from(facts, name, np.mean) for name in (*_SIGNAL, *_AMPLITUDE)},
                "n_weak_parcels": len(known["WeakParcels"]) if known else np.nan,
                **_edge_error(plan, known or {}),
                "included": bool(runs["included"].all()),
            }
        )
    subjects = plan.people.subjects
    factors = [name for name in ("group", "arm") if name in subjects]
    return pd.DataFrame(rows).merge(subjects[["subject", *factors]], on="subject", how="left")


def _edge_error(plan: Plan, sidecar: Mapping[str, Any]) -> dict[str, float]:
    """Return the median standard error of a session's edges, where the study asks for them."""
    if plan.study.connectivity.standard_errors == "none":
        return {}
    median = sidecar.get("MedianStandardError")
    return {"median_edge_se": np.nan if median is None else float(median)}


def _motion(plan: Plan, runs: pd.DataFrame, limit: float) -> dict[str, float]:
    """Summarise displacement and standardised DVARS over the frames of a session's runs."""
    fd_mm = _joined(plan.survey.fd_mm, runs["name"])
    std_dvars = _joined(plan.survey.std_dvars, runs["name"])
    frames = runs["n_frames"].to_numpy(dtype=np.float64, na_value=np.nan)
    return {
        "mean_fd_mm": _weighted(runs["mean_fd_mm"].to_numpy(dtype=np.float64), frames),
        "median_fd_mm": float(np.median(fd_mm)) if len(fd_mm) else np.nan,
        "max_fd_mm": float(np.max(fd_mm)) if len(fd_mm) else np.nan,
        "share_fd_above": float(np.mean(fd_mm > limit)) if len(fd_mm) else np.nan,
        "mean_std_dvars": float(np.mean(std_dvars)) if len(std_dvars) else np.nan,
    }


def _joined(traces: Mapping[str, FloatArray], names: Iterable[str]) -> FloatArray:
    found = [traces[name] for name in names if name in traces]
    values = np.concatenate(found) if found else np.array([])
    return np.asarray(values[np.isfinite(values)], dtype=np.float64)


def _from(facts: pd.DataFrame, name: str, summary: Callable[[Any], Any]) -> float:
    if name not in facts:
        return np.nan
    values = pd.to_numeric(facts[name]).to_numpy(dtype=np.float64)
    return float(summary(values)) if len(values) else np.nan


def _total(column: pd.Series) -> float:
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return float(numbers.sum())


def _weighted(values: FloatArray, weights: FloatArray) -> float:
    known = np.isfinite(values) & np.isfinite(weights)
    if not known.any():
        return np.nan
    return float(np.average(values[known], weights=weights[known]))


def region_table(
    plan: Plan,
    scans: pd.DataFrame,
    jobs: Sequence[SessionJob],
    outcomes: Sequence[SessionOutcome],
) -> pd.DataFrame:
    """Return signal, SD, tSNR and coverage of every network and set in every session.

    Parameters
    ----------
    plan, scans, jobs, outcomes
        As in `quality_table`.

    Returns
    -------
    DataFrame
        ``subject``, ``session``, ``visit`` and the columns of ``results.REGION_DICTIONARY``.
    """
    known = scans.drop_duplicates(["subject", "session"]).set_index(["subject", "session"])
    visits = known["visit"].to_dict()
    regions = {name: [str(parcel) for parcel in parcels] for name, parcels in plan.sets.items()}
    rows: list[dict[str, Any]] = []
    for job, outcome in zip(jobs, outcomes, strict=True):
        if outcome.sidecar is None or job.parcel_quality is None:
            continue
        table = read_tsv(job.parcel_quality, text={"parcel"})
        by_parcel = table.groupby("parcel", sort=False)[list(_REGION_MEASURES)].mean()
        # As arrays: pandas takes a millisecond for each region of each session.
        values = {name: by_parcel[name].to_numpy(dtype=np.float64) for name in _REGION_MEASURES}
        for region, parcels in regions.items():
            places = by_parcel.index.get_indexer(pd.Index(parcels))
            places = places[places >= 0]
            own = {name: column[places] for name, column in values.items()}
            rows.append(
                {
                    "subject": job.subject,
                    "session": job.session,
                    "visit": visits[job.subject, job.session],
                    "region": region,
                    "n_parcels": len(parcels),
                    "n_with_data": int((~np.isnan(own["sd_after"])).sum()),
                    **{name: _mean(column) for name, column in own.items()},
                }
            )
    return pd.DataFrame(rows)


_REGION_MEASURES = ("mean_signal", "sd_before", "sd_after", "tsnr", "coverage")


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan


def ruled_out(
    plan: Plan, jobs: Sequence[SessionJob], outcomes: Sequence[SessionOutcome]
) -> dict[tuple[str, str], str]:
    """Apply the rules on quality that only the images could answer.

    Parameters
    ----------
    plan : Plan
        With [quality].
    jobs, outcomes : sequences
        The sessions and what became of them.

    Returns
    -------
    dict
        (subject, session) -> why it is left out.
    """
    rules = plan.study.quality
    reasons: dict[tuple[str, str], str] = {}
    for job, outcome in zip(jobs, outcomes, strict=True):
        if outcome.sidecar is None:
            continue
        facts = pd.DataFrame(outcome.sidecar.get("Quality", []))
        tsnr = _from(facts, "median_tsnr", np.mean)
        found = []
        if rules.min_median_tsnr is not None and tsnr < rules.min_median_tsnr:
            found.append(f"median tSNR {tsnr:.3g}, below {rules.min_median_tsnr:g}")
        weak = {row["parcel"] for row in outcome.sidecar["WeakParcels"]}
        for name, most in rules.max_weak_parcels.items():
            n_weak = len(weak & {str(parcel) for parcel in plan.sets.get(name, ())})
            if n_weak > most:
                found.append(f"{n_weak} weak parcels in {name}, more than {most}")
        found += _badly_covered(plan, job, rules.min_set_coverage)
        if found:
            reasons[job.subject, job.session] = "; ".join(found)
    return reasons


def _badly_covered(plan: Plan, job: SessionJob, least: Mapping[str, float]) -> list[str]:
    if not least or job.parcel_quality is None:
        return []
    table = read_tsv(job.parcel_quality, text={"parcel"})
    coverage = table.groupby("parcel", sort=False)["coverage"].mean()
    found = []
    for name, limit in least.items():
        own = coverage.reindex([str(parcel) for parcel in plan.sets.get(name, ())])
        if own.mean() < limit:
            found.append(f"{own.mean():.0%} of {name} covered, less than {limit:.0%}")
    return found
