"""What can go wrong, one class per kind of trouble.

All of them are the user's to mend, so the command line turns each into one message and exit code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class ConnectrialError(ValueError):
    """Anything that the person in front of the screen can put right.

    Parameters
    ----------
    problems : str or sequence of str
        One sentence per problem: where it is, what came, what is allowed, what to do.

    Attributes
    ----------
    problems : tuple of str
        The same, always as a tuple, so that many can be reported at once.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class StudyFileError(ConnectrialError):
    """The study file cannot be read, or says something that is not allowed."""


class InputError(ConnectrialError):
    """A data file or an argument is missing, damaged, or contradicts another."""


class ModelError(ConnectrialError):
    """A model cannot be fitted to these data as it was declared."""


class MachineError(ConnectrialError):
    """The machine does not let a run go on: a full disk, no permission, no memory, another run.

    It says nothing about the data, so no scan is ever left out because of it.
    """


def did_you_mean(word: str, allowed: Iterable[str], *, listing: bool = True) -> str:
    """Return the end of a message about an unknown word.

    Parameters
    ----------
    word : str
        What came.
    allowed : iterable of str
        What is known.
    listing : bool
        List what is known where nothing comes close.

    Returns
    -------
    str
        ``; did you mean 'x'?``, ``; there are: x, y`` or nothing.
    """
    names = list(allowed)
    lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), list(lower), n=1, cutoff=0.6)
    if close:
        return f"; did you mean {lower[close[0]]!r}?"
    if not names or not listing:
        return ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"; there are: {shown}"
