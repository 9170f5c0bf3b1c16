"""A run from files to results: the numbers, what is written, resuming, and what is left out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from connectrial import load_results, load_study, plan_study, run_plan
from connectrial.errors import InputError
from tiny import PARCELS, series_path, write_series, write_tiny


def run(study: Path, out: Path, *, asked: tuple[str, ...] | None = None, **options):
    """Run a study; of its analyses only those that a test asks about, where it names them."""
    plan = plan_study(load_study(study))
    if asked is not None:
        kept = tuple(one for one in plan.analyses if one.name in asked)
        assert len(kept) == len(asked)
        plan = replace(plan, analyses=kept)
    return run_plan(plan, out, **options)


def group_bytes(out: Path) -> dict[str, bytes]:
    """Return every file of the results by name, content and all."""
    files = [p for p in out.rglob("*") if p.is_file()]
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(files)}


def expected_fc(
    data: Path, subject: str, session: str, first: list[int], second: list[int]
) -> float:
    """Mean Fisher z over the pairs of two lists of columns, each pair once, written out."""
    series = np.loadtxt(series_path(data, subject, session), skiprows=1)
    z = np.arctanh(np.corrcoef(series.T) - np.eye(len(PARCELS)))
    pairs = {tuple(sorted((a, b))) for a in first for b in second if a != b}
    return float(np.mean([z[a, b] for a, b in pairs]))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The tiny study run once, to be read and not to be written into: (study, out, results)."""
    folder = tmp_path_factory.mktemp("plain")
    study = write_tiny(folder / "tiny")
    return study, folder / "out", run(study, folder / "out")


def test_network_fc_is_the_mean_of_its_edges(plain):
    tiny, _, results = plain
    table = results.tables["network_fc"].set_index(["subject", "session", "outcome"])["fc_z"]
    default = [i for i, name in enumerate(PARCELS) if "Default" in name]
    visual = [i for i, name in enumerate(PARCELS) if "Vis" in name]
    amygdala = [i for i, name in enumerate(PARCELS) if "AMY" in name]
    data = tiny.parent / "data"
    for subject, session in [("01", "a"), ("04", "b"), ("12", "a")]:
        # Matrices are stored with 9 digits, so z is good to about 1e-8.
        for outcome, first, second in [
            ("Default", default, default),
            ("Visual", visual, visual),
            ("Amygdala to Default", amygdala, default),
        ]:
            expected = expected_fc(data, subject, session, first, second)
            assert table[subject, session, outcome] == pytest.approx(expected, abs=2e-8)


def test_people_scans_and_numbers(plain):
    _, _, results = plain
    subjects = results.tables["subjects"].set_index("subject")
    assert not subjects.loc["05", "included"]
    assert subjects.loc["05", "reason"] == "arm is not stated"
    scans = results.tables["scans"]
    assert len(scans) == 23  # 12 people, 2 scans each, one of 03 missing
    assert scans["included"].sum() == 23
    assert scans["analysed"].sum() == 21  # both of 05 are usable, but 05 has no arm
    availability = results.tables["availability"].set_index(["subject", "visit", "what"])
    assert availability.loc[("03", "after", "scan"), "state"] == "missing"
    flow = results.tables["flow"].set_index("box")
    assert flow.loc["Analysed", "n_subjects"] == 11
    assert flow.loc["Analysed", "left_out"] == "1 person: arm is not stated"
    assert flow.loc["Scan at after", "left_out"] == "1 person: no scan on disk"
    primary = results.estimates.query("analysis == 'Default' and declared and family == 'primary'")
    assert primary["n_subjects"].tolist() == [11]
    assert primary["n_observations"].tolist() == [21]


