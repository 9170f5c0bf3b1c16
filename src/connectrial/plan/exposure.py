"""How much drug each person got: variables from doses through a model, or from samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from connectrial.errors import ConnectrialError, InputError, did_you_mean
from connectrial.plan.survey import Survey
from connectrial.study import ExposureMeasureSection, ExposureSection, Place, Study
from connectrial.trial.compartments import CompartmentModel, find_model
from connectrial.trial.exposure import UNITS, exposure_measure, find_occupancy
from connectrial.trial.measured import add_up, measured_exposure, settle_below
from connectrial.trial.pharmacokinetics import Analyte, Solution, solve_checked
from connectrial.trial.regimens import check_regimen, regimens_of_people
from connectrial.trial.visits import visit_of_session

_NONE_NG_ML = 1e-6
_NO_DOSES = pd.DataFrame({"start_h": [], "duration_h": [], "amount_mg_kg": []}, dtype="float64")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Exposure:
    """Exposure of everybody, as variables.

    Attributes
    ----------
    person : pandas.DataFrame
        Indexed by subject: one column per measure that is one per person; NaN where unknown.
    visit : pandas.DataFrame
        ``subject``, ``visit`` (in a crossover the place: a visit under a treatment) and one column
        per measure taken at visits.
    doses : mapping of str to pandas.DataFrame
        Checked doses of each person who got any and has a weight.
    weight_kg : mapping of str to float
        Their weights.
    samples : pandas.DataFrame
        ``subject``, ``visit``, ``time_h``, ``analyte``, ``value_ng_ml``.
    reason : mapping of str to str
        Why a person has no modelled exposure.
    """

    person: pd.DataFrame = field(default_factory=pd.DataFrame)
    visit: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["subject", "visit"]))
    doses: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    weight_kg: Mapping[str, float] = field(default_factory=dict)
    samples: pd.DataFrame = field(default_factory=pd.DataFrame)
    reason: Mapping[str, str] = field(default_factory=dict)

    def at_visits(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Put the measures taken at visits beside rows with ``subject`` and ``visit``."""
        names = [name for name in self.visit.columns if name not in ("subject", "visit")]
        if not names:
            return rows
        by_place = self.visit.set_index(["subject", "visit"])
        places = pd.MultiIndex.from_arrays([rows["subject"].astype(str), rows["visit"].astype(str)])
        found = by_place.reindex(places)
        return rows.assign(**{name: found[name].to_numpy() for name in names})


def unit_of(measure: ExposureMeasureSection) -> str:
    """Return the unit of a measure."""
    return UNITS[measure.what]


def slope_units(study: Study) -> dict[str, str]:
    """Return the unit of every measure of exposure that has one, by the measure's name."""
    measures = study.exposure.measure if study.exposure is not None else ()
    return {one.name: unit_of(one) for one in measures if one.what != "average occupancy"}


def plan_exposure(
    study: Study,
    survey: Survey,
    subjects: pd.DataFrame,
    weights: pd.Series | None,
    problems: list[str],
    notes: list[str],
) -> Exposure:
    """Derive the exposure variables of a study.

    Parameters
    ----------
    study : Study
        With ``[exposure]``, or without: then there are none.
    survey : Survey
        Doses and samples as they stand in their files.
    subjects : DataFrame
        ``subject`` and the factors of everybody.
    weights : Series or None
        Text of the column with the weights, in the order of `subjects`.
    problems, notes : list of str
        Are added to.

    Returns
    -------
    Exposure
    """
    section = study.exposure
    if section is None:
        return Exposure()
    try:
        model = find_model(section.model)
        for one in section.measure:
            find_occupancy(one.occupancy)
    except InputError as error:
        problems += [f"[exposure] {text}" for text in error.problems]
        return Exposure()
    people = [str(name) for name in subjects["subject"]]
    doses, given, reason = _doses(study, section, survey, subjects, problems)
    # A table of doses may hold weights of its own, which were those the doses were made for.
    weight_kg = {**_weights(section, people, weights, problems), **given}
    for name in people:
        if name in doses and name not in weight_kg:
            reason[name] = "no weight"
            del doses[name]
    _note_missing(section, reason, notes)
    stated = (
        given if weights is None else {*given, *subjects["subject"][weights.notna().to_numpy()]}
    )
    assumed = [name for name in doses if name not in stated and len(doses[name])]
    if assumed:
        notes.append(
            f"[exposure] weight_kg: {len(assumed)} dosed people without a weight count as "
            f"{section.weight_kg:g} kg (stand-in)"
        )
    samples = _samples(study, section, survey, people, problems, notes)
    if survey.doses_stand_in:
        notes.append(f"[exposure] {section.regimen}: stand-in: {survey.doses_stand_in}")
    if any(one.source == "model" for one in section.measure):
        notes.append(f"[exposure] {model.name}: {model.assumption}")
    solutions = {
        name: solve_checked(own, model=model, weight_kg=weight_kg[name])
        for name, own in doses.items()
    }
    person = pd.DataFrame(index=pd.Index(people, name="subject"))
    visits: list[pd.Series] = []
    for measure in section.measure:
        try:
            if measure.what == "at visit":
                visits.append(_at_visits(study, measure, solutions, samples))
            else:
                person[measure.name] = _of_people(measure, model, solutions, samples, people)
        except ConnectrialError as error:
            problems += [
                f"[[exposure.measure]] {measure.name!r}: {text}" for text in error.problems
            ]
    at_visit = (
        pd.concat(visits, axis=1).rename_axis(["subject", "visit"]).reset_index()
        if visits
        else None
    )
    return Exposure(
        person=person,
        visit=pd.DataFrame(columns=["subject", "visit"]) if at_visit is None else at_visit,
        doses=doses,
        weight_kg={name: weight_kg[name] for name in doses},
        samples=samples,
        reason=reason,
    )


