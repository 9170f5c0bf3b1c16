"""Maps over parcels, for studies without images: sessions' profiles to means and changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import BoolArray, FloatArray
from connectrial.fc.profiles import parcel_profile
from connectrial.plan import Plan, PlannedAnalysis
from connectrial.plan.map_plans import shown_measure
from connectrial.results import Result
from connectrial.run.analysing import base_cells, failed, result_of
from connectrial.study import MapSection

#: Columns of the table of profiles.
PROFILE_COLUMNS = (
    *("map", "what", "visit", "from_visit", "parcel", "network", "in_seed"),
    *("fc_z", "sd", "n_subjects"),
)


class Profiles:
    """The profiles of every session, summed by person and visit as matrices come.

    Parameters
    ----------
    plan : Plan
        Its maps over parcels are kept; where images are read there are none.
    """

    def __init__(self, plan: Plan) -> None:
        wanted = [one for one in plan.analyses if one.what == "profile" and not one.problems]
        self.sections: dict[str, MapSection] = {
            one.name: plan.study.maps[one.name] for one in wanted
        }
        atlas = plan.survey.atlas
        self.parcels = pd.DataFrame() if atlas is None else atlas.parcels
        self.seeds = {
            name: _seed(plan, section, self.parcels.index)
            for name, section in self.sections.items()
        }
        self._sums: dict[tuple[str, str, str], tuple[FloatArray, NDArray[np.int_]]] = {}

    def add(self, subject: str, visit: str, z: FloatArray) -> None:
        """Add a session's matrix of Fisher z."""
        for name, section in self.sections.items():
            values = parcel_profile(z, self.seeds[name], statistic=section.statistic)
            known = np.isfinite(values)
            total, count = self._sums.get((name, subject, visit), (0.0, 0))
            self._sums[name, subject, visit] = (
                total + np.where(known, values, 0.0),
                count + known.astype(int),
            )

    def of(self, name: str, subject: str, visit: str) -> FloatArray | None:
        """Return the mean profile over a visit's sessions; None where there is no session."""
        if (name, subject, visit) not in self._sums:
            return None
        total, count = self._sums[name, subject, visit]
        mean: FloatArray = np.full(len(total), np.nan)
        np.divide(total, count, out=mean, where=count > 0)
        return mean


def _seed(plan: Plan, section: MapSection, parcels: pd.Index) -> BoolArray:
    if section.seed is None:
        return np.ones(len(parcels), dtype=bool)
    place = section.seed.set or section.seed.network or ""
    return np.asarray(parcels.isin(plan.sets.get(place, [])), dtype=bool)


def analyse_profile(plan: PlannedAnalysis, profiles: Profiles) -> tuple[Result, pd.DataFrame]:
    """Describe a map over parcels by visit, and its change from the first one; test nothing.

    Parameters
    ----------
    plan : PlannedAnalysis
        The map; its rows are people and visits.
    profiles : Profiles
        Of the sessions.

    Returns
    -------
    Result
        Counts of people and parcels.
    DataFrame
        Columns :data:`PROFILE_COLUMNS`: for every parcel the mean over people at each visit
        (``what`` = "mean") and the mean of their own changes ("change"), with the SD over people.
        A parcel counts only where the section's share of those people have it.
    """
    section = profiles.sections[plan.name]
    people = plan.rows["subject"].astype(str).to_numpy()
    at = plan.rows["visit"].astype(str).to_numpy()
    found = [profiles.of(plan.name, *key) for key in zip(people, at, strict=True)]
    order = [str(visit) for visit in plan.rows["visit"].cat.categories]
    stacks = {
        visit: {
            people[k]: values
            for k, values in enumerate(found)
            if values is not None and at[k] == visit
        }
        for visit in order
    }
    pieces: list[tuple[str, str, str, list[FloatArray]]] = [
        ("mean", visit, "", list(stacks[visit].values())) for visit in order
    ]
    first = stacks[order[0]] if order else {}
    for visit in order[1:]:
        changes = [values - first[who] for who, values in stacks[visit].items() if who in first]
        pieces.append(("change", visit, order[0], changes))
    tables, rows = [], []
    for what, visit, before, values in pieces:
        if not values:
            continue
        table = _described(profiles, plan.name, np.stack(values), section.min_coverage)
        tables.append(table.assign(map=plan.name, what=what, visit=visit, from_visit=before))
        words = f"mean change from {before} to {visit}" if before else f"mean map at {visit}"
        known = {"term": f"{words}: parcels", "estimate": int(table["fc_z"].notna().sum())}
        n = {"n_subjects": len(values), "n_observations": len(values) * (2 if before else 1)}
        rows.append(base_cells(plan, unit="parcels", kind="count") | known | n)
    if not tables:
        return failed(plan, ["no session has a matrix"]), pd.DataFrame()
    whole = pd.concat(tables, ignore_index=True)[list(PROFILE_COLUMNS)]
    return _result(plan, section, rows), whole


def _described(
    profiles: Profiles, name: str, values: FloatArray, min_coverage: float
) -> pd.DataFrame:
    """Average people's profiles, shape (n_people, n_parcels)."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    enough = (count > 0) & (count >= min_coverage * known.any(axis=1).sum())
    filled = np.where(known, values, 0.0)
    empty = np.full(values.shape[1], np.nan)
    mean = np.divide(filled.sum(axis=0), count, out=empty.copy(), where=enough)
    squares = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
    variance = np.divide(squares, count - 1, out=empty.copy(), where=enough & (count > 1))
    return pd.DataFrame(
        {
            "parcel": profiles.parcels.index.astype(str),
            "network": profiles.parcels["network"].astype("object").fillna("").to_numpy(),
            "in_seed": profiles.seeds[name],
            "fc_z": mean,
            "sd": np.sqrt(variance),
            "n_subjects": count,
        }
    )


def _result(plan: PlannedAnalysis, section: MapSection, rows: list[dict[str, Any]]) -> Result:
    return result_of(
        plan,
        rows,
        methods=(
            f"Maps of {shown_measure(section)} were made over parcels from each session's matrix (the "
            "mean over the edges of a parcel with the seed's other parcels), averaged over a visit's "
            "sessions, and over people by visit, with the mean change of each person; no test was made."
        ),
    )
