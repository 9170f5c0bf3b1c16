"""Numbers of many edges or voxels in little room: whole steps between the ends, as base64.

A page that held every number of an edge table as text would weigh tens of megabytes. Here a column
is a row of 8- or 16-bit steps; what that costs is stated on the page (see `worst`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from connectrial.data import FloatArray

#: Columns of more numbers than this are packed in 8 bits each, not in 16.
FINE_UP_TO = 150_000


def pack(values: FloatArray, *, bits: int | None = None) -> dict[str, Any]:
    """Round numbers to equal steps between the lowest and the highest.

    Parameters
    ----------
    values : array, shape (n,)
        NaN and infinite values come back as NaN.
    bits : {8, 16}, optional
        Bits of a number; default 16, and 8 above :data:`FINE_UP_TO` numbers.

    Returns
    -------
    dict
        ``bits``, ``low``, ``step`` and ``data`` (base64, little-endian). The highest code means
        missing; any other code is ``low + code * step``.
    """
    given = np.asarray(values, dtype=np.float64).ravel()
    bits = bits or (16 if given.size <= FINE_UP_TO else 8)
    missing = 2**bits - 1
    known = np.isfinite(given)
    low = float(given[known].min()) if known.any() else 0.0
    high = float(given[known].max()) if known.any() else 0.0
    step = (high - low) / (missing - 1)
    codes = np.full(given.shape, missing, dtype=f"<u{bits // 8}")
    scaled = (given[known] - low) / step if step > 0 else np.zeros(int(known.sum()))
    codes[known] = np.clip(np.rint(scaled), 0, missing - 1).astype(codes.dtype)
    data = base64.b64encode(codes.tobytes()).decode()
    return {"bits": bits, "low": low, "step": step, "data": data}


def unpack(packed: Mapping[str, Any]) -> FloatArray:
    """Return the numbers of :func:`pack`, each within :func:`worst` of what went in.

    Parameters
    ----------
    packed : mapping
        As :func:`pack` returns it.

    Returns
    -------
    array, shape (n,)
        NaN where a number is missing.
    """
    bits = int(packed["bits"])
    codes = np.frombuffer(base64.b64decode(packed["data"]), dtype=f"<u{bits // 8}")
    values = float(packed["low"]) + codes.astype(np.float64) * float(packed["step"])
    return np.where(codes == 2**bits - 1, np.nan, values)


def worst(packed: Mapping[str, Any]) -> float:
    """Return by how much a number may differ from what went in: half a step."""
    return float(packed["step"]) / 2
