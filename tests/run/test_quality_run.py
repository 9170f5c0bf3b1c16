"""Quality from images to results: what is measured, tested and ruled out, by hand and by oracle."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import scipy.stats

from connectrial import fit_mixed, load_study, plan_study, run_plan
from connectrial.fc.denoising import denoise
from connectrial.fc.estimators import estimate_connectivity
from connectrial.fc.motion import measure_fd
from connectrial.io.confounds import read_confounds
from connectrial.report.methods import methods_text
from connectrial.run.making_of import made_from
from connectrial.run.session_jobs import session_jobs
from some_sections import render_some
from tiny_images import (
    PARCELS,
    bold_path,
    confounds_path,
    labels,
    save_bold,
    write_atlas,
    write_scan,
    write_study,
)

N_SUBJECTS = 8
ARMS = """
[arms]
column = "arm"
levels = ["placebo", "drug"]
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Eight people in two arms, two visits each; everybody's after-scan on another scanner."""
    folder = tmp_path_factory.mktemp("quality")
    data = folder / "data"
    write_atlas(folder)
    rng = np.random.default_rng(11)
    people = ["participant_id\tarm\tsite"]
    for number in range(1, N_SUBJECTS + 1):
        subject = f"{number:02d}"
        people.append(f"sub-{subject}\t{('placebo', 'drug')[number % 2]}\t{'NS'[number % 2]}")
        sessions = ["session_id\tscanner"]
        for session in "ab":
            voxels = write_scan(data, subject, session, rng)
            sessions.append(f"ses-{session}\t{'old' if session == 'a' else 'new'}")
            if (subject, session) == ("03", "b"):
                save_bold(bold_path(data, subject, session), (voxels - 1000) * 20 + 1000)
            if (subject, session) == ("04", "a"):
                voxels[labels() == 5] = 0
                save_bold(bold_path(data, subject, session), voxels)
        path = data / f"sub-{subject}" / f"sub-{subject}_sessions.tsv"
        path.write_text("\n".join(sessions) + "\n")
    (data / "participants.tsv").write_text("\n".join(people) + "\n")
    return folder


@pytest.fixture(scope="module")
def ran(dataset):
    study = write_study(dataset, more=ARMS + "[quality]\nbatch = 'scanner'\ncarpets = true\n")
    plan = plan_study(load_study(study))
    assert plan.problems == ()
    return plan, run_plan(plan, dataset / "out"), dataset


def read(dataset, subject, session):
    """Return (frames, parcels) means, displacement and denoised series, computed here."""
    image = np.asarray(nib.load(bold_path(dataset / "data", subject, session)).dataobj, dtype=float)
    where = labels()
    means = np.column_stack([image[where == i + 1].mean(axis=0) for i in range(len(PARCELS))])
    confounds, _ = read_confounds(confounds_path(dataset / "data", subject, session))
    return means, confounds


def test_the_table_holds_what_the_images_and_confounds_say(ran):
    plan, results, dataset = ran
    row = results.tables["quality"].set_index(["subject", "session"]).loc["02", "b"]
    means, confounds = read(dataset, "02", "b")
    fd_mm = confounds["framewise_displacement"].to_numpy()[1:]
    assert row["mean_fd_mm"] == pytest.approx(fd_mm.mean())
    assert row["median_fd_mm"] == pytest.approx(np.median(fd_mm))
    assert row["max_fd_mm"] == pytest.approx(fd_mm.max())
    assert row["share_fd_above"] == (fd_mm > 0.5).mean()
    assert row["kept_minutes"] == pytest.approx(60 * 2 / 60)
    assert row["remaining_df"] == 60 - 2 - 6  # frames, less line and six parameters
    mean = means.mean(axis=1)
    assert row["global_signal_sd_before"] == pytest.approx(100 * mean.std() / mean.mean(), rel=1e-5)
    kept = plan.kept_frames("sub-02_ses-b")
    series = estimate_series(dataset, "02", "b", kept)
    after = series.signal[kept].mean(axis=1).std()
    assert row["global_signal_sd_after"] == pytest.approx(100 * after / mean.mean(), rel=1e-5)
    regions = results.tables["region_quality"].set_index(["subject", "session", "region"])
    region = regions.loc["02", "b", "deep"]
    assert region["mean_signal"] == pytest.approx(means[:, 4:].mean(), rel=1e-5)
    assert region["sd_before"] == pytest.approx(means[:, 4:].std(axis=0).mean(), rel=1e-4)
    assert region["sd_after"] == pytest.approx(
        series.signal[kept][:, 4:].std(axis=0).mean(), rel=1e-4
    )
    assert region["coverage"] == 1.0


