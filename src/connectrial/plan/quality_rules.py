"""What the study file asks of the scans' quality, judged before an image is read."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from connectrial.errors import did_you_mean
from connectrial.plan.survey import Survey
from connectrial.study import Study
from connectrial.trial.batches import cross_batches, is_inseparable

_FROM_IMAGES = ("min_median_tsnr", "min_set_coverage")
_SERIES_ONLY = {"estimator": "pearson", "shrinkage": "none"}


def quality_problems(study: Study, survey: Survey) -> list[str]:
    """Refuse rules that these data cannot answer.

    Parameters
    ----------
    study : Study
        The rules.
    survey : Survey
        What is on disk.
    """
    rules, kind = study.quality, survey.kind
    if kind is None:
        return []
    problems = []
    if kind != "image":
        problems += [
            f"[quality] {key}: the data are ready-made ({kind}), which hold no voxels; take it out"
            for key in _FROM_IMAGES
            if getattr(rules, key)
        ]
    if kind == "matrix":
        problems += [
            f"[connectivity] {key}: the data are ready-made matrices, which are used as they are; "
            "take it out"
            for key, default in _SERIES_ONLY.items()
            if getattr(study.connectivity, key) != default
        ]
        if rules.max_weak_parcels:
            problems.append(
                "[quality] max_weak_parcels: the data are ready-made matrices, whose parcels' signal "
                "is not known; take it out"
            )
        if study.motion is not None:
            problems.append(
                "[motion]: the data are ready-made matrices, which have no frames; take it out"
            )
    if rules.max_mean_fd_mm is not None and not survey.fd_mm:
        problems.append(
            "[quality] max_mean_fd_mm: no scan has a motion table (*_motion.tsv or "
            "*_desc-confounds_timeseries.tsv); add them, or take the key out"
        )
    return problems


def standard_error_problems(study: Study, survey: Survey) -> list[str]:
    """Refuse standard errors that the kind of data cannot give."""
    asked = study.connectivity.standard_errors
    if asked == "none" or survey.kind in (None, "image"):
        return []
    place = f"[connectivity] standard_errors = {asked!r}"
    if survey.kind == "matrix":
        return [f"{place}: matrices hold no signal to tell an error from; take the key out"]
    if asked == "remaining-df":
        return [
            f"{place}: the series are not denoised here, so the degrees of freedom that are left are "
            "not known; take 'xdf'"
        ]
    return []


def named_sets(study: Study, known: Collection[str]) -> list[str]:
    """Refuse names of networks and sets in [quality] and [denoising] that do not exist.

    Parameters
    ----------
    study : Study
        The rules.
    known : collection of str
        Networks of the atlas and sets of the study.
    """
    places = [
        (f"[quality] {key}", name)
        for key in ("min_set_coverage", "max_weak_parcels")
        for name in getattr(study.quality, key)
    ]
    if study.denoising.subcortical_parcels is not None:
        places.append(("[denoising] subcortical_parcels", study.denoising.subcortical_parcels))
    return [
        f"{place}: there is no network or set {name!r}{did_you_mean(name, known)}"
        for place, name in places
        if name not in known
    ]


def apply_motion_rule(study: Study, survey: Survey, table: pd.DataFrame, notes: list[str]) -> None:
    """Leave out sessions whose mean displacement is too large; runs weigh by their frames.

    Parameters
    ----------
    study, survey : Study, Survey
        The rule, and displacement by scan name.
    table : DataFrame
        One row per run; ``reason`` is written.
    notes : list of str
        Gets what could not be judged.
    """
    limit = study.quality.max_mean_fd_mm
    if limit is None:
        return
    usable = table.loc[table["reason"] == ""]
    n_unknown = 0
    for _, runs in usable.groupby(["subject", "session"], sort=False):
        traces = [survey.fd_mm[name] for name in runs["name"] if name in survey.fd_mm]
        if len(traces) < len(runs):
            n_unknown += 1
            continue
        mean = float(np.nanmean(np.concatenate(traces)))
        if mean > limit:
            table.loc[runs.index, "reason"] = f"mean FD {mean:.2f} mm, more than {limit:g} mm"
    if n_unknown:
        notes.append(
            f"max_mean_fd_mm is not assessable for {n_unknown} sessions: there is no motion table "
            "beside them; they are kept"
        )


def timing_notes(survey: Survey) -> list[str]:
    """Say where repetition times differ between scans, or are not known."""
    if survey.kind in (None, "matrix"):
        return []
    usable = [scan for scan in survey.scans if scan.name not in survey.unusable]
    times = pd.Series([scan.repetition_time_s for scan in usable], dtype="float64").round(4)
    counts = times.dropna().value_counts()
    notes = []
    if len(counts) > 1:
        listed = ", ".join(f"{seconds:g} s ({n} scans)" for seconds, n in counts.items())
        notes.append(
            f"scans differ in repetition time: {listed}; FC of unlike sampling is not quite "
            "comparable, least of all where it goes with visit or arm"
        )
    if survey.kind == "image" and times.isna().any():
        names = [scan.name for scan in usable if scan.repetition_time_s is None]
        notes.append(
            f"{len(names)} scans state no credible repetition time ({names[0]} for one): neither "
            "filters nor minutes can be had from them; set [data] repetition_time_s if it is known"
        )
    return notes


def batch_sessions(
    study: Study, survey: Survey, scans: pd.DataFrame, subjects: pd.DataFrame
) -> pd.DataFrame:
    """Return one row per analysed session with its batch, visit and the person's arm.

    Parameters
    ----------
    study, survey : Study, Survey
        The declared column; batches by scan name.
    scans, subjects : DataFrame
        As the plan has them.

    Returns
    -------
    DataFrame
        ``subject``, ``session``, ``batch``, ``visit`` (controls' own is missing) and ``arm`` or
        ``group`` where there are any, levels in declared order.
    """
    if study.quality.batch is None or scans.empty:
        return pd.DataFrame()
    rows = scans.loc[scans["analysed"]].assign(batch=scans["name"].map(dict(survey.batches)))
    rows = rows.drop_duplicates(["subject", "session"])[["subject", "session", "visit", "batch"]]
    levels: dict[str, list[str]] = {}
    if study.arms is not None:
        levels["arm"] = list(study.arms.levels)
    if study.groups is not None:
        levels["group"] = [one for one in (study.groups.patients, study.groups.controls) if one]
    rows = rows.merge(subjects[["subject", *levels]], on="subject", how="left")
    for name, order in levels.items():
        rows[name] = pd.Categorical(rows[name], categories=order, ordered=True)
    places = [place.name for place in study.places]
    rows["visit"] = pd.Categorical(
        rows["visit"].where(rows["visit"].isin(places)), categories=places, ordered=True
    )
    return rows


def batch_notes(study: Study, sessions: pd.DataFrame) -> list[str]:
    """Warn where batch goes with visit, arm or group so that no analysis can tell them apart."""
    column = study.quality.batch
    if column is None or sessions.empty:
        return []
    notes = []
    unknown = int(sessions["batch"].isna().sum())
    if unknown:
        notes.append(f"{column}: not stated for {unknown} of {len(sessions)} sessions")
    for factor in ("visit", "arm", "group"):
        if factor not in sessions:
            continue
        counts = cross_batches(sessions, by=factor, unit="sessions")
        if is_inseparable(counts):
            shown = "; ".join(
                f"{level}: " + ", ".join(f"{n} {batch}" for batch, n in row.items() if n)
                for level, row in counts.iterrows()
            )
            notes.append(
                f"{column} is completely confounded with {factor} ({shown}): no analysis of these "
                f"data can separate an effect of {factor} from one of {column}"
            )
    return notes