def test_rows_follow_the_schema_and_the_family_adds_up(plain):
    estimates = plain[2].estimates
    family = estimates.query("family == 'primary'")
    assert len(family) == 2
    assert family["family_size"].tolist() == [2, 2]
    p = np.sort(family["p"])
    assert np.sort(family["p_adjusted"]) == pytest.approx(
        np.maximum.accumulate(np.minimum(p * [2, 1], 1))  # Holm, by hand
    )
    tests = estimates.query("analysis == 'Default' and term == 'visit[after]:arm[drug]'")
    assert set(tests["df_method"]) == {"satterthwaite", "kenward-roger", "residual"}
    assert tests["declared"].sum() == 1
    assert (tests.set_index("df_method").loc["residual", "df"]) == 21 - 4
    assert (
        estimates["p"].isna() | (estimates["df_method"] != "") | (estimates["statistic_name"] == "")
    ).all()
    clinical = estimates.query("analysis == 'MADRS' and declared and kind == 'coefficient'")
    assert len(clinical) == 4
    proportions = estimates.query("analysis == 'response'")
    assert {"response", "response, placebo", "response, drug", "drug - placebo"} == set(
        proportions["term"]
    )


def test_every_edge_alone_gives_the_map(plain):
    from connectrial import fit_mixed

    _, out, results = plain
    edges = results.edges["Every edge"]
    assert len(edges) == len(PARCELS) * (len(PARCELS) - 1) // 2
    one = edges.iloc[17]
    rows = []
    for scan in results.tables["scans"].query("analysed").itertuples():
        path = next((out / f"sub-{scan.subject}" / f"ses-{scan.session}").rglob("*relmat.tsv"))
        matrix = pd.read_csv(path, sep="\t", index_col=0)
        arm = results.tables["subjects"].set_index("subject").loc[scan.subject, "arm"]
        z = np.arctanh(matrix.loc[one["parcel_a"], one["parcel_b"]])
        rows.append({"subject": scan.subject, "visit": scan.visit, "arm": arm, "fc_z": z})
    data = pd.DataFrame(rows)
    data["visit"] = pd.Categorical(data["visit"], ["before", "after"])
    data["arm"] = pd.Categorical(data["arm"], ["placebo", "drug"])
    fit = fit_mixed("fc_z ~ visit * arm + (1 | subject)", data)
    expected = fit.estimates.loc["visit[after]:arm[drug]"]
    for column in ("estimate", "se", "df", "statistic", "p"):
        assert one[column] == pytest.approx(expected[column], rel=1e-5)


def test_the_list_of_files(plain):
    names = set(group_bytes(plain[1]))
    group = {name.removeprefix("group/") for name in names if name.startswith("group/")}
    tables = [
        "subjects",
        "scans",
        "flow",
        "availability",
        "network_fc",
        "visit_fc",
        "scores",
        "score_means",
        "endpoints",
        "quality",
        "region_quality",
        "parcels",
        "scan_files",
        "baseline",
        "imaging_flow",
        "means",
        "residuals",
        "influence",
        "results",
        "edges/every-edge",
        "matrices/before",
        "matrices/after",
    ]
    assert group == {f"{name}.{ending}" for name in tables for ending in ("tsv", "json")}
    stem = "sub-01/ses-a/func/sub-01_ses-a_task-rest_space-X"
    for name in (
        "dataset_description.json",
        "plan.json",
        f"{stem}_atlas-Tiny_stat-pearsoncorrelation_relmat.tsv",
        f"{stem}_atlas-Tiny_stat-pearsoncorrelation_relmat.json",
        f"{stem}_desc-connectrial_qc.tsv",
    ):
        assert name in names
    assert len(names - {f"group/{one}" for one in group}) == 2 + 5 * 23


def test_results_load_as_they_were_saved(plain):
    _, out, saved = plain
    loaded = load_results(out)
    pd.testing.assert_frame_equal(saved.estimates, loaded.estimates, rtol=0, atol=0)
    assert saved.plan["hash"] == loaded.plan["hash"]
    assert [one.name for one in saved.analyses] == [one.name for one in loaded.analyses]
    assert loaded["Default"].design["reference_levels"] == {"visit": "before", "arm": "placebo"}
    assert json.loads((out / "group/results.json").read_text())["Plan"]["seed"] == 1


def test_one_and_two_processes_and_a_rerun_write_the_same_bytes(plain, tmp_path):
    study, out, _ = plain
    run(study, tmp_path / "two", n_jobs=2)
    first = group_bytes(out)
    assert first == group_bytes(tmp_path / "two")
    run(study, tmp_path / "two", n_jobs=1)
    assert first == group_bytes(tmp_path / "two")


