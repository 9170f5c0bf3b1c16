"""How an antidepressant effect comes and goes after a dose, as a function of time."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from connectrial.data import FloatArray
from connectrial.errors import InputError


def antidepressant_time_course(
    days: ArrayLike, *, peak: float, offset_days: float = 5.0, onset_days: float = 1.0
) -> FloatArray:
    """Return an effect that rises, peaks and fades after one treatment.

    peak (e^(-t/a) - e^(-t/b)) / N with a = `offset_days` > b = `onset_days`, and N such that the
    highest value is `peak`, at a b / (a - b) ln(a / b) days (:func:`peak_day`).

    Parameters
    ----------
    days : array-like
        Days after the treatment, any shape; the effect is 0 before it.
    peak : float
        Largest effect, in the unit of the outcome; negative where lower is better.
    offset_days, onset_days : float
        Time constants of fading and of onset, days. The defaults are those of a published
        simulation, whose unit its authors do not state (read as days): stand-ins. A long infusion
        needs a longer `offset_days`.

    Returns
    -------
    array
        Of the shape of `days`.

    Raises
    ------
    InputError
        The time constants are not 0 < onset_days < offset_days.

    References
    ----------
    Nunes & Singh, simulation of rapid antidepressant time courses (public code).
    """
    top = peak_day(offset_days=offset_days, onset_days=onset_days)
    time = np.asarray(days, dtype=np.float64)
    since = np.maximum(time, 0.0)
    shape = np.exp(-since / offset_days) - np.exp(-since / onset_days)
    highest = np.exp(-top / offset_days) - np.exp(-top / onset_days)
    return np.asarray(peak * shape / highest, dtype=np.float64)


def peak_day(*, offset_days: float = 5.0, onset_days: float = 1.0) -> float:
    """Return the day of the largest effect of :func:`antidepressant_time_course`.

    Raises
    ------
    InputError
        The time constants are not 0 < onset_days < offset_days.
    """
    if not 0 < onset_days < offset_days < np.inf:
        raise InputError(
            "onset_days and offset_days: need 0 < onset_days < offset_days; got "
            f"{onset_days:g} and {offset_days:g}"
        )
    product = offset_days * onset_days / (offset_days - onset_days)
    return float(product * np.log(offset_days / onset_days))
