"""What the sections about people, endpoints and safety must have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connectrial.errors import did_you_mean
from connectrial.study import ClinicalSection, CorrelationSection, HypothesisSection, Study
from connectrial.study_clinical import ARM_METHODS
from connectrial.study_trial import RuleSection, TimeToEventSection

#: A name that a section uses: where, what it is, the name, what is declared.
Use = tuple[str, str, str | None, Iterable[str]]


def trial_problems(study: Study) -> list[str]:
    """Find names that nothing declares and methods that the design does not allow."""
    problems = [
        f"{place}: {what} {name!r} is not declared{did_you_mean(name, known)}"
        for place, what, name, known in _uses(study)
        if name is not None and name not in known
    ]
    return [
        *problems,
        *_design_problems(study),
        *_set_problems(study),
        *(_crossover_problems(study) if study.is_crossover else ()),
    ]


def _crossover_problems(study: Study) -> list[str]:
    """Refuse what compares people where a crossover compares treatments within them."""
    instead = "does not know treatments within people; take a model, or another design"
    problems = [
        f"[[clinical]] {one.name!r}: method = {one.way!r} {instead}"
        for one in study.clinical
        if one.way != "mixed"
    ]
    problems += [f"[[time_to_event]] {one.name!r}: {instead}" for one in study.time_to_event]
    problems += [f"[[correlation]] {one.name!r}: {instead}" for one in study.correlation]
    problems += [
        f"[endpoints.{name}] {key}: {instead}"
        for name, one in study.endpoints.items()
        for key in ("until", "among", "analysis_sets", "family", "test")
        if getattr(one, key)
    ]
    sections = {"safety": study.safety, "volumes": study.volumes}
    problems += [f"[{key}]: {instead}" for key, one in sections.items() if one is not None]
    common = [visit.name for visit in study.visit if not visit.by_treatment]
    return problems + [
        f"{place}: visit {rule.visit!r} is one of each treatment; name one that all periods share"
        for place, rule in _rules(study)
        if rule.visit in study.visits and rule.visit not in common
    ]


def _uses(study: Study) -> Iterator[Use]:
    visits, scales = study.visits, list(study.scales)
    sets, estimands = list(study.analysis_sets), list(study.estimand)
    for place, rule in _rules(study):
        yield place, "scale", rule.scale, scales
        yield place, "visit", rule.visit, visits
    for section, items in (
        ("clinical", study.clinical),
        ("hypothesis", study.hypothesis),
        ("time_to_event", study.time_to_event),
        ("correlation", study.correlation),
    ):
        for item in items:
            place = f"[[{section}]] {item.name!r}"
            yield place, "analysis set", item.analysis_set, sets
            yield place, "estimand", item.estimand, estimands
    for clinical in study.clinical:
        yield f"[[clinical]] {clinical.name!r}", "visit", clinical.visit, visits
        for name in clinical.covariates:
            known = [*study.variables, *study.endpoints]
            yield f"[[clinical]] {clinical.name!r} covariates", "variable", name, known
    for item in study.time_to_event:
        place = f"[[time_to_event]] {item.name!r}"
        yield place, "scale", item.scale, scales
        yield place, "visit", item.baseline, visits
        yield place, "family", item.family, list(study.family)
    yield from _correlation_uses(study)
    for name, endpoint in study.endpoints.items():
        place = f"[endpoints.{name}]"
        yield place, "visit", endpoint.until, visits
        yield place, "endpoint", endpoint.among, [one for one in study.endpoints if one != name]
        yield place, "estimand", endpoint.estimand, estimands
        yield place, "family", endpoint.family, list(study.family)
        for one in endpoint.analysis_sets:
            yield place, "analysis set", one, sets
    yield from _safety_uses(study)


def _correlation_uses(study: Study) -> Iterator[Use]:
    numbers = [name for name, one in study.variables.items() if not one.levels]
    known = [*study.variables, *(["arm"] if study.arms is not None else [])]
    for item in study.correlation:
        place = f"[[correlation]] {item.name!r}"
        yield place, "scale", item.scale, list(study.scales)
        yield place, "scale", item.other_scale, list(study.scales)
        yield place, "hypothesis", item.hypothesis, [one.name for one in study.hypothesis]
        yield f"{place} variable", "number", item.variable, numbers
        yield place, "family", item.family, list(study.family)
        for visit in (item.visit, item.baseline, *item.visits):
            yield place, "visit", visit, study.visits
        for name in item.covariates:
            yield f"{place} covariates", "variable", name, known


def _safety_uses(study: Study) -> Iterator[Use]:
    visits, scales, sets = study.visits, list(study.scales), list(study.analysis_sets)
    if study.safety is not None:
        for scale in (*study.safety.courses, *study.safety.vital_signs):
            yield "[safety]", "scale", scale, scales
        for visit in (*study.safety.visits, study.safety.baseline):
            yield "[safety]", "visit", visit, visits
        known = [*(["arm"] if study.arms is not None else []), *study.variables]
        if study.exposure is not None:
            known += [one.name for one in study.exposure.measure if one.what != "at visit"]
        for variable in study.safety.exposure:
            yield "[safety] exposure", "variable", variable, known
        yield "[safety]", "analysis set", study.safety.analysis_set, sets
    if study.volumes is not None:
        yield "[volumes]", "scale", study.volumes.scale, scales
        for visit in (study.volumes.baseline, study.volumes.visit):
            yield "[volumes]", "visit", visit, visits
        yield "[volumes]", "analysis set", study.volumes.analysis_set, sets


def _rules(study: Study) -> Iterator[tuple[str, RuleSection]]:
    for number, asked in enumerate(study.eligibility, start=1):
        yield f"[[eligibility]] number {number}", asked
    for name, one in study.analysis_sets.items():
        for rule in one.rules:
            yield f"[analysis_sets.{name}] rules", rule


def _design_problems(study: Study) -> list[str]:
    problems = []
    for item in study.clinical:
        place = f"[[clinical]] {item.name!r}"
        if item.way in ARM_METHODS and study.arms is None:
            problems.append(
                f"{place}: method = {item.way!r} compares arms; add [arms], or use mmrm"
            )
        if item.way == "reference-based" and study.design.kind != "parallel":
            problems.append(
                f"{place}: reference-based imputation is defined for parallel arms; the design is "
                f"{study.design.kind!r}"
            )
        problems += [f"{place}: {text}" for text in _order_problems(study, item)]
        problems += [
            f"{place} tests: there is no test {test!r}; method = {item.way!r} has "
            f"{', '.join(clinical_tests(study, item))}"
            for test in item.tests
            if item.way != "mixed" and test not in clinical_tests(study, item)
        ]
    for one in study.time_to_event:
        if one.family is not None and study.arms is None:
            problems.append(
                f"[[time_to_event]] {one.name!r} family: only differences between arms are tests; "
                "there are no [arms]"
            )
        lacking = [visit.name for visit in study.visit if visit.day is None]
        if lacking:
            problems.append(
                f"[[time_to_event]] {one.name!r}: needs the day of every visit; "
                f"{', '.join(map(repr, lacking))} has none"
            )
    order = list(study.visits)
    for name, endpoint in study.endpoints.items():
        if (
            endpoint.until in order
            and endpoint.visit in order
            and order.index(endpoint.until) <= order.index(endpoint.visit)
        ):
            problems.append(
                f"[endpoints.{name}] until: {endpoint.until!r} must come after {endpoint.visit!r}"
            )
        problems += [
            f"[endpoints.{name}] {key}: only differences between arms are tests; there are no [arms]"
            for key in ("family", "test")
            if getattr(endpoint, key) is not None and study.arms is None
        ]
    return problems


def _order_problems(study: Study, item: ClinicalSection) -> list[str]:
    order = list(study.visits)
    if item.way == "mixed" or item.baseline not in order:
        return []
    start = order.index(item.baseline)
    late = [v for v in (item.visit, *item.visits) if v in order and v != item.baseline]
    return [
        f"visit {visit!r} does not come after the baseline visit {item.baseline!r}"
        for visit in late
        if order.index(visit) < start
    ]


def _set_problems(study: Study) -> list[str]:
    """Worst case and locf say what a missing outcome becomes; not every analysis can do that."""
    problems = []
    rules = {name: one.missing for name, one in study.analysis_sets.items()}
    for item in study.clinical:
        way = rules.get(item.analysis_set or "", "observed")
        if way == "worst case" or (way == "locf" and item.way == "reference-based"):
            problems.append(
                f"[[clinical]] {item.name!r}: analysis set {item.analysis_set!r} has missing = "
                f"{way!r}, which scores do not have; take a set with missing = 'observed'"
            )
    others: list[tuple[str, HypothesisSection | TimeToEventSection | CorrelationSection]] = []
    others += [("hypothesis", one) for one in study.hypothesis]
    others += [("time_to_event", one) for one in study.time_to_event]
    others += [("correlation", one) for one in study.correlation]
    problems += [
        f"[[{section}]] {one.name!r}: analysis set {one.analysis_set!r} has missing = "
        f"{rules[one.analysis_set]!r}; take a set with missing = 'observed'"
        for section, one in others
        if one.analysis_set in rules and rules[one.analysis_set] != "observed"
    ]
    return problems


def last_visit(study: Study, item: ClinicalSection) -> str:
    """Return the visit whose contrast is the test of an analysis."""
    return item.visit or (item.visits or study.visits)[-1]


def clinical_tests(study: Study, item: ClinicalSection) -> tuple[str, ...]:
    """Return the tests of a clinical analysis: those named, or those of its method."""
    if item.way == "mixed":
        return item.tests
    arms = study.arms.levels if study.arms is not None else ()
    if item.way == "anova":
        return ("arm:visit",) if arms else ("visit",)
    if not arms:
        return (f"change at {last_visit(study, item)}",)
    return tuple(f"{arm} - {arms[0]} at {last_visit(study, item)}" for arm in arms[1:])


def endpoint_tests(study: Study) -> tuple[str, ...]:
    """Return what an endpoint or a time to an event is tested by: each arm against the first."""
    if study.arms is None:
        return ()
    return tuple(f"{arm} - {study.arms.levels[0]}" for arm in study.arms.levels[1:])
