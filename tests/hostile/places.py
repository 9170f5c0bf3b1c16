"""What stands where a file is expected: pipes, devices, links in circles; and trees that are odd."""

from __future__ import annotations

import os
import shutil
import socket
import unicodedata
from collections.abc import Callable
from pathlib import Path

from hostile.cases import Case
from tiny import STUDY, series_path, write_series, write_tiny

BAD, S, OK = "InputError", "StudyFileError", "handled"
# Door -> how its file is called.
DOORS = {
    "study": "input.toml",
    "table": "input.tsv",
    "series": "input.tsv",
    "confounds": "input.tsv",
    "atlas table": "input.tsv",
    "filters": "input.json",
    "run": "input.nii.gz",
    "cifti": "input.dtseries.nii",
    "surface labels": "input.label.gii",
}


def pipe(path: Path) -> None:
    os.mkfifo(path)


def plug(path: Path) -> None:
    # A socket's name is bound from within its folder: whole paths may be too long for it.
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def nothing(path: Path) -> None:
    path.symlink_to(path.with_name("gone"))


def circle(path: Path) -> None:
    path.symlink_to(path)


def folder_there(path: Path) -> None:
    path.mkdir()


def forbidden(path: Path) -> None:
    path.write_text("secret")
    path.chmod(0)


ODD: dict[str, tuple[Callable[[Path], None], str]] = {
    "a named pipe": (pipe, "named pipe"),
    "a socket": (plug, "socket"),
    "a device without end": (device, "device"),
    "a link to nothing": (nothing, "there is no such"),
    "a link to itself": (circle, "cannot be read|there is no such"),
    "a folder": (folder_there, "folder"),
    "no permission": (forbidden, "may not be read"),
}


