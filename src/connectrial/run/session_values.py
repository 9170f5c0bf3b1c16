"""What the group level keeps of the sessions' matrices, so that one is held at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import FloatArray, Scan
from connectrial.fc.graphs import network_strength
from connectrial.fc.networks import NetworkDefinition, network_fc_detail
from connectrial.io.edge_rows import EdgeRows, EdgeValues
from connectrial.io.outputs import read_tsv
from connectrial.io.series import read_matrix
from connectrial.plan import Plan
from connectrial.run.participant import Progress
from connectrial.run.profiling import Profiles
from connectrial.run.retesting import retested_places
from connectrial.run.session_jobs import SessionJob, SessionOutcome


class SessionValues:
    """What the group level keeps of each session's matrix: network means and asked-for edges."""

    def __init__(
        self,
        plan: Plan,
        *,
        edges: EdgeRows | None,
        expected: Mapping[tuple[str, str], int],
        retest: EdgeRows | None = None,
    ) -> None:
        atlas = plan.survey.atlas
        self.plan = plan
        self.n_parcels = 0 if atlas is None else len(atlas.parcels)
        self.upper = np.triu_indices(self.n_parcels, k=1)
        self.network_rows: list[dict[str, Any]] = []
        self.strengths: list[pd.DataFrame] = []
        self.networks: pd.Series | None = None
        if atlas is not None and plan.study.connectivity.network_strength:
            self.networks = atlas.parcels["network"].dropna()
        self.profiles = Profiles(plan)
        self.sums: dict[str, tuple[FloatArray, NDArray[np.int32]]] = {}
        # Edges of a visit's sessions are summed as they come, and go to disk with the visit's last.
        self.edges = edges
        # Visits with several sessions keep each, where the reliability of edges is asked for.
        self.retest = retest
        self.retested = retested_places(plan)
        self.expected = dict(expected)
        self.open: dict[tuple[str, str], tuple[FloatArray, NDArray[np.int32]]] = {}

    def add(self, job: SessionJob, visit: str) -> None:
        """Read a session's matrix and keep what is asked of it."""
        scan = Scan(
            subject=job.subject,
            session=job.session or None,
            run=None,
            kind="matrix",
            path=job.matrix,
        )
        parcels = job.atlas.parcels.index
        connectivity = read_matrix(scan, values="r", parcels=parcels)
        errors = _standard_errors(job)
        for name, system in self.plan.systems.items():
            detail = network_fc_detail(connectivity, system)
            self.network_rows.append(
                {
                    "subject": job.subject,
                    "session": job.session,
                    "visit": visit,
                    "outcome": name,
                    "fc_z": detail.fc_z,
                    "n_edges": detail.n_edges,
                    "n_missing": detail.n_missing,
                    "missing_parcels": ", ".join(map(str, detail.missing_parcels)),
                    **_edge_error(errors, system),
                }
            )
        self._add_differences(job, visit)
        if self.networks is not None:
            strength = network_strength(connectivity, self.networks)
            whose = {"subject": job.subject, "session": job.session, "visit": visit}
            self.strengths.append(strength.assign(**whose)[[*whose, *strength.columns]])
        _accumulate(self.sums, visit, connectivity.z)
        self.profiles.add(job.subject, visit, connectivity.z)
        if self.retest is not None and visit in self.retested:
            self.retest.add((job.subject, job.session), connectivity.z[self.upper])
        if self.edges is not None:
            key = (job.subject, visit)
            _accumulate(self.open, key, connectivity.z[self.upper])
            self.expected[key] -= 1
            if not self.expected[key]:
                self.edges.add(key, _mean(*self.open.pop(key)))

    def _add_differences(self, job: SessionJob, visit: str) -> None:
        """Add the differences of two hypotheses in the session whose rows were just added."""
        wanted = [one for one in self.plan.study.hypothesis if one.difference is not None]
        own = {one["outcome"]: one for one in self.network_rows[-len(self.plan.systems) :]}
        for hypothesis in wanted:
            first, second = (own[name] for name in hypothesis.difference or ())
            missing = [one["missing_parcels"] for one in (first, second) if one["missing_parcels"]]
            self.network_rows.append(
                {
                    "subject": job.subject,
                    "session": job.session,
                    "visit": visit,
                    "outcome": hypothesis.name,
                    "fc_z": first["fc_z"] - second["fc_z"],
                    "n_edges": first["n_edges"] + second["n_edges"],
                    "n_missing": first["n_missing"] + second["n_missing"],
                    "missing_parcels": ", ".join(missing),
                }
            )

    def network_fc(self) -> pd.DataFrame:
        """Return one row per session and hypothesis."""
        columns = [
            "subject",
            "session",
            "visit",
            "outcome",
            "fc_z",
            "n_edges",
            "n_missing",
            "missing_parcels",
        ]
        if self.plan.study.connectivity.standard_errors != "none":
            columns.append("edge_se")
        return pd.DataFrame(self.network_rows, columns=columns)

    def network_strength(self) -> pd.DataFrame:
        """Return mean z within every network and between every two; empty where not asked for."""
        if not self.strengths:
            return pd.DataFrame()
        return pd.concat(self.strengths, ignore_index=True)

    def matrices(self) -> dict[str, pd.DataFrame]:
        """Return the mean Fisher z of each visit."""
        atlas = self.plan.survey.atlas
        if atlas is None:
            return {}
        names = atlas.parcels.index
        return {
            visit: pd.DataFrame(_mean(*self.sums[visit]), index=names, columns=names)
            for visit in self.plan.visits
            if visit in self.sums
        }

    def edge_values(
        self, rows: pd.DataFrame, *, edges: NDArray[np.intp] | None = None
    ) -> EdgeValues:
        """Return (n_observations, n_edges) Fisher z in the order of planned rows, to read in blocks."""
        assert self.edges is not None  # noqa: S101 - asked for at the start
        place = rows["place" if "place" in rows else "visit"].astype(str)
        return self.edges.take(
            list(zip(rows["subject"].astype(str), place, strict=True)), edges=edges
        )


