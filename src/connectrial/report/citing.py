"""Full references by their key, and keys in running text as authors and years."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files


@cache
def references_by_key() -> dict[str, str]:
    """Return every reference the package knows, by citation key."""
    text = (files("connectrial") / "templates" / "references.json").read_text(encoding="utf-8")
    loaded: dict[str, str] = json.loads(text)
    return loaded


def cited(text: str) -> str:
    """Write citation keys as author and year: ``@otto2021`` -> ``Otto et al. 2021``."""
    return re.sub(r"@(\w+)", lambda key: _author_and_year(key[1]) or key[0], text)


def _author_and_year(key: str) -> str:
    """Return authors and year of a full reference; empty where there is none."""
    full = references_by_key().get(key, "")
    authors, year = full.partition(". ")[0].split(", "), re.search(r"\b(?:19|20)\d\d\b", full)
    names = [re.sub(r"( [A-Z]{1,4})$", "", one) for one in authors]
    if not full or year is None:
        return ""
    who = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
    return f"{who} {year[0]}"
