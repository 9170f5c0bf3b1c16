"""What happens to a scan before it is a matrix, in sentences that are true of the study file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from connectrial.fc.parcel_mean import PARCEL_MEAN

Rules = Mapping[str, Any]


def processing_sentences(study: Rules, *, kinds: Collection[str]) -> list[str]:
    """Say how displacement, censoring, denoising and connectivity are computed.

    Parameters
    ----------
    study : mapping
        The resolved study file as plain data.
    kinds : collection of str
        What the scans are: ``image``, ``time series``, ``matrix``.

    Returns
    -------
    list of str
        Sentences; those on frames are left out for ready-made matrices.
    """
    ready = set(kinds) == {"matrix"}
    text = [] if ready else [*_motion(study.get("motion")), *_censoring(study)]
    if "image" in kinds:
        text += _denoising(study.get("denoising") or {})
    rules = study.get("connectivity") or {}
    if rules.get("parcel_mean") == "regress":
        text.append(f"{PARCEL_MEAN[0].upper()}{PARCEL_MEAN[1:]}.")
    text += [] if ready else _estimator(rules)
    return [*text, *_exclusions(study)]


def _motion(rules: Rules | None) -> list[str]:
    if not rules:
        return []
    power = rules.get("fd_kind", "power") == "power"
    kind = (
        "the sum of absolute changes (Power)"
        if power
        else "the RMS over a solid sphere (Jenkinson)"
    )
    radius = rules.get("radius_mm") or (50 if power else 80)
    how = f"Framewise displacement was measured anew from the six parameters: {kind}, {radius:g} mm"
    if rules.get("rotation_unit") == "deg":
        how += ", rotations in degrees"
    if rules.get("low_pass_hz"):
        how += f", the parameters low-passed at {rules['low_pass_hz']:g} Hz to take out breathing"
    if rules.get("notch_hz"):
        low, high = rules["notch_hz"]
        how += f", a notch from {low:g} to {high:g} Hz taking out breathing"
    return [f"{how}."]


def _censoring(study: Rules) -> list[str]:
    rules = study.get("censoring") or {}
    text = []
    dummies = rules.get("n_dummy_frames") or 0
    if dummies:
        text.append(f"The first {dummies} frames of each run were dropped.")
    limits = []
    if rules.get("max_fd_mm") is not None:
        limits.append(f"a framewise displacement above {rules['max_fd_mm']:g} mm")
    if rules.get("max_std_dvars") is not None:
        limits.append(f"a standardised DVARS above {rules['max_std_dvars']:g}")
    shortest = rules.get("min_contiguous_frames") or 1
    if limits:
        around = [
            f"{rules[key]} {words}"
            for key, words in (("n_before", "before"), ("n_after", "after"))
            if rules.get(key)
        ]
        more = f", with {' and '.join(around)} each" if around else ""
        runs = (
            f"; stretches shorter than {shortest} frames were censored too" if shortest > 1 else ""
        )
        text.append(f"Frames with {' or '.join(limits)} were censored{more}{runs}.")
    least = rules.get("min_kept_minutes")
    if least is not None:
        text.append(f"Sessions with less than {least:g} minutes left were not used.")
    share = rules.get("min_kept_fraction")
    if share is not None:
        text.append(f"Sessions with less than {share:.0%} of their frames left were not used.")
    return text


def _denoising(rules: Rules) -> list[str]:
    band = rules.get("band_hz")
    filtered = f", band-pass {band[0]:g} to {band[1]:g} Hz" if band else ""
    if band and rules.get("filter_order"):
        filtered += f" (Butterworth of order {rules['filter_order']})"
    order = rules.get("order", "default")
    steps = "" if order == "default" else f", steps in the order '{order}'"
    if rules.get("strategy") == "none" and not band and order == "default":
        text = [
            "Parcel means were taken from the images as they are: nothing was regressed or filtered."
        ]
    else:
        named = rules.get("strategy", "strategy not stated")
        text = [f"Signals were denoised ({named}{filtered}{steps})."]
    if rules.get("subcortical", "none") != "none":
        text.append(
            f"The mean signal of other parcels whose centres lie within {rules['nearby_mm']:g} mm was "
            f"regressed out of each parcel of {rules['subcortical_parcels']} (stand-in: by parcel, "
            "where the literature does so by voxel)."
        )
    return text


def _estimator(rules: Rules) -> list[str]:
    partial = rules.get("estimator", "pearson") == "partial"
    shrunk = rules.get("shrinkage", "none") != "none"
    if not partial and not shrunk:
        return []
    what = "Partial correlations (all other parcels held fixed)" if partial else "Correlations"
    how = "were shrunk towards 0 by Ledoit and Wolf's estimate" if shrunk else "were used"
    return [f"{what} {how}."]


def _exclusions(study: Rules) -> list[str]:
    rules = study.get("quality") or {}
    limits = []
    if rules.get("max_mean_fd_mm") is not None:
        limits.append(f"a mean displacement above {rules['max_mean_fd_mm']:g} mm")
    if rules.get("min_median_tsnr") is not None:
        limits.append(f"a median temporal SNR below {rules['min_median_tsnr']:g}")
    limits += [
        f"less than {least:.0%} of {name} covered"
        for name, least in (rules.get("min_set_coverage") or {}).items()
    ]
    limits += [
        f"more than {most} weak parcels in {name}"
        for name, most in (rules.get("max_weak_parcels") or {}).items()
    ]
    return [f"Sessions with {', or '.join(limits)} were not used."] if limits else []
