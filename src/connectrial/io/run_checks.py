"""Two files for one run: joined runs beside their parts, and files that claim the same place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from connectrial.data import Scan
from connectrial.errors import InputError
from connectrial.io.func_files import FuncFile, FuncFiles, atlas_of, description_of
from connectrial.io.series import survey_series
from connectrial.io.sidecars import read_dataset_description


def without_concatenations(
    survey: FuncFiles, files: list[FuncFile], chosen: str | None
) -> list[FuncFile]:
    """Leave out joined runs, whose frames stand in the runs beside them as well.

    Parameters
    ----------
    survey : FuncFiles
        Sentences are added to its ``notes`` and ``problems``.
    files : list of FuncFile
        Files of one kind.
    chosen : str or None
        That kind.

    Returns
    -------
    list of FuncFile
        Without the files that XCP-D's ``--combine-runs`` writes. A file without a run that is not
        the sum of the others stays, with a problem.
    """
    groups: dict[tuple[object, ...], list[FuncFile]] = defaultdict(list)
    for file in files:
        e = file.entities
        groups[
            (file.subject, file.session, *(e.get(k) for k in ("task", "space", "res", "den")),
             atlas_of(file), description_of(file))
        ].append(file)  # fmt: skip
    dropped: set[Path] = set()
    for group in groups.values():
        whole = [f for f in group if "run" not in f.entities]
        parts = [f for f in group if "run" in f.entities]
        if not (whole and parts):
            continue
        if _is_sum_of(survey, whole[0], parts, chosen):
            dropped.update(f.path for f in whole)
        else:
            survey.problems.append(
                f"{whole[0].path}: a file without a run beside {len(parts)} with one "
                f"({parts[0].path.name}); give it a run or, if it holds the others joined, "
                "move it away"
            )
    if dropped:
        survey.notes.append(
            f"{survey.root}: {len(dropped)} files hold the joined runs of a session and are passed "
            f"over, since the runs are there too (first {min(dropped).name})"
        )
    return [f for f in files if f.path not in dropped]


def _is_sum_of(
    survey: FuncFiles, whole: FuncFile, parts: Sequence[FuncFile], chosen: str | None
) -> bool:
    """Tell joined runs by their number of frames, or, for matrices, by XCP-D having made them."""
    try:
        if chosen == "time series":
            scans = [
                Scan(subject=f.subject, session=None, run=None, kind="time series", path=f.path)
                for f in (whole, *parts)
            ]
            joined, *single = [survey_series(scan).n_frames for scan in scans]
            return joined == sum(single)
        if not (survey.root / "dataset_description.json").is_file():
            return False
        makers = read_dataset_description(survey.root).get("GeneratedBy")
    except InputError as error:
        survey.problems += error.problems
        return False
    return "xcp" in str(makers).lower()


def report_double(
    survey: FuncFiles, files: Sequence[FuncFile], labels: Mapping[str, Callable[[FuncFile], str]]
) -> None:
    """Add a problem for every file that claims to be the same run as another.

    Parameters
    ----------
    survey : FuncFiles
        Sentences are added to its ``problems``.
    files : sequence of FuncFile
        Files of one kind.
    labels : mapping of str to callable
        What may tell them apart beside subject, session and run.
    """
    seen: dict[tuple[object, ...], FuncFile] = {}
    for file in files:
        key = (
            file.subject,
            file.session,
            file.entities.get("run"),
            *(label(file) for label in labels.values()),
        )
        first = seen.setdefault(key, file)
        if first is file:
            continue
        differing = sorted(
            k
            for k in {**first.entities, **file.entities}
            if first.entities.get(k) != file.entities.get(k)
        )
        survey.problems.append(
            f"{first.path} and {file.path.name} both claim to be the same run of the same session "
            f"(they differ in {', '.join(differing) or 'their folder'}); keep one, or give them "
            "different run- labels"
        )
