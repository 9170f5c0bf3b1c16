"""The files of a derivatives folder, subject by subject, and what each of them holds.

Only ``sub-*/[ses-*/]func`` and the task folders in it (HALFpipe's) are looked at, so a link that
leads back up cannot trap the search.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from connectrial.errors import InputError
from connectrial.io.hcp import hcp_files, hcp_folders
from connectrial.io.names import RUN_ENTITIES, bids_label, natural_key, parse_entities

KINDS = ("time series", "matrices", "images")

_TEXT = frozenset({".tsv", ".txt", ".csv"})
# What fMRIPrep's and XCP-D's images are called; a CIFTI or surface run of fMRIPrep has no desc.
_PREPROCESSED = "preproc"
_DENOISED = frozenset(
    {"denoised", "denoisedsmoothed", "interpolated", "residual", "residual_smooth"}
)
_VOLUMES = frozenset({".nii", ".nii.gz"})
# What other tools call *_timeseries.tsv although no parcel is in it.
_NOT_PARCELS = frozenset({"confounds", "aroma", "mixing", "metrics", "rois"})


class FuncFile(NamedTuple):
    """One file below a subject's func folder."""

    path: Path
    subject: str
    session: str | None
    entities: dict[str, str]

    @property
    def run_key(self) -> tuple[str | None, ...]:
        """What all files of one acquisition share."""
        return (self.subject, self.session, *(self.entities.get(e) for e in RUN_ENTITIES[2:]))


@dataclass(slots=True)
class FuncFiles:
    """What one walk through the folder brought to light."""

    root: Path
    files: list[FuncFile] = field(default_factory=list)
    subjects: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: list[FuncFile] = field(default_factory=list)
    empty: list[FuncFile] = field(default_factory=list)

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """Return what stands in a folder, numbers in numeric order."""
        try:
            with os.scandir(folder) as found:
                return sorted(found, key=lambda entry: natural_key(entry.name))
        except PermissionError:
            self.problems.append(f"{folder}: this folder may not be read; change its permissions")
        except OSError as error:  # a link that leads back to itself, a disk that fails
            self.problems.append(f"{folder}: this folder cannot be read ({error.strerror})")
        return []

    def folders(self, parent: Path, prefix: str) -> list[Path]:
        """Return the folders in a folder whose names begin with `prefix`."""
        found = []
        for entry in self.entries(parent):
            if not entry.name.startswith(prefix):
                continue
            if _is(entry.is_dir):
                if self._is_text(parent, entry):
                    found.append(parent / entry.name)
            elif prefix and entry.is_symlink() and not _is(entry.is_file):
                self.problems.append(
                    f"{parent / entry.name}: this link leads nowhere or in a circle; mend or remove it"
                )
        return found

    def _is_text(self, parent: Path, entry: os.DirEntry[str]) -> bool:
        """Tell whether a name can stand in tables, which are UTF-8; what cannot is a problem."""
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            self.problems.append(
                f"{parent}: the folder {os.fsencode(entry.name)!r} has a name that is no UTF-8; "
                "rename it"
            )
            return False
        return True


def _is(kind: Callable[[], bool]) -> bool:
    """Ask what an entry is; a link that leads in a circle is nothing."""
    try:
        return kind()
    except OSError:
        return False


def list_func_files(root: Path) -> FuncFiles:
    """List the files of every subject's func folders."""
    survey = FuncFiles(root)
    if not root.exists():
        raise InputError(f"{root}: there is no such folder; check [data] derivatives")
    if not root.is_dir():
        raise InputError(f"{root}: this is a file; [data] derivatives names a folder")
    for subject in survey.folders(root, "sub-"):
        if (subject / "MNINonLinear").is_dir():  # HCP's, whose name may hold a session as well
            continue
        label = subject.name[4:]
        survey.subjects.add(label)
        below = survey.folders(subject, "ses-")
        for session in below:
            survey.sessions.add(session.name[4:])
            _list_func(survey, session, label, session.name[4:])
        _list_func(survey, subject, label, None)
    _list_hcp(survey)
    if not survey.subjects:
        survey.problems.append(_no_subjects(survey))
    _report_alike(survey)
    return survey