def test_two_halves_make_the_whole(plain, tmp_path):
    study, out, _ = plain
    assert run(study, tmp_path / "halves", level="participant") is None
    run(study, tmp_path / "halves", level="group")
    assert group_bytes(out) == group_bytes(tmp_path / "halves")


def test_the_group_level_alone_names_what_is_missing(tiny, tmp_path):
    with pytest.raises(InputError, match="23 of 23 sessions have no FC matrix"):
        run(tiny, tmp_path / "out", level="group")


def test_only_what_changed_is_done_again(plain, tmp_path):
    out, tiny = tmp_path / "out", tmp_path / "tiny" / "study.toml"
    shutil.copytree(plain[0].parent, tiny.parent)
    shutil.copytree(plain[1], out)
    times = {p: p.stat().st_mtime_ns for p in out.rglob("*relmat.tsv")}
    rng = np.random.default_rng(0)
    write_series(series_path(tiny.parent / "data", "02", "a"), rng.normal(size=(40, len(PARCELS))))
    run(tiny, out)
    again = {p.name for p, before in times.items() if p.stat().st_mtime_ns != before}
    assert again == {"sub-02_ses-a_task-rest_space-X_atlas-Tiny_stat-pearsoncorrelation_relmat.tsv"}
    fresh = tmp_path / "fresh"
    run(tiny, fresh)
    assert group_bytes(out) == group_bytes(fresh)


def test_a_damaged_output_is_made_again(plain, tmp_path):
    study, undisturbed, _ = plain
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    next(out.rglob("sub-01*relmat.tsv")).write_text("Node\tA\nA\t1\n")
    assert group_bytes(out) != group_bytes(undisturbed)
    run(study, out)
    assert group_bytes(out) == group_bytes(undisturbed)


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path):
    """kill -9 in the middle of the participant level, at several moments."""
    study = write_tiny(tmp_path / "tiny", n_frames=200)
    undisturbed = tmp_path / "undisturbed"
    run(study, undisturbed, asked=())  # no model is fitted before the kill, and none after it
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "connectrial", "run", str(study), str(out)]
    for wanted in (3, 11):
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            until = time.monotonic() + 60
            while time.monotonic() < until and process.poll() is None:
                if sum(1 for _ in out.rglob("*relmat.json")) >= wanted:
                    break
                time.sleep(0.002)
            os.killpg(process.pid, signal.SIGKILL)
    done = sum(1 for _ in out.rglob("*relmat.json"))
    assert 3 <= done < 23, "the kill must come in the middle"
    assert not (out / "group" / "results.json").exists()
    run(study, out, asked=())
    found = group_bytes(out)
    assert str(study) in found.pop("logs/command.json").decode()  # the command's own note
    assert found == group_bytes(undisturbed)


def test_a_series_with_other_parcels_is_shown_and_the_rest_goes_on(tiny, tmp_path):
    data = tiny.parent / "data"
    path = series_path(data, "02", "b")
    swapped = [PARCELS[1], PARCELS[0], *PARCELS[2:]]
    write_series(path, np.random.default_rng(1).normal(size=(40, len(PARCELS))), swapped)
    broken = series_path(data, "04", "b")
    broken.write_text(broken.read_text().replace("\n", "\nx", 3))
    results = run(tiny, tmp_path / "out", asked=("Default", "Amygdala to Default"))
    reasons = results.tables["scans"].set_index(["subject", "session"])["reason"]
    assert "the same parcels in another order: column 1 is 'LH_Default_2'" in reasons["02", "b"]
    assert reasons["04", "b"] != ""
    assert results.tables["scans"]["analysed"].sum() == 19
    primary = results.estimates.query("analysis == 'Default' and family == 'primary'")
    assert primary["n_observations"].tolist() == [19]
    availability = results.tables["availability"].set_index(["subject", "visit", "what"])["state"]
    assert availability["02", "after", "scan"] == "excluded"
    assert availability["04", "after", "scan"] == "excluded"


