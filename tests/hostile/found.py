"""What fuzzing brought to light (make fuzz); each was mended, and stays here."""

from __future__ import annotations

from hostile.cases import Case, expand

MATRICES: dict[str, tuple[bytes | str, str, str]] = {
    "row names glued to numbers": (
        b"a\tb\tc\td\n1.000000000-0.3113428061e300\t0.107693654\t0.040460495\n1e3000x11.000000000\t0.129554925\t-0.311342806\n0.107693654-10.129554925\t1.000000000\t0.234347261\n0.040460495\t-0.311342806\t0.234347261\t1.000000000",
        "InputError",
        "cells|number",
    ),
    "a blank line in place of names": (
        b"\n\t-0.332106629\t-0.332106629\t1.000000000\t0.129554925\t-0.311342806\n0.107693654\t0.129554925\t1.000000000\t0.234347261\n0.040460495\t-0.311342806\t0.234347261\t1.000000000",
        "InputError",
        "cells|number|square|names",
    ),
    "lines of one cell that is no number, of an old Macintosh": (
        b'../.."{{M{{\r"{{\r{{\r"{{\r{{\r{{\x1d"{{\r{{\r[[{{\r"{{\r[[',
        "InputError",
        "cells|number|square",
    ),
    "one cell under one name, and neither a number": (
        "-1{HOMEHOME{0.04040460495\nnaninf\u00e9truetrue",
        "InputError",
        "must be square; this one has 0 rows and 0 columns|cells|number",
    ),
}
PARCELS: dict[str, tuple[bytes | str, str, str]] = {
    "a column called n/a": ("n/a\nred\n", "InputError", "neither parcel names"),
}
CASES: list[Case] = [
    *expand("found by fuzzing", "matrix", ".tsv", MATRICES),
    *expand("found by fuzzing", "atlas table", ".tsv", PARCELS),
]
