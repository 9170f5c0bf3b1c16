"""The composed atlas of Siegel 2021 on CIFTI runs: Gordon's cortex, Seitzman's subcortex."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel import cifti2

from cifti_files import LEFT, RIGHT, write_dlabel, write_dtseries
from connectrial import load_study, plan_study, run_plan
from connectrial.io.known_atlases import atlas_table, load_atlas

N_FRAMES = 30
N_VERTICES = 400
AFFINE = np.array([[-4.0, 0, 0, 92], [0, 4, 0, -128], [0, 0, 4, -72], [0, 0, 0, 1]])
SHAPE = (46, 56, 46)
# A box of voxels for each structure, far from all spheres of the subcortex but in its own place.
BOXES = {
    "ACCUMBENS": ((8, 12), (8, 12), (-8, -4)),
    "AMYGDALA": ((20, 28), (-4, 4), (-24, -16)),
    "HIPPOCAMPUS": ((24, 32), (-40, -12), (-16, -8)),
}
STUDY = """
[study]
name = "Siegel's atlas"

[data]
kind = "images"
derivatives = "data"

[design]
kind = "pre-post"

[[visit]]
name = "before"
sessions = ["a"]
[[visit]]
name = "after"
sessions = ["b"]

[atlas]
name = "Gordon333+Seitzman-subcortex"
image = "gordon.dlabel.nii"

[denoising]
strategy = "none"

[sets.sgACC]
parcels = ["*_Default_117", "*_Default_279"]

[[hypothesis]]
name = "Limbic to Default"
between = ["Limbic", "Default"]
model = "change"
tests = ["visit"]

[[hypothesis]]
name = "sgACC to the rest of Default"
between = { set = "sgACC", rest_of = "Default" }
model = "change"
tests = ["visit"]

[maps.sgACC]
seed = { set = "sgACC" }

