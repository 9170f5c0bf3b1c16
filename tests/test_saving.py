"""What is saved beside the page: figures and the text for a paper."""

from __future__ import annotations

import re

import pytest

from connectrial import load_study, plan_study, run_plan
from connectrial.report.saving import citation_bibtex, save_report


@pytest.fixture
def saved(tiny, tmp_path):
    results = run_plan(plan_study(load_study(tiny)), tmp_path / "out")
    assert results is not None
    save_report(results, tmp_path / "out")
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


def test_bibtex_of_an_article():
    entry = citation_bibtex(["laird1982"])
    assert "author = {Laird, N. M. and Ware, J. H.}" in entry
    assert "journal = {Biometrics}" in entry
    assert "pages = {963--974}" in entry
    assert "doi = {10.2307/2529876}" in entry
