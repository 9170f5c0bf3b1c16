"""Study + survey -> plan: every scan's fate and every analysis, before any number is computed.

Pure: reads nothing, fits nothing. What is on disk comes in as a :class:`Survey`.
"""

from connectrial.plan.making import Plan, make_plan
from connectrial.plan.planned import PlannedAnalysis
from connectrial.plan.survey import Survey

__all__ = ["Plan", "PlannedAnalysis", "Survey", "make_plan"]
