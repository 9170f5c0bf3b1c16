"""Saying in a few lines what a run made and why, and what it kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from connectrial.run.session_jobs import SessionOutcome

_NAMES_SHOWN = 3


def told_sessions(outcomes: Sequence[SessionOutcome]) -> list[str]:
    """Say which sessions were made and why, which were kept, and which left out.

    Parameters
    ----------
    outcomes : sequence of SessionOutcome
        What became of them.

    Returns
    -------
    list of str
        Lines, the first with the counts; none where there are no sessions.
    """
    if not outcomes:
        return []
    kept = sum(one.reused for one in outcomes)
    lost = [one for one in outcomes if one.sidecar is None]
    made = [one for one in outcomes if not one.reused and one.sidecar is not None]
    counts = f"FC of {len(outcomes)} sessions: {len(made)} made, {kept} kept"
    lines = [counts + (f", {len(lost)} left out" if lost else "")]
    # On a first run every session is new, and nobody needs to be told so.
    again = [one for one in made if one.why != "new" or kept]
    lines += grouped((one.why, _name(one)) for one in again)
    lines += grouped((f"left out: {one.reason}", _name(one)) for one in lost)
    return lines


def grouped(reasons: Iterable[tuple[str, str]]) -> list[str]:
    """Put what happened for the same reason on one line, as ``sub-03 ses-a: confounds changed``."""
    by_reason: dict[str, list[str]] = {}
    for reason, name in reasons:
        by_reason.setdefault(reason, []).append(name)
    lines = []
    for reason, names in by_reason.items():
        shown = ", ".join(names[:_NAMES_SHOWN])
        rest = len(names) - _NAMES_SHOWN
        more = f" and {rest} more" if rest > 0 else ""
        lines.append(f"  {shown}{more}" + (f": {reason}" if reason else ""))
    return lines


def _name(one: SessionOutcome) -> str:
    return f"sub-{one.subject}" + (f" ses-{one.session}" if one.session else "")