def _weights(
    section: ExposureSection, people: list[str], weights: pd.Series | None, problems: list[str]
) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, cell in zip(
        people, weights if weights is not None else [None] * len(people), strict=True
    ):
        if cell is None or pd.isna(cell):
            if section.weight_kg is not None:
                found[name] = section.weight_kg
            continue
        try:
            value = float(str(cell).replace(",", "."))
        except ValueError:
            value = float("nan")
        if not 2 <= value <= 400:
            problems.append(
                f"[exposure] weight: sub-{name} has {cell!r} in column {section.weight!r}; allowed are 2 "
                "to 400 kg, or n/a"
            )
            continue
        found[name] = value
    return found


def _doses(
    study: Study,
    section: ExposureSection,
    survey: Survey,
    subjects: pd.DataFrame,
    problems: list[str],
) -> tuple[dict[str, pd.DataFrame], dict[str, float], dict[str, str]]:
    """Return doses (no rows for the undosed), weights beside them, and why somebody has none."""
    reason: dict[str, str] = {}
    if section.regimen is None or survey.doses is None:
        return {}, {}, reason
    own: dict[str, tuple[pd.DataFrame, float | None]] = {}
    plan = _NO_DOSES
    per_person = "subject" in survey.doses.columns
    try:
        if per_person:
            own = regimens_of_people(survey.doses, place=section.regimen)
        else:
            plan = check_regimen(survey.doses, place=section.regimen)
    except InputError as error:
        problems += [f"[exposure] regimen: {text}" for text in error.problems]
        return {}, {}, reason
    known = set(subjects["subject"].astype(str))
    problems += [
        f"[exposure] regimen: {section.regimen} has doses of {name!r}, who is nobody of the study"
        f"{did_you_mean(name, known, listing=False)}"
        for name in own
        if name not in known
    ]
    doses: dict[str, pd.DataFrame] = {}
    for row in subjects.to_dict("records"):
        name = str(row["subject"])
        undosed = "arm" in row and not pd.isna(row["arm"]) and row["arm"] not in section.arms
        if study.groups is not None and row.get("group") != study.groups.patients:
            continue  # controls are not dosed, and have no exposure
        if study.arms is not None and undosed:
            doses[name] = _NO_DOSES
        elif study.arms is not None and pd.isna(row["arm"]):
            reason[name] = "arm is not stated"
        elif per_person and name not in own:
            reason[name] = "not in the table of doses"
        else:
            doses[name] = own[name][0] if per_person else plan
    given = {name: own[name][1] for name in doses if name in own and own[name][1] is not None}
    return doses, {name: float(kg) for name, kg in given.items() if kg is not None}, reason


def _note_missing(section: ExposureSection, reason: Mapping[str, str], notes: list[str]) -> None:
    for why in dict.fromkeys(reason.values()):
        who = [name for name, one in reason.items() if one == why]
        hint = " (name the column with weight, or give weight_kg)" if why == "no weight" else ""
        lacking = "1 person has" if len(who) == 1 else f"{len(who)} people have"
        notes.append(
            f"[exposure] {lacking} no exposure from {section.regimen}: {why}{hint}: "
            f"{', '.join(f'sub-{name}' for name in who[:12])}{', ...' if len(who) > 12 else ''}"
        )


