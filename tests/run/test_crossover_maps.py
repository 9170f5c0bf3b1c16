"""Maps of a crossover from images to the group: described under each treatment, and tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from connectrial.errors import StudyFileError
from connectrial.io.voxels import read_map
from connectrial.run import plan_study, run_plan
from connectrial.stats.mixed import fit_mixed
from connectrial.study_file import load_study
from run_images_tiny import STUDY, as_crossover, write_images
from some_sections import render_some


def session_map(out: Path, subject: str, session: str, label: str) -> np.ndarray:
    (path,) = (out / f"sub-{subject}" / f"ses-{session}" / "func").glob(f"*{label}_boldmap.nii.gz")
    return read_map(path)[0]


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    """Three treatments, one session each, six people in a Latin square; p is the reference."""
    folder = tmp_path_factory.mktemp("crossed")
    treatments = ("placebo", "low", "high")
    text = as_crossover(STUDY, treatments=treatments, test="treatment")
    study = write_images(folder, n_subjects=6, study=text, sessions="plh", strong="h")
    rows = ["participant_id\tperiod_1\tperiod_2\tperiod_3"]
    for number in range(6):
        order = treatments[number % 3 :] + treatments[: number % 3]
        rows.append(f"sub-{number + 1:02d}\t" + "\t".join(order))
    (folder / "data" / "participants.tsv").write_text("\n".join(rows) + "\n")
    return folder, run_plan(plan_study(load_study(study)), folder / "out")


def test_maps_of_a_crossover_are_tested_by_treatment(crossed):
    """Oracle: fit_mixed on one voxel; means of treatments in numpy from the sessions' maps."""
    folder, results = crossed
    drawn = results.maps["A1"]
    plan = plan_study(load_study(folder / "study.toml"))
    planned = next(one for one in plan.analyses if one.name == "A1")
    assert planned.n_observations == 17  # person 02 has no scan under the low dose
    voxel = (5, 5, 3)
    value = [
        float(session_map(folder / "out", str(s), str(t)[0], "desc-seedA1")[voxel])
        for s, t in zip(planned.rows["subject"], planned.rows["treatment"], strict=True)
    ]
    fit = fit_mixed(planned.formula, planned.rows.assign(fc_z=value))
    for dose in ("low", "high"):
        row = fit.estimates.loc[f"treatment[{dose}]"]
        stem = f"term-treatment{dose}_stat-"
        assert drawn.images[stem + "estimate"][voxel] == pytest.approx(row["estimate"], rel=2e-4)
        assert drawn.images[stem + "p"][voxel] == pytest.approx(row["p"], rel=2e-4)
    table = planned.rows.assign(z=value).pivot(index="subject", columns="treatment", values="z")
    name = "visit-highday1_from-placeboday1_stat-difference"
    difference = (table["high"] - table["placebo"]).mean()
    assert drawn.images[name][voxel] == pytest.approx(difference, abs=1e-5)
    assert drawn.images["visit-lowday1_stat-mean"][voxel] == pytest.approx(
        table["low"].mean(), abs=1e-5
    )
    terms = set(results["A1"].estimates["term"])
    assert "mean of high day 1 - placebo day 1: voxels" in terms
    # Truth: under the high dose the voxels of B2 follow A1.
    largest = drawn.clusters.query("term == 'treatment[high]'").iloc[0]
    assert largest["peak_parcel"] == "B2"


def test_maps_of_a_crossover_are_described_by_treatment(crossed):
    _, results = crossed
    names = set(results.maps["ball"].images)
    assert names == {
        *(f"visit-{one}day1_stat-mean" for one in ("placebo", "low", "high")),
        *(f"visit-{one}day1_from-placeboday1_stat-difference" for one in ("low", "high")),
    }
    page = render_some(replace(results, maps={"ball": results.maps["ball"]}), "maps")
    assert "mean difference, high day 1 - placebo day 1" in page


def test_permutations_of_a_crossover_s_maps_are_refused(tmp_path):
    study = tmp_path / "study.toml"
    text = as_crossover(STUDY, treatments=("placebo", "drug"), test="treatment")
    study.write_text(text.replace('model = "change"', 'model = "change"\nmethod = "max"', 1))
    with pytest.raises(StudyFileError, match="exchange observations across the periods"):
        load_study(study)
