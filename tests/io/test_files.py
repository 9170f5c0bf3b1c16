"""Files are whole or not there, and what a killed process leaves is cleared away."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from connectrial.errors import MachineError
from connectrial.io.files import remove_leftovers, write_atomic


def test_text_and_bytes_arrive_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "c.tsv"
    write_atomic(path, "ü\n")
    assert path.read_bytes() == "ü\n".encode()
    write_atomic(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    assert [p.name for p in path.parent.iterdir()] == ["c.tsv"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "c.tsv"
    write_atomic(path, "old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        MachineError, match=r"c\.tsv: cannot be written \(No space left on device\)"
    ):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["c.tsv"]


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(MachineError, match="cannot be written"):
        write_atomic(tmp_path / "a" / "b.tsv", "y")


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from connectrial.io import files\n"
        "files.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_atomic(Path(sys.argv[1]) / 'sub' / 'x.tsv', 'half')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    left = list(tmp_path.rglob(".*.part"))
    assert len(left) == 1
    living = left[0].with_name(
        left[0].name.replace("-", f"-{os.getpid()}.x.part", 1).split(".part")[0] + ".part"
    )
    living.write_text("being written")
    (tmp_path / "sub" / ".other.part").write_text("not ours")
    assert remove_leftovers(tmp_path) == 1
    assert not left[0].exists()
    assert living.exists()
    assert (tmp_path / "sub" / ".other.part").exists()