def test_weak_parcels_are_flagged_or_left_out(tiny, tmp_path):
    path = series_path(tiny.parent / "data", "02", "a")
    series = np.loadtxt(path, skiprows=1)
    series[:, 0] = np.random.default_rng(2).normal(size=len(series))  # mean 0 where others have 500
    write_series(path, series)
    flagged = run(tiny, tmp_path / "flag", asked=("Default", "Amygdala to Default"))
    weak = flagged.tables["weak_parcels"]
    assert weak[["subject", "session", "parcel", "action"]].to_numpy().tolist() == [
        ["02", "a", PARCELS[0], "flagged, still used"]
    ]
    assert (flagged.tables["network_fc"]["n_missing"] == 0).all()
    study = tiny.parent / "exclude.toml"
    study.write_text('extends = "study.toml"\n[coverage]\naction = "exclude"\n')
    results = run(study, tmp_path / "exclude", asked=("Default", "Amygdala to Default"))
    table = results.tables["network_fc"].set_index(["subject", "session", "outcome"])
    here = table.loc[("02", "a", "Default")]
    assert (here["n_missing"], here["missing_parcels"]) == (5, PARCELS[0])  # 5 of 15 edges
    rest = [i for i, name in enumerate(PARCELS) if "Default" in name and i > 0]
    expected = expected_fc(tiny.parent / "data", "02", "a", rest, rest)
    assert here["fc_z"] == pytest.approx(expected, abs=2e-8)


def test_exclusions_by_decision_appear_with_their_reason(tiny, tmp_path):
    study = tiny.parent / "less.toml"
    study.write_text(
        'extends = "study.toml"\n'
        '[[exclude]]\nsubject = "sub-01"\nreason = "withdrew consent"\n'
        '[[exclude]]\nsubject = "02"\nsession = "b"\nreason = "fell asleep"\n'
    )
    results = run(study, tmp_path / "out", asked=())
    subjects = results.tables["subjects"].set_index("subject")
    assert subjects.loc["01", "reason"] == "withdrew consent"
    scans = results.tables["scans"].set_index(["subject", "session"])
    assert scans.loc[("02", "b"), "reason"] == "fell asleep"
    assert not scans.loc[("02", "b"), "included"]
    assert "1 scan: fell asleep" in results.tables["flow"]["left_out"].tolist()[1]


def test_a_foreign_folder_is_left_alone(tiny, tmp_path):
    out = tmp_path / "photos"
    out.mkdir()
    (out / "cat.jpg").write_text("x")
    with pytest.raises(InputError, match=r"holds files that are not connectrial's \(cat.jpg"):
        run(tiny, out)
    assert [p.name for p in out.iterdir()] == ["cat.jpg"]


def test_censoring_uses_the_motion_table(tiny, tmp_path):
    data = tiny.parent / "data"
    for path in data.rglob("*timeseries.tsv"):
        name = path.name.split("_space-")[0] + "_motion.tsv"
        fd = np.full(40, 0.1)
        fd[5:10] = 0.9
        if "sub-02_ses-b" in name:
            fd[:] = 0.9
        rows = ["framewise_displacement", "n/a", *(f"{x:.2f}" for x in fd[1:])]
        (path.parent / name).write_text("\n".join(rows) + "\n")
    study = tiny.parent / "censored.toml"
    study.write_text(
        'extends = "study.toml"\n[data]\nrepetition_time_s = 3.0\n'
        "[censoring]\nmax_fd_mm = 0.5\nmin_kept_minutes = 1.0\n"
    )
    results = run(study, tmp_path / "out", asked=())
    scans = results.tables["scans"].set_index(["subject", "session"])
    assert scans.loc[("01", "a"), "kept_frames"] == 35
    assert scans.loc[("01", "a"), "kept_minutes"] == pytest.approx(1.75)
    assert "fewer than 3 frames" in scans.loc[("02", "b"), "reason"]
    series = np.loadtxt(series_path(data, "01", "a"), skiprows=1)
    kept = np.r_[0:5, 10:40]
    r = np.corrcoef(series[kept].T)
    matrix = pd.read_csv(
        next((tmp_path / "out/sub-01/ses-a").rglob("*relmat.tsv")), sep="\t", index_col=0
    )
    assert matrix.to_numpy() == pytest.approx(r, abs=1e-8)


