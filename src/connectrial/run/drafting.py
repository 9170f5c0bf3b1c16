"""A first study file from what is on disk: ``connectrial init``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from connectrial.io.bids_filters import FilterValue
from connectrial.run.draft_crossover import (
    DraftCrossover,
    crossover_model,
    find_crossover,
    why_not_crossed,
)
from connectrial.run.draft_people import DraftPeople, guess_people
from connectrial.run.draft_protocol import ModelPlan, Protocol, choose_system, why_not
from connectrial.run.draft_scales import DraftScale, draft_scales
from connectrial.run.draft_sections import write_study
from connectrial.run.draft_survey import Look, look_at
from connectrial.run.draft_text import counted, seen
from connectrial.run.draft_visits import BASELINE, DraftVisit, draft_visits


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A study file to start from.

    Attributes
    ----------
    text : str
        TOML with comments; valid for :func:`connectrial.load_study`.
    notes : tuple of str
        What was found, then what was guessed or is left to decide.
    """

    text: str
    notes: tuple[str, ...]


def draft_study(
    dataset: Path,
    *,
    derivatives: Path | None = None,
    filters: Mapping[str, FilterValue] | None = None,
    variables: Sequence[str] = ("CONNECTRIAL_DATA",),
) -> Draft:
    """Draft a study file for a dataset.

    Parameters
    ----------
    dataset : Path
        A derivatives folder, a BIDS root with ``derivatives/`` in it, or a folder of tables alone.
    derivatives : Path, optional
        Folder with the scans, relative to `dataset` or to the working directory; by default the
        one below `dataset` that serves most people, ready-made series before images.
    filters : mapping, optional
        Labels, by entity, of the files to look at; they go into ``[data] filters``.
    variables : sequence of str
        Environment variables by which paths are written where they lie below the folder that one
        of them names; all others are absolute.

    Returns
    -------
    Draft
        Where the data allow, it runs as it is. Guesses are marked ``# check:``; what the data
        cannot tell is there as commented-out lines.

    Raises
    ------
    InputError
        When there is no such folder, or neither scans nor scores by session are in it, or a name
        is not UTF-8.

    Examples
    --------
    >>> draft = draft_study(Path("my-trial"))  # doctest: +SKIP
    >>> Path("study.toml").write_text(draft.text, encoding="utf-8")  # doctest: +SKIP
    """
    look = look_at(Path(dataset), derivatives=derivatives, filters=filters)
    protocol = _protocol(look)
    text = write_study(protocol, variables=variables)
    return Draft(text=str(text), notes=(*_findings(protocol), *dict.fromkeys(text.checks)))


def _protocol(look: Look) -> Protocol:
    people = guess_people(look.people, look.dictionary)
    scales, other_columns = draft_scales(look.scores)
    controls = _controls(look, people)
    scans = pd.DataFrame(
        [(scan.subject, scan.session or "") for scan in look.scans], columns=["subject", "session"]
    ).drop_duplicates()
    scores = look.scores.loc[look.scores["session"].notna() & look.scores["value"].notna()]
    if scales:
        used = scores["variable"].isin([scale.column for scale in scales])
        scores = scores.loc[used & scores["number"].notna()]
    treated_scans = scans.loc[~scans["subject"].isin(controls)]
    treated_scores = scores.loc[~scores["subject"].isin(controls)]
    if treated_scans.empty and treated_scores.empty:
        treated_scans, treated_scores, controls = scans, scores, frozenset()
    visits = draft_visits(
        _unique(treated_scans["session"]), _unique(treated_scores["session"]), days=_days(look)
    )
    visits, crossover = find_crossover(people, visits, look.meanings)
    visit_of = {label: visit.name for visit in visits for label in visit.labels}
    arm_of = _arms(look, people)
    rows = _rows(treated_scans, visit_of, arm_of)
    model = _model(rows, people) if crossover is None else crossover_model(crossover)
    primary = choose_system(look.parcels.networks, ("default", "dmn"), name="Default mode")
    negative = choose_system(look.parcels.networks, ("vis",), name="Visual system")
    systems = primary or negative or any(n > 1 for n in look.parcels.networks.values())
    return Protocol(
        look=look,
        people=people,
        visits=visits,
        scales=scales,
        other_columns=other_columns,
        scans=scans,
        scores=scores,
        controls=controls,
        treated_scans=rows,
        model=model,
        primary=primary,
        negative=negative,
        no_hypothesis=_no_hypothesis(look, rows, people, systems=bool(systems))
        or ("" if crossover is None else why_not_crossed(treated_scans, crossover)),
        clinical={
            scale.name: _clinical(scale, treated_scores, visits, visit_of, arm_of, people)
            if crossover is None
            else (model.tests, _why_not_scored(scale, treated_scores, crossover))
            for scale in scales
        },
        crossover=crossover,
    )


