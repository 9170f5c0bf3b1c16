"""Study + survey -> plan: every scan's fate and every analysis, before any number is computed.

Pure: reads nothing, fits nothing. What is on disk comes in as a :class:`Survey`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectrial.plan.making import Plan, make_plan
    from connectrial.plan.planned import PlannedAnalysis
    from connectrial.plan.survey import Survey

#: Name -> module that has it. The report needs a few sentences of this package, and none of the
#: statistics that making a plan imports, which take longer to load than its results.
_PUBLIC = {
    "Plan": "making",
    "PlannedAnalysis": "planned",
    "Survey": "survey",
    "make_plan": "making",
}

__all__ = ["Plan", "PlannedAnalysis", "Survey", "make_plan"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
