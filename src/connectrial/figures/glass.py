"""A figure for glass brains, whose outlines cost no more than they must."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch


class OutlineAxes(Axes):
    """Axes that take an outline as it is.

    nilearn sets the limits of a glass brain itself. matplotlib would work limits out again for each
    of the thousand pieces of an outline, which took longer than to draw them.
    """

    def add_patch(self, p: Patch) -> Patch:
        """Add a patch, and leave the limits as they are."""
        self.add_artist(p)
        return p


class GlassFigure(Figure):
    """A figure whose axes are :class:`OutlineAxes`, unless others are asked for."""

    def add_axes(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as matplotlib's
        """Add axes, as `Figure.add_axes` does."""
        plain = not args or not isinstance(args[0], Axes)
        if plain and "projection" not in options:
            options.setdefault("axes_class", OutlineAxes)
        return super().add_axes(*args, **options)
