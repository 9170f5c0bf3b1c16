"""Guessing a protocol's visits, and their order, from the labels of sessions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from connectrial.io.names import natural_key

SCREENING, BASELINE, COURSE, AFTER, FOLLOW_UP = range(5)

_STAGES = {
    SCREENING: "scr screen screening",
    BASELINE: "baseline base bl bsl b pre prescan pretreatment pretx preinfusion before",
    AFTER: "post postscan posttreatment posttx postinfusion after end eot eos endpoint final "
    "discharge",
    FOLLOW_UP: "fu fup followup",
}
_STAGE_OF = {word: stage for stage, words in _STAGES.items() for word in words.split()}
_ORDINALS = frozenset(
    ["v", "visit", "t", "tp", "timepoint", "time", "s", "ses", "session", "scan", "mri", "run"]
)
_DAYS_PER = {
    **dict.fromkeys(["h", "hr", "hour", "hours"], 1 / 24),
    **dict.fromkeys(["d", "day", "days"], 1.0),
    **dict.fromkeys(["w", "wk", "wks", "week", "weeks"], 7.0),
    **dict.fromkeys(["m", "mo", "mon", "mth", "month", "months"], 365.25 / 12),
    **dict.fromkeys(["y", "yr", "year", "years"], 365.25),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLabel:
    """What a session's label says of its time.

    Attributes
    ----------
    label : str
        Without ``ses-``; "" where the files name no session.
    stem : str
        Its letters before the number, in lower case.
    number : float or None
        The number in it.
    stage : int
        Screening, baseline, course, after treatment or follow-up.
    day : float or None
        Days that a unit in the label tells (week8: 56).
    """

    label: str
    stem: str
    number: float | None
    stage: int
    day: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftVisit:
    """A visit as the data suggest it.

    Attributes
    ----------
    name : str
        For models and figures.
    sessions, score_sessions : tuple of str
        Sessions with scans; sessions with scores.
    stage : int
        As in `SessionLabel`.
    day : float or None
        Days from the first dose.
    day_from : str
        Where the day comes from; "" without one.
    day_fits : bool
        Whether the day agrees with the order of the visits.
    checks : tuple of str
        What was guessed.
    """

    name: str
    sessions: tuple[str, ...]
    score_sessions: tuple[str, ...]
    stage: int = COURSE
    day: float | None = None
    day_from: str = ""
    day_fits: bool = True
    checks: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Every session of the visit, those with scans first."""
        return tuple(dict.fromkeys((*self.sessions, *self.score_sessions)))


def read_session_label(label: str) -> SessionLabel:
    """Read the time out of a session's label.

    Parameters
    ----------
    label : str
        Such as ``pre1``, ``week8``, ``6m``, ``b0``, ``Day 14``.

    Returns
    -------
    SessionLabel
    """
    text = re.sub(r"[\s_.-]", "", label.lower().removeprefix("ses-"))
    number, stem, rest = None, text, ""
    match = re.fullmatch(r"([^\W\d]*)(\d+)([^\W\d]*)", text)
    if match:
        stem, number, rest = match[1], float(match[2]), match[3]
    if not stem and rest in _DAYS_PER:  # 6m
        stem, rest = rest, ""
    stage, day = _STAGE_OF.get(stem, COURSE), None
    if number is not None and not rest and stem in _DAYS_PER:
        day = float(round(number * _DAYS_PER[stem], 0 if _DAYS_PER[stem] >= 1 else 2))
    for word in sorted(_STAGE_OF, key=len, reverse=True):  # fu6m, post2wk, postweek2
        after = text.removeprefix(word)
        if day is None and len(word) > 1 and after != text and any(c.isdecimal() for c in after):
            inner = read_session_label(after)
            if inner.day is not None:
                stage, day = _STAGE_OF[word], inner.day
    if number == 0 and (day is not None or stem in _ORDINALS or stage == BASELINE):
        stage, day = BASELINE, 0.0
    if not match and re.fullmatch(r"(pre|baseline|base|bl)[a-d]", text):
        stem, stage = text[:-1], BASELINE
    return SessionLabel(label=label, stem=stem, number=number, stage=stage, day=day)


