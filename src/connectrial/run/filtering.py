"""A BIDS filter file beside a study file."""

from __future__ import annotations

import logging
from pathlib import Path

from connectrial.errors import InputError
from connectrial.io.bids_filters import FilterValue, read_filter_file
from connectrial.study import FiltersSection, Study

_log = logging.getLogger(__name__)


def read_filters(path: Path) -> dict[str, FilterValue]:
    """Read a BIDS filter file; what it says of other images than BOLD is logged as passed over.

    Parameters
    ----------
    path : Path
        JSON, as `connectrial.io.bids_filters.read_filter_file` reads it.

    Returns
    -------
    dict
        Labels by entity.

    Raises
    ------
    InputError
        When the file is missing, no such JSON, or holds an unknown key.
    """
    filters, notes = read_filter_file(path)
    for note in notes:
        _log.warning("%s", note)
    return filters


def with_filters(study: Study, path: Path) -> Study:
    """Add a filter file to a study's own filters; a file must pass both.

    Parameters
    ----------
    study : Study
        As read.
    path : Path
        JSON filter file.

    Returns
    -------
    Study
        With ``[data] filters`` that hold both.

    Raises
    ------
    InputError
        When the file is wrong, or both filter by one entity and do not agree.
    """
    own = {} if study.data.filters is None else study.data.filters.by_entity()
    added = read_filters(path)
    problems = [
        f"[data] filters: {key} is {own[key]!r} in the study file but {value!r} in {path}; take one "
        "of them out"
        for key, value in added.items()
        if key in own and _labels(own[key]) != _labels(value)
    ]
    if problems:
        raise InputError(problems)
    filters = FiltersSection.model_validate(
        own | {k: tuple(v) if isinstance(v, list) else v for k, v in added.items()}
    )
    return study.model_copy(update={"data": study.data.model_copy(update={"filters": filters})})


def _labels(value: FilterValue) -> list[str]:
    return [str(value)] if isinstance(value, str | int) else [str(one) for one in value]
