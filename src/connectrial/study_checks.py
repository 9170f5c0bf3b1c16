"""What a study file's parts must have in common: names that exist, families that add up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, get_args

from connectrial.errors import did_you_mean
from connectrial.study import (
    AdjustMethod,
    ClinicalSection,
    EndpointSection,
    ExposureSection,
    HypothesisSection,
    MapSection,
    ModelSection,
    Study,
)
from connectrial.study_set_checks import contrast_members, edge_set_members, set_problems
from connectrial.study_trial_checks import clinical_tests, endpoint_tests, trial_problems

#: Variables that every model may use, besides arms, groups, endpoints and [variables.*].
BUILT_IN_VARIABLES = ("visit", "time", "day", "baseline")


#: Columns that tables of the study have already; a variable cannot be called so.
RESERVED = (
    "subject", "visit", "time", "place", "session", "included", "reason", "scale", "score", "change",
    "fc_z", "outcome", "event", "severity",
)  # fmt: skip

#: What is known of a person's scans before they are read.
SCAN_MEASURES = ("mean_fd_mm", "kept_frames", "kept_minutes")

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


def find_contradictions(study: Study, raw: Mapping[str, Any], *, whole: bool) -> list[str]:
    """Find names that nothing declares, and declarations that contradict one another."""
    problems: list[str] = []

    def must_exist(name: str | None, known: Iterable[str], place: str, what: str, how: str) -> None:
        names = list(known)
        if name is not None and name not in names:
            problems.append(
                f"{place}: {what} {name!r} is not declared{did_you_mean(name, names)}"
                + ("" if names else f"; {how}")
            )

    def declared(section: str) -> list[str]:
        names = raw.get(section)
        return list(names) if isinstance(names, Mapping) else []

    scales, models, families = declared("scales"), declared("model"), declared("family")
    for section, item in modelled_analyses(study):
        place = f"[[{section}]] {item.name!r}"
        must_exist(item.model, models, place, "model", "add a [model.NAME]")
        must_exist(item.family, families, place, "family", "add a [family.NAME]")
    for clinical in study.clinical:
        place = f"[[clinical]] {clinical.name!r}"
        must_exist(clinical.scale, scales, place, "scale", "add a [scales.NAME]")
        for visit in (*clinical.visits, clinical.baseline):
            must_exist(visit, study.visits, place, "visit", "add a [[visit]]")
        if clinical.measure == "change" and clinical.baseline is None:
            problems.append(
                f"{place}: outcome = 'change' needs baseline = the visit it starts from"
            )
    listed = raw.get("hypothesis")
    hypotheses = [
        str(one.get("name"))
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, Mapping)
    ]
    for comparison in study.comparison:
        place = f"[[comparison]] {comparison.name!r}"
        must_exist(comparison.family, families, place, "family", "add a [family.NAME]")
        for name in comparison.hypotheses:
            must_exist(name, hypotheses, place, "hypothesis", "add a [[hypothesis]]")
        for visit in comparison.visits:
            must_exist(visit, study.visits, place, "visit", "add a [[visit]]")
    mapped = [(f"[[exploration]] {one.name!r}", one.model) for one in study.exploration]
    for place, model in [*mapped, *((f"[maps.{k}]", m.model) for k, m in study.maps.items())]:
        must_exist(model, models, place, "model", "add a [model.NAME]")
    for name, endpoint in study.endpoints.items():
        place = f"[endpoints.{name}]"
        must_exist(endpoint.scale, scales, place, "scale", "add a [scales.NAME]")
        for visit in (endpoint.visit, endpoint.baseline):
            must_exist(visit, study.visits, place, "visit", "add a [[visit]]")
    return [*problems, *_deeper_problems(study, whole=whole)]


def _deeper_problems(study: Study, *, whole: bool) -> list[str]:
    """Check what hangs together, unless a section was set aside that others hang on."""
    if not whole:
        return []
    return [
        *_contradictions(study),
        *_exposure_problems(study),
        *trial_problems(study),
        *set_problems(study),
        *_model_variables(study),
        *_without_effect(study),
        *_family_sizes(study),
    ]


def _contradictions(study: Study) -> list[str]:
    problems = [
        f"[[comparison]] {one.name!r}: needs controls; add [groups] with column, patients, controls"
        for one in study.comparison
        if study.groups is None or study.groups.controls is None
    ]
    analyses = [item.name for item in study.hypothesis]
    analyses += [item.name for item in study.clinical]
    analyses += [item.name for item in study.comparison]
    analyses += [item.name for item in study.time_to_event]
    analyses += [item.name for item in study.exploration]
    analyses += [item.name for item in study.edge_set]
    if study.exposure is not None:
        analyses += ["exposure", *(item.name for item in study.exposure.response)]
    analyses += list(study.maps)
    for what, names in (("visit", list(study.visits)), ("analysis", analyses)):
        problems += [
            f"the {what} {name!r} is declared twice; give each a name of its own"
            for name in sorted({name for name in names if names.count(name) > 1})
        ]
    problems += _session_problems(study)
    problems += _matching_problems(study)
    problems += [
        f"[variables.{name}]: the name {name!r} is taken by a column of our own tables; call the variable "
        f"otherwise and name the column: [variables.my_{name}] column = {name!r}"
        for name in study.variables
        if name in RESERVED
    ]
    problems += _crossover_problems(study)
    days = [(visit.name, visit.day) for visit in study.visit if visit.day is not None]
    for (before, first), (after, second) in pairwise(days):
        if second < first:
            problems.append(
                f"[[visit]] {after!r}: day {second:g} comes before day {first:g} of {before!r}; list the "
                "visits in order of time"
            )
    if study.design.kind == "parallel" and study.arms is None:
        problems.append("[design] kind = 'parallel' needs [arms] with column and levels")
    section = study.atlas
    if study.data.kind == "images" and not (section.image or section.table or section.name):
        problems.append(
            "[atlas]: images need an atlas; name one that is built in (name = 'Seitzman300'; connectrial "
            "atlases lists them all) or a label image of your own (image = ...)"
        )
    if study.data.derivatives is None and (study.hypothesis or study.exploration):
        problems.append(
            "[data] derivatives: is needed by [[hypothesis]]; name the folder with the scans"
        )
    return [*problems, *_map_problems(study)]


def map_label(name: str) -> str:
    """Return the part of file names that a map's name becomes."""
    return re.sub(r"[^A-Za-z0-9]", "", name)


