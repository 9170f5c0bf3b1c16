"""What is saved beside the page: figures and the text for a paper."""

from __future__ import annotations

import os
import re
import shutil
import signal
from dataclasses import replace

import pytest

from connectrial import load_study, plan_study, run_plan
from connectrial.errors import MachineError
from connectrial.report import building
from connectrial.report.saving import citation_bibtex, save_report


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from tiny import write_tiny

    place = tmp_path_factory.mktemp("saved")
    results = run_plan(plan_study(load_study(write_tiny(place / "tiny"))), place / "out")
    assert results is not None
    # Some of all figures: each is drawn four times in what follows.
    few = ("flow", "scans", "scores", "outcomes", "parcels", "network_fc", "visit_fc")
    tables = {name: table for name, table in results.tables.items() if name in few}
    results = replace(results, tables=tables, edges={}, matrices={})
    save_report(results, place / "out")
    return results, place / "out"


@pytest.fixture
def saved(run, tmp_path):
    """Results and a folder of a run, which a test may change."""
    results, out = run
    shutil.copytree(out, tmp_path / "out")
    return results, tmp_path / "out"


def test_figures_and_citations_are_there_and_the_same_again(saved):
    results, out = saved
    figures = {p.name: p.read_bytes() for p in (out / "group" / "figures").iterdir()}
    assert {name.rsplit(".")[-1] for name in figures} == {"svg", "pdf", "png", "tsv"}
    assert len(figures) >= 10
    text = (out / "logs" / "CITATION.md").read_text()
    assert "Satterthwaite's degrees of freedom" in text
    assert "21 observations of 11 people" in text
    keys = set(re.findall(r"\[@(\w+)\]", text))
    assert {"laird1982", "holm1979"} <= keys
    entries = set(re.findall(r"^@\w+\{(\w+),", (out / "logs" / "CITATION.bib").read_text(), re.M))
    assert entries == keys
    # What did not change is not drawn again; what is not as it was drawn, is.
    folder = out / "group" / "figures"
    stems = sorted(p.stem for p in folder.glob("*.pdf"))
    pictures = [folder / f"{stem}.{ending}" for stem in stems for ending in ("svg", "pdf", "png")]
    inodes = {p.name: p.stat().st_ino for p in pictures}
    damaged = next(p for p in pictures if p.suffix == ".pdf")
    damaged.write_bytes(b"half a figu")
    save_report(results, out)
    assert figures == {p.name: p.read_bytes() for p in folder.iterdir()}
    again = {p.name for p in pictures if p.stat().st_ino != inodes[p.name]}
    assert {name.rsplit(".")[0] for name in again} == {damaged.stem}


def test_two_processes_write_the_same_bytes_and_one_that_is_killed_is_one_message(
    saved, monkeypatch
):
    results, out = saved
    folder = out / "group" / "figures"
    files = {p.name: p.read_bytes() for p in (out / "report.html", *folder.iterdir())}
    shutil.rmtree(folder)
    save_report(results, out, n_jobs=2)
    assert files == {p.name: p.read_bytes() for p in (out / "report.html", *folder.iterdir())}
    monkeypatch.setattr(building, "_held_section", _killed)
    with pytest.raises(MachineError, match=r"was killed.*connectrial report OUT --n-jobs 1"):
        save_report(results, out, n_jobs=2)
    assert (out / "report.html").read_bytes() == files["report.html"]


def _killed(place):
    os.kill(os.getpid(), signal.SIGKILL)


def test_bibtex_of_an_article():
    entry = citation_bibtex(["laird1982"])
    assert "author = {Laird, N. M. and Ware, J. H.}" in entry
    assert "journal = {Biometrics}" in entry
    assert "pages = {963--974}" in entry
    assert "doi = {10.2307/2529876}" in entry
