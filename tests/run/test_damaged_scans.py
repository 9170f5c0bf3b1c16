"""One message for every way in which a scan can be bad; the run goes on, and the flow shows it."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from connectrial import load_study, plan_study, run_plan
from connectrial.data import TimeSeries
from connectrial.errors import InputError
from connectrial.fc.denoising import denoise
from tiny import write_tiny
from tiny_images import (
    AFFINE,
    N_FRAMES,
    SHAPE,
    bold_path,
    confounds_path,
    labels,
    make_motion,
    mask_path,
    save_bold,
    save_confounds,
    write_atlas,
    write_scan,
    write_study,
)

RNG = np.random.default_rng(5)


def truncate(path, voxels):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip_a_bit(path, voxels):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0b100
    path.write_bytes(bytes(content))


def rewrite_header(path, *, n_frames):
    """Let the header announce another number of frames than there are."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    header = nib.Nifti1Header(bytes(content[:348]))
    header["dim"][4] = n_frames
    content[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(content), mtime=0))


def announce_more(path, voxels):
    rewrite_header(path, n_frames=N_FRAMES + 10)
    data = path.parents[3]
    where = confounds_path(data, *who(path))
    save_confounds(where, make_motion(RNG, N_FRAMES + 10))


def announce_fewer(path, voxels):
    rewrite_header(path, n_frames=N_FRAMES - 10)
    save_confounds(confounds_path(path.parents[3], *who(path)), make_motion(RNG, N_FRAMES - 10))


def who(path) -> tuple[str, str]:
    return path.parts[-4].removeprefix("sub-"), path.parts[-3].removeprefix("ses-")


def fewer_confounds(path, voxels):
    save_confounds(confounds_path(path.parents[3], *who(path)), make_motion(RNG, N_FRAMES - 5))


def no_confounds(path, voxels):
    confounds_path(path.parents[3], *who(path)).unlink()


def no_mask(path, voxels):
    mask_path(path.parents[3], *who(path)).unlink()


def one_volume(path, voxels):
    save_bold(path, voxels[..., 0])


def left_handed(path, voxels):
    flipped = AFFINE.copy()
    flipped[0] = [-4.0, 0, 0, AFFINE[0, 3] + 4.0 * (SHAPE[0] - 1)]
    save_bold(path, voxels[::-1], affine=flipped)
    mask = nib.Nifti1Image(np.ones(SHAPE, dtype=np.uint8), flipped)
    nib.save(mask, mask_path(path.parents[3], *who(path)))


def no_time(path, voxels):
    save_bold(path, voxels, seconds=0.0)
    path.with_name(path.name.replace(".nii.gz", ".json")).unlink()


def other_time(path, voxels):
    sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
    sidecar.write_text(json.dumps({"RepetitionTime": 0.8}))


def always_moving(path, voxels):
    motion = make_motion(RNG)
    motion[:, 0] += 2.0 * (np.arange(N_FRAMES) % 2)
    save_confounds(confounds_path(path.parents[3], *who(path)), motion)


def degrees(path, voxels):
    motion = make_motion(RNG)
    motion[:, 3:] += np.linspace(0, 3.0, N_FRAMES)[:, np.newaxis]
    save_confounds(
        confounds_path(path.parents[3], *who(path)), motion, fd_mm=np.full(N_FRAMES, 0.1)
    )


def some_nan(path, voxels):
    changed = voxels.copy()
    first = np.argwhere(labels() == 1)[:3]
    changed[tuple(first.T)] = np.nan
    save_bold(path, changed)


def cut_off(path, voxels):
    changed = voxels.copy()
    changed[labels() == 6] = 0.0
    save_bold(path, changed)


def few_frames(path, voxels):
    save_bold(path, voxels[..., :6])
    save_confounds(confounds_path(path.parents[3], *who(path)), make_motion(RNG, 6))


def not_an_image(path, voxels):
    path.write_bytes(b"this is no image")