def _map_problems(study: Study) -> list[str]:
    """Find maps whose files would bear one name, or none."""
    problems = []
    owner: dict[str, str] = {}
    for name in study.maps:
        place, label = f"[maps.{name}]", map_label(name).lower()
        if not label:
            problems.append(f"{place}: the name needs a letter or a digit, for its files")
        elif label in owner:
            problems.append(
                f"{place}: its files would bear the same name as those of [maps.{owner[label]}]; "
                "rename one"
            )
        owner.setdefault(label, name)
        if study.data.kind in ("time series", "matrices"):
            problems += [f"{place} {problem}" for problem in not_over_parcels(study.maps[name])]
    return problems


def not_over_parcels(section: MapSection) -> tuple[str, ...]:
    """Say what a map asks for that series and matrices of parcels cannot give."""
    problems = []
    if section.seed is not None and section.seed.sphere is not None:
        problems.append(
            "seed.sphere: series and matrices of parcels have no voxels; name a set or a network"
        )
    if section.smoothing_fwhm_mm is not None:
        problems.append("smoothing_fwhm_mm: parcels are not smoothed; take the key out")
    if section.model is not None:
        problems.append(
            "model: maps over parcels are described, not tested; [[exploration]] tests every edge, a "
            "[[hypothesis]] the mean between a seed and a network"
        )
    return tuple(problems)


def _matching_problems(study: Study) -> list[str]:
    matching = study.matching
    if matching is None:
        return []
    problems = []
    if study.groups is None or study.groups.controls is None:
        problems.append("[matching]: needs controls; add [groups] with column, patients, controls")
    numeric = [name for name, one in study.variables.items() if not one.levels]
    known = [*SCAN_MEASURES, *study.variables]
    for key in ("on", "caliper", "exact"):
        for name in getattr(matching, key):
            if name not in known:
                problems.append(
                    f"[matching] {key}: there is no variable {name!r}{did_you_mean(name, known)}"
                )
            elif key != "exact" and name not in (*SCAN_MEASURES, *numeric):
                problems.append(f"[matching] {key}: {name!r} is a factor; put it under exact")
    return problems


def _session_problems(study: Study) -> list[str]:
    problems = []
    owner: dict[str, str] = {}
    for place in study.places:
        for session in place.sessions:
            if session in owner:
                problems.append(
                    f"[[visit]] {place.name!r}: session {session!r} already belongs to visit "
                    f"{owner[session]!r}; a session has one visit"
                )
            owner[session] = place.name
    problems += [
        f"[[visit]] {visit.name!r}: has neither sessions nor phenotype_sessions; say which "
        "sessions on disk belong to it"
        for visit in study.visit
        if not (visit.sessions or visit.phenotype_sessions or visit.by_treatment)
    ]
    return problems


def _crossover_problems(study: Study) -> list[str]:
    """Check that treatments, their sessions and the visits of a crossover fit together."""
    problems = []
    for visit in study.visit:
        for key in ("treatment_sessions", "treatment_phenotype_sessions"):
            named = getattr(visit, key)
            if named and not study.is_crossover:
                problems.append(
                    f"[[visit]] {visit.name!r} {key}: belongs to [design] kind = 'crossover'; use "
                    f"{key.removeprefix('treatment_')}"
                )
                continue
            problems += [
                f"[[visit]] {visit.name!r} {key}: there is no treatment {name!r}"
                f"{did_you_mean(name, study.design.treatments)}"
                for name in named
                if name not in study.design.treatments
            ]
    if not study.is_crossover:
        return problems
    if study.arms is not None:
        problems.append(
            "[arms]: people of a crossover are not randomised to arms but to orders of treatments; "
            "take the section out ([design] order says who was given what when)"
        )
    by_treatment = [visit.name for visit in study.visit if visit.by_treatment]
    if not by_treatment:
        problems.append(
            "[design] kind = 'crossover': no [[visit]] has treatment_sessions = {TREATMENT = [...]}"
        )
    stand_in = study.design.period_baseline
    if stand_in is not None and stand_in not in by_treatment:
        problems.append(
            f"[design] period_baseline: {stand_in!r} is no visit of each treatment"
            f"{did_you_mean(stand_in, by_treatment)}"
        )
    problems += [
        f"[[exploration]] {one.name!r} method: {one.method!r} would exchange observations across "
        "the periods of a crossover; take fdr_bh or another that does not permute"
        for one in study.exploration
        if one.method not in get_args(AdjustMethod)
    ]
    problems += [
        f"[maps.{name}] method: 'max' would exchange observations across the periods of a crossover; "
        "take fdr_bh or another that does not permute"
        for name, one in study.maps.items()
        if one.model is not None and one.method == "max"
    ]
    return problems


