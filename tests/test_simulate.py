"""A simulated trial is what it says it is: counts, truth, noise, oddities, images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.errors import InputError
from connectrial.fc.connectivity import correlate_parcels
from connectrial.fc.coverage import find_weak_parcels
from connectrial.fc.networks import network_fc
from connectrial.fc.quality import framewise_displacement
from connectrial.simulate import (
    ARTEFACT_FD_MM,
    LIMBIC,
    SGACC,
    SYSTEMS,
    Effect,
    SimulatedScan,
    SimulatedTrial,
    TrialDesign,
    draw_band_limited,
    simulate_image,
    simulate_trial,
)

SMALL = TrialDesign(
    n_patients=6,
    n_controls=4,
    n_second_baselines=4,
    n_posts=4,
    n_repeat_controls=2,
    n_dropouts=2,
    n_responders=2,
    n_frames=60,
)


@pytest.fixture(scope="module")
def trial() -> SimulatedTrial:
    return simulate_trial(seed=1)


def four_systems(series, trial: SimulatedTrial) -> dict[str, float]:
    """The four systems by the functions that the analysis itself uses."""
    fc = correlate_parcels(series)
    default, visual = trial.atlas.network("Default"), trial.atlas.network("Vis")
    return {
        "Default": network_fc(fc, within=default),
        "sgACC-Default": network_fc(fc, between_rest=(SGACC, default)),
        "limbic": network_fc(fc, within=LIMBIC),
        "Visual": network_fc(fc, within=visual),
    }


def true_z(trial: SimulatedTrial, column: str = "fc_z") -> pd.DataFrame:
    """True z, one row per session, one column per system or pair of networks."""
    return trial.truth_scans.pivot(index=["subject", "session"], columns="name", values=column)


def still(scan: SimulatedScan, limit: float = ARTEFACT_FD_MM) -> np.ndarray:
    return ~(scan.motion["framewise_displacement"].to_numpy() > limit)


def test_the_default_design_is_siegels(trial):
    """Siegel 2021: 23 patients, 18 second baselines, 20 posts, 27 controls of whom 7 twice."""
    sessions = trial.truth_scans.drop_duplicates(["subject", "session"])
    assert sessions["session"].value_counts().to_dict() == {
        "pre1": 23, "pre2": 18, "post": 20, "1": 27, "2": 7,
    }  # fmt: skip
    assert len(trial.scans) == 95 * 2
    assert trial.participants["group"].value_counts().to_dict() == {"control": 27, "patient": 23}
    # 21 people have a response, 11 of them respond; 19 of their posts are usable: 40 observations.
    people = sessions.drop_duplicates("subject")
    assert people["response"].value_counts().to_dict() == {"responder": 11, "non-responder": 10}
    usable = sessions[sessions["response"].notna() & (sessions["visit"] == "post")]
    moved = "sub-" + usable["subject"] + "_ses-" + usable["session"] == trial.special["high motion"]
    assert 21 + (~moved).sum() == 40


def test_atlas_names_and_sets(trial):
    parcels = trial.atlas.parcels
    assert len(parcels) == 72
    assert parcels["network"].value_counts().to_dict() == {
        "Default": 18, "Subcortex": 14, "Vis": 10, "SomMot": 10, "SalVentAttn": 8, "Cont": 8,
        "Limbic": 4,
    }  # fmt: skip
    assert set(SGACC) <= set(trial.atlas.network("Default"))
    assert set(LIMBIC) <= set(trial.atlas.network("Subcortex"))
    assert len(LIMBIC) == 10
    labels, sizes = np.unique(trial.atlas.labels, return_counts=True)
    assert labels.tolist() == list(range(73))
    assert sizes.min() >= 8
    # Every label lies around the place that the table gives it.
    index, affine = np.argwhere(trial.atlas.labels == 9), trial.atlas.affine
    centre = (index @ affine[:3, :3].T + affine[:3, 3]).mean(axis=0)
    assert parcels["index"].iloc[8] == 9
    assert np.linalg.norm(centre - parcels[["x", "y", "z"]].iloc[8].to_numpy(dtype=float)) < 6


def test_response_is_the_madrs_rule(trial):
    scores = trial.phenotype["MADRS"].pivot(index="subject", columns="session", values="MADRS")
    fall = (scores["baseline"] - scores["week2"]) / scores["baseline"]
    by_rule = pd.Series(np.where(fall >= 0.5, "responder", "non-responder"), fall.index)[
        fall.notna()
    ]
    told = trial.truth_scans.groupby("subject")["response"].first().dropna()
    pd.testing.assert_series_equal(by_rule, told, check_names=False, check_dtype=False)
    assert scores.min().min() >= 0
    assert scores.max().max() <= 60


def test_dropouts_have_nothing_after_they_left(trial):
    scores = trial.phenotype["MADRS"]
    people = trial.participants.set_index("subject")["disposition"]
    for reason, sessions in {
        "withdrew during the infusion": {"baseline"},
        "lost after day 1": {"baseline", "day1"},
    }.items():
        (subject,) = people.index[people == reason]
        assert set(scores.loc[scores["subject"] == subject, "session"]) == sessions
        assert "post" not in {s.session for s in trial.scans if s.subject == subject}
    assert scores["MADRS"].isna().sum() == 1


def test_same_seed_same_trial_other_seed_another():
    one, same, other = (simulate_trial(SMALL, seed=seed) for seed in (7, 7, 8))
    pd.testing.assert_frame_equal(one.truth_scans, same.truth_scans, check_exact=True)
    pd.testing.assert_frame_equal(one.phenotype["MADRS"], same.phenotype["MADRS"])
    for a, b in zip(one.scans, same.scans, strict=True):
        assert np.array_equal(a.series.signal, b.series.signal)
        assert a.motion.equals(b.motion)
    assert not np.array_equal(one.scans[0].series.signal, other.scans[0].series.signal)
    first, again = next(one.images()), next(same.images())
    assert np.array_equal(first.data, again.data)


def test_truth_of_analyses_is_exact_where_nothing_varies():
    """Without variation over people and sessions every scan shows the planned effects exactly."""
    trial = simulate_trial(replace(SMALL, subject_sd=0.0, session_sd=0.0), seed=3)
    assert trial.n_repaired == 0
    z = trial.truth_scans[trial.truth_scans["name"].isin(SYSTEMS)]
    mean = z.groupby(["name", "visit", z["response"].fillna("none")])["fc_z"].mean()
    truth = trial.truth.set_index(["name", "model", "term"])["value"].sort_index()
    planned = {
        "Default": (0.08, -0.08, (120 * -0.01 + 32 * -0.03) / 153),
        "sgACC-Default": (0.12, -0.12, -0.03),
        "limbic": (0.08, -0.09, -0.07),
        "Visual": (0.0, 0.0, 0.0),
    }
    for name, (patients, responders, non_responders) in planned.items():
        control = mean[name, "control", "none"]
        pre = {r: mean[name, "pre", r] for r in ("responder", "non-responder")}
        change = {r: mean[name, "post", r] - pre[r] for r in pre}
        got = (pre["responder"] - control, change["responder"], change["non-responder"])
        assert got == pytest.approx((patients, responders, non_responders), abs=1e-12)
        model = truth[name, "time_by_response"]
        assert pre["responder"] == pytest.approx(pre["non-responder"], abs=1e-12)
        assert model["Intercept"] == pytest.approx(pre["responder"], abs=1e-12)
        assert model["time"] == pytest.approx(responders, abs=1e-12)
        assert model["time:response"] == pytest.approx(non_responders - responders, abs=1e-12)
        groups = truth[name, "patients_vs_controls"]
        assert groups["controls"] == pytest.approx(control, abs=1e-12)
        assert groups["before"] == pytest.approx(patients, abs=1e-12)


def test_truth_of_the_group_difference_after_follows_the_usable_scans(trial):
    """The share of responders among posts without the high-motion one weighs the two changes."""
    truth = trial.truth.set_index(["name", "model", "term"])["value"]["limbic"]
    post = trial.truth_scans[(trial.truth_scans["visit"] == "post")].drop_duplicates("subject")
    usable = post[
        "sub-" + post["subject"] + "_ses-" + post["session"] != trial.special["high motion"]
    ]
    share = (usable["response"] == "responder").mean()
    expected = 0.08 - 0.09 * share - 0.07 * (1 - share)
    assert truth["patients_vs_controls", "after"] == pytest.approx(expected, abs=1e-12)


def test_spread_over_people_and_sessions_is_as_stated():
    """Chi-square limits (99.9 %) for the variance of 300 true values; controls seen twice."""
    design = TrialDesign(
        n_patients=1, n_controls=300, n_second_baselines=0, n_posts=0, n_repeat_controls=300,
        n_dropouts=0, n_responders=0, n_runs=1, n_frames=20, n_imaged=0,
    )  # fmt: skip
    trial = simulate_trial(design, seed=5)
    truth = trial.truth.set_index(["name", "model", "term"])["value"]
    wide = true_z(trial, "fc_z")[list(SYSTEMS)].drop("101").unstack("session")
    for name in SYSTEMS:
        session = (wide[name]["1"] - wide[name]["2"]).std() / np.sqrt(2)
        total = wide[name]["1"].std()
        subject_sd, session_sd = (
            truth[name, "time_by_response", f"sd_{part}"] for part in ("subject", "session")
        )
        assert session == pytest.approx(session_sd, rel=0.14)
        assert total == pytest.approx(np.hypot(subject_sd, session_sd), rel=0.14)
        icc = truth[name, "reliability", "icc"]
        assert icc == pytest.approx(subject_sd**2 / (subject_sd**2 + session_sd**2), rel=1e-12)


def test_a_very_long_scan_shows_its_truth():
    """Within 4 standard errors: 30,000 frames carry about 14,000 independent ones (SE .0085)."""
    design = TrialDesign(
        n_patients=1, n_controls=1, n_second_baselines=0, n_posts=1, n_repeat_controls=0,
        n_dropouts=0, n_responders=1, n_runs=1, n_frames=30_000, n_imaged=1,
    )  # fmt: skip
    trial = simulate_trial(design, seed=11)
    truth = true_z(trial)
    for scan in trial.scans:
        if f"sub-{scan.subject}_ses-{scan.session}" in trial.special.values():
            continue
        found = four_systems(replace(scan.series, kept=still(scan)), trial)
        expected = truth.loc[(scan.subject, scan.session)]
        for name, value in found.items():
            assert value == pytest.approx(expected[name], abs=4 * 0.0085)
            assert value != pytest.approx(expected[name], abs=1e-12)


def test_impossible_plans_are_repaired_and_their_truth_told():
    """Blocks that both follow a third cannot oppose each other; told is what was drawn."""
    effects = (
        Effect(blocks=("Default", "Vis"), patients=0.9, responders=0.0, non_responders=0.0),
        Effect(blocks=("Default", "Cont"), patients=0.9, responders=0.0, non_responders=0.0),
        Effect(blocks=("Vis", "Cont"), patients=-0.9, responders=0.0, non_responders=0.0),
    )
    design = TrialDesign(
        n_patients=1, n_controls=1, n_second_baselines=0, n_posts=0, n_repeat_controls=0,
        n_dropouts=0, n_responders=0, n_runs=1, n_frames=30_000, n_imaged=1, effects=effects,
    )  # fmt: skip
    trial = simulate_trial(design, seed=2)
    assert trial.n_repaired == 1
    scan = trial.scans[0]
    found = network_fc(
        correlate_parcels(replace(scan.series, kept=still(scan))),
        between=(trial.atlas.network("Default"), trial.atlas.network("Vis")),
    )
    told = true_z(trial).loc[(scan.subject, scan.session), "Default-Vis"]
    assert told < 0.8  # 0.92 was planned
    assert found == pytest.approx(told, abs=4 * 0.0085)


@pytest.mark.parametrize("seed", range(5))
def test_the_default_plan_is_always_possible(seed):
    """240 seeds needed no repair; five are tried here."""
    design = TrialDesign(n_runs=1, n_frames=20, n_imaged=0)
    assert simulate_trial(design, seed=seed).n_repaired == 0


def test_short_scans_are_right_on_average(trial):
    """Errors of 188 runs' sessions average to 0: mean within 4 SE, SD as 300 frames give it."""
    truth = true_z(trial)
    errors = []
    for subject, session in truth.index:
        if f"sub-{subject}_ses-{session}" == trial.special["high motion"]:
            continue
        runs = [s for s in trial.scans if (s.subject, s.session) == (subject, session)]
        series = [replace(s.series, kept=still(s)) for s in runs]
        found = four_systems(series, trial)
        errors.append([found[name] - truth.loc[(subject, session), name] for name in SYSTEMS])
    mean, sd = np.mean(errors, axis=0), np.std(errors, axis=0)
    assert np.abs(mean).max() < 4 * sd.max() / np.sqrt(len(errors))
    assert (sd > 0.02).all()
    assert (sd < 0.06).all()


