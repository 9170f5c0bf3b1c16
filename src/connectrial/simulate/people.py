"""Who takes part, how they fare, when they are scanned, and what goes wrong on purpose."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.simulate.design import TrialDesign

SCORE_DAYS = {"baseline": -1, "day1": 5, "week2": 18, "week4": 32, "week6": 46, "week8": 60}


def draw_people(design: TrialDesign, rng: np.random.Generator) -> pd.DataFrame:
    """Return one row per person; controls follow the patients in age, sex and education."""
    n, m = design.n_patients, design.n_controls
    age = np.clip(rng.normal(42, 12, n), 20, 68)
    is_female = rng.random(n) < 0.55
    education = np.clip(rng.normal(15.5, 2.2, n), 9, 22)
    partner = np.resize(rng.permutation(n), m)
    people = pd.DataFrame(
        {
            "subject": [f"{101 + i}" for i in range(n)] + [f"{201 + i}" for i in range(m)],
            "group": ["patient"] * n + ["control"] * m,
            "age": np.concatenate([age, np.clip(age[partner] + rng.normal(0, 3, m), 20, 70)]),
            "sex": np.where(np.concatenate([is_female, is_female[partner]]), "F", "M"),
            "education_years": np.concatenate(
                [education, education[partner] + rng.normal(0, 1, m)]
            ),
            "disposition": ["completed"] * n + ["not treated"] * m,
        }
    ).round({"age": 0, "education_years": 0})
    leavers = rng.permutation(n)[: design.n_dropouts]
    people.loc[leavers[1:], "disposition"] = "lost after day 1"
    people.loc[leavers[:1], "disposition"] = "withdrew during the infusion"
    stayers = rng.permutation(np.setdiff1d(np.arange(n), leavers))
    people["improvement"] = np.nan  # latent: the share of the baseline score that is gone by week 2
    good, poor = stayers[: design.n_responders], stayers[design.n_responders :]
    # The gap around one half outlasts the rounding of scores: the rule finds exactly these people.
    people.loc[good, "improvement"] = 0.53 + 0.42 * rng.beta(2.0, 1.8, len(good))
    people.loc[poor, "improvement"] = -0.05 + 0.48 * rng.beta(2.0, 1.5, len(poor))
    return people


def draw_scores(
    people: pd.DataFrame, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the MADRS scores of the patients, and who responded by the rule."""
    rows: list[tuple[str, str, int, float]] = []
    response: dict[str, str] = {}
    patients = people[people["group"] == "patient"]
    for subject, share, disposition in zip(
        patients["subject"], patients["improvement"], patients["disposition"], strict=True
    ):
        baseline = float(np.clip(np.round(rng.normal(29, 4)), 22, 42))
        week2 = float(share) if np.isfinite(share) else rng.uniform(0.1, 0.6)
        gone = {"baseline": 0.0, "day1": week2 + 0.14 + rng.normal(0, 0.12), "week2": week2}
        for visit, relapse in (("week4", 0.02), ("week6", 0.04), ("week8", 0.07)):
            gone[visit] = week2 - relapse + rng.normal(0, 0.1)
        score = {v: float(np.round(baseline * (1 - np.clip(g, -0.2, 1)))) for v, g in gone.items()}
        n_taken = {"withdrew during the infusion": 1, "lost after day 1": 2}.get(disposition, 6)
        rows += [
            (subject, visit, SCORE_DAYS[visit], score[visit]) for visit in list(score)[:n_taken]
        ]
        if n_taken == len(score):
            fell = (baseline - score["week2"]) / baseline
            response[subject] = "responder" if fell >= 0.5 else "non-responder"
    return pd.DataFrame(rows, columns=["subject", "session", "day", "MADRS"]), response


def schedule(people: pd.DataFrame, design: TrialDesign, rng: np.random.Generator) -> pd.DataFrame:
    """Return one row per scanned session, in order."""
    patients = people.loc[people["group"] == "patient", "subject"].to_numpy()
    controls = people.loc[people["group"] == "control", "subject"].to_numpy()
    stay = people.loc[people["disposition"] == "completed", "subject"].to_numpy()
    second = set(rng.permutation(patients)[: design.n_second_baselines])
    post = set(rng.permutation(stay)[: design.n_posts])
    twice = set(rng.permutation(controls)[: design.n_repeat_controls])
    rows = []
    for subject in patients:
        rows.append((subject, "pre1", "pre"))
        rows += [(subject, "pre2", "pre")] if subject in second else []
        rows += [(subject, "post", "post")] if subject in post else []
    for subject in controls:
        rows.append((subject, "1", "control"))
        rows += [(subject, "2", "control")] if subject in twice else []
    sessions = pd.DataFrame(rows, columns=["subject", "session", "visit"])
    sessions["scan"] = "sub-" + sessions["subject"] + "_ses-" + sessions["session"]
    return sessions.merge(people[["subject", "response"]], on="subject", how="left")


def choose_oddities(
    people: pd.DataFrame,
    sessions: pd.DataFrame,
    madrs: pd.DataFrame,
    *,
    n_imaged: int,
    rng: np.random.Generator,
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Choose who has images and which scans and scores are odd; blanks one score in ``madrs``."""
    special = {
        str(reason): "sub-" + ", sub-".join(gone["subject"])
        for reason, gone in people.groupby("disposition")
        if reason not in {"completed", "not treated"}
    }
    shuffled = people.iloc[rng.permutation(len(people))]
    n_sessions = shuffled["subject"].map(sessions["subject"].value_counts())
    # People with every visit come first, responders and non-responders by turns.
    turn = shuffled.groupby(["group", "response"], dropna=False).cumcount()
    best = shuffled.assign(n=-n_sessions, turn=turn).sort_values(["n", "turn"], kind="stable")
    queues = {
        group: list(best.loc[best["group"] == group, "subject"]) for group in ("patient", "control")
    }
    imaged: list[str] = []
    for i in range(n_imaged):
        first, other = ("control", "patient") if i % 3 == 2 else ("patient", "control")
        imaged.append((queues[first] or queues[other]).pop(0))
    free = sessions[~sessions["subject"].isin(imaged)]
    moved = free.loc[free["visit"] == "post", "scan"].to_numpy()
    if len(moved):
        special["high motion"] = str(rng.choice(moved))
    cut = free.loc[free["visit"] != "post", "scan"].to_numpy()
    if len(cut):
        special["weak parcels"] = str(rng.choice(cut))
    late = madrs.index[madrs["session"].isin(["week4", "week6", "week8"])]
    if len(late):
        row = rng.choice(late)
        madrs.loc[row, "MADRS"] = np.nan
        special["missing score"] = f"sub-{madrs.loc[row, 'subject']} {madrs.loc[row, 'session']}"
    return special, tuple(sorted(imaged))