def test_a_rule_that_needs_minutes_is_not_assessable_without_a_repetition_time(tiny, tmp_path):
    study = tiny.parent / "minutes.toml"
    study.write_text('extends = "study.toml"\n[censoring]\nmin_kept_minutes = 4.0\n')
    plan = plan_study(load_study(study))
    assert any("min_kept_minutes is not assessable" in warning for warning in plan.warnings)
    assert plan.people.scans["included"].all()


def test_ready_made_matrices_give_the_same_answer_as_their_series(plain, tmp_path):
    tiny, out, results = plain
    data = tmp_path / "matrices" / "data"
    for path in out.rglob("*relmat.tsv"):
        target = data / path.relative_to(out)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copy(tiny.parent / "data/participants.tsv", data)
    shutil.copytree(tiny.parent / "data/phenotype", data / "phenotype")
    study = tmp_path / "matrices" / "study.toml"
    study.write_text(tiny.read_text().replace('kind = "time series"', 'kind = "matrices"'))
    again = run(study, tmp_path / "again", asked=())
    pd.testing.assert_frame_equal(
        results.tables["network_fc"], again.tables["network_fc"], rtol=0, atol=1e-12
    )


def test_a_covariance_between_visits_is_an_mmrm(tiny, tmp_path):
    """The run's row is fit_mmrm's on the same values; Kenward-Roger and residual df stand beside it."""
    from connectrial.stats.mmrm import fit_mmrm

    study = tiny.parent / "mmrm.toml"
    study.write_text('extends = "study.toml"\n[model.change]\ncovariance = "us(visit | subject)"\n')
    text = tiny.read_text().replace('random = ["1 | subject"]\n', "")
    tiny.write_text(text)
    results = run(study, tmp_path / "out", asked=("Default", "Amygdala to Default"))
    values = results.tables["visit_fc"].query("outcome == 'Default'").copy()
    values = values[values["arm"].notna()]
    values["arm"] = pd.Categorical(values["arm"], ["placebo", "drug"])
    values["visit"] = pd.Categorical(values["visit"].astype(str), ["before", "after"], ordered=True)
    fit = fit_mmrm("fc_z ~ visit * arm + us(visit | subject)", values)
    rows = results.estimates.query("analysis == 'Default' and term == 'visit[after]:arm[drug]'")
    assert set(rows["df_method"]) == {"satterthwaite", "kenward-roger", "residual"}
    for row in rows.to_dict("records"):
        expected = fit.with_df(row["df_method"]).estimates.loc["visit[after]:arm[drug]"]
        for column in ("estimate", "se", "df", "p"):
            assert row[column] == pytest.approx(expected[column], rel=1e-6)
    assert "unstructured covariance between visits" in results["Default"].methods
    variances = results.estimates.query("analysis == 'Default' and kind == 'variance'")
    assert len(variances) == 3  # two variances and a covariance


def test_edges_by_permutation(tiny, tmp_path):
    study = tiny.parent / "permuted.toml"
    methods = {"max": "", "tfnbs": "", "nbs-extent": "threshold = 1.5\n"}
    study.write_text(
        'extends = "study.toml"\n'
        + "".join(
            f'[[exploration]]\nname = "{name}"\nmodel = "change"\ntest = "visit:arm"\n'
            f'method = "{name}"\nn_permutations = 99\n{more}'
            for name, more in methods.items()
        )
    )
    results = run(study, tmp_path / "out", asked=tuple(methods))
    again = run(study, tmp_path / "again", asked=tuple(methods))
    for name in methods:
        edges = results.edges[name]
        assert len(edges) == 66
        assert (edges["p_adjusted"] >= 1 / 100).all()
        assert (edges["p_adjusted"] <= 1).all()
        row = results.estimates.query(f"analysis == '{name}' and adjustment != ''").iloc[0]
        assert "99 permutations, seed 1" in row["adjustment"]
        pd.testing.assert_frame_equal(edges, again.edges[name])
    edges = results.edges["max"]
    # The largest statistic has the smallest adjusted p, and no adjusted p lies below its own.
    assert edges["p_adjusted"].idxmin() in edges["statistic"].abs().nlargest(3).index
    assert (edges["p_adjusted"] >= edges["p"] - 0.05).all()


