"""True connectivity of a simulated study: levels, differences and changes of its hypotheses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, BoolArray, FloatArray
from connectrial.errors import StudyFileError, did_you_mean
from connectrial.fc.networks import NetworkDefinition
from connectrial.simulate.blocks import possible_z
from connectrial.simulate.facts import Facts
from connectrial.simulate.recruiting import Recruited
from connectrial.study import Study

#: What holds where a truth file says nothing, in Fisher z (assumptions).
DEFAULT_FC: dict[str, Any] = {
    "within": 0.3,
    "between": 0.06,
    "subject_sd": 0.05,
    "period_sd": 0.0,
    "session_sd": 0.03,
    "n_runs": 2,
    "n_frames": 150,
    "repetition_time_s": 2.0,
    "mean_fd_mm": 0.08,
}
_TEXTURE_SD = (
    0.006  # by chance, edges of one system differ; larger, big atlases contradict themselves
)
_SHARED = 0.8  # how much of a person's deviation a system takes from the wider one that it lies in


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Wiring:
    """True Fisher z of every session, and what is true of each hypothesis.

    Attributes
    ----------
    z : array, shape (n_sessions, n_parcels, n_parcels)
        Diagonal 0; single precision.
    truth : DataFrame
        ``name``, ``term``, ``value``, ``unit``, ``note``.
    scans : DataFrame
        ``subject``, ``session``, ``place``, ``name``, ``n_edges``, ``fc_z``.
    n_repaired : int
        Sessions whose planned matrix was not possible and was replaced by a near one.
    """

    z: NDArray[np.float32]
    truth: pd.DataFrame
    scans: pd.DataFrame
    n_repaired: int


def fc_settings(facts: Facts) -> dict[str, Any]:
    """Return the settings of connectivity, defaults filled in."""
    return DEFAULT_FC | facts.one("fc")


def draw_wiring(
    study: Study,
    facts: Facts,
    recruited: Recruited,
    *,
    atlas: Atlas,
    systems: Mapping[str, NetworkDefinition],
    levels: pd.DataFrame,
    rng: np.random.Generator,
) -> Wiring:
    """Draw every session's true connectivity.

    Parameters
    ----------
    study : Study
        Whose hypotheses, arms and treatments are meant.
    facts : Facts
        ``[fc]`` and ``[[system]]``.
    recruited : Recruited
        Whose sessions.
    atlas : Atlas
        Parcels and networks.
    systems : mapping
        Edges of each hypothesis.
    levels : DataFrame
        Indexed by subject: cohort, arm and each endpoint's level; a change is looked up in them.
    rng : numpy.random.Generator
        Source of randomness.

    Raises
    ------
    StudyFileError
        A change is given for something that the study does not have.
    """
    settings = fc_settings(facts)
    stated = {one["name"]: one for one in facts.many("system")}
    # Participation is no mean of edges, so that no change of edges could be told to be its.
    unlike = [name for name, one in systems.items() if one.measure == "participation"]
    if set(unlike) & set(stated):
        name = next(name for name in unlike if name in stated)
        raise StudyFileError(
            f"[[system]] {name!r}: a participation coefficient cannot be given a level or a change; "
            "state those of the network's connectivity"
        )
    systems = {name: one for name, one in systems.items() if name not in unlike}
    masks = _masks(atlas, systems)
    base = _levels(atlas, masks, stated, settings, rng)
    patients = _spread(masks, {k: v["patients"] for k, v in stated.items() if "patients" in v})
    keys = _change_keys(study, levels, stated)
    change = {
        key: _spread(
            masks, {k: v["change"][key] for k, v in stated.items() if key in v.get("change", {})}
        )
        for key in keys
    }
    units = _units(atlas, masks)
    visits = {name: _visits_of_change(study, one) for name, one in stated.items()}
    when = set().union(*visits.values()) if visits else set()
    scans = recruited.scans
    person = {
        subject: units.draw(settings["subject_sd"], rng) for subject in scans["subject"].unique()
    }
    treatment_of = {place.name: place.treatment for place in study.places}
    periods = _periods(scans, treatment_of, units, settings["period_sd"], rng)
    is_control = recruited.people.set_index("subject")["is_control"]
    z = np.empty((len(scans), len(atlas.parcels), len(atlas.parcels)), dtype=np.float32)
    n_repaired = 0
    rows = zip(scans["subject"], scans["place"], strict=True)
    for i, (subject, place) in enumerate(rows):
        planned = base + person[subject] + units.draw(settings["session_sd"], rng)
        if not is_control[subject]:
            planned = planned + patients
        if (subject, treatment_of.get(place)) in periods:
            planned = planned + periods[subject, treatment_of.get(place)]
        if place in when:
            own = {"all", place, *map(str, levels.loc[subject].dropna())}
            own |= {str(treatment_of.get(place))}
            for key in own & set(change):
                planned = planned + change[key]
        made, was_repaired = possible_z(planned)
        z[i] = made
        n_repaired += was_repaired
    truth = _truth(masks, base, patients, change, units, settings)
    return Wiring(z=z, truth=truth, scans=_true_scans(scans, z, masks), n_repaired=n_repaired)


def _periods(
    scans: pd.DataFrame,
    treatment_of: Mapping[str, str | None],
    units: _Units,
    sd: float,
    rng: np.random.Generator,
) -> dict[tuple[str, str | None], FloatArray]:
    """Draw how each person differs from period to period of a crossover, whatever was given."""
    if sd == 0.0:  # nothing is drawn, so that other studies keep their numbers
        return {}
    own = [(subject, treatment_of.get(place)) for subject, place in zip(
        scans["subject"], scans["place"], strict=True)]  # fmt: skip
    return {key: units.draw(sd, rng) for key in dict.fromkeys(own) if key[1] is not None}


def _masks(atlas: Atlas, systems: Mapping[str, NetworkDefinition]) -> dict[str, BoolArray]:
    """Return each hypothesis's edges as a symmetric matrix, narrow systems first."""
    position = {str(name): i for i, name in enumerate(atlas.parcels.index)}
    masks: dict[str, BoolArray] = {}
    for name, one in sorted(systems.items(), key=lambda item: len(item[1].edges)):
        where = np.array([position[str(parcel)] for parcel in one.parcels])[one.edges]
        mask = np.zeros((len(position), len(position)), dtype=bool)
        mask[where[:, 0], where[:, 1]] = mask[where[:, 1], where[:, 0]] = True
        masks[name] = mask
    return masks


