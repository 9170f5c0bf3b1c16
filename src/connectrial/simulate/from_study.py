"""A simulated dataset of the design that a study file declares, with known truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from connectrial.data import Atlas, FloatArray, TimeSeries
from connectrial.errors import StudyFileError
from connectrial.fc.networks import NetworkDefinition
from connectrial.simulate.extras import (
    add_correlated,
    add_highest_rate,
    draw_doses,
    draw_events,
    draw_samples,
    draw_volumes,
)
from connectrial.simulate.facts import ASSUMED, Facts
from connectrial.simulate.recruiting import Recruited, default_cohorts, recruit
from connectrial.simulate.scoring import ScoreRange, draw_scores, halves, met
from connectrial.simulate.signals import (
    SimulatedScan,
    draw_band_limited,
    draw_motion,
    motion_artefact,
)
from connectrial.simulate.systems import DEFAULT_FC, Wiring, draw_wiring, fc_settings
from connectrial.study import Study

_ODDITIES = ("high motion",)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SimulatedStudy:
    """A whole dataset and what is true of it.

    Attributes
    ----------
    study : Study
        The design.
    seed : int
        Where the random numbers began.
    recruited : Recruited
        People, sessions, assessments.
    scores : DataFrame
        ``subject``, ``place``, ``scale``, ``score``.
    events : DataFrame or None
        Checklist of side effects: ``subject``, ``place``, one column each.
    doses : DataFrame or None
        Each person's doses, where the study reads them from a table.
    samples : dict of str to DataFrame
        Path -> measured concentrations.
    volumes : DataFrame or None
        As asegstats2table writes them.
    atlas : Atlas or None
        Parcels; None for tables alone.
    wiring : Wiring or None
        True connectivity.
    settings : dict
        Of the signals: n_runs, n_frames, repetition_time_s, mean_fd_mm.
    odd : dict of str to str
        Oddities put in on purpose, each with its scan.
    truth : DataFrame
        ``name``, ``term``, ``value``, ``unit``, ``note``: what an analysis should find.
    facts : DataFrame
        ``key``, ``value``, ``source``: every value that was asked for; defaults are assumptions.
    """

    study: Study
    seed: int
    recruited: Recruited
    scores: pd.DataFrame
    events: pd.DataFrame | None
    doses: pd.DataFrame | None
    samples: dict[str, pd.DataFrame]
    volumes: pd.DataFrame | None
    atlas: Atlas | None
    wiring: Wiring | None
    settings: dict[str, Any]
    odd: dict[str, str]
    truth: pd.DataFrame
    facts: pd.DataFrame

    def scans(self) -> Iterator[SimulatedScan]:
        """Draw the runs one at a time, in the order subject, session, run."""
        if self.wiring is None or self.atlas is None:
            return
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, 3]))
        people = self.recruited.scans["subject"].unique()
        quiet = {s: self.settings["mean_fd_mm"] * rng.lognormal(0, 0.25) for s in people}
        moved = set(self.odd)
        for i, row in enumerate(self.recruited.scans.itertuples()):
            r = np.tanh(self.wiring.z[i].astype(float))
            np.fill_diagonal(r, 1.0)
            lower = np.linalg.cholesky(r)
            name = f"sub-{row.subject}_ses-{row.session}"
            mean_fd_mm = 0.9 if name in moved else quiet[row.subject]
            for run in range(1, self.settings["n_runs"] + 1):
                yield self._draw_run(row, run, lower, mean_fd_mm, rng)

    def _draw_run(
        self,
        row: Any,  # noqa: ANN401 - a row of itertuples
        run: int,
        lower: FloatArray,
        mean_fd_mm: float,
        rng: np.random.Generator,
    ) -> SimulatedScan:
        assert self.atlas is not None  # noqa: S101 - there are scans
        n_frames, tr = self.settings["n_frames"], self.settings["repetition_time_s"]
        motion = draw_motion(
            n_frames, mean_fd_mm=mean_fd_mm, n_jerks=int(rng.poisson(n_frames / 60)), rng=rng
        )
        signal = draw_band_limited(n_frames, len(lower), repetition_time_s=tr, rng=rng) @ lower.T
        signal = signal + motion_artefact(motion, len(lower), rng)
        mean, sd = rng.uniform(850, 1150, len(lower)), rng.uniform(8, 12, len(lower))
        return SimulatedScan(
            subject=row.subject,
            session=row.session,
            run=str(run),
            visit=row.place,
            series=TimeSeries(
                signal=mean + sd * signal,
                kept=np.ones(n_frames, dtype=bool),
                parcels=self.atlas.parcels.index,
                repetition_time_s=tr,
            ),
            motion=motion,
            image_seed=int(rng.integers(2**31)),
        )


def simulate_study(
    study: Study,
    facts: Facts | None = None,
    *,
    seed: int,
    ranges: Mapping[str, ScoreRange],
    atlas: Atlas | None = None,
    systems: Mapping[str, NetworkDefinition] | None = None,
    regimen: pd.DataFrame | None = None,
) -> SimulatedStudy:
    """Simulate the people, scores and true connectivity of a study.

    Parameters
    ----------
    study : Study
        The design; nothing is read from where its data are.
    facts : Facts, optional
        What is to be true; by default no effect, with sizes that are assumptions.
    seed : int
        Where the random numbers begin. The same seed, study and facts give the same data.
    ranges : mapping
        Scale -> what its scores can be.
    atlas : Atlas, optional
        Parcels; needed where the study has scans.
    systems : mapping, optional
        Hypothesis -> its edges in that atlas.
    regimen : DataFrame, optional
        Dose plan, where the study has ``[exposure]``.

    Returns
    -------
    SimulatedStudy
        Signals are drawn when they are asked for.

    Raises
    ------
    StudyFileError
        What is to be true contradicts the study or itself.
    """
    facts = facts or Facts()
    children = np.random.SeedSequence(seed).spawn(4)
    rng_people, rng_scores, rng_z, rng_more = (np.random.default_rng(one) for one in children)
    recruited = recruit(study, facts, rng_people)
    scores = draw_scores(study, facts, recruited, ranges=ranges, rng=rng_scores)
    recruited = add_correlated(recruited, facts, scores, rng_scores)
    reached = _levels(study, recruited, scores)
    wiring = None
    if study.data.derivatives is not None and atlas is not None:
        wiring = draw_wiring(
            study, facts, recruited, atlas=atlas, systems=systems or {}, levels=reached, rng=rng_z
        )
    doses = None
    if regimen is not None and study.exposure is not None:
        doses = draw_doses(study, facts, recruited, regimen, rng_more)
        recruited = add_highest_rate(recruited, facts, doses)
    volumes = study.volumes
    truth = _truth_of_scores(study, reached)
    if wiring is not None:
        truth = pd.concat([wiring.truth, truth], ignore_index=True)
    return SimulatedStudy(
        study=study,
        seed=seed,
        recruited=recruited,
        scores=scores,
        events=None
        if study.safety is None or not study.safety.events
        else draw_events(study.safety, study, facts, recruited, rng_more),
        doses=doses,
        samples={} if doses is None else draw_samples(study, facts, recruited, doses, rng_more),
        volumes=None
        if volumes is None
        else draw_volumes(volumes, facts, recruited, scores, rng_more),
        atlas=atlas if wiring is not None else None,
        wiring=wiring,
        settings=fc_settings(facts),
        odd=_oddities(facts, recruited, reached, rng_more),
        truth=truth,
        facts=_all_facts(study, facts),
    )


def _levels(study: Study, recruited: Recruited, scores: pd.DataFrame) -> pd.DataFrame:
    """Return each person's cohort, arm and level of every endpoint, indexed by subject."""
    table = recruited.people.set_index("subject")[["cohort", "arm"]].astype("object")
    for name, endpoint in study.endpoints.items():
        mine = scores.loc[scores["scale"] == endpoint.scale]
        wide = mine.pivot_table(index="subject", columns="place", values="score")
        asked = [endpoint.visit, *([endpoint.baseline] if endpoint.baseline else [])]
        if any(visit not in wide for visit in asked) or endpoint.until or endpoint.among:
            continue  # by treatment, over several visits, or among others: no level of a person
        found = met(endpoint, wide, better=study.scales[endpoint.scale].better)
        yes, no = endpoint.levels
        table[name] = found.map({True: yes, False: no}).reindex(table.index)
    return table


