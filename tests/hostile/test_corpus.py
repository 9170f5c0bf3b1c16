"""Damaged and odd inputs: one message, or the oddity handled; no traceback, no hang, no memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import html5lib
import pytest

from hostile.cases import Case
from hostile.corpus import CASES
from hostile.table import rows
from hostile.worker import limit_s

REFUSED = ("StudyFileError", "InputError")


@pytest.fixture(scope="module")
def folder():
    # Not below pytest's own folder, which only its owner may enter: one case drops privileges.
    with tempfile.TemporaryDirectory(prefix="connectrial-hostile-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def outcomes(folder) -> dict[str, dict[str, Any]]:
    """Run all cases in one process; one that dies is named, and the rest goes on in another."""
    waiting = [case.id for case in CASES]
    done: dict[str, dict[str, Any]] = {}
    while waiting:
        worker = subprocess.run(
            [sys.executable, "-m", "hostile.worker", str(folder)],
            cwd=Path(__file__).parents[1],
            input="\n".join(waiting) + "\n",
            capture_output=True,
            text=True,
        )
        lines = [json.loads(line) for line in worker.stdout.splitlines()]
        done |= {line["id"]: line for line in lines}
        rest = waiting[len(lines) :]
        if rest:
            done[rest[0]] = {"end": f"died ({worker.returncode})", "said": worker.stderr[-3000:]}
        waiting = rest[1:]
    return done


def test_the_corpus_is_large_and_every_kind_has_refusals():
    assert len(CASES) >= 150
    counts = Counter(case.kind for case in CASES)
    assert len(counts) >= 20, counts


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_each_comes_out_as_expected(case: Case, outcomes):
    found = outcomes[case.id]
    expected = "handled" if case.expected == "left out" else case.expected
    if isinstance(case.door, tuple) and expected in REFUSED:
        expected = "InputError"  # the command line tells one class from another by words alone
    assert found["end"] == expected, found["said"]
    assert re.search(case.says, found["said"], re.DOTALL), found["said"]
    assert found["written"] == [], "something was written outside OUT"
    assert found["warned"] == [], "a library's warning is no message"
    assert found["seconds"] < limit_s(case)
    if found["end"] in REFUSED:
        assert "Traceback" not in found["said"]
        named = "input" in found["said"] or isinstance(case.door, tuple) or "letters" in case.name
        # What a file leads to is named in its place; an atlas is known by its name.
        assert named or case.door == "atlas table" or "extends" in case.name, (
            "it must name the file"
        )
    if case.expected == "left out":
        assert "out" in found["said"]


@pytest.fixture
def page(outcomes) -> Path:
    """Return the report of the whole run, where the worker put it."""
    whole = outcomes["whole run: HTML and paths in every name"]
    assert whole["end"] == "handled", whole["said"]
    (found,) = re.findall(r"Report:\s+(\S+report\.html)", whole["said"])
    return Path(found)


def test_names_in_html_stay_text_in_the_page(page):
    text = page.read_text()
    tree = html5lib.parse(text, namespaceHTMLElements=False)
    scripts = [one for one in tree.iter("script") if "alert(" in (one.text or "")]
    assert all(one.get("type") == "application/json" for one in scripts)
    for element in tree.iter():
        for name, value in element.attrib.items():
            assert not str(name).lower().startswith("on"), (element.tag, name, value)
    assert "{{7*7}}" in text, "a template in a name is not evaluated"
    assert "<svg/onload" not in text


def test_files_are_named_after_letters_and_digits(page):
    edges = sorted(path.name for path in (page.parent / "group" / "edges").glob("*.tsv"))
    assert edges == ["svg-onload-alert-3.tsv"]


def test_the_documentation_counts_this_corpus():
    text = (Path(__file__).parents[2] / "docs" / "hostile-input.md").read_text()
    assert "\n".join(rows()) in text, "run python -m hostile.table in tests/"
