"""The same trial in the names and layouts of other tools gives the same answer."""

from __future__ import annotations

import datetime
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from connectrial import load_study, plan_study, run_plan
from tiny import PARCELS, series_path, write_tiny


def rename_series(study: Path, name, *, header: bool = True) -> None:
    """Move every series to another tool's name; ``name(subject, session)`` is relative."""
    data = study.parent / "data"
    for path in sorted(data.rglob("*_timeseries.tsv")):
        subject, session = path.parts[-4].removeprefix("sub-"), path.parts[-3].removeprefix("ses-")
        target = data / name(subject, session)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text()
        path.unlink()
        target.write_text(text if header else text.split("\n", 1)[1])


FORMS = {
    "XCP-D before 26": lambda s, e: (
        f"sub-{s}/ses-{e}/func/sub-{s}_ses-{e}_task-rest_space-X_atlas-Tiny_timeseries.tsv"
    ),
    "giga_connectome": lambda s, e: (
        f"sub-{s}/ses-{e}/func/sub-{s}_ses-{e}_task-rest_seg-Tiny_desc-denoiseSimple_timeseries.tsv"
    ),
    "several runs": lambda s, e: (
        f"sub-{s}/ses-{e}/func/sub-{s}_ses-{e}_task-rest_run-1_space-X_atlas-Tiny_stat-mean_timeseries.tsv"
    ),
}


