"""A drafted study file is valid, runs where the data allow, and says what it guessed."""

from __future__ import annotations

import json
import re
import tomllib
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.errors import InputError
from connectrial.io.dataset import write_dataset
from connectrial.plan import Plan
from connectrial.run.draft_people import guess_people
from connectrial.run.draft_scales import draft_scales
from connectrial.run.draft_text import StudyText, quoted, toml_key
from connectrial.run.draft_visits import (
    AFTER,
    BASELINE,
    COURSE,
    FOLLOW_UP,
    SCREENING,
    draft_visits,
    find_codes,
    find_periods,
    read_session_label,
)
from connectrial.run.drafting import Draft, draft_study
from connectrial.run.surveying import plan_study
from connectrial.simulate import TrialDesign, simulate_trial
from connectrial.study import Study
from connectrial.study_file import load_study

NAMES = ("LH_Default_PFC_1", "RH_Default_PFC_1", "LH_Vis_1", "RH_Vis_1", "LH_Cont_1", "AMY-lh")


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def put_table(path: Path, rows: list[dict[str, object]]) -> Path:
    text = pd.DataFrame(rows).to_csv(sep="\t", index=False, na_rep="n/a")
    return put(path, text)


def put_series(
    root: Path,
    subject: str,
    session: str | None,
    *,
    names: tuple[str, ...] = NAMES,
    task: str = "rest",
    atlas: str = "Small",
    space: str = "MNI152NLin6Asym",
) -> Path:
    ses = "" if session is None else f"_ses-{session}"
    folder = root / f"sub-{subject}" / (f"ses-{session}" if session is not None else "") / "func"
    stem = f"sub-{subject}{ses}_task-{task}_space-{space}_atlas-{atlas}_stat-mean_timeseries"
    rng = np.random.default_rng(zlib.crc32(f"{subject} {session}".encode()))
    values = pd.DataFrame(rng.normal(size=(12, len(names))), columns=list(names))
    put(folder / f"{stem}.json", json.dumps({"RepetitionTime": 2.0}))
    return put(folder / f"{stem}.tsv", values.to_csv(sep="\t", index=False))


def put_trial(
    root: Path,
    *,
    sessions: tuple[str | None, ...] = ("pre", "post"),
    arms: tuple[str, str] | None = ("placebo", "drug"),
    n: int = 8,
    names: tuple[str, ...] = NAMES,
) -> Path:
    subjects = [f"{i:02d}" for i in range(1, n + 1)]
    for subject in subjects:
        for session in sessions:
            put_series(root, subject, session, names=names)
    if arms is not None:
        rows = [{"participant_id": f"sub-{s}", "arm": arms[int(s) % 2]} for s in subjects]
        put_table(root / "participants.tsv", rows)
    return root


def put_scores(root: Path, column: str, sessions: tuple[str, ...], *, n: int = 8) -> Path:
    rows = [
        {"participant_id": f"sub-{i:02d}", "session_id": f"ses-{s}", column: 30 - 3 * k + i % 5}
        for i in range(1, n + 1)
        for k, s in enumerate(sessions)
    ]
    return put_table(root / "phenotype" / f"{re.sub('[^a-z]', '', column.lower())}.tsv", rows)


def load(draft: Draft, folder: Path) -> Study:
    return load_study(put(folder / "study.toml", draft.text))


def plan_of(draft: Draft, folder: Path) -> Plan:
    plan = plan_study(load(draft, folder))
    assert plan.problems == ()
    return plan


def uncommented(text: str) -> str:
    """Take the # away wherever a line looks like a setting."""
    return re.sub(r"^# (?=\[|[A-Za-z_]+ = )", "", text, flags=re.MULTILINE)


# --- real and simulated trials ---------------------------------------------------------------


