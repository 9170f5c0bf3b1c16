"""What a session writes beside its matrix: series, coverage, quality, and what made it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from connectrial.data import Connectivity, Scan, TimeSeries
from connectrial.fc.estimators import Estimate
from connectrial.fc.uncertainty import standard_errors
from connectrial.io.bids import bids_name
from connectrial.io.files import write_atomic
from connectrial.io.provenance import write_json
from connectrial.run.session_jobs import SessionJob


def write_series(
    job: SessionJob, series: Sequence[TimeSeries], costs: Sequence[dict[str, Any]]
) -> list[Path]:
    """Write the denoised parcel series and the coverage of images, one file per run."""
    written = []
    for scan, one, cost in zip(job.scans, series, costs, strict=True):
        stem = {**job.stem, "run": scan.run}
        name = bids_name({**stem, "stat": "mean"}, suffix="timeseries", extension=".tsv")
        buffer = io.StringIO()
        table = pd.DataFrame(one.signal, columns=one.parcels)
        table.to_csv(buffer, sep="\t", index=False, na_rep="n/a", float_format="%.7g")
        written.append(write_atomic(job.folder / name, buffer.getvalue()))
        write_json(
            (job.folder / name).with_suffix(".json"),
            {
                "RepetitionTime": one.repetition_time_s,
                "Sources": sources_of(scan),
                "NuisanceParameters": job.study.denoising.strategy,
                "SoftwareFilters": job.study.denoising.band_hz or "n/a",
                **cost,
                "RemainingDegreesOfFreedom": one.remaining_df,
                "CensoredFrames": "n/a",
                "Simulated": job.simulated,
            },
        )
        if one.coverage is not None:
            shares = pd.DataFrame([one.coverage], columns=one.parcels)
            name = bids_name({**stem, "stat": "coverage"}, suffix="bold", extension=".tsv")
            text = shares.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.4f")
            written.append(write_atomic(job.folder / name, text))
    return written


def write_standard_errors(job: SessionJob, series: Sequence[TimeSeries]) -> dict[str, Any]:
    """Write the standard error of every Fisher z; return what the sidecar says of them."""
    path, method = job.standard_errors, job.study.connectivity.standard_errors
    assert path is not None and method != "none"  # noqa: S101, PT018 - the caller has looked
    found = standard_errors(series, method=method)
    table = pd.DataFrame(found.se, index=found.parcels, columns=found.parcels)
    text = table.to_csv(
        sep="\t", na_rep="n/a", float_format="%.7g", index_label="Node", lineterminator="\n"
    )
    write_atomic(path, text)
    known = found.se[np.isfinite(found.se)]
    median = float(np.median(known)) if len(known) else None
    return {"StandardErrors": found.method, "MedianStandardError": median}


def sources_of(scan: Scan) -> list[str]:
    """Return the files that a run was read from, as BIDS URIs."""
    files = [scan.path, *([scan.right] if scan.right is not None else [])]
    return [f"bids:preprocessed:{path.name}" for path in files]


def write_quality(job: SessionJob, sidecar: dict[str, Any]) -> list[Path]:
    """Write what is known of each run's quality as a table beside the matrix."""
    table = pd.DataFrame(sidecar["Quality"])
    if table.empty:
        return []
    table = table.assign(n_weak_parcels=len(sidecar["WeakParcels"]))
    stem = {key: value for key, value in job.stem.items() if key != "atlas"}
    name = bids_name({**stem, "desc": "connectrial"}, suffix="qc", extension=".tsv")
    text = table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    return [write_atomic(job.folder / name, text)]


def sidecar_of(
    job: SessionJob, connectivity: Connectivity, facts: dict[str, Any]
) -> dict[str, Any]:
    """Say of a session's matrix what it is, and what was found on the way."""
    estimate: Estimate | None = facts.get("estimate")
    measure = "Pearson correlation" if estimate is None else estimate.estimator
    return {
        "Description": f"{measure} of parcel time series over kept frames",
        "RelationshipMeasure": measure,
        "Shrinkage": 0.0 if estimate is None else round(estimate.shrinkage, 6),
        "Weighted": True,
        "Directed": False,
        "NonNegative": False,
        "Sources": [source for scan in job.scans for source in sources_of(scan)],
        "Runs": job.study.connectivity.runs if len(job.scans) > 1 else "n/a",
        "KeptFrames": connectivity.n_frames,
        **facts.get("standard_errors", {}),
        "Quality": facts.get("quality", []),
        "WeakParcels": facts["weak"],
        "WeakParcelsAction": job.study.coverage.action,
        "Notes": [
            note
            for note in dict.fromkeys((facts["note"], *facts.get("notes", ()), *connectivity.notes))
            if note
        ],
        "Simulated": job.simulated,
    }