def network_fc(study: Path, out: Path) -> pd.Series:
    """Run a study as far as its network FC: no analysis is asked about here."""
    plan = plan_study(load_study(study))
    assert plan.problems == ()
    results = run_plan(replace(plan, analyses=()), out)
    assert results is not None
    return results.tables["network_fc"].set_index(["subject", "session", "outcome"])["fc_z"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> tuple[Path, pd.Series]:
    """The results of the tiny trial under its own names, and its network FC."""
    folder = tmp_path_factory.mktemp("plain")
    found = network_fc(write_tiny(folder / "tiny"), folder / "out")
    assert len(found) > 60
    return folder / "out", found


@pytest.mark.parametrize("form", FORMS)
def test_series_of_other_tools(plain, tiny, tmp_path, form):
    _, expected = plain
    rename_series(tiny, FORMS[form])
    found = network_fc(tiny, tmp_path / "other")
    pd.testing.assert_series_equal(expected, found, rtol=0, atol=0)


def test_halfpipe_series_without_a_header_take_their_names_from_a_table(plain, tiny, tmp_path):
    _, expected = plain
    rename_series(
        tiny,
        lambda s, e: (
            f"sub-{s}/ses-{e}/func/task-rest/"
            f"sub-{s}_ses-{e}_task-rest_feature-corr_atlas-Tiny_timeseries.txt"
        ),
        header=False,
    )
    plan = plan_study(load_study(tiny))
    assert any("[atlas] table" in problem for problem in plan.problems)
    networks = [name.split("_")[1] if "_" in name else "Subcortex" for name in PARCELS]
    table = tiny.parent / "data" / "tiny.tsv"
    pd.DataFrame({"index": range(1, 13), "name": PARCELS, "network": networks}).to_csv(
        table, sep="\t", index=False
    )
    named = tiny.parent / "named.toml"
    named.write_text('extends = "study.toml"\n[atlas]\ntable = "tiny.tsv"\n')
    found = network_fc(named, tmp_path / "other")
    pd.testing.assert_series_equal(expected, found, rtol=0, atol=0)


def test_two_runs_are_joined_after_standardising(tiny, tmp_path):
    """Two halves of one series with another scale and offset: r of the z-scored halves, joined."""
    path = series_path(tiny.parent / "data", "01", "a")
    whole = np.loadtxt(path, skiprows=1)
    halves = [whole[:20], 3.0 * whole[20:] + 100.0]
    for number, half in enumerate(halves, start=1):
        target = path.with_name(path.name.replace("task-rest_", f"task-rest_run-{number}_"))
        rows = ["\t".join(PARCELS), *("\t".join(f"{x:.10g}" for x in row) for row in half)]
        target.write_text("\n".join(rows) + "\n")
    path.unlink()
    network_fc(tiny, tmp_path / "out")
    joined = np.vstack([(half - half.mean(0)) / half.std(0) for half in halves])
    file = next((tmp_path / "out/sub-01/ses-a").rglob("*relmat.tsv"))
    assert "run-" not in file.name
    matrix = pd.read_csv(file, sep="\t", index_col=0).to_numpy()
    assert matrix == pytest.approx(np.corrcoef(joined.T), abs=1e-8)


def test_an_excel_sheet_with_dates_through_a_column_map(tiny, tmp_path):
    plain = plan_study(load_study(tiny))
    data = tiny.parent / "data"
    scores = pd.read_csv(data / "phenotype" / "madrs.tsv", sep="\t")
    shutil.rmtree(data / "phenotype")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Patient", "Visit", "Date", "MADRS total"])
    for row in scores.itertuples():
        day = 1 if row.session_id == "ses-a" else 30
        if row.participant_id == "sub-04":
            day = 31 - day  # this person's dates run backwards
        number = int(row.participant_id.removeprefix("sub-"))  # 1 for sub-01
        visit = {"ses-a": "A", "ses-b": "B"}[row.session_id]
        sheet.append([number, visit, datetime.date(2026, 3, day), row.MADRS])
    book.save(data / "clinic.xlsx")
    study = tiny.parent / "clinic.toml"
    study.write_text(
        'extends = "study.toml"\n[[data.table]]\npath = "clinic.xlsx"\nsubject = "Patient"\n'
        'session = "Visit"\ndate = "Date"\nscores = { MADRS = "MADRS total" }\n'
    )
    plan = plan_study(load_study(study))
    assert plan.problems == ()
    keys = ["subject", "visit", "scale"]
    pd.testing.assert_frame_equal(
        plan.people.scores.sort_values(keys)[[*keys, "score"]].reset_index(drop=True),
        plain.people.scores.sort_values(keys)[[*keys, "score"]].reset_index(drop=True),
    )
    about = [warning for warning in plan.warnings if "against the order of the visits" in warning]
    assert len(about) == 1
    assert "04" in about[0]
    assert "2026-03-01" in about[0]


def test_old_matrices_of_xcp_d(plain, tiny, tmp_path):
    out, expected = plain
    data = tmp_path / "old" / "data"
    for path in out.rglob("*relmat.tsv"):
        subject, session = path.parts[-4], path.parts[-3]
        name = f"{subject}_{session}_task-rest_space-X_atlas-Tiny_measure-pearsoncorrelation_conmat.tsv"
        target = data / subject / session / "func" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copy(tiny.parent / "data/participants.tsv", data)
    shutil.copytree(tiny.parent / "data/phenotype", data / "phenotype")
    study = tmp_path / "old" / "study.toml"
    study.write_text(tiny.read_text().replace('kind = "time series"', 'kind = "auto"'))
    found = network_fc(study, tmp_path / "again")
    pd.testing.assert_series_equal(expected, found, rtol=0, atol=1e-12)


def test_images_are_denoised_in_the_order_that_was_asked_for(tmp_path):
    """The demo's images, by two orders: other numbers, the same people; a bad pair is refused early."""
    from importlib.resources import files

    from connectrial.io.dataset import write_dataset
    from connectrial.simulate import TrialDesign, simulate_trial

    small = TrialDesign(
        n_patients=4, n_controls=2, n_second_baselines=2, n_posts=3, n_repeat_controls=1,
        n_dropouts=1, n_responders=1, n_imaged=1,
    )  # fmt: skip
    write_dataset(simulate_trial(small, seed=3), tmp_path / "dataset")
    for name, template in (("study.toml", "demo-study.toml"), ("images.toml", "demo-images.toml")):
        (tmp_path / name).write_text(
            files("connectrial").joinpath("templates", template).read_text()
        )
    text = (tmp_path / "images.toml").read_text()
    (tmp_path / "other.toml").write_text(
        text.replace(
            'strategy = "36P"', 'strategy = "36P"\norder = "passband"\nband_hz = [0.009, 0.2]'
        )
    )
    matrices = {}
    imaged = sorted((tmp_path / "dataset/derivatives/fmriprep-like").glob("sub-*"))
    who = [imaged[0].name.removeprefix("sub-")]
    for name in ("images", "other"):
        plan = plan_study(load_study(tmp_path / f"{name}.toml"), subjects=who)
        assert plan.data_problems == ()
        run_plan(plan, tmp_path / name, level="participant")
        found = sorted((tmp_path / name).rglob("*relmat.tsv"))
        assert found, "no session survived"
        matrices[name] = pd.read_csv(found[0], sep="\t", index_col=0).to_numpy()
    upper = np.triu_indices(72, k=1)
    assert np.corrcoef(matrices["images"][upper], matrices["other"][upper])[0, 1] > 0.8
    assert np.abs(matrices["images"] - matrices["other"]).max() > 0.01
    (tmp_path / "bad.toml").write_text(text.replace('"36P"', '"AROMA+GSR"').replace("# no", "# no"))
    problems = plan_study(load_study(tmp_path / "bad.toml")).data_problems
    assert any("[denoising]" in problem and "AROMA" in problem for problem in problems)
