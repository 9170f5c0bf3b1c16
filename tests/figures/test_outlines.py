"""Heads in outline: the same lines, limits and points as nilearn's plotting draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from connectrial.figures.outlines import VIEWS, add_points, head_axes, outline

PLACES = np.array([[-40.0, -60.0, 30.0], [30.0, 20.0, -10.0], [0.0, 0.0, 50.0]])


def test_outlines_limits_and_points_are_those_of_nilearn():
    """Oracle: plot_glass_brain of the installed nilearn (0.14.1 and later), to 1e-9 mm."""
    plotting = pytest.importorskip("nilearn.plotting")
    figure = Figure(figsize=(8, 2))
    theirs = plotting.plot_glass_brain(None, display_mode="lyrz", figure=figure, annotate=False)
    theirs.add_markers(PLACES, marker_color="#000000", marker_size=9)
    ours = head_axes(Figure(figsize=(8, 2)), (0.0, 0.0, 1.0, 1.0))
    add_points(ours, PLACES, colour="#000000", size=9, alpha=1)
    for ax, one in zip(ours, theirs.axes.values(), strict=True):
        np.testing.assert_allclose(ax.get_xlim(), one.ax.get_xlim(), atol=1e-9)
        np.testing.assert_allclose(ax.get_ylim(), one.ax.get_ylim(), atol=1e-9)
        np.testing.assert_allclose(_lines(ax), _lines(one.ax), atol=1e-9)
        (own,), (other,) = ax.collections, one.ax.collections
        np.testing.assert_allclose(own.get_offsets(), other.get_offsets(), atol=1e-12)


def _lines(ax):
    """All vertices of the outline in mm, in one order."""
    to_mm = ax.transData.inverted()
    patches = [one for one in ax.get_children() if isinstance(one, PathPatch)]
    points = [
        (one.get_data_transform() + to_mm).transform(path.vertices[path.codes != path.CLOSEPOLY])
        for one in patches
        if len(path := one.get_path())
    ]
    return pd.DataFrame(np.concatenate(points)).round(9).sort_values([0, 1]).to_numpy()


def test_a_nilearn_without_outlines_is_one_message(monkeypatch):
    monkeypatch.setattr("connectrial.figures.outlines.find_spec", lambda name: None)
    outline.cache_clear()
    with pytest.raises(RuntimeError, match=r"this version of nilearn has no plotting/.*side\.json"):
        outline(VIEWS[0])