def estimate_series(dataset, subject, session, kept):
    from connectrial.data import TimeSeries

    means, confounds = read(dataset, subject, session)
    raw = TimeSeries(signal=means, kept=kept, parcels=pd.Index(PARCELS), repetition_time_s=2.0)
    return denoise(raw, confounds, strategy="6P", band_hz=None)


def test_every_measure_is_tested_as_the_mixed_model_does(ran):
    _, results, _ = ran
    rows = results["Quality of the scans"].estimates
    assert set(rows["role"]) == {"quality"}
    assert rows["p_adjusted"].isna().all()
    quality = results.tables["quality"]
    table = quality.assign(
        visit=pd.Categorical(quality["visit"].astype(str), ["before", "after"]),
        arm=pd.Categorical(quality["arm"], ["placebo", "drug"]),
    )
    for measure in ("mean_fd_mm", "global_signal_sd_before", "median_tsnr"):
        fit = fit_mixed(f"{measure} ~ visit * arm + (1 | subject)", table)
        mine = rows[rows["outcome"] == measure].set_index("term")
        assert set(mine.index) == {"visit[after]", "arm[drug]", "visit[after]:arm[drug]"}
        for term in mine.index:
            assert mine.loc[term, "p"] == pytest.approx(fit.estimates.loc[term, "p"], rel=1e-6)
    flagged = rows["flags"].str.contains("look at it before FC")
    assert (flagged == (rows["p"] < 0.05)).all()
    constant = rows[rows["outcome"] == "kept_minutes"]
    assert constant["flags"].str.startswith("not tested: it is the same in every session").all()


def test_change_of_motion_is_related_to_change_of_each_network(ran):
    _, results, _ = ran
    row = results["Motion and change of FC"].estimates.iloc[0]
    motion = results.tables["quality"].pivot_table(
        index="subject", columns="visit", values="mean_fd_mm", observed=True
    )
    fc = results.tables["visit_fc"].pivot_table(
        index="subject", columns="visit", values="fc_z", observed=True
    )
    expected = scipy.stats.pearsonr(motion["after"] - motion["before"], fc["after"] - fc["before"])
    assert row["outcome"] == "Default"
    assert row["estimate"] == pytest.approx(expected.statistic, rel=1e-7)
    assert row["p"] == pytest.approx(expected.pvalue, rel=1e-7)


def test_qc_fc_is_the_correlation_of_each_edge_with_motion(ran):
    _, results, dataset = ran
    table = results.tables["qcfc"].set_index(["visit", "parcel_a", "parcel_b"]).sort_index()
    motion = results.tables["quality"].set_index(["subject", "session"])["mean_fd_mm"]
    z, fd_mm = [], []
    for number in range(1, N_SUBJECTS + 1):
        subject = f"{number:02d}"
        path = next((dataset / "out" / f"sub-{subject}" / "ses-b").rglob("*relmat.tsv"))
        matrix = pd.read_csv(path, sep="\t", index_col=0, na_values="n/a")
        z.append(np.arctanh(matrix.loc["A1", "B2"]))
        fd_mm.append(motion[subject, "b"])
    expected = scipy.stats.pearsonr(fd_mm, z)
    edge = table.loc["after", "A1", "B2"]
    assert edge["r"] == pytest.approx(expected.statistic, abs=1e-5)
    assert edge["p"] == pytest.approx(expected.pvalue, rel=1e-3)
    middle = np.array([np.argwhere(labels() == i).mean(axis=0) for i in (1, 4)])
    assert edge["distance_mm"] == pytest.approx(4 * np.linalg.norm(middle[1] - middle[0]), abs=0.05)
    rows = results["QC-FC"].estimates.set_index("term")
    r = table.loc["after", "r"]
    assert rows.loc["median |r|, after", "estimate"] == pytest.approx(r.abs().median(), abs=1e-5)
    known = table.loc["after"]
    slope = scipy.stats.linregress(known["distance_mm"], known["r"]).slope
    found = rows.loc["slope of r over distance, after", "estimate"]
    assert found == pytest.approx(slope, rel=5e-3)  # the table rounds distances to 0.1 mm


def test_a_scanner_that_goes_with_visit_is_named(ran):
    plan, results, _ = ran
    notes = " | ".join(plan.warnings)
    assert "scanner is completely confounded with visit (before: 8 old; after: 8 new)" in notes
    assert "confounded with arm" not in notes
    rows = results["Batch"].estimates.set_index("term")
    expected = scipy.stats.fisher_exact([[8, 0], [0, 8]]).pvalue
    assert rows.loc["scanner by visit", "p"] == pytest.approx(expected)
    assert "no model separates visit from scanner" in rows.loc["scanner by visit", "flags"]
    assert rows.loc["scanner by arm", "p"] == 1.0


