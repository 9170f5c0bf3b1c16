"""Names that the study file, the plan, the results and the report must spell alike."""

from __future__ import annotations

from collections.abc import Sequence


def contrast_term(
    treatment: str, against: str, *, visits: Sequence[str] = (), since: str | None = None
) -> str:
    """Return what a contrast of treatments is called in tables."""
    name = f"{treatment} - {against}"
    if visits:
        listed = ", ".join(visits)
        name += f" at {listed}" if len(visits) == 1 else f", mean of {listed}"
    return name if since is None else f"{name}, change from {since}"
