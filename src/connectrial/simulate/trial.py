"""The whole simulated trial: people, scans, scores, atlas and truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from connectrial.data import Atlas
from connectrial.simulate.atlas import make_atlas, weak_parcels
from connectrial.simulate.blocks import draw_z
from connectrial.simulate.design import TrialDesign
from connectrial.simulate.images import SimulatedImage, simulate_image
from connectrial.simulate.people import choose_oddities, draw_people, draw_scores, schedule
from connectrial.simulate.signals import SimulatedScan, draw_scans
from connectrial.simulate.truth import true_effects, truth_of_scans


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SimulatedTrial:
    """A whole trial and what is true of it.

    Attributes
    ----------
    design : TrialDesign
        What was asked for.
    seed : int
        Where the random numbers began.
    participants : pandas.DataFrame
        One row per person: ``subject``, ``group``, ``age`` (years), ``sex``, ``education_years``,
        ``disposition``.
    phenotype : dict of str to pandas.DataFrame
        Long tables by scale: ``subject``, ``session``, ``day`` (from the start of treatment), and
        the score (NaN where it was not taken).
    scans : tuple of SimulatedScan
        In the order subject, session, run.
    atlas : Atlas
        Parcels, networks and a label image.
    truth : pandas.DataFrame
        What an analysis should find: ``name``, ``model``, ``term``, ``value``, ``unit``, ``note``.
    truth_scans : pandas.DataFrame
        What is true of a session: ``subject``, ``session``, ``visit``, ``response``, ``name``,
        ``n_edges``, ``fc_z`` (all edges), ``fc_z_covered`` (without parcels that lack signal).
    special : dict of str to str
        Oddities put in on purpose, each with the scan or row that has it.
    imaged : tuple of str
        Subjects who have images.
    n_repaired : int
        Sessions whose planned matrix was not positive definite and was replaced by a near one; the
        truth of those sessions is that of the replacement.
    """

    design: TrialDesign
    seed: int
    participants: pd.DataFrame
    phenotype: dict[str, pd.DataFrame]
    scans: tuple[SimulatedScan, ...]
    atlas: Atlas
    truth: pd.DataFrame
    truth_scans: pd.DataFrame
    special: dict[str, str] = field(default_factory=dict)
    imaged: tuple[str, ...] = ()
    n_repaired: int = 0

    def images(self) -> Iterator[SimulatedImage]:
        """Yield the 4D images one at a time, in the order of the scans."""
        for scan in self.scans:
            if scan.subject in self.imaged:
                yield simulate_image(scan, self.atlas)


def simulate_trial(design: TrialDesign | None = None, *, seed: int) -> SimulatedTrial:
    """Simulate a treatment trial with resting-state scans whose true connectivity is known.

    Parameters
    ----------
    design : TrialDesign, optional
        Numbers of people and scans, true effects and noise; by default the shape of Siegel et al.
        (2021): 23 patients, 18 second baselines, 20 posts, 27 controls of whom 7 came twice; 21
        patients have a response and give 40 usable observations.
    seed : int
        Where the random numbers begin. The same seed and design give the same trial.

    Returns
    -------
    SimulatedTrial
        Tables, signals, atlas and truth; images are made when they are asked for.

    Raises
    ------
    InputError
        If the design contradicts itself.
    """
    design = design or TrialDesign()
    rng_people, rng_z, rng_signal = np.random.default_rng(seed).spawn(3)
    atlas = make_atlas()
    people = draw_people(design, rng_people)
    madrs, response = draw_scores(people, rng_people)
    people["response"] = people["subject"].map(response)
    sessions = schedule(people, design, rng_people)
    special, imaged = choose_oddities(
        people, sessions, madrs, n_imaged=design.n_imaged, rng=rng_people
    )
    z, n_repaired = draw_z(sessions, atlas, design=design, rng=rng_z)
    weak = weak_parcels(atlas)
    is_cut = sessions["scan"].eq(special.get("weak parcels", "")).to_numpy()
    # A parcel outside the field of view holds noise of its own: its edges are truly zero.
    z[np.ix_(is_cut, weak, np.ones_like(weak))] = 0.0
    z[np.ix_(is_cut, np.ones_like(weak), weak)] = 0.0
    scans = draw_scans(sessions, z, atlas=atlas, design=design, special=special, rng=rng_signal)
    return SimulatedTrial(
        design=design,
        seed=seed,
        participants=people[
            ["subject", "group", "age", "sex", "education_years", "disposition"]
        ].reset_index(drop=True),
        phenotype={"MADRS": madrs},
        scans=scans,
        atlas=atlas,
        truth=true_effects(atlas, design=design, sessions=sessions, special=special),
        truth_scans=truth_of_scans(sessions, z, atlas=atlas, lost=is_cut[:, None] & weak),
        special=special,
        imaged=imaged,
        n_repaired=n_repaired,
    )