def test_band_limited_series_have_unit_variance_and_the_stated_band():
    """Power spectrum of a Butterworth band-pass, order 2: half at the corners, 0 at frequency 0."""
    x = draw_band_limited(4000, 50, repetition_time_s=2.0, rng=np.random.default_rng(0))
    assert x.var() == pytest.approx(1.0, rel=0.01)
    frequency = np.fft.rfftfreq(4000, 2.0)
    power = (np.abs(np.fft.rfft(x, axis=0)) ** 2).mean(axis=1)

    def near(f):
        return power[np.abs(frequency - f) < 0.004].mean()

    plateau = near(0.03)
    assert near(0.08) / plateau == pytest.approx(0.5, abs=0.1)
    assert near(0.2) / plateau < 0.05
    assert power[frequency < 0.002].mean() / plateau < 0.02


def test_motion_states_its_own_displacement(trial):
    for scan in trial.scans[::19]:
        fd = framewise_displacement(scan.motion.iloc[:, :6].to_numpy())
        assert np.array_equal(fd, scan.motion["framewise_displacement"], equal_nan=True)
    quiet = [s.motion["framewise_displacement"].median() for s in trial.scans]
    assert 0.05 < np.median(quiet) < 0.12


def test_one_session_moves_too_much(trial):
    """At 0.5 mm it keeps less than 4 of its 10 minutes; every other session keeps more than 8."""
    minutes: dict[str, float] = {}
    for scan in trial.scans:
        name = f"sub-{scan.subject}_ses-{scan.session}"
        minutes[name] = minutes.get(name, 0.0) + still(scan).sum() * 2.0 / 60
    assert minutes.pop(trial.special["high motion"]) < 4
    assert min(minutes.values()) > 8