def _truth_of_scores(study: Study, levels: pd.DataFrame) -> pd.DataFrame:
    rows = [
        (
            name,
            "n_met",
            float((levels[name] == one.levels[0]).sum()),
            "people",
            "of those with scores",
        )
        for name, one in study.endpoints.items()
        if name in levels
    ]
    return pd.DataFrame(rows, columns=["name", "term", "value", "unit", "note"])


def _oddities(
    facts: Facts, recruited: Recruited, levels: pd.DataFrame, rng: np.random.Generator
) -> dict[str, str]:
    """Choose the scans in which something goes wrong on purpose."""
    odd: dict[str, str] = {}
    for one in facts.many("oddity"):
        if one["kind"] not in _ODDITIES:
            raise StudyFileError(
                f"[[oddity]] kind is {one['kind']!r}; allowed is {', '.join(map(repr, _ODDITIES))}"
            )
        scans = recruited.scans
        pool = scans.loc[scans["session"] == one.get("session", scans["session"].iloc[-1])]
        names = "sub-" + pool["subject"] + "_ses-" + pool["session"]
        for name in rng.permutation(names)[: one.get("n", 1)]:
            odd[str(name)] = one["kind"]
    return odd


def _all_facts(study: Study, facts: Facts) -> pd.DataFrame:
    """Return every value that was asked for, then the defaults, which are assumptions."""
    rows = [(one.key, one.value, one.source) for one in facts.stated]
    stated = {one.key for one in facts.stated}
    if not facts.many("cohort"):
        rows += [(f"cohort.{c['name']}.n", c["n"], ASSUMED) for c in default_cohorts(study)]
    if study.data.derivatives is not None:
        rows += [
            (f"fc.{key}", value, ASSUMED)
            for key, value in DEFAULT_FC.items()
            if f"fc.{key}" not in stated
        ]
        named = {one["name"] for one in facts.many("system")}
        rows += [
            (f"system.{one.name}.change", 0.0, ASSUMED)
            for one in study.hypothesis
            if one.name not in named
        ]
    rows += [(f"endpoint.{one['name']}.n", "half", ASSUMED) for one in halves(study, facts)]
    scaled = {one["name"] for one in facts.many("scale")}
    rows += [
        (f"scale.{name}", "no change over visits, no difference between people's groups", ASSUMED)
        for name in study.scales
        if name not in scaled
    ]
    return pd.DataFrame(rows, columns=["key", "value", "source"]).astype({"value": "str"})
