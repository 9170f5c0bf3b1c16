"""Choosing controls for patients: optimal matching, and how well it balanced the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from connectrial.errors import InputError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Matching:
    """Which controls were chosen for whom, and the balance that came of it.

    Attributes
    ----------
    pairs : pandas.DataFrame
        One row per patient and chosen control: ``patient``, ``control``, ``distance``.
    unmatched : pandas.DataFrame
        ``subject``, ``group`` ("patient" or "control"), ``reason``.
    balance : pandas.DataFrame
        One row per variable (per level of a factor): ``variable``, ``level``, means (shares) and SDs
        of patients and controls before and after, ``smd_before``, ``smd_after``,
        ``variance_ratio_before``, ``variance_ratio_after``, and the numbers of people behind them.
    distance : str
        What was minimised, in words.
    total_distance : float
        Its sum over all pairs.
    """

    pairs: pd.DataFrame
    unmatched: pd.DataFrame
    balance: pd.DataFrame
    distance: str
    total_distance: float


def match_controls(
    people: pd.DataFrame,
    *,
    is_patient: ArrayLike,
    on: Sequence[str],
    exact: Sequence[str] = (),
    caliper: Mapping[str, float] | None = None,
    ratio: int = 1,
) -> Matching:
    """Choose controls for patients so that the sum of distances is the least possible.

    As many controls as possible are given out, as evenly over patients as possible; among all such
    choices that with the least sum of Mahalanobis distances is taken, by linear assignment. Nothing is
    random, and the order of rows does not matter unless two choices are equally good.

    Parameters
    ----------
    people : DataFrame
        Indexed by subject (unique); one row per person, patients and controls.
    is_patient : array of bool, shape (n_people,)
        True for patients, False for the pool of controls.
    on : sequence of str
        Numeric columns that the distance is made of, scaled by their covariance within the two
        groups.
    exact : sequence of str
        Columns in which patient and control must be the same.
    caliper : mapping, optional
        Column -> largest absolute difference that is allowed, in the column's unit.
    ratio : int
        Controls per patient.

    Returns
    -------
    Matching
        Who lacks a value, or has no partner that is allowed, is in ``unmatched`` with the reason.

    Raises
    ------
    InputError
        If columns are absent or not numeric, subjects are doubled, the ratio or a caliper is not
        positive, or either side is empty.

    References
    ----------
    Rosenbaum (1989) J Am Stat Assoc 84:1024 (optimal matching); Austin (2009) Stat Med 28:3083
    (balance); Crouse (2016) IEEE Trans Aerosp Electron Syst 52:1679 (the assignment).
    """
    calipers = dict(caliper or {})
    patient = np.asarray(is_patient, dtype=bool)
    _check(people, patient, on, exact, calipers, ratio)
    used = list(dict.fromkeys([*on, *exact, *calipers]))
    ready = people.iloc[people.index.argsort()]
    patient = patient[people.index.argsort()]
    complete = ready[used].notna().all(axis=1).to_numpy()
    reasons = {
        str(subject): "no " + ", ".join(name for name in used if pd.isna(ready.loc[subject, name]))
        for subject in ready.index[~complete]
    }
    cases, pool = ready.loc[patient & complete], ready.loc[~patient & complete]
    allowed = _allowed(cases, pool, exact, calipers)
    distance = _distances(cases, pool, on)
    chosen = _assign(distance, allowed, ratio)
    pairs = pd.DataFrame(
        {
            "patient": [str(cases.index[row]) for row, _ in chosen],
            "control": [str(pool.index[column]) for _, column in chosen],
            "distance": [float(distance[row, column]) for row, column in chosen],
        }
    )
    matched = {*pairs["patient"], *pairs["control"]}
    rows = []
    for subject, one in zip(ready.index.astype(str), patient, strict=True):
        if subject in matched:
            continue
        why = reasons.get(subject) or _why_not(
            subject, is_patient=bool(one), cases=cases, pool=pool, allowed=allowed
        )
        rows.append((subject, "patient" if one else "control", why))
    in_pairs = ready.index.astype(str).isin(matched)
    return Matching(
        pairs=pairs.sort_values(["patient", "distance", "control"], ignore_index=True),
        unmatched=pd.DataFrame(rows, columns=["subject", "group", "reason"]),
        balance=describe_balance(ready[used], is_patient=patient, chosen=in_pairs),
        distance=f"Mahalanobis distance of {', '.join(on)}" if on else "none",
        total_distance=float(pairs["distance"].sum()),
    )


def describe_balance(
    people: pd.DataFrame, *, is_patient: ArrayLike, chosen: ArrayLike
) -> pd.DataFrame:
    """Compare patients with controls before and after choosing, by standardised mean differences.

    Parameters
    ----------
    people : DataFrame
        One row per person; numeric columns, and factors (text or Categorical).
    is_patient, chosen : arrays of bool, shape (n_people,)
        Who is a patient; who is among the chosen.

    Returns
    -------
    DataFrame
        See `Matching`. ``smd`` is the difference of means over the root of the mean of both
        variances, these being of everybody before choosing, so that both SMDs share one scale; NaN
        where nothing varies.

    References
    ----------
    Austin (2009) Stat Med 28:3083; for shares, Yang & Dalton (2012) SAS Global Forum 335.
    """
    patient = np.asarray(is_patient, dtype=bool)
    kept = np.asarray(chosen, dtype=bool)
    rows = []
    for name in people.columns:
        column = people[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = [("", column.to_numpy(dtype=np.float64, na_value=np.nan))]
        else:
            known = column.astype("object")
            levels = sorted({str(level) for level in known.dropna()})
            text = known.astype(str)
            values = [
                (level, np.where(known.isna(), np.nan, (text == level).astype(float)))
                for level in levels
            ]
        rows += [
            {
                "variable": name,
                "level": level,
                **_balance_of(x, patient=patient, kept=kept, is_share=level != ""),
            }
            for level, x in values
        ]
    return pd.DataFrame(rows)


def _balance_of(x: Array, *, patient: Mask, kept: Mask, is_share: bool) -> dict[str, float]:
    cells: dict[str, float] = {}
    scale = np.nan
    for when, mask in (("before", np.ones(len(x), dtype=bool)), ("after", kept)):
        a, b = (x[mask & side & np.isfinite(x)] for side in (patient, ~patient))
        means = [float(one.mean()) if len(one) else np.nan for one in (a, b)]
        variances = [
            _variance(one, mean, is_share=is_share) for one, mean in zip((a, b), means, strict=True)
        ]
        if when == "before":
            scale = float(np.sqrt(np.mean(variances)))
        difference = means[0] - means[1]
        cells |= {
            f"patients_{when}": means[0],
            f"controls_{when}": means[1],
            f"sd_patients_{when}": float(np.sqrt(variances[0])),
            f"sd_controls_{when}": float(np.sqrt(variances[1])),
            f"n_patients_{when}": len(a),
            f"n_controls_{when}": len(b),
            f"smd_{when}": difference / scale if scale > 0 else np.nan,
            f"variance_ratio_{when}": variances[0] / variances[1] if variances[1] > 0 else np.nan,
        }
    return cells


def _variance(values: Array, mean: float, *, is_share: bool) -> float:
    if is_share:
        return mean * (1 - mean)
    return float(values.var(ddof=1)) if len(values) > 1 else np.nan


def _check(
    people: pd.DataFrame,
    patient: Mask,
    on: Sequence[str],
    exact: Sequence[str],
    caliper: Mapping[str, float],
    ratio: int,
) -> None:
    problems = []
    if len(patient) != len(people):
        problems.append(f"is_patient has {len(patient)} values for {len(people)} people")
    if people.index.has_duplicates:
        twice = people.index[people.index.duplicated()][0]
        problems.append(f"people: {twice!r} has two rows; give one per person")
    for name in dict.fromkeys([*on, *exact, *caliper]):
        if name not in people:
            listed = ", ".join(map(repr, people.columns))
            problems.append(f"matching: no column {name!r}; there are {listed}")
        elif name not in exact and not pd.api.types.is_numeric_dtype(people[name]):
            problems.append(
                f"matching on {name!r}: is not numeric; put it among the exact variables, or give numbers"
            )
    if not on and not exact:
        problems.append("matching: name at least one variable, numeric ('on') or 'exact'")
    if ratio < 1:
        problems.append(f"ratio: got {ratio}; allowed is 1 or more controls per patient")
    problems += [
        f"caliper of {name!r}: got {width}; allowed is above 0"
        for name, width in caliper.items()
        if not width > 0
    ]
    if not problems and (not patient.any() or patient.all()):
        side = "patients" if not patient.any() else "controls"
        problems.append(f"matching: there are no {side}")
    if problems:
        raise InputError(problems)


def _allowed(
    cases: pd.DataFrame, pool: pd.DataFrame, exact: Sequence[str], caliper: Mapping[str, float]
) -> Mask:
    allowed = np.ones((len(cases), len(pool)), dtype=bool)
    for name in exact:
        left, right = cases[name].astype(str).to_numpy(), pool[name].astype(str).to_numpy()
        allowed &= left[:, None] == right[None, :]
    for name, width in caliper.items():
        left, right = (one[name].to_numpy(dtype=np.float64) for one in (cases, pool))
        # Limits are meant to the last digit that a table shows, not to that of its binary form.
        allowed &= np.abs(left[:, None] - right[None, :]) <= width * (1 + 1e-9)
    return allowed


def _distances(cases: pd.DataFrame, pool: pd.DataFrame, on: Sequence[str]) -> Array:
    if not on or cases.empty or pool.empty:
        return np.zeros((len(cases), len(pool)))
    left, right = (one[list(on)].to_numpy(dtype=np.float64) for one in (cases, pool))
    centred = np.vstack([left - left.mean(axis=0), right - right.mean(axis=0)])
    within = centred.T @ centred / max(len(centred) - 2, 1)
    # A variable that does not vary, or two that say the same, must not blow the distance up.
    inverse = np.linalg.pinv(within, rcond=1e-10, hermitian=True)
    between = left[:, None, :] - right[None, :, :]
    squared = np.einsum("cpi,ij,cpj->cp", between, inverse, between)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def _assign(distance: Array, allowed: Mask, ratio: int) -> list[tuple[int, int]]:
    """Give out controls: as many as possible, then evenly, then near."""
    from scipy.optimize import linear_sum_assignment

    n_cases, n_pool = distance.shape
    if not allowed.any():
        return []
    n_slots = n_cases * ratio
    # All distances together weigh less than one step of evenness, all steps less than one person.
    largest = float(distance[allowed].max())
    near = distance / (largest * (n_slots + 1)) if largest > 0 else np.zeros_like(distance)
    alone = float(ratio * n_slots + 1)
    cost = np.full((n_slots, n_pool + n_slots), alone)
    for slot in range(ratio):
        rows = slice(slot * n_cases, (slot + 1) * n_cases)
        cost[rows, :n_pool] = np.where(allowed, near + slot, 2 * alone)
    rows_chosen, columns = linear_sum_assignment(cost)
    return [
        (int(row) % n_cases, int(column))
        for row, column in zip(rows_chosen, columns, strict=True)
        if column < n_pool and allowed[row % n_cases, column]
    ]


def _why_not(
    subject: str, *, is_patient: bool, cases: pd.DataFrame, pool: pd.DataFrame, allowed: Mask
) -> str:
    if is_patient:
        row = list(cases.index.astype(str)).index(subject)
        if not allowed[row].any():
            return "no control within the limits"
        return "all controls within the limits were given to others"
    column = list(pool.index.astype(str)).index(subject)
    if not allowed[:, column].any():
        return "no patient within the limits"
    return "not among the nearest"