def test_motion_inflates_only_the_frames_that_move(trial):
    """Censored at 0.5 mm the moving session shows its truth (4 SE of 70 frames), else more."""
    scans = [
        s for s in trial.scans if f"sub-{s.subject}_ses-{s.session}" == trial.special["high motion"]
    ]
    truth = true_z(trial).loc[(scans[0].subject, scans[0].session)]
    everything = four_systems([s.series for s in scans], trial)
    censored = four_systems([replace(s.series, kept=still(s)) for s in scans], trial)
    for name in SYSTEMS:
        assert everything[name] > truth[name] + 0.3
        assert censored[name] == pytest.approx(truth[name], abs=4 * 0.12)


def test_one_session_lacks_the_top_of_the_head(trial):
    """The general rule for weak parcels finds just these, and the truth knows of them."""
    top = list(trial.atlas.parcels.index[trial.atlas.parcels["z"] > 56])
    assert len(top) == 6
    for scan in trial.scans:
        name = f"sub-{scan.subject}_ses-{scan.session}"
        weak = find_weak_parcels(scan.series)
        assert list(weak["parcel"]) == (top if name == trial.special["weak parcels"] else [])
    told = trial.truth_scans
    scan_name = "sub-" + told["subject"] + "_ses-" + told["session"]
    differs = ~np.isclose(told["fc_z"], told["fc_z_covered"], rtol=0, atol=1e-12)
    assert (scan_name[differs] == trial.special["weak parcels"]).all()
    assert told.loc[differs, "name"].str.contains("SomMot").all()
    one = told[differs & (told["name"] == "SomMot-SomMot")].iloc[0]
    # 10 parcels, 6 of them empty: 6 of 45 edges are left, and all others are 0.
    assert one["fc_z"] == pytest.approx(one["fc_z_covered"] * 6 / 45, rel=1e-12)


