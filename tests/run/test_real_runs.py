"""One real CIFTI run and one real volume run, from file to FC, and out by the default strategy."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from connectrial import load_study, plan_study, run_plan

STUDY = """
[study]
name = "A real run"

[data]
kind = "images"
derivatives = "data"

[design]
kind = "pre-post"

[[visit]]
name = "scan"
sessions = ["scan"]

[atlas]
name = "{name}"
image = "{image}"
{table}
"""
NO_DENOISING = '\n[denoising]\nstrategy = "none"\n'
SCHAEFER = "Schaefer2018_100Parcels_7Networks_order_Tian_Subcortex_S2"


@pytest.fixture
def cifti(connectrial_data, tmp_path) -> Path:
    """Study of the real dense run (16 frames) with Gordon 333 and Tian S2."""
    source = next((connectrial_data / "cifti").glob("*.dtseries.nii"))
    link(tmp_path / "data/sub-01/func" / source.name, source)
    image = next((connectrial_data / "cifti").glob("*Tian*.dlabel.nii"))
    return write(tmp_path, STUDY.format(name="GordonTian", image=image, table=""))


@pytest.fixture
def volume(connectrial_data, tmp_path) -> Path:
    """Study of the real volume run (82 frames) with Schaefer 100 and Tian S2."""
    start = "sub-03_task-localizer_space-MNI152NLin2009cAsym_res-4_desc-"
    for pattern, ending in (("*bold.nii.gz", "preproc_bold"), ("*mask.nii.gz", "brain_mask")):
        source = next((connectrial_data / "bold4d").glob(pattern))
        link(tmp_path / "data/sub-03/func" / f"{start}{ending}.nii.gz", source)
    atlas = connectrial_data / "atlas"
    table = f'table = "{atlas / (SCHAEFER + "_label.txt")}"'
    image = atlas / f"{SCHAEFER}_3T_MNI152NLin2009cAsym_2mm.nii.gz"
    return write(tmp_path, STUDY.format(name="Schaefer100", image=image, table=table))


def link(target: Path, source: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def write(folder: Path, text: str) -> Path:
    (folder / "data" / "participants.tsv").write_text(
        "participant_id\tage\nsub-01\t30\nsub-03\t40\n"
    )
    study = folder / "study.toml"
    study.write_text(text)
    return study


def outcome(study: Path, *, more: str = "") -> tuple[pd.Series, Path]:
    """Run the study; return the scan's row of the flow and the output folder."""
    study.write_text(study.read_text() + more)
    plan = plan_study(load_study(study))
    assert plan.problems == ()
    out = study.parent / "out"
    results = run_plan(plan, out)
    assert results is not None
    (row,) = (row for _, row in results.tables["scans"].iterrows())
    return row, out


def made(out: Path, ending: str) -> Path:
    (path,) = out.glob(f"sub-*/func/*{ending}")
    return path


def test_a_real_cifti_run_reaches_fc_as_workbench_computes_it(cifti, reference):
    row, out = outcome(cifti, more=NO_DENOISING)
    assert (row["n_frames"], row["included"], row["reason"]) == (16, True, "")
    relmat = made(out, "_relmat.tsv")
    assert relmat.name == (
        "sub-01_task-mixedgamblestask_run-02_space-fsLR_atlas-GordonTian_den-91k_"
        "stat-pearsoncorrelation_relmat.tsv"
    )
    r = pd.read_csv(relmat, sep="\t", index_col=0)
    assert r.shape == (365, 365)
    coverage = pd.read_csv(made(out, "_stat-coverage_bold.tsv"), sep="\t").iloc[0]
    poor = set(coverage.index[coverage < 0.5])
    assert len(poor) == 6
    assert set(r.index[r.isna().all()]) == poor
    with (reference / "workbench_public.csv").open() as file:
        rows = [one for one in csv.DictReader(file) if coverage[one["parcel"]] == 1]
    compared = [one for one in rows if coverage[one["other"]] == 1]
    assert len(compared) >= 25
    for one in compared:
        expected = np.tanh(float(one["fisher_z"]))
        assert r.loc[one["parcel"], one["other"]] == pytest.approx(expected, abs=1e-4)
    quality = pd.read_csv(made(out, "_desc-connectrial_qc.tsv"), sep="\t").iloc[0]
    assert quality["repetition_time_s"] == 2.0
    assert quality["median_tsnr"] == pytest.approx(132.75, abs=0.01)
    assert quality["min_coverage"] == pytest.approx(coverage.min(), abs=1e-4)
    notes = json.loads(relmat.with_suffix(".json").read_text())["Notes"]
    assert any("6 parcels have data in less than 50% of their grayordinates" in n for n in notes)


def test_a_real_cifti_run_without_confounds_leaves_with_its_reason(cifti):
    row, out = outcome(cifti)
    assert not row["included"]
    assert "no confounds table beside it, so it cannot be denoised by 36P" in row["reason"]
    assert not list(out.rglob("*relmat.tsv"))


