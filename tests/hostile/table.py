"""The table of kinds for docs/hostile-input.md: python -m hostile.table."""

from __future__ import annotations

import sys
from collections import Counter

from hostile.corpus import CASES

ENDS = ("StudyFileError", "InputError", "left out", "handled")


def rows() -> list[str]:
    lines = [
        "| kind | inputs | refused in one message | left out with the reason | read, oddity handled |"
    ]
    lines.append("|---|---|---|---|---|")
    total: Counter[str] = Counter()
    for kind in dict.fromkeys(case.kind for case in CASES):
        ends = Counter(case.expected for case in CASES if case.kind == kind)
        total += ends
        lines.append(_row(kind, ends))
    lines.append(_row("**all**", total))
    return lines


def _row(kind: str, ends: Counter[str]) -> str:
    refused = ends["StudyFileError"] + ends["InputError"]
    return f"| {kind} | {ends.total()} | {refused} | {ends['left out']} | {ends['handled']} |"


if __name__ == "__main__":
    sys.stdout.write("\n".join(rows()) + "\n")
