"""Pictures of one dot per value, small enough for a page of all scans: carpets and matrices."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from connectrial.data import FloatArray
from connectrial.figures.carpet import REACH, by_network
from connectrial.figures.palette import SIGNED

Levels = NDArray[np.uint8]
#: Greys of a carpet and colours of a matrix; the level after the last is a value that is missing.
GREYS, COLOURS = 15, 31


def carpet_levels(standard: FloatArray, networks: Sequence[str]) -> Levels:
    """Turn a run into greys, a row per parcel in the order of networks.

    Parameters
    ----------
    standard : array, shape (n_frames, n_parcels)
        Standardised signal; NaN where a parcel has none.
    networks : sequence of str
        Network of each parcel.

    Returns
    -------
    array of uint8, shape (n_parcels, n_frames)
        0 to `GREYS` - 1 from -2.5 to 2.5 SD; `GREYS` where there is no signal.
    """
    order = by_network(networks)[0]
    return _levels(standard[:, order].T, reach=REACH, n=GREYS)


def matrix_levels(matrix: FloatArray, networks: Sequence[str], *, limit: float) -> Levels:
    """Turn a matrix into colours, rows and columns in the order of networks.

    Parameters
    ----------
    matrix : array, shape (n_parcels, n_parcels)
        Connectivity; NaN where it is missing.
    networks : sequence of str
        Network of each parcel.
    limit : float
        Value of the darkest red; its negative is the darkest blue.

    Returns
    -------
    array of uint8, shape (n_parcels, n_parcels)
        0 to `COLOURS` - 1; `COLOURS` where a value is missing, and on the diagonal.
    """
    order = by_network(networks)[0]
    ordered = np.array(matrix[np.ix_(order, order)], dtype=np.float64)
    np.fill_diagonal(ordered, np.nan)
    return _levels(ordered, reach=limit, n=COLOURS)


def _levels(values: FloatArray, *, reach: float, n: int) -> Levels:
    scaled = np.rint((np.clip(values / reach, -1, 1) + 1) / 2 * (n - 1))
    return np.where(np.isfinite(scaled), scaled, n).astype(np.uint8)


def shrink(levels: Levels, *, rows: int, columns: int, blank: int) -> Levels:
    """Average neighbouring dots until a picture has at most so many rows and columns.

    Parameters
    ----------
    levels : array of uint8, shape (n_rows, n_columns)
        The picture.
    rows, columns : int
        Most rows and columns.
    blank : int
        Level that means missing; a dot is missing where all its parts are.
    """
    values = np.where(levels == blank, np.nan, levels.astype(np.float64))
    for axis, most in ((0, rows), (1, columns)):
        n = values.shape[axis]
        if n <= most:
            continue
        starts = np.floor(np.arange(most) * n / most).astype(np.intp)
        known = np.isfinite(values)
        total = np.add.reduceat(np.where(known, values, 0.0), starts, axis=axis)
        count = np.add.reduceat(known, starts, axis=axis, dtype=np.float64)
        values = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return np.where(np.isfinite(values), np.rint(values), blank).astype(np.uint8)


def carpet_png(levels: Levels) -> bytes:
    """Return the greys of :func:`carpet_levels` as PNG; what is missing is transparent."""
    greys = [[round(255 * i / (GREYS - 1))] * 3 for i in range(GREYS)]
    return _png(levels, [*greys, [255, 255, 255]], bits=4)


def matrix_png(levels: Levels) -> bytes:
    """Return the colours of :func:`matrix_levels` as PNG; what is missing is transparent."""
    from matplotlib import colormaps

    colours = (colormaps[SIGNED](np.linspace(0, 1, COLOURS))[:, :3] * 255).round().astype(int)
    return _png(levels, [*colours.tolist(), [195, 200, 207]], bits=8)


def png_levels(png: bytes) -> Levels:
    """Return the levels of a PNG that :func:`carpet_png` or :func:`matrix_png` made.

    Raises
    ------
    ValueError
        It is no such picture.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png)) as image:
            if image.mode != "P":
                raise ValueError(f"a picture of kind {image.mode}, not of levels")
            return np.asarray(image, dtype=np.uint8)
    except OSError as error:
        raise ValueError(f"no picture: {error}") from error


def _png(levels: Levels, palette: Sequence[Sequence[int]], *, bits: int) -> bytes:
    from PIL import Image

    image = Image.fromarray(levels)
    image.putpalette([part for colour in palette for part in colour])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", bits=bits, optimize=True, transparency=len(palette) - 1)
    return buffer.getvalue()