def test_the_controlled_trial_is_drafted_as_it_was_run(connectrial_data, tmp_path, monkeypatch):
    monkeypatch.setenv("CONNECTRIAL_DATA", str(connectrial_data))
    draft = draft_study(connectrial_data / "stages")
    plan = plan_of(draft, tmp_path)
    study = plan.study
    assert study.data.derivatives == "${CONNECTRIAL_DATA}/stages"
    assert study.data.kind == "time series"
    assert "# repetition_time_s" in draft.text
    assert study.design.kind == "parallel"
    assert study.arms is not None
    assert (study.arms.column, study.arms.levels) == ("arm", ("placebo", "medication"))
    assert study.visits == ("visit1", "visit2", "month6", "month12")
    assert [v.sessions for v in study.visit] == [("1",), ("2",), (), ()]
    assert [v.day for v in study.visit] == [None, None, 183, 365]
    assert [(h.within, h.role, h.tests) for h in study.hypothesis] == [
        ("Default", "primary", ("visit:arm",)),
        ("Vis", "negative control", ("visit:arm",)),
    ]
    assert study.scales["sofas_change_z"].better == "higher"
    # Changes have no baseline, so the arms may differ from the first visit on.
    assert {c.tests for c in study.clinical} == {("arm", "visit:arm")}
    sizes = {a.name: (a.n_subjects, a.n_observations) for a in plan.analyses}
    assert sizes["Default"] == (49, 86)  # as examples/stages counts them
    for seen in ("ses-1: 55 people", "ses-2: 37 people", "medication 35, placebo 14", "Default 68"):
        assert seen in draft.text
    assert any("92 runs" in note and "55 people" in note for note in draft.notes)


def test_every_choice_offered_for_the_controlled_trial_is_valid(connectrial_data, tmp_path):
    draft = draft_study(connectrial_data / "stages", variables=())
    study = load_study(put(tmp_path / "study.toml", uncommented(draft.text)))
    assert study.data.repetition_time_s == 2.0
    assert len(study.hypothesis) > 5
    assert study.exploration[0].test == "visit:arm"
    assert study.exclude[0].subject == "001"


def test_a_crossover_of_tables_is_drafted_without_hypotheses(connectrial_data, tmp_path):
    draft = draft_study(connectrial_data / "ds005917", variables=())
    plan = plan_of(draft, tmp_path)
    study = plan.study
    assert study.data.derivatives is None
    assert Path(str(study.data.dataset)) == (connectrial_data / "ds005917").resolve()
    assert study.hypothesis == ()
    assert study.design.kind == "crossover"
    assert study.design.treatments == ("placebo", "ketamine")
    assert study.visits == ("b0", "day 2", "day 10")
    assert study.visit[1].treatment_sessions == {"placebo": ("p2",), "ketamine": ("d2",)}
    assert [v.day for v in study.visit] == [0, 2, 10]
    assert study.groups is not None
    assert (study.groups.patients, study.groups.controls) == ("MDD", "HC")
    assert {s.column for s in study.scales.values()} == {"MADRS_Total", "HAMD_Bech", "HAM17_Total"}
    crossover = next(note for note in draft.notes if "crossover" in note)
    assert "infusion_1" in crossover
    assert "infusion_2" in crossover
    assert any("BP (3 people)" in note for note in draft.notes)
    assert "# ses-d2: 2 days post-infusion of ketamine" in draft.text
    assert 'visit = "day 2"' in draft.text
    # Counted by hand: MDD people with a MADRS score under a treatment that they were given.
    assert {a.name: a.n_subjects for a in plan.analyses}["MADRS over visits"] == 31


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "trial"
    design = TrialDesign(n_runs=1, n_frames=40, n_imaged=1)
    return write_dataset(simulate_trial(design, seed=3), folder).root


def test_patients_and_controls_of_the_simulated_trial(simulated, tmp_path):
    draft = draft_study(simulated)
    plan = plan_of(draft, tmp_path)
    study = plan.study
    assert study.study.simulated
    assert study.design.kind == "pre-post"
    assert study.groups is not None
    assert (study.groups.patients, study.groups.controls) == ("patient", "control")
    assert study.groups.control_sessions == ("1", "2")
    pre, post, *later = study.visit
    assert (pre.name, pre.sessions, pre.phenotype_sessions) == (
        "pre",
        ("pre1", "pre2"),
        ("baseline",),
    )
    assert pre.day == -1
    assert (post.name, post.sessions, post.day) == ("post", ("post",), None)
    # The day column says 5 for "day1", and it is right.
    assert [(v.name, v.day) for v in later] == [
        ("day1", 5), ("week2", 18), ("week4", 32), ("week6", 46), ("week8", 60),
    ]  # fmt: skip
    assert study.comparison[0].visits == ("pre", "post")
    assert study.atlas.table is not None  # it knows the subcortex, which the names do not
    assert "Subcortex 14" in draft.text
    assert "derivatives/fmriprep-like (image of 1 person)" in draft.text
    assert "# max_fd_mm" in draft.text
    names = {a.name for a in plan.analyses}
    assert {"Default", "Vis", "Patients and controls", "MADRS over visits"} <= names


