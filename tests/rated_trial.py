"""A tiny trial of images whose scans are worth rating: one moved, one cannot be read, one is weak."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from connectrial import load_study, plan_study, run_plan
from connectrial.io.ids import codes_for
from connectrial.report.identifiers import people_named, with_codes, without_hidden
from connectrial.report.saving_pages import Pages, gather_pages
from connectrial.results import Results
from connectrial.run.excluding import exclude_listed
from tiny_images import (
    N_FRAMES,
    bold_path,
    confounds_path,
    labels,
    make_motion,
    save_bold,
    save_confounds,
    write_atlas,
    write_scan,
    write_study,
)

MORE = """
[study]
name = "Rated </script><b>trial</b>"
[arms]
column = "arm"
levels = ["placebo", "drug"]
[quality]
carpets = true
qc_fc = false
max_mean_fd_mm = 0.9
[censoring]
max_fd_mm = 0.5
min_kept_fraction = 0.5
"""
#: Moved once; moved all the time; cannot be read; a parcel without signal.
SPIKE, RESTLESS, BROKEN, WEAK = ("smith", "b"), ("02", "a"), ("03", "b"), ("04", "a")


def write_rated(folder: Path) -> Path:
    """Write four people with two sessions each; return the study file."""
    data = folder / "data"
    write_atlas(folder)
    rng = np.random.default_rng(3)
    rows = ["participant_id\tarm"]
    for number, subject in enumerate(("smith", "02", "03", "04")):
        rows.append(f"sub-{subject}\t{('placebo', 'drug')[number % 2]}")
        for session in "ab":
            voxels = write_scan(data, subject, session, rng)
            fd_mm = np.full(N_FRAMES, 0.1)
            if (subject, session) == SPIKE:
                fd_mm[[20, 21, 40]] = 3.0
            if (subject, session) == RESTLESS:
                fd_mm[::2] = 2.0
            path = confounds_path(data, subject, session)
            save_confounds(path, make_motion(rng), fd_mm=fd_mm)
            if (subject, session) == BROKEN:
                bold_path(data, subject, session).write_bytes(b"no image")
            if (subject, session) == WEAK:
                voxels[labels() == 5] = 0
                save_bold(bold_path(data, subject, session), voxels)
    (data / "participants.tsv").write_text("\n".join(rows) + "\n")
    return write_study(folder, more=MORE)


def run_rated(study: Path, out: Path, *, exclude: Path | None = None) -> Results:
    """Run the trial, with a list of exclusions or without."""
    loaded = load_study(study)
    if exclude is not None:
        loaded = exclude_listed(loaded, exclude, ids=out / "ids.tsv")
    plan = plan_study(loaded)
    assert plan.problems == ()
    results = run_plan(plan, out)
    assert results is not None
    return results


def pages_of(results: Results, out: Path, *, keep: bool = False) -> Pages:
    """Gather the pages as the report does, without its figures."""
    files = results.tables["scan_files"]
    codes = {} if keep else codes_for(out, people_named(results))
    shown = results if keep else with_codes(results, codes)
    return gather_pages(without_hidden(shown), files, codes=codes)
