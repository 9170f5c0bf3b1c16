"""What models, their terms and the families of tests must have in common with the study."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import get_args

from connectrial.errors import did_you_mean
from connectrial.study import (
    AdjustMethod,
    ClinicalSection,
    EndpointSection,
    HypothesisSection,
    ModelSection,
    Study,
)
from connectrial.study_set_checks import contrast_members, edge_set_members
from connectrial.study_trial_checks import clinical_tests, endpoint_tests

#: Variables that every model may use, besides arms, groups, endpoints and [variables.*].
BUILT_IN_VARIABLES = ("visit", "time", "day", "baseline")

#: Variables of crossovers: what was given, when, and in which order.
CROSSOVER_VARIABLES = ("treatment", "period", "sequence")

MOST_CROSSED = 8
"""Variables that one term of a model may cross with ``*``: 2^8 columns at least."""


def modelled_analyses(study: Study) -> list[tuple[str, HypothesisSection | ClinicalSection]]:
    """Return the analyses that have a model and tests, with the section they stand in."""
    found: list[tuple[str, HypothesisSection | ClinicalSection]] = []
    found += [("hypothesis", item) for item in study.hypothesis]
    found += [("clinical", item) for item in study.clinical]
    return found


def without_effect(study: Study) -> list[str]:
    """Find keys that were set and would change nothing."""
    problems = []
    for name, model in study.model.items():
        used = {variable for term in model.fixed for variable in term_variables(term)}
        used |= set(grouping_variables(model))
        problems += [
            f"[model.{name}] coding.{variable}: no term of this model uses {variable!r}"
            + did_you_mean(variable, sorted(used))
            + "; leave the coding out or use the variable"
            for variable in model.coding
            if variable not in used
        ]
    for exploration in study.exploration:
        one = study.model.get(exploration.model)
        if one is not None and not one.reml:
            problems.append(
                f"[[exploration]] {exploration.name!r}: edges are fitted by restricted maximum likelihood, "
                f"but model {exploration.model!r} has reml = false; give the exploration a model of its own"
            )
    for clinical in study.clinical:
        one = study.model.get(clinical.model or "")
        if one is None or clinical.baseline is None or clinical.measure == "change":
            continue
        used = {variable for term in one.fixed for variable in term_variables(term)}
        if not used & {"baseline", "period_baseline"}:
            problems.append(
                f"[[clinical]] {clinical.name!r}: baseline = {clinical.baseline!r} changes nothing, because "
                f"outcome is 'score' and model {clinical.model!r} has no term 'baseline'; leave it out, "
                "set outcome = 'change', or add the term"
            )
    people = (
        [("hypothesis", one.name, one.who) for one in study.hypothesis]
        + [("clinical", one.name, one.who) for one in study.clinical]
        + [("exploration", one.name, one.who) for one in study.exploration]
    )
    has_controls = study.groups is not None and study.groups.controls is not None
    for section, name, who in people:
        if (who == "patients" and study.groups is None) or (who == "controls" and not has_controls):
            problems.append(
                f"[[{section}]] {name!r}: who = {who!r}, but the study does not say who these are; add "
                "[groups] with column, patients, controls, or leave who out"
            )
    return problems


def model_variables(study: Study) -> tuple[str, ...]:
    """Return the names that terms of models may use in this study."""
    names = list(BUILT_IN_VARIABLES)
    names += ["arm"] if study.arms is not None else []
    names += ["group"] if study.groups is not None else []
    measures = [one.name for one in study.exposure.measure] if study.exposure else []
    if study.is_crossover:
        # An endpoint of a crossover is reached or not under each treatment: no factor of a person.
        names += CROSSOVER_VARIABLES
        return (*names, *study.variables, *measures)
    return (*names, *study.endpoints, *study.variables, *measures)


def term_variables(term: str) -> tuple[str, ...]:
    """Split a term such as ``arm:visit`` or ``arm * visit`` into its variables."""
    for sign in "*:+|/":
        term = term.replace(sign, " ")
    return tuple(
        part for part in term.replace("(", " ").replace(")", " ").split() if part not in ("0", "1")
    )


def _levels_of(study: Study, variable: str) -> tuple[str, ...]:
    if variable in ("visit", "time"):
        return study.visits
    if variable == "arm" and study.arms is not None:
        return study.arms.levels
    if variable == "treatment":
        return study.design.treatments
    if variable == "group" and study.groups is not None:
        return tuple(name for name in (study.groups.patients, study.groups.controls) if name)
    endpoint: EndpointSection | None = study.endpoints.get(variable)
    if endpoint is not None:
        return endpoint.levels
    declared = study.variables.get(variable)
    return declared.levels if declared is not None else ()


_COVARIANCE = re.compile(
    r"(us|cs|csh|ar1|ar1h|toep|toeph|ad|adh)\s*\(\s*(\w+)\s*\|\s*(?:(\w+)\s*/\s*)?(\w+)\s*\)"
)


def _grouping_problems(model: ModelSection, known: Iterable[str]) -> list[str]:
    """Find what is wrong with random terms, or with a covariance between visits."""
    names = list(known)
    problems = []
    for term in model.random_terms:
        left, bar, grouping = term.strip("() ").partition("|")
        if not bar or "subject" not in grouping:
            problems.append(
                f"random: {term!r} is not understood; write '1 | subject' or, for a slope, "
                "'VARIABLE | subject'"
            )
            continue
        problems += [
            f"random: {term!r} uses {one!r}, which no part of the study declares{did_you_mean(one, names)}"
            for one in (*term_variables(left), *term_variables(grouping))
            if one not in names and one != "subject"
        ]
    if model.covariance is None:
        return problems
    found = _COVARIANCE.fullmatch(model.covariance.strip())
    if found is None or found[4] != "subject":
        return [
            f"covariance: {model.covariance!r} is not understood; write us(visit | subject), or for one per "
            "arm us(visit | arm / subject); structures: us, cs, csh, ar1, ar1h, toep, toeph, ad, adh"
        ]
    return [
        f"covariance: {model.covariance!r} uses {one!r}, which no part of the study declares"
        f"{did_you_mean(one, names)}"
        for one in (found[2], found[3])
        if one is not None and one not in names
    ]


def model_problems(study: Study) -> list[str]:
    """Find terms, codings and tests of models that nothing declares."""
    problems = []
    known = model_variables(study)
    for name, model in study.model.items():
        place = f"[model.{name}]"
        for term in model.fixed:
            if term.count("*") >= MOST_CROSSED:
                problems.append(
                    f"{place} fixed: {_brief(term)!r} crosses {term.count('*') + 1} variables; at most "
                    f"{MOST_CROSSED} can be"
                )
            for variable in term_variables(term):
                if variable not in known:
                    problems.append(
                        f"{place} fixed: {term!r} uses {variable!r}, which no part of the study "
                        f"declares{did_you_mean(variable, known)}"
                    )
        problems += [f"{place} {text}" for text in _grouping_problems(model, known)]
        for variable, coding in model.coding.items():
            if variable not in known:
                problems.append(
                    f"{place} coding: there is no variable {variable!r}{did_you_mean(variable, known)}"
                )
                continue
            levels = _levels_of(study, variable)
            for level in coding:
                if levels and level not in levels:
                    problems.append(
                        f"{place} coding.{variable}: there is no level {level!r}"
                        f"{did_you_mean(level, levels)}"
                    )
    for section, item in modelled_analyses(study):
        place = f"[[{section}]] {item.name!r} tests"
        problems += _tests_of(study, place, item.model, item.tests)
    problems += _exploration_tests(study)
    problems += _edge_set_tests(study)
    for name, one in study.maps.items():
        if one.model is not None:
            problems += _tests_of(study, f"[maps.{name}] tests", one.model, one.tests)
    return problems


def _exploration_tests(study: Study) -> list[str]:
    """Check what explorations map: a term, or one column of it where nothing permutes."""
    problems = []
    for one in study.exploration:
        adjusts = one.method in get_args(AdjustMethod)
        term = re.sub(r"\[[^\]]*\]", "", one.test) if adjusts else one.test
        problems += _tests_of(study, f"[[exploration]] {one.name!r} test", one.model, (term,))
    return problems


def _edge_set_tests(study: Study) -> list[str]:
    """Find tests of sets of connections that the model of their hypothesis does not have."""
    problems: list[str] = []
    of_hypothesis = {one.name: one.model for one in study.hypothesis}
    for edge_set in study.edge_set:
        place = f"[[edge_set]] {edge_set.name!r} test"
        tested = (re.sub(r"\[[^\]]*\]", "", edge_set.test),)  # a column belongs to its term
        problems += _tests_of(study, place, of_hypothesis.get(edge_set.hypothesis), tested)
    return problems


def _tests_of(
    study: Study, place: str, model_name: str | None, tests: tuple[str, ...]
) -> list[str]:
    model = study.model.get(model_name or "")
    if model is None:
        return []
    terms = {frozenset(term_variables(part)): part for part in expanded_terms(model.fixed)}
    return [
        f"{place}: model {model_name!r} has no term {test!r}; it has: {', '.join(terms.values())}"
        for test in tests
        if frozenset(term_variables(test)) not in terms or "*" in test
    ]


def grouping_variables(model: ModelSection) -> tuple[str, ...]:
    """Return the variables of a model's random terms and covariance, the person left out."""
    texts = (*model.random_terms, model.covariance or "")
    words = (word for text in texts for word in re.findall(r"[A-Za-z_]\w*", text))
    structures = {"us", "cs", "csh", "ar1", "ar1h", "toep", "toeph", "ad", "adh", "subject"}
    return tuple(dict.fromkeys(word for word in words if word not in structures))


