"""Which controls a study compares with its patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.errors import InputError
from connectrial.study import Study
from connectrial.study_checks import SCAN_MEASURES
from connectrial.trial.matching import Matching, match_controls


def plan_matching(
    study: Study, subjects: pd.DataFrame, scans: pd.DataFrame, problems: list[str], notes: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, Matching | None]:
    """Choose controls, and leave the others out with the reason.

    Parameters
    ----------
    study : Study
        With or without ``[matching]``.
    subjects, scans : DataFrame
        As in `connectrial.plan.people.People`.
    problems, notes : list of str
        Are added to.

    Returns
    -------
    subjects, scans : DataFrame
        With ``included`` and ``reason``, ``analysed`` and ``reason``, of controls who were not chosen.
    matching : Matching or None
        None without ``[matching]``, and where it could not be done.
    """
    rules, groups = study.matching, study.groups
    if rules is None or groups is None or groups.controls is None or subjects.empty:
        return subjects, scans, None
    pool = subjects.loc[subjects["included"]].set_index("subject", drop=False)
    if len(scans):
        pool = pool.loc[pool.index.isin(scans.loc[scans["analysed"], "subject"])]
    people = pool.join(_scan_measures(scans), how="left")
    try:
        matching = match_controls(
            people[list(dict.fromkeys([*rules.on, *rules.exact, *rules.caliper]))],
            is_patient=(people["group"] == groups.patients).to_numpy(),
            on=rules.on,
            exact=rules.exact,
            caliper=rules.caliper,
            ratio=rules.ratio,
        )
    except InputError as error:
        problems += [f"[matching]: {problem}" for problem in error.problems]
        return subjects, scans, None
    out = matching.unmatched
    lost = out.loc[out["group"] == "control"].set_index("subject")["reason"]
    why = "not a matched control: " + subjects["subject"].map(lost).fillna("")
    is_lost = subjects["subject"].isin(lost.index)
    subjects = subjects.assign(
        included=subjects["included"] & ~is_lost, reason=subjects["reason"].where(~is_lost, why)
    )
    alone = out.loc[out["group"] == "patient"]
    if len(alone):
        listed = "; ".join(f"sub-{row.subject}: {row.reason}" for row in alone.itertuples())
        notes.append(f"{len(alone)} patients have no matched control and stay in ({listed})")
    if len(scans):
        gone = scans["subject"].isin(lost.index) & scans["analysed"]
        said = "usable, but the person is left out: " + scans["subject"].map(
            subjects.set_index("subject")["reason"]
        )
        scans = scans.assign(
            analysed=scans["analysed"] & ~gone, reason=scans["reason"].where(~gone, said)
        )
    n_controls = matching.pairs["control"].nunique()
    notes.append(
        f"{n_controls} of {n_controls + len(lost)} controls matched to "
        f"{matching.pairs['patient'].nunique()} patients by the least sum of {matching.distance}"
    )
    return subjects, scans, matching


def _scan_measures(scans: pd.DataFrame) -> pd.DataFrame:
    """Average what is known of each person's analysed scans."""
    columns = list(SCAN_MEASURES)
    if scans.empty:
        return pd.DataFrame(columns=columns, dtype=float)
    analysed = scans.loc[scans["analysed"], ["subject", *columns]]
    numbers = analysed.assign(
        **{name: analysed[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in columns}
    )
    return numbers.groupby("subject")[columns].mean()
