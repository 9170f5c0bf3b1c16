"""The methods paragraph of a run, the references it needs, and how to cite."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from connectrial.plan.processing import processing_sentences
from connectrial.report.cells import adjustment_words
from connectrial.report.source import family_alpha
from connectrial.results import Results


@cache
def known_references() -> dict[str, str]:
    """Return every reference the package knows, by citation key."""
    text = (files("connectrial") / "templates" / "references.json").read_text(encoding="utf-8")
    loaded: dict[str, str] = json.loads(text)
    return loaded


def methods_text(results: Results) -> tuple[list[str], list[str]]:
    """Return paragraphs that are true of what was run, and the citation keys they need.

    Sentences that several analyses share are printed once, with the analyses they hold for.
    """
    holders: dict[str, list[str]] = {}
    keys: list[str] = []
    for result in results.analyses:
        if result.methods:
            holders.setdefault(result.methods.strip(), []).append(result.title)
        keys += [key for key in result.citations if key not in keys]
    paragraphs = []
    for sentence, titles in holders.items():
        keys += [key for key in re.findall(r"@(\w+)", sentence) if key not in keys]
        # A sentence that names its analysis itself needs no name before it.
        if all(title.removesuffix(")") in sentence for title in titles):
            paragraphs.append(sentence)
        else:
            named = _listed(titles)
            paragraphs.append(f"{named}{'' if named.endswith('?') else '.'} {sentence}")
    paragraphs = [*_connectivity(results), *paragraphs, *_families(results)]
    given = results.plan.get("methods") or ()
    paragraphs = [*([given] if isinstance(given, str) else map(str, given)), *paragraphs]
    paragraphs = [cited(adjustment_words(text)) for text in paragraphs]
    more = [*_adjustment_keys(results), *(results.plan.get("citations") or ())]
    keys += [str(key) for key in dict.fromkeys(more) if str(key) not in keys]
    return paragraphs, keys


def _connectivity(results: Results) -> list[str]:
    """Say how connectivity was computed, as far as the study file and the scans tell."""
    scans = results.tables.get("scans")
    if scans is None or "kind" not in scans.columns or not len(scans):
        return []
    kinds = set(scans["kind"].dropna().astype(str))
    ready = kinds == {"matrix"}
    rules = results.study.get("connectivity") or {}
    partial = rules.get("estimator", "pearson") == "partial"
    which = "partial correlation" if partial else "Pearson's correlation"
    source = "ready-made matrices" if ready else "parcel signals over kept frames"
    text = [
        f"Functional connectivity (FC) is the Fisher z of {which}, from {source}; "
        "network FC is the mean z over the edges of a system, each edge once, never the diagonal."
    ]
    text += processing_sentences(results.study, kinds=kinds)
    if not ready and scans.duplicated(["subject", "session"]).any():
        joined = (results.study.get("connectivity") or {}).get(
            "runs", "concatenate"
        ) == "concatenate"
        text.append(
            "Runs of a session were z-scored over kept frames and concatenated."
            if joined
            else "Fisher z was averaged over the runs of a session."
        )
    if any(len(visit.get("sessions") or ()) > 1 for visit in results.study.get("visit") or ()):
        text.append("Sessions of the same visit were averaged.")
    return [" ".join(text)]


_ADJUSTMENT_KEYS = {
    "bonferroni": "dunn1961",
    "holm": "holm1979",
    "hochberg": "hochberg1988",
    "fdr_bh": "benjamini1995",
    "fdr_by": "benjamini2001",
}


def _adjustment_keys(results: Results) -> list[str]:
    used = " ".join(results.estimates["adjustment"].astype(str).unique())
    return [key for name, key in _ADJUSTMENT_KEYS.items() if re.search(rf"\b{name}\b", used)]


def _families(results: Results) -> list[str]:
    """Say which tests share an adjustment, how many they are, and at which level they are judged."""
    rows = results.estimates
    rows = rows[rows["declared"] & (rows["family"] != "") & rows["p_adjusted"].notna()]
    text = []
    for name, own in rows.groupby("family", sort=False):
        how = own["adjustment"].iloc[0] or "the study's method"
        alpha = f"{family_alpha(results, str(name)):g}".removeprefix("0")
        text.append(
            f"{_adjusted(str(name), len(own), str(how))} judged at {alpha}; all tests are two-sided."
            if set(own["alternative"]) <= {"two-sided", ""}
            else f"{_adjusted(str(name), len(own), str(how))} judged at {alpha}."
        )
    return text


def _adjusted(name: str, n: int, how: str) -> str:
    if n == 1:
        return f"The p value of the one test of the family '{name}' was adjusted by {how} and"
    return f"P values of the {n} tests of the family '{name}' were adjusted by {how} and"


def cited(text: str) -> str:
    """Write citation keys as author and year: ``@otto2021`` -> ``Otto et al. 2021``."""
    return re.sub(r"@(\w+)", lambda key: _author_and_year(key[1]) or key[0], text)


def _author_and_year(key: str) -> str:
    """Return authors and year of a full reference; empty where there is none."""
    full = known_references().get(key, "")
    authors, year = full.partition(". ")[0].split(", "), re.search(r"\b(?:19|20)\d\d\b", full)
    names = [re.sub(r"( [A-Z]{1,4})$", "", one) for one in authors]
    if not full or year is None:
        return ""
    who = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
    return f"{who} {year[0]}"


def references(keys: Sequence[str]) -> list[str]:
    """Return full references; a key without one says so."""
    known = known_references()
    return [known.get(key, f"[{key}]: no full reference on file.") for key in keys]


def how_to_cite(results: Results) -> str:
    """Return a sentence that names software and version."""
    version = results.plan.get("version") or results.software.get("connectrial") or ""
    plan = results.plan.get("hash")
    return (
        f"Analyses were run with connectrial{f' {version}' if version else ''}"
        + (f" (plan {plan})" if plan else "")
        + ". Cite the software by its CITATION.cff, and the references above for the methods used."
    )


def study_text(results: Results) -> str:
    """Return the resolved study as indented text."""
    return json.dumps(
        _without_empty(dict(results.study)), indent=2, ensure_ascii=False, default=str
    )


def _without_empty(value: Any) -> Any:  # noqa: ANN401 - plain data of any shape
    if isinstance(value, dict):
        kept = {key: _without_empty(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in (None, {}, [], ())}
    if isinstance(value, (list, tuple)):
        return [_without_empty(inner) for inner in value]
    return value


def _listed(titles: Sequence[str]) -> str:
    if len(titles) == 1:
        return titles[0]
    return ", ".join(titles[:-1]) + " and " + titles[-1]
