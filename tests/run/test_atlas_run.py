"""A study on images with an atlas that is built in, from the study file to its answer."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from connectrial import load_study, plan_study, run_plan
from connectrial.io.known_atlases import atlas_table, load_atlas
from connectrial.run.atlases import series_atlas
from connectrial.run.drafting import draft_study
from connectrial.run.making_of import made_from
from connectrial.run.participant import process_session
from connectrial.run.session_jobs import session_jobs
from tiny import STUDY, write_series, write_tiny

SHAPE = (20, 24, 20)
AFFINE = np.array([[8.0, 0, 0, -76], [0, 8, 0, -108], [0, 0, 8, -68], [0, 0, 0, 1]])
IMAGES = (
    STUDY.replace('kind = "time series"', 'kind = "images"')
    .replace('within = "Default"', 'within = "default"')
    .replace('between = ["amygdala", "Default"]', 'between = ["sgACC", "default"]')
    .replace("Amygdala to Default", "sgACC to default")
    .replace('within = "Vis"', 'within = "occipital"')
    .replace(
        '[sets.amygdala]\nparcels = ["AMY-*"]',
        "[atlas]\nname = \"Dosenbach160\"\nradius_mm = 8\n[denoising]\nstrategy = 'none'\n"
        "[sets.sgACC]\nspheres = [{ x_mm = 8, y_mm = 20, z_mm = -12, radius_mm = 9 },\n"
        "  { x_mm = -8, y_mm = 20, z_mm = -12, radius_mm = 9 }]",
    )
)
WITHOUT_EDGES = IMAGES[: IMAGES.index("[[exploration]]")] + IMAGES[IMAGES.index("[model.change]") :]


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """The tiny trial with 8 mm images instead of series."""
    folder = tmp_path_factory.mktemp("trial")
    write_tiny(folder, n_subjects=8)
    rng = np.random.default_rng(4)
    for path in sorted((folder / "data").rglob("*_timeseries.tsv")):
        stem = path.name.split("_atlas-")[0].replace("space-X", "space-MNI152NLin6Asym")
        values = rng.integers(400, 900, SHAPE)[..., None] + rng.integers(0, 200, (*SHAPE, 40))
        image = nib.Nifti1Image(values.astype(np.int16), AFFINE)
        image.header.set_xyzt_units("mm", "sec")
        image.header["pixdim"][4] = 2.0
        nib.save(image, path.with_name(f"{stem}_desc-preproc_bold.nii.gz"))
        mask = nib.Nifti1Image(np.ones(SHAPE, dtype=np.uint8), AFFINE)
        nib.save(mask, path.with_name(f"{stem}_desc-brain_mask.nii.gz"))
        path.unlink()
    (folder / "study.toml").write_text(WITHOUT_EDGES)
    return folder


def planned(trial, text, name="other.toml"):
    (trial / name).write_text(text)
    return plan_study(load_study(trial / name))


def test_a_built_in_atlas_and_spheres_of_a_set_from_file_to_answer(trial, tmp_path):
    plan = plan_study(load_study(trial / "study.toml"))
    assert plan.problems == ()
    assert len(plan.survey.atlas.parcels) == 162
    results = run_plan(plan, tmp_path / "out")
    func = tmp_path / "out/sub-02/ses-b/func"
    matrix = pd.read_csv(next(func.glob("*relmat.tsv")), sep="\t", index_col=0)
    assert list(matrix.columns[-2:]) == ["sgACC_1", "sgACC_2"]
    # Two of its cells by hand: voxels within the radius, as they were read, over all frames.
    run = next((trial / "data/sub-02/ses-b/func").glob("*bold.nii.gz"))
    values = nib.load(run).get_fdata()
    world = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1) * 8 + AFFINE[:3, 3]
    means = {}
    for name, place, radius in (
        ("sgACC_1", (8, 20, -12), 9), ("sgACC_2", (-8, 20, -12), 9), ("R_vmPFC_1", (6, 64, 3), 8),
    ):  # fmt: skip
        near = np.linalg.norm(world - place, axis=-1) <= radius
        means[name] = values[near].mean(axis=0)
    for first, second in (("sgACC_1", "sgACC_2"), ("sgACC_2", "R_vmPFC_1")):
        expected = np.corrcoef(means[first], means[second])[0, 1]
        assert matrix.loc[first, second] == pytest.approx(expected, abs=1e-6)
    fc = results.tables["network_fc"]
    assert fc["outcome"].nunique() == 3
    seed = fc.query("outcome.str.contains('sgACC') and subject == '02' and session == 'b'")
    default = plan.survey.atlas.network("default")
    z = np.arctanh(matrix.loc[["sgACC_1", "sgACC_2"], default].to_numpy())
    assert seed["fc_z"].item() == pytest.approx(np.nanmean(z), abs=1e-6)


def test_what_the_reader_must_know_stands_in_plan_and_sidecar(trial, tmp_path):
    text = WITHOUT_EDGES.replace("radius_mm = 8\n", "")
    plan = planned(trial, text)
    assert any("spheres of 5 mm (stand-in" in warning for warning in plan.warnings)
    run_plan(plan, tmp_path / "out", level="participant")
    notes = json.loads(next((tmp_path / "out").rglob("*relmat.json")).read_text())["Notes"]
    assert any("stand-in" in note for note in notes)
    assert any("hold the centre of no voxel of 8x8x8 mm" in note for note in notes)


@pytest.mark.parametrize(
    "change",
    [
        ("radius_mm = 8\n", "radius_mm = 8.5\n"),
        ("radius_mm = 8\n", 'radius_mm = 8\noverlap = "nearest"\n'),
        ("x_mm = 8,", "x_mm = 9,"),
    ],
)
def test_another_sphere_is_another_matrix(trial, tmp_path, change):
    assert WITHOUT_EDGES.count(change[0]) == 1
    keys = [
        made_from(session_jobs(planned(trial, text), tmp_path)[0])
        for text in (WITHOUT_EDGES, WITHOUT_EDGES.replace(*change))
    ]
    assert keys[0] != keys[1]


def test_another_affine_is_another_matrix(trial, tmp_path):
    job = session_jobs(plan_study(load_study(trial / "study.toml")), tmp_path)[0]
    labels = np.ones((2, 2, 2), dtype=np.int32)
    keys = {
        made_from(replace(job, atlas=replace(job.atlas, labels=labels, affine=affine)))
        for affine in (np.eye(4), np.diag([2.0, 2, 2, 1]))
    }
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("Dosenbach160", "Dosenbach16"),
            "there is no atlas 'Dosenbach16'; did you mean 'Dosenbach160'",
        ),
        (
            ('name = "Dosenbach160"\nradius_mm = 8', 'name = "Gordon333"'),
            "connectrial fetch Gordon333",
        ),
        (('"Dosenbach160"', '"Dosenbach160"\noverlap = "refuse"'), "pairs of spheres share voxels"),
        (
            ('"Dosenbach160"', '"Dosenbach160"\nlimbic_image = "TianS2"'),
            "limbic_image: belong to name =",
        ),
        (
            ('name = "Dosenbach160"\nradius_mm = 8', 'name = "Gordon333"\nradius_mm = 8'),
            "radius_mm belongs to spheres",
        ),
        (("[sets.sgACC]", "[sets.default]"), "the atlas has a network of this name"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(trial, tmp_path, monkeypatch, change, said):
    monkeypatch.setenv("CONNECTRIAL_HOME", str(tmp_path))
    assert WITHOUT_EDGES.count(change[0]) == 1
    plan = planned(trial, WITHOUT_EDGES.replace(*change))
    found = "\n".join(plan.problems)
    if "share voxels" in said:  # only the scan's grid can tell
        outcome = next(iter(session_jobs(plan, tmp_path)))
        found = process_session(outcome).reason
    assert said in found


def test_images_without_any_atlas_in_kind_auto(trial):
    text = WITHOUT_EDGES.replace('kind = "images"', 'kind = "auto"')
    assert planned(trial, text).problems == ()  # the name is no atlas- entity to look for
    text = text.replace('name = "Dosenbach160"\nradius_mm = 8', "")
    assert "images need an atlas" in "\n".join(planned(trial, text).problems)


def test_spheres_and_rules_for_images_are_refused_for_series(tiny):
    tiny.write_text(
        STUDY.replace('parcels = ["AMY-*"]', "spheres = [{ x_mm=0, y_mm=0, z_mm=0, radius_mm=5 }]")
    )
    found = "\n".join(plan_study(load_study(tiny)).problems)
    assert "[sets.amygdala] spheres: are read out of images" in found
    tiny.write_text(STUDY.replace("[sets.amygdala]", "[atlas]\nradius_mm = 4\n[sets.amygdala]"))
    assert "radius_mm: only images are read with it" in "\n".join(
        plan_study(load_study(tiny)).problems
    )


def gordon_series(folder, parcels, *, header=True):
    """Write the tiny trial again with the columns of Gordon's atlas, as XCP-D calls it."""
    study = write_tiny(folder)
    rng = np.random.default_rng(0)
    for path in sorted((folder / "data").rglob("*_timeseries.tsv")):
        target = path.with_name(path.name.replace("atlas-Tiny", "atlas-Gordon"))
        write_series(target, rng.normal(500, 5, (20, len(parcels))), list(parcels.index))
        if not header:
            target.write_text(target.read_text().split("\n", 1)[1])
        path.unlink()
    study.write_text(
        STUDY.replace('["AMY-*"]', '["L_Default_114"]')
        .replace('within = "Vis"', 'within = "None"')
        .replace('between = ["amygdala", "Default"]', 'between = ["amygdala", "None"]')
    )
    return study