def _controls(look: Look, people: DraftPeople) -> frozenset[str]:
    if people.groups is None or people.groups.reference is None:
        return frozenset()
    column = look.people[people.groups.column]
    return frozenset(map(str, column.index[column == people.groups.reference]))


def _arms(look: Look, people: DraftPeople) -> dict[str, str] | None:
    if people.arms is None:
        return None
    return {str(s): str(arm) for s, arm in look.people[people.arms.column].dropna().items()}


def _unique(labels: pd.Series) -> list[str]:
    return [str(label) for label in labels.drop_duplicates()]


def _days(look: Look) -> dict[str, float]:
    """Return the median day of each session, where the tables state days."""
    told = look.scores.loc[look.scores["session"].notna() & look.scores["day"].notna()]
    told = told.drop_duplicates(["subject", "session", "day"])
    return {str(s): float(d) for s, d in told.groupby("session")["day"].median().items()}


def _rows(
    table: pd.DataFrame, visit_of: dict[str, str], arm_of: dict[str, str] | None
) -> pd.DataFrame:
    """Return one row per person and visit, with the arm; people without one are left out."""
    rows = pd.DataFrame(
        {"subject": table["subject"].astype(str), "visit": table["session"].map(visit_of)}
    )
    if arm_of is not None:
        rows["arm"] = rows["subject"].map(arm_of)
    return rows.dropna().drop_duplicates()


def _model(rows: pd.DataFrame, people: DraftPeople) -> ModelPlan:
    if people.arms is not None:
        return ModelPlan(
            name="arm_by_visit",
            fixed=("visit", "arm", "visit:arm"),
            tests=("visit:arm",),
            question="does change over visits differ between the arms?",
            one_column=rows["visit"].nunique() == 2 and len(people.arms.counts) == 2,
        )
    return ModelPlan(
        name="change_over_visits",
        fixed=("visit",),
        tests=("visit",),
        question="does it change over the visits?",
        one_column=rows["visit"].nunique() == 2,
    )


def _no_hypothesis(look: Look, rows: pd.DataFrame, people: DraftPeople, *, systems: bool) -> str:
    """Say why no hypothesis can be declared as it stands; "" if it can."""
    if not look.scans:
        return "there are no scans"
    if not systems:
        return "no networks are known; name [atlas] table, or declare [sets.NAME]"
    return why_not(rows, arms=people.arms is not None)


def _clinical(
    scale: DraftScale,
    scores: pd.DataFrame,
    visits: Sequence[DraftVisit],
    visit_of: dict[str, str],
    arm_of: dict[str, str] | None,
    people: DraftPeople,
) -> tuple[tuple[str, ...], str]:
    """Return the tests of a scale's model, and why it cannot be fitted ("" if it can)."""
    rows = _rows(scores.loc[scores["variable"] == scale.column], visit_of, arm_of)
    if people.arms is None:
        return ("visit",), why_not(rows, arms=False)
    seen_visits = set(rows["visit"])
    first = visits[0]
    at_baseline = not scale.is_change and (
        first.name in seen_visits
        or any(v.stage == BASELINE and v.name in seen_visits for v in visits)
    )
    # Without a baseline among the scores, the arms may differ from the first of them on.
    tests = ("visit:arm",) if at_baseline else ("arm", "visit:arm")
    return tests, why_not(rows, arms=True)


def _why_not_scored(scale: DraftScale, scores: pd.DataFrame, crossover: DraftCrossover) -> str:
    return why_not_crossed(scores.loc[scores["variable"] == scale.column], crossover)


def _findings(protocol: Protocol) -> list[str]:
    """Say in sentences what is there."""
    look, people = protocol.look, protocol.people
    notes = []
    if look.index is not None:
        n_people = protocol.scans["subject"].nunique()
        notes.append(
            f"{look.index.root}: {counted(len(look.scans), 'run')} ({look.scans[0].kind}) in "
            f"{counted(len(protocol.scans), 'session')} of {counted(n_people, 'person', 'people')}"
        )
    if look.participants is not None:
        notes.append(f"{look.participants}: {counted(len(look.people), 'person', 'people')}")
    else:
        notes.append(f"{look.dataset}: there is no participants.tsv, so no arms and no groups")
    names = ", ".join(visit.name for visit in protocol.visits)
    notes.append(f"{counted(len(protocol.visits), 'visit')}: {names}")
    if people.arms is not None:
        notes.append(f"arms in {people.arms.column!r}: {people.arms.described}")
    if protocol.crossover is not None:
        columns = ", ".join(protocol.crossover.columns)
        notes.append(f"crossover of {' and '.join(protocol.crossover.treatments)}, by {columns}")
    if people.groups is not None:
        notes.append(f"groups in {people.groups.column!r}: {people.groups.described}")
    if protocol.scales:
        notes.append(f"scales: {', '.join(scale.name for scale in protocol.scales)}")
    if not look.scans:
        notes.append("there are no scans that can be read, so the tables are all there is")
    return [seen(note) for note in notes]
