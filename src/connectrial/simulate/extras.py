"""Doses, concentrations, volumes, side effects and correlated columns of a simulated study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import StudyFileError
from connectrial.simulate.facts import Facts, check_names
from connectrial.simulate.recruiting import Recruited
from connectrial.study import Study
from connectrial.study_trial import SafetySection, VolumesSection
from connectrial.trial.pharmacokinetics import simulate_concentration


def change_of(scores: pd.DataFrame, *, scale: str, baseline: str, visit: str) -> pd.Series:
    """Return each person's change of a scale, indexed by subject."""
    mine = scores.loc[scores["scale"] == scale]
    wide = mine.pivot_table(index="subject", columns="place", values="score")
    if baseline not in wide or visit not in wide:
        return pd.Series(dtype=float)
    return (wide[visit] - wide[baseline]).dropna()


def _linked(change: pd.Series, people: pd.Index, r: float, rng: np.random.Generator) -> pd.Series:
    """Draw standardised values that correlate with a change: exactly r in those who have one.

    As counts of responders, a correlation that is asked for is that of the data; 0 is left to chance.
    """
    noise = pd.Series(rng.standard_normal(len(people)), index=people)
    known = change.reindex(people).dropna()
    if r == 0.0 or len(known) < 4 or known.std() == 0:
        return noise
    standard = (known - known.mean()) / known.std()
    own = noise.loc[known.index]
    own = own - own.mean()
    own = own - standard * float((own * standard).sum() / (standard**2).sum())
    noise.loc[known.index] = r * standard + np.sqrt(1 - r**2) * own / own.std()
    return noise


def add_correlated(
    recruited: Recruited, facts: Facts, scores: pd.DataFrame, rng: np.random.Generator
) -> Recruited:
    """Add the columns that correlate with a change of a score; controls have none."""
    people, columns = recruited.people, recruited.columns
    for one in facts.many("correlation"):
        change = change_of(
            scores,
            scale=one.get("scale", ""),
            baseline=one.get("baseline", ""),
            visit=one.get("visit", ""),
        )
        if change.empty:
            raise StudyFileError(
                f"[[correlation]] {one['column']!r}: needs scale, baseline and visit with scores of the "
                "same people"
            )
        values = _linked(change, pd.Index(people["subject"]), one.get("r", 0.0), rng)
        numbers = (one.get("mean", 0.0) + one.get("sd", 1.0) * values.to_numpy()).round(
            one.get("decimals", 2)
        )
        seen = people["subject"].isin(set(scores["subject"])) & ~people["is_control"]
        people[one["column"]] = np.where(seen, numbers, np.nan)
        columns = (*dict.fromkeys([*columns, one["column"]]),)
    return Recruited(people=people, columns=columns, scans=recruited.scans, scored=recruited.scored)


