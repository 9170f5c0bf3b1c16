"""What is on disk: the runs of a derivatives folder, by the names that the field's tools write.

XCP-D (0.2 to 26), giga_connectome, HALFpipe, fMRIPrep and the HCP pipelines. Only
``sub-*/[ses-*/]func``, the task folders in it and ``MNINonLinear/Results`` are looked at, so a link
that leads back up cannot trap the search.
"""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from connectrial.data import Scan, ScanKind
from connectrial.errors import InputError
from connectrial.io.bids_filters import FilterValue, keep_filtered
from connectrial.io.func_files import (
    KINDS,
    FuncFile,
    FuncFiles,
    atlas_of,
    description_of,
    is_denoised,
    list_func_files,
    pair_hemispheres,
    report_broken,
    sort_by_kind,
)
from connectrial.io.names import bids_name, match_label, natural_key, parse_entities
from connectrial.io.run_checks import report_double, without_concatenations
from connectrial.io.series import SeriesHeader, survey_series
from connectrial.io.sidecars import Sidecars, read_dataset_description, read_motion

__all__ = [
    "ScanIndex",
    "SeriesHeader",
    "bids_name",
    "index_scans",
    "parse_entities",
    "read_dataset_description",
    "read_motion",
    "survey_series",
]

Kind = Literal["auto", "time series", "matrices", "images"]