def test_blocks_of_edges_by_permutation(tiny, tmp_path):
    """Each block is permute_networks' own; an edge bears its block's p; a covariance is permuted too."""
    study = tiny.parent / "blocks.toml"
    study.write_text(
        'extends = "study.toml"\n[[exploration]]\nname = "Blocks"\nmodel = "free"\ntest = "visit:arm"\n'
        'method = "networks"\nn_permutations = 99\n[model.free]\nfixed = ["visit", "arm", "visit:arm"]\n'
        'covariance = "us(visit | subject)"\n'
    )
    results = run(study, tmp_path / "out", asked=("Blocks",))
    edges = results.edges["Blocks"]
    labels = list(edges["block"].astype("object").where(edges["block"].notna(), None))
    rows = results.estimates.query("analysis == 'Blocks' and statistic_name == 'z'")
    assert len(rows) == len({name for name in labels if name is not None})
    p_of = {
        term.rsplit(" (", 1)[0]: p for term, p in zip(rows["term"], rows["p_adjusted"], strict=True)
    }
    known = [i for i, name in enumerate(labels) if name is not None]
    assert edges["p_adjusted"].iloc[known].to_list() == [p_of[labels[i]] for i in known]
    n_edges = pd.Series(labels).value_counts()
    assert all(f"({n_edges[name]} edges)" in t for name, t in zip(p_of, rows["term"], strict=True))
    assert (rows["p_adjusted"] >= rows["p"] - 1e-12).all()
    assert "of the mixed model, its variances held (networks)" in results["Blocks"].methods


def test_a_model_that_cannot_be_permuted_whole_says_so(tiny, tmp_path):
    """A visit is exchanged within people, which a free covariance does not allow: linear, and said."""
    study = tiny.parent / "linear.toml"
    study.write_text(
        'extends = "study.toml"\n[[exploration]]\nname = "Edges"\nmodel = "free"\ntest = "visit"\n'
        'method = "max"\nn_permutations = 49\n[model.free]\nfixed = ["visit"]\n'
        'covariance = "us(visit | subject)"\n'
    )
    results = run(study, tmp_path / "out", asked=("Edges",))
    notes = [
        note for note in results["Edges"].notes if note.startswith("permuted as a linear model")
    ]
    assert len(notes) == 1
    assert "of the linear model (max)" in results["Edges"].methods


@pytest.mark.parametrize(
    ("df", "n_subjects", "said"),
    [
        ("residual", 12, "residual df are too liberal for a random intercept with 20 people"),
        (
            "satterthwaite",
            9,
            "satterthwaite df are too liberal for a random intercept with 10 people or fewer and "
            "missing visits",
        ),
        ("satterthwaite", 14, None),
        ("kenward-roger", 9, None),
        ("residual", 30, None),
    ],
)
def test_degrees_of_freedom_that_simulation_found_wanting_are_warned_about(
    tmp_path, df, n_subjects, said
):
    study = write_tiny(tmp_path / "tiny", n_subjects=n_subjects)
    study.write_text(study.read_text().replace('df = "satterthwaite"', f'df = "{df}"'))
    plan = plan_study(load_study(study))
    notes = [note for note in plan.analyses[0].notes if "liberal" in note]
    assert (notes == []) if said is None else (said in notes[0])


def test_few_degrees_of_freedom_are_said(tmp_path):
    study = write_tiny(tmp_path / "few", n_subjects=7)
    estimates = run(study, tmp_path / "out", asked=("Default", "Amygdala to Default")).estimates
    few = estimates[(estimates["df"] < 10) & (estimates["df_method"] != "")]
    assert len(few)
    assert few["flags"].str.contains("fewer than 10 degrees of freedom").all()