def _list_func(survey: FuncFiles, folder: Path, subject: str, session: str | None) -> None:
    func = folder / "func"
    if not func.is_dir():
        return
    for place in (func, *survey.folders(func, "task-")):
        for entry in survey.entries(place):
            path = place / entry.name
            if not entry.name.startswith("sub-") or _is(entry.is_dir):
                continue
            entities = parse_entities(entry.name)
            if not _is(entry.is_file):  # a link to something that is not here, a pipe, a device
                survey.broken.append(FuncFile(path, subject, session, entities))
                continue
            _check_place(survey, path, entities, subject, session)
            label = session if session is not None else entities.get("ses")
            if label is not None:
                survey.sessions.add(label)
            survey.files.append(FuncFile(path, subject, label, entities))


def _list_hcp(survey: FuncFiles) -> None:
    for folder, subject, session in hcp_folders(survey.root):
        survey.subjects.add(subject)
        if session is not None:
            survey.sessions.add(session)
        for path, entities in hcp_files(folder, subject, session):
            file = FuncFile(path, subject, session, entities)
            (survey.files if path.is_file() else survey.broken).append(file)


def _check_place(
    survey: FuncFiles, path: Path, entities: Mapping[str, str], subject: str, session: str | None
) -> None:
    """Note a file whose name says another subject or session than its folder."""
    for key, folder, name in (
        ("sub", subject, entities.get("sub")),
        ("ses", session, entities.get("ses")),
    ):
        if folder is not None and name is not None and name != folder:
            if bids_label(name).lower() == bids_label(folder).lower():
                continue
            survey.problems.append(
                f"{path}: the name says {key}-{name} but the folder {key}-{folder}; "
                "move or rename the file"
            )


def _no_subjects(survey: FuncFiles) -> str:
    """Say that no subject is here, and where there are some."""
    root = survey.root
    near = survey.folders(root, "")
    if (root / "derivatives").is_dir():
        near += survey.folders(root / "derivatives", "")
    hints = [str(p) for p in near if survey.folders(p, "sub-")]
    advice = f"; did you mean {' or '.join(hints[:3])}?" if hints else ""
    return f"{root}: no folder here is called sub-<label>{advice}"


def _report_alike(survey: FuncFiles) -> None:
    """Report labels that fall together once BIDS has taken what it does not allow."""
    for prefix, labels in (("sub", survey.subjects), ("ses", survey.sessions)):
        alike: dict[str, list[str]] = defaultdict(list)
        for label in sorted(labels):
            alike[bids_label(label)].append(label)
        for short, group in alike.items():
            if not short:
                survey.problems.append(
                    f"{survey.root}: {prefix}- labels {', '.join(map(repr, group))} have no letter or "
                    "digit that BIDS allows (A to Z, 0 to 9), so no file can be named after them; "
                    "rename the folders"
                )
            elif len(group) > 1:
                survey.problems.append(
                    f"{survey.root}: {prefix}- labels {', '.join(map(repr, group))} all become "
                    f"{short!r} in BIDS names; rename one of them"
                )
        odd = [label for label in sorted(labels) if bids_label(label) != label]
        if odd:
            survey.notes.append(
                f"{survey.root}: {prefix}- labels that BIDS does not allow are read as they stand "
                f"and written without the odd characters: {', '.join(map(repr, odd))}"
            )


def kind_of(file: FuncFile) -> str | None:
    """Return "time series", "matrices" or "images" if the file is one of them."""
    e = file.entities
    suffix, extension = e["suffix"], e["extension"]
    if extension in _TEXT:
        if suffix == "timeseries":
            if e.get("stat", "mean") != "mean" or e.get("desc") in _NOT_PARCELS:
                return None
            return "time series"
        if suffix in {"relmat", "conmat"}:
            measure = e.get("stat") or e.get("meas") or e.get("measure") or "pearsoncorrelation"
            return "matrices" if measure.lower() == "pearsoncorrelation" else None
        if suffix == "matrix" and e.get("desc") == "correlation":
            return "matrices"
    elif extension == ".ptseries.nii" and suffix == "timeseries":
        return "time series" if e.get("stat", "mean") == "mean" else None
    elif extension == ".pconn.nii":
        measure = e.get("stat") or e.get("measure") or "pearsoncorrelation"
        return "matrices" if measure.lower() == "pearsoncorrelation" else None
    elif suffix == "bold" and _is_image(e):
        return "images"
    return None


def _is_image(e: Mapping[str, str]) -> bool:
    desc, extension = e.get("desc"), e["extension"]
    if extension in _VOLUMES:
        return desc == _PREPROCESSED or is_denoised(desc)
    if extension == ".dtseries.nii":
        return True
    return extension == ".func.gii" and e.get("hemi") in {"L", "R"} and desc in {None, "preproc"}