def test_images_get_an_atlas_and_a_strategy(simulated, tmp_path):
    draft = draft_study(simulated, derivatives=Path("derivatives/fmriprep-like"))
    plan = plan_of(draft, tmp_path)
    study = plan.study
    assert study.data.kind == "images"
    assert study.dataset.resolve() == simulated.resolve()
    assert str(study.atlas.image).endswith("atlas-Demo72_space-MNI152NLin6Asym_dseg.nii.gz")
    assert study.denoising.strategy == "36P"
    assert "denoising" in study.study.stand_ins
    # One person with a later scan is not enough for a model, and the file says so.
    assert study.hypothesis == ()
    assert any("two visits; a model needs more" in note for note in draft.notes)


# --- folders ----------------------------------------------------------------------------------


def test_the_derivatives_with_usable_scans_are_found_below_a_raw_root(tmp_path):
    root = tmp_path / "raw"
    trial = put_trial(root / "derivatives" / "xcp_d")
    (trial / "participants.tsv").rename(root / "participants.tsv")
    put(root / "sub-01" / "ses-pre" / "func" / "sub-01_ses-pre_task-rest_bold.nii.gz", "x")
    prep = root / "derivatives" / "fmriprep" / "sub-01" / "ses-pre" / "func"
    put(prep / "sub-01_ses-pre_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz", "x")
    (root / "derivatives" / "freesurfer" / "sub-01").mkdir(parents=True)
    put_scores(root, "MADRS", ("pre", "post"))
    draft = draft_study(root)
    study = plan_of(draft, tmp_path).study
    assert study.derivatives == (root / "derivatives" / "xcp_d").resolve()
    assert study.dataset == root.resolve()
    assert "also there: derivatives/fmriprep (image of 1 person)" in draft.text
    assert study.clinical[0].tests == ("visit:arm",)
    # The same from the derivatives folder itself: the tables are two levels up.
    again = load(draft_study(root / "derivatives" / "xcp_d"), tmp_path)
    assert again.dataset == root.resolve()


def test_paths_go_by_the_variable_that_is_asked_for(tmp_path, monkeypatch):
    put_trial(tmp_path / "data" / "trial")
    monkeypatch.setenv("MY_DATA", str(tmp_path / "data"))
    draft = draft_study(tmp_path / "data" / "trial", variables=("NOT_SET", "MY_DATA"))
    assert 'derivatives = "${MY_DATA}/trial"' in draft.text
    assert load(draft, tmp_path).derivatives == tmp_path / "data" / "trial"


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError) as error:
        draft_study(tmp_path)
    message = str(error.value)
    for looked_for in (
        "_timeseries.tsv",
        "_relmat.tsv",
        "preproc_bold",
        "phenotype",
        "sessions.tsv",
    ):
        assert looked_for in message
    assert str(tmp_path) in message


@pytest.mark.parametrize(("name", "says"), [("nowhere", "no such folder"), ("file.txt", "a file")])
def test_no_folder_is_an_input_error(tmp_path, name, says):
    put(tmp_path / "file.txt", "x")
    with pytest.raises(InputError, match=says):
        draft_study(tmp_path / name)


def test_a_named_derivatives_folder_must_hold_scans(tmp_path):
    put_scores(tmp_path, "MADRS", ("pre", "post"))
    (tmp_path / "derivatives" / "x" / "sub-01").mkdir(parents=True)
    with pytest.raises(InputError, match="there is no"):
        draft_study(tmp_path, derivatives=Path("derivatives/x"))
    with pytest.raises(InputError, match="no such folder"):
        draft_study(tmp_path, derivatives=Path("derivatives/y"))


def test_participants_alone_are_nothing_to_analyse(tmp_path):
    put_table(tmp_path / "participants.tsv", [{"participant_id": "sub-01", "arm": "placebo"}])
    with pytest.raises(InputError, match=r"only participants\.tsv"):
        draft_study(tmp_path)


# --- odd data ---------------------------------------------------------------------------------