def read_sessions(
    plan: Plan,
    jobs: Sequence[SessionJob],
    outcomes: Sequence[SessionOutcome],
    *,
    visits: Mapping[tuple[str, str], str],
    edges: EdgeRows | None,
    progress: Progress,
    retest: EdgeRows | None = None,
) -> SessionValues:
    """Read the matrices of all analysed sessions, one at a time.

    Parameters
    ----------
    plan : Plan
        Which networks are asked for.
    jobs, outcomes : sequences
        The sessions, and what became of them.
    visits : mapping
        Visit of each (subject, session) that is analysed.
    edges : EdgeRows, optional
        Takes the edges of each visit, where they are asked for.
    retest : EdgeRows, optional
        Takes the edges of each session of visits that have several.
    progress : callable
        Told of each session.
    """
    made = {(one.subject, one.session) for one in outcomes if one.sidecar is not None}
    expected = Counter((key[0], visit) for key, visit in visits.items() if key in made)
    sessions = SessionValues(plan, edges=edges, expected=expected, retest=retest)
    for number, job in enumerate(jobs):
        key = (job.subject, job.session)
        if key in visits and key in made:
            sessions.add(job, visits[key])
        progress("reading matrices", number + 1, len(jobs))
    return sessions


def _standard_errors(job: SessionJob) -> pd.DataFrame | None:
    """Read the standard errors of a session's edges, where it has them."""
    if job.standard_errors is None:
        return None
    return read_tsv(job.standard_errors).set_index("Node").astype(np.float64)


def _edge_error(errors: pd.DataFrame | None, system: NetworkDefinition) -> dict[str, float]:
    """Return the standard error of one edge of a system, root mean square over those with data."""
    if errors is None:
        return {}
    place = errors.index.get_indexer(system.parcels)
    squares = (
        errors.to_numpy(dtype=np.float64)[place[system.edges[:, 0]], place[system.edges[:, 1]]] ** 2
    )
    known = squares[np.isfinite(squares)]
    return {"edge_se": float(np.sqrt(known.mean())) if len(known) else float("nan")}


def _accumulate(store: dict[Any, Any], key: object, values: FloatArray) -> None:
    present = np.isfinite(values)
    filled = np.where(present, values, 0.0)
    if key in store:
        total, count = store[key]
        total += filled
        count += present
    else:
        store[key] = (filled, present.astype(np.int32))


def _mean(total: FloatArray, count: NDArray[np.int32]) -> FloatArray:
    empty: FloatArray = np.full(total.shape, np.nan)
    return np.divide(total, count, out=empty, where=count > 0)
