"""All cases, and what fuzzing found."""

from __future__ import annotations

from hostile import found, images, places, settings, tables

CASES = [*settings.CASES, *tables.CASES, *images.CASES, *places.CASES, *found.CASES]
BY_ID = {case.id: case for case in CASES}
assert len(BY_ID) == len(CASES), "two cases have one name"
