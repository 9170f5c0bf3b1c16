"""The table of parcels: names, networks and, where the atlas tells them, places."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.data import Atlas
from connectrial.fc.places import parcel_centroids


def parcels_table(atlas: Atlas) -> pd.DataFrame:
    """List parcels with their networks, and their centres in mm where the atlas tells them.

    Parameters
    ----------
    atlas : Atlas
        Centres come from its table, else from its label image.

    Returns
    -------
    pandas.DataFrame
        ``parcel``, ``network`` and, where any centre is known, ``x_mm``, ``y_mm``, ``z_mm``.
    """
    table = atlas.parcels[["network"]].reset_index(names="parcel")
    places = parcel_centroids(atlas)
    if not np.isfinite(places).any():
        return table
    return table.assign(**dict(zip(("x_mm", "y_mm", "z_mm"), places.T, strict=True)))
