"""The table of parcels: names, networks and, where the atlas tells them, places."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.data import Atlas
from connectrial.io.atlas_checks import centroids_mm


def parcels_table(atlas: Atlas) -> pd.DataFrame:
    """List parcels with their networks, and their centres in mm where the atlas tells them.

    Parameters
    ----------
    atlas : Atlas
        Centres come from its label image, else from the columns ``x_mm``, ``y_mm``, ``z_mm`` or ``x``,
        ``y``, ``z`` of its table.

    Returns
    -------
    pandas.DataFrame
        ``parcel``, ``network`` and, where any centre is known, ``x_mm``, ``y_mm``, ``z_mm``.
    """
    table = atlas.parcels[["network"]].reset_index(names="parcel")
    for names in (["x_mm", "y_mm", "z_mm"], ["x", "y", "z"]):
        if set(names) <= set(atlas.parcels.columns):
            places = atlas.parcels[names].apply(pd.to_numeric, errors="coerce").to_numpy(float)
            break
    else:
        places = np.full((len(table), 3), np.nan)
    if atlas.labels is not None and atlas.affine is not None and "index" in atlas.parcels:
        index = pd.to_numeric(atlas.parcels["index"], errors="coerce").fillna(0)
        found = centroids_mm(atlas.labels, atlas.affine, np.asarray(index, dtype=np.int64))
        places = np.where(np.isfinite(found), found, places)
    if not np.isfinite(places).any():
        return table
    return table.assign(**dict(zip(("x_mm", "y_mm", "z_mm"), places.T, strict=True)))