def test_without_participants_everybody_is_one_group(tmp_path):
    put_trial(tmp_path / "d", arms=None)
    draft = draft_study(tmp_path / "d")
    study = plan_of(draft, tmp_path).study
    assert study.arms is None
    assert study.groups is None
    assert study.design.kind == "pre-post"
    assert study.hypothesis[0].tests == ("visit",)
    assert "there is no participants.tsv" in draft.text


def test_a_single_session_without_a_label_declares_no_hypothesis(tmp_path):
    put_trial(tmp_path / "d", sessions=(None,))
    draft = draft_study(tmp_path / "d")
    plan = plan_of(draft, tmp_path)
    assert plan.study.visits == ("scan",)
    assert plan.study.hypothesis == ()
    assert plan.people.scans["included"].all()  # the visit is found although no session names it
    assert any("only one visit" in note for note in draft.notes)
    assert "# within = " in draft.text


def test_one_person_declares_no_hypothesis(tmp_path):
    put_trial(tmp_path / "d", n=1)
    draft = draft_study(tmp_path / "d")
    assert plan_of(draft, tmp_path).study.hypothesis == ()
    assert any("1 person has two visits" in note or "no two arms" in note for note in draft.notes)


def test_arms_that_share_no_two_visits_are_not_tested(tmp_path):
    root = tmp_path / "d"
    for i in range(1, 7):
        put_series(root, f"{i:02d}", "pre")
        if i % 2:
            put_series(root, f"{i:02d}", "post")
    rows = [{"participant_id": f"{i:02d}", "arm": ("sham", "active")[i % 2]} for i in range(1, 7)]
    put_table(root / "participants.tsv", rows)
    draft = draft_study(root)
    plan = plan_of(draft, tmp_path)
    assert plan.study.hypothesis == ()
    assert plan.study.arms is not None
    assert plan.study.arms.levels == ("sham", "active")
    assert any("no two arms share two visits" in note for note in draft.notes)


def test_several_tasks_spaces_and_atlases_are_settled_and_listed(tmp_path):
    root = tmp_path / "d"
    for i in range(1, 6):
        for session in ("pre", "post"):
            for task in ("nback", "rest"):
                for atlas, names in (("Plain", ("a", "b", "c")), ("Small", NAMES)):
                    put_series(root, f"{i}", session, task=task, atlas=atlas, names=names)
    draft = draft_study(root)
    study = plan_of(draft, tmp_path).study
    assert study.data.task == "rest"
    assert study.atlas.name == "Small"  # its names tell networks
    assert {"data.task", "atlas.name"} <= set(study.study.stand_ins)
    assert any("nback" in note for note in draft.notes)
    assert any("Plain" in note for note in draft.notes)


def test_matrices_beyond_one_are_taken_for_fisher_z(tmp_path):
    root = tmp_path / "d"
    rng = np.random.default_rng(5)
    for i in range(1, 6):
        for session in ("pre", "post"):
            half = rng.normal(0.8, 0.5, size=(len(NAMES), len(NAMES)))
            z = half + half.T
            z[0, 1] = z[1, 0] = 1.7
            np.fill_diagonal(z, 0)
            frame = pd.DataFrame(z, index=NAMES, columns=NAMES).rename_axis("Node")
            stem = f"sub-{i}_ses-{session}_task-rest_atlas-Small_stat-pearsoncorrelation_relmat.tsv"
            put(root / f"sub-{i}" / f"ses-{session}" / "func" / stem, frame.to_csv(sep="\t"))
    draft = draft_study(root)
    study = plan_of(draft, tmp_path).study
    assert (study.data.kind, study.data.values) == ("matrices", "z")
    assert "[coverage]" not in draft.text


def test_names_with_quotes_spaces_and_unicode_stand_in_the_file(tmp_path):
    arms = ('pla"cebo', "Wirk\\stoff é\u2028x")
    root = put_trial(tmp_path / 'my "odd" \\ trïal', arms=arms, sessions=("Pre scan", "Week 8"))
    put(root / "dataset_description.json", json.dumps({"Name": 'A "tri\\al"\nin two lines \x7f'}))
    put_scores(root, 'MADRS "total"', ("Pre scan", "Week 8"))
    draft = draft_study(root)
    study = load(draft, tmp_path)
    assert study.study.name == 'A "tri\\al"\nin two lines'  # no control character
    assert study.arms is not None
    assert set(study.arms.levels) == set(arms)
    assert [v.sessions for v in study.visit] == [("Pre scan",), ("Week 8",)]
    assert study.visit[1].day == 56
    assert study.derivatives == root.resolve()
    assert [s.column for s in study.scales.values()] == ['MADRS "total"']