def test_an_image_gives_its_series_back_once_denoised(trial):
    """36 parameters and cosines leave what they leave of the series; FC is inflated without."""
    scan = next(s for s in trial.scans if s.subject in trial.imaged)
    image = simulate_image(scan, trial.atlas)
    voxels = image.data[image.mask].T.astype(float)
    labels = trial.atlas.labels[image.mask]
    parcels = np.stack([voxels[:, labels == i].mean(axis=1) for i in range(1, 73)], axis=1)
    kept = still(scan)
    kept[0] = False  # before the steady state
    stems = ("trans", "rot", "csf", "white_matter", "global_signal")
    confounds = image.confounds.fillna(0.0)
    nuisance = confounds[[c for c in confounds if c.startswith(stems)]]
    assert nuisance.shape[1] == 36
    cosines = confounds[[c for c in confounds if c.startswith("cosine")]]
    columns = np.column_stack([nuisance, cosines])[kept]
    columns = np.column_stack([np.ones(kept.sum()), columns / np.abs(columns).max(axis=0)])
    q, _ = np.linalg.qr(columns)

    def clean(signal):
        return signal - q @ (q.T @ signal)

    found, expected = clean(parcels[kept]), clean(scan.series.signal[kept])
    r = [np.corrcoef(found[:, i], expected[:, i])[0, 1] for i in range(72)]
    assert min(r) > 0.93
    assert np.std(found) == pytest.approx(np.std(expected), rel=0.1)
    raw = replace(scan.series, signal=parcels, kept=kept)
    denoised = replace(scan.series, signal=found, kept=np.ones(kept.sum(), dtype=bool))
    truth = true_z(trial).loc[(scan.subject, scan.session)]
    for name in SYSTEMS:
        assert four_systems(raw, trial)[name] > truth[name] + 0.1
        # 41 of 147 frames went into the regression: 4 SE of the rest, and the global signal's part.
        assert four_systems(denoised, trial)[name] == pytest.approx(truth[name], abs=0.25)