[model.change]
fixed = ["visit"]
"""


def voxels_of(mm: np.ndarray) -> np.ndarray:
    return np.rint((mm - AFFINE[:3, 3]) / np.diag(AFFINE)[:3]).astype(int)


def box(name: str, sign: int) -> np.ndarray:
    """Return voxels of a structure; x mirrored for the left."""
    (x0, x1), (y0, y1), (z0, z1) = BOXES[name]
    steps = [sign * np.arange(x0, x1 + 1, 4), np.arange(y0, y1 + 1, 4), np.arange(z0, z1 + 1, 4)]
    return voxels_of(np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3))


def spheres() -> pd.DataFrame:
    found = load_atlas("Seitzman300").parcels
    return found[found["structure"] != "cortex"]


def axis_of_run(rng: np.random.Generator) -> cifti2.BrainModelAxis:
    """Two cortices, six limbic structures, and one that holds the voxels near all other spheres."""
    parts = [
        cifti2.BrainModelAxis.from_surface(np.arange(N_VERTICES), N_VERTICES, name)
        for name in (LEFT, RIGHT)
    ]
    blocks = {
        f"{name}_{side}": box(name, sign)
        for name in BOXES
        for side, sign in (("LEFT", -1), ("RIGHT", 1))
    }
    taken = {tuple(one) for block in blocks.values() for one in block}
    around = np.stack(np.meshgrid(*[range(-1, 2)] * 3), axis=-1).reshape(-1, 3)
    centres = voxels_of(spheres()[["x_mm", "y_mm", "z_mm"]].to_numpy())
    near = np.unique((centres[:, None] + around).reshape(-1, 3), axis=0)
    blocks["BRAIN_STEM"] = np.array([one for one in near if tuple(one) not in taken])
    for name, voxels in blocks.items():
        parts.append(
            cifti2.BrainModelAxis(
                [f"CIFTI_STRUCTURE_{name}"] * len(voxels),
                voxel=rng.permutation(voxels),
                affine=AFFINE,
                volume_shape=SHAPE,
            )
        )
    parts = [parts[i] for i in rng.permutation(len(parts))]
    return sum(parts[1:], start=parts[0])


def cortex_labels(axis: cifti2.BrainModelAxis) -> np.ndarray:
    """Give vertices 0 to 321 of each hemisphere to its parcels, two to each."""
    gordon = atlas_table("Gordon333")
    labels = np.zeros(len(axis), dtype=int)
    for structure, side in ((LEFT, "L"), (RIGHT, "R")):
        keys = gordon.loc[gordon["hemisphere"] == side, "index"].to_numpy()
        here = (axis.name == structure) & (axis.vertex < 2 * len(keys))
        labels[here] = keys[axis.vertex[here] // 2]
    return labels


def write_trial(folder: Path, text: str = STUDY, *, with_voxels: bool = False) -> Path:
    for number in (1, 2, 3):
        for session in "ab":
            axis = axis_of_run(np.random.default_rng(number))
            rng = np.random.default_rng(10 * number + (session == "b"))
            values = 500 + rng.normal(size=(len(axis), N_FRAMES))
            stem = f"sub-0{number}_ses-{session}_task-rest_space-fsLR_den-91k_bold.dtseries.nii"
            path = folder / "data" / f"sub-0{number}" / f"ses-{session}" / "func" / stem
            write_dtseries(path, axis, values.astype(np.float32))
    gordon = atlas_table("Gordon333")
    names = tuple(f"{row['index']}_{row.hemisphere}_{row.network}" for _, row in gordon.iterrows())
    atlas = axis_of_run(np.random.default_rng(50))
    if not with_voxels:
        atlas = atlas[np.flatnonzero(atlas.vertex >= 0)]
    write_dlabel(folder / "gordon.dlabel.nii", atlas, cortex_labels(atlas), names=names)
    rows = ["participant_id", "sub-01", "sub-02", "sub-03"]
    (folder / "data" / "participants.tsv").write_text("\n".join(rows) + "\n")
    (folder / "study.toml").write_text(text)
    return folder / "study.toml"


@pytest.mark.parametrize("with_voxels", [False, True])
def test_siegel_s_atlas_on_cifti_from_file_to_answer(tmp_path, with_voxels):
    """Oracle: numpy means over each structure's rows, each sphere's and each parcel's."""
    study = write_trial(tmp_path, with_voxels=with_voxels)
    plan = plan_study(load_study(study))
    assert plan.problems == ()
    atlas = plan.survey.atlas
    assert len(atlas.parcels) == 333 + 61
    assert list(atlas.parcels.index[:333]) == list(atlas_table("Gordon333").index)
    assert len(plan.sets["sgACC"]) == 2
    results = run_plan(plan, tmp_path / "out")
    assert results.tables["scans"]["analysed"].all()
    axis = axis_of_run(np.random.default_rng(2))
    run = tmp_path / "data/sub-02/ses-b/func"
    values = np.asarray(nib.load(next(run.glob("*.dtseries.nii"))).dataobj, dtype=float).T
    names = np.array([str(one).removeprefix("CIFTI_STRUCTURE_") for one in axis.name])
    mm = axis.voxel @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    front = mm[:, 1] >= -21
    hippocampus = names == "HIPPOCAMPUS_LEFT"
    labels = cortex_labels(axis)
    thalamus = spheres().query("structure == 'thalamus' and number not in (262, 263)").iloc[0]
    centre = thalamus[["x_mm", "y_mm", "z_mm"]].to_numpy(dtype=float)
    ball = (axis.vertex < 0) & (np.linalg.norm(mm - centre, axis=1) <= thalamus["radius_mm"])
    assert ball.any()
    means = {
        "L_anterior_hippocampus": values[hippocampus & front].mean(axis=0),
        "L_posterior_hippocampus": values[hippocampus & ~front].mean(axis=0),
        "R_amygdala": values[names == "AMYGDALA_RIGHT"].mean(axis=0),
        "L_accumbens": values[names == "ACCUMBENS_LEFT"].mean(axis=0),
        atlas.parcels.index[0]: values[labels == 1].mean(axis=0),
        atlas.parcels.index[332]: values[labels == 333].mean(axis=0),
        str(thalamus.name): values[ball].mean(axis=0),
    }
    func = tmp_path / "out/sub-02/ses-b/func"
    r = pd.read_csv(next(func.glob("*relmat.tsv")), sep="\t", index_col=0)
    expected = np.corrcoef(list(means.values()))
    found = r.loc[list(means), list(means)].to_numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    notes = json.loads(next(func.glob("*relmat.json")).read_text())["Notes"]
    assert any(
        "structures that the CIFTI file names; the hippocampus is cut at y = -21 mm (stand-in)" in n
        for n in notes
    )
    assert with_voxels != any("the label file has no subcortex" in note for note in notes)
    assert set(atlas.network("Limbic")) >= {"L_amygdala", "R_accumbens"}
    declared = results.estimates.query("declared and kind == 'coefficient'")
    assert set(declared["analysis"]) >= {"Limbic to Default", "sgACC to the rest of Default"}
    assert "sgACC" in results.maps


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("limbic_radius_mm = 5", "limbic_radius_mm: grayordinates name the whole structures"),
        ('limbic_image = "x.nii.gz"', "limbic_image belongs to volumes"),
        ("hippocampus_split_y_mm = -8", "nothing of L_anterior_hippocampus"),
    ],
)
def test_settings_that_do_not_fit_grayordinates_are_refused(tmp_path, setting, message):
    image = 'image = "gordon.dlabel.nii"'
    problems = plan_study(
        load_study(write_trial(tmp_path, STUDY.replace(image, f"{image}\n{setting}")))
    ).problems
    assert any(message in problem for problem in problems), problems


def test_the_real_label_file_takes_its_subcortex_from_the_run(connectrial_data, tmp_path):
    """Counts: voxels of the structures in the standard 91,282 grayordinates."""
    source = next((connectrial_data / "cifti").glob("*.dtseries.nii"))
    target = tmp_path / "data/sub-01/ses-a/func" / source.name.replace("sub-01_", "sub-01_ses-a_")
    target.parent.mkdir(parents=True)
    target.symlink_to(source)
    image = connectrial_data / "cifti" / "Gordon.32k_fs_LR.dlabel.nii"
    text = STUDY[: STUDY.index("[[hypothesis]]")].replace("gordon.dlabel.nii", str(image))
    (tmp_path / "data/participants.tsv").write_text("participant_id\nsub-01\n")
    (tmp_path / "study.toml").write_text(text)
    plan = plan_study(load_study(tmp_path / "study.toml"))
    atlas = plan.survey.atlas
    sizes = {
        name: int((atlas.row_labels == label).sum())
        for name, label in atlas.parcels["index"].items()
    }
    assert (sizes["L_amygdala"], sizes["R_amygdala"]) == (315, 332)
    assert (sizes["L_accumbens"], sizes["R_accumbens"]) == (135, 140)
    assert sizes["L_anterior_hippocampus"] + sizes["L_posterior_hippocampus"] == 764
    assert atlas.is_sphere.sum() == 53
    run_plan(plan, tmp_path / "out", level="participant")
    (matrix,) = tmp_path.glob("out/sub-01/ses-a/func/*relmat.tsv")
    r = pd.read_csv(matrix, sep="\t", index_col=0)
    assert r.shape == (394, 394)
    subcortex = r.index[333:]
    assert r.loc[subcortex, "L_amygdala"].notna().all()
