"""Standard errors of edges from the study file: beside the matrix, in tables, in quality tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial import load_study, plan_study, run_plan
from connectrial.data import TimeSeries
from connectrial.errors import StudyFileError
from connectrial.fc.uncertainty import standard_errors
from tiny import PARCELS, series_path, write_tiny

STRENGTH = "network_strength = true\n"
ASKED = '\n[connectivity]\nstandard_errors = "xdf"\n'


def test_every_session_has_the_standard_errors_of_its_edges(tmp_path):
    """Oracle: `standard_errors` on the series as pandas reads them, which test_estimators checks."""
    study = write_tiny(tmp_path, n_subjects=8)
    study.write_text(study.read_text() + ASKED + STRENGTH)
    results = run_plan(plan_study(load_study(study)), tmp_path / "out")
    signal = pd.read_csv(series_path(tmp_path / "data", "02", "b"), sep="\t").to_numpy()
    series = TimeSeries(
        signal=signal,
        kept=np.ones(len(signal), dtype=bool),
        parcels=pd.Index(PARCELS),
        repetition_time_s=None,
    )
    wanted = standard_errors(series, method="xdf").se
    func = tmp_path / "out" / "sub-02" / "ses-b" / "func"
    (path,) = func.glob("*_stat-fisherz_desc-standarderror_relmat.tsv")
    written = pd.read_csv(path, sep="\t", index_col="Node")
    assert list(written.columns) == PARCELS
    np.testing.assert_allclose(written.to_numpy(dtype=float), wanted, rtol=1e-6)
    table = results.tables["network_fc"].set_index(["subject", "session", "outcome"])
    inside = [k for k, name in enumerate(PARCELS) if "Vis" in name]
    block = wanted[np.ix_(inside, inside)][np.triu_indices(len(inside), 1)]
    found = table.loc[("02", "b", "Visual"), "edge_se"]
    assert found == pytest.approx(np.sqrt(np.mean(block**2)), rel=1e-6)
    strength = results.tables["network_strength"].set_index(
        ["subject", "session", "network_a", "network_b"]
    )
    visual = strength.loc[("02", "b", "Vis", "Vis")]
    assert visual["fc_z"] == pytest.approx(table.loc[("02", "b", "Visual"), "fc_z"], abs=1e-9)
    r = np.corrcoef(signal.T)
    across = np.arctanh(r[np.ix_(inside, [k for k, p in enumerate(PARCELS) if "Default" in p])])
    between = strength.loc[("02", "b", "Default", "Vis")]
    assert between["fc_z"] == pytest.approx(across.mean(), abs=1e-5)
    assert (between["kind"], between["n_edges"]) == ("between", 24)
    quality = results.tables["quality"].set_index(["subject", "session"])
    median = np.median(wanted[np.triu_indices(len(PARCELS), 1)])
    assert quality.loc[("02", "b"), "median_edge_se"] == pytest.approx(median, rel=1e-6)
    tested = results["Quality of the scans"].estimates
    assert (tested["outcome"] == "median_edge_se").any()


@pytest.mark.parametrize(
    ("asked", "fragment"),
    [
        (ASKED.replace("xdf", "remaining-df"), "the series are not denoised here"),
        (ASKED + 'runs = "average"\n', "those of Pearson's z of joined runs"),
    ],
)
def test_what_has_no_standard_error_is_refused(tmp_path, asked, fragment):
    study = write_tiny(tmp_path, n_subjects=4)
    study.write_text(study.read_text() + asked)
    try:
        problems = plan_study(load_study(study)).problems
    except StudyFileError as error:
        problems = tuple(error.problems)
    assert fragment in "\n".join(problems)