def test_a_site_that_goes_with_arm_is_named_and_an_unknown_column_too(dataset):
    study = write_study(dataset, more=ARMS + "[quality]\nbatch = 'site'\n")
    notes = " | ".join(plan_study(load_study(study)).warnings)
    assert "site is completely confounded with arm (placebo: 8 N; drug: 8 S)" in notes
    study = write_study(dataset, more=ARMS + "[quality]\nbatch = 'scaner'\n")
    problems = plan_study(load_study(study)).problems
    assert len(problems) == 1
    assert "[quality] batch: no table has a column 'scaner'; did you mean 'scanner'" in problems[0]


@pytest.mark.parametrize(
    ("rule", "who", "reason"),
    [
        ("min_median_tsnr = 30", ("03", "b"), "median tSNR .* below 30"),
        ("min_set_coverage = { deep = 0.9 }", ("04", "a"), "50% of deep covered, less than 90%"),
        ("max_weak_parcels = { deep = 0 }", ("04", "a"), "1 weak parcels in deep, more than 0"),
    ],
)
def test_rules_that_need_the_image_show_in_scans_and_flow(ran, dataset, rule, who, reason):
    study = write_study(dataset, more=ARMS + f"[quality]\ncarpets = true\n{rule}\n")
    # The same folder: rules on quality judge what is there and make nothing anew.
    results = run_plan(replace(plan_study(load_study(study)), analyses=()), dataset / "out")
    scans = results.tables["scans"].set_index(["subject", "session"])
    out = scans.index[~scans["included"]]
    assert list(out) == [who]
    assert pd.Series(scans.loc[who, "reason"]).str.contains(reason, regex=True).all()
    flow = results.tables["flow"].set_index("box")
    assert flow.loc["With a usable scan", "n_scans"] == 2 * N_SUBJECTS - 1
    assert scans.loc[who, "reason"] in flow.loc["With a usable scan", "left_out"]
    network = results.tables["network_fc"].set_index(["subject", "session"])
    assert who not in network.index


def test_the_motion_rule_leaves_out_before_anything_is_read(dataset):
    mean = {}
    for number in range(1, N_SUBJECTS + 1):
        for session in "ab":
            table, _ = read_confounds(confounds_path(dataset / "data", f"{number:02d}", session))
            mean[f"{number:02d}", session] = table["framewise_displacement"].mean()
    limit = np.sort(list(mean.values()))[-3]
    study = write_study(dataset, more=ARMS + f"[quality]\nmax_mean_fd_mm = {limit + 1e-9:.12f}\n")
    scans = plan_study(load_study(study)).people.scans.set_index(["subject", "session"])
    out = set(scans.index[~scans["included"]])
    assert out == {key for key, value in mean.items() if value > limit + 1e-9}
    assert len(out) == 2
    assert scans.loc[list(out), "reason"].str.startswith("mean FD 0.").all()