def _solve(
    target: FloatArray, masks: dict[str, BoolArray], wanted: Mapping[str, float]
) -> FloatArray:
    """Set edges so that the mean of each system is as wanted: narrow systems first, wide ones by
    what is left of them."""  # noqa: D205, D209 - one thought
    taken = np.zeros(target.shape, dtype=bool)
    for name, mask in masks.items():
        free = mask & ~taken
        taken |= mask
        if name not in wanted or not free.any():
            continue
        fixed = target[mask & ~free].sum()
        target[free] = (wanted[name] * mask.sum() - fixed) / free.sum()
    return target


def _spread(masks: dict[str, BoolArray], wanted: Mapping[str, float]) -> FloatArray:
    n = len(next(iter(masks.values()))) if masks else 0
    return _solve(np.zeros((n, n)), masks, wanted) if masks else np.zeros(())


def _levels(
    atlas: Atlas,
    masks: dict[str, BoolArray],
    stated: Mapping[str, dict[str, Any]],
    settings: dict[str, Any],
    rng: np.random.Generator,
) -> FloatArray:
    network = atlas.parcels["network"].astype("object").to_numpy()
    same = (network[:, None] == network[None, :]) & pd.notna(network)[:, None]
    base = np.where(same, settings["within"], settings["between"]).astype(float)
    wanted = {name: one["level"] for name, one in stated.items() if "level" in one}
    base = _solve(base, masks, wanted)
    noise = np.triu(rng.normal(0, _TEXTURE_SD, base.shape), k=1)
    noise += noise.T
    for mask in masks.values():  # the texture leaves the means of the systems as they are
        noise[mask] -= noise[mask].mean()
    base = base + noise
    np.fill_diagonal(base, 0.0)
    return base


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Units:
    """Bundles of edges that vary together over people and sessions."""

    unit: NDArray[np.intp]  # -1: does not vary
    parent: tuple[int, ...]  # unit that a narrow one shares its deviation with; -1 for none

    def draw(self, sd: float, rng: np.random.Generator) -> FloatArray:
        own = self.mix() @ rng.normal(0, sd, len(self.parent))
        return np.append(own, 0.0)[self.unit]

    def mix(self) -> FloatArray:
        """Return the matrix that turns independent deviations into those of the units."""
        n = len(self.parent)
        mixed = np.eye(n)
        for k, parent in enumerate(self.parent):
            if parent >= 0:
                mixed[k] = np.sqrt(1 - _SHARED**2) * np.eye(n)[k] + _SHARED * np.eye(n)[parent]
        return mixed


