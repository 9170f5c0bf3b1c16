"""A parallel trial of tables alone, made by a seeded generator: items, checklists, volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

N = 48
VISITS = ("v0", "v1", "v2", "v3")
STUDY = """
[study]
name = "Parallel tables"
seed = 5

[data]
dataset = "data"

[design]
kind = "parallel"

[[visit]]
name = "pre"
phenotype_sessions = ["v0"]
day = 0
[[visit]]
name = "week1"
phenotype_sessions = ["v1"]
day = 7
[[visit]]
name = "week2"
phenotype_sessions = ["v2"]
day = 14
[[visit]]
name = "week4"
phenotype_sessions = ["v3"]
day = 28

[arms]
column = "arm"
levels = ["placebo", "drug"]

[variables.age]
[variables.sex]
levels = ["f", "m"]
[variables.dose]

[[eligibility]]
column = "age"
at_least = 18
at_most = 65

[analysis_sets.itt]
[analysis_sets.worst]
missing = "worst case"
[analysis_sets.carried]
missing = "locf"
[analysis_sets.per_protocol]
rules = [{ column = "protocol", one_of = ["yes"] }]

[estimand.treatment_policy]
treatment = "Drug against placebo"
population = "Everybody randomised"
variable = "Change of MADRS to week 4"
summary = "Difference in means"
intercurrent_events = { "dropping out" = "hypothetical" }

[scales.MADRS]
definition = "MADRS"
items = "MADRS_{n}"
[scales.CGI-I]
definition = "CGI-I"
[scales.SBP]
unit = "mmHg"
[scales."BPRS positive"]
definition = "BPRS"
score = "positive"
column = "BPRS_positive"

[endpoints.response]
scale = "MADRS"
baseline = "pre"
visit = "week4"
min_percent_decrease = 50
analysis_sets = ["itt", "worst", "carried", "per_protocol"]
family = "primary"
role = "primary"
[endpoints.sustained]
scale = "MADRS"
baseline = "pre"
visit = "week2"
until = "week4"
min_percent_decrease = 50
test = "fisher"

[[clinical]]
name = "MMRM"
scale = "MADRS"
baseline = "pre"
visit = "week4"
role = "primary"
family = "primary"
analysis_set = "itt"
estimand = "treatment_policy"
[[clinical]]
name = "LOCF"
scale = "MADRS"
method = "ancova"
baseline = "pre"
visit = "week4"
covariates = ["age"]
role = "sensitivity"
analysis_set = "carried"
[[clinical]]
name = "Over time"
scale = "MADRS"
method = "anova"
baseline = "pre"
[[clinical]]
name = "Impression"
scale = "CGI-I"
method = "ordinal"
visit = "week4"
[[clinical]]
name = "Jump to placebo"
scale = "MADRS"
method = "reference-based"
strategy = "jump to reference"
baseline = "pre"
visit = "week4"
n_imputations = 20
n_bootstraps = 10
role = "sensitivity"

[[clinical]]
name = "Alike"
scale = "MADRS"
method = "equivalence"
outcome = "change"
baseline = "pre"
visit = "week4"
margin = 8
[[clinical]]
name = "Not worse"
scale = "MADRS"
method = "non-inferiority"
visit = "week4"
margin = 3

[[correlation]]
name = "Mood and age"
scale = "MADRS"
variable = "age"
baseline = "pre"
visit = "week4"
covariates = ["arm", "dose"]
[[correlation]]
name = "Mood and pressure"
scale = "MADRS"
other_scale = "SBP"
method = "spearman"
visit = "week2"
[[correlation]]
name = "Mood and pressure within people"
scale = "MADRS"
other_scale = "SBP"
method = "repeated measures"

[[time_to_event]]
name = "Time to response"
scale = "MADRS"
event = "response"
baseline = "pre"
min_percent_decrease = 50
[[time_to_event]]
name = "Relapse"
scale = "MADRS"
event = "relapse"
baseline = "pre"
min_percent_decrease = 50
relapse_percent_decrease = 25