def test_a_real_volume_run_reaches_fc(volume):
    row, out = outcome(volume, more=NO_DENOISING)
    assert (row["n_frames"], row["included"], row["reason"]) == (82, True, "")
    r = pd.read_csv(made(out, "_relmat.tsv"), sep="\t", index_col=0)
    series = pd.read_csv(made(out, "_timeseries.tsv"), sep="\t")
    assert r.shape == (132, 132)
    present = r.index[r.notna().any()]
    assert len(present) > 120
    assert r.loc[present, present].to_numpy() == pytest.approx(
        np.corrcoef(series[present].to_numpy().T), abs=1e-5
    )
    quality = pd.read_csv(made(out, "_desc-connectrial_qc.tsv"), sep="\t").iloc[0]
    assert quality["repetition_time_s"] == 2.2
    assert quality["median_tsnr"] > 20
    assert quality["mean_dvars"] > 0


def write_confounds(study: Path, n_frames: int) -> None:
    """Put a complete set of 36 confounds beside the run."""
    rng = np.random.default_rng(1)
    names = [*(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz")]
    names += ["csf", "white_matter", "global_signal"]
    table = pd.DataFrame(rng.normal(scale=0.01, size=(n_frames, 9)), columns=names)
    for name in names:
        table[f"{name}_derivative1"] = table[name].diff()
    for name in list(table):
        table[f"{name}_power2"] = table[name] ** 2
    table["framewise_displacement"] = rng.uniform(0, 0.2, n_frames)
    (run,) = study.parent.glob("data/sub-*/func/*_bold.*")
    start = run.name.split("_space-")[0]
    path = run.with_name(f"{start}_desc-confounds_timeseries.tsv")
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def test_a_short_real_run_has_too_few_degrees_of_freedom_for_the_default(cifti):
    write_confounds(cifti, 16)
    row, _ = outcome(cifti)
    assert not row["included"]
    assert "degrees of freedom are left" in row["reason"]


def test_a_narrow_band_leaves_too_few_of_the_real_volume_run(volume):
    write_confounds(volume, 82)
    row, _ = outcome(volume, more="\n[denoising]\nband_hz = [0.009, 0.08]\n")
    assert not row["included"]
    assert "degrees of freedom are left" in row["reason"]


def test_the_real_volume_run_without_confounds_leaves_with_its_reason(volume):
    row, _ = outcome(volume)
    assert not row["included"]
    assert "no confounds table beside it" in row["reason"]


def test_a_real_cifti_run_is_mapped(cifti):
    """Oracle: numpy on the rows as nibabel reads them; the sphere lies in the left amygdala."""
    maps = "\n[maps.amygdala]\nseed = { sphere = [-24, -4, -18], radius_mm = 4 }\n"
    maps += "\n[maps.all]\nmeasure = 'gbc'\nstatistic = 'mean_r'\n"
    _, out = outcome(cifti, more=NO_DENOISING + maps)
    (source,) = cifti.parent.glob("data/sub-01/func/*.dtseries.nii")
    run = nib.load(source)
    axis, values = run.header.get_axis(1), np.asarray(run.dataobj, dtype=np.float64).T
    made_map = nib.load(made(out, "_desc-seedamygdala_boldmap.dscalar.nii"))
    assert made_map.header.get_axis(1) == axis
    mm = nib.affines.apply_affine(axis.affine, axis.voxel)
    away = np.linalg.norm(mm - (-24, -4, -18), axis=1)
    ball = (axis.vertex < 0) & (away <= 4.001) & (values != 0).all(axis=1)
    assert set(axis.name[ball]) <= {
        "CIFTI_STRUCTURE_AMYGDALA_LEFT",
        "CIFTI_STRUCTURE_HIPPOCAMPUS_LEFT",
    }
    seed = values[ball].mean(axis=0)
    z = values - values.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        z /= np.linalg.norm(z, axis=1, keepdims=True)
    r = z @ ((seed - seed.mean()) / np.linalg.norm(seed - seed.mean()))
    known = (values != 0).all(axis=1) & np.isfinite(r)
    found = np.asarray(made_map.dataobj)[0]
    assert known.sum() > 80_000
    np.testing.assert_allclose(np.tanh(found[known]), r[known], rtol=0, atol=2e-5)
    assert np.isnan(found[~known]).all()
    whole = np.asarray(nib.load(made(out, "_desc-gbcall_boldmap.dscalar.nii")).dataobj)[0]
    total = z[known].sum(axis=0)
    expected = (z[known] @ total - 1) / (known.sum() - 1)
    np.testing.assert_allclose(whole[known], expected, rtol=0, atol=2e-5)
    said = json.loads(made(out, "_desc-gbcall_boldmap.json").read_text())
    assert said["Grayordinates"] == known.sum()
