"""What a damaged or odd input is, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One input, the door it comes in by, and its expected end.

    ``expected`` is the class of the message (``StudyFileError``, ``InputError``), ``handled`` (it is
    read, and ``says`` stands in what is said of it, if anything is), or ``left out`` (the run goes
    on and the scan stands in the flow with its reason, ``says``).
    """

    kind: str
    name: str
    door: str | tuple[str, ...]
    make: Callable[[Path], Path]
    expected: str
    says: str = ""

    @property
    def id(self) -> str:
        return f"{self.kind}: {self.name}"


#: Of a file; a function makes a dear one where it is needed, which listing the cases does not.
Content = bytes | str | Callable[[], bytes]


def file(name: str, content: Content) -> Callable[[Path], Path]:
    """Return what writes one file."""

    def make(folder: Path) -> Path:
        made = content() if callable(content) else content
        path = folder / name
        path.write_bytes(made.encode() if isinstance(made, str) else made)
        return path

    return make


def expand(
    kind: str, door: str, ending: str, rows: Mapping[str, tuple[Content, str, str]]
) -> list[Case]:
    """Return a case for each row: name -> content of a file, expected class, what is said."""
    return [
        Case(kind, name, door, file(f"input{ending}", content), expected, says)
        for name, (content, expected, says) in rows.items()
    ]