def _units(atlas: Atlas, masks: dict[str, BoolArray]) -> _Units:
    n = len(atlas.parcels)
    unit = np.full((n, n), -1, dtype=np.intp)
    names = list(masks)
    parents = []
    for k, name in enumerate(names):
        free = masks[name] & (unit < 0)
        unit[free] = k
        wider = [j for j in range(k + 1, len(names)) if (masks[names[j]] >= masks[name]).all()]
        # One step of sharing only: the widest system around it.
        parents.append(wider[-1] if wider else -1)
    network = atlas.parcels["network"].astype("object").to_numpy()
    for one in dict.fromkeys(network[pd.notna(network)]):
        inside = np.outer(network == one, network == one) & (unit < 0)
        np.fill_diagonal(inside, val=False)
        if inside.any():
            unit[inside] = len(parents)
            parents.append(-1)
    return _Units(unit=unit, parent=tuple(parents))


def _change_keys(
    study: Study, levels: pd.DataFrame, stated: Mapping[str, dict[str, Any]]
) -> list[str]:
    known = {"all", *study.design.treatments, *(one.name for one in study.places if one.sessions)}
    known |= {str(v) for column in levels for v in levels[column].dropna().unique()}
    known |= {level for one in study.endpoints.values() for level in one.levels}
    given = list(dict.fromkeys(key for one in stated.values() for key in one.get("change", {})))
    problems = [
        f"[[system]] change: the study has no {key!r}{did_you_mean(key, sorted(known))}"
        for key in given
        if key not in known
    ]
    if problems:
        raise StudyFileError(problems)
    return given


def _visits_of_change(study: Study, fact: dict[str, Any]) -> set[str]:
    scanned = [one for one in study.places if one.sessions]
    if "visits" in fact:
        return {one.name for one in scanned if {one.visit, one.name} & set(fact["visits"])}
    if study.is_crossover:
        return {one.name for one in scanned if one.treatment is not None}
    return {one.name for one in scanned[1:]}


def _truth(
    masks: dict[str, BoolArray],
    base: FloatArray,
    patients: FloatArray,
    change: dict[str, FloatArray],
    units: _Units,
    settings: dict[str, Any],
) -> pd.DataFrame:
    rows: list[tuple[str, str, float, str, str]] = []
    mix = units.mix()
    for name, mask in masks.items():
        share = np.bincount(units.unit[mask & (units.unit >= 0)], minlength=len(mix)) / mask.sum()
        spread = float(np.linalg.norm(share @ mix))
        rows += [
            (name, "level", float(base[mask].mean()), "z", "mean over edges, controls"),
            (name, "patients", float(patients[mask].mean()), "z", "patients - controls, before"),
            (name, "sd_subject", spread * settings["subject_sd"], "z", "over people"),
            (
                name,
                "sd_session",
                spread * settings["session_sd"],
                "z",
                "over sessions, true values",
            ),
        ]
        if settings["period_sd"]:
            sd = spread * settings["period_sd"]
            rows.append((name, "sd_period", sd, "z", "over periods of a person"))
        rows += [
            (name, f"change, {key}", float(one[mask].mean()), "z", "from the first visit")
            for key, one in change.items()
        ]
    return pd.DataFrame(rows, columns=["name", "term", "value", "unit", "note"])


def _true_scans(
    scans: pd.DataFrame, z: NDArray[np.float32], masks: dict[str, BoolArray]
) -> pd.DataFrame:
    pieces = []
    for name, mask in masks.items():
        where = np.flatnonzero(np.triu(mask, k=1))
        mean = z.reshape(len(z), -1)[:, where].mean(axis=1, dtype=float)
        pieces.append(scans.assign(name=name, n_edges=len(where), fc_z=mean))
    return pd.concat(pieces, ignore_index=True) if pieces else scans.iloc[:0]