def test_a_table_that_cannot_be_read_is_a_note(tmp_path):
    root = put_trial(tmp_path / "d")
    put(root / "phenotype" / "madrs.tsv", "participant_id\tsession_id\tMADRS\n01\tpre\n")
    draft = draft_study(root)
    assert load(draft, tmp_path).scales == {}
    assert any("madrs.tsv" in note for note in draft.notes)
    assert "to be put right in the data" in draft.text
    assert len(set(draft.notes)) == len(draft.notes)


def test_a_clinic_table_in_the_root_is_offered_as_a_column_map(tmp_path):
    root = put_trial(tmp_path / "d")
    put(root / "ratings.csv", "Patient,Visit,HAMD\n01,pre,20\n")
    draft = draft_study(root)
    assert "# [[data.table]]" in draft.text
    study = load_study(put(tmp_path / "study.toml", uncommented(draft.text)))
    assert study.data.table[0].path == "ratings.csv"
    assert study.data.table[0].subject == "Patient"


def test_an_undecided_group_column_is_offered_both_ways(tmp_path):
    root = put_trial(tmp_path / "d", arms=None)
    rows = [{"participant_id": f"{i:02d}", "group": "AB"[i % 2]} for i in range(1, 9)]
    put_table(root / "participants.tsv", rows)
    draft = draft_study(root)
    study = plan_of(draft, tmp_path).study
    assert study.arms is None
    assert study.groups is None
    assert "# [arms]" in draft.text
    assert "# [groups]" in draft.text
    assert any("could be arms or patients and controls" in note for note in draft.notes)


def test_seventeen_networks_join_into_the_default_mode(tmp_path):
    names = ("LH_DefaultA_1", "RH_DefaultB_1", "LH_VisCent_1", "RH_VisPeri_1", "LH_ContA_1")
    root = put_trial(tmp_path / "d", names=names)
    plan = plan_of(draft_study(root), tmp_path)
    assert plan.study.sets["Default mode"].networks == ("DefaultA", "DefaultB")
    assert [h.within for h in plan.study.hypothesis] == ["Default mode", "Visual system"]


def test_a_sessions_table_beside_each_person_is_one_scale(tmp_path):
    root = put_trial(tmp_path / "d")
    for i in range(1, 9):
        rows = [
            {"session_id": f"ses-{s}", "acq_time": f"2020-0{k}-01", "MADRS": 40 - 10 * k + i}
            for k, s in enumerate(("pre", "post"), start=1)
        ]
        put_table(root / f"sub-{i:02d}" / f"sub-{i:02d}_sessions.tsv", rows)
    draft = draft_study(root)
    plan = plan_of(draft, tmp_path)
    assert list(plan.study.scales) == ["MADRS"]
    assert "16 values of 8 people" in draft.text
    assert {a.name: a.n_observations for a in plan.analyses}["MADRS over visits"] == 16


def test_without_networks_a_set_and_a_hypothesis_are_offered(tmp_path):
    draft = draft_study(put_trial(tmp_path / "d", names=("A", "B", "C", "D")))
    assert plan_of(draft, tmp_path).study.hypothesis == ()
    plan = plan_study(load_study(put(tmp_path / "study.toml", uncommented(draft.text))))
    assert [h.within for h in plan.study.hypothesis] == ["my regions"]
    assert plan.problems == ()


def test_controls_lack_no_arm(tmp_path):
    root = put_trial(tmp_path / "d")
    rows = [
        {"participant_id": f"{i:02d}", "group": "HC" if i > 6 else "TRD",
         "arm": "n/a" if i > 5 else ("placebo", "ketamine")[i % 2]}
        for i in range(1, 9)
    ]  # fmt: skip
    put_table(root / "participants.tsv", rows)
    draft = draft_study(root)
    study = plan_of(draft, tmp_path).study
    assert study.groups is not None
    assert study.groups.control_sessions == ("pre",)  # not averaged over treatment
    assert "1 person without an arm" in draft.text


def test_a_visit_is_never_called_as_the_controls_are():
    assert [v.name for v in draft_visits(["controls", "post"], [], days={})] == [
        "controls (2)",
        "post",
    ]