def _placed(name: str, odd: Callable[[Path], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        odd(path)
        return path

    return make


PLACED = [
    Case(f"{door} file", what, door, _placed(name, odd), S if door == "study" else BAD, says)
    for door, name in DOORS.items()
    for what, (odd, says) in ODD.items()
    # Each oddity at three doors, so that every door meets two or three and the list stays short.
    if (list(DOORS).index(door) + list(ODD).index(what)) % 3 == 0 or door == "study"
]

# ---------------------------------------------------------------------------------------------
# Trees, by `connectrial check STUDY`
# ---------------------------------------------------------------------------------------------

Tree = Callable[[Path], None]


def tree(change: Tree) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        study = write_tiny(folder, n_subjects=4, n_frames=12)
        change(folder / "data")
        return study

    return make


def loop(data: Path) -> None:
    (data / "sub-09").symlink_to(data / "sub-09")


def way_up(data: Path) -> None:
    (data / "sub-01" / "ses-a" / "func" / "task-rest").symlink_to(data)


def session_is_its_person(data: Path) -> None:
    (data / "sub-01" / "ses-c").symlink_to(data / "sub-01" / "ses-a")


def link_to_nothing(data: Path) -> None:
    (data / "sub-08").symlink_to(data / "gone")


def another_person(data: Path) -> None:
    (data / "sub-09").symlink_to(data / "sub-01")


def series_is_pipe(data: Path) -> None:
    path = series_path(data, "01", "a")
    path.unlink()
    os.mkfifo(path)


def series_is_device(data: Path) -> None:
    path = series_path(data, "01", "a")
    path.unlink()
    path.symlink_to("/dev/zero")


def series_is_empty(data: Path) -> None:
    series_path(data, "01", "a").write_text("")


def series_is_binary(data: Path) -> None:
    series_path(data, "01", "a").write_bytes(b"\0" * 500)


def rename(old: str, new: str) -> Tree:
    """Rename a person on disk, in file names too, and leave the tables as they are."""

    def change(data: Path) -> None:
        folder = data / f"sub-{old}"
        for path in sorted(folder.rglob("*_timeseries.tsv")):
            path.rename(path.with_name(path.name.replace(f"sub-{old}", f"sub-{new}", 1)))
        folder.rename(data / f"sub-{new}")

    return change


def in_tables(data: Path, old: str, new: str) -> None:
    for path in (data / "participants.tsv", data / "phenotype" / "madrs.tsv"):
        path.write_text(path.read_text().replace(f"sub-{old}\t", f"sub-{new}\t"))


def decomposed(data: Path) -> None:
    """On disk as macOS stores it, in the tables as everybody types it."""
    rename("01", unicodedata.normalize("NFD", "Zoé1"))(data)
    in_tables(data, "01", unicodedata.normalize("NFC", "Zoé1"))


def not_utf8(data: Path) -> None:
    Path(os.fsdecode(os.fsencode(data) + b"/sub-\xff\xfe")).mkdir()


def line_break(data: Path) -> None:
    (data / "sub-a\nb").mkdir()


def long_label(data: Path) -> None:
    (data / ("sub-" + "x" * 251) / "ses-a" / "func").mkdir(parents=True)


def alike(data: Path) -> None:
    for label in ("A-1", "A_1"):
        name = f"sub-{label}_ses-a_task-rest_space-X_atlas-Tiny_stat-mean_timeseries.tsv"
        target = data / f"sub-{label}" / "ses-a" / "func" / name
        target.parent.mkdir(parents=True)
        shutil.copy(series_path(data, "01", "a"), target)


def two_files_for_one_run(data: Path) -> None:
    path = series_path(data, "01", "a")
    shutil.copy(path, path.with_name(path.name.replace("task-rest", "task-rest_acq-x")))


def two_spaces(data: Path) -> None:
    path = series_path(data, "01", "a")
    shutil.copy(path, path.with_name(path.name.replace("space-X", "space-Y")))


def participants(text: str) -> Tree:
    return lambda data: (data / "participants.tsv").write_text(text) and None


def sidecar(text: str) -> Tree:
    def change(data: Path) -> None:
        series_path(data, "01", "a").with_suffix(".json").write_text(text)

    return change


def other_parcels(data: Path) -> None:
    import numpy as np

    write_series(series_path(data, "01", "a"), np.ones((12, 3)), parcels=["x", "y", "z"])


def scores(text: str, *, add: bool = True) -> Tree:
    def change(data: Path) -> None:
        path = data / "phenotype" / "madrs.tsv"
        path.write_text(path.read_text() + text if add else text)

    return change


def first_score(cell: str) -> Tree:
    def change(data: Path) -> None:
        path = data / "phenotype" / "madrs.tsv"
        text = path.read_text()
        assert "ses-a\t29\n" in text
        path.write_text(text.replace("ses-a\t29\n", f"ses-a\t{cell}\n", 1))

    return change


def one_more_person(row: str) -> Tree:
    def change(data: Path) -> None:
        path = data / "participants.tsv"
        path.write_text(path.read_text() + row)

    return change


PEOPLE = "participant_id\tarm\tage\n"
TREES: dict[str, tuple[Tree, str, str]] = {
    "a person's folder is a link to itself": (loop, BAD, "in a circle"),
    "a person's folder is a link to nothing": (link_to_nothing, BAD, "leads nowhere"),
    "a person's folder is a link to another's": (another_person, BAD, "the name says sub-01"),
    "a task folder leads back up": (way_up, OK, ""),
    "a session's folder is a link to another": (session_is_its_person, BAD, "the name says ses-a"),
    "a series is a pipe": (series_is_pipe, BAD, "something that is not here"),
    "a series is a device": (series_is_device, BAD, "something that is not here"),
    "a series is empty": (series_is_empty, BAD, "the file is empty"),
    "a series is binary": (series_is_binary, "left out", "binary"),
    "a series has other parcels": (other_parcels, "left out", "parcels"),
    "a sidecar is cut": (sidecar('{"Rep'), BAD, "not valid JSON"),
    "a sidecar is 10^5 deep": (sidecar("[" * 100_000), BAD, "nested"),
    "a repetition time of a million": (sidecar('{"RepetitionTime": 1e6}'), BAD, "RepetitionTime"),
    "a repetition time of 1e400": (sidecar('{"RepetitionTime": 1e400}'), BAD, "RepetitionTime"),
    "a repetition time NaN": (sidecar('{"RepetitionTime": NaN}'), BAD, "RepetitionTime"),
    "a label of two letters on disk, one in tables": (decomposed, OK, "Zo"),
    "a label in Hebrew": (rename("01", "אב"), BAD, "no letter or digit"),
    "a label with blanks": (rename("01", "0 1"), OK, ""),
    "a folder's name is no UTF-8": (not_utf8, BAD, "no UTF-8"),
    "a folder's name has a line break": (line_break, OK, ""),
    "a label of 251 letters": (long_label, OK, ""),
    "labels that fall together": (alike, BAD, "all become"),
    "two files for one run": (two_files_for_one_run, BAD, "several|two files|acq"),
    "two spaces": (two_spaces, BAD, "several choices of space"),
    "people: formula as an arm": (
        participants(PEOPLE + "sub-01\t=cmd|'/C calc'!A0\t3\n"),
        BAD,
        "=cmd",
    ),
    "people: HTML as an arm": (
        participants(PEOPLE + "sub-01\t<b>drug</b>\t3\n"),
        BAD,
        "<b>drug</b>",
    ),
    "people: a path as an id": (one_more_person("../../x\tdrug\t3\n"), OK, ""),
    "people: one, twice, in two arms": (
        participants(PEOPLE + "sub-01\tdrug\t3\nsub-01\tplacebo\t3\n"),
        BAD,
        "rows 2 and 3",
    ),
    "people: no column of ids": (participants("who\tarm\n1\tdrug\n"), BAD, "no subject column"),
    "people: empty": (participants(""), BAD, "empty"),
    "scores: a word": (first_score("high"), BAD, "high"),
    "scores: beyond the scale": (first_score("61"), BAD, "61"),
    "scores: 1e400": (first_score("1e400"), BAD, "1e400"),
    "scores: two of one session": (
        scores("sub-02\tses-a\t59\n"),
        BAD,
        "59",
    ),
    "scores: a date in place of a session": (scores("sub-01\t2024-01-31\t20\n"), OK, ""),
    "scores: no header": (scores("sub-01\tses-a\t20\n", add=False), BAD, "subject|participant"),
}

# ---------------------------------------------------------------------------------------------
# Whole runs
# ---------------------------------------------------------------------------------------------


def study_text(change: Callable[[str], str]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        study = write_tiny(folder, n_subjects=7, n_frames=20)
        study.write_text(change(STUDY))
        return study

    return make


def html_and_paths(text: str) -> str:
    return (
        text.replace('name = "Tiny trial"', "name = '</title><script>alert(1)</script>{{7*7}}'")
        .replace('name = "Visual"', "name = '<img src=x onerror=alert(2)>'")
        .replace('name = "Amygdala to Default"', 'name = "/etc/../../passwd"')
        .replace('name = "Every edge"', "name = '../../../<svg/onload=alert(3)>'")
        .replace("[sets.amygdala]", '[sets."</script><script>alert(4)</script>"]')
        .replace('["amygdala",', '["</script><script>alert(4)</script>",')
    )


CASES = [
    *PLACED,
    *(
        Case("BIDS tree", name, ("check",), tree(change), expected, says)
        for name, (change, expected, says) in TREES.items()
    ),
    Case(
        "whole run",
        "HTML and paths in every name",
        ("run", "--no-pages"),
        study_text(html_and_paths),
        OK,
    ),
]
