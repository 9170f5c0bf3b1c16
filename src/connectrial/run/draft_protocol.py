"""What a drafted study is about, and whether its models could be fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import pandas as pd

from connectrial.run.draft_people import DraftPeople
from connectrial.run.draft_scales import DraftScale
from connectrial.run.draft_survey import Look
from connectrial.run.draft_text import counted
from connectrial.run.draft_visits import DraftVisit

if TYPE_CHECKING:
    from connectrial.run.draft_crossover import DraftCrossover

MIN_PEOPLE = 3  # with two visits: fewer leave a mixed model nothing to estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """The model that fits the design.

    Attributes
    ----------
    name : str
        Its name in the study file.
    fixed, tests : tuple of str
        Terms; those that are tested.
    question : str
        What the test asks.
    one_column : bool
        Whether the first test has one column, as a map of every edge needs.
    random : tuple of str
        Random terms.
    """

    name: str
    fixed: tuple[str, ...]
    tests: tuple[str, ...]
    question: str
    one_column: bool
    random: tuple[str, ...] = ("1 | subject",)


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A network, or several that are declared as one set.

    Attributes
    ----------
    name : str
        Network, or name of the set.
    members : tuple of str
        Networks of the atlas.
    n_parcels : int
        Parcels in them.
    """

    name: str
    members: tuple[str, ...]
    n_parcels: int

    @property
    def is_set(self) -> bool:
        """Whether the study must declare it."""
        return len(self.members) > 1


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Protocol:
    """Everything that a drafted study says.

    Attributes
    ----------
    look : Look
        What is on disk.
    people : DraftPeople
        Arms, groups, further columns.
    visits : tuple of DraftVisit
        In order.
    scales : tuple of DraftScale
        Totals.
    other_columns : tuple of str
        Numeric columns that were not taken for totals.
    scans, scores : pandas.DataFrame
        ``subject`` and ``session`` of each session with a scan; of each number of a scale.
    controls : frozenset of str
        People who are not treated.
    treated_scans : pandas.DataFrame
        ``subject``, ``visit`` (and ``arm``) of those who enter models.
    model : ModelPlan
        The model.
    primary, negative : System or None
        The default mode network; the visual network.
    crossover : DraftCrossover or None
        Treatments and their sessions.
    no_hypothesis : str
        Why no hypothesis can be declared; "" if one can.
    clinical : mapping
        Tests of each scale's model, and why it cannot be fitted.
    """

    look: Look
    people: DraftPeople
    visits: tuple[DraftVisit, ...]
    scales: tuple[DraftScale, ...]
    other_columns: tuple[str, ...]
    scans: pd.DataFrame
    scores: pd.DataFrame
    controls: frozenset[str]
    treated_scans: pd.DataFrame
    model: ModelPlan
    primary: System | None
    negative: System | None
    no_hypothesis: str
    clinical: Mapping[str, tuple[tuple[str, ...], str]]
    crossover: DraftCrossover | None = None

    @property
    def first_system(self) -> System | None:
        """The default mode network, else the largest network that is not the visual one."""
        if self.primary is not None:
            return self.primary
        visual = self.negative.members if self.negative is not None else ()
        left = {k: n for k, n in self.look.parcels.networks.items() if k not in visual and n > 1}
        if not left:
            return self.negative
        largest = max(left, key=lambda network: left[network])
        return System(name=largest, members=(largest,), n_parcels=left[largest])

    @property
    def control_visit_scans(self) -> pd.DataFrame:
        """Sessions of controls with scans."""
        return self.scans.loc[self.scans["subject"].isin(self.controls)]

    def n_scanned(self, sessions: Sequence[str]) -> int:
        """Return how many treated people have a scan in one of these sessions."""
        mine = self.scans.loc[self.scans["session"].isin(list(sessions))]
        return int(mine.loc[~mine["subject"].isin(self.controls), "subject"].nunique())

    def n_scored(self, sessions: Sequence[str]) -> int:
        """Return how many treated people have a score in one of these sessions."""
        mine = self.scores.loc[self.scores["session"].isin(list(sessions))]
        return int(mine.loc[~mine["subject"].isin(self.controls), "subject"].nunique())


def choose_system(
    networks: Mapping[str, int], beginnings: Sequence[str], *, name: str
) -> System | None:
    """Find a network by how its name begins; parts such as DefaultA and DefaultB are one set.

    Parameters
    ----------
    networks : mapping of str to int
        Parcels by network.
    beginnings : sequence of str
        In lower case.
    name : str
        What a set of several is called.

    Returns
    -------
    System or None
        None where no network is called so, or it has a single parcel.
    """
    members = tuple(n for n in networks if n.lower().startswith(tuple(beginnings)))
    total = sum(networks[n] for n in members)
    if total < 2:
        return None
    while name in networks:
        name += " (all)"
    return System(name=members[0] if len(members) == 1 else name, members=members, n_parcels=total)


def why_not(rows: pd.DataFrame, *, arms: bool) -> str:
    """Say why a mixed model of visits (and arms) cannot be fitted; "" if it can.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``subject``, ``visit`` and, with arms, ``arm``; one row per observation.
    arms : bool
        Whether arm x visit is tested.

    Returns
    -------
    str
    """
    if rows.empty:
        return "nobody of a known arm is there" if arms else "nobody is there"
    visits = rows["visit"].nunique()
    if visits < 2:
        return f"there is only one visit ({rows['visit'].iloc[0]}), so nothing can change"
    twice = int((rows.groupby("subject")["visit"].nunique() > 1).sum())
    if twice < MIN_PEOPLE:
        return f"{counted(twice, 'person has', 'people have')} two visits; a model needs more"
    if arms:
        cells = rows.groupby(["arm", "visit"]).size().unstack(fill_value=0) >= 2
        shared = [int((cells.loc[a] & cells.loc[b]).sum()) for a, b in combinations(cells.index, 2)]
        if max(shared, default=0) < 2:
            return "no two arms share two visits with two people each"
        columns = cells.shape[0] * cells.shape[1]
    else:
        columns = visits
    if len(rows) < columns + 2:
        return f"{len(rows)} observations are too few for {columns} columns"
    return ""
