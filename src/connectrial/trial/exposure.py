"""What a dose plan exposes a person to: peak, average, area, time above a level, assumed block."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar

from connectrial.data import FloatArray
from connectrial.errors import InputError, did_you_mean
from connectrial.trial.compartments import find_model
from connectrial.trial.pharmacokinetics import ANALYTES, Analyte, Solution, solve

#: g/mol; 400 ng/ml are 1.68 uM.
KETAMINE_MOLAR_MASS = 237.73
Measure = Literal[
    "peak",
    "time of peak",
    "average",
    "auc",
    "auc to infinity",
    "final",
    "at visit",
    "hours above",
    "average occupancy",
]
MEASURES: tuple[str, ...] = get_args(Measure)
UNITS = {
    "peak": "ng/ml",
    "time of peak": "h",
    "average": "ng/ml",
    "auc": "ng h/ml",
    "auc to infinity": "ng h/ml",
    "final": "ng/ml",
    "at visit": "ng/ml",
    "hours above": "h",
    "average occupancy": "fraction (assumed)",
}
_GRID = 48  # points inside each stretch of constant input, before a peak or a crossing is refined


@dataclass(frozen=True, slots=True, kw_only=True)
class OccupancyAssumption:
    """An assumed relation of concentration and receptor block.

    Attributes
    ----------
    ic50_ng_ml : float
        Concentration of ketamine at half block, ng/ml.
    hill : float
        Hill coefficient.
    source : str
        Where the numbers come from.
    """

    ic50_ng_ml: float
    hill: float
    source: str


#: Key -> assumption. None of them is a measured occupancy.
OCCUPANCY: dict[str, OccupancyAssumption] = {
    "siegel2021": OccupancyAssumption(
        ic50_ng_ml=400.0,
        hill=1.0,
        source="about 400 ng/ml for an estimated block of 50 % (Siegel et al 2021); Hill 1 is a stand-in",
    ),
    "human-nmdar": OccupancyAssumption(
        ic50_ng_ml=0.71 * KETAMINE_MOLAR_MASS,
        hill=0.84,
        source="0.71 uM and Hill 0.84, human NMDA receptors in vitro at -70 mV (2009)",
    ),
    "network-model": OccupancyAssumption(
        ic50_ng_ml=2.0 * KETAMINE_MOLAR_MASS,
        hill=1.4,
        source="2 uM and Hill 1.4, as public network models take it",
    ),
}


_NUMBER = r"\d+(?:\.\d+)?"
_OWN_OCCUPANCY = re.compile(
    rf"ic50(?P<um>_um)?\s*=\s*(?P<ic50>{_NUMBER})(?:\s*,\s*hill\s*=\s*(?P<hill>{_NUMBER}))?"
)


def assumed_occupancy(
    concentration_ng_ml: ArrayLike, *, ic50_ng_ml: float = 400.0, hill: float = 1.0
) -> FloatArray:
    """Turn concentrations into the receptor block that they are assumed to cause.

    C^h / (C^h + IC50^h): an assumption about plasma, not a measurement of a receptor.

    Parameters
    ----------
    concentration_ng_ml : array-like
        Ketamine, ng/ml; any shape.
    ic50_ng_ml : float
        Concentration at half block. The default is the target that Siegel et al (2021) name.
    hill : float
        Hill coefficient.

    Returns
    -------
    array
        Fractions between 0 and 1, NaN where the concentration is.

    Raises
    ------
    InputError
        `ic50_ng_ml` or `hill` is not positive, or a concentration is negative.
    """
    if not ic50_ng_ml > 0 or not hill > 0:
        raise InputError(f"ic50_ng_ml and hill must be above 0; got {ic50_ng_ml:g} and {hill:g}")
    concentration = np.asarray(concentration_ng_ml, dtype=np.float64)
    if (concentration < 0).any():
        raise InputError("concentration_ng_ml: one is negative; allowed are numbers from 0 on")
    ratio = (concentration / ic50_ng_ml) ** hill
    return np.asarray(ratio / (1.0 + ratio), dtype=np.float64)


def find_occupancy(key: str) -> OccupancyAssumption:
    """Return an assumption by its key, or one of the caller's own.

    Parameters
    ----------
    key : str
        A key of :data:`OCCUPANCY`, or numbers: ``ic50=500, hill=1.2`` (ng/ml), ``ic50_um=0.9``
        (micromolar ketamine); without ``hill`` it is 1.

    Raises
    ------
    InputError
        There is none of that name, or the numbers cannot be.
    """
    if key in OCCUPANCY:
        return OCCUPANCY[key]
    own = _OWN_OCCUPANCY.fullmatch(key.strip())
    if own is None:
        raise InputError(
            f"occupancy: there is no {key!r}{did_you_mean(key, list(OCCUPANCY), listing=False)}; "
            f"allowed are {', '.join(OCCUPANCY)}, or numbers of your own: 'ic50=500, hill=1.2' (ng/ml), "
            "'ic50_um=0.9'"
        )
    half, hill = float(own["ic50"]), float(own["hill"] or 1.0)
    if not half > 0 or not hill > 0:
        raise InputError(f"occupancy: {key!r}: ic50 and hill must be above 0")
    ic50 = half * KETAMINE_MOLAR_MASS if own["um"] else half
    return OccupancyAssumption(
        ic50_ng_ml=ic50, hill=hill, source=f"a setting of this analysis ({key.strip()})"
    )


def exposure_summary(
    regimen: pd.DataFrame,
    *,
    model: str,
    weight_kg: float,
    window_h: tuple[float, float] | None = None,
    above_ng_ml: float | None = None,
    occupancy: str = "siegel2021",
) -> pd.DataFrame:
    """Sum up the exposure of a dose plan.

    Parameters
    ----------
    regimen : DataFrame
        As :func:`connectrial.simulate_concentration` takes it.
    model : str
        Name of a compartment model.
    weight_kg : float
        Weight of the person.
    window_h : (float, float), optional
        Hours over which average and area are taken; default from the first dose to the end of the
        last one.
    above_ng_ml : float, optional
        A level; the hours above it, whenever they are, are counted.
    occupancy : str
        Key of :data:`OCCUPANCY`, for the average assumed block over the window.

    Returns
    -------
    DataFrame
        ``analyte``, ``measure``, ``value``, ``unit``; analytes that the model lacks have no rows.
        Areas are exact; peaks and crossings are found to 1e-10 h. ``final`` is the concentration at
        the end of the last dose.

    Raises
    ------
    InputError
        As for :func:`connectrial.simulate_concentration`, or the window is empty.
    """
    solution = solve(regimen, model=find_model(model), weight_kg=weight_kg)
    skipped = {"at visit"} | ({"hours above"} if above_ng_ml is None else set())
    rows = []
    for analyte in ANALYTES:
        if not solution.has(analyte):
            continue
        for what in MEASURES:
            if what in skipped or (what == "average occupancy" and analyte != "ketamine"):
                continue
            value = exposure_measure(
                solution,
                what=what,
                analyte=analyte,
                window_h=window_h,
                above_ng_ml=above_ng_ml,
                occupancy=occupancy,
            )
            label = f"hours above {above_ng_ml:g} ng/ml" if what == "hours above" else what
            rows.append((analyte, label, value, UNITS[what]))
    return pd.DataFrame(rows, columns=["analyte", "measure", "value", "unit"])


def exposure_measure(
    solution: Solution,
    *,
    what: str,
    analyte: Analyte = "ketamine",
    window_h: tuple[float, float] | None = None,
    above_ng_ml: float | None = None,
    at_h: float | None = None,
    occupancy: str = "siegel2021",
) -> float:
    """Compute one measure of exposure.

    Parameters
    ----------
    solution : Solution
        A model's answer to a dose plan.
    what : str
        One of :data:`MEASURES`.
    analyte : {"ketamine", "norketamine"}
        Of what.
    window_h : (float, float), optional
        For ``average``, ``auc`` and ``average occupancy``; default from the first dose to the end
        of the last one.
    above_ng_ml : float, optional
        For ``hours above``.
    at_h : float, optional
        For ``at visit``.
    occupancy : str
        Key of :data:`OCCUPANCY`, for ``average occupancy``.

    Returns
    -------
    float
        In the unit of :data:`UNITS`; NaN where the model lacks the analyte, where the window has no
        length (a bolus alone needs `window_h`), or, for the time of the peak, nothing was given.

    Raises
    ------
    InputError
        The measure is unknown, or what it needs is not given.
    """
    if what not in MEASURES:
        raise InputError(
            f"what: {what!r} is no measure{did_you_mean(what, MEASURES, listing=False)}; allowed are "
            f"{', '.join(MEASURES)}"
        )
    if not solution.has(analyte):
        return float("nan")
    start, end = _window(solution, window_h)
    if what in ("peak", "time of peak"):
        time, peak = _peak(solution, analyte)
        return peak if what == "peak" else time
    if what == "final":
        return float(solution.concentration(_one(_last(solution)), analyte)[0])
    if what == "at visit":
        if at_h is None:
            raise InputError("at_h: is needed for 'at visit'")
        return float(solution.concentration(_one(at_h), analyte)[0])
    if what == "hours above":
        if above_ng_ml is None or not above_ng_ml > 0:
            raise InputError("above_ng_ml: a level above 0 is needed for 'hours above'")
        return _hours_above(solution, analyte, above_ng_ml)
    if what == "auc to infinity":
        return float(solution.auc(_one(np.inf), analyte)[0])
    area = np.diff(solution.auc(np.array([start, end]), analyte))[0]
    if what == "auc":
        return float(area)
    if not end > start:
        return float("nan")
    if what == "average":
        return float(area / (end - start))
    return _average_occupancy(solution, analyte, start, end, find_occupancy(occupancy))


def _one(value: float) -> FloatArray:
    return np.array([value], dtype=np.float64)


def _last(solution: Solution) -> float:
    return float(solution.breaks_h[-1])


def _window(solution: Solution, window_h: tuple[float, float] | None) -> tuple[float, float]:
    if window_h is None:
        first = float(solution.start_h.min()) if len(solution.start_h) else 0.0
        return first, _last(solution)
    start, end = float(window_h[0]), float(window_h[1])
    if not 0 <= start < end < np.inf:
        raise InputError(f"window_h: needs 0 <= start < end; got {start:g} to {end:g}")
    return start, end


def _grid(solution: Solution) -> FloatArray:
    """Return times close enough that no bump of a concentration lies between two of them."""
    breaks = solution.breaks_h
    inside = [low + (high - low) * np.linspace(0, 1, _GRID) ** 2 for low, high in pairwise(breaks)]
    fastest = float(np.max(np.abs(np.linalg.eigvals(solution.matrix).real)))
    after = np.geomspace(0.01 / fastest, 40.0 / solution.slowest_per_h, 6 * _GRID)
    return np.unique(np.concatenate([*inside, breaks, breaks[-1] + after]))


def _peak(solution: Solution, analyte: Analyte) -> tuple[float, float]:
    times = _grid(solution)
    found = solution.concentration(times, analyte)
    best = int(np.argmax(found))
    if found[best] <= 0:
        return float("nan"), 0.0
    low, high = times[max(best - 1, 0)], times[min(best + 1, len(times) - 1)]
    finer = minimize_scalar(
        lambda time: -float(solution.concentration(_one(time), analyte)[0]),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-10},
    )
    # A peak at the end of a dose is a corner, which a smooth search only comes close to.
    if -finer.fun > found[best]:
        return float(finer.x), float(-finer.fun)
    return float(times[best]), float(found[best])


def _hours_above(solution: Solution, analyte: Analyte, level: float) -> float:
    times = _grid(solution)

    def over(time: float) -> float:
        return float(solution.concentration(_one(time), analyte)[0]) - level

    values = solution.concentration(times, analyte) - level
    total = 0.0
    for i in range(len(times) - 1):
        low, high, first, second = times[i], times[i + 1], values[i], values[i + 1]
        # Just before a bolus the concentration is lower than at it: the stretch ends there.
        if high in solution.start_h:
            high = np.nextafter(high, low)
            second = over(high)
        if first > 0 and second > 0:
            total += high - low
        elif (first > 0) != (second > 0):
            crossing = float(brentq(over, low, high, xtol=1e-12)) if first * second < 0 else low
            total += crossing - low if first > 0 else high - crossing
    return float(total)


def _average_occupancy(
    solution: Solution,
    analyte: Analyte,
    start: float,
    end: float,
    assumption: OccupancyAssumption,
) -> float:
    grid = _grid(solution)
    edges = np.unique(np.concatenate([[start, end], grid[(grid > start) & (grid < end)]]))
    nodes, weights = np.polynomial.legendre.leggauss(8)
    half = np.diff(edges) / 2
    times = (edges[:-1] + half)[:, None] + half[:, None] * nodes
    block = assumed_occupancy(
        solution.concentration(times.ravel(), analyte),
        ic50_ng_ml=assumption.ic50_ng_ml,
        hill=assumption.hill,
    ).reshape(times.shape)
    return float((block @ weights) @ half / (end - start))
