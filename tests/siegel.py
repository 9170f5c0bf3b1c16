"""A trial's tables built to the counts that Siegel et al. (2021) print; every score is made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tiny import PARCELS, write_series

N_STARTED = 23
#: Scores at baseline are 30: a half is 15, remission lies below 10.
RESPONDS, REMITS, NEITHER = 14, 8, 25
STUDY = """
[study]
name = "A trial with the counts of Siegel 2021"

[data]
kind = "time series"
derivatives = "data"

[design]
kind = "pre-post"

[[visit]]
name = "pre"
sessions = ["pre1", "pre2"]
phenotype_sessions = ["pre"]
day = 0
[[visit]]
name = "day1"
phenotype_sessions = ["day1"]
day = 5
[[visit]]
name = "week2"
sessions = ["post"]
phenotype_sessions = ["week2"]
day = 18
[[visit]]
name = "week8"
phenotype_sessions = ["week8"]
day = 60

[[eligibility]]
name = "MADRS of at least 22"
scale = "MADRS"
visit = "pre"
at_least = 22
[[eligibility]]
name = "meets the criteria"
column = "criteria"
one_of = ["met"]
[[eligibility]]
name = "consent upheld"
column = "withdrew"
none_of = ["yes"]

[analysis_sets.treated]
description = "Everybody who started"
[analysis_sets.per_protocol]
description = "Completed the infusion"
rules = [{ column = "infusion", one_of = ["completed"] }]
[analysis_sets.worst_case]
description = "Completed the infusion; whoever has no score did not respond"
rules = [{ column = "infusion", one_of = ["completed"] }]
missing = "worst case"
[analysis_sets.imaging]
description = "Completed the infusion and was followed up"
rules = [{ column = "followed", one_of = ["yes"] }]

[flow]
disposition = "disposition"
completed = ["completed"]
lost = ["lost"]
excluded = ["stopped"]
not_treated = ["not started"]

[estimand.per_protocol]
population = "People who completed the infusion"
variable = "Response: MADRS at least halved"
summary = "Proportion"
[estimand.per_protocol.intercurrent_events]
"infusion not tolerated" = "principal stratum"
"admission to hospital" = "hypothetical"

[scales.MADRS]
definition = "MADRS"

[endpoints.response_day1]
scale = "MADRS"
baseline = "pre"
visit = "day1"
min_percent_decrease = 50
analysis_sets = ["per_protocol"]
estimand = "per_protocol"
[endpoints.remission_day1]
scale = "MADRS"
visit = "day1"
below = 10
analysis_sets = ["per_protocol"]
[endpoints.response]
scale = "MADRS"
baseline = "pre"
visit = "week2"
min_percent_decrease = 50
analysis_sets = ["per_protocol", "worst_case"]
[endpoints.remission]
scale = "MADRS"
visit = "week2"
below = 10
analysis_sets = ["per_protocol"]
[endpoints.still_responding]
scale = "MADRS"
baseline = "pre"
visit = "week8"
min_percent_decrease = 50
among = "response"
analysis_sets = ["per_protocol"]
[endpoints.response_week8]
scale = "MADRS"
baseline = "pre"
visit = "week8"
min_percent_decrease = 50
analysis_sets = ["per_protocol"]
[endpoints.remission_week8]
scale = "MADRS"
visit = "week8"
below = 10
analysis_sets = ["per_protocol"]

[[hypothesis]]
name = "Default"
within = "Default"
model = "change"
tests = ["visit"]
analysis_set = "imaging"

[[clinical]]
name = "MADRS over time"
scale = "MADRS"
method = "anova"
baseline = "pre"
analysis_set = "per_protocol"

[[correlation]]
name = "FC and mood"
scale = "MADRS"
hypothesis = "Default"
baseline = "pre"
visit = "week2"
analysis_set = "imaging"

[quality]
edge_reliability = true

[model.change]
fixed = ["visit"]
df = "residual"
variance_intervals = "profile"
"""


def write_siegel(folder: Path, *, study: str = STUDY, seed: int = 3) -> Path:
    """Write tables and scans of 27 people who consented; return the study file.

    Persons 01 to 22 complete the infusion, 22 is lost after day 6; 23 stops; 24 fails a criterion;
    25 to 27 withdraw. Scans: 23 at pre1, 18 at pre2, 20 after; one of these of person 22, whose
    follow-up is no part of the imaging, so that 21 people and 40 visits are left.
    """
    rng = np.random.default_rng(seed)
    data = folder / "data"
    people = ["participant_id\tcriteria\twithdrew\tinfusion\tfollowed\tdisposition"]
    scores = ["participant_id\tsession_id\tMADRS"]
    for number in range(1, 28):
        name = f"{number:02d}"
        cells = ["met", "no", "completed", "yes", "completed"]
        if number == 22:
            cells[3:] = ["no", "lost"]
        if number == 23:
            cells[2:] = ["stopped", "no", "stopped"]
        if number == 24:
            cells = ["not met", "no", "not started", "no", "not started"]
        if number > 24:
            cells[1:] = ["yes", "not started", "no", "not started"]
        people.append("\t".join([f"sub-{name}", *cells]))
        scores.append(f"sub-{name}\tses-pre\t30")
        scores += [f"sub-{name}\tses-{v}\t{s}" for v, s in _after(number)]
        for session in _scanned(number):
            common = rng.normal(size=(40, 3))
            signal = 500 + common @ rng.normal(size=(3, len(PARCELS)))
            file = f"sub-{name}_ses-{session}_task-rest_space-X_atlas-Tiny_stat-mean_timeseries.tsv"
            path = data / f"sub-{name}" / f"ses-{session}" / "func" / file
            write_series(path, signal + rng.normal(size=(40, len(PARCELS))))
    (data / "phenotype").mkdir(parents=True)
    (data / "participants.tsv").write_text("\n".join(people) + "\n")
    (data / "phenotype" / "madrs.tsv").write_text("\n".join(scores) + "\n")
    (data / "dataset_description.json").write_text('{"Name": "counts", "BIDSVersion": "1.10.0"}')
    file = folder / "study.toml"
    file.write_text(study)
    return file


def _after(number: int) -> list[tuple[str, int]]:
    """Return the scores after the infusion: 16, 11 and 11 responders, 13, 8 and 7 remitters."""
    if number > 22:
        return []
    day1 = REMITS if number <= 13 else RESPONDS if number <= 16 else NEITHER
    if number == 22:
        return [("day1", day1)]
    week2 = REMITS if number <= 8 else RESPONDS if number <= 11 else NEITHER
    # Eight of eleven stay responders, three others respond late.
    week8 = REMITS if number <= 7 else RESPONDS if number in (8, 12, 13, 14) else NEITHER
    if number in (9, 10, 11):
        week8 = NEITHER
    return [("day1", day1), ("week2", week2), ("week8", week8)]


def _scanned(number: int) -> list[str]:
    if number > 23:
        return []
    sessions = ["pre1"]
    if number <= 18:
        sessions.append("pre2")
    if number <= 19 or number == 22:
        sessions.append("post")
    return sessions
