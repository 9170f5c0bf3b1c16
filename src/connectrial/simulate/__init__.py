"""A trial with known truth: tests, gallery, power and demo all use it.

The design is that of a 96-hour ketamine infusion with matched controls (Siegel et al. 2021): two
scans before, one two weeks after, depression scores over eight weeks. Every number of it that is
not in that paper (effect sizes, variances, noise) is an assumption of ours, chosen so that a small
trial can show it. Nothing here touches a disk.

``simulate_study`` does the same for the design of any study file: what is to be true is stated as
facts, each with its source.

The Fisher z of every edge is planned first (level + person + session + treatment), turned into one
correlation matrix per session, and only then into signals whose population correlation is exactly
that matrix. So the truth of a scan is what its signals would show if they were endless.
"""

from __future__ import annotations

from connectrial.simulate.atlas import ATLAS_NAME, LIMBIC, SGACC
from connectrial.simulate.design import Effect, TrialDesign
from connectrial.simulate.facts import Facts, read_facts
from connectrial.simulate.from_study import SimulatedStudy, simulate_study
from connectrial.simulate.images import SimulatedImage, simulate_image
from connectrial.simulate.people import SCORE_DAYS
from connectrial.simulate.signals import ARTEFACT_FD_MM, BAND_HZ, SimulatedScan, draw_band_limited
from connectrial.simulate.trial import SimulatedTrial, simulate_trial
from connectrial.simulate.truth import SYSTEMS

__all__ = [
    "ARTEFACT_FD_MM",
    "ATLAS_NAME",
    "BAND_HZ",
    "LIMBIC",
    "SCORE_DAYS",
    "SGACC",
    "SYSTEMS",
    "Effect",
    "Facts",
    "SimulatedImage",
    "SimulatedScan",
    "SimulatedStudy",
    "SimulatedTrial",
    "TrialDesign",
    "draw_band_limited",
    "read_facts",
    "simulate_image",
    "simulate_study",
    "simulate_trial",
]