def test_confounds_describe_the_image(trial):
    image = next(trial.images())
    voxels = image.data[image.mask].astype(float)
    confounds = image.confounds
    assert image.data.dtype == np.int16
    assert not image.data[~image.mask].any()
    assert confounds["global_signal"].to_numpy() == pytest.approx(voxels.mean(axis=0), rel=1e-12)
    steps = np.sqrt((np.diff(voxels, axis=1) ** 2).mean(axis=0))
    assert confounds["dvars"].to_numpy()[1:] == pytest.approx(steps, rel=1e-12)
    assert confounds["trans_y_derivative1"].isna().tolist() == [True] + [False] * 149
    assert confounds["non_steady_state_outlier00"].tolist() == [1.0] + [0.0] * 149
    cosines = confounds.filter(like="cosine").to_numpy()
    assert cosines.T @ cosines == pytest.approx(np.eye(4), abs=1e-12)


def test_images_are_of_people_without_oddities(trial):
    assert len(trial.imaged) == 3
    odd = " ".join(trial.special[k] for k in ("high motion", "weak parcels"))
    assert not any(f"sub-{subject}" in odd for subject in trial.imaged)
    groups = trial.participants.set_index("subject").loc[list(trial.imaged), "group"]
    assert sorted(groups) == ["control", "patient", "patient"]


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_possible_design_is_simulated_as_asked(data):
    """Law: counts of people, sessions and runs follow from the design, down to one patient."""

    def number(low, high):
        return data.draw(st.integers(low, high))

    n_patients, n_controls = number(1, 5), number(0, 4)
    n_dropouts = number(0, n_patients - 1)
    stay = n_patients - n_dropouts
    design = TrialDesign(
        n_patients=n_patients,
        n_controls=n_controls,
        n_dropouts=n_dropouts,
        n_second_baselines=number(0, n_patients),
        n_posts=number(0, stay),
        n_responders=number(0, stay),
        n_repeat_controls=number(0, n_controls),
        n_runs=number(1, 2),
        n_frames=number(20, 30),
        n_imaged=number(0, n_patients + n_controls),
    )
    trial = simulate_trial(design, seed=number(0, 10_000))
    runs = pd.Series([s.session for s in trial.scans]).value_counts().to_dict()
    expected = {
        "pre1": n_patients,
        "pre2": design.n_second_baselines,
        "post": design.n_posts,
        "1": n_controls,
        "2": design.n_repeat_controls,
    }
    assert runs == {k: n * design.n_runs for k, n in expected.items() if n}
    assert len(trial.imaged) == len(set(trial.imaged)) == design.n_imaged
    told = trial.truth_scans.groupby("subject")["response"].first()
    assert (told == "responder").sum() == design.n_responders
    assert told.notna().sum() == stay
    assert {s.series.signal.shape for s in trial.scans} == {(design.n_frames, 72)}


def test_a_contradictory_design_is_refused_with_every_reason():
    with pytest.raises(InputError) as caught:
        TrialDesign(
            n_posts=30,
            n_runs=0,
            repetition_time_s=0.0,
            effects=(
                Effect(blocks=("Defualt", "Vis"), patients=0.1, responders=0.0, non_responders=0.0),
            ),
        )
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    for word in ("n_posts is 30", "up to 21", "n_runs is 0", "repetition_time_s", "Defualt"):
        assert word in text
