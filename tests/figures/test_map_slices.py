"""What slices of maps show, and which way round."""

from __future__ import annotations

import numpy as np

from connectrial.figures.maps import MapRow, plot_map_slices


def volume() -> np.ndarray:
    values = np.zeros((6, 5, 4), dtype=np.float32)
    values[0, :, :] = 2.0  # the first voxels of the first axis
    values[:, :, 0] = np.nan
    return values


def shown(figure, axis: int, layer: int) -> np.ndarray:
    return np.ma.filled(figure.axes[axis].images[layer].get_array().astype(float), np.nan)


def test_the_left_of_the_world_is_on_the_left_whatever_the_file_says():
    """x falls along the first axis of one affine and rises along the other's."""
    for sign in (-1.0, 1.0):
        affine = np.diag([sign * 3.0, 3.0, 3.0, 1.0])
        figure = plot_map_slices([MapRow(title="a", values=volume(), scale="z")], affine)
        picture = shown(figure, 0, 1)  # origin below: rows are y, columns x
        bright = np.flatnonzero((picture == 2.0).all(axis=0))
        assert list(bright) == ([5] if sign < 0 else [0])


def test_rows_share_a_scale_by_its_name_and_say_where_they_cut():
    affine = np.diag([-3.0, 3.0, 3.0, 1.0])
    affine[2, 3] = -6.0
    passing = np.zeros((6, 5, 4), dtype=bool)
    passing[1:4, 1:4, 1:4] = True
    rows = [
        MapRow(title="before", values=volume(), scale="Fisher z"),
        MapRow(title="after", values=volume() * 3, scale="Fisher z"),
        MapRow(title="t", values=volume() * 10, scale="t", passing=passing),
    ]
    figure = plot_map_slices(rows, affine)
    slices = 3  # of four, one holds nothing
    limits = [figure.axes[k * slices].images[1].get_clim() for k in range(3)]
    assert limits[0] == limits[1] == (-6.0, 6.0)
    assert limits[2] == (-20.0, 20.0)
    said = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert said == ["z = -3", "z = 0", "z = 3"]
    assert [figure.axes[k * slices].get_title(loc="left") for k in range(3)] == [
        "before",
        "after",
        "t",
    ]
    assert len(figure.axes[2 * slices].collections) == 1  # the outline of what passes
    assert len(figure.axes[0].collections) == 0
