"""A tiny trial on disk, made by a seeded generator: enough to run everything, in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

PARCELS = [
    *(f"{side}H_Default_{n}" for side in "LR" for n in (1, 2, 3)),
    *(f"{side}H_Vis_{n}" for side in "LR" for n in (1, 2)),
    "AMY-lh",
    "AMY-rh",
]
STUDY = """
[study]
name = "Tiny trial"
seed = 1

[data]
kind = "time series"
derivatives = "data"

[design]
kind = "parallel"

[[visit]]
name = "before"
sessions = ["a"]
day = 0

[[visit]]
name = "after"
sessions = ["b"]
day = 30

[arms]
column = "arm"
levels = ["placebo", "drug"]

[quality]
carpets = false

[sets.amygdala]
parcels = ["AMY-*"]

[scales.MADRS]
minimum = 0
maximum = 60

[endpoints.response]
scale = "MADRS"
baseline = "before"
visit = "after"
min_percent_decrease = 50

[[hypothesis]]
name = "Default"
within = "Default"
model = "change"
tests = ["visit:arm"]
family = "primary"

[[hypothesis]]
name = "Amygdala to Default"
between = ["amygdala", "Default"]
model = "change"
tests = ["visit:arm"]
family = "primary"

[[hypothesis]]
name = "Visual"
within = "Vis"
model = "change"
tests = ["visit:arm"]
role = "negative control"

[[clinical]]
name = "MADRS"
scale = "MADRS"
model = "change"
tests = ["visit:arm"]

[[exploration]]
name = "Every edge"
model = "change"
test = "visit:arm"

[model.change]
fixed = ["visit * arm"]
random = ["1 | subject"]
df = "satterthwaite"

[family.primary]
size = 2
method = "holm"
"""


def write_tiny(folder: Path, *, n_subjects: int = 12, n_frames: int = 40, seed: int = 7) -> Path:
    """Write data and study file; return the study file.

    Person 03 has no second scan, person 05 no stated arm.
    """
    rng, scored = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    data = folder / "data"
    rows, scores = ["participant_id\tarm\tage"], ["participant_id\tsession_id\tMADRS"]
    for number in range(1, n_subjects + 1):
        subject = f"{number:02d}"
        arm = "n/a" if subject == "05" else ("placebo", "drug")[number % 2]
        rows.append(f"sub-{subject}\t{arm}\t{20 + number}")
        person = rng.normal(size=(len(PARCELS), 3)) * 0.3
        for session in "ab":
            score = 29 if (subject, session) == ("01", "a") else scored.integers(8, 36)
            scores.append(f"sub-{subject}\tses-{session}\t{score}")
            if subject == "03" and session == "b":
                continue
            common = rng.normal(size=(n_frames, 3))
            signal = 500 + common @ (person.T + 0.5) + rng.normal(size=(n_frames, len(PARCELS)))
            write_series(series_path(data, subject, session), signal)
    (data / "phenotype").mkdir(parents=True)
    (data / "participants.tsv").write_text("\n".join(rows) + "\n")
    (data / "phenotype" / "madrs.tsv").write_text("\n".join(scores) + "\n")
    (data / "dataset_description.json").write_text('{"Name": "tiny", "BIDSVersion": "1.10.0"}')
    study = folder / "study.toml"
    study.write_text(STUDY)
    return study


def series_path(data: Path, subject: str, session: str) -> Path:
    """Return where a session's series lies."""
    name = f"sub-{subject}_ses-{session}_task-rest_space-X_atlas-Tiny_stat-mean_timeseries.tsv"
    return data / f"sub-{subject}" / f"ses-{session}" / "func" / name


def write_series(path: Path, signal: np.ndarray, parcels: list[str] = PARCELS) -> None:
    """Write a series under a header of names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(parcels), *("\t".join(f"{x:.7g}" for x in row) for row in signal)]
    path.write_text("\n".join(lines) + "\n")
