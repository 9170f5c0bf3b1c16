"""The methods paragraph of a run, the references it needs, and how to cite."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from connectrial.figures.numbers import name_words, term_words
from connectrial.plan.processing import processing_sentences
from connectrial.report.cells import adjustment_words
from connectrial.report.citing import cited, references_by_key
from connectrial.report.endpoint_panels import rule_words, when_words
from connectrial.report.source import family_alpha, table
from connectrial.results import Results


def known_references() -> dict[str, str]:
    """Return every reference the package knows, by citation key."""
    return references_by_key()


def methods_text(results: Results) -> tuple[list[str], list[str]]:
    """Return paragraphs that are true of what was run, and the citation keys they need.

    Sentences that several analyses share are printed once, with the analyses they hold for.
    """
    holders: dict[str, list[str]] = {}
    keys: list[str] = []
    for result in results.analyses:
        # A variant repeats the models on other processing, which is said once.
        if result.methods and result.what != "variant":
            holders.setdefault(result.methods.strip(), []).append(result.title)
        keys += [key for key in result.citations if key not in keys]
    paragraphs = []
    for sentence in holders:
        keys += [key for key in re.findall(r"@(\w+)", sentence) if key not in keys]
    for sentence, titles in _joined(holders).items():
        # A sentence that names its analysis itself needs no name before it.
        if all(title.removesuffix(")") in sentence for title in titles):
            paragraphs.append(sentence)
        else:
            paragraphs.append(f"{_heading(titles)} {sentence}")
    paragraphs = [
        *_connectivity(results),
        *_matching(results),
        *_rules(results),
        *paragraphs,
        *_variants(results),
        *_families(results),
    ]
    given = results.plan.get("methods") or ()
    paragraphs = [*([given] if isinstance(given, str) else map(str, given)), *paragraphs]
    paragraphs = [_capital(said(text)) for text in paragraphs]
    more = [*_adjustment_keys(results), *(results.plan.get("citations") or ())]
    keys += [str(key) for key in dict.fromkeys(more) if str(key) not in keys]
    return paragraphs, keys


_DONE = re.compile(r"(?P<what>[^.;:]+?) was (?P<how>(?:modelled|correlated) .+)", re.DOTALL)
_FC = "Network FC of "


def _joined(holders: dict[str, list[str]]) -> dict[str, list[str]]:
    """Make one sentence of those that say the same of different outcomes."""
    alike: dict[str, list[str]] = {}
    for sentence in holders:
        found = _DONE.fullmatch(sentence)
        alike.setdefault(found["how"] if found else sentence, []).append(sentence)
    made: dict[str, list[str]] = {}
    for how, sentences in alike.items():
        if len(sentences) == 1:
            made[sentences[0]] = holders[sentences[0]]
            continue
        outcomes = [sentence.removesuffix(f" was {how}") for sentence in sentences]
        if all(outcome.startswith(_FC) for outcome in outcomes):
            outcomes = [outcomes[0], *(f"of {one.removeprefix(_FC)}" for one in outcomes[1:])]
        made[f"{_listed(outcomes)} were each {how}"] = []
    return made


_MANY = 3  # titles beyond which they are named without their outcomes


def _heading(titles: Sequence[str]) -> str:
    """Name the analyses that a sentence is about, as a short sentence of its own."""
    bare = [re.sub(r" \([^()]*\)$", "", title) for title in titles]
    words = _listed(bare if len(titles) > _MANY and len(set(bare)) == len(bare) else titles)
    return words if words.endswith(("?", "!", ".")) else f"{words}."


def _capital(text: str) -> str:
    """Begin a sentence with a capital, unless its first word has one inside (sgACC)."""
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first.strip(",.:").isalpha() and first.islower() else text


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


def _matching(results: Results) -> list[str]:
    """Say how controls were chosen."""
    rule = results.study.get("matching") or {}
    if not rule or table(results, "matched") is None:
        return []
    ratio = int(rule.get("ratio") or 1)
    how = [f"nearest in {' and '.join(rule['on'])}" if rule.get("on") else ""]
    how += [f"alike in {' and '.join(rule['exact'])}" if rule.get("exact") else ""]
    within = ", ".join(
        f"{name} within {size:g}" for name, size in (rule.get("caliper") or {}).items()
    )
    chosen = ", ".join(filter(None, [*how, within]))
    n = "one control" if ratio == 1 else f"{ratio} controls"
    return [
        f"Patients were matched to {n} each ({chosen}; optimal matching); the others were left out."
    ]


def _rules(results: Results) -> list[str]:
    """Say what each endpoint asks for."""
    rules = results.study.get("endpoints") or {}
    done = {one.name for one in results.analyses if one.what == "response"}
    words = [
        f"{name.replace('_', ' ')} is {rule_words(rule)} {'from' if rule.get('until') else 'at'} "
        f"{when_words(rule)}"
        for name, rule in rules.items()
        if name in done
    ]
    return [f"Endpoints: {'; '.join(words)}."] if words else []


def _variants(results: Results) -> list[str]:
    facts = table(results, "variants")
    if facts is None or not any(one.what == "variant" for one in results.analyses):
        return []
    words = "; ".join(
        f"{name} ({what})" for name, what in zip(facts["variant"], facts["what"], strict=True)
    )
    return [f"As sensitivity the same models were fitted to variants of processing: {words}."]


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


_TERM = re.compile(r"\b[a-z_]+(?:\[[^\]]+\])?(?::[a-z_]+(?:\[[^\]]+\])?)+|\b[a-z_]+\[[^\]]+\]")


def said(text: str) -> str:
    """Write what a sentence borrows from study files and models for people.

    Citation keys become authors and years, names of adjustments and columns words, terms of a model
    those that its table has: ``visit[post]:arm[drug]`` -> ``visit post × arm drug``.
    """
    words = _TERM.sub(lambda term: term_words(term[0]), adjustment_words(cited(text)))
    return name_words(words)


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
