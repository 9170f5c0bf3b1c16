"""The results paragraph of a run: counts, endpoints and tests in sentences that a paper can take."""

from __future__ import annotations

import pandas as pd

from connectrial.figures.numbers import as_float, format_count
from connectrial.report.endpoint_panels import rule_words, when_words
from connectrial.report.source import included_people, number_of_scans, table
from connectrial.report.verdict import verdict_sentences, verdict_summary
from connectrial.results import Results


def results_text(results: Results) -> list[str]:
    """Return paragraphs that are true of what was found.

    Parameters
    ----------
    results : Results
        What was found; what it does not hold is not spoken of.

    Returns
    -------
    list of str
        Who was analysed, endpoints, then the primary tests and the negative controls one by one.
    """
    first = " ".join([*_people(results), *_endpoints(results)])
    second = " ".join(filter(None, [verdict_summary(results), *verdict_sentences(results)]))
    return [text for text in (first, second) if text]


def _by_group(results: Results) -> str:
    """Count those who took part by group, where there are several."""
    people = table(results, "subjects")
    if people is None or "group" not in people.columns:
        return ""
    own = people.loc[people["included"].astype(bool), "group"].dropna().astype(str)
    patients = (results.study.get("groups") or {}).get("patients")
    counts = own.value_counts().sort_index(key=lambda names: names != patients, kind="stable")
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f" ({listed})" if len(counts) > 1 else ""


def _people(results: Results) -> list[str]:
    people, scans = included_people(results), table(results, "scans")
    text = []
    if people is not None:
        text.append(f"{format_count(len(people))} people took part{_by_group(results)}.")
    if scans is not None and "included" in scans.columns and number_of_scans(results):
        used = scans[scans["included"].astype(bool)][["subject", "session"]].drop_duplicates()
        every = number_of_scans(results)
        text.append(
            f"Of {format_count(every)} sessions with a scan {format_count(len(used))} were usable"
            f"{_taken(used, people)}."
        )
    return text


def _endpoints(results: Results) -> list[str]:
    """Write each endpoint of everybody in its first analysis set."""
    rules = results.study.get("endpoints") or {}
    text = []
    for result in results.analyses:
        rows = result.estimates
        rows = rows[(rows["kind"] == "proportion") & rows["estimate"].notna()]
        if result.what != "response" or result.name not in rules or rows.empty:
            continue
        own = rows[rows["analysis_set"] == rows["analysis_set"].iloc[0]]
        split = own[own["term"].astype(str).str.contains(", ", regex=False)]
        for row in (split if len(split) else own).to_dict("records"):
            n, share = int(row["n_subjects"]), as_float(row["estimate"])
            who = f" ({str(row['term']).rpartition(', ')[2]})" if len(split) else ""
            ends = f"{100 * as_float(row['ci_low']):.0f} to {100 * as_float(row['ci_high']):.0f} %"
            text.append(
                f"{rule_words(rules[result.name])} {'from' if rules[result.name].get('until') else 'at'} "
                f"{when_words(rules[result.name])}{who}: "
                f"{round(share * n)} of {n} people ({100 * share:.0f} %, 95% CI {ends})."
            )
    return text


def _taken(used: pd.DataFrame, people: set[str] | None) -> str:
    """Say how many usable sessions are of people who take part, where not all of them are."""
    if people is None:
        return ""
    own = int(used["subject"].astype(str).isin(people).sum())
    return "" if own == len(used) else f", {format_count(own)} of them of those people"
