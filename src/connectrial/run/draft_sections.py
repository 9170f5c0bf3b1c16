"""The sections of a drafted study file, each with what a clinician must know of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from connectrial.run.draft_analyses import write_analyses
from connectrial.run.draft_crossover import DraftCrossover
from connectrial.run.draft_people import LevelColumn
from connectrial.run.draft_processing import all_choices, write_atlas, write_processing
from connectrial.run.draft_protocol import Protocol
from connectrial.run.draft_survey import Look, path_text
from connectrial.run.draft_text import StudyText, counted, quoted, toml_key, toml_list, toml_number
from connectrial.run.draft_visits import BASELINE, DraftVisit, find_codes, find_periods

_KIND_KEYS = {"time series": "time series", "matrix": "matrices", "image": "images"}


def write_study(protocol: Protocol, *, variables: Sequence[str]) -> StudyText:
    """Write a study file.

    Parameters
    ----------
    protocol : Protocol
        What it says.
    variables : sequence of str
        Environment variables that paths may be written by.

    Returns
    -------
    StudyText
        Its ``checks`` are the guesses.
    """
    text = StudyText()
    text.say(
        "A first study file, written from what is on disk. Lines with 'check:' are guesses to "
        "confirm; lines that begin with # and look like settings are choices to make. "
        "'connectrial check' on this file says what it would do, before anything is computed."
    )
    for problem in protocol.look.problems:
        text.check(f"to be put right in the data: {problem}")
    _write_study_section(text, protocol)
    _write_data(text, protocol.look, variables)
    _write_design(text, protocol)
    _write_visits(text, protocol)
    _write_groups(text, protocol)
    _write_arms(text, protocol)
    _write_further_people(text, protocol)
    if protocol.look.scans:
        write_atlas(text, protocol, variables)
        write_processing(text, protocol)
    write_analyses(text, protocol)
    return text


def _write_study_section(text: StudyText, protocol: Protocol) -> None:
    look = protocol.look
    text.section("[study]")
    text.pair("name", quoted(look.name), "heads the report")
    text.off(
        'registration = "NCT00000000"   # registry number',
        'description = "What the study asks, in a sentence or two"',
    )
    text.pair("seed", "1", "of everything random: the same seed gives the same numbers")
    text.pair(
        "stand_ins",
        toml_list(_stand_ins(protocol)),
        "chosen by the draft, not by a protocol; take a key out once it is decided",
    )
    if look.simulated:
        text.pair("simulated", "true", "the dataset says so; every output will")


def _stand_ins(protocol: Protocol) -> list[str]:
    """Name what the draft has chosen and no protocol has."""
    chosen = ["design.kind", "visit"]
    chosen += [f"atlas.{k}" if k == "atlas" else f"data.{k}" for k in protocol.look.chosen]
    chosen = ["atlas.name" if key == "atlas.atlas" else key for key in chosen]
    if protocol.people.groups is not None:
        chosen.append("groups")
    if protocol.people.arms is not None:
        chosen.append("arms")
    if protocol.look.scans and protocol.look.scans[0].kind == "image":
        chosen.append("denoising")
    active = any(not why for _, why in protocol.clinical.values())
    if not protocol.no_hypothesis:
        chosen += ["hypothesis", "family.primary"]
    if active:
        chosen.append("clinical")
    if active or not protocol.no_hypothesis:
        chosen.append(f"model.{protocol.model.name}")
    return chosen


# ---------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------


def _write_data(text: StudyText, look: Look, variables: Sequence[str]) -> None:
    index = look.index
    text.section("[data]", "where the data are; ${NAME} in a path comes from the environment")
    if index is not None and look.scans:
        kind = _KIND_KEYS[look.scans[0].kind]
        also = [f"{n} {name}" for name, n in index.found.items() if n and name != kind]
        text.pair("kind", quoted(kind), f"there are also {', '.join(also)}" if also else "")
        text.pair("derivatives", quoted(path_text(index.root, variables=variables)))
        for other in look.others:
            text.say(f"also there: {other}")
        if look.dataset.resolve() != index.root.resolve():
            place = path_text(look.dataset, variables=variables)
            text.pair("dataset", quoted(place), "participants and scores")
        _write_labels(text, look)
        _write_repetition_time(text, look)
    else:
        text.say("no scans that can be read were found: a study of clinical tables alone")
        text.off('derivatives = "/path/to/derivatives/xcp_d"')
        text.pair("dataset", quoted(path_text(look.dataset, variables=variables)))
    if look.participants is None:
        text.say("there is no participants.tsv (columns participant_id, arm, group, ...)")
    elif look.participants.name != "participants.tsv":
        text.pair("participants", quoted(look.participants.name))
    if look.parcels.values != "r":
        text.pair("values", quoted(look.parcels.values), f"check: {look.parcels.checks[0]}")
    for path, columns in look.loose:
        text.check(f"{path.name} is no BIDS table; if its scores matter, say what its columns are")
        text.off(
            "[[data.table]]",
            f"path = {quoted(path.name)}   # columns: {', '.join(islice(columns, 12))}",
            f"subject = {quoted(columns[0])}",
            'session = "visit"',
            'scores = { MADRS = "madrs_total" }',
        )


def _write_labels(text: StudyText, look: Look) -> None:
    """Write the entities that had to be chosen, and what else there is."""
    assert look.index is not None  # noqa: S101 - only called with scans
    if look.filters:
        pieces = [
            f"{key} = {quoted(str(one)) if isinstance(one, str | int) else toml_list(map(str, one))}"
            for key, one in look.filters.items()
        ]
        text.pair("filters", f"{{ {', '.join(pieces)} }}", "only files with these labels are read")
    for option in ("task", "space", "description"):
        counts = look.index.choices.get(option, {})
        if option in look.chosen:
            all_counts = all_choices(look, option)
            text.pair(
                option, quoted(look.chosen[option]), f"check: several are there: {all_counts}"
            )
        elif list(counts) not in ([], ["none"]):
            text.off(f"{option} = {quoted(next(iter(counts)))}   # the only one there")


def _write_repetition_time(text: StudyText, look: Look) -> None:
    unknown = [scan for scan in look.scans if scan.repetition_time_s is None]
    if not unknown or look.scans[0].kind != "time series":
        return
    which = "nowhere" if len(unknown) == len(look.scans) else f"not for {len(unknown)} runs"
    text.check(f"seconds between frames are stated {which}; only rules in minutes need them")
    text.off("repetition_time_s = 2.0")


# ---------------------------------------------------------------------------------------------
# Design
# ---------------------------------------------------------------------------------------------


def _write_design(text: StudyText, protocol: Protocol) -> None:
    arms = protocol.people.arms is not None
    text.section("[design]")
    if protocol.crossover is not None:
        _write_crossover(text, protocol.crossover)
        return
    text.pair(
        "kind",
        quoted("parallel" if arms else "pre-post"),
        "arms are compared" if arms else "everybody is treated; the alternative is parallel",
    )
    labels = [label for visit in protocol.visits for label in visit.labels]
    coded = find_codes(labels)
    clues = [f"column {one.column!r} ({one.described})" for one in protocol.people.order]
    clues += [f"sessions {', '.join(group)}" for group in coded.values()]
    if find_periods(labels):
        clues.append("numbered pairs of sessions before and after")
    if clues:
        text.check(
            f"this looks like a crossover: {'; '.join(clues)}. As it stands, sessions are compared "
            "within people whatever the order of treatments. If it is one: kind = 'crossover', "
            "treatments = [reference, ...], order = {columns = [...], codes = {...}}, and visits "
            "with treatment_sessions = {TREATMENT = [...]} in place of sessions"
        )


def _write_crossover(text: StudyText, crossover: DraftCrossover) -> None:
    text.pair("kind", quoted("crossover"), "check: guessed from sessions and columns")
    guess = "" if crossover.known_reference else "check: the reference first"
    text.pair("treatments", toml_list(crossover.treatments), guess or "the first is the reference")
    codes = ", ".join(f"{toml_key(code)} = {quoted(n)}" for code, n in crossover.codes.items())
    text.pair("order", f"{{ columns = {toml_list(crossover.columns)}, codes = {{ {codes} }} }}")
    stand_in = list(crossover.sessions)[-1]
    text.say(
        "If no baseline was taken before the later periods, a visit of the period before can stand for "
        "it in a sensitivity analysis:"
    )
    text.off(f"period_baseline = {quoted(stand_in)}")


def _write_visits(text: StudyText, protocol: Protocol) -> None:
    text.leave()
    text.say("Visits in order of time. Several sessions of one visit are averaged.")
    labels = [label for visit in protocol.visits for label in visit.labels]
    if len(labels) > 1:
        text.check("the order of the visits, which is guessed from labels and days")
    for visit in protocol.visits:
        text.section("[[visit]]", _visit_counts(protocol, visit))
        text.pair("name", quoted(visit.name))
        for check in visit.checks:
            text.check(check)
        for label in visit.labels:
            if label in protocol.look.meanings:
                text.say(f"ses-{label}: {protocol.look.meanings[label]}")
        given = {} if protocol.crossover is None else protocol.crossover.sessions
        if visit.name in given:
            sessions = ", ".join(
                f"{toml_key(treatment)} = {toml_list(labels)}"
                for treatment, labels in given[visit.name].items()
            )
            text.pair("treatment_sessions", f"{{ {sessions} }}")
            _write_day(text, visit)
            continue
        if visit.sessions:
            text.pair("sessions", toml_list(visit.sessions))
        if visit.score_sessions and visit.score_sessions != visit.sessions:
            text.pair("phenotype_sessions", toml_list(visit.score_sessions))
        _write_day(text, visit)
    unscored = [v for v in protocol.visits if v.sessions and not v.score_sessions]
    alone = [v for v in protocol.visits if v.score_sessions and not v.sessions]
    if unscored and alone:
        text.leave()
        text.check(
            f"there are scans but no scores at {' and '.join(v.name for v in unscored)}, and scores "
            f"but no scans at {', '.join(v.name for v in alone)}. Where two of them are one visit, "
            "move phenotype_sessions to the one with the scans and delete the other"
        )


def _visit_counts(protocol: Protocol, visit: DraftVisit) -> str:
    parts = []
    for label in visit.sessions:
        name = f"ses-{label}" if label else "without a session"
        parts.append(f"{name}: {counted(protocol.n_scanned([label]), 'person', 'people')} scanned")
    if visit.score_sessions:
        parts.append(f"scores of {protocol.n_scored(visit.score_sessions)}")
    return ", ".join(parts)


def _write_day(text: StudyText, visit: DraftVisit) -> None:
    if visit.day is None:
        return
    line = f"day = {toml_number(visit.day)}"
    if visit.day_fits:
        guessed = "" if visit.day_from == "median of the tables" else "check: "
        text.pair("day", toml_number(visit.day), f"{guessed}{visit.day_from}")
    else:
        text.off(
            f"{line}   # only if all days are counted from one; they must rise from visit to visit"
        )


# ---------------------------------------------------------------------------------------------
# People
# ---------------------------------------------------------------------------------------------


def _write_groups(text: StudyText, protocol: Protocol) -> None:
    groups, patients = protocol.people.groups, protocol.people.patients
    if groups is None or patients is None:
        return
    text.section("[groups]", f"{groups.column}: {groups.described}")
    text.pair("column", quoted(groups.column))
    text.pair("patients", quoted(patients))
    text.pair("controls", quoted(str(groups.reference)))
    left = [level for level in groups.counts if level not in (patients, groups.reference)]
    if left:
        n = sum(groups.counts[level] for level in left)
        text.check(
            f"{', '.join(left)} ({counted(n, 'person', 'people')}) are neither and would be left "
            "out, with this as the reason; give them the patients' level in the table to have them in"
        )
    sessions = control_sessions(protocol)
    if sessions:
        counts = protocol.control_visit_scans["session"].value_counts()
        listed = ", ".join(f"ses-{s} {counts[s]}" for s in sorted(counts.index))
        text.pair(
            "control_sessions",
            toml_list(sessions),
            f"check: averaged; scans of controls: {listed}",
        )


def control_sessions(protocol: Protocol) -> list[str]:
    """Return the sessions of controls that count: their own, else those of the first visit."""
    scans = protocol.control_visit_scans
    of_visits = {label for visit in protocol.visits for label in visit.sessions}
    labels = list(map(str, scans["session"].drop_duplicates()))
    own = [label for label in labels if label not in of_visits]
    if own:
        return own
    first = next((v for v in protocol.visits if v.sessions and v.stage <= BASELINE), None)
    shared = [label for label in labels if first is not None and label in first.sessions]
    return shared or labels


def _write_arms(text: StudyText, protocol: Protocol) -> None:
    arms, undecided = protocol.people.arms, protocol.people.undecided
    if arms is not None:
        text.section("[arms]", f"{arms.column}: {arms.described}")
        text.pair("column", quoted(arms.column))
        why = "the first is the reference" if arms.reference else "check: which is the reference?"
        text.pair("levels", toml_list(arms.ordered), why)
        # Controls are not randomised, so they lack no arm.
        told = protocol.look.people[arms.column]
        missing = sum(str(s) not in protocol.controls for s in told.index[told.isna()])
        if missing:
            text.say(f"{counted(missing, 'person', 'people')} without an arm: shown, not analysed")
        return
    if undecided is None:
        return
    text.leave()
    text.check(
        f"column {undecided.column!r} ({undecided.described}) could be arms or patients and "
        "controls; everybody is one group as long as neither is declared"
    )
    _off_levels(text, undecided)


def _off_levels(text: StudyText, column: LevelColumn) -> None:
    levels = column.ordered
    text.off(
        '[arms]                                 # with kind = "parallel" in [design]',
        f"column = {quoted(column.column)}",
        f"levels = {toml_list(levels)}   # the first is the reference",
    )
    text.off(
        "[groups]",
        f"column = {quoted(column.column)}",
        f"patients = {quoted(levels[0])}",
        f"controls = {quoted(levels[-1])}",
    )


def _write_further_people(text: StudyText, protocol: Protocol) -> None:
    numbers, factors = protocol.people.numbers, protocol.people.factors
    if numbers or factors:
        text.leave()
        text.say("Further columns of the participants table that models may use, once declared:")
        text.off(*(f"[variables.{toml_key(name)}]" for name in islice(numbers, 8)))
        for column in islice(factors, 6):
            text.off(
                f"[variables.{toml_key(column.column)}]   # {column.described}",
                f"levels = {toml_list(column.ordered)}",
            )
    text.blank()
    text.say("People or sessions that are left out by decision, one block for each:")
    example = next(iter(map(str, protocol.look.people.index)), None)
    example = example or next((str(s) for s in protocol.scans["subject"]), "01")
    text.off("[[exclude]]", f"subject = {quoted(example)}", 'reason = "why, as the flow shows it"')