def test_series_of_a_known_atlas_get_its_networks(tmp_path):
    parcels = atlas_table("Gordon333").iloc[110:130]
    plan = plan_study(load_study(gordon_series(tmp_path, parcels)))
    assert plan.problems == ()
    atlas = plan.survey.atlas
    assert atlas.parcels["network"].tolist() == parcels["network"].tolist()
    assert not atlas.is_sphere.any()
    assert any("built-in table of Gordon" in warning for warning in plan.warnings)


def test_series_without_a_header_are_taken_in_the_published_order_if_all_are_there(tmp_path):
    whole = atlas_table("Gordon333")
    plan = plan_study(load_study(gordon_series(tmp_path / "whole", whole, header=False)))
    assert list(plan.survey.atlas.parcels.index) == list(whole.index)
    assert any("in the published order" in warning for warning in plan.warnings)
    outcome = process_session(session_jobs(plan, tmp_path / "out")[0])
    assert outcome.reason == ""
    few = plan_study(load_study(gordon_series(tmp_path / "few", whole.iloc[:300], header=False)))
    outcome = process_session(session_jobs(few, tmp_path / "out")[0])
    assert "300" in outcome.reason
    assert "333" in outcome.reason


def test_columns_named_by_the_published_numbers():
    parcels = atlas_table("Gordon333")
    atlas = series_atlas("Gordon", pd.Index(["117", "279"]))
    assert list(atlas.parcels.index) == ["117", "279"]
    assert atlas.parcels["network"].tolist() == ["Default", "Default"]
    assert parcels["index"].iloc[116] == 117


def test_series_that_only_share_the_label_keep_their_names(tmp_path):
    study = write_tiny(tmp_path)
    for path in sorted((tmp_path / "data").rglob("*_timeseries.tsv")):
        path.rename(path.with_name(path.name.replace("atlas-Tiny", "atlas-Power264")))
    plan = plan_study(load_study(study))
    assert plan.problems == ()
    assert plan.survey.atlas.parcels["network"].nunique() == 2  # read from the names, as ever
    assert any("does not know 'LH_Default_1'" in warning for warning in plan.warnings)


def test_init_offers_a_built_in_atlas_where_no_image_lies_beside_the_scans(trial, tmp_path):
    shutil.copytree(trial / "data", tmp_path / "data")
    draft = draft_study(tmp_path / "data")
    assert 'name = "Seitzman300"' in draft.text
    assert any("connectrial atlases" in note for note in draft.notes)
    (tmp_path / "study.toml").write_text(draft.text)
    study = load_study(tmp_path / "study.toml")
    assert study.atlas.name == "Seitzman300"
    plan = plan_study(study)
    assert len(plan.survey.atlas.parcels) == len(load_atlas("Seitzman300").parcels)
    assert not [problem for problem in plan.problems if "atlas" in problem]
