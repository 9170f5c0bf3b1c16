"""An analysis as it is planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from connectrial.fc.networks import NetworkDefinition
from connectrial.study import (
    ContrastSection,
    ModelSection,
    Section,
    Study,
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlannedAnalysis:
    """What will be done, with whom, under which model.

    Attributes
    ----------
    name, title, role, outcome : str
        As in :class:`connectrial.results.Result`.
    what : str
        ``"network FC"``, ``"score"``, ``"edges"``, ``"groups"``, ``"reliability"``,
        ``"response"``, ``"arms"``, ``"correlation"``, ``"time to event"``, ``"volumes"``,
        ``"safety"``, ``"exposure"``, ``"exposure response"``, ``"edge set"``, ``"map"`` or
        ``"profile"`` (a map over parcels).
    family : str or None
        Family that its tests belong to.
    analysis_set : str
        Who is analysed, in words.
    model : ModelSection or None
        The model; None for analyses without one.
    terms : tuple of str
        Fixed terms, ``*`` written out.
    tests : tuple of str
        Terms that are tested.
    rows : pandas.DataFrame
        One row per observation that is planned: ``subject``, ``visit`` and the model's variables.
    n_subjects, n_observations : int
        Behind the model, rows with a missing variable not counted.
    columns, aliased : tuple of str
        Columns of the design; those of them that cannot be estimated.
    reference_levels : dict
        First level of each factor.
    rank : int or None
        Rank of the design.
    edges : NetworkDefinition or None
        The system, for network FC.
    problems : tuple of str
        Why it cannot be run.
    notes : tuple of str
        What a reader must know.
    section : Section or None
        The section of the study file that settings are read from.
    estimand : mapping
        ``name`` and the attributes of the estimand; empty where none is named.
    contrasts : tuple of ContrastSection
        Treatments of a crossover that are compared beside the terms.
    stand_in : str
        What of the outcome no source states; every row of the results then says so.
    """

    name: str
    title: str
    what: str
    role: str
    outcome: str
    analysis_set: str
    family: str | None = None
    model: ModelSection | None = None
    terms: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    n_subjects: int = 0
    n_observations: int = 0
    columns: tuple[str, ...] = ()
    aliased: tuple[str, ...] = ()
    reference_levels: dict[str, str] = field(default_factory=dict)
    rank: int | None = None
    edges: NetworkDefinition | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    section: Section | None = None
    estimand: Mapping[str, object] = field(default_factory=dict)
    contrasts: tuple[ContrastSection, ...] = ()
    stand_in: str = ""

    @property
    def formula(self) -> str:
        """Return the model as a formula; empty without one."""
        if self.model is None:
            return ""
        random = " + ".join(
            [f"({term.strip('()')})" for term in self.model.random_terms]
            + ([self.model.covariance] if self.model.covariance else [])
        )
        outcome = "score" if self.what == "score" else "fc_z"
        outcome = "change" if "change" in self.rows else outcome
        return f"{outcome} ~ {' + '.join(self.terms)} + {random}"


def title_of(name: str, about: str) -> str:
    """Put what an analysis is about behind its name, where the name does not say it already."""
    if about.lower() == f"within {name}".lower():
        return f"{name} (within)"
    return name if about.lower() == name.lower() else f"{name} ({about})"


def estimand_of(study: Study, name: str | None) -> dict[str, object]:
    """Return the attributes of an estimand as plain data; empty where none is named."""
    return {} if name is None else {"name": name, **study.estimand[name].model_dump()}
