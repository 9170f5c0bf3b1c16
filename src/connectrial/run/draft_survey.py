"""Looking at a dataset before there is a study: scans, labels, tables and what they say."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from connectrial.data import Scan
from connectrial.errors import InputError
from connectrial.io.bids import (
    ScanIndex,
    index_scans,
)
from connectrial.io.bids_filters import FilterValue
from connectrial.io.hcp import hcp_folders
from connectrial.run.draft_parcels import Parcels, find_parcels, networks_of_names, parcel_names
from connectrial.run.draft_tables import (
    TABLE_ENDINGS,
    description_in,
    dictionary_beside,
    loose_tables,
    people_of,
    scores_of,
    session_meanings,
)
from connectrial.run.draft_text import counted

_KINDS = ("time series", "matrix", "image")
_PREFERRED = {
    "task": ("rest", "resting", "restingstate"),
    "space": ("MNI152NLin6Asym", "MNI152NLin2009cAsym"),
    "description": ("denoised", "denoisedSmoothed"),
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Look:
    """What a dataset holds, as far as a first study file needs to know it.

    Attributes
    ----------
    root : Path
        The folder that was named.
    dataset : Path
        Where participants and scores are.
    index : ScanIndex or None
        Scans that can be used; None for tables alone.
    chosen : mapping of str to str
        Entities that had to be chosen among several (task, space, atlas, description).
    others : tuple of str
        Folders with scans that were not taken, in words.
    parcels : Parcels
        Names and networks.
    participants : Path or None
        The participants table.
    people : pandas.DataFrame
        Its content.
    dictionary : mapping
        Its data dictionary.
    scores : pandas.DataFrame
        Long table of everything that was measured at sessions.
    meanings : mapping of str to str
        What dictionaries say of sessions.
    loose : tuple of (Path, columns)
        Tables in the root that no BIDS layout covers.
    name : str
        Of the dataset.
    simulated : bool
        Whether the dataset says that it is simulated.
    problems : tuple of str
        What will have to be put right.
    filters : mapping
        Labels, by entity, of the files that were looked at.
    """

    root: Path
    dataset: Path
    index: ScanIndex | None
    chosen: Mapping[str, str]
    others: tuple[str, ...]
    parcels: Parcels
    participants: Path | None
    people: pd.DataFrame
    dictionary: Mapping[str, object]
    scores: pd.DataFrame
    meanings: Mapping[str, str]
    loose: tuple[tuple[Path, tuple[str, ...]], ...]
    name: str
    simulated: bool
    problems: tuple[str, ...]
    filters: Mapping[str, FilterValue] = field(default_factory=dict)

    @property
    def scans(self) -> tuple[Scan, ...]:
        """Scans that can be used."""
        return self.index.scans if self.index is not None else ()


def look_at(
    root: Path,
    *,
    derivatives: Path | None,
    filters: Mapping[str, FilterValue] | None = None,
) -> Look:
    """Look at a dataset.

    Parameters
    ----------
    root : Path
        A derivatives folder, a BIDS root with ``derivatives/`` in it, or a folder of tables.
    derivatives : Path, optional
        The folder with the scans where it shall not be searched for.
    filters : mapping, optional
        Look only at files with these labels.

    Returns
    -------
    Look

    Raises
    ------
    InputError
        When the folder is missing, or holds nothing that a study could be made of.
    """
    if not root.is_dir():
        what = "this is a file" if root.exists() else "there is no such folder"
        raise InputError(f"{root}: {what}; name the folder of a dataset")
    problems: list[str] = []
    index, others = _find_scans(root, derivatives, filters or {}, problems)
    chosen: dict[str, str] = {}
    if index is not None:
        index, chosen = _choose_labels(index, filters or {})
        problems += index.problems
    dataset = _find_dataset(root, index)
    participants = next((p for p in _named(dataset, "participants") if p.is_file()), None)
    table = people_of(participants, index, problems)
    scores = scores_of(dataset, participants, table, index, problems)
    if index is None and scores["session"].notna().sum() == 0:
        raise InputError(_nothing(root, participants, problems))
    description = description_in(*([index.root] if index else []), dataset, root)
    return Look(
        root=root,
        dataset=dataset,
        index=index,
        chosen=chosen,
        others=others,
        parcels=find_parcels(dataset, index) if index is not None else Parcels(),
        participants=participants,
        people=table.frame if table is not None else pd.DataFrame(),
        dictionary=dictionary_beside(participants),
        scores=scores,
        meanings=session_meanings(dataset),
        loose=loose_tables(dataset),
        name=_printable(str(description.get("Name") or "")) or root.resolve().name,
        simulated=description.get("Simulated") is True,
        problems=tuple(dict.fromkeys(problems)),
        filters=filters or {},
    )


def _nothing(root: Path, participants: Path | None, problems: Sequence[str]) -> list[str]:
    found = f"only {participants.name}" if participants is not None else "nothing"
    return [
        f"{root}: there is {found} here that a study could be made of. Looked for "
        "sub-*/[ses-*/]func with *_timeseries.tsv, *_relmat.tsv or *_desc-preproc_bold.nii.gz (here "
        "and in the folders of derivatives/), and for scores by session in phenotype/*.tsv, "
        "sessions.tsv, sub-*/sub-*_sessions.tsv or participants.tsv; name the folder that holds them",
        *problems,
    ]


# ---------------------------------------------------------------------------------------------
# Scans
# ---------------------------------------------------------------------------------------------


def _find_scans(
    root: Path,
    derivatives: Path | None,
    filters: Mapping[str, FilterValue],
    problems: list[str],
) -> tuple[ScanIndex | None, tuple[str, ...]]:
    """Index every candidate folder and take the one that serves most people."""
    if derivatives is not None:
        inside = root / derivatives
        named = index_scans(inside if inside.is_dir() else derivatives, filters=filters)
        if not named.scans:
            raise InputError(named.problems or f"{named.root}: no scan that can be read is here")
        return named, ()
    indices = [index_scans(folder, filters=filters) for folder in _candidates(root)]
    usable = [index for index in indices if index.scans]
    if not usable:
        problems += [problem for index in indices for problem in index.problems]
        return None, ()
    most = max(_n_people(index) for index in usable)
    # Ready-made series go before images unless they are of far fewer people.
    best = min(
        usable,
        key=lambda one: (
            _n_people(one) < 0.8 * most,
            _KINDS.index(one.scans[0].kind),
            -_n_people(one),
        ),
    )
    others = tuple(
        f"{index.root.relative_to(root).as_posix()} ({index.scans[0].kind} of "
        f"{counted(_n_people(index), 'person', 'people')})"
        for index in usable
        if index is not best
    )
    return best, others


def _n_people(index: ScanIndex) -> int:
    return len({scan.subject for scan in index.scans})


def _candidates(root: Path) -> list[Path]:
    """Return folders with sub-* folders: the root, derivatives/*, derivatives/*/*, and siblings."""
    found = [root] if _has_subjects(root) else []
    for parent in (root, root / "derivatives"):
        for folder in _folders(parent):
            if folder.name == "derivatives" or folder.name.startswith(("sub-", ".")):
                continue
            if _has_subjects(folder):
                found.append(folder)
            elif parent != root:
                found += [below for below in _folders(folder) if _has_subjects(below)]
    return found


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []


def _has_subjects(folder: Path) -> bool:
    below = _folders(folder)
    return any(path.name.startswith("sub-") for path in below) or bool(hcp_folders(folder))


def _choose_labels(
    index: ScanIndex, filters: Mapping[str, FilterValue]
) -> tuple[ScanIndex, dict[str, str]]:
    """Settle task, space, atlas and description where several are there."""
    chosen: dict[str, str] = {}
    while index.ambiguous:
        option, counts = next(iter(index.ambiguous.items()))
        if option in chosen:  # a label that cannot be told from another: the index says so
            break
        if option == "atlas":
            chosen[option] = _best_atlas(index, counts)
        else:
            liked = [label for label in _PREFERRED[option] if label in counts]
            liked += [
                label
                for wanted in _PREFERRED[option]
                for label in counts
                if label.startswith(f"{wanted}:")
            ]
            chosen[option] = (liked or [max(counts, key=lambda label: counts[label])])[0]
        kind = {"matrix": "matrices", "image": "images"}.get(str(index.kind), "time series")
        index = index_scans(index.root, kind=kind, filters=filters, **chosen)  # type: ignore[arg-type]  # by name
    return index, chosen


def _best_atlas(index: ScanIndex, counts: Mapping[str, int]) -> str:
    """Prefer an atlas that all scans have, whose names tell networks, of some 400 parcels."""

    def rank(label: str) -> tuple[bool, bool, int]:
        scan = next((s for s in index.scans if (s.atlas or "none") == label), None)
        names = None if scan is None else parcel_names(scan)[0]
        told = bool(names) and bool(networks_of_names(names or ())[0])
        return (counts[label] < max(counts.values()), not told, abs(len(names or ()) - 400))

    return min(counts, key=rank)


# ---------------------------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------------------------


def _named(folder: Path, stem: str) -> list[Path]:
    return [folder / f"{stem}{ending}" for ending in TABLE_ENDINGS]


def _find_dataset(root: Path, index: ScanIndex | None) -> Path:
    """Return the folder with the tables: the one named, the scans' own, or the one above them."""
    folders = [root]
    if index is not None:
        folders.append(index.root)
    for folder in list(folders):
        above = folder.resolve().parent
        if above.name == "derivatives":
            folders.append(above.parent)
    for folder in folders:
        places = [
            *_named(folder, "participants"),
            *_named(folder, "sessions"),
            folder / "phenotype",
        ]
        if any(place.exists() for place in places):
            return folder
    return index.root if index is not None else root


def path_text(path: Path, *, variables: Sequence[str]) -> str:
    """Write a path, by an environment variable if it lies below the folder that it names.

    Parameters
    ----------
    path : Path
        The path.
    variables : sequence of str
        Names of environment variables, tried in turn.

    Returns
    -------
    str
        Absolute, or beginning with ``${NAME}``.
    """
    absolute = path.resolve()
    for name in variables:
        value = os.environ.get(name)
        if value and absolute.is_relative_to(Path(value).resolve()):
            inside = absolute.relative_to(Path(value).resolve()).as_posix()
            return f"${{{name}}}" if inside == "." else f"${{{name}}}/{inside}"
    return str(absolute)


def _printable(text: str) -> str:
    """Take out what a study file refuses: control characters other than line breaks and tabs."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc").strip()
