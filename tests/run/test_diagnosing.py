"""Residuals and influence of the primary outcomes' models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from connectrial import load_study, plan_study
from connectrial.errors import ModelError
from connectrial.report.diagnostics_panel import diagnostics_panel
from connectrial.results import Results
from connectrial.run.analysing import analyse_network, rows_with_outcome
from connectrial.run.diagnosing import diagnose_primary
from connectrial.run.model_rows import fit_planned


def test_residuals_and_influence_are_those_of_the_model(tiny):
    """Fitted and residual add up to the outcome; leaving a person out is fitting without them."""
    plan = plan_study(load_study(tiny))
    one = next(a for a in plan.analyses if a.what == "network FC" and a.model is not None)
    one = replace(one, role="primary")
    rng = np.random.default_rng(5)
    fc = one.rows[["subject", "visit"]].astype(str)
    person = fc["subject"].map({name: rng.normal(0, 0.1) for name in fc["subject"].unique()})
    fc = fc.assign(outcome=one.outcome, fc_z=person + rng.normal(0.3, 0.1, len(fc)))
    result = analyse_network(one, fc, [], seed=1, units={})
    said, tables = diagnose_primary([one, replace(one, role="secondary")], [result], fc)
    assert said == [result]
    residuals, influence = tables["residuals"], tables["influence"]
    wide = residuals.merge(fc, on=["subject", "visit"])
    assert len(wide) == len(residuals) == len(fc)
    np.testing.assert_allclose(wide["fitted"] + wide["conditional"], wide["fc_z"], atol=1e-10)
    data, outcome = rows_with_outcome(one, fc)
    whole = fit_planned(one, data, outcome=outcome)
    gone = str(influence["subject"].iloc[0])
    without = fit_planned(one, data[data["subject"].astype(str) != gone], outcome=outcome)
    moved = (whole.estimates["estimate"] - without.estimates["estimate"]) / whole.estimates["se"]
    mine = influence[influence["subject"] == gone].set_index("term")
    np.testing.assert_allclose(mine["change"], moved[mine.index], atol=1e-4)
    results = Results(study={}, plan={}, analyses=(result,), tables=tables)
    panel = diagnostics_panel(results, result)
    assert panel is not None
    assert panel.figure is not None
    drawn = panel.figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(np.sort(drawn[:, 1]), np.sort(residuals["conditional"]))
    assert [len(table) for _, table in panel.parts] == [len(residuals), len(influence)]
    assert diagnostics_panel(replace(results, tables={}), result) is None


def test_nothing_is_kept_of_other_outcomes(tiny):
    plan = plan_study(load_study(tiny))
    others = [replace(one, role="secondary") for one in plan.analyses]
    assert diagnose_primary(others, [], pd.DataFrame()) == ([], {})


def test_a_check_that_cannot_be_made_is_said(tiny, monkeypatch):
    plan = plan_study(load_study(tiny))
    one = next(a for a in plan.analyses if a.what == "network FC" and a.model is not None)
    one = replace(one, role="primary")
    rows = one.rows[["subject", "visit"]].astype(str)
    rng = np.random.default_rng(5)
    fc = rows.assign(outcome=one.outcome, fc_z=rng.normal(0.3, 0.1, len(rows)))
    result = analyse_network(one, fc, [], seed=1, units={})

    def refuse(_fit):
        raise ModelError("leave_one_out: nobody can be left out")

    monkeypatch.setattr("connectrial.run.diagnosing.leave_one_out", refuse)
    said, tables = diagnose_primary([one], [result], fc)
    assert tables == {}
    reason = "residuals and influence not done: leave_one_out: nobody can be left out"
    assert said[0].notes == (*result.notes, reason)