# What is done to the first scan of a person -> why it cannot be used; "" where it still can.
DAMAGE = {
    truncate: "the file is damaged|the file ends in frame",
    flip_a_bit: "the file is damaged",
    announce_more: "ends in frame 61 of the 70 .*truncated or its header is wrong",
    announce_fewer: r"\d+ bytes follow the 50 frames .* the header is wrong",
    fewer_confounds: "the motion table has 55 frames, the scan 60",
    no_confounds: "no motion table",
    no_mask: "",
    one_volume: r"a run is a 4-D image .* this one has shape \(8, 8, 6\)",
    left_handed: "",
    no_time: "",
    other_time: "",
    always_moving: "fewer than 3 frames are kept",
    degrees: r"as radians is \d+ degrees.*\[motion\] rotation_unit = 'deg'",
    some_nan: "",
    cut_off: "",
    few_frames: "too few degrees of freedom are left: 4 in the pass-band of 6 kept frames",
    not_an_image: "no NIfTI image that can be read",
}
SUBJECTS = {damage: f"{number:02d}" for number, damage in enumerate(DAMAGE, start=1)}
SOUND = [f"{number:02d}" for number in range(51, 54)]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run a study in which every person but three has one bad scan."""
    folder = tmp_path_factory.mktemp("damaged")
    data = folder / "data"
    write_atlas(folder)
    rng = np.random.default_rng(3)
    for subject in [*SUBJECTS.values(), *SOUND]:
        for session in "ab":
            voxels = write_scan(data, subject, session, rng)
            damage = next((d for d, s in SUBJECTS.items() if s == subject), None)
            if session == "a" and damage is not None:
                damage(bold_path(data, subject, session), voxels)
    plan = plan_study(load_study(write_study(folder)))
    assert plan.problems == ()
    return plan, run_plan(plan, folder / "out"), folder


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda one: one.__name__)
def test_each_bad_scan_has_its_reason_and_the_others_go_on(ran, damage):
    _, results, _ = ran
    scans = results.tables["scans"].set_index(["subject", "session"])
    first = scans.loc[SUBJECTS[damage], "a"]
    assert scans.loc[(SUBJECTS[damage], "b"), "analysed"]  # the person's other scan
    assert bool(first["included"]) == (DAMAGE[damage] == "")
    assert re.search(DAMAGE[damage], first["reason"], re.DOTALL)
    assert "Traceback" not in first["reason"]
    assert str(Path("/tmp")) not in first["reason"]  # the table names the file; no long paths


def test_the_flow_shows_every_reason_and_all_sound_scans_are_used(ran):
    _, results, _ = ran
    n_bad = sum(reason != "" for reason in DAMAGE.values())
    flow = results.tables["flow"].set_index("box")
    assert flow.loc["With a usable scan", "n_scans"] == 2 * (len(DAMAGE) + len(SOUND)) - n_bad
    for reason in ("damaged", "4-D", "fewer than 3 frames", "rotation_unit"):
        assert reason in flow.loc["With a usable scan", "left_out"]
    rows = results.estimates.query("analysis == 'Default' and declared")
    assert rows["n_observations"].max() == 2 * (len(DAMAGE) + len(SOUND)) - n_bad


def relmat(folder: Path, subject: str) -> pd.DataFrame:
    path = next((folder / "out" / f"sub-{subject}" / "ses-a").rglob("*relmat.tsv"))
    return pd.read_csv(path, sep="\t", index_col=0, na_values="n/a")


def test_another_orientation_gives_the_same_connectivity(ran, tmp_path):
    """The affine says where a voxel is: LAS and RAS files of one scan are one scan."""
    _, _, folder = ran
    subject = SUBJECTS[left_handed]
    source = nib.load(bold_path(folder / "data", subject, "a"))
    assert nib.aff2axcodes(source.affine) == ("L", "A", "S")
    data = tmp_path / "data"
    write_atlas(tmp_path)
    write_scan(data, "01", "a", np.random.default_rng(1))
    save_bold(bold_path(data, "01", "a"), np.asarray(source.dataobj)[::-1])
    confounds = confounds_path(folder / "data", subject, "a").read_text()
    confounds_path(data, "01", "a").write_text(confounds)
    plan = plan_study(load_study(write_study(tmp_path)))
    run_plan(plan, tmp_path / "out", level="participant")
    pd.testing.assert_frame_equal(relmat(tmp_path, "01"), relmat(folder, subject), atol=1e-9)


def test_voxels_without_data_cost_coverage_and_a_cut_parcel_its_edges(ran):
    _, results, folder = ran
    weak = results.tables["weak_parcels"].set_index("subject")
    assert weak.loc[SUBJECTS[cut_off], "parcel"] == "S2"
    assert "0% of its voxels have data" in weak.loc[SUBJECTS[cut_off], "reason"]
    cut = relmat(folder, SUBJECTS[cut_off])
    assert cut["S2"].isna().all()
    assert cut.drop(index="S2", columns="S2").notna().all(axis=None)
    assert relmat(folder, SUBJECTS[some_nan]).notna().all(axis=None)
    regions = results.tables["region_quality"].set_index(["subject", "session", "region"])
    size = (labels() == 1).sum()
    expected = (1 - 3 / size + 1) / 2
    found = regions.loc[(SUBJECTS[some_nan], "a", "Default"), "coverage"]
    assert found == pytest.approx(expected, abs=1e-6)


def test_what_a_scan_lacks_is_said(ran):
    plan, _, _ = ran
    notes = " | ".join(plan.warnings)
    assert f"lack a brain mask: sub-{SUBJECTS[no_mask]}_ses-a" in notes
    assert "scans differ in repetition time: 2 s" in notes
    assert "0.8 s (1 scans)" in notes
    assert f"no credible repetition time (sub-{SUBJECTS[no_time]}_ses-a for one)" in notes


def test_degrees_are_read_when_the_study_says_so(ran):
    _, _, folder = ran
    more = load_study(write_study(folder, more="[motion]\nrotation_unit = 'deg'\n"))
    plan = plan_study(more, subjects=[SUBJECTS[degrees]])
    scans = plan.people.scans.set_index("session")
    assert scans.loc["a", "reason"] == ""
    # 3 degrees over 59 steps on three axes: 50 mm x 3 x radians, and the jitter of the parameters.
    drift = 3 * 50 * np.deg2rad(3.0 / (N_FRAMES - 1))
    assert scans.loc["a", "mean_fd_mm"] == pytest.approx(drift, abs=0.05)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("order", ["default", "passband", "joint", "project", "xcpd", "washu"])
def test_short_scans_leave_by_a_message_in_every_order(order, n_frames):
    rng = np.random.default_rng(0)
    series = TimeSeries(
        signal=rng.normal(size=(n_frames, 4)),
        kept=np.ones(n_frames, dtype=bool),
        parcels=pd.Index(list("abcd")),
        repetition_time_s=2.0,
    )
    names = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    confounds = pd.DataFrame(make_motion(rng, n_frames), columns=names)
    with pytest.raises(InputError):
        denoise(series, confounds, strategy="6P", band_hz=(0.009, 0.08), order=order)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r + np.triu(np.full(r.shape, 0.3), 1), "not symmetric: LH_Default_1"),
        (lambda r: 10.0 * r, "if the file holds Fisher z, set [data] values = 'z'"),
    ],
    ids=["asymmetric", "Fisher z"],
)
def test_bad_matrices_are_put_aside_with_their_reason(tmp_path, change, message):
    study = write_tiny(tmp_path)
    rng = np.random.default_rng(2)
    for number, path in enumerate(sorted((tmp_path / "data").rglob("*_timeseries.tsv"))):
        names = path.read_text().split("\n", 1)[0].split("\t")
        r = np.corrcoef(rng.normal(size=(len(names), 50)))
        r = change(r) if number == 0 else r
        np.fill_diagonal(r, 1.0)
        table = pd.DataFrame(r, index=names, columns=names).rename_axis("Node")
        name = path.name.replace("stat-mean_timeseries", "stat-pearsoncorrelation_relmat")
        table.to_csv(path.with_name(name), sep="\t")
        path.unlink()
    text = study.read_text().replace('kind = "time series"', 'kind = "matrices"')
    study.write_text(text)
    plan = plan_study(load_study(study))
    assert plan.problems == ()
    results = run_plan(replace(plan, analyses=()), tmp_path / "out")
    scans = results.tables["scans"]
    assert message in scans.loc[0, "reason"]
    assert scans.loc[1:, "included"].all()