def test_displacement_is_measured_anew_when_asked(dataset):
    more = ARMS + "[motion]\nfd_kind = 'jenkinson'\nlow_pass_hz = 0.1\n"
    plan = plan_study(load_study(write_study(dataset, more=more)))
    table, _ = read_confounds(confounds_path(dataset / "data", "01", "a"))
    motion = table[["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]].to_numpy()
    expected = measure_fd(motion, fd_kind="jenkinson", low_pass_hz=0.1, repetition_time_s=2.0)
    assert np.array_equal(plan.survey.fd_mm["sub-01_ses-a"], expected, equal_nan=True)
    own = plan_study(load_study(write_study(dataset, more=ARMS))).survey.fd_mm["sub-01_ses-a"]
    assert np.nanmean(own) > np.nanmean(expected)


CHANGES = {
    "motion": "[motion]\nfd_kind = 'jenkinson'\n",
    "estimator": "[connectivity]\nestimator = 'partial'\n",
    "shrinkage": "[connectivity]\nshrinkage = 'ledoit-wolf'\n",
    "filter order": "[denoising]\nband_hz = [0.01, 0.1]\nfilter_order = 3\n",
    "band": "[denoising]\nband_hz = [0.01, 0.1]\n",
    "subcortical": "[denoising]\nsubcortical = 'nearby-cortex'\nsubcortical_parcels = 'deep'\n",
    "another distance": "[denoising]\nsubcortical = 'nearby-cortex'\nsubcortical_parcels = 'deep'\n"
    "nearby_mm = 30\n",
    "censoring": "[censoring]\nn_dummy_frames = 4\n",
}


def test_every_key_of_processing_makes_the_sessions_anew_and_the_plan_another(dataset):
    hashes, plans = set(), set()
    for more in ("", *CHANGES.values()):
        plan = plan_study(load_study(write_study(dataset, more=ARMS + more)))
        assert plan.problems == ()
        hashes.add(made_from(session_jobs(plan, dataset / "nowhere")[0]))
        plans.add(plan.hash)
    assert len(hashes) == len(plans) == 1 + len(CHANGES)


def test_another_estimator_is_named_in_file_sidecar_and_methods(dataset, tmp_path):
    more = ARMS + "[connectivity]\nestimator = 'partial'\nshrinkage = 'ledoit-wolf'\n"
    plan = plan_study(load_study(write_study(dataset, more=more)))
    results = run_plan(plan, tmp_path / "out")
    name = "*_stat-shrunkpartialcorrelation_relmat.tsv"
    path = next((tmp_path / "out" / "sub-02" / "ses-b").rglob(name))
    found = pd.read_csv(path, sep="\t", index_col=0).to_numpy()
    series = estimate_series(dataset, "02", "b", plan.kept_frames("sub-02_ses-b"))
    expected = estimate_connectivity(series, estimator="partial", shrinkage="ledoit-wolf")
    upper = np.triu_indices(len(PARCELS), 1)
    assert found[upper] == pytest.approx(
        np.tanh(expected.connectivity.z[upper]), abs=1e-7
    )  # nine digits are stored
    assert "partial correlation, Ledoit-Wolf" in path.with_suffix(".json").read_text()
    text = " ".join(methods_text(results)[0])
    assert "Fisher z of partial correlation" in text
    assert "shrunk towards 0 by Ledoit and Wolf" in text


def test_methods_say_what_was_done_to_motion_and_deep_parcels(dataset):
    more = (
        ARMS
        + CHANGES["motion"]
        + CHANGES["another distance"]
        + "[quality]\nmin_median_tsnr = 5\n[censoring]\nmax_std_dvars = 2.0\n"
    )
    from connectrial.plan.processing import processing_sentences

    study = load_study(write_study(dataset, more=more)).as_plain()
    text = " ".join(processing_sentences(study, kinds={"image"}))
    assert "RMS over a solid sphere (Jenkinson), 80 mm" in text
    assert "displacement above 0.5 mm or a standardised DVARS above 2 were censored" in text
    assert "within 30 mm was regressed out of each parcel of deep (stand-in" in text
    assert "Sessions with a median temporal SNR below 5 were not used." in text
    assert processing_sentences(study, kinds={"matrix"}) == [
        "Sessions with a median temporal SNR below 5 were not used."
    ]


def test_carpets_are_drawn_and_made_again_when_lost(ran):
    plan, results, dataset = ran
    out = dataset / "out"
    files = results.tables["scan_files"]
    drawn = [*files["carpet_before"], *files["carpet_after"]]
    for path in drawn:
        assert (out / path).read_bytes().startswith(b"\x89PNG")
    assert len(set(drawn)) == 2 * 2 * N_SUBJECTS
    lost = out / drawn[0]
    before = lost.read_bytes()
    lost.unlink()
    run_plan(plan, out, level="participant")
    assert lost.read_bytes() == before

    page = render_some(results, "quality")
    assert "completely confounded" in page


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "[quality]\nmin_set_coverage = { dep = 0.5 }\n",
            "no network or set 'dep'; did you mean 'deep'",
        ),
        ("[denoising]\nsubcortical = 'nearby-cortex'\n", "subcortical_parcels = a network or set"),
        (
            "[denoising]\nsubcortical = 'nearby-cortex'\nsubcortical_parcels = 'dep'\n",
            "[denoising] subcortical_parcels: there is no network or set 'dep'",
        ),
        ("[motion]\nlow_pass_hz = 0.1\nnotch_hz = [0.2, 0.3]\n", "keep one"),
        ("[denoising]\nfilter_order = 3\n", "without band_hz nothing is filtered"),
    ],
)
def test_keys_that_do_not_fit_are_refused(dataset, more, message):
    from connectrial.errors import StudyFileError

    try:
        problems = plan_study(load_study(write_study(dataset, more=ARMS + more))).problems
    except StudyFileError as error:
        problems = error.problems
    assert any(message in problem for problem in problems), problems
