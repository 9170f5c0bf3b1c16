"""List what an installation brings, with versions and licences, as a table for the documentation.

    python packaging/list_licences.py > docs/licences.md

Reads the metadata of the packages that connectrial requires, and of those that these require.
"""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement


def licence_of(found: Distribution) -> str:
    meta = found.metadata
    stated = meta.get("License-Expression")
    if stated:
        return str(stated)
    classes = [
        line.rsplit("::", 1)[-1].strip()
        for line in meta.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    first = (meta.get("License") or "").strip().splitlines()
    short = first[0] if first and len(first[0]) < 60 else ""
    return (
        "; ".join(c for c in classes if c != "OSI Approved")
        or short
        or "not stated in its metadata"
    )


def collect(name: str, direct: set[str], found: dict[str, Distribution]) -> None:
    for text in distribution(name).requires or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        key = requirement.name.lower().replace("_", "-")
        if name == "connectrial":
            direct.add(key)
        if key in found:
            continue
        try:
            found[key] = distribution(requirement.name)
        except PackageNotFoundError:
            continue
        collect(requirement.name, direct, found)


def main() -> None:
    direct: set[str] = set()
    found: dict[str, Distribution] = {}
    collect("connectrial", direct, found)
    lines = [
        "# Licences",
        "",
        "connectrial is BSD-3-Clause. What an installation brings with it, as the metadata of the "
        f"packages say on Python {sys.version_info[0]}.{sys.version_info[1]} "
        "(`python packaging/list_licences.py > docs/licences.md`):",
        "",
        "| package | version | licence | needed by |",
        "|---|---|---|---|",
    ]
    for key in sorted(found):
        one = found[key]
        by = "connectrial" if key in direct else "another package"
        lines.append(f"| {one.metadata['Name']} | {one.version} | {licence_of(one)} | {by} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