_SCAN_KINDS: dict[str, ScanKind] = {
    "time series": "time series",
    "matrices": "matrix",
    "images": "image",
}
_NONE = "none"  # how a study file names the files that lack an entity
# Option by option, the key of the study file that settles it.
_KEYS = {
    "task": "[data] task",
    "space": "[data] space",
    "atlas": "[atlas] name",
    "description": "[data] description",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanIndex:
    """The runs that a derivatives folder holds, and what is unclear about them.

    Attributes
    ----------
    root : Path
        The folder.
    kind : {"image", "time series", "matrix"} or None
        What the scans are; None where nothing was found.
    scans : tuple of Scan
        By subject, session and run, numbers in numeric order.
    subjects : tuple of str
        Every ``sub-`` folder, those without a usable scan too.
    sessions : tuple of str
        Every session label seen.
    choices : mapping
        For task, space, atlas and description: how many scans bear each label ("none" where the
        name lacks the entity), before any was chosen.
    ambiguous : mapping
        The part of `choices` that must be settled: more than one label is left.
    found : mapping
        How many files of each kind there are.
    problems, notes : tuple of str
        What must be put right; what was handled.
    """

    root: Path
    kind: ScanKind | None
    scans: tuple[Scan, ...]
    subjects: tuple[str, ...]
    sessions: tuple[str, ...]
    choices: Mapping[str, Mapping[str, int]]
    ambiguous: Mapping[str, Mapping[str, int]]
    found: Mapping[str, int]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def index_scans(
    derivatives: Path,
    *,
    kind: Kind = "auto",
    task: str | None = None,
    space: str | None = None,
    atlas: str | None = None,
    description: str | None = None,
    subjects: Sequence[str] | None = None,
    sessions: Sequence[str] | None = None,
    filters: Mapping[str, FilterValue] | None = None,
) -> ScanIndex:
    """Find the runs of a derivatives folder by their names.

    Parameters
    ----------
    derivatives : Path
        Folder that holds ``sub-*`` folders.
    kind : {"auto", "time series", "matrices", "images"}
        What to look for; "auto" takes the first of time series, matrices, images that is there.
    task, space, atlas, description : str, optional
        Keep files with this label; "none" keeps those without one. ``atlas`` also reads ``seg-``;
        ``description`` reads ``desc-`` or ``hash-`` or HALFpipe's ``feature-``; a space may name
        its resolution as in ``MNI152NLin6Asym:res-2``.
    subjects, sessions : sequence of str, optional
        Keep only these, with or without ``sub-`` and ``ses-``.
    filters : mapping, optional
        Keep only files whose entities have these labels, as
        `connectrial.io.bids_filters.keep_filtered` reads them.

    Returns
    -------
    ScanIndex
        Several labels where none was chosen, two files for one run, labels that are not there,
        unreadable links: each is a sentence in ``problems``, and no scan is passed over without
        a sentence in ``problems`` or ``notes``.

    Raises
    ------
    InputError
        When the folder is missing or is no folder, or a filter is none.
    """
    survey = list_func_files(Path(derivatives))
    groups = sort_by_kind(survey)
    found = {name: len(groups[name]) for name in KINDS}
    chosen = _choose_kind(survey, groups, kind)
    files = _keep_people(survey, groups.get(chosen or "", []), subjects, sessions)
    files = keep_filtered(survey, files, filters or {})
    files, right_of = pair_hemispheres(_without_native_surfaces(survey, files, space))
    wanted = {"task": task, "space": space, "atlas": atlas, "description": description}
    labels = _labels(files)
    choices = _count(files, labels)
    files = _keep_labels(survey, files, labels, choices, wanted)
    ambiguous = {
        option: counts for option, counts in _count(files, labels).items() if len(counts) > 1
    }
    for option, counts in ambiguous.items():
        listed = ", ".join(f"{label!r} ({n} files)" for label, n in counts.items())
        survey.problems.append(
            f"{survey.root}: several choices of {option}: {listed}; choose one in the study file: "
            f"{_KEYS[option]} = {next(iter(counts))!r}"
        )
    files = without_concatenations(survey, files, chosen)
    report_double(survey, files, labels)
    scans = _make_scans(survey, files, right_of, chosen)
    report_broken(survey, chosen)
    return ScanIndex(
        root=survey.root,
        kind=_SCAN_KINDS[chosen] if chosen else None,
        scans=scans,
        subjects=tuple(sorted(survey.subjects, key=natural_key)),
        sessions=tuple(sorted(survey.sessions, key=natural_key)),
        choices=choices,
        ambiguous=ambiguous,
        found=found,
        problems=tuple(survey.problems),
        notes=tuple(survey.notes),
    )


def _choose_kind(survey: FuncFiles, groups: Mapping[str, list[FuncFile]], kind: Kind) -> str | None:
    if kind != "auto" and kind not in KINDS:
        raise InputError(
            f"kind {kind!r} is none of 'auto', {', '.join(map(repr, KINDS))}: set [data] kind"
        )
    present = [name for name in KINDS if groups[name]]
    if kind != "auto":
        if kind not in present and survey.subjects:
            instead = f"; there are {' and '.join(present)}" if present else ""
            survey.problems.append(
                f"{survey.root}: no {kind} below sub-*/[ses-*/]func{instead}; set [data] kind"
            )
        return kind
    if not present:
        if survey.subjects:
            survey.problems.append(
                f"{survey.root}: below {len(survey.subjects)} sub-* folders there is no "
                "*_timeseries.tsv, *_relmat.tsv (or *_conmat.tsv, *_matrix.txt), "
                "*_desc-preproc_bold.nii.gz, *_bold.dtseries.nii nor *_bold.func.gii in a func folder"
                f"{_other_files(survey)}"
            )
        return None
    if len(present) > 1:
        survey.notes.append(
            f"{survey.root.name}: there are {' and '.join(present)}; {present[0]} are read "
            f"([data] kind = {present[1]!r} takes the others)"
        )
    return present[0]


def _other_files(survey: FuncFiles) -> str:
    """Say what stands there instead of what can be read."""
    raw = sum(f.entities["suffix"] == "bold" and "space" not in f.entities for f in survey.files)
    return f"; there are {raw} raw images: name the folder of their derivatives" if raw else ""


def _keep_people(
    survey: FuncFiles,
    files: list[FuncFile],
    subjects: Sequence[str] | None,
    sessions: Sequence[str] | None,
) -> list[FuncFile]:
    """Keep the subjects and sessions that were asked for."""
    for asked, known, prefix in (
        (subjects, survey.subjects, "sub-"),
        (sessions, survey.sessions, "ses-"),
    ):
        if asked is None:
            continue
        keep = set()
        for label in asked:
            match = match_label(label, known=known, prefix=prefix)
            if match.label not in known:
                survey.problems.append(
                    match.problem
                    or f"{survey.root}: there is no {prefix}{match.label}; "
                    f"there are {', '.join(sorted(known, key=natural_key)[:8])} ..."
                )
            keep.add(match.label)
        files = [f for f in files if (f.subject if prefix == "sub-" else f.session) in keep]
    return files


def _labels(files: Iterable[FuncFile]) -> dict[str, Callable[[FuncFile], str]]:
    """Return, for each option, the function that reads a file's label."""
    # What a space comes in: resolutions, densities, and for one density surfaces beside CIFTI.
    variants: dict[str | None, list[set[str | None]]] = defaultdict(lambda: [set(), set(), set()])
    for file in files:
        for known, label in zip(
            variants[file.entities.get("space")], _space_variant(file), strict=True
        ):
            known.add(label)

    def space(file: FuncFile) -> str:
        name = file.entities.get("space")
        pieces = [name or _NONE]
        for key, known, label in zip(
            ("res-", "den-", ""), variants[name], _space_variant(file), strict=True
        ):
            if len(known) > 1:
                pieces.append(f"{key}{label or 'native'}")
        return ":".join(pieces)

    return {
        "task": lambda f: f.entities.get("task", _NONE),
        "space": space,
        "atlas": lambda f: atlas_of(f) or _NONE,
        "description": lambda f: description_of(f) or _NONE,
    }


def _space_variant(file: FuncFile) -> tuple[str | None, str | None, str]:
    e = file.entities
    form = {".func.gii": "surface", ".dtseries.nii": "cifti"}.get(e["extension"], "volume")
    return e.get("res"), e.get("den"), form


def _is_volume(file: FuncFile) -> bool:
    return _space_variant(file)[2] == "volume" and file.entities["suffix"] == "bold"


def _without_native_surfaces(
    survey: FuncFiles, files: list[FuncFile], space: str | None
) -> list[FuncFile]:
    """Pass over surfaces in each person's own mesh, whose vertices are nobody else's."""
    native = [f for f in files if f.entities["extension"] == ".func.gii" and _own_mesh(f)]
    if not native:
        return files
    if space == "fsnative":
        survey.problems.append(
            f"{survey.root}: space 'fsnative' is each person's own mesh, on which no atlas of a "
            "group lies; set [data] space to a template such as fsaverage5 or fsLR"
        )
    else:
        survey.notes.append(
            f"{survey.root.name}: {len(native)} surface files in space fsnative (each person's own mesh) "
            "are passed over"
        )
    return [file for file in files if file not in native]


def _own_mesh(file: FuncFile) -> bool:
    return file.entities.get("space", "fsnative") in {"fsnative", "T1w"}


def _count(
    files: Sequence[FuncFile], labels: Mapping[str, Callable[[FuncFile], str]]
) -> dict[str, dict[str, int]]:
    return {
        option: dict(sorted(Counter(map(label, files)).items())) for option, label in labels.items()
    }


def _keep_labels(
    survey: FuncFiles,
    files: list[FuncFile],
    labels: Mapping[str, Callable[[FuncFile], str]],
    choices: Mapping[str, Mapping[str, int]],
    wanted: Mapping[str, str | None],
) -> list[FuncFile]:
    for option, key in _KEYS.items():
        name, label = wanted[option], labels[option]
        if name is None or not files:
            continue
        kept = [f for f in files if label(f) == name or label(f).startswith(f"{name}:")]
        if not kept:
            near = difflib.get_close_matches(name, choices[option], n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            survey.problems.append(
                f"{survey.root}: no file has {option} {name!r}; there are "
                f"{', '.join(map(repr, choices[option]))}{hint or ';'} set {key}"
            )
        files = kept
    return files


def _make_scans(
    survey: FuncFiles,
    files: Sequence[FuncFile],
    right_of: Mapping[Path, Path],
    chosen: str | None,
) -> tuple[Scan, ...]:
    """Join each file with its confounds, mask and repetition time."""
    if chosen is None:
        return ()
    sidecars = Sidecars(survey.root, survey.files)
    scans = []
    for file in files:
        e = file.entities
        scans.append(
            Scan(
                subject=file.subject,
                session=file.session,
                run=e.get("run"),
                kind=_SCAN_KINDS[chosen],
                path=file.path,
                task=e.get("task"),
                space=e.get("space"),
                atlas=atlas_of(file),
                description=description_of(file),
                confounds=sidecars.confounds(file),
                mask=sidecars.mask(file) if _is_volume(file) else None,
                repetition_time_s=sidecars.repetition_time_s(file),
                right=right_of.get(file.path),
                denoised=chosen == "images" and is_denoised(description_of(file)),
            )
        )
    survey.problems += sidecars.problems
    survey.notes += _missing_parts(survey, scans, chosen)
    return tuple(
        sorted(scans, key=lambda s: (*map(natural_key, (s.subject, s.session, s.run)), s.path))
    )


def _missing_parts(survey: FuncFiles, scans: Sequence[Scan], chosen: str) -> list[str]:
    """Say what the scans lack."""
    lacking = {"confounds or motion table": [s.name for s in scans if s.confounds is None]}
    volumes = [s for s in scans if s.kind == "image" and s.path.name.endswith("bold.nii.gz")]
    lacking["brain mask"] = [s.name for s in volumes if s.mask is None]
    if chosen == "time series":  # an image's own header may still state it
        lacking["stated repetition time"] = [s.name for s in scans if s.repetition_time_s is None]
    notes = []
    for what, those in lacking.items():
        if those and len(those) == len(scans):
            notes.append(f"{survey.root.name}: no scan has a {what}")
        elif those:
            shown = ", ".join(those[:5]) + (" ..." if len(those) > 5 else "")
            notes.append(
                f"{survey.root.name}: {len(those)} of {len(scans)} scans lack a {what}: {shown}"
            )
    return notes