def is_denoised(description: str | None) -> bool:
    """Tell by its description whether an image was denoised (XCP-D's; HCP's ``clean``)."""
    lower = (description or "").lower()
    return lower in _DENOISED or lower.endswith("clean")


def sort_by_kind(survey: FuncFiles) -> dict[str, list[FuncFile]]:
    """Return the files that hold time series, matrices and images; empty ones are set aside."""
    groups: dict[str, list[FuncFile]] = {name: [] for name in KINDS}
    for file in survey.files:
        name = kind_of(file)
        if name is None:
            continue
        if file.path.stat().st_size == 0:
            survey.empty.append(file)
            continue
        groups[name].append(file)
    for name in ("time series", "matrices"):
        groups[name] = _without_twins(survey, groups[name])
    named = [f for f in groups["time series"] if atlas_of(f) is not None]
    if named and len(named) < len(groups["time series"]):
        survey.notes.append(
            f"{survey.root}: {len(groups['time series']) - len(named)} time series without an "
            "atlas in their name are passed over, since others name one"
        )
        groups["time series"] = named
    return groups


def _without_twins(survey: FuncFiles, files: list[FuncFile]) -> list[FuncFile]:
    """Pass over CIFTI files whose numbers stand in a text file beside them, as XCP-D writes both."""

    def key(file: FuncFile) -> tuple[object, ...]:
        rest = {k: v for k, v in file.entities.items() if k not in {"suffix", "extension"}}
        return (file.path.parent, *sorted(rest.items()))

    written = {key(file) for file in files if file.entities["extension"] in _TEXT}
    twins = {
        file.path
        for file in files
        if file.entities["extension"] not in _TEXT and key(file) in written
    }
    if twins:
        survey.notes.append(
            f"{survey.root}: {len(twins)} CIFTI files are passed over, since the same series or "
            f"matrices stand beside them as text (first {min(twins).name})"
        )
    return [file for file in files if file.path not in twins]


def pair_hemispheres(files: list[FuncFile]) -> tuple[list[FuncFile], dict[Path, Path]]:
    """Join the two files of each surface run.

    Parameters
    ----------
    files : list of FuncFile
        Images of all forms.

    Returns
    -------
    files : list of FuncFile
        Without the right hemispheres whose left one is there.
    right_of : dict of Path to Path
        Right hemisphere's file by the left one's.
    """

    def key(file: FuncFile) -> tuple[object, ...]:
        rest = {k: v for k, v in file.entities.items() if k != "hemi"}
        return (file.path.parent, *sorted(rest.items()))

    right = {key(file): file.path for file in files if file.entities.get("hemi") == "R"}
    right_of = {
        file.path: right[key(file)]
        for file in files
        if file.entities.get("hemi") == "L" and key(file) in right
    }
    joined = set(right_of.values())
    return [file for file in files if file.path not in joined], right_of


def atlas_of(file: FuncFile) -> str | None:
    """Return the atlas: ``atlas-``, or ``seg-`` of XCP-D 0.7 to 0.14 and giga_connectome."""
    return file.entities.get("atlas") or file.entities.get("seg")


def description_of(file: FuncFile) -> str | None:
    """Return what tells apart two computations from one run: desc, XCP-D's hash, or feature."""
    e = file.entities
    if e["suffix"] == "bold":
        return e.get("desc", _PREPROCESSED)
    desc = None if e["suffix"] == "matrix" else e.get("desc")
    return desc or e.get("hash") or e.get("feature")


def report_broken(survey: FuncFiles, chosen: str | None) -> None:
    """Add a problem for links that lead nowhere and for files without content.

    Parameters
    ----------
    survey : FuncFiles
        Sentences are added to its ``problems``.
    chosen : str or None
        The kind that is read; files of other kinds are not missed.
    """
    broken = [
        f.path
        for f in survey.broken
        if f.entities.get("desc") == "confounds" or kind_of(f) in ({chosen} if chosen else KINDS)
    ]
    if broken:
        survey.problems.append(
            f"{survey.root}: {len(broken)} files are links to something that is not here (first "
            f"{broken[0].relative_to(survey.root)}); fetch the content, e.g. with 'datalad get'"
        )
    survey.problems += [
        f"{file.path}: the file is empty; write it again or remove it"
        for file in survey.empty
        if chosen is None or kind_of(file) == chosen
    ]