def _brief(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def expanded_terms(fixed: Iterable[str]) -> tuple[str, ...]:
    """Write ``a * b`` out as ``a``, ``b``, ``a:b`` and keep the rest."""
    terms: list[str] = []
    for text in fixed:
        parts = [part.strip() for part in text.split("*")]
        if len(parts) > MOST_CROSSED:  # 2^n terms; the check of models says so
            terms.append(text)
            continue
        combined = [""]
        for part in parts:
            combined += [f"{before}:{part}" if before else part for before in combined]
        terms += sorted((term for term in combined if term), key=lambda term: term.count(":"))
    return tuple(dict.fromkeys(terms))


def family_members(study: Study, family: str) -> list[tuple[str, str]]:
    """Return the declared tests of a family as (analysis, term), in the order of the file."""
    members = [
        (item.name, test)
        for _, item in modelled_analyses(study)
        if item.family == family
        for test in (
            clinical_tests(study, item) if isinstance(item, ClinicalSection) else item.tests
        )
    ]
    for _, item in modelled_analyses(study):
        members += contrast_members(study, item, family)
    members += edge_set_members(study, family)
    for name, endpoint in study.endpoints.items():
        if endpoint.family == family:
            members += [(name, test) for test in endpoint_tests(study)]
    for one in study.time_to_event:
        if one.family == family:
            members += [(one.name, test) for test in endpoint_tests(study)]
    members += [(one.name, one.term) for one in study.correlation if one.family == family]
    for comparison in study.comparison:
        if comparison.family == family:
            members += [
                (comparison.name, f"{system} at {visit}")
                for system in comparison.hypotheses
                for visit in comparison.visits
            ]
    return members


def family_sizes(study: Study) -> list[str]:
    """Find families whose size is not that of the tests declared in them."""
    problems = []
    for name, family in study.family.items():
        count = len(family_members(study, name))
        if count == 0:
            problems.append(
                f"[family.{name}]: no analysis belongs to it; set family = {name!r} in one"
            )
        elif family.size is not None and family.size != count:
            if family.size > count and family.method == "bonferroni":
                continue
            more = "" if family.method == "bonferroni" else "; only bonferroni may count more"
            problems.append(
                f"[family.{name}] size: is {family.size}, but {count} tests are declared in it; write "
                f"{count} or mend the tests{more}"
            )
    return problems
