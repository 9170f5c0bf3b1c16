"""What is done to all results together: families adjusted, simulated data marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from connectrial.plan import Plan
from connectrial.results import Result
from connectrial.stats.multiplicity import adjust


def adjust_families(plan: Plan, results: Sequence[Result]) -> list[Result]:
    """Adjust the declared tests of each family together and write that into their rows."""
    tables = [result.estimates.copy() for result in results]
    for name, family in plan.study.family.items():
        places = [
            (number, index)
            for number, table in enumerate(tables)
            for index in table.index[(table["family"] == name) & table["declared"]]
        ]
        if not places:
            continue
        p = np.array([float(tables[number].loc[index, "p"]) for number, index in places])
        size = family.size or len(p)
        adjusted = adjust(p, family.method, size=max(size, len(p)))
        for (number, index), value in zip(places, adjusted, strict=True):
            tables[number].loc[index, "p_adjusted"] = value
            tables[number].loc[index, "family_size"] = max(size, len(p))
            tables[number].loc[index, "adjustment"] = (
                f"{family.method} over {max(size, len(p))} tests"
            )
    return [replace(result, estimates=table) for result, table in zip(results, tables, strict=True)]


def mark_simulated(result: Result) -> Result:
    """Say in every row of an analysis that its data are simulated; once, if it was said before."""
    mark = "simulated data"
    flags = [
        flag if flag.endswith(mark) else f"{flag}; {mark}".removeprefix("; ")
        for flag in result.estimates["flags"]
    ]
    return replace(result, estimates=result.estimates.assign(flags=flags))