[safety]
events = { headache = "headache", nausea = "nausea" }
severity = { none = 0, mild = 1, moderate = 2, severe = 3 }
present_from = 2
courses = ["BPRS positive"]
vital_signs = ["SBP"]
baseline = "pre"
exposure = ["arm", "dose"]

[volumes]
table = "aseg.tsv"
structures = ["Left-Hippocampus", "Right-Hippocampus"]
scale = "MADRS"
baseline = "pre"
visit = "week4"

[family.primary]
size = 2
method = "holm"
"""


def write_parallel(folder: Path, *, study: str = STUDY, seed: int = 11) -> Path:
    """Write the tables of 48 people, of whom one is too old; return the study file."""
    rng = np.random.default_rng(seed)
    data = folder / "data"
    (data / "phenotype").mkdir(parents=True)
    people = ["participant_id\tarm\tage\tsex\tdose\tprotocol"]
    items = ["participant_id\tsession_id\t" + "\t".join(f"MADRS_{n}" for n in range(1, 11))]
    other = ["participant_id\tsession_id\tCGI-I\tSBP\tBPRS_positive\theadache\tnausea"]
    volumes = ["Measure:volume\tLeft-Hippocampus\tRight-Hippocampus\tEstimatedTotalIntraCranialVol"]
    words = ["none", "mild", "moderate", "severe"]
    for number in range(1, N + 1):
        name, arm = f"{number:02d}", ("placebo", "drug")[number % 2]
        age = 80 if number == N else int(rng.integers(20, 60))
        dose = 0.0 if arm == "placebo" else round(float(rng.uniform(0.2, 0.8)), 2)
        protocol = "no" if number % 8 == 0 else "yes"
        people.append(f"sub-{name}\t{arm}\t{age}\t{'fm'[number % 3 == 0]}\t{dose}\t{protocol}")
        level, gone = rng.uniform(2.6, 3.6), rng.integers(1, 4) if number % 5 == 0 else 9
        for visit, session in enumerate(VISITS):
            drop = visit * (0.85 if arm == "drug" else 0.4)
            cells = np.clip(np.round(level - drop + rng.normal(0, 0.8, 10)), 0, 6).astype(int)
            shown = [str(one) for one in cells]
            if number == 3 and visit == 1:
                shown[3] = "n/a"
            if number == 4 and visit == 1:
                shown[3] = shown[4] = "n/a"
            if visit >= gone:
                shown = ["n/a"] * 10
            items.append(f"sub-{name}\tses-{session}\t" + "\t".join(shown))
            cgi = (
                "0"
                if number == 7
                else str(int(np.clip(rng.integers(1, 6) - (arm == "drug"), 1, 7)))
            )
            row = [
                "n/a" if visit == 0 or visit >= gone else cgi,
                str(int(120 + rng.normal(0, 8) + 5 * (arm == "drug") * (visit > 0))),
                str(int(rng.integers(4, 9))),
                words[int(rng.integers(0, 2 + 2 * (arm == "drug")))] if visit else "none",
                str(int(rng.integers(0, 2))) if visit else "n/a",
            ]
            other.append(f"sub-{name}\tses-{session}\t" + "\t".join(row))
        total = rng.normal(1.5e6, 1e5)
        volumes.append(
            f"sub-{name}\t{total * 0.0026:.1f}\t{total * rng.normal(0.0027, 1e-4):.1f}\t{total:.1f}"
        )
    (data / "participants.tsv").write_text("\n".join(people) + "\n")
    (data / "phenotype" / "madrs.tsv").write_text("\n".join(items) + "\n")
    (data / "phenotype" / "visits.tsv").write_text("\n".join(other) + "\n")
    (data / "aseg.tsv").write_text("\n".join(volumes) + "\n")
    (data / "dataset_description.json").write_text('{"Name": "tables", "BIDSVersion": "1.10.0"}')
    file = folder / "study.toml"
    file.write_text(study)
    return file