# --- sessions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "stage", "day"),
    [
        ("screening", SCREENING, None),
        ("baseline", BASELINE, None),
        ("pre1", BASELINE, None),
        ("b0", BASELINE, 0),
        ("day0", BASELINE, 0),
        ("T0", BASELINE, 0),
        ("d10", COURSE, 10),
        ("Week 8", COURSE, 56),
        ("8wk", COURSE, 56),
        ("month6", COURSE, 183),
        ("m12", COURSE, 365),
        ("24h", COURSE, 1),
        ("post", AFTER, None),
        ("post2", AFTER, None),
        ("postweek2", AFTER, 14),
        ("fu6m", FOLLOW_UP, 183),
        ("followup", FOLLOW_UP, None),
        ("01", COURSE, None),
        ("v3", COURSE, None),
        ("p2", COURSE, None),
        ("", COURSE, None),
    ],
)
def test_labels_tell_their_time(label, stage, day):
    read = read_session_label(label)
    assert (read.stage, read.day) == (stage, day)


@pytest.mark.parametrize(
    ("scanned", "visits"),
    [
        (["10", "2", "1"], [["1"], ["2"], ["10"]]),
        (["week8", "baseline", "week2"], [["baseline"], ["week2"], ["week8"]]),
        (["post", "pre2", "pre1"], [["pre1", "pre2"], ["post"]]),
        (["pre1", "post1", "pre2", "post2"], [["pre1"], ["post1"], ["pre2"], ["post2"]]),
        (["d2", "p10", "p2", "b0", "d10"], [["b0"], ["d2"], ["d10"], ["p2"], ["p10"]]),
        (["fu", "month6", "bl", "post"], [["bl"], ["month6"], ["post"], ["fu"]]),
        (
            ["fu6m", "week1", "screening", "baseline"],
            [["screening"], ["baseline"], ["week1"], ["fu6m"]],
        ),
    ],
)
def test_visits_come_in_the_order_of_a_trial(scanned, visits):
    made = draft_visits(scanned, [], days={})
    assert [list(visit.sessions) for visit in made] == visits


def test_scores_of_another_label_join_the_scans_of_their_time():
    made = draft_visits(["pre", "month6"], ["baseline", "week2", "6m"], days={})
    assert [(v.name, v.sessions, v.score_sessions) for v in made] == [
        ("pre", ("pre",), ("baseline",)),
        ("week2", (), ("week2",)),
        ("month6", ("month6",), ("6m",)),
    ]


def test_days_of_the_tables_go_before_days_of_labels():
    made = draft_visits(["baseline", "day1", "day7"], [], days={"day1": 5.0, "day7": 12.0})
    assert [v.day for v in made] == [None, 5, 12]


@pytest.mark.parametrize(
    ("labels", "codes"),
    [
        (["d2", "d10", "p2", "p10", "b0"], {"d", "p"}),
        (["d1", "w1", "w2"], set()),
        (["v1", "t1"], set()),
        (["week1", "week2"], set()),
        (["ket1", "pla1"], {"ket", "pla"}),
    ],
)
def test_codes_of_treatments(labels, codes):
    assert set(find_codes(labels)) == codes


def test_numbered_pairs_are_periods():
    assert find_periods(["pre1", "post1", "pre2", "post2"])
    assert not find_periods(["pre1", "pre2", "post"])


session_labels = st.lists(
    st.one_of(
        st.from_regex(r"(pre|post|d|p|w|week|month|fu|v|ses|b)?[0-9]{0,2}", fullmatch=True),
        st.text(max_size=6),
    ),
    unique=True,
    max_size=7,
)


@settings(deadline=None)
@given(session_labels, session_labels, st.dictionaries(st.text(max_size=4), st.floats(-9, 99)))
def test_every_session_has_one_visit_and_every_visit_a_name_of_its_own(scanned, scored, days):
    made = draft_visits(scanned, scored, days=days)
    assert sorted(s for v in made for s in v.sessions) == sorted(scanned)
    assert sorted(s for v in made for s in v.score_sessions) == sorted(scored)
    names = [v.name for v in made]
    assert len({name.strip() for name in names}) == len(names)
    assert all(name.strip() for name in names)
    told = [v.day for v in made if v.day is not None and v.day_fits]
    assert told == sorted(told)


# --- people -----------------------------------------------------------------------------------


