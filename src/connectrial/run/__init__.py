"""Plan -> results: the only place where steps are put in order and files are read."""

from connectrial.run.running import load_results, plan_matches, run_plan, save_results
from connectrial.run.surveying import plan_study, survey_study

__all__ = ["load_results", "plan_matches", "plan_study", "run_plan", "save_results", "survey_study"]