def _samples(
    study: Study,
    section: ExposureSection,
    survey: Survey,
    people: list[str],
    problems: list[str],
    notes: list[str],
) -> pd.DataFrame:
    """Settle what was measured: values below quantification, enantiomers, visits."""
    sessions = {
        place.name: tuple(dict.fromkeys((*place.phenotype_sessions, *place.sessions, place.name)))
        for place in study.places
    }
    visit_of = visit_of_session(sessions)
    tables = []
    alone = dict.fromkeys(one.column for one in section.measure if one.column is not None)
    for measured, table in zip(section.measured, survey.samples, strict=False):
        strangers = sorted(set(table["subject"].astype(str)) - set(people))
        if strangers:
            problems.append(
                f"[[exposure.measured]] {measured.path}: has samples of {', '.join(strangers[:5])}, who "
                "are nobody of the study"
            )
        placeless = sorted(set(table["session"].dropna().astype(str)) - set(visit_of))
        if placeless:
            notes.append(
                f"[[exposure.measured]] {measured.path}: samples of the sessions {', '.join(placeless)} "
                "belong to no visit; only measures at visits leave them out"
            )
        for analyte, columns in measured.columns.items():
            parts = {}
            for column in columns:
                place = f"[[exposure.measured]] {measured.path} column {column!r}"
                try:
                    numbers, n_below = settle_below(
                        list(table[column]), below=measured.below, limit_ng_ml=measured.limit_ng_ml,
                        place=place,
                    )  # fmt: skip
                except InputError as error:
                    problems += error.problems
                    continue
                parts[column] = list(numbers)
                if n_below:
                    notes.append(
                        f"{place}: {n_below} of {len(table)} values below quantification count as "
                        f"{_RULES[measured.below]} (stand-in)"
                    )
            if len(parts) == len(columns):
                own = table[["subject", "time_h"]].assign(
                    visit=table["session"].map(visit_of), analyte=analyte, value_ng_ml=add_up(parts)
                )
                tables.append(own)
                tables += [own.assign(analyte=c, value_ng_ml=parts[c]) for c in alone if c in parts]
    empty = pd.DataFrame(columns=["subject", "time_h", "visit", "analyte", "value_ng_ml"])
    return pd.concat(tables, ignore_index=True) if tables else empty


_RULES = {"half": "half the limit", "zero": "0", "missing": "missing"}


def _of_people(
    measure: ExposureMeasureSection,
    model: CompartmentModel,
    solutions: Mapping[str, Solution],
    samples: pd.DataFrame,
    people: list[str],
) -> list[float]:
    if measure.source == "measured":
        own = samples.loc[samples["analyte"] == measure.sampled]
        found = measured_exposure(own, what=measure.what, window_h=measure.window_h)
        return [float(value) for value in found.reindex(people)]
    if measure.analyte == "norketamine" and model.norketamine is None:
        raise InputError(f"{model.name} has no norketamine; take otto2021 or perez-ruixo2021")
    return [
        _modelled(measure, solutions[name]) if name in solutions else float("nan")
        for name in people
    ]


def _modelled(measure: ExposureMeasureSection, solution: Solution) -> float:
    if not len(solution.amount_mg):
        return float("nan") if measure.what == "time of peak" else 0.0
    return exposure_measure(
        solution,
        what=measure.what,
        analyte=measure.analyte,
        window_h=measure.window_h,
        above_ng_ml=measure.above_ng_ml,
        occupancy=measure.occupancy,
    )


def visit_hours(study: Study) -> dict[str, float]:
    """Return the hours from the first dose of each visit that has a time."""
    assert study.exposure is not None  # noqa: S101 - asked for by its measures only
    own = study.exposure.visit_h
    days = {visit.name: visit.day for visit in study.visit}
    hours = {name: own.get(name, None if day is None else 24.0 * day) for name, day in days.items()}
    return {name: value for name, value in hours.items() if value is not None}


def _at_visits(
    study: Study,
    measure: ExposureMeasureSection,
    solutions: Mapping[str, Solution],
    samples: pd.DataFrame,
) -> pd.Series:
    """Return a measure by subject and place: a visit, in a crossover one under each treatment."""
    if measure.source == "measured":
        own = samples.loc[(samples["analyte"] == measure.sampled) & samples["visit"].notna()]
        if own.empty:
            raise InputError("no sample belongs to a visit; name the column with session")
        grouped = own.groupby(["subject", "visit"], sort=False)["value_ng_ml"].mean()
        return grouped.rename(measure.name)
    hours = visit_hours(study)
    lacking = [name for name in study.visits if name not in hours]
    if lacking:
        raise InputError(
            f"the visits {', '.join(lacking)} have no time; give them a day, or hours in "
            "[exposure] visit_h"
        )
    places = {place.name: place for place in study.places}
    found = {
        (name, place.name): _in_place(study, solutions[name], place, hours, measure.analyte)
        for name in solutions
        for place in places.values()
    }
    index = pd.MultiIndex.from_tuples(list(found), names=["subject", "visit"])
    return pd.Series(list(found.values()), index=index, name=measure.name, dtype="float64")


def _in_place(
    study: Study, solution: Solution, place: Place, hours: Mapping[str, float], analyte: Analyte
) -> float:
    """Return a concentration at a visit; in a crossover, hours count from the dose of its period."""
    at = hours[place.visit]
    if not study.is_crossover:
        return _at(solution, at, analyte)
    assert study.exposure is not None  # noqa: S101 - asked for by its measures only
    if place.treatment is None:
        # Common to all periods: before the first dose there is none, later it is not known which.
        return 0.0 if at <= 0 else float("nan")
    given = place.treatment in study.exposure.treatments
    return _at(solution, at, analyte) if given else 0.0


def _at(solution: Solution, hours: float, analyte: Analyte) -> float:
    value = float(solution.concentration(np.array([hours]), analyte)[0])
    # Weeks after the last dose a formula still has a number, of 1e-24 ng/ml: that is none.
    return value if value > _NONE_NG_ML else 0.0
