"""From a dose plan to concentrations, exposure and block: what ``connectrial dose`` computes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from connectrial._version import __version__
from connectrial.data import FloatArray
from connectrial.errors import InputError
from connectrial.io.regimens import RegimenFile, read_regimen, shipped_regimens
from connectrial.trial.compartments import MODELS, CompartmentModel, find_model
from connectrial.trial.exposure import assumed_occupancy, exposure_summary, find_occupancy
from connectrial.trial.pharmacokinetics import solve_checked
from connectrial.trial.regimens import (
    check_regimen,
    check_weight,
    describe_dose,
    regimens_of_people,
)
from connectrial.trial.variability import (
    Spread,
    describe_variability,
    prediction_interval,
    simulate_people,
)

_CURVE_POINTS = 401
_TIME = re.compile(r"\s*(-?\d+(?:[.]\d+)?)\s*(min|h|d)?\s*")
_IN_HOURS = {"min": 1 / 60, "h": 1.0, "d": 24.0}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DoseAnswer:
    """What a dose plan leads to.

    Attributes
    ----------
    facts : mapping of str to str
        Plan, model, source, assumptions, in words, in order.
    concentrations : pandas.DataFrame
        At the asked times: ``time_h``, ``ketamine_ng_ml``, ``norketamine_ng_ml``,
        ``assumed_block``; ``subject`` first, where each person has doses of their own.
    exposure : pandas.DataFrame
        ``analyte``, ``measure``, ``value``, ``unit``; ``subject`` likewise.
    curve : pandas.DataFrame
        As `concentrations`, on a fine grid.
    doses : pandas.DataFrame
        Checked doses: ``start_h``, ``duration_h``, ``amount_mg_kg``.
    interval : pandas.DataFrame or None
        Between which concentrations 90 % of drawn people lie.
    scans_h : mapping of str to float
        Times that the figure marks.
    settings : mapping
        What was asked, as plain data.
    """

    facts: Mapping[str, str]
    concentrations: pd.DataFrame
    exposure: pd.DataFrame
    curve: pd.DataFrame
    doses: pd.DataFrame
    interval: pd.DataFrame | None = None
    scans_h: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def per_person(self) -> bool:
        """Return whether each person has doses of their own."""
        return "subject" in self.concentrations.columns


def compute_dose(
    regimen: str | Path,
    *,
    model: str = "otto2021",
    weight_kg: float = 70.0,
    times: str | None = None,
    above_ng_ml: float | None = None,
    occupancy: str = "siegel2021",
    n_people: int = 0,
    seed: int = 0,
    clearance_cv: str | None = None,
    scans: str | None = None,
) -> DoseAnswer:
    """Compute what a dose plan leads to.

    Parameters
    ----------
    regimen : str or Path
        Name of a shipped plan, or a file.
    model : str
        A compartment model.
    weight_kg : float
        Weight, for those whose table of doses has none.
    times, scans : str, optional
        Times such as ``40min,50min,24h,5d``; to print, and to mark in the figure.
    above_ng_ml : float, optional
        Level above which hours are counted.
    occupancy : str
        Key of the assumed relation of concentration and block.
    n_people, seed : int
        People drawn, and the seed of the draws; 0 draws nobody.
    clearance_cv : str, optional
        Percent, or ``model``.

    Returns
    -------
    DoseAnswer

    Raises
    ------
    InputError
        Something of it is not allowed.
    """
    plan, found, assumption = read_regimen(regimen), find_model(model), find_occupancy(occupancy)
    asked = parse_times(times, key="--times")
    marks = {time_words(one): one for one in parse_times(scans, key="--scans")}
    spread = _spread(clearance_cv)
    if n_people < 0:
        raise InputError(f"--people: is {n_people}; allowed are 0 and more")
    if n_people and plan.per_person:
        raise InputError(
            "--people: draws people for one plan; this table gives each person doses of their own"
        )
    if clearance_cv is not None and not n_people:
        raise InputError("--cv: belongs to --people, which says how many people are drawn")
    people = _people(plan, weight_kg, regimen)
    first = next(iter(people.values()))
    every = pd.concat([doses for doses, _ in people.values()], ignore_index=True)
    at = np.array(asked or plan.times_h or default_times(every))
    grid = _grid(every, np.array([*at, *marks.values()]))
    tables: dict[str, list[pd.DataFrame]] = {"at": [], "grid": [], "sum": []}
    for subject, (doses, kg) in people.items():
        solution = solve_checked(doses, model=found, weight_kg=kg)
        summary = _summary(doses, found, kg, above_ng_ml, occupancy)
        for key, table in (
            ("at", solution.table(at)),
            ("grid", solution.table(grid)),
            ("sum", summary),
        ):
            if key != "sum":
                table["assumed_block"] = assumed_occupancy(
                    table["ketamine_ng_ml"], ic50_ng_ml=assumption.ic50_ng_ml, hill=assumption.hill
                )
            if plan.per_person:
                table.insert(0, "subject", subject)
            tables[key].append(table)
    interval = None
    if n_people:
        drawn = simulate_people(
            first[0], model=model, weight_kg=first[1], times_h=np.unique([*grid, *at]),
            n_people=n_people, seed=seed, clearance_cv_percent=spread,
        )  # fmt: skip
        interval = prediction_interval(drawn)
    facts = describe(plan, found, occupancy, weight_kg, people=len(people))
    if n_people:
        facts["between people"] = (
            f"{n_people} drawn (seed {seed}): {describe_variability(found, spread)}; 90 % of them lie "
            "between low and high; no error of an assay is added"
        )
    return DoseAnswer(
        facts=facts,
        concentrations=pd.concat(tables["at"], ignore_index=True),
        exposure=pd.concat(tables["sum"], ignore_index=True),
        curve=pd.concat(tables["grid"], ignore_index=True),
        doses=first[0],
        interval=interval,
        scans_h=marks,
        settings={
            "regimen": str(regimen), "model": model, "weight_kg": weight_kg, "times_h": list(map(float, at)),
            "above_ng_ml": above_ng_ml, "occupancy": occupancy, "n_people": n_people, "seed": seed,
            "clearance_cv_percent": spread, "version": __version__,
        },
    )  # fmt: skip


def _people(
    plan: RegimenFile, weight_kg: float, regimen: str | Path
) -> dict[str, tuple[pd.DataFrame, float]]:
    """Return checked doses and a weight for each person; a plan for all is one person."""
    place = str(regimen)
    if plan.per_person:
        found = regimens_of_people(plan.doses, place=place)
        return {
            name: (doses, check_weight(weight_kg, place="--weight-kg") if own is None else own)
            for name, (doses, own) in found.items()
        }
    doses = check_regimen(plan.doses, place=place)
    return {plan.name: (doses, check_weight(weight_kg, place="--weight-kg"))}


def _summary(
    doses: pd.DataFrame,
    model: CompartmentModel,
    weight_kg: float,
    above_ng_ml: float | None,
    occupancy: str,
) -> pd.DataFrame:
    if doses.empty:
        return pd.DataFrame(columns=["analyte", "measure", "value", "unit"])
    return exposure_summary(
        doses, model=model.name, weight_kg=weight_kg, above_ng_ml=above_ng_ml, occupancy=occupancy
    )


def _spread(text: str | None) -> Spread:
    if text is None or text == "model":
        return "model" if text else None
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"--cv: is {text!r}; allowed are a number of percent and 'model'"
        ) from None


def parse_times(text: str | None, *, key: str) -> list[float]:
    """Read times such as ``40min,80min,24h,5d`` as hours; a bare number is in hours.

    Raises
    ------
    InputError
        A time cannot be read.
    """
    hours = []
    for part in (text or "").split(",") if text else []:
        found = _TIME.fullmatch(part)
        if found is None:
            raise InputError(
                f"{key}: {part.strip()!r} is no time; write 40min, 2.5h or 5d, separated by commas"
            )
        hours.append(float(found[1]) * _IN_HOURS[found[2] or "h"])
    return hours


def time_words(hours: float) -> str:
    """Write a time in the unit in which people say it."""
    return f"{60 * hours:.4g} min" if hours < 4 else f"{hours:.4g} h"


def default_times(doses: pd.DataFrame) -> list[float]:
    """Return the ends of all doses, and 1, 4 and 24 h after the last one."""
    ends = np.unique(doses["start_h"] + doses["duration_h"]) if len(doses) else np.array([0.0])
    return [*map(float, ends), *(float(ends[-1]) + more for more in (1.0, 4.0, 24.0))]


def _grid(doses: pd.DataFrame, at: FloatArray) -> FloatArray:
    end = float((doses["start_h"] + doses["duration_h"]).max()) if len(doses) else 0.0
    last = max(end * 1.25, float(at.max()), end + 0.5)
    edges = np.concatenate([doses["start_h"], doses["start_h"] + doses["duration_h"]])
    return np.unique(np.concatenate([np.linspace(0, last, _CURVE_POINTS), edges]))


def describe(
    plan: RegimenFile, model: CompartmentModel, occupancy: str, weight_kg: float, *, people: int
) -> dict[str, str]:
    """Say what is computed, by what, and what that assumes."""
    facts = {"dose plan": plan.title or plan.name}
    if plan.per_person:
        facts["doses"] = (
            f"of {people} people, as given; weight {weight_kg:g} kg where the table has none"
        )
    else:
        rows = check_regimen(plan.doses).itertuples(index=False)
        facts["doses"] = "; ".join(describe_dose(*map(float, row)) for row in rows)
        facts["weight"] = f"{weight_kg:g} kg"
    if plan.source:
        facts["dose source"] = plan.source
    if plan.stand_in:
        facts["stand-in"] = plan.stand_in
    if plan.observed:
        facts["observed"] = plan.observed
    assumption = find_occupancy(occupancy)
    facts["average and auc"] = "from the first dose to the end of the last"
    facts |= {
        "model": f"{model.name}: {model.title}",
        "of": f"{model.drug}; {model.matrix}; {model.population}",
        "source": model.source,
        "checked against": model.checked,
        "assumption": model.assumption,
    }
    if model.cautions:
        facts["caution"] = "; ".join(model.cautions)
    facts["assumed block"] = (
        f"C^h / (C^h + IC50^h) with IC50 {assumption.ic50_ng_ml:.4g} ng/ml, h {assumption.hill:g}: "
        f"{assumption.source}. Assumed, not measured."
    )
    return facts


def list_choices() -> dict[str, pd.DataFrame]:
    """Return the shipped dose plans, the models and the assumed blocks, as tables."""
    from connectrial.trial.exposure import OCCUPANCY

    plans = [read_regimen(name) for name in shipped_regimens()]
    return {
        "Dose plans": pd.DataFrame(
            {"name": [one.name for one in plans], "what": [one.title for one in plans]}
        ),
        "Models (--model)": pd.DataFrame(
            [
                {
                    "name": one.name, "what": one.title, "drug": one.drug, "matrix": one.matrix,
                    "norketamine": "yes" if one.norketamine else "no",
                }
                for one in MODELS.values()
            ]
        ),
        "Assumed blocks (--occupancy)": pd.DataFrame(
            [{"name": key, "what": one.source} for key, one in OCCUPANCY.items()]
        ),
    }  # fmt: skip