def _without_effect(study: Study) -> list[str]:
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


def _model_variables(study: Study) -> list[str]:
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
    for comparison in study.comparison:
        if comparison.family == family:
            members += [
                (comparison.name, f"{system} at {visit}")
                for system in comparison.hypotheses
                for visit in comparison.visits
            ]
    return members


def _family_sizes(study: Study) -> list[str]:
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


def _unmeasured(exposure: ExposureSection) -> list[str]:
    """Find measures of what no table of samples has."""
    columns = [c for one in exposure.measured for own in one.columns.values() for c in own]
    analytes = [name for one in exposure.measured for name in one.columns]
    problems = []
    for one in exposure.measure:
        known = analytes if one.column is None else columns
        if one.source == "measured" and one.sampled not in known:
            what = "analyte" if one.column is None else "column"
            problems.append(
                f"[[exposure.measure]] {one.name!r}: [[exposure.measured]] has no {what} "
                f"{one.sampled!r}{did_you_mean(one.sampled, known)}"
            )
    return problems


def _exposure_problems(study: Study) -> list[str]:
    """Find what [exposure] names that nothing declares."""
    exposure = study.exposure
    if exposure is None:
        return []
    problems: list[str] = []
    names = [one.name for one in exposure.measure]
    taken = model_variables(study)[: -len(names)]  # the measures stand last
    for name in names:
        if names.count(name) > 1 or name in taken or not re.fullmatch(r"[A-Za-z_]\w*", name):
            problems.append(
                f"[[exposure.measure]] {name!r}: must be a word of its own (letters, digits, _) that no "
                "other measure, variable or endpoint bears"
            )

    def must_exist(name: str | None, known: Iterable[str], place: str) -> None:
        if name is not None and name not in (listed := list(known)):
            problems.append(f"{place} {name!r} is not declared{did_you_mean(name, listed)}")

    if exposure.arms and study.arms is None:
        problems.append("[exposure] arms: the study has no [arms]; take the key out")
    for arm in exposure.arms if study.arms is not None else ():
        must_exist(arm, study.arms.levels if study.arms else (), "[exposure] arms:")
    if study.arms is not None and not exposure.arms and exposure.regimen is not None:
        problems.append(
            "[exposure] arms: say which arms get the dose plan; people of the others count as undosed"
        )
    problems += _crossover_exposure(study, exposure)
    for visit in exposure.visit_h:
        must_exist(visit, study.visits, "[exposure.visit_h]: visit")
    problems += _unmeasured(exposure)
    per_person = [one.name for one in exposure.measure if one.what != "at visit"]
    per_person += [name for name, one in study.variables.items() if not one.levels]
    for response in exposure.response:
        place = f"[[exposure.response]] {response.name!r}:"
        must_exist(response.measure, per_person, f"{place} measure (one per person)")
        must_exist(response.scale, study.scales, f"{place} scale")
        must_exist(response.hypothesis, [h.name for h in study.hypothesis], f"{place} hypothesis")
        for visit in (response.baseline, response.visit):
            must_exist(visit, study.visits, f"{place} visit")
        if response.baseline == response.visit:
            problems.append(f"{place} baseline and visit are the same; a change needs two visits")
    return [*dict.fromkeys(problems)]


def _crossover_exposure(study: Study, exposure: ExposureSection) -> list[str]:
    """Find what [exposure] says of the treatments of a crossover, or cannot say there."""
    known = study.design.treatments
    problems = [
        f"[exposure] treatments: {name!r} is not declared{did_you_mean(name, known)}"
        for name in exposure.treatments
        if name not in known and study.is_crossover
    ]
    if exposure.treatments and not study.is_crossover:
        problems.append("[exposure] treatments: belongs to crossovers; take the key out")
    if not study.is_crossover:
        return problems
    problems += [
        f"[[exposure.measure]] {one.name!r}: 'at visit' in a crossover needs [exposure] treatments = [...], "
        f"those that are the dose plan; there are {', '.join(known)}"
        for one in exposure.measure
        if one.what == "at visit" and one.source == "model" and not exposure.treatments
    ]
    return problems + [
        f"[[exposure.response]] {one.name!r}: is not part of crossovers in this version; use the "
        "measure in a model"
        for one in exposure.response
    ]
