"""The hypotheses, scales and models of a drafted study file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from connectrial.run.draft_protocol import Protocol, System
from connectrial.run.draft_scales import DraftScale
from connectrial.run.draft_text import StudyText, counted, quoted, toml_key, toml_list, toml_number
from connectrial.run.draft_visits import BASELINE, find_codes

_MOST_SCALES = 8
_MOST_NETWORKS = 12
_WITH_BASELINE = "crossover given the baseline"


def write_analyses(text: StudyText, protocol: Protocol) -> None:
    """Write hypotheses, comparisons, scales, endpoints, clinical analyses, model and family.

    Parameters
    ----------
    text : StudyText
        Where they are added.
    protocol : Protocol
        What they are about. What cannot be fitted is written as comments, with the reason.
    """
    if protocol.look.scans:
        _write_hypotheses(text, protocol)
        _write_comparison(text, protocol)
    scales = protocol.scales[:_MOST_SCALES]
    _write_scales(text, protocol, scales)
    _write_endpoints(text, protocol, scales)
    _write_clinical(text, protocol, scales)
    _write_model(text, protocol, scales)
    if protocol.look.scans:
        text.muted = bool(protocol.no_hypothesis)
        text.section("[family.primary]", "tests that share one adjustment for their number")
        text.pair("size", str(len(protocol.model.tests)), "all primary tests together")
        text.pair("method", quoted("holm"))
        text.muted = False


# ---------------------------------------------------------------------------------------------
# Scans
# ---------------------------------------------------------------------------------------------


def _write_hypotheses(text: StudyText, protocol: Protocol) -> None:
    text.leave()
    text.say(
        f"Systems named in advance. The test asks: {protocol.model.question} A primary hypothesis "
        "counts in the family; the negative control should show nothing."
    )
    why = protocol.no_hypothesis
    if why:
        text.check(f"no hypothesis can be declared yet: {why}")
    system = protocol.first_system
    if system is None:
        text.off(
            "[[hypothesis]]",
            'name = "My system"',
            'within = "my regions"                 # a set from [sets."my regions"]',
            f"model = {quoted(protocol.model.name)}",
            f"tests = {toml_list(protocol.model.tests)}",
            'family = "primary"',
        )
        return
    text.muted = bool(why)
    only = protocol.primary is None and system == protocol.negative
    text.section("[[hypothesis]]", "check: which systems did the protocol name?")
    _write_hypothesis(text, protocol, system)
    text.pair("family", quoted("primary"))
    if protocol.negative is not None and not only:
        text.section("[[hypothesis]]")
        _write_hypothesis(text, protocol, protocol.negative)
        text.pair("role", quoted("negative control"))
    text.muted = False
    if protocol.negative is None:
        text.leave()
        text.check("no visual network was found; name another network as negative control")
    if not why:
        _write_further(text, protocol, system)


def _write_hypothesis(text: StudyText, protocol: Protocol, system: System) -> None:
    text.pair("name", quoted(system.name))
    text.pair("within", quoted(system.name), "mean over all edges among its parcels")
    text.pair("model", quoted(protocol.model.name))
    text.pair("tests", toml_list(protocol.model.tests))


def _write_further(text: StudyText, protocol: Protocol, first: System) -> None:
    used = {*first.members, *(protocol.negative.members if protocol.negative else ())}
    rest = [n for n, size in protocol.look.parcels.networks.items() if n not in used and size > 1]
    model, tests = protocol.model.name, toml_list(protocol.model.tests)
    if rest:
        text.blank()
        text.say("Further networks, within themselves or with another one:")
    for network in islice(rest, _MOST_NETWORKS):
        text.off(
            "[[hypothesis]]",
            f"name = {quoted(network)}",
            f"within = {quoted(network)}",
            f"model = {quoted(model)}",
            f"tests = {tests}",
            'role = "secondary"',
        )
    if rest:
        text.off(
            "[[hypothesis]]",
            f"name = {quoted(f'{rest[0]} to {first.name}')}",
            f"between = {toml_list([rest[0], first.name])}",
            f"model = {quoted(model)}",
            f"tests = {tests}",
            'role = "secondary"',
        )
    if protocol.model.one_column:
        text.blank()
        text.say("One model for every edge (takes longer):")
        text.off(
            "[[exploration]]",
            'name = "Every edge"',
            f"model = {quoted(model)}",
            f"test = {quoted(protocol.model.tests[0])}",
            'method = "fdr_bh"',
        )


def _write_comparison(text: StudyText, protocol: Protocol) -> None:
    """Compare patients with controls where both were scanned."""
    system = protocol.first_system
    if not protocol.controls or system is None or protocol.people.groups is None:
        return
    rows = protocol.treated_scans
    visits = [v.name for v in protocol.visits if int((rows["visit"] == v.name).sum()) > 1]
    enough = protocol.control_visit_scans["subject"].nunique() > 1 and bool(visits)
    if not enough:
        return
    text.muted = bool(protocol.no_hypothesis)
    text.section("[[comparison]]", "patients against controls at each visit")
    text.pair("name", quoted("Patients and controls"))
    text.pair("hypotheses", toml_list([system.name]))
    text.pair("visits", toml_list(visits))
    text.muted = False


# ---------------------------------------------------------------------------------------------
# Scales
# ---------------------------------------------------------------------------------------------


def _write_scales(text: StudyText, protocol: Protocol, scales: Sequence[DraftScale]) -> None:
    if not scales:
        text.blank()
        text.say("No scale was found in the tables (phenotype/*.tsv, sessions.tsv).")
    for scale in scales:
        text.section(
            f"[scales.{toml_key(scale.name)}]",
            f"{counted(scale.n_values, 'value')} of {counted(scale.n_people, 'person', 'people')}, "
            f"{scale.low:g} to {scale.high:g}",
        )
        text.pair("column", quoted(scale.column), scale.file)
        higher = scale.better == "higher"
        text.pair("better", quoted(scale.better), "check: guessed from its name" if higher else "")
        if scale.unit != "points":
            text.pair("unit", quoted(scale.unit))
        elif scale.low >= 0:
            text.off(
                "minimum = 0",
                f"maximum = {toml_number(scale.high)}   # the highest seen; the scale's own limits "
                "catch typing errors",
            )
    left = [scale.column for scale in protocol.scales[_MOST_SCALES:]] + list(protocol.other_columns)
    if left:
        text.blank()
        shown = ", ".join(islice(left, 30)) + (", ..." if len(left) > 30 else "")
        text.say(f"Further numeric columns, not taken for totals: {shown}")


def _write_endpoints(text: StudyText, protocol: Protocol, scales: Sequence[DraftScale]) -> None:
    """Give an example of response and remission for the first scale with a visit before."""
    for scale in scales:
        visits = [v.name for v in protocol.visits if set(v.score_sessions) & set(scale.sessions)]
        before = protocol.visits[0].name
        if scale.is_change or scale.better != "lower" or len(visits) < 2 or visits[0] != before:
            continue
        # Sessions that may be named after treatments: the first after baseline is safer.
        coded = find_codes([label for v in protocol.visits for label in v.labels])
        judged = visits[1] if coded else visits[-1]
        text.leave()
        text.say("Yes-or-no outcomes of a person, if the protocol has them:")
        text.off(
            "[endpoints.response]",
            f"scale = {quoted(scale.name)}",
            f"baseline = {quoted(before)}",
            f"visit = {quoted(judged)}   # of {', '.join(visits[1:])}",
            "min_percent_decrease = 50",
            "[endpoints.remission]",
            f"scale = {quoted(scale.name)}",
            f"visit = {quoted(judged)}",
            "below = 10   # what the scale's authors or the protocol say",
        )
        return


def _write_clinical(text: StudyText, protocol: Protocol, scales: Sequence[DraftScale]) -> None:
    taken = {"Patients and controls", "Every edge"}
    for system in (protocol.first_system, protocol.negative):
        taken |= {system.name} if system is not None else set()
    for scale in scales:
        tests, why = protocol.clinical[scale.name]
        if why:
            text.blank()
            text.say(f"{scale.name} is not modelled: {why}")
            continue
        name = f"{scale.name} over visits"
        while name in taken:
            name += " (scale)"
        taken.add(name)
        text.section("[[clinical]]")
        text.pair("name", quoted(name))
        text.pair("scale", quoted(scale.name))
        baseline = _baseline(protocol, scale)
        if baseline is not None:
            text.pair("baseline", quoted(baseline))
        own = protocol.model.name if baseline is None else _WITH_BASELINE
        text.pair("model", quoted(own))
        text.pair("tests", toml_list(tests))


def _baseline(protocol: Protocol, scale: DraftScale) -> str | None:
    """Return the visit that all periods of a crossover have in common before treatment."""
    if protocol.crossover is None or scale.is_change:
        return None
    for visit in protocol.visits:
        common = visit.name not in protocol.crossover.sessions
        if common and visit.stage <= BASELINE and set(visit.score_sessions) & set(scale.sessions):
            return visit.name
    return None


def _write_model(text: StudyText, protocol: Protocol, scales: Sequence[DraftScale]) -> None:
    plain = [s for s in scales if not _baseline(protocol, s)]
    used = not protocol.no_hypothesis or any(not protocol.clinical[s.name][1] for s in plain)
    text.muted = not used
    if not used:
        text.blank()
    text.section(f"[model.{toml_key(protocol.model.name)}]", "a mixed model")
    text.pair("fixed", toml_list(protocol.model.fixed))
    random = protocol.model.random
    text.pair("random", toml_list(random), "each person has a level of their own")
    text.pair("df", quoted("satterthwaite"))
    text.muted = False
    if any(_baseline(protocol, one) and not protocol.clinical[one.name][1] for one in scales):
        text.section(f"[model.{toml_key(_WITH_BASELINE)}]", "the same, given the baseline")
        text.pair("fixed", toml_list([*protocol.model.fixed, "baseline"]))
        text.pair("random", toml_list(random))
        text.pair("df", quoted("satterthwaite"))
