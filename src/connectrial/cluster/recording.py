"""What was asked for in an output folder, so that its state can be told from the folder alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from connectrial.errors import InputError
from connectrial.io.provenance import read_json, write_json
from connectrial.plan import Plan
from connectrial.run import plan_study
from connectrial.run.excluding import exclude_listed
from connectrial.run.filtering import with_filters
from connectrial.study_file import load_study


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The study file of a run and what else shapes its plan; absolute paths.

    Attributes
    ----------
    study : str
        Study file.
    exclude, filters : str or None
        Files of ``--exclude`` and ``--bids-filter-file``.
    """

    study: str
    exclude: str | None = None
    filters: str | None = None

    @classmethod
    def of(cls, study: Path, *, exclude: Path | None, filters: Path | None) -> Request:
        """Take paths as they were typed."""
        return cls(
            study=str(study.absolute()),
            exclude=None if exclude is None else str(exclude.absolute()),
            filters=None if filters is None else str(filters.absolute()),
        )

    def arguments(self) -> list[str]:
        """Return the options that say the same on a command line."""
        said = [] if self.exclude is None else ["--exclude", self.exclude]
        return said + ([] if self.filters is None else ["--bids-filter-file", self.filters])

    def plan(self, out: Path) -> Plan:
        """Load the study and plan it.

        Raises
        ------
        StudyFileError, InputError
            A file cannot be read or is wrong.
        """
        study = load_study(Path(self.study))
        if self.filters is not None:
            study = with_filters(study, Path(self.filters))
        if self.exclude is not None:
            study = exclude_listed(study, Path(self.exclude), ids=out / "ids.tsv")
        return plan_study(study)


def _file(out: Path) -> Path:
    return out / "logs" / "command.json"


def note_request(out: Path, request: Request) -> None:
    """Keep what was asked for.

    Raises
    ------
    MachineError
        The folder cannot be written to.
    """
    write_json(_file(out), asdict(request))


def known_request(out: Path) -> Request:
    """Return what was asked for in a folder.

    Raises
    ------
    InputError
        Nothing was.
    """
    known: dict[str, Any] | None = read_json(_file(out))
    if known is None or not isinstance(known.get("study"), str):
        raise InputError(
            f"{out}: holds no run (logs/command.json); name the folder of 'connectrial run' or "
            "'connectrial submit'"
        )
    return Request(study=known["study"], exclude=known.get("exclude"), filters=known.get("filters"))
