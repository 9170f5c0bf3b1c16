"""Exclusions that come as a list beside the study file."""

from __future__ import annotations

from pathlib import Path

from connectrial.io.ids import read_codes, read_exclusions
from connectrial.study import ExcludeSection, Study


def exclude_listed(study: Study, path: Path, *, ids: Path | None = None) -> Study:
    """Add a list of exclusions to a study, as if they stood there as ``[[exclude]]``.

    Parameters
    ----------
    study : Study
        The study.
    path : Path
        Table with ``subject`` (or a code of the report), ``reason`` and optionally ``session``.
    ids : Path, optional
        The ``ids.tsv`` that knows the codes.

    Returns
    -------
    Study
        With more exclusions; people that nobody knows are a problem of the plan.

    Raises
    ------
    InputError
        The list or the codes cannot be read.
    """
    codes = {} if ids is None else read_codes(ids)
    people = {code: subject for subject, code in codes.items()}
    listed = tuple(
        ExcludeSection(
            subject=who if who in codes else people.get(who.upper(), who),
            session=session,
            reason=reason,
        )
        for who, session, reason in read_exclusions(path)
    )
    return study.model_copy(update={"exclude": (*study.exclude, *listed)})
