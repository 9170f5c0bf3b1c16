"""Tables about people: rules, baseline, severity, dispositions, the flow of scans, event times."""

from __future__ import annotations

import pandas as pd

from connectrial.plan import Plan
from connectrial.plan.crossover import with_treatments
from connectrial.stats.survival import kaplan_meier
from connectrial.study_trial import VolumesSection
from connectrial.trial.baseline import baseline_table
from connectrial.trial.flow import imaging_flow, period_flow


def people_tables(plan: Plan, scans: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables that describe people; those without rows are left out by the caller.

    Parameters
    ----------
    plan : Plan
        With its people.
    scans : DataFrame
        As they stand after reading.
    """
    people = plan.people
    return {
        "rules": people.rule_counts,
        "baseline": _baseline(plan),
        "imaging_flow": imaging_flow(
            scans, people.subjects, sessions={v.name: v.sessions for v in plan.study.visit}
        ),
        "period_flow": _period_flow(plan),
        "volumes": _volumes(plan),
        "score_log": people.score_log,
        "severity": _severity(plan),
        "dispositions": people.dispositions,
        **_times(plan),
    }


def _baseline(plan: Plan) -> pd.DataFrame:
    """Describe those who take part, by arm or group, or all together."""
    study, people = plan.study, plan.people
    table = people.subjects.loc[people.subjects["included"]].reset_index(drop=True)
    by = _apart(table)
    levels = people.factors[by] if by is not None else ("everyone",)
    table["_by"] = pd.Categorical(
        table[by] if by is not None else ["everyone"] * len(table), categories=list(levels)
    )
    numeric = [name for name, one in study.variables.items() if not one.levels and name in table]
    factors = {name: one.levels for name, one in study.variables.items() if one.levels}
    first = study.visits[0]
    for scale in study.scales:
        mine = people.scores.loc[people.scores["scale"] == scale]
        here = mine.loc[mine["visit"] == first].set_index("subject")["score"]
        if here.notna().any():
            name = f"{scale} at {first}"
            table[name] = here.reindex(table["subject"]).to_numpy()
            numeric.append(name)
    if not numeric and not factors:
        return pd.DataFrame()
    return baseline_table(table, numeric=numeric, factors=factors, by="_by")


def _apart(subjects: pd.DataFrame) -> str | None:
    """Return what tells people apart who are described side by side."""
    return next((name for name in ("arm", "group") if name in subjects), None)


def _volumes(plan: Plan) -> pd.DataFrame:
    """Return each person's volumes over intracranial volume beside the change they predict."""
    tables = []
    for one in plan.analyses:
        section = one.section
        if not isinstance(section, VolumesSection) or one.problems or one.rows.empty:
            continue
        total = pd.to_numeric(one.rows[section.intracranial])
        tables += [
            pd.DataFrame(
                {
                    "subject": one.rows["subject"],
                    "structure": name,
                    "share": pd.to_numeric(one.rows[name]) / total,
                    section.outcome: one.rows[section.outcome],
                }
            )
            for name in section.structures
        ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _period_flow(plan: Plan) -> pd.DataFrame:
    """Follow the patients of a crossover through its periods."""
    study, people = plan.study, plan.people
    if people.periods is None or people.scores.empty:
        return pd.DataFrame()
    included = people.subjects.loc[people.subjects["included"]]
    if study.groups is not None:
        included = included.loc[included["group"] == study.groups.patients]
    scores = with_treatments(people.scores, study=study, periods=people.periods)
    visits = [visit.name for visit in study.visit if visit.by_treatment]
    return period_flow(list(included["subject"]), people.periods, scores, visits=visits)


def _severity(plan: Plan) -> pd.DataFrame:
    """Count people in each severity band by arm and visit, for scales whose definition has bands."""
    subjects = plan.people.subjects
    included = subjects.loc[subjects["included"]].set_index("subject")
    by = _apart(included)
    levels = {"": included.index}
    if by is not None:
        levels = {level: included.index[included[by] == level] for level in plan.people.factors[by]}
    rows = []
    for name, scale in plan.survey.scales.items():
        score = plan.study.scales[name].score or scale.scores[0].name
        if not scale.bands or score != scale.bands_score:
            continue
        scores = plan.people.scores
        mine = scores.loc[(scores["scale"] == name) & scores["score"].notna()]
        for visit, here in mine.groupby("visit", observed=True, sort=True):
            for level, people in levels.items():
                bands = here.loc[here["subject"].isin(people), "score"].map(scale.band)
                counts = {band: int((bands == band).sum()) for _, band in scale.bands}
                rows += [
                    {"scale": name, "visit": str(visit)}
                    | ({} if by is None else {by: level})
                    | {"band": band, "n_subjects": n, "percent": 100 * n / len(bands)}
                    | {"source": scale.bands_source}
                    for band, n in counts.items()
                    if len(bands)
                ]
    return pd.DataFrame(rows)


def _times(plan: Plan) -> dict[str, pd.DataFrame]:
    """Return each person's time to each event, and the curves."""
    times, curves = [], []
    for one in plan.analyses:
        if one.what != "time to event" or one.rows.empty:
            continue
        times.append(one.rows.assign(analysis=one.name))
        known = one.rows.loc[one.rows["time_days"].notna()]
        groups = {"": known}
        if "arm" in known:
            groups = {str(a): t for a, t in known.groupby("arm", observed=True, sort=True)}
        for arm, mine in groups.items():
            curve = kaplan_meier(mine["time_days"], mine["event"])
            if len(curve):
                curves.append(curve.assign(analysis=one.name, arm=arm))
    return {
        "event_times": pd.concat(times, ignore_index=True) if times else pd.DataFrame(),
        "survival": pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(),
    }