def find_codes(labels: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Find letters that may stand for treatments: d2, d10 beside p2, p10.

    Parameters
    ----------
    labels : collection of str
        Session labels.

    Returns
    -------
    dict
        Labels by letter code; empty where the labels tell only time.
    """
    by_stem: dict[str, list[SessionLabel]] = defaultdict(list)
    for label in map(read_session_label, labels):
        if label.number is not None and label.stem and label.stage == COURSE:
            by_stem[label.stem].append(label)
    coded: dict[str, tuple[str, ...]] = {}
    for stem, group in by_stem.items():
        numbers = {one.number for one in group}
        for other, others in by_stem.items():
            if other == stem or not numbers & {one.number for one in others}:
                continue
            plain = {stem, other} & _ORDINALS
            if not plain and not (stem in _DAYS_PER and other in _DAYS_PER):
                coded[stem] = tuple(sorted((one.label for one in group), key=natural_key))
    return coded


def find_periods(labels: Collection[str]) -> bool:
    """Tell whether sessions come in pairs such as pre1, post1, pre2, post2."""
    numbers: dict[int, set[float]] = defaultdict(set)
    for label in map(read_session_label, labels):
        if label.number is not None and label.day is None:
            numbers[label.stage].add(label.number)
    return len(numbers[BASELINE] & numbers[AFTER]) > 1


def draft_visits(
    scanned: Sequence[str], scored: Sequence[str], *, days: Mapping[str, float]
) -> tuple[DraftVisit, ...]:
    """Turn sessions into visits, in the order of a trial.

    Parameters
    ----------
    scanned, scored : sequence of str
        Sessions with scans, sessions with scores.
    days : mapping
        Day of a session as the tables state it (median over people).

    Returns
    -------
    tuple of DraftVisit
        Repeated baselines (pre1, pre2) are one visit; a baseline of scores joins that of scans;
        otherwise each session is a visit.
    """
    labels = [read_session_label(label) for label in dict.fromkeys((*scanned, *scored))]
    periods = find_periods([one.label for one in labels])
    coded = {label for group in find_codes([o.label for o in labels]).values() for label in group}
    made = []
    for group in _repeated_baselines(labels, join=not periods):
        made.append(_visit(group, set(scanned), set(scored), days, coded))
    made = _join_scores(made, coded)
    by_scan = [visit for visit in made if visit.sessions]
    by_scan.sort(key=lambda visit: _order(visit, periods, coded))
    rest = [visit for visit in made if not visit.sessions]
    rest.sort(key=lambda visit: _order(visit, periods, coded))
    return _unique_names(_check_days(_merge(by_scan, rest)))


def _repeated_baselines(labels: Sequence[SessionLabel], *, join: bool) -> list[list[SessionLabel]]:
    groups: dict[str, list[SessionLabel]] = defaultdict(list)
    for one in labels:
        alone = not join or one.stage != BASELINE or one.stem in _ORDINALS or one.stem in _DAYS_PER
        groups[f"\0{one.label}" if alone else one.stem].append(one)
    return list(groups.values())


def _visit(
    group: Sequence[SessionLabel],
    scanned: set[str],
    scored: set[str],
    days: Mapping[str, float],
    coded: set[str],
) -> DraftVisit:
    group = sorted(group, key=lambda one: natural_key(one.label))
    first, checks = group[0], []
    name = first.stem if len(group) > 1 else first.label
    if len(group) > 1:
        listed = ", ".join(one.label for one in group)
        checks.append(f"{listed} look like repeated baselines; as one visit they are averaged")
    if not name:
        name = "scan"
        checks.append("the files name no session, which is written as an empty label")
    elif name.isdecimal():
        name = f"visit{int(name)}"
        checks.append(
            f"the label {first.label!r} tells no time; give the visit a name that does, such as baseline"
        )
    told = [days[one.label] for one in group if one.label in days]
    labelled = [one.day for one in group if one.day is not None]
    day, source = None, ""
    if told:
        day, source = round(sum(told) / len(told), 1), "median of the tables"
    elif labelled:
        day, source = labelled[0], "from the label"
    fits = told != [] or not any(one.label in coded for one in group)
    return DraftVisit(
        name=name,
        sessions=tuple(one.label for one in group if one.label in scanned),
        score_sessions=tuple(one.label for one in group if one.label in scored),
        stage=first.stage,
        day=day,
        day_from=source,
        day_fits=fits,
        checks=tuple(checks),
    )


def _join_scores(visits: Sequence[DraftVisit], coded: set[str]) -> list[DraftVisit]:
    """Give scans the scores of the same time that bear another label: baseline for pre1, pre2."""
    joined = list(visits)
    for alone in [v for v in visits if not v.sessions and not coded & set(v.labels)]:
        free = [v for v in joined if v.sessions and not v.score_sessions]
        same_stage = [
            v for v in free if v.stage == alone.stage and alone.stage in (BASELINE, AFTER)
        ]
        rivals = [v for v in visits if not v.sessions and v.stage == alone.stage]
        same_day = [
            v
            for v in free
            if v.day is not None and v.day_from == alone.day_from and v.day == alone.day
        ]
        partner = (
            same_stage[0] if len(same_stage) == 1 and len(rivals) == 1 else
            same_day[0] if len(same_day) == 1 else None
        )  # fmt: skip
        if partner is None:
            continue
        listed = ", ".join(alone.score_sessions)
        joined[joined.index(partner)] = replace(
            partner,
            score_sessions=alone.score_sessions,
            day=alone.day if alone.day_from == "median of the tables" else partner.day,
            day_from=alone.day_from
            if alone.day_from == "median of the tables"
            else partner.day_from,
            checks=(*partner.checks, f"the scores of {listed} are taken to belong to these scans"),
        )
        joined.remove(alone)
    return joined


def _order(visit: DraftVisit, periods: bool, coded: set[str]) -> tuple[object, ...]:  # noqa: FBT001 - a sort key
    label = read_session_label(visit.labels[0])
    if periods and label.number is not None and label.stage in (BASELINE, AFTER):
        return (COURSE, 0, label.number, label.stage, natural_key(label.label))
    if label.label in coded:
        return (COURSE, 0, 0.0, 0, natural_key(label.label))
    known = visit.day is not None and visit.stage != FOLLOW_UP
    stage = COURSE if known and visit.stage == AFTER else visit.stage
    return (stage, int(known), visit.day if known else 0.0, 0, natural_key(label.label))


def _merge(scans: Sequence[DraftVisit], rest: Sequence[DraftVisit]) -> list[DraftVisit]:
    """Put visits without scans where their day belongs among those with scans, else behind."""
    merged = list(scans)
    for visit in rest:
        place = len(merged)
        if visit.stage in (SCREENING, BASELINE):
            place = next((i for i, v in enumerate(merged) if v.stage >= visit.stage), place)
        elif visit.day is not None:
            later = (i for i, v in enumerate(merged) if v.day is not None and v.day > visit.day)
            place = next(later, place)
        merged.insert(place, visit)
    return merged


def _check_days(visits: Sequence[DraftVisit]) -> list[DraftVisit]:
    """Mark days that run against the order, which a study file would refuse."""
    latest, checked = float("-inf"), []
    by_label = any(v.day_from == "from the label" and v.day_fits for v in visits)
    for visit in visits:
        day, fits, source = visit.day, visit.day_fits, visit.day_from
        if day is None and visit.stage == BASELINE and by_label and latest == float("-inf"):
            day, source = 0.0, "days are counted from here"
        if day is not None and fits:
            fits = day >= latest
            latest = max(latest, day)
        checked.append(replace(visit, day=day, day_fits=fits, day_from=source))
    return checked


def _unique_names(visits: Sequence[DraftVisit]) -> tuple[DraftVisit, ...]:
    # "controls" is what the visits of controls are called in tables and figures.
    taken, named = {"controls"}, []
    for visit in visits:
        name, n = visit.name.strip() or "session", 1
        while name in taken:
            n += 1
            name = f"{visit.name.strip()} ({n})"
        taken.add(name)
        named.append(replace(visit, name=name))
    return tuple(named)
