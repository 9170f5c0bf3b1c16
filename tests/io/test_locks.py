"""One run at a time in a folder: who holds it, who is dead, and who may share it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from connectrial.errors import MachineError
from connectrial.io import locks
from connectrial.io.files import host_name
from connectrial.io.locks import FOLDER, claimed, read_claims

HOLD = """
import sys
from pathlib import Path
from connectrial.io.locks import claimed
people = sys.argv[2].split(",") if sys.argv[2] else None
with claimed(Path(sys.argv[1]), people=people):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Start a process that holds the folder for some people, or for all."""
    started = []

    def hold(people: str = "") -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), people],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def write_claim(folder, *, host, pid, age_s=0.0, born=""):
    path = folder / FOLDER / f"{host}-{pid}.json"
    path.parent.mkdir(exist_ok=True)
    content = {
        "host": host,
        "pid": pid,
        "born": born,
        "people": None,
        "since": "2026-01-01 10:00:00",
    }
    path.write_text(json.dumps(content))
    now = path.stat().st_mtime
    os.utime(path, (now - age_s, now - age_s))
    return path


def test_the_second_is_told_who_the_first_is(tmp_path, holder):
    first = holder()
    with (
        pytest.raises(
            MachineError,
            match=rf"another run is at work here \(process {first.pid} on {host_name()}",
        ),
        claimed(tmp_path),
    ):
        pass
    assert [one.pid for one in read_claims(tmp_path)] == [first.pid]
    first.kill()
    first.wait()
    assert (tmp_path / FOLDER).exists()
    with claimed(tmp_path):  # the dead hold nothing
        assert [one.pid for one in read_claims(tmp_path)] == [os.getpid()]
    assert not (tmp_path / FOLDER).exists()


def test_people_share_a_folder_and_everybody_does_not(tmp_path, holder):
    holder("01,02")
    with claimed(tmp_path, people=["03"]):
        pass
    with pytest.raises(MachineError, match="another run"), claimed(tmp_path, people=["02", "03"]):
        pass
    with pytest.raises(MachineError, match="another run"), claimed(tmp_path):
        pass


def test_a_killed_process_that_nobody_has_buried_is_dead(tmp_path, holder):
    first = holder()
    os.kill(first.pid, 9)
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)  # it stays in the list as a zombie
    with claimed(tmp_path):
        pass


def test_a_number_that_belongs_to_another_process_by_now_is_dead(tmp_path):
    path = write_claim(tmp_path, host=host_name(), pid=os.getppid(), born="1")
    with claimed(tmp_path):
        assert not path.exists()


def test_another_machine_is_believed_as_long_as_it_gives_signs_of_life(tmp_path):
    write_claim(tmp_path, host="elsewhere", pid=7)
    with (
        pytest.raises(
            MachineError, match=r"process 7 on elsewhere, since 2026.*given up by itself 5 min"
        ),
        claimed(tmp_path),
    ):
        pass
    path = write_claim(tmp_path, host="elsewhere", pid=7, age_s=locks.DEAD_AFTER_S + 60)
    with claimed(tmp_path):
        assert not path.exists()


def test_a_claim_is_touched_while_its_run_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT_S", 0.01)
    touched = threading.Event()
    utime = os.utime

    def see(path, *args, **options):
        utime(path, *args, **options)
        touched.set()

    monkeypatch.setattr(locks.os, "utime", see)
    with claimed(tmp_path):
        assert touched.wait(10)


def test_of_many_at_once_exactly_one_wins_at_a_time(tmp_path):
    """Four processes want the folder; each that wins writes and removes a mark of its own."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from connectrial.errors import MachineError; from connectrial.io.locks import claimed\n"
        "out = Path(sys.argv[1])\n"
        "for _ in range(15):\n"
        "    try:\n"
        "        with claimed(out):\n"
        "            (out / 'mark').touch(exist_ok=False); time.sleep(0.002); (out / 'mark').unlink()\n"
        "            print('won')\n"
        "    except MachineError:\n"
        "        time.sleep(0.003)\n"
    )
    several = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    said = [one.communicate()[0] for one in several]
    assert [one.returncode for one in several] == [0] * 4
    assert sum(one.count("won") for one in said) > 0
    assert not (tmp_path / FOLDER).exists()
