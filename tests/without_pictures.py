"""Reports whose figures are saved as SVG alone, for tests that look into no PDF and no PNG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from connectrial.report import figure_files


@contextmanager
def without_pictures() -> Iterator[None]:
    """Write empty files in their place: to draw both is half of what a saved report costs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure_files, "figure_bytes", lambda *_figure, **_name: b"")
        yield
