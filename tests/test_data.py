"""The nouns refuse to exist wrong."""

import numpy as np
import pandas as pd
import pytest

from connectrial.data import Atlas, Grayordinates
from connectrial.errors import InputError


def two_vertices_and_a_voxel() -> Grayordinates:
    return Grayordinates(
        structures=("CORTEX_LEFT", "THALAMUS_LEFT"),
        structure=np.array([0, 0, 1], dtype=np.int16),
        vertex=np.array([0, 5, -1], dtype=np.int32),
        voxel=np.array([[-1, -1, -1], [-1, -1, -1], [4, 4, 4]], dtype=np.int32),
        n_vertices={"CORTEX_LEFT": 10},
        affine=np.eye(4),
    )


def test_a_grayordinate_is_a_vertex_or_a_voxel() -> None:
    good = two_vertices_and_a_voxel()
    assert len(good) == 3
    with pytest.raises(InputError, match="either a vertex or a voxel"):
        Grayordinates(
            structures=good.structures,
            structure=good.structure,
            vertex=np.array([0, 5, 7], dtype=np.int32),
            voxel=good.voxel,
            affine=good.affine,
        )
    with pytest.raises(InputError, match="affine"):
        Grayordinates(
            structures=good.structures,
            structure=good.structure,
            vertex=good.vertex,
            voxel=good.voxel,
        )


def test_each_grayordinate_of_an_atlas_comes_with_a_label() -> None:
    parcels = pd.DataFrame({"index": [1], "network": ["Default"]}, index=["a"])
    with pytest.raises(InputError, match="one label"):
        Atlas(
            name="x",
            parcels=parcels,
            grayordinates=two_vertices_and_a_voxel(),
            row_labels=np.array([1, 1], dtype=np.int32),
        )


def test_a_parcel_with_a_radius_is_a_sphere() -> None:
    parcels = pd.DataFrame(
        {"index": [1, np.nan], "network": ["Default", "Reward"], "radius_mm": [np.nan, 4.0]},
        index=["a", "b"],
    )
    assert Atlas(name="x", parcels=parcels).is_sphere.tolist() == [False, True]
    assert not Atlas(name="x", parcels=parcels[["index", "network"]]).is_sphere.any()
