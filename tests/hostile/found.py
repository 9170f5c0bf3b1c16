"""What fuzzing brought to light (make fuzz); each was mended, and stays here."""

from __future__ import annotations

from hostile.cases import Case

CASES: list[Case] = []