def draw_doses(
    study: Study,
    facts: Facts,
    recruited: Recruited,
    template: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Draw each person's doses: the template's, its rate capped for those who did not tolerate it.

    Where the truth file gives cohorts amounts of their own, the template is scaled to them.

    Parameters
    ----------
    template : DataFrame
        ``start_h``, ``duration_h`` and ``rate_mg_kg_h`` or ``amount_mg_kg``.

    Returns
    -------
    DataFrame
        ``subject``, then the template's columns.
    """
    section, how = study.exposure, facts.one("doses")
    people = recruited.people
    treated = people.loc[
        ~people["is_control"] & people["subject"].isin(recruited.scored["subject"])
    ]
    if section is not None and section.arms:
        treated = treated.loc[treated["arm"].isin(section.arms)]
    names = list(treated["subject"])
    capped = set(rng.permutation(names)[: how.get("n_capped", 0)])
    cohort = people.set_index("subject")["cohort"]
    asked: Mapping[str, float] = how.get("amounts_mg_kg", {})
    problems: list[str] = []
    check_names(problems, asked, list(cohort.unique()), what="[doses] amounts_mg_kg")
    if problems:
        raise StudyFileError(problems)
    whole = float(_amounts(template).sum())
    pieces = []
    for name in names:
        mine = template.assign(subject=name)
        if cohort[name] in asked:
            given = [c for c in ("amount_mg_kg", "rate_mg_kg_h") if c in mine]
            mine[given] = (mine[given] * asked[cohort[name]] / whole).round(6)
        if name in capped and "rate_mg_kg_h" in mine:
            lowest = float(mine["rate_mg_kg_h"].min())
            cap = max(lowest, how.get("cap_mean", np.inf) + how.get("cap_sd", 0.0) * rng.normal())
            mine["rate_mg_kg_h"] = mine["rate_mg_kg_h"].clip(upper=round(cap, 3))
        pieces.append(mine)
    found = pd.concat(pieces, ignore_index=True) if pieces else template.iloc[:0].assign(subject="")
    return found[["subject", *[c for c in found if c != "subject"]]]


def _amounts(doses: pd.DataFrame) -> pd.Series:
    """Return the amount of each dose, mg/kg."""
    rate = doses.get("rate_mg_kg_h", pd.Series(np.nan, index=doses.index))
    given = doses.get("amount_mg_kg", pd.Series(np.nan, index=doses.index))
    return given.astype(float).fillna(rate.astype(float) * doses["duration_h"].astype(float))


def add_highest_rate(recruited: Recruited, facts: Facts, doses: pd.DataFrame) -> Recruited:
    """Put each person's highest rate into the column that the truth file names, if it names one."""
    column = facts.one("doses").get("column")
    if column is None or "rate_mg_kg_h" not in doses:
        return recruited
    highest = doses.groupby("subject")["rate_mg_kg_h"].max()
    recruited.people[column] = recruited.people["subject"].map(highest)
    return Recruited(
        people=recruited.people,
        columns=(*dict.fromkeys([*recruited.columns, column]),),
        scans=recruited.scans,
        scored=recruited.scored,
    )


def draw_samples(
    study: Study, facts: Facts, recruited: Recruited, doses: pd.DataFrame, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Draw measured concentrations: the model's, with a lognormal spread between people.

    Returns
    -------
    dict
        Path -> table with the columns that the study names.
    """
    section, how = study.exposure, facts.one("samples")
    if section is None:
        return {}
    people = recruited.people.set_index("subject")
    times = [float(one) for one in how.get("times_h", [24.0, 48.0, 72.0, 96.0])]
    sigma = float(np.sqrt(np.log1p(how.get("cv", 0.3) ** 2)))
    found: dict[str, pd.DataFrame] = {}
    for measured in section.measured:
        rows: list[dict[str, Any]] = []
        for subject, mine in doses.groupby("subject", sort=True):
            weight = people[section.weight].get(str(subject)) if section.weight else None
            curve = simulate_concentration(
                mine.drop(columns="subject"),
                model=section.model,
                weight_kg=float(str(weight)) if weight is not None else section.weight_kg or 70.0,
                times_h=times,
            )
            own = float(np.exp(sigma * rng.standard_normal() - sigma**2 / 2))
            for k, time_h in enumerate(times):
                row: dict[str, Any] = {measured.subject: f"sub-{subject}"}
                if measured.time_h is not None:
                    row[measured.time_h] = time_h
                if measured.session is not None:
                    row[measured.session] = f"sample{k + 1}"
                for analyte, columns in measured.columns.items():
                    # Of a further metabolite no model says anything: it follows the first one.
                    name = analyte if f"{analyte}_ng_ml" in curve else "norketamine"
                    level = float(curve[f"{name}_ng_ml"].iloc[k]) * own
                    for column in columns:
                        part = level / len(columns) * float(np.exp(0.05 * rng.standard_normal()))
                        row[column] = round(part, 1) if np.isfinite(part) else np.nan
                rows.append(row)
        found[measured.path] = pd.DataFrame(rows)
    return found


def draw_volumes(
    section: VolumesSection,
    facts: Facts,
    recruited: Recruited,
    scores: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Draw volumes as shares of intracranial volume, each correlated with the change as asked for."""
    how = facts.one("volumes")
    people = recruited.people
    scanned = people.loc[people["subject"].isin(recruited.scans["subject"]) & ~people["is_control"]]
    subjects = pd.Index(scanned["subject"] if len(scanned) else people["subject"])
    change = change_of(scores, scale=section.scale, baseline=section.baseline, visit=section.visit)
    if "n" in how:
        subjects = _with_change(subjects, change, int(how["n"]), rng)
    total = rng.normal(1.5e6, 1.3e5, len(subjects))
    table = pd.DataFrame({"Measure:volume": "sub-" + subjects.astype(str)})
    mean = how.get("share", 0.0027)
    for structure in section.structures:
        r = how.get("correlation", {}).get(structure, 0.0)
        share = mean * (1 + how.get("cv", 0.08) * _linked(change, subjects, r, rng).to_numpy())
        table[structure] = (share * total).round(1)
    table[section.intracranial] = total.round(1)
    return table


def _with_change(
    subjects: pd.Index, change: pd.Series, n: int, rng: np.random.Generator
) -> pd.Index:
    """Choose n of the people whose change is known; those without one keep their volumes."""
    known = subjects[subjects.isin(change.dropna().index)]
    if n > len(known):
        raise StudyFileError(
            f"[volumes] n is {n}, but {len(known)} people have volumes and the change that they "
            "are correlated with"
        )
    left_out = rng.permutation(known)[n:]
    return subjects[~subjects.isin(left_out)]


def _dealt(places: NDArray[np.object_], chance: FloatArray, rng: np.random.Generator) -> BoolArray:
    """Deal a side effect to the stated share of a visit's people, as exactly as people allow."""
    has = np.zeros(len(places), dtype=bool)
    for place in dict.fromkeys(places):
        here = np.flatnonzero(places == place)
        n = int(np.floor(float(chance[here].sum()) + 0.5))
        has[rng.permutation(here)[:n]] = True
    return has


def draw_events(
    section: SafetySection,
    study: Study,
    facts: Facts,
    recruited: Recruited,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Draw a checklist of side effects: subject, place, then a severity for each column."""
    how = facts.one("safety")
    chances: Mapping[str, Mapping[str, float]] = how.get("events", {})
    places = {one.name: one.visit for one in study.places}
    asked = set(section.visits or study.visits[1:])
    rows = recruited.scored.loc[recruited.scored["place"].map(places).isin(asked)]
    table = rows[["subject", "place"]].reset_index(drop=True)
    words = {number: word for word, number in section.severity.items()}
    for event, column in section.events.items():
        own = chances.get(event, {})
        chance = [
            float(own.get(place, own.get(places[place], how.get("share", 0.1))))
            for place in table["place"]
        ]
        has = _dealt(table["place"].to_numpy(), np.array(chance), rng)
        if words:
            high = max(words)
            present = min((n for n in words if n >= section.present_from), default=high)
            cells: list[str | int] = [words[present] if yes else words[min(words)] for yes in has]
        else:
            cells = [int(np.ceil(section.present_from)) if yes else 0 for yes in has]
        table[column] = pd.Series(cells, index=table.index, dtype="object")
    return table
