"""How large a simulated trial is, and what is true of it."""

from __future__ import annotations

from dataclasses import dataclass

from connectrial.errors import InputError
from connectrial.simulate.atlas import blocks_of, parcel_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What is true of every edge between two blocks of parcels, in Fisher z.

    Attributes
    ----------
    blocks : tuple of two str
        A block is a network of the atlas, but ``sgACC`` and ``limbic`` are blocks of their own and
        ``Default`` is the default network without the sgACC.
    patients : float
        Patients minus controls before treatment.
    responders, non_responders : float
        Change from before to after treatment.
    """

    blocks: tuple[str, str]
    patients: float
    responders: float
    non_responders: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialDesign:
    """How many people, scans and frames, and what is true of them.

    Attributes
    ----------
    n_patients, n_controls : int
        People scanned at ``ses-pre1`` and at ``ses-1``.
    n_second_baselines, n_posts, n_repeat_controls : int
        How many of them were scanned at ``ses-pre2``, ``ses-post`` and (controls) ``ses-2``.
    n_dropouts : int
        Patients who leave: the first during the infusion (baseline score only), the others after
        the score of day 1. None of them has a later score or a scan after treatment.
    n_responders : int
        Patients whose MADRS falls by at least 50 % at week 2, among those who stay.
    n_runs, n_frames : int
        Runs per session, frames per run.
    repetition_time_s : float
        Seconds between frames.
    n_imaged : int
        People who also have 4D images: patients first, every third one a control.
    effects : tuple of Effect
        True group differences and changes; zero wherever none is named.
    subject_sd, session_sd : float
        Standard deviation over people, and over sessions of a person, of the true Fisher z of a
        block; 0.4 of that between different blocks (the sgACC varies with its network).
    mean_fd_mm : float
        Median over people of the mean framewise displacement, before jerks are added.
    """

    n_patients: int = 23
    n_controls: int = 27
    n_second_baselines: int = 18
    n_posts: int = 20
    n_repeat_controls: int = 7
    n_dropouts: int = 2
    n_responders: int = 11
    n_runs: int = 2
    n_frames: int = 150
    repetition_time_s: float = 2.0
    n_imaged: int = 3
    effects: tuple[Effect, ...] = (
        Effect(
            blocks=("Default", "Default"), patients=0.07, responders=-0.07, non_responders=-0.01
        ),
        Effect(blocks=("Default", "sgACC"), patients=0.12, responders=-0.12, non_responders=-0.03),
        Effect(blocks=("limbic", "limbic"), patients=0.08, responders=-0.09, non_responders=-0.07),
    )
    subject_sd: float = 0.05
    session_sd: float = 0.03
    mean_fd_mm: float = 0.08

    def __post_init__(self) -> None:
        stay = self.n_patients - self.n_dropouts
        bounds = {
            "n_patients": (self.n_patients, 1, None),
            "n_controls": (self.n_controls, 0, None),
            "n_dropouts": (self.n_dropouts, 0, self.n_patients - 1),
            "n_second_baselines": (self.n_second_baselines, 0, self.n_patients),
            "n_posts": (self.n_posts, 0, stay),
            "n_responders": (self.n_responders, 0, stay),
            "n_repeat_controls": (self.n_repeat_controls, 0, self.n_controls),
            "n_runs": (self.n_runs, 1, None),
            "n_frames": (self.n_frames, 20, None),
            "n_imaged": (self.n_imaged, 0, self.n_patients + self.n_controls),
        }
        problems = [
            f"TrialDesign: {name} is {value}; allowed is {low} or more"
            + ("" if high is None else f", up to {high}")
            for name, (value, low, high) in bounds.items()
            if value < low or (high is not None and value > high)
        ]
        problems += [
            f"TrialDesign: {name} is {value}; it must not be negative"
            for name, value in (("subject_sd", self.subject_sd), ("session_sd", self.session_sd))
            if not value >= 0
        ]
        if not self.repetition_time_s > 0:
            problems.append(
                f"TrialDesign: repetition_time_s is {self.repetition_time_s}; must be > 0"
            )
        known = set(blocks_of(parcel_table().index, parcel_table()["network"]))
        problems += [
            f"TrialDesign: an effect names the block {block!r}; "
            f"the atlas has {', '.join(sorted(known))}"
            for effect in self.effects
            for block in effect.blocks
            if block not in known
        ]
        if problems:
            raise InputError(problems)