def people(**columns: list[str]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    index = pd.Index([f"{i:02d}" for i in range(n)], name="subject")
    return pd.DataFrame(columns, index=index, dtype="string")


@pytest.mark.parametrize(
    ("column", "levels", "arms", "groups"),
    [
        ("arm", ["drug", "placebo"], "placebo", None),
        ("arm", ["treatment", "control"], "control", None),
        ("group", ["sham", "tms"], "sham", None),
        ("group", ["intervention", "control"], "control", None),
        ("group", ["TRD", "control"], None, "control"),
        ("Dx", ["MDD", "HC"], None, "HC"),
        ("diagnosis", ["patient", "healthy volunteer"], None, "healthy volunteer"),
        ("whatever", ["MDD", "HC"], None, "HC"),
        ("whatever", ["saline", "ketamine"], "saline", None),
        ("sex", ["F", "M"], None, None),
        ("site", ["control room", "ward"], None, None),
    ],
)
def test_names_and_levels_decide_together(column, levels, arms, groups):
    found = guess_people(people(**{column: levels * 3}), {})
    assert (found.arms.reference if found.arms else None) == arms
    assert (found.groups.reference if found.groups else None) == groups


def test_the_dictionary_says_what_codes_mean():
    table = people(group=["1", "2", "2", "1"], trt=["a", "b", "a", "b"])
    dictionary = {
        "group": {"Levels": {"1": "depressed", "2": "healthy control"}},
        "trt": {"Levels": {"a": {"Description": "Ketamine"}, "b": {"Description": "Placebo"}}},
    }
    found = guess_people(table, dictionary)
    assert found.groups is not None
    assert found.arms is not None
    assert (found.patients, found.groups.reference) == ("1", "2")
    assert found.arms.ordered == ("b", "a")


def test_columns_of_periods_are_no_arms():
    table = people(infusion_1=["ketamine", "placebo"] * 3, infusion_2=["placebo", "ketamine"] * 3)
    found = guess_people(table, {})
    assert found.arms is None
    assert [one.column for one in found.order] == ["infusion_1", "infusion_2"]


# --- scales -----------------------------------------------------------------------------------


def scores_of(columns: list[str], *, file: str = "phenotype/x.tsv") -> pd.DataFrame:
    rows = [
        {"subject": f"{i}", "session": s, "variable": c, "value": f"{i + k}", "number": float(i + k),
         "file": file}
        for i in range(4)
        for k, s in enumerate(("pre", "post"))
        for c in columns
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"session": "string", "value": "string"})


@pytest.mark.parametrize(
    ("columns", "scales"),
    [
        (["MADRS_Total", "HAMD_Bech", "HAM17_Total"], ["MADRS_Total", "HAMD_Bech", "HAM17_Total"]),
        ([f"madrs_{i}" for i in range(1, 11)] + ["madrs_total"], ["madrs_total"]),
        ([f"bdi_item{i}" for i in range(1, 22)] + ["bdi"], ["bdi"]),
        (["HAMD6", "HAMD17"], ["HAMD6", "HAMD17"]),
        (["age", "visit_day", "QIDS"], ["QIDS"]),
    ],
)
def test_totals_are_told_from_items(columns, scales):
    found, others = draft_scales(scores_of(columns))
    assert [one.column for one in found] == scales
    assert set(others) | set(scales) | {"age", "visit_day"} >= set(columns)


def test_scales_bear_names_of_their_own():
    found, _ = draft_scales(scores_of(["MADRS", "MADRS_total", "GAF_score"]))
    names = [one.name for one in found]
    assert len(set(names)) == 3
    assert found[-1].name == "GAF"
    assert found[-1].better == "higher"


# --- text -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.text())
def test_any_text_comes_back_from_toml(text):
    assert tomllib.loads(f"{toml_key(text)} = {quoted(text)}") == {text: text}


@settings(max_examples=60, deadline=None)
@given(st.text(), st.text(min_size=1), st.booleans())
def test_comments_never_change_what_a_file_says(comment, value, muted):
    text = StudyText()
    text.muted = muted
    text.say(comment)
    text.section("[a]", comment)
    text.check(comment)
    text.pair("key", quoted(value), comment)
    text.off(comment)
    assert tomllib.loads(str(text)) == ({} if muted else {"a": {"key": value}})


def test_a_file_name_that_is_no_utf8_is_refused():
    with pytest.raises(InputError, match="not UTF-8"):
        quoted("sub-\udc80")
