"""Results -> one self-contained page: text, tables and figures, nothing fetched."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectrial.report.page import render_report, report_figures

__all__ = ["render_report", "report_figures"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    # Not imported before it is asked for: processes that draw are started before all that loads.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.page"), name)
