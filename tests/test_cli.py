"""The command line: exit codes, messages, and what the commands print."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import connectrial
from tiny import STUDY, series_path
from without_pictures import without_pictures


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['connectrial', '--help']\n"
        "from connectrial.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'matplotlib', 'nibabel', 'pydantic', 'joblib',"
        " 'altair', 'great_tables', 'nilearn', 'vl_convert'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for command in ("demo", "init", "check", "run", "report", "dose", "atlases", "fetch", "schema",
                    "submit", "status"):  # fmt: skip
        assert command in done.stdout
    for later in ("lock", "power"):
        assert f" {later} " not in done.stdout


def test_version():
    from connectrial import __version__

    assert connectrial("--version").stdout.strip() == f"connectrial {__version__}"


def test_as_a_program_it_ends_as_it_should():
    """What is printed is all there, with its exit code; where it cannot be written, one message."""
    run = [sys.executable, "-m", "connectrial"]
    done = subprocess.run([*run, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("connectrial init DATASET\n")
    done = subprocess.run([*run, "check", "lost.toml"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "lost.toml: there is no such study file" in done.stderr
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with full.open("w") as out:
        done = subprocess.run([*run, "--help"], stdout=out, stderr=-1, text=True, check=False)
    assert done.returncode == 2
    assert "nothing more can be written (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr


def test_schema_is_json():
    assert json.loads(connectrial("schema").stdout)["title"] == "connectrial study file"


def test_check_prints_the_plan_and_computes_nothing(tiny):
    before = set(tiny.parent.rglob("*"))
    done = connectrial("check", tiny)
    assert done.returncode == 0, done.stderr
    assert set(tiny.parent.rglob("*")) == before
    for words in (
        "1 person: arm is not stated",
        "fc_z ~ visit + arm + visit:arm + (1 | subject)",
        "Intercept, visit[after], arm[drug], visit[after]:arm[drug]",
        "arm = placebo, visit = before",
        "4 of 4",
        "11 people, 21 observations",
        "Family primary: 2 tests, holm",
        "sub-03_ses-a",
        "MADRS",
    ):
        assert words in done.stdout, words


def test_run_report_and_rerun(tiny, tmp_path, monkeypatch):
    """The command, given where the study lies: paths start there."""
    out = tiny.parent / "out"
    monkeypatch.chdir(tiny.parent)
    done = connectrial("run", tiny.name, "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no bars where there is no terminal
    assert "Declared tests" in done.stdout
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert connectrial("report", out).returncode == 0
    assert (out / "report.html").read_bytes() == page
    monkeypatch.chdir(tmp_path)
    again = connectrial("run", tiny, out)  # the same folder by its whole path
    for words in ("23 sessions: 0 made, 23 kept", "Group level: kept", "Page and figures: kept"):
        assert words in again.stdout
    assert (out / "report.html").read_bytes() == page
    state = connectrial("status", out)
    assert state.stdout.splitlines() == ["sessions: 23 done of 23", "group level: done"]


def test_bids_app_form(tiny, tmp_path):
    out = tmp_path / "out"
    data = tiny.parent / "data"
    first = connectrial(
        data,
        out,
        "participant",
        "--study",
        tiny,
        "--participant_label",
        "01",
        "sub-02",
        program="bids",
    )
    assert first.returncode == 0, first.stderr
    assert sorted(p.name for p in out.glob("sub-*")) == ["sub-01", "sub-02"]
    refused = connectrial(data, out, "group", "--study", tiny, program="bids")
    assert refused.returncode == 2
    assert "19 of 23 sessions have no FC matrix" in refused.stderr
    assert connectrial(data, out, "participant", "--study", tiny, program="bids").returncode == 0
    with without_pictures():
        assert connectrial(data, out, "group", "--study", tiny, program="bids").returncode == 0
    assert (out / "report.html").is_file()


def test_init_check_and_run_of_a_draft(tiny, tmp_path):
    target = tmp_path / "drafted.toml"
    done = connectrial("init", tiny.parent / "data", "-o", target)
    assert done.returncode == 0, done.stderr
    assert connectrial("check", target).returncode == 0
    again = connectrial("init", tiny.parent / "data", "-o", target)
    assert again.returncode == 2
    assert "exists already" in again.stderr


def break_study(old: str, new: str):
    return lambda study: study.write_text(study.read_text().replace(old, new))


def append(name: str, line: str):
    def change(study: Path) -> None:
        with (study.parent / "data" / name).open("a") as file:
            file.write(line + "\n")

    return change


def rewrite(name: str, old: str, new: str):
    def change(study: Path) -> None:
        path = study.parent / "data" / name
        path.write_text(path.read_text().replace(old, new))

    return change


#: What is done to a good study, and what the message must say. Each also ends with exit code 2.
WRONG = {
    "misspelt key": (break_study("column =", "colunm ="), ["did you mean 'column'?"]),
    "unknown network": (
        break_study('within = "Vis"', 'within = "Visual"'),
        ["'Visual': there is no 'Visual'", "Vis"],
    ),
    "unknown network of an exploration": (
        break_study('name = "Every edge"', 'name = "Every edge"\nnetworks = ["Visual"]'),
        ["[[exploration]] 'Every edge' networks: there is no 'Visual'"],
    ),
    "pattern without a parcel": (
        break_study('["AMY-*"]', '["AMG-*"]'),
        ["[sets.amygdala] parcels: 'AMG-*' matches no parcel", "AMY-"],
    ),
    "missing arm column": (
        break_study('column = "arm"', 'column = "treatment"'),
        ["the participants table has no column 'treatment'; there are: arm, age"],
    ),
    "level that is not declared": (
        rewrite("participants.tsv", "sub-12\tplacebo", "sub-12\tPlacebo"),
        ["[arms] levels: the column 'arm' also holds 'Placebo'", "did you mean 'placebo'?"],
    ),
    "score out of range": (
        rewrite("phenotype/madrs.tsv", "sub-01\tses-a\t29", "sub-01\tses-a\t290"),
        ["[scales.MADRS]: sub-01 ses-a has 290, above the maximum of 60"],
    ),
    "score that is no number": (
        rewrite("phenotype/madrs.tsv", "sub-01\tses-a\t29", "sub-01\tses-a\t2g"),
        ["madrs.tsv", "'2g'", "row 2"],
    ),
    "conflicting rows": (
        append("phenotype/madrs.tsv", "sub-01\tses-a\t31"),
        ["madrs.tsv", "29", "31"],
    ),
    "an arm that changes within a person": (
        append("participants.tsv", "sub-01\tplacebo\t21"),
        ["participants.tsv", "sub-01", "arm"],
    ),
    "no such scale": (
        break_study("[scales.MADRS]", '[scales.MADRS]\ncolumn = "MADRS_total"'),
        ["no score is called 'MADRS_total'; did you mean 'MADRS'?"],
    ),
    "denoising of ready-made series": (
        break_study("[family", '[denoising]\nstrategy = "24P"\n[family'),
        ["never denoised again"],
    ),
    "censoring without motion": (
        break_study("[family", "[censoring]\nmax_fd_mm = 0.2\n[family"),
        ["no motion table beside any of the series"],
    ),
    "no such folder": (break_study('derivatives = "data"', 'derivatives = "dta"'), ["dta"]),
    "unset variable": (
        break_study('derivatives = "data"', 'derivatives = "${NOT_SET_ANYWHERE}/data"'),
        ["the environment variable NOT_SET_ANYWHERE is not set"],
    ),
    "a term that cannot be estimated": (
        rewrite("participants.tsv", "\tdrug\t", "\tplacebo\t"),
        ["Default, Amygdala to Default, Visual", "arm"],
    ),
    "nobody seen twice": (
        break_study('sessions = ["b"]', 'sessions = ["c"]'),
        ["Default, Amygdala to Default, Visual"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_gets_one_message_and_exit_code_2(tiny, tmp_path, case):
    change, fragments = WRONG[case]
    before = (tiny.read_text(), {p: p.read_bytes() for p in (tiny.parent / "data").rglob("*.tsv")})
    change(tiny)
    after = (tiny.read_text(), {p: p.read_bytes() for p in (tiny.parent / "data").rglob("*.tsv")})
    assert before != after, "the case must change something"
    for command in (["check", tiny], ["run", tiny, tmp_path / "out"]):
        done = connectrial(*command)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        for fragment in fragments:
            assert fragment in done.stderr, done.stderr
    assert not (tmp_path / "out").exists(), "nothing may be half-written"


def test_wrong_words_on_the_command_line(tiny, tmp_path):
    for words, fragment in [
        (["run", tiny, tmp_path / "o", "--level", "subject"], "allowed are participant and group"),
        (
            ["run", tiny, tmp_path / "o", "--participant-label", "01"],
            "belong to '--level participant'",
        ),
        (["run", tiny, tmp_path / "o", "--n-jobs", "0"], "--n-jobs: is 0"),
        (["run", tmp_path / "no.toml", tmp_path / "o"], "there is no such study file"),
        (["report", tmp_path], "there are no results"),
        (["demo", tiny], "is a file"),
        (["init", tmp_path / "nowhere"], "nowhere"),
    ]:
        done = connectrial(*words)
        assert done.returncode == 2, (words, done.stdout, done.stderr)
        assert fragment in done.stderr
        assert "Traceback" not in done.stderr


def test_odd_but_good_tables_change_nothing(tiny, tmp_path):
    """Byte-order mark, CR line ends, 1 for sub-01, identical duplicates, semicolons, decimal commas."""
    from connectrial import load_study, plan_study

    plain = plan_study(load_study(tiny))
    data = tiny.parent / "data"
    path = data / "participants.tsv"
    rows = path.read_text().strip().split("\n")
    rows = [rows[0], *(row.replace("sub-0", "").replace("sub-", "") for row in rows[1:]), rows[1]]
    path.write_bytes(b"\xef\xbb\xbf" + "\r".join(rows).encode() + b"\r")
    scores = data / "phenotype" / "madrs.tsv"
    lines = [line.replace("\t", ";") for line in scores.read_text().strip().split("\n")]
    lines = [lines[0], *(f"{line},0" for line in lines[1:])]
    scores.unlink()
    (data / "phenotype" / "madrs.csv").write_bytes("\r\n".join(lines).encode("utf-16"))
    odd = plan_study(load_study(tiny))
    assert odd.problems == ()
    assert odd.survey_hash == plain.survey_hash
    assert series_path(data, "01", "a").is_file()
    assert STUDY in tiny.read_text()


def test_our_own_fault_is_exit_code_1_and_says_so(tiny, tmp_path, monkeypatch):
    import importlib

    def broken(*_args, **_kwargs):
        raise RuntimeError("something we did not think of")

    module = importlib.import_module("connectrial.run")
    monkeypatch.setattr(module, "plan_study", broken)
    done = connectrial("run", tiny, tmp_path / "out")
    assert done.returncode == 1
    assert "This is a fault of connectrial" in done.stderr
    assert "something we did not think of" in done.stderr


def test_verbose_says_of_each_session_what_became_of_it(tiny, tmp_path, caplog):
    with caplog.at_level("DEBUG", logger="connectrial"):
        done = connectrial("-vv", "run", tiny, tmp_path / "out", "--level", "participant")
        assert done.returncode == 0
        assert "FC of 23 sessions: 23 made, 0 kept" in done.stdout
        assert "sub-01 ses-a: FC made: new" in caplog.text
        assert connectrial("-vv", "run", tiny, tmp_path / "out", "--level", "participant").stdout
        assert "sub-01 ses-a: FC kept from an earlier run" in caplog.text


def test_atlases_and_what_can_be_fetched_are_listed(monkeypatch, tmp_path):
    monkeypatch.setenv("CONNECTRIAL_HOME", str(tmp_path))
    listed = connectrial("atlases").stdout
    for words in ("Seitzman300", "Gordon333+Seitzman-subcortex", "built in", "Tian 2020"):
        assert words in listed
    offered = connectrial("fetch", "--list").stdout
    assert "Schaefer400+TianS2" in offered
    assert "Schaefer300, Schaefer500 to Schaefer1000: no checksum" in offered
    assert str(tmp_path / "atlases") in offered
    assert not list(tmp_path.iterdir())


def test_fetch_refuses_what_it_does_not_know(monkeypatch, tmp_path):
    monkeypatch.setenv("CONNECTRIAL_HOME", str(tmp_path))
    nothing = connectrial("fetch")
    assert nothing.returncode == 2
    assert "name an atlas, such as connectrial fetch Gordon333" in nothing.stderr
    unknown = connectrial("fetch", "Gordon33")
    assert unknown.returncode == 2
    assert "did you mean 'Gordon333'?" in unknown.stderr
