"""The tables of a run, and what each of them is."""

from __future__ import annotations

from connectrial.results import (
    QCFC_DICTIONARY,
    QUALITY_DICTIONARY,
    REGION_DICTIONARY,
)

#: Tables in the order in which a reader wants them; each is a file of its own.
TABLES = {
    "subjects": "One row per person: factors, in or out, and why",
    "scans": "One row per run: visit, frames, motion, usable or not, analysed or not, and why",
    "flow": "People and scans at each step, with those who left",
    "availability": "What each person has at each visit",
    "network_fc": "Network FC (mean Fisher z) of each session",
    "network_strength": "Mean Fisher z within every network and between every two, of each session",
    "visit_fc": "Network FC of each visit, sessions averaged, with the person's factors",
    "scores": "Clinical scores by visit, with change from the first visit of the scale",
    "score_means": "Observed means of the scores by visit",
    "endpoints": "Who met each endpoint, or why that is unknown",
    "quality": "Motion, kept data and signal of each session, its runs together",
    "region_quality": "Signal, its SD and coverage in each network and set, by session",
    "qcfc": "Correlation of motion with every edge, by visit and within people",
    "edge_reliability": "Intraclass correlation of every edge over the sessions of a visit",
    "batches": "Sessions of each scanner, site or version (batch) at each visit and in each arm",
    "profiles": "Maps over parcels: means by visit, and people's mean change, of every parcel (Fisher z)",
    "weak_parcels": "Parcels with little coverage or signal, by session",
    "rules": "Eligibility and analysis sets, rule by rule: how many fail in turn, and of all",
    "baseline": "People at the start by group, with standardised differences",
    "imaging_flow": "Scans at each session: expected, made, failed and why, analysed",
    "volumes": "Volumes over intracranial volume of each person, beside the change they predict",
    "period_flow": "Crossover: people of each sequence through its periods, and who has a score",
    "score_log": "Assessments with missing items, and what was done about them",
    "severity": "People in each severity band of a scale, by visit",
    "survival": "Kaplan-Meier curves of the times to events",
    "event_times": "Time to each event of each person, or why there is none",
    "adverse_events": "People with each side effect, by arm and visit",
    "worst_severity": "Each person's worst severity of each side effect",
    "safety_courses": "Means of safety scales by visit",
    "vital_signs": "Change of vital signs from the baseline visit",
    "dispositions": "What became of each person",
    "parcels": "Parcels and their networks, in order, with their centres in mm where the atlas tells them",
    "exposure": "Measures of exposure of each person, their weight, and why one is missing",
    "doses": "Doses of each dosed person, as amounts over a duration",
    "concentrations": "Modelled concentrations of each dosed person over time, ng/ml",
    "samples": "Measured concentrations, enantiomers added up, after the rule for small values",
    "scan_files": "Where each run's own files lie; empty where there is none",
    "random_sets": "Matched random sets of connections: their difference from the rest",
    "residuals": "Residuals of the primary outcomes' models, one row per observation",
    "influence": "What leaving a person out does to each coefficient of the primary outcomes' models",
    "variants": "Variants of processing: what is other about each, and its sessions",
    "variant_fc": "Network FC of each visit in each variant of processing",
    "truth": "What was simulated beside what was found",
}

COLUMNS_OF = {
    "quality": QUALITY_DICTIONARY,
    "region_quality": REGION_DICTIONARY,
    "qcfc": QCFC_DICTIONARY,
}

FOLDERS = {
    "edges": "One row per edge of an exploratory analysis",
    "matrices": "Mean Fisher z over the sessions of a visit",
}
