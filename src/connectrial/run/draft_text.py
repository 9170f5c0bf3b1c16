"""Writing a commented TOML file, so that any text from a dataset can stand in it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from connectrial.errors import InputError

WIDTH = 96
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quoted(text: str) -> str:
    r"""Return text as a TOML string: ``quoted('a "b"')`` is ``"a \"b\""``.

    Parameters
    ----------
    text : str
        Any text; what cannot be seen is written as an escape.

    Returns
    -------
    str

    Raises
    ------
    InputError
        When the text comes from a file name that is not UTF-8, which no TOML file can hold.
    """
    return '"' + "".join(_escaped(character, text) for character in text) + '"'


def _escaped(character: str, text: str) -> str:
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        raise InputError(
            f"{text.encode('utf-8', 'backslashreplace').decode()}: this name is not UTF-8, so a "
            "study file cannot name it; rename the file or folder"
        )
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def toml_key(text: str) -> str:
    """Return text as a TOML key, bare where it can be."""
    return text if _BARE_KEY.fullmatch(text) else quoted(text)


def toml_list(texts: Iterable[str]) -> str:
    """Return texts as a TOML list of strings."""
    return "[" + ", ".join(map(quoted, texts)) + "]"


def toml_number(number: float) -> str:
    """Return a number as TOML writes it, whole ones without a point."""
    return str(int(number)) if float(number).is_integer() else repr(float(number))


def seen(text: object) -> str:
    """Return text as it may stand in a comment: on one line, nothing invisible in it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def counted(n: int, one: str, many: str | None = None) -> str:
    """Return "1 person" or "3 people"."""
    return f"{n} {one if n == 1 else many or one + 's'}"


class StudyText:
    """The lines of a study file as they come.

    Attributes
    ----------
    muted : bool
        While true, keys and headers are written as comments: what could be, not what is.
    checks : list of str
        What was marked as a guess so far.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self.muted = False
        self.checks: list[str] = []
        self._where = ""

    def blank(self) -> None:
        """Leave a line free."""
        if self._lines and self._lines[-1]:
            self._lines.append("")

    def say(self, text: str) -> None:
        """Add a comment, over as many lines as it takes."""
        wrapped = textwrap.wrap(seen(text), WIDTH - 2, break_long_words=False)
        self._lines += [f"# {line}" for line in wrapped]

    def check(self, text: str) -> None:
        """Add a comment on something that was guessed."""
        self._note(text)
        self.say(f"check: {text}")

    def section(self, header: str, comment: str = "") -> None:
        """Begin a section such as ``[data]`` or ``[[visit]]``."""
        self.blank()
        self._where = header
        self._with_comment(header, comment)

    def pair(self, key: str, value: str, comment: str = "") -> None:
        """Add ``key = value``; the value is TOML already."""
        if key == "name":
            self._where = f"{self._where} {value}"
        self._with_comment(f"{toml_key(key)} = {value}", comment)

    def leave(self) -> None:
        """End a section: what is checked from here on does not belong to it."""
        self.blank()
        self._where = ""

    def off(self, *lines: str) -> None:
        """Add lines that hold once the user takes the ``#`` away."""
        self._lines += [f"# {seen(line)}" for line in lines]

    def _with_comment(self, line: str, comment: str) -> None:
        comment = seen(comment)
        if comment.startswith("check: "):
            key = "" if line.startswith("[") else f"{line}: "
            self._note(f"{key}{comment.removeprefix('check: ')}")
        line = f"# {line}" if self.muted else line
        column = max(39, len(line) + 2)
        if comment and column + 2 + len(comment) > WIDTH + 4:
            self.say(comment)
            comment = ""
        self._lines.append(f"{line:<{column}}# {comment}" if comment else line)

    def _note(self, text: str) -> None:
        """Remember a guess, with the place that it is about."""
        self.checks.append(seen(f"{self._where}: {text}" if self._where else text))

    def __str__(self) -> str:
        return "\n".join(self._lines).rstrip() + "\n"
